"""A conference and its server, of which only what it is commanded is seen, and which end when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from xml.etree import ElementTree as ET

from focus.conference.executions import Executions
from focus.conference.roster import Roster
from focus.rayo.actor import Outcome
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.rayo import Command, Ref
from focus.wire.rayo_component import Complete, Reason, Stop, Stopped
from focus.wire.rayo_output import Output

TEA = JID("tea", "focus.example.org")
CALL = JID("call", "focus.example.org")


class Stage:
    """`commands`: what components were told. Each has an address of its own, and ends when it is stopped."""

    def __init__(self) -> None:
        self.roster = Roster(focus=TEA, room=JID("tea", "rooms.example.org"))
        self.begun: asyncio.Queue[tuple[JID, Output]] = asyncio.Queue()
        self.commands: list[Command] = []
        self.refusal: StanzaError | None = None
        self.executions = Executions(self, TEA)
        self._tasks: list[asyncio.Task[None]] = []
        self._numbers = count()

    def spawn(self, call: JID | None, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        self._tasks.append(asyncio.ensure_future(work()))
        return self._tasks[-1]

    async def command(self, sender: JID, to: JID, command: Command) -> Outcome:
        if isinstance(command, Output):
            if self.refusal is not None:
                raise self.refusal
            component = to.with_resource(f"output{next(self._numbers)}")
            self.begun.put_nowait((component, command))
            return Ref(uri=component.uri)
        self.commands.append(command)
        if isinstance(command, Stop):
            self.end(to)
        return None

    def end(self, component: JID, reason: Reason | None = None) -> None:
        """Unless it has ended."""
        self.executions.deliver(component, Complete(reason=reason or Stopped()))

    async def begins(self) -> tuple[JID, Output]:
        """What begins next."""
        async with asyncio.timeout(30):
            component, output = await self.begun.get()
            await asyncio.sleep(0)
        return component, output

    async def said(self) -> tuple[str, ...]:
        """What is said next, to its end."""
        component, output = await self.begins()
        self.end(component)
        return tuple("".join(ET.fromstring(each.body or "").itertext()) for each in output.documents)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
