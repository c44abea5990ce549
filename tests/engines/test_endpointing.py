"""Where speech begins and ends, of the real espeak-ng."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from focus.engines.endpointing import MAX_UTTERANCE, Endpointer, SpeechEnded, SpeechStarted
from focus.engines.recognizer import RecognizerMissing
from focus.engines.synthesizer import SAMPLE_RATE, Samples
from tests.engines.spoken import hum, noise, over, rms, say, silence

Event = SpeechStarted | SpeechEnded


def events(endpointer: Endpointer, samples: Samples, length: int = 960) -> list[Event]:
    return [event for at in range(0, len(samples), length) for event in endpointer.feed(samples[at : at + length])]


def utterances(found: list[Event]) -> list[Samples]:
    """What was said, where each beginning has its end."""
    assert [type(event) for event in found] == [SpeechStarted, SpeechEnded] * (len(found) // 2)
    return [event.utterance for event in found if isinstance(event, SpeechEnded)]


def contains(utterance: Samples, speech: Samples) -> bool:
    """Whether all of the speech that is not silent is in the utterance."""
    loud = np.flatnonzero(np.abs(speech) > 200)
    wanted = speech[loud[0] : loud[-1]].tobytes()
    return wanted in utterance.tobytes()


async def test_an_utterance_is_whole_with_little_around_it() -> None:
    speech = await say("I would like a large pizza with mushrooms")
    before, after = np.zeros(2 * SAMPLE_RATE, np.int16), np.zeros(SAMPLE_RATE, np.int16)
    (utterance,) = utterances(events(Endpointer(), np.concatenate((before, speech, after))))
    assert contains(utterance, speech)
    assert len(utterance) < len(speech) + 0.7 * SAMPLE_RATE


@pytest.mark.parametrize("length", [1, 7, 160, 1000, 7919, 10**6])
async def test_the_length_of_blocks_does_not_matter(length: int) -> None:
    speech = np.concatenate((silence(0.5), await say("yes"), silence(0.6)))
    (expected,) = utterances(events(Endpointer(), speech))
    (found,) = utterances(events(Endpointer(), speech, length))
    assert np.array_equal(found, expected)


async def test_a_pause_ends_an_utterance_when_it_is_longer_than_the_silence_allowed() -> None:
    word = await say("seven")
    speech = np.concatenate((silence(0.5), word, silence(0.6), word, silence(2)))
    assert len(utterances(events(Endpointer(max_silence=0.4), speech))) == 2
    assert len(utterances(events(Endpointer(max_silence=1.2), speech))) == 1


@pytest.mark.parametrize("level", [30, 300, 500])
def test_noise_is_no_speech(level: int) -> None:
    assert events(Endpointer(), noise(5, level)) == []
    assert events(Endpointer(), hum(5, level)) == []


async def test_what_is_loud_and_no_voice_does_not_prolong_an_utterance() -> None:
    speech = await say("one two three")
    whistle = (3000 * np.sin(2 * np.pi * 6000 * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE)).astype(np.int16)
    (utterance,) = utterances(events(Endpointer(), np.concatenate((silence(1), speech, whistle))))
    assert len(utterance) < len(speech) + 1.5 * SAMPLE_RATE


def test_a_click_is_no_speech() -> None:
    click = np.concatenate((silence(1), noise(0.04, 8000), silence(1), noise(0.04, 8000), silence(1)))
    assert events(Endpointer(sensitivity=1), click) == []


@pytest.mark.parametrize("voice", ["en-us", "en-us+f3", "en-gb"])
async def test_speech_is_found_in_noise(voice: str) -> None:
    speech = await say("nine seven zero five", voice)
    for make in (noise, hum):
        sound = over(np.concatenate((silence(1), speech, silence(1))), make(1, rms(speech) / 10))
        (utterance,) = utterances(events(Endpointer(), sound))
        assert 0.8 * len(speech) < len(utterance) < len(speech) + 0.7 * SAMPLE_RATE


async def test_sensitivity_decides_how_quietly_one_may_speak() -> None:
    speech = await say("seven eight nine")
    quiet = np.concatenate((silence(1), (speech * (60 / rms(speech))).astype(np.int16), silence(1)))
    assert events(Endpointer(sensitivity=0), quiet) == []
    assert len(utterances(events(Endpointer(sensitivity=1), quiet))) == 1


async def test_who_does_not_stop_is_listened_to_in_parts() -> None:
    speech = np.resize(await say("one two three four five six seven eight nine"), 25 * SAMPLE_RATE)
    first, *_ = utterances(events(Endpointer(max_silence=5), np.concatenate((speech, silence(6)))))
    assert len(first) == round(MAX_UTTERANCE * SAMPLE_RATE)


async def test_what_is_being_said_at_the_end_is_an_utterance() -> None:
    speech = await say("one two three")
    endpointer = Endpointer()
    assert endpointer.end() is None
    (started,) = events(endpointer, np.concatenate((silence(0.5), speech[: len(speech) // 2])))
    assert isinstance(started, SpeechStarted)
    assert endpointer.is_speech
    ended = endpointer.end()
    assert ended is not None
    assert len(ended.utterance) > 0.3 * len(speech)
    assert not endpointer.is_speech
    assert endpointer.end() is None


def test_without_the_detector_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(RecognizerMissing, match="webrtcvad-wheels is not installed"):
        Endpointer()


def test_sensitivity_is_a_part_of_one() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Endpointer(sensitivity=1.5)
