"""What a speech synthesizer offers, whichever engine does the work."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

import numpy as np
import numpy.typing as npt

#: Samples per second of everything that an engine gives or takes.
SAMPLE_RATE = 48000

Samples = npt.NDArray[np.int16]


class SynthesisError(Exception):
    """The text could not be spoken; the message says why."""


class UnknownVoice(SynthesisError):
    """No voice by that name, or none that speaks the language."""


class EngineMissing(SynthesisError):
    """The engine is not installed."""


class Synthesizer(Protocol):
    """Turns text into speech."""

    async def language(self, voice: str | None) -> str:
        """The BCP 47 tag of what `voice` speaks, or of what is spoken where neither it nor a language is named.

        Raises `SynthesisError`.
        """

    def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, markup: bool = False
    ) -> AsyncGenerator[Samples, None]:
        """Speak `text`, as blocks of int16 mono samples at 48 kHz, the first one as soon as there is one.

        `markup`: the text is SSML, a whole document without `<audio/>`. `voice` is a name of the engine, `language`
        a BCP 47 tag that counts where no voice is named. Raises `SynthesisError`, at the latest at the first block
        where the voice is the reason. Closing the iterator, or cancelling whoever reads it, stops the engine.
        """
