"""Gain control: who speaks is brought to how loud all should be, and nothing else is changed."""

from __future__ import annotations

import numpy as np
import pytest

from mixer_ext import GainControl, level
from tests.mixer_ext.levels import FRAME, LimiterOracle, Samples, rounded
from tests.mixer_ext.peers import Stage
from tests.mixer_ext.test_audience import Reference, talk
from tests.mixer_ext.test_stream import voice

STEP = 0.06


def spoken(frames: int, dbov: float) -> Samples:
    """Syllables, four a second, so loud on average while they last; after five seconds a pause of one."""
    time = np.arange(frames * FRAME) / 48000
    envelope = np.clip(np.sin(2 * np.pi * 4 * time), 0.01, None) * (time % 6 < 5)
    wave = voice(frames) * envelope
    power = np.square(wave).reshape(-1, FRAME).mean(axis=1)
    wave *= 32768 * 10 ** (dbov / 20) / np.sqrt(np.square(power).sum() / power.sum())
    samples: Samples = np.clip(np.rint(wave), -32768, 32767).astype(np.int16)
    return samples


def noise(frames: int, dbov: float) -> Samples:
    wave = np.random.default_rng(3).normal(0, 32768 * 10 ** (dbov / 20), frames * FRAME)
    samples: Samples = np.clip(np.rint(wave), -32768, 32767).astype(np.int16)
    return samples


def heard(control: GainControl, samples: Samples, *, speech: bool = True) -> Samples:
    return np.concatenate([control.hear(frame, speech) for frame in samples.reshape(-1, FRAME)])


def oracle(samples: Samples, before: float, after: float, limiter: LimiterOracle) -> Samples:
    gain, to = (np.float32(10.0 ** (each / 20)) for each in (before, after))
    gains = gain + (to - gain) / np.float32(FRAME) * np.arange(1, FRAME + 1, dtype=np.float32)
    glided = rounded(samples.astype(np.float32) * gains)
    return limiter.limit(glided) if max(gain, to) > 1 or limiter.gain < 1 else glided.astype(np.int16)


@pytest.mark.parametrize(("dbov", "gain"), [(-30, 10), (-26, 6), (-20, 0), (-14, -6), (-44, 12), (-5, -12)])
def test_a_speaker_is_brought_to_the_target_but_by_no_more_than_twelve_decibels(dbov: float, gain: float) -> None:
    control = GainControl()
    heard(control, spoken(500, dbov))
    assert control.gain == pytest.approx(gain, abs=1)


def test_it_is_slow_and_smooth_and_exact() -> None:
    control, limiter = GainControl(), LimiterOracle()
    samples = np.concatenate([spoken(400, -34), spoken(300, -8)])
    for frame in samples.reshape(-1, FRAME):
        before = control.gain
        after_it = control.hear(frame, True)
        assert abs(control.gain - before) <= STEP + 1e-9
        assert abs(control.gain) <= 12
        if before or control.gain:
            assert np.array_equal(after_it, oracle(frame, before, control.gain, limiter))
        else:
            assert np.array_equal(after_it, frame)


@pytest.mark.parametrize("dbov", [-60, -45, -35, -12])
def test_noise_is_left_alone_even_where_it_is_taken_for_speech(dbov: float) -> None:
    control = GainControl()
    heard(control, noise(10, -80))
    samples = noise(500, dbov)
    assert np.array_equal(heard(control, samples), samples)
    assert control.gain == 0


def test_what_it_has_come_to_stays_in_pauses_and_in_noise() -> None:
    control = GainControl()
    heard(control, spoken(400, -32))
    gain = control.gain
    assert gain > 10
    heard(control, noise(100, -58), speech=False)
    for _ in range(100):
        control.rest()
    assert control.gain == gain
    heard(control, noise(400, -40))
    assert control.gain == pytest.approx(gain, abs=1)


def test_what_is_no_speech_moves_nothing() -> None:
    control = GainControl()
    samples = spoken(300, -34)
    assert np.array_equal(heard(control, samples, speech=False), samples)


def test_turned_off_it_goes_back_as_slowly_and_then_touches_nothing() -> None:
    control = GainControl()
    control.enabled = False
    samples = spoken(200, -34)
    assert np.array_equal(heard(control, samples), samples)
    control.enabled = True
    heard(control, samples)
    gain = control.gain
    assert gain > 3
    control.enabled = False
    heard(control, samples[: 10 * FRAME])
    assert control.gain == pytest.approx(gain - 10 * STEP)
    heard(control, samples)
    heard(control, samples)
    assert control.gain == 0
    assert np.array_equal(heard(control, samples), samples)


# --- in a plane ---


def twins(stage: Stage, samples: Samples, *, agc: bool) -> tuple[Samples, Samples]:
    """What two legs say that are sent the same, of which the other may have its gain controlled."""
    (plain, first), (other, second) = stage.peer(), stage.peer()
    stage.plane.set_agc(other, agc)
    taps = [stage.plane.tap(leg) for leg in (plain, other)]
    for frame in samples.reshape(-1, FRAME):
        packet = second.packet(frame)
        for peer in (first, second):
            peer.send(packet, stage.address)
        stage.tick()
    said, controlled = (stage.plane.tap_read(tap) for tap in taps)
    return said, controlled


@pytest.mark.parametrize(("dbov", "gain"), [(-32, 12), (-10, -10)])
def test_who_is_quiet_rises_and_who_is_loud_falls(stage: Stage, dbov: float, gain: float) -> None:
    said, controlled = twins(stage, spoken(440, dbov), agc=True)
    assert level(controlled[:FRAME]) == level(said[:FRAME])
    assert level(controlled[-100 * FRAME :]) - level(said[-100 * FRAME :]) == pytest.approx(gain, abs=1.5)


def test_off_it_is_bit_for_bit_what_is_decoded(stage: Stage) -> None:
    said, controlled = twins(stage, spoken(150, -34), agc=False)
    assert said.any()
    assert np.array_equal(said, controlled)


def test_the_noise_of_a_line_stays_as_it_is(stage: Stage) -> None:
    said, controlled = twins(stage, noise(250, -38), agc=True)
    assert said.any()
    assert any(event[0] == "speaking" for event in stage.events)  # it is taken for that
    assert np.array_equal(said, controlled)


def test_a_member_whose_gain_is_controlled_never_hears_himself(stage: Stage) -> None:
    """Bit by bit, together with volumes."""
    random = np.random.default_rng(11)
    mixer = stage.plane.add_mixer()
    reference = Reference(stage, {mixer})
    legs = [reference.leg() for _ in range(4)]
    for n, leg in enumerate(legs):
        reference.join(leg, mixer)
        stage.plane.set_agc(leg, n < 3)
    for n in range(6):
        stage.plane.set_gain(legs[0], [1.5, 0.3, 1][n % 3])
        talk(reference, legs[:3], 25, random)


def test_only_legs_have_it(stage: Stage) -> None:
    with pytest.raises(ValueError, match="not a leg"):
        stage.plane.set_agc(stage.plane.add_mixer(), True)
