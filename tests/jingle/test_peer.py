"""Conversations of two sessions, each the far end of the other."""

import asyncio
import logging

import pytest

from focus.jingle.peer import MAX_QUESTIONS, LegFactory, PeerSession, Timeouts
from focus.wire.conditions import (
    BadRequest,
    OutOfOrder,
    ResourceConstraint,
    StanzaError,
    UnknownSession,
    UnsupportedInfo,
)
from focus.wire.jid import JID
from focus.wire.jingle import Action, Content, Jingle, Reason
from focus.wire.jingle_message import JMI_0, JMI_1, Dialect, Finish, Proceed, Propose, Reject, Retract, Ringing
from focus.wire.rtp import Active, Description, Hold, Mute, Unhold, Unmute
from focus.wire.rtp import Ringing as InfoRinging

from .pair import Air, End, FakeLeg, Owner, Wire, candidate

SUCCESS = Reason.of("success")
DIALECTS = pytest.mark.parametrize("dialect", [JMI_0, JMI_1])


async def connected_call(alice: End, bob: End, dialect: Dialect | None = JMI_0) -> tuple[PeerSession, Owner, Owner]:
    session, owner = alice.call(bob.jid.bare if dialect else bob.jid, dialect)
    await session.start()
    await owner.until("connected")
    await bob.owners[-1].until("connected")
    return session, owner, bob.owners[-1]


def leg_of(session: PeerSession) -> FakeLeg:
    assert isinstance(session.leg, FakeLeg)
    return session.leg


# --- conversations that go well ---


@pytest.mark.parametrize("dialect", [JMI_0, JMI_1, None])
async def test_a_call_from_propose_to_finish(
    wire: Wire, legs: tuple[LegFactory, LegFactory], dialect: Dialect | None
) -> None:
    alice, bob = End(wire, "alice@example.org/desk", legs[0]), End(wire, "bob@example.org/phone", legs[1])

    def answering(session: PeerSession) -> None:
        session.ring()
        session.accept()

    bob.answering = answering
    session, owner, far_owner = await connected_call(alice, bob, dialect)
    assert session.peer == bob.jid
    assert far_owner.entries == ["accepted", "connected"]
    assert owner.entries == ["ringing", "accepted", "connected"]

    session.hangup(SUCCESS)
    assert await far_owner.until_ended() == ("success", True)
    assert await owner.until_ended() == ("success", False)
    finish = [] if dialect is None else ["finish"]
    taken = {None: [], JMI_0: ["ringing", "proceed"], JMI_1: ["ringing", "accept"]}[dialect]
    proposed = [] if dialect is None else ["propose"]
    rang = ["session-info"] if dialect is None else []
    assert alice.names_said() == [*proposed, "session-initiate", "session-terminate", *finish]
    assert bob.names_said() == [*taken, *rang, "session-accept", *finish]
    await asyncio.gather(session.closed(), bob.sessions[0].closed())


async def test_the_side_that_is_called_may_hang_up_too(alice: End, bob: End) -> None:
    _session, owner, far_owner = await connected_call(alice, bob)
    bob.sessions[0].hangup(SUCCESS)
    assert await owner.until_ended() == ("success", True)
    assert await far_owner.until_ended() == ("success", False)
    assert leg_of(alice.sessions[0]).closed
    assert leg_of(bob.sessions[0]).closed


async def test_only_one_device_gets_the_session(wire: Wire, alice: End, bob: End, air: Air) -> None:
    tablet = End(wire, "bob@example.org/tablet", air.leg)
    tablet.answering = lambda session: session.ring()
    bob.answering = lambda session: session.ring()
    session, owner = alice.call(bob.jid.bare, JMI_0)
    await session.start()
    await owner.until("ringing")
    assert session.peer == bob.jid.bare
    await tablet.heard.until(lambda each: isinstance(each, Propose))
    tablet.sessions[0].accept()
    await owner.until("connected")
    assert session.peer == tablet.jid
    assert not any(isinstance(each, Jingle) for each in bob.heard.entries)


async def test_what_is_negotiated_reaches_both_legs(alice: End, bob: End) -> None:
    session, _, _ = await connected_call(alice, bob)
    near, far = leg_of(session), leg_of(bob.sessions[0])
    assert (near.role, far.role) == ("passive", "active")
    assert (near.controlling, far.controlling) == (True, False)
    assert near.codec is not None
    assert far.codec is not None
    assert near.codec.id == far.codec.id == 111
    assert near.codec.channels == far.codec.channels == 2
    assert near.level_extension == far.level_extension == 1
    assert near.mixed_extension is far.mixed_extension is None  # between two who mix there is nobody to read them
    for leg in (near, far):
        assert [(each.id, each.clockrate) for each in leg.telephone_events] == [(110, 48000), (101, 8000)]
    assert near.source_id == far.ssrc
    assert far.source_id == near.ssrc
    assert session.settled is not None
    assert session.settled.payload == near.codec


async def test_a_focus_says_so_in_initiate_and_accept(alice: End, bob: End) -> None:
    alice.isfocus = bob.isfocus = True
    _, owner, far_owner = await connected_call(alice, bob)
    assert owner.entries[0] == ("focus", True)
    assert far_owner.entries[0] == ("focus", True)


def marks(owner: Owner) -> list[bool]:
    return [entry[1] for entry in owner.entries if isinstance(entry, tuple) and entry[0] == "focus"]


async def test_a_session_that_becomes_a_conference_or_ceases_to_be_one_says_so(alice: End, bob: End) -> None:
    alice.isfocus = True
    session, _, far_owner = await connected_call(alice, bob)
    session.mix(False)
    await far_owner.until(("focus", False))
    session.mix(True)
    session.mix(False)  # too short to be told
    session.mix(True)
    await far_owner.until(lambda _: marks(far_owner) == [True, False, True])
    session.mix(False)
    session.hangup(SUCCESS)  # who goes has other things to say
    await far_owner.until_ended()
    assert marks(far_owner) == [True, False, True]


async def test_a_call_that_is_none_yet_says_in_time_what_it_is(alice: End, bob: End) -> None:
    bob.answering = lambda session: session.ring()
    session, _ = alice.call(bob.jid.bare, JMI_0)
    session.mix(True)
    await session.start()
    await bob.heard.until(lambda heard: isinstance(heard, Propose))
    bob.sessions[0].mix(True)
    bob.sessions[0].accept()
    await bob.owners[0].until("connected")
    assert marks(bob.owners[0]) == [True]
    assert marks(alice.owners[0]) == [True]


async def test_who_does_not_know_the_mark_of_a_focus_stays_in_the_call(alice: End, bob: End) -> None:
    """XEP-0166 section 6.8: `unsupported-info` is no reason to end."""
    session, _, far_owner = await connected_call(alice, bob)
    bob.refusing = lambda jingle: UnsupportedInfo() if jingle.focus else None
    session.mix(True)
    await bob.heard.until(lambda heard: isinstance(heard, Jingle) and heard.focus is not None)
    session.send_info(Mute())
    await far_owner.until(lambda entry: isinstance(entry, Mute))
    assert marks(far_owner) == []
    assert not session.ended


async def test_speaking_is_passed_on_until_the_end(alice: End, bob: End) -> None:
    session, owner, _ = await connected_call(alice, bob)
    leg_of(session).observer.leg_speaking(True)
    await owner.until(("speaking", True))
    session.hangup(SUCCESS)
    leg_of(session).observer.leg_speaking(False)
    await owner.until_ended()
    assert ("speaking", False) not in owner.entries


async def test_keys_are_passed_on_in_order(alice: End, bob: End) -> None:
    session, owner, _ = await connected_call(alice, bob)
    for key in "1#!":
        leg_of(session).observer.leg_pressed(key, 0.1)
    await owner.until(("pressed", "!", 0.1))
    pressed = [entry[1] for entry in owner.entries if isinstance(entry, tuple) and entry[0] == "pressed"]
    assert pressed == ["1", "#", "!"]


async def test_infos_are_told_and_hold_stops_the_sending(alice: End, bob: End) -> None:
    session, _, far_owner = await connected_call(alice, bob)
    far = leg_of(bob.sessions[0])
    for info, sending in ((Mute(), True), (Unmute(), True), (Hold(), False), (Unhold(), True), (Hold(), False)):
        session.send_info(info)
        seen = far_owner.count(info)
        await far_owner.until(lambda each, info=info, seen=seen: far_owner.count(info) > seen)
        assert far.sending is sending
    session.send_info(Active())
    await far_owner.until(Active())
    assert far.sending is True


async def test_a_mute_of_another_content_is_not_ours(alice: End, bob: End) -> None:
    session, _, far_owner = await connected_call(alice, bob)
    session.send_info(Mute(name="video", creator="initiator"))
    session.send_info(Mute(name="audio", creator="initiator"))
    await far_owner.until(Mute(name="audio", creator="initiator"))
    assert Mute(name="video", creator="initiator") not in far_owner.entries


# --- conversations that end early ---


@DIALECTS
async def test_a_rejected_call(alice: End, bob: End, dialect: Dialect) -> None:
    bob.answering = lambda session: session.reject(Reason.of("busy"))
    session, owner = alice.call(bob.jid.bare, dialect)
    await session.start()
    assert await owner.until_ended() == ("busy", True)
    assert await bob.owners[0].until_ended() == ("busy", False)
    assert alice.names_said() == ["propose"]
    assert bob.names_said() == ["reject"]


async def test_a_rejected_session_initiate_is_terminated(alice: End, bob: End) -> None:
    bob.answering = lambda session: session.reject(Reason.of("decline"))
    session, owner = alice.call(bob.jid, None)
    await session.start()
    assert await owner.until_ended() == ("decline", True)
    assert bob.names_said() == ["session-terminate"]
    assert leg_of(session).closed


async def test_a_caller_that_gives_up_retracts(alice: End, bob: End) -> None:
    bob.answering = lambda session: session.ring()
    session, owner = alice.call(bob.jid.bare, JMI_0)
    await session.start()
    await owner.until("ringing")
    session.hangup(Reason.of("cancel"))
    assert await bob.owners[0].until_ended() == ("cancel", True)
    assert await owner.until_ended() == ("cancel", False)
    assert alice.names_said() == ["propose", "retract"]
    assert bob.names_said() == ["ringing"]


async def test_nobody_answers(wire: Wire, air: Air, bob: End) -> None:
    alice = End(wire, "alice@example.org/desk", air.leg, timeouts=Timeouts(answer=0.05))
    bob.answering = lambda session: session.ring()
    session, owner = alice.call(bob.jid.bare, JMI_0)
    await session.start()
    assert await owner.until_ended() == ("timeout", False)
    assert await bob.owners[0].until_ended() == ("timeout", True)
    assert alice.names_said() == ["propose", "retract"]


@pytest.mark.parametrize(
    ("dialect", "said"), [(JMI_0, ["ringing", "reject"]), (None, ["session-info", "session-terminate"])]
)
async def test_a_call_that_nobody_decides_about(
    wire: Wire, air: Air, alice: End, dialect: Dialect | None, said: list[str]
) -> None:
    bob = End(wire, "bob@example.org/phone", air.leg, timeouts=Timeouts(offer=0.2))
    bob.answering = lambda session: session.ring()
    session, owner = alice.call(bob.jid.bare if dialect else bob.jid, dialect)
    await session.start()
    assert await owner.until_ended() == ("timeout", True)
    assert await bob.owners[0].until_ended() == ("timeout", False)
    assert bob.names_said() == said


async def test_a_proceed_that_no_session_follows(wire: Wire, air: Air) -> None:
    alice = End(wire, "alice@example.org/desk", air.leg)
    bob = End(wire, "bob@example.org/phone", air.leg, timeouts=Timeouts(initiate=0.05))
    alice.message(alice.jid, bob.jid.bare, Propose(id="call-1", descriptions=(Description(media="audio"),)))
    await bob.heard.until(lambda each: isinstance(each, Propose))
    assert await bob.owners[0].until_ended() == ("timeout", False)
    assert bob.names_said() == ["proceed", "reject", "finish"]


async def test_a_device_that_takes_the_call_and_falls_silent(wire: Wire, air: Air, bob: End) -> None:
    alice = End(wire, "alice@example.org/desk", air.leg, timeouts=Timeouts(initiate=0.05, goodbye=0.05))
    session, owner = alice.call(bob.jid.bare, JMI_0)
    bob.answering = lambda session: None
    await session.start()
    await bob.heard.until(lambda each: isinstance(each, Propose))
    bob.message(bob.jid, alice.jid, Proceed(id=session.sid))
    bob.deaf = True
    assert await owner.until_ended() == ("timeout", False)
    assert alice.names_said() == ["propose", "session-initiate", "session-terminate", "finish"]


async def test_a_retraction_that_crosses_the_proceed(alice: End, bob: End) -> None:
    alice.message(alice.jid, bob.jid.bare, Propose(id="call-1", descriptions=(Description(media="audio"),)))
    alice.message(alice.jid, bob.jid.bare, Retract(id="call-1"))
    await bob.heard.until(Retract(id="call-1"))
    assert await bob.owners[0].until_ended() == ("cancel", True)
    assert bob.names_said() == ["proceed", "finish"]


async def test_a_call_to_nobody(alice: End) -> None:
    session, owner = alice.call(JID.parse("carol@example.org/gone"), None)
    await session.start()
    assert await owner.until_ended() == ("gone", True)
    assert alice.names_said() == ["session-initiate"]


async def test_media_that_never_connects(wire: Wire, air: Air) -> None:
    alice = End(wire, "alice@example.org/desk", air.leg, timeouts=Timeouts(connect=0.05))
    bob = End(wire, "bob@example.org/phone", Air().leg)  # somewhere else entirely
    session, owner = alice.call(bob.jid.bare, JMI_0)
    await session.start()
    assert await owner.until_ended() == ("connectivity-error", False)
    assert await bob.owners[0].until_ended() == ("connectivity-error", True)


async def test_media_that_fails(alice: End, bob: End) -> None:
    session, owner, far_owner = await connected_call(alice, bob)
    leg_of(session).observer.leg_failed("consent was lost")
    assert await owner.until_ended() == ("connectivity-error", False)
    assert await far_owner.until_ended() == ("connectivity-error", True)


async def test_a_peer_that_closes_its_media_and_says_no_more(wire: Wire, air: Air, bob: End) -> None:
    alice = End(wire, "alice@example.org/desk", air.leg, timeouts=Timeouts(closing=0.05, goodbye=0.05))
    session, owner, _ = await connected_call(alice, bob)
    bob.deaf = True
    leg_of(session).observer.leg_closed()
    assert await owner.until_ended() == ("success", True)
    assert alice.names_said()[-2:] == ["session-terminate", "finish"]


async def test_a_peer_that_closes_its_media_as_soon_as_it_is_there(wire: Wire, air: Air, bob: End) -> None:
    """Both are told before anything can be done about either."""
    alice = End(wire, "alice@example.org/desk", air.leg, timeouts=Timeouts(closing=0.05, goodbye=0.05))
    session, owner = alice.call(bob.jid.bare, JMI_0)
    told: list[str] = []

    def accepted() -> None:
        owner.write("accepted")
        bob.deaf = True
        leg = leg_of(session)
        leg.connected = True
        leg.observer.leg_connected()
        leg.observer.leg_closed()
        told.append("closed")

    owner.peer_accepted = accepted  # type: ignore[method-assign]
    bob.legs = Air().leg  # somewhere else: alice's leg says what this test lets it say
    await session.start()
    assert await owner.until_ended() == ("success", True)
    assert told == ["closed"]
    assert leg_of(session).closed


async def test_a_finish_ends_a_session_that_is_still_there(alice: End, bob: End) -> None:
    session, owner, far_owner = await connected_call(alice, bob)
    bob.message(bob.jid, alice.jid, Finish(id=session.sid, reason=Reason.of("gone")))
    assert await owner.until_ended() == ("gone", True)
    assert await far_owner.until_ended() == ("gone", True)
    assert alice.names_said()[-2:] == ["session-terminate", "finish"]


async def test_a_session_that_moves_elsewhere_says_where(alice: End, bob: End) -> None:
    session, _, far_owner = await connected_call(alice, bob)
    session.hangup(Reason.of("expired"), migrated_to="call-2")
    await far_owner.until_ended()
    await bob.heard.until(lambda each: isinstance(each, Finish) and each.migrated and each.migrated.to == "call-2")


async def test_hanging_up_again_says_nothing_more(alice: End, bob: End) -> None:
    session, owner, far_owner = await connected_call(alice, bob)
    for reason in ("success", "general-error", "success"):
        session.hangup(Reason.of(reason))
        bob.sessions[0].hangup(Reason.of(reason))
    await asyncio.gather(owner.until_ended(), far_owner.until_ended(), session.closed(), bob.sessions[0].closed())
    for end in (alice, bob):
        assert end.names_said().count("session-terminate") == 1
        assert end.names_said().count("finish") == 1


async def test_a_deaf_peer_does_not_hold_up_the_end(wire: Wire, air: Air, bob: End) -> None:
    alice = End(wire, "alice@example.org/desk", air.leg, timeouts=Timeouts(goodbye=0.05))
    session, owner, _ = await connected_call(alice, bob)
    bob.deaf = True
    session.hangup(SUCCESS)
    assert await owner.until_ended() == ("success", False)


# --- owners ---


async def test_a_session_goes_with_its_owner(wire: Wire, air: Air, bob: End) -> None:
    alice, owner = End(wire, "alice@example.org/desk", air.leg), Owner()

    async def own() -> None:
        async with asyncio.TaskGroup() as tasks:
            session = PeerSession.outgoing(
                local=alice.jid, to=bob.jid.bare, outbox=alice, legs=air.leg, observer=owner, isfocus=False,
                dialect=JMI_0, tasks=tasks,
            )  # fmt: skip
            alice.table.add(session)
            await session.start()

    task = asyncio.create_task(own())
    await owner.until("connected")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await owner.until_ended() == ("gone", False)
    assert await bob.owners[0].until_ended() == ("gone", True)


async def test_an_owner_that_goes_at_once_is_told_of_the_end(alice: End, bob: End) -> None:
    owner = Owner()

    async def own() -> None:
        async with asyncio.TaskGroup() as tasks:
            propose = Propose(id="call-1", descriptions=(Description(media="audio"),))
            PeerSession.incoming(
                local=alice.jid, peer=bob.jid, first=propose, outbox=alice, legs=alice.legs, observer=owner,
                isfocus=False, tasks=tasks,
            )  # fmt: skip
            raise RuntimeError("the owner crashed")

    with pytest.raises(ExceptionGroup):
        await own()
    assert await owner.until_ended() == ("gone", False)


async def test_a_crash_ends_this_session_and_no_other(
    wire: Wire, air: Air, alice: End, bob: End, caplog: pytest.LogCaptureFixture
) -> None:
    _, owner, _ = await connected_call(alice, bob)

    def broken(*, controlling: bool, observer: object) -> FakeLeg:
        raise OSError("no more sockets")

    carol = End(wire, "carol@example.org/phone", broken)
    session, other_owner = alice.call(carol.jid.bare, JMI_0)
    with caplog.at_level(logging.CRITICAL):
        await session.start()
        assert await other_owner.until_ended() == ("general-error", True)
    assert carol.names_said() == ["proceed", "session-terminate", "finish"]
    assert owner.entries[-1] == "connected"


async def test_an_owner_that_crashes_ends_its_session(
    alice: End, bob: End, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, owner, far_owner = await connected_call(alice, bob)

    def crash(info: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(far_owner, "peer_info", crash)
    with caplog.at_level(logging.CRITICAL):
        session.send_info(Mute())
        assert await owner.until_ended() == ("general-error", True)
    assert await far_owner.until_ended() == ("general-error", False)


async def test_a_bare_jid_cannot_be_sent_a_session_initiate(alice: End, bob: End) -> None:
    with pytest.raises(ValueError, match="propose"):
        alice.call(bob.jid.bare, None)


async def test_nothing_is_said_of_a_call_that_was_never_started(alice: End, bob: End) -> None:
    session, owner = alice.call(bob.jid.bare, JMI_0)
    session.hangup(SUCCESS)
    assert await owner.until_ended() == ("success", False)
    await session.start()
    assert alice.said == []


async def test_the_side_that_calls_cannot_accept(alice: End, bob: End) -> None:
    session, _ = alice.call(bob.jid.bare, JMI_0)
    with pytest.raises(OutOfOrder):
        session.accept()


# --- ties ---


@pytest.mark.parametrize("dialect", [JMI_0, None])
async def test_of_two_calls_at_once_the_lower_sid_stands(alice: End, bob: End, dialect: Dialect | None) -> None:
    low, low_owner = alice.call(bob.jid.bare if dialect else bob.jid, dialect, sid="a")
    high, high_owner = bob.call(alice.jid.bare if dialect else alice.jid, dialect, sid="b")
    await asyncio.gather(low.start(), high.start())
    await low_owner.until("connected")
    condition, _ = await high_owner.until_ended()
    assert condition == "expired"
    if dialect is not None:
        assert [each.tie_break is not None for each in bob.said if isinstance(each, Retract)] == [True]


# --- what is refused ---


async def refusal(end: End, session: PeerSession, jingle: Jingle | str, sender: JID) -> type[StanzaError]:
    """How `end` answers `jingle`; the session must go on."""
    with pytest.raises(StanzaError) as refused:
        end.take_iq(sender, jingle if isinstance(jingle, str) else jingle.to_string())
    assert not session.ended
    return refused.type


def part(name: str) -> str:
    """A content with a `name` that nobody knows."""
    return f'<content name="audio" creator="initiator"><{name} xmlns="urn:x"/></content>'


async def test_what_is_refused_changes_nothing(alice: End, bob: End) -> None:
    session, owner, _ = await connected_call(alice, bob)
    sid, head = session.sid, f'<jingle xmlns="urn:xmpp:jingle:1" sid="{session.sid}" action='
    content = Content(name="audio")
    unknown = Content(name="unknown")
    carol = JID.parse("carol@example.org/x")
    ping = Jingle(action=Action.SESSION_INFO, sid=sid)
    expected: list[tuple[Jingle | str, JID, type[StanzaError]]] = [
        (ping, carol, UnknownSession),
        (ping, bob.jid.with_resource("tablet"), UnknownSession),
        (ping, bob.jid.bare, UnknownSession),
        (Jingle(action=Action.SESSION_INFO, sid="other"), bob.jid, UnknownSession),
        (f'{head}"session-info"><x xmlns="urn:x"/></jingle>', bob.jid, UnsupportedInfo),
        (f'{head}"security-info"/>', bob.jid, UnsupportedInfo),
        (f'{head}"transport-info">{part("transport")}</jingle>', bob.jid, UnsupportedInfo),
        (f'{head}"description-info">{part("description")}</jingle>', bob.jid, UnsupportedInfo),
        (f'{head}"session-info"><content name="a" creator="nobody"/></jingle>', bob.jid, BadRequest),
        (f'{head}"session-dance"/>', bob.jid, BadRequest),
        (Jingle(action=Action.SESSION_ACCEPT, sid=sid), bob.jid, BadRequest),
        (Jingle(action=Action.CONTENT_ADD, sid=sid, contents=(content,)), bob.jid, BadRequest),
        (Jingle(action=Action.CONTENT_ACCEPT, sid=sid, contents=(content,)), bob.jid, OutOfOrder),
        (Jingle(action=Action.CONTENT_REJECT, sid=sid, contents=(content,)), bob.jid, OutOfOrder),
        (Jingle(action=Action.TRANSPORT_ACCEPT, sid=sid, contents=(content,)), bob.jid, OutOfOrder),
        (Jingle(action=Action.TRANSPORT_REJECT, sid=sid, contents=(content,)), bob.jid, OutOfOrder),
        (Jingle(action=Action.TRANSPORT_INFO, sid=sid), bob.jid, BadRequest),
        (Jingle(action=Action.TRANSPORT_INFO, sid=sid, contents=(unknown,)), bob.jid, BadRequest),
        (Jingle(action=Action.CONTENT_MODIFY, sid=sid, contents=(unknown,)), bob.jid, BadRequest),
        (Jingle(action=Action.CONTENT_REMOVE, sid=sid, contents=(unknown,)), bob.jid, BadRequest),
    ]
    for jingle, sender, error in expected:
        assert await refusal(alice, session, jingle, sender) is error, jingle
    accept = next(each for each in bob.said if isinstance(each, Jingle) and each.action is Action.SESSION_ACCEPT)
    assert await refusal(alice, session, accept, bob.jid) is OutOfOrder
    initiate = next(each for each in alice.said if isinstance(each, Jingle))
    assert await refusal(bob, bob.sessions[0], initiate, alice.jid) is OutOfOrder
    assert await refusal(bob, bob.sessions[0], accept, alice.jid) is OutOfOrder
    alice.take_iq(bob.jid, ping.to_string())
    assert owner.entries[-1] == "connected"


async def test_a_session_that_ended_is_unknown(alice: End, bob: End) -> None:
    session, owner, _ = await connected_call(alice, bob)
    session.hangup(SUCCESS)
    terminate = Jingle(action=Action.SESSION_TERMINATE, sid=session.sid, reason=SUCCESS)
    with pytest.raises(UnknownSession):
        session.receive(bob.jid, terminate, terminate.to_element())
    await owner.until_ended()
    assert owner.count(("ended", "success", False)) == 1


async def test_a_session_that_has_not_begun_is_unknown(alice: End, bob: End) -> None:
    bob.answering = lambda session: session.ring()
    session, owner = alice.call(bob.jid.bare, JMI_0)
    await session.start()
    await owner.until("ringing")
    terminate = Jingle(action=Action.SESSION_TERMINATE, sid=session.sid, reason=SUCCESS)
    with pytest.raises(UnknownSession):
        bob.sessions[0].receive(alice.jid, terminate, terminate.to_element())


async def test_whom_we_have_only_proposed_to_cannot_begin_our_session(alice: End, bob: End) -> None:
    bob.answering = lambda session: session.ring()
    session, owner = alice.call(bob.jid.bare, JMI_0)
    await session.start()
    await owner.until("ringing")
    for contents in ((), (Content(name="audio"),)):
        initiate = Jingle(action=Action.SESSION_INITIATE, sid=session.sid, contents=contents)
        with pytest.raises(UnknownSession):
            session.receive(bob.jid.bare, initiate, initiate.to_element())
    assert not session.ended


@pytest.mark.parametrize(
    "contents",
    [
        "",
        '<content name="a" creator="initiator"><description xmlns="urn:x"/></content>',
        '<content name="a" creator="initiator"><transport xmlns="urn:x"/></content>',
        '<content name="a" creator="initiator" disposition="early-session"><description xmlns="urn:x"/>'
        '<transport xmlns="urn:x"/></content>',
    ],
)
async def test_an_initiate_that_cannot_be_one_makes_no_session(bob: End, contents: str) -> None:
    text = f'<jingle xmlns="urn:xmpp:jingle:1" action="session-initiate" sid="s">{contents}</jingle>'
    with pytest.raises(BadRequest):
        bob.take_iq(JID.parse("alice@example.org/desk"), text)
    assert bob.sessions == []


async def test_a_session_begins_with_an_initiate(bob: End) -> None:
    info = Jingle(action=Action.SESSION_INFO, sid="s")
    with pytest.raises(UnknownSession):
        PeerSession.incoming(
            local=bob.jid, peer=JID.parse("a@b/c"), first=info, outbox=bob, legs=bob.legs, observer=Owner(),
            isfocus=False,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "condition"),
    [
        ('<description xmlns="urn:x"/><transport xmlns="urn:x"/>', "unsupported-applications"),
        (
            '<description xmlns="urn:xmpp:jingle:apps:rtp:1" media="audio"/><transport xmlns="urn:x"/>',
            "unsupported-transports",
        ),
        (
            '<description xmlns="urn:xmpp:jingle:apps:rtp:1" media="audio"/>'
            '<transport xmlns="urn:xmpp:jingle:transports:ice-udp:1"/><security xmlns="urn:x"/>',
            "security-error",
        ),
    ],
)
async def test_an_offer_that_cannot_be_taken_is_terminated_before_anybody_accepts(
    alice: End, bob: End, parts: str, condition: str
) -> None:
    bob.answering = lambda session: None
    content = f'<content name="a" creator="initiator">{parts}</content>'
    text = f'<jingle xmlns="urn:xmpp:jingle:1" action="session-initiate" sid="s">{content}</jingle>'
    bob.take_iq(alice.jid, text)
    assert await bob.owners[0].until_ended() == (condition, False)
    assert bob.names_said() == ["session-terminate"]


async def test_who_does_not_encrypt_is_told_that_it_must(alice: End, bob: End) -> None:
    text = (
        '<jingle xmlns="urn:xmpp:jingle:1" action="session-initiate" sid="s"><content name="a" creator="initiator">'
        '<description xmlns="urn:xmpp:jingle:apps:rtp:1" media="audio"><payload-type id="111" name="opus"/>'
        "</description>"
        '<transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="u" pwd="p"/></content></jingle>'
    )
    bob.take_iq(alice.jid, text)
    assert await bob.owners[0].until_ended() == ("security-error", False)
    (terminate,) = bob.said
    assert isinstance(terminate, Jingle)
    assert terminate.reason is not None
    assert terminate.reason.crypto_required is not None


async def test_a_proposal_without_audio_is_rejected(alice: End, bob: End) -> None:
    bob.answering = lambda session: None
    alice.message(alice.jid, bob.jid.bare, Propose(id="call-1", descriptions=(Description(media="video"),)))
    await alice.heard.until(lambda each: isinstance(each, Reject))
    assert await bob.owners[0].until_ended() == ("unsupported-applications", False)


# --- renegotiation ---


async def test_an_added_content_is_rejected_and_the_call_goes_on(alice: End, bob: End) -> None:
    session, owner, _ = await connected_call(alice, bob)
    leg = leg_of(session)
    video = Content(
        creator="initiator", name="video", senders="responder", description=Description(media="video"),
        transport=leg.local_transport,
    )  # fmt: skip
    alice.take_iq(bob.jid, Jingle(action=Action.CONTENT_ADD, sid=session.sid, contents=(video,)).to_string())
    # bob, like Dino, has asked nothing as far as it knows, and refuses the rejection
    await bob.heard.until(lambda each: isinstance(each, Jingle) and each.action is Action.CONTENT_REJECT)
    reject = bob.heard.entries[-1]
    assert isinstance(reject, Jingle)
    assert reject.contents == (Content(creator="initiator", name="video", senders="responder"),)
    assert reject.reason is not None
    assert reject.reason.condition == "unsupported-applications"
    assert owner.entries[-1] == "connected"


async def test_what_is_rejected_is_not_asked_for_without_end(alice: End, bob: End) -> None:
    session, _, _ = await connected_call(alice, bob)
    bob.deaf = True  # and what we ask in turn stays unanswered
    transport = leg_of(session).local_transport

    def add(number: int) -> None:
        video = Content(name=f"{number}", description=Description(media="video"), transport=transport)
        alice.take_iq(bob.jid, Jingle(action=Action.CONTENT_ADD, sid=session.sid, contents=(video,)).to_string())

    for number in range(MAX_QUESTIONS):
        add(number)
    for number in range(MAX_QUESTIONS, MAX_QUESTIONS + 3):
        with pytest.raises(ResourceConstraint):
            add(number)
    replace = Content(name="audio", transport=transport)
    with pytest.raises(ResourceConstraint):
        alice.take_iq(
            bob.jid, Jingle(action=Action.TRANSPORT_REPLACE, sid=session.sid, contents=(replace,)).to_string()
        )
    alice.take_iq(bob.jid, Jingle(action=Action.SESSION_INFO, sid=session.sid).to_string())
    assert not session.ended


async def test_another_transport_is_rejected_and_the_call_goes_on(alice: End, bob: End) -> None:
    session, owner, _ = await connected_call(alice, bob)
    text = (
        f'<jingle xmlns="urn:xmpp:jingle:1" action="transport-replace" sid="{session.sid}">'
        '<content name="audio" creator="initiator"><transport xmlns="urn:xmpp:jingle:transports:raw-udp:1"/></content>'
        "</jingle>"
    )
    alice.take_iq(bob.jid, text)
    await bob.heard.until(lambda each: isinstance(each, Jingle) and each.action is Action.TRANSPORT_REJECT)
    assert owner.entries[-1] == "connected"


@pytest.mark.parametrize(
    ("senders", "sending", "heard"),
    [("initiator", True, False), ("responder", False, True), ("none", False, False)],
)
async def test_content_modify_says_which_way_the_sound_goes(
    alice: End, bob: End, senders: str, sending: bool, heard: bool
) -> None:
    session, owner, _ = await connected_call(alice, bob)

    def modify(senders: str) -> None:
        content = Content.model_validate({"name": "audio", "senders": senders})
        alice.take_iq(bob.jid, Jingle(action=Action.CONTENT_MODIFY, sid=session.sid, contents=(content,)).to_string())

    modify(senders)
    await owner.until(("senders", heard, sending))
    assert (leg_of(session).sending, leg_of(session).muted) == (sending, not heard)
    modify(senders)  # which is nothing new
    modify("both")
    await owner.until(("senders", True, True))
    assert (leg_of(session).sending, leg_of(session).muted) == (True, False)
    assert [each for each in owner.entries if isinstance(each, tuple)] == [
        ("senders", heard, sending),
        ("senders", True, True),
    ]


async def test_content_modify_before_the_answer_changes_the_offer(alice: End, bob: End) -> None:
    bob.answering = lambda session: None
    session, owner = alice.call(bob.jid, None)
    await session.start()
    await bob.heard.until(lambda each: isinstance(each, Jingle))
    content = Content(name="audio", senders="initiator")
    far = bob.sessions[0]
    modify = Jingle(action=Action.CONTENT_MODIFY, sid=session.sid, contents=(content,))
    bob.take_iq(alice.jid, modify.to_string())
    far.accept()
    await owner.until("connected")
    assert far.settled is not None
    assert far.settled.senders == "initiator"
    assert (leg_of(session).sending, leg_of(far).sending) == (True, False)
    assert (leg_of(session).muted, leg_of(far).muted) == (True, False)
    assert ("senders", True, False) in bob.owners[0].entries
    assert ("senders", False, True) in owner.entries


async def test_removing_the_only_content_ends_the_session(alice: End, bob: End) -> None:
    session, owner, far_owner = await connected_call(alice, bob)
    content = Content(name="audio")
    alice.take_iq(bob.jid, Jingle(action=Action.CONTENT_REMOVE, sid=session.sid, contents=(content,)).to_string())
    assert await owner.until_ended() == ("success", True)
    assert await far_owner.until_ended() == ("success", True)


async def test_removing_the_only_content_before_the_answer_ends_the_session(alice: End, bob: End) -> None:
    bob.answering = lambda session: None
    session, owner = alice.call(bob.jid, None)
    await session.start()
    await bob.heard.until(lambda each: isinstance(each, Jingle))
    remove = Jingle(action=Action.CONTENT_REMOVE, sid=session.sid, contents=(Content(name="audio"),))
    bob.take_iq(alice.jid, remove.to_string())
    assert await bob.owners[0].until_ended() == ("success", True)
    assert await owner.until_ended() == ("success", True)


async def test_advice_is_taken_in_silence(alice: End, bob: End) -> None:
    session, owner, _ = await connected_call(alice, bob)
    content = Content(name="audio", description=Description(media="audio"))
    said = len(alice.said)
    alice.take_iq(bob.jid, Jingle(action=Action.DESCRIPTION_INFO, sid=session.sid, contents=(content,)).to_string())
    bob.sessions[0].send_info(Mute())
    await owner.until(Mute())
    assert len(alice.said) == said


# --- trickling ---


@pytest.mark.parametrize("early", [True, False])
async def test_candidates_may_come_apart_before_and_after_the_accept(
    wire: Wire, air: Air, bob: End, early: bool
) -> None:
    """alice says where she is only by transport-info, in pieces, some of them useless or empty."""

    def shy(*, controlling: bool, observer: object) -> FakeLeg:
        leg = air.leg(controlling=controlling, observer=observer)  # type: ignore[arg-type]
        leg.local_transport = leg.local_transport.model_copy(update={"candidates": ()})
        return leg

    alice = End(wire, "alice@example.org/desk", shy)
    bob.answering = lambda session: None
    session, owner = alice.call(bob.jid, None)
    await session.start()
    await bob.heard.until(lambda each: isinstance(each, Jingle))
    far = bob.sessions[0]
    if not early:
        far.accept()
        await owner.until("accepted")
    transport = leg_of(session).local_transport
    pieces: list[dict[str, object]] = [
        {"candidates": (candidate(9, component=2), candidate(9, protocol="tcp"))},
        {"candidates": (), "gathering_complete": {}},
        {"candidates": (candidate(5000), candidate(5001))},
        {"candidates": (candidate(5002),), "pwd": None},
    ]
    for piece in pieces:
        update = type(transport).model_validate(transport.model_dump() | {"fingerprints": ()} | piece)
        content = Content(name="audio", transport=update)
        info = Jingle(action=Action.TRANSPORT_INFO, sid=session.sid, contents=(content,))
        bob.take_iq(alice.jid, info.to_string())
    if early:
        far.accept()
    await owner.until("connected")
    assert [each.port for each in leg_of(far).candidates] == [5000, 5001, 5002]


async def test_ringing_by_session_info(alice: End, bob: End) -> None:
    bob.answering = lambda session: session.ring()
    session, owner = alice.call(bob.jid, None)
    await session.start()
    await owner.until("ringing")
    bob.sessions[0].accept()
    bob.sessions[0].ring()
    await owner.until("connected")
    infos = [each for each in bob.said if isinstance(each, Jingle) and each.info is not None]
    assert [each.info for each in infos] == [InfoRinging()]


async def test_an_initiate_that_comes_before_our_proceed_is_answered_all_the_same(alice: End, bob: End) -> None:
    bob.answering = lambda session: session.ring()
    direct, owner = alice.call(bob.jid, None, sid="call-1")
    alice.message(alice.jid, bob.jid.bare, Propose(id="call-1", descriptions=(Description(media="audio"),)))
    await bob.heard.until(lambda each: isinstance(each, Propose))
    await direct.start()
    await bob.heard.until(lambda each: isinstance(each, Jingle))
    bob.sessions[0].accept()
    await owner.until("connected")
    assert bob.names_said() == ["ringing", "session-accept"]


async def test_a_refused_accept_ends_the_session(alice: End, bob: End) -> None:
    """The caller has gone, and its server says so."""
    bob.answering = lambda session: None
    session, _ = alice.call(bob.jid, None)
    await session.start()
    await bob.heard.until(lambda each: isinstance(each, Jingle))
    del alice.wire.ends[alice.jid]
    bob.sessions[0].accept()
    assert await bob.owners[0].until_ended() == ("gone", True)
    assert bob.names_said() == ["session-accept"]
    alice.wire.ends[alice.jid] = alice


async def test_infos_before_a_session_and_after_it_are_dropped(alice: End, bob: End) -> None:
    bob.answering = lambda session: session.ring()
    session, owner = alice.call(bob.jid.bare, JMI_0)
    session.send_info(Mute())
    await session.start()
    await owner.until("ringing")
    session.send_info(Mute())
    session.hangup(SUCCESS)
    session.send_info(Mute())
    await owner.until_ended()
    assert alice.names_said() == ["propose", "retract"]


async def test_messages_of_others_change_nothing(alice: End, bob: End) -> None:
    session, owner, _ = await connected_call(alice, bob)
    for sender in (JID.parse("carol@example.org/x"), bob.jid.with_resource("tablet"), bob.jid.bare):
        for kind in (Reject, Retract, Finish, Proceed, Ringing):
            session.receive_message(sender, kind(id=session.sid))
    session.receive_message(bob.jid, Finish(id="other"))
    assert not session.ended
    assert owner.entries[-1] == "connected"
