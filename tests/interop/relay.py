"""A real TURN server (coturn), with the time-limited credentials that an XMPP server gives out."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.interop.networks import Network
from tests.interop.running import PATIENCE

SECRET = "relay-secret"
PORT = 3478


@asynccontextmanager
async def relay(network: Network, inside: str, outside: str, state: Path, settings: str) -> AsyncIterator[None]:
    """Takes clients at `inside`, and speaks for them from `outside`, both addresses of `network`. `settings` are lines
    of its configuration; those about TLS are left out, as no browser would know our certificate.
    """
    executable = shutil.which("turnserver")
    assert executable is not None, "the tests need Debian's package coturn; ./dev test installs it"
    said, file = state / "relay.log", state / "relay.conf"
    file.write_text(
        "\n".join(line for line in settings.splitlines() if not line.startswith(("tls-", "cert=", "pkey=")))
    )
    with network.entered(), said.open("wb") as log:
        asker = socket.socket(type=socket.SOCK_DGRAM)
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", executable, "-c", str(file), "--no-cli", "--no-tls", "--no-dtls"),
            *(f"--listening-ip={inside}", f"--listening-port={PORT}", f"--relay-ip={outside}"),
            *(f"--userdb={state / 'relay.sqlite'}", f"--pidfile={state / 'relay.pid'}", "--log-file=stdout"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        asker.setblocking(False)
        asker.connect((inside, PORT))
        await _answering(asker, process, said)
        yield
    finally:
        asker.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answering(asker: socket.socket, process: asyncio.subprocess.Process, said: Path) -> None:
    """Until it answers a STUN request (RFC 8489)."""
    request = struct.pack("!HHI12s", 0x0001, 0, 0x2112A442, b"are you up ?")
    async with asyncio.timeout(PATIENCE):
        while process.returncode is None:
            with contextlib.suppress(OSError):  # nobody listens there yet
                asker.send(request)
                if await asyncio.wait_for(asyncio.get_running_loop().sock_recv(asker, 2048), 0.2):
                    return
    raise AssertionError(f"coturn has ended:\n{said.read_text()}")
