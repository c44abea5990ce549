"""Traces of arrivals on the fake clock: the delay is what it has to be, and the sound whole, whatever comes when."""

import io
import os
import random
import subprocess
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mixer_ext import JitterBuffer, Opus, level
from tests.mixer_ext.peers import FRAME, Samples, tone

MS = 48
TONE = 997  # no whole number of periods fits 20 ms
WINDOW = 240
REST = 16  # ms: less than a frame too much waits for a pause in the speech


@cache
def sine(frames: int) -> list[bytes]:
    opus = Opus(bitrate=64000)
    return [opus.encode(frame) for frame in tone(TONE, frames).reshape(-1, FRAME)]


@cache
def voice() -> Samples:
    command = ["espeak-ng", "--stdout", "A voice that goes on and on, lest anybody else should say a word in between."]
    environment = os.environ | {"LD_PRELOAD": ""}
    said = subprocess.run(command, check=True, capture_output=True, timeout=60, env=environment).stdout
    with wave.open(io.BytesIO(said)) as spoken:
        rate, sound = spoken.getframerate(), np.frombuffer(spoken.readframes(-1), np.int16)
    resampled = np.interp(np.arange(0, len(sound), rate / 48000), np.arange(len(sound)), sound).astype(np.int16)
    whole = resampled[: len(resampled) // FRAME * FRAME]
    return np.tile(whole, 6)


@dataclass
class Played:
    jitter: JitterBuffer
    heard: Samples
    depths: list[float]  # ms, after each tick
    targets: list[float]

    def __getitem__(self, counter: str) -> int:
        return self.jitter.counters[counter]


def play(
    packets: list[bytes], trace: Iterable[tuple[int, float]], *, ticks: int | None = None, pin: float = 0
) -> Played:
    """trace: which packet arrives when (ms); packet n is sent at 20 n."""
    jitter = JitterBuffer()
    jitter.pin(pin)
    arrivals = sorted(trace, key=lambda each: each[1])
    heard: list[Samples] = []
    depths, targets = [], []
    following = 0
    for tick in range(len(packets) if ticks is None else ticks):
        while following < len(arrivals) and arrivals[following][1] <= tick * 20:
            n, arrival = arrivals[following]
            jitter.push((65000 + n) & 0xFFFF, (2**32 - 9600 + n * FRAME) & 0xFFFFFFFF, packets[n], arrival)
            following += 1
        heard.append(jitter.pull())
        depths.append(jitter.depth / MS)
        targets.append(jitter.target / MS)
    return Played(jitter, np.concatenate(heard), depths, targets)


def impurity(sound: Samples) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """For each 5 ms: what is no tone of this frequency, of whatever phase, as a share of the tone."""
    time = np.arange(WINDOW) / 48000
    basis = np.stack([np.sin(2 * np.pi * TONE * time), np.cos(2 * np.pi * TONE * time)])
    windows = sound.reshape(-1, WINDOW).astype(float)
    rest = windows - windows @ np.linalg.pinv(basis) @ basis
    shares: np.ndarray[tuple[int], np.dtype[np.float64]] = np.sqrt((rest**2).mean(axis=1) * 2) / 8000
    return shares


def worst_of_the_codec(packets: list[bytes]) -> float:
    opus = Opus()
    sound = np.concatenate([np.frombuffer(opus.decode(packet), np.int16) for packet in packets])
    return float(impurity(sound)[200:].max())


def test_on_a_clean_path_a_packet_is_played_in_the_next_tick() -> None:
    packets = sine(1000)
    played = play(packets, [(n, n * 20 + 13) for n in range(1000)])
    assert max(played.depths[600:]) <= REST
    assert played["concealed"] == played["late"] == played["missing"] == played["dropped"] == 0
    assert impurity(played.heard[48000:]).max() < 2 * worst_of_the_codec(packets)


def test_jitter_is_waited_for_and_no_longer_than_it_lasts() -> None:
    dice = random.Random(1)
    packets = sine(3000)
    trace = [(n, n * 20 + 5 + (dice.uniform(0, 30) if n < 1000 else 0)) for n in range(3000)]
    played = play(packets, trace)
    assert 40 <= played.targets[999] <= 50
    assert played.targets[-1] == 20
    assert max(played.depths[2800:]) <= REST
    assert played["concealed"] <= 2
    assert played["late"] == 0


def test_after_a_stall_of_the_network_nothing_is_lost_and_the_delay_is_back_soon() -> None:
    packets = sine(800)
    held_up = range(400, 410)
    played = play(packets, [(n, 410 * 20 + 5 if n in held_up else n * 20 + 5) for n in range(800)])
    assert max(played.depths[400:415]) <= 220
    assert max(played.depths[460:]) <= 50  # a second later
    assert max(played.depths[700:]) <= REST
    assert played["decoded"] == 799
    assert played["dropped"] == played["late"] == 0
    assert impurity(played.heard[430 * FRAME :]).max() < 2 * worst_of_the_codec(packets)


def test_a_stall_of_a_second_is_cut_short() -> None:
    held_up = range(400, 450)
    played = play(sine(800), [(n, 450 * 20 + 5 if n in held_up else n * 20 + 5) for n in range(800)])
    assert max(played.depths) <= 260
    assert max(played.depths[580:]) <= 50
    assert max(played.depths[780:]) <= REST
    assert played["resets"] == 0


def test_stalls_that_come_again_and_again_never_add_up() -> None:
    trace = [(n, (n // 100 * 100 + 9) * 20 + 5 if n % 100 < 9 else n * 20 + 5) for n in range(1500)]
    played = play(sine(1500), trace)
    assert max(played.depths) <= 420
    assert max(played.depths[1490:]) <= 210
    assert played["late"] == 0


def levels(sound: Samples) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """dBov of each 20 ms."""
    return np.array([level(frame) for frame in sound.reshape(-1, FRAME)])


@pytest.mark.parametrize("fec", [False, True])
def test_one_lost_packet_leaves_no_gap_and_no_delay(fec: bool) -> None:
    opus = Opus(fec=fec)
    packets = [opus.encode(frame) for frame in voice().reshape(-1, FRAME)]
    trace = [(n, n * 20 + 5.0) for n in range(len(packets))]
    whole = play(packets, trace)
    loud = levels(whole.heard)
    for lost in range(400, 1000, 67):
        played = play(packets, [each for each in trace if each[0] != lost], ticks=lost + 60)
        assert played["missing"] == 1
        assert played["concealed"] + played["recovered"] <= 2  # a rest of the packet before it may make two of it
        assert max(played.depths[lost + 50 :]) <= max(whole.depths[lost - 50 : lost + 60])
        found = levels(played.heard)
        for tick in range(lost - 1, lost + 4):
            assert loud[tick] < -35 or loud[tick - 1] < -35 or found[tick] > -50


def test_a_burst_of_lost_packets_is_concealed_and_fades() -> None:
    played = play(sine(800), [(n, n * 20 + 5) for n in range(800) if not 600 <= n < 612])
    power = np.abs(played.heard.astype(float)).reshape(-1, FRAME).mean(axis=1)
    assert power[601] > 1000
    assert power[607:612].max() == 0
    assert power[616:].min() > 3000
    assert max(played.depths[650:]) <= REST


def test_with_a_fifth_of_all_packets_lost_nine_of_ten_frames_are_the_speakers_own() -> None:
    opus = Opus(fec=True)
    packets = [opus.encode(frame) for frame in voice().reshape(-1, FRAME)]
    for seed in range(3):
        dice = random.Random(seed)
        played = play(packets, [(n, n * 20 + 5) for n in range(len(packets)) if dice.random() >= 0.2])
        good = played["decoded"] + played["recovered"]
        assert good / (good + played["concealed"]) >= 0.9
        assert max(played.targets[300:]) <= 60
        assert max(played.depths) <= 80


def test_the_odd_loss_costs_no_delay() -> None:
    opus = Opus(fec=True)
    packets = [opus.encode(frame) for frame in voice().reshape(-1, FRAME)]
    played = play(packets, [(n, n * 20 + 5) for n in range(len(packets)) if n % 100])
    assert played.targets[-1] == 20


@pytest.mark.parametrize("ppm", [-200, 200])
def test_a_drifting_clock_neither_clicks_nor_adds_delay(ppm: int) -> None:
    """Five minutes of it; the hour is a benchmark (quality)."""
    packets = sine(15_000)
    played = play(packets, [(n, n * 20 * (1 - ppm * 1e-6) + 5) for n in range(len(packets))], ticks=14_950)
    assert played["concealed"] == played["missing"] == played["late"] == 0
    assert max(played.depths[500:]) <= 45
    assert (played["lengthened"] if ppm < 0 else played["shortened"]) >= 1920
    assert impurity(played.heard[48000:]).max() < 2 * worst_of_the_codec(packets[:1000])


def test_speech_is_shortened_a_period_at_a_time() -> None:
    opus = Opus(bitrate=64000)
    packets = [opus.encode(frame) for frame in voice().reshape(-1, FRAME)]
    held_up = range(400, 409)
    trace = [(n, 409 * 20 + 5 if n in held_up else n * 20 + 5) for n in range(len(packets))]
    played = play(packets, trace)
    assert played["shortened"] >= 160 * MS
    assert max(played.depths[560:]) <= 20
    assert played["dropped"] == 0


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_a_sleeping_stream_keeps_pace_and_is_cut_at_once(ppm: int) -> None:
    """Nobody speaks until the voice begins: by then what a stall has added is gone, and the decoder is in step."""
    opus = Opus(bitrate=64000)
    start = 700
    frames = [np.zeros(FRAME, np.int16)] * start + list(voice().reshape(-1, FRAME)[:100])
    packets = [opus.encode(frame) for frame in frames]
    times = [n * 20 * (1 - ppm * 1e-6) + 5 if not 600 <= n < 609 else 609 * 20.0 + 5 for n in range(len(packets))]
    jitter, following, depths, heard = JitterBuffer(), 0, [], []
    jitter.spare(True)
    for tick in range(len(packets) + 1):
        while following < len(packets) and times[following] <= tick * 20:
            quiet = following < start
            if not quiet:
                jitter.rouse()
            jitter.push(following, following * FRAME, packets[following], times[following], 80 if quiet else 20)
            following += 1
        heard.append(jitter.pull())
        depths.append(jitter.depth / MS)
    assert jitter.counters["spared"] >= 690
    assert jitter.counters["spared"] + jitter.counters["decoded"] >= len(packets) - 3
    assert jitter.counters["late"] == jitter.counters["missing"] == jitter.counters["dropped"] == 0
    assert jitter.counters["shortened"] >= 140 * MS
    assert max(depths[560:600]) <= 45
    assert max(depths[630:690]) <= 45  # soon after the stall
    decoder = Opus()
    spoken = np.concatenate([np.frombuffer(decoder.decode(packet), np.int16) for packet in packets])
    got, wanted = (
        np.concatenate(heard)[start * FRAME :].astype(float),
        spoken[start * FRAME :][: 40 * FRAME].astype(float),
    )
    errors = [np.square(got[late:][: len(wanted)] - wanted).sum() for late in range(3 * FRAME)]
    assert min(errors) < 0.01 * np.square(wanted).sum()


# --- pinned -----------------------------------------------------------------------------------------------------------


def test_a_pinned_delay_is_kept_to_the_sample() -> None:
    """Frames are the codec's own, bit for bit, 80 ms after they were sent."""
    dice = random.Random(1)
    packets = sine(1000)
    played = play(packets, [(n, n * 20 + 1 + (0 if n < 50 else dice.uniform(0, 55))) for n in range(1000)], pin=80)
    opus = Opus()
    sent = np.concatenate([np.frombuffer(opus.decode(packet), np.int16) for packet in packets])
    assert np.array_equal(played.heard[4 * FRAME :], sent[: -4 * FRAME])
    assert played["shortened"] == played["lengthened"] == played["dropped"] == 0
    assert set(played.targets) == {80.0}


def test_what_is_later_than_a_pinned_delay_is_lost_and_the_rest_stays_where_it_was() -> None:
    packets = sine(400)
    late = range(200, 206)
    played = play(packets, [(n, n * 20 + (150 if n in late else 5)) for n in range(400)], pin=60)
    assert played["late"] == 6
    assert played["decoded"] == 400 - 6 - 3
    assert set(played.depths[100:195]) == set(played.depths[250:])


@pytest.mark.parametrize("change", [300.0, -1100.0])
def test_a_pinned_delay_is_found_again_when_the_path_changes(change: float) -> None:
    packets = sine(800)
    played = play(packets, [(n, n * 20 + 1200 + (change if n >= 400 else 0)) for n in range(800)], pin=60, ticks=880)
    assert played["decoded"] >= 740
    assert max(played.depths) <= 1160
    assert max(played.depths[500:]) <= 80
    assert np.abs(played.heard[600 * FRAME : 780 * FRAME].reshape(-1, FRAME)).max(axis=1).min() > 7000


@pytest.mark.parametrize("left_out", [10, 49])
def test_what_came_while_nothing_could_be_played_is_played_later_at_a_pinned_delay(left_out: int) -> None:
    """The ticks of this machine are missing, and not the packets."""
    packets = sine(400)
    jitter = JitterBuffer()
    jitter.pin(200)
    heard = []
    for n, packet in enumerate(packets):
        jitter.push(n, n * FRAME, packet)
        if not 200 <= n < 200 + left_out:
            heard.append(jitter.pull())
    heard += [jitter.pull() for _ in range(left_out + 10)]
    counters = jitter.counters
    assert counters["decoded"] == 400
    assert counters["missing"] == counters["late"] == counters["dropped"] == 0
    opus = Opus()
    sent = np.concatenate([np.frombuffer(opus.decode(packet), np.int16) for packet in packets])
    assert np.array_equal(np.concatenate(heard)[9 * FRAME :][: len(sent)], sent)


def test_pinning_can_be_taken_back() -> None:
    packets = sine(1200)
    jitter = JitterBuffer()
    depths = []
    for n, packet in enumerate(packets):
        if n in (100, 500):
            jitter.pin(200 if n == 100 else 0)
        jitter.push(n, n * FRAME, packet, n * 20 + 5)
        jitter.pull()
        depths.append(jitter.depth / MS)
    assert set(depths[120:500]) == {200.0}
    assert max(depths[700:]) <= 30


# --- laws -------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=12))
def test_any_packet_order_is_played_in_order(order: list[int], again: list[int]) -> None:
    """Twelve packets that overtake each other within the delay, some of them twice, are as if nothing had happened."""
    packets = sine(80)
    arrivals: list[tuple[int, float]] = [(n, n * 20.0 + 5) for n in range(80) if not 30 <= n < 42]
    arrivals += [(30 + n, 42 * 20 + 5 + place * 0.1) for place, n in enumerate(order)]
    arrivals += [(30 + n, 42 * 20 + 6.5) for n in again]
    played = play(packets, arrivals, ticks=100, pin=300)
    opus = Opus()
    sent = np.concatenate([np.frombuffer(opus.decode(packet), np.int16) for packet in packets])
    assert np.array_equal(played.heard[15 * FRAME : 95 * FRAME], sent)
    assert played["duplicates"] == len(again)
    assert played["late"] == played["missing"] == 0


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 400), st.booleans()), max_size=12))
def test_whatever_the_network_did_it_is_forgotten_when_it_has_been_clean_for_long_enough(
    stretches: list[tuple[int, float, bool]],
) -> None:
    """Each stretch of packets is late by up to so much, or lost every other one."""
    dice = random.Random(7)
    trace, n = [], 0
    for count, late, lossy in stretches:
        trace += [(n + k, (n + k) * 20 + dice.uniform(0, late)) for k in range(count) if not (lossy and k % 2)]
        n += count
    trace += [(k, k * 20 + 5.0) for k in range(n, n + 2000)]
    played = play(sine(3000), trace, ticks=n + 2000)
    assert max(played.depths) <= 640
    assert max(played.depths[-200:]) <= 50
    assert np.abs(played.heard[-200 * FRAME :].reshape(-1, FRAME)).max(axis=1).min() > 7000
