"""What happens to a phone, as a list that can be waited on: for a person, for a log, and for a test."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

#: Events that may come when there is no call, or after one.
BETWEEN_CALLS = frozenset({"connecting", "online", "offline", "incoming", "joined", "ended"})


#: Events that are remembered: a phone may take calls for months.
REMEMBERED = 10_000


class CallOver(Exception):
    """The call ended before what was waited for."""

    def __init__(self, awaited: str, ended: Event) -> None:
        super().__init__(f"the call ended while {awaited!r} was waited for: {ended}")
        self.ended = ended


@dataclass(frozen=True)
class Event:
    """Something that happened. `number` counts from 1; `details` are what JSON can say."""

    number: int
    name: str
    at: datetime
    details: dict[str, Any]

    def __getitem__(self, detail: str) -> Any:
        return self.details[detail]

    def json(self) -> str:
        """One line."""
        return json.dumps({"event": self.name, "number": self.number, "time": self.at.isoformat(), **self.details})

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{name}={value}" for name, value in self.details.items())])


class Events:
    """What happened so far, in order, the last `REMEMBERED` events; `listener` is told of each as it happens."""

    def __init__(self, listener: Callable[[Event], None] | None = None) -> None:
        self._history: deque[Event] = deque(maxlen=REMEMBERED)
        self._total = 0
        self._listener = listener
        self._news = asyncio.Event()

    @property
    def history(self) -> tuple[Event, ...]:
        return tuple(self._history)

    def add(self, name: str, **details: Any) -> Event:
        """`details` that are None are left out."""
        known = {key: value for key, value in details.items() if value is not None}
        self._total += 1
        event = Event(self._total, name, datetime.now(UTC), known)
        self._history.append(event)
        self._news.set()
        self._news = asyncio.Event()
        if self._listener is not None:
            self._listener(event)
        return event

    def _after(self, number: int) -> list[Event]:
        """The events since the one with `number`."""
        forgotten = self._total - len(self._history)
        return list(islice(self._history, max(0, number - forgotten), None))

    async def wait_for(
        self,
        name: str,
        *,
        since: Event | None = None,
        within: float | None = 30.0,
        where: Callable[[Event], bool] = lambda _: True,
        **details: Any,
    ) -> Event:
        """The first event `name` after `since` with these details, for which `where` holds; it may have been already.

        Raises `CallOver` where the call ends first, TimeoutError, which says what did happen, after `within` seconds.
        """
        position = since.number if since is not None else 0
        try:
            async with asyncio.timeout(within):
                while True:
                    news = self._news
                    for event in self._after(position):
                        position = event.number
                        asked = all(event.details.get(key) == value for key, value in details.items())
                        if event.name == name and asked and where(event):
                            return event
                        if event.name == "ended" and name not in BETWEEN_CALLS:
                            raise CallOver(name, event)
                    await news.wait()
        except TimeoutError:
            happened = "; ".join(map(str, self._history)) or "nothing"
            raise TimeoutError(f"no {name} {details or ''} within {within} s, but: {happened}") from None
