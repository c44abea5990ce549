"""Jingle actions (XEP-0166) with the contents, groups (XEP-0338) and session-info payloads known here."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self
from xml.etree import ElementTree as ET

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Address, Element, Flag, Name, Text, Token, local_name, namespace_of
from focus.wire.coin import FocusMark
from focus.wire.conditions import STANZAS
from focus.wire.dtmf import Dtmf
from focus.wire.ice import ICE_UDP, Transport
from focus.wire.rtp import RTP, Active, CryptoRequired, Description, Hold, Info, Mute, Ringing, Senders, Unhold, Unmute
from focus.wire.shim import Shim

JINGLE = "urn:xmpp:jingle:1"
GROUPING = "urn:xmpp:jingle:apps:grouping:0"


class Action(StrEnum):
    """XEP-0166 section 7.2."""

    CONTENT_ACCEPT = "content-accept"
    CONTENT_ADD = "content-add"
    CONTENT_MODIFY = "content-modify"
    CONTENT_REJECT = "content-reject"
    CONTENT_REMOVE = "content-remove"
    DESCRIPTION_INFO = "description-info"
    SECURITY_INFO = "security-info"
    SESSION_ACCEPT = "session-accept"
    SESSION_INFO = "session-info"
    SESSION_INITIATE = "session-initiate"
    SESSION_TERMINATE = "session-terminate"
    TRANSPORT_ACCEPT = "transport-accept"
    TRANSPORT_INFO = "transport-info"
    TRANSPORT_REJECT = "transport-reject"
    TRANSPORT_REPLACE = "transport-replace"


class AlternativeSession(Element, tag="alternative-session", ns="", nsmap={"": JINGLE}):
    sid: Token | None = element(tag="sid", default=None)


class Reason(Element, tag="reason", ns="", nsmap={"": JINGLE}):
    """Why (XEP-0166 section 7.4). Exactly one condition, with what an application says about it and a text for people;
    an unknown condition reads as `general-error`."""

    alternative_session: AlternativeSession | None = element(tag="alternative-session", default=None)
    busy: Flag | None = element(tag="busy", default=None)
    cancel: Flag | None = element(tag="cancel", default=None)
    connectivity_error: Flag | None = element(tag="connectivity-error", default=None)
    decline: Flag | None = element(tag="decline", default=None)
    expired: Flag | None = element(tag="expired", default=None)
    failed_application: Flag | None = element(tag="failed-application", default=None)
    failed_transport: Flag | None = element(tag="failed-transport", default=None)
    general_error: Flag | None = element(tag="general-error", default=None)
    gone: Flag | None = element(tag="gone", default=None)
    incompatible_parameters: Flag | None = element(tag="incompatible-parameters", default=None)
    media_error: Flag | None = element(tag="media-error", default=None)
    security_error: Flag | None = element(tag="security-error", default=None)
    success: Flag | None = element(tag="success", default=None)
    timeout: Flag | None = element(tag="timeout", default=None)
    unsupported_applications: Flag | None = element(tag="unsupported-applications", default=None)
    unsupported_transports: Flag | None = element(tag="unsupported-transports", default=None)
    text: Text | None = element(tag="text", default=None)
    crypto_required: CryptoRequired | None = None
    #: Where to call instead: what section 6.3.2 puts into the error that answers a session-initiate, for one that has
    #: been acknowledged already, or is still only proposed.
    redirect: Text | None = element(tag="redirect", ns="stanzas", nsmap={"stanzas": STANZAS}, default=None)

    @classmethod
    def of(cls, condition: str, text: str | None = None, *, redirect: str | None = None) -> Self:
        """The reason with `condition` as the XEP spells it; KeyError where there is no such condition. `redirect` is
        the address to call instead."""
        field = condition.replace("-", "_")
        if field in _NO_CONDITIONS or field not in cls.model_fields:
            raise KeyError(condition)
        mark = AlternativeSession() if field == "alternative_session" else Flag()
        return cls.model_validate({field: mark, "text": text, "redirect": redirect})

    @property
    def condition(self) -> str:
        """The condition as the XEP spells it."""
        for field in type(self).model_fields:
            if field not in _NO_CONDITIONS and getattr(self, field) is not None:
                return field.replace("_", "-")
        return "general-error"


_NO_CONDITIONS = frozenset({"text", "crypto_required", "redirect"})


class Content(Element, tag="content", ns="", nsmap={"": JINGLE}):
    """One stream (XEP-0166 section 7.3). Descriptions other than RTP and transports other than ICE-UDP are
    dropped here; `foreign_parts` says that there was one."""

    creator: Literal["initiator", "responder"] = attr(default="initiator")
    name: Name = attr()
    senders: Senders = attr(default="both")
    disposition: Token | None = attr(default=None)
    description: Description | None = None
    transport: Transport | None = None


class GroupContent(Element, tag="content", ns="", nsmap={"": GROUPING}):
    name: Name = attr()


class Group(Element, tag="group", ns="", nsmap={"": GROUPING}):
    """Contents that share a transport (XEP-0338)."""

    semantics: Token = attr()
    contents: Annotated[tuple[GroupContent, ...], Field(max_length=32)] = element(tag="content", default=())


class Jingle(Element, tag="jingle", ns="", nsmap={"": JINGLE}):
    """One Jingle action."""

    action: Action = attr()
    initiator: Address | None = attr(default=None)
    responder: Address | None = attr(default=None)
    sid: Name = attr()
    contents: Annotated[tuple[Content, ...], Field(max_length=16)] = element(tag="content", default=())
    group: Group | None = None
    reason: Reason | None = None
    focus: FocusMark | None = None
    ringing: Ringing | None = None
    active: Active | None = None
    hold: Hold | None = None
    unhold: Unhold | None = None
    mute: Mute | None = None
    unmute: Unmute | None = None
    dtmf: Dtmf | None = None
    headers: Shim | None = None

    @property
    def info(self) -> Info | None:
        """The session-info payload of XEP-0167 section 6, if this carries one."""
        return self.ringing or self.active or self.hold or self.unhold or self.mute or self.unmute


def foreign_parts(tree: ET.Element) -> frozenset[str]:
    """What a content of `tree` is made of that is neither RTP nor ICE-UDP: `description`, `transport`, `security`."""
    foreign = set()
    for content in tree.iter(f"{{{JINGLE}}}content"):
        for part in content:
            name, namespace = local_name(part.tag), namespace_of(part.tag)
            if name == "description" and namespace != RTP:
                foreign.add("description")
            elif name == "transport" and namespace != ICE_UDP:
                foreign.add("transport")
            elif name == "security":
                foreign.add("security")
    return frozenset(foreign)


_SESSION_INFO = frozenset(
    kind.qualified_tag() for kind in (FocusMark, Ringing, Active, Hold, Unhold, Mute, Unmute, Dtmf, Shim)
)


def unknown_info(tree: ET.Element) -> bool:
    """Whether a session-info carries a payload that `Jingle` does not know."""
    return any(child.tag not in _SESSION_INFO for child in tree)
