"""What there is, for who may know of it: a service of our own, as Rayo has no list of calls (XEP-0030 section 4)."""

from __future__ import annotations

from collections.abc import Iterator

from focus.media.plane import Direction
from focus.rayo.call import Call
from focus.rayo.joinable import Joinable
from focus.rayo.mixer import Mixer
from focus.rayo.server import Server
from focus.wire.jid import JID

Item = tuple[JID, str]


class Listing:
    """Items with their names: a mixer's is its own, as commands take it, a call's the JID of its peer, if that is known
    yet.

    Clients see the calls of their account (which only the one that controls them, or a controller, commands), those
    that are offered to them and those of rooms that obey them, and the mixers of their zone; controllers see all calls.
    What others have joined with these has no name: that a caller talks to another tenant's tells nobody who that is.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def calls(self, client: JID) -> Iterator[Item]:
        return (_call(call) for call in self._server.directory.calls() if call.is_for(client))

    def mixers(self, client: JID) -> Iterator[Item]:
        mixers = self._server.directory.mixers()
        return (_mixer(mixer) for mixer in mixers if self._server.may_use(client, mixer))

    def clients(self, client: JID) -> Iterator[Item]:
        """Those of the same account that are registered: so a client learns whether we still know it."""
        return ((one, "") for one in self._server.registrations.of(client.bare))

    def state(self, client: JID, address: JID) -> str:
        """How far the call at `address` has come: offered or dialled, accepted or ringing, answered, ending; nothing
        where there is none that `client` may know of."""
        call = self._server.directory.call(address)
        return call.state if call is not None and call.is_for(client) else ""

    def nick(self, client: JID, address: JID) -> str:
        """What the peer of the call at `address` is called in a room that it is in; nothing where that is not known."""
        call = self._server.directory.call(address)
        if call is None or call.session is None or not call.is_for(client):
            return ""
        peer, rooms = call.session.peer, [party.address.local for party in call.joins if isinstance(party, Mixer)]
        return next(filter(None, (self._server.nick(room, peer) for room in rooms)), "")

    def joined(self, client: JID, address: JID) -> Iterator[Item]:
        """What the call or mixer at `address` is joined with, media or not."""
        party = self._party(client, address)
        return (self._item(other, client) for other in (party.joins if party is not None else ()))

    def components(self, client: JID, address: JID) -> Iterator[Item]:
        """What is at work on the call or mixer at `address`, by the names of the elements that have started it; but
        parts of others."""
        party = self._party(client, address)
        working = party.components if party is not None else ()
        return (
            (component.address, type(component.command).__xml_tag__ or "")
            for component in working
            if component.creator.bare != address
        )

    def directions(self, client: JID, address: JID) -> dict[str, list[str]]:
        """The URIs of those whom the call or mixer at `address` only sends to (`send`), or only hears (`recv`)."""
        party = self._party(client, address)
        found: dict[str, list[str]] = {}
        for other, direction in (party.joins if party is not None else {}).items():
            if direction is not Direction.DUPLEX:
                found.setdefault(direction.value, []).append(other.address.uri)
        return found

    def _party(self, client: JID, address: JID) -> Joinable | None:
        mixer = self._server.mixers.find(client, address)
        call = self._server.directory.call(address)
        return call if mixer is None and call is not None and call.is_for(client) else mixer

    def _item(self, party: Joinable, client: JID) -> Item:
        if isinstance(party, Mixer) and self._server.may_use(client, party):
            return _mixer(party)
        if isinstance(party, Call) and party.is_for(client):
            return _call(party)
        return party.address, ""


def _mixer(mixer: Mixer) -> Item:
    return mixer.address, mixer.name


def _call(call: Call) -> Item:
    return call.address, str(call.session.peer) if call.session is not None else ""
