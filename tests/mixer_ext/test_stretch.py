"""Sound made shorter and longer: its length is exact, and a periodic sound is as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer_ext.stretch import lengthened, pitch_lag, shortened


def harmonic(period: float, count: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """A sound with a pitch period of so many samples, as voice has."""
    time = np.arange(count)
    wave = sum(np.cos(2 * np.pi * k * time / period + k * k) / k for k in range(1, 15))
    samples: np.ndarray[tuple[int], np.dtype[np.int16]] = (wave / np.abs(wave).max() * 15000).astype(np.int16)
    return samples


@pytest.mark.parametrize("period", [130, 240, 333, 480, 600, 707])
def test_the_pitch_is_found_to_the_sample(period: int) -> None:
    lag, alike = pitch_lag(harmonic(period, 1440))
    assert lag % period == 0
    assert alike > 0.999


@pytest.mark.parametrize("period", [48, 130, 240, 333, 480, 600])
def test_a_periodic_sound_is_only_shorter_or_longer(period: int) -> None:
    sound = harmonic(period, 1680)
    lag, _ = pitch_lag(sound)
    assert np.abs(shortened(sound, lag).astype(int) - sound[: 1680 - lag]).max() <= 2
    longer = harmonic(period, 1680 + lag)
    assert np.abs(lengthened(sound, lag).astype(int) - longer).max() <= 2


@settings(max_examples=60, deadline=None)
@given(st.integers(120, 720), st.integers(960, 3000), st.integers(0, 2**32 - 1))
def test_any_sound_keeps_its_ends_and_has_the_length_it_should(lag: int, count: int, seed: int) -> None:
    sound = np.random.default_rng(seed).integers(-32768, 32768, count, np.int16)
    short, long = shortened(sound, lag), lengthened(sound, lag)
    assert (len(short), len(long)) == (count - lag, count + lag)
    overlap = min(lag, count - lag, 480)
    assert (short[0], long[0]) == (sound[0], sound[0])
    assert np.array_equal(short[overlap:], sound[lag + overlap :])
    assert np.array_equal(long[lag + overlap :], sound[overlap:])


def test_silence_may_be_cut_anywhere() -> None:
    assert pitch_lag(np.zeros(1440, np.int16))[1] == 1.0


def test_what_is_too_short_is_refused() -> None:
    for samples, lag in ((500, 480), (2000, 100), (2000, 721)):
        with pytest.raises(ValueError, match="lag"):
            shortened(np.zeros(samples, np.int16), lag)
