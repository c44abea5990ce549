"""Health and metrics."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from focus.http.health import HealthServer


class Readiness:
    def __init__(self) -> None:
        self.state = (True, "")

    def __call__(self) -> tuple[bool, str]:
        return self.state


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def url(readiness: Readiness) -> AsyncIterator[str]:
    server = HealthServer(readiness, lambda: b"focus_calls 3.0\n")
    host, port = await server.start("127.0.0.1", 0)
    yield f"http://{host}:{port}"
    await server.stop()
    await server.stop()


async def get(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def test_the_process_is_alive(url: str) -> None:
    assert await get(f"{url}/healthz") == (200, "text/plain; charset=utf-8", "ok\n")


async def test_it_is_ready_only_while_calls_can_be_taken(url: str, readiness: Readiness) -> None:
    assert (await get(f"{url}/readyz"))[0] == 200
    readiness.state = (False, "no XMPP server")
    assert await get(f"{url}/readyz") == (503, "text/plain; charset=utf-8", "no XMPP server\n")


async def test_metrics_are_in_prometheus_format(url: str) -> None:
    status, content_type, text = await get(f"{url}/metrics")
    assert (status, text) == (200, "focus_calls 3.0\n")
    assert content_type.startswith("text/plain; version=0.0.4")


async def test_nothing_else_is_served(url: str) -> None:
    assert (await get(f"{url}/"))[0] == 404


async def test_a_taken_port_is_an_error_and_leaves_nothing(readiness: Readiness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = HealthServer(readiness, lambda: b"")
        with pytest.raises(OSError, match="Address already in use"):
            await server.start(*taken.getsockname())
        await server.stop()
