"""How somebody is asked to come to a room: mediated (XEP-0045 section 7.8.2) and direct invitations (XEP-0249), and the
conference request by which Jitsi's clients call their focus."""

from __future__ import annotations

from typing import Final

from pydantic_xml import attr, element

from focus.wire.base import Address, Element, Name, Text, Token

MUC_USER: Final = "http://jabber.org/protocol/muc#user"
DIRECT: Final = "jabber:x:conference"
CONFERENCE_REQUEST: Final = "http://jitsi.org/protocol/focus"


class Invite(Element, tag="invite", ns="", nsmap={"": MUC_USER}):
    """`from_` is who invites, as the room says; `to` whom, when it is asked to."""

    from_: Address | None = attr(name="from", default=None)
    to: Address | None = attr(default=None)
    reason: Text | None = element(tag="reason", default=None)


class Decline(Element, tag="decline", ns="", nsmap={"": MUC_USER}):
    from_: Address | None = attr(name="from", default=None)
    to: Address | None = attr(default=None)
    reason: Text | None = element(tag="reason", default=None)


class Mediated(Element, tag="x", ns="", nsmap={"": MUC_USER}):
    """What a room hands on, in a message that comes from it."""

    invite: Invite | None = None
    decline: Decline | None = None
    password: Token | None = element(tag="password", default=None)


class Direct(Element, tag="x", ns="", nsmap={"": DIRECT}):
    """What the inviter says without the room (XEP-0249 section 2)."""

    jid: Address = attr()
    password: Token | None = attr(default=None)
    reason: Text | None = attr(default=None)


class Property(Element, tag="property", ns="", nsmap={"": CONFERENCE_REQUEST}):
    name: Name = attr()
    value: Text = attr(default="")


class ConferenceRequest(Element, tag="conference", ns="", nsmap={"": CONFERENCE_REQUEST}):
    """Asked for with the address of a `room`, and answered with whether the focus is in it, and by which address."""

    room: Address = attr()
    ready: bool | None = attr(default=None)
    focusjid: Address | None = attr(default=None)
    properties: tuple[Property, ...] = element(tag="property", default=())
