"""Plays to one leg, or into one mix, without getting far ahead: what has not been heard yet can be taken back."""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from focus.media.plane import MediaPlane
from focus.media.tones import SAMPLE_RATE

#: Seconds of sound that wait in the plane, so that a busy event loop is not heard. Looked after four times meanwhile.
AHEAD = 1.0
#: A sound that ends loudly is faded out in the tick after it.
DYING = 0.04


class Player:
    """A voice of its own in the media plane, which only `target` hears; several there are mixed. Ended by `close`."""

    def __init__(self, plane: MediaPlane, target: int) -> None:
        """ValueError: `target` is gone."""
        self._plane = plane
        self._node = plane.add_source(target)
        #: Samples that have been given to be played, those taken back included.
        self.given = 0
        self._taken_back = 0

    @property
    def heard(self) -> int:
        """How many samples have been heard."""
        return self.given - self._taken_back - self._plane.play_pending(self._node)

    async def play(self, samples: NDArray[np.int16]) -> None:
        """Play `samples` (int16 mono, 48 kHz) behind what was given before; returns when the last of them are on their
        way, `AHEAD` before they are heard.
        """
        while len(samples):
            room = int(AHEAD * SAMPLE_RATE) - self._plane.play_pending(self._node)
            if room > 0:
                taken = self._plane.play(self._node, samples[:room])
                self.given += taken
                samples = samples[taken:]
            if len(samples):
                await asyncio.sleep(AHEAD / 4)

    async def played(self) -> None:
        """Wait until all has been heard, and has died away."""
        await self._plane.played(self._node)
        await asyncio.sleep(DYING)

    def set_volume(self, gain: float) -> None:
        """0 to 4 times, from the next tick on. Raises ValueError outside."""
        self._plane.set_gain(self._node, gain)

    def take_back(self) -> int:
        """Fall silent in 40 ms. Returns how many samples of those given will not be heard."""
        taken = self._plane.unplay(self._node)
        self._taken_back += taken
        return taken

    def close(self) -> None:
        """Fall silent. Idempotent."""
        self._plane.remove_mixer(self._node)
