"""One conference: a MUC room, a mixer, and the calls in it; a Rayo client like any other, only in the same process."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from focus.conference.admission import Admission
from focus.conference.attendant import Attendant
from focus.conference.call_invites import RoomInvite
from focus.conference.documents import Documents
from focus.conference.goodbye import Goodbye, saying
from focus.conference.people import Failure, Invited, Leaving
from focus.conference.policy import Occupants, goes_with, is_back, is_banned, may_control, occupant_of
from focus.conference.ringing import Callout
from focus.conference.room import GRACE, Cause, Departure, Occupant, Room, RoomError, Rules
from focus.conference.roster import Roster
from focus.conference.surroundings import Surroundings
from focus.conference.voices import Voices
from focus.rayo.headers import REASON_HEADER
from focus.wire import context
from focus.wire.base import Element, StrictFlag
from focus.wire.call_invites import CallInvite
from focus.wire.conditions import ItemNotFound, StanzaError
from focus.wire.conference_info import DisconnectionMethod
from focus.wire.jid import JID
from focus.wire.rayo import (
    Accept,
    Command,
    End,
    Event,
    Hangup,
    Header,
    Joined,
    Offer,
    Reject,
    Unjoin,
    Unjoined,
)
from focus.wire.session import Session, Watch

log = logging.getLogger(__name__)

#: Seconds in which a room that we are summoned to must be entered, other business of its conference done: each of the
#: five questions that this may take is given ten.
SUMMONING = 60.0

#: Conditions of a refused entry (XEP-0045 sections 7.2.7 and 10.9) after which we do not knock again.
_IN_VAIN = frozenset({"forbidden", "gone"})

#: How somebody has gone (RFC 4575 section 5.7.6), by the reason of a call's end (XEP-0327 section 7.5).
_DEPARTURES: dict[str, DisconnectionMethod] = {"hungup": "departed", "hangup-command": "booted", "busy": "busy"}

Work = Callable[[], Awaitable[None]]


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
        self.room: Room | None = None
        self._is_summoned = self._stays = False
        self._summons = 0  # that are being followed
        self.summoner: JID | None = None  # whose account has first summoned us
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
        self.voices = Voices(self)
        self.admission = Admission(self, self.voices, policy)
        self.documents = Documents(
            self, surroundings.outbox, surroundings.features, surroundings.readings, coalesce=policy.coalesce
        )
        comfort = surroundings.comfort(self.roster.room)
        self.attendant = Attendant(self, self._server, self.client, comfort) if comfort is not None else None
        self.calls: set[JID] = set()  # that are not over
        self.inside: set[JID] = set()  # those of them that are joined with the mixer
        self._dismissed: set[JID] = set()  # calls that are being ended by us
        self._missing: dict[JID, JID] = {}  # occupants of whom it is not known why they have gone, and their real JIDs
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
            publishing = self._tasks.create_task(self.documents.run(), name=f"documents of {self.name}")
            try:
                self._server.mixers.bind(self.name, self.client, self._may_control)
                while await self._next():
                    pass
            finally:
                self._server.mixers.release(self.name, self.client)
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
            if self._server.mixers.is_in_use(self.name):  # somebody is being called into the conference
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
        return bool(self.calls or self._stays or self.callout.is_active or has_people)

    @property
    def only_waits(self) -> bool:
        """Whether it is there for having been summoned, and for nothing else."""
        return (self._is_summoned or self._summons > 0) and not (self.calls or self._stays)

    async def summon(self, password: str = "", by: JID | None = None) -> None:
        """Enter the room, and stay while somebody is in it; `by` is the account that wants that. Raises `RoomError`."""
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def enter() -> None:
            try:
                await self._enter_room(password)
            except RoomError as error:
                if not self.calls:
                    self._idle_since = -math.inf  # there is nothing to wait for
                if not entered.done():
                    entered.set_exception(error)
                return
            self._is_summoned = True
            self._idle_since = asyncio.get_running_loop().time()
            if not entered.done():
                entered.set_result(None)

        if not self.only_waits:
            self.summoner = by
        self._summons += 1
        self.do(enter)
        try:
            await asyncio.wait_for(entered, SUMMONING)
        except TimeoutError:
            raise RoomError(self.roster.room, "timeout") from None
        finally:
            self._summons -= 1

    def stay(self) -> None:
        """Be in the room from now on, however long it takes to come in, and whoever calls."""

        async def begin() -> None:
            self.spawn(None, self._keep_room)

        if not self._stays:
            self._stays = True
            self.do(begin)

    async def _keep_room(self) -> None:
        while self._stays:
            if self.room is None:
                self.do(self._enter_again)
            await asyncio.sleep(self._all.policy.reentry)

    async def _enter_again(self) -> None:
        if not self._stays:
            return
        try:
            await self._enter_room()
        except RoomError as error:
            if error.condition in _IN_VAIN:
                self._stay_no_more(str(error))
            else:
                log.warning("not in the room yet: %s", error)

    def _stay_no_more(self, why: str) -> None:
        """Whoever rules the room does not want us there, or has ended it."""
        if self._stays:
            self._stays = False
            log.error(
                "the room is not entered again, unless somebody calls it or invites the focus, before the service is "
                "started again: %s. Take it out of [[rooms]], or have an owner of the room let the focus in.",
                why,
            )

    async def leave(self) -> None:
        """Leave the room, at the end of the service. The server ends the calls."""
        await self._leave_room()

    async def give_up(self) -> None:
        """After a crash: nobody else would end these calls and leave the room."""
        for call in self.calls | self.admission.peers.keys():
            await self.command(call, Hangup(headers=(Header(name=REASON_HEADER, value="general-error"),)))
        await self._leave_room()

    # events of calls and of the mixer (`focus.rayo.surroundings.Client`)

    def deliver(self, sender: JID, event: Event) -> None:
        self.callout.deliver(sender, event)
        self.invite.deliver(sender, event)
        if self.attendant is not None:
            self.attendant.deliver(sender, event)
        match event:
            case Offer():
                self.admission.called(sender, JID.from_uri(event.from_ or ""))
                self.do_for(sender, self._offered)
            case Joined(call_uri=str(uri)) if sender == self.roster.focus:
                self.do_for(JID.from_uri(uri), self._watch)
            case Unjoined(call_uri=str(uri)) if sender == self.roster.focus:
                self.do_for(JID.from_uri(uri), self._gone)
            case Joined(mixer_name=str(name)) if sender == self.roster.focus:
                self.update(self.roster.with_mixer(self._server.mixer_address(name), datetime.now(UTC)))
            case Unjoined(mixer_name=str(name)) if sender == self.roster.focus:
                self.update(self.roster.without_mixer(self._server.mixer_address(name)))
            case Session():
                self.do_for(sender, lambda call: self._described(call, event))
            case End():
                self.do_for(sender, lambda call: self._ended(call, event))

    async def _offered(self, call: JID) -> None:
        self.calls.add(call)
        try:
            await self._enter_room()
        except RoomError as error:
            log.error("a call is refused, because the room cannot be entered: %s", error)
            text = f"the room {self.roster.room} cannot be entered by the focus ({error.condition})"
            await self.command(call, Reject(error=StrictFlag(), headers=saying(text)))
            return
        await self.command(call, Accept())
        session = await self.session_of(call)
        if session is None:
            return
        await self.admission.consider(call, proposed=session.proposed)

    async def _watch(self, call: JID) -> None:
        session = await self.session_of(call)
        if session is None or call in self._dismissed:
            return
        self.calls.add(call)
        self.inside.add(call)
        try:
            await self._enter_room()
        except RoomError as error:
            log.error("somebody was called into a room that cannot be entered: %s", error)
            text = f"the room {self.roster.room} cannot be entered by the focus ({error.condition})"
            self.dismiss(call, Goodbye(text))
        if not self.admission.answered(call, JID.parse(session.peer)):
            log.info("somebody who was called has answered too late: all %d places are taken", self._all.policy.maximum)
            self.dismiss(call, Goodbye("all places in the conference are taken"))
        await self._described(call, session)
        if call in self.inside:
            await self.voices.brought_in(call)

    async def session_of(self, call: JID) -> Session | None:
        """None where it has ended meanwhile."""
        try:
            session = await self._server.command(self.client, call, Watch())
        except StanzaError:
            return None
        return session if isinstance(session, Session) else None

    async def _described(self, call: JID, session: Session) -> None:
        if session.connected:
            session = await self.admission.connected(call, session)
        if call not in self.inside:
            return
        roster = self.roster.with_session(call, session, datetime.now(UTC))
        if (hand := self.admission.inherited_hand(call)) is not None:
            roster = roster.with_hand(call, hand)
        self.update(roster)
        if session.accepted:
            self.documents.begin(call, session)

    async def _gone(self, call: JID) -> None:
        self.calls.discard(call)
        self.inside.discard(call)
        self._dismissed.discard(call)
        await self.admission.gone(call)
        if call in self.roster.participants:
            self._depart(call)
        self.documents.end(call)
        self.voices.end(call)
        self._idle_since = asyncio.get_running_loop().time()

    async def _ended(self, call: JID, end: End) -> None:
        self.admission.ended(call)
        await self._gone(call)
        if self.attendant is not None:
            self.attendant.ended(call)
        self.admission.forget(call)
        self.documents.forget(call)
        if call in self.roster.departed:
            method = _DEPARTURES.get(end.reason, "failed")
            code = end.platform_code if method == "failed" else None
            self.update(self.roster.with_departure(call, datetime.now(UTC), method, code))
        elif call in self.roster.waiting:
            self.update(self.roster.without(call))

    def _depart(self, call: JID) -> None:
        """Documents have it for a while, as disconnected."""
        if self._all.policy.farewell > 0:
            self.update(self.roster.with_departure(call, datetime.now(UTC)))
            self.spawn(call, partial(self._forget, call))
        else:
            self.update(self.roster.without(call))

    async def _forget(self, call: JID) -> None:
        await asyncio.sleep(self._all.policy.farewell)
        if call in self.roster.departed:
            self.update(self.roster.without(call))

    # what happens in the room (`focus.conference.room.RoomObserver`)

    def occupant_joined(self, occupant: Occupant) -> None:
        before = self._missing.pop(occupant.jid, None)
        if before is not None and occupant.real_jid is not None and before.bare != occupant.real_jid.bare:
            self._nick_passed(occupant.jid)
        self._occupants([*self._others(occupant.nick), occupant])
        self.do(self.admission.reconsider)

    def occupant_changed(self, occupant: Occupant) -> None:
        self._occupants([*self._others(occupant.nick), occupant])
        self.do(self.admission.reconsider)

    def occupant_renamed(self, old_nick: str, occupant: Occupant) -> None:
        others = [one for one in self._others(old_nick) if one.nick != occupant.nick]
        self._occupants([*others, occupant])
        self._nick_passed(self.roster.room.with_resource(old_nick))

    def _nick_passed(self, old: JID) -> None:
        """The next with that nick may be, or is, somebody else."""
        goodbye = Goodbye("your nick in the room is another one now; call again from there", method="departed")
        for call in self._calls_of(lambda peer: peer == old):
            self.dismiss(call, goodbye)

    def occupant_left(self, occupant: Occupant, departure: Departure, cause: Cause) -> None:
        self._occupants(self._others(occupant.nick))
        log.info("%s has %s", occupant.nick, departure)
        if departure is Departure.LOST:
            if occupant.real_jid is not None:
                self._missing[occupant.jid] = occupant.real_jid
            return
        goodbye = Goodbye.of(departure, cause)
        others = Occupants(self.roster.occupants)
        if departure is not Departure.LEFT and occupant.real_jid is not None and others.find(occupant.real_jid) is None:
            self.callout.call_off([occupant.real_jid.bare])
        for call in self._calls_of(lambda peer: goes_with(peer, occupant, departure, others)):
            if departure is Departure.LEFT:
                before = self._all.interruptions()
                self.spawn(call, partial(self._hang_up_unless_back, call, occupant, goodbye, before))
            else:
                self.dismiss(call, goodbye)

    def _calls_of(self, are_meant: Callable[[JID], bool]) -> list[JID]:
        """Those with a peer that is meant, in whatever state."""
        participants = {call: participant.peer for call, participant in self.roster.participants.items()}
        return [call for call, peer in {**self.admission.peers, **participants}.items() if are_meant(peer)]

    def subject_changed(self, subject: str) -> None:
        self.update(replace(self.roster, subject=subject))

    def anonymity_changed(self, real_jids_are_public: bool) -> None:
        self.update(replace(self.roster, real_jids_are_public=real_jids_are_public))

    def rules_changed(self, rules: Rules) -> None:
        self.update(replace(self.roster, description=rules.description))
        self.voices.look()
        self.do(self.admission.reconsider)
        if rules.members_only:
            # The room throws out who is no member (section 9.4), and we who is not even in it.
            goodbye = Goodbye("the room is for members only now")
            for call in self.admission.strangers:
                peer = self.peer_of(call)
                if peer is not None and occupant_of(peer, self.roster.occupants) is None:
                    self.dismiss(call, goodbye)

    def sight_changed(self, sees_real_jids: bool) -> None:
        self.do(self.admission.reconsider)

    def room_lost(self, departure: Departure, cause: Cause) -> None:
        goodbye = Goodbye.of_room(departure, cause, self._call_instead(cause))
        log.warning("the room is lost, and the conference ends: %s", goodbye.text)
        self.room = None
        if departure in (Departure.DESTROYED, Departure.BANNED):
            self._stay_no_more(goodbye.text)
        self._occupants([])
        self.callout.call_off()
        for call in self.calls | self.admission.peers.keys():
            self.dismiss(call, goodbye)

    def _call_instead(self, cause: Cause) -> JID | None:
        """What to call for the conference in the room that takes the place of ours."""
        addresses = self._server.addresses
        name = addresses.room_name(cause.venue) if cause.venue is not None else None
        return addresses.mixer(name) if name is not None else None

    def room_rejoined(self) -> None:
        self.documents.repeat()
        self.invite.rejoined()
        self.callout.rejoined()
        self.spawn(None, self._look_for_banned)

    async def _look_for_banned(self) -> None:
        """Who was banned while we were away has gone for a reason that we were not told."""
        if self.room is None:
            return
        outcasts, here = await self.room.outcasts(), Occupants(self.roster.occupants)
        goodbye = Goodbye.of(Departure.BANNED, Cause())
        for call in self._calls_of(lambda peer: is_banned(self._missing.get(peer, peer), outcasts)):
            peer = self.peer_of(call)
            if peer is not None and here.find(peer) is None:
                self.dismiss(call, goodbye)

    def _others(self, nick: str) -> list[Occupant]:
        return [occupant for occupant in self.roster.occupants if occupant.nick != nick]

    def _occupants(self, occupants: Iterable[Occupant]) -> None:
        before = self.roster.occupants
        self.update(replace(self.roster, occupants=tuple(occupants)))
        self._server.mixers.guard_changed(self.name)
        if self._is_summoned and before and not self.roster.occupants:
            self._idle_since = asyncio.get_running_loop().time()
        self.voices.look()  # which makes it look at the time, too

    def _may_control(self, client: JID) -> bool:
        return may_control(client, self.roster.occupants)

    async def _hang_up_unless_back(self, call: JID, occupant: Occupant, goodbye: Goodbye, before: int) -> None:
        """Somebody may come again at once, under another nick perhaps; and a server takes everybody along.

        `before`: how often the connection had been lost when they went.
        """
        await asyncio.sleep(GRACE)
        peer = self.peer_of(call)
        if peer is None or self._all.interruptions() != before:
            return
        if not is_back(peer, occupant, self.roster.occupants):
            self.dismiss(call, goodbye)

    def dismiss(self, call: JID, goodbye: Goodbye) -> None:
        """From now on `call` can do nothing any more but end."""
        self._dismissed.add(call)
        self.spawn(call, partial(self._hang_up, call, goodbye))

    async def _hang_up(self, call: JID, goodbye: Goodbye) -> None:
        leaving = Leaving(goodbye.method, goodbye.cause.reason or None, goodbye.cause.by)
        self.update(self.roster.with_leaving(call, leaving))
        if not await self.command(call, Hangup(headers=goodbye.headers())):
            # Of a Rayo client that has brought it in: what becomes of it elsewhere is not our affair.
            await self.command(self.roster.focus, Unjoin(call_uri=call.uri))

    async def _enter_room(self, password: str = "") -> None:
        """Raises `RoomError`."""
        if self.room is None:
            if not self._all.summoning.serves(self.roster.room):
                raise RoomError(self.roster.room, "not-allowed", "this room is not served here")
            self.room = await self._all.rooms.join(self.roster.room, self, password)
            self.update(
                replace(
                    self.roster,
                    subject=self.room.subject,
                    description=self.room.rules.description,
                    real_jids_are_public=self.room.real_jids_are_public,
                )
            )

    async def _leave_room(self) -> None:
        if self.room is not None:
            room, self.room = self.room, None
            await room.leave()
            self._occupants([])

    # invites to calls

    def call_invited(self, occupant: Occupant | None, identifier: str, said: CallInvite) -> None:
        if occupant is None:
            self.invite.heard(None, identifier, said)
        elif occupant.real_jid is not None and occupant.real_jid.resource:
            self.invite.heard(occupant.real_jid, identifier, said)
        else:
            log.info("what %s says of an invite is not followed: the room hides who that is", occupant.nick)

    def say(self, identifier: str, element: Element, body: str | None = None) -> None:
        """In the room, if we are there (`focus.conference.call_invites.Owner`)."""
        if self.room is not None:
            self.room.say(identifier, element, body)

    # who is there (`focus.conference.voices.Owner`)

    def peer_of(self, call: JID) -> JID | None:
        participant = self.roster.participants.get(call)
        return participant.peer if participant is not None else self.admission.peers.get(call)

    def is_stranger(self, call: JID) -> bool:
        return self.admission.is_stranger(call)

    def heir(self, call: JID) -> JID | None:
        """Which call goes on in the place of `call` (`focus.conference.attendant.Owner`)."""
        return self.admission.heir(call)

    def raise_hands(self, calls: Iterable[JID]) -> None:
        """Whoever has raised a hand already keeps the place in which it was."""
        now, roster = datetime.now(UTC), self.roster
        for call in calls:
            if call in roster.participants and roster.participants[call].hand is None:
                roster = roster.with_hand(call, now)
        self.update(roster)

    def lower_hands(self, calls: Iterable[JID]) -> None:
        roster = self.roster
        for call in calls:
            roster = roster.with_hand(call, None)
        self.update(roster)

    # people who are called (`focus.conference.ringing.Owner`)

    def tell(self, person: JID, identifier: str, element: Element, body: str | None = None) -> bool:
        return self._all.tell(self._server.addresses.line(self.name), person, identifier, element, body)

    async def objection(self, person: JID) -> Failure | None:
        return await self.admission.objection(person)

    def calling(self, call: JID, peer: JID) -> None:
        self.admission.calling(call, peer)

    def errand(self, work: Work) -> None:
        self.spawn(None, work)

    def people_changed(self, invited: dict[JID, Invited]) -> None:
        self.update(replace(self.roster, invited=invited))
        self._idle_since = asyncio.get_running_loop().time()
        self.voices.look()  # which makes it look at the time, too

    # plumbing

    def update(self, roster: Roster) -> None:
        if roster != self.roster:
            self.roster = roster
            self.documents.changed()
            self.callout.look()
            self.invite.look()
            if self.attendant is not None:
                self.attendant.look()

    async def command(self, address: JID, command: Command) -> bool:
        """Whether the call, or the mixer, at `address` did what it was told; it may have ended meanwhile."""
        try:
            await self._server.command(self.client, address, command)
        except StanzaError as error:
            level = logging.DEBUG if isinstance(error, ItemNotFound) else logging.INFO
            log.log(level, "<%s/> came too late or was refused: %s", type(command).__xml_tag__, error)
            return False
        return True

    def do(self, work: Work) -> None:
        self._work.put_nowait(work)

    def do_for(self, call: JID, work: Callable[[JID], Awaitable[None]]) -> None:
        """Do `work` with `call`, which its log lines name."""

        async def do() -> None:
            with context.about(call.local):
                await work(call)

        self.do(do)

    def spawn(self, call: JID | None, work: Work) -> asyncio.Task[None]:
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
