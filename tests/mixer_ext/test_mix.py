"""The arithmetic of the mix against numpy."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer_ext import choose_kernels, level, mix_minus


@pytest.fixture(autouse=True, scope="module", params=["any", "this"])
def processor(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything with the kernels for any processor, and with those for this one."""
    choose_kernels(request.param == "this")
    yield
    choose_kernels()


@given(st.integers(0, 12), st.integers(0, 2**32 - 1), st.booleans())
def test_each_hears_exactly_the_sum_of_the_others(count: int, seed: int, full_scale: bool) -> None:
    random = np.random.default_rng(seed)
    values = [-32768, 32767] if full_scale else np.arange(-32768, 32768)
    frames = random.choice(values, (count, 960)).astype(np.int16)
    wide = frames.astype(np.int64)
    expected = np.clip(wide.sum(axis=0) - wide, -32768, 32767).astype(np.int16)
    assert np.array_equal(mix_minus(frames), expected)


def test_two_speakers_at_full_scale_hear_each_other_untouched() -> None:
    frames = np.full((3, 960), 32767, np.int16)
    frames[2] = 0
    assert (mix_minus(frames)[:2] == 32767).all()
    frames[1] = -32768
    assert (mix_minus(frames)[0] == -32768).all()
    assert (mix_minus(frames)[2] == -1).all()


def test_a_frame_is_960_samples() -> None:
    with pytest.raises(ValueError, match="960"):
        mix_minus(np.zeros((2, 480), np.int16))


def test_levels_are_in_dbov() -> None:
    assert level(np.zeros(960, np.int16)) == -127
    assert level(np.zeros(0, np.int16)) == -127
    assert level(np.full(960, -32768, np.int16)) == 0
    sine = (3276.7 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)).astype(np.int16)
    assert math.isclose(level(sine), -23.01, abs_tol=0.01)
