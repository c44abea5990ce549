"""python -m benchmarks [NAME ...] [--list] [--quick] [--runs K] [--json FILE] [--update-readme]"""

import argparse
import datetime
import json
import signal
import sys
import traceback
from pathlib import Path

from rich.console import Console

from benchmarks.coin import COIN
from benchmarks.components import COMPONENTS
from benchmarks.conference import CAPACITY_BENCHMARK, CONFERENCE
from benchmarks.fax import FAX, FAX_LOSS
from benchmarks.fax_leg import FAX_LEG
from benchmarks.grammar import GRAMMAR
from benchmarks.mix import MIX
from benchmarks.primitives import PRIMITIVES
from benchmarks.quality import QUALITY
from benchmarks.rayo import RAYO_BENCHMARK
from benchmarks.result import Benchmark, Result, Unavailable
from benchmarks.start import START
from benchmarks.upkeep import IDLE, LOCK, MEMORY
from benchmarks.voice import VOICE
from benchmarks.workbench import HERE, Workbench, machine

BENCHMARKS: dict[str, Benchmark] = {
    each.name: each
    for each in (
        CONFERENCE,
        CAPACITY_BENCHMARK,
        QUALITY,
        MIX,
        PRIMITIVES,
        IDLE,
        MEMORY,
        LOCK,
        RAYO_BENCHMARK,
        COMPONENTS,
        COIN,
        VOICE,
        GRAMMAR,
        FAX,
        FAX_LOSS,
        FAX_LEG,
        START,
    )
}
README = HERE / "README.md"
FILE_WIDTH = 130
QUIET = 0.5  # load average of a machine on which nothing else runs
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def run(names: list[str], bench: Workbench) -> tuple[list[Result], list[str]]:
    """The results, and a line for each benchmark that could not be run."""
    results, failures = [], []
    for name in names:
        bench.say(f"{name}: {BENCHMARKS[name].summary}")
        try:
            results.append(BENCHMARKS[name].run(bench))
        except Unavailable as missing:
            bench.say(f"{name} is skipped: {missing}")
            failures.append(f"{name} is skipped: {missing}")
        except Exception as error:
            traceback.print_exc()
            failures.append(f"{name} failed: {error!r}")
    return results, failures


def update_readme(text: str, results: list[Result], facts: dict[str, str]) -> str:
    """The README with these results' tables in the place of the old ones; the tables of others stay."""
    before, _, rest = text.partition(BEGIN)
    old, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"no {BEGIN} and {END} in the README")
    tables: dict[str, str] = {}
    for part in old.split("<!-- table ")[1:]:
        name, _, table = part.partition(" -->\n")
        tables[name] = table.strip()
    stamp = f"{facts['date']}, {facts['processor']}; load average at the start: {facts['load']}"
    if float(facts["load"].split(",")[0]) > QUIET:
        stamp += (
            ". Other work ran on the machine at the same time: this shows what is measured, not what can be reached"
        )
    for result in results:
        tables[result.name] = f"{result.markdown()}\n\n_{stamp}_"
    ordered = [f"<!-- table {name} -->\n{tables[name]}\n" for name in BENCHMARKS if name in tables]
    return before + BEGIN + "\n" + "\n".join(ordered) + END + after


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure what the product costs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all when none is named")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--quick", action="store_true", help="small and short, to see that everything works")
    parser.add_argument("--runs", type=int, default=3, metavar="K", help="take the median of so many runs under load")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    parser.add_argument("--update-readme", action="store_true", help="put the tables into benchmarks/README.md")
    chosen = parser.parse_args()
    if chosen.list:
        for each in BENCHMARKS.values():
            print(f"{each.name:12} {each.summary}")
        return 0
    unknown = [name for name in chosen.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)} (there are: {', '.join(BENCHMARKS)})")
    if chosen.update_readme and chosen.quick:
        parser.error("figures of a quick run do not belong into the README")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers are ended, the folder is removed
    facts = {"date": datetime.date.today().isoformat()} | machine()
    with Workbench.temporary(quick=chosen.quick, runs=max(1, chosen.runs)) as bench:
        results, failures = run(chosen.names or list(BENCHMARKS), bench)
    console = Console()
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH)
    console.print(", ".join(f"{name}: {value}" for name, value in facts.items()), highlight=False, markup=False)
    for result in results:
        result.show(console)
    for failure in failures:
        console.print(failure, style="yellow", markup=False)
    if chosen.json is not None:
        document = {
            "machine": facts,
            "quick": chosen.quick,
            "results": [result.document() for result in results],
            "failures": failures,
        }
        chosen.json.write_text(json.dumps(document, indent=1) + "\n")
    if chosen.update_readme:
        README.write_text(update_readme(README.read_text(), results, facts))
    return int(any(" failed: " in failure for failure in failures))


if __name__ == "__main__":
    sys.exit(main())
