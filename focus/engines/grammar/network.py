"""Grammars as one network of words, which is what recognizers of speech take.

Of an automaton only those nodes remain that come after a word: what leads on without one is followed here, where it
costs little, and not in the engine while it listens.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from focus.engines.grammar.automaton import ANYTHING, SCALE, Automaton
from focus.engines.grammar.limits import MAX_NETWORK_WORK, MAX_TRANSITIONS
from focus.engines.grammar.loading import Grammar

START = 0
END = 1


class NoNetwork(ValueError):
    """The grammars make no network of words; the message says why."""


@dataclass(frozen=True, slots=True)
class Network:
    """From `START` to `END`: transitions from state to state, each with a probability, and a word.

    None as the word leads to the end without one.
    """

    transitions: tuple[tuple[int, int, float, str | None], ...]

    @property
    def words(self) -> frozenset[str]:
        """All words in it."""
        return frozenset(word for _, _, _, word in self.transitions if word is not None)


def network(grammars: Sequence[Grammar]) -> Network:
    """The network that takes what any of the grammars takes, but not nothing at all. Raises `NoNetwork`."""
    made = _Made()
    for grammar in grammars:
        made.add(grammar.automaton)
    if not made.transitions:
        raise NoNetwork("there is nothing that could be said to match the grammar")
    return Network(tuple(made.transitions))


class _Made:
    def __init__(self) -> None:
        self.transitions: list[tuple[int, int, float, str | None]] = []
        self.states = 2
        self.work = 0

    def add(self, automaton: Automaton) -> None:
        states: dict[int, int] = {}
        waiting = [(START, automaton.start)]  # not in `states`: to come back to it is something else than to begin
        while waiting:
            state, entry = waiting.pop()
            for node, cost in self._reached(automaton, entry).items():
                if node == automaton.end and state != START:
                    self._connect(state, END, cost, None)
                read = automaton.reads[node]
                if read is None:
                    continue
                if read is ANYTHING:
                    raise NoNetwork("GARBAGE cannot be recognized in speech")
                after = automaton.after[node]
                if after not in states:
                    states[after] = self.states
                    waiting.append((self.states, after))
                    self.states += 1
                for word in sorted(read):
                    self._connect(state, states[after], cost, word)

    def _connect(self, start: int, end: int, cost: int, word: str | None) -> None:
        if len(self.transitions) >= MAX_TRANSITIONS:
            raise NoNetwork(f"the grammar is too large for speech: more than {MAX_TRANSITIONS} words after others")
        # An engine works with logarithms: what is never to be said must still have one.
        self.transitions.append((start, end, max(1e-30, math.exp(-cost / SCALE)), word))

    def _reached(self, automaton: Automaton, entry: int) -> dict[int, int]:
        """What can be reached from a node without a word, and the least that this costs (Dijkstra's algorithm)."""
        best: dict[int, int] = {}
        waiting = [(0, entry)]
        while waiting:
            cost, node = heapq.heappop(waiting)
            if node in best:
                continue
            best[node] = cost
            self.work += 1 + len(automaton.edges[node])
            if self.work > MAX_NETWORK_WORK:
                raise NoNetwork("the grammar is too large for speech")
            for target, more in automaton.edges[node]:
                if target not in best:
                    heapq.heappush(waiting, (cost + more, target))
        return best
