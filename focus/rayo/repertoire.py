"""What has been said lately, or is being said: whoever says it as well needs no synthesizer for it.

"You are muted." is said to one after another, and to five hundred at once when a room becomes moderated; so are the
menus of other clients.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from focus.engines.synthesizer import SAMPLE_RATE, Samples, Synthesizer
from focus.rayo.rendering import BLOCK, KEPT, Forgotten, Speech, Utterance

#: Samples of all that is kept (19 MB), and of one text at most; a character of a text is as large as two of them.
ROOM, LONGEST = 200 * SAMPLE_RATE, KEPT
CHARACTER = 2
#: Characters of a text that is kept.
LONGEST_TEXT = 5_000

_Key = tuple[Synthesizer, Utterance]


@dataclass(eq=False, slots=True)
class _Saying:
    """Of one text, by as many as need it now."""

    speech: Speech
    users: int = 0


class Repertoire:
    """Of all components. What was asked for least lately is given up for what is new."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._said: dict[_Key, Samples] = {}  # the last to be asked for is the last
        self._taken = 0  # of the room
        self._sayings: dict[_Key, _Saying] = {}

    def recital(self, synthesizer: Synthesizer, utterance: Utterance) -> Recital:
        return Recital(self, (synthesizer, utterance))

    def said(self, key: _Key) -> Samples | None:
        """All of it, if it is known."""
        if (samples := self._said.pop(key, None)) is not None:
            self._said[key] = samples
        return samples

    def begin(self, key: _Key, instead: _Saying | None = None) -> _Saying:
        """Of all who need it, but not `instead`, which is of no use any more. `end` follows."""
        saying = self._sayings.get(key)
        if saying is None or saying is instead or saying.speech.failure is not None:
            saying = self._sayings[key] = _Saying(Speech(*key))
        saying.users += 1
        return saying

    async def end(self, key: _Key, saying: _Saying) -> None:
        saying.users -= 1
        if saying.users:
            return
        if self._sayings.get(key) is saying:
            del self._sayings[key]
        speech = saying.speech
        if speech.failure is None and speech.length is not None and 0 < speech.length <= LONGEST:
            self._keep(key, speech.samples())
        await speech.close()

    def _keep(self, key: _Key, samples: Samples) -> None:
        if len(key[1].text) > LONGEST_TEXT:
            return
        self._give_up(key)
        self._said[key] = samples
        self._taken += _size(key, samples)
        while self._taken > self._room:
            self._give_up(next(iter(self._said)))

    def _give_up(self, key: _Key) -> None:
        if (samples := self._said.pop(key, None)) is not None:
            self._taken -= _size(key, samples)


def _size(key: _Key, samples: Samples) -> int:
    return len(samples) + CHARACTER * len(key[1].text)


class Recital:
    """A `Source`: what a synthesizer says, or has said."""

    def __init__(self, repertoire: Repertoire, key: _Key) -> None:
        self.length: int | None = None
        self._repertoire = repertoire
        self._key = key
        self._samples: Samples | None = None
        self._saying: _Saying | None = None

    def _begin(self) -> _Saying | None:
        """None where it is known."""
        if self._saying is None and self._samples is None:
            self._samples = self._repertoire.said(self._key)
            self._saying = self._repertoire.begin(self._key) if self._samples is None else None
        return self._saying

    async def check(self) -> None:
        """Begin, so that it is certain that it can be said. Raises `RenderingError`."""
        if (saying := self._begin()) is not None:
            await saying.speech.check()

    async def blocks(self, start: int) -> AsyncGenerator[Samples, None]:
        if (saying := self._begin()) is None:
            assert self._samples is not None
            self.length = len(self._samples)
            for at in range(start, self.length, BLOCK):
                yield self._samples[at : at + BLOCK]
            return
        at = start
        while True:
            try:
                async with aclosing(saying.speech.blocks(at)) as blocks:
                    async for block in blocks:
                        yield block
                        at += len(block)
                break
            except Forgotten:
                old, saying = saying, self._repertoire.begin(self._key, saying)
                self._saying = saying
                await self._repertoire.end(self._key, old)
        self.length = saying.speech.length

    async def put_away(self) -> None:
        await self.close()

    async def close(self) -> None:
        """What is asked for later is said again."""
        self._samples = None
        if self._saying is not None:
            saying, self._saying = self._saying, None
            await self._repertoire.end(self._key, saying)
