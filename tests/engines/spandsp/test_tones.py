"""Keys as sound, and what fax machines and modems say, found by libspandsp; and not found in speech."""

from __future__ import annotations

import numpy as np
import pytest

from focus.engines.signals import Detector, DetectorMissing
from focus.engines.spandsp import library
from focus.engines.spandsp.tones import ConnectTones, Keys
from tests.engines.signalled import cadence, heard, keys, noisy, signals, through, tone
from tests.engines.spoken import say, silence

ALL = "0123456789*#ABCD"


@pytest.mark.parametrize("codec", ["pcmu", "pcma", "opus"])
def test_each_key_is_heard_once_and_in_order(codec: str) -> None:
    assert signals(through(keys(ALL), codec), Keys()) == [*ALL]
    assert signals(through(keys("1155*", seconds=0.05, gap=0.05), codec), Keys()) == [*"1155*"]


def test_a_key_is_told_when_it_is_over_with_how_long_it_was() -> None:
    ((at, long), (_, short)) = heard(np.concatenate([keys("5", seconds=3), keys("6")]), Keys())
    assert (long.value, short.value) == ("5", "6")
    assert long.duration == pytest.approx(3, abs=0.04)
    assert short.duration == pytest.approx(0.08, abs=0.04)
    assert 3.3 < at < 3.6


@pytest.mark.parametrize("twist", [-6, 3.5])
def test_one_of_the_two_tones_may_be_louder(twist: float) -> None:
    assert signals(keys("159D", twist=twist), Keys()) == [*"159D"]


def test_more_than_that_is_no_key() -> None:
    assert signals(keys("159D", twist=14), Keys()) == []
    assert signals(tone(1, 770), Keys()) == []


def test_keys_are_heard_softly_and_over_noise() -> None:
    assert signals(keys("2580", level=-36), Keys()) == [*"2580"]
    assert signals(noisy(keys("2580", level=-20), -32), Keys()) == [*"2580"]
    assert signals(noisy(np.zeros(10 * 48000, np.int16), -20), Keys()) == []


SAID = (
    "Press one for sales, two for support, or stay on the line. The quick brown fox jumps over the lazy dog. "
    "We were away a year ago. Oh, who knows? Four score and seven years ago our fathers brought forth a new nation."
)


@pytest.mark.parametrize("voice", ["en-us+m7", "de+f3"])
async def test_nothing_of_it_is_heard_in_speech(voice: str) -> None:
    speech = await say(SAID, voice)
    listening: list[Detector] = [Keys(), *map(ConnectTones, ("fax-cng", "fax-ced", "modem"))]
    assert signals(speech, *listening) == signals(through(speech, "pcmu"), *listening) == []


CNG = cadence(2, 0.5, 3, frequencies=[1100])
CED = cadence(1, 3, 1, frequencies=[2100])


def ansam() -> np.ndarray:
    """What modems of V.8 answer with: modulated, and turned every 450 ms."""
    time = np.arange(4 * 48000) / 48000
    turned = np.where((time // 0.45).astype(int) % 2, -1, 1)
    wave = 0.125 * (1 + 0.2 * np.sin(2 * np.pi * 15 * time)) * turned * np.sin(2 * np.pi * 2100 * time)
    return np.concatenate([silence(0.5), (wave * 32767).astype(np.int16), silence(0.5)])


def preamble() -> np.ndarray:
    """Flags of HDLC at 300 bit/s (V.21, the upper channel), as an answering fax machine sends them for a second."""
    bits = np.resize([0, 1, 1, 1, 1, 1, 1, 0], 330)
    frequency = np.repeat(np.where(bits, 1650.0, 1850.0), 160)
    wave = 0.125 * np.sin(2 * np.pi * np.cumsum(frequency) / 48000)
    return np.concatenate([silence(0.5), (wave * 32767).astype(np.int16), silence(0.5)])


@pytest.mark.parametrize("codec", ["pcma", "opus"])
@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        (CNG, ["fax-cng"] * 2),
        (CED, ["fax-ced"]),
        (preamble(), ["fax-ced"]),
        (ansam(), ["modem"]),
        (cadence(1, 3, 1, frequencies=[2225]), ["modem"]),
        (cadence(1, 0.6, 2, frequencies=[1300]), ["modem"]),
        (cadence(1, 2, 4, frequencies=[440, 480]), []),
    ],
    ids=["CNG", "CED", "preamble", "ANSam", "Bell", "calling tone", "ringing"],
)
def test_fax_machines_and_modems_say_what_they_are(codec: str, sound: np.ndarray, expected: list[str]) -> None:
    assert signals(through(sound, codec), *map(ConnectTones, ("fax-cng", "fax-ced", "modem"))) == expected


def test_without_the_library_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "NAME", "libno-such.so")
    library.load.cache_clear()
    with pytest.raises(DetectorMissing, match="libspandsp2"):
        Keys()
    monkeypatch.undo()
    library.load.cache_clear()
