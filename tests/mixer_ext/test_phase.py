"""The ticks come soon after the packets of those who are heard, on a simulated clock."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from mixer_ext import TickPhase

MS = 48


def run(phase: TickPhase, arrivals: Iterable[float], ticks: int, jitter: float = 0.0, seed: int = 0) -> list[float]:
    """Packets come at these times (ms) of each 20 ms, give or take; the average wait for the tick in each tick."""
    random = np.random.default_rng(seed)
    at, waits = 0.0, []
    for _ in range(ticks):
        each = [(at - arrival - random.normal(0, jitter)) % 20 for arrival in arrivals]
        for wait in each:
            phase.note(int(wait * MS))
        waits.append(float(np.mean(each)))
        at += phase.step()
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


def test_a_time_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="after its tick"):
        TickPhase().note(-1)
