"""Jingle RTP descriptions (XEP-0167) with XEP-0293, XEP-0294 and XEP-0339, and the session-info of XEP-0167."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Element, Flag, Name, Token

RTP = "urn:xmpp:jingle:apps:rtp:1"
RTP_INFO = "urn:xmpp:jingle:apps:rtp:info:1"
RTP_ERRORS = "urn:xmpp:jingle:apps:rtp:errors:1"
RTCP_FB = "urn:xmpp:jingle:apps:rtp:rtcp-fb:0"
RTP_HDREXT = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0"
SSMA = "urn:xmpp:jingle:apps:rtp:ssma:0"

#: RFC 6464, client to mixer.
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
#: RFC 6465, mixer to client.
MIXED_LEVELS = "urn:ietf:params:rtp-hdrext:csrc-audio-level"
#: RFC 4733 section 7.1.1, the keys of a telephone among others.
TELEPHONE_EVENT = "telephone-event"

Senders = Literal["both", "initiator", "responder", "none"]
Ssrc = Annotated[int, Field(ge=0, le=2**32 - 1)]


class Parameter(Element, tag="parameter", ns="", nsmap={"": RTP}):
    """One format parameter of a payload type (XEP-0167 section 4)."""

    name: Token = attr(default="")
    value: Token = attr(default="")


class RtcpFeedback(Element, tag="rtcp-fb", ns="", nsmap={"": RTCP_FB}):
    """Feedback that may be sent (XEP-0293 section 3)."""

    type: Token = attr()
    subtype: Token | None = attr(default=None)


class PayloadType(Element, tag="payload-type", ns="", nsmap={"": RTP}):
    """A codec and the number it goes by (XEP-0167 section 4, table 1)."""

    id: Annotated[int, Field(ge=0, le=127)] = attr()
    name: Token | None = attr(default=None)
    clockrate: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = attr(default=None)
    channels: Annotated[int, Field(ge=1, le=255)] | None = attr(default=None)
    ptime: Annotated[int, Field(ge=1, le=10000)] | None = attr(default=None)
    maxptime: Annotated[int, Field(ge=1, le=10000)] | None = attr(default=None)
    parameters: Annotated[tuple[Parameter, ...], Field(max_length=64)] = element(tag="parameter", default=())
    feedback: Annotated[tuple[RtcpFeedback, ...], Field(max_length=64)] = element(tag="rtcp-fb", default=())

    def parameter(self, name: str) -> str | None:
        """The value of the format parameter `name`, or None."""
        return next((parameter.value for parameter in self.parameters if parameter.name == name), None)


class ExtensionParameter(Element, tag="parameter", ns="", nsmap={"": RTP_HDREXT}):
    """What else belongs to an extension, as `vad` does to levels (RFC 6464 section 4)."""

    name: Token = attr()
    value: Token | None = attr(default=None)


class HeaderExtension(Element, tag="rtp-hdrext", ns="", nsmap={"": RTP_HDREXT}):
    """An RTP header extension and its number (XEP-0294 section 3)."""

    id: Annotated[int, Field(ge=1, le=4351)] = attr()
    uri: Name = attr()
    senders: Senders | None = attr(default=None)
    parameters: Annotated[tuple[ExtensionParameter, ...], Field(max_length=16)] = element(tag="parameter", default=())


class SourceParameter(Element, tag="parameter", ns="", nsmap={"": SSMA}):
    name: Token = attr()
    value: Token | None = attr(default=None)


class Source(Element, tag="source", ns="", nsmap={"": SSMA}):
    """An SSRC that will be sent (XEP-0339 section 2)."""

    ssrc: Ssrc = attr()
    parameters: Annotated[tuple[SourceParameter, ...], Field(max_length=64)] = element(tag="parameter", default=())


class Description(Element, tag="description", ns="", nsmap={"": RTP}):
    """What media, in which codecs (XEP-0167 section 4). In a XEP-0353 `<propose/>` only `media` is there."""

    media: Token | None = attr(default=None)
    ssrc: Ssrc | None = attr(default=None)
    payload_types: Annotated[tuple[PayloadType, ...], Field(max_length=128)] = element(tag="payload-type", default=())
    rtcp_mux: Flag | None = element(tag="rtcp-mux", default=None)
    header_extensions: Annotated[tuple[HeaderExtension, ...], Field(max_length=64)] = element(
        tag="rtp-hdrext", default=()
    )
    sources: Annotated[tuple[Source, ...], Field(max_length=32)] = element(tag="source", default=())


class Info(Element, ns="", nsmap={"": RTP_INFO}):
    """A session-info payload of XEP-0167 section 6."""


class Ringing(Info, tag="ringing", ns="", nsmap={"": RTP_INFO}):
    pass


class Active(Info, tag="active", ns="", nsmap={"": RTP_INFO}):
    pass


class Hold(Info, tag="hold", ns="", nsmap={"": RTP_INFO}):
    pass


class Unhold(Info, tag="unhold", ns="", nsmap={"": RTP_INFO}):
    pass


class Mute(Info, tag="mute", ns="", nsmap={"": RTP_INFO}):
    """The sender of this stays silent, in one content or, without a name, in all."""

    creator: Literal["initiator", "responder"] | None = attr(default=None)
    name: Token | None = attr(default=None)


class Unmute(Info, tag="unmute", ns="", nsmap={"": RTP_INFO}):
    creator: Literal["initiator", "responder"] | None = attr(default=None)
    name: Token | None = attr(default=None)


class CryptoRequired(Element, tag="crypto-required", ns="", nsmap={"": RTP_ERRORS}):
    """In a `security-error`: without encryption there is no session (XEP-0167 section 7)."""
