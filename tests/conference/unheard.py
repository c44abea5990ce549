"""A meeting in memory, by callers who press keys: what is said takes its time, and nobody hears it."""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from focus.conference.comfort import Comfort
from focus.conference.policy import Policy
from focus.engines.synthesizer import SAMPLE_RATE
from focus.rayo.call import Call
from focus.rayo.component import Facilities
from focus.rayo.repertoire import Repertoire
from tests.jingle.pair import FakeLeg
from tests.rayo.scene import FakePlane

from .hearing import Teller
from .scene import Meeting


class MutePlane(FakePlane):
    """Whose sources take the time of what they play. `volumes`: how loud each leg hears which other."""

    def __init__(self) -> None:
        super().__init__()
        self.volumes: dict[tuple[int, int], float] = {}
        self._ends: dict[int, float] = {}  # of what a source has been given

    @override
    def add_source(self, target: int) -> int:
        self._know(target)
        source = self.create_mixer()
        self._ends[source] = 0.0
        return source

    @override
    def play(self, source: int, samples: NDArray[np.int16]) -> int:
        self._ends[source] = max(self._ends[source], _now()) + len(samples) / SAMPLE_RATE
        return len(samples)

    @override
    def play_pending(self, source: int) -> int:
        return round(max(self._ends[source] - _now(), 0.0) * SAMPLE_RATE)

    @override
    def unplay(self, source: int) -> int:
        pending = self.play_pending(source)
        self._ends[source] = 0.0
        return pending

    @override
    async def played(self, source: int) -> None:
        await asyncio.sleep(max(self._ends[source] - _now(), 0.0))

    @override
    def set_gain(self, source: int, gain: float) -> None:
        self._know(source)

    @override
    def set_listener_gain(self, listener: int, source: int, gain: float) -> None:
        self._know(listener, source)
        self.volumes[listener, source] = gain


def _now() -> float:
    return asyncio.get_running_loop().time()


class Unheard(Meeting):
    """What is said says the `teller`."""

    def __init__(self, policy: Policy, comfort: Comfort | None) -> None:
        self.teller = Teller()
        self.sounds = MutePlane()
        facilities = Facilities(
            self.sounds,
            synthesizers={"teller": self.teller},
            repertoire=Repertoire(room=0),  # all that is said is told
        )
        super().__init__(policy, facilities=facilities, comfort=comfort)
        self._has_keys = comfort is not None and bool(comfort.keys)

    async def enters(self, name: str, device: str = "phone") -> Call:
        """Somebody calls, and is in the conference; keys are listened for, where there are any."""
        end = await self.join(f"{name}@example.org/{device}")
        call = self.focus.call(self.call_of(end))
        if self._has_keys:
            await until_listened(call)
        return call


def leg_of(call: Call) -> FakeLeg:
    assert call.session is not None
    assert isinstance(call.session.leg, FakeLeg)
    return call.session.leg


def press(call: Call, keys: str) -> None:
    """All at once."""
    for key in keys:
        call.peer_pressed(key, 0.1)


async def until_listened(call: Call) -> None:
    async with asyncio.timeout(30):
        while not any(each.wants_keys and each._begun.is_set() for each in call.components):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
