"""Where inbound calls go: to a room's conference, or to Rayo clients (XEP-0327 section 6.2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from focus.rayo.registration import is_among
from focus.wire.jid import JID


@dataclass(frozen=True, slots=True)
class Route:
    """For calls to the addresses whose local part is like `match` (with `*`, `?` and `[...]`).

    They go to the room `conference`, to `clients` (accounts, single clients or whole domains), or, where neither is
    given, to the room that has the called address. `staged`: to one of `clients` after the other, in their order, not
    to all at once; `timeout`: seconds in which somebody must take the call, in each stage.
    """

    match: str
    conference: str | None = None
    clients: tuple[JID, ...] = ()
    staged: bool = False
    timeout: float = 20.0
    fax: bool = False

    @property
    def stages(self) -> Iterable[Sequence[JID]]:
        """Who is offered the call at once, one stage after the other."""
        return [[client] for client in self.clients] if self.staged else [self.clients]


#: A call to a room, when no route says otherwise.
TO_ITS_ROOM = Route("*")


def route_of(local: str, routes: Iterable[Route]) -> Route:
    """The first of `routes` that is for the local part `local`."""
    return next((route for route in routes if fnmatchcase(local, route.match)), TO_ITS_ROOM)


def is_of_faxes(routes: Sequence[Route], *parts: str) -> bool:
    """Whether one of these local parts, of who calls or is called, is a fax machine's."""
    return any(part and route_of(part, routes).fax for part in parts)


def may_call_from(client: JID, local: str, routes: Iterable[Route]) -> bool:
    """Whether `client` may call others from the address with the local part `local`: calls back would come to it."""
    return is_among(client, route_of(local, routes).clients)
