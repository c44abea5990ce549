import wave
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.media.files import FORMATS, AudioFileError, WavWriter, read_audio
from focus.media.tones import SAMPLE_RATE, Tone


def encoded(path: Path, codec: str, rate: int, layout: str, samples: np.ndarray) -> None:
    """Write mono int16 `samples` of 48 kHz to `path` with FFmpeg, in another rate and layout."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.rate = SAMPLE_RATE
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def loudest(samples: np.ndarray) -> float:
    """The frequency in hertz that `samples` has most of."""
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * SAMPLE_RATE / len(samples)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    tone = Tone(440)
    blocks = [tone.samples(count) for count in (960, 1, 48000)]
    with WavWriter(tmp_path / "tone.wav") as writer:
        for block in blocks:
            writer.write(block)
    read = list(read_audio(tmp_path / "tone.wav", block=1000))
    assert {len(block) for block in read[:-1]} == {1000}
    assert writer.samples == 48961
    assert (np.concatenate(read) == np.concatenate(blocks)).all()


@given(st.binary(max_size=3000).map(lambda data: np.frombuffer(data[: len(data) & ~1], "<i2")), st.integers(1, 700))
def test_blocks_have_the_size_asked_for_and_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory, samples: np.ndarray, block: int
) -> None:
    path = tmp_path_factory.mktemp("wav") / "any.wav"
    with WavWriter(path) as writer:
        writer.write(samples)
    if not len(samples):
        return
    read = list(read_audio(path, block=block))
    assert all(len(part) == block for part in read[:-1])
    assert 0 < len(read[-1]) <= block
    assert (np.concatenate(read) == samples).all()


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.ogg", "libopus", 48000, "stereo"),
        ("a.mp3", "libmp3lame", 44100, "mono"),
        ("a.wav", "pcm_alaw", 8000, "mono"),
        ("a.flac", "flac", 96000, "stereo"),
    ],
)
def test_other_rates_layouts_and_codecs_become_48_khz_mono(
    tmp_path: Path, name: str, codec: str, rate: int, layout: str
) -> None:
    encoded(tmp_path / name, codec, rate, layout, Tone(440).samples(2 * SAMPLE_RATE))
    samples = np.concatenate(list(read_audio(tmp_path / name)))
    assert samples.dtype == np.int16
    assert len(samples) == pytest.approx(2 * SAMPLE_RATE, rel=0.05)
    assert loudest(samples) == pytest.approx(440, abs=1)


def test_a_long_file_is_not_read_at_once(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "long.wav") as writer:
        for _ in range(60):
            writer.write(np.zeros(SAMPLE_RATE, np.int16))
    blocks = read_audio(tmp_path / "long.wav", block=480)
    assert len(next(blocks)) == 480
    (tmp_path / "long.wav").write_bytes(b"")  # what is not read yet is gone
    assert sum(map(len, blocks)) < 30 * SAMPLE_RATE


def test_what_a_wav_file_says_is_pcm_is_not_looked_at_for_what_else_it_might_be(tmp_path: Path) -> None:
    encoded(tmp_path / "a.mp3", "libmp3lame", 48000, "mono", Tone(440).samples(2 * SAMPLE_RATE))
    data = (tmp_path / "a.mp3").read_bytes()
    data = data[data.index(b"\xff\xfb") :]  # the first frame
    samples = np.concatenate([np.zeros(SAMPLE_RATE // 5, np.int16), np.frombuffer(data[: len(data) & ~1], "<i2")])
    with WavWriter(tmp_path / "a.wav") as writer:
        writer.write(samples)
    assert (np.concatenate(list(read_audio(tmp_path / "a.wav"))) == samples).all()


def test_a_wav_file_is_valid_before_it_is_closed(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "open.wav") as writer:
        writer.write(np.ones(960, np.int16))
        with wave.open(str(tmp_path / "open.wav")) as reader:
            assert reader.getnframes() == 960


@pytest.mark.parametrize("samples", [np.zeros(10, np.float32), np.zeros((2, 10), np.int16)])
def test_only_mono_int16_is_written(tmp_path: Path, samples: np.ndarray) -> None:
    with WavWriter(tmp_path / "x.wav") as writer, pytest.raises(ValueError, match="int16"):
        writer.write(samples)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"gone\.wav: No such file"):
        next(read_audio(tmp_path / "gone.wav"))


def test_a_file_that_is_no_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not a sound\n" * 100)
    with pytest.raises(AudioFileError, match=r"text\.wav: Invalid data"):
        next(read_audio(tmp_path / "text.wav"))
    with (tmp_path / "text.wav").open("rb") as file, pytest.raises(AudioFileError, match=r"the file is no sound .*MP3"):
        next(read_audio(file, formats=FORMATS))


def test_a_file_whose_title_is_in_latin_1_is_played_as_all_others(tmp_path: Path) -> None:
    samples = np.arange(480, dtype=np.int16)
    with WavWriter(tmp_path / "a.wav") as writer:
        writer.write(samples)
    data = (tmp_path / "a.wav").read_bytes() + b"LIST\x12\0\0\0INFOINAM\6\0\0\0M\xfcller"
    (tmp_path / "a.wav").write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    assert (np.concatenate(list(read_audio(tmp_path / "a.wav"))) == samples).all()


def test_a_picture_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "p.png"), "w") as container:
        stream = container.add_stream("png", rate=1)
        stream.width = stream.height = 16
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(AudioFileError, match="no audio"):
        next(read_audio(tmp_path / "p.png"))
    with (tmp_path / "p.png").open("rb") as file, pytest.raises(AudioFileError, match=r"the file is no sound .*MP3"):
        next(read_audio(file, formats=FORMATS))


def test_of_files_put_one_behind_the_other_all_is_played(tmp_path: Path) -> None:
    for name, rate, layout in (("one", 44100, "mono"), ("two", 48000, "stereo")):
        encoded(tmp_path / f"{name}.aac", "aac", rate, layout, Tone(440).samples(SAMPLE_RATE))
    (tmp_path / "both.aac").write_bytes((tmp_path / "one.aac").read_bytes() + (tmp_path / "two.aac").read_bytes())
    lengths = [sum(map(len, read_audio(tmp_path / f"{name}.aac"))) for name in ("one", "two", "both")]
    assert lengths[2] == pytest.approx(lengths[0] + lengths[1], abs=2)


def test_a_block_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="block"):
        next(read_audio(tmp_path / "x.wav", block=0))
