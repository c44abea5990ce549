"""Sounds for those who listen: one that tells by its pitch where in it one is, and plain tones."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from focus.media.tones import SAMPLE_RATE, Tone
from tests.interop.callers import AiortcCaller
from tests.interop.running import PATIENCE

#: The pitch at the beginning in Hz, how much it rises in each second, and for how many; peak of its samples.
FIRST, RISE, LENGTH, PEAK = 700.0, 30.0, 60.0, 4000.0
#: Samples in which a pitch can be told.
WINDOW = SAMPLE_RATE * 2 // 5
#: Root of the mean square below which there is silence.
QUIET = 50.0


def write(path: Path, samples: NDArray[np.int16]) -> str:
    """The URI of a sound file."""
    with wave.open(str(path), "wb") as writing:
        writing.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        writing.writeframes(samples.tobytes())
    return path.as_uri()


def tone(path: Path, frequency: float) -> str:
    """Half a second of it."""
    return write(path / f"{frequency:.0f}.wav", Tone(frequency).samples(SAMPLE_RATE // 2))


def rising(path: Path) -> str:
    at = np.arange(int(LENGTH * SAMPLE_RATE)) / SAMPLE_RATE
    return write(path / "rising.wav", (PEAK * np.sin(2 * np.pi * (FIRST + RISE / 2 * at) * at)).astype(np.int16))


class Listener:
    """Hears how loud the rising sound is, where one is in it, and how fast one moves."""

    def __init__(self, caller: AiortcCaller) -> None:
        self._ear = caller.connection.ear

    async def begins(self) -> float:
        """Where it is when it is heard again."""
        async with asyncio.timeout(PATIENCE):
            while True:
                heard = await self._ear.next(WINDOW / SAMPLE_RATE)
                if _loud(heard[: WINDOW // 4]) > QUIET and _loud(heard[-WINDOW // 4 :]) > QUIET:
                    return _place(heard)

    async def falls_silent(self) -> float:
        """Where it was at last, of what has been heard since it was listened for the last time."""
        heard = np.zeros(0, np.int16)
        async with asyncio.timeout(PATIENCE):
            while len(heard) < WINDOW or _loud(heard[-WINDOW // 2 :]) > QUIET:
                before = len(heard)
                await asyncio.sleep(0.2)
                heard = np.concatenate([heard, self._ear.since()])
                if len(heard) == before:  # long silence is not sent
                    heard = np.concatenate([heard, np.zeros(WINDOW // 2, np.int16)])
        end = int(np.flatnonzero(np.abs(heard) > QUIET)[-1])
        return _place(heard[max(end - WINDOW // 2, 0) : end])

    async def moves(self, speed: float) -> None:
        """Return when it goes on at `speed`, by what is heard in a second and a half."""
        seen = 0.0
        try:
            async with asyncio.timeout(PATIENCE):
                while not abs(seen - speed) < 0.08:
                    heard = await self._ear.next(1.9)
                    seen = (_place(heard[-WINDOW:]) - _place(heard[:WINDOW])) / (1.9 - WINDOW / SAMPLE_RATE)
        except TimeoutError:
            raise AssertionError(f"it moves {seen:.2f} times as fast, not {speed:.2f}") from None

    async def is_as_loud_as(self, gain: float) -> None:
        """Return when it is `gain` times as loud as it was made."""
        loud = 0.0
        try:
            async with asyncio.timeout(PATIENCE):
                while not 0.88 * gain < loud < 1.12 * gain:
                    loud = _loud(await self._ear.next(0.4)) * 2**0.5 / PEAK
        except TimeoutError:
            raise AssertionError(f"it is {loud:.2f} times as loud, not {gain:.2f}") from None


def _loud(samples: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(samples.astype(float) ** 2))) if len(samples) else 0.0


def _place(samples: NDArray[np.int16]) -> float:
    """Seconds from the beginning, of the middle of `samples`."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4 * len(samples))) ** 2
    peak = int(spectrum.argmax())
    around = np.arange(max(peak - 16, 0), peak + 17)
    frequency = float((spectrum[around] * around).sum() / spectrum[around].sum()) * SAMPLE_RATE / (4 * len(samples))
    return (frequency - FIRST) / RISE
