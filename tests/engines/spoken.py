"""Speech to be listened to: said by espeak-ng, with silence around it, over noise; and who listens."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from focus.engines.espeak import Espeak
from focus.engines.synthesizer import SAMPLE_RATE, Samples


async def say(text: str, voice: str = "en-us") -> Samples:
    """Just the speech, at -26 dBFS or so."""
    blocks = [block async for block in Espeak().synthesize(text, voice=voice)]
    return (np.concatenate(blocks) * 0.5).astype(np.int16)


def silence(seconds: float) -> Samples:
    """What nobody says, with the last bits of a telephone's microphone."""
    return noise(seconds, 4)


def noise(seconds: float, level: float) -> Samples:
    """White noise; `level` is its RMS."""
    generator = np.random.default_rng(7)
    return generator.normal(0, level, round(seconds * SAMPLE_RATE)).clip(-32768, 32767).astype(np.int16)


def hum(seconds: float, level: float) -> Samples:
    """The mains, with harmonics."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = sum(np.sin(2 * np.pi * 50 * n * time + n) / n for n in (1, 2, 3, 5, 7))
    return (np.asarray(wave) * level * 1.2).astype(np.int16)


def over(speech: Samples, other: Samples) -> Samples:
    """Both at once, for as long as the first one is."""
    mixed = speech.astype(np.int32) + np.resize(other, len(speech))
    return mixed.clip(-32768, 32767).astype(np.int16)


def rms(samples: Samples) -> float:
    """How loud that is."""
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def decoders() -> list[int]:
    """The processes of this one that decode."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"focus.engines.decoding" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found
