"""What all who are in a conference are told aloud, one thing after another."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from focus.conference.comfort import NAME, Comfort, sounds
from focus.conference.executions import Executions
from focus.conference.roster import Roster
from focus.wire.conditions import ResourceConstraint, StanzaError
from focus.wire.jid import JID
from focus.wire.rayo_component import Failed, Reason
from focus.wire.rayo_output import Document

log = logging.getLogger(__name__)

#: Announcements that wait for their turn.
MAX_WAITING = 10
#: Seconds that one may take.
LONGEST = 300.0
#: Names that are said at once; of more it is said how many they are.
MAX_NAMES = 3
#: Characters of a name that are said.
MAX_NAME = 40


class Owner(Protocol):
    """The conference, as far as something is said in it."""

    roster: Roster

    def spawn(self, call: JID | None, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do `work` beside all else, until the conference ends."""


class Announcer:
    """Of one conference. Nothing is at work while nothing is said. That it is recorded goes before all that waits, and
    before what is announced just now, which is begun anew; who comes and goes, and what is announced, take turns."""

    def __init__(
        self, owner: Owner, executions: Executions, comfort: Comfort, said: Callable[[bool], None] = lambda begins: None
    ) -> None:
        """`said` is told when something begins to be said, and when it has been."""
        self._owner = owner
        self._executions = executions
        self._comfort = comfort
        self._on_said = said
        self._came: list[str] = []
        self._went: list[str] = []
        self._rests_until = 0.0
        self._waiting: deque[Document] = deque()
        self._is_recorded = self._is_told_so = self._is_to_be_told = False
        # What is being said, if it can be said later, and its end.
        self._giving_way: tuple[JID, Document, asyncio.Future[Reason]] | None = None
        self._is_busy = False
        self._news = asyncio.Event()

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

    def recorded(self, is_recorded: bool, *, is_heard: bool) -> None:
        """Whether the conference is recorded from now on; told to nobody where it `is_heard` by nobody."""
        self._is_recorded = is_recorded
        if not is_heard:
            self._is_told_so, self._is_to_be_told = is_recorded, False
        elif is_recorded and not self._is_told_so:
            self._is_to_be_told = True
        self._give_way()
        self._wake()

    def _give_way(self) -> None:
        """What is being said is said later, if it can be, and something is to be told of a recording."""
        is_due = self._is_to_be_told or (self._is_told_so and not self._is_recorded)
        if is_due and self._giving_way is not None:
            component, document, end = self._giving_way
            self._giving_way = None
            if end.done():
                return
            self._waiting.appendleft(document)
            self._owner.spawn(None, partial(self._executions.stop, component))

    def _wake(self) -> None:
        self._news.set()
        if not self._is_busy:
            self._is_busy = True
            self._owner.spawn(None, self._run)

    async def _run(self) -> None:
        try:
            while True:
                self._news.clear()
                if documents := self._next():
                    await self._announce(documents)
                elif self._waiting:
                    await self._announce((self._waiting.popleft(),), gives_way=True)
                elif self._came or self._went:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(self._rests_until):
                            await self._news.wait()
                else:
                    return
        finally:
            self._is_busy = False

    def _next(self) -> tuple[Document, ...]:
        """Nothing where there is nothing, or not yet."""
        if said := self._recording():
            return (self._comfort.speech(said),)
        if (self._came or self._went) and asyncio.get_running_loop().time() >= self._rests_until:
            return self._passages()
        return ()

    def _recording(self) -> str:
        """What has begun is told also where it has ended already."""
        if self._is_to_be_told:
            self._is_to_be_told, self._is_told_so = False, True
            return self._comfort.text("recording_begun")
        if self._is_told_so and not self._is_recorded:
            self._is_told_so = False
            return self._comfort.text("recording_ended")
        return ""

    def _passages(self) -> tuple[Document, ...]:
        came, self._came = self._came, []
        went, self._went = self._went, []
        self._rests_until = float("inf")  # until it has been said
        passages = ((self._comfort.entry, "joined", came), (self._comfort.exit, "left", went))
        return tuple(self._passage(sound, text, names) for sound, text, names in passages if names)

    def _passage(self, sound: str, text: str, names: list[str]) -> Document:
        """Somebody comes in, or goes out."""
        if sound != NAME:
            return sounds(sound)
        comfort = self._comfort
        if len(names) > MAX_NAMES:
            return comfort.speech(comfort.text(f"many_{text}", count=len(names)))
        return comfort.speech(" ".join(comfort.text(text, name=name[:MAX_NAME].strip()) for name in names))

    async def _announce(self, documents: tuple[Document, ...], *, gives_way: bool = False) -> None:
        try:
            output = self._comfort.output(*documents, max_time=LONGEST)
            component, end = await self._executions.begin(self._owner.roster.focus, output)
            self._on_said(True)
            try:
                if gives_way:
                    self._giving_way = (component, documents[0], end)
                    self._give_way()
                reason = await end
            finally:
                self._giving_way = None
                self._on_said(False)
        except StanzaError as error:
            log.info("something is not said in the conference: %s", error)
        else:
            if isinstance(reason, Failed):
                log.warning("something could not be said in the conference: %s", reason.text)
        finally:
            if self._rests_until == float("inf"):
                self._rests_until = asyncio.get_running_loop().time() + self._comfort.rest
