"""What the peer says of its media, carried out on the leg: codec, transport, candidates, direction, hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from focus.jingle import negotiation
from focus.jingle.negotiation import Settled
from focus.jingle.session import Party
from focus.jingle.surroundings import Leg
from focus.wire.ice import Candidate, Transport
from focus.wire.jingle import Content
from focus.wire.rtp import Senders

#: Candidates of one peer that are kept or passed on, until it restarts ICE; more is a flood.
MAX_CANDIDATES = 256

#: How often a peer may restart ICE.
MAX_RESTARTS = 64


class NoRestart(Exception):
    """The peer wants what a leg cannot do: another certificate, or a restart too many."""


class LegDriver:
    """Drives the leg of the side `role`. Transport news may come before there is a leg, and before it can connect."""

    def __init__(self, role: Party) -> None:
        self.role = role
        self.leg: Leg | None = None
        self.settled: Settled | None = None
        self.senders: Senders = "both"
        self._remote = Transport()
        self._connecting = False
        self._held = False
        self._waiting: list[tuple[str, Transport]] = []
        self._taken = 0
        self._former: set[tuple[str | None, str | None]] = set()  # credentials that are no longer theirs

    async def settle(self, leg: Leg, settled: Settled) -> None:
        """Begin with what was agreed on."""
        self.leg, self.settled = leg, settled
        self._remote, self.senders = settled.remote, settled.senders
        if settled.source is not None:
            leg.prefer_source_id(settled.source)
        self._set_codec()
        self._follow_senders()
        await self._advance()

    async def trickle(self, contents: Iterable[Content]) -> Transport | None:
        """A transport-info. Returns what to signal if it restarted ICE (XEP-0176 section 5.9). Raises `NoRestart`."""
        for content in contents:
            if content.transport is None or len(self._waiting) >= MAX_CANDIDATES:
                continue
            kept = content.transport.candidates[: MAX_CANDIDATES - self._taken]
            self._taken += len(kept)
            self._waiting.append((content.name, content.transport.model_copy(update={"candidates": kept})))
        return await self._advance()

    def advise(self, contents: Iterable[Content]) -> None:
        """A description-info: other parameters for what we send (XEP-0167 section 9)."""
        if self.settled is None:
            return
        for content in contents:
            if content.name != self.settled.name or content.description is None:
                continue
            for each in content.description.payload_types:
                if each.id == self.settled.payload.id:
                    payload = negotiation.advised(self.settled.payload, each)
                    self.settled = replace(self.settled, payload=payload)
                    self._set_codec()

    def with_candidates(self, contents: Iterable[Content]) -> tuple[Content, ...]:
        """`contents` of the peer with what was trickled, where it is somebody else whom they connect with."""
        return tuple(content.model_copy(update={"transport": self._gathered(content)}) for content in contents)

    def modify(self, contents: Iterable[Content]) -> None:
        """A content-modify."""
        for content in contents:
            if self.settled is not None and content.name == self.settled.name:
                self.senders = content.senders
        self._follow_senders()

    def hold(self, held: bool) -> None:
        """The holdee stops sending and keeps listening (XEP-0167 section 8.2)."""
        self._held = held
        self._follow_senders()

    def _set_codec(self) -> None:
        assert self.leg is not None
        assert self.settled is not None
        self.leg.set_codec(
            self.settled.payload,
            level_extension=self.settled.level_extension,
            mixed_extension=self.settled.mixed_extension,
            telephone_events=self.settled.telephone_events,
        )

    def _follow_senders(self) -> None:
        """Who is no sender is not heard, whatever comes."""
        if self.leg is not None and self.settled is not None:
            self.leg.set_send(negotiation.sends(self.role, self.senders) and not self._held)
            self.leg.set_mute(not negotiation.sends(self.role.other, self.senders))

    def _gathered(self, content: Content) -> Transport | None:
        transport = content.transport
        for name, update in self._waiting:
            if transport is None or name != content.name:
                continue
            known = () if negotiation.other_credentials(transport, update) else transport.candidates
            changes = {
                "ufrag": update.ufrag or transport.ufrag,
                "pwd": update.pwd or transport.pwd,
                "candidates": (*known, *update.candidates),
                "gathering_complete": update.gathering_complete or transport.gathering_complete,
            }
            transport = transport.model_copy(update=changes)
        return transport

    async def _advance(self) -> Transport | None:
        """Connect as soon as the credentials are known, and pass on the candidates that came apart."""
        if self.leg is None or self.settled is None:
            return None
        waiting, self._waiting = self._waiting, []
        candidates: list[Candidate] = []
        ours: Transport | None = None
        for name, update in waiting:
            if name not in self.settled.contents:
                continue
            if negotiation.other_credentials(self._remote, update):
                if (update.ufrag, update.pwd) in self._former or not (update.ufrag and update.pwd):
                    continue  # it is late, or cannot be used
                candidates.clear()
                ours = await self._restart(self.leg, update)
            credentials = {"ufrag": self._remote.ufrag or update.ufrag, "pwd": self._remote.pwd or update.pwd}
            self._remote = self._remote.model_copy(update=credentials)
            candidates.extend(update.candidates)
        if not self._connecting and self._remote.ufrag and self._remote.pwd:
            self._connecting = True
            await self.leg.connect(self._remote, dtls_role=self.settled.dtls_role)
        if candidates:
            await self.leg.add_remote_candidates(candidates)
        return ours

    async def _restart(self, leg: Leg, update: Transport) -> Transport | None:
        """Take the credentials of `update`, whose candidates are still to be passed on."""
        named, known = negotiation.checkable(update), negotiation.checkable(self._remote)
        if len(self._former) >= MAX_RESTARTS or not named <= known or (update.fingerprints and not named):
            raise NoRestart
        self._former.add((self._remote.ufrag, self._remote.pwd))
        self._taken = len(update.candidates)
        self._remote = self._remote.model_copy(update={"ufrag": update.ufrag, "pwd": update.pwd, "candidates": ()})
        return await leg.restart(self._remote) if self._connecting else None
