"""Limiters and volumes against numpy, and by ear."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mixer_ext import Limiter, Loudness
from tests.mixer_ext.levels import BLOCK, FRAME, LimiterOracle, VolumeOracle, Wide

KINDS = ["noise", "square", "sine", "spike", "silence"]


def sound(kind: str, amplitude: int, random: np.random.Generator) -> Wide:
    time = np.arange(FRAME) + random.integers(0, FRAME)
    if kind == "noise":
        return random.integers(-amplitude, amplitude + 1, FRAME)
    if kind == "square":
        return np.where(time // int(random.integers(1, 200)) % 2, amplitude, -amplitude).astype(np.int64)
    if kind == "sine":
        wave: Wide = (amplitude * np.sin(time * random.uniform(0.001, 3))).astype(np.int64)
        return wave
    frame = np.zeros(FRAME, np.int64)
    if kind == "spike":
        frame[random.integers(0, FRAME, 3)] = amplitude
    return frame


frames = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from([1, 20000, 29490, 29491, 32767, 32768, 33000, 40000, 65534, 300000, 13_000_000]),
    ),
    min_size=1,
    max_size=8,
)


@given(frames, st.integers(0, 2**32 - 1))
@example([("noise", 1), ("noise", 1), ("spike", 1), ("square", 32767), ("spike", 13_000_000)], 4351)
def test_it_is_what_it_says_and_nothing_is_left_to_be_clipped(kinds: list[tuple[str, int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    limiter, oracle = Limiter(), LimiterOracle()
    for kind, amplitude in kinds:
        total = sound(kind, amplitude, random)
        expected = oracle.wide(total)
        assert np.abs(expected).max() <= 32767
        assert np.array_equal(limiter.limit(total.astype(np.int32)), expected)
        assert limiter.gain == oracle.gain


@given(st.integers(0, 2**32 - 1))
def test_what_is_not_too_loud_is_not_touched(seed: int) -> None:
    total = np.random.default_rng(seed).integers(-29490, 29491, FRAME).astype(np.int32)
    limiter = Limiter()
    for _ in range(3):
        assert np.array_equal(limiter.limit(total), total)


def test_it_is_back_at_once_when_it_is_quiet_and_then_touches_nothing() -> None:
    limiter, rested = Limiter(), Limiter()
    loud, quiet = np.full(FRAME, 65534, np.int32), np.full(FRAME, 1000, np.int32)
    for one in (limiter, rested):
        assert one.limit(loud).max() <= 32767
        assert 0.44 < one.gain < 0.46
    for _ in range(5):
        limiter.limit(quiet)
    assert limiter.gain > 0.75
    for _ in range(20):
        limiter.limit(quiet)
    assert np.array_equal(limiter.limit(quiet), quiet)
    rested.rest(5)
    assert 0.75 < rested.gain < 1
    rested.rest(1000)
    assert rested.gain == 1


@pytest.mark.parametrize("frequency", [100, 440, 1000, 3000])
def test_two_at_full_scale_do_not_click_and_gain_little_that_was_not_there(frequency: int) -> None:
    """Each step from sample to sample is at most that of the sum itself, and the harmonics are far below clipping's."""
    time = np.arange(25 * FRAME) / 48000
    total = (2 * 32767 * np.sin(2 * np.pi * frequency * time)).astype(np.int32)
    limiter = Limiter()
    limited = np.concatenate([limiter.limit(frame) for frame in total.reshape(-1, FRAME)])
    steps = np.abs(np.diff(limited.astype(np.int64)))
    assert steps.max() <= np.abs(np.diff(total)).max()
    assert (np.sign(limited) == np.sign(total))[np.abs(total) > 10].all()  # nothing has wrapped

    def harmonics(samples: np.ndarray) -> float:
        steady = samples[5 * FRAME :].astype(float)
        spectrum = np.abs(np.fft.rfft(steady * np.blackman(len(steady)))) ** 2
        line = round(frequency * len(steady) / 48000)
        carrier = spectrum[line - 4 : line + 5].sum()
        return float(10 * np.log10((spectrum.sum() - carrier) / carrier))

    clipped = np.clip(total, -32768, 32767)
    assert harmonics(clipped) > -15
    assert harmonics(limited) < harmonics(clipped) - 10


def test_its_gain_follows_straight_lines_between_milliseconds() -> None:
    total = np.full(FRAME, 1000, np.int32)
    total[480:] = 120_000
    limited = Limiter().limit(total).astype(float) / total
    assert (limited[: 480 - BLOCK] == 1).all()
    assert np.all(np.diff(limited[480 - BLOCK : 480]) <= 0)
    assert np.allclose(limited[480:], 29490.3 / 120_000, atol=0.01)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.5, 1.0, 1.5, 4.0, 16.0]), st.sampled_from(KINDS)), max_size=8),
    st.sampled_from([1, 300, 20000, 32767]),
    st.integers(0, 2**32 - 1),
)
def test_a_volume_is_a_ramp_and_then_a_limiter(wishes: list[tuple[float, str]], amplitude: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    tested, oracle = Loudness(), VolumeOracle()
    for wanted, kind in wishes:
        samples = sound(kind, amplitude, random).astype(np.int16)
        assert np.array_equal(tested.apply(samples, wanted), oracle.apply(samples, wanted))


def test_a_volume_of_one_changes_nothing_and_of_none_leaves_nothing() -> None:
    samples = np.random.default_rng(1).integers(-32768, 32768, FRAME).astype(np.int16)
    tested = Loudness()
    assert np.array_equal(tested.apply(samples, 1), samples)
    faded = tested.apply(samples, 0).astype(int)
    assert not faded[240:].any()
    assert (np.abs(faded) <= np.abs(samples.astype(int))).all()
    assert not tested.apply(samples, 0).any()
