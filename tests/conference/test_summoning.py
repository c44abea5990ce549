"""Who may call the focus into which rooms, what happens in one that it was called to, and when it goes again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from focus.conference.room import Departure, RoomError
from focus.conference.summoning import MAX_REMEMBERED, Pace, Summoning
from focus.wire.conditions import ResourceConstraint
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from tests.rayo.scene import ROOMS, eventually, settled

from .conftest import EAGER
from .scene import Meeting

ALICE = "alice@example.org/desk"
BRIEF = replace(EAGER, linger=0.01)
with_policy = pytest.mark.parametrize
tea = JID("tea", ROOMS)


def jids(*texts: str) -> frozenset[JID]:
    return frozenset(map(JID.parse, texts))


# --- who may ---


@pytest.mark.parametrize(
    ("room", "is_served"),
    [
        ("milk@rooms.example.org", True),
        ("tea@elsewhere.example", True),
        ("milk@elsewhere.example", False),
        ("tea@sub.rooms.example.org", False),
    ],
)
def test_rooms_are_served_by_their_service_or_one_by_one(room: str, is_served: bool) -> None:
    assert Summoning(jids("rooms.example.org", "tea@elsewhere.example")).serves(JID.parse(room)) is is_served


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ("alice@example.org/desk", True),
        ("carol@example.net", True),
        ("dan@example.net", False),
        ("tea@rooms.example.org/Dan", True),
        ("milk@rooms.example.org/Dan", False),
    ],
)
def test_users_of_a_domain_single_ones_and_occupants_may_summon(who: str, may: bool) -> None:
    policy = Summoning(jids("rooms.example.org"), jids("example.org", "carol@example.net"))
    assert policy.may_summon(JID.parse(who), tea) is may
    assert Summoning(jids("rooms.example.org")).may_summon(JID.parse(who), tea)


def test_each_is_held_to_a_pace_of_its_own() -> None:
    pace = Pace(2, 10.0)
    alice, bob = JID.parse("alice@example.org"), JID.parse("bob@example.org")
    assert [pace.allows(alice, now) for now in (0.0, 1.0, 9.9)] == [True, True, False]
    assert pace.allows(bob, 9.9)
    assert [pace.allows(alice, now) for now in (10.0, 10.1, 11.0)] == [True, False, True]


def test_who_asked_long_ago_is_forgotten_first() -> None:
    pace = Pace(1, 1e9)
    for number in range(MAX_REMEMBERED + 1):
        assert pace.allows(JID(f"user{number}", "example.org"), 0.0)
    assert len(pace._times) == MAX_REMEMBERED
    assert pace.allows(JID("user0", "example.org"), 0.0)
    assert not pace.allows(JID(f"user{MAX_REMEMBERED}", "example.org"), 0.0)


# --- being there ---


@with_policy("policy", [BRIEF])
async def test_a_summoned_focus_stays_until_the_last_has_left_the_room(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    room.come("Bob")
    await meeting.application.summon(tea)
    await asyncio.sleep(0.05)  # longer than it would linger
    room.go("Alice")
    await asyncio.sleep(0.05)
    assert not room.left.is_set()
    room.go("Bob")
    async with asyncio.timeout(60):
        await room.left.wait()
    await eventually(lambda: not meeting.application.conferences)


@with_policy("policy", [BRIEF])
async def test_it_stays_when_a_call_is_over_and_people_are_still_there(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    room.come("Bob")
    alice = await meeting.join(ALICE)
    await meeting.application.summon(tea)
    alice.sessions[0].hangup(Reason.of("success"))
    await alice.owners[0].until_ended()
    await asyncio.sleep(0.05)
    assert not room.left.is_set()
    assert room.entered == 1


@with_policy("policy", [BRIEF])
async def test_a_focus_that_is_summoned_to_an_empty_room_goes_again(meeting: Meeting) -> None:
    await meeting.application.summon(tea)
    async with asyncio.timeout(60):
        await meeting.rooms.room("tea").left.wait()


async def test_the_password_of_the_invitation_opens_the_room(meeting: Meeting) -> None:
    meeting.rooms.room("tea").password = "cyclamen"
    for password in ("", "wrong"):
        with pytest.raises(RoomError) as refusal:
            await meeting.application.summon(tea, password)
        assert refusal.value.condition == "not-authorized"
    await meeting.application.summon(tea, "cyclamen")
    assert meeting.rooms.room("tea").entered == 1


async def test_nothing_is_left_of_a_room_that_cannot_be_entered(meeting: Meeting) -> None:
    meeting.rooms.refusal = "registration-required"
    with pytest.raises(RoomError):
        await meeting.application.summon(tea)
    await eventually(lambda: not meeting.application.conferences)
    assert meeting.focus.is_empty()


async def test_summoned_twice_it_is_there_once(meeting: Meeting) -> None:
    meeting.rooms.open.clear()
    both = asyncio.gather(meeting.application.summon(tea), meeting.application.summon(tea))
    await settled()
    meeting.rooms.open.set()
    await both
    await meeting.application.summon(tea)
    assert meeting.rooms.room("tea").entered == 1


async def test_it_waits_in_so_many_rooms_only(meeting: Meeting) -> None:
    for name in ("tea", "milk", "rum"):
        meeting.rooms.room(name).come("Bob")
        await meeting.application.summon(JID(name, ROOMS))
    with pytest.raises(ResourceConstraint, match=r"call honey@focus\.example\.org instead"):
        await meeting.application.summon(JID("honey", ROOMS))
    await meeting.application.summon(tea)
    await meeting.join(ALICE)  # a room in which somebody calls does not count
    await meeting.application.summon(JID("honey", ROOMS))


async def test_one_account_has_it_wait_in_so_many_rooms_only(meeting: Meeting) -> None:
    """All guests are one, as each can have as many addresses as they like."""
    guest = JID("x1", "guests.example.org")
    for number in (1, 2):
        meeting.rooms.room(f"tea{number}").come("Guest")
        await meeting.application.summon(JID(f"tea{number}", ROOMS), by=JID(f"x{number}", "guests.example.org", "r"))
    await meeting.application.summon(JID("tea1", ROOMS), by=guest)
    with pytest.raises(ResourceConstraint, match="for you already"):
        await meeting.application.summon(tea, by=guest)
    await meeting.application.summon(tea, by=JID.parse(ALICE))


async def test_rooms_that_are_being_entered_count(meeting: Meeting) -> None:
    meeting.rooms.open.clear()
    alice = JID.parse(ALICE)
    asked = [asyncio.create_task(meeting.application.summon(JID(f"tea{number}", ROOMS), by=alice)) for number in (1, 2)]
    await settled()
    with pytest.raises(ResourceConstraint):
        await meeting.application.summon(tea, by=alice)
    meeting.rooms.open.set()
    await asyncio.gather(*asked)


@with_policy("policy", [replace(EAGER, linger=60.0)])
async def test_a_room_in_which_a_call_was_a_moment_ago_does_not_count(meeting: Meeting) -> None:
    for number in (1, 2, 3):
        alice = await meeting.join(ALICE, f"tea{number}")
        alice.sessions[-1].hangup(Reason.of("success"))
        await eventually(meeting.has_no_calls)
    await meeting.application.summon(tea)


@pytest.mark.parametrize("room", ["focus@rooms.example.org", "..@rooms.example.org"])
async def test_what_is_no_rooms_name_is_refused(meeting: Meeting, room: str) -> None:
    with pytest.raises(RoomError):
        await meeting.application.summon(JID.parse(room))
    assert not meeting.application.conferences


async def test_a_call_to_a_room_that_is_not_served_is_refused(meeting: Meeting) -> None:
    alice = meeting.caller(ALICE)
    await meeting.call(alice, "tea\\40elsewhere.example")
    assert (await alice.owners[0].until_ended())[0] == "general-error"
    assert not meeting.rooms.room("tea").entered


# --- staying ---


@with_policy("policy", [replace(BRIEF, reentry=0.01)])
async def test_a_room_in_which_it_stays_is_entered_as_soon_as_possible_and_never_left(meeting: Meeting) -> None:
    meeting.rooms.refusal = "remote-server-timeout"
    meeting.application.stay([tea])
    await asyncio.sleep(0.05)
    meeting.rooms.refusal = None
    room = meeting.rooms.room("tea")
    await eventually(lambda: room.entered == 1)
    await asyncio.sleep(0.05)
    assert not room.left.is_set()
    room.lose(Departure.REMOVED)
    await eventually(lambda: room.entered == 2)


# --- what can be said of a call before it comes ---


@with_policy("policy", [replace(EAGER, strangers=False, maximum=1)])
async def test_it_is_known_who_would_be_refused(meeting: Meeting) -> None:
    room, bob = meeting.rooms.room("tea"), JID.parse("bob@example.org/phone")
    assert meeting.application.refusal("tea", bob) == "", "the call would open the room"
    assert "not taken here" in meeting.application.refusal("tea\\40elsewhere.example", bob)
    room.come("Alice", ALICE)
    await meeting.application.summon(tea)
    assert meeting.application.refusal("tea", JID.parse(ALICE)) == ""
    assert meeting.application.refusal("tea", bob) == f"enter the room {tea} first"
    room.set_sight(False)
    assert "is not shown who is who" in meeting.application.refusal("tea", bob)
    await meeting.join(ALICE)
    assert meeting.application.refusal("tea", JID.parse(ALICE)) == "the conference is full"
