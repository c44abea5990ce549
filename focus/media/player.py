"""Plays to one leg, or into one mix, without getting far ahead: what has not been heard yet can be taken back."""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from focus.media.plane import MediaPlane
from focus.media.tones import SAMPLE_RATE

#: Seconds of sound that wait in the plane, so that a busy event loop is not heard.
AHEAD = 0.4


class Player:
    """A voice of its own in the media plane, which only `target` hears; several there are mixed. Ended by `close`."""

    def __init__(self, plane: MediaPlane, target: int) -> None:
        """ValueError: `target` is gone."""
        self._plane = plane
        self._node = plane.add_source(target)

    async def play(self, samples: NDArray[np.int16]) -> None:
        """Play `samples` (int16 mono, 48 kHz) behind what was given before; returns when the last of them are on their
        way, `AHEAD` before they are heard.
        """
        given = 0
        while given < len(samples):
            room = int(AHEAD * SAMPLE_RATE) - self._plane.play_pending(self._node)
            if room > 0:
                given += self._plane.play(self._node, samples[given : given + room])
            if given < len(samples):
                await asyncio.sleep(AHEAD / 4)

    async def played(self) -> None:
        """Wait until all has been heard."""
        await self._plane.played(self._node)

    def take_back(self) -> int:
        """Fall silent in 40 ms. Returns how many samples of those given will not be heard."""
        return self._plane.unplay(self._node)

    def close(self) -> None:
        """Fall silent. Idempotent."""
        self._plane.remove_mixer(self._node)
