"""Audio files: any that FFmpeg knows in, WAV out. Inside, all audio is mono int16 at 48 kHz."""

from __future__ import annotations

import wave
from collections.abc import Generator, Iterator
from errno import EINVAL
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from numpy.typing import NDArray

from focus.media.tones import SAMPLE_RATE


class AudioFileError(Exception):
    """A file that cannot be read as audio. The text names it and says why."""


#: What strangers may give us: containers that hold sound and name nothing else to be opened.
FORMATS = "wav,w64,mp3,ogg,flac,mov,matroska,aac,au,aiff,amr,caf"
#: What people call most of these.
PLAYED = "WAV, FLAC, Ogg, MP3, M4A and WebM"
#: From there on it is cheaper to let FFmpeg look for a place than to decode until there, in seconds.
WORTH_SEEKING = 10.0
#: What a WAV file says is PCM might be a stream of another codec: FFmpeg looks whether it is, packet after packet, for
#: twenty times what all else takes when a file is opened. One packet is enough, as it begins with such a stream or not.
PROBED = {"max_probe_packets": "1"}
#: Decoders are right only after some frames: those of MP3 share their bits, those of Opus converge.
PRE_ROLL = 0.5


def read_audio(
    path: Path | BinaryIO, *, block: int = SAMPLE_RATE // 10, start: int = 0, formats: str | None = None
) -> Generator[NDArray[np.int16], None, None]:
    """The audio of the file at `path`, or that is open there, from sample `start` on: in blocks of `block` samples,
    int16 mono at 48 kHz, the last one shorter.

    Of a file with several audio streams the first is read. `formats`: no others, by FFmpeg's names (`FORMATS`). It is
    decoded as it is consumed: memory does not grow with its length. Raises `AudioFileError`, also in the middle, where
    a file turns out to be broken.
    """
    if block < 1:
        raise ValueError("a block has at least one sample")
    pending: list[NDArray[np.int16]] = []
    length = 0
    for piece in _decode(path, start, formats):
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


def _decode(source: Path | BinaryIO, start: int, formats: str | None) -> Iterator[NDArray[np.int16]]:
    name = source if isinstance(source, Path) else "the file"
    options = PROBED | ({"format_whitelist": formats} if formats else {})
    is_open = False
    try:
        where: Any = str(source) if isinstance(source, Path) else source
        # Titles need not be UTF-8, and nobody reads them.
        with av.open(where, options=options, metadata_errors="replace") as container:
            is_open = True
            if not container.streams.audio:
                raise AudioFileError(f"{name}: there is no audio in it")
            yield from _resampled(container, start)
    except (av.FFmpegError, OSError) as error:
        # FFmpeg calls what is of a format that is not among them the one or the other.
        if formats and (error.errno == EINVAL or (isinstance(error, av.InvalidDataError) and not is_open)):
            raise AudioFileError(f"{name} is no sound that can be played ({PLAYED} can)") from error
        raise AudioFileError(f"{name}: {getattr(error, 'strerror', None) or error}") from error


def _resampled(container: InputContainer, start: int) -> Iterator[NDArray[np.int16]]:
    stream = container.streams.audio[0]
    resampler: AudioResampler | None = None
    shape: tuple[str, str, int] | None = None
    skip = start
    tick = stream.time_base
    is_sought = False
    if start > WORTH_SEEKING * SAMPLE_RATE and tick is not None:
        container.seek(int((start / SAMPLE_RATE - PRE_ROLL) / tick) + (stream.start_time or 0), stream=stream)
        is_sought = True
    for frame in container.decode(stream):
        if is_sought:
            is_sought = False
            at = float((frame.pts or 0) - (stream.start_time or 0)) * float(tick or 0)
            skip = max(start - round(at * SAMPLE_RATE), 0)
        frame.pts = None  # gaps between time stamps are not filled: a file is played as it comes
        rest: list[AudioFrame] = []
        now = frame.format.name, frame.layout.name, frame.sample_rate
        if now != shape:  # also on the way: several files may have been put one behind the other
            rest = resampler.resample(None) if resampler is not None else []
            resampler = None if _is_ours(frame) else AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            shape = now
        for part in (*rest, *((frame,) if resampler is None else resampler.resample(frame))):
            samples = part.to_ndarray()[0]
            if skip < len(samples):
                yield samples[skip:]
            skip = max(skip - len(samples), 0)
    for part in resampler.resample(None) if resampler is not None else []:
        yield part.to_ndarray()[0][skip:]


def _is_ours(frame: AudioFrame) -> bool:
    """Whether there is nothing to be done to it. FFmpeg's resampler takes the one channel of a WAV file for another
    layout than mono, and half of the time that reading the file takes.
    """
    return (frame.format.name, frame.layout.nb_channels, frame.sample_rate) == ("s16", 1, SAMPLE_RATE)


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
