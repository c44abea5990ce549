"""`focus serve` as an operator runs it, beside a real Prosody."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from focus.service.prosody import Prosody

pytestmark = pytest.mark.interop

Configure = Callable[..., Path]


@pytest.fixture
def configure(prosody: Prosody, tmp_path: Path, free_tcp_port: Callable[[], int]) -> Configure:
    """Writes a configuration for the running Prosody."""

    def write(
        *,
        secret: str = prosody.secret,
        port: int = prosody.component[1],
        http: str = "127.0.0.1:0",
        metrics: str = f"127.0.0.1:{free_tcp_port()}",
        public: str = "203.0.113.7",
        recordings: Path = tmp_path / "recordings",
        address: str = "127.0.0.1",
    ) -> Path:
        file = tmp_path / "focus.toml"
        file.write_text(
            f"[xmpp]\njid = '{prosody.focus}'\nmuc = '{prosody.rooms}'\nsecret = '{secret}'\nport = {port}\n"
            f"[media]\naddresses = ['{address}']\nport = 0\npublic_addresses = ['{public}']\n[log]\nformat = 'json'\n"
            f"[http]\nlisten = '{http}'\nwebsocket = '{prosody.websocket}'\n[metrics]\nlisten = '{metrics}'\n"
            f"[recordings]\nfolder = '{recordings}'\n"
        )
        return file

    return write


@asynccontextmanager
async def serving(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "focus.service.cli", "serve", "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def line_with(process: asyncio.subprocess.Process, word: str) -> str:
    """The next log line that has the word."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        async for line in process.stderr:
            if word in line.decode():
                return line.decode()
    raise AssertionError(f"it ended without {word!r}")


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def last_line(config: Path) -> tuple[int | None, str]:
    """Exit code and last line of a service that does not come up."""
    async with serving(config) as process:
        _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert "Traceback" not in errors.decode()
    return process.returncode, errors.decode().splitlines()[-1]


async def test_it_serves_until_it_is_told_to_stop(
    configure: Configure, prosody: Prosody, free_tcp_port: Callable[[], int]
) -> None:
    health = f"127.0.0.1:{free_tcp_port()}"
    async with serving(configure(metrics=health)) as process:
        assert ", known outside as 203.0.113.7" in await line_with(process, "audio on UDP 127.0.0.1:")
        await line_with(process, '"message": "ready')
        assert (await get(f"http://{health}/healthz"))[0] == 200
        assert await get(f"http://{health}/readyz") == (200, "ok\n")
        _, metrics = await get(f"http://{health}/metrics")
        assert "focus_xmpp_connected 1.0" in metrics
        assert "focus_plane_ticks_total" in metrics
        # The server goes: alive, but not ready.
        await prosody.stop()
        await line_with(process, "no XMPP session")
        assert (await get(f"http://{health}/healthz"))[0] == 200
        assert (await get(f"http://{health}/readyz"))[0] == 503
        process.send_signal(signal.SIGHUP)  # as SIGTERM; what closes a terminal, or rotates logs, cuts nobody off
        _, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, errors.decode()


async def test_a_wrong_secret_is_refused(configure: Configure) -> None:
    code, line = await last_line(configure(secret="wrong"))
    assert code == 69
    assert line.startswith("focus: ")


async def test_a_server_that_is_not_there_is_named(configure: Configure, free_tcp_port: Callable[[], int]) -> None:
    port = free_tcp_port()
    code, line = await last_line(configure(port=port))
    assert code == 69
    assert line.startswith("focus: ")
    assert str(port) in line


async def test_a_public_address_that_leads_nowhere_is_named(configure: Configure) -> None:
    code, line = await last_line(configure(public="nowhere.invalid"))
    assert code == 69
    assert line.startswith("focus: [media] public_addresses: nowhere.invalid has no address: ")


async def test_an_address_that_is_not_this_machines_is_named(configure: Configure) -> None:
    code, line = await last_line(configure(address="192.0.2.1"))
    where = "[media] addresses 192.0.2.1, UDP port 0"
    assert (code, line) == (69, f"focus: cannot take audio on {where}: Cannot assign requested address")


async def test_a_folder_that_recordings_cannot_be_written_to_is_named(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "recordings"
    code, line = await last_line(configure(recordings=folder))
    why = "nothing can be written to the folder of recordings: Not a directory"
    assert (code, line) == (69, f"focus: [recordings] folder {folder}: {why}")


@pytest.mark.parametrize("listener", ["http", "metrics"])
async def test_a_taken_port_is_named(configure: Configure, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = await last_line(configure(**{listener: f"127.0.0.1:{port}"}))
    assert (code, line) == (69, f"focus: cannot listen on [{listener}] listen 127.0.0.1:{port}: Address already in use")
