"""The components of calls and of the mixer that a conference has started, as any Rayo client does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from focus.rayo.actor import Outcome
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.rayo import Command, Event, Ref
from focus.wire.rayo_component import Complete, Execution, Reason, Stop


class Commanded(Protocol):
    """Who carries out commands: the Rayo server."""

    async def command(self, sender: JID, to: JID, command: Command) -> Outcome:
        """Raises `StanzaError`."""


class Executions:
    """Of the client `client`, who hands on what it is told (`deliver`)."""

    def __init__(self, server: Commanded, client: JID) -> None:
        self._server = server
        self._client = client
        self._ends: dict[JID, asyncio.Future[Reason]] = {}

    def deliver(self, sender: JID, event: Event) -> None:
        if isinstance(event, Complete) and (end := self._ends.pop(sender, None)) is not None and not end.done():
            end.set_result(event.reason)

    async def begin(self, target: JID, command: Execution) -> tuple[JID, asyncio.Future[Reason]]:
        """The component's address, and why it has ended, in the end. Raises `StanzaError`."""
        made = await self._server.command(self._client, target, command)
        assert isinstance(made, Ref)
        component = JID.from_uri(made.uri)
        end = self._ends[component] = asyncio.get_running_loop().create_future()
        return component, end

    async def ended(self, component: JID) -> Reason | None:
        """Why it has ended, when it has; None where it had already."""
        end = self._ends.get(component)
        return await asyncio.shield(end) if end is not None else None

    async def tell(self, component: JID, command: Command) -> None:
        """It may have ended."""
        with suppress(StanzaError):
            await self._server.command(self._client, component, command)

    async def stop(self, component: JID) -> None:
        await self.tell(component, Stop())
