"""A participant who goes on from another device, or calls anew from the same one (XEP-0353 section 4.2)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from focus.conference.roster import Roster
from focus.jingle.negotiation import DtlsRole
from focus.jingle.peer import PeerSession
from focus.jingle.surroundings import Leg, LegObserver
from focus.media.plane import Direction
from focus.wire.conference_info import ConferenceInfo, Endpoint
from focus.wire.ice import Transport
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle, Reason
from focus.wire.jingle_message import JMI_0, JMI_1, Dialect, Finish, Reject
from focus.wire.rayo import Command, Dial, Join, Unjoin
from focus.wire.rtp import Mute, Unmute
from focus.wire.session import Move, Silence
from tests.jingle.pair import End as Caller
from tests.jingle.pair import FakeLeg
from tests.rayo.scene import DOMAIN, eventually, settled
from tests.rayo.test_in_band import Desk

from .conftest import EAGER
from .scene import Meeting, names, users

DESK, KITCHEN, GARDEN = (f"alice@example.org/{device}" for device in ("desk", "kitchen", "garden"))
BOB = "bob@example.org/phone"
TEA = JID("tea", DOMAIN)
DIALECTS = pytest.mark.parametrize("dialect", [JMI_0, JMI_1])
with_policy = pytest.mark.parametrize


def leg_of(session: PeerSession) -> FakeLeg:
    assert isinstance(session.leg, FakeLeg)
    return session.leg


def endpoints(document: ConferenceInfo, name: str = "alice") -> tuple[Endpoint, ...]:
    return users(document)[name].endpoints


def carried_by(*sessions: PeerSession) -> Callable[[ConferenceInfo], bool]:
    """Whether the calls of alice are these."""

    def is_so(document: ConferenceInfo) -> bool:
        found = users(document)["alice"].endpoints if "alice" in users(document) else ()
        jingles = [each.call_info.jingle for each in found if each.call_info is not None]
        calls = [each.sid for each in jingles if each is not None]
        return calls == [session.sid for session in sessions]

    return is_so


def far_end(meeting: Meeting, session: PeerSession) -> PeerSession:
    """Of a session of alice's, that of the focus."""
    calls = meeting.focus.server.directory.calls()
    return next(call.session for call in calls if call.session is not None and call.session.sid == session.sid)


async def propose(meeting: Meeting, jid: str, dialect: Dialect = JMI_0) -> PeerSession:
    """Another device calls; nothing is waited for."""
    device = meeting.net.ends.get(JID.parse(jid)) or meeting.caller(jid)
    session, _ = device.call(TEA, dialect)
    await session.start()
    return session


def hold_back_media(meeting: Meeting, jid: str) -> asyncio.Event:
    """The legs of `jid` wait for the event before they let themselves be heard."""
    device = meeting.net.ends.get(JID.parse(jid)) or meeting.caller(jid)
    gate, make = asyncio.Event(), device.legs

    def patient(*, controlling: bool, observer: LegObserver) -> Leg:
        leg = make(controlling=controlling, observer=observer)
        connect = leg.connect

        async def wait(remote: Transport, *, dtls_role: DtlsRole) -> None:
            await gate.wait()
            await connect(remote, dtls_role=dtls_role)

        leg.connect = wait  # type: ignore[method-assign]
        return leg

    device.legs = patient
    return gate


@pytest.fixture
async def desk(meeting: Meeting) -> Caller:
    """Alice is in the conference, and so is Bob, who reads of her."""
    meeting.rooms.room("tea").real_jids_are_public = True
    desk = await meeting.join(DESK)
    bob = await meeting.join(BOB)
    await meeting.readers.document(bob.jid, names("alice", "bob"))
    return desk


BOB_JID = JID.parse(BOB)


@DIALECTS
async def test_who_proposes_from_another_device_goes_on_there(meeting: Meeting, desk: Caller, dialect: Dialect) -> None:
    seen = len(meeting.readers.of(BOB_JID))
    old = desk.sessions[-1]
    new = await propose(meeting, KITCHEN, dialect)
    await meeting.readers.document(BOB_JID, carried_by(new))
    assert await desk.owners[-1].until_ended() == ("expired", True)
    await desk.heard.until(lambda each: isinstance(each, Finish))
    (terminate,) = [each for each in desk.heard.entries if isinstance(each, Jingle) and each.reason]
    assert terminate.action is Action.SESSION_TERMINATE
    assert terminate.reason == Reason.of("expired", "Session migrated")
    (finish,) = [each for each in desk.heard.entries if isinstance(each, Finish)]
    assert (finish.id, finish.dialect) == (old.sid, JMI_0)
    assert finish.reason == Reason.of("expired", "Session migrated")
    assert finish.migrated is not None
    assert finish.migrated.to == new.sid
    kitchen = meeting.caller_at(KITCHEN)
    assert not any(isinstance(each, Finish | Reject) for each in kitchen.heard.entries)
    assert leg_of(new).connected
    assert not leg_of(old).connected
    for document in meeting.readers.of(BOB_JID)[seen:]:
        told = document.users.users if document.users else ()
        assert all(user.state != "deleted" for user in told), "nobody has gone"
        counted = document.conference_state and document.conference_state.user_count
        assert counted in (None, 2)


async def test_the_last_one_is_in_the_mix_before_the_first_one_leaves_it(meeting: Meeting, desk: Caller) -> None:
    changes: list[tuple[str, int]] = []

    def noting(name: str, change: Callable[..., None]) -> Callable[..., None]:
        def noted(a: int, b: int, *rest: object) -> None:
            changes.append((name, a))
            change(a, b, *rest)

        return noted

    for name in ("join", "unjoin"):
        setattr(meeting.plane, name, noting(name, getattr(meeting.plane, name)))
    old = leg_of(far_end(meeting, desk.sessions[-1])).node
    new = await propose(meeting, KITCHEN)
    await meeting.readers.document(BOB_JID, carried_by(new))
    ((after, before),) = meeting.plane.succeeded
    assert before == old
    assert changes == [("join", after), ("unjoin", before)]


async def test_who_was_muted_by_keys_is_so_until_he_says_otherwise_where_there_are_none(
    meeting: Meeting, desk: Caller
) -> None:
    call = meeting.focus.call(meeting.call_of(desk))
    await meeting.admin.command(call.address, Silence(muted=True))
    Desk(meeting.net, KITCHEN, meeting.plane.create_leg)
    new = await propose(meeting, KITCHEN)
    document = await meeting.readers.document(BOB_JID, carried_by(new))
    assert [each.media[0].status for each in endpoints(document)] == ["recvonly"]
    leg = leg_of(far_end(meeting, new))
    assert not leg.silenced, "what he says is heard, and keys as sound"
    new.send_info(Unmute())
    await meeting.readers.document(
        BOB_JID, lambda seen: [each.media[0].status for each in endpoints(seen)] == ["sendrecv"]
    )


async def test_who_was_muted_stays_muted(meeting: Meeting, desk: Caller) -> None:
    await meeting.admin.command(meeting.call_of(desk), Join(mixer_name="tea", direction="recv"))
    seen = len(meeting.readers.of(BOB_JID))
    new = await propose(meeting, KITCHEN)
    document = await meeting.readers.document(BOB_JID, carried_by(new))
    assert [each.status for each in endpoints(document)] == ["muted-via-focus"]
    mixer = meeting.focus.mixer("tea")
    assert mixer is not None
    assert mixer.node is not None
    assert meeting.plane.direction(leg_of(far_end(meeting, new)).node, mixer.node) is Direction.RECV
    told = [user for each in meeting.readers.of(BOB_JID)[seen:] if each.users for user in each.users.users]
    assert "connected" not in {endpoint.status for user in told for endpoint in user.endpoints if user.endpoints}


async def test_who_had_muted_himself_is_so_until_the_new_device_says_otherwise(meeting: Meeting, desk: Caller) -> None:
    def shown(status: str) -> Callable[[ConferenceInfo], bool]:
        return lambda document: [each.media[0].status for each in endpoints(document) if each.media] == [status]

    desk.sessions[-1].send_info(Mute())
    await meeting.readers.document(BOB_JID, shown("recvonly"))
    new = await propose(meeting, KITCHEN)
    document = await meeting.readers.document(BOB_JID, carried_by(new))
    assert shown("recvonly")(document)
    new.send_info(Unmute())
    await meeting.readers.document(BOB_JID, shown("sendrecv"))

    new.send_info(Mute())
    await meeting.readers.document(BOB_JID, shown("recvonly"))
    newest = await propose(meeting, GARDEN)
    assert shown("recvonly")(await meeting.readers.document(BOB_JID, carried_by(newest)))
    call = next(
        each for each in meeting.focus.server.directory.calls() if each.session and each.session.sid == newest.sid
    )
    assert call.session is not None
    call.session.leg_speaking(True)
    await meeting.readers.document(BOB_JID, shown("sendrecv"))


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_raised_hand_stays_so_since_when_it_was(
    meeting: Meeting, desk: Caller, hangs_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    conference, gate = meeting.conference(), hold_back_media(meeting, KITCHEN)
    conference.raise_hands([meeting.call_of(desk)])
    (alice,) = conference.roster.hands
    update, seen = conference.update, set[int]()

    def noted(roster: Roster) -> None:
        seen.add(len(roster.hands))
        update(roster)

    monkeypatch.setattr(conference, "update", noted)
    new = await propose(meeting, KITCHEN)
    await eventually(lambda: new.leg is not None)
    if hangs_up:
        desk.sessions[-1].hangup(Reason.of("success"))
        await desk.owners[-1].until_ended()
    gate.set()
    await meeting.readers.document(BOB_JID, carried_by(new))
    (moved,) = conference.roster.hands
    assert (moved.peer, moved.hand) == (JID.parse(KITCHEN), alice.hand)
    assert seen == {1} or hangs_up
    conference.lower_hands([moved.call])
    new.send_info(Mute())
    await meeting.readers.document(
        BOB_JID, lambda document: [each.media[0].status for each in endpoints(document) if each.media] == ["recvonly"]
    )
    assert not conference.roster.hands


@with_policy("policy", [replace(EAGER, maximum=2)])
async def test_who_moves_needs_no_further_place(meeting: Meeting, desk: Caller) -> None:
    new = await propose(meeting, KITCHEN)
    await meeting.readers.document(BOB_JID, carried_by(new))


@with_policy("policy", [replace(EAGER, strangers=False)])
async def test_who_is_in_the_call_may_move_to_a_device_that_is_not_in_the_room(meeting: Meeting) -> None:
    room = meeting.rooms.room("tea")
    room.come("alice", DESK, role="moderator")
    room.come("bob", BOB)
    room.real_jids_are_public = True
    await meeting.join(DESK)
    await meeting.join(BOB)
    new = await propose(meeting, KITCHEN)
    document = await meeting.readers.document(BOB_JID, carried_by(new))
    roles = users(document)["alice"].roles
    assert roles is not None
    assert roles.entries == ("moderator",)


async def test_a_device_that_does_not_get_there_changes_nothing(meeting: Meeting, desk: Caller) -> None:
    hold_back_media(meeting, KITCHEN)
    old, new = desk.sessions[-1], await propose(meeting, KITCHEN)
    await eventually(lambda: new.leg is not None)
    new.hangup(Reason.of("cancel"))
    await new.closed()
    await settled()
    assert carried_by(old)(await meeting.readers.document(BOB_JID, names("alice", "bob")))
    assert leg_of(old).connected


async def test_who_hangs_up_before_the_other_device_is_there_enters_with_it(meeting: Meeting, desk: Caller) -> None:
    await meeting.admin.command(meeting.call_of(desk), Join(mixer_name="tea", direction="recv"))
    gate = hold_back_media(meeting, KITCHEN)
    new = await propose(meeting, KITCHEN)
    await eventually(lambda: new.leg is not None)
    desk.sessions[-1].hangup(Reason.of("success"))
    await desk.owners[-1].until_ended()
    gate.set()
    document = await meeting.readers.document(BOB_JID, carried_by(new))
    await meeting.readers.document(
        BOB_JID, lambda document: [each.status for each in endpoints(document)] == ["muted-via-focus"]
    )
    assert document.users is not None


@pytest.mark.parametrize("dialect", [JMI_0, JMI_1, None])
async def test_who_calls_anew_from_the_same_device_is_there_once(
    meeting: Meeting, desk: Caller, dialect: Dialect | None
) -> None:
    old = desk.sessions[-1]
    new, owner = desk.call(TEA.with_resource("focus") if dialect is None else TEA, dialect)
    await new.start()
    await owner.until("connected")
    document = await meeting.readers.document(BOB_JID, carried_by(new))
    assert len(endpoints(document)) == 1
    await desk.owners[0].until_ended()
    assert not leg_of(old).connected


async def test_of_several_devices_the_one_that_proposed_last_has_the_call(meeting: Meeting, desk: Caller) -> None:
    gates = [hold_back_media(meeting, jid) for jid in (KITCHEN, GARDEN)]
    first, last = await propose(meeting, KITCHEN), await propose(meeting, GARDEN)
    await eventually(lambda: first.leg is not None and last.leg is not None)
    gates[1].set()
    await meeting.readers.document(BOB_JID, carried_by(last))
    gates[0].set()
    for jid in (DESK, KITCHEN):
        assert await meeting.caller_at(jid).owners[-1].until_ended() == ("expired", True)
    await settled()
    assert carried_by(last)(await meeting.readers.document(BOB_JID, names("alice", "bob")))
    assert leg_of(last).connected


async def test_of_several_devices_each_may_get_there_before_the_next(meeting: Meeting, desk: Caller) -> None:
    gate = hold_back_media(meeting, GARDEN)
    first, last = await propose(meeting, KITCHEN), await propose(meeting, GARDEN)
    await meeting.readers.document(BOB_JID, carried_by(first))
    gate.set()
    await meeting.readers.document(BOB_JID, carried_by(last))
    await desk.owners[-1].until_ended()
    assert await meeting.caller_at(KITCHEN).owners[-1].until_ended() == ("expired", True)


async def test_two_devices_that_enter_at_once_are_one_participant(meeting: Meeting) -> None:
    meeting.rooms.room("tea").real_jids_are_public = True
    bob = await meeting.join(BOB)
    _, last = await propose(meeting, DESK), await propose(meeting, KITCHEN)
    assert await meeting.caller_at(DESK).owners[-1].until_ended() == ("expired", True)
    await meeting.readers.document(bob.jid, carried_by(last))


async def test_somebody_whom_we_have_called_may_move_too(meeting: Meeting) -> None:
    meeting.rooms.room("tea").real_jids_are_public = True
    desk, _ = meeting.caller(DESK), await meeting.join(BOB)
    await meeting.admin.dial(Dial(to=f"xmpp:{JID.parse(DESK).bare}", joins=(Join(mixer_name="tea"),)))
    await meeting.readers.document(BOB_JID, names("alice", "bob"))
    new = await propose(meeting, KITCHEN)
    await meeting.readers.document(BOB_JID, carried_by(new))
    assert await desk.owners[-1].until_ended() == ("expired", True)


async def test_who_begins_without_a_proposal_takes_part_twice(meeting: Meeting, desk: Caller) -> None:
    kitchen = meeting.caller(KITCHEN)
    new, owner = kitchen.call(TEA.with_resource("focus"), None)
    await new.start()
    await owner.until("connected")
    await meeting.readers.document(BOB_JID, carried_by(desk.sessions[-1], new))


async def test_who_calls_through_the_room_is_not_who_else_does(meeting: Meeting) -> None:
    first = await meeting.join("tea@rooms.example.org/alice")
    await meeting.join("tea@rooms.example.org/bob")
    document = await meeting.readers.document(first.jid, names("alice", "bob"))
    assert len(document.users.users if document.users else ()) == 2


async def test_a_gateway_calls_for_several_people(meeting: Meeting) -> None:
    await meeting.join("gateway.example.org/line")
    await meeting.join("gateway.example.org/line")
    assert len(meeting.conference().roster.participants) == 2


async def test_who_was_led_out_of_the_mix_is_moved_all_the_same(meeting: Meeting, desk: Caller) -> None:
    await meeting.admin.command(meeting.call_of(desk), Unjoin(mixer_name="tea"))
    await meeting.readers.document(BOB_JID, names("bob"))
    new = await propose(meeting, KITCHEN)
    await meeting.readers.document(BOB_JID, carried_by(new))
    assert await desk.owners[-1].until_ended() == ("expired", True)


@pytest.mark.parametrize("other", ["is_nowhere", "is_there", "is_ending"])
async def test_who_cannot_be_moved_is_heard_beside_unless_another_is(
    meeting: Meeting, desk: Caller, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conference, old = meeting.conference(), meeting.call_of(desk)
    command = conference.command
    if other != "is_nowhere":
        kitchen, owner = meeting.caller(KITCHEN).call(TEA.with_resource("focus"), None)
        await kitchen.start()
        await owner.until("connected")
        await meeting.readers.document(BOB_JID, carried_by(desk.sessions[-1], kitchen))

    async def refused(address: JID, given: Command) -> bool:
        if isinstance(given, Move) and address == old:
            return False
        if isinstance(given, Move) and other == "is_ending":
            kitchen.hangup(Reason.of("success"))
            await eventually(lambda: address not in [call.address for call in meeting.focus.server.directory.calls()])
        return await command(address, given)

    monkeypatch.setattr(conference, "command", refused)
    new = await propose(meeting, GARDEN)
    await meeting.readers.document(BOB_JID, carried_by(desk.sessions[-1], new))
    if other == "is_there":
        assert await meeting.caller_at(KITCHEN).owners[-1].until_ended() == ("expired", True)


@pytest.mark.parametrize("room", ["tea", "milk"])
async def test_who_was_brought_into_another_room_as_well_goes_on_in_both(
    meeting: Meeting, desk: Caller, room: str
) -> None:
    """Whichever of them is called."""

    def has(name: str, session: PeerSession, direction: str) -> bool:
        conferences = [each for each in meeting.application.conferences if each.name == name]
        people = [one.session for each in conferences for one in each.roster.participants.values()]
        return (session.sid, direction) in [(each.sid, each.direction) for each in people]

    old = desk.sessions[-1]
    await meeting.admin.command(meeting.call_of(desk), Join(mixer_name="milk", direction="send"))
    await eventually(lambda: has("milk", old, "send"))
    new, _ = meeting.caller(KITCHEN).call(JID(room, DOMAIN), JMI_0)
    await new.start()
    assert await desk.owners[-1].until_ended() == ("expired", True)
    await eventually(lambda: has("tea", new, "duplex") and has("milk", new, "send"))
    assert not has("tea", old, "duplex")
    await eventually(lambda: not has("milk", old, "send"))
