"""One conference: a MUC room, a mixer, and the calls in it; a Rayo client like any other, only in the same process."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile

from focus.conference.call_invites import RoomInvite
from focus.conference.goodbye import Goodbye, saying
from focus.conference.notification import DocumentOutbox, Notification, Publication
from focus.conference.partial import Outcome, Reader
from focus.conference.policy import Occupants, Policy, Verdict, may_control, may_speak, occupant_of
from focus.conference.ringing import Callout, Ringing
from focus.conference.room import Cause, Departure, Occupant, Room, RoomError, Rooms, Rules
from focus.conference.roster import Host, Invited, Leaving, Roster
from focus.conference.subscription import Document
from focus.conference.summoning import Summoning
from focus.rayo.call import REASON_HEADER
from focus.rayo.server import Server
from focus.wire import context
from focus.wire.base import Element, StrictFlag
from focus.wire.call_invites import CallInvite
from focus.wire.conditions import ItemNotFound, StanzaError, WrongState
from focus.wire.conference_info import ConferenceInfo, DisconnectionMethod
from focus.wire.jid import JID
from focus.wire.rayo import (
    Accept,
    Answer,
    Command,
    End,
    Event,
    Hangup,
    Header,
    Join,
    Joined,
    Offer,
    Reject,
    Unjoin,
    Unjoined,
)
from focus.wire.session import Move, Session, Watch

log = logging.getLogger(__name__)

#: Seconds between somebody's leaving the room and the end of their call: a server that goes down takes everybody's
#: presence with it first, and that must not end the calls.
GRACE = 0.7

#: Seconds in which a room that we are summoned to must be entered, other business of its conference done.
SUMMONING = 30.0

#: How somebody has gone (RFC 4575 section 5.7.6), by the reason of a call's end (XEP-0327 section 7.5).
_DEPARTURES: dict[str, DisconnectionMethod] = {"hungup": "departed", "hangup-command": "booted", "busy": "busy"}

#: An address that a document can name (RFC 3986).
_URI = re.compile(r"""[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20"<>\\^`{|}\x7f]+""")

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all conferences share."""

    server: Server
    rooms: Rooms
    policy: Policy
    summoning: Summoning
    ringing: Ringing
    outbox: DocumentOutbox
    features: Callable[[JID], Awaitable[frozenset[str]]]
    #: Sends a message: from, to, its id, what it says, and that in words.
    tell: Callable[[JID, JID, str, Element, str | None], None]
    #: Counts the interruptions of the XMPP connection.
    interruptions: Callable[[], int]
    guests: str
    host: Host


class Conference:
    """Takes calls to `name`, keeps the room, and tells everybody who is there.

    All that happens goes through one queue, in order. It ends `policy.linger` seconds after its last call; where it has
    been summoned, only after its last occupant has gone, too; and where it is to stay, never.
    """

    def __init__(self, name: str, surroundings: Surroundings) -> None:
        self.name = name
        self._all = surroundings
        self._server = surroundings.server
        addresses = self._server.addresses
        #: Our address as a Rayo client, and the real JID of our occupant.
        self.client = addresses.occupant(name)
        self._room: Room | None = None
        self._is_summoned = self._stays = False
        self.roster = Roster(
            focus=addresses.mixer(name),
            room=addresses.room(name),
            guests=surroundings.guests,
            maximum=surroundings.policy.maximum,
            secret=secrets.token_hex(16),
            host=surroundings.host,
        )
        policy = surroundings.policy
        self.callout = Callout(self, self._server, surroundings.ringing, linger=policy.linger, farewell=policy.farewell)
        self.invite = RoomInvite(self, self._server, surroundings.features, enabled=policy.announce)
        self._callers: dict[JID, JID] = {}  # call -> who called
        self._offers: dict[JID, JID] = {}  # those of them that are not admitted yet
        self._calls: set[JID] = set()  # calls that are not over
        self._inside: set[JID] = set()  # those of them that are joined with the mixer
        self._arriving: dict[JID, bool] = {}  # callers' that have no media yet, and whether they have proposed
        self._following: set[JID] = set()  # those of them that will take another's place, and are not joined before
        self._strangers: dict[JID, bool] = {}  # calls of those who need not be in the room: may they come in?
        self._voices: dict[JID, bool] = {}  # calls, and whether the room lets them be heard
        self._voices_are_due = False
        self._publication = Publication(lambda: self.roster.document(), surroundings.policy.coalesce)
        self._readers: dict[JID, Reader] = {}  # of the documents of those who are a focus themselves
        self._notifications: dict[JID, tuple[Notification, asyncio.Task[None]]] = {}
        self._work: asyncio.Queue[Work] = asyncio.Queue()
        self._tasks: asyncio.TaskGroup | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._idle_since = asyncio.get_running_loop().time()  # when there are no calls

    # life

    async def run(self, retire: Callable[[], None]) -> None:
        """Until nobody has been in the call for a while.

        The caller has registered us as a client; `retire` undoes that, in the moment in which no more work is taken.
        """
        async with asyncio.TaskGroup() as self._tasks:
            publishing = self._tasks.create_task(self._publication.run(), name=f"documents of {self.name}")
            try:
                self._server.bind_mixer(self.name, self.client, self._may_control)
                while await self._next():
                    pass
            finally:
                self._server.release_mixer(self.name, self.client)
                retire()
                for task in (publishing, *self._errands):
                    task.cancel()

    async def _next(self) -> bool:
        """Do one piece of work; False when there has been none for the time that the policy lingers."""
        is_over, end = False, None if self._is_wanted else self._idle_since + self._all.policy.linger
        try:
            async with asyncio.timeout_at(end):
                work = await self._work.get()
        except TimeoutError:
            if self._server.mixer_in_use(self.name):  # somebody is being called into the conference
                self._idle_since = asyncio.get_running_loop().time()
                return True
            is_over, work = True, self._leave_room
        try:
            await work()
        except Exception:
            log.exception("the conference goes on after a fault")
        return not is_over or not self._work.empty()

    @property
    def _is_wanted(self) -> bool:
        has_people = self._is_summoned and self.roster.occupants
        return bool(self._calls or self._stays or self.callout.is_active or has_people)

    @property
    def is_idle(self) -> bool:
        """Whether it only waits for calls."""
        return not (self._calls or self._stays)

    async def summon(self, password: str = "") -> None:
        """Enter the room, and stay while somebody is in it. Raises `RoomError`."""
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def enter() -> None:
            try:
                await self._enter_room(password)
            except RoomError as error:
                if not self._calls:
                    self._idle_since = -math.inf  # there is nothing to wait for
                if not entered.done():
                    entered.set_exception(error)
                return
            self._is_summoned = True
            self._idle_since = asyncio.get_running_loop().time()
            if not entered.done():
                entered.set_result(None)

        self._do(enter)
        try:
            await asyncio.wait_for(entered, SUMMONING)
        except TimeoutError:
            raise RoomError(self.roster.room, "timeout") from None

    def stay(self) -> None:
        """Be in the room from now on, however long it takes to come in, and whoever calls."""

        async def begin() -> None:
            self._spawn(None, self._keep_room)

        if not self._stays:
            self._stays = True
            self._do(begin)

    async def _keep_room(self) -> None:
        while True:
            if self._room is None:
                self._do(self._enter_again)
            await asyncio.sleep(self._all.policy.reentry)

    async def _enter_again(self) -> None:
        try:
            await self._enter_room()
        except RoomError as error:
            log.warning("not in the room yet: %s", error)

    async def leave(self) -> None:
        """Leave the room, at the end of the service. The server ends the calls."""
        await self._leave_room()

    async def give_up(self) -> None:
        """After a crash: nobody else would end these calls and leave the room."""
        for call in self._calls | self._callers.keys() | self.callout.calls:
            await self._command(call, Hangup(headers=(Header(name=REASON_HEADER, value="general-error"),)))
        await self._leave_room()

    # events of calls and of the mixer (`focus.rayo.surroundings.Client`)

    def deliver(self, sender: JID, event: Event) -> None:
        self.callout.deliver(sender, event)
        self.invite.deliver(sender, event)
        match event:
            case Offer():
                self._callers[sender] = JID.from_uri(event.from_ or "")
                self._do_for(sender, self._offered)
            case Joined(call_uri=str(uri)) if sender == self.roster.focus:
                self._do_for(JID.from_uri(uri), self._watch)
            case Unjoined(call_uri=str(uri)) if sender == self.roster.focus:
                self._do_for(JID.from_uri(uri), self._gone)
            case Session():
                self._do_for(sender, lambda call: self._described(call, event))
            case End():
                self._do_for(sender, lambda call: self._ended(call, event))

    async def _offered(self, call: JID) -> None:
        self._calls.add(call)
        try:
            await self._enter_room()
        except RoomError as error:
            log.error("a call is refused, because the room cannot be entered: %s", error)
            text = f"the room {self.roster.room} cannot be entered by the focus ({error.condition})"
            await self._command(call, Reject(error=StrictFlag(), headers=saying(text)))
            return
        await self._command(call, Accept())
        session = await self._session_of(call)
        if session is None:
            return
        self._arriving[call] = session.proposed
        self._offers[call] = self._callers[call]
        await self._judge(call)
        if call in self._offers:
            self._update(self.roster.with_waiting(call, self._offers[call], datetime.now(UTC)))
            self._spawn(call, partial(self._give_up, call))

    async def _judge(self, call: JID) -> None:
        taking_part = len(self._calls) - len(self._offers)
        if call not in self._offers or (room := self._room) is None:
            return
        caller, follows = self._offers[call], not self._inside.isdisjoint(self._earlier(call))
        verdict = self._all.policy.judge(
            caller, self.roster.occupants, taking_part, room.rules, sees_real_jids=room.sees_real_jids
        )
        if follows:
            verdict = Verdict.ADMIT
        if verdict is Verdict.WAIT:
            return
        if verdict is Verdict.STRANGER and not self._strangers.get(call):
            if call not in self._strangers:
                self._strangers[call] = False
                self._spawn(call, partial(self._vet, call, caller, room))
            return
        del self._offers[call]
        if verdict is Verdict.FULL:
            log.info("a call is refused: all %d places are taken", self._all.policy.maximum)
            await self._command(call, Reject(busy=StrictFlag()))
        elif verdict is Verdict.UNSEEN:
            log.warning("a call of %s is refused: in this room the focus is not shown who is who", caller)
            await self._refuse(call, f"in the room {self.roster.room} the focus is not shown who is who")
        elif await self._command(call, Answer()):
            if follows:
                self._following.add(call)
            else:
                await self._join(call, self._joining(call))

    async def _join(self, call: JID, join: Join) -> None:
        if not await self._command(call, join):
            await self._command(call, Hangup(headers=(Header(name=REASON_HEADER, value="general-error"),)))

    def _earlier(self, call: JID) -> list[JID]:
        """The calls of whoever makes `call` whose place it takes."""
        if call not in self._arriving:
            return []
        dialled = {each: one.peer for each, one in self.roster.participants.items() if each not in self._callers}
        came = dict(takewhile(lambda item: item[0] != call, self._callers.items()))
        caller, proposed, room = self._callers[call], self._arriving[call], self.roster.room
        is_theirs = partial(self._all.policy.continues, caller, proposed=proposed, room=room)
        return [each for each, peer in (dialled | came).items() if is_theirs(peer)]

    async def _arrived(self, call: JID, session: Session) -> Session:
        """`call` can be heard: whoever makes it moves there, and is missed by nobody meanwhile. Returns its session."""
        earlier = self._earlier(call)
        del self._arriving[call]
        for each in earlier:
            was_inside = each in self._inside
            if await self._command(each, Move(call_uri=call.uri)) and was_inside:
                log.info("%s has moved here", each.local)
                self._following.discard(call)
                self._inside.add(call)
                self._inherit_voice(call, each)
                session = await self._session_of(call) or session
                self._update(self.roster.without(each).with_session(call, session, datetime.now(UTC)))
        if call in self._following:  # whoever was here before has gone by now
            self._following.discard(call)
            await self._join(call, self._joining(call))
        return session

    async def _vet(self, call: JID, caller: JID, room: Room) -> None:
        """Ask whether somebody is banned whom we do not know from the room; nothing else waits for the answer."""
        outcasts = await room.outcasts()
        is_banned = not outcasts.isdisjoint((caller, caller.bare, JID("", caller.domain)))

        async def decide(call: JID) -> None:
            if call not in self._offers:
                return
            if is_banned:
                del self._offers[call]
                log.info("a call is refused: the caller is banned from the room")
                await self._refuse(call, f"you are banned from the room {self.roster.room}")
            else:
                self._strangers[call] = True
                await self._judge(call)

        self._do_for(call, decide)

    async def _give_up(self, call: JID) -> None:
        await asyncio.sleep(self._all.policy.entry_wait)
        if self._offers.pop(call, None):
            log.info("a call is refused: the caller has not entered the room")
            await self._refuse(call, f"enter the room {self.roster.room} first")

    async def _refuse(self, call: JID, text: str) -> None:
        await self._command(call, Reject(decline=StrictFlag(), headers=saying(text)))

    # who may be heard

    def _may_speak(self, call: JID, occupants: Occupants) -> bool:
        """Whether the room lets `call` be heard. Who is not in a moderated room has no voice there; who was, and is not
        any more for a reason that ends no call, keeps what they had."""
        peer = self._peer(call)
        occupant = occupants.find(peer) if peer is not None else None
        if occupant is not None:
            return may_speak(occupant)
        if self._strangers.get(call) and self._room is not None:
            return not self._room.rules.moderated
        return self._voices.get(call, True)

    def _peer(self, call: JID) -> JID | None:
        participant = self.roster.participants.get(call)
        return participant.peer if participant is not None else self._callers.get(call)

    def _joining(self, call: JID) -> Join:
        """How `call` takes part: visitors listen only, which is shown as muted-via-focus."""
        self._voices[call] = self._may_speak(call, Occupants(self.roster.occupants))
        return Join(mixer_name=self.name, direction="duplex" if self._voices[call] else "recv")

    def _inherit_voice(self, call: JID, earlier: JID) -> None:
        """`call` has taken the place of `earlier`, with its mute, but the device may be another occupant."""
        self._strangers[call], self._voices[call] = self._strangers.get(earlier, False), self._voices.get(earlier, True)
        self._room_changed()

    async def _give_voice(self) -> None:
        """As soon as the room does. What a Rayo client has commanded meanwhile holds until then."""
        self._voices_are_due = False
        occupants = Occupants(self.roster.occupants)
        for call, had_voice in list(self._voices.items()):
            if self._may_speak(call, occupants) is not had_voice:
                with context.about(call.local):
                    joining = self._joining(call)
                    log.info("has %s voice in the room", "got" if self._voices[call] else "no")
                    await self._command(call, joining)

    async def _watch(self, call: JID) -> None:
        session = await self._session_of(call)
        if session is None:
            return
        self._calls.add(call)
        self._inside.add(call)
        try:
            await self._enter_room()
        except RoomError as error:
            log.error("somebody was called into a room that cannot be entered: %s", error)
        await self._described(call, session)
        if call in self._inside and call not in self._voices:  # brought in by somebody else
            self._voices[call] = True
            await self._give_voice()

    async def _session_of(self, call: JID) -> Session | None:
        """None where it has ended meanwhile."""
        try:
            session = await self._server.command(self.client, call, Watch())
        except StanzaError:
            return None
        return session if isinstance(session, Session) else None

    async def _described(self, call: JID, session: Session) -> None:
        if session.connected and call in self._arriving:
            session = await self._arrived(call, session)
        if call not in self._inside:
            return
        self._update(self.roster.with_session(call, session, datetime.now(UTC)))
        if session.accepted and call not in self._notifications:
            notification = Notification(
                sid=session.sid,
                local=JID.parse(session.local),
                peer=JID.parse(session.peer),
                outbox=self._all.outbox,
                features=self._all.features,
                publication=self._publication,
            )
            self._notifications[call] = (notification, self._spawn(call, notification.run))

    async def _gone(self, call: JID) -> None:
        followers = [each for each in self._following if call in self._earlier(each)]
        self._calls.discard(call)
        self._inside.discard(call)
        for each in followers:
            if self._inside.isdisjoint(self._earlier(each)) and call in self.roster.participants:
                self._following.discard(each)
                direction = self.roster.participants[call].session.direction
                self._inherit_voice(each, call)
                await self._join(each, Join(mixer_name=self.name, direction=direction))
        if call in self.roster.participants:
            self._depart(call)
        if (known := self._notifications.pop(call, None)) is not None:
            known[1].cancel()
        self._readers.pop(call, None)
        self._voices.pop(call, None)
        self._idle_since = asyncio.get_running_loop().time()

    async def _ended(self, call: JID, end: End) -> None:
        self._offers.pop(call, None)
        self._arriving.pop(call, None)
        self._following.discard(call)
        await self._gone(call)
        self._callers.pop(call, None)
        self._strangers.pop(call, None)
        if call in self.roster.departed:
            method = _DEPARTURES.get(end.reason, "failed")
            code = end.error.platform_code if end.error is not None else None
            self._update(self.roster.with_departure(call, datetime.now(UTC), method, code))
        elif call in self.roster.waiting:
            self._update(self.roster.without(call))

    def _depart(self, call: JID) -> None:
        """Documents have it for a while, as disconnected."""
        if self._all.policy.farewell > 0:
            self._update(self.roster.with_departure(call, datetime.now(UTC)))
            self._spawn(call, partial(self._forget, call))
        else:
            self._update(self.roster.without(call))

    async def _forget(self, call: JID) -> None:
        await asyncio.sleep(self._all.policy.farewell)
        if call in self.roster.departed:
            self._update(self.roster.without(call))

    # what happens in the room (`focus.conference.room.RoomObserver`)

    def occupant_joined(self, occupant: Occupant) -> None:
        self._occupants([*self._others(occupant.nick), occupant])
        self._do(self._judge_again)

    def occupant_changed(self, occupant: Occupant) -> None:
        self._occupants([*self._others(occupant.nick), occupant])
        self._do(self._judge_again)

    def occupant_renamed(self, old_nick: str, occupant: Occupant) -> None:
        others = [one for one in self._others(old_nick) if one.nick != occupant.nick]
        self._occupants([*others, occupant])
        old = self.roster.room.with_resource(old_nick)
        goodbye = Goodbye("your nick in the room is another one now; call again from there", method="departed")
        for call in self._calls_of(lambda peer: peer == old):  # the next with that nick may be somebody else
            self._spawn(call, partial(self._hang_up, call, goodbye))

    def occupant_left(self, occupant: Occupant, departure: Departure, cause: Cause) -> None:
        self._occupants(self._others(occupant.nick))
        log.info("%s has %s", occupant.nick, departure)
        if departure is Departure.LOST:
            return
        goodbye = Goodbye.of(departure, cause)
        others = Occupants(self.roster.occupants)
        if departure is not Departure.LEFT and occupant.real_jid is not None and others.find(occupant.real_jid) is None:
            self.callout.call_off([occupant.real_jid.bare])
        for call in self._calls_of(lambda peer: self._goes_with(peer, occupant, departure, others)):
            if departure is Departure.LEFT:
                before = self._all.interruptions()
                self._spawn(call, partial(self._hang_up_unless_back, call, occupant, goodbye, before))
            else:
                self._spawn(call, partial(self._hang_up, call, goodbye))

    def _calls_of(self, are_meant: Callable[[JID], bool]) -> list[JID]:
        """Those with a peer that is meant, in whatever state."""
        participants = {call: participant.peer for call, participant in self.roster.participants.items()}
        return [call for call, peer in (self._callers | participants).items() if are_meant(peer)]

    def _goes_with(self, peer: JID, occupant: Occupant, departure: Departure, others: Occupants) -> bool:
        """Whether the call of `peer` ends with the occupant: that very device; all devices, when somebody is thrown out
        who is in the room under no other name. `others` are those who stay."""
        if peer in (occupant.real_jid, occupant.jid):
            return True
        is_theirs = occupant.real_jid is not None and peer.bare == occupant.real_jid.bare
        return departure is not Departure.LEFT and is_theirs and others.find(peer) is None

    def subject_changed(self, subject: str) -> None:
        self._update(replace(self.roster, subject=subject))

    def anonymity_changed(self, real_jids_are_public: bool) -> None:
        self._update(replace(self.roster, real_jids_are_public=real_jids_are_public))

    def rules_changed(self, rules: Rules) -> None:
        self._update(replace(self.roster, description=rules.description))
        self._room_changed()
        self._do(self._judge_again)
        if rules.members_only:
            # The room throws out who is no member (section 9.4), and we who is not even in it.
            goodbye = Goodbye("the room is for members only now")
            for call, is_in in list(self._strangers.items()):
                peer = self._peer(call)
                if is_in and peer is not None and occupant_of(peer, self.roster.occupants) is None:
                    self._spawn(call, partial(self._hang_up, call, goodbye))

    def sight_changed(self, sees_real_jids: bool) -> None:
        self._do(self._judge_again)

    def room_lost(self, departure: Departure, cause: Cause) -> None:
        goodbye = Goodbye.of_room(departure, cause, self._call_instead(cause))
        log.warning("the room is lost, and the conference ends: %s", goodbye.text)
        self._room = None
        self._occupants([])
        for call in list(self._calls):
            self._spawn(call, partial(self._hang_up, call, goodbye))

    def _call_instead(self, cause: Cause) -> JID | None:
        """What to call for the conference in the room that takes the place of ours."""
        addresses = self._server.addresses
        name = addresses.room_name(cause.venue) if cause.venue is not None else None
        return addresses.mixer(name) if name is not None else None

    def room_rejoined(self) -> None:
        for notification, _ in self._notifications.values():
            notification.repeat()

    def _others(self, nick: str) -> list[Occupant]:
        return [occupant for occupant in self.roster.occupants if occupant.nick != nick]

    def _occupants(self, occupants: Iterable[Occupant]) -> None:
        before = self.roster.occupants
        self._update(replace(self.roster, occupants=tuple(occupants)))
        self._server.guard_changed(self.name)
        if self._is_summoned and before and not self.roster.occupants:
            self._idle_since = asyncio.get_running_loop().time()
        self._room_changed()  # which makes it look at the time, too

    def _room_changed(self) -> None:
        if not self._voices_are_due:
            self._voices_are_due = True
            self._do(self._give_voice)

    def _may_control(self, client: JID) -> bool:
        return may_control(client, self.roster.occupants)

    async def _judge_again(self) -> None:
        for call in list(self._offers):
            with context.about(call.local):
                await self._judge(call)

    async def _hang_up_unless_back(self, call: JID, occupant: Occupant, goodbye: Goodbye, before: int) -> None:
        """Somebody may come again at once, under another nick perhaps; and a server takes everybody along.

        `before`: how often the connection had been lost when they went.
        """
        await asyncio.sleep(GRACE)
        if self._all.interruptions() == before and not self._is_back(call, occupant):
            await self._hang_up(call, goodbye)

    def _is_back(self, call: JID, left: Occupant) -> bool:
        """Whether the device that `left` is in the room again; who has called by their nick must have that again."""
        by_nick = self._peer(call) == left.jid
        return left.real_jid is not None and any(
            one.real_jid == left.real_jid and not (by_nick and one.jid != left.jid) for one in self.roster.occupants
        )

    async def _hang_up(self, call: JID, goodbye: Goodbye) -> None:
        leaving = Leaving(goodbye.method, goodbye.cause.reason or None, goodbye.cause.by)
        self._update(self.roster.with_leaving(call, leaving))
        if not await self._command(call, Hangup(headers=goodbye.headers())):
            # Of a Rayo client that has brought it in: what becomes of it elsewhere is not our affair.
            await self._command(self.roster.focus, Unjoin(call_uri=call.uri))

    async def _enter_room(self, password: str = "") -> None:
        """Raises `RoomError`."""
        if self._room is None:
            if not self._all.summoning.serves(self.roster.room):
                raise RoomError(self.roster.room, "not-allowed", "this room is not served here")
            self._room = await self._all.rooms.join(self.roster.room, self, password)
            self._update(
                replace(
                    self.roster,
                    subject=self._room.subject,
                    description=self._room.rules.description,
                    real_jids_are_public=self._room.real_jids_are_public,
                )
            )

    async def _leave_room(self) -> None:
        if self._room is not None:
            room, self._room = self._room, None
            await room.leave()
            self._occupants([])

    # documents

    def document_for(self, peer: JID, sid: str) -> Document | None:
        """The full document for the participant whose session this is, or None."""
        for call, participant in self.roster.participants.items():
            if participant.session.sid == sid and participant.peer == peer and call in self._notifications:
                return self._notifications[call][0].full()
        return None

    def document_from(self, peer: JID, document: ConferenceInfo) -> None:
        """What a participant that is a focus tells of its own conference: of that one, others are told the address.

        Raises `ItemNotFound` where the peer is no participant, and `WrongState` where a document before is missing.
        """
        call = next((each for each in self.roster.participants if self._is_session(each, peer, document.sid)), None)
        if call is None:
            raise ItemNotFound("no session with you is in this conference")
        outcome = self._readers.setdefault(call, Reader()).read(document)
        if outcome is Outcome.GAP:
            raise WrongState("a document before this one is missing")
        if outcome is Outcome.APPLIED and _URI.fullmatch(document.entity):
            self._update(self.roster.with_cascaded(call, document.entity))

    def _is_session(self, call: JID, peer: JID, sid: str | None) -> bool:
        participant = self.roster.participants[call]
        return participant.peer == peer and sid in (None, participant.session.sid)

    def call_invited(self, occupant: Occupant | None, identifier: str, said: CallInvite) -> None:
        if occupant is None:
            self.invite.heard(None, identifier, said)
        elif occupant.real_jid is not None and occupant.real_jid.resource:
            self.invite.heard(occupant.real_jid, identifier, said)
        else:
            log.info("what %s says of an invite is not followed: the room hides who that is", occupant.nick)

    def say(self, identifier: str, element: Element, body: str | None = None) -> None:
        """In the room, if we are there (`focus.conference.call_invites.Owner`)."""
        if self._room is not None:
            self._room.say(identifier, element, body)

    # people who are called (`focus.conference.ringing.Owner`)

    def tell(self, person: JID, identifier: str, element: Element, body: str | None = None) -> None:
        self._all.tell(self._server.addresses.line(self.name), person, identifier, element, body)

    def errand(self, work: Work) -> None:
        self._spawn(None, work)

    def people_changed(self, invited: dict[JID, Invited]) -> None:
        self._update(replace(self.roster, invited=invited))
        self._idle_since = asyncio.get_running_loop().time()
        self._room_changed()  # which makes it look at the time, too

    # plumbing

    def _update(self, roster: Roster) -> None:
        if roster != self.roster:
            self.roster = roster
            self._publication.changed()
            self.callout.look()
            self.invite.look()

    async def _command(self, address: JID, command: Command) -> bool:
        """Whether the call, or the mixer, at `address` did what it was told; it may have ended meanwhile."""
        try:
            await self._server.command(self.client, address, command)
        except StanzaError as error:
            log.info("<%s/> came too late or was refused: %s", type(command).__xml_tag__, error)
            return False
        return True

    def _do(self, work: Work) -> None:
        self._work.put_nowait(work)

    def _do_for(self, call: JID, work: Callable[[JID], Awaitable[None]]) -> None:
        """Do `work` with `call`, which its log lines name."""

        async def do() -> None:
            with context.about(call.local):
                await work(call)

        self._do(do)

    def _spawn(self, call: JID | None, work: Work) -> asyncio.Task[None]:
        """Do `work` on behalf of `call`, or of the room itself, beside the queue; it ends with the conference."""
        assert self._tasks is not None
        scope = contextvars.copy_context()
        scope.run(context.room.set, self.name)
        scope.run(context.call.set, call.local if call is not None else "")
        task = self._tasks.create_task(_guard(work), context=scope)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task


async def _guard(work: Work) -> None:
    """A fault in one participant's affairs costs that participant's affairs only."""
    try:
        await work()
    except Exception:
        log.exception("the conference goes on after a fault")
