"""How long one waits for the demo, and how much the page is."""

import gzip
import os
import signal
import subprocess
import time
from pathlib import Path

from benchmarks.result import Benchmark, Cell, Column, Result, Unavailable
from benchmarks.workbench import CHECKOUT, Workbench, end_process, read_line, require

FIRST = 1800  # s
SECOND = 60
ANY_PORTS = ("--http", "127.0.0.1:0", "--c2s", "127.0.0.1:0", "--media", "127.0.0.1:0")
PAGE = Path("focus/http/static")
COMPRESSED = {".html", ".js", ".css", ".svg", ".json", ".webmanifest"}


def seconds_to_ready(checkout: Path, timeout: float) -> float:
    """From `./dev run` to its line of JSON. Unavailable with what it said when that does not come."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    began = time.monotonic()
    process = subprocess.Popen(
        [str(checkout / "dev"), "run", *ANY_PORTS],
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        line = read_line(process, timeout)
        waited = time.monotonic() - began
        if not line.startswith("{"):
            said = end_process(process, 10)[1].strip()[-500:]
            raise Unavailable(f"./dev run did not get ready in {waited:.0f} s: {said}")
        return waited
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            end_process(process, 15)


def page_sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Bytes of the page's files, plain and as they go over the wire (gzip, level 6)."""
    sizes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            wire = len(gzip.compress(data, 6)) if path.suffix in COMPRESSED else len(data)
            sizes[str(path.relative_to(folder))] = (len(data), wire)
    return sizes


def _start(bench: Workbench) -> Result:
    rows: list[list[Cell]] = []
    notes = []
    built = CHECKOUT
    if not bench.quick:
        notes.append(
            "First: a fresh clone of this checkout's last commit, with Debian's packages there already; Python's and "
            "node's come through the registries or their local caches. Second: the same again."
        )
        try:
            require("git", "git")
            clone = bench.directory / "clone"
            subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(clone)], check=True, capture_output=True)
            bench.say("start: ./dev run in a fresh clone, which takes some minutes")
            rows.append(["first ./dev run to its ready line", seconds_to_ready(clone, FIRST), "s"])
            bench.say("start: ./dev run again")
            rows.append(["second ./dev run to its ready line", seconds_to_ready(clone, SECOND), "s"])
            built = clone
        except (Unavailable, subprocess.CalledProcessError) as failed:
            notes.append(f"The start is skipped: {failed}")
    sizes = page_sizes(built / PAGE)
    for name, (plain, wire) in sizes.items():
        rows.append([f"page: {name}", wire / 1024, f"KiB gzipped, {plain / 1024:.1f} plain"])
    if sizes:
        rows.append(["page: all of it", sum(wire for _, wire in sizes.values()) / 1024, "KiB gzipped"])
    else:
        notes.append(f"The page is skipped: nothing in {PAGE}, build it with ./dev setup")
    columns = [Column("what"), Column("figure", ".1f"), Column("unit")]
    return Result("start", "The demo's start, and the page", columns, rows, notes)


START = Benchmark("start", "seconds to the demo's ready line; size of the page", _start)
