"""What callers do by the keys of a telephone, and what they hear, on the real plane: by what is heard and shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.conference.comfort import NAME, TEXTS, Action, Comfort
from focus.conference.policy import Policy
from focus.conference.room import Departure
from focus.conference.roster import Roster
from focus.http.fetch import Reach, SafeFetch
from focus.media.plane import MediaPlane
from focus.media.recordings import Recordings
from focus.rayo.call import MOST_LOUDER, Call
from focus.rayo.component import Facilities
from focus.wire.base import serialize
from focus.wire.commands import AdHoc, BadPayload
from focus.wire.conditions import FeatureNotImplemented, Forbidden, ItemNotFound
from focus.wire.conference_info import ConferenceInfo, Endpoint
from focus.wire.jid import JID
from focus.wire.rayo import Join, Ref, Unjoin
from focus.wire.rayo_component import Failed, Stop
from focus.wire.rayo_fax import ReceiveFax
from focus.wire.rayo_input import Grammar, Input
from focus.wire.rayo_record import Record
from focus.xmpp.commands import ANNOUNCE, AdHocCommands
from tests.jingle.pair import End, Timeouts

from .hearing import SPEECH, Telephone, Teller, sound, until
from .scene import Meeting, users

KEYS = {
    Action.MUTE: "*6", Action.HAND: "*9", Action.QUIETER: "*7", Action.LOUDER: "*8", Action.COUNT: "*2",
    Action.HELP: "*1", Action.LEAVE: "0",
}  # fmt: skip
ALICE, BOB, CAROL = 300.0, 440.0, 660.0
MUSIC, ENTRY, EXIT = 880.0, 1500.0, 1900.0

PATIENT = Timeouts(answer=20, initiate=20, connect=20, closing=0.05, goodbye=0.1)

Caller = Callable[..., Awaitable[Telephone]]


@pytest.fixture(autouse=True)
def pace() -> None:
    """Sound takes its time."""


@pytest.fixture
def teller() -> Teller:
    return Teller()


@pytest.fixture
def comfort(request: pytest.FixtureRequest, tmp_path: Path) -> Comfort | None:
    """By `@pytest.mark.parametrize("comfort", [...], indirect=True)` a function of the folder with sounds."""
    make = getattr(request, "param", lambda folder: Comfort(keys=KEYS))
    made: Comfort | None = make(tmp_path)
    return made


@pytest.fixture
async def meeting(policy: Policy, comfort: Comfort | None, teller: Teller, tmp_path: Path) -> AsyncIterator[Meeting]:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    (tmp_path / "recordings").mkdir()
    facilities = Facilities(
        plane,
        fetch=SafeFetch(Reach(folders=(tmp_path,))),
        recordings=Recordings(tmp_path / "recordings"),
        synthesizers={"teller": teller},
    )
    meeting = Meeting(policy, facilities=facilities, comfort=comfort)
    await meeting.start()
    yield meeting
    await meeting.stop()
    await plane.stop()


@pytest.fixture
async def caller(meeting: Meeting) -> AsyncIterator[Caller]:
    async with AsyncExitStack() as closing:

        async def call(name: str, frequency: float, device: str = "phone") -> Telephone:
            plane = MediaPlane([("127.0.0.1", 0)])
            await plane.start()
            closing.push_async_callback(plane.stop)
            end = End(meeting.net, f"{name}@example.org/{device}", plane.create_leg, timeouts=PATIENT)
            await meeting.call(end)
            await until(lambda: is_here(meeting, end.sessions[-1].sid))
            telephone = Telephone(meeting, end, frequency)
            closing.callback(telephone.close)
            return telephone

        yield call


def is_here(meeting: Meeting, sid: str) -> bool:
    here = [one.session for each in meeting.application.conferences for one in each.roster.participants.values()]
    return any(session.sid == sid and session.connected for session in here)


def endpoint(document: ConferenceInfo, name: str) -> Endpoint:
    return users(document)[name].endpoints[0]


async def shown(meeting: Meeting, name: str, wanted: Callable[[Endpoint], bool]) -> Endpoint:
    """What all are shown of somebody, as bob sees it."""
    bob = JID.parse("bob@example.org/phone")
    document = await meeting.readers.document(bob, lambda seen: name in users(seen) and wanted(endpoint(seen, name)))
    return endpoint(document, name)


# --- keys ---


async def test_who_mutes_himself_is_heard_by_nobody_and_shown_so_until_he_does_it_again(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    await bob.until_hears(ALICE)
    alice.press("*6")
    muted = await shown(meeting, "alice", lambda seen: seen.media[0].status == "recvonly")
    assert muted.status == "connected", "as by a client, not as by a moderator"
    await bob.until_not(ALICE)
    await alice.until_hears(SPEECH)
    assert teller.said == [TEXTS["muted"]]

    alice.press("*6")
    await shown(meeting, "alice", lambda seen: seen.media[0].status == "sendrecv")
    bob.forget()
    await bob.until_hears(ALICE)
    await until(lambda: teller.said == [TEXTS["muted"], TEXTS["unmuted"]])


async def test_what_a_moderator_has_muted_keys_do_not_let_speak(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    await bob.until_hears(ALICE)
    await meeting.admin.command(alice.call, Join(mixer_name="tea", direction="recv"))
    await alice.until_hears(SPEECH)
    assert teller.said == [TEXTS["muted_by_moderator"]]
    for times in (2, 3):
        alice.press("*6")
        await until(lambda times=times: teller.said == [TEXTS["muted_by_moderator"]] * times)  # type: ignore[misc]
    assert (await shown(meeting, "alice", lambda seen: True)).status == "muted-via-focus"
    await bob.until_not(ALICE)

    await meeting.admin.command(alice.call, Join(mixer_name="tea", direction="duplex"))
    await until(lambda: teller.said[3:] == [TEXTS["unmuted_by_moderator"]])
    bob.forget()
    await bob.until_hears(ALICE)


async def test_who_is_muted_by_himself_stays_so_when_a_moderator_lets_him_speak(
    meeting: Meeting, caller: Caller
) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    alice.press("*6")
    await shown(meeting, "alice", lambda seen: seen.media[0].status == "recvonly")
    for direction, status in (("recv", "muted-via-focus"), ("duplex", "connected")):
        await meeting.admin.command(alice.call, Join(mixer_name="tea", direction=direction))
        seen = await shown(meeting, "alice", lambda seen, status=status: seen.status == status)  # type: ignore[misc]
        assert seen.media[0].status == "recvonly"
    await bob.until_not(ALICE)


async def test_a_raised_hand_is_shown_to_all_until_it_is_lowered(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice, _ = await caller("alice", ALICE), await caller("bob", BOB)
    alice.press("*9")
    hand = (await shown(meeting, "alice", lambda seen: seen.hand is not None)).hand
    assert hand is not None
    assert hand.since.endswith("Z")
    alice.press("*9")
    await shown(meeting, "alice", lambda seen: seen.hand is None)
    await until(lambda: teller.said == [TEXTS["hand_raised"], TEXTS["hand_lowered"]])


async def test_one_hears_all_others_quieter_whoever_comes_and_nobody_else_does(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    await alice.until_hears(BOB)
    alice.press("*7*7*7")
    await until(lambda: meeting.focus.call(alice.call).volume == -9 and teller.said[-1:] == [TEXTS["quieter"]])
    carol = await caller("carol", CAROL)
    await alice.until_hears(CAROL)
    for each in (alice, bob, carol):
        each.forget()
        await each.listen(0.5)

    def loudest(hearer: Telephone, frequency: float) -> float:
        return max(hearer.levels(frequency))

    assert loudest(alice, BOB) == pytest.approx(loudest(carol, BOB) - 9, abs=2)
    assert loudest(alice, CAROL) == pytest.approx(loudest(bob, CAROL) - 9, abs=2)
    alice.press("*8")
    await until(lambda: teller.said[-1] == TEXTS["louder"])
    alice.forget()
    await alice.listen(0.5)
    assert loudest(alice, BOB) == pytest.approx(loudest(carol, BOB) - 6, abs=2)


async def test_who_asks_is_told_how_many_are_here_and_what_the_keys_are_and_nobody_else(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice = await caller("alice", ALICE)
    alice.press("*2")
    await until(lambda: teller.said == [TEXTS["alone"]])
    bob = await caller("bob", BOB)
    alice.press("*2")
    await until(lambda: teller.said[1:] == ["There are 2 people here."])
    alice.press("*1")
    await until(lambda: len(teller.said) == 3)
    assert teller.said[2].startswith("To mute yourself, or to be heard again, press star 6. To raise")
    assert teller.said[2].endswith("To leave, press 0.")
    alice.forget()
    await alice.until_hears(SPEECH)
    await bob.listen(0.5)
    assert bob.hears(ALICE)
    assert not bob.hears(SPEECH)


def press_all(call: Call, keys: str) -> None:
    """At once."""
    for key in keys:
        call.peer_pressed(key, 0.1)


async def at_work(meeting: Meeting, telephone: Telephone) -> Call:
    """Somebody's call, when keys are listened for there."""
    call = meeting.focus.call(telephone.call)
    await until(lambda: any(each.wants_keys and each._begun.is_set() for each in call.components))
    return call


async def test_no_command_is_lost_however_fast_they_come_and_a_wrong_key_is_none_of_the_next(
    meeting: Meeting, caller: Caller
) -> None:
    alice = await caller("alice", ALICE)
    call = await at_work(meeting, alice)
    press_all(call, "*8" * 4 + "**7" + "*47*7" + "*#*7")
    await until(lambda: call.volume == 3)
    press_all(call, "*7" * 10)
    await until(lambda: call.volume == -MOST_LOUDER)
    assert meeting.focus.server.components_started["input"] == 1


async def test_what_is_asked_for_next_interrupts_what_is_said(meeting: Meeting, caller: Caller, teller: Teller) -> None:
    alice, _ = await caller("alice", ALICE), await caller("bob", BOB)
    call = await at_work(meeting, alice)
    teller.repeats = 60
    press_all(call, "*1")
    await alice.until_hears(SPEECH)
    teller.repeats = 1
    press_all(call, "*2")
    await until(lambda: len(teller.said) == 2)
    await until(lambda: len(call.components) == 1)  # what listens for keys: nothing is said any more


async def test_keys_are_listened_for_again_after_a_fault(
    meeting: Meeting, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await caller("alice", ALICE)
    call = await at_work(meeting, alice)
    (keypad,) = call.components
    keypad.end(Failed(text="internal error"))
    await until(lambda: "keys are listened for no more" in caplog.text)
    await until(lambda: keypad not in call.components)
    await at_work(meeting, alice)
    press_all(call, "*6")
    await until(lambda: call.describe().silenced)


def quiet(folder: Path) -> Comfort:
    return Comfort(keys=KEYS, texts={"welcome": "Good evening."}, notices=False, recordings=False)


@pytest.mark.parametrize("comfort", [quiet], indirect=True)
async def test_who_comes_is_welcomed_and_told_of_nothing_that_is_not_wanted(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice = await caller("alice", ALICE)
    await until(lambda: teller.said == ["Good evening."])
    await meeting.admin.command(meeting.conference().roster.focus, Record())
    for direction in ("recv", "duplex"):
        await meeting.admin.command(alice.call, Join(mixer_name="tea", direction=direction))
    press_all(await at_work(meeting, alice), "*2")
    await until(lambda: teller.said[1:] == [TEXTS["alone"]])


PIN = (
    '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="pin"><rule id="pin">'
    '<item repeat="4"><one-of><item>0</item><item>*</item><item>6</item></one-of></item></rule></grammar>'
)


async def test_while_a_client_waits_for_keys_of_a_call_they_command_nothing_else(
    meeting: Meeting, caller: Caller
) -> None:
    alice = await caller("alice", ALICE)
    call = await at_work(meeting, alice)
    pin = Input(mode="dtmf", grammars=(Grammar(content_type="application/srgs+xml", body=PIN),))
    await meeting.admin.command(call.address, pin)
    await until(lambda: len(call.components) == 2 and all(each._begun.is_set() for each in call.components))
    press_all(call, "0*60")
    await until(lambda: len(call.components) == 1)
    press_all(call, "*7")
    await until(lambda: call.volume == -3)
    assert not call.describe().silenced
    assert not call.is_over


async def test_a_call_that_has_left_is_free_for_a_fax_at_once(meeting: Meeting, caller: Caller, teller: Teller) -> None:
    alice, _ = await caller("alice", ALICE), await caller("bob", BOB)
    call = await at_work(meeting, alice)
    teller.repeats = 60
    press_all(call, "*1")
    await alice.until_hears(SPEECH)
    await meeting.admin.command(call.address, Unjoin(mixer_name="tea"))
    with pytest.raises(FeatureNotImplemented):  # there is no fax machine here; but not `WrongState`
        await meeting.admin.command(call.address, ReceiveFax())
    await until(lambda: not call.components)


async def held_up(meeting: Meeting) -> asyncio.Event:
    """The conference does nothing more until that is set, as while it enters a room."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        entered.set()
        await go_on.wait()

    meeting.conference().do(wait)
    await entered.wait()
    return go_on


async def test_mutes_follow_each_other_though_the_conference_is_busy(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice = await caller("alice", ALICE)
    call = await at_work(meeting, alice)
    go_on = await held_up(meeting)
    for text in ("muted", "unmuted"):
        press_all(call, "*6")
        await until(lambda text=text: teller.said[-1:] == [TEXTS[text]])  # type: ignore[misc]
    assert not call.describe().silenced
    await meeting.admin.command(call.address, Unjoin(mixer_name="tea"))
    press_all(call, "*6")
    go_on.set()
    await until(lambda: not meeting.conference().roster.participants)
    assert not call.describe().silenced
    assert teller.said == [TEXTS["muted"], TEXTS["unmuted"]]


async def test_who_is_taken_elsewhere_while_goodbye_is_said_stays_there(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    call = await at_work(meeting, alice)
    teller.repeats = 60
    press_all(call, "0")
    await alice.until_hears(SPEECH)
    await meeting.admin.command(call.address, Unjoin(mixer_name="tea"))
    await until(lambda: not call.components)
    await until(lambda: list(meeting.conference().roster.participants) == [bob.call])
    assert not call.is_over


async def test_who_leaves_by_keys_has_departed(meeting: Meeting, caller: Caller, teller: Teller) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    alice.press("0")
    await until(lambda: alice.caller.owners[-1].reason is not None)
    reason = alice.caller.owners[-1].reason
    assert reason is not None
    assert (reason.condition, reason.text) == ("gone", "you have left by your keys")
    assert teller.said == [TEXTS["goodbye"]]
    await until(lambda: list(meeting.conference().roster.participants) == [bob.call])


async def test_who_is_taken_elsewhere_is_served_no_more_and_heard_again(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    alice.press("*6")
    await shown(meeting, "alice", lambda seen: seen.media[0].status == "recvonly")
    await until(lambda: teller.said == [TEXTS["muted"]])
    call = meeting.focus.call(alice.call)
    await meeting.admin.command(call.address, Unjoin(mixer_name="tea"))
    await until(lambda: not call.components)
    await until(lambda: not call.describe().muted)
    await meeting.admin.command(call.address, Join(mixer_name="tea"))
    await until(lambda: any(each._begun.is_set() for each in call.components))
    await bob.until_hears(ALICE)
    alice.press("*6")
    await until(lambda: teller.said == [TEXTS["muted"]] * 2)


async def test_who_goes_on_from_another_device_does_so_with_hand_volume_and_mute(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    await alice.until_hears(BOB)
    await alice.listen(0.5)
    loudest = max(alice.levels(BOB))
    call = await at_work(meeting, alice)
    press_all(call, "*7" * 4 + "*9*6")
    await until(lambda: call.describe().silenced)
    desk = await caller("alice", ALICE, "desk")
    await until(lambda: set(meeting.conference().roster.participants) == {desk.call, bob.call})
    one = meeting.conference().roster.participants[desk.call]
    assert one.hand is not None
    assert one.session.silenced
    await desk.until_hears(BOB)
    desk.forget()
    await desk.listen(0.5)
    assert max(desk.levels(BOB)) == pytest.approx(loudest - 12, abs=2)
    press_all(await at_work(meeting, desk), "*6")
    bob.forget()
    await bob.until_hears(ALICE)


@pytest.mark.parametrize("comfort", [lambda folder: Comfort(entry=NAME, exit=NAME, keys=KEYS)], indirect=True)
async def test_who_ends_the_earlier_call_while_another_device_connects_has_not_left(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    await caller("alice", ALICE)
    bob = await caller("bob", BOB)
    call = await at_work(meeting, bob)
    press_all(call, "*9*6")
    await until(lambda: call.describe().silenced)
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    desk = End(meeting.net, "bob@example.org/desk", plane.create_leg, timeouts=PATIENT)
    await meeting.call(desk)
    await until(lambda: len(list(meeting.focus.server.directory.calls())) == 3)
    await bob.caller.close()
    await until(lambda: is_here(meeting, desk.sessions[-1].sid))
    one = meeting.conference().roster.participants[meeting.call_of(desk)]
    assert one.hand is not None
    await until(lambda: meeting.focus.call(one.call).describe().silenced)
    assert not [text for text in teller.said if text.startswith("bob has left")]
    await desk.close()
    await until(lambda: "bob has left." in teller.said)
    await plane.stop()


async def test_without_a_voice_keys_do_what_they_do(meeting: Meeting, caller: Caller, teller: Teller) -> None:
    teller.is_mute = True
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    for status in ("recvonly", "sendrecv"):
        alice.press("*6")
        await shown(meeting, "alice", lambda seen, status=status: seen.media[0].status == status)  # type: ignore[misc]
    await bob.until_hears(ALICE)


@pytest.mark.parametrize("comfort", [lambda folder: Comfort()], indirect=True)
async def test_where_nothing_is_wanted_nothing_is_at_work(meeting: Meeting, caller: Caller) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    await bob.until_hears(ALICE)
    await alice.until_hears(BOB)
    assert not meeting.focus.server.components_started


# --- alone ---


def with_music(folder: Path) -> Comfort:
    return Comfort(music=(sound(folder / "music.wav", MUSIC, 1.0),), music_after=0.1)


@pytest.mark.parametrize("comfort", [with_music], indirect=True)
async def test_who_is_alone_hears_music_until_somebody_comes_who_never_does(meeting: Meeting, caller: Caller) -> None:
    alice = await caller("alice", ALICE)
    await alice.until_hears(MUSIC)
    bob = await caller("bob", BOB)
    await alice.until_hears(BOB)
    await alice.until_not(MUSIC)
    await bob.listen(0.5)
    assert bob.hears(ALICE)
    assert not bob.hears(MUSIC)
    alice.forget()
    await bob.caller.close()
    await alice.until_hears(MUSIC)


@pytest.mark.parametrize("comfort", [with_music], indirect=True)
async def test_the_music_goes_on_behind_its_end_and_ends_softly(meeting: Meeting, caller: Caller) -> None:
    alice = await caller("alice", ALICE)
    await alice.until_hears(MUSIC)
    alice.forget()
    await until(lambda: sum(each > -20 for each in alice.levels(MUSIC)) > 15)
    loudest = max(alice.levels(MUSIC))
    await caller("bob", BOB)
    await until(lambda: not meeting.focus.call(alice.call).components)
    levels: list[float] = []

    def is_gone() -> bool:
        levels[:] = alice.levels(MUSIC)
        return levels[-1] < -60

    await until(is_gone)
    fading = [each for each in levels if loudest - 24 < each < loudest - 4]
    assert len(fading) >= 2, "tenths of a second"


@pytest.mark.parametrize("comfort", [with_music], indirect=True)
async def test_music_that_is_not_there_any_more_costs_the_caller_nothing(
    meeting: Meeting, caller: Caller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "music.wav").unlink()
    alice = await caller("alice", ALICE)
    await until(lambda: "who is alone hears nothing" in caplog.text)
    await caller("bob", BOB)
    await alice.until_hears(BOB)


# --- who comes and goes ---


def with_tones(folder: Path) -> Comfort:
    entry, exit = sound(folder / "entry.wav", ENTRY, 0.5), sound(folder / "exit.wav", EXIT, 0.5)
    return Comfort(entry=entry, exit=exit, tones_up_to=2)


@pytest.mark.parametrize("comfort", [with_tones], indirect=True)
async def test_who_is_there_hears_that_somebody_comes_and_goes(meeting: Meeting, caller: Caller) -> None:
    alice = await caller("alice", ALICE)
    bob = await caller("bob", BOB)
    await alice.until_hears(ENTRY)
    assert not alice.hears(EXIT)
    await alice.until_not(ENTRY)
    alice.forget()
    carol = await caller("carol", CAROL)
    await alice.until_hears(CAROL)
    await carol.caller.close()
    await alice.until_hears(EXIT)
    assert not alice.hears(ENTRY), "there were more than two"
    await bob.caller.close()


@pytest.mark.parametrize("comfort", [lambda folder: Comfort(entry=NAME, exit=NAME)], indirect=True)
async def test_who_comes_and_goes_is_named_as_all_know_him_also_when_he_is_thrown_out(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    room = meeting.rooms.room("tea")
    room.come("Bob & Co", "bob.secretname@example.org/phone")
    alice = await caller("alice", ALICE)
    await caller("bob.secretname", BOB)
    await alice.until_hears(SPEECH)
    assert teller.said == ["Bob & Co has joined."]
    room.go("Bob & Co", Departure.KICKED)
    await until(lambda: teller.said[1:] == ["Bob & Co has left."])


class Unnamed(Roster):
    def names(self, known: Mapping[JID, str]) -> dict[JID, str]:
        raise AssertionError("it takes as long as there are people")


@pytest.mark.parametrize("comfort", [lambda folder: Comfort()], indirect=True)
async def test_nobody_is_looked_for_by_name_where_no_names_are_said(meeting: Meeting, caller: Caller) -> None:
    await caller("alice", ALICE)
    conference = meeting.conference()
    conference.roster = Unnamed(**{each.name: getattr(conference.roster, each.name) for each in fields(Roster)})
    meeting.rooms.room("tea").come("Bob", "bob@example.org/phone")
    await caller("bob", BOB)
    assert len(conference.roster.participants) == 2


# --- announcements ---


def with_sounds(folder: Path) -> Comfort:
    return Comfort(sounds={"gong": sound(folder / "gong.wav", MUSIC, 0.5)})


class Desk:
    """Where moderators command."""

    def __init__(self, meeting: Meeting) -> None:
        self._commands = AdHocCommands(meeting.application)

    def announce(self, sender: str, **fields: str) -> AdHoc:
        values = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
        form = f"<x xmlns='jabber:x:data' type='submit'>{values}</x>" if fields else ""
        payload = f"<command xmlns='http://jabber.org/protocol/commands' node='{ANNOUNCE}'>{form}</command>"
        answer = self._commands.answer(JID.parse(sender), JID("tea", "focus.example.org"), ET.fromstring(payload))
        return AdHoc.parse(ET.fromstring(serialize(answer)))


@pytest.mark.parametrize("comfort", [with_sounds], indirect=True)
async def test_a_moderator_has_something_said_to_all(meeting: Meeting, caller: Caller, teller: Teller) -> None:
    meeting.rooms.room("tea").come("Owner", "owner@example.org/desk", affiliation="owner")
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    desk = Desk(meeting)
    form = desk.announce("owner@example.org/desk").form
    assert form is not None
    assert [option.value for field in form.fields for option in field.options] == ["gong"]
    note = desk.announce("owner@example.org/desk", text="Tea is &lt;ready&gt;", sound="gong").notes[0]
    assert note.text == "Saying: gong Tea is <ready>"
    for each in (alice, bob):
        await each.until_hears(MUSIC, SPEECH)
    assert teller.said == ["Tea is <ready>"]

    for given, refusal in ((({"sound": "drum"}), ItemNotFound), ({"text": " "}, BadPayload)):
        with pytest.raises(refusal):
            desk.announce("owner@example.org/desk", **given)
    with pytest.raises(BadPayload):
        desk.announce("owner@example.org/desk", text="a" * 1001)
    with pytest.raises(Forbidden):
        desk.announce("bob@example.org/phone", text="I am in charge")


@pytest.mark.parametrize("comfort", [lambda folder: None], indirect=True)
async def test_where_nothing_can_be_said_there_is_no_such_command(meeting: Meeting, caller: Caller) -> None:
    meeting.rooms.room("tea").come("Owner", "owner@example.org/desk", affiliation="owner")
    await caller("alice", ALICE)
    with pytest.raises(ItemNotFound):
        Desk(meeting).announce("owner@example.org/desk", text="Hello")


@pytest.mark.parametrize("comfort", [lambda folder: Comfort()], indirect=True)
async def test_all_are_told_that_they_are_recorded_also_who_comes_later(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice = await caller("alice", ALICE)
    tea = meeting.conference().roster.focus
    recorders = []
    for _ in range(2):
        made = await meeting.admin.command(tea, Record())
        assert isinstance(made, Ref)
        recorders.append(JID.from_uri(made.uri))
    await alice.until_hears(SPEECH)
    assert teller.said == [TEXTS["recording_begun"]]
    bob = await caller("bob", BOB)
    await bob.until_hears(SPEECH)
    assert teller.said == [TEXTS["recording_begun"]] * 2
    for each in recorders:
        assert teller.said[2:] == []
        await meeting.admin.command(each, Stop())
        await until(lambda each=each: each not in [c.address for c in meeting.focus.server.directory.components()])  # type: ignore[misc]
    await until(lambda: teller.said[2:] == [TEXTS["recording_ended"]])
