"""How long it is worth to wait for packets: what 97 of 100 need, measured from the quickest, and forgotten in time."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from mixer_ext import DelayEstimate
from tests.mixer_ext.peers import FRAME

MS = 48


def arrive(
    delays: list[float], *, estimate: DelayEstimate | None = None, start: int = 0, ppm: float = 0
) -> DelayEstimate:
    """Packets of 20 ms, each so many ms later than its time."""
    estimate = estimate or DelayEstimate()
    for n, delay in enumerate(delays, start):
        estimate.arrive(n * FRAME & 0xFFFFFFFF, 10**9 + round(n * FRAME * (1 + ppm * 1e-6) + delay * MS))
    return estimate


def test_little_is_assumed_until_something_is_known() -> None:
    assert 0 < DelayEstimate().wanted <= 5 * MS


def test_a_clean_path_is_not_waited_for() -> None:
    assert arrive([7.0] * 500).wanted == 0


def test_a_clock_that_drifts_is_no_delay() -> None:
    for ppm in (-200, 200):
        assert arrive([0.0] * 50_000, ppm=ppm).wanted <= MS


def test_what_ninety_seven_of_a_hundred_need_is_waited_for() -> None:
    random.seed(3)
    estimate = arrive([random.uniform(0, 30) for _ in range(3000)])
    assert 27 * MS <= estimate.wanted <= 30 * MS
    assert 95 * MS <= arrive([100.0 if n % 20 == 0 else 0.0 for n in range(3000)]).wanted <= 100 * MS
    assert arrive([100.0 if n % 50 == 0 else 0.0 for n in range(3000)]).wanted == 0


def test_one_stall_changes_nothing_and_worse_times_are_forgotten() -> None:
    stalled = [0.0] * 600 + [200.0 - 20 * n for n in range(10)] + [0.0] * 10
    assert arrive(stalled).wanted <= 20 * MS
    random.seed(3)
    estimate = arrive([random.uniform(0, 60) for _ in range(1000)])
    assert estimate.wanted > 50 * MS
    assert arrive([0.0] * 3000, estimate=estimate, start=1000).wanted == 0


def test_a_jump_of_the_timestamps_is_another_clock() -> None:
    estimate = arrive([0.0] * 600)
    for n in range(600, 700):
        estimate.arrive((n * FRAME + 3_000_000_000) & 0xFFFFFFFF, 10**9 + n * FRAME)
    assert estimate.wanted == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**40)), max_size=300))
def test_whatever_comes_the_wait_is_bounded(packets: list[tuple[int, int]]) -> None:
    estimate = DelayEstimate()
    for timestamp, arrival in packets:
        assert estimate.arrive(timestamp, arrival) >= 0
        assert 0 <= estimate.wanted < 200 * MS
