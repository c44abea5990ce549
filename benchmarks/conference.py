"""A conference under load: our plane, and Janus' AudioBridge beside it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from benchmarks import janus
from benchmarks.generator import DISTURBED, LATEST, TAKEN, Load, Measured, measure
from benchmarks.result import Benchmark, Cell, Column, Result, Unavailable
from benchmarks.servers import Server, plane
from benchmarks.workbench import Workbench

SIZES = (10, 50, 100, 200, 400)
QUICK_SIZES = (10, 50)
TALKERS: tuple[int | None, ...] = (3, None)

FIGURES = (
    Column("µs", ".1f"),
    Column("cores", ".3f"),
    Column("received", ".4f"),
    Column("worst", ".4f"),
    Column("p50", ".0f"),
    Column("p95", ".0f"),
    Column("others"),
    Column("late"),
    Column("again"),
)
# Who leaves out more of the work than this cannot be asked what a participant costs.
ENOUGH = 0.98
LEGEND = (
    "µs: of the server's CPU time for a participant and tick of 20 ms, none where much of the work was left undone; "
    "cores: all of it, as a share of a core. received: "
    "packets that came back of those that should have, of everybody and of the worst off. p50, p95: transit time "
    "through the server, ms. others: what something else had of the server's core; late: the generator, ms at most; "
    "again: runs that were thrown away because of that. Medians over the runs."
)


def figures(measured: Measured) -> list[Cell]:
    """The cells of FIGURES."""
    received = measured.median("received_ratio")
    return [
        measured.median("us_per_participant_tick") if received >= ENOUGH else None,
        measured.median("server_cores"),
        received if measured.conclusive else None,
        measured.median("worst_ratio") if measured.conclusive else None,
        measured.transit(0.5) if measured.conclusive else None,
        measured.transit(0.95) if measured.conclusive else None,
        f"{measured.disturbance:.0%}{' (!)' if measured.disturbance > DISTURBED else ''}",
        f"{measured.latest:.1f}{' (!)' if measured.late else ''}",
        measured.thrown_away,
    ]


def legend(all_measured: list[Measured]) -> list[str]:
    """How to read FIGURES, and whether they are to be trusted."""
    if any(each.late or each.disturbance > DISTURBED for each in all_measured):
        return [
            LEGEND,
            f"(!) something else had more than {DISTURBED:.0%} of the server's core, or the generator was late by more "
            f"than {LATEST:.0f} ms or often, even in the runs that were kept. Over {TAKEN:.0%}, loss and transit times "
            "are left out: they would be the machine's.",
        ]
    return [LEGEND]


def talking(talkers: int | None) -> str:
    return "all" if talkers is None else str(talkers)


def _conference(bench: Workbench) -> Result:
    servers: dict[str, Callable[[int], AbstractContextManager[Server]]] = {"focus": partial(plane, bench)}
    notes = []
    try:
        servers[f"Janus {janus.version()}"] = partial(janus.room, bench)
    except Unavailable as missing:
        bench.say(f"conference: no Janus: {missing}")
        notes.append(f"Janus is skipped: {missing}")
    rows: list[list[Cell]] = []
    raw: list[object] = []
    measurements: list[Measured] = []
    for talkers in TALKERS:
        for size in QUICK_SIZES if bench.quick else SIZES:
            for name, serve in servers.items():
                bench.say(f"conference: {name}, {size} participants, {talking(talkers)} talking")
                try:
                    measured = measure(bench, partial(serve, size), Load.of(talkers, size))
                except Unavailable as failed:
                    bench.say(f"conference: {failed}")
                    notes.append(f"{name}, {size} participants, {talking(talkers)} talking: {failed}")
                    continue
                rows.append([name, size, talking(talkers), *figures(measured)])
                raw.append({"server": name, "participants": size, "talkers": talking(talkers), "runs": measured.runs})
                measurements.append(measured)
    return Result(
        "conference",
        "One conference on plain RTP, one core",
        [Column("server"), Column("N"), Column("talking"), *FIGURES],
        rows,
        notes + legend(measurements),
        raw,
    )


# What the plane is to reach: size, talkers, options of the plane, the figure.
CAPACITY: tuple[tuple[int, int | None, dict[str, Any], str], ...] = (
    (100, 3, {"srtp": "gcm"}, "<= 14 µs"),
    (400, 3, {"srtp": "gcm"}, "<= 10 µs"),
    (1000, 3, {"srtp": "gcm"}, ">= 0.999 on <= 0.65 core"),
    (400, None, {"srtp": "gcm"}, "<= 14 µs"),
    (100, 3, {"srtp": "none"}, ""),
    (100, 3, {"srtp": "cm"}, ""),
    (100, 3, {"srtp": "gcm", "level_extension": 1}, ""),
    (100, 3, {"srtp": "none", "codec": "pcmu"}, ""),
)


def _capacity(bench: Workbench) -> Result:
    rows: list[list[Cell]] = []
    raw: list[object] = []
    notes: list[str] = []
    measurements: list[Measured] = []
    for size, talkers, options, wanted in CAPACITY:
        size = size // 20 if bench.quick else size
        codec, extension = options.get("codec", "opus"), options.get("level_extension", 0)
        kind = f"{codec}, {options['srtp']}{', levels' * bool(extension)}"
        bench.say(f"capacity: {size} participants, {talking(talkers)} talking, {kind}")
        try:
            measured = measure(
                bench,
                partial(plane, bench, size, **options),
                Load.of(talkers, size, codec=codec, level_extension=extension),
            )
        except Unavailable as refused:
            notes.append(f"{kind} is skipped: {refused}")
            continue
        rows.append([kind, size, talking(talkers), wanted, *figures(measured)])
        raw.append({"options": options, "participants": size, "talkers": talking(talkers), "runs": measured.runs})
        measurements.append(measured)
    return Result(
        "capacity",
        "The plane on one core: to reach, and reached",
        [Column("codec, SRTP"), Column("N"), Column("talking"), Column("to reach"), *FIGURES],
        rows,
        notes + legend(measurements),
        raw,
    )


CONFERENCE = Benchmark("conference", "our plane and Janus' AudioBridge under the same load", _conference)
CAPACITY_BENCHMARK = Benchmark("capacity", "our plane with SRTP, to what it can carry", _capacity)
