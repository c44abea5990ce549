"""Runs of the load generator (load/rtpload.c) against a server, repeated when it was not on time."""

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from benchmarks.servers import Server
from benchmarks.workbench import Workbench, busy_seconds, cores, cpu_seconds, percentile

# Other work on the server's core, as a share of it, from which on the figures are marked; and from which on loss and
# transit times are the machine's.
DISTURBED = 0.05
TAKEN = 0.2
# A run in which the generator itself was late says little about the server: it is thrown away and made again, as is one
# without the core for itself.
LATE_SHARE = 0.01  # of the milliseconds in which it had something to do, later than 2 ms
LATEST = 40.0  # ms
TRIES = 3


@dataclass(frozen=True)
class Load:
    """What is sent: so many talkers (the first of whom sends the marker), all others silent."""

    talkers: int
    codec: str = "opus"
    level_extension: int = 0
    talk: str = "talk"

    @classmethod
    def of(cls, talkers: int | None, participants: int, **others: Any) -> "Load":
        """None: all talk, and then each of them more quietly."""
        if talkers is None:
            return cls(participants, talk="quiet", **others)
        return cls(min(talkers, participants), **others)

    def options(self, bench: Workbench) -> list[str]:
        options = ["--talkers", str(self.talkers), "--level-extension", str(self.level_extension)]
        options += ["--silence", str(bench.frames("silence", codec=self.codec))]
        options += ["--marker", str(bench.frames("marker", codec=self.codec))]
        for n in range(3):
            options += ["--talk", str(bench.frames(f"{self.talk}{n}", codec=self.codec))]
        return options


@dataclass(frozen=True)
class Measured:
    """Some runs under the same load. Figures are medians over the runs; transit times are of all runs together."""

    runs: list[dict[str, Any]]
    thrown_away: int

    def median(self, name: str) -> float:
        return statistics.median(float(run[name]) for run in self.runs)

    def transit(self, share: float) -> float | None:
        """Milliseconds; None when nothing got through."""
        return percentile([each for run in self.runs for each in run["latencies_ms"]], share)

    @property
    def conclusive(self) -> bool:
        """Whether what was lost and delayed says something of the server."""
        return self.disturbance <= TAKEN

    @property
    def late(self) -> bool:
        """Even the runs that were kept were not on time."""
        return any(is_late(run) for run in self.runs)

    @property
    def disturbance(self) -> float:
        """The largest share of the server's core that something else had in a run."""
        return max(float(run["others_on_the_core"]) for run in self.runs)

    @property
    def latest(self) -> float:
        return max(float(run["generator"]["latest_ms"]) for run in self.runs)


def is_late(run: dict[str, Any]) -> bool:
    """Whether the generator was so late that the run should not count."""
    generator = run["generator"]
    return bool(generator["latest_ms"] > LATEST or generator["late_slots"] > LATE_SHARE * generator["slots"])


def generate(bench: Workbench, server: Server, load: Load, *, warm: float, seconds: float) -> dict[str, Any]:
    """One run, on the generator's core; what it measured."""
    command = ["taskset", "-c", str(cores()[1]), str(bench.program("load/rtpload.c")), *server.load_options()]
    command += [*load.options(bench), "--warm", str(warm), "--seconds", str(seconds)]
    core = cores()[0]
    began, busy, own = time.monotonic(), busy_seconds(core), cpu_seconds(server.pid)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 3 * (warm + seconds))
    if done.returncode:
        raise RuntimeError(f"the generator failed: {done.stderr.strip()}")
    result: dict[str, Any] = json.loads(done.stdout)
    others = busy_seconds(core) - busy - (cpu_seconds(server.pid) - own)
    result["others_on_the_core"] = round(max(0.0, others / (time.monotonic() - began)), 4)
    return result


def measure(
    bench: Workbench,
    serve: Callable[[], AbstractContextManager[Server]],
    load: Load,
    *,
    runs: int | None = None,
    seconds: float | None = None,
) -> Measured:
    """Some runs (as many as the workbench says, if not told otherwise), each against a server that has just been
    started.
    """
    runs = runs or bench.runs
    tries = 1 if bench.quick else TRIES
    seconds = seconds or (3 if bench.quick else 10)
    warm = 1.5 if bench.quick else 4
    kept: list[dict[str, Any]] = []
    thrown_away = 0
    for _ in range(runs):
        for attempt in range(tries):
            with serve() as server:
                run = generate(bench, server, load, warm=warm, seconds=seconds)
            run["statistics"] = server.statistics
            if not (is_late(run) or run["others_on_the_core"] > TAKEN) or attempt == tries - 1:
                kept.append(run)
                break
            thrown_away += 1
    return Measured(kept, thrown_away)
