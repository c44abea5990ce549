"""Tones of the telephone network, as countries have them and as codecs leave them; beeps; and none of it in speech."""

from __future__ import annotations

import numpy as np
import pytest

from focus.engines.analysis import SIGNALS, UnknownParameter, detector
from focus.engines.signals import Detector
from focus.engines.synthesizer import Samples
from focus.wire.rayo_cpa import NAMES
from tests.engines.signalled import cadence, heard, keys, noisy, signals, through, tone
from tests.engines.spoken import say, silence

RINGS = {
    "North America": cadence(1, 2, 4, frequencies=[440, 480]),
    "most of Europe": cadence(1, 1, 4, frequencies=[425]),
    "France": cadence(1, 1.5, 3.5, frequencies=[440]),
    "Great Britain": cadence(2, 0.4, 0.2, 0.4, 2, frequencies=[400, 450]),
}
BUSY = {
    "North America": cadence(4, 0.5, 0.5, frequencies=[480, 620]),
    "Germany": cadence(4, 0.48, 0.48, frequencies=[425]),
    "Great Britain": cadence(5, 0.375, 0.375, frequencies=[400]),
}
CONGESTION = {
    "North America": cadence(6, 0.25, 0.25, frequencies=[480, 620]),
    "Germany": cadence(6, 0.24, 0.24, frequencies=[425]),
    "Italy": cadence(6, 0.2, 0.2, frequencies=[425]),
    "Great Britain": cadence(4, 0.4, 0.35, 0.225, 0.525, frequencies=[400]),
}
OFF_HOOK = {"North America": cadence(20, 0.1, 0.1, frequencies=[1400, 2060, 2450, 2600])}
SIT = {
    "E.180": np.concatenate([silence(0.5), tone(0.33, 950), tone(0.33, 1400), tone(0.33, 1800), silence(0.5)]),
    "with gaps": np.concatenate(
        [silence(0.5), tone(0.33, 950), silence(0.03), tone(0.33, 1400), silence(0.03), tone(0.33, 1800), silence(0.5)]
    ),
    "North America": np.concatenate(
        [silence(0.5), tone(0.276, 913.8), tone(0.276, 1370.6), tone(0.38, 1776.7), silence(0.5)]
    ),
}
ALL = {"ring": RINGS, "busy": BUSY, "congestion": CONGESTION, "offhook": OFF_HOOK, "sit": SIT}


def everything() -> list[Detector]:
    return [detector(name, {}) for name in sorted(SIGNALS)]


def beep(seconds: float, frequency: float) -> Samples:
    return np.concatenate([silence(0.5), tone(seconds, frequency), silence(0.5)])


def test_there_is_a_detector_for_each_signal_but_keys() -> None:
    assert SIGNALS | {"dtmf"} == set(NAMES)


@pytest.mark.parametrize("codec", ["pcmu", "opus"])
@pytest.mark.parametrize(
    ("name", "sound"),
    [
        pytest.param(name, sound, id=f"{name} of {where}")
        for name, sounds in ALL.items()
        for where, sound in sounds.items()
    ],
)
def test_a_tone_is_told_apart_from_all_others_once(name: str, sound: Samples, codec: str) -> None:
    assert signals(noisy(through(sound, codec), -60), *everything()) == [name]


def test_a_tone_is_told_as_soon_as_it_can_be() -> None:
    ((at, ringing),) = heard(RINGS["most of Europe"], detector("ring", {}))
    assert at == pytest.approx(3.4, abs=0.15)
    assert ringing.duration == pytest.approx(2.8, abs=0.1)


def test_a_tone_that_comes_again_after_speech_is_told_again() -> None:
    other = noisy(silence(1), -25)
    sound = np.concatenate([BUSY["Germany"], other, BUSY["Germany"]])
    assert signals(sound, detector("busy", {})) == ["busy"] * 2


@pytest.mark.parametrize(
    "sound",
    [
        cadence(1, 5, 3, frequencies=[350, 440]),
        cadence(1, 5, 3, frequencies=[425]),
        cadence(2, 0.1, 3, frequencies=[440]),
        keys("1234567890"),
        keys("5", 1),
        silence(3),
    ],
    ids=["dial tone", "dial tone of Europe", "somebody waits", "keys", "a long key", "silence"],
)
def test_what_is_none_of_them_is_none(sound: Samples) -> None:
    assert signals(through(sound, "pcma"), *everything()) == []


def test_noise_is_no_tone() -> None:
    assert set(signals(noisy(silence(5), -20), *everything())) <= {"vad", "human", "machine", "notsure"}


@pytest.mark.parametrize("codec", ["pcmu", "opus"])
@pytest.mark.parametrize(("frequency", "seconds"), [(600, 1), (850, 0.4), (1000, 0.3), (1400, 0.5), (2000, 2)])
def test_a_beep_is_told_when_it_is_over_with_its_frequency(frequency: float, seconds: float, codec: str) -> None:
    ((at, found),) = heard(through(beep(seconds, frequency), codec), *everything())
    assert (found.name, found.value) == ("beep", str(frequency))
    assert found.duration == pytest.approx(seconds, abs=0.05)
    assert at < 0.5 + seconds + 0.35


def test_a_beep_is_long_enough_and_alone() -> None:
    assert signals(beep(0.2, 1000), detector("beep", {})) == []
    assert signals(beep(0.2, 1000), detector("beep", {"minDuration": "160"})) == ["1000"]
    assert signals(beep(3, 1000), detector("beep", {})) == []
    stairs = np.concatenate([tone(0.3, hz) for hz in (800, 1000, 1200)])
    assert signals(np.concatenate([silence(0.5), stairs, silence(0.5)]), detector("beep", {})) == []


async def test_a_beep_is_heard_after_a_greeting() -> None:
    greeting = await say("Nobody is here. Please leave a message after the tone.")
    sound = np.concatenate([silence(0.5), greeting, silence(0.4), tone(0.4, 1000), silence(1)])
    assert signals(through(sound, "pcmu"), detector("beep", {})) == ["1000"]


SAID = (
    "Press one for sales, two for support. The quick brown fox jumps over the lazy dog. We were away a year ago. "
    "Oh, who knows? You moon, you noon, you spoon. Mmmm. Hmm. You have reached the voicemail of John Doe."
)


@pytest.mark.parametrize("voice", ["en-us", "en-us+f3", "de+m7"])
async def test_nothing_but_speech_is_heard_in_speech(voice: str) -> None:
    found = signals(through(await say(SAID, voice), "pcmu"), *everything())
    assert set(found) <= {"vad", "human", "machine", "notsure"}


async def test_who_says_a_word_is_human_and_who_goes_on_a_machine() -> None:
    hello = np.concatenate([silence(0.5), await say("Hello?"), silence(1.2)])
    ((_, found),) = heard(hello, detector("speech", {}))
    assert found.value == "human"
    assert found.duration == pytest.approx(0.4, abs=0.2)
    greeting = np.concatenate([silence(0.5), await say(SAID), silence(1.2)])
    ((at, found),) = heard(greeting, detector("speech", {}))
    assert (found.value, at) == ("machine", pytest.approx(4.6, abs=0.2))
    family = np.concatenate([silence(0.5), await say("This is the Miller residence, good morning."), silence(1.2)])
    assert signals(family, detector("speech", {"humanTime": "1000"})) == ["notsure"]
    assert signals(hello, detector("speech", {"minSpeechDuration": "1000"})) == []


async def test_a_voice_is_told_once_for_each_utterance() -> None:
    hello = np.concatenate([silence(0.5), await say("Hello?"), silence(1.2)])
    found = [at for at, _ in heard(np.tile(hello, 2), detector("vad", {}))]
    assert found == [pytest.approx(0.8, abs=0.2), pytest.approx(0.8 + len(hello) / 48000, abs=0.2)]
    soft = (hello * 0.1).astype(np.int16)
    assert signals(soft, detector("vad", {"minVolume": "100"})) == []
    assert signals(soft, detector("vad", {"minVolume": "0"})) == ["vad"]


async def test_who_goes_on_for_long_is_told_once() -> None:
    sentence = await say(SAID)
    long = np.concatenate([silence(0.5), np.resize(sentence[sentence != 0], 22 * 48000), silence(1.2)])
    assert signals(long, detector("vad", {}), detector("speech", {})) == ["vad", "machine"]


@pytest.mark.parametrize(
    ("name", "parameters", "refusal"),
    [
        ("ring", {"minDuration": "300"}, UnknownParameter),
        ("speech", {"maxtime": "4000"}, UnknownParameter),
        ("speech", {"maxTime": "4 s"}, ValueError),
        ("speech", {"maxTime": "100000"}, ValueError),
        ("vad", {"minVolume": "101"}, ValueError),
        ("beep", {"minDuration": "10"}, ValueError),
    ],
)
def test_what_a_parameter_cannot_be_is_said(name: str, parameters: dict[str, str], refusal: type[Exception]) -> None:
    with pytest.raises(refusal, match=next(iter(parameters))):
        detector(name, parameters)
