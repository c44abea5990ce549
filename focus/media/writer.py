"""Writes sound to a file that is worth having whenever the process ends: WAV, MP3, Ogg with Opus, FLAC.

What is written is `NAME.part` until it is whole. A part that a crash has left is made whole by `recover`: all of its
packets, in a container that knows how long it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from focus.media.tones import SAMPLE_RATE

PART = ".part"


class WriteError(Exception):
    """The sound could not be written; the message says why."""


@dataclass(frozen=True, slots=True)
class Format:
    """How FFmpeg calls it, and the web; `rate` of bits per second for each channel, where that can be chosen."""

    container: str
    codec: str
    media_type: str
    rate: int | None = None
    options: tuple[tuple[str, str], ...] = ()


#: Microseconds; a second would be lost in a crash else.
PAGES = (("page_duration", "200000"),)
#: By the names of section 7.19.6.1. Not MP4: of one that was not closed nothing can be read.
FORMATS = {
    "wav": Format("wav", "pcm_s16le", "audio/wav", options=(("rf64", "auto"),)),
    "mp3": Format("mp3", "libmp3lame", "audio/mpeg", 64_000),
    "ogg": Format("ogg", "libopus", "audio/ogg", 32_000, PAGES),
    "opus": Format("ogg", "libopus", "audio/ogg", 32_000, PAGES),
    "flac": Format("flac", "flac", "audio/flac"),
}
#: Samples of silence after which an encoder has settled: all packets of it are alike from then on.
SETTLED = SAMPLE_RATE
#: Bits per second for each channel that can be asked for.
RATES = range(16_000, 192_001)


class SoundWriter:
    """Writes int16 at 48 kHz, one or two channels, to `path`. Blocks while it does, so it belongs into a thread.

    Raises `WriteError` where the file cannot be made. `samples` have been written, of each channel. Silence that lasts
    is not encoded again and again: its packet is repeated, where the encoder makes packets that are alike.
    """

    def __init__(self, path: Path, format: Format, *, channels: int = 1, rate: int | None = None) -> None:
        self.path = path
        self.samples = 0
        self._part = path.with_name(path.name + PART)
        layout = "mono" if channels == 1 else "stereo"
        try:
            make_private(self._part)
            self._container = av.open(
                str(self._part), "w", format=format.container, options={"flush_packets": "1", **dict(format.options)}
            )
            stream = self._container.add_stream(format.codec, rate=SAMPLE_RATE, layout=layout)
            assert isinstance(stream, av.AudioStream)
            self._stream = stream
            if format.rate is not None:
                self._stream.bit_rate = (rate or format.rate) * channels
            self._container.start_encoding()
            self._resampler = av.AudioResampler(
                format=self._stream.codec_context.format, layout=layout, rate=SAMPLE_RATE
            )
        except (av.FFmpegError, OSError) as error:
            raise WriteError(f"{path.name} cannot be written: {_words(error)}") from None
        self._layout = layout
        self._channels = channels
        self._silent = 0  # samples of silence at the end
        self._repeated = 0  # samples that the encoder has not seen
        self._next = 0  # where the next packet begins
        self._packets = b"", b""  # the last two

    def write(self, samples: NDArray[np.int16]) -> None:
        """Append `samples`, of shape (channels, count). Raises `WriteError`."""
        if samples.dtype != np.int16 or samples.ndim != 2 or samples.shape[0] != self._channels:
            raise ValueError(f"int16 samples of {self._channels} channels are wanted")
        if not samples.shape[1]:
            return
        count = samples.shape[1]
        is_silent = not samples.any()
        try:
            if is_silent and self._silent >= SETTLED:
                repeated = self._repeat(count)
                self.samples += repeated
                samples = samples[:, repeated:]
            if samples.shape[1]:
                self._encode(samples)
        except (av.FFmpegError, OSError) as error:
            raise WriteError(f"{self.path.name} cannot be written on: {_words(error)}") from None
        self._silent = self._silent + count if is_silent else 0

    def _encode(self, samples: NDArray[np.int16]) -> None:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T).reshape(1, -1), format="s16", layout=self._layout
        )
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self.samples - self._repeated
        for each in self._resampler.resample(frame):
            self._mux(self._stream.encode(each))
        self.samples += samples.shape[1]

    def _repeat(self, count: int) -> int:
        """Write the last packet once more, as often as it fits into so many samples; how many these are."""
        size = self._stream.codec_context.frame_size  # 0: of any size, which costs nothing to encode
        before, last = self._packets
        if not size or before != last:
            return 0
        for _ in range(count // size):
            packet = av.Packet(last)
            packet.stream = self._stream
            packet.time_base = Fraction(1, SAMPLE_RATE)
            packet.pts = packet.dts = self._next
            packet.duration = size
            self._container.mux(packet)
            self._next += size
        self._repeated += count // size * size
        return count // size * size

    def _mux(self, packets: Iterable[av.Packet[av.AudioStream]]) -> None:
        """Those of the encoder, behind what it has not seen."""
        for packet in packets:
            if packet.pts is not None:
                packet.pts = packet.dts = packet.pts + self._repeated
                self._next = packet.pts + (packet.duration or 0)
            self._packets = self._packets[1], bytes(packet)
            self._container.mux(packet)

    def close(self) -> int:
        """Make the file whole and durable; its size in bytes. Raises `WriteError`."""
        try:
            try:
                self._mux(self._stream.encode(None))
            finally:
                self._container.close()
            return finish(self._part, self.path)
        except (av.FFmpegError, OSError) as error:
            raise WriteError(f"{self.path.name} cannot be ended: {_words(error)}") from None

    def give_up(self) -> None:
        """What has been written stays as it is, for `recover`."""
        with suppress(av.FFmpegError, OSError):
            self._container.close()

    def discard(self) -> None:
        """Give it up: nothing is kept."""
        self.give_up()
        self._part.unlink(missing_ok=True)


def recover(part: Path) -> Path | None:
    """Make whole what a crash has left at `part`; where it is then, or None, and no file, where there is nothing in it.
    Raises OSError where it is the disk that fails, as one that is full: all of the part is still there then."""
    whole = part.with_name(part.name.removesuffix(PART))
    mended = part.with_name(whole.name + ".mended")
    try:
        make_private(mended)
        with (
            av.open(str(part)) as broken,
            av.open(str(mended), "w", format=broken.format.name.partition(",")[0]) as out,
        ):
            stream = out.add_stream_from_template(broken.streams.audio[0])
            count = 0
            last: av.Packet[av.AudioStream] | None = None
            try:
                for packet in broken.demux(broken.streams.audio[0]):
                    if packet.dts is None:
                        continue
                    if last is not None:
                        last.stream = stream
                        out.mux(last)
                        count += 1
                    last = packet
                if last is not None:
                    last.decode()  # it may have been cut off
                    last.stream = stream
                    out.mux(last)
                    count += 1
            except OSError:
                raise
            except av.FFmpegError:
                pass  # what comes behind is broken
        if not count:
            raise ValueError("no packets")
        finish(mended, whole)
    except OSError:
        with suppress(OSError):
            mended.unlink(missing_ok=True)
        raise
    except (av.FFmpegError, ValueError, IndexError):
        mended.unlink(missing_ok=True)
        return None
    part.unlink(missing_ok=True)
    return whole


def make_private(file: Path) -> None:
    """FFmpeg writes into what is there, and leaves it to whom it is."""
    file.touch(mode=0o600)
    file.chmod(0o600)


def finish(part: Path, whole: Path) -> int:
    """To the disk, then under its name; its size in bytes. Raises OSError."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    part.rename(whole)
    folder = os.open(whole.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return size


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
