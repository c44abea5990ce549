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

    After the end the rest can still be read; then the iteration stops, or raises the error that it was ended with.

    Of what nobody has read at most `maximum` is kept. Who falls behind gets `EventsLost` after that, once, and can read
    on: what has come since.
    """

    def __init__(self, maximum: int, owner: object = None, *, begins_late: bool = False) -> None:
        """`owner` is kept alive while somebody reads. `begins_late`: as long as nobody has read anything the oldest
        gives way, and nobody has lost it."""
        self._maximum = maximum
        self._begins_late = begins_late
        self._is_behind = False
        self._owner = owner
        self._waiting: deque[tuple[T, datetime]] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._error: RayoError | None = None
        #: When that which was read last happened, by the service's clock.
        self.at = datetime.now(UTC)

    def put(self, item: T, at: datetime) -> None:
        """Nothing happens after the end."""
        if self._ended or self._is_behind:
            return
        if len(self._waiting) < self._maximum:
            self._waiting.append((item, at))
        elif self._begins_late:
            self._waiting.popleft()
            self._waiting.append((item, at))
        else:
            self._is_behind = True
        self._news.set()

    def end(self, error: RayoError | None = None) -> None:
        """Idempotent: the first end counts."""
        if not self._ended:
            self._ended, self._error = True, error
            self._news.set()

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        self._begins_late = False
        while not self._waiting:
            if self._is_behind:
                self._is_behind = False
                raise EventsLost(f"{self._maximum} events had not been read when the next one came")
            if self._error is not None:
                raise self._error.with_traceback(None)
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        item, self.at = self._waiting.popleft()
        return item
