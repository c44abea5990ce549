"""Which session a stanza belongs to."""

import pytest

from focus.jingle.peer import PeerSession
from focus.jingle.table import SessionTable
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.jingle_message import JMI_0, Dialect, Finish, Migrated, Proceed, Propose
from focus.wire.rtp import Description

from .pair import Air, End, Owner, Wire

ROOM = JID.parse("room@focus.example.org")
DESK, PHONE = JID.parse("alice@example.org/desk"), JID.parse("alice@example.org/phone")


@pytest.fixture
def focus(wire: Wire, air: Air) -> End:
    return End(wire, str(ROOM.with_resource("focus")), air.leg)


def called(end: End, peer: JID, sid: str) -> PeerSession:
    propose = Propose(id=sid, descriptions=(Description(media="audio"),))
    session = PeerSession.incoming(
        local=end.jid, peer=peer, first=propose, outbox=end, legs=end.legs, observer=Owner(), isfocus=True
    )
    end.sessions.append(session)
    return session


def calling(end: End, to: JID, sid: str, dialect: Dialect | None = JMI_0) -> PeerSession:
    session, _ = end.call(to, dialect, sid=sid)
    return session


async def test_a_session_is_known_by_our_address_the_peers_full_jid_and_the_sid(focus: End) -> None:
    table, session = SessionTable(), called(focus, DESK, "s")
    table.add(session)
    assert table.for_jingle(ROOM, DESK, "s") is session
    assert table.for_jingle(ROOM.with_resource("focus"), DESK, "s") is session
    assert table.for_jingle(ROOM, PHONE, "s") is None
    assert table.for_jingle(ROOM, DESK.bare, "s") is None
    assert table.for_jingle(ROOM, DESK, "t") is None
    assert table.for_jingle(JID.parse("other@focus.example.org"), DESK, "s") is None


async def test_two_devices_with_the_same_sid_are_two_sessions(focus: End) -> None:
    table, first, second = SessionTable(), called(focus, DESK, "s"), called(focus, PHONE, "s")
    table.add(first)
    table.add(second)
    assert len(table) == 2
    assert table.for_jingle(ROOM, DESK, "s") is table.for_message(ROOM, DESK, "s") is first
    assert table.for_jingle(ROOM, PHONE, "s") is table.for_message(ROOM, PHONE, "s") is second
    table.discard(first)
    table.discard(first)
    assert list(table) == [second]
    table.discard(second)
    assert list(table) == []


async def test_any_device_may_answer_a_call_to_a_bare_jid_until_one_has(focus: End) -> None:
    session = calling(focus, DESK.bare, "s")
    table = focus.table
    assert table.for_message(ROOM, PHONE, "s") is session
    assert table.for_message(ROOM, DESK, "s") is session
    assert table.for_jingle(ROOM, DESK, "s") is None
    await session.start()
    session.receive_message(DESK, Proceed(id="s"))
    assert table.for_jingle(ROOM, DESK, "s") is session
    assert table.for_message(ROOM, DESK, "s") is session
    assert table.for_message(ROOM, PHONE, "s") is None
    assert table.for_message(ROOM, DESK.bare, "s") is session
    table.discard(session)
    assert len(table) == 0


async def test_calls_at_once_are_contested_by_sid(focus: End) -> None:
    session = calling(focus, DESK.bare, "m")
    assert focus.table.contest(ROOM, JID.parse("bob@example.org/x"), "z", proposed=True)
    assert not focus.table.contest(ROOM, PHONE, "z", proposed=True)
    assert not session.ended
    assert focus.table.contest(ROOM, PHONE, "a", proposed=True)
    assert session.ended
    assert focus.table.contest(ROOM, PHONE, "z", proposed=True)


async def test_of_two_calls_with_one_sid_that_of_the_lower_jid_stands(focus: End) -> None:
    """XEP-0353 section 4.1, and nothing is said that would be said of the other call."""
    ours = calling(focus, DESK.bare, "s")
    await ours.start()
    assert focus.table.contest(ROOM, DESK, "s", proposed=True)
    assert ours.ended
    await ours.closed()
    assert focus.names_said() == ["propose"]
    stronger = calling(focus, JID.parse("zoe@example.org"), "s")
    assert not focus.table.contest(ROOM, JID.parse("zoe@example.org/x"), "s", proposed=True)
    assert not stronger.ended


@pytest.mark.parametrize("sid", ["a", "z"])
async def test_a_call_that_a_device_has_taken_goes_on_as_the_one_that_another_proposes(focus: End, sid: str) -> None:
    """XEP-0353 section 4.2: it is accepted, so the sid decides nothing."""
    ours = calling(focus, DESK.bare, "m")
    await ours.start()
    ours.receive_message(DESK, Proceed(id="m"))
    assert ours.taken
    assert focus.table.contest(ROOM, PHONE, sid, proposed=True)
    await ours.closed()
    finish = focus.said[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == Reason.of("expired", "Session migrated")
    assert finish.migrated == Migrated(to=sid)


async def test_who_begins_without_a_proposal_is_a_second_endpoint(focus: End) -> None:
    ours = calling(focus, DESK.bare, "m")
    await ours.start()
    ours.receive_message(DESK, Proceed(id="m"))
    assert ours.taken
    for sid in ("a", "z"):
        assert focus.table.contest(ROOM, PHONE, sid, proposed=False)
    assert not ours.ended


async def test_people_who_share_a_bare_jid_are_no_rivals(focus: End) -> None:
    tea = "tea@rooms.example.org"
    ours = calling(focus, JID.parse(f"{tea}/alice"), "m", None)
    table = SessionTable(lambda peer: peer)
    table.add(ours)
    for sid in ("a", "z"):
        assert table.contest(ROOM, JID.parse(f"{tea}/bob"), sid, proposed=False)
    assert not ours.ended
    assert not table.contest(ROOM, JID.parse(f"{tea}/alice"), "z", proposed=False)


async def test_an_invitation_that_is_over_is_known_for_a_while(focus: End, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("focus.jingle.table.MAX_SPENT", 2)
    theirs, ours = called(focus, DESK, "s"), calling(focus, DESK.bare, "t")
    table = focus.table
    table.add(theirs)
    assert not table.is_spent(ROOM, DESK, "s")
    table.discard(theirs)
    table.discard(ours)
    assert table.is_spent(ROOM.with_resource("focus"), DESK, "s")
    assert table.is_withdrawn(ROOM, DESK, "t")
    assert table.is_withdrawn(ROOM, PHONE, "t")
    assert table.is_spent(ROOM, DESK, "t"), "nobody else may use what was ours"
    for peer, sid in ((PHONE, "s"), (DESK, "u")):
        assert not table.is_spent(ROOM, peer, sid)
    assert not table.is_withdrawn(ROOM, DESK, "s")
    table.discard(called(focus, PHONE, "u"))
    assert not table.is_spent(ROOM, DESK, "s")
    assert table.is_spent(ROOM, PHONE, "u")


async def test_a_call_that_was_answered_is_no_rival(focus: End, alice: End) -> None:
    session, owner = focus.call(alice.jid.bare, JMI_0, sid="m")
    await session.start()
    await owner.until("connected")
    assert focus.table.contest(ROOM, alice.jid, "a", proposed=True)
    assert focus.table.contest(ROOM, alice.jid, "z", proposed=True)
    assert not session.ended
    session.hangup(Reason.of("success"))
