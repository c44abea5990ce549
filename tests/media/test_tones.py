import numpy as np
import pytest

from focus.media.tones import SAMPLE_RATE, Tone


def test_blocks_of_any_size_join_without_a_seam() -> None:
    whole = Tone([300, 441.7]).samples(SAMPLE_RATE)
    tone = Tone([300, 441.7])
    blocks = [tone.samples(count) for count in (960, 1, 0, 47, SAMPLE_RATE - 1008)]
    assert np.abs(np.concatenate(blocks).astype(int) - whole).max() <= 1


def test_the_frequencies_are_those_asked_for() -> None:
    spectrum = np.abs(np.fft.rfft(Tone([300, 440, 660]).samples(SAMPLE_RATE)))
    assert set(np.argsort(spectrum)[-3:]) == {300, 440, 660}


def test_the_sum_never_exceeds_the_amplitude() -> None:
    samples = Tone([300, 440, 660], amplitude=1).samples(SAMPLE_RATE)
    assert samples.dtype == np.int16
    assert np.abs(samples.astype(int)).max() <= 32767


@pytest.mark.parametrize("frequencies", [[], 0, -440, 24000, [440, float("nan")]])
def test_what_is_no_audible_frequency_is_refused(frequencies: float | list[float]) -> None:
    with pytest.raises(ValueError, match="frequencies"):
        Tone(frequencies)


@pytest.mark.parametrize("amplitude", [-0.1, 1.1])
def test_an_amplitude_beyond_full_scale_is_refused(amplitude: float) -> None:
    with pytest.raises(ValueError, match="amplitude"):
        Tone(440, amplitude=amplitude)
