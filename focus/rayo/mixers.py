"""The mixers by the names that clients know them by: names of their security zone only (XEP-0327 section 6.4).

A client's zone is its account: all that has its bare JID. The house is the zone of the configured controllers and of
the applications in this process; its mixers are those of the rooms, and a room's mixer is also for those whom the room
lets command it. Two zones may have mixers of one name and address: who asks decides which is meant, and nobody can find
out about another's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from focus.rayo.addresses import Addresses, mixer_name
from focus.rayo.directory import Directory
from focus.rayo.mixer import HOUSE, Guard, Mixer
from focus.wire.conditions import BadRequest, Conflict
from focus.wire.jid import JID


class Mixers:
    """Those that there are, and who has subscribed to the presence of which address."""

    def __init__(
        self,
        addresses: Addresses,
        directory: Directory,
        *,
        zone: Callable[[JID], str],
        make: Callable[[JID, str, str], Mixer],
        opened: Callable[[Mixer], None],
        subscriptions: int,
        subscriptions_of_one: int,
    ) -> None:
        """`zone` tells whose zone somebody is in. `make` makes a mixer of an address, a name and a zone; `opened` is
        told when it can be found.

        So many `subscriptions` are remembered, of all and of one account: of those who have the most the oldest are
        forgotten first.
        """
        self._addresses = addresses
        self._directory = directory
        self._zone = zone
        self._make = make
        self._opened = opened
        # The subscriptions from either side, each in order: most addresses and accounts have few.
        self._accounts: dict[JID, dict[JID, None]] = {}
        self._watched: dict[JID, dict[JID, None]] = {}
        self._number = 0
        self._maximum, self._maximum_of_one = subscriptions, subscriptions_of_one
        #: The clients of an account that are known to be there.
        self.clients_of: Callable[[JID], Iterable[JID]] = lambda account: ()

    # by name

    def address(self, name: str) -> JID:
        """Where a mixer called `name` lives, if it lives. What makes no difference in an address, as capitals, makes
        none here. Raises `BadRequest`."""
        try:
            return self._addresses.mixer(mixer_name(name))
        except ValueError:
            raise BadRequest(f"not a name for a mixer: {name[:80]!r}") from None

    def find(self, client: JID, address: JID) -> Mixer | None:
        """The mixer that is at `address` for `client`: of its own zone, else of a room that leaves it to them."""
        own = self._directory.mixer(address, self._zone(client))
        if own is not None:
            return own
        room = self._directory.mixer(address, HOUSE)
        return room if room is not None and self.may_use(client, room) else None

    def open(self, client: JID, name: str) -> Mixer:
        """The same, made in the zone of `client` if need be. Raises `BadRequest`, and `Conflict` where a call has that
        address."""
        address = self.address(name)
        return self.find(client, address) or self._open(address, name, self._zone(client))

    def room(self, name: str) -> Mixer | None:
        """The mixer of the room `name`."""
        return self._directory.mixer(self._addresses.mixer(name), HOUSE)

    def open_room(self, name: str) -> Mixer:
        """The same, made if need be. Raises `BadRequest` and `Conflict`."""
        address = self.address(name)
        return self._directory.mixer(address, HOUSE) or self._open(address, name, HOUSE)

    def _open(self, address: JID, name: str, zone: str) -> Mixer:
        is_free = self._directory.call(address) is None
        if not is_free and not (zone == HOUSE and self._directory.is_free_for_room(address)):
            raise Conflict(f"{address} is taken")
        mixer = self._make(address, name, zone)
        self._directory.add(mixer)
        self._opened(mixer)
        return mixer

    # by room

    def bind(self, name: str, owner: JID, guard: Guard = lambda client: False) -> None:
        """Bind the mixer of the room `name` to it: `owner` hears of all that happens in it and keeps it alive, and whom
        `guard` lets pass may command it. Raises `BadRequest` and `Conflict`."""
        self.open_room(name).bind(owner, guard)

    def release(self, name: str, owner: JID) -> None:
        mixer = self.room(name)
        if mixer is not None:
            mixer.release(owner)

    def guard_changed(self, name: str) -> None:
        """Somebody else may command the mixer of the room `name` now."""
        mixer = self.room(name)
        if mixer is not None:
            mixer.guard_changed()

    def is_in_use(self, name: str) -> bool:
        """Whether anything is joined, or about to be, with the mixer of the room `name`."""
        mixer = self.room(name)
        return mixer is not None and bool(mixer.joins)

    # by right

    def may_use(self, client: JID, mixer: Mixer) -> bool:
        """Whether `client` is in the security zone of `mixer`, or of those to whom its room leaves it."""
        return self._zone(client) == mixer.zone or mixer.admits(client)

    # by presence

    def subscribe(self, account: JID, address: JID) -> None:
        """`account` (a bare JID) wants to hear of what is at `address` for it, now and later."""
        watched = self._watched.setdefault(account, {})
        self._number += address not in watched
        watched.pop(address, None)  # it is the newest again
        watched[address] = None
        self._accounts.setdefault(address, {})[account] = None
        if len(watched) > self._maximum_of_one:
            self.unsubscribe(account, next(iter(watched)))
        elif self._number > self._maximum:
            most = max(self._watched, key=lambda one: len(self._watched[one]))
            self.unsubscribe(most, next(iter(self._watched[most])))
        self._refresh(address)

    def unsubscribe(self, account: JID, address: JID) -> None:
        if address in self._watched.get(account, ()):
            self._number -= 1
            for index, key, value in ((self._accounts, address, account), (self._watched, account, address)):
                del index[key][value]
                if not index[key]:
                    del index[key]
            self._refresh(address)

    def subscribers(self, mixer: Mixer, known: Iterable[JID]) -> Iterable[JID]:
        """Each client that is there of each subscribed account.

        Where we know of none, the account itself, as its server knows who is there; but not where a client of it is
        `known` to hear of the mixer anyway, or it is somebody from the room, whose program may be no Rayo client.
        """
        reached = {client.bare for client in known}
        for account in list(self._accounts.get(mixer.address, ())):
            if clients := list(self.clients_of(account)):  # of which some only may be controllers
                yield from (client for client in clients if self.may_use(client, mixer))
            elif account not in reached and self._zone(account) == mixer.zone:
                yield account

    def probe(self, client: JID, address: JID) -> None:
        """`client`, or its server, which does not say whose client it is for, wants to be shown again what it has been
        shown at `address`."""
        for mixer in self._directory.mixers():
            if mixer.address == address:
                mixer.show_again(client)

    def clients_changed(self, account: JID) -> None:
        """A client of `account` has come or gone."""
        for address in list(self._watched.get(account, ())):
            self._refresh(address)

    def _refresh(self, address: JID) -> None:
        for mixer in self._directory.mixers():
            if mixer.address == address:
                mixer.audience_changed()
