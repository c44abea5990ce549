"""What is said at legs of the real plane, apart from what is played there."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from focus.media.ear import Ear
from focus.media.tones import SAMPLE_RATE, Tone

from . import peers
from .conftest import PlaneFactory
from .test_leg import connected


class Reader:
    """The blocks of an ear, one after another, for `peers.Ear`."""

    def __init__(self, ear: Ear) -> None:
        self._blocks: list[np.ndarray] = []
        self._task = asyncio.create_task(self._take(ear))

    async def _take(self, ear: Ear) -> None:
        async for block in ear:
            self._blocks.append(block)

    def read(self) -> np.ndarray:
        blocks, self._blocks = self._blocks, []
        return np.concatenate([np.zeros(0, np.int16), *blocks])

    async def over(self) -> None:
        async with asyncio.timeout(10):
            await self._task


@pytest.mark.parametrize("shards", [1, 2])
async def test_all_who_speak_are_heard_together_and_nothing_of_what_is_played(
    start_plane: PlaneFactory, shards: int
) -> None:
    plane = await start_plane(shards=shards)
    one, far_one, *_ = await connected(plane, await start_plane())
    two, far_two, *_ = await connected(plane, await start_plane())
    mixer = plane.create_mixer()
    for leg in (one, two):
        plane.join(leg.node, mixer)
    plane.play(mixer, Tone(880).samples(10 * SAMPLE_RATE))
    one.play(Tone(990).samples(10 * SAMPLE_RATE))
    far_one.play(Tone(440).samples(10 * SAMPLE_RATE))
    far_two.play(Tone(660).samples(10 * SAMPLE_RATE))
    speakers = {one.node, two.node}
    ear = Ear(plane, mixer, lambda: speakers)
    reader = Reader(ear)
    hears = peers.Ear(reader.read)
    await hears.until_only(440, 660, without=[880, 990])
    speakers.remove(two.node)
    await hears.until_only(440, without=[660, 880, 990])
    speakers.add(two.node)
    await hears.until_heard(440, 660)
    ear.finish()
    await reader.over()
    ear.close()
    plane.remove_mixer(mixer)
    assert plane.snapshot()["mixers"] == 0


async def test_what_was_said_before_it_is_finished_is_heard_and_nothing_after_it(start_plane: PlaneFactory) -> None:
    plane = await start_plane()
    leg, far, *_ = await connected(plane, await start_plane())
    ear = Ear(plane, leg.node, lambda: [leg.node])
    tap = leg.tap()
    far.play(Tone(440).samples(SAMPLE_RATE // 2))
    heard: list[np.ndarray] = []
    await peers.until(lambda: heard.append(tap.read()) or len(np.flatnonzero(np.concatenate(heard))) > SAMPLE_RATE // 4)  # type: ignore[func-returns-value]
    ear.finish()
    blocks = [block async for block in ear]
    assert len(blocks) == 1
    assert len(np.flatnonzero(blocks[0])) > SAMPLE_RATE // 5
    ear.close()
    tap.close()
