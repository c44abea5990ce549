"""Audio files: any that FFmpeg knows in, WAV out. Inside, all audio is mono int16 at 48 kHz."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from focus.media.tones import SAMPLE_RATE


class AudioFileError(Exception):
    """A file that cannot be read as audio. The text names it and says why."""


def read_audio(path: Path, *, block: int = SAMPLE_RATE // 10) -> Iterator[NDArray[np.int16]]:
    """The audio of the file at `path` in blocks of `block` samples, int16 mono at 48 kHz, the last one shorter.

    Of a file with several audio streams the first is read. It is decoded as it is consumed: memory does not grow with
    its length. Raises `AudioFileError`, also in the middle, where a file turns out to be broken.
    """
    if block < 1:
        raise ValueError("a block has at least one sample")
    pending: list[NDArray[np.int16]] = []
    length = 0
    for piece in _decode(path):
        pending.append(piece)
        length += len(piece)
        if length >= block:
            joined = np.concatenate(pending)
            full = length - length % block
            yield from joined[:full].reshape(-1, block)
            pending = [joined[full:]]
            length -= full
    if length:
        yield np.concatenate(pending)


def _decode(path: Path) -> Iterator[NDArray[np.int16]]:
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioFileError(f"{path}: there is no audio in it")
            resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            for frame in container.decode(audio=0):
                frame.pts = None  # gaps between time stamps are not filled: a file is played as it comes
                yield from (part.to_ndarray()[0] for part in resampler.resample(frame))
            yield from (part.to_ndarray()[0] for part in resampler.resample(None))
    except (av.FFmpegError, OSError) as error:
        raise AudioFileError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


class WavWriter:
    """Writes a WAV file, int16 mono at 48 kHz, that is valid after each `write`. A context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._wave = wave.Wave_write(self._file)
        self._wave.setnchannels(1)
        self._wave.setsampwidth(2)
        self._wave.setframerate(SAMPLE_RATE)
        self.samples = 0

    def write(self, samples: NDArray[np.int16]) -> None:
        """Append `samples`, one-dimensional."""
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise ValueError("a WAV file takes one-dimensional int16 samples")
        self._wave.writeframes(samples.astype("<i2", copy=False).tobytes())
        self._file.flush()
        self.samples += len(samples)

    def close(self) -> None:
        self._wave.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
