"""Hears what is said at some legs, all of them together, and nothing of what is played to them or into their mixes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from focus.media.plane import Direction, MediaPlane

#: Seconds between two looks at what has been said, and at whose legs they are.
STEP = 0.05


class Ear:
    """Gives block after block of what `speakers` say, whoever they are just then: int16 mono at 48 kHz. To be ended by
    `close`.

    `near`: one of them, or the mixer that they are in.
    """

    def __init__(self, plane: MediaPlane, near: int, speakers: Callable[[], Iterable[int]]) -> None:
        self._plane = plane
        self._speakers = speakers
        self._node = plane.create_mixer(near=near)
        self._tap = plane.tap(self._node)
        self._heard: set[int] = set()
        self._enough = asyncio.Event()
        self._is_over = False
        self._follow()

    def _follow(self) -> None:
        speakers = set(self._speakers())
        for leg in self._heard - speakers:
            self._plane.unjoin(leg, self._node)
        for leg in speakers - self._heard:
            with suppress(ValueError):  # it is leaving
                self._plane.join(leg, self._node, Direction.SEND)
        self._heard = speakers

    def __aiter__(self) -> Ear:
        return self

    async def __anext__(self) -> NDArray[np.int16]:
        if self._is_over:
            raise StopAsyncIteration
        with suppress(TimeoutError):
            async with asyncio.timeout(STEP):
                await self._enough.wait()
        self._is_over = self._enough.is_set()
        self._follow()
        return self._tap.read()

    def finish(self) -> None:
        """What has been said up to now is the last of it."""
        self._enough.set()

    def close(self) -> None:
        """Hear nothing any more."""
        self._tap.close()
        self._plane.remove_mixer(self._node)
