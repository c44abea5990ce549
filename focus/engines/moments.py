"""What a narrow sound is from one moment to the next: how loud, and how much of it is tones of a telephone network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Narrow = NDArray[np.int16]

#: What a telephone line carries, in samples a second, and what all of its signals are made for.
NARROW_RATE = 8000

#: Of the pieces that are looked at, one half over the other: 32 ms, every 16 ms, in bins of 31.25 Hz.
WINDOW = 256
HOP = WINDOW // 2
HOP_TIME = HOP / NARROW_RATE
_BIN = NARROW_RATE / WINDOW

#: The part of all that is heard which has to be the tone.
PURE = 0.85
#: dB of full scale: what is softer is silence, whatever it is.
SILENT = -50.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One window: its level in dB of full scale, its loudest pitch in Hz, and which part of all is near that (`alone`),
    near the two loudest (`two`), from 350 to 530 Hz (`low`), at 480 and 620 Hz (`pair`, 0 where one is missing), and at
    the four pitches that call for a receiver to be put on the hook (`howl`)."""

    level: float
    pitch: float
    alone: float
    two: float
    low: float
    pair: float
    howl: float

    @property
    def is_tone(self) -> bool:
        return self.level > SILENT and max(self.two, self.low, self.howl) >= PURE


class Moments:
    """Cuts sound into windows and looks at each."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.int16)

    def feed(self, narrow: Narrow) -> Iterator[Moment]:
        samples = np.concatenate((self._rest, narrow))
        count = max(0, (len(samples) - WINDOW) // HOP + 1)
        self._rest = samples[count * HOP :]
        if count:
            windows = sliding_window_view(samples, WINDOW)[: count * HOP : HOP]
            yield from _moments(np.asarray(windows, np.float32) / np.float32(32768))


def _moments(windows: NDArray[np.float32]) -> Iterator[Moment]:
    power = np.abs(np.fft.rfft(windows * _HANN, axis=1)) ** 2
    power[:, :3] = 0  # a microphone's hum, and what is no sound at all
    total = power.sum(axis=1) + 1e-9
    levels = 10 * np.log10(np.mean(windows**2, axis=1) + 1e-10)
    low = power[:, _LOW].sum(axis=1) / total
    upper, lower = (power[:, band].sum(axis=1) / total for band in (_UPPER, _LOWER))
    pair = np.where(np.minimum(upper, lower) > 0.1, upper + lower, 0)
    parts = [power[:, band].sum(axis=1) / total for band in _HOWL]
    howl = np.where(np.min(parts, axis=0) > 0.05, np.sum(parts, axis=0), 0)
    peaks = power[:, 3:-3].argmax(axis=1) + 3
    for n, peak in enumerate(peaks):
        around = power[n, peak - 2 : peak + 3]
        alone = float(around.sum() / total[n])
        others = power[n].copy()
        others[peak - 2 : peak + 3] = 0
        second = int(others[3:-3].argmax()) + 3
        two = alone + float(others[second - 2 : second + 3].sum() / total[n])
        left, middle, right = np.sqrt(around[1:4])
        # between two bins, as a Hann window spreads a sine wave over them
        beside = max(left, right) + middle + 1e-9
        offset = (2 * right - middle) / beside if right > left else (middle - 2 * left) / beside
        yield Moment(
            float(levels[n]), float((peak + offset) * _BIN), alone, two, float(low[n]), float(pair[n]), float(howl[n])
        )


def _band(lowest: float, highest: float) -> slice:
    return slice(round(lowest / _BIN), round(highest / _BIN) + 1)


_HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
_LOW = _band(344, 532)
_UPPER, _LOWER = _band(562, 688), _band(406, 532)
_HOWL = [_band(pitch - 63, pitch + 63) for pitch in (1400, 2060, 2450, 2600)]
