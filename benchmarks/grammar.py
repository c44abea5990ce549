"""What a key costs that is matched to grammars, and what it costs to read one."""

import asyncio
from collections.abc import Callable
from functools import partial

from benchmarks.result import Benchmark, Cell, Column, Result
from benchmarks.workbench import Workbench, cores, microseconds, on_core
from focus.engines.grammar import Grammar, Matcher, load, load_from

_START = '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="r"><rule id="r">'
_END = "</rule></grammar>"
_TEN = "<one-of>" + "".join(f"<item>{key}</item>" for key in "0123456789") + "</one-of>"
_MENU = "<one-of>" + "".join(f"<item>{n}<tag>choice {n}</tag></item>" for n in range(1000, 2000)) + "</one-of>"
_AMBIGUOUS = f'<item repeat="1-"><item repeat="1-40">{_TEN}</item></item> #'
_LARGE = f'<item repeat="140"><item repeat="1-140">{_TEN}</item></item>'

#: Grammars, and inputs of which the last one is new to who has seen those before.
_GRAMMARS: dict[str, tuple[str, str]] = {
    "four digits and #": (f'{_START}<item repeat="4">{_TEN}</item> #{_END}', "4711#"),
    "1000 names of four keys": (f"{_START}{_MENU}{_END}", "1742"),
    "builtin:dtmf/date": ("builtin:dtmf/date", "20261121"),
    "ambiguous, 1-40 times, again and again": (f"{_START}{_AMBIGUOUS}{_END}", "12345" * 20 + "#"),
    "140 times 1-140 times a digit": (f"{_START}{_LARGE}{_END}", "12345" * 20),
}


def _load(document: str) -> Grammar:
    return asyncio.run(load_from(document) if document.startswith("builtin:") else load(document))


def _keys(grammar: Grammar, keys: str) -> None:
    matcher = Matcher([grammar])
    for key in keys:
        matcher.feed(key)


def _first(grammar: Grammar, keys: str) -> None:
    grammar.runner = None  # what it remembers
    _keys(grammar, keys)


def _whole(grammar: Grammar, keys: str) -> None:
    matcher = Matcher([grammar])
    matcher.feed_all(keys)
    matcher.matched()


def _grammar(bench: Workbench) -> Result:
    seconds = 0.05 if bench.quick else 1.5
    rows: list[list[Cell]] = []
    with on_core(cores()[0]):
        for name, (document, keys) in list(_GRAMMARS.items())[: 3 if bench.quick else None]:
            bench.say(f"grammar: {name}")
            grammar = _load(document)

            def each(work: Callable[[Grammar, str], None], grammar: Grammar = grammar, keys: str = keys) -> float:
                return microseconds(partial(work, grammar, keys), seconds=seconds)

            again, first, whole = each(_keys), each(_first), each(_whole)
            read = microseconds(partial(_load, document), seconds=seconds) / 1000
            nodes = len(grammar.automaton.edges)
            rows.append([name, nodes, len(keys), again / len(keys), first / len(keys), whole - again, read])
    return Result(
        "grammar",
        "Keys matched to grammars",
        [
            Column("grammar"),
            Column("nodes"),
            Column("keys"),
            Column("µs a key", ".2f"),
            Column("the first time", ".2f"),
            Column("meaning, µs", ".1f"),
            Column("reading it, ms", ".2f"),
        ],
        rows,
        [
            "A key: of an input whose like the grammar has seen before, and of the first one; with making the matcher. "
            "To be reached are 10 µs."
        ],
    )


GRAMMAR = Benchmark("grammar", "a key matched to grammars, plain and hostile ones", _grammar)
