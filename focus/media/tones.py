"""Test tones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Of everything in the media layer.
SAMPLE_RATE = 48000


class Tone:
    """Sine waves, summed, without a seam between one block and the next.

    `frequencies` in hertz; `amplitude` is the peak of their sum at most, as a part of full scale.
    """

    def __init__(self, frequencies: float | Sequence[float], *, amplitude: float = 0.25) -> None:
        self._step = 2 * np.pi * np.atleast_1d(np.asarray(frequencies, dtype=np.float64))[:, np.newaxis] / SAMPLE_RATE
        if not self._step.size or not np.all((self._step > 0) & (self._step < np.pi)):
            raise ValueError(f"a tone needs frequencies between 0 and {SAMPLE_RATE // 2} Hz")
        if not 0 <= amplitude <= 1:
            raise ValueError("the amplitude of a tone is between 0 and 1")
        self._scale = amplitude * 32767 / self._step.size
        self._phase = np.zeros_like(self._step)

    def samples(self, count: int) -> NDArray[np.int16]:
        """The next `count` samples, int16 mono at 48 kHz."""
        waves = np.sin(self._phase + self._step * np.arange(count))
        self._phase = np.mod(self._phase + self._step * count, 2 * np.pi)
        samples: NDArray[np.int16] = np.rint(waves.sum(axis=0) * self._scale).astype(np.int16)
        return samples
