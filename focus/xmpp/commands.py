"""What the moderators of a room can tell the focus by ad-hoc commands (XEP-0050): whom to call into the conference, and
whom no longer.

Any client with ad-hoc commands has them, without knowing us: at the room's address for calls, and at our occupant in
the room. Each has one form, so that nothing need be remembered between its two steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import NamedTuple, Protocol
from xml.etree import ElementTree as ET

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
WHOM = "jids"

#: People whom one command can name.
MAX_PEOPLE = 50


class Moderation(Protocol):
    """Who knows which rooms there are, and who has a say in them."""

    def callout_for(self, address: JID, client: JID) -> tuple[Callout, str | None]:
        """By what people are called into the conference at `address`, and by which address in the room `client` is
        known there. Raises `ItemNotFound` and `Forbidden`."""


class _Command(NamedTuple):
    name: str
    form: Callable[[Callout], Form]
    submit: Callable[[Callout, Sequence[JID], str | None], str]


def _whom_to_call(callout: Callout) -> Form:
    whom = Field(var=WHOM, type="jid-multi", label="Addresses", desc="Such as juliet@example.org", required=Flag())
    return Form(
        type="form",
        title="Call people into the conference",
        instructions="Their phones ring now, and again later if they do not answer.",
        fields=(whom,),
    )


def _call_in(callout: Callout, people: Sequence[JID], by: str | None) -> str:
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


def _whom_not_to_call(callout: Callout) -> Form:
    people = tuple(Option(value=str(person)) for person in callout.people)
    return Form(
        type="form",
        title="Call people no longer",
        instructions="Those who are not chosen are called further. To choose nobody is to choose all.",
        fields=(Field(var=WHOM, type="list-multi", label="Addresses", options=people),),
    )


def _call_off(callout: Callout, people: Sequence[JID], by: str | None) -> str:
    spared = callout.call_off(people or None)
    return f"No longer calling {_listed(spared)}." if spared else "None of them was being called."


_COMMANDS = {
    CALL_IN: _Command("Call people into the conference", _whom_to_call, _call_in),
    CALL_OFF: _Command("Call people no longer", _whom_not_to_call, _call_off),
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
        callout, by = self._moderation.callout_for(to, sender)
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
                form=command.form(callout),
            )
        said = command.submit(callout, _people(asked.form), by)
        log.info("%s has commanded: %s", sender, said)
        return AdHoc(node=asked.node, sessionid=session, status="completed", notes=(Note(text=said),))

    def _items(self, sender: JID, to: JID, node: str) -> ET.Element:
        """Nobody is told of commands that they may not give."""
        query = ET.Element(ITEMS_QUERY, {"node": node})
        if node == COMMANDS:
            try:
                self._moderation.callout_for(to, sender)
            except StanzaError:
                return query
            for each, command in _COMMANDS.items():
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
