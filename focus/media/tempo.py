"""Faster or slower speech of the same pitch (FFmpeg's atempo)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from focus.media.tones import SAMPLE_RATE

Samples = NDArray[np.int16]


class Tempo:
    """int16 mono samples at 48 kHz in, `speed` (0.5 to 100) times as fast out; at 1 they stay what they are."""

    def __init__(self, speed: float) -> None:
        self._graph: Graph | None = None
        self._at = 0
        if abs(speed - 1) < 1e-6:
            return
        graph = self._graph = Graph()
        nodes = [
            graph.add_abuffer(format="s16", sample_rate=SAMPLE_RATE, layout="mono"),
            graph.add("atempo", f"{speed:.6f}"),
            graph.add("aformat", "sample_fmts=s16"),
            graph.add("abuffersink"),
        ]
        for one, other in pairwise(nodes):
            one.link_to(other)
        graph.configure()

    def changed(self, samples: Samples) -> Iterator[Samples]:
        """What there is when `samples` have been given, too."""
        if self._graph is None:
            yield samples
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self._at
        self._at += len(samples)
        self._graph.push(frame)
        yield from self._ready()

    def rest(self) -> Iterator[Samples]:
        """What is left when there is no more."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()

    def _ready(self) -> Iterator[Samples]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            yield frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
