"""Gains, ramps and limiters in numpy: the same arithmetic, written once more and plainly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Wide = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]
Gain = np.float32

FRAME, BLOCK, RAMP = 960, 48, 240
ONE, FULL, WANTED = Gain(1), Gain(32760), Gain(29490.3)
RELEASE, RELEASED = Gain(0.01), Gain(1.02)


def rounded(values: npt.NDArray[np.float32]) -> Wide:
    """To the nearest integer, ties to even; floats beyond 2^22 have their fraction cut off."""
    return np.where(np.abs(values) > 4194304, np.trunc(values), np.rint(values)).astype(np.int64)


def ramped(samples: Samples | Wide, before: Gain | float, now: Gain | float) -> Wide:
    """With a gain that goes from one to the other in 5 ms."""
    start, end = Gain(before), Gain(now)
    step = (end - start) / Gain(RAMP)
    gains = np.full(FRAME, end, np.float32)
    gains[:RAMP] = start + step * np.arange(1, RAMP + 1, dtype=np.float32)
    return rounded(samples.astype(np.float32) * gains)


class LimiterOracle:
    """What mixer_ext.limiter says of itself, a sample at a time where it matters."""

    def __init__(self, gain: Gain = ONE) -> None:
        self.gain = gain

    def wide(self, total: Wide) -> Wide:
        """Before anything would be clipped."""
        peaks = np.abs(total).reshape(-1, BLOCK).max(axis=1)
        wanted = [ONE if peak <= 29490 else WANTED / Gain(peak) for peak in peaks] + [ONE]
        if self.gain == ONE and peaks.max() <= 29490:
            return total
        blocks = []
        for n, block in enumerate(total.reshape(-1, BLOCK)):
            to = min(self.released(), wanted[n], wanted[n + 1])
            if n == 0 and self.gain * Gain(peaks[0]) > FULL:
                gains = self.attack(block, to)
            else:
                gains = self.gain + (to - self.gain) / Gain(BLOCK) * np.arange(BLOCK, dtype=np.float32)
            blocks.append(rounded(block.astype(np.float32) * gains))
            self.gain = to
        return np.concatenate(blocks)

    def attack(self, block: Wide, to: Gain) -> npt.NDArray[np.float32]:
        gain, step = self.gain, (self.gain - to) / Gain(BLOCK)
        sizes = np.abs(block).astype(np.float32)
        if gain * sizes[0] > FULL:
            gain = FULL / sizes[0]
        for n in range(1, BLOCK):
            if gain * sizes[n] > FULL:
                step = max(step, (gain - FULL / sizes[n]) / Gain(n))
        gains: npt.NDArray[np.float32] = np.maximum(to, gain - step * np.arange(BLOCK, dtype=np.float32))
        return gains

    def released(self) -> Gain:
        return min(ONE, self.gain + (RELEASED - self.gain) * RELEASE)

    def copy(self) -> LimiterOracle:
        return LimiterOracle(self.gain)

    def limit(self, total: Wide) -> Samples:
        return np.clip(self.wide(total), -32768, 32767).astype(np.int16)

    def rest(self, frames: int) -> None:
        for _ in range(frames * FRAME // BLOCK):
            self.gain = self.released()


def dying(last: int) -> Wide:
    """The end of what is played: its last sample goes to nothing in 5 ms."""
    frame = np.zeros(FRAME, np.int64)
    frame[:RAMP] = np.trunc(last * np.arange(RAMP - 1, -1, -1) / RAMP)
    return frame


class VolumeOracle:
    """What somebody says, at the volume that is wanted."""

    def __init__(self) -> None:
        self.gain = ONE
        self.limiter = LimiterOracle()

    def apply(self, samples: Samples, wanted: float) -> Samples:
        before, self.gain = self.gain, Gain(wanted)
        louder = ramped(samples, before, self.gain)
        if max(before, self.gain) <= 1 and self.limiter.gain == 1:
            return louder.astype(np.int16)
        return self.limiter.limit(louder)
