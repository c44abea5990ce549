"""What is written can be read again: whole, or what there was when the process was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from focus.media.files import read_audio
from focus.media.tones import SAMPLE_RATE, Tone
from focus.media.writer import FORMATS, PART, SoundWriter, WriteError, recover

SECOND = SAMPLE_RATE


def two(seconds: float) -> np.ndarray:
    return np.stack([Tone(frequency).samples(int(seconds * SECOND)) for frequency in (440, 1000)])


def length(path: Path) -> float:
    return sum(len(block) for block in read_audio(path)) / SECOND


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_was_written_is_read_again(tmp_path: Path, name: str, channels: int) -> None:
    path = tmp_path / f"x.{name}"
    writer = SoundWriter(path, FORMATS[name], channels=channels)
    sound = two(3)[:channels]
    for at in range(0, 3 * SECOND, 7000):
        writer.write(sound[:, at : at + 7000])
    assert not path.exists()
    size = writer.close()
    assert writer.samples == 3 * SECOND
    assert size == path.stat().st_size
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    heard = np.concatenate(list(read_audio(path))).astype(float)
    assert len(heard) / SECOND == pytest.approx(3, abs=0.06)
    spectrum = np.abs(np.fft.rfft(heard[SECOND : 2 * SECOND]))
    loud = {int(each) for each in np.flatnonzero(spectrum > spectrum.max() / 10)}
    assert loud == {440, 1000} if channels == 2 else {440}


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("name", FORMATS)
def test_what_follows_a_long_silence_is_where_it_was_said(tmp_path: Path, name: str, is_whole: bool) -> None:
    path = tmp_path / f"x.{name}"
    writer, tone, begins = SoundWriter(path, FORMATS[name]), Tone(440).samples(SECOND).reshape(1, -1), []
    for blocks in (20 * [SECOND], 300 * [4999]):
        for block in blocks:
            writer.write(np.zeros((1, block), np.int16))
        begins.append(writer.samples)
        writer.write(tone)
    assert (writer._repeated > 45 * SECOND) is (name not in ("wav", "flac"))  # of these silence costs nothing
    if is_whole:
        writer.close()
    else:
        assert recover(path.with_name(path.name + PART)) == path
    heard = np.concatenate(list(read_audio(path)))
    loud = np.flatnonzero(np.abs(heard.astype(int)) > 1000)
    first, second = np.split(loud, np.flatnonzero(np.diff(loud) > SECOND) + 1)
    shift = first[0] - begins[0]  # of what was cut short it is not known how much the encoder has put before it
    assert 0 <= shift < 20 if is_whole else 0 <= shift < 3000
    assert second[0] - first[0] == pytest.approx(begins[1] - begins[0], abs=20)
    assert first[-1] - first[0] == pytest.approx(SECOND, abs=20)


@pytest.mark.parametrize("name", FORMATS)
def test_of_a_process_that_is_killed_at_20_s_19_are_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"x.{name}"
    program = f"""
import sys, numpy as np
from pathlib import Path
from focus.media.tones import Tone
from focus.media.writer import FORMATS, SoundWriter
writer, tone = SoundWriter(Path({str(path)!r}), FORMATS[{name!r}]), Tone(440)
for _ in range(100):
    writer.write(tone.samples(9600).reshape(1, -1))
print("20 s", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"20 s\n"
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    part = path.with_name(path.name + PART)
    assert not path.exists()
    assert recover(part) == path
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert 19 <= length(path) <= 20.1


@pytest.mark.parametrize("name", FORMATS)
def test_what_has_been_cut_off_anywhere_can_be_heard_to_its_end(tmp_path: Path, name: str) -> None:
    """As a disk does that is full."""
    noise = np.random.default_rng(1).integers(-9000, 9000, (1, 2 * SECOND)).astype(np.int16)
    writer = SoundWriter(tmp_path / f"x.{name}", FORMATS[name])
    writer.write(noise)
    writer.give_up()
    part = tmp_path / f"x.{name}{PART}"
    os.truncate(part, part.stat().st_size * 2 // 3 + 1)
    whole = recover(part)
    assert whole is not None
    assert sum(map(len, read_audio(whole))) > SECOND


def test_of_what_holds_nothing_nothing_is_recovered(tmp_path: Path) -> None:
    for content in (b"", b"RIFF", b"\0" * 1000):
        part = tmp_path / f"x.wav{PART}"
        part.write_bytes(content)
        assert recover(part) is None
        assert [each.name for each in tmp_path.iterdir()] == [part.name]


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No such file"):
        SoundWriter(tmp_path / "none" / "x.wav", FORMATS["wav"])


@pytest.mark.parametrize("name", FORMATS)
def test_what_finds_no_room_says_so_and_what_was_written_stays(tmp_path: Path, name: str) -> None:
    program = f"""
import resource, signal
from pathlib import Path
from focus.media.tones import Tone
from focus.media.writer import FORMATS, SoundWriter, WriteError
writer, tone = SoundWriter(Path({str(tmp_path / f"x.{name}")!r}), FORMATS[{name!r}]), Tone(440)
for _ in range(50):
    writer.write(tone.samples(9600).reshape(1, -1))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    for _ in range(2000):
        writer.write(tone.samples(9600).reshape(1, -1))
except WriteError as error:
    print("refused:", error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "refused:" in done.stdout
    assert "File too large" in done.stdout
    whole = recover(tmp_path / f"x.{name}{PART}")
    assert whole is not None
    assert length(whole) > 8


def test_what_is_discarded_is_gone(tmp_path: Path) -> None:
    writer = SoundWriter(tmp_path / "x.ogg", FORMATS["ogg"])
    writer.write(two(1)[:1])
    writer.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("samples", [np.zeros(5, np.int16), np.zeros((2, 5), np.int16), np.zeros((1, 5), np.float32)])
def test_other_samples_are_refused(tmp_path: Path, samples: np.ndarray) -> None:
    writer = SoundWriter(tmp_path / "x.wav", FORMATS["wav"])
    with pytest.raises(ValueError, match="int16"):
        writer.write(samples)
    writer.discard()
