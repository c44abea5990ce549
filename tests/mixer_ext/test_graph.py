"""The join graph against a few lines of numpy that follow sound from join to join."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer_ext import JoinGraph

Wide = npt.NDArray[np.int64]


class Oracle:
    """What the graph means: flow(a, b) is what b gets from a."""

    def __init__(self, mixers: set[int], joins: set[tuple[int, int]], frames: dict[int, Wide]) -> None:
        self.mixers, self.joins, self.frames = mixers, joins, frames

    def into(self, node: int, but: int | None = None) -> list[int]:
        return [a for a, b in self.joins if b == node and a != but]

    def flow(self, a: int, b: int) -> Wide:
        if a not in self.mixers:
            return self.frames[a]
        return sum((self.flow(c, a) for c in self.into(a, but=b)), np.zeros(960, np.int64))

    def names(self, a: int, b: int) -> set[int]:
        if a not in self.mixers:
            return {1000 + a} if self.frames[a].any() else set()
        return set().union(*(self.names(c, a) for c in self.into(a, but=b)))

    def heard(self, leg: int) -> npt.NDArray[np.int16]:
        total = sum((self.flow(a, leg) for a in self.into(leg)), np.zeros(960, np.int64))
        return np.clip(total, -32768, 32767).astype(np.int16)

    def named(self, leg: int) -> set[int]:
        return set().union(*(self.names(a, leg) for a in self.into(leg))) - {1000 + leg}


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
    for _ in range(3):
        if joins and data.draw(st.booleans()):
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
        oracle = Oracle(set(range(mixers)), directed, {leg: frame.astype(np.int64) for leg, frame in frames.items()})
        for leg, (heard, names) in tested.tick(frames).items():
            assert np.array_equal(heard, oracle.heard(leg))
            assert names == oracle.named(leg)


def test_a_hundred_mixers_in_a_row_pass_the_sound_on() -> None:
    graph = JoinGraph()
    mixers = [graph.add(True) for _ in range(100)]
    for a, b in pairwise(mixers):
        graph.join(a, b)
    first, last = graph.add(False, csrc=1), graph.add(False, csrc=2)
    graph.join(first, mixers[0])
    graph.join(last, mixers[-1])
    frame = np.arange(960, dtype=np.int16)
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
    for leg, (heard, names) in graph.tick(dict.fromkeys(legs, frame)).items():
        assert (heard == 39).all()
        assert len(names) == 15
        assert leg - 1 not in names
