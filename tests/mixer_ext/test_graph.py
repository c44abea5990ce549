"""The join graph against a few lines of numpy that follow sound from join to join."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer_ext import JoinGraph
from tests.mixer_ext.levels import Samples, Wide, ramped

Joins = set[tuple[int, int]]


class Oracle:
    """What the graph means: flow(a, b) is what b gets from a.

    joins: (from, to) in this tick; before: those of the last tick, from which to the new ones there is a ramp.
    """

    def __init__(
        self, mixers: set[int], joins: Joins, frames: Mapping[int, Wide | Samples], before: Joins | None = None
    ) -> None:
        self.mixers, self.joins = mixers, joins
        self.frames = {leg: frame.astype(np.int64) for leg, frame in frames.items()}
        self.before = joins if before is None or self._meets_itself(joins | before) else before

    def _meets_itself(self, joins: Joins) -> bool:
        """Whether there are two ways between mixers, or from a leg into them."""
        tree = {mixer: mixer for mixer in self.mixers}
        pairs = {frozenset(join) for join in joins}
        for a, b in (pair for pair in pairs if pair <= self.mixers):
            if tree[a] == tree[b]:
                return True
            tree = {mixer: tree[a] if root == tree[b] else root for mixer, root in tree.items()}
        roots = [(leg, tree[mixer]) for pair in pairs for leg in pair - self.mixers for mixer in pair & self.mixers]
        return len(roots) != len(set(roots))

    def into(self, node: int, but: int | None = None) -> list[int]:
        return [a for a, b in self.joins | self.before if b == node and a != but]

    def flow(self, a: int, b: int) -> Wide:
        if a in self.mixers:
            passed = sum((self.flow(c, a) for c in self.into(a, but=b)), np.zeros(960, np.int64))
        else:
            passed = self.frames[a]
        was, now = (a, b) in self.before, (a, b) in self.joins
        return passed if was and now else ramped(passed, was, now)

    def sounds(self, a: int, b: int | None = None) -> bool:
        if a not in self.mixers:
            return bool(self.frames[a].any())
        return any(self.sounds(c, a) for c in self.into(a, but=b))

    def names(self, a: int, b: int) -> set[int]:
        if a not in self.mixers:
            return {1000 + a} if self.frames[a].any() else set()
        return set().union(*(self.names(c, a) for c, d in self.joins if d == a and c != b))

    def heard(self, leg: int) -> Wide:
        return sum((self.flow(a, leg) for a in self.into(leg)), np.zeros(960, np.int64))

    def alone(self, leg: int) -> Oracle:
        """What it would be if only this leg spoke."""
        silence = np.zeros(960, np.int64)
        frames = {other: frame if other == leg else silence for other, frame in self.frames.items()}
        return Oracle(self.mixers, self.joins, frames, self.before)

    def regained(self, leg: int, source: int, before: float, now: float) -> Wide:
        """By what the hearing of one who wants a source louder or softer differs."""
        part = self.alone(source).heard(leg)
        return ramped(part, before, now) - part

    def named(self, leg: int) -> set[int]:
        return set().union(*(self.names(a, leg) for a, b in self.joins if b == leg)) - {1000 + leg}


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, int, list[tuple[int, int, bool, bool]]]:
    """Some mixers in trees, legs in at most one mixer of each tree, legs with legs; each join with a direction."""
    mixers = draw(st.integers(0, 5))
    legs = draw(st.integers(1, 8))
    direction = st.tuples(st.booleans(), st.booleans())
    joins = []
    tree = list(range(mixers))
    for mixer in range(1, mixers):
        parent = draw(st.integers(-1, mixer - 1))
        if parent >= 0:
            tree = [tree[parent] if t == tree[mixer] else t for t in tree]
            joins.append((mixer, parent, *draw(direction)))
    for leg in range(mixers, mixers + legs):
        for root in sorted(set(tree)):
            inside = [m for m in range(mixers) if tree[m] == root]
            if draw(st.booleans()):
                joins.append((leg, draw(st.sampled_from(inside)), *draw(direction)))
    for a in range(mixers, mixers + legs):
        for b in range(a + 1, mixers + legs):
            if draw(st.integers(0, 3)) == 0:
                joins.append((a, b, *draw(direction)))
    return mixers, legs, draw(st.permutations(joins))


def wishes(mixers: int, legs: int) -> st.SearchStrategy[list[tuple[int, int, float]]]:
    """Gains of legs for others."""
    leg = st.integers(mixers, mixers + legs - 1)
    gain = st.sampled_from([0.0, 0.3, 1.0, 1.7, 4.0])
    wish = st.tuples(leg, leg, gain)
    return st.lists(wish, max_size=3).map(lambda each: [(a, b, gain) for a, b, gain in each if a != b])


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 8000, 32768]), st.data())
def test_every_leg_hears_exactly_what_is_joined_towards_it(
    graph: tuple[int, int, list[tuple[int, int, bool, bool]]], seed: int, amplitude: int, data: st.DataObject
) -> None:
    mixers, legs, joins = graph
    random = np.random.default_rng(seed)
    tested = JoinGraph()
    for node in range(mixers + legs):
        assert tested.add(node < mixers, csrc=1000 + node) == node
    present = {}
    for a, b, a_to_b, b_to_a in joins:
        tested.join(a, b, a_to_b, b_to_a)
        present[a, b] = a_to_b, b_to_a
    before: Joins = set()
    gains: dict[tuple[int, int], float] = {}
    gains_before: dict[tuple[int, int], float] = {}
    for _ in range(5):
        for listener, source, gain in data.draw(wishes(mixers, legs)):
            gains[listener, source] = gain
            tested.set_gain(listener, source, gain)
        for _ in range(data.draw(st.sampled_from([0, 0, 1, 2, 3])) if joins else 0):
            a, b, *_ = data.draw(st.sampled_from(joins))
            if data.draw(st.booleans()):
                tested.unjoin(a, b)
                present.pop((a, b), None)
            else:
                present[a, b] = data.draw(st.tuples(st.booleans(), st.booleans()))
                tested.join(a, b, *present[a, b])
        frames = {
            leg: random.integers(-amplitude, max(amplitude, 1), 960).astype(np.int16)
            * np.int16(random.integers(0, 4) > 0)
            for leg in range(mixers, mixers + legs)
        }
        directed = {(a, b) for (a, b), ways in present.items() if ways[0]}
        directed |= {(b, a) for (a, b), ways in present.items() if ways[1]}
        oracle = Oracle(set(range(mixers)), directed, frames, before)
        for leg, (heard, names) in tested.tick(frames).items():
            expected = oracle.heard(leg)
            for (listener, source), gain in gains.items():
                if listener == leg:
                    expected = expected + oracle.regained(leg, source, gains_before.get((leg, source), 1), gain)
            assert np.array_equal(heard, expected)
            assert names == oracle.named(leg)
        before, gains_before = directed, dict(gains)


def room(graph: JoinGraph, count: int) -> tuple[int, list[int]]:
    mixer, legs = graph.add(True), [graph.add(False, csrc=n) for n in range(count)]
    for leg in legs:
        graph.join(leg, mixer)
    graph.tick(dict.fromkeys(legs, np.zeros(960, np.int16)))
    return mixer, legs


def test_who_joins_or_leaves_fades_and_never_hears_himself() -> None:
    graph = JoinGraph()
    mixer, (talker, listener) = room(graph, 2)
    full = np.full(960, 32767, np.int16)
    frames = {talker: full, listener: np.zeros(960, np.int16)}
    for change, end in ((graph.unjoin, 0), (graph.join, 32767), (graph.unjoin, 0)):
        change(talker, mixer)
        heard = graph.tick(frames)
        assert not heard[talker][0].any()
        assert np.abs(np.diff(heard[listener][0])).max() <= 32767 / 240 + 1
        assert (heard[listener][0][239:] == end).all()


def test_who_is_moved_between_mixers_that_are_joined_is_heard_without_a_break() -> None:
    graph = JoinGraph()
    mixer, (talker, listener) = room(graph, 2)
    second = graph.add(True)
    graph.join(mixer, second)
    frames = {talker: np.full(960, 10000, np.int16), listener: np.zeros(960, np.int16)}
    graph.tick(frames)
    graph.unjoin(talker, mixer)
    graph.join(talker, second)
    heard = graph.tick(frames)
    assert (heard[listener][0] == 10000).all()
    assert not heard[talker][0].any()


def test_a_join_that_is_undone_before_it_began_leaves_nothing() -> None:
    graph = JoinGraph()
    mixer, (first, second) = room(graph, 2)
    graph.unjoin(first, mixer)
    graph.join(first, mixer)
    other = graph.add(True)
    graph.join(second, other)
    graph.unjoin(second, other)
    frames = dict.fromkeys((first, second), np.full(960, 9, np.int16))
    for heard, _ in graph.tick(frames).values():
        assert (heard == 9).all()


def test_a_hundred_mixers_in_a_row_pass_the_sound_on() -> None:
    graph = JoinGraph()
    mixers = [graph.add(True) for _ in range(100)]
    for a, b in pairwise(mixers):
        graph.join(a, b)
    first, last = graph.add(False, csrc=1), graph.add(False, csrc=2)
    graph.join(first, mixers[0])
    graph.join(last, mixers[-1])
    frame = np.arange(960, dtype=np.int16)
    for _ in range(2):
        heard = graph.tick({first: frame, last: np.zeros(960, np.int16)})
    assert np.array_equal(heard[last][0], frame)
    assert not heard[first][0].any()


def test_at_most_fifteen_sources_are_named() -> None:
    graph = JoinGraph()
    mixer = graph.add(True)
    legs = [graph.add(False, csrc=n) for n in range(40)]
    for leg in legs:
        graph.join(leg, mixer)
    frame = np.ones(960, np.int16)
    graph.tick(dict.fromkeys(legs, frame))
    for leg, (heard, names) in graph.tick(dict.fromkeys(legs, frame)).items():
        assert (heard == 39).all()
        assert len(names) == 15
        assert leg - 1 not in names
