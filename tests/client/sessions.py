"""Sessions with a server, and what keeps everything that comes in them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from xml.etree import ElementTree as ET

from focus.client.connection import Account, Connection


class Recorder:
    """Keeps what comes; `answer` is what IQs get."""

    def __init__(self, answer: Callable[[ET.Element], ET.Element | None] = lambda _: None) -> None:
        self.messages: asyncio.Queue[ET.Element] = asyncio.Queue()
        self.presences: asyncio.Queue[ET.Element] = asyncio.Queue()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answer = answer

    def message(self, stanza: ET.Element) -> None:
        self.messages.put_nowait(stanza)

    def presence(self, stanza: ET.Element) -> None:
        self.presences.put_nowait(stanza)

    def iq(self, stanza: ET.Element) -> ET.Element | None:
        return self._answer(stanza)

    def disconnected(self, reason: str) -> None:
        self.lost.set_result(reason)


@contextlib.asynccontextmanager
async def online(account: Account, handler: Recorder) -> AsyncIterator[Connection]:
    connection = Connection(account, handler)
    await connection.connect()
    try:
        yield connection
    finally:
        await connection.close()
