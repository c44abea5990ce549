"""What all who are in a conference are told aloud, one thing after another."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from focus.conference.comfort import NAME, Comfort, sounds
from focus.conference.executions import Executions
from focus.conference.roster import Roster
from focus.wire.conditions import ResourceConstraint, StanzaError
from focus.wire.jid import JID
from focus.wire.rayo_component import Failed
from focus.wire.rayo_output import Document

log = logging.getLogger(__name__)

#: Announcements that wait for their turn.
MAX_WAITING = 10
#: Seconds that one may take.
LONGEST = 300.0
#: Names that are said at once; of more it is said how many they are.
MAX_NAMES = 3


class Owner(Protocol):
    """The conference, as far as something is said in it."""

    roster: Roster

    def spawn(self, call: JID | None, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do `work` beside all else, until the conference ends."""


class Announcer:
    """Of one conference. Nothing is at work while nothing is said. Who comes or goes while something else is said is
    told of together with others."""

    def __init__(self, owner: Owner, executions: Executions, comfort: Comfort) -> None:
        self._owner = owner
        self._executions = executions
        self._comfort = comfort
        self._came: list[str] = []
        self._went: list[str] = []
        self._waiting: deque[Document] = deque()
        self._is_busy = False

    def say(self, document: Document) -> None:
        """Raises `ResourceConstraint` where too much is to be said already."""
        if len(self._waiting) >= MAX_WAITING:
            raise ResourceConstraint(f"{MAX_WAITING} announcements wait already")
        self._waiting.append(document)
        self._wake()

    def came(self, name: str) -> None:
        if self._comfort.entry:
            self._came.append(name)
            self._wake()

    def went(self, name: str) -> None:
        if self._comfort.exit:
            self._went.append(name)
            self._wake()

    def _wake(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._owner.spawn(None, self._run)

    async def _run(self) -> None:
        try:
            while (document := self._next()) is not None:
                await self._announce(document)
        finally:
            self._is_busy = False

    def _next(self) -> Document | None:
        comfort = self._comfort
        if self._came:
            names, self._came = self._came, []
            return self._passage(comfort.entry, "joined", names)
        if self._went:
            names, self._went = self._went, []
            return self._passage(comfort.exit, "left", names)
        return self._waiting.popleft() if self._waiting else None

    def _passage(self, sound: str, text: str, names: list[str]) -> Document:
        """Somebody comes in, or goes out."""
        if sound != NAME:
            return sounds(sound)
        comfort = self._comfort
        if len(names) > MAX_NAMES:
            return comfort.speech(comfort.text(f"many_{text}", count=len(names)))
        return comfort.speech(" ".join(comfort.text(text, name=name) for name in names))

    async def _announce(self, document: Document) -> None:
        try:
            output = self._comfort.output(document, max_time=LONGEST)
            reason = await self._executions.run(self._owner.roster.focus, output)
        except StanzaError as error:
            log.info("something is not said in the conference: %s", error)
        else:
            if isinstance(reason, Failed):
                log.warning("something could not be said in the conference: %s", reason.text)
