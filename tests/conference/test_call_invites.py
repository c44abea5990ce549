"""The room is invited to its conference (XEP-0482): who accepts is called; when all is over the invite is withdrawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from focus.wire.call_invites import STANZA_ID, Accept, External, Invite, JingleMethod, Left, Reject, Retract
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle, Reason
from tests.jingle.pair import End as Phone
from tests.rayo.scene import DOMAIN, ROOMS, eventually, settled

from .conftest import EAGER
from .scene import FakeRoom, Meeting, names

ALICE, BOB = "alice@example.org/desk", "bob@example.org/phone"
TEA = JID("tea", ROOMS)
with_policy = pytest.mark.parametrize


@pytest.fixture
def room(meeting: Meeting) -> FakeRoom:
    """Which gives messages ids, and has Bob in it."""
    meeting.features[TEA] = frozenset({STANZA_ID})
    room = meeting.rooms.room("tea")
    room.come("Bob", BOB)
    return room


async def invited(room: FakeRoom) -> Invite:
    await eventually(lambda: bool(room.said))
    invite = room.said[-1][0]
    assert isinstance(invite, Invite)
    return invite


def method(invite: Invite) -> JingleMethod:
    (found,) = invite.jingle
    return found


def initiations(phone: Phone) -> int:
    return sum(isinstance(each, Jingle) and each.action is Action.SESSION_INITIATE for each in phone.heard.entries)


async def accepted(meeting: Meeting, room: FakeRoom) -> Phone:
    """Bob is in the conference, by the invite."""
    phone = meeting.caller(BOB)
    room.answer("Bob", Accept(id="id1", jingle=method(await invited(room))))
    await phone.heard.until(lambda each: isinstance(each, Jingle))
    await phone.owners[0].until("connected")
    await eventually(lambda: len(meeting.conference().roster.participants) == 2)
    return phone


async def test_the_first_participant_has_the_room_invited(meeting: Meeting, room: FakeRoom) -> None:
    await meeting.join(ALICE)
    invite = await invited(room)
    assert method(invite).jid == f"tea@{DOMAIN}/focus"
    assert invite.external == (External(uri="https://meet.example.org/tea"),)
    assert room.said[0][1] == "A call has begun in this room: https://meet.example.org/tea"
    await meeting.join(BOB)
    await settled()
    assert len(room.said) == 1


async def test_who_accepts_is_called_in_the_session_of_the_invite(meeting: Meeting, room: FakeRoom) -> None:
    alice = await meeting.join(ALICE)
    phone = await accepted(meeting, room)
    first = phone.heard.entries[0]
    assert isinstance(first, Jingle)  # and no proposal: it has been accepted already
    assert first.sid == method(await invited(room)).sid
    document = await meeting.readers.document(alice.jid, names("alice", "Bob"))
    assert document.users is not None
    assert len(meeting.conference().roster.participants) == 2


async def test_who_accepts_twice_is_called_once(meeting: Meeting, room: FakeRoom) -> None:
    await meeting.join(ALICE)
    phone = meeting.caller(BOB)
    answer = Accept(id="id1", jingle=method(await invited(room)))
    for _ in range(3):
        room.answer("Bob", answer)
    await phone.heard.until(lambda each: isinstance(each, Jingle))
    await phone.owners[0].until("connected")
    room.answer("Bob", answer)
    await settled()
    assert initiations(phone) == 1
    assert len(list(meeting.focus.server.directory.calls())) == 2


async def test_who_has_left_by_hanging_up_may_accept_again(meeting: Meeting, room: FakeRoom) -> None:
    await meeting.join(ALICE)
    phone = await accepted(meeting, room)
    phone.sessions[0].hangup(Reason.of("success"))
    await eventually(lambda: len(list(meeting.focus.server.directory.calls())) == 1)
    room.answer("Bob", Accept(id="id1", jingle=method(await invited(room))))
    await eventually(lambda: initiations(phone) == 2)


async def test_who_says_that_he_has_left_has_left(meeting: Meeting, room: FakeRoom) -> None:
    alice = await meeting.join(ALICE)
    phone = await accepted(meeting, room)
    room.answer("Bob", Left(id="id1"))
    await phone.owners[0].until_ended()
    await meeting.readers.document(alice.jid, names("alice"))


@pytest.mark.parametrize(
    "answer",
    [
        Accept(id="other", jingle=JingleMethod(sid="s")),
        Accept(id="id1", jingle=JingleMethod(sid="another")),
        Accept(id="id1", external=External(uri="https://meet.example.org/tea")),
        Reject(id="id1"),
        Retract(id="id1"),
        Invite(jingle=(JingleMethod(sid="s"),)),
    ],
)
async def test_what_accepts_nothing_of_ours_calls_nobody(
    meeting: Meeting, room: FakeRoom, answer: Accept | Reject | Retract | Invite
) -> None:
    await meeting.join(ALICE)
    phone = meeting.caller(BOB)
    await invited(room)
    room.answer("Bob", answer)
    await settled()
    assert phone.heard.entries == []
    assert meeting.focus.plane.snapshot()["legs"] == 2


async def test_what_is_said_of_another_invite_is_nothing(meeting: Meeting, room: FakeRoom) -> None:
    await meeting.join(ALICE)
    phone = meeting.caller(BOB)
    room.answer("Bob", Accept(id="other", jingle=method(await invited(room))))
    await settled()
    assert initiations(phone) == 0
    await meeting.join(BOB)
    room.answer("Bob", Left(id="other"))
    await settled()
    assert len(meeting.conference().roster.participants) == 2


async def test_who_is_not_known_cannot_be_called(meeting: Meeting, room: FakeRoom) -> None:
    room.come("Nobody")
    await meeting.join(ALICE)
    room.answer("Nobody", Accept(id="id1", jingle=method(await invited(room))))
    await settled()
    assert len(list(meeting.focus.server.directory.calls())) == 1


async def test_the_invite_is_withdrawn_when_the_last_has_left(meeting: Meeting, room: FakeRoom) -> None:
    alice = await meeting.join(ALICE)
    await invited(room)
    alice.sessions[0].hangup(Reason.of("success"))
    await eventually(lambda: len(room.said) == 2)
    assert room.said[1] == (Retract(id="id1"), "The call in this room is over.")
    await meeting.join(ALICE)  # which is another conference, with an invite of its own
    await eventually(lambda: len(room.said) == 3)
    assert method(await invited(room)).sid != method(room.said[0][0]).sid  # type: ignore[arg-type]


async def test_what_was_said_while_the_server_was_away_is_said_again(meeting: Meeting, room: FakeRoom) -> None:
    room.is_cut_off = True
    alice = await meeting.join(ALICE)
    await settled()
    assert room.said == []
    room.come_back()
    first = method(await invited(room))
    room.come_back()
    await settled()
    assert len(room.said) == 1, "it has been heard"
    room.is_cut_off = True
    alice.sessions[0].hangup(Reason.of("success"))
    await eventually(lambda: not meeting.conference().roster.participants)
    room.come_back()
    assert room.said[1:] == [(Retract(id="id1"), "The call in this room is over.")]
    room.come_back()
    assert len(room.said) == 2
    await meeting.join(ALICE)
    await eventually(lambda: len(room.said) == 3)
    assert method(await invited(room)).sid != first.sid


async def test_an_invite_that_was_lost_does_not_keep_the_next_conference_from_inviting(
    meeting: Meeting, room: FakeRoom
) -> None:
    room.is_cut_off = True
    alice = await meeting.join(ALICE)
    await settled()
    alice.sessions[0].hangup(Reason.of("success"))
    await eventually(lambda: not meeting.conference().roster.participants)
    room.come_back()
    await settled()
    assert room.said == []
    await meeting.join(ALICE)
    await invited(room)


async def test_a_room_without_ids_is_not_invited(meeting: Meeting, room: FakeRoom) -> None:
    meeting.features[TEA] = frozenset()
    await meeting.join(ALICE)
    await settled()
    assert room.said == []


@with_policy("policy", [replace(EAGER, announce=False)])
async def test_nor_is_one_where_that_is_not_wanted(meeting: Meeting, room: FakeRoom) -> None:
    await meeting.join(ALICE)
    await settled()
    assert room.said == []


@with_policy("policy", [replace(EAGER, maximum=1)])
async def test_a_full_conference_calls_nobody(meeting: Meeting, room: FakeRoom) -> None:
    await meeting.join(ALICE)
    room.answer("Bob", Accept(id="id1", jingle=method(await invited(room))))
    await settled()
    assert len(list(meeting.focus.server.directory.calls())) == 1
