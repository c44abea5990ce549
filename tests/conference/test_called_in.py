"""Whom the focus calls is under the rules of the room, as who calls it is: while it rings, is negotiated, and after."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from focus.conference.ringing import Ringing
from focus.conference.room import Cause, Departure
from focus.wire.call_invites import STANZA_ID, Accept, Invite
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle
from focus.wire.jingle_message import Propose, Retract
from tests.jingle.pair import End as Phone
from tests.rayo.scene import ROOMS, eventually, settled

from .conftest import EAGER
from .scene import FakeRoom, Meeting, users
from .test_ringing import Clock, heard, proposals, ring
from .test_room_rules import direction, text, until

ALICE, BOB, KITCHEN = "alice@example.org/desk", "bob@example.org/phone", "alice@example.org/kitchen"
bob = JID.parse(BOB).bare
TEA = JID("tea", ROOMS)
with_policy = pytest.mark.parametrize


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ringing(clock: Clock) -> Ringing:
    return Ringing(pauses=(10.0,), sleep=clock.sleep)


@pytest.fixture
def room(meeting: Meeting) -> FakeRoom:
    """Which gives messages ids."""
    meeting.features[TEA] = frozenset({STANZA_ID})
    return meeting.rooms.room("tea")


def peers(meeting: Meeting) -> list[str]:
    return sorted(str(one.peer) for one in meeting.conference().roster.participants.values())


async def accept(room: FakeRoom, nick: str) -> None:
    """`nick` accepts the room's invite."""
    await eventually(lambda: bool(room.said))
    invite = room.said[-1][0]
    assert isinstance(invite, Invite)
    room.answer(nick, Accept(id=f"id{len(room.said)}", jingle=invite.jingle[0]))


async def accepting(meeting: Meeting, room: FakeRoom, nick: str, jid: str) -> Phone:
    """`nick` has accepted the room's invite, and their device has not yet answered our call."""
    phone = meeting.caller(jid)
    phone.answering = lambda session: None
    await accept(room, nick)
    await phone.heard.until(lambda each: isinstance(each, Jingle) and each.action is Action.SESSION_INITIATE)
    return phone


# --- a room that is lost ---


@with_policy("departure", [Departure.DESTROYED, Departure.BANNED])
async def test_a_room_that_is_lost_stops_the_ringing(meeting: Meeting, room: FakeRoom, departure: Departure) -> None:
    await meeting.application.summon(TEA)
    room.come("Mod", "mod@example.org/x", role="moderator")  # who does not take part
    phone = meeting.caller(BOB)
    phone.answering = ring
    callout = meeting.conference().callout
    callout.call([bob])
    await heard(phone, 1)
    room.occupants.clear()
    room.lose(departure, Cause("over"))
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await eventually(lambda: not callout.is_active)
    await eventually(meeting.has_no_calls)
    assert room.entered == 1


async def test_who_answers_as_the_room_is_destroyed_does_not_make_it_again(meeting: Meeting, room: FakeRoom) -> None:
    room.come("Bob", BOB)
    alice = await meeting.join(ALICE)
    phone = await accepting(meeting, room, "Bob", BOB)
    room.occupants.clear()
    phone.sessions[0].accept()
    room.lose(Departure.DESTROYED, Cause("over"))
    assert (await phone.owners[0].until_ended()) == ("gone", True)
    await alice.owners[0].until_ended()
    assert text(alice) == "the room has been destroyed: over"
    await eventually(meeting.has_no_calls)
    assert room.entered == 1


async def test_who_is_called_into_a_room_that_cannot_be_entered_is_told_so(meeting: Meeting, room: FakeRoom) -> None:
    meeting.application.mixer_opened("tea")
    await settled()
    meeting.rooms.refusal = "forbidden"
    phone = meeting.caller(BOB)
    meeting.conference().callout.call([bob])
    await phone.heard.until(lambda each: isinstance(each, Propose))
    assert (await phone.owners[0].until_ended()) == ("gone", True)
    assert text(phone) == f"the room tea@{ROOMS} cannot be entered by the focus (forbidden)"


# --- who is thrown out, or goes, before they have answered ---


@with_policy("departure", [Departure.KICKED, Departure.BANNED, Departure.REMOVED, Departure.LEFT])
async def test_who_goes_while_our_call_to_them_is_negotiated_does_not_get_in(
    meeting: Meeting, room: FakeRoom, departure: Departure
) -> None:
    room.come("Bob", BOB)
    await meeting.join(ALICE)
    phone = await accepting(meeting, room, "Bob", BOB)
    room.go("Bob", departure, Cause("noise", "Mod"))
    assert (await phone.owners[0].until_ended()) == ("gone", True)
    assert peers(meeting) == [ALICE]


async def test_who_goes_as_soon_as_they_have_accepted_is_not_called(meeting: Meeting, room: FakeRoom) -> None:
    room.come("Bob", BOB)
    await meeting.join(ALICE)
    phone = meeting.caller(BOB)
    await accept(room, "Bob")
    room.go("Bob", Departure.KICKED)
    await settled()
    assert phone.heard.entries == []


# --- voice, and who is banned ---


async def called_in(meeting: Meeting) -> Phone:
    phone = meeting.caller(BOB)
    meeting.conference().callout.call([bob])
    await phone.heard.until(lambda each: isinstance(each, Propose))
    await phone.owners[0].until("connected")
    await eventually(lambda: BOB in peers(meeting))
    return phone


async def test_who_is_called_in_has_no_voice_in_a_moderated_room_until_it_gives_it(
    meeting: Meeting, room: FakeRoom
) -> None:
    room.set_rules(moderated=True)
    room.come("Alice", ALICE, role="moderator")
    await meeting.join(ALICE)
    phone = await called_in(meeting)
    await eventually(lambda: direction(meeting, phone) == "recv")
    room.come("Bob", BOB)
    await until(meeting, phone, "duplex")


async def test_a_room_for_members_keeps_whom_it_has_had_called(meeting: Meeting, room: FakeRoom) -> None:
    room.set_rules(members_only=True)
    room.come("Alice", ALICE, role="moderator")
    await meeting.join(ALICE)
    phone = await called_in(meeting)
    room.set_rules(description="tea for members")
    await settled()
    assert not phone.sessions[0].ended
    assert direction(meeting, phone) == "duplex"


async def test_who_is_banned_from_the_room_is_not_called_in(meeting: Meeting, room: FakeRoom, clock: Clock) -> None:
    room.banned = frozenset({bob})
    await meeting.join(ALICE)
    phone = meeting.caller(BOB)
    callout = meeting.conference().callout
    callout.call([bob])
    document = await meeting.readers.document(
        JID.parse(ALICE),
        lambda one: any(each.status == "disconnected" for user in users(one).values() for each in user.endpoints),
    )
    info = users(document)["bob"].endpoints[0].disconnection_info
    assert info is not None
    assert info.reason == "banned from the room"
    await eventually(lambda: not callout.is_active)
    assert (phone.heard.entries, clock.pauses) == ([], [])


# --- how many ---


@with_policy("policy", [replace(EAGER, maximum=1)])
async def test_nobody_is_called_into_a_full_conference_until_there_is_place(
    meeting: Meeting, room: FakeRoom, clock: Clock
) -> None:
    room.come("Alice", ALICE)
    await meeting.application.summon(TEA)
    alice = await meeting.join(ALICE)
    phone = meeting.caller(BOB)
    phone.answering = ring
    meeting.conference().callout.call([bob])
    await eventually(lambda: clock.pauses == [10.0])
    assert phone.heard.entries == []
    assert alice.sessions[0].ended is False


@with_policy("policy", [replace(EAGER, maximum=2)])
async def test_who_answers_when_the_last_place_has_been_taken_does_not_get_in(meeting: Meeting) -> None:
    await meeting.join(ALICE)
    phone = meeting.caller(BOB)
    phone.answering = ring
    meeting.conference().callout.call([bob])
    await heard(phone, 1)
    await meeting.join("carol@example.org/phone")
    phone.sessions[0].accept()
    assert (await phone.owners[0].until_ended()) == ("gone", True)
    assert text(phone) == "all places in the conference are taken"


# --- who is there already ---


async def test_who_takes_part_through_the_room_is_not_called_besides(meeting: Meeting, room: FakeRoom) -> None:
    room.come("Bob", BOB)
    await meeting.join(ALICE)
    await meeting.join(f"tea@{ROOMS}/Bob")
    assert meeting.conference().callout.call([bob]) == []


async def test_who_comes_through_the_room_is_called_no_more(meeting: Meeting, room: FakeRoom) -> None:
    room.come("Bob", BOB)
    await meeting.join(ALICE)
    phone = meeting.caller(BOB)
    phone.answering = ring
    callout = meeting.conference().callout
    callout.call([bob])
    await heard(phone, 1)
    await meeting.join(f"tea@{ROOMS}/Bob")
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await eventually(lambda: not callout.is_active)
    assert proposals(phone) == 1


@with_policy(
    ("policy", "remaining"),
    [
        (EAGER, [KITCHEN]),
        (replace(EAGER, maximum=1), [KITCHEN]),
        (replace(EAGER, several_devices=True), [ALICE, KITCHEN]),
    ],
)
async def test_who_accepts_on_another_device_goes_on_there(
    meeting: Meeting, room: FakeRoom, remaining: list[str]
) -> None:
    room.come("Alice", ALICE)
    room.come("Cook", KITCHEN)
    desk = await meeting.join(ALICE)
    kitchen = meeting.caller(KITCHEN)
    await accept(room, "Cook")
    await kitchen.heard.until(lambda each: isinstance(each, Jingle))
    await kitchen.owners[0].until("connected")
    if ALICE not in remaining:
        assert (await desk.owners[0].until_ended())[0] == "expired"
    await eventually(lambda: peers(meeting) == remaining)
    assert direction(meeting, kitchen) == "duplex"


# --- the end of it all ---


async def test_a_crash_ends_the_calls_that_ring_and_those_that_are_negotiated(meeting: Meeting, room: FakeRoom) -> None:
    room.come("Carol", "carol@example.org/phone")
    await meeting.join(ALICE)
    phone = meeting.caller(BOB)
    phone.answering = ring
    conference = meeting.conference()
    conference.callout.call([bob])
    await heard(phone, 1)
    carol = await accepting(meeting, room, "Carol", "carol@example.org/phone")

    async def crash() -> None:
        raise RuntimeError("on purpose")

    conference._tasks.create_task(crash())  # type: ignore[union-attr]
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await carol.owners[0].until_ended()
    await eventually(meeting.has_no_calls)


# --- our connection was down ---


async def test_who_was_banned_while_we_were_away_is_out(meeting: Meeting, room: FakeRoom) -> None:
    room.come("Bob", BOB)
    room.come("Carol", "carol@example.org/phone")
    await meeting.join(ALICE)
    phone = await meeting.join(BOB)
    nick = await meeting.join(f"tea@{ROOMS}/Bob")
    carol = await meeting.join("carol@example.org/phone")
    room.banned = frozenset({bob})
    room.go("Bob", Departure.LOST)
    room.go("Carol", Departure.LOST)
    assert room.observer is not None
    room.observer.room_rejoined()
    for each in (phone, nick):
        assert (await each.owners[0].until_ended()) == ("gone", True)
        assert text(each) == "you have been banned from the room"
    await settled()
    assert not carol.sessions[0].ended


async def test_whose_nick_has_passed_to_somebody_else_while_we_were_away_calls_again(
    meeting: Meeting, room: FakeRoom
) -> None:
    room.come("Bob", BOB)
    await meeting.join(ALICE)
    nick = await meeting.join(f"tea@{ROOMS}/Bob")
    room.go("Bob", Departure.LOST)
    room.come("Bob", "bob@elsewhere.example/phone")
    assert (await nick.owners[0].until_ended()) == ("gone", True)


# --- rooms in which it stays ---


STAYING = replace(EAGER, reentry=0.01)


@with_policy("policy", [STAYING])
@with_policy("departure", [Departure.DESTROYED, Departure.BANNED])
async def test_a_room_in_which_it_stayed_is_not_made_again(
    meeting: Meeting, room: FakeRoom, departure: Departure, caplog: pytest.LogCaptureFixture
) -> None:
    meeting.application.stay([TEA])
    await eventually(lambda: room.entered == 1)
    room.lose(departure, Cause("over"))
    await asyncio.sleep(0.05)
    assert room.entered == 1
    assert [each.levelname for each in caplog.records if "[[rooms]]" in each.getMessage()] == ["ERROR"]
    await meeting.join(ALICE)
    assert room.entered == 2, "who calls opens it"


@with_policy("policy", [STAYING])
async def test_a_room_that_has_banned_us_is_knocked_at_once(
    meeting: Meeting, room: FakeRoom, caplog: pytest.LogCaptureFixture
) -> None:
    meeting.rooms.refusal = "forbidden"
    meeting.application.stay([TEA])
    await eventually(lambda: any("[[rooms]]" in each.getMessage() for each in caplog.records))
    meeting.rooms.refusal = None
    await asyncio.sleep(0.05)
    assert room.entered == 0
