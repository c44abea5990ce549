"""Who may command, and which clients have said that they are there (XEP-0327 sections 6.1 and 6.2.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from focus.wire.conditions import NotAuthorized, RegistrationRequired, ResourceConstraint
from focus.wire.jid import JID


class Availability(Enum):
    """What a client's presence says."""

    READY = auto()
    """`chat`, or nothing in particular: calls may be offered to it."""
    BUSY = auto()
    """`dnd`, `away` or `xa`: it is known, and wants no calls."""

    @classmethod
    def of(cls, show: str) -> Availability:
        return cls.READY if show in ("", "chat") else cls.BUSY


@dataclass(frozen=True, slots=True)
class Security:
    """`clients` may register, dial, and take what they are offered; `controllers` may do all that without having
    registered, and command everybody's calls.

    Each is an account (a bare JID), one client of it (a full JID), or, of `clients` only, everybody at a domain.
    """

    clients: frozenset[JID] = frozenset()
    controllers: frozenset[JID] = frozenset()

    def may_control(self, client: JID) -> bool:
        return client in self.controllers or client.bare in self.controllers

    def may_register(self, client: JID) -> bool:
        return self.may_control(client) or is_among(client, self.clients)

    def knows(self, account: JID) -> bool:
        """Whether some client of `account` (a bare JID) may register."""
        named = self.clients | self.controllers
        return self.may_register(account) or any(client.bare == account for client in named)


class Registrations:
    """The clients that are there, in the order in which they came."""

    def __init__(self, security: Security, *, maximum: int, maximum_of_one: int) -> None:
        """`maximum`: of clients, overall; `maximum_of_one`: of one account."""
        self.security = security
        self._maximum, self._maximum_of_one = maximum, maximum_of_one
        self._clients: dict[JID, Availability] = {}
        self._accounts: dict[JID, dict[JID, None]] = {}  # the same by their accounts
        #: Told of each client that can be offered calls from now on.
        self.came: Callable[[JID], None] = lambda client: None
        #: Told of each client that can no longer be offered calls, and of each that goes.
        self.lost: Callable[[JID], None] = lambda client: None
        #: Told of each account of which a client has come or gone.
        self.changed: Callable[[JID], None] = lambda account: None

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[JID]:
        return iter(list(self._clients))

    def __contains__(self, client: JID) -> bool:
        return client in self._clients

    def update(self, client: JID, availability: Availability) -> None:
        """`client` is there. Raises `NotAuthorized`, and `ResourceConstraint` where there are too many."""
        if not self.security.may_register(client):
            raise NotAuthorized(f"{client.bare} may not register here")
        if client not in self._clients:
            self._check_room(client)
        before = self._clients.get(client)
        self._clients[client] = availability
        if before is None:
            self._accounts.setdefault(client.bare, {})[client] = None
            self.changed(client.bare)
        if before is Availability.READY and availability is not Availability.READY:
            self.lost(client)
        if before is not Availability.READY and availability is Availability.READY:
            self.came(client)

    def remove(self, client: JID) -> None:
        """`client` has gone; nothing happens where it was not there."""
        before = self._clients.pop(client, None)
        if before is not None:
            account = client.bare
            del self._accounts[account][client]
            if not self._accounts[account]:
                del self._accounts[account]
            self.lost(client)
            self.changed(account)

    def of(self, account: JID) -> list[JID]:
        """The clients of one account."""
        return list(self._accounts.get(account, ()))

    def ready(self, wanted: Collection[JID]) -> list[JID]:
        """Those who can be offered calls, of the accounts, clients and domains that are `wanted`."""
        return [
            client
            for client, availability in self._clients.items()
            if availability is Availability.READY and is_among(client, wanted)
        ]

    def check(self, client: JID) -> None:
        """That `client` may command the service.

        Raises `RegistrationRequired` where it could if it registered, and `NotAuthorized` where it never may.
        """
        if self.security.may_control(client) or client in self._clients:
            return
        if self.security.may_register(client):
            raise RegistrationRequired("send presence to this address first (XEP-0327 section 6.1)")
        raise NotAuthorized(f"{client.bare} may not command this service")

    def _check_room(self, client: JID) -> None:
        if len(self._clients) >= self._maximum:
            raise ResourceConstraint(f"{self._maximum} clients have registered already")
        if len(self._accounts.get(client.bare, ())) >= self._maximum_of_one:
            raise ResourceConstraint(f"{self._maximum_of_one} clients of yours have registered already")


def is_among(client: JID, wanted: Collection[JID]) -> bool:
    """Whether `client` itself, its account or its domain is `wanted`."""
    return client in wanted or client.bare in wanted or JID("", client.domain) in wanted
