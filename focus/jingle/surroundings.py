"""What a session is given: a way out for its stanzas, a media leg, somebody who wants to know, and patience."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from focus.wire.base import Element
from focus.wire.ice import Candidate, Transport
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.rtp import Info, PayloadType


class Outbox(Protocol):
    """How stanzas leave."""

    def message(self, sender: JID, to: JID, element: Element) -> None:
        """Send `element` in a message of type chat that is worth storing (XEP-0334)."""

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        """Send `element` and wait for the result. Raises the peer's `StanzaError`, or TimeoutError."""


class LegObserver(Protocol):
    """What a leg tells, on the event loop."""

    def leg_connected(self) -> None: ...

    def leg_failed(self, reason: str) -> None: ...

    def leg_closed(self) -> None: ...

    def leg_speaking(self, speaking: bool) -> None: ...

    def leg_pressed(self, key: str, duration: float) -> None: ...


class Leg(Protocol):
    """What a session needs of a media leg; `focus.media.leg.Leg` is one."""

    @property
    def node(self) -> int: ...

    @property
    def source_id(self) -> int: ...

    @property
    def ssrc(self) -> int: ...

    @property
    def cname(self) -> str: ...

    @property
    def local_transport(self) -> Transport: ...

    def prefer_source_id(self, ssrc: int) -> None: ...

    async def connect(self, remote: Transport, *, dtls_role: Literal["active", "passive"]) -> None: ...

    async def restart(self, remote: Transport) -> Transport | None:
        """None where it is over."""

    async def add_remote_candidates(self, candidates: Sequence[Candidate]) -> None: ...

    def set_codec(
        self,
        payload: PayloadType,
        *,
        level_extension: int | None,
        mixed_extension: int | None,
        telephone_events: Sequence[PayloadType],
    ) -> None: ...

    def set_send(self, enabled: bool) -> None: ...

    def set_mute(self, muted: bool) -> None: ...

    async def close(self) -> None: ...


class LegFactory(Protocol):
    """Makes the leg when the session needs it; the initiator's controls ICE."""

    def __call__(self, *, controlling: bool, observer: LegObserver) -> Leg: ...


class PeerObserver(Protocol):
    """What a session tells its owner, on the event loop, in order. Nothing comes after `peer_ended`."""

    def peer_ringing(self) -> None: ...

    def peer_accepted(self) -> None:
        """The session is accepted, by whichever side it was; media may still be connecting."""

    def peer_connected(self) -> None:
        """Media can flow."""

    def peer_info(self, info: Info) -> None:
        """The peer is muted, unmuted, on hold, back, or active."""

    def peer_senders(self, speaks: bool, hears: bool) -> None:
        """Which way the sound goes from now on, as the peer wants it: whether it sends any, and is sent any."""

    def peer_focus(self, isfocus: bool) -> None: ...

    def peer_speaking(self, speaking: bool) -> None: ...

    def peer_pressed(self, key: str, duration: float) -> None:
        """A key of a telephone (0 to 9, *, #, A to D, "!" for a flash of the hook), for so many seconds."""

    def peer_ended(self, reason: Reason, by_peer: bool) -> None:
        """Exactly once, after everything was sent and the leg is closed."""


@dataclass(frozen=True)
class Timeouts:
    """How long others may take, in seconds."""

    #: From our propose or session-initiate to their answer.
    answer: float = 60.0
    #: From their propose or session-initiate to our owner's decision.
    offer: float = 300.0
    #: From their proceed or ours to the session-initiate, and from there to the session-accept.
    initiate: float = 30.0
    #: From the session-accept to media that flows.
    connect: float = 30.0
    #: From their closing of the media to their session-terminate.
    closing: float = 1.0
    #: From our session-terminate to their acknowledgement.
    goodbye: float = 2.0
    #: Between two questions whether a peer is there whose media we do not see.
    ping: float = 60.0
    #: For one step of ours on the media leg.
    step: float = 10.0
