"""Sums over legs: who leaves stays in them."""

from __future__ import annotations

from focus.media.totals import COUNTED
from mixer_ext import LegStatistics

from .conftest import PlaneFactory
from .peers import OPUS, until
from .test_leg import EVENTS, connected


async def test_legs_that_leave_stay_in_the_sums(start_plane: PlaneFactory) -> None:
    planes = await start_plane(), await start_plane()
    here, there, _, heard = await connected(*planes)
    for leg in (here, there):
        leg.set_codec(OPUS, level_extension=None, telephone_events=EVENTS)
    here.press("12")
    await until(lambda: len(heard.keys) == 2 and here.keys_pending() == 0)
    near, far = (plane.snapshot() for plane in planes)
    assert (near["legs_dtmf_sent"], far["legs_dtmf_received"], near["legs_losing"]) == (2, 2, 0)
    assert near["legs_sent"] > 0
    assert far["legs_received"] > 0
    await here.close()
    await there.close()
    for plane, before in zip(planes, (near, far), strict=True):
        after = plane.snapshot()
        assert after["legs"] == 0
        assert all(after[f"legs_{name}"] >= before[f"legs_{name}"] for name in COUNTED)


async def test_the_statistics_of_a_leg_are_those_that_are_promised(start_plane: PlaneFactory) -> None:
    here, *_ = await connected(await start_plane(), await start_plane())
    stats = here.stats()
    assert stats.keys() >= LegStatistics.__annotations__.keys()
    for name, kind in LegStatistics.__annotations__.items():
        assert isinstance(stats[name], kind), name  # type: ignore[literal-required]
