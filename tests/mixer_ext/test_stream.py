"""What a leg receives, packet by packet: nothing that the network does stalls it or makes its delay grow for good."""

from collections import Counter

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer_ext import JitterBuffer, Opus
from mixer_ext.g711 import compress
from tests.mixer_ext.peers import FRAME, Samples, loudness, tone


def speech(frames: int, fec: bool = False, dtx: bool = False) -> list[bytes]:
    opus = Opus(fec=fec, dtx=dtx)
    sound = tone(440, frames)
    return [opus.encode(sound[n * FRAME : (n + 1) * FRAME]) for n in range(frames)]


def voice(frames: int) -> Samples:
    """Something that Opus takes for voice: harmonics that waver."""
    time = np.arange(frames * FRAME) / 48000
    wavering = 1 + 0.02 * np.sin(6 * np.pi * time)
    wave = sum(np.sin(2 * np.pi * 140 * k * time * wavering) / k for k in range(1, 25))
    samples: Samples = (wave / np.abs(wave).max() * 12000).astype(np.int16)
    return samples


def play(
    packets: list[bytes],
    arrivals: dict[int, list[int]],
    ticks: int,
    *,
    sequence: int = 65530,
    timestamp: int = 2**32 - 5000,
) -> tuple[JitterBuffer, list[Samples]]:
    """Give packet n in tick t for each n in arrivals[t]; the 20 ms that each tick plays."""
    jitter = JitterBuffer()
    heard = []
    for tick in range(ticks):
        for n in arrivals.get(tick, []):
            jitter.push((sequence + n) & 0xFFFF, (timestamp + n * FRAME) & 0xFFFFFFFF, packets[n])
        heard.append(jitter.pull())
    return jitter, heard


def on_time(count: int) -> dict[int, list[int]]:
    return {n: [n] for n in range(count)}


def test_a_clean_stream_is_played_forty_milliseconds_after_it_came_at_most() -> None:
    jitter, heard = play(speech(50), on_time(50), 50)
    assert jitter.counters["decoded"] == 49
    assert jitter.counters["concealed"] == jitter.counters["missing"] == jitter.counters["late"] == 0
    assert loudness(np.concatenate(heard[10:]), 440) > loudness(tone(440, 40), 440) - 1


def test_disorder_within_the_delay_is_put_in_order() -> None:
    arrivals = on_time(50)
    arrivals[20], arrivals[21] = [], [21, 20]
    jitter, _ = play(speech(50), arrivals, 50)
    assert jitter.counters["decoded"] == 49
    assert jitter.counters["concealed"] == 0


def test_one_lost_packet_is_concealed_and_costs_no_delay() -> None:
    arrivals = on_time(100)
    arrivals[40] = []
    jitter, heard = play(speech(100), arrivals, 100)
    assert jitter.counters["missing"] == jitter.counters["concealed"] == 1
    assert jitter.counters["decoded"] == 98
    assert jitter.depth == FRAME
    gap = np.concatenate(heard[40:44])
    assert min(np.abs(gap[n : n + 480]).max() for n in range(0, len(gap), 480)) > 1000


def test_a_packet_that_carries_the_lost_one_brings_it_back() -> None:
    opus = Opus(fec=True)
    packets = [opus.encode(frame) for frame in voice(100).reshape(-1, FRAME)]
    arrivals = on_time(100)
    lost = range(30, 90, 7)
    carried = sum(packets[n + 1][1] >> 6 & 1 for n in lost)  # RFC 6716 section 4.2.4, mono, 20 ms
    for n in lost:
        arrivals[n] = []
    jitter, _ = play(packets, arrivals, 100)
    assert carried >= 5
    assert jitter.counters["recovered"] == carried
    assert jitter.counters["concealed"] == jitter.counters["missing"] - carried == len(lost) - carried


def test_a_late_packet_is_counted_and_not_played() -> None:
    arrivals = on_time(60)
    arrivals[30], arrivals[35] = [], [35, 30]
    jitter, _ = play(speech(60), arrivals, 60)
    assert jitter.counters["late"] == 1
    assert jitter.counters["decoded"] == 58


def test_a_packet_that_comes_twice_is_played_once() -> None:
    arrivals = {n: [n, n] for n in range(50)}
    jitter, _ = play(speech(50), arrivals, 50)
    assert jitter.counters["duplicates"] == 50
    assert jitter.counters["decoded"] == 49


@pytest.mark.parametrize("later", [2, 3, 5])
def test_what_comes_again_when_it_has_been_played_is_not_played_again(later: int) -> None:
    """Each packet over a second path that is longer, and the last of them when nothing else comes any more. That path
    is no reason to wait.
    """
    arrivals = on_time(50)
    for n in range(50):
        arrivals.setdefault(n + later, []).append(n)
    jitter, _ = play(speech(50), arrivals, 80)
    assert jitter.counters["decoded"] == jitter.counters["duplicates"] == 50
    assert jitter.counters["late"] == jitter.counters["resets"] == 0
    assert jitter.target <= 2 * FRAME


def test_what_was_overtaken_for_long_is_not_played_behind_what_overtook_it() -> None:
    arrivals = on_time(60)
    for n in range(30, 35):
        arrivals[n] = []
    arrivals[36] = []
    arrivals[37] = [36, 37, 30, 31, 32, 33, 34]
    jitter, _ = play(speech(60), arrivals, 35)
    jitter, _ = play(speech(60), arrivals, 80)
    assert jitter.counters["resets"] == 0
    assert jitter.counters["late"] == jitter.counters["missing"] == 5


def test_what_is_lost_before_a_packet_that_is_given_up_is_missing_too() -> None:
    arrivals = on_time(100)
    for n in range(40, 80):
        arrivals[n] = []
    arrivals[80] = [*range(40, 42), *range(43, 60), *range(62, 81)]
    jitter, _ = play(speech(100), arrivals, 140)
    assert jitter.counters["dropped"] > 10
    assert jitter.counters["missing"] == 3


def test_what_is_lost_before_a_packet_too_late_for_a_pinned_delay_is_missing_too() -> None:
    packets = speech(60)
    jitter = JitterBuffer()
    jitter.pin(40)
    for n in range(60):
        if n == 36:
            for late in (32, 34, 35):
                jitter.push(late, late * FRAME, packets[late])
        if not 31 <= n <= 35:
            jitter.push(n, n * FRAME, packets[n])
        jitter.pull()
    for _ in range(10):
        jitter.pull()
    assert jitter.counters["late"] >= 1
    assert jitter.counters["missing"] == 2


def test_after_a_burst_nothing_is_lost_and_the_delay_comes_back() -> None:
    packets = speech(700)
    arrivals = on_time(700)
    for n in range(100, 108):
        arrivals[n] = []
    arrivals[108] = list(range(100, 109))
    jitter, heard = play(packets, arrivals, 110)
    assert jitter.counters["missing"] == 0
    deep = jitter.depth
    jitter, heard = play(packets, arrivals, 700)
    assert deep >= 7 * FRAME
    assert jitter.depth <= 3 * FRAME
    assert jitter.counters["late"] == 0
    sound = np.concatenate(heard[115:]).astype(int)
    assert np.abs(np.diff(sound)).max() < 2000  # a tone that is shortened does not click


def test_a_long_stall_is_cut_short_at_once() -> None:
    arrivals = on_time(300)
    for n in range(100, 150):
        arrivals[n] = []
    arrivals[150] = list(range(100, 151))
    jitter, _ = play(speech(300), arrivals, 160)
    assert jitter.depth <= 13 * FRAME
    assert jitter.counters["resets"] == 0


def test_a_sender_that_falls_silent_fades_out_and_comes_back() -> None:
    arrivals = on_time(50) | {200 + n: [50 + n] for n in range(50)}
    jitter, heard = play(speech(100), arrivals, 250)
    assert not np.concatenate(heard[60:199]).any()
    assert jitter.counters["concealed"] <= 8
    assert loudness(np.concatenate(heard[210:250]), 440) > loudness(tone(440, 40), 440) - 1
    assert jitter.counters["decoded"] >= 97


def test_a_pause_in_the_timestamps_is_no_loss() -> None:
    packets = speech(80)
    jitter = JitterBuffer()
    heard = []
    for tick in range(130):
        n = tick if tick < 40 else tick - 50
        if tick < 40 or tick >= 90:
            jitter.push(n, tick * FRAME, packets[n])
        heard.append(jitter.pull())
    assert jitter.counters["missing"] == 0
    assert jitter.counters["decoded"] == 79
    assert jitter.depth == FRAME


def test_opus_dtx_is_no_loss() -> None:
    opus = Opus(dtx=True)
    jitter = JitterBuffer()
    sequence = 0
    for tick in range(300):
        payload = opus.encode(tone(440, 1, tick) if tick < 50 or tick > 250 else np.zeros(FRAME, np.int16))
        if len(payload) > 2 or tick % 20 == 0:
            jitter.push(sequence, tick * FRAME, payload)
            sequence += 1
        jitter.pull()
    assert sequence < 200
    assert jitter.counters["missing"] == jitter.counters["late"] == 0
    assert jitter.counters["concealed"] == 0
    assert jitter.counters["comfort"] > 0


@pytest.mark.parametrize(("timestamp", "sequence"), [(0, 40_000), (3_000_000_000, 0), (3_000_000_000, 40_000), (0, 20)])
def test_a_sender_that_begins_anew_is_heard_anew(timestamp: int, sequence: int) -> None:
    packets = speech(100)
    jitter = JitterBuffer()
    heard = []
    for n in range(50):
        jitter.push(100 + n, 48000 + n * FRAME, packets[n])
        jitter.pull()
    for n in range(50):
        jitter.push(sequence + n, timestamp + n * FRAME, packets[50 + n])
        heard.append(jitter.pull())
    assert loudness(np.concatenate(heard[20:]), 440) > loudness(tone(440, 30), 440) - 1
    assert jitter.depth <= 3 * FRAME


@pytest.mark.parametrize("milliseconds", [10, 40, 60])
def test_packets_of_other_lengths_are_played_whole(milliseconds: int) -> None:
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.format, codec.layout = 48000, "s16", "mono"
    codec.options = {"frame_duration": str(milliseconds), "application": "voip"}
    codec.open()
    size = milliseconds * 48
    jitter = JitterBuffer()
    heard: list[Samples] = []
    sent = 0
    for tick in range(120):
        while sent * size <= tick * FRAME:
            start = sent * size
            sound = (8000 * np.sin(2 * np.pi * 440 * np.arange(start, start + size) / 48000)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), "s16", "mono")
            frame.sample_rate, frame.pts = 48000, start
            for packet in codec.encode(frame):
                jitter.push(sent, start, bytes(packet))
            sent += 1
        heard.append(jitter.pull())
    assert jitter.counters["missing"] == 0
    assert jitter.counters["concealed"] <= 1
    assert loudness(np.concatenate(heard[20:]), 440) > loudness(tone(440, 100), 440) - 1


@pytest.mark.parametrize("late", [0, 3])
def test_who_goes_over_to_shorter_packets_loses_none(late: int) -> None:
    """Of the short ones as many have come as one long one lasts for, and are no more than that; also where the last
    long one comes `late`, together with those that follow."""
    jitter, at, sequence = JitterBuffer("pcmu"), 0, 0
    under_way: list[tuple[int, int, bytes]] = []
    for tick in range(150):
        length = 6 if tick < 60 else 1
        if (tick + 1) % length == 0:
            payload = compress("pcmu", tone(440, length, at)[::6].copy())
            under_way.append((sequence, at * FRAME, payload))
            sequence, at = sequence + 1, at + length
        if not 59 <= tick < 59 + late:
            for packet in under_way:
                assert jitter.push(*packet) == "stored"
            under_way.clear()
        jitter.pull()
    counters = jitter.counters
    assert counters["dropped"] == counters["missing"] == 0
    assert late or counters["concealed"] == 0
    assert jitter.depth < 3 * FRAME + late * FRAME


def test_garbage_is_refused() -> None:
    jitter = JitterBuffer()
    for payload in (b"", b"\xff", b"\xff\xff" + bytes(10), bytes(1400)):
        with pytest.raises(ValueError, match="Opus"):
            jitter.push(1, 1, payload)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.one_of(st.integers(-70, 70), st.integers(-40000, 40000)),
            st.one_of(st.just(0), st.integers(-(2**31), 2**31)),
            st.binary(min_size=1, max_size=60),
        ),
        max_size=120,
    )
)
def test_any_packets_in_any_order_give_a_frame_a_tick_and_never_a_stall(
    steps: list[tuple[int, int, int, bytes]],
) -> None:
    jitter = JitterBuffer()
    outcomes: Counter[str] = Counter()
    for n, (ticks, jump, shift, payload) in enumerate(steps):
        try:
            outcomes[jitter.push((n + jump) & 0xFFFF, (n * FRAME + shift) & 0xFFFFFFFF, payload)] += 1
        except ValueError:
            outcomes["refused"] += 1
        for _ in range(ticks):
            assert jitter.pull().shape == (FRAME,)
    packets = speech(100)
    for n in range(400):
        jitter.push((50_000 + n) & 0xFFFF, 777_777 + n * FRAME, packets[n % 100])
        jitter.pull()
    before = jitter.counters["decoded"]
    for n in range(400, 420):
        jitter.push(50_000 + n, 777_777 + n * FRAME, packets[n % 100])
        jitter.pull()
    assert 18 <= jitter.counters["decoded"] - before <= 22  # the delay may still be on its way
    assert jitter.depth <= 4 * FRAME
