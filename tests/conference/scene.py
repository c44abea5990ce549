"""Conferences on a Rayo server with honest fakes of the plane and of MUC rooms, and participants who read documents."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import xmlschema

from focus.conference.application import ConferenceApplication
from focus.conference.comfort import Comfort
from focus.conference.conference import Conference
from focus.conference.policy import Policy
from focus.conference.ringing import Ringing
from focus.conference.room import Cause, Departure, Occupant, RoomError, RoomObserver, Rules
from focus.conference.roster import Host
from focus.conference.summoning import Summoning
from focus.conference.surroundings import Surroundings
from focus.jingle.peer import Timeouts
from focus.rayo.component import Facilities
from focus.wire.base import Element, Payload, serialize
from focus.wire.call_invites import CallInvite
from focus.wire.coin import COIN
from focus.wire.conference_info import ConferenceInfo, User
from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0
from tests.jingle.pair import PATIENCE, Diary
from tests.jingle.pair import End as Caller
from tests.rayo.scene import DOMAIN, ROOMS, Client, FakePlane, Focus, Net, eventually

from .receiver import Receiver

NO_CAUSE = Cause()
SCHEMA = xmlschema.XMLSchema(Path(__file__).parent.parent / "data" / "xep-0298" / "conference-info.xsd")


RINGING = Ringing()

#: How those are who do not take part.
ABSENT = {"pending", "dialing-out", "alerting", "disconnected"}


def validate(document: ConferenceInfo) -> None:
    """Against the schema of XEP-0298 section 10.2, but for our `sid`, an attribute that it does not have."""
    tree = ET.fromstring(document.to_string())
    tree.attrib.pop("sid", None)
    SCHEMA.validate(tree)


def as_read(payload: Payload) -> ConferenceInfo:
    """What arrives of it."""
    return ConferenceInfo.parse(ET.fromstring(serialize(payload.to_element())))


class FakeRoom:
    """A MUC room as `focus.conference.room.Room`, and what a test makes happen in it."""

    def __init__(self, jid: JID) -> None:
        self.jid = jid
        self.occupants: dict[str, Occupant] = {}
        self.subject = ""
        self.real_jids_are_public = False
        self.sees_real_jids = True
        self.rules = Rules()
        self.banned: frozenset[JID] = frozenset()
        self.tells = asyncio.Event()
        self.tells.set()
        self.observer: RoomObserver | None = None
        self.entered = 0
        self.said: list[tuple[Element, str | None]] = []
        self.is_cut_off = False  # there is no session with the server
        self.password = ""
        self.left = asyncio.Event()

    async def outcasts(self) -> frozenset[JID]:
        await self.tells.wait()
        return self.banned

    def say(self, identifier: str, element: Element, body: str | None = None) -> None:
        """Everybody hears it, we too, with an id of the room's if it has ids."""
        assert self.observer is not None, "we are not in this room"
        if self.is_cut_off:
            return
        self.said.append((element, body))
        if isinstance(element, CallInvite):
            self.observer.call_invited(None, f"id{len(self.said)}", element)

    def answer(self, nick: str, element: CallInvite) -> None:
        """Somebody says something of an invite."""
        assert self.observer is not None
        self.observer.call_invited(self.occupants[nick], "theirs", element)

    def come_back(self) -> None:
        """After an interruption."""
        assert self.observer is not None
        self.is_cut_off = False
        self.observer.room_rejoined()

    async def leave(self) -> None:
        self.observer = None
        self.left.set()

    def occupant(self, nick: str, real_jid: str | None = None, **rank: Any) -> Occupant:
        real = JID.parse(real_jid) if real_jid else None
        return replace(Occupant(nick, self.jid.with_resource(nick), real, "none", "participant"), **rank)

    def come(self, nick: str, real_jid: str | None = None, **rank: Any) -> None:
        occupant = self.occupants[nick] = self.occupant(nick, real_jid, **rank)
        if self.observer is not None:
            self.observer.occupant_joined(occupant)

    def change(self, nick: str, **rank: Any) -> None:
        occupant = self.occupants[nick] = replace(self.occupants[nick], **rank)
        if self.observer is not None:
            self.observer.occupant_changed(occupant)

    def go(self, nick: str, departure: Departure = Departure.LEFT, cause: Cause = NO_CAUSE) -> None:
        occupant = self.occupants.pop(nick)
        if self.observer is not None:
            self.observer.occupant_left(occupant, departure, cause)

    def rename(self, nick: str, to: str) -> None:
        occupant = replace(self.occupants.pop(nick), nick=to, jid=self.jid.with_resource(to))
        self.occupants[to] = occupant
        if self.observer is not None:
            self.observer.occupant_renamed(nick, occupant)

    def set_subject(self, subject: str) -> None:
        self.subject = subject
        if self.observer is not None:
            self.observer.subject_changed(subject)

    def set_public(self, public: bool) -> None:
        self.real_jids_are_public = public
        if self.observer is not None:
            self.observer.anonymity_changed(public)

    def set_rules(self, **rules: Any) -> None:
        self.rules = replace(self.rules, **rules)
        if self.observer is not None:
            self.observer.rules_changed(self.rules)

    def set_sight(self, sees_real_jids: bool) -> None:
        self.sees_real_jids = sees_real_jids
        if self.observer is not None:
            self.observer.sight_changed(sees_real_jids)

    def lose(self, departure: Departure, cause: Cause = NO_CAUSE) -> None:
        observer, self.observer = self.observer, None
        assert observer is not None
        observer.room_lost(departure, cause)


class FakeRooms:
    """`focus.conference.room.Rooms`: rooms exist when they are first spoken of."""

    def __init__(self) -> None:
        self.rooms: dict[JID, FakeRoom] = {}
        self.refusal: str | None = None
        self.open = asyncio.Event()
        self.open.set()

    def room(self, name: str) -> FakeRoom:
        jid = JID(name, ROOMS)
        return self.rooms.setdefault(jid, FakeRoom(jid))

    async def join(self, room: JID, observer: RoomObserver, password: str = "") -> FakeRoom:
        await self.open.wait()
        if self.refusal is not None:
            raise RoomError(room, self.refusal)
        joined = self.room(room.local)
        if password != joined.password:
            raise RoomError(room, "not-authorized")
        assert joined.observer is None, "we are in this room already"
        joined.observer = observer
        joined.entered += 1
        joined.left.clear()
        for occupant in joined.occupants.values():
            observer.occupant_joined(occupant)
        return joined


class Readers(Diary):
    """Where documents arrive: (peer, document) as it was sent. `answers` says how a peer answers."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[JID, Callable[[], BaseException | None]] = {}
        self.in_flight: dict[JID, int] = defaultdict(int)
        self.gates: dict[JID, asyncio.Event] = {}
        self._receivers: dict[tuple[JID, str | None], Receiver] = defaultdict(Receiver)
        self._seen: dict[JID, list[ConferenceInfo]] = defaultdict(list)

    async def iq_set(self, sender: JID, to: JID, element: Payload) -> None:
        tree = ET.fromstring(serialize(element.to_element()))
        document = ConferenceInfo.parse(tree)
        validate(document)
        assert sender.domain == DOMAIN
        self.in_flight[to] += 1
        assert self.in_flight[to] == 1, "one document is in flight"
        try:
            self._read(to, tree)
            self.write((to, document))
            if (gate := self.gates.get(to)) is not None:
                await gate.wait()
            await asyncio.sleep(0)
            answer = self.answers.get(to)
            if answer is not None and (error := answer()) is not None:
                raise error
        finally:
            self.in_flight[to] -= 1

    def _read(self, to: JID, tree: ET.Element) -> None:
        """What a session has been told is put together; it must always be a whole."""
        receiver = self._receivers[to, tree.get("sid")]
        assert receiver.read(tree) == "applied"
        assert receiver.document is not None
        self._seen[to].append(ConferenceInfo.parse(receiver.document))
        validate(self._seen[to][-1])

    def of(self, peer: JID) -> list[ConferenceInfo]:
        """As they were sent."""
        return [entry[1] for entry in self.entries if isinstance(entry, tuple) and entry[0] == peer]

    async def document(self, peer: JID, wanted: Callable[[ConferenceInfo], bool]) -> ConferenceInfo:
        """The conference as `peer` sees it, as soon as it is as wanted; it need not be so for long."""
        seen = self._seen[peer]
        before = max(len(seen) - 1, 0)
        await eventually(lambda: any(map(wanted, seen[before:])))
        return next(filter(wanted, seen[before:]))


def users(document: ConferenceInfo) -> dict[str, User]:
    """By display name."""
    assert document.users is not None
    found = {user.display_text or "": user for user in document.users.users}
    assert len(found) == len(document.users.users)
    assert document.conference_state is not None
    here = [user for user in found.values() if statuses(user) - ABSENT]
    assert document.conference_state.user_count == len(here)
    return found


def statuses(user: User) -> set[str | None]:
    return {endpoint.status for endpoint in user.endpoints}


def names(*wanted: str) -> Callable[[ConferenceInfo], bool]:
    return lambda document: sorted(users(document)) == sorted(wanted)


class Meeting:
    """Everything: the server, the application, the rooms, the readers, and callers by name."""

    def __init__(
        self,
        policy: Policy,
        ringing: Ringing = RINGING,
        *,
        facilities: Facilities | None = None,
        comfort: Comfort | None = None,
    ) -> None:
        """On the plane of the `facilities`, which is a real one, where there are some."""
        self.net = Net()
        self.plane: FakePlane = facilities.plane if facilities else FakePlane()  # type: ignore[assignment]
        self.admin_jid = JID.parse("admin@example.org/rayo")
        self.focus = Focus(self.net, self.plane, controllers=frozenset({self.admin_jid}), facilities=facilities)
        self.admin = self.focus.client(str(self.admin_jid))
        self.rooms = FakeRooms()
        self.readers = Readers()
        self.features: dict[JID, frozenset[str]] = {}
        self.interruptions = 0
        self.is_cut_off = False  # there is no session with the server
        self.told: list[tuple[JID, str, Element, str | None]] = []  # by message
        self.application = ConferenceApplication(
            Surroundings(
                server=self.focus.server,
                rooms=self.rooms,
                policy=policy,
                summoning=Summoning(frozenset({JID("", ROOMS)})),
                ringing=ringing,
                outbox=self.readers,
                features=self._features,
                tell=self._tell,
                interruptions=lambda: self.interruptions,
                guests="guests.example.org",
                host=Host("Meeting", DOMAIN, "https://meet.example.org"),
                comfort=lambda room: comfort,
            ),
            summoned=3,
            summoned_of_account=2,
        )
        self.focus.server.application = self.application
        self._task: asyncio.Task[None] | None = None

    def _tell(self, sender: JID, to: JID, identifier: str, element: Element, body: str | None) -> bool:
        assert sender.domain == DOMAIN
        if self.is_cut_off:
            return False
        self.told.append((to, identifier, element, body))
        return True

    async def _features(self, peer: JID) -> frozenset[str]:
        return self.features.get(peer, frozenset({COIN}))

    async def start(self) -> None:
        await self.focus.start()
        self._task = asyncio.create_task(self.application.run())
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """As `focus.service.wiring` ends it: nothing may be left, and nothing may have to be cancelled."""
        await self.focus.stop()
        self.application.stop()
        assert self._task is not None
        async with asyncio.timeout(PATIENCE):
            await self._task
        for end in self.net.ends.values():
            await end.close()
        assert self.focus.is_empty()
        assert not self.application.conferences
        assert all(room.observer is None for room in self.rooms.rooms.values())
        await self.net.cut()

    def caller(self, jid: str) -> Caller:
        quick = Timeouts(answer=5, initiate=5, connect=5, closing=0.05, goodbye=0.1)
        return Caller(self.net, jid, self.plane.create_leg, timeouts=quick)

    def caller_at(self, jid: str) -> Caller:
        """Who has called from there before."""
        return self.net.ends[JID.parse(jid)]

    async def call(self, caller: Caller, room: str = "tea") -> None:
        """Somebody calls; nothing is waited for."""
        session, _ = caller.call(JID(room, DOMAIN), JMI_0)
        await session.start()

    async def join(self, jid: str, room: str = "tea") -> Caller:
        """Somebody calls, and is in the conference."""
        caller = self.net.ends.get(JID.parse(jid)) or self.caller(jid)
        await self.call(caller, room)
        await caller.owners[-1].until("connected")
        sid = caller.sessions[-1].sid
        await eventually(
            lambda: any(
                one.session.sid == sid and one.session.connected
                for each in self.application.conferences
                for one in each.roster.participants.values()
            )
        )
        return caller

    def has_no_calls(self) -> bool:
        return not list(self.focus.server.directory.calls())

    def conference(self, room: str = "tea") -> Conference:
        return next(each for each in self.application.conferences if each.name == room)

    def call_of(self, caller: Caller, room: str = "tea") -> JID:
        sid = caller.sessions[-1].sid
        return next(call for call, one in self.conference(room).roster.participants.items() if one.session.sid == sid)


__all__ = ["Client", "Meeting", "Readers", "as_read", "names", "users", "validate"]
