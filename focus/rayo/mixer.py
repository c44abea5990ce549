"""A mixer: what calls and other mixers are joined to that shall all hear each other (XEP-0327 section 6.4)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from focus.media.plane import Direction, MediaPlane
from focus.media.tracks import Speaker
from focus.rayo.actor import Outcome
from focus.rayo.component import Component
from focus.rayo.joinable import Joinable, Parties, PartyName
from focus.wire.conditions import NotAllowed, NotTheOwner
from focus.wire.jid import JID
from focus.wire.rayo import Command, Joined, StartedSpeaking, StoppedSpeaking
from focus.wire.rayo_component import Execution
from focus.wire.rayo_record import Record
from focus.wire.session import Recorded

#: The zone of the rooms; no JID is empty.
HOUSE = ""

#: Whether a client may command what belongs to a room.
Guard = Callable[[JID], bool]


class Neighbourhood(Parties, Protocol):
    """What a mixer needs of its server."""

    def may_use(self, client: JID, mixer: Mixer) -> bool:
        """Whether `client` is in the security zone of `mixer`."""

    def subscribers(self, mixer: Mixer, known: Iterable[JID]) -> Iterable[JID]:
        """Who has a presence subscription, apart from those who are `known` to hear of the mixer anyway."""

    def is_ours(self, party: Joinable) -> bool:
        """Whether `party` is in the security zone of the rooms, so that what is joined with it stays there."""

    def people(self, mixer: Mixer, client: JID) -> Iterable[Speaker]:
        """Who is heard in `mixer`, named as far as `client` may know who that is."""

    def mixer_unused(self, mixer: Mixer) -> None:
        """Nothing is joined with it any more, nobody holds it: it is to be destroyed."""


class Mixer(Joinable):
    """Lives from its first join (or from being bound to a room) to the end of its last join and binding.

    Mixers that are only joined with each other go together. Whoever is told what happens here is first shown the
    mixer's presence, then who is in it and who speaks; and is shown that it is gone as soon as it is not for them any
    more.
    """

    is_mixer = True

    def __init__(self, address: JID, name: str, plane: MediaPlane, server: Neighbourhood, *, zone: str) -> None:
        """`name` is how its maker wrote it, which its events repeat; the address has no capitals. `zone`: whose it is
        (see `focus.rayo.mixers`)."""
        super().__init__(address, plane, server)
        self.name = name
        self.zone = zone
        self.connect(plane.create_mixer(room=str(address)))
        self._server = server
        self._owners: dict[JID, Guard] = {}
        self._shown: dict[JID, None] = {}
        self._heard: set[Joinable] = set()
        self._recorders: set[Component[Any]] = set()
        self._is_over = False

    @property
    def party(self) -> PartyName:
        return {"mixer_name": self.name}

    # who commands, and who is told

    @property
    def owners(self) -> frozenset[JID]:
        return frozenset(self._owners)

    def admits(self, client: JID) -> bool:
        """Whether the room that this is bound to leaves it to `client`."""
        return client in self._owners or any(guard(client) for guard in self._owners.values())

    def authorize(self, sender: JID, command: Command) -> None:
        if not self._server.may_use(sender, self):
            raise NotTheOwner(f"{self.address} is not yours")

    def check_partner(self, sender: JID) -> None:
        if not self._server.may_use(sender, self):
            raise NotAllowed(f"{self.address} is not yours")

    def audience(self) -> Iterable[JID]:
        return self._shown

    def audience_changed(self) -> None:
        """May be called while it is at work: who cannot be shown anything is gone, which changes the audience."""
        if self._is_over:
            return
        wanted = self._wanted()
        for client in [client for client in self._shown if client not in wanted]:
            if client in self._shown:
                del self._shown[client]
                self._server.show(self.address, client, available=False)
        for client in wanted:
            if client not in self._shown:
                self._shown[client] = None
                self._introduce(client)

    def show_again(self, client: JID) -> None:
        """To `client`, or to all of an account (a bare JID), to whom this has been shown."""
        for shown in list(self._shown):
            if client in (shown, shown.bare):
                self._server.show(self.address, shown, available=True)

    def _wanted(self) -> dict[JID, None]:
        """Each controlling party with a call here, each subscriber, and who holds this for a room.

        Whose call has been brought here by a controller is in another zone, and must not see anything of it.
        """
        wanted = dict.fromkeys(sorted(self._owners, key=str))
        controlling = dict.fromkeys(one for party in self.joins if not party.is_mixer for one in party.audience())
        wanted.update(dict.fromkeys(one for one in controlling if self._server.may_use(one, self)))
        wanted.update(dict.fromkeys(self._server.subscribers(self, tuple(wanted))))
        return wanted

    def _introduce(self, client: JID) -> None:
        self._server.show(self.address, client, available=True)
        for party in self.joins:
            if self.is_flowing(party):
                self._tell([client], Joined(**party.party))
        for party in self.joins:
            if party in self._heard:
                self._tell([client], StartedSpeaking(call_uri=party.address.uri))

    # rooms

    def bind(self, owner: JID, guard: Guard = lambda client: False) -> None:
        """`owner` hears of everything here, also of those who are here already, and keeps the mixer alive, as a room
        does. Whom `guard` lets pass may command it."""
        self._owners[owner] = guard
        self.audience_changed()
        if self._recorders:
            self._tell([owner], Recorded(recorded=True))

    def guard_changed(self) -> None:
        """Others are admitted now. What those who are not any more have led out of the room hears it no longer."""
        for party, maker in list(self.makers.items()):
            is_led_out = not self._server.is_ours(party) and not self._server.may_use(maker, self)
            if is_led_out and party in self.joins:
                self.unjoin(party)
        self.audience_changed()

    def release(self, owner: JID) -> None:
        self._owners.pop(owner, None)
        self.audience_changed()
        self.joins_changed()

    # who records

    def execute(self, sender: JID, command: Execution) -> Component[Any]:
        component = super().execute(sender, command)
        if isinstance(command, Record):
            component.ready.add_done_callback(partial(self._recorded, component))
        return component

    def _recorded(self, component: Component[Any], ready: asyncio.Future[Outcome]) -> None:
        if not ready.cancelled() and ready.exception() is None:
            self._recorders.add(component)
            if len(self._recorders) == 1:
                self._tell(sorted(self._owners, key=str), Recorded(recorded=True))

    def component_ended(self, component: Component[Any]) -> None:
        super().component_ended(component)
        if component in self._recorders:
            self._recorders.discard(component)
            if not self._recorders:
                self._tell(sorted(self._owners, key=str), Recorded(recorded=False))

    # how loud it is to each

    def let_hear(self, listener: Joinable) -> None:
        """Each call here is as loud to `listener` as that wishes."""
        for other in self.joins:
            if listener.node is None or other.node is None or other.is_mixer or other is listener:
                continue
            with contextlib.suppress(ValueError):  # one has left the plane, or they are in different shards
                self._plane.set_listener_gain(listener.node, other.node, 10 ** ((listener.volume or 0.0) / 20))

    # who speaks

    @property
    def is_spoken_in(self) -> bool:
        return bool(self._heard)

    @property
    def speakers(self) -> Iterable[int]:
        heard = [party for party in self.joins if not party.is_mixer and self._hears(party)]
        return [party.node for party in heard if party.node is not None]

    def people(self, client: JID) -> Iterable[Speaker]:
        return self._server.people(self, client)

    def hear(self, party: Joinable) -> None:
        """Tell, once, that the call `party` began or ceased to be heard speaking here."""
        is_heard = party.speaking and self._hears(party)
        if is_heard is (party in self._heard):
            return
        if is_heard:
            self._heard.add(party)
            self.emit(StartedSpeaking(call_uri=party.address.uri))
        else:
            self._heard.discard(party)
            self.emit(StoppedSpeaking(call_uri=party.address.uri))

    def _hears(self, party: Joinable) -> bool:
        return self.joins.get(party) in (Direction.DUPLEX, Direction.RECV) and self.is_flowing(party)

    def parting(self, other: Joinable) -> None:
        if other in self._heard:
            self._heard.discard(other)
            self.emit(StoppedSpeaking(call_uri=other.address.uri))

    # life

    def joins_changed(self) -> None:
        for party in [party for party in self.joins if party.speaking or party in self._heard]:
            self.hear(party)  # of the others there is nothing to tell; mixers do not speak
        for party in self.joins:
            if party.volume is not None:  # zero as well: who comes may have been here when it was another
                self.let_hear(party)
        if not self._is_over and not any(map(_is_used, self.tree())):
            self.unjoin_all()
            if not self._is_over:  # the last of these has brought us here again
                self._is_over = True
                self._server.mixer_unused(self)

    def destroy(self) -> None:
        """Give the node back to the plane, and tell everybody that this is gone. Idempotent."""
        self._is_over = True
        self.close()
        self.hang_up_components()
        if self.node is not None:
            self._plane.remove_mixer(self.node)
            self.node = None
        for client in list(self._shown):
            del self._shown[client]
            self._server.show(self.address, client, available=False)


def _is_used(mixer: Joinable) -> bool:
    assert isinstance(mixer, Mixer)
    return bool(mixer.owners) or not all(party.is_mixer for party in mixer.joins)
