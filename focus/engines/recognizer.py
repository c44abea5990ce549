"""What a speech recognizer offers, whichever engine does the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from focus.engines.grammar import Grammar
from focus.engines.synthesizer import Samples


class RecognitionError(Exception):
    """Speech cannot be recognized; the message says why."""


class NotRecognizable(RecognitionError):
    """What is asked for is not to be had from this engine: a language, a word, a part of a grammar."""


class RecognizerMissing(RecognitionError):
    """The engine is not installed."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What was said, as tokens of a grammar, and how sure that is, from 0 to 1."""

    tokens: tuple[str, ...]
    confidence: float


class Recognizer(Protocol):
    """Turns an utterance into words. When it begins and ends is found before, the same for all engines."""

    async def check(self, grammars: Sequence[Grammar], *, language: str | None = None) -> None:
        """Whether speech can be recognized by these grammars at all, in `language`, a BCP 47 tag.

        Grammars that say their own language are in that one. Raises `RecognitionError`.
        """

    async def recognize(self, utterance: Samples, grammars: Sequence[Grammar]) -> Hypothesis | None:
        """What was said in `utterance`, int16 mono samples at 48 kHz; None where it is nothing that could match.

        An engine that has no use for grammars while it listens may answer with anything: whoever asked matches it. The
        event loop is not held up meanwhile. Raises `RecognitionError`.
        """
