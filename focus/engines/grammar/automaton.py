"""A grammar as a finite automaton: all its rule references and repeats written out, within limits.

A rule that calls itself at its end is a loop. One that calls itself anywhere else has no finite automaton, and is
refused: SRGS allows a processor that (SRGS 1.0, section 1).

Nodes are numbers. A node reads one token (`reads`, then on to `after`), or leads on without (`edges`, best first, each
with what it costs), perhaps with a mark that the interpretation needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from focus.engines.grammar.expansions import (
    Document,
    Expansion,
    OneOf,
    Repeat,
    Rule,
    RuleRef,
    Series,
    Special,
    Tag,
    Words,
)
from focus.engines.grammar.limits import MAX_NESTING, MAX_NODES, MAX_TOKENS
from focus.engines.markup import DocumentError, Place

#: What GARBAGE reads.
ANYTHING: frozenset[str] = frozenset({"\0"})

#: Costs are logarithms of probabilities as whole numbers, so that what is equally likely is equal.
SCALE = 1 << 20
_NEVER = 1 << 40


@dataclass(frozen=True, slots=True)
class Enter:
    """A rule begins. `is_tail`: as the end of one that has begun already, and ends with that."""

    instance: int
    rule: Rule
    is_tail: bool = False


@dataclass(frozen=True, slots=True)
class Exit:
    """A rule ends."""

    instance: int


Mark = Enter | Exit | Tag
Find = Callable[[Document, RuleRef], tuple[Document, Rule]]


class Automaton:
    """What `build` makes. No node reads anything from which the end cannot be reached."""

    def __init__(self) -> None:
        self.edges: list[tuple[tuple[int, int], ...]] = []
        self.reads: list[frozenset[str] | None] = []
        self.after: list[int] = []
        self.marks: dict[int, Mark] = {}
        self.tokens: frozenset[str] = frozenset()
        self.start = self.end = 0

    def prune(self) -> None:
        """Have nothing read that leads nowhere."""
        leads_to: list[list[int]] = [[] for _ in self.edges]
        for node, edges in enumerate(self.edges):
            for target, _ in edges:
                leads_to[target].append(node)
            if self.reads[node] is not None:
                leads_to[self.after[node]].append(node)
        alive = {self.end}
        waiting = [self.end]
        while waiting:
            for node in leads_to[waiting.pop()]:
                if node not in alive:
                    alive.add(node)
                    waiting.append(node)
        self.reads = [read if node in alive else None for node, read in enumerate(self.reads)]
        self.tokens = frozenset().union(*(read for read in self.reads if read is not None)) - ANYTHING


def build(expansion: Expansion, document: Document, find: Find, has_values: bool) -> Automaton:
    """The automaton of an expansion in a document; `find` looks up rules. Raises `DocumentError`."""
    builder = _Builder(find, has_values)
    automaton = builder.automaton
    automaton.end = builder.node()
    automaton.start = builder.build(expansion, automaton.end, document, 0)
    automaton.prune()
    return automaton


@dataclass(frozen=True, slots=True)
class _Active:
    """A rule that is being written out: where its content begins, and what comes after it."""

    entry: int
    follow: int
    instance: int


class _Builder:
    def __init__(self, find: Find, has_values: bool) -> None:
        self.find = find
        self.has_values = has_values  # else nobody needs to know where rules begin and end
        self.automaton = Automaton()
        self.active: dict[tuple[str, str], _Active] = {}
        self.instances = 0
        self.work = 0
        self.place: Place | None = None  # of the outermost reference, for what is wrong with the whole

    def node(
        self,
        *edges: tuple[int, int],
        reads: frozenset[str] | None = None,
        after: int = 0,
        mark: Mark | None = None,
    ) -> int:
        automaton = self.automaton
        number = len(automaton.edges)
        automaton.edges.append(edges)
        automaton.reads.append(reads)
        automaton.after.append(after)
        if mark is not None:
            automaton.marks[number] = mark
        return number

    def build(self, expansion: Expansion, follow: int, document: Document, depth: int) -> int:
        """Nodes for an expansion after which comes `follow`; the one to begin with."""
        self.work += 1
        if max(self.work, len(self.automaton.edges)) > MAX_NODES:
            what = f"too large: its repeats and rule references make more than {MAX_NODES} steps"
            raise DocumentError(what, self.place or document.place)
        if depth > MAX_NESTING:
            raise DocumentError(f"rules nest more than {MAX_NESTING} deep", self.place or document.place)
        match expansion:
            case Words(words):
                for word in reversed(words):
                    follow = self.node(reads=frozenset((word,)), after=follow)
                return follow
            case Series(parts):
                for part in reversed(parts):
                    follow = self.build(part, follow, document, depth + 1)
                return follow
            case OneOf():
                return self._one_of(expansion, follow, document, depth + 1)
            case Repeat():
                return self._repeat(expansion, follow, document, depth + 1)
            case RuleRef():
                return self._rule(expansion, follow, document, depth + 1)
            case Tag():
                return self.node((follow, 0), mark=expansion)
            case Special.NULL:
                return follow
            case Special.VOID:
                return self.node()
            case Special.GARBAGE:
                loop = self.node()
                self.automaton.edges[loop] = ((follow, 0), (self.node(reads=ANYTHING, after=loop), 0))
                return loop

    def _one_of(self, one_of: OneOf, follow: int, document: Document, depth: int) -> int:
        if one_of.weights is not None:
            total = sum(one_of.weights)
            costs = [_cost(weight / total if total else 0) for weight in one_of.weights]
            entries = [self.build(each, follow, document, depth) for each in one_of.alternatives]
            return self._choice(zip(entries, costs, strict=True))
        tokens: set[str] = set()  # alternatives of one token each are one node
        edges: list[tuple[int, int]] = []
        read = -1
        for each in one_of.alternatives:
            if isinstance(each, Words) and len(each.words) == 1:
                if read < 0:
                    read = self.node(reads=frozenset(), after=follow)
                    edges.append((read, 0))
                tokens.add(each.words[0])
            else:
                edges.append((self.build(each, follow, document, depth), 0))
        if read >= 0:
            self.automaton.reads[read] = frozenset(tokens)
        return self._choice(edges)

    def _choice(self, edges: Iterable[tuple[int, int]]) -> int:
        cheapest: dict[int, int] = {}  # as there may be thousands of empty alternatives
        for target, cost in edges:
            cheapest[target] = min(cost, cheapest.get(target, cost))
        return next(iter(cheapest)) if len(cheapest) == 1 else self.node(*cheapest.items())

    def _repeat(self, repeat: Repeat, follow: int, document: Document, depth: int) -> int:
        again, enough = 0, 0
        if repeat.probability is not None:
            again, enough = _cost(repeat.probability), _cost(1 - repeat.probability)
        least = repeat.least
        if repeat.most is None or repeat.most >= MAX_TOKENS:
            loop = self.node()
            body = self.build(repeat.what, loop, document, depth)
            self.automaton.edges[loop] = ((body, again), (follow, enough))
            entry, least = (loop, 0) if least == 0 else (body, least - 1)
        else:
            entry = follow
            for _ in range(repeat.most - least):
                entry = self.node((self.build(repeat.what, entry, document, depth), again), (follow, enough))
        for _ in range(least):
            entry = self.build(repeat.what, entry, document, depth)
        return entry

    def _rule(self, reference: RuleRef, follow: int, document: Document, depth: int) -> int:
        outermost = self.place is None
        if outermost:
            self.place = reference.place
        document, rule = self.find(document, reference)
        name = (document.uri, rule.id)
        if running := self.active.get(name):
            if not self._leads_only_to(follow, running.follow):
                calls = [each for _, each in list(self.active)[list(self.active).index(name) :]]
                chain = " > ".join([*calls, rule.id] if len(calls) < 10 else [*calls[:8], "...", rule.id])
                what = f"<ruleref>: recursion ({chain}) other than at the end of a rule is not supported"
                raise DocumentError(what, reference.place)
            if not self.has_values:
                return running.entry
            return self.node((running.entry, 0), mark=Enter(running.instance, rule, is_tail=True))
        self.instances += 1
        instance = self.instances
        if self.has_values:
            follow = self.node((follow, 0), mark=Exit(instance))
        entry = self.node()
        self.active[name] = _Active(entry, follow, instance)
        body = self.build(rule.expansion, follow, document, depth)
        self.automaton.edges[entry] = ((body, 0),)
        del self.active[name]
        if outermost:
            self.place = None
        return self.node((entry, 0), mark=Enter(instance, rule)) if self.has_values else entry

    def _leads_only_to(self, node: int, target: int) -> bool:
        """Whether between the two nothing happens but the end of rules."""
        while node != target:
            if not isinstance(self.automaton.marks.get(node), Exit):
                return False
            node = self.automaton.edges[node][0][0]
        return True


def _cost(probability: float) -> int:
    return min(_NEVER, round(-math.log(probability) * SCALE)) if probability > 0 else _NEVER
