"""What there is to be heard in sound besides words (XEP-0341), and what an engine that detects some of it offers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from focus.engines.moments import NARROW_RATE, Moment, Moments
from focus.engines.synthesizer import SAMPLE_RATE, Samples

_FACTOR = SAMPLE_RATE // NARROW_RATE
#: The low pass before every sixth sample is taken: from 3.4 to 4.6 kHz it falls by 50 dB.
_TAPS = 144


class DetectorMissing(Exception):
    """The engine is not installed; the message says what is, then."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A signal: `name` as XEP-0341 has it, for how many seconds it has been heard so far, and which one it is: the key,
    the frequency, who speaks."""

    name: str
    duration: float | None = None
    value: str | None = None


@dataclass(frozen=True)
class Sound:
    """A piece of what is heard, int16 mono: `wide` at 48 kHz, `narrow` the same at 8 kHz."""

    wide: Samples
    narrow: Samples
    _looking: Moments

    @cached_property
    def moments(self) -> tuple[Moment, ...]:
        """What it is from one moment to the next, seen together with the piece before. To be asked of each piece, or of
        none."""
        return tuple(self._looking.feed(self.narrow))


class Detector(Protocol):
    """Listens for one kind of signal, from the first piece of sound to the last, whichever thread brings it."""

    def feed(self, sound: Sound) -> Iterable[Heard]:
        """What has been heard by the end of this piece."""


class Narrowing:
    """Sound at 48 kHz as pieces of `Sound`: what is cut off at the end of one block is in the next."""

    def __init__(self) -> None:
        self._before = np.zeros(_TAPS - 1, np.float32)
        self._looking = Moments()

    def feed(self, block: Samples) -> Sound:
        samples = np.concatenate((self._before, block.astype(np.float32)))
        windows = sliding_window_view(samples, _TAPS)[::_FACTOR] if len(samples) >= _TAPS else np.zeros((0, _TAPS))
        self._before = samples[len(windows) * _FACTOR :]
        narrow = np.clip(np.rint(windows @ _LOW_PASS), -32768, 32767).astype(np.int16)
        return Sound(block, narrow, self._looking)


def _low_pass() -> NDArray[np.float32]:
    at = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(at / _FACTOR) * np.kaiser(_TAPS, 5.0)
    return np.asarray(taps / taps.sum(), np.float32)


_LOW_PASS = _low_pass()
