"""Networks of our own, made of Linux's network namespaces: what is far away, behind a NAT, or behind a firewall.

A thread is in one namespace, and so is each socket and process that it makes; a test can have ends in several. All of
a namespace goes when nobody has it any more. It takes root, and the packages iproute2 and nftables.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator

CLONE_NEWNET = 0x40000000
CURRENT = "/proc/thread-self/ns/net"

libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def missing() -> str:
    """Why there can be no networks here; empty if there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    for program in ("ip", "nft"):
        if shutil.which(program) is None:
            return f"there is no {program}; ./dev test installs it"
    try:
        Network().close()
    except OSError as error:
        return f"no network namespaces: {error.strerror}"
    return ""


class Network:
    """One namespace, with loopback."""

    def __init__(self) -> None:
        before = os.open(CURRENT, os.O_RDONLY)
        try:
            _checked(libc.unshare(CLONE_NEWNET))
            self._file = os.open(CURRENT, os.O_RDONLY)
            _checked(libc.setns(before, CLONE_NEWNET))
        finally:
            os.close(before)
        self._links = 0
        self.run("ip link set lo up")

    def close(self) -> None:
        os.close(self._file)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in here meanwhile; over an `await`, so is every other task of its loop."""
        before = os.open(CURRENT, os.O_RDONLY)
        _checked(libc.setns(self._file, CLONE_NEWNET))
        try:
            yield
        finally:
            _checked(libc.setns(before, CLONE_NEWNET))
            os.close(before)

    def run(self, *commands: str, given: str | None = None) -> None:
        """Run commands in here, to their ends."""
        with self.entered():
            for command in commands:
                done = subprocess.run(shlex.split(command), input=given, capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{command}: {done.stderr}"

    def link(self, other: Network, here: str, there: str) -> None:
        """A cable to another one, with these addresses (`192.0.2.1/24`) at its ends."""
        names = f"to{self._links}", f"from{other._links}"
        self._links += 1
        other._links += 1
        self.run(f"ip link add {names[0]} type veth peer name {names[1]} netns /proc/{os.getpid()}/fd/{other._file}")
        for network, name, address in ((self, names[0], here), (other, names[1], there)):
            network.run(f"ip address add {address} dev {name} nodad", f"ip link set {name} up")

    def forward(self, on: bool) -> None:
        """Whether it passes on what is for others, as a router does."""
        self.run(f"sysctl -qw net.ipv4.ip_forward={int(on)} net.ipv6.conf.all.forwarding={int(on)}")

    def filter(self, chains: str) -> None:
        """What is let through, and as what: chains of nftables."""
        self.run("nft -f -", given=f"table ip test {{\n{chains}\n}}\n")

    @contextlib.asynccontextmanager
    async def passing_on(self, port: int, target: Network) -> AsyncIterator[int]:
        """A TCP port of 127.0.0.1 in here, whose connections go to `port` of 127.0.0.1 in `target`: how the web server
        is reached from where the audio has to find a way of its own.
        """
        tasks: set[asyncio.Task[None]] = set()

        async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with target.entered():
                far = socket.socket()
            far.setblocking(False)
            await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", port))
            far_reader, far_writer = await asyncio.open_connection(sock=far)
            for one, other in ((reader, far_writer), (far_reader, writer)):
                task = asyncio.create_task(copy(one, other))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        with self.entered():
            listener = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(connected, sock=listener)
        try:
            yield listener.getsockname()[1]
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
