"""What is said to one peer, and the last of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from focus.jingle import ending, invitation
from focus.jingle.contents import Contents
from focus.jingle.ending import Ending
from focus.jingle.invitation import Invitation
from focus.jingle.negotiation import NegotiationError
from focus.jingle.serial import Serial
from focus.jingle.session import Party, Session, State
from focus.jingle.surroundings import Leg, Outbox, PeerObserver, Timeouts
from focus.wire.coin import FocusMark
from focus.wire.conditions import OutOfOrder, StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import Action, Content, Group, Jingle, Reason
from focus.wire.shim import Shim

if TYPE_CHECKING:
    from focus.jingle.relay import Relay

logger = logging.getLogger(__name__)

#: How much of what we say a peer whose media we do not see may leave without an answer, one after the other.
MAX_UNANSWERED = 3


class Dialogue(Serial):
    """Our side of what goes to a peer in a session and its invitation: actions, messages, and how it ends.

    `local` is our full JID; `peer` theirs, bare until a device of theirs has answered.
    """

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
        super().__init__(f"session {sid} with {peer}", step=timeouts.step, tasks=tasks)
        self.role = role
        self.local = local
        self.peer = peer
        self.sid = sid
        self.leg: Leg | None = None
        #: By which the peer is connected with another one, not with us.
        self.relay: Relay | None = None
        self._outbox = outbox
        self._observer = observer
        self._timeouts = timeouts
        self._session = Session()
        self._invitation: Invitation | None = None
        self._began = False  # whether a Jingle session was initiated
        self._contents = Contents()
        self._headers: Shim | None = None  # what we say besides, when we call or accept
        self._unanswered = 0  # of what we have said last
        self._ending: Ending | None = None
        self._parting: Shim | None = None  # what we say besides, when we end
        #: What the peer said besides (XEP-0131), when it called, began to ring, accepted or ended; of these the last.
        self.told: Shim | None = None

    @property
    def ended(self) -> bool:
        return self._ending is not None

    async def closed(self) -> None:
        """Until everything was said and all tasks are done."""
        await self._closed()

    def _say(self, messages: Sequence[invitation.Outgoing], headers: Shim | None = None) -> None:
        for to, message in messages:
            self._outbox.message(self.local, to, message.model_copy(update={"headers": headers}))

    def _send(self, jingle: Jingle, refused: Callable[[StanzaError], None] | None = None) -> None:
        """Do `jingle.action`; the answer is not waited for. `refused` gets the peer's error, if it matters."""
        self._session.act(jingle.action, self.role)

        async def ask() -> None:
            try:
                await self._outbox.iq_set(self.local, self.peer, jingle)
                self._unanswered = 0
            except TimeoutError:
                self._unanswered += 1
                logger.info("%s: %s was not acknowledged", self._name, jingle.action)
            except StanzaError as error:
                self._unanswered = 0
                logger.info("%s: %s was refused: %s", self._name, jingle.action, error)
                if refused is not None:
                    refused(error)
            except Exception:
                logger.exception("%s: %s could not be sent", self._name, jingle.action)
                self._crashed()

        self._send_off(ask())

    # What we offer and accept, for ourselves or for another peer, and what that one says later

    @property
    def offer(self) -> Jingle | None:
        """The peer's session-initiate as it stands by now."""
        return self._contents.offer

    @property
    def foreign(self) -> frozenset[str]:
        """What that has that is neither RTP nor ICE-UDP."""
        return self._contents.foreign

    @property
    def has_offered(self) -> bool:
        """Whether we have sent a session-initiate."""
        return bool(self._contents.offered)

    def send_offer(self, contents: tuple[Content, ...], group: Group | None, focus: FocusMark | None) -> None:
        self._contents.offer_made(contents)
        self._began = True
        self._send(
            Jingle(
                action=Action.SESSION_INITIATE,
                initiator=str(self.local),
                sid=self.sid,
                contents=contents,
                group=group,
                focus=focus,
                headers=self._headers,
            ),
            refused=self._refused,
        )

    def _send_answer(self, contents: tuple[Content, ...], group: Group | None, focus: FocusMark | None) -> None:
        self._send(
            Jingle(
                action=Action.SESSION_ACCEPT,
                responder=str(self.local),
                sid=self.sid,
                contents=contents,
                group=group,
                focus=focus,
                headers=self._headers,
            ),
            refused=self._refused,
        )

    def _refused(self, error: StanzaError) -> None:
        self._end(ending.of_refusal(error), by_peer=True, terminate=False)

    def accept_for(self, contents: tuple[Content, ...], group: Group | None, focus: FocusMark | None) -> None:
        """Accept with what another peer accepts."""

        async def accept() -> None:
            self._send_answer(contents, group, focus)
            self.accepted()

        self._do(accept)

    def accepted(self) -> None:
        """The session is accepted, and has no media of ours to wait for, nor to show that the peer is there."""
        self._arm(self._timeouts.ping, self._ping)
        self._observer.peer_accepted()

    def _ping(self) -> None:
        """XEP-0166 section 6.8. Who does not know that says so, and is there; who says nothing is not."""
        if self._unanswered >= MAX_UNANSWERED:
            self._end(Reason.of("timeout", "nothing is answered"), by_peer=True)
            return

        def refused(error: StanzaError) -> None:
            reason = ending.of_refusal(error)
            if reason.condition in ("gone", "timeout"):
                self._end(reason, by_peer=True, terminate=False)

        self._send(Jingle(action=Action.SESSION_INFO, sid=self.sid), refused)
        self._arm(self._timeouts.ping, self._ping)

    @property
    def backlog(self) -> int:
        """How much there is to be said, or has been said and not been answered."""
        return self._effects.qsize() + len(self._errands)

    def say_for(self, jingle: Jingle, refused: Callable[[StanzaError], None] | None = None) -> None:
        """Say what another peer has said in its session, without its headers, which are for who controls the calls.
        What has no place in this one is dropped."""

        async def say() -> None:
            self._contents.mention(jingle.contents)
            said = jingle.model_copy(update={"sid": self.sid, "initiator": None, "responder": None, "headers": None})
            try:
                self._send(said, refused)
            except OutOfOrder as error:
                logger.info("%s: not passed on: %s", self._name, error)

        self._do(say)

    # The end

    def void(self) -> None:
        """No content is left (XEP-0166 section 7.2.5)."""
        self._end(Reason.of("success", "no content is left"), by_peer=True)

    def fail(self, error: NegotiationError) -> None:
        """There is no agreement."""
        logger.info("%s: %s: %s", self._name, error.reason.condition, error)
        self._end(error.reason, by_peer=False)

    def _wait_for_owner(self) -> None:
        self._end_after(self._timeouts.offer, "timeout", "nobody took the call")

    def _end_after(self, seconds: float, condition: str, text: str, *, by_peer: bool = False) -> None:
        """End unless something happens in time; replaces the last such wait."""
        reason = Reason.of(condition, text)
        self._arm(seconds, lambda: self._end(reason, by_peer=by_peer))

    def _end(
        self,
        reason: Reason,
        *,
        by_peer: bool,
        terminate: bool = True,
        tie_break: bool = False,
        migrated_to: str | None = None,
        told: Shim | None = None,
    ) -> None:
        """From here on the session is over; what is to be said about it is said in its task."""
        if self._ending is not None:
            return
        alive = self._session.state in (State.PENDING, State.ACTIVE)
        if alive:
            self._session.act(Action.SESSION_TERMINATE, self.role)
        self.told = told
        self._ending = Ending(reason, by_peer, alive and terminate, tie_break, migrated_to)
        self._finish()

    def _crashed(self) -> None:
        self._end(Reason.of("general-error"), by_peer=False)

    def _cancelled(self) -> None:
        self._end(Reason.of("gone"), by_peer=False)

    async def _goodbye(self) -> None:
        assert self._ending is not None
        end = self._ending
        terminate: asyncio.Task[None] | None = None
        if end.terminate:
            terminate = self._send_off(self._terminate(end.reason))
            await asyncio.sleep(0)
        elif self._invitation is not None and not self._began:
            withdrawal = self._invitation.withdraw(end.reason, tie_break=end.tie_break, migrated_to=end.migrated_to)
            self._say(withdrawal, self._parting)
        if self.leg is not None:
            await self._close(self.leg)
        if terminate is not None:
            await asyncio.wait({terminate}, timeout=self._timeouts.goodbye)
        if self._invitation is not None:
            self._say(self._invitation.finish(end.reason, migrated_to=end.migrated_to), self._parting)

    def _over(self) -> None:
        end = self._ending or Ending(Reason.of("gone"), by_peer=False, terminate=False)
        try:
            self._observer.peer_ended(end.reason, end.by_peer)
        except Exception:
            logger.exception("%s: the owner failed at the end", self._name)

    async def _terminate(self, reason: Reason) -> None:
        jingle = Jingle(action=Action.SESSION_TERMINATE, sid=self.sid, reason=reason, headers=self._parting)
        try:
            await self._outbox.iq_set(self.local, self.peer, jingle)
        except (StanzaError, TimeoutError) as error:
            logger.info("%s: session-terminate: %s", self._name, error or "not acknowledged")

    async def _close(self, leg: Leg) -> None:
        try:
            async with asyncio.timeout(self._timeouts.step):
                await leg.close()
        except Exception:
            logger.exception("%s: the leg did not close", self._name)
