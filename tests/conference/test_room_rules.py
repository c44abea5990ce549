"""The room's rules are the conference's: who gets in, who may be heard, who is out, and what they are told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from focus.conference import conference as conference_module
from focus.conference.room import Cause, Departure
from focus.wire.conditions import NotTheOwner
from focus.wire.jid import JID
from focus.wire.jingle_message import Proceed, Reject
from focus.wire.rayo import Dial, Hangup, Join, Unjoin
from tests.jingle.pair import End as Caller
from tests.rayo.scene import DOMAIN, ROOMS, eventually, settled

from .conftest import EAGER
from .scene import Meeting, names, users

ALICE, KITCHEN = "alice@example.org/desk", "alice@example.org/kitchen"
BOB = "bob@example.org/phone"
CAREFUL, SEVERAL = replace(EAGER, strangers=False), replace(EAGER, several_devices=True)
with_policy = pytest.mark.parametrize


def direction(meeting: Meeting, caller: Caller) -> str:
    """What the plane does with the call, seen from the caller's side."""
    server = meeting.focus.server
    call, mixer = server.directory.call(meeting.call_of(caller)), server.mixers.room("tea")
    assert call is not None
    assert mixer is not None
    assert call.node is not None
    assert mixer.node is not None
    joined = meeting.plane.direction(call.node, mixer.node)
    assert joined is not None
    return joined.value


async def until(meeting: Meeting, caller: Caller, wanted: str) -> None:
    """The plane joins the call so, and everybody is shown it."""
    await eventually(lambda: direction(meeting, caller) == wanted)
    status = "connected" if wanted == "duplex" else "muted-via-focus"
    await meeting.readers.document(
        caller.jid, lambda one: {each.status for user in users(one).values() for each in user.endpoints} == {status}
    )


def text(caller: Caller) -> str | None:
    reason = caller.owners[-1].reason
    assert reason is not None
    return reason.text


# --- voice ---


async def test_a_visitor_listens_only_until_given_voice(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE, role="visitor")
    alice = await meeting.join(ALICE)
    await until(meeting, alice, "recv")
    room.change("Alice", role="participant")
    await until(meeting, alice, "duplex")
    room.change("Alice", role="visitor")
    await until(meeting, alice, "recv")
    room.change("Alice", role="moderator", affiliation="admin")
    await until(meeting, alice, "duplex")


async def test_who_loses_voice_while_their_session_is_negotiated_does_not_begin_to_speak(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = meeting.caller(ALICE)
    alice.deaf = True  # so that their session-initiate does not follow our <proceed/>
    await meeting.call(alice)
    await alice.heard.until(lambda heard: isinstance(heard, Proceed))
    room.change("Alice", role="visitor")
    await settled()
    alice.deaf = False
    alice.sessions[0].receive_message(*_again(alice))
    await alice.owners[0].until("connected")
    await until(meeting, alice, "recv")


def _again(alice: Caller) -> tuple[JID, Proceed]:
    """Our <proceed/>, which the caller did not hear at first."""
    (proceed,) = [heard for heard in alice.heard.entries if isinstance(heard, Proceed)]
    return JID("tea", DOMAIN, "focus"), proceed


async def test_what_a_client_has_commanded_holds_until_the_role_changes(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = await meeting.join(ALICE)
    await meeting.admin.command(meeting.call_of(alice), Join(mixer_name="tea", direction="recv"))
    await until(meeting, alice, "recv")
    room.change("Alice", affiliation="member")
    room.come("Bob", BOB)
    await settled()
    assert direction(meeting, alice) == "recv"
    room.change("Alice", role="visitor")
    room.change("Alice", role="participant")
    await settled()
    assert direction(meeting, alice) == "recv", "of what has changed back at once, nothing has changed"
    room.change("Alice", role="visitor")
    await settled()
    room.change("Alice", role="participant")
    await until(meeting, alice, "duplex")


@with_policy("policy", [SEVERAL])
async def test_somebody_with_several_nicks_has_the_voice_of_the_device_that_calls(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE, role="visitor")
    room.come("Cook", KITCHEN)
    alice, kitchen = await meeting.join(ALICE), await meeting.join(KITCHEN)
    assert (direction(meeting, alice), direction(meeting, kitchen)) == ("recv", "duplex")
    other = await meeting.join("alice@example.org/bedroom")  # which is not in the room itself
    assert direction(meeting, other) == "duplex"
    room.change("Cook", role="visitor")
    await eventually(lambda: direction(meeting, other) == "recv")
    room.change("Alice", role="participant")
    await eventually(lambda: direction(meeting, other) == "duplex")


async def test_a_new_nick_changes_no_voice(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE, role="visitor")
    alice = await meeting.join(ALICE)
    room.rename("Alice", "Alicia")
    await meeting.readers.document(alice.jid, names("Alicia"))
    assert direction(meeting, alice) == "recv"


async def test_who_is_lost_with_their_server_keeps_their_voice(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.set_rules(moderated=True)
    room.come("Alice", ALICE)
    room.come("Bob", BOB, role="visitor")
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    for nick in ("Alice", "Bob"):
        room.go(nick, Departure.LOST)
    await settled()
    assert (direction(meeting, alice), direction(meeting, bob)) == ("duplex", "recv")


async def test_who_is_not_in_a_moderated_room_has_no_voice_there(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.set_rules(moderated=True)
    alice = await meeting.join(ALICE)
    await until(meeting, alice, "recv")
    room.set_rules(moderated=False)
    await until(meeting, alice, "duplex")
    room.set_rules(moderated=True)
    await until(meeting, alice, "recv")
    room.come("Alice", ALICE)
    await until(meeting, alice, "duplex")


async def test_a_visitor_who_is_called_into_the_conference_listens_only(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Bob", BOB, role="visitor")
    await meeting.join(ALICE)
    bob, focus = meeting.caller(BOB), meeting.conference().client
    dial = Dial(to=f"xmpp:{BOB}", joins=(Join(mixer_name="tea"),))
    await meeting.focus.server.command(focus, meeting.focus.addresses.service, dial)
    await eventually(lambda: len(meeting.conference().roster.participants) == 2)
    await eventually(lambda: direction(meeting, bob) == "recv")


async def test_who_comes_from_another_conference_is_under_the_rules_of_this_one(meeting: Meeting) -> None:
    """Which has not answered the call, and whose moderators have a say in it."""
    room = meeting.rooms.room("tea")
    room.rules = replace(room.rules, moderated=True)
    room.come("Alice", ALICE, role="visitor")
    room.come("Bob", BOB, role="moderator")
    alice = await meeting.join(ALICE, "milk")
    call = meeting.call_of(alice, "milk")
    await meeting.admin.command(call, Join(mixer_name="tea"))
    await meeting.admin.command(call, Unjoin(mixer_name="milk"))
    await eventually(lambda: direction(meeting, alice) == "recv")
    room.change("Alice", role="participant")
    await eventually(lambda: direction(meeting, alice) == "duplex")
    await meeting.focus.client(BOB).command(call, Join(mixer_name="tea", direction="recv"))
    await eventually(lambda: direction(meeting, alice) == "recv")
    room.go("Alice", Departure.KICKED)
    assert (await alice.owners[0].until_ended()) == ("gone", True)


async def test_who_is_in_two_conferences_is_at_the_command_of_the_first_ones_moderators(meeting: Meeting) -> None:
    """And goes on there when thrown out of the other."""
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    room.come("Bob", BOB, role="moderator")
    alice = await meeting.join(ALICE, "milk")
    call = meeting.call_of(alice, "milk")
    await meeting.admin.command(call, Join(mixer_name="tea"))
    await eventually(lambda: call in meeting.conference().roster.participants)
    with pytest.raises(NotTheOwner):
        await meeting.focus.client(BOB).command(call, Hangup())
    room.go("Alice", Departure.KICKED)
    await eventually(lambda: call not in meeting.conference().roster.participants)
    await settled()
    assert call in meeting.conference("milk").roster.participants
    assert not alice.sessions[-1].ended


# --- who gets in ---


@with_policy("rules", [{"members_only": True}, {"password_protected": True}])
async def test_a_room_that_asks_for_more_is_entered_first(meeting: Meeting, rules: dict[str, bool]) -> None:
    meeting.rooms.room("tea").set_rules(**rules)
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    await alice.owners[0].until("ringing")
    await settled()
    assert not meeting.conference().roster.participants
    meeting.rooms.room("tea").come("Alice", ALICE)
    await alice.owners[0].until("connected")


async def test_a_room_that_becomes_one_for_members_sends_strangers_away(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Bob", BOB)
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    room.set_rules(members_only=True)
    assert (await alice.owners[0].until_ended()) == ("gone", True)
    assert text(alice) == "the room is for members only now"
    assert not bob.sessions[0].ended


@with_policy("outcast", ["alice@example.org", "example.org"])
async def test_who_is_banned_from_the_room_is_refused(meeting: Meeting, outcast: str) -> None:
    meeting.rooms.room("tea").banned = frozenset({JID.parse(outcast)})
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    assert (await alice.owners[0].until_ended()) == ("decline", True)
    assert text(alice) == f"you are banned from the room tea@{ROOMS}"


async def test_nobody_waits_while_the_room_is_asked_who_is_banned(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.tells.clear()
    room.come("Bob", BOB)
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    await meeting.join(BOB)
    room.set_rules(members_only=True)  # meanwhile
    room.tells.set()
    await settled()
    assert len(meeting.conference().roster.participants) == 1
    room.come("Alice", ALICE)
    await alice.owners[0].until("connected")


@with_policy("policy", [replace(CAREFUL, entry_wait=0.01)])
async def test_who_does_not_enter_is_told_to(meeting: Meeting) -> None:
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    assert (await alice.owners[0].until_ended()) == ("decline", True)
    assert text(alice) == f"enter the room tea@{ROOMS} first"


@with_policy("policy", [CAREFUL])
async def test_who_cannot_be_found_in_the_room_is_refused_at_once(
    meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    room = meeting.rooms.room("tea")
    room.sees_real_jids = False
    room.come("Alice", None)
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    assert (await alice.owners[0].until_ended()) == ("decline", True)
    assert text(alice) == f"in the room tea@{ROOMS} the focus is not shown who is who"
    assert any(record.levelname == "WARNING" and ALICE in record.getMessage() for record in caplog.records)
    await meeting.join(f"tea@{ROOMS}/Alice")  # whoever calls by their nick is known


@with_policy("policy", [CAREFUL])
async def test_who_waits_is_refused_when_we_cannot_see_them_come(meeting: Meeting) -> None:
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    await alice.owners[0].until("ringing")
    meeting.rooms.room("tea").set_sight(False)
    assert (await alice.owners[0].until_ended()) == ("decline", True)


async def test_a_room_that_cannot_be_entered_is_named_to_who_calls(meeting: Meeting) -> None:
    meeting.rooms.refusal = "registration-required"
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    await alice.owners[0].until_ended()
    assert text(alice) == f"the room tea@{ROOMS} cannot be entered by the focus (registration-required)"


# --- who is out ---


@with_policy("policy", [replace(EAGER, farewell=3600.0)])
@with_policy(
    ("departure", "words"),
    [
        (Departure.KICKED, "you have been kicked out of the room by Bob: noise"),
        (Departure.BANNED, "you have been banned from the room by Bob: noise"),
        (Departure.REMOVED, "you may not be in the room any more by Bob: noise"),
    ],
)
@with_policy("public", [True, False])
async def test_who_is_thrown_out_is_told_why_and_others_by_whom(
    meeting: Meeting, departure: Departure, words: str, public: bool
) -> None:
    room = meeting.rooms.room("tea")
    room.set_public(public)
    room.come("Alice", ALICE)
    room.come("Bob", BOB, role="moderator")
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    room.go("Alice", departure, Cause("noise", by="Bob"))
    assert (await alice.owners[0].until_ended()) == ("gone", True)
    assert text(alice) == words

    document = await meeting.readers.document(
        bob.jid,
        lambda one: any(each.status == "disconnected" for user in users(one).values() for each in user.endpoints),
    )
    (gone,) = [user.endpoints[0] for user in users(document).values() if user.endpoints[0].status == "disconnected"]
    assert gone.disconnection_method == "booted"
    assert gone.disconnection_info is not None
    assert gone.disconnection_info.reason == "noise"
    assert gone.disconnection_info.by == ("xmpp:bob@example.org" if public else f"xmpp:tea@{ROOMS}/Bob")


async def test_who_is_thrown_out_while_they_are_invited_is_told_why(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = meeting.caller(ALICE)
    alice.deaf = True
    await meeting.call(alice)
    await alice.heard.until(lambda heard: isinstance(heard, Proceed))
    room.go("Alice", Departure.KICKED, Cause("noise"))
    await alice.heard.until(lambda heard: isinstance(heard, Reject))
    (reject,) = [heard for heard in alice.heard.entries if isinstance(heard, Reject)]
    assert reject.reason is not None
    assert reject.reason.text == "you have been kicked out of the room: noise"
    await eventually(meeting.has_no_calls)


@with_policy("policy", [SEVERAL])
async def test_who_is_thrown_out_under_one_nick_may_stay_under_another(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE, role="moderator")
    room.come("Cook", KITCHEN)
    alice, kitchen = await meeting.join(ALICE), await meeting.join(KITCHEN)
    other = await meeting.join("alice@example.org/bedroom")  # which is not in the room itself
    room.go("Alice", Departure.KICKED)
    await alice.owners[0].until_ended()
    await settled()
    assert not kitchen.sessions[0].ended
    assert not other.sessions[0].ended
    room.go("Cook", Departure.KICKED)
    await kitchen.owners[0].until_ended()
    await other.owners[0].until_ended()


@with_policy(("nick", "stays"), [("Alice", True), ("Alicia", True), (None, False)])
async def test_who_is_back_at_once_stays(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch, nick: str | None, stays: bool
) -> None:
    monkeypatch.setattr(conference_module, "GRACE", 0.02)
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = await meeting.join(ALICE)
    room.go("Alice")
    if nick is not None:
        room.come(nick, ALICE)
        conference = meeting.conference()
        await eventually(lambda: len(conference._errands) == len(conference.documents._notifications))
        assert not alice.sessions[0].ended
    else:
        assert (await alice.owners[0].until_ended()) == ("gone", True)
        assert text(alice) == "you have left the room"


@with_policy(("nick", "who"), [("Alice", "mallory@example.org/desk"), ("Alicia", ALICE)])
async def test_another_who_takes_the_nick_does_not_take_the_call(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch, nick: str, who: str
) -> None:
    """Nor has who is back by another nick the one that the call is with."""
    monkeypatch.setattr(conference_module, "GRACE", 0.02)
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = await meeting.join(f"tea@{ROOMS}/Alice")
    room.go("Alice")
    room.come(nick, who)
    assert (await alice.owners[0].until_ended()) == ("gone", True)


async def test_who_has_called_by_their_nick_calls_again_by_the_new_one(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    by_nick, by_address = await meeting.join(f"tea@{ROOMS}/Alice"), await meeting.join(ALICE)
    room.rename("Alice", "Alicia")
    assert (await by_nick.owners[0].until_ended()) == ("gone", True)
    assert text(by_nick) == "your nick in the room is another one now; call again from there"
    assert not by_address.sessions[0].ended


async def test_who_was_called_in_by_a_program_and_is_thrown_out_is_the_programs_again(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Bob", BOB)
    alice, bob = await meeting.join(ALICE), meeting.caller(BOB)
    await meeting.admin.dial(Dial(to=f"xmpp:{BOB}", joins=(Join(mixer_name="tea"),)))
    await meeting.readers.document(alice.jid, names("alice", "Bob"))
    call = meeting.call_of(bob)
    room.go("Bob", Departure.KICKED)
    await meeting.readers.document(alice.jid, names("alice"))
    assert not bob.sessions[0].ended
    await meeting.admin.command(call, Hangup())


# --- the room itself ---


@with_policy(
    ("venue", "words", "instead"),
    [
        (None, "the room has been destroyed: closing time", None),
        (f"bar@{ROOMS}", f"the room has been destroyed: closing time; it goes on in bar@{ROOMS}", f"xmpp:bar@{DOMAIN}"),
        (
            "bar@muc.example.com",
            "the room has been destroyed: closing time; it goes on in bar@muc.example.com",
            f"xmpp:bar\\40muc.example.com@{DOMAIN}".replace("\\", "%5C"),
        ),
    ],
)
async def test_a_destroyed_room_says_where_to_go(
    meeting: Meeting, venue: str | None, words: str, instead: str | None
) -> None:
    alice = await meeting.join(ALICE)
    cause = Cause("closing time", venue=JID.parse(venue) if venue else None)
    meeting.rooms.room("tea").lose(Departure.DESTROYED, cause)
    assert (await alice.owners[0].until_ended()) == ("gone", True)
    assert text(alice) == words
    reason = alice.owners[0].reason
    assert reason is not None
    assert reason.redirect == instead


async def test_a_room_that_bans_the_focus_is_no_conference(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    meeting.rooms.room("tea").lose(Departure.BANNED, Cause("enough"))
    await alice.owners[0].until_ended()
    assert text(alice) == "the focus may not be in the room any more: enough"


async def test_the_description_of_the_room_is_the_free_text(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.rules = replace(room.rules, description="Tea, daily")
    alice = await meeting.join(ALICE)
    document = await meeting.readers.document(alice.jid, names("alice"))
    assert document.description is not None
    assert document.description.free_text == "Tea, daily"
    room.set_rules(description="Tea, never")
    await meeting.readers.document(
        alice.jid, lambda one: one.description is not None and one.description.free_text == "Tea, never"
    )


async def test_nobody_is_heard_while_they_are_vetted(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.tells.clear()
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    await alice.owners[0].until("ringing")
    await asyncio.sleep(0)
    room.come("Alice", ALICE, role="visitor")
    await alice.owners[0].until("connected")
    await until(meeting, alice, "recv")
    room.tells.set()
    await settled()
    assert direction(meeting, alice) == "recv"


async def test_who_is_being_called_in_and_is_banned_is_called_no_more(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Bob", BOB)
    await meeting.join(ALICE)
    bob, callout = meeting.caller(BOB), meeting.conference().callout
    bob.answering = lambda session: session.ring()
    callout.call([JID.parse(BOB).bare])
    await bob.heard.until(lambda heard: True)
    room.go("Bob", Departure.BANNED)
    await eventually(lambda: not callout.is_active)
    await bob.owners[0].until_ended()


async def test_who_goes_on_from_another_device_has_that_ones_voice(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    room.come("Cook", KITCHEN, role="visitor")
    desk = await meeting.join(ALICE)
    assert direction(meeting, desk) == "duplex"
    kitchen = await meeting.join(KITCHEN)
    await desk.owners[0].until_ended()
    await until(meeting, kitchen, "recv")
    room.change("Cook", role="participant")
    await until(meeting, kitchen, "duplex")


async def test_a_stranger_who_goes_on_from_another_device_is_one_still(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.set_rules(moderated=True)
    desk = await meeting.join(ALICE)
    kitchen = await meeting.join(KITCHEN)
    await desk.owners[0].until_ended()
    await until(meeting, kitchen, "recv")
    room.set_rules(moderated=False)
    await until(meeting, kitchen, "duplex")


async def test_however_long_a_reason_and_a_nick_are_who_is_thrown_out_is_out(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = await meeting.join(ALICE)
    room.go("Alice", Departure.KICKED, Cause("no\nise " * 100, by="B" * 1023))
    assert (await alice.owners[0].until_ended()) == ("gone", True)
