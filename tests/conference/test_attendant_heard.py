"""What callers of a room with comfort hear, on the real plane; what they do by keys besides is in test_attendant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from focus.conference.comfort import TEXTS, Action, Comfort
from focus.conference.policy import Policy
from focus.http.fetch import Reach, SafeFetch
from focus.jingle.peer import Timeouts
from focus.media.plane import MediaPlane
from focus.media.recordings import Recordings
from focus.rayo.component import Facilities
from focus.rayo.repertoire import Repertoire
from focus.wire.commands import BadPayload
from focus.wire.conditions import Forbidden, ItemNotFound
from focus.wire.conference_info import ConferenceInfo, Endpoint
from focus.wire.jid import JID
from focus.wire.rayo import Ref
from focus.wire.rayo_component import Stop
from focus.wire.rayo_record import Record
from tests.jingle.pair import End

from .commanding import Desk
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
        repertoire=Repertoire(room=0),  # all that is said is told
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


async def test_who_mutes_himself_is_heard_by_nobody_and_shown_so_until_he_does_it_again(
    meeting: Meeting, caller: Caller, teller: Teller
) -> None:
    alice, bob = await caller("alice", ALICE), await caller("bob", BOB)
    await bob.until_hears(ALICE)
    alice.press("*6")
    muted = await shown(meeting, "alice", lambda seen: seen.media[0].status == "recvonly")
    assert muted.status == "connected", "as by a client, not as by a moderator"
    await alice.until_hears(SPEECH)
    await bob.until_not(ALICE)
    assert teller.said == [TEXTS["muted"]]
    assert not bob.hears(SPEECH), "only whoever has asked is told"

    alice.press("*6")
    await shown(meeting, "alice", lambda seen: seen.media[0].status == "sendrecv")
    bob.forget()
    await bob.until_hears(ALICE)
    await until(lambda: teller.said == [TEXTS["muted"], TEXTS["unmuted"]])


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


# --- alone ---


def with_music(folder: Path) -> Comfort:
    return Comfort(keys=KEYS, music=(sound(folder / "music.wav", MUSIC, 1.0),), music_after=0.1)


@pytest.mark.parametrize("comfort", [with_music], indirect=True)
async def test_who_is_alone_hears_music_that_does_not_end_until_somebody_comes_who_never_does(
    meeting: Meeting, caller: Caller
) -> None:
    alice = await caller("alice", ALICE)
    await alice.until_hears(MUSIC)
    alice.forget()
    await until(lambda: sum(each > -20 for each in alice.levels(MUSIC)) > 11)
    loudest = max(alice.levels(MUSIC))
    bob = await caller("bob", BOB)
    await alice.until_hears(BOB)
    await until(lambda: alice.levels(MUSIC)[-1] < -60)
    fading = [each for each in alice.levels(MUSIC) if loudest - 24 < each < loudest - 4]
    assert len(fading) >= 2, "tenths of a second"
    await bob.until_hears(ALICE)
    assert not bob.hears(MUSIC)
    alice.forget()
    await bob.caller.close()
    await alice.until_hears(MUSIC)


@pytest.mark.parametrize("comfort", [with_music], indirect=True)
async def test_the_music_is_quieter_while_something_is_said(meeting: Meeting, caller: Caller, teller: Teller) -> None:
    alice = await caller("alice", ALICE)
    await alice.until_hears(MUSIC)
    loudest = max(alice.levels(MUSIC))
    teller.repeats = 60
    alice.press("*2")
    await alice.until_hears(SPEECH)
    alice.forget()
    await until(lambda: any(loudest - 18 < each < loudest - 12 for each in alice.levels(MUSIC)))
    alice.forget()
    teller.repeats = 1
    alice.press("*6")
    await until(lambda: any(each > loudest - 2 for each in alice.levels(MUSIC)))


# --- what all hear ---


def with_tones(folder: Path) -> Comfort:
    entry, exit = sound(folder / "entry.wav", ENTRY, 0.5), sound(folder / "exit.wav", EXIT, 0.5)
    return Comfort(entry=entry, exit=exit, tones_up_to=2, rest=0.0)


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


def with_sounds(folder: Path) -> Comfort:
    return Comfort(sounds={"gong": sound(folder / "gong.wav", MUSIC, 0.5)})


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
    mixer = meeting.focus.mixer("tea")
    assert mixer is not None
    await until(lambda: len(mixer.components) == len(recorders))  # it has been said
    bob = await caller("bob", BOB)
    await bob.until_hears(SPEECH)
    assert teller.said == [TEXTS["recording_begun"]] * 2
    for each in recorders:
        assert teller.said[2:] == []
        await meeting.admin.command(each, Stop())
        await until(lambda each=each: each not in [c.address for c in meeting.focus.server.directory.components()])  # type: ignore[misc]
    await until(lambda: teller.said[2:] == [TEXTS["recording_ended"]])
