"""Call Invites (XEP-0482): who is invited to a call, and how it can be joined; taken, refused, withdrawn, left."""

from __future__ import annotations

from typing import Annotated, Final
from xml.etree import ElementTree as ET

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Address, Element, Name
from focus.wire.jid import JID

CALL_INVITES: Final = "urn:xmpp:call-invites:0"
STANZA_ID: Final = "urn:xmpp:sid:0"

MAX_METHODS = 16


class JingleMethod(Element, tag="jingle", ns="", nsmap={"": CALL_INVITES}):
    """By the session `sid`, which begins from `jid`, or from whoever invites."""

    sid: Name = attr()
    jid: Address | None = attr(default=None)


class External(Element, tag="external", ns="", nsmap={"": CALL_INVITES}):
    uri: Address = attr()


class CallInvite(Element):
    """Any of the five."""


class Invite(CallInvite, tag="invite", ns="", nsmap={"": CALL_INVITES}):
    """Section 2.1; where they are missing, `audio` is true and `video` false."""

    audio: bool | None = attr(default=None)
    video: bool | None = attr(default=None)
    jingle: Annotated[tuple[JingleMethod, ...], Field(max_length=MAX_METHODS)] = element(tag="jingle", default=())
    external: Annotated[tuple[External, ...], Field(max_length=MAX_METHODS)] = element(tag="external", default=())


class Answer(CallInvite):
    """What is said of the invite with the `id`."""

    id: Name = attr()


class Retract(Answer, tag="retract", ns="", nsmap={"": CALL_INVITES}):
    pass


class Accept(Answer, tag="accept", ns="", nsmap={"": CALL_INVITES}):
    """Section 2.3, with the method that was chosen."""

    jingle: JingleMethod | None = None
    external: External | None = None


class Reject(Answer, tag="reject", ns="", nsmap={"": CALL_INVITES}):
    pass


class Left(Answer, tag="left", ns="", nsmap={"": CALL_INVITES}):
    pass


_KINDS: tuple[type[CallInvite], ...] = (Invite, Retract, Accept, Reject, Left)
BY_TAG: dict[str, type[CallInvite]] = {kind.qualified_tag(): kind for kind in _KINDS}


def parse_call_invite(stanza: ET.Element) -> CallInvite | None:
    """The one in a `<message/>`, if there is one. Raises `BadRequest`."""
    return next((BY_TAG[child.tag].parse(child) for child in stanza if child.tag in BY_TAG), None)


def message_id(stanza: ET.Element, room: JID | None = None) -> str:
    """By what others speak of a message (section 3.1): in a `room` its id there, and nothing else; elsewhere that of
    its origin, or of the stanza. Empty where it has none."""
    if room is not None:
        ids = stanza.findall(f"{{{STANZA_ID}}}stanza-id")
        return next((one.get("id", "") for one in ids if one.get("by") == str(room)), "")
    origin = stanza.find(f"{{{STANZA_ID}}}origin-id")
    return (origin.get("id", "") if origin is not None else "") or stanza.get("id", "")
