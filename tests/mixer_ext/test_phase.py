"""The ticks come soon after the packets of those who are heard, on a simulated clock."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from mixer_ext import Plane, TickPhase
from tests.mixer_ext.peers import Stage

MS = 48


def run(phase: TickPhase, arrivals: Iterable[float], ticks: int, jitter: float = 0.0, seed: int = 0) -> list[float]:
    """Packets come at these times (ms) of each 20 ms, give or take; the average wait for the tick in each tick."""
    random = np.random.default_rng(seed)
    waits = []
    for tick in range(1000, 1000 + ticks):
        each = [(phase.at(tick) - arrival - random.normal(0, jitter)) % 20 for arrival in arrivals]
        for wait in each:
            phase.note(int(wait * MS))
        waits.append(float(np.mean(each)))
        phase.step()
    return waits


@pytest.mark.parametrize("arrival", range(20))
def test_who_speaks_alone_waits_a_few_milliseconds_wherever_his_packets_come(arrival: int) -> None:
    waits = run(TickPhase(), [arrival + 0.5], 300)
    assert all(3 <= wait < 9 for wait in waits[150:])
    assert len(set(waits[250:])) == 1  # and there it stays


@pytest.mark.parametrize("seed", range(5))
def test_the_networks_jitter_makes_few_of_them_miss_their_tick(seed: int) -> None:
    waits = run(TickPhase(), [float(seed * 4)], 600, jitter=1.0, seed=seed)
    assert np.mean(waits[200:]) < 9
    assert np.mean(np.array(waits[200:]) > 15) < 0.01


def test_of_several_the_average_counts() -> None:
    phase = TickPhase()
    before = run(phase, [5.0, 6.0, 7.0, 16.0], 20)[0]
    assert np.mean(run(phase, [5.0, 6.0, 7.0, 16.0], 300)[200:]) < before


def test_where_packets_come_at_all_times_nothing_moves() -> None:
    phase = TickPhase()
    random = np.random.default_rng(1)
    for _ in range(500):
        for wait in random.integers(0, 960, 5):
            phase.note(int(wait))
        assert phase.step() == 0


def test_many_who_speak_all_over_the_tick_move_nothing() -> None:
    assert len({round(wait, 6) for wait in run(TickPhase(), range(20), 200)}) == 1


def test_where_nobody_speaks_nothing_moves() -> None:
    phase = TickPhase()
    phase.note(15 * MS)
    assert not any(phase.step() for _ in range(100))


def test_it_takes_the_shorter_way_a_millisecond_in_ten_ticks() -> None:
    for wait, way in ((9, -1), (13, -1), (18, 1), (1, 1)):
        phase = TickPhase()
        steps = []
        for _ in range(10):
            phase.note(wait * MS)
            steps.append(phase.step())
        assert steps == [0] * 9 + [way], wait


def test_frames_that_are_waited_for_besides_do_not_count() -> None:
    near, far = TickPhase(), TickPhase()
    for _ in range(100):
        near.note(12 * MS)
        far.note((12 + 40) * MS)
        assert near.step() == far.step()


def test_the_next_speaker_is_followed() -> None:
    phase = TickPhase()
    assert run(phase, [3.0], 300)[-1] < 9
    assert run(phase, [13.0], 600)[-1] < 9


@pytest.mark.parametrize("ppm", [-4000, -200, 200, 4000])
def test_a_clock_that_drifts_does_not_drive_ours(ppm: int) -> None:
    phase = TickPhase()
    found = set()
    for tick in range(20_000):
        phase.note(int((phase.at(tick) - tick * 20 * (1 + ppm * 1e-6)) % 20 * MS))
        phase.step()
        found.add(round(phase.at(tick) - tick * 20))
    assert len(found) > 1
    assert max(map(abs, found)) <= 10


def test_nor_do_those_who_take_turns() -> None:
    phase = TickPhase()
    for turn in range(150):
        run(phase, [(0.0, 7.0, 14.0)[turn % 3]], 200)
        assert abs(phase.at(0)) <= 10


def test_so_many_ticks_are_due_as_have_had_their_time() -> None:
    phase = TickPhase()
    for _ in range(200):
        phase.note(12 * MS)
        phase.step()
    assert phase.at(0) != 0
    for tick in (100, 101, 5000):
        assert phase.passed(phase.at(tick)) == tick
        assert phase.passed(phase.at(tick) - 0.001) == tick - 1


def test_the_ticks_follow_who_is_heard(stage: Stage) -> None:
    leg, _ = stage.peer()
    other, _ = stage.peer()
    stage.plane.join(leg, other)
    stage.run(200, {leg: 440})
    assert 0 < abs(stage.plane.plane_stats()["shifted_ms"]) <= 10


def test_they_stay_while_a_leg_is_pinned_even_one_that_says_nothing(stage: Stage) -> None:
    leg, _ = stage.peer()
    other, _ = stage.peer()
    modem, _ = stage.peer()
    stage.plane.join(leg, other)
    stage.plane.set_delay(modem, 60)
    stage.run(200, {leg: 440})
    assert stage.plane.plane_stats()["shifted_ms"] == 0
    stage.plane.set_delay(modem, None)
    stage.run(200, {leg: 440})
    assert stage.plane.plane_stats()["shifted_ms"] != 0


def test_they_stay_while_a_plane_is_linked(stage: Stage) -> None:
    leg, _ = stage.peer()
    other, _ = stage.peer()
    stage.plane.join(leg, other)
    there = Plane([("127.0.0.1", 0)], clock=stage.clock)
    try:
        stage.plane.link(there)
        stage.run(200, {leg: 440})
        assert stage.plane.plane_stats()["shifted_ms"] == 0
    finally:
        there.stop()


def test_a_time_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="after its tick"):
        TickPhase().note(-1)
