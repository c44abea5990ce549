"""What tests of several layers share: free ports, and a real private Prosody on loopback."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from focus.service.prosody import Prosody, free_port


@pytest.fixture
def free_tcp_port() -> Callable[[], int]:
    """Gives a TCP port of 127.0.0.1 that nobody has, another one at each call."""
    return free_port


@pytest.fixture
def free_udp_port() -> Callable[[], int]:
    """Gives a UDP port of 127.0.0.1 that nobody has, another one at each call."""
    return lambda: free_port(kind=socket.SOCK_DGRAM)


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A folder that another user can enter: pytest's own tmp_path is closed to the unprivileged user of Prosody."""
    folder = Path(tempfile.mkdtemp(prefix="focus-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def prosody(state_dir: Path) -> AsyncIterator[Prosody]:
    """A running Prosody of domain `localhost`.

    `.domain .rooms .focus .guests .secret`, `.c2s` and `.component` as (host, port), `.websocket` as URL,
    `await .add_user(jid, password)`, `await .stop()` and `.start()` (on the same ports), `.kill()` as a crash.
    """
    server = Prosody(state_dir / "prosody")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
