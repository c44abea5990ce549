"""A way to the server with next to no room in it: who does not read is felt at the other end at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

#: Bytes that wait here, and that the server sends at a time.
ROOM, SEGMENT = 4096, 536


class NarrowWay:
    """A TCP connection to the server at `server`, for one client: `address` is where that goes."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.address = ("", 0)
        #: Whether what the server sends is read. What has been read while it was, in bytes.
        self.open = asyncio.Event()
        self.open.set()
        self.passed = 0
        self._server = server
        self._up = socket.socket()
        self._up.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        self._up.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        self._up.setblocking(False)

    def under_way(self) -> int:
        """Bytes that the server has handed to the kernel, and that have not been read here."""
        ends = {self._up.getsockname()[1], self._server[1]}
        waiting = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if {int(end.rpartition(":")[2], 16) for end in (local, remote)} == ends:
                sent, received = (int(each, 16) for each in queues.split(":"))
                waiting += sent + received
        return waiting

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()

        async def to_server() -> None:
            while data := await reader.read(ROOM):
                await loop.sock_sendall(self._up, data)
            self._up.shutdown(socket.SHUT_WR)

        async def to_client() -> None:
            while await self.open.wait() and (data := await loop.sock_recv(self._up, ROOM)):
                self.passed += len(data)
                writer.write(data)
                await writer.drain()
            writer.close()

        await loop.sock_connect(self._up, self._server)
        with self._up, suppress(ConnectionError):
            await asyncio.gather(to_server(), to_client())


@asynccontextmanager
async def narrow_way(server: tuple[str, int]) -> AsyncIterator[NarrowWay]:
    way = NarrowWay(server)
    listening = await asyncio.start_server(way.carry, "127.0.0.1", 0)
    async with listening:
        way.address = listening.sockets[0].getsockname()[:2]
        yield way
