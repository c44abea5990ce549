"""Sounds one after another, begun anywhere: what is rendered is what was asked for, to the sample."""

from __future__ import annotations

import asyncio
import io
import os
import tracemalloc
import wave
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focus.engines.synthesizer import Samples, SynthesisError
from focus.rayo.rendering import KEPT, Place, Programme, RenderingError, Silence, SoundFile, Speech, Utterance

RATE = 48000


class Counted:
    """Counts samples: the n-th is `base` + n."""

    def __init__(self, base: int, length: int) -> None:
        self.length: int | None = None
        self._all = (base + np.arange(length)).astype(np.int16)
        self.begun = 0

    async def blocks(self, start: int) -> AsyncGenerator[Samples, None]:
        self.begun += 1
        for at in range(start, len(self._all), 7):
            yield self._all[at : at + 7]
        self.length = len(self._all)

    async def put_away(self) -> None:
        pass

    async def close(self) -> None:
        pass


async def rendered(programme: Programme, start: Place, most: int = 10**9) -> list[int]:
    found: list[int] = []
    async for block in programme.blocks(start):
        found += block.tolist()
        if len(found) >= most:
            break
    return found[:most]


@settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    times=st.integers(1, 3),
    interval=st.integers(0, 10),
    start=st.integers(0, 250),
    moves=st.lists(st.tuples(st.integers(0, 60), st.integers(-150, 150)), max_size=4),
)
async def test_wherever_it_is_begun_the_rest_is_rendered(
    lengths: list[int], times: int, interval: int, start: int, moves: list[tuple[int, int]]
) -> None:
    """`moves`: hear so much, then go so far."""
    once = [100 * (n + 1) + at for n, length in enumerate(lengths) for at in range(length)]
    whole = ([*once, *[0] * interval] * times)[: times * (len(once) + interval) - interval]
    programme = Programme(
        [Counted(100 * (n + 1), length) for n, length in enumerate(lengths)], times=times, interval=interval
    )
    place, at = Place(0, start), start
    for heard, by in moves:
        assert await rendered(programme, place, heard) == whole[at : at + heard]
        reached = min(at + heard, max(at, len(whole)))
        place = programme.moved(programme.moved(place, reached - at), by)
        at = max(reached + by, 0)
        if at < start and reached < start:
            return  # what lies before has never been rendered: its length is not known
    assert await rendered(programme, place) == whole[at:]


async def test_for_ever_is_for_ever_unless_there_is_nothing() -> None:
    programme = Programme([Counted(100, 3)], times=0, interval=2)
    assert await rendered(programme, Place(0, 1), 9) == [101, 102, 0, 0, 100, 101, 102, 0, 0]
    assert await rendered(Programme([Counted(0, 0), Silence(0)], times=0), Place()) == []


async def test_what_is_far_ahead_is_not_rendered_to_get_there() -> None:
    """Two seeks as far as they may go, of a word that is said again and again: millions of rounds."""
    sound = Counted(100, 3)
    programme = Programme([sound], times=0, interval=2)
    assert await rendered(programme, Place(), 6) == [100, 101, 102, 0, 0, 100]
    sound.begun = 0
    far = programme.moved(Place(), 2 * (2**31 - 1) * 48)
    assert await rendered(programme, far, 5) == [102, 0, 0, 100, 101]
    assert programme.moved(far, -(2**31) * 48) == programme.moved(Place(), (2**31 - 2) * 48)
    unknown = Programme([Counted(100, 3), sound], times=0)  # how long a round is shows on the way
    assert await rendered(unknown, Place(0, 6 * 10**11 + 4), 3) == [101, 102, 100]
    assert sound.begun < 10


def _sound(seconds: float) -> Samples:
    """A tone whose pitch says where it is."""
    at = np.arange(int(seconds * RATE)) / RATE
    return (8000 * np.sin(2 * np.pi * (200 * at + 20 * at**2))).astype(np.int16)


def _encoded(samples: Samples, format: str, codec: str) -> io.BytesIO:
    file = io.BytesIO()
    with av.open(file, "w", format=format) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=RATE, frame_size=stream.frame_size or 1024
        )
        for each in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(each))
        container.mux(stream.encode(None))
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("format", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("flac", "flac"),
        ("mp3", "libmp3lame"),
        ("ogg", "libopus"),
        ("ipod", "aac"),
        ("webm", "libopus"),
    ],
)
@pytest.mark.parametrize("start", [0, 1, 3.3333, 12.345, 19.9])
async def test_a_file_is_begun_at_the_sample_asked_for(format: str, codec: str, start: float) -> None:
    file = SoundFile("x", _encoded(_sound(20), format, codec))
    await file.check()
    whole = np.concatenate([block async for block in file.blocks(0)])
    assert abs(len(whole) - 20 * RATE) < 0.1 * RATE
    assert file.length == len(whole)
    begin = int(start * RATE)
    rest = np.concatenate([block async for block in file.blocks(begin)])
    lag = _lag(whole[begin : begin + 2400].astype(float), rest[:2400].astype(float))
    assert abs(lag) <= 2
    assert abs(len(rest) - (len(whole) - begin)) <= 2
    await file.close()


def _lag(one: np.ndarray, other: np.ndarray) -> int:
    """How many samples the second is behind."""
    length = min(len(one), len(other))
    return int(np.argmax(np.correlate(one[:length], other[:length], "full"))) - (length - 1)


@pytest.mark.parametrize(("begin", "length"), [(5, 3), (12, 11)])
async def test_behind_its_end_a_file_is_silent_and_its_length_known(begin: int, length: int) -> None:
    file = SoundFile("x", _encoded(_sound(length), "wav", "pcm_s16le"))
    assert [block async for block in file.blocks(begin * RATE)] == []
    assert file.length == length * RATE
    await file.close()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"RIFF\0\0\0\0WAVE",
    ],
)
async def test_what_is_no_sound_is_refused(content: bytes) -> None:
    file = SoundFile("http://x/y", io.BytesIO(content))
    with pytest.raises(RenderingError):
        await file.check()
    await file.close()


async def test_a_list_that_names_files_opens_none(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    with wave.open(str(secret), "wb") as writing:
        writing.setparams((1, 2, RATE, 0, "NONE", ""))
        writing.writeframes(bytes(RATE))
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {secret}\n",
    ):
        file = SoundFile("x", io.BytesIO(text.encode()))
        with pytest.raises(RenderingError):
            await file.check()
        await file.close()


class Clock:
    """A synthesizer that says how often it is asked, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = 0

    async def language(self, voice: str | None) -> str:
        return "en"

    async def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, markup: bool = False
    ) -> AsyncGenerator[Samples, None]:
        self.asked.append(text)
        self.open += 1
        try:
            for at in range(0, 1000, 100):
                yield np.arange(at, at + 100, dtype=np.int16)
        finally:
            self.open -= 1


async def test_speech_that_was_begun_to_see_that_it_can_be_goes_on() -> None:
    clock = Clock()
    speech = Speech(clock, Utterance("ten"))
    await speech.check()
    found = [block async for block in speech.blocks(150)]
    assert (clock.asked, np.concatenate(found).tolist(), speech.length) == (["ten"], list(range(150, 1000)), 1000)
    assert [block.tolist() async for block in speech.blocks(999)] == [[999]]
    assert [block async for block in speech.blocks(1000)] == []
    assert len(clock.asked) == 1
    await speech.close()
    again = Speech(clock, Utterance("ten"))
    await again.check()
    await again.close()
    assert clock.open == 0


class Lecturer(Clock):
    """Says `minutes` minutes, in blocks of 5 s, each of which is a part of a whole minute and has its own sample."""

    def __init__(self, minutes: int) -> None:
        super().__init__()
        self._minutes = minutes

    async def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, markup: bool = False
    ) -> AsyncGenerator[Samples, None]:
        self.asked.append(text)
        for minute in range(self._minutes):
            whole = np.repeat(np.arange(12 * minute, 12 * minute + 12, dtype=np.int16), 5 * RATE)
            for at in range(0, len(whole), 5 * RATE):
                yield whole[at : at + 5 * RATE]


async def test_so_much_speech_is_kept_and_no_files_are_open() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    speech = Speech(Lecturer(10), Utterance("ten"))
    tracemalloc.start()
    try:
        assert [block async for block in speech.blocks(10**9)] == []
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert speech.length == 600 * RATE
    assert len(speech.samples()) == KEPT
    assert kept < 2 * KEPT + 1_000_000
    assert peak < 2 * (KEPT + 60 * RATE) + 10_000_000
    assert len(os.listdir("/proc/self/fd")) == descriptors
    await speech.close()


class Dictation(Clock):
    """Says the next block when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.may_go_on = asyncio.Event(), asyncio.Event()
        self.fails = False

    async def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, markup: bool = False
    ) -> AsyncGenerator[Samples, None]:
        async with aclosing(super().synthesize(text)) as blocks:
            async for block in blocks:
                self.is_asked.set()
                await self.may_go_on.wait()
                if self.fails:
                    raise SynthesisError("it is hoarse")
                yield block


async def test_who_does_not_wait_for_speech_does_not_cut_it_off() -> None:
    dictation = Dictation()
    speech = Speech(dictation, Utterance("ten"))
    waiting = asyncio.create_task(anext(speech.blocks(0)))
    await dictation.is_asked.wait()
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert dictation.open == 1
    dictation.may_go_on.set()
    assert np.concatenate([block async for block in speech.blocks(950)]).tolist() == list(range(950, 1000))
    assert (dictation.asked, speech.length) == (["ten"], 1000)
    await speech.close()


async def test_speech_that_fails_while_nobody_waits_has_failed() -> None:
    dictation = Dictation()
    speech = Speech(dictation, Utterance("ten"))
    waiting = asyncio.create_task(speech.check())
    await dictation.is_asked.wait()
    waiting.cancel()
    await asyncio.wait((waiting,))
    dictation.fails = True
    dictation.may_go_on.set()
    for _ in range(2):
        with pytest.raises(RenderingError, match="hoarse"):
            await speech.check()
        with pytest.raises(RenderingError, match="hoarse"):
            await anext(speech.blocks(0))
    assert speech.length is None
    await speech.close()
