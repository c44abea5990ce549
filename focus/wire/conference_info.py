"""The conference-info document of RFC 4575, in the schema that XEP-0298 section 10 repeats."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Address, Element, Name, Text, Token

CONFERENCE_INFO: Final = "urn:ietf:params:xml:ns:conference-info"
JINGLE: Final = "urn:xmpp:jingle:1"
#: An extension of our own.
HAND: Final = "urn:focus-conference:hand:0"

State = Literal["full", "partial", "deleted"]
EndpointStatus = Literal[
    "pending",
    "dialing-out",
    "dialing-in",
    "alerting",
    "on-hold",
    "connected",
    "muted-via-focus",
    "disconnecting",
    "disconnected",
]
JoiningMethod = Literal["dialed-in", "dialed-out", "focus-owner"]
DisconnectionMethod = Literal["departed", "booted", "failed", "busy"]
MediaStatus = Literal["recvonly", "sendonly", "sendrecv", "inactive"]
Count = Annotated[int, Field(ge=0, le=2**32 - 1)]


class _Part(Element, ns="", nsmap={"": CONFERENCE_INFO}):
    pass


class Uri(_Part, tag="entry", ns="", nsmap={"": CONFERENCE_INFO}):
    uri: Address = element(tag="uri")
    display_text: Text | None = element(tag="display-text", default=None)
    purpose: Token | None = element(tag="purpose", default=None)


class Uris(_Part, tag="uris", ns="", nsmap={"": CONFERENCE_INFO}):
    state: State | None = attr(default=None)
    entries: tuple[Uri, ...] = element(tag="entry", default=())


class Medium(_Part, tag="entry", ns="", nsmap={"": CONFERENCE_INFO}):
    """An entry of available-media (section 5.3.4)."""

    label: Token = attr()
    display_text: Text | None = element(tag="display-text", default=None)
    type: Name = element(tag="type")
    status: MediaStatus | None = element(tag="status", default=None)


class AvailableMedia(_Part, tag="available-media", ns="", nsmap={"": CONFERENCE_INFO}):
    entries: tuple[Medium, ...] = element(tag="entry", default=())


class ConferenceDescription(_Part, tag="conference-description", ns="", nsmap={"": CONFERENCE_INFO}):
    """What the conference is (section 5.3)."""

    display_text: Text | None = element(tag="display-text", default=None)
    subject: Text | None = element(tag="subject", default=None)
    free_text: Text | None = element(tag="free-text", default=None)
    conf_uris: Uris | None = element(tag="conf-uris", default=None)
    service_uris: Uris | None = element(tag="service-uris", default=None)
    maximum_user_count: Count | None = element(tag="maximum-user-count", default=None)
    available_media: AvailableMedia | None = None


class HostInfo(_Part, tag="host-info", ns="", nsmap={"": CONFERENCE_INFO}):
    """Who hosts the conference (section 5.4)."""

    display_text: Text | None = element(tag="display-text", default=None)
    web_page: Address | None = element(tag="web-page", default=None)
    uris: Uris | None = None


class ConferenceState(_Part, tag="conference-state", ns="", nsmap={"": CONFERENCE_INFO}):
    """How the conference is (section 5.5)."""

    user_count: Count | None = element(tag="user-count", default=None)
    active: bool | None = element(tag="active", default=None)
    locked: bool | None = element(tag="locked", default=None)


class Execution(_Part, tag="execution", ns="", nsmap={"": CONFERENCE_INFO}):
    """When, why and by whom (section 5.7.5)."""

    when: Token | None = element(tag="when", default=None)
    reason: Text | None = element(tag="reason", default=None)
    by: Address | None = element(tag="by", default=None)


class Media(_Part, tag="media", ns="", nsmap={"": CONFERENCE_INFO}):
    """One stream of an endpoint (section 5.8); `status` is from the participant's side."""

    id: Token = attr()
    display_text: Text | None = element(tag="display-text", default=None)
    type: Token | None = element(tag="type", default=None)
    label: Token | None = element(tag="label", default=None)
    src_id: Token | None = element(tag="src-id", default=None)
    status: MediaStatus | None = element(tag="status", default=None)


class JingleSession(Element, tag="jingle", ns="", nsmap={"": JINGLE}):
    """Which session (as in XEP-0298 section 6)."""

    sid: Token = attr()


class CallInfo(_Part, tag="call-info", ns="", nsmap={"": CONFERENCE_INFO}):
    """How an endpoint is called (section 5.7.9): SIP has an element of its own there, others bring theirs."""

    jingle: JingleSession | None = None


class Hand(Element, tag="hand", ns="", nsmap={"": HAND}):
    """Whoever is at this endpoint wants to say something, and since when; the schema has room for such elements."""

    since: Token = attr()


class Endpoint(_Part, tag="endpoint", ns="", nsmap={"": CONFERENCE_INFO}):
    """One device of a user (section 5.7)."""

    entity: Address | None = attr(default=None)
    state: State | None = attr(default=None)
    display_text: Text | None = element(tag="display-text", default=None)
    status: EndpointStatus | None = element(tag="status", default=None)
    joining_method: JoiningMethod | None = element(tag="joining-method", default=None)
    joining_info: Execution | None = element(tag="joining-info", default=None)
    disconnection_method: DisconnectionMethod | None = element(tag="disconnection-method", default=None)
    disconnection_info: Execution | None = element(tag="disconnection-info", default=None)
    media: tuple[Media, ...] = element(tag="media", default=())
    call_info: CallInfo | None = None
    hand: Hand | None = None


class Roles(_Part, tag="roles", ns="", nsmap={"": CONFERENCE_INFO}):
    entries: tuple[Name, ...] = element(tag="entry", default=())


class User(_Part, tag="user", ns="", nsmap={"": CONFERENCE_INFO}):
    """One participant (section 5.6)."""

    entity: Address | None = attr(default=None)
    state: State | None = attr(default=None)
    display_text: Text | None = element(tag="display-text", default=None)
    associated_aors: Uris | None = element(tag="associated-aors", default=None)
    roles: Roles | None = None
    cascaded_focus: Address | None = element(tag="cascaded-focus", default=None)
    endpoints: tuple[Endpoint, ...] = element(tag="endpoint", default=())


class Users(_Part, tag="users", ns="", nsmap={"": CONFERENCE_INFO}):
    state: State | None = attr(default=None)
    users: tuple[User, ...] = element(tag="user", default=())


class ConferenceInfo(_Part, tag="conference-info", ns="", nsmap={"": CONFERENCE_INFO}):
    """The document (section 5.1). `sid` names the Jingle session it belongs to, as Jitsi does: one child in the IQ."""

    entity: Address = attr()
    state: State | None = attr(default=None)
    version: Count | None = attr(default=None)
    sid: Token | None = attr(default=None)
    description: ConferenceDescription | None = None
    host_info: HostInfo | None = None
    conference_state: ConferenceState | None = None
    users: Users | None = None
