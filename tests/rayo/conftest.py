"""A Rayo server on an honest plane and on the real one, and callers on a wire."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from focus.jingle.peer import Timeouts
from focus.media.plane import MediaPlane
from focus.wire.jid import JID
from tests.haste import Pace, new_loop
from tests.jingle.pair import End

from .scene import Client, FakePlane, Focus, Net

QUICK = Timeouts(answer=5, initiate=5, connect=5, closing=0.05, goodbye=0.2)
ADMIN = "admin@example.org"


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], object]]:
    return {"pace": new_loop}


@pytest.fixture(autouse=True)
def pace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Honest fakes need no time."""
    callspec = getattr(request.node, "callspec", None)
    monkeypatch.setattr(Pace, "is_hasty", callspec is not None and "honest fakes" in callspec.params.values())


@pytest.fixture(params=["honest fakes", "the media plane"])
async def plane(request: pytest.FixtureRequest) -> AsyncIterator[FakePlane | MediaPlane]:
    if request.param == "honest fakes":
        yield FakePlane()
        return
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    yield plane
    await plane.stop()


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    net = Net()
    yield net
    await asyncio.gather(*(end.close() for end in net.ends.values()))
    await net.cut()


@pytest.fixture
async def focus(net: Net, plane: FakePlane, far_planes: list[FakePlane]) -> AsyncIterator[Focus]:
    """After each test the server ends by itself and leaves nothing: no call, no mixer, no leg, no task."""
    before = asyncio.all_tasks()
    focus = Focus(net, plane, controllers=frozenset({JID.parse(ADMIN)}))
    await focus.start()
    yield focus
    await focus.stop()
    await asyncio.gather(*(end.close() for end in net.ends.values()))
    assert (plane.snapshot()["legs"], plane.snapshot()["mixers"]) == (0, 0)
    left = {task for task in asyncio.all_tasks() - before if "rayo" in task.get_name()}
    assert not left


@pytest.fixture
def admin(focus: Focus) -> Client:
    """A configured controller, outside."""
    return focus.client(f"{ADMIN}/rayo")


@pytest.fixture
def owner(focus: Focus) -> Client:
    """The potential controlling party of all inbound calls, outside."""
    client = focus.client("juliet@example.org/balcony")
    focus.takers.parties = [client.jid]
    return client


@pytest.fixture
async def far_planes(plane: FakePlane | MediaPlane) -> AsyncIterator[list[FakePlane | MediaPlane]]:
    """The media of three callers: a port of their own each, for it is by their addresses that a plane tells them
    apart."""
    if isinstance(plane, FakePlane):
        yield [plane] * 3
        return
    planes = [MediaPlane([("127.0.0.1", 0)]) for _ in range(3)]
    for each in planes:
        await each.start()
    yield [*planes]
    for each in planes:
        await each.stop()


@pytest.fixture
def alice(net: Net, far_planes: list[FakePlane]) -> End:
    return End(net, "alice@example.org/desk", far_planes[0].create_leg, timeouts=QUICK)


@pytest.fixture
def bob(net: Net, far_planes: list[FakePlane]) -> End:
    return End(net, "bob@example.org/phone", far_planes[1].create_leg, timeouts=QUICK)
