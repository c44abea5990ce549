"""A component at work on a mixer of the real plane, without a server: what it tells, and what is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from focus.engines.synthesizer import Samples
from focus.media.plane import MediaPlane
from focus.media.tracks import Speaker
from focus.rayo.component import Component, Facilities
from focus.rayo.components import registry
from focus.rayo.surroundings import Client
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.rayo import Command, Event
from focus.wire.rayo_component import Complete, Execution

RATE = 48000
CLIENT = JID.parse("juliet@example.org/balcony")


class Scene:
    """A mixer that is listened to, and the component at work on it."""

    def __init__(self, plane: MediaPlane, facilities: Facilities) -> None:
        self.address = JID.parse("tea@focus.example.org")
        self.is_mixer = True
        self.is_spoken_in = False
        self.node: int | None = plane.create_mixer()
        self.events: list[Event] = []
        self._plane = plane
        self._facilities = facilities
        self._tap = plane.tap(self.node)
        self._heard = np.zeros(0, np.int16)
        self.ended = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: dict[JID, Client] = {}
        self.speakers: list[int] = []
        self.heard_here: list[Speaker] = []
        self.components: list[Component[Any]] = []

    async def begin(self, command: Execution, name: str = "eh3u28") -> Component[Any]:
        """Raises `StanzaError`."""
        component = self.component = self._new(name, CLIENT, command)
        self._task = self._tasks[-1]
        try:
            async with asyncio.timeout(60):
                await component.ready
        except StanzaError:
            await self._task
            raise
        component.begin()
        return component

    def execute(self, sender: JID, command: Execution) -> Component[Any]:
        return self._new(f"part{len(self._tasks)}", sender, command)

    def _new(self, name: str, creator: JID, command: Execution) -> Component[Any]:
        component = registry.of(command)(
            self.address.with_resource(name),
            command,
            creator=creator,
            target=self,
            stage=self,
            facilities=self._facilities,
        )
        self.components.append(component)
        self._tasks.append(asyncio.create_task(component.run()))
        return component

    def register(self, address: JID, client: Client) -> None:
        self._clients[address] = client

    def unregister(self, address: JID) -> None:
        del self._clients[address]

    def is_there(self, client: JID) -> bool:
        return client == CLIENT or client in self._clients

    def authorize(self, sender: JID, command: Command) -> None: ...

    async def has_media(self) -> None:
        pass

    def people(self, client: JID) -> list[Speaker]:
        return self.heard_here

    async def does(self, command: Command) -> None:
        async with asyncio.timeout(60):
            assert await self.component.submit(CLIENT, command) is None

    def emit(self, sender: JID, to: JID, event: Event) -> None:
        assert sender.bare == self.address
        if to in self._clients:
            self._clients[to].deliver(sender, event)
        elif to == CLIENT:
            self.events.append(event)

    def component_ended(self, component: object) -> None:
        self.ended.set()

    def check_alone(self, component: object) -> None: ...

    def set_modem(self, enabled: bool) -> None: ...

    async def complete(self) -> Complete:
        async with asyncio.timeout(60):
            await self._task
        *_, last = self.events
        assert isinstance(last, Complete)
        assert len([event for event in self.events if isinstance(event, Complete)]) == 1
        return last

    def heard(self) -> Samples:
        self._heard = np.concatenate([self._heard, self._tap.read()])
        return self._heard

    def forget(self) -> None:
        """What has been heard and told."""
        self.heard()
        self._heard = np.zeros(0, np.int16)
        self.events.clear()

    async def until_heard(self, seconds: float) -> None:
        """Until so much of sound that is not silence has been heard."""
        await self.until(lambda: int(np.count_nonzero(self.heard())) >= seconds * RATE)

    async def silence(self, seconds: float) -> None:
        """Let so much time go by, by the plane's clock."""
        before = len(self.heard())
        await self.until(lambda: len(self.heard()) >= before + seconds * RATE)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def parts(self) -> list[Samples]:
        """What has been heard between silences of 20 ms and more."""
        heard = self.heard()
        sounds = np.flatnonzero(heard)
        return [heard[part] for part in np.split(sounds, np.flatnonzero(np.diff(sounds) > 960) + 1) if len(part)]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tap.close()
        assert self.node is not None
        self._plane.remove_mixer(self.node)
