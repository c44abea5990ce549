"""What two sides agree on: an offer becomes an answer, and both become what the media leg needs
(XEP-0167 sections 5 and 12.1, XEP-0176 section 5, XEP-0320, XEP-0338, XEP-0294, XEP-0339).

Audio only, one RTP session, DTLS-SRTP always, RTP and RTCP on one port.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from focus.jingle.codecs import EVENT_NUMBERS, Codec, is_telephone_event, telephone_event, telephone_events, usual
from focus.jingle.session import Party
from focus.wire.base import Flag
from focus.wire.dtls import Fingerprint
from focus.wire.ice import Candidate, Transport
from focus.wire.jingle import Content, Group, GroupContent, Jingle, Reason
from focus.wire.rtp import (
    AUDIO_LEVEL,
    MIXED_LEVELS,
    CryptoRequired,
    Description,
    HeaderExtension,
    PayloadType,
    Senders,
    Source,
    SourceParameter,
)

DtlsRole = Literal["active", "passive"]

#: Digests that a certificate can be checked against (RFC 8122 section 5 forbids the older ones).
DIGESTS = frozenset({"sha-256", "sha-384", "sha-512"})

#: The largest number of an RTP header extension in the one-byte form (RFC 8285 section 4.2).
MAX_EXTENSION_ID = 14

#: What we call our one content when we offer.
CONTENT_NAME = "audio"


class NegotiationError(Exception):
    """The two sides cannot agree. `reason` is what to terminate with (XEP-0166 section 7.4)."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.reason = Reason.of(condition, text)


class EncryptionRequired(NegotiationError):
    """The other side does not encrypt (XEP-0167 section 7)."""

    def __init__(self) -> None:
        super().__init__("security-error", "media must be encrypted with DTLS-SRTP")
        self.reason = self.reason.model_copy(update={"crypto_required": CryptoRequired()})


@dataclass(frozen=True)
class Local:
    """Our side: the leg's transport, the source it sends, and our codecs, best first."""

    transport: Transport
    ssrc: int
    cname: str
    codecs: tuple[Codec, ...] = field(default_factory=usual)

    @property
    def source(self) -> Source:
        """XEP-0339."""
        return Source(
            ssrc=self.ssrc,
            parameters=(
                SourceParameter(name="cname", value=self.cname),
                SourceParameter(name="msid", value=f"{self.cname} {self.cname}-audio"),
            ),
        )


@dataclass(frozen=True)
class Choice:
    """What we would take of an offer: its audio content, in which of its payload types, over which transport.

    `bundle` is the contents that share the transport, in the order of the group.
    """

    content: Content
    payload: PayloadType
    codec: Codec
    telephone_events: tuple[PayloadType, ...]
    extensions: tuple[HeaderExtension, ...]
    transport: Transport
    dtls_role: DtlsRole
    rtcp_mux: bool
    bundle: tuple[Content, ...] = ()


@dataclass(frozen=True)
class Settled:
    """What both sides agreed on.

    `payload` is the peer's: the number that both use, and the parameters that the peer wants to be sent.
    `telephone_events` go beside it, one of a clock rate at most; `level_extension` and `mixed_extension` are the
    numbers of RFC 6464 and RFC 6465. `remote` is the peer's transport with the fingerprints that may be believed;
    `contents` names the contents it speaks for. `dtls_role` is ours; `source` the SSRC that the peer announced.
    """

    name: str
    creator: Literal["initiator", "responder"]
    payload: PayloadType
    telephone_events: tuple[PayloadType, ...]
    level_extension: int | None
    mixed_extension: int | None
    remote: Transport
    contents: frozenset[str]
    dtls_role: DtlsRole
    source: int | None
    senders: Senders


@dataclass(frozen=True)
class Answer:
    """What a session-accept carries, and what it settles."""

    contents: tuple[Content, ...]
    group: Group | None
    settled: Settled


def sends(party: Party, senders: Senders) -> bool:
    """Whether `party` sends under `senders` (XEP-0166 section 7.3)."""
    return senders in ("both", str(party))


def consider(offer: Jingle, codecs: Sequence[Codec], foreign: frozenset[str] = frozenset()) -> Choice:
    """The part of the session-initiate `offer` that we can take. Raises `NegotiationError` where there is none.

    `foreign` is what its contents have that is neither RTP nor ICE-UDP (`focus.wire.jingle.foreign_parts`).
    """
    if "security" in foreign:
        raise NegotiationError("security-error", "security preconditions are not supported")
    audio = [content for content in offer.contents if _is_audio(content)]
    if not audio:
        raise NegotiationError("unsupported-applications", "only RTP audio is supported")
    reachable = [content for content in audio if content.transport is not None]
    if not reachable:
        raise NegotiationError("unsupported-transports", "only ICE-UDP is supported")
    found = [(content, *chosen) for content in reachable if (chosen := _codec(content, codecs))]
    if not found:
        # XEP-0166 would say incompatible-parameters; XEP-0167 section 5 is the more special text.
        names = ", ".join(codec.name for codec in codecs)
        raise NegotiationError("failed-application", f"none of the offered codecs is supported, only {names}")
    content, payload, codec = min(found, key=lambda each: codecs.index(each[2]))
    description, transport = content.description, content.transport
    assert description is not None
    assert transport is not None
    bundle = _bundle(offer, content)
    transport = _shared_transport(content, bundle)
    return Choice(
        content=content,
        payload=payload,
        codec=codec,
        telephone_events=telephone_events(description, payload, codec),
        extensions=_extensions(description, "responder"),
        transport=transport,
        dtls_role=_answer_role(transport),
        rtcp_mux=description.rtcp_mux is not None,
        bundle=bundle,
    )


def answer(offer: Jingle, local: Local, foreign: frozenset[str] = frozenset()) -> Answer:
    """Accept the session-initiate `offer`. Raises `NegotiationError` where nothing of it can be accepted.

    Names, creators and payload numbers are the offer's. A content that is bundled with the audio is accepted with
    nobody sending, because clients that bundle end a call whose answer lacks a content; without a bundle it is left
    out, because clients that do not bundle know no rejection of contents.
    """
    choice = consider(offer, local.codecs, foreign)
    offered = choice.content
    ours = with_setup(local.transport, choice.dtls_role)
    bare = ours.model_copy(update={"candidates": ()})
    audio = Content(
        creator=offered.creator,
        name=offered.name,
        senders=offered.senders,
        description=Description(
            media="audio",
            payload_types=(
                choice.codec.payload_type(choice.payload.id),
                *(telephone_event(each.id, each.clockrate) for each in choice.telephone_events),
            ),
            rtcp_mux=Flag() if choice.rtcp_mux else None,
            header_extensions=choice.extensions,
            sources=(local.source,),
        ),
        transport=ours,
    )
    contents, tag = [], next(iter(choice.bundle), offered)
    for content in choice.bundle or (offered,):
        if content is offered:
            contents.append(audio)
        else:
            # The first of a bundle is the one that its transport is read from (RFC 8843 section 7.3.2).
            contents.append(_declined(content, ours if content is tag else bare))
    group = None
    if choice.bundle:
        names = tuple(GroupContent(name=content.name) for content in choice.bundle)
        group = Group(semantics="BUNDLE", contents=names)
    settled = Settled(
        name=offered.name,
        creator=offered.creator,
        payload=choice.payload,
        telephone_events=choice.telephone_events,
        level_extension=_number(choice.extensions, AUDIO_LEVEL),
        mixed_extension=_number(choice.extensions, MIXED_LEVELS),
        remote=choice.transport,
        contents=frozenset({offered.name, *(content.name for content in choice.bundle)}),
        dtls_role=choice.dtls_role,
        source=_announced_source(offered),
        senders=offered.senders,
    )
    return Answer(contents=tuple(contents), group=group, settled=settled)


def offer(local: Local, senders: Senders = "both") -> tuple[Content, ...]:
    """The contents of a session-initiate of ours: one, audio, for the peer to choose the DTLS role."""
    description = Description(
        media="audio",
        payload_types=(
            *(codec.payload_type(codec.offered_id) for codec in local.codecs),
            *(
                telephone_event(number, rate)
                for rate, number in EVENT_NUMBERS.items()
                if rate in {codec.clockrate for codec in local.codecs}
            ),
        ),
        rtcp_mux=Flag(),
        header_extensions=(
            HeaderExtension(id=1, uri=AUDIO_LEVEL),
            HeaderExtension(id=2, uri=MIXED_LEVELS, senders="initiator"),
        ),
        sources=(local.source,),
    )
    return (
        Content(
            creator="initiator",
            name=CONTENT_NAME,
            senders=senders,
            description=description,
            transport=with_setup(local.transport, "actpass"),
        ),
    )


def settle(offered: Sequence[Content], accept: Jingle, codecs: Sequence[Codec]) -> Settled:
    """What the session-accept `accept` makes of what we `offered`. Raises `NegotiationError` where it is no answer."""
    ours = {content.name: content for content in offered}
    accepted = next((content for content in accept.contents if content.name in ours), None)
    if accepted is None:
        raise NegotiationError("incompatible-parameters", "none of the offered contents was accepted")
    if not _is_audio(accepted):
        raise NegotiationError("unsupported-applications", "the accepted content is not RTP audio")
    if accepted.transport is None:
        raise NegotiationError("unsupported-transports", "the accepted content does not use ICE-UDP")
    question = ours[accepted.name].description
    assert question is not None
    chosen = _codec(accepted, codecs)
    if chosen is None or chosen[0].id not in {payload.id for payload in question.payload_types}:
        raise NegotiationError("incompatible-parameters", "none of the offered payload types was accepted")
    transport = _believable(accepted.transport)
    assert accepted.description is not None
    known = {(extension.id, extension.uri) for extension in question.header_extensions}
    extensions = [each for each in _extensions(accepted.description, "initiator") if (each.id, each.uri) in known]
    events = {(payload.id, payload.clockrate) for payload in question.payload_types if is_telephone_event(payload)}
    return Settled(
        name=accepted.name,
        creator="initiator",
        payload=chosen[0],
        telephone_events=tuple(
            each for each in telephone_events(accepted.description, *chosen) if (each.id, each.clockrate) in events
        ),
        level_extension=_number(extensions, AUDIO_LEVEL),
        mixed_extension=_number(extensions, MIXED_LEVELS),
        remote=transport,
        contents=frozenset({accepted.name}),
        dtls_role=_offerer_role(transport),
        source=_announced_source(accepted),
        senders=accepted.senders,
    )


def other_credentials(remote: Transport, update: Transport) -> bool:
    """Whether `update` has other credentials than `remote`, which restarts ICE (XEP-0176 section 5.9).

    COMPAT (stanza): the ufrag may come alone.
    """
    return any(
        new is not None and old is not None and new != old
        for old, new in ((remote.ufrag, update.ufrag), (remote.pwd, update.pwd))
    )


def advised(payload: PayloadType, advice: PayloadType) -> PayloadType:
    """`payload` with what `advice` says of how it is to be sent, which names only what changes (XEP-0167 section 9)."""
    parameters = {each.name: each for each in (*payload.parameters, *advice.parameters)}
    changes = {
        "parameters": tuple(parameters.values()),
        "ptime": advice.ptime or payload.ptime,
        "maxptime": advice.maxptime or payload.maxptime,
    }
    return payload.model_copy(update=changes)


def _is_audio(content: Content) -> bool:
    return content.description is not None and content.description.media == "audio"


def _codec(content: Content, codecs: Iterable[Codec]) -> tuple[PayloadType, Codec] | None:
    """The best of our codecs that `content` lists, in the content's first way of writing it."""
    assert content.description is not None
    for codec in codecs:
        for payload in content.description.payload_types:
            if codec.matches(payload):
                return payload.model_copy(update={"name": payload.name or codec.name}), codec
    return None


def _extensions(description: Description, we: Literal["initiator", "responder"]) -> tuple[HeaderExtension, ...]:
    """Those that we use, under numbers that fit the one-byte header: RFC 6464 whoever sends it, RFC 6465 if we may."""
    usable: dict[str, HeaderExtension] = {}
    for each in description.header_extensions:
        known = each.uri == AUDIO_LEVEL or (each.uri == MIXED_LEVELS and each.senders in (None, "both", we))
        if known and each.id <= MAX_EXTENSION_ID and each.id not in (other.id for other in usable.values()):
            usable.setdefault(each.uri, each)
    return tuple(usable.values())


def _number(extensions: Iterable[HeaderExtension], uri: str) -> int | None:
    return next((each.id for each in extensions if each.uri == uri), None)


def _bundle(offer: Jingle, content: Content) -> tuple[Content, ...]:
    """The RTP contents that `offer` bundles with `content`, in the group's order; none where it does not."""
    if offer.group is None or offer.group.semantics != "BUNDLE":
        return ()
    contents = {each.name: each for each in reversed(offer.contents)} | {content.name: content}
    names = dict.fromkeys(each.name for each in offer.group.contents)
    if content.name not in names:
        return ()
    usable = (contents[name] for name in names if name in contents)
    return tuple(each for each in usable if each.description is not None and each.transport is not None)


def _shared_transport(content: Content, bundle: Iterable[Content]) -> Transport:
    """The transport of `content` with the candidates of all that share it. Raises where they disagree."""
    assert content.transport is not None
    transport = _believable(content.transport)
    candidates: list[Candidate] = list(transport.candidates)
    for other in bundle:
        if other is content or other.transport is None:
            continue
        prints = {(each.hash.lower(), each.value.upper()) for each in content.transport.fingerprints}
        other_prints = {(each.hash.lower(), each.value.upper()) for each in other.transport.fingerprints}
        if other_credentials(content.transport, other.transport) or (other_prints and other_prints != prints):
            raise NegotiationError("security-error", "the bundled contents disagree on their transport")
        candidates.extend(other.transport.candidates)
    return transport.model_copy(update={"candidates": tuple(dict.fromkeys(candidates))})


def _believable(transport: Transport) -> Transport:
    """`transport` with only the fingerprints that we can check. Raises where there is none."""
    fingerprints = tuple(
        each.model_copy(update={"hash": each.hash.lower()})
        for each in transport.fingerprints
        if each.hash.lower() in DIGESTS
    )
    if not fingerprints:
        raise EncryptionRequired
    return transport.model_copy(update={"fingerprints": fingerprints})


def checkable(transport: Transport) -> set[tuple[str, str]]:
    """The kind and the value of each fingerprint that we can check."""
    return {(each.hash.lower(), each.value.upper()) for each in transport.fingerprints if each.hash.lower() in DIGESTS}


def _setup(transport: Transport) -> str | None:
    return next((each.setup for each in transport.fingerprints if each.setup is not None), None)


def _answer_role(transport: Transport) -> DtlsRole:
    """Our role for their offer: we open the handshake unless they do (RFC 5763 section 5)."""
    setup = _setup(transport)
    if setup == "holdconn":
        raise NegotiationError("security-error", "no DTLS connection is offered")
    return "passive" if setup == "active" else "active"


def _offerer_role(transport: Transport) -> DtlsRole:
    """Our role for their answer to `actpass`. One that does not say is active, the default of RFC 4145 section 4."""
    setup = _setup(transport)
    if setup in ("actpass", "holdconn"):
        raise NegotiationError("security-error", f"{setup} is no answer to actpass")
    return "active" if setup == "passive" else "passive"


def with_setup(transport: Transport, setup: Literal["active", "passive", "actpass"]) -> Transport:
    """COMPAT (Dino, Movim): one fingerprint only."""
    fingerprint: Fingerprint = transport.fingerprints[0].model_copy(update={"setup": setup})
    return transport.model_copy(update={"fingerprints": (fingerprint,)})


def _declined(content: Content, transport: Transport) -> Content:
    """`content` accepted so that nobody sends: its first payload type, no feedback, no extensions."""
    offered = content.description
    assert offered is not None
    payload_types = tuple(each.model_copy(update={"feedback": ()}) for each in offered.payload_types[:1])
    return Content(
        creator=content.creator,
        name=content.name,
        senders="none",
        description=Description(media=offered.media, payload_types=payload_types, rtcp_mux=offered.rtcp_mux),
        transport=transport,
    )


def _announced_source(content: Content) -> int | None:
    """The SSRC that the peer says it sends (XEP-0339, or XEP-0167's own attribute)."""
    description = content.description
    assert description is not None
    if description.sources:
        return description.sources[0].ssrc
    return description.ssrc
