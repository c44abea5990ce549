"""How callers come into a conference: judged by its room, after a while perhaps, or in the place of a call before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from typing import Protocol

from focus.conference.goodbye import saying
from focus.conference.people import Failure
from focus.conference.policy import Policy, Verdict, is_banned, occupant_of
from focus.conference.room import Room
from focus.conference.roster import Roster
from focus.conference.voices import Voices
from focus.rayo.headers import REASON_HEADER
from focus.wire import context
from focus.wire.base import StrictFlag
from focus.wire.jid import JID
from focus.wire.rayo import Answer, Command, Hangup, Header, Join, Reject
from focus.wire.session import Move, Session

log = logging.getLogger(__name__)


class Owner(Protocol):
    """The conference, as far as somebody comes into it. `calls` are not over, and those `inside` are in the mixer."""

    name: str
    room: Room | None
    roster: Roster
    calls: set[JID]
    inside: set[JID]

    def update(self, roster: Roster) -> None:
        """This is who is there now."""

    def do_for(self, call: JID, work: Callable[[JID], Awaitable[None]]) -> None:
        """Do `work` with `call` after what is to be done already."""

    def spawn(self, call: JID, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do `work` on behalf of `call` beside all else, until the conference ends."""

    async def command(self, address: JID, command: Command) -> bool:
        """Whether the call, or the mixer, at `address` did what it was told."""

    async def session_of(self, call: JID) -> Session | None:
        """None where it has ended meanwhile."""


class Admission:
    """Takes each call to one conference from its offer to where it can be heard."""

    def __init__(self, owner: Owner, voices: Voices, policy: Policy) -> None:
        self._owner = owner
        self._voices = voices
        self._policy = policy
        self._callers: dict[JID, JID] = {}  # call -> who called
        self._callees: dict[JID, JID] = {}  # call that we make -> whom, and from the answer on, which device
        self._offers: dict[JID, JID] = {}  # calls to us that are not admitted yet
        self._elsewhere: set[JID] = set()  # calls that have left without having ended, which whoever made them may move
        self._arriving: dict[JID, bool] = {}  # calls that have no media yet, and whether they were proposed
        self._following: set[JID] = set()  # those of them that will take another's place, and are not joined before
        self._heirs: dict[JID, JID] = {}  # call -> which goes on in its place
        self._hands: dict[JID, datetime] = {}  # of those who have gone on by the call, until it is described
        self._strangers: dict[JID, bool] = {}  # calls of those who need not be in the room: may they come in?

    @property
    def callers(self) -> Mapping[JID, JID]:
        """The calls to us, and who makes them."""
        return self._callers

    @property
    def peers(self) -> Mapping[JID, JID]:
        """All calls, in whatever state, that have come to us or that we make, and with whom they are; not those that
        have been taken elsewhere, which are not the room's affair any more."""
        everybody = {**self._callers, **self._callees}
        return {call: peer for call, peer in everybody.items() if call not in self._elsewhere}

    @property
    def strangers(self) -> tuple[JID, ...]:
        """The calls of those who have come without being in the room, or being called."""
        return tuple(call for call, is_in in self._strangers.items() if is_in and call not in self._callees)

    def is_stranger(self, call: JID) -> bool:
        return self._strangers.get(call, False)

    @property
    def taking_part(self) -> int:
        """How many places are taken."""
        return len(self._owner.calls) - len(self._offers)

    # whom we call

    async def objection(self, person: JID) -> Failure | None:
        """Why `person` is not to be called now, although somebody wants that."""
        roster, room = self._owner.roster, self._owner.room
        if self.taking_part >= self._policy.maximum:
            return Failure(datetime.now(UTC), "failed", "the conference is full")
        is_outside = occupant_of(person, roster.occupants) is None
        if room is not None and is_outside and is_banned(person, await room.outcasts()):
            return Failure(datetime.now(UTC), "failed", "banned from the room", is_final=True)
        return None

    def calling(self, call: JID, peer: JID) -> None:
        """We make `call`, to an account or to a device that has accepted it already."""
        self._callees[call] = peer
        self._arriving[call] = True

    def answered(self, call: JID, peer: JID) -> bool:
        """`call` takes part: whether there is place for the device `peer` that has answered it, if we make the call."""
        self._elsewhere.discard(call)
        if call not in self._callees:
            return True
        self._callees[call] = peer
        self._strangers[call] = occupant_of(peer, self._owner.roster.occupants) is None
        return self.taking_part <= self._policy.maximum or bool(self._earlier(call))

    # who calls

    def called(self, call: JID, caller: JID) -> None:
        """`call` has come; `consider` follows, if it can be taken."""
        self._callers[call] = caller

    async def consider(self, call: JID, *, proposed: bool) -> None:
        """Let `call` in, or refuse it, or have it wait for its caller to enter the room."""
        self._arriving[call] = proposed
        self._offers[call] = self._callers[call]
        await self._judge(call)
        if call in self._offers:
            self._owner.update(self._owner.roster.with_waiting(call, self._offers[call], datetime.now(UTC)))
            self._owner.spawn(call, partial(self._give_up, call))

    def refusal(self, caller: JID) -> str:
        """Why a call of `caller` would not be let in now, or an empty string."""
        roster, room = self._owner.roster, self._owner.room
        if room is None:
            return ""
        verdict = self._policy.judge(
            caller, roster.occupants, self.taking_part, room.rules, sees_real_jids=room.sees_real_jids
        )
        return {
            Verdict.FULL: "the conference is full",
            Verdict.WAIT: f"enter the room {roster.room} first",
            Verdict.UNSEEN: f"in the room {roster.room} the focus is not shown who is who",
        }.get(verdict, "")

    async def reconsider(self) -> None:
        """The room has changed."""
        for call in list(self._offers):
            with context.about(call.local):
                await self._judge(call)

    async def _judge(self, call: JID) -> None:
        taking_part, roster = self.taking_part, self._owner.roster
        if call not in self._offers or (room := self._owner.room) is None:
            return
        caller, follows = self._offers[call], not self._owner.inside.isdisjoint(self._earlier(call))
        verdict = self._policy.judge(
            caller, roster.occupants, taking_part, room.rules, sees_real_jids=room.sees_real_jids
        )
        if follows:
            verdict = Verdict.ADMIT
        if verdict is Verdict.WAIT:
            return
        if verdict is Verdict.STRANGER and not self._strangers.get(call):
            if call not in self._strangers:
                self._strangers[call] = False
                self._owner.spawn(call, partial(self._vet, call, caller, room))
            return
        del self._offers[call]
        if verdict is Verdict.FULL:
            log.info("a call is refused: all %d places are taken", self._policy.maximum)
            await self._owner.command(call, Reject(busy=StrictFlag()))
        elif verdict is Verdict.UNSEEN:
            log.warning("a call of %s is refused: in this room the focus is not shown who is who", caller)
            await self._refuse(call, f"in the room {roster.room} the focus is not shown who is who")
        elif await self._owner.command(call, Answer()):
            if follows:
                self._following.add(call)
            else:
                await self._join(call, self._voices.joining(call))

    async def _vet(self, call: JID, caller: JID, room: Room) -> None:
        """Ask whether somebody is banned whom we do not know from the room; nothing else waits for the answer."""
        has_banned_them = is_banned(caller, await room.outcasts())

        async def decide(call: JID) -> None:
            if call not in self._offers:
                return
            if has_banned_them:
                del self._offers[call]
                log.info("a call is refused: the caller is banned from the room")
                await self._refuse(call, f"you are banned from the room {self._owner.roster.room}")
            else:
                self._strangers[call] = True
                await self._judge(call)

        self._owner.do_for(call, decide)

    async def _give_up(self, call: JID) -> None:
        await asyncio.sleep(self._policy.entry_wait)
        if self._offers.pop(call, None):
            log.info("a call is refused: the caller has not entered the room")
            await self._refuse(call, f"enter the room {self._owner.roster.room} first")

    async def _refuse(self, call: JID, text: str) -> None:
        await self._owner.command(call, Reject(decline=StrictFlag(), headers=saying(text)))

    async def _join(self, call: JID, join: Join) -> None:
        if not await self._owner.command(call, join):
            await self._owner.command(call, Hangup(headers=(Header(name=REASON_HEADER, value="general-error"),)))

    # calls that take the place of others (XEP-0353 section 4.2)

    def _earlier(self, call: JID) -> list[JID]:
        """The calls of whoever makes `call`, or has answered it, whose place it takes."""
        if call not in self._arriving:
            return []
        roster = self._owner.roster
        inside = {each: one.peer for each, one in roster.participants.items() if each != call}
        if call in self._callees:
            before = inside
        else:
            came = dict(takewhile(lambda item: item[0] != call, self._callers.items()))
            before = {each: peer for each, peer in inside.items() if each not in self._callers} | came
        peer, proposed = self._callees.get(call) or self._callers[call], self._arriving[call]
        is_theirs = partial(self._policy.continues, peer, proposed=proposed, room=roster.room)
        return [each for each, other in before.items() if is_theirs(other)]

    async def connected(self, call: JID, session: Session) -> Session:
        """`call` can be heard: whoever makes it moves there, and is missed by nobody meanwhile. Returns its session."""
        if call not in self._arriving:
            return session
        owner, earlier = self._owner, self._earlier(call)
        proposed, stayed = self._arriving.pop(call), []
        for each in earlier:
            was_inside = each in owner.inside
            if not await owner.command(each, Move(call_uri=call.uri)):
                if was_inside:
                    stayed.append(each)
            elif was_inside:
                log.info("%s has moved here", each.local)
                self._following.discard(call)
                owner.inside.add(call)
                self._inherit(call, each)
                session = await owner.session_of(call) or session
                roster = owner.roster.without(each).with_session(call, session, datetime.now(UTC))
                if (hand := self.inherited_hand(call)) is not None:
                    roster = roster.with_hand(call, hand)
                owner.update(roster)
        if call in self._following and await self._are_ending(stayed):  # `gone` will be told
            self._arriving[call] = proposed
            return session
        if call in self._following:  # whoever was here before has gone by now
            self._following.discard(call)
            await self._join(call, self._voices.joining(call))
        return session

    async def _are_ending(self, calls: list[JID]) -> bool:
        """Whether `calls` are inside only as we have not been told yet that they have ended, all of them."""
        for each in calls:
            session = await self._owner.session_of(each)
            if session is not None and not session.ending:
                return False
        return bool(calls)

    async def gone(self, call: JID) -> None:
        """`call` takes part no more: who would have taken its place has it, as it was."""
        for each in [each for each in self._following if call in self._earlier(each)]:
            participant = self._owner.roster.participants.get(call)
            if self._owner.inside.isdisjoint(self._earlier(each)) and participant is not None:
                self._following.discard(each)
                self._arriving.pop(each, None)
                self._inherit(each, call)
                await self._join(each, Join(mixer_name=self._owner.name, direction=participant.session.direction))
        self._elsewhere.add(call)

    def heir(self, call: JID) -> JID | None:
        """Which call goes on in the place of `call`, and has its rights."""
        return self._heirs.get(call)

    def inherited_hand(self, call: JID) -> datetime | None:
        """Since when whoever goes on by `call` has a hand raised; to be asked for once."""
        return self._hands.pop(call, None)

    def _inherit(self, call: JID, earlier: JID) -> None:
        self._heirs[earlier] = call
        if (one := self._owner.roster.participants.get(earlier)) is not None and one.hand is not None:
            self._hands[call] = one.hand
        self._strangers[call] = self._strangers.get(earlier, False)
        self._voices.inherit(call, earlier)

    def ended(self, call: JID) -> None:
        """Nothing is to be decided about `call` any more; `gone` follows, and `forget`."""
        self._offers.pop(call, None)
        self._arriving.pop(call, None)
        self._following.discard(call)

    def forget(self, call: JID) -> None:
        """What had to be done because `call` ended is done."""
        self._callers.pop(call, None)
        self._callees.pop(call, None)
        self._elsewhere.discard(call)
        self._heirs.pop(call, None)
        self._hands.pop(call, None)
        self._strangers.pop(call, None)
