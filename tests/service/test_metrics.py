"""Metrics, read as Prometheus reads them."""

from __future__ import annotations

import logging

from prometheus_client.parser import text_string_to_metric_families

from focus.media.plane import MediaPlane
from focus.service.metrics import PLANE_COUNTERS, Metrics


class Figures:
    def __init__(self) -> None:
        self.people = 3
        self.statistics: dict[str, float] = {
            "ticks": 50,
            "missed_ticks": 1,
            "skipped_ticks": 4,
            "legs": 3,
            "late_within_1ms": 30,
            "late_within_5ms": 40,
            "late_count": 50,
            "late_sum_us": 250_000,
            "late_max_us": 20_000,
            "dropped_auth": 7,
            "dropped_unknown": 2,
        }

    def participants(self) -> int:
        return self.people

    def conferences(self) -> int:
        return 1

    def calls(self) -> int:
        return 4

    def components(self) -> int:
        return 2

    def components_started(self) -> dict[str, int]:
        return {"record": 5, "output": 6}

    def recordings(self) -> dict[str, int]:
        return {"whole": 4, "lost": 1}

    def clients(self) -> int:
        return 6

    def events_lost(self) -> int:
        return 8

    def connected(self) -> bool:
        return True

    def plane(self) -> dict[str, float]:
        return self.statistics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_figures_are_those_of_now() -> None:
    figures = Figures()
    metrics = Metrics(figures)
    seen = samples(metrics)
    assert seen["focus_participants", ()] == 3
    assert seen["focus_conferences", ()] == 1
    assert seen["focus_calls", ()] == 4
    assert seen["focus_rayo_components", ()] == 2
    assert seen["focus_rayo_components_started_total", ("record",)] == 5
    assert seen["focus_recordings_total", ("lost",)] == 1
    assert seen["focus_rayo_clients", ()] == 6
    assert seen["focus_rayo_events_lost_total", ()] == 8
    assert seen["focus_xmpp_connected", ()] == 1
    assert seen["focus_plane_ticks_total", ()] == 50
    assert seen["focus_plane_missed_ticks_total", ()] == 1
    assert seen["focus_plane_skipped_ticks_total", ()] == 4
    assert seen["focus_plane_legs", ()] == 3
    assert seen["focus_plane_late_seconds_bucket", ("0.005",)] == 40
    assert seen["focus_plane_late_seconds_bucket", ("+Inf",)] == 50
    assert seen["focus_plane_late_seconds_sum", ()] == 0.25
    assert seen["focus_plane_dropped_total", ("auth",)] == 7
    assert seen["focus_plane_dropped_total", ("unknown",)] == 2
    assert seen["process_resident_memory_bytes", ()] > 0
    figures.people = 5
    assert samples(metrics)["focus_participants", ()] == 5


def test_errors_are_counted_by_kind() -> None:
    metrics = Metrics(Figures())
    metrics.error("bad-request")
    metrics.error("bad-request")
    metrics.error("internal")
    seen = samples(metrics)
    assert seen["focus_errors_total", ("bad-request",)] == 2
    assert seen["focus_errors_total", ("internal",)] == 1


def test_what_is_logged_as_an_error_is_a_fault() -> None:
    metrics = Metrics(Figures())
    log = logging.getLogger("focus.test")
    with metrics.counting_faults():
        log.error("all is lost")
        log.warning("not all is well")
    log.error("nobody counts any more")
    assert samples(metrics)["focus_errors_total", ("fault",)] == 1


async def test_the_counters_are_figures_of_the_plane() -> None:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    try:
        assert plane.snapshot().keys() >= PLANE_COUNTERS
    finally:
        await plane.stop()


def test_two_services_in_a_process_do_not_share_figures() -> None:
    one, other = Metrics(Figures()), Metrics(Figures())
    one.error("internal")
    assert ("focus_errors_total", ("internal",)) not in samples(other)
