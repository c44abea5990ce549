"""Absent people are called into a conference, again and again, until there is a reason not to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from focus.conference.doorbells import CONFIGURED, REST, WANTED, Doorbells
from focus.conference.ringing import MAX_PEOPLE, Ringing
from focus.conference.summoning import MAX_REMEMBERED
from focus.jingle.peer import PeerSession
from focus.wire.call_invites import Accept, Answer, External, Invite, JingleMethod, Left, Reject
from focus.wire.call_invites import Retract as InviteRetract
from focus.wire.conditions import ResourceConstraint
from focus.wire.conference_info import ConferenceInfo, Endpoint
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle, Reason
from focus.wire.jingle_message import JMI_0, Propose, Retract
from focus.wire.rayo import Hangup
from tests.jingle.pair import End as Phone
from tests.rayo.scene import DOMAIN, ROOMS, eventually, settled

from .conftest import EAGER
from .scene import Meeting, names, users

ALICE, BOB, CAROL = "alice@example.org/desk", "bob@example.org/phone", "carol@example.org/phone"
bob = JID.parse(BOB).bare
tea = JID("tea", ROOMS)
TEA = JID("tea", DOMAIN)
with_ringing = with_policy = pytest.mark.parametrize


class Clock:
    """Sleeps until a test says that so much time has gone by."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._waiting: list[asyncio.Future[None]] = []

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        self.pauses.append(seconds)
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    async def passes(self, number: int) -> None:
        """The `number`th pause, and it is over."""
        await eventually(lambda: len(self._waiting) >= number)
        self._waiting[number - 1].set_result(None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience() -> float:
    return 45.0


@pytest.fixture
def call_invites() -> bool:
    return False


@pytest.fixture
def ringing(clock: Clock, patience: float, call_invites: bool) -> Ringing:
    return Ringing(invite=(bob,), patience=patience, pauses=(10.0, 60.0), call_invites=call_invites, sleep=clock.sleep)


def refuses(reason: str) -> Callable[[PeerSession], None]:
    return lambda session: session.reject(Reason.of(reason))


def ring(session: PeerSession) -> None:
    session.ring()


def endpoint(document: ConferenceInfo, name: str = "bob") -> Endpoint:
    (found,) = users(document)[name].endpoints
    return found


def proposals(phone: Phone) -> int:
    return sum(isinstance(each, Propose) for each in phone.heard.entries)


def initiations(phone: Phone) -> int:
    return sum(isinstance(each, Jingle) and each.action is Action.SESSION_INITIATE for each in phone.heard.entries)


async def heard(phone: Phone, number: int) -> None:
    await phone.heard.until(lambda _: proposals(phone) >= number)


# --- coming ---


async def test_the_first_participant_brings_the_others(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    await meeting.join(ALICE)
    await meeting.readers.document(JID.parse(ALICE), names("alice", "bob"))
    await phone.owners[0].until("connected")
    document = await meeting.readers.document(
        JID.parse(ALICE), lambda document: endpoint(document).status == "connected"
    )
    assert endpoint(document).joining_method == "dialed-out"
    assert not meeting.conference().callout.is_active
    await meeting.join(CAROL)
    assert proposals(phone) == 1


async def test_it_is_seen_how_somebody_is_called(meeting: Meeting, clock: Clock) -> None:
    phone = meeting.caller(BOB)
    phone.deaf = True
    await meeting.join(ALICE)
    reader = JID.parse(ALICE)
    await meeting.readers.document(reader, lambda one: endpoint(one).status == "dialing-out")
    await heard(phone, 1)
    phone.deaf = False
    phone.answering = ring
    phone.take_message(JID("tea", DOMAIN, "focus"), phone.heard.entries[0].to_string())  # type: ignore[attr-defined]
    document = await meeting.readers.document(reader, lambda one: endpoint(one).status == "alerting")
    assert document.conference_state is not None
    assert document.conference_state.user_count == 1
    phone.sessions[0].reject(Reason.of("busy"))
    document = await meeting.readers.document(reader, lambda one: endpoint(one).status == "disconnected")
    assert endpoint(document).disconnection_method == "busy"
    assert endpoint(document).disconnection_info is not None
    phone.answering = lambda session: session.accept()
    await clock.passes(1)
    await meeting.readers.document(reader, lambda one: endpoint(one).status == "connected")


async def test_who_is_called_on_behalf_of_somebody_shows_of_whom(meeting: Meeting) -> None:
    meeting.caller(CAROL).answering = ring
    await meeting.join(ALICE)
    meeting.conference().callout.call([JID.parse(CAROL).bare], "xmpp:tea@rooms.example.org/Alice")
    document = await meeting.readers.document(JID.parse(ALICE), names("alice", "bob", "carol"))
    joining = endpoint(document, "carol").joining_info
    assert joining is not None
    assert joining.by == "xmpp:tea@rooms.example.org/Alice"


async def test_who_is_called_by_name_only_where_a_room_hides_who_people_are(meeting: Meeting) -> None:
    await meeting.join(ALICE)
    document = await meeting.readers.document(JID.parse(ALICE), names("alice", "bob"))
    assert "bob@example.org" not in document.to_string()
    meeting.rooms.room("tea").set_public(True)
    await meeting.readers.document(
        JID.parse(ALICE), lambda document: users(document)["bob"].entity == "xmpp:bob@example.org"
    )


# --- not coming ---


@pytest.mark.parametrize("reason", ["busy", "timeout", "connectivity-error"])
async def test_who_cannot_come_is_called_again_with_pauses_and_then_no_more(
    meeting: Meeting, clock: Clock, reason: str
) -> None:
    phone = meeting.caller(BOB)
    phone.answering = refuses(reason)
    await meeting.join(ALICE)
    for number in (1, 2):
        await heard(phone, number)
        await clock.passes(number)
    await heard(phone, 3)
    await eventually(lambda: not meeting.conference().callout.is_active)
    assert clock.pauses == [10.0, 60.0]
    assert proposals(phone) == 3
    await meeting.readers.document(JID.parse(ALICE), names("alice"))


@pytest.mark.parametrize("reason", ["decline", "unsupported-applications"])
async def test_who_does_not_want_to_come_is_left_alone(meeting: Meeting, clock: Clock, reason: str) -> None:
    phone = meeting.caller(BOB)
    phone.answering = refuses(reason)
    await meeting.join(ALICE)
    await heard(phone, 1)
    await eventually(lambda: not meeting.conference().callout.is_active)
    assert clock.pauses == []
    assert proposals(phone) == 1


@with_ringing("patience", [0.05])
async def test_who_does_not_answer_is_not_rung_for_longer_than_the_patience(
    meeting: Meeting, clock: Clock, patience: float
) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    await phone.heard.until(lambda each: isinstance(each, Retract))
    document = await meeting.readers.document(JID.parse(ALICE), lambda one: endpoint(one).status == "disconnected")
    info = endpoint(document).disconnection_info
    assert (endpoint(document).disconnection_method, info and info.reason) == ("failed", "timeout")
    await clock.passes(1)
    await heard(phone, 2)


async def test_who_comes_by_himself_is_called_no_more(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    await heard(phone, 1)
    desk = meeting.caller("bob@example.org/desk")
    session, _ = desk.call(JID("tea", DOMAIN), JMI_0, sid="0")  # which is lower than ours, and stands (XEP-0353, 4.1)
    await session.start()
    await desk.owners[0].until("connected")
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await eventually(lambda: not meeting.conference().callout.is_active)
    assert proposals(phone) == 1


async def test_a_pause_ends_when_he_comes_by_himself(meeting: Meeting, clock: Clock) -> None:
    phone = meeting.caller(BOB)
    phone.answering = refuses("busy")
    await meeting.join(ALICE)
    await eventually(lambda: clock.pauses == [10.0])
    await meeting.join("bob@example.org/desk")
    await eventually(lambda: not meeting.conference().callout.is_active)
    assert proposals(phone) == 1


async def test_nobody_is_called_into_a_conference_that_everybody_has_left(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    alice = await meeting.join(ALICE)
    await heard(phone, 1)
    alice.sessions[0].hangup(Reason.of("success"))
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await eventually(meeting.has_no_calls)
    assert not meeting.conference().callout.is_active


async def test_a_conference_that_goes_on_after_a_moment_calls_nobody_again(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = refuses("decline")
    alice = await meeting.join(ALICE)
    await heard(phone, 1)
    alice.sessions[0].hangup(Reason.of("success"))
    await eventually(meeting.has_no_calls)
    await meeting.join(ALICE)
    await settled()
    assert proposals(phone) == 1


async def test_what_is_called_off_rings_no_more(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    await heard(phone, 1)
    callout = meeting.conference().callout
    assert callout.call_off([bob, JID.parse(CAROL).bare]) == [bob]
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await eventually(lambda: not callout.is_active)
    await meeting.readers.document(JID.parse(ALICE), names("alice"))


async def test_who_was_called_off_can_be_called_at_once(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    await heard(phone, 1)
    callout = meeting.conference().callout
    callout.call_off()
    assert callout.people == ()
    assert callout.call([bob]) == [bob]
    assert callout.call([bob]) == [], "that is to come already"
    await heard(phone, 2)
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await meeting.readers.document(JID.parse(ALICE), names("alice", "bob"))


async def test_who_is_called_and_called_off_again_while_that_goes_on_is_not_called(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    await heard(phone, 1)
    callout = meeting.conference().callout
    callout.call_off()
    callout.call([bob])
    assert callout.call_off() == [bob]
    await eventually(lambda: not callout.is_active)
    assert proposals(phone) == 1


async def test_a_pause_ends_when_somebody_calls_anew(meeting: Meeting, clock: Clock) -> None:
    phone = meeting.caller(BOB)
    phone.answering = refuses("busy")
    await meeting.join(ALICE)
    await eventually(lambda: clock.pauses == [10.0])
    callout = meeting.conference().callout
    assert callout.call([bob], "xmpp:tea@rooms.example.org/Alice") == [bob]
    await heard(phone, 2)
    await eventually(lambda: clock.pauses == [10.0, 10.0])
    assert meeting.conference().roster.invited[bob].by == "xmpp:tea@rooms.example.org/Alice"


async def test_who_is_being_called_or_is_there_is_not_called_besides(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    await heard(phone, 1)
    assert meeting.conference().callout.call([bob, JID.parse(ALICE).bare]) == []


async def test_no_more_than_so_many_are_called_at_once(meeting: Meeting) -> None:
    await meeting.join(ALICE)
    crowd = [JID(f"user{number}", "example.org") for number in range(MAX_PEOPLE)]
    with pytest.raises(ResourceConstraint):
        meeting.conference().callout.call(crowd)


@with_ringing(
    "ringing", [Ringing(invite=tuple(JID(f"user{number}", "example.org") for number in range(MAX_PEOPLE + 2)))]
)
async def test_of_too_many_who_are_configured_some_are_called(
    meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    await meeting.join(ALICE)
    await eventually(lambda: len(meeting.conference().callout.people) == MAX_PEOPLE)
    assert f"user{MAX_PEOPLE}@example.org, user{MAX_PEOPLE + 1}@example.org" in caplog.text


async def test_the_end_of_the_service_ends_the_ringing(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    await heard(phone, 1)  # the rest is for the fixture to find: nothing may be left


# --- how often ---


@with_policy("policy", [replace(EAGER, linger=0.0)])
async def test_who_declines_is_left_alone_by_conferences_that_begin_soon_after(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = refuses("decline")
    for room in ("tea", "tea", "milk"):
        alice = await meeting.join(ALICE, room)
        await eventually(lambda room=room: proposals(phone) == 1 and not meeting.conference(room).callout.is_active)  # type: ignore[misc]
        alice.sessions[-1].hangup(Reason.of("success"))
        await eventually(lambda: not meeting.application.conferences)
    assert proposals(phone) == 1


async def test_one_conference_at_a_time_rings(meeting: Meeting, clock: Clock) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    await heard(phone, 1)
    await meeting.join(CAROL, "milk")
    document = await meeting.readers.document(JID.parse(CAROL), lambda one: endpoint(one).status == "disconnected")
    assert endpoint(document).disconnection_method == "busy"
    assert proposals(phone) == 1
    meeting.conference().callout.call_off()
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await clock.passes(1)
    await heard(phone, 2)


async def test_nobody_is_rung_by_the_configuration_more_often_than_so(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    for number in range(CONFIGURED[0] + 2):
        alice = await meeting.join(ALICE, f"tea{number}")
        rung = min(number + 1, CONFIGURED[0])
        await eventually(lambda rung=rung: proposals(phone) == rung)  # type: ignore[misc]
        alice.sessions[-1].hangup(Reason.of("success"))
        await eventually(meeting.has_no_calls)
    assert proposals(phone) == CONFIGURED[0]


async def test_moderators_are_told_that_somebody_rests(meeting: Meeting) -> None:
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    callout = meeting.conference().callout
    callout.call_off()
    await eventually(lambda: not callout.is_active)
    before = proposals(phone)
    for number in range(WANTED[0]):
        assert callout.refusal(bob) is None
        callout.call([bob])
        await heard(phone, before + number + 1)
        callout.call_off()
        await eventually(lambda: not callout.is_active)
    refusal = callout.refusal(bob)
    assert refusal is not None
    assert refusal.reason == "they have been called too often"
    callout.call([bob])
    await eventually(lambda: not callout.is_active)
    assert proposals(phone) == before + WANTED[0]


def test_who_declined_long_ago_is_called_again() -> None:
    bells = Doorbells()
    bells.declined(bob, 1000.0)
    assert bells.refusal(bob, bells.wanted, 1000.0 + REST - 1) is not None
    assert bells.refusal(bob, bells.wanted, 1000.0 + REST) is None
    for number in range(MAX_REMEMBERED):
        bells.declined(JID(f"user{number}", "example.org"), 1000.0)
    assert bells.refusal(bob, bells.wanted, 1000.0) is None, "the oldest are forgotten first"


# --- whom ---


def test_a_room_has_people_of_its_own_besides_those_of_all_rooms() -> None:
    carol = JID.parse(CAROL).bare
    ringing = Ringing(invite=(bob,), invite_to={tea: (carol, bob)})
    assert ringing.callees(tea) == (bob, carol)
    assert ringing.callees(JID("milk", ROOMS)) == (bob,)


# --- by message, too ---


with_invites = pytest.mark.parametrize("call_invites", [True])


async def sent_to_bob(meeting: Meeting) -> tuple[str, Invite]:
    await eventually(lambda: bool(meeting.told))
    to, identifier, invite, body = meeting.told[0]
    assert to == bob
    assert isinstance(invite, Invite)
    assert body == "You are called to a conference: https://meet.example.org/tea"
    return identifier, invite


async def rung(meeting: Meeting) -> tuple[Phone, str, JingleMethod]:
    """Bob's phone rings, and he has the invite."""
    phone = meeting.caller(BOB)
    phone.answering = ring
    await meeting.join(ALICE)
    await heard(phone, 1)
    identifier, invite = await sent_to_bob(meeting)
    return phone, identifier, invite.jingle[0]


@with_invites
async def test_who_is_called_is_sent_an_invite_once(meeting: Meeting, clock: Clock) -> None:
    phone = meeting.caller(BOB)
    phone.answering = refuses("busy")
    await meeting.join(ALICE)
    await clock.passes(1)
    await heard(phone, 2)
    _, invite = await sent_to_bob(meeting)
    assert invite.jingle[0].jid == f"tea@{DOMAIN}/focus"
    assert [each.uri for each in invite.external] == ["https://meet.example.org/tea"]
    assert len(meeting.told) == 1


@with_invites
async def test_who_accepts_the_invite_is_called_in_its_session_and_rung_no_more(meeting: Meeting) -> None:
    phone, identifier, method = await rung(meeting)
    phone.answering = lambda session: session.accept()
    meeting.application.call_invite_answered(TEA, phone.jid, Accept(id=identifier, jingle=method))
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await phone.heard.until(lambda each: isinstance(each, Jingle) and each.sid == method.sid)
    await phone.owners[-1].until("connected")
    await eventually(lambda: len(meeting.conference().roster.participants) == 2)
    await eventually(lambda: not meeting.conference().callout.is_active)
    assert len(meeting.told) == 1, "what was accepted is not withdrawn"
    meeting.application.call_invite_answered(TEA, phone.jid, Left(id=identifier))
    await phone.owners[-1].until_ended()


@pytest.mark.parametrize(
    "answer", [Reject(id="?"), Accept(id="?", external=External(uri="https://meet.example.org/tea"))]
)
@with_invites
async def test_who_rejects_the_invite_or_goes_to_the_page_is_rung_no_more(meeting: Meeting, answer: Answer) -> None:
    phone, identifier, _ = await rung(meeting)
    said = answer.model_copy(update={"id": identifier})
    meeting.application.call_invite_answered(TEA, phone.jid, said)
    await phone.heard.until(lambda each: isinstance(each, Retract))
    await eventually(lambda: not meeting.conference().callout.is_active)


@with_invites
async def test_an_invite_is_withdrawn_when_nobody_is_called_any_more(meeting: Meeting) -> None:
    _, identifier, _ = await rung(meeting)
    meeting.conference().callout.call_off()
    await eventually(lambda: len(meeting.told) == 2)
    assert meeting.told[1][2] == InviteRetract(id=identifier)


@with_invites
async def test_what_others_say_of_an_invite_is_nothing(meeting: Meeting) -> None:
    _, identifier, _ = await rung(meeting)
    meeting.application.call_invite_answered(TEA, JID.parse(CAROL), Reject(id=identifier))
    meeting.application.call_invite_answered(TEA, JID.parse(BOB), Reject(id="other"))
    meeting.application.call_invite_answered(JID("milk", DOMAIN), JID.parse(BOB), Reject(id=identifier))
    await settled()
    assert meeting.conference().callout.is_active


@with_invites
async def test_an_invite_that_was_accepted_is_withdrawn_when_all_is_over(meeting: Meeting) -> None:
    phone, identifier, method = await rung(meeting)
    phone.answering = lambda session: session.accept()
    accept = Accept(id=identifier, jingle=method)
    meeting.application.call_invite_answered(TEA, phone.jid, accept)
    await eventually(lambda: len(meeting.conference().roster.participants) == 2)
    await eventually(lambda: not meeting.conference().callout.is_active)
    phone.sessions[-1].hangup(Reason.of("success"))
    await eventually(lambda: len(meeting.conference().roster.participants) == 1)
    meeting.application.call_invite_answered(TEA, phone.jid, accept)  # as after a session that has failed
    await eventually(lambda: initiations(phone) == 2)
    assert len(meeting.told) == 1
    for call in list(meeting.conference().roster.participants):
        await meeting.admin.command(call, Hangup())
    await eventually(lambda: len(meeting.told) == 2)
    assert meeting.told[1][2] == InviteRetract(id=identifier)


@with_invites
async def test_what_could_not_be_sent_is_sent_when_the_server_is_back(meeting: Meeting) -> None:
    _, identifier, _ = await rung(meeting)
    callout = meeting.conference().callout
    meeting.is_cut_off = True
    callout.call_off()
    await eventually(lambda: not callout.is_active)
    callout.call([bob])
    await eventually(lambda: callout.people == (bob,))
    callout.call_off()
    await eventually(lambda: not callout.is_active)
    meeting.is_cut_off = False
    meeting.rooms.room("tea").come_back()
    assert [each[2] for each in meeting.told[1:]] == [InviteRetract(id=identifier)], "the second invite was never sent"
    meeting.rooms.room("tea").come_back()
    assert len(meeting.told) == 2
