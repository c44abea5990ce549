"""Any trace of arrivals against a plain model of it: what was said is heard once and in its order but for what is
counted, and the counters agree with what came.

What is said is noise of which any millisecond is like no other, in G.711: its decoder remembers next to nothing, so
each piece of what is heard is looked up, bit for bit, in what was said.
"""

import random
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mixer_ext import Companded, JitterBuffer, Opus, compress
from tests.mixer_ext.peers import FRAME, Samples
from tests.mixer_ext.test_stream import voice

MS = 48
SECONDS = 12
WINDOW = 48  # samples that are looked up
GRID = 8  # of what is heard, every so many are
EDGE = WINDOW + GRID  # unseen before and behind what is not as it was said
ONSET = 240 + 31 * 6 + EDGE  # so is the beginning after a gap: blended, and the filter has heard something else
SEAM = 480 + EDGE  # and what is blended where sound was cut out
INVENTED = 480  # of the last period again, in place of what is lost, so much at most is as it was said
LIMIT = 11 * FRAME
SLOWEST = 60  # ms of a packet, at most


class Packet(NamedTuple):
    number: int
    position: int  # samples, and its timestamp
    arrival: float  # ms
    voice: bool


class Segment(NamedTuple):
    """Some packets in a row, and what happens to them on the way."""

    packets: int
    late: int  # ms, at most
    lost: int  # percent
    twice: int  # percent
    stalled: bool  # all come with the last
    pause: int  # ms before them in which nothing is sent
    voice: bool


@dataclass
class Trace:
    length: int  # ms of a packet
    packets: list[Packet] = field(default_factory=list)  # in the order of their arrival; lost ones are not there
    pauses: int = 0


@cache
def said() -> tuple[bytes, Samples]:
    """Noise at 8 kHz that is loud for 300 ms, then so quiet that cuts are free; and all of it decoded."""
    count = SECONDS * 8000
    loud = np.arange(count) // 2400 % 2 == 0
    noise = np.random.default_rng(11).normal(0, np.where(loud, 5000, 45), count)
    payload = compress("pcmu", noise.clip(-32000, 32000).astype(np.int16))
    codec = Companded("pcmu")
    parts = [codec.decode(payload[at : at + 160]) for at in range(0, count, 160)]
    return payload, np.frombuffer(b"".join(parts), np.int16)


def digests(sound: Samples, step: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """A number for each window of the sound, one every so many samples."""
    count = (len(sound) - WINDOW) // step + 1
    total = np.zeros(count, np.uint64)
    for n in range(0, WINDOW, 4):
        words = np.lib.stride_tricks.as_strided(sound[n:].view(np.uint8), (count, 8), (2 * step, 1))
        total = total * np.uint64(0x9E3779B97F4A7C15) + np.ascontiguousarray(words).view(np.uint64)[:, 0]
        total ^= total >> np.uint64(29)
    return total


@cache
def index() -> tuple[np.ndarray[tuple[int], np.dtype[np.uint64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    found = digests(said()[1], 1)
    order = np.argsort(found)
    assert (np.diff(found[order]) != 0).all()
    return found[order], order


def places(heard: Samples) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each point of the grid where in what was said it is, or -1."""
    known, order = index()
    wanted = digests(heard, GRID)
    at = np.searchsorted(known, wanted).clip(0, len(known) - 1)
    return np.where(known[at] == wanted, order[at], -1)


#: Samples in which what comes is mixed with what was before.
FILTER = 192


class Run(NamedTuple):
    """What was said from a place on and heard from a time on without a change."""

    time: int
    place: int
    length: int

    @property
    def delay(self) -> int:
        return self.time - self.place


def runs(heard: Samples) -> list[Run]:
    found = places(heard)
    times = np.flatnonzero(found >= 0)
    if not len(times):
        return []
    delays = times * GRID - found[times]
    breaks = np.flatnonzero((np.diff(times) != 1) | (np.diff(delays) != 0)) + 1
    result: list[Run] = []
    reached = 0
    for part in np.split(times, breaks):
        run = Run(int(part[0]) * GRID, int(found[part[0]]), (len(part) - 1) * GRID + WINDOW)
        if run.place >= reached or run.length > INVENTED:
            result.append(run)
            reached = max(reached, run.place + run.length)
    return result


def trace_of(length: int, segments: list[Segment], ppm: int, seed: int) -> Trace:
    dice = random.Random(seed)
    trace = Trace(length)
    number = clock = 0  # clock: ms that the sender has counted
    for segment in segments:
        if segment.pause and number:
            clock += -(-segment.pause // length) * length
            trace.pauses += 1
        last = clock + (segment.packets - 1) * length
        for _ in range(segment.packets):
            if clock + length > (SECONDS - 1) * 1000:
                break
            sent = max(clock, last) if segment.stalled else clock
            arrival = 7.3 + sent * (1 + ppm / 1e6) + dice.uniform(0, segment.late)
            packet = Packet(number, clock * MS, arrival, segment.voice)
            if dice.randrange(100) >= segment.lost or number == 0:
                trace.packets.append(packet)
                if dice.randrange(100) < segment.twice:
                    trace.packets.append(packet._replace(arrival=arrival + dice.uniform(0, 70)))
            number += 1
            clock += length
    trace.packets.sort(key=lambda packet: packet.arrival)
    return trace


@dataclass
class Played:
    trace: Trace
    jitter: JitterBuffer
    pin: float
    taken: list[Packet] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=lambda: {"late": 0, "duplicate": 0, "stray": 0})
    heard: list[Samples] = field(default_factory=list)
    spread: list[int] = field(default_factory=list)  # lengthened less shortened, after each tick
    changes: int = 0  # ticks in which something was lengthened or shortened
    lacking: list[int] = field(default_factory=list)  # ticks before which there was less than one needs
    starved: int = 0  # how often such ones began anew, since something had come meanwhile
    depths: list[int] = field(default_factory=list)  # how much deeper than wanted it was, after each tick

    def __getitem__(self, counter: str) -> int:
        return self.jitter.counters[counter]


@cache
def fec() -> list[bytes]:
    opus = Opus(bitrate=16000, fec=True)
    return [opus.encode(frame) for frame in voice(SECONDS * 50).reshape(-1, FRAME)]


def payload(packet: Packet, length: int, codec: Literal["opus", "pcmu"]) -> bytes:
    if codec == "opus":
        return fec()[packet.position // FRAME]
    return said()[0][packet.position // 6 :][: length * 8]


def play(trace: Trace, *, pin: float = 0, sparing: bool = False, codec: Literal["opus", "pcmu"] = "pcmu") -> Played:
    played = Played(trace, JitterBuffer(codec), pin)
    jitter = played.jitter
    jitter.pin(pin)
    jitter.spare(sparing)
    arrivals = iter(trace.packets)
    following = next(arrivals, None)
    left = 60  # ticks, when everything has come
    before = -1  # packets
    while left:
        now = len(played.heard) * 20
        while following and following.arrival <= now:
            if following.voice:
                jitter.rouse()
            outcome = jitter.push(
                (65500 + following.number) & 0xFFFF,
                (2**32 - 48000 + following.position) & 0xFFFFFFFF,
                payload(following, trace.length, codec),
                following.arrival,
                level=20 if following.voice else 60,
            )
            if outcome == "stored":
                played.taken.append(following)
            else:
                played.refused[outcome] += 1
            following = next(arrivals, None)
        if jitter.depth < FRAME:
            played.lacking.append(len(played.heard))
            counters = jitter.counters
            done = counters["decoded"] + counters["spared"]
            played.starved += done != before
            before = done
        played.heard.append(jitter.pull())
        counters = jitter.counters
        spread = counters["lengthened"] - counters["shortened"]
        played.changes += bool(played.spread) and spread != played.spread[-1]
        played.spread.append(spread)
        played.depths.append(jitter.depth - jitter.target)
        left -= following is None
    return played


def check_counters(played: Played) -> None:
    taken = {packet.number for packet in played.taken}
    overdue = played["late"] - played.refused["late"]
    assert len(taken) == len(played.taken)
    assert played["resets"] == played.refused["stray"] == played["undecodable"] == 0
    assert played["duplicates"] == played.refused["duplicate"]
    assert overdue >= 0
    assert played.pin or overdue == 0
    assert played.jitter.depth == 0
    # Whoever was taken was played, or not decoded since nobody listened, or given up, or was too late after all.
    given_up = len(taken) - played["decoded"] - played["spared"] - overdue
    assert 0 <= given_up <= played["dropped"]
    assert played["missing"] == max(taken) - min(taken) + 1 - len(taken)


def check_depth(played: Played) -> None:
    """A long packet and what came since the last tick aside, it is never deeper than it may be."""
    over = played.depths
    most = LIMIT + 4 * SLOWEST * MS
    for n in range(len(over) - 4):
        assert min(over[n : n + 4]) <= most


def check_order(played: Played, found: list[Run]) -> None:
    twice = sum(max(0, a.place + a.length - WINDOW + GRID - b.place) for a, b in pairwise(found))
    assert twice <= played["lengthened"]


def heard_first(found: list[Run]) -> list[Run]:
    """Without the last frame again, which a pinned stream has in place of what it loses, nor the filter's tail of what
    was before a loss, which is heard behind it."""
    furthest = 0
    firsts = []
    for run in found:
        is_again = run.place <= furthest - FRAME // 2 and run.length <= 3 * FRAME // 2
        if not is_again and run.length > FILTER:
            firsts.append(run)
        furthest = max(furthest, run.place + run.length)
    return firsts


def disturbances(played: Played) -> int:
    """Times, at most, that what was heard went on with something else than what comes next."""
    numbers = sorted(packet.number for packet in played.taken)
    holes = sum(b - a > 1 for a, b in pairwise(numbers))
    return holes + played.trace.pauses + played.starved


def unheard(played: Played, found: list[Run], *, voice: bool) -> int:
    """Samples of the packets taken that were not heard as they were said."""
    length = played.trace.length * MS
    wanted = np.zeros(SECONDS * 48000, bool)
    for packet in played.taken:
        if packet.voice or not voice:
            wanted[packet.position : packet.position + length] = True
    for run in found:
        wanted[run.place : run.place + run.length] = False
    return int(wanted.sum())


def segments(most_late: int, longest_pause: int, stalls: bool) -> st.SearchStrategy[list[Segment]]:
    seldom = st.one_of(st.just(0), st.just(0), st.integers(1, 100))
    return st.lists(
        st.builds(
            Segment,
            packets=st.integers(1, 40),
            late=st.one_of(st.just(0), st.integers(0, most_late)),
            lost=seldom.map(lambda percent: percent // 2),
            twice=seldom,
            stalled=st.just(False) if not stalls else st.sampled_from([False, False, False, True]),
            pause=st.one_of(st.just(0), st.just(0), st.integers(1, longest_pause)),
            voice=st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )


LENGTHS = st.sampled_from([10, 20, 40, 60])
LAWS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@LAWS
@given(LENGTHS, segments(120, 900, True), st.integers(-300, 300), st.integers(0, 999))
def test_whatever_comes_when_it_is_heard_once_and_in_order(
    length: int, parts: list[Segment], ppm: int, seed: int
) -> None:
    parts = [part._replace(packets=min(part.packets, 480 // length)) if part.stalled else part for part in parts]
    played = play(trace_of(length, parts, ppm, seed))
    found = runs(np.concatenate(played.heard))
    check_counters(played)
    check_depth(played)
    check_order(played, found)
    assert played["spared"] == 0
    if not played["dropped"]:
        cut = played["shortened"] + played.changes * SEAM
        assert unheard(played, found, voice=False) <= disturbances(played) * ONSET + cut


@LAWS
@given(LENGTHS, st.integers(20, 300), st.integers(0, 15), st.integers(-300, 300), st.integers(0, 999))
def test_where_nothing_is_lost_or_starved_it_is_exact_but_for_what_was_counted(
    length: int, count: int, late: int, ppm: int, seed: int
) -> None:
    part = Segment(min(count, 8000 // length), late, 0, 0, stalled=False, pause=0, voice=True)
    played = play(trace_of(length, [part], ppm, seed))
    found = runs(np.concatenate(played.heard))
    check_counters(played)
    check_order(played, found)
    assume(not played["dropped"])
    assert unheard(played, found, voice=False) <= (
        disturbances(played) * ONSET + played["shortened"] + played.changes * SEAM
    )
    lacking = np.array(played.lacking)
    rests: dict[int, set[int]] = {}
    for run in found:
        tick = run.time // FRAME
        if tick in played.lacking:
            continue
        since = int(np.searchsorted(lacking, tick))  # till something lacks again nothing but what is counted changes it
        delays = {run.delay - played.spread[tick], run.delay - played.spread[tick - 1]}  # behind a change, or before it
        rests[since] = rests.get(since, delays) & delays
    assert all(rests.values())


@LAWS
@given(LENGTHS, segments(100, 400, False), st.integers(-100, 100), st.integers(0, 999), st.integers(20, 300))
def test_a_pinned_delay_is_the_same_throughout(
    length: int, parts: list[Segment], ppm: int, seed: int, pin: int
) -> None:
    trace = trace_of(length, parts, ppm, seed)
    played = play(trace, pin=pin)
    found = heard_first(runs(np.concatenate(played.heard)))
    check_counters(played)
    check_order(played, found)
    assert played["shortened"] == played["lengthened"] == 0
    transits = [packet.arrival - packet.position / MS for packet in trace.packets]
    if max(transits) - min(transits) < pin - 25 - length:
        assert played["late"] == played.refused["late"]
        assert len({run.delay for run in found}) <= 1
        assert unheard(played, found, voice=False) <= disturbances(played) * ONSET


@LAWS
@given(LENGTHS, segments(80, 900, False), st.integers(-300, 300), st.integers(0, 999))
def test_who_sleeps_is_heard_from_where_he_speaks(length: int, parts: list[Segment], ppm: int, seed: int) -> None:
    played = play(trace_of(length, parts, ppm, seed), sparing=True)
    found = runs(np.concatenate(played.heard))
    check_counters(played)
    check_depth(played)
    check_order(played, found)
    if not played["dropped"]:
        cut = played["shortened"] + played.changes * SEAM
        wakings = sum(part.voice for part in parts)
        assert unheard(played, found, voice=True) <= (disturbances(played) + wakings) * ONSET + cut


@LAWS
@given(segments(120, 900, True), st.integers(-300, 300), st.integers(0, 999), st.sampled_from([0, 60, 200]))
def test_what_opus_brings_back_was_missing(parts: list[Segment], ppm: int, seed: int, pin: int) -> None:
    parts = [part._replace(packets=min(part.packets, 24)) if part.stalled else part for part in parts]
    played = play(trace_of(20, parts, ppm, seed), pin=pin, codec="opus")
    check_counters(played)
    assert played["recovered"] <= played["missing"]
