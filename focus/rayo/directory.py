"""Who lives at which address: look-up is by address, and says nothing of where the actor runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from focus.rayo.actor import Actor
from focus.rayo.call import Call
from focus.rayo.component import Component
from focus.rayo.mixer import Mixer
from focus.wire.conditions import Conflict
from focus.wire.jid import JID


class Directory:
    """Actors by their exact address: what has a resource is a component. Mixers by their security zone, too."""

    def __init__(self) -> None:
        self._actors: dict[JID, Actor] = {}
        self._mixers: dict[tuple[str, JID], Mixer] = {}

    def add(self, actor: Actor) -> None:
        """Raises `Conflict` where the address is taken (XEP-0327 section 6.2.1.1). Mixers have theirs in their zone."""
        if isinstance(actor, Mixer):
            self._mixers[actor.zone, actor.address] = actor
            return
        if actor.address in self._actors:
            raise Conflict(f"{actor.address} is taken")
        self._actors[actor.address] = actor

    def discard(self, actor: Actor) -> None:
        if isinstance(actor, Mixer) and self._mixers.get((actor.zone, actor.address)) is actor:
            del self._mixers[actor.zone, actor.address]
        if self._actors.get(actor.address) is actor:
            del self._actors[actor.address]

    def get(self, address: JID) -> Actor | None:
        return self._actors.get(address)

    def call(self, address: JID) -> Call | None:
        actor = self.get(address)
        return actor if isinstance(actor, Call) else None

    def is_free_for_room(self, address: JID) -> bool:
        """Whether a room's mixer can be at `address`: a client must not keep a room from having its name."""
        call = self.call(address)
        return call is None or call.is_named_by_client

    def mixer(self, address: JID, zone: str) -> Mixer | None:
        return self._mixers.get((zone, address))

    def calls(self) -> Iterator[Call]:
        return (actor for actor in list(self._actors.values()) if isinstance(actor, Call))

    def components(self) -> Iterator[Component[Any]]:
        return (actor for actor in list(self._actors.values()) if isinstance(actor, Component))

    def mixers(self) -> Iterator[Mixer]:
        return iter(list(self._mixers.values()))

    def __contains__(self, address: JID) -> bool:
        return address in self._actors
