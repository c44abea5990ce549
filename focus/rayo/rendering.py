"""What an output renders: sounds one after another, each of which can be begun anywhere.

A place in it is a number of samples from the beginning, as far as the lengths of what lies before are known.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np

from focus.engines.synthesizer import SAMPLE_RATE, Samples, SynthesisError, Synthesizer
from focus.media.files import FORMATS, AudioFileError, read_audio
from focus.media.threads import in_thread

#: Samples that are decoded, or silent, at once: to another thread and back takes longer than to decode as many.
BLOCK = SAMPLE_RATE
#: Samples of what has been said last that are kept: 30 s, which are 3 MB.
KEPT = 30 * SAMPLE_RATE
#: Sounds of a programme of which something is kept: the one that is being rendered, and the one before.
NEAR = 2


class RenderingError(Exception):
    """What cannot be rendered; the message says why."""


class Forgotten(Exception):
    """What is asked for has been said, and is not kept any more."""


class Source(Protocol):
    """A sound: int16, mono, 48 kHz. `length` in samples is known once it has been rendered to its end."""

    length: int | None

    def blocks(self, start: int) -> AsyncGenerator[Samples, None]:
        """From sample `start` on; nothing where it ends before that. Raises `RenderingError`."""

    async def put_away(self) -> None:
        """It is not needed for some time: nothing is kept of what can be had anew."""

    async def close(self) -> None:
        """It is not needed any more."""


class Silence:
    """Nothing, for so many samples."""

    def __init__(self, length: int) -> None:
        self.length: int | None = length
        self._length = length

    async def blocks(self, start: int) -> AsyncGenerator[Samples, None]:
        for at in range(start, self._length, BLOCK):
            yield np.zeros(min(BLOCK, self._length - at), np.int16)

    async def put_away(self) -> None:
        pass

    async def close(self) -> None:
        pass


class SoundFile:
    """Any audio that FFmpeg decodes, as it is needed, in another thread. Closes `file` in the end."""

    def __init__(self, uri: str, file: BinaryIO) -> None:
        self.length: int | None = None
        self._uri = uri
        self._file = file
        self._reading = asyncio.Lock()

    async def check(self) -> None:
        """Raises `RenderingError` where there is no audio in it."""
        async with aclosing(self.blocks(0)) as blocks:
            async for _ in blocks:
                return
        raise RenderingError(f"{self._uri[:200]}: there is no sound in it")

    async def blocks(self, start: int) -> AsyncGenerator[Samples, None]:
        async with self._reading:  # who has been cancelled may still be reading
            await in_thread(self._file.seek, 0)
            reading = read_audio(self._file, block=BLOCK, start=start, formats=FORMATS)
            end = start
            try:
                while (block := await in_thread(next, reading, None)) is not None:
                    end += len(block)
                    yield block
                self.length = end if end > start or not start else await self._measure()
            except AudioFileError as error:
                raise RenderingError(f"{self._uri[:200]}: {error}") from None
            finally:
                await in_thread(reading.close)

    async def _measure(self) -> int:
        """How long it is, where it has been begun behind its end."""

        def length() -> int:
            self._file.seek(0)
            return sum(len(block) for block in read_audio(self._file, block=BLOCK, formats=FORMATS))

        return self.length if self.length is not None else await in_thread(length)

    async def put_away(self) -> None:
        pass

    async def close(self) -> None:
        async with self._reading:
            self._file.close()


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is said and how: `text` is SSML if `markup`, `voice` a name, `language` a tag."""

    text: str
    voice: str | None = None
    language: str | None = None
    markup: bool = False


class Speech:
    """What a synthesizer says. What it has said lately is kept, so that it can be begun there and is the same again."""

    def __init__(self, synthesizer: Synthesizer, utterance: Utterance) -> None:
        self.length: int | None = None
        self._saying = synthesizer.synthesize(
            utterance.text, voice=utterance.voice, language=utterance.language, markup=utterance.markup
        )
        self._going_on: asyncio.Task[None] | None = None
        #: What is kept, in parts, each with its first sample's number; and how much has been said.
        self._kept: deque[tuple[int, Samples]] = deque()
        self._said = 0
        self._is_whole = False
        #: Why it cannot be said, or not to its end.
        self.failure: str | None = None

    async def check(self) -> None:
        """Begin, so that it is certain that it can be said. Raises `RenderingError`."""
        if not self._said:
            await self._more()

    def samples(self) -> Samples:
        """What is kept: all that has been said where that is no more than `KEPT`."""
        return np.concatenate([np.zeros(0, np.int16), *(block for _, block in self._kept)])

    async def blocks(self, start: int) -> AsyncGenerator[Samples, None]:
        """See `Source`. Raises `Forgotten` as well."""
        at = start
        while at < self._said or not self._is_whole:
            if at < self._said:
                yield (block := self._read(at))
                at += len(block)
            else:
                await self._more()

    def _read(self, at: int) -> Samples:
        for begin, block in reversed(self._kept):
            if begin <= at:
                return block[at - begin :]
        raise Forgotten

    async def _more(self) -> None:
        """Have one more block said. A reader that is cancelled does not cut it off."""
        if self.failure is None:
            if self._going_on is None or self._going_on.done():
                self._going_on = asyncio.create_task(self._go_on())
            await asyncio.shield(self._going_on)
        if self.failure is not None:
            raise RenderingError(self.failure)

    async def _go_on(self) -> None:
        try:
            block = await anext(self._saying, None)
        except SynthesisError as error:
            self.failure = str(error)
            return
        if block is None:
            self.length = self._said
            self._is_whole = True
            return
        self._kept.append((self._said, block.copy()))  # it may be a part of something long
        self._said += len(block)
        while len(self._kept) > 1 and self._kept[1][0] <= self._said - KEPT:
            self._kept.popleft()

    async def close(self) -> None:
        """Nothing more is asked for."""
        if self._going_on is not None:
            self._going_on.cancel()
            await asyncio.wait((self._going_on,))
        await self._saying.aclose()


@dataclass(frozen=True, slots=True)
class Place:
    """Sample `offset` of sound `index`."""

    index: int = 0
    offset: int = 0


class Programme:
    """The `sounds` in their order, `times` over (0: for ever), with `interval` samples of silence between."""

    def __init__(self, sounds: Sequence[Source], *, times: int = 1, interval: int = 0) -> None:
        self._round: list[Source] = [*sounds, *([Silence(interval)] if interval else [])]
        self._count = (times * len(self._round) - bool(interval)) if times else None
        self._near: list[Source] = []  # the last to be rendered is the last

    def _sound(self, index: int) -> Source | None:
        if self._count is not None and index >= self._count:
            return None
        return self._round[index % len(self._round)]

    async def blocks(self, start: Place) -> AsyncGenerator[Samples, None]:
        """From `start` on. What would lie behind the end of a sound lies in the next one."""
        index, offset, empty = start.index, start.offset, 0
        while (sound := self._sound(index)) is not None and empty < len(self._round):
            await self._turn_to(sound)
            async with aclosing(sound.blocks(offset)) as blocks:
                async for block in blocks:
                    yield block
            index, offset = self._skipped(index + 1, max(offset - (sound.length or 0), 0))
            empty = 0 if sound.length else empty + 1

    async def _turn_to(self, sound: Source) -> None:
        """What is far from it, as it was rendered before others were, is put away."""
        if sound in self._near:
            self._near.remove(sound)
        self._near.append(sound)
        while len(self._near) > NEAR:
            await self._near[0].put_away()
            del self._near[0]

    def moved(self, place: Place, by: int) -> Place:
        """So many samples after `place`, or before it, or the beginning."""
        index, offset = place.index, place.offset + by
        if by > 0:
            return Place(*self._skipped(index, offset))
        if offset < 0 < (whole := self._whole()):
            rounds = min(-offset // whole, index // len(self._round))
            index, offset = index - rounds * len(self._round), offset + rounds * whole
        while offset < 0 < index:
            index -= 1
            offset += self._length(index)
        return Place(index, max(offset, 0))

    def _skipped(self, index: int, offset: int) -> tuple[int, int]:
        """Where sample `offset` from the beginning of sound `index` on lies, as far as lengths are known. Whole rounds
        are counted: there may be millions of them."""
        if whole := self._whole():
            rounds = offset // whole
            if self._count is not None:
                rounds = min(rounds, max(self._count - index, 0) // len(self._round))
            index, offset = index + rounds * len(self._round), offset - rounds * whole
        while 0 < self._length(index) <= offset:
            offset -= self._length(index)
            index += 1
        return index, offset

    def _whole(self) -> int:
        """The length of a round, 0 where it is not known."""
        lengths = [sound.length for sound in self._round]
        return sum(length for length in lengths if length) if None not in lengths else 0

    def _length(self, index: int) -> int:
        """0 where it is not known."""
        sound = self._sound(index)
        return (sound.length or 0) if sound is not None else 0
