"""One peer's session, alive: the asyncio shell around invitation, session and negotiation.

What comes in is judged at once, so that the caller can acknowledge or refuse the IQ, and acted upon afterwards, one
thing after another, in the session's own task. A crash in there costs this session and no other.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from xml.etree import ElementTree as ET

from focus.jingle import checks, ending, invitation, negotiation
from focus.jingle.codecs import Codec, usual
from focus.jingle.contents import QUESTIONS
from focus.jingle.invitation import Invitation
from focus.jingle.leg_driver import NoRestart
from focus.jingle.negotiation import Local, NegotiationError, Settled
from focus.jingle.renegotiation import Foreign, Renegotiable
from focus.jingle.session import Party, State
from focus.jingle.surroundings import Leg, LegFactory, LegObserver, Outbox, PeerObserver, Timeouts
from focus.wire.coin import FocusMark
from focus.wire.conditions import OutOfOrder, ResourceConstraint, StanzaError, UnknownSession
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle, Reason, foreign_parts
from focus.wire.jingle_message import Dialect, JingleMessage, Propose
from focus.wire.rtp import Active, Hold, Info, Mute, Ringing, Unhold, Unmute
from focus.wire.shim import Shim

__all__ = ["Leg", "LegFactory", "LegObserver", "Outbox", "PeerObserver", "PeerSession", "Timeouts"]

logger = logging.getLogger(__name__)

#: How often in one session a peer may ask for another content or transport.
MAX_QUESTIONS = 64


class PeerSession(Renegotiable):
    """A session with one peer, from the first propose or session-initiate to the last goodbye.

    `local` is our full JID; `peer` theirs, bare until a device of theirs has answered. `leg` is there from the moment
    that media is negotiated, and stays after the end.
    """

    def __init__(
        self,
        *,
        role: Party,
        local: JID,
        peer: JID,
        sid: str,
        outbox: Outbox,
        legs: LegFactory,
        observer: PeerObserver,
        isfocus: bool,
        codecs: Sequence[Codec] | None,
        timeouts: Timeouts | None,
        tasks: asyncio.TaskGroup | None,
    ) -> None:
        super().__init__(
            role=role, local=local, peer=peer, sid=sid, outbox=outbox, observer=observer,
            timeouts=timeouts or Timeouts(), tasks=tasks,
        )  # fmt: skip
        self.isfocus = isfocus
        #: What the side that calls wants to send.
        self.media: tuple[str, ...] = ("audio",)
        self._marked: bool | None = None  # what of that the peer was told last
        self._legs = legs
        self._codecs = tuple(codecs or usual())
        self._accepting = False  # whether our owner wants it
        self._questions = 0  # of theirs
        self._taken_with: Shim | None = None

    @classmethod
    def incoming(
        cls,
        *,
        local: JID,
        peer: JID,
        first: Propose | Jingle,
        outbox: Outbox,
        legs: LegFactory,
        observer: PeerObserver,
        isfocus: bool,
        tree: ET.Element | None = None,
        codecs: Sequence[Codec] | None = None,
        timeouts: Timeouts | None = None,
        tasks: asyncio.TaskGroup | None = None,
    ) -> PeerSession:
        """Somebody calls, by `<propose/>` or straight by session-initiate (`tree` is then its element).

        Raises `StanzaError` for a session-initiate that cannot be one. `accept`, `reject` or `hangup` must follow, in
        time. The session's task belongs to `tasks`, where it is given.
        """
        sid = first.id if isinstance(first, Propose) else first.sid
        session = cls(
            role=Party.RESPONDER, local=local, peer=peer, sid=sid, outbox=outbox, legs=legs, observer=observer,
            isfocus=isfocus, codecs=codecs, timeouts=timeouts, tasks=tasks,
        )  # fmt: skip
        session.told = first.headers
        described = first.descriptions if isinstance(first, Propose) else [each.description for each in first.contents]
        session.media = tuple(each.media for each in described if each is not None and each.media) or session.media
        if isinstance(first, Propose):
            session._invitation = Invitation.received(peer, first)
            if not any(each.media in ("audio", None) for each in first.descriptions):
                session.hangup(Reason.of("unsupported-applications", "only RTP audio is supported"))
        elif first.action is not Action.SESSION_INITIATE:
            raise UnknownSession(f"no session {sid}")
        else:
            session.receive(peer, first, tree if tree is not None else first.to_element())
        session._wait_for_owner()
        session._start()
        return session

    @classmethod
    def outgoing(
        cls,
        *,
        local: JID,
        to: JID,
        outbox: Outbox,
        legs: LegFactory,
        observer: PeerObserver,
        isfocus: bool,
        dialect: Dialect | None,
        headers: Shim | None = None,
        sid: str | None = None,
        codecs: Sequence[Codec] | None = None,
        timeouts: Timeouts | None = None,
        tasks: asyncio.TaskGroup | None = None,
    ) -> PeerSession:
        """Call `to`: by `<propose/>` in `dialect`, or without one straight by session-initiate, which needs a full JID.

        Nothing is sent before `start`. Raises ValueError for a bare JID without a dialect.
        """
        if dialect is None and not to.resource and to.local:
            raise ValueError(f"{to} can only be called by a propose")
        session = cls(
            role=Party.INITIATOR, local=local, peer=to, sid=sid or str(uuid.uuid4()), outbox=outbox, legs=legs,
            observer=observer, isfocus=isfocus, codecs=codecs, timeouts=timeouts, tasks=tasks,
        )  # fmt: skip
        session._headers = headers
        if dialect is not None:
            session._invitation = Invitation.outgoing(to, session.sid, dialect)
        return session

    # What the owner does

    async def start(self) -> None:
        """Outgoing only: call."""
        if self._ending is not None:
            return
        self._start()
        self._end_after(self._timeouts.answer, "timeout", "nobody answered")
        if self._invitation is not None:
            if self.relay is not None:
                self.media = self.relay.caller.media
            self._say([self._invitation.propose(self.media)], self._headers)
        else:
            self._do(self._initiate)

    def ring(self, headers: Shim | None = None) -> None:
        """Incoming only: let them hear that it rings. Nothing happens where it is too late for that."""
        if self._ending is not None or self._accepting or self.role is Party.INITIATOR:
            return
        if self._session.state is State.PENDING:
            self._do(partial(self._send_ringing, headers))
        elif self._invitation is not None and self._invitation.is_waiting:
            self._say([self._invitation.ring()], headers)

    def accept(self, headers: Shim | None = None) -> None:
        """Incoming only: take the call. Their session-initiate, if it is still to come, must come in time."""
        if self.role is Party.INITIATOR:
            raise OutOfOrder("the side that calls cannot accept")
        if self._ending is not None or self._accepting:
            return
        self._accepting = True
        self._headers = headers
        if self._began:
            self._do(self._answer)
        else:
            self.take(headers)

    def take(self, headers: Shim | None = None) -> None:
        """Incoming only: ask for the session-initiate, unless that has been done."""
        if self._ending is None and self._invitation is not None and self._invitation.is_waiting:
            self._say([self._invitation.take()], headers)
            self._end_after(self._timeouts.initiate, "timeout", "no session-initiate came")

    def reject(self, reason: Reason) -> None:
        """Incoming only: do not take the call."""
        self.hangup(reason)

    def hangup(self, reason: Reason, *, migrated_to: str | None = None, headers: Shim | None = None) -> None:
        """End, in the way that the moment asks for: retract, reject, session-terminate, finish. Idempotent.

        `migrated_to` is the sid of the session that goes on in place of this one (XEP-0353 section 4.2).
        """
        if self._ending is None:
            self._parting = headers
        self._end(reason, by_peer=False, migrated_to=migrated_to)

    def give_way(self, sid: str) -> None:
        """Outgoing only: end, because the peer called us at the same time and theirs, `sid`, stands. Where both have
        the same, there is nothing to be said that would not be said of theirs."""
        if sid == self.sid:
            self._invitation = None
        self._end(Reason.of("expired", "Tie-Break"), by_peer=False, tie_break=True)

    def send_info(self, info: Info) -> None:
        """Tell the peer that we are muted, on hold or active (XEP-0167 section 8)."""

        async def send() -> None:
            self._send(Jingle.model_validate({"action": Action.SESSION_INFO, "sid": self.sid, _INFO[type(info)]: info}))

        if self._session.state in (State.PENDING, State.ACTIVE):
            self._do(send)

    def mix(self, isfocus: bool) -> None:
        """Whether we mix a conference for the peer from now on; it is told when that is new (XEP-0298 section 5)."""
        self.isfocus = isfocus
        if self._marked not in (None, isfocus):
            self._do(self._mark_anew)

    @property
    def proposed(self) -> bool:
        """Whether it began with an invitation (XEP-0353)."""
        return self._invitation is not None

    @property
    def unanswered(self) -> bool:
        """Whether we called and they have neither taken nor accepted it yet."""
        return self._is_calling and not self._is_taken

    @property
    def taken(self) -> bool:
        """Whether we called and a device of theirs has taken the invitation, but not accepted the session yet."""
        return self._is_calling and self._is_taken

    @property
    def _is_calling(self) -> bool:
        pending = self._session.state in (State.NEW, State.PENDING)
        return self.role is Party.INITIATOR and not self.ended and pending

    @property
    def _is_taken(self) -> bool:
        return self._invitation is not None and self._invitation.state is invitation.State.TAKEN

    # What the peer does

    def receive_message(self, sender: JID, message: JingleMessage) -> None:
        """An invitation message. What has no place is dropped: messages are not answered with errors."""
        if self._invitation is None or self._ending is not None:
            return
        match self._invitation.receive(sender, message):
            case invitation.Rang():
                self._do(partial(self._rang, message.headers))
            case invitation.Taken(device):
                self.peer = device
                self._taken_with = message.headers
                self._end_after(self._timeouts.initiate, "timeout", "no session-accept came")
                self._do(self._initiate)
            case invitation.Over(reason):
                self._end(reason, by_peer=True, told=message.headers)

    def undelivered(self, sender: JID, error: StanzaError) -> None:
        """Our proposal has come back from `sender`: there will be no answer to it."""
        if self._invitation is not None and self._ending is None and self._invitation.returned(sender):
            self._end(ending.of_refusal(error), by_peer=False)

    def receive(self, sender: JID, jingle: Jingle, tree: ET.Element) -> None:
        """A Jingle action. Returns where it is to be acknowledged, raises `StanzaError` where it is to be refused."""
        action = jingle.action
        if self._ending is not None or sender != self.peer or jingle.sid != self.sid:
            raise UnknownSession(f"no session {jingle.sid}")
        if self._session.state is State.NEW and (action is not Action.SESSION_INITIATE or self.role is Party.INITIATOR):
            raise UnknownSession(f"the session {jingle.sid} has not begun")
        checks.check(jingle, tree, self._contents.names)
        checks.check_key(jingle, self.settled)
        if action in QUESTIONS and self._questions >= MAX_QUESTIONS:
            raise ResourceConstraint(f"{action} has been answered often enough")
        if self.relay is not None and action is not Action.SESSION_TERMINATE:
            self.relay.check(self)
        self._session.act(action, self.role.other)
        self._questions += action in QUESTIONS
        self._contents.mention(jingle.contents)
        if action is Action.SESSION_TERMINATE:
            is_settled = self.settled is not None or (self.relay is not None and self.relay.is_accepted)
            reason = jingle.reason or ending.unexplained(self.role, settled=is_settled)
            self._end(reason, by_peer=True, told=jingle.headers)
            return
        if action is Action.SESSION_INITIATE:
            self._began = True
            self._contents.offer_received(jingle, tree)
            if self._invitation is not None:
                self._invitation.overtaken()
        self._do(partial(self._act_upon, jingle, foreign_parts(tree)))
        if action is Action.SESSION_INITIATE and self._accepting:
            self._do(self._answer)

    # What the leg tells

    def leg_connected(self) -> None:
        self._disarm()  # at once: what the leg tells next may arm it again

        async def tell() -> None:
            self._observer.peer_connected()

        self._do(tell)

    def leg_failed(self, reason: str) -> None:
        self._end(Reason.of("connectivity-error", reason), by_peer=False)

    def leg_closed(self) -> None:
        """The peer has closed its media; its session-terminate is probably on the way."""
        self._end_after(self._timeouts.closing, "success", "the media was closed", by_peer=True)

    def leg_speaking(self, speaking: bool) -> None:
        async def tell() -> None:
            self._observer.peer_speaking(speaking)

        self._do(tell)

    def leg_pressed(self, key: str, duration: float) -> None:
        async def tell() -> None:
            self._observer.peer_pressed(key, duration)

        self._do(tell)

    # Effects, in the session's task

    async def _act_upon(self, jingle: Jingle, foreign: Foreign) -> None:
        effect = _EFFECTS.get(jingle.action)
        if not (self.relay is not None and self.relay.takes(self, jingle)) and effect is not None:
            await effect(self, jingle, foreign)

    async def _initiate(self) -> None:
        if self.relay is not None:
            self.relay.begin()
            return
        leg = self.leg = self._legs(controlling=True, observer=self)
        self.send_offer(negotiation.offer(self._local(leg)), None, self._mark())

    async def _initiated(self, jingle: Jingle, _: Foreign) -> None:
        if jingle.focus is not None:
            self._observer.peer_focus(jingle.focus.isfocus)
        if not self._accepting:
            self._wait_for_owner()  # it may have been asked for on behalf of another peer
        if self.relay is not None and self.relay.is_begun:
            self.relay.offer()
            return
        try:
            negotiation.consider(jingle, self._codecs, self._contents.foreign)
        except NegotiationError as error:
            self.fail(error)

    async def _answer(self) -> None:
        offer = self._contents.offer
        assert offer is not None
        leg = self.leg = self._legs(controlling=False, observer=self)
        try:
            answer = negotiation.answer(offer, self._local(leg), self._contents.foreign)
        except NegotiationError as error:
            self.fail(error)
            return
        self._send_answer(answer.contents, answer.group, self._mark())
        await self._settle(leg, answer.settled)

    async def _accepted(self, jingle: Jingle, _: Foreign) -> None:
        if jingle.focus is not None:
            self._observer.peer_focus(jingle.focus.isfocus)
        self.told = Shim.of([pair for shim in (self._taken_with, jingle.headers) if shim for pair in shim.pairs])
        if self.relay is not None:
            self.relay.accept(jingle)
            return
        assert self.leg is not None
        try:
            settled = negotiation.settle(self._contents.offered, jingle, self._codecs)
        except NegotiationError as error:
            self.fail(error)
            return
        await self._settle(self.leg, settled)

    async def _settle(self, leg: Leg, settled: Settled) -> None:
        self._end_after(self._timeouts.connect, "connectivity-error", "no media connection came about")
        try:
            await self._driver.settle(leg, settled)
        except NoRestart:
            self._no_restart()
        if self._ending is None:
            self._observer.peer_accepted()
            if settled.senders != "both":
                self._tell_senders()

    async def _send_ringing(self, headers: Shim | None) -> None:
        if self._session.state is State.PENDING:
            self._send(Jingle(action=Action.SESSION_INFO, sid=self.sid, ringing=Ringing(), headers=headers))

    async def _rang(self, headers: Shim | None) -> None:
        self.told = headers
        self._observer.peer_ringing()

    async def _info(self, jingle: Jingle, _: Foreign) -> None:
        if jingle.focus is not None:
            self._observer.peer_focus(jingle.focus.isfocus)
        if jingle.dtmf is not None and jingle.dtmf.is_pressed:
            self._observer.peer_pressed(jingle.dtmf.code, jingle.dtmf.duration / 1000)
        match jingle.info:
            case None:
                return
            case Ringing():
                if self.role is Party.INITIATOR:
                    await self._rang(jingle.headers)
                return
            case Mute(name=name) | Unmute(name=name) if name and self.settled and name != self.settled.name:
                return
            case Hold():
                self._driver.hold(True)
            case Unhold() | Active():
                self._driver.hold(False)
        self._observer.peer_info(jingle.info)

    # Our side of it

    async def _mark_anew(self) -> None:
        """The answer does not matter: who does not know the mark says `unsupported-info`."""
        if self._ending is None and self.isfocus != self._marked:
            self._marked = self.isfocus
            self._send(Jingle(action=Action.SESSION_INFO, sid=self.sid, focus=FocusMark(isfocus=self.isfocus)))

    def _mark(self) -> FocusMark | None:
        self._marked = self.isfocus
        return FocusMark(isfocus=True) if self.isfocus else None

    def _local(self, leg: Leg) -> Local:
        return Local(transport=leg.local_transport, ssrc=leg.ssrc, cname=leg.cname, codecs=self._codecs)


#: The field of `Jingle` that each session-info goes in.
_INFO: dict[type[Info], str] = {
    Ringing: "ringing",
    Active: "active",
    Hold: "hold",
    Unhold: "unhold",
    Mute: "mute",
    Unmute: "unmute",
}

#: What follows an action of the peer that was acknowledged. The others are advice, or need nothing done.
_EFFECTS: dict[Action, Callable[[PeerSession, Jingle, Foreign], Awaitable[None]]] = {
    Action.CONTENT_ADD: PeerSession._content_add,
    Action.CONTENT_MODIFY: PeerSession._content_modify,
    Action.CONTENT_REMOVE: PeerSession._content_remove,
    Action.DESCRIPTION_INFO: PeerSession._description_info,
    Action.SESSION_ACCEPT: PeerSession._accepted,
    Action.SESSION_INFO: PeerSession._info,
    Action.SESSION_INITIATE: PeerSession._initiated,
    Action.TRANSPORT_INFO: PeerSession._transport_info,
    Action.TRANSPORT_REPLACE: PeerSession._transport_replace,
}
