"""What becomes of contents and transports once a session has begun: other paths, other parameters, other directions
(XEP-0166 section 7.2, XEP-0167 section 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from focus.jingle import negotiation
from focus.jingle.contents import rejection
from focus.jingle.dialogue import Dialogue
from focus.jingle.leg_driver import LegDriver, NoRestart
from focus.jingle.negotiation import Settled
from focus.jingle.session import Party, State
from focus.jingle.surroundings import Outbox, PeerObserver, Timeouts
from focus.wire.ice import Transport
from focus.wire.jid import JID
from focus.wire.jingle import Action, Content, Jingle, Reason
from focus.wire.rtp import Description, Parameter

#: What contents have that is neither RTP nor ICE-UDP.
Foreign = frozenset[str]


class Renegotiable(Dialogue):
    """A session whose contents either side may change after they were offered."""

    def __init__(
        self,
        *,
        role: Party,
        local: JID,
        peer: JID,
        sid: str,
        outbox: Outbox,
        observer: PeerObserver,
        timeouts: Timeouts,
        tasks: asyncio.TaskGroup | None,
    ) -> None:
        super().__init__(
            role=role, local=local, peer=peer, sid=sid, outbox=outbox, observer=observer, timeouts=timeouts, tasks=tasks
        )
        self._driver = LegDriver(role)

    @property
    def settled(self) -> Settled | None:
        """What was agreed on; stays after the end."""
        return self._driver.settled

    def with_candidates(self, contents: Iterable[Content]) -> tuple[Content, ...]:
        """Contents of the peer, with the candidates that it has trickled."""
        return self._driver.with_candidates(contents)

    # What we change

    def wish_for(self, parameters: tuple[Parameter, ...]) -> None:
        """Ask the peer to encode otherwise from now on, if it sends Opus (XEP-0167 section 9)."""
        if self.settled is None or (self.settled.payload.name or "").lower() != "opus":
            return
        payload = self.settled.payload.model_copy(update={"parameters": parameters})
        description = Description(media="audio", payload_types=(payload,))
        content = Content(creator=self.settled.creator, name=self.settled.name, description=description)

        async def send() -> None:
            self._send(Jingle(action=Action.DESCRIPTION_INFO, sid=self.sid, contents=(content,)))

        if self._session.state is State.ACTIVE:
            self._do(send)

    # What the peer changes

    async def _transport_info(self, jingle: Jingle, _: Foreign) -> None:
        """COMPAT (Conversations, Monal): new credentials without a candidate are an offer to them, and of several
        candidates they read one."""
        try:
            ours = await self._driver.trickle(jingle.contents)
        except NoRestart:
            self._no_restart()
            return
        if ours is None:
            return
        for each in ours.candidates:
            transport = ours.model_copy(update={"candidates": (each,), "fingerprints": ()})
            contents = (self._about_transport(transport),)
            self._send(Jingle(action=Action.TRANSPORT_INFO, sid=self.sid, contents=contents))

    async def _transport_replace(self, jingle: Jingle, foreign: Foreign) -> None:
        """Another transport of the kind we have, for the certificate that we know, is a restart of ICE."""
        ours: Transport | None = None
        if self.settled is not None and {each.name for each in jingle.contents} == {self.settled.name}:
            with suppress(NoRestart):
                ours = await self._driver.trickle(jingle.contents)
        if ours is None or self.settled is None:
            self._send(rejection(jingle, foreign))
            return
        contents = (self._about_transport(negotiation.with_setup(ours, self.settled.dtls_role)),)
        self._send(Jingle(action=Action.TRANSPORT_ACCEPT, sid=self.sid, contents=contents))

    def _about_transport(self, transport: Transport) -> Content:
        assert self.settled is not None
        return Content(creator=self.settled.creator, name=self.settled.name, transport=transport)

    async def _content_add(self, jingle: Jingle, foreign: Foreign) -> None:
        self._send(rejection(jingle, foreign))

    async def _content_modify(self, jingle: Jingle, _: Foreign) -> None:
        if self.settled is None:
            self._contents.modify(jingle.contents)
            return
        before = self._driver.senders
        self._driver.modify(jingle.contents)
        if self._driver.senders != before:
            self._tell_senders()

    async def _content_remove(self, jingle: Jingle, _: Foreign) -> None:
        if self._contents.remove(jingle.contents, self.settled):
            self.void()

    async def _description_info(self, jingle: Jingle, _: Foreign) -> None:
        self._driver.advise(jingle.contents)

    # What comes of it

    def _no_restart(self) -> None:
        self._end(Reason.of("connectivity-error", "what was agreed on cannot be changed here"), by_peer=False)

    def _tell_senders(self) -> None:
        senders = self._driver.senders
        self._observer.peer_senders(negotiation.sends(self.role.other, senders), negotiation.sends(self.role, senders))
