"""What Prometheus may know. Figures are read when they are asked for, from functions that their owners give."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from focus.media.totals import COUNTED

# What of the plane's statistics only ever grows; anything else is a gauge.
PLANE_COUNTERS = frozenset({"ticks", "missed_ticks", "skipped_ticks", "overruns"}) | {
    f"legs_{name}" for name in COUNTED
}

#: The kind of error that is ours; the others are the conditions of the stanza errors that peers are given.
FAULT = "fault"


class Figures(Protocol):
    """Where the figures come from."""

    def participants(self) -> int:
        """People in all conferences."""

    def conferences(self) -> int:
        """Rooms that are served now."""

    def calls(self) -> int:
        """Calls of any kind."""

    def components(self) -> int:
        """Rayo components that are at work."""

    def components_started(self) -> Mapping[str, int]:
        """How many there were, by the names of their elements."""

    def recordings(self) -> Mapping[str, int]:
        """How many recordings are whole, recovered, lost, deleted; and how often the hook has failed."""

    def clients(self) -> int:
        """Rayo clients that are registered."""

    def events_lost(self) -> int:
        """Events that Rayo clients have missed."""

    def connected(self) -> bool:
        """Whether the XMPP server knows us now."""

    def plane(self) -> Mapping[str, float]:
        """The statistics of the media plane."""


class Metrics:
    """One registry: the figures, the process, and errors by kind."""

    def __init__(self, figures: Figures) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Figures(figures))
        ProcessCollector(registry=self._registry)
        self._errors = Counter("focus_errors", "Errors by kind", ["kind"], registry=self._registry)

    def error(self, kind: str) -> None:
        """Count an error. `kind` is one of a few words of ours, never anything that a peer has sent."""
        self._errors.labels(kind).inc()

    @contextlib.contextmanager
    def counting_faults(self) -> Iterator[None]:
        """Meanwhile every line that is logged as an error, whoever logs it, counts as a `FAULT`."""
        counter = _FaultCounter(self)
        logging.getLogger().addHandler(counter)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(counter)

    def render(self) -> bytes:
        """The answer to /metrics, in Prometheus' text format."""
        return generate_latest(self._registry)


class _FaultCounter(logging.Handler):
    def __init__(self, metrics: Metrics) -> None:
        super().__init__(logging.ERROR)
        self._metrics = metrics

    def emit(self, record: logging.LogRecord) -> None:
        self._metrics.error(FAULT)


class _Figures(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield GaugeMetricFamily("focus_participants", "People in all conferences", figures.participants())
        yield GaugeMetricFamily("focus_conferences", "Rooms that are served", figures.conferences())
        yield GaugeMetricFamily("focus_calls", "Calls of any kind", figures.calls())
        yield GaugeMetricFamily("focus_rayo_components", "Components that are at work", figures.components())
        started = CounterMetricFamily("focus_rayo_components_started", "Components, by kind", labels=["kind"])
        for name, number in figures.components_started().items():
            started.add_metric([name], number)
        yield started
        recordings = CounterMetricFamily("focus_recordings", "Recordings, by what became of them", labels=["outcome"])
        for name, number in figures.recordings().items():
            recordings.add_metric([name], number)
        yield recordings
        yield GaugeMetricFamily("focus_rayo_clients", "Rayo clients that are registered", figures.clients())
        yield CounterMetricFamily(
            "focus_rayo_events_lost", "Events that Rayo clients have missed, or may have", figures.events_lost()
        )
        yield GaugeMetricFamily("focus_xmpp_connected", "1 while the XMPP server knows us", float(figures.connected()))
        yield _lateness(figures.plane())
        dropped = CounterMetricFamily("focus_plane_dropped", "Packets dropped, by reason", labels=["reason"])
        for name, value in figures.plane().items():
            if name.startswith("dropped_"):
                dropped.add_metric([name.removeprefix("dropped_")], value)
            elif name.startswith("late_"):
                pass  # in the histogram
            elif name in PLANE_COUNTERS:
                yield CounterMetricFamily(f"focus_plane_{name}", f"Media plane: {name}", value)
            else:
                yield GaugeMetricFamily(f"focus_plane_{name}", f"Media plane: {name}", value)
        yield dropped


def _lateness(plane: Mapping[str, float]) -> Metric:
    within = "late_within_"
    buckets = sorted(
        (int(name.removeprefix(within).removesuffix("ms")) / 1000, value)
        for name, value in plane.items()
        if name.startswith(within)
    )
    cumulative = [(str(bound), value) for bound, value in buckets] + [("+Inf", plane["late_count"])]
    return HistogramMetricFamily(
        "focus_plane_late_seconds",
        "How long after its time a tick was made",
        buckets=cumulative,
        sum_value=plane["late_sum_us"] / 1e6,
    )
