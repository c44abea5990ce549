"""Speech matched to grammars: an utterance is found, recognized, and matched as keys are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from dataclasses import dataclass

from focus.engines.endpointing import Endpointer, SpeechEnded, SpeechStarted
from focus.engines.grammar import Grammar, Matched, Matcher
from focus.engines.recognizer import Recognizer
from focus.engines.synthesizer import Samples


@dataclass(frozen=True, slots=True)
class Heard:
    """What an utterance matches, None for nothing, and how sure that is, from 0 to 1."""

    matched: Matched | None
    confidence: float


async def listen(
    blocks: AsyncIterable[Samples], endpointer: Endpointer, recognizer: Recognizer, grammars: Sequence[Grammar]
) -> AsyncGenerator[SpeechStarted | SpeechEnded | Heard, None]:
    """For each utterance in `blocks`, int16 mono at 48 kHz: that it has begun, that it has ended, what it was.

    It ends with the blocks, and with them the utterance that is going on. Raises `RecognitionError`.
    """
    async for block in blocks:
        for event in endpointer.feed(block):
            yield event
            if isinstance(event, SpeechEnded):
                yield await _heard(event, recognizer, grammars)
    if last := endpointer.end():
        yield last
        yield await _heard(last, recognizer, grammars)


async def _heard(ended: SpeechEnded, recognizer: Recognizer, grammars: Sequence[Grammar]) -> Heard:
    hypothesis = await recognizer.recognize(ended.utterance, grammars)
    if hypothesis is None:
        return Heard(None, 0.0)
    return Heard(await asyncio.to_thread(_matched, hypothesis.tokens, grammars), hypothesis.confidence)


def _matched(tokens: Sequence[str], grammars: Sequence[Grammar]) -> Matched | None:
    matcher = Matcher(grammars)
    matcher.feed_all(tokens)
    return matcher.matched()
