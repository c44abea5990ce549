"""What a client is told, in order, for `async for`: bounded, and with an end that says why."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime
from typing import Generic, TypeVar

from focus.client.errors import EventsLost, RayoError

T = TypeVar("T")


class Feed(Generic[T]):
    """Iterates over what was put into it, also before, each once; several readers share it.

    After the end the rest can still be read; then the iteration stops, or raises the error that it was ended with. More
    than `maximum` that nobody has read end it with `EventsLost`.
    """

    def __init__(self, maximum: int, owner: object = None) -> None:
        """`owner` is kept alive while somebody reads."""
        self._maximum = maximum
        self._owner = owner
        self._waiting: deque[tuple[T, datetime]] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._error: RayoError | None = None
        #: When that which was read last happened, by the service's clock.
        self.at = datetime.now(UTC)

    def put(self, item: T, at: datetime) -> None:
        """Nothing happens after the end."""
        if self._ended:
            return
        if len(self._waiting) >= self._maximum:
            self.end(EventsLost(f"{self._maximum} events had not been read when the next one came"))
            return
        self._waiting.append((item, at))
        self._news.set()

    def end(self, error: RayoError | None = None) -> None:
        """Idempotent: the first end counts."""
        if not self._ended:
            self._ended, self._error = True, error
            self._news.set()

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            if self._error is not None:
                raise self._error.with_traceback(None)
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        item, self.at = self._waiting.popleft()
        return item
