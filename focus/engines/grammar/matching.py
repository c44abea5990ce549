"""Matching input to grammars, token by token.

The automaton is run on sets of nodes, each found once and remembered: a token costs a look-up if its like has come
before, and else at most a look at each node of the grammar. Nothing is ever tried twice, so no grammar can make it slow
by being ambiguous; and what all tokens together may cost is limited.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from focus.engines.grammar.automaton import ANYTHING, Automaton
from focus.engines.grammar.expansions import Mode
from focus.engines.grammar.interpretation import interpret
from focus.engines.grammar.limits import MAX_REMEMBERED, MAX_TOKENS, MAX_WORK
from focus.engines.grammar.loading import Grammar
from focus.engines.grammar.tokens import KEYS


class Match(Enum):
    """What the input is, so far."""

    NOMATCH = "nomatch"  # no grammar matches it, however it goes on
    PARTIAL = "partial"  # more is needed
    MATCH = "match"  # it matches; with more it might match, too
    MATCH_END = "match-end"  # it matches, and nothing longer does


@dataclass(frozen=True, slots=True)
class Matched:
    """Which grammar matched what, and what that means. `is_tagged`: the grammar says so; else it is the raw input."""

    grammar: Grammar
    tokens: tuple[str, ...]
    meaning: str
    is_tagged: bool


class State:
    """A set of nodes in which the automaton can be, and where it goes from there."""

    __slots__ = ("goes_on", "is_match", "next", "nodes")

    def __init__(self, nodes: frozenset[int], automaton: Automaton) -> None:
        self.nodes = nodes
        self.is_match = automaton.end in nodes
        self.goes_on = any(automaton.reads[node] is not None for node in nodes)
        self.next: dict[str, State] = {}


class Runner:
    """One grammar's automaton as it runs. Matchers of the same grammar share it, and what it remembers.

    When it remembers sets of more than `most` nodes in all, it forgets all of them, and begins anew.
    """

    def __init__(self, grammar: Grammar, most: int = MAX_REMEMBERED) -> None:
        self.automaton = grammar.automaton
        self.most = most
        self._states: dict[frozenset[int], State] = {}
        self.remembered = 0
        self.start = self._state([self.automaton.start])

    def step(self, state: State, token: str) -> State:
        """Where a token leads that has not been read in this state, or cannot be."""
        if token not in self.automaton.tokens:
            token = "\0"
        if (following := state.next.get(token)) is None:
            reads, after = self.automaton.reads, self.automaton.after
            targets = []
            for node in state.nodes:
                read = reads[node]
                if read is not None and (token in read or read is ANYTHING):
                    targets.append(after[node])
            following = state.next[token] = self._state(targets)
        return following

    def _state(self, waiting: list[int]) -> State:
        edges = self.automaton.edges
        nodes = set(waiting)
        while waiting:
            for target, _ in edges[waiting.pop()]:
                if target not in nodes:
                    nodes.add(target)
                    waiting.append(target)
        known = frozenset(nodes)
        if (state := self._states.get(known)) is None:
            if self.remembered > self.most:
                self._forget()
            self.remembered += len(known) + 1
            state = self._states[known] = State(known, self.automaton)
        return state

    def _forget(self) -> None:
        for state in self._states.values():
            state.next.clear()
        self._states.clear()
        self.remembered = 0


class Matcher:
    """Some input, matched to several grammars at once, of one mode. Of those that match it the first one counts."""

    def __init__(self, grammars: Sequence[Grammar]) -> None:
        if len({grammar.mode for grammar in grammars}) != 1:
            raise ValueError("a matcher needs grammars, and all of the same mode")
        self.mode = grammars[0].mode
        self._grammars = grammars
        self._runners = [_runner(grammar) for grammar in grammars]
        self._paths = [[runner.start] for runner in self._runners]
        self._tokens: list[str] = []
        self._work = 0
        #: Nothing that has come means nothing: it matches no grammar, not even one that allows it.
        self.match = Match.PARTIAL if any(path[-1].goes_on for path in self._paths) else Match.NOMATCH

    @property
    def tokens(self) -> tuple[str, ...]:
        """What has come."""
        return tuple(self._tokens)

    def feed(self, token: str) -> Match:
        """Take one more token, as `tokens.of_input` has it."""
        if self.match is Match.NOMATCH:
            self._tokens.append(token)
            return self.match
        if self.mode is Mode.DTMF:
            token = KEYS.get(token, token)
        self._tokens.append(token)
        is_match = goes_on = False
        for runner, path in zip(self._runners, self._paths, strict=True):
            state = path[-1].next.get(token) or runner.step(path[-1], token)
            path.append(state)
            self._work += len(state.nodes)
            is_match = is_match or state.is_match
            goes_on = goes_on or state.goes_on
        if len(self._tokens) > MAX_TOKENS or self._work > MAX_WORK:
            self.match = Match.NOMATCH
        elif is_match:
            self.match = Match.MATCH if goes_on else Match.MATCH_END
        else:
            self.match = Match.PARTIAL if goes_on else Match.NOMATCH
        return self.match

    def feed_all(self, tokens: Iterable[str]) -> Match:
        """Take several tokens."""
        for token in tokens:
            self.feed(token)
        return self.match

    def matched(self) -> Matched | None:
        """What the input means; None if it does not match."""
        if self.match not in (Match.MATCH, Match.MATCH_END):
            return None
        tokens = self.tokens
        for grammar, path in zip(self._grammars, self._paths, strict=True):
            if path[-1].is_match:
                if not grammar.has_values:
                    return Matched(grammar, tokens, " ".join(tokens), is_tagged=False)
                meaning = interpret(grammar.automaton, tokens, [state.nodes for state in path])
                return Matched(grammar, tokens, meaning, is_tagged=True)
        raise AssertionError("a match is one of a grammar")


def _runner(grammar: Grammar) -> Runner:
    runner = grammar.runner
    if runner is None:
        runner = grammar.runner = Runner(grammar)
    return runner
