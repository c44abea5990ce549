"""What callers say is input: real speech on the real plane, recognized by the real pocketsphinx, between real sessions.

Where it does not matter what is understood, somebody listens who understands when he is told to.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from focus.engines.espeak import Espeak
from focus.engines.grammar import Grammar as Loaded
from focus.engines.pocketsphinx import Pocketsphinx
from focus.engines.recognizer import Hypothesis, RecognitionError, RecognizerMissing
from focus.engines.synthesizer import SAMPLE_RATE, Samples
from focus.media.leg import Leg, Tap
from focus.media.plane import MediaPlane
from focus.rayo.component import Facilities
from focus.wire.conditions import OptionNotSupported, ResourceConstraint
from focus.wire.jid import JID
from focus.wire.rayo import Hangup, Join, Ref
from focus.wire.rayo_component import Complete, Execution, Failed, HungUp, Reason, Stop, Stopped
from focus.wire.rayo_input import Grammar, Input, InputMode, Match, NoInput, NoMatch
from focus.wire.rayo_output import Document, Output
from focus.wire.rayo_prompt import InputTimersStarted, Prompt
from tests.engines.spoken import say, silence
from tests.jingle.pair import End as Caller

from .calling import answered
from .scene import Client, Focus, Net, eventually, settled
from .test_input import MENU, SRGS

NLSML = "{http://www.ietf.org/xml/ns/mrcpv2}"
WORDS = "".join(f"<item>{word}</item>" for word in ("one", "two", "three", "four"))


def spoken(rules: str, attributes: str = "") -> str:
    head = 'xmlns="http://www.w3.org/2001/06/grammar" version="1.0" tag-format="semantics/1.0-literals" root="r"'
    return f'<grammar {head} mode="voice"{attributes}>{rules}</grammar>'


YES_NO = spoken("<rule id='r'><one-of><item>yes <tag>true</tag></item><item>no <tag>false</tag></item></one-of></rule>")
NUMBERS = spoken(f"<rule id='r'><item repeat='1-4'><one-of>{WORDS}</one-of></item></rule>")


def voice(*documents: str, mode: InputMode = "voice", **options: Any) -> Input:
    grammars = tuple(Grammar(content_type=SRGS, body=each) for each in documents)
    return Input(mode=mode, grammars=grammars, **options)


class Confidant:
    """Takes every utterance for "yes", once he may; or fails."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.left = False
        self.error: RecognitionError | None = None

    async def check(self, grammars: Sequence[Loaded], *, language: str | None = None) -> None:
        if self.error is not None:
            raise self.error

    async def recognize(self, utterance: Samples, grammars: Sequence[Loaded]) -> Hypothesis | None:
        self.asked.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.left = True
            raise
        if self.error is not None:
            raise self.error
        return Hypothesis(("yes",), 0.75)


@pytest.fixture
def confidant() -> Confidant:
    return Confidant()


@pytest.fixture
async def plane() -> AsyncIterator[MediaPlane]:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    yield plane
    await plane.stop()


@pytest.fixture
async def focus(
    net: Net, plane: MediaPlane, far_planes: list[MediaPlane], confidant: Confidant
) -> AsyncIterator[Focus]:
    pocketsphinx = Pocketsphinx(timeout=60)
    facilities = Facilities(
        plane,
        synthesizers={"espeak": Espeak()},
        recognizers={"pocketsphinx": pocketsphinx, "confidant": confidant},
    )
    focus = Focus(net, plane, facilities=facilities)  # type: ignore[arg-type]
    await focus.start()
    yield focus
    await focus.stop()
    await asyncio.gather(*(end.close() for end in net.ends.values()))
    assert (plane.snapshot()["legs"], plane.snapshot()["mixers"]) == (0, 0)
    assert not [task for task in asyncio.all_tasks() if "listens" in task.get_name()]
    await pocketsphinx.close()


def leg(caller: Caller) -> Leg:
    found = caller.sessions[-1].leg
    assert isinstance(found, Leg)
    return found


async def says(caller: Caller, text: str, *, after: float = 0.3) -> Samples:
    """From now on; returns what is sent."""
    sound = np.concatenate((silence(after), await say(text)))
    assert leg(caller).play(sound) == len(sound)
    return sound


async def started(owner: Client, place: JID, command: Execution) -> JID:
    ref = await owner.command(place, command)
    assert isinstance(ref, Ref)
    return JID.from_uri(ref.uri)


async def reason(owner: Client, component: JID) -> Reason:
    _, complete = await owner.event(Complete, component)
    assert isinstance(complete, Complete)
    return complete.reason


def understood(reason: Reason, mode: str = "speech") -> tuple[str | None, str | None, int]:
    """What was put in, what it means, and how sure that is."""
    assert isinstance(reason, Match), reason
    (interpretation,) = ET.fromstring(reason.result)
    put_in, *instance = interpretation
    assert put_in.tag == f"{NLSML}input"
    assert put_in.get("mode") == mode
    return put_in.text, instance[0].text if instance else None, int(put_in.get("confidence", ""))


def leg_of(focus: Focus, call: JID) -> Leg:
    session = focus.call(call).session
    assert session is not None
    assert isinstance(session.leg, Leg)
    return session.leg


def press(focus: Focus, call: JID, keys: str) -> None:
    for key in keys:
        focus.call(call).peer_pressed(key, 0.1)


async def falls_silent(tap: Tap) -> None:
    """After something has been said."""
    heard = np.zeros(0, np.int16)

    def is_over() -> bool:
        nonlocal heard
        heard = np.concatenate((heard, tap.read()))
        loud = np.flatnonzero(np.abs(heard.astype(int)) > 300)
        return len(loud) > 0 and len(heard) - loud[-1] > SAMPLE_RATE // 2

    await eventually(is_over)


async def comes_to(
    words: str, attempt: Callable[[], Awaitable[Reason]], *callers: Caller
) -> tuple[str | None, str | None, int]:
    """What is understood of those who say it again if need be: a busy machine swallows syllables."""
    for _ in range(3):
        await eventually(lambda: not any(leg(caller).play_pending() for caller in callers))
        told = await attempt()
        if isinstance(told, Match) and understood(told)[0] == words:
            return understood(told)
    raise AssertionError(f"{words!r} comes to {told}")


async def test_what_is_said_matches_or_does_not(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)

    async def yes(**options: Any) -> Reason:
        component = await started(owner, call, voice(YES_NO, initial_timeout=60_000, **options))
        await says(alice, "yes")
        return await reason(owner, component)

    _, meaning, confidence = await comes_to("yes", partial(yes, recognition_timeout=60_000), alice)
    assert meaning == "true"
    assert confidence > 50
    assert await yes(min_confidence=1) == NoMatch()


async def test_it_ends_with_so_much_silence_as_is_wanted(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    one, two = await say("one"), await say("two")
    for silent, expected in ((2000, "one two"), (-1, "one")):

        async def counts(silent: int = silent) -> Reason:
            component = await started(owner, call, voice(NUMBERS, max_silence=silent))
            leg(alice).play(np.concatenate((silence(0.2), one, silence(0.6), two)))
            return await reason(owner, component)

        await comes_to(expected, counts, alice)


async def test_in_a_mixer_all_who_are_heard_there_are_one_and_what_is_played_is_nobody(
    focus: Focus, owner: Client, alice: Caller, bob: Caller
) -> None:
    calls = [await answered(focus, alice, owner), await answered(focus, bob, owner, 2)]
    for call in calls:
        await owner.command(call, Join(mixer_name="tea"))
    tea = focus.addresses.mixer("tea")
    talking = Output(documents=(Document(content_type="text/plain", body="four four four"),), repeat_times=0)
    output = await started(owner, tea, talking)
    hears = leg(alice).tap()
    await eventually(lambda: bool(np.abs(hears.read()).max(initial=0) > 1000))
    one, two = await say("one"), await say("two")

    async def both() -> Reason:
        component = await started(owner, tea, voice(NUMBERS, max_silence=2000))
        leg(alice).play(np.concatenate((silence(0.2), one)))
        leg(bob).play(np.concatenate((silence(0.5), np.zeros_like(one), two)))
        return await reason(owner, component)

    await comes_to("one two", both, alice, bob)
    await owner.command(calls[1], Join(mixer_name="tea", direction="recv"))  # muted

    async def one_of_them() -> Reason:
        component = await started(owner, tea, voice(NUMBERS))
        await says(bob, "three")
        await says(alice, "two", after=0.8)
        return await reason(owner, component)

    await comes_to("two", one_of_them, alice, bob)
    await owner.command(output, Stop())
    await owner.event(Complete, output)


async def test_of_keys_and_speech_either_will_do_and_keys_are_surer(
    focus: Focus, owner: Client, alice: Caller, confidant: Confidant
) -> None:
    call = await answered(focus, alice, owner)
    both = voice(MENU, YES_NO, mode="any", recognizer="confidant")
    confidant.may_answer.set()
    component = await started(owner, call, both)
    await says(alice, "yes")
    assert understood(await reason(owner, component)) == ("yes", "true", 75)

    confidant.may_answer.clear()
    confidant.asked.clear()
    component = await started(owner, call, both)
    await says(alice, "yes")
    await confidant.asked.wait()
    press(focus, call, "12")
    assert understood(await reason(owner, component), "dtmf") == ("1 2", "support", 100)
    assert confidant.left


async def test_where_speech_cannot_be_understood_keys_will_do_still(
    focus: Focus, owner: Client, alice: Caller, confidant: Confidant, caplog: pytest.LogCaptureFixture
) -> None:
    call = await answered(focus, alice, owner)
    component = await started(owner, call, voice(MENU, YES_NO, mode="any", recognizer="confidant"))
    confidant.error = RecognitionError("it does not answer")
    confidant.may_answer.set()
    await says(alice, "yes")
    await eventually(lambda: "it does not answer" in caplog.text)
    press(focus, call, "12")
    assert understood(await reason(owner, component), "dtmf") == ("1 2", "support", 100)


async def test_keys_are_nothing_where_speech_is_wanted_but_the_terminator_ends_it(
    focus: Focus, owner: Client, alice: Caller
) -> None:
    call = await answered(focus, alice, owner)

    async def until_then() -> Reason:
        tap = leg_of(focus, call).tap()
        component = await started(owner, call, voice(NUMBERS, terminator="#", max_silence=60_000))
        await says(alice, "one two three")
        await falls_silent(tap)
        press(focus, call, "5#")
        return await reason(owner, component)

    await comes_to("one two three", until_then, alice)
    component = await started(owner, call, voice(NUMBERS, terminator="#"))
    await settled()
    press(focus, call, "5#")
    assert await reason(owner, component) == NoMatch()


async def test_who_says_nothing_or_does_not_come_to_an_end_is_not_waited_for(
    focus: Focus, owner: Client, alice: Caller
) -> None:
    call = await answered(focus, alice, owner)
    component = await started(owner, call, voice(NUMBERS, initial_timeout=0))
    assert await reason(owner, component) == NoInput()
    component = await started(owner, call, voice(NUMBERS, recognition_timeout=500, initial_timeout=20_000))
    speech = np.resize(await say("one two three four one two three four"), 9 * SAMPLE_RATE)
    leg(alice).play(speech)
    assert await reason(owner, component) == NoMatch()
    assert leg(alice).play_pending() > SAMPLE_RATE


async def test_what_ends_while_speech_is_recognized_leaves_nothing(
    focus: Focus, owner: Client, alice: Caller, confidant: Confidant
) -> None:
    call = await answered(focus, alice, owner)
    for ending, expected in ((None, None), (Stop(), Stopped()), (Hangup(), HungUp())):
        component = await started(owner, call, voice(YES_NO, recognizer="confidant"))
        await says(alice, "yes")
        await confidant.asked.wait()
        confidant.asked.clear()
        if ending is None:
            confidant.error = RecognitionError("it has lost its hearing")
            confidant.may_answer.set()
            told = await reason(owner, component)
            assert isinstance(told, Failed)
            assert "hearing" in told.text
            confidant.error = None
            confidant.may_answer.clear()
        else:
            await owner.command(call if isinstance(ending, Hangup) else component, ending)
            assert await reason(owner, component) == expected
            assert confidant.left
            confidant.left = False


async def test_who_speaks_interrupts_what_is_said_to_him(focus: Focus, owner: Client, alice: Caller) -> None:
    call = await answered(focus, alice, owner)
    asking = Output(documents=(Document(content_type="text/plain", body="yes or no, no or yes"),), repeat_times=0)

    async def interrupts() -> Reason:
        hears = leg(alice).tap()
        component = await started(owner, call, Prompt(output=asking, input=voice(YES_NO, initial_timeout=60_000)))
        await eventually(lambda: bool(np.abs(hears.read()).max(initial=0) > 1000))
        await says(alice, "no")
        await owner.event(InputTimersStarted, component)  # what would go on for ever is over
        return await reason(owner, component)

    await comes_to("no", interrupts, alice)


async def test_what_cannot_be_recognized_is_refused(
    focus: Focus, owner: Client, alice: Caller, confidant: Confidant, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = await answered(focus, alice, owner)
    for command, why in (
        (voice(YES_NO, language="deu"), "recognizes en-US, not 'deu'"),
        (voice(spoken("<rule id='r'>oui</rule>", " xml:lang='fr'")), "recognizes en-US, not 'fr'"),
        (voice(spoken("<rule id='r'>yes xyzzyfoo</rule>")), "how these words sound: 'xyzzyfoo'"),
        (voice(YES_NO, recognizer="ears"), "no recognizer 'ears' here; there is pocketsphinx, confidant"),
        (voice(MENU, recognizer="ears", mode="dtmf"), "no recognizer 'ears'"),
    ):
        with pytest.raises(OptionNotSupported, match=why):
            await owner.command(call, command)
    by_confidant = voice(YES_NO, recognizer="confidant")
    confidant.error = RecognizerMissing("it is not installed")
    with pytest.raises(OptionNotSupported, match="not installed"):
        await owner.command(call, by_confidant)
    confidant.error = RecognitionError("it does not answer")
    with pytest.raises(ResourceConstraint, match="does not answer"):
        await owner.command(call, by_confidant)
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(OptionNotSupported, match=r"focus-conference\[speech\]"):
        await owner.command(call, voice(YES_NO))
    await started(owner, call, voice(MENU, mode="any"))  # keys need none of them
