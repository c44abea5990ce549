"""Signals to be detected: tones with their rhythm, keys, and what telephone lines and codecs make of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from focus.engines.signals import Detector, Heard, Narrowing
from focus.engines.synthesizer import SAMPLE_RATE, Samples
from mixer_ext import Companded, Opus
from tests.engines.spoken import over, silence

#: Samples of 20 ms, and the piece by piece in which detectors are fed.
FRAME, PIECE = SAMPLE_RATE // 50, SAMPLE_RATE // 10

ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
PAIRS = {key: (ROWS[row], COLUMNS[column]) for row, keys in enumerate(("123A", "456B", "789C", "*0#D"))
         for column, key in enumerate(keys)}  # fmt: skip


def tone(seconds: float, *frequencies: float, level: float = -18.0, twist: float = 0.0) -> Samples:
    """Sine waves, each at `level` dB of full scale, the last one louder by `twist` dB."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    levels = [level] * (len(frequencies) - 1) + [level + twist]
    waves = [10 ** (each / 20) * np.sin(2 * np.pi * hz * time) for hz, each in zip(frequencies, levels, strict=True)]
    sound: Samples = (np.sum(waves, axis=0) * 32767).clip(-32768, 32767).astype(np.int16)
    return sound


def cadence(times: int, *parts: float, frequencies: Sequence[float], level: float = -18.0) -> Samples:
    """Tone and silence by turns, so many seconds each, so often, with half a second of silence before."""
    one = [tone(each, *frequencies, level=level) if n % 2 == 0 else silence(each) for n, each in enumerate(parts)]
    return np.concatenate([silence(0.5), *one * times])


def keys(
    pressed: str, seconds: float = 0.08, gap: float = 0.08, *, level: float = -16.0, twist: float = 0.0
) -> Samples:
    parts = [part for key in pressed for part in (tone(seconds, *PAIRS[key], level=level, twist=twist), silence(gap))]
    return np.concatenate([silence(0.3), *parts, silence(0.3)])


def through(sound: Samples, codec: str) -> Samples:
    """What is left of it at the other end: pcmu, pcma or opus."""
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    line = Opus() if codec == "opus" else Companded(codec)
    return np.frombuffer(b"".join(line.decode(line.encode(frame)) for frame in frames), np.int16)


def heard(sound: Samples, *detectors: Detector) -> list[tuple[float, Heard]]:
    """What they find, and by when, in seconds."""
    narrowing, found = Narrowing(), []
    for start in range(0, len(sound), PIECE):
        piece = narrowing.feed(sound[start : start + PIECE])
        for detector in detectors:
            found += [((start + PIECE) / SAMPLE_RATE, each) for each in detector.feed(piece)]
    return found


def signals(sound: Samples, *detectors: Detector) -> list[str]:
    """Just their names, or what they mean where they mean anything."""
    return [each.value or each.name for _, each in heard(sound, *detectors)]


def noisy(sound: Samples, level: float) -> Samples:
    """Over white noise, whose RMS is `level` dB of full scale."""
    noise = np.random.default_rng(3).normal(0, 10 ** (level / 20) * 32768, len(sound)).clip(-32768, 32767)
    return over(sound, noise.astype(np.int16))
