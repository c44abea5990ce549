from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import aioice.ice
import aiortc.rtp
import pytest

from focus.media.plane import MediaPlane

PlaneFactory = Callable[..., Awaitable[MediaPlane]]


@pytest.fixture(autouse=True)
def peers_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice never offers loopback addresses by itself; the aiortc peers of these tests have nothing else."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture(autouse=True)
def peers_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc's loop in Python over every sample takes most of its time; nobody here looks at the level it gives."""
    monkeypatch.setattr(aiortc.rtp, "compute_audio_level_dbov", lambda frame: -20)


@pytest.fixture
async def start_plane() -> AsyncIterator[PlaneFactory]:
    """Makes running planes, on 127.0.0.1 unless told otherwise, and shows afterwards that they left no task behind."""
    planes: list[MediaPlane] = []

    async def start(hosts: Sequence[str] = ("127.0.0.1",), **options: object) -> MediaPlane:
        plane = MediaPlane([(host, 0) for host in hosts], **options)  # type: ignore[arg-type]
        await plane.start()
        planes.append(plane)
        return plane

    yield start
    for plane in planes:
        await plane.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
async def plane(start_plane: PlaneFactory) -> MediaPlane:
    return await start_plane()
