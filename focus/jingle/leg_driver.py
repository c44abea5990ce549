"""What the peer says of its media, carried out on the leg: codec, transport, candidates, direction, hold."""

from __future__ import annotations

from collections.abc import Iterable

from focus.jingle import negotiation
from focus.jingle.negotiation import Settled
from focus.jingle.session import Party
from focus.jingle.surroundings import Leg
from focus.wire.ice import Candidate, Transport
from focus.wire.jingle import Content
from focus.wire.rtp import Senders

#: Candidates of one peer that are kept or passed on; more is a flood.
MAX_CANDIDATES = 256


class IceRestart(Exception):
    """The peer wants new credentials to be used (XEP-0176 section 5.9), which a leg cannot do."""


class LegDriver:
    """Drives the leg of the side `role`. Transport news may come before there is a leg, and before it can connect."""

    def __init__(self, role: Party) -> None:
        self.role = role
        self.leg: Leg | None = None
        self.settled: Settled | None = None
        self._remote = Transport()
        self._connecting = False
        self._senders: Senders = "both"
        self._held = False
        self._waiting: list[tuple[str, Transport]] = []
        self._taken = 0

    async def settle(self, leg: Leg, settled: Settled) -> None:
        """Begin with what was agreed on. Raises `IceRestart` where the trickled credentials are other ones."""
        self.leg, self.settled = leg, settled
        self._remote, self._senders = settled.remote, settled.senders
        if settled.source is not None:
            leg.prefer_source_id(settled.source)
        leg.set_codec(
            settled.payload,
            level_extension=settled.level_extension,
            mixed_extension=settled.mixed_extension,
            telephone_events=settled.telephone_events,
        )
        self._update_sending()
        await self._advance()

    async def trickle(self, contents: Iterable[Content]) -> None:
        """A transport-info. Raises `IceRestart`."""
        for content in contents:
            if content.transport is None or len(self._waiting) >= MAX_CANDIDATES:
                continue
            kept = content.transport.candidates[: MAX_CANDIDATES - self._taken]
            self._taken += len(kept)
            self._waiting.append((content.name, content.transport.model_copy(update={"candidates": kept})))
        await self._advance()

    def modify(self, contents: Iterable[Content]) -> None:
        """A content-modify."""
        for content in contents:
            if self.settled is not None and content.name == self.settled.name:
                self._senders = content.senders
        self._update_sending()

    def hold(self, held: bool) -> None:
        """The holdee stops sending and keeps listening (XEP-0167 section 8.2)."""
        self._held = held
        self._update_sending()

    def _update_sending(self) -> None:
        if self.leg is not None and self.settled is not None:
            self.leg.set_send(negotiation.sends(self.role, self._senders) and not self._held)

    async def _advance(self) -> None:
        """Connect as soon as the credentials are known, and pass on the candidates that came apart."""
        if self.leg is None or self.settled is None:
            return
        waiting, self._waiting = self._waiting, []
        candidates: list[Candidate] = []
        for name, update in waiting:
            if name not in self.settled.contents:
                continue
            if negotiation.restarts_ice(self._remote, update):
                raise IceRestart
            credentials = {"ufrag": self._remote.ufrag or update.ufrag, "pwd": self._remote.pwd or update.pwd}
            self._remote = self._remote.model_copy(update=credentials)
            candidates.extend(update.candidates)
        if not self._connecting and self._remote.ufrag and self._remote.pwd:
            self._connecting = True
            await self.leg.connect(self._remote, dtls_role=self.settled.dtls_role)
        if candidates:
            await self.leg.add_remote_candidates(candidates)
