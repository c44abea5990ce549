"""What matched input means, by the tags on its way through the grammar (SISR 1.0, string literals).

The value of a rule is the last tag in it that was passed; without one the value of the last rule that it called, and
without that the tokens that it covers. The interpretation is the value of the outermost rule.

Where there are several ways through the grammar the likeliest is taken, by the weights of alternatives and the
probabilities of repeats; of those that are equally likely the one that comes first in the grammar, with as much as
possible in the first repeats.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from focus.engines.grammar.automaton import ANYTHING, Automaton, Enter, Exit, Mark
from focus.engines.grammar.expansions import Rule

Marks = list[tuple[Mark, int]]


def interpret(automaton: Automaton, tokens: Sequence[str], sets: Sequence[AbstractSet[int]]) -> str:
    """The meaning of tokens that match; `sets` are the nodes that could be reached, before and after each token."""
    return _value(_way(automaton, tokens, _costs(automaton, tokens, sets)), tokens)


def _costs(automaton: Automaton, tokens: Sequence[str], sets: Sequence[AbstractSet[int]]) -> list[dict[int, int]]:
    """For each position what the best way from a node to the end costs, for the nodes that have one."""
    costs: list[dict[int, int]] = [{}] * len(sets)
    best: dict[int, int] = {}
    for position in range(len(tokens), -1, -1):
        nodes = sets[position]
        if position == len(tokens):
            seeds = [(0, automaton.end)]
        else:
            seeds = [
                (best[automaton.after[node]], node)
                for node in nodes
                if automaton.after[node] in best and _takes(automaton, node, tokens[position])
            ]
        best = costs[position] = _spread(automaton, nodes, seeds)
    return costs


def _takes(automaton: Automaton, node: int, token: str) -> bool:
    read = automaton.reads[node]
    return read is not None and (token in read or read is ANYTHING)


def _spread(automaton: Automaton, nodes: AbstractSet[int], seeds: list[tuple[int, int]]) -> dict[int, int]:
    """From nodes whose costs are known to those that lead there without a token (Dijkstra's algorithm)."""
    into: dict[int, list[tuple[int, int]]] = {}
    for node in nodes:
        for target, cost in automaton.edges[node]:
            into.setdefault(target, []).append((node, cost))
    best: dict[int, int] = {}
    heapq.heapify(seeds)
    while seeds:
        so_far, node = heapq.heappop(seeds)
        if node not in best:
            best[node] = so_far
            for before, cost in into.get(node, ()):
                if before not in best:
                    heapq.heappush(seeds, (so_far + cost, before))
    return best


def _way(automaton: Automaton, tokens: Sequence[str], costs: Sequence[dict[int, int]]) -> Marks:
    """The marks on the best way, each with the number of tokens before it."""
    way: Marks = []
    node = automaton.start
    for position, best in enumerate(costs):
        part = _part(automaton, node, best, tokens[position] if position < len(tokens) else None)
        way += [(automaton.marks[each], position) for each in part if each in automaton.marks]
        node = automaton.after[part[-1]]
    return way


def _part(automaton: Automaton, start: int, best: dict[int, int], token: str | None) -> list[int]:
    """The nodes from here to the one that reads the token, or to the end, on a best way."""
    seen = {start}
    trail = [(start, iter(automaton.edges[start]))]
    while trail:
        node, edges = trail[-1]
        if node == automaton.end if token is None else _takes(automaton, node, token):
            return [each for each, _ in trail]
        for target, cost in edges:
            if target not in seen and target in best and best[target] + cost == best[node]:
                seen.add(target)
                trail.append((target, iter(automaton.edges[target])))
                break
        else:
            trail.pop()
    raise AssertionError("each node with a cost has a way to the end")


@dataclass(slots=True)
class _Running:
    """A rule that has begun."""

    instance: int
    rule: Rule | None
    is_tail: bool
    begin: int
    tag: str | None = None
    latest: str | None = None


def _value(way: Marks, tokens: Sequence[str]) -> str:
    running = [_Running(0, None, False, 0)]
    for mark, position in way:
        match mark:
            case Enter(instance, rule, is_tail):
                running.append(_Running(instance, rule, is_tail, position))
            case Exit(instance):
                while True:  # what began as the end of another rule ends with it
                    done = running.pop()
                    running[-1].latest = _value_of(done, tokens[done.begin : position])
                    if done.instance == instance and not done.is_tail:
                        break
            case _:
                running[-1].tag = mark.literal
    return _value_of(running[0], tokens)


def _value_of(running: _Running, covered: Sequence[str]) -> str:
    if running.rule is not None and running.rule.value is not None:
        return running.rule.value(covered)
    if running.tag is not None:
        return running.tag
    return " ".join(covered) if running.latest is None else running.latest
