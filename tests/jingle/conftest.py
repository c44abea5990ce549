"""Two ends on one wire: `alice` and `bob`, with small honest legs or with real ones on loopback."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable

import pytest

from focus.jingle.peer import LegFactory
from tests.haste import Pace, new_loop

from .pair import Air, End, Wire


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], object]]:
    return {"pace": new_loop}


@pytest.fixture(autouse=True)
def pace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the media plane needs time."""
    callspec = getattr(request.node, "callspec", None)
    monkeypatch.setattr(Pace, "is_hasty", callspec is None or "the media plane" not in callspec.params.values())


@pytest.fixture
def air() -> Air:
    return Air()


@pytest.fixture(params=["honest fakes", "the media plane"])
async def legs(request: pytest.FixtureRequest, air: Air) -> AsyncIterator[tuple[LegFactory, LegFactory]]:
    """What makes the legs of the two ends."""
    if request.param == "honest fakes":
        yield air.leg, air.leg
        return
    if importlib.util.find_spec("mixer_ext.plane") is None:
        pytest.skip("mixer_ext is not built")
    from focus.media.plane import MediaPlane

    planes = MediaPlane([("127.0.0.1", 0)]), MediaPlane([("127.0.0.1", 0)])
    for plane in planes:
        await plane.start()
    try:
        yield planes[0].create_leg, planes[1].create_leg
    finally:
        for plane in planes:
            await plane.stop()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    await asyncio.gather(*(end.close() for end in wire.ends.values()))
    await wire.cut()


@pytest.fixture
def alice(wire: Wire, air: Air) -> End:
    return End(wire, "alice@example.org/desk", air.leg)


@pytest.fixture
def bob(wire: Wire, air: Air) -> End:
    return End(wire, "bob@example.org/phone", air.leg)
