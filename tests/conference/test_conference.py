"""Who gets in, who is shown, who is told, and how it ends."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from focus.conference.policy import Policy
from focus.conference.room import Departure
from focus.service.logs import ContextFilter
from focus.wire.conditions import BadRequest, ItemNotFound, NotTheOwner, ServiceUnavailable, WrongState
from focus.wire.conference_info import ConferenceInfo, Endpoint
from focus.wire.jid import JID
from focus.wire.jingle import Action, Content, Jingle, Reason
from focus.wire.jingle_message import Proceed, Reject
from focus.wire.rayo import Answer, Dial, Hangup, Join, Unjoin
from focus.wire.rtp import Hold, Mute, Unhold, Unmute
from tests.rayo.scene import DOMAIN, ROOMS, Client, eventually, settled

from .conftest import EAGER
from .scene import Meeting, as_read, names, users

ALICE, BOB = "alice@example.org/desk", "bob@example.org/phone"
CAREFUL = replace(EAGER, strangers=False)
SEVERAL = replace(EAGER, several_devices=True)
with_policy = pytest.mark.parametrize


def endpoint(document: ConferenceInfo, name: str) -> Endpoint:
    (found,) = users(document)[name].endpoints
    return found


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """With the room and the call that each line names."""
    names = ContextFilter()
    caplog.handler.addFilter(names)
    caplog.set_level(logging.INFO, "focus")
    yield caplog
    caplog.handler.removeFilter(names)


def lines(log: pytest.LogCaptureFixture) -> dict[str, tuple[str, str]]:
    """The room and the call of each line."""
    return {record.getMessage(): (record.room, record.call) for record in log.records}  # type: ignore[attr-defined]


# --- what is logged ---


@with_policy("policy", [replace(EAGER, maximum=1)])
async def test_a_line_about_a_call_names_room_and_call(meeting: Meeting, log: pytest.LogCaptureFixture) -> None:
    alice = meeting.caller(ALICE)
    meeting.readers.answers[alice.jid] = lambda: BadRequest("no such thing")
    await meeting.join(ALICE)
    await eventually(lambda: f"{ALICE} refused a conference document: no such thing" in lines(log))
    bob = meeting.caller(BOB)
    await meeting.call(bob)
    await bob.owners[0].until_ended()
    assert lines(log)[f"{ALICE} refused a conference document: no such thing"] == ("tea", meeting.call_of(alice).local)
    assert lines(log)["a call is refused: all 1 places are taken"] == lines(log)["ended: hangup-command (busy)"]
    assert lines(log)[f"{BOB} calls"] == lines(log)["ended: hangup-command (busy)"]
    assert lines(log)["connected"] == ("tea", meeting.call_of(alice).local)
    assert lines(log)["the conference begins"] == ("tea", "")


@with_policy("policy", [replace(CAREFUL, entry_wait=0.01)])
async def test_a_line_about_a_stranger_names_room_and_call(meeting: Meeting, log: pytest.LogCaptureFixture) -> None:
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    await alice.owners[0].until_ended()
    refusal = lines(log)["a call is refused: the caller has not entered the room"]
    assert refusal == lines(log)[f"ended: hangup-command (decline, enter the room tea@{ROOMS} first)"]
    assert all(refusal)


# --- getting in ---


async def test_two_callers_see_each_other(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    for caller in (alice, bob):
        document = await meeting.readers.document(caller.jid, names("Alice", "bob"))
        await meeting.readers.document(
            caller.jid, lambda document: {endpoint(document, name).status for name in ("Alice", "bob")} == {"connected"}
        )
        assert document.sid == caller.sessions[0].sid
        assert document.entity == f"xmpp:tea@{DOMAIN}"
    assert room.entered == 1
    assert ("focus", True) in alice.owners[0].entries


async def test_sources_are_named_as_in_the_mix(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    document = await meeting.readers.document(alice.jid, names("alice"))
    leg = meeting.focus.call(meeting.call_of(alice)).leg
    assert leg is not None
    (media,) = endpoint(document, "alice").media
    assert media.src_id == str(leg.source_id)


@with_policy("policy", [CAREFUL])
async def test_a_caller_in_the_room_gets_in_where_strangers_do_not(meeting: Meeting) -> None:
    meeting.rooms.room("tea").come("Alice", ALICE)
    await meeting.join(ALICE)
    assert list(meeting.conference().roster.participants)


@with_policy("policy", [CAREFUL])
async def test_a_stranger_waits_until_they_enter_the_room(meeting: Meeting) -> None:
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    await alice.owners[0].until("ringing")
    await settled()
    assert "accepted" not in alice.owners[0].entries
    meeting.rooms.room("tea").come("Alice", ALICE)
    await alice.owners[0].until("connected")


@with_policy("policy", [replace(CAREFUL, entry_wait=0.01)])
async def test_a_stranger_who_does_not_enter_is_declined(meeting: Meeting) -> None:
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    assert (await alice.owners[0].until_ended())[0] == "decline"


@with_policy("policy", [replace(EAGER, maximum=1)])
async def test_a_full_conference_is_busy(meeting: Meeting) -> None:
    await meeting.join(ALICE)
    bob = meeting.caller(BOB)
    await meeting.call(bob)
    assert (await bob.owners[0].until_ended())[0] == "busy"


@with_policy("policy", [replace(CAREFUL, maximum=1)])
async def test_those_who_wait_take_no_place(meeting: Meeting) -> None:
    bob = meeting.caller(BOB)
    await meeting.call(bob)
    await bob.owners[0].until("ringing")
    meeting.rooms.room("tea").come("Alice", ALICE)
    await meeting.join(ALICE)
    meeting.rooms.room("tea").come("Bob", BOB)
    assert (await bob.owners[0].until_ended())[0] == "busy"


async def test_a_room_that_cannot_be_entered_cannot_be_called(meeting: Meeting) -> None:
    meeting.rooms.refusal = "registration-required"
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    assert (await alice.owners[0].until_ended())[0] == "general-error"
    meeting.rooms.refusal = None
    await meeting.join(ALICE)


async def test_the_address_of_a_caller_may_have_any_resource(meeting: Meeting) -> None:
    """A `?` does not end it, although it would end the path of a URI."""
    jid = "alice@example.org/a?b#c%20 d"
    meeting.rooms.room("tea").come("Alice", jid)
    alice = await meeting.join(jid)
    await meeting.readers.document(alice.jid, names("Alice"))


# --- races ---


async def test_a_caller_who_leaves_while_the_room_is_being_entered(meeting: Meeting) -> None:
    meeting.rooms.open.clear()
    alice, bob = meeting.caller(ALICE), meeting.caller(BOB)
    await meeting.call(alice)
    await eventually(lambda: bool(meeting.application.conferences))
    alice.sessions[0].hangup(Reason.of("cancel"))
    await eventually(lambda: not list(meeting.focus.server.directory.calls()))
    await meeting.call(bob)
    meeting.rooms.open.set()
    await bob.owners[0].until("connected")
    await meeting.readers.document(bob.jid, names("bob"))
    assert len(meeting.conference().calls) == 1
    assert not meeting.conference().admission._offers


@with_policy("policy", [CAREFUL])
async def test_callers_who_stop_waiting_are_forgotten(meeting: Meeting) -> None:
    alice = meeting.caller(ALICE)
    await meeting.call(alice)
    await alice.owners[0].until("ringing")
    alice.sessions[0].hangup(Reason.of("cancel"))
    conference = meeting.conference()
    await eventually(lambda: not conference.calls)
    assert not conference.admission._offers
    meeting.rooms.room("tea").come("Alice", ALICE)
    await settled()
    assert not conference.roster.participants


@with_policy("policy", [replace(EAGER, linger=0.0)])
async def test_a_call_in_the_moment_in_which_the_conference_ends(meeting: Meeting) -> None:
    """Again and again, at every possible step of the farewell."""
    room = meeting.rooms.room("tea")
    for delay in range(12):
        alice = await meeting.join(ALICE)
        alice.sessions[-1].hangup(Reason.of("success"))
        await alice.owners[-1].until_ended()
        for _ in range(delay):
            await asyncio.sleep(0)
        bob = await meeting.join(BOB)
        await meeting.readers.document(bob.jid, lambda document: "bob" in users(document))
        assert room.observer is not None
        bob.sessions[-1].hangup(Reason.of("success"))
        await bob.owners[-1].until_ended()
    await eventually(lambda: not meeting.application.conferences)
    assert room.observer is None


# --- what is shown ---


async def test_mute_and_hold_are_shown_from_the_participants_side(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    for info, media, status in (
        (Mute(), "recvonly", "connected"),
        (Hold(), "inactive", "on-hold"),
        (Unhold(), "recvonly", "connected"),
        (Unmute(), "sendrecv", "connected"),
    ):
        alice.sessions[0].send_info(info)

        def is_so(document: ConferenceInfo, media: str = media, status: str = status) -> bool:
            found = endpoint(document, "alice")
            return (found.media[0].status, found.status) == (media, status)

        await meeting.readers.document(alice.jid, is_so)


async def test_which_way_the_sound_goes_is_shown_from_the_participants_side(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    session = alice.sessions[0]
    for senders, media in (
        ("initiator", "sendonly"),
        ("responder", "recvonly"),
        ("none", "inactive"),
        ("both", "sendrecv"),
    ):
        content = Content.model_validate({"name": "audio", "senders": senders})
        modify = Jingle(action=Action.CONTENT_MODIFY, sid=session.sid, contents=(content,))
        await alice.iq_set(alice.jid, session.peer, modify)

        def is_so(document: ConferenceInfo, media: str = media) -> bool:
            found = endpoint(document, "alice")
            return (found.media[0].status, found.status) == (media, "connected")

        await meeting.readers.document(alice.jid, is_so)


async def test_a_join_by_a_rayo_client_is_muted_via_focus(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    call = meeting.call_of(alice)
    await meeting.admin.command(call, Join(mixer_name="tea", direction="recv"))
    document = await meeting.readers.document(
        alice.jid, lambda document: endpoint(document, "alice").status == "muted-via-focus"
    )
    assert endpoint(document, "alice").media[0].status == "recvonly"
    await meeting.admin.command(call, Join(mixer_name="tea"))
    await meeting.readers.document(alice.jid, lambda document: endpoint(document, "alice").status == "connected")


async def test_each_conference_of_a_call_shows_how_it_is_joined_there(meeting: Meeting) -> None:
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB, "milk")
    call = meeting.call_of(bob, "milk")
    await meeting.admin.command(call, Join(mixer_name="tea", direction="recv"))
    await meeting.readers.document(
        alice.jid, lambda document: "bob" in users(document) and endpoint(document, "bob").status == "muted-via-focus"
    )
    assert meeting.conference("milk").roster.participants[call].session.direction == "duplex"


async def test_who_is_unjoined_is_gone_and_who_is_joined_again_is_back(meeting: Meeting) -> None:
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    call = meeting.call_of(bob)
    await meeting.admin.command(call, Unjoin(mixer_name="tea"))
    await meeting.readers.document(alice.jid, names("alice"))
    await meeting.admin.command(call, Join(mixer_name="tea"))
    await meeting.readers.document(alice.jid, names("alice", "bob"))
    await meeting.readers.document(bob.jid, names("alice", "bob"))
    meeting.rooms.room("tea").set_subject("Biscuits")
    await meeting.readers.document(bob.jid, lambda document: "Biscuits" in document.to_string())


async def test_who_is_dialled_into_the_conference_takes_part(meeting: Meeting) -> None:
    bob = meeting.caller(BOB)
    await meeting.admin.dial(Dial(to=f"xmpp:{BOB}", joins=(Join(mixer_name="tea"),)))
    document = await meeting.readers.document(bob.jid, names("bob"))
    assert endpoint(document, "bob").joining_method == "dialed-out"
    assert meeting.rooms.room("tea").entered == 1


async def test_a_call_from_elsewhere_that_a_client_joins_to_a_new_room_takes_part(meeting: Meeting) -> None:
    """The mixer, and with it the conference, begin with this very join."""
    bob = meeting.caller(BOB)
    call = await meeting.admin.dial(Dial(to=f"xmpp:{BOB}"))
    await eventually(lambda: meeting.focus.call(call).node is not None)
    await meeting.admin.command(call, Join(mixer_name="milk"))
    await meeting.readers.document(bob.jid, names("bob"))
    await meeting.admin.command(call, Hangup())
    await eventually(lambda: not meeting.conference("milk").roster.participants)


async def test_a_new_nick_is_a_new_name(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = await meeting.join(ALICE)
    await meeting.readers.document(alice.jid, names("Alice"))
    room.rename("Alice", "Alix")
    document = await meeting.readers.document(alice.jid, names("Alix"))
    assert users(document)["Alix"].entity == "xmpp:tea@rooms.example.org/Alix"


@with_policy("policy", [CAREFUL])
async def test_who_waits_to_be_admitted_is_pending(meeting: Meeting) -> None:
    meeting.rooms.room("tea").come("Alice", ALICE)
    alice, bob = await meeting.join(ALICE), meeting.caller(BOB)
    await meeting.call(bob)
    document = await meeting.readers.document(alice.jid, names("Alice", "bob"))
    assert endpoint(document, "bob").status == "pending"
    meeting.rooms.room("tea").come("Bob", BOB)
    await bob.owners[0].until("connected")
    document = await meeting.readers.document(alice.jid, names("Alice", "Bob"))
    await meeting.readers.document(alice.jid, lambda document: endpoint(document, "Bob").status == "connected")


@with_policy("policy", [CAREFUL])
async def test_who_stops_waiting_is_pending_no_more(meeting: Meeting) -> None:
    meeting.rooms.room("tea").come("Alice", ALICE)
    alice, bob = await meeting.join(ALICE), meeting.caller(BOB)
    await meeting.call(bob)
    await meeting.readers.document(alice.jid, names("Alice", "bob"))
    bob.sessions[0].hangup(Reason.of("cancel"))
    await meeting.readers.document(alice.jid, names("Alice"))


@with_policy("policy", [replace(EAGER, farewell=3600.0)])
async def test_who_has_hung_up_is_disconnected_for_a_while(meeting: Meeting) -> None:
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    bob.sessions[0].hangup(Reason.of("success"))
    document = await meeting.readers.document(
        alice.jid, lambda document: "bob" in users(document) and endpoint(document, "bob").status == "disconnected"
    )
    assert endpoint(document, "bob").disconnection_method == "departed"
    assert endpoint(document, "bob").media == ()
    await meeting.join(BOB)
    await meeting.readers.document(alice.jid, lambda document: endpoint(document, "bob").status == "connected")


@with_policy("policy", [replace(EAGER, farewell=0.01)])
async def test_who_was_disconnected_is_gone_after_a_while(meeting: Meeting) -> None:
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    bob.sessions[0].hangup(Reason.of("success"))
    await meeting.readers.document(alice.jid, names("alice"))
    assert not meeting.conference().roster.departed


@with_policy("policy", [replace(EAGER, farewell=3600.0)])
async def test_who_is_thrown_out_is_told_as_that(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Bob", BOB)
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    room.go("Bob", Departure.KICKED)
    await bob.owners[0].until_ended()
    document = await meeting.readers.document(
        alice.jid, lambda document: endpoint(document, "bob").status == "disconnected"
    )
    assert endpoint(document, "bob").disconnection_method == "booted"


@with_policy("reason", ["connectivity-error", "timeout", "expired"])
@with_policy("policy", [replace(EAGER, farewell=3600.0)])
async def test_whose_call_fails_is_told_as_that(meeting: Meeting, reason: str) -> None:
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    bob.sessions[0].hangup(Reason.of(reason))
    document = await meeting.readers.document(
        alice.jid, lambda document: endpoint(document, "bob").status == "disconnected"
    )
    assert endpoint(document, "bob").disconnection_method == "failed"
    info = endpoint(document, "bob").disconnection_info
    assert info is not None
    assert info.reason == reason


def says(word: str) -> Callable[[ConferenceInfo], bool]:
    return lambda document: word in document.to_string()


def with_subject(subject: str) -> Callable[[ConferenceInfo], bool]:
    return lambda document: document.description is not None and (document.description.subject or "") == subject


async def test_the_subject_is_told(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    for subject in ("Biscuits", "", "s" * 100_000):
        meeting.rooms.room("tea").set_subject(subject)
        await meeting.readers.document(alice.jid, with_subject(subject[:1000]))


async def test_names_follow_the_anonymity_of_the_room(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = await meeting.join(ALICE)
    document = await meeting.readers.document(alice.jid, names("Alice"))
    assert users(document)["Alice"].entity == "xmpp:tea@rooms.example.org/Alice"
    assert "alice@example.org" not in document.to_string()
    room.set_public(True)
    document = await meeting.readers.document(
        alice.jid, lambda document: users(document)["Alice"].entity == "xmpp:alice@example.org"
    )
    assert endpoint(document, "Alice").entity == f"xmpp:{ALICE}"
    room.set_public(False)
    await meeting.readers.document(alice.jid, lambda document: "alice@example.org" not in document.to_string())


@with_policy("policy", [SEVERAL])
async def test_two_calls_of_one_person_are_two_endpoints_of_one_user(meeting: Meeting) -> None:
    meeting.rooms.room("tea").come("Alice", ALICE)
    alice = await meeting.join(ALICE)
    await meeting.join("alice@example.org/kitchen")
    document = await meeting.readers.document(
        alice.jid, lambda document: len(users(document).get("Alice", users(document)["Alice"]).endpoints) == 2
    )
    first, second = users(document)["Alice"].endpoints
    assert first.entity != second.entity


async def test_a_participant_that_is_a_focus_is_shown_with_the_conference_that_it_tells_of(meeting: Meeting) -> None:
    meeting.rooms.room("tea").set_public(True)
    bob = meeting.caller(BOB)
    bob.isfocus = True
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    focus, sid = JID("tea", DOMAIN), bob.sessions[0].sid

    async def shown(cascaded: str | None) -> None:
        await meeting.readers.document(alice.jid, lambda document: users(document)["bob"].cascaded_focus == cascaded)

    def told(version: int, state: str = "full", entity: str = "xmpp:milk@elsewhere.example") -> None:
        news = ConferenceInfo.model_validate({"entity": entity, "state": state, "version": version, "sid": sid})
        meeting.application.document_from(focus, bob.jid, news)

    await shown(f"xmpp:{BOB}")
    told(1)
    await shown("xmpp:milk@elsewhere.example")
    told(2, "partial")
    with pytest.raises(WrongState):
        told(4, "partial")
    told(5, entity="not an address")
    await settled()
    await shown("xmpp:milk@elsewhere.example")
    bob.sessions[0].mix(False)
    await shown(None)


def shows(name: str) -> Callable[[ConferenceInfo], bool]:
    return lambda document: name in users(document)


def lacks(name: str) -> Callable[[ConferenceInfo], bool]:
    return lambda document: name not in users(document)


async def test_rooms_that_are_joined_with_each_other_show_each_other(meeting: Meeting) -> None:
    for room in ("tea", "milk"):
        meeting.rooms.room(room).set_public(True)
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB, "milk")
    tea, milk = JID("tea", DOMAIN), JID("milk", DOMAIN)
    await meeting.admin.command(tea, Join(mixer_name="milk"))
    both = ((alice, milk), (bob, tea))
    for one, other in both:
        document = await meeting.readers.document(one.jid, shows(other.local))
        assert users(document)[other.local].cascaded_focus == other.uri
    await meeting.admin.command(milk, Unjoin(mixer_name="tea"))
    for one, other in both:
        await meeting.readers.document(one.jid, lacks(other.local))


async def test_documents_of_those_who_take_no_part_are_not_read(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    sid = alice.sessions[0].sid
    for room, peer, session in (("tea", BOB, sid), ("tea", ALICE, "other"), ("milk", ALICE, sid)):
        news = ConferenceInfo(entity="xmpp:milk@elsewhere.example", version=1, sid=session)
        with pytest.raises(ItemNotFound):
            meeting.application.document_from(JID(room, DOMAIN), JID.parse(peer), news)
    await meeting.readers.document(alice.jid, lambda document: users(document)["alice"].cascaded_focus is None)


async def test_who_is_unjoined_is_told_that_it_is_no_conference_any_more(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    call = meeting.call_of(alice)
    await meeting.admin.command(call, Unjoin(mixer_name="tea"))
    await alice.owners[0].until(("focus", False))
    await meeting.admin.command(call, Join(mixer_name="tea"))
    await alice.owners[0].until(lambda _: [each for each in alice.owners[0].entries if each == ("focus", True)][1:])
    alice.sessions[0].hangup(Reason.of("success"))
    await alice.owners[0].until_ended()
    assert alice.owners[0].entries.count(("focus", False)) == 1


# --- who is told ---


async def test_only_those_who_read_documents_get_them(meeting: Meeting) -> None:
    meeting.features[JID.parse(ALICE)] = frozenset({"urn:xmpp:jingle:1"})
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    await meeting.readers.document(bob.jid, names("alice", "bob"))
    await settled()
    assert meeting.readers.of(alice.jid) == []


async def test_a_peer_that_refuses_documents_stays_in_the_call(meeting: Meeting) -> None:
    meeting.readers.answers[JID.parse(ALICE)] = lambda: ServiceUnavailable()
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    await meeting.readers.document(bob.jid, names("alice", "bob"))
    meeting.rooms.room("tea").set_subject("Biscuits")
    await meeting.readers.document(bob.jid, lambda document: "Biscuits" in document.to_string())
    assert len(meeting.readers.of(alice.jid)) == 1
    assert not alice.sessions[0].ended


async def test_versions_count_each_session_by_one(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    bob = await meeting.join(BOB)
    for word in ("one", "two", "three"):
        meeting.rooms.room("tea").set_subject(word)
        for caller in (alice, bob):
            await meeting.readers.document(caller.jid, says(word))
    for caller in (alice, bob):
        versions = [document.version for document in meeting.readers.of(caller.jid)]
        assert versions == list(range(1, len(versions) + 1))
    first = meeting.application.document_for(JID("tea", DOMAIN), alice.jid, alice.sessions[0].sid)
    assert first is not None
    assert first.version == len(meeting.readers.of(alice.jid)) + 1


async def test_who_is_taken_into_another_conference_is_told_of_that_in_the_same_session(meeting: Meeting) -> None:
    """One after the other, as it is in both for a moment: of two nobody could tell what a version belongs to."""
    await meeting.join(ALICE)
    bob = await meeting.join(BOB)
    call = meeting.call_of(bob)
    await meeting.readers.document(bob.jid, names("alice", "bob"))
    await meeting.admin.command(call, Join(mixer_name="milk"))
    await eventually(lambda: call in meeting.conference("milk").roster.participants)
    meeting.rooms.room("tea").set_subject("Biscuits")
    await meeting.readers.document(bob.jid, lambda document: "Biscuits" in document.to_string())
    await meeting.admin.command(call, Unjoin(mixer_name="tea"))
    document = await meeting.readers.document(bob.jid, names("bob"))
    assert document.entity == f"xmpp:milk@{DOMAIN}"
    asked = meeting.application.document_for(JID("tea", DOMAIN), bob.jid, bob.sessions[0].sid)
    assert asked is not None
    assert as_read(asked).entity == document.entity
    versions = [document.version for document in meeting.readers.of(bob.jid)]
    assert versions == list(range(1, len(versions) + 1))


async def test_who_wants_no_documents_gets_none_when_joined_again(meeting: Meeting) -> None:
    meeting.readers.answers[JID.parse(BOB)] = lambda: ServiceUnavailable()
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    call = meeting.call_of(bob)
    await eventually(lambda: len(meeting.readers.of(bob.jid)) == 1)
    await meeting.admin.command(call, Unjoin(mixer_name="tea"))
    await meeting.readers.document(alice.jid, names("alice"))
    await meeting.admin.command(call, Join(mixer_name="tea"))
    await meeting.readers.document(alice.jid, names("alice", "bob"))
    await settled()
    assert len(meeting.readers.of(bob.jid)) == 1


async def test_a_document_is_given_to_who_asks_for_their_own(meeting: Meeting) -> None:
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    focus, sid = JID("tea", DOMAIN), alice.sessions[0].sid
    await meeting.readers.document(alice.jid, names("alice", "bob"))
    answer = meeting.application.document_for(focus, alice.jid, sid)
    assert answer is not None
    document = as_read(answer)
    assert document.state == "full"
    assert sorted(users(document)) == ["alice", "bob"]
    assert document.sid == sid
    assert meeting.application.document_for(focus, bob.jid, sid) is None
    assert meeting.application.document_for(JID("milk", DOMAIN), alice.jid, sid) is None
    assert meeting.application.document_for(JID("", DOMAIN), alice.jid, sid) is None


async def test_everybody_is_told_again_when_the_room_is_back(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    await meeting.readers.document(alice.jid, lambda document: endpoint(document, "alice").status == "connected")
    before = len(meeting.readers.of(alice.jid))
    meeting.conference().room_rejoined()
    await eventually(lambda: len(meeting.readers.of(alice.jid)) == before + 1)


# --- leaving ---


async def test_who_hangs_up_is_gone(meeting: Meeting) -> None:
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    bob.sessions[0].hangup(Reason.of("success"))
    await meeting.readers.document(alice.jid, names("alice"))
    assert len(meeting.conference().documents._notifications) == 1


@with_policy("policy", [replace(EAGER, linger=0.01)])
async def test_the_room_is_left_when_nobody_calls_any_more(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    room = meeting.rooms.room("tea")
    alice.sessions[0].hangup(Reason.of("success"))
    async with asyncio.timeout(60):
        await room.left.wait()
    await eventually(lambda: not meeting.application.conferences)
    assert meeting.focus.is_empty()


@with_policy("policy", [replace(EAGER, linger=0.05)])
async def test_a_busy_room_does_not_keep_us(meeting: Meeting) -> None:
    alice = await meeting.join(ALICE)
    room = meeting.rooms.room("tea")
    alice.sessions[0].hangup(Reason.of("success"))
    async with asyncio.timeout(60):
        for number in range(10_000):
            if room.left.is_set():
                break
            room.come(f"visitor {number}")
            await asyncio.sleep(0.01)
    assert room.left.is_set()


@with_policy("policy", [replace(EAGER, linger=0.0)])
async def test_we_stay_while_somebody_is_being_called(meeting: Meeting) -> None:
    bob = meeting.caller(BOB)
    bob.answering = lambda session: session.ring()
    await meeting.admin.dial(Dial(to=f"xmpp:{BOB}", joins=(Join(mixer_name="tea"),)))
    await bob.heard.until(lambda heard: True)
    await settled()
    assert meeting.application.conferences
    bob.sessions[0].accept()
    await meeting.readers.document(bob.jid, names("bob"))


@with_policy("policy", [SEVERAL])
@pytest.mark.parametrize("departure", [Departure.KICKED, Departure.BANNED, Departure.REMOVED])
async def test_who_is_thrown_out_of_the_room_is_out_of_the_call(meeting: Meeting, departure: Departure) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice, kitchen = await meeting.join(ALICE), await meeting.join("alice@example.org/kitchen")
    bob = await meeting.join(BOB)
    room.go("Alice", departure)
    assert (await alice.owners[0].until_ended()) == ("gone", True)
    assert (await kitchen.owners[0].until_ended()) == ("gone", True)
    await meeting.readers.document(bob.jid, names("bob"))
    assert not bob.sessions[0].ended


async def test_who_is_thrown_out_before_their_media_are_there_is_out_too(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = meeting.caller(ALICE)
    alice.deaf = True  # so that their session-initiate does not follow our <proceed/>
    await meeting.call(alice)
    await alice.heard.until(lambda heard: isinstance(heard, Proceed))
    room.go("Alice", Departure.KICKED)
    await alice.heard.until(lambda heard: isinstance(heard, Reject))
    await eventually(meeting.has_no_calls)


@with_policy("policy", [SEVERAL])
async def test_a_device_that_leaves_the_room_leaves_the_call_and_others_of_its_owner_do_not(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice, kitchen = await meeting.join(ALICE), await meeting.join("alice@example.org/kitchen")
    room.go("Alice")
    assert (await alice.owners[0].until_ended()) == ("gone", True)
    assert not kitchen.sessions[0].ended


async def test_who_was_taken_elsewhere_is_not_concerned_by_what_happens_in_the_room(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    room.come("Bob", BOB)
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    calls = meeting.call_of(alice), meeting.call_of(bob)
    for call in calls:
        await meeting.admin.command(call, Join(mixer_name="milk"))
        await meeting.admin.command(call, Unjoin(mixer_name="tea"))
    await eventually(lambda: not meeting.conference("tea").roster.participants)
    room.go("Alice")
    room.go("Bob", Departure.KICKED)
    await asyncio.sleep(10)  # of no clock
    room.lose(Departure.DESTROYED)
    await settled()
    assert meeting.conference("milk").roster.participants.keys() == set(calls)
    assert not any(each.sessions[0].ended for each in (alice, bob))


@pytest.mark.parametrize("departure", [Departure.LEFT, Departure.LOST])
async def test_a_server_that_takes_everybody_with_it_ends_no_call(meeting: Meeting, departure: Departure) -> None:
    room = meeting.rooms.room("tea")
    room.come("Alice", ALICE)
    alice = await meeting.join(ALICE)
    room.go("Alice", departure)
    meeting.interruptions += 1
    conference = meeting.conference()
    await eventually(
        lambda: len(conference._errands) == len(conference.documents._notifications)
    )  # nobody is about to hang up
    assert not alice.sessions[0].ended


async def test_who_could_not_be_asked_what_he_reads_is_asked_again_when_we_are_back(meeting: Meeting) -> None:
    meeting.features[JID.parse(ALICE)] = frozenset()  # as is said of everybody while there is no session
    alice = await meeting.join(ALICE)
    await settled()
    assert not meeting.readers.of(alice.jid)
    del meeting.features[alice.jid]
    meeting.rooms.room("tea").come_back()
    await meeting.readers.document(alice.jid, names("alice"))


@pytest.mark.parametrize("departure", [Departure.BANNED, Departure.REMOVED])
async def test_the_conference_ends_with_its_room(meeting: Meeting, departure: Departure) -> None:
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    meeting.rooms.room("tea").lose(departure)
    for caller in (alice, bob):
        assert (await caller.owners[0].until_ended()) == ("gone", True)
    await eventually(lambda: not meeting.conference().calls)


async def test_a_crash_of_one_thing_does_not_end_the_conference(
    meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await meeting.join(ALICE)
    conference = meeting.conference()

    async def break_down() -> None:
        raise ZeroDivisionError

    conference.do(break_down)
    conference.spawn(meeting.call_of(alice), break_down)
    bob = await meeting.join(BOB)
    await meeting.readers.document(alice.jid, names("alice", "bob"))
    assert not bob.sessions[0].ended
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == 2


async def test_a_conference_that_crashes_altogether_ends_its_calls(
    meeting: Meeting, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await meeting.join(ALICE)
    conference = meeting.conference()

    async def break_down() -> bool:
        raise ZeroDivisionError

    conference._next = break_down  # type: ignore[method-assign]
    meeting.rooms.room("tea").come("somebody")
    assert (await alice.owners[0].until_ended()) == ("general-error", True)
    await eventually(lambda: not meeting.application.conferences)


async def test_commands_of_others_do_not_reach_the_calls_of_a_conference(meeting: Meeting) -> None:
    from focus.wire.conditions import NotTheOwner

    alice = await meeting.join(ALICE)
    stranger = Client(meeting.focus, "tybalt@example.org/sword")
    for command in (Hangup(), Answer(), Join(mixer_name="milk"), Unjoin()):
        with pytest.raises(NotTheOwner):
            await stranger.command(meeting.call_of(alice), command)


async def test_the_end_of_the_service_ends_calls_in_every_state() -> None:
    meeting = Meeting(Policy(strangers=False, linger=3600, entry_wait=3600, coalesce=0))
    await meeting.start()
    meeting.rooms.room("tea").come("Alice", ALICE)
    await meeting.join(ALICE)
    waiting = meeting.caller(BOB)
    await meeting.call(waiting)
    await waiting.owners[0].until("ringing")
    await meeting.stop()
    assert (await waiting.owners[0].until_ended())[1]


# --- who has a say ---


async def test_a_moderator_commands_the_mixer_and_the_calls_of_the_room(meeting: Meeting) -> None:
    alice, bob = await meeting.join(ALICE), await meeting.join(BOB)
    room = meeting.rooms.room("tea")
    room.come("alice", ALICE, role="moderator")
    moderator = meeting.focus.client("alice@example.org/rayo")
    mixer, call = meeting.focus.addresses.mixer("tea"), meeting.call_of(bob)

    await moderator.command(mixer, Join(call_uri=call.uri, direction="send"))  # he hears, and is not heard
    await meeting.readers.document(alice.jid, lambda one: endpoint(one, "bob").status == "muted-via-focus")
    await moderator.command(call, Join(mixer_name="tea"))
    await meeting.readers.document(alice.jid, lambda one: endpoint(one, "bob").status == "connected")

    room.change("alice", role="participant")
    await settled()
    with pytest.raises(ItemNotFound):
        await moderator.command(mixer, Unjoin())
    with pytest.raises(NotTheOwner):
        await moderator.command(call, Hangup())

    room.change("alice", affiliation="admin")
    await settled()
    await moderator.command(call, Hangup())
    await meeting.readers.document(alice.jid, names("alice"))


async def test_who_has_no_say_does_not_find_the_mixer(meeting: Meeting) -> None:
    moderator = meeting.focus.client("alice@example.org/rayo")
    meeting.rooms.room("tea").come("alice", ALICE, role="moderator")
    await meeting.join(BOB)
    other = meeting.focus.client("carol@example.org/rayo")
    for client in (other, meeting.focus.client("bob@example.org/rayo")):
        with pytest.raises(ItemNotFound):
            await client.command(meeting.focus.addresses.mixer("tea"), Unjoin())
    await moderator.command(meeting.focus.addresses.mixer("tea"), Unjoin())
    await eventually(lambda: not meeting.conference().roster.participants)
