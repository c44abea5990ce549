"""What a phone says and hears: sources that play into a leg, and what was heard, kept and written down."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from focus.engines.espeak import Espeak
from focus.media.files import AudioFileError, WavWriter, read_audio
from focus.media.leg import Leg, Tap
from focus.media.tones import SAMPLE_RATE, Tone

Samples = npt.NDArray[np.int16]
#: Begins from the start at each call: blocks of int16 mono at 48 kHz. After its end there is silence.
Source = Callable[[], AsyncGenerator[Samples, None]]

BLOCK = SAMPLE_RATE // 10
#: How much is queued in the plane: what a busy machine may delay us without a gap, and what is still said after `mute`.
AHEAD = SAMPLE_RATE // 2
#: Between two repetitions of a text.
PAUSE = np.zeros(SAMPLE_RATE, np.int16)
LISTEN_INTERVAL = 0.1


def tone(*frequencies: float) -> Source:
    """Sine waves without end. Raises ValueError for what cannot be one."""
    Tone(frequencies)

    async def play() -> AsyncGenerator[Samples, None]:
        sine = Tone(frequencies)
        while True:
            yield sine.samples(BLOCK)

    return play


def file(path: Path, *, loop: bool) -> Source:
    """An audio file. Raises `AudioFileError` where it is none; one that breaks off later is played up to there."""
    if next(read_audio(path), None) is None:
        raise AudioFileError(f"{path}: there is no audio in it")

    async def play() -> AsyncGenerator[Samples, None]:
        while True:
            for block in read_audio(path, block=BLOCK):
                yield block
            if not loop:
                return
            await asyncio.sleep(0)  # a file that somebody emptied meanwhile must not stop everything else

    return play


def speech(text: str, *, loop: bool, voice: str | None = None, language: str | None = None) -> Source:
    """Text, spoken by espeak-ng, a second of silence between repetitions."""

    async def play() -> AsyncGenerator[Samples, None]:
        engine = Espeak()
        while True:
            async with aclosing(engine.synthesize(text, voice=voice, language=language)) as blocks:
                async for block in blocks:
                    yield block
            if not loop:
                return
            yield PAUSE

    return play


class Player:
    """Plays a source into a leg, a little ahead of time, except while it is muted."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._audible = asyncio.Event()
        self._audible.set()

    def mute(self, muted: bool) -> None:
        """Be silent as soon as what is queued (half a second) has been said; the source waits meanwhile."""
        if muted:
            self._audible.clear()
        else:
            self._audible.set()

    async def run(self, leg: Leg) -> None:
        """Until the source ends. Raises what the source raises."""
        async with aclosing(self._source()) as blocks:
            async for block in blocks:
                while len(block):
                    await self._audible.wait()
                    await asyncio.sleep(max(0, leg.play_pending() - AHEAD) / SAMPLE_RATE)
                    block = block[leg.play(np.ascontiguousarray(block[:BLOCK])) :]


class Ear:
    """What is heard at a tap: the last `keep` seconds in memory, all of it in a WAV file if there is one."""

    def __init__(self, keep: float, record: Path | None) -> None:
        self._blocks: deque[Samples] = deque()
        self._kept = 0
        self._keep = int(keep * SAMPLE_RATE)
        self._record = record
        self._writer: WavWriter | None = None
        self._tap: Tap | None = None
        self._grown = asyncio.Condition()
        #: Samples heard since the beginning.
        self.total = 0

    def listen_to(self, tap: Tap) -> None:
        """Raises OSError where the recording cannot be written."""
        self._tap = tap
        if self._record is not None:
            self._writer = WavWriter(self._record)

    def take(self) -> None:
        """Take what has come since the last time."""
        if self._tap is None or not len(samples := self._tap.read()):
            return
        self.total += len(samples)
        if self._writer is not None:
            self._writer.write(samples)
        self._blocks.append(samples)
        self._kept += len(samples)
        while self._kept - len(self._blocks[0]) >= self._keep:
            self._kept -= len(self._blocks.popleft())

    async def run(self) -> None:
        """Take often enough to miss nothing, until cancelled."""
        while True:
            self.take()
            async with self._grown:
                self._grown.notify_all()
            await asyncio.sleep(LISTEN_INTERVAL)

    async def wait_until(self, total: int) -> None:
        """Until `total` samples have been heard; needs `run`."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.total >= total)

    def heard(self) -> Samples:
        """The last `keep` seconds at most, int16 mono at 48 kHz."""
        self.take()
        return np.concatenate([*self._blocks, np.zeros(0, np.int16)])[-self._keep :]

    def close(self) -> None:
        if self._tap is not None:
            self.take()
            self._tap.close()
            self._tap = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
