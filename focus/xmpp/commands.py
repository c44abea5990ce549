"""What the moderators of a room can tell the focus by ad-hoc commands (XEP-0050): whom to call into the conference, and
whom no longer, and what to say there.

Any client with ad-hoc commands has them, without knowing us: at the room's address for calls, and at our occupant in
the room. Each has one form, so that nothing need be remembered between its two steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import NamedTuple, Protocol
from xml.etree import ElementTree as ET

from focus.conference.attendant import Attendant
from focus.conference.ringing import Callout
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
from focus.wire.conditions import ItemNotFound, NotAllowed, ResourceConstraint, StanzaError
from focus.wire.jid import JID
from focus.wire.nodeprep import prepared
from focus.xmpp.discovery import DISCO_INFO, DISCO_ITEMS, INFO_QUERY, ITEMS_QUERY

log = logging.getLogger(__name__)

CALL_IN = "urn:focus-conference:call-in:0"
CALL_OFF = "urn:focus-conference:call-off:0"
ANNOUNCE = "urn:focus-conference:announce:0"
WHOM, TEXT, SOUND = "jids", "text", "sound"

#: People whom one command can name.
MAX_PEOPLE = 50
#: Characters of what is to be said at once.
MAX_TEXT = 1000


class Moderated(Protocol):
    """A conference, as far as its moderators command it. `attendant`: none, and nothing can be said in it."""

    callout: Callout
    attendant: Attendant | None


class Moderation(Protocol):
    """Who knows which rooms there are, and who has a say in them."""

    def conference_for(self, address: JID, client: JID) -> tuple[Moderated, str | None]:
        """The conference at `address`, and by which address in the room `client` is known there. Raises `ItemNotFound`
        and `Forbidden`."""


class _Command(NamedTuple):
    name: str
    form: Callable[[Moderated], Form]
    submit: Callable[[Moderated, Form, str | None], str]
    is_possible: Callable[[Moderated], bool] = lambda conference: True


def _whom_to_call(conference: Moderated) -> Form:
    whom = Field(var=WHOM, type="jid-multi", label="Addresses", desc="Such as juliet@example.org", required=Flag())
    return Form(
        type="form",
        title="Call people into the conference",
        instructions="Their phones ring now, and again later if they do not answer.",
        fields=(whom,),
    )


def _call_in(conference: Moderated, form: Form, by: str | None) -> str:
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
    called = callout.call(people, by)
    return f"Calling {_listed(called)}." if called else "They are here, or are being called already."


def _whom_not_to_call(conference: Moderated) -> Form:
    people = tuple(Option(value=str(person)) for person in conference.callout.people)
    return Form(
        type="form",
        title="Call people no longer",
        instructions="Those who are not chosen are called further. To choose nobody is to choose all.",
        fields=(Field(var=WHOM, type="list-multi", label="Addresses", options=people),),
    )


def _call_off(conference: Moderated, form: Form, by: str | None) -> str:
    spared = conference.callout.call_off(_people(form) or None)
    return f"No longer calling {_listed(spared)}." if spared else "None of them was being called."


def _what_to_say(conference: Moderated) -> Form:
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


def _announce(conference: Moderated, form: Form, by: str | None) -> str:
    text, sound = " ".join(form.values(TEXT)), next(iter(form.values(SOUND)), "")
    if not (text or sound):
        raise BadPayload("say what to say")
    if len(text) > MAX_TEXT:
        raise BadPayload(f"no more than {MAX_TEXT} characters at once")
    if conference.attendant is not None:
        conference.attendant.announce(text=text, sound=sound)
    return f"Saying: {' '.join(filter(None, (sound, text)))}"


def _can_announce(conference: Moderated) -> bool:
    return conference.attendant is not None


_COMMANDS = {
    CALL_IN: _Command("Call people into the conference", _whom_to_call, _call_in),
    CALL_OFF: _Command("Call people no longer", _whom_not_to_call, _call_off),
    ANNOUNCE: _Command("Say something in the conference", _what_to_say, _announce, _can_announce),
}


class AdHocCommands:
    """Answers for the commands, and for what service discovery tells of them."""

    def __init__(self, moderation: Moderation) -> None:
        self._moderation = moderation

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
        conference, by = self._moderation.conference_for(to, sender)
        if not command.is_possible(conference):
            raise ItemNotFound(f"there is no command {asked.node!r} in this room")
        session = asked.sessionid or token_hex(8)
        action = asked.action or "execute"
        if action == "cancel" or (asked.form is not None and asked.form.type == "cancel"):
            return AdHoc(node=asked.node, sessionid=session, status="canceled")
        if action not in ("execute", "complete", "next", "prev"):
            raise MalformedAction(f"there is no action {action[:100]!r}")
        if action == "prev" or (action != "execute" and asked.form is None):
            raise BadAction(f"there is nothing to {action}")
        if asked.form is None:
            return AdHoc(
                node=asked.node,
                sessionid=session,
                status="executing",
                actions=Actions(execute="complete", complete=Flag()),
                form=command.form(conference),
            )
        said = command.submit(conference, asked.form, by)
        log.info("%s has commanded: %s", sender, said)
        return AdHoc(node=asked.node, sessionid=session, status="completed", notes=(Note(text=said),))

    def _items(self, sender: JID, to: JID, node: str) -> ET.Element:
        """Nobody is told of commands that they may not give."""
        query = ET.Element(ITEMS_QUERY, {"node": node})
        if node == COMMANDS:
            try:
                conference, _ = self._moderation.conference_for(to, sender)
            except StanzaError:
                return query
            possible = {each: command for each, command in _COMMANDS.items() if command.is_possible(conference)}
            for each, command in possible.items():
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
