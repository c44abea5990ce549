"""What can be told to the focus of a room by ad-hoc commands (XEP-0050). By moderators: whom to call into the
conference, and whom no longer, what to say there, and whose hands to lower. By all who take part: that they raise one.

Any client with ad-hoc commands has them, without knowing us: at the room's address for calls, and at our occupant in
the room. Each has one form at most, so that nothing need be remembered between its steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from secrets import token_hex
from typing import NamedTuple, Protocol
from xml.etree import ElementTree as ET

from focus.conference.attendant import Attendant
from focus.conference.policy import Rights
from focus.conference.ringing import Callout
from focus.conference.roster import Roster
from focus.wire.base import Flag
from focus.wire.commands import (
    COMMANDS,
    DATA_FORM,
    Actions,
    AdHoc,
    BadAction,
    BadPayload,
    Field,
    Form,
    MalformedAction,
    Note,
    Option,
)
from focus.wire.conditions import Forbidden, ItemNotFound, NotAllowed, ResourceConstraint, StanzaError
from focus.wire.jid import JID
from focus.wire.nodeprep import prepared
from focus.xmpp.discovery import DISCO_INFO, DISCO_ITEMS, INFO_QUERY, ITEMS_QUERY

log = logging.getLogger(__name__)

CALL_IN = "urn:focus-conference:call-in:0"
CALL_OFF = "urn:focus-conference:call-off:0"
ANNOUNCE = "urn:focus-conference:announce:0"
RAISE_HAND = "urn:focus-conference:raise-hand:0"
LOWER_HAND = "urn:focus-conference:lower-hand:0"
LOWER_HANDS = "urn:focus-conference:lower-hands:0"
WHOM, TEXT, SOUND, HANDS = "jids", "text", "sound", "hands"
#: Stands for all of those who can be chosen: neither an address nor a call is called so.
ALL = "@all"

#: People whom one command can name.
MAX_PEOPLE = 50
#: Characters of what is to be said at once.
MAX_TEXT = 1000


class Commanded(Protocol):
    """A conference, as far as it is commanded. `attendant`: none, and nothing can be said in it."""

    callout: Callout
    attendant: Attendant | None
    roster: Roster

    def raise_hands(self, calls: Iterable[JID]) -> None:
        """Those of `calls` want to say something."""

    def lower_hands(self, calls: Iterable[JID]) -> None:
        """Those of `calls` do not want to say something any more."""


class Conferences(Protocol):
    """Who knows which rooms there are, and who may do what in them."""

    def conference_for(self, address: JID, client: JID) -> tuple[Commanded, Rights]:
        """The conference at `address`, and what `client` may do there. Raises `ItemNotFound`."""


class _Command(NamedTuple):
    """`form`: none, and it is done at once."""

    name: str
    form: Callable[[Commanded], Form] | None
    submit: Callable[[Commanded, Form, Rights], str]
    is_possible: Callable[[Commanded], bool] = lambda conference: True
    is_for_all: bool = False

    def check(self, rights: Rights) -> None:
        """Raises `Forbidden`."""
        if self.is_for_all and not rights.calls:
            raise Forbidden("only who takes part in the conference can do this")
        if not self.is_for_all and not rights.moderates:
            raise Forbidden("only moderators of the room can do this")


def _whom_to_call(conference: Commanded) -> Form:
    whom = Field(var=WHOM, type="jid-multi", label="Addresses", desc="Such as juliet@example.org", required=Flag())
    return Form(
        type="form",
        title="Call people into the conference",
        instructions="Their phones ring now, and again later if they do not answer.",
        fields=(whom,),
    )


def _call_in(conference: Commanded, form: Form, rights: Rights) -> str:
    callout, people = conference.callout, _people(form)
    if not people:
        raise BadPayload("say whom to call")
    for person in people:
        if not callout.may_call(person):
            raise NotAllowed(
                f"{person} cannot be called from here; whoever runs the service can allow it ([ringing] users)"
            )
        if (failure := callout.refusal(person)) is not None:
            raise ResourceConstraint(f"{person} cannot be called now, wait some minutes: {failure.reason}")
    called = callout.call(people, rights.seat)
    return f"Calling {_listed(called)}." if called else "They are here, or are being called already."


def _whom_not_to_call(conference: Commanded) -> Form:
    people = [Option(value=str(person)) for person in conference.callout.people]
    return Form(
        type="form",
        title="Call people no longer",
        instructions="Those who are not chosen are called further, unless all are chosen.",
        fields=(_all_or_some(WHOM, "Addresses", people),),
    )


def _call_off(conference: Commanded, form: Form, rights: Rights) -> str:
    if not (chosen := form.values(WHOM)):
        raise BadPayload("say whom to call no longer, or that it is all")
    spared = conference.callout.call_off(None if ALL in chosen else _people(form))
    return f"No longer calling {_listed(spared)}." if spared else "None of them was being called."


def _what_to_say(conference: Commanded) -> Form:
    known = conference.attendant.sounds if conference.attendant is not None else ()
    sounds = tuple(Option(label=name, value=name) for name in known)
    fields = [Field(var=TEXT, type="text-single", label="Text")]
    if sounds:
        fields.append(Field(var=SOUND, type="list-single", label="Sound, before the text", options=sounds))
    return Form(
        type="form",
        title="Say something in the conference",
        instructions="Everybody who takes part hears it.",
        fields=tuple(fields),
    )


def _announce(conference: Commanded, form: Form, rights: Rights) -> str:
    text, sound = " ".join(form.values(TEXT)), next(iter(form.values(SOUND)), "")
    if not (text or sound):
        raise BadPayload("say what to say")
    if len(text) > MAX_TEXT:
        raise BadPayload(f"no more than {MAX_TEXT} characters at once")
    if conference.attendant is not None:
        conference.attendant.announce(text=text, sound=sound)
    return f"Saying: {' '.join(filter(None, (sound, text)))}"


def _can_announce(conference: Commanded) -> bool:
    return conference.attendant is not None


def _whose_hands(conference: Commanded) -> Form:
    roster = conference.roster
    names = roster.names({})
    hands = [Option(label=names[one.call], value=one.call.local) for one in roster.hands]
    return Form(
        type="form",
        title="Lower hands",
        instructions="Those who are not chosen keep theirs raised, unless all are chosen.",
        fields=(_all_or_some(HANDS, "Raised, the longest first", hands),),
    )


def _lower_hands(conference: Commanded, form: Form, rights: Rights) -> str:
    roster, chosen = conference.roster, form.values(HANDS)
    if not chosen:
        raise BadPayload("say whose hands to lower, or that it is all")
    names = roster.names({})
    lowered = [one.call for one in roster.hands if ALL in chosen or one.call.local in chosen]
    conference.lower_hands(lowered)
    for call in lowered:
        if conference.attendant is not None:
            conference.attendant.hand_lowered(call)
    if not lowered:
        return "None of them had a hand raised."
    return f"Lowered the hands of {', '.join(names[call] for call in lowered)}."


def _raise_hand(conference: Commanded, form: Form, rights: Rights) -> str:
    conference.raise_hands(rights.calls)
    return "Your hand is raised."


def _lower_hand(conference: Commanded, form: Form, rights: Rights) -> str:
    conference.lower_hands(rights.calls)
    return "Your hand is lowered."


_COMMANDS = {
    CALL_IN: _Command("Call people into the conference", _whom_to_call, _call_in),
    CALL_OFF: _Command("Call people no longer", _whom_not_to_call, _call_off),
    ANNOUNCE: _Command("Say something in the conference", _what_to_say, _announce, _can_announce),
    LOWER_HANDS: _Command("Lower hands", _whose_hands, _lower_hands),
    RAISE_HAND: _Command("Raise your hand", None, _raise_hand, is_for_all=True),
    LOWER_HAND: _Command("Lower your hand", None, _lower_hand, is_for_all=True),
}


class AdHocCommands:
    """Answers for the commands, and for what service discovery tells of them."""

    def __init__(self, conferences: Conferences) -> None:
        self._conferences = conferences

    def answers(self, kind: str | None, payload: ET.Element) -> bool:
        """Whether an IQ of type `kind` with this child is for `answer`."""
        if kind == "set":
            return payload.tag == AdHoc.qualified_tag()
        return payload.tag in (INFO_QUERY, ITEMS_QUERY) and payload.get("node") in (COMMANDS, *_COMMANDS)

    def answer(self, sender: JID, to: JID, payload: ET.Element) -> ET.Element:
        """The child of the result. Raises `StanzaError`."""
        if payload.tag == AdHoc.qualified_tag():
            return self._execute(sender, to, AdHoc.parse(payload)).to_element()
        node = payload.get("node", "")
        if payload.tag == INFO_QUERY:
            return _information(node)
        return self._items(sender, to, node)

    def _execute(self, sender: JID, to: JID, asked: AdHoc) -> AdHoc:
        command = _COMMANDS.get(asked.node)
        if command is None:
            raise ItemNotFound(f"there is no command {asked.node[:100]!r}")
        conference, rights = self._conferences.conference_for(to, sender)
        command.check(rights)
        if not command.is_possible(conference):
            raise ItemNotFound(f"there is no command {asked.node!r} in this room")
        session = asked.sessionid or token_hex(8)
        action = asked.action or "execute"
        if action == "cancel" or (asked.form is not None and asked.form.type == "cancel"):
            return AdHoc(node=asked.node, sessionid=session, status="canceled")
        if action not in ("execute", "complete", "next", "prev"):
            raise MalformedAction(f"there is no action {action[:100]!r}")
        if action == "prev" or (action != "execute" and asked.form is None and command.form is not None):
            raise BadAction(f"there is nothing to {action}")
        if asked.form is None and command.form is not None:
            return AdHoc(
                node=asked.node,
                sessionid=session,
                status="executing",
                actions=Actions(execute="complete", complete=Flag()),
                form=command.form(conference),
            )
        said = command.submit(conference, asked.form or Form(type="submit"), rights)
        log.info("%s has commanded: %s", sender, said)
        return AdHoc(node=asked.node, sessionid=session, status="completed", notes=(Note(text=said),))

    def _items(self, sender: JID, to: JID, node: str) -> ET.Element:
        """Nobody is told of commands that they may not give."""
        query = ET.Element(ITEMS_QUERY, {"node": node})
        if node == COMMANDS:
            try:
                conference, rights = self._conferences.conference_for(to, sender)
            except StanzaError:
                return query
            for each, command in _COMMANDS.items():
                with suppress(Forbidden):
                    command.check(rights)
                    if command.is_possible(conference):
                        item = {"jid": str(to), "node": each, "name": command.name}
                        ET.SubElement(query, f"{{{DISCO_ITEMS}}}item", item)
        return query


def _information(node: str) -> ET.Element:
    query = ET.Element(INFO_QUERY, {"node": node})
    kind = "command-list" if node == COMMANDS else "command-node"
    name = {"name": _COMMANDS[node].name} if node in _COMMANDS else {}
    ET.SubElement(query, f"{{{DISCO_INFO}}}identity", {"category": "automation", "type": kind, **name})
    for feature in (COMMANDS, DATA_FORM):
        ET.SubElement(query, f"{{{DISCO_INFO}}}feature", {"var": feature})
    return query


def _all_or_some(var: str, label: str, options: Iterable[Option]) -> Field:
    """Nobody is not all of them: the first button of most clients sends what is chosen when a form comes."""
    options = (Option(label="All", value=ALL), *options)
    return Field(var=var, type="list-multi", label=label, required=Flag(), options=options)


def _people(form: Form) -> list[JID]:
    """Raises `BadPayload`."""
    texts = form.values(WHOM)
    if len(texts) > MAX_PEOPLE:
        raise BadPayload(f"no more than {MAX_PEOPLE} people at once")
    people = []
    for text in texts:
        try:
            person = JID.from_uri(text).bare
            people.append(JID(prepared(person.local) if person.local else "", person.domain.lower()))
        except ValueError:
            raise BadPayload(f"not an address: {text[:100]!r}") from None
    return people


def _listed(people: Sequence[JID]) -> str:
    return ", ".join(map(str, people))
