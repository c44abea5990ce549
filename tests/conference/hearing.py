"""A meeting on the real plane, by callers with planes of their own who say tones, press keys, and hear."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from focus.engines.synthesizer import EngineMissing, Samples
from focus.media.leg import Leg
from focus.media.tones import SAMPLE_RATE, Tone
from focus.wire.jid import JID
from tests.jingle.pair import End as Caller
from tests.media.peers import level

from .scene import Meeting

#: What is said sounds so, whatever it is.
SPEECH = 1000.0
#: A tone that does not change is no speech to an encoder, which then sends nothing.
_SYLLABLES = (np.arange(SAMPLE_RATE) % (SAMPLE_RATE // 2) < SAMPLE_RATE * 2 // 5).astype(np.int16)
#: Samples that are listened to at once.
WINDOW = SAMPLE_RATE // 10


class Teller:
    """A Synthesizer that has half a second of a tone for everything, or several, and remembers what it has said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.repeats = 1
        self.is_mute = False

    async def language(self, voice: str | None) -> str:
        return "en"

    async def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, markup: bool = False
    ) -> AsyncGenerator[Samples, None]:
        assert markup
        assert language == "en"
        if self.is_mute:
            raise EngineMissing("it is not installed")
        self.said.append("".join(ET.fromstring(text).itertext()))
        for _ in range(self.repeats):
            yield Tone(SPEECH).samples(SAMPLE_RATE // 2)


def sound(path: Path, frequency: float, seconds: float) -> str:
    """A file with a tone; its URI."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(Tone(frequency).samples(int(seconds * SAMPLE_RATE)).tobytes())
    return path.as_uri()


class Telephone:
    """Somebody in the meeting, who says `frequency` all the time."""

    def __init__(self, meeting: Meeting, caller: Caller, frequency: float) -> None:
        self.caller = caller
        self._meeting = meeting
        self._frequency = frequency
        leg = caller.sessions[-1].leg
        assert isinstance(leg, Leg)
        self.leg = leg
        self._tap = leg.tap()
        self._rest = np.zeros(0, np.int16)
        self._windows: list[np.ndarray] = []
        self._levels: dict[float, list[float]] = {}
        self._tone = Tone(frequency)
        self._talking = asyncio.create_task(self._talk())

    async def _talk(self) -> None:
        with suppress(ValueError):  # until the leg is closed
            while True:
                while self.leg.play_pending() < 5 * SAMPLE_RATE:
                    self.leg.play(self._tone.samples(SAMPLE_RATE) * _SYLLABLES)
                await asyncio.sleep(0.2)

    @property
    def call(self) -> JID:
        return self._meeting.call_of(self.caller)

    def press(self, keys: str) -> None:
        self.leg.press(keys)

    def levels(self, frequency: float) -> list[float]:
        """Of each window since `forget`."""
        heard = np.concatenate([self._rest, self._tap.read()])
        end = len(heard) - len(heard) % WINDOW
        self._windows += [heard[at : at + WINDOW] for at in range(0, end, WINDOW)]
        self._rest = heard[end:]
        known = self._levels.setdefault(frequency, [])
        known += [level(each, frequency) for each in self._windows[len(known) :]]
        return list(known)

    def forget(self) -> None:
        """Only what is heard from now on counts."""
        self._tap.read()
        self._rest = self._rest[:0]
        self._windows.clear()
        self._levels.clear()

    def hears(self, frequency: float) -> bool:
        return any(each > -40 for each in self.levels(frequency))

    async def until_hears(self, *frequencies: float) -> None:
        await until(lambda: all(map(self.hears, frequencies)))

    async def until_not(self, frequency: float) -> None:
        """Half a second without it."""
        self.forget()
        await until(lambda: max(self.levels(frequency)[-5:] or [0]) < -55 and len(self.levels(frequency)) >= 5)

    async def listen(self, seconds: float) -> None:
        """To so much sound: somebody must say something all the while."""
        before = len(self.levels(SPEECH))
        await until(lambda: len(self.levels(SPEECH)) >= before + seconds * 10)

    def close(self) -> None:
        self._talking.cancel()
        self._tap.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it happens in the plane
            await asyncio.sleep(0.02)
