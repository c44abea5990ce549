"""Rayo clients that register by presence sent to the service (XEP-0327 section 6.1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from focus.rayo.registration import Availability, Registrations
from focus.wire.conditions import NotAuthorized, RegistrationRequired, StanzaError
from focus.wire.jid import JID
from focus.wire.stanzas import CLIENT, PRESENCE, Disconnected, error_of, presence, stanza
from focus.xmpp.connection import Connection
from focus.xmpp.discovery import CAPS, INFO_QUERY, PING_QUERY, RAYO_CLIENT, Caps, Discovery
from focus.xmpp.events import KeptEvents

log = logging.getLogger(__name__)

#: Seconds that a client has to answer when it is asked whether it is still there.
PING_TIMEOUT = 20.0
#: Seconds between two looks for a client that went with its server.
RETURN_INTERVAL = 2.0

#: How servers answer for somebody who is not there.
_GONE = frozenset(
    {
        "gone",
        "item-not-found",
        "recipient-unavailable",
        "remote-server-not-found",
        "remote-server-timeout",
        "service-unavailable",
    }
)


@dataclass(slots=True)
class _Candidate:
    """Somebody who is asked what it is: the presence that it came with, and what it has said last."""

    presence: ET.Element
    availability: Availability


class RegistrationDesk:
    """Takes the presence that is sent to the component's domain.

    A presence registers its sender if the sender may register, and is a Rayo client: its caps say so with their node,
    or service discovery does. COMPAT (punchblock): who sends no caps at all is believed to be one.
    """

    def __init__(
        self,
        connection: Connection,
        discovery: Discovery,
        registrations: Registrations,
        kept: KeptEvents,
        release: Callable[[JID], None],
        *,
        patience: float,
    ) -> None:
        """`kept` is for clients that may not be there; `release` is called for each that turns out to be, and for those
        that have not come within `patience` seconds."""
        self._connection = connection
        self._discovery = discovery
        self._registrations = registrations
        self._kept = kept
        self._release = release
        self._patience = patience
        self._asking: dict[JID, _Candidate] = {}
        # Until when those are looked for who may not be there.
        self._give_up: dict[JID, float] = {}

    def handle_presence(self, stanza: ET.Element) -> bool:
        """Whether the presence told of somebody's availability to the service."""
        kind = stanza.get("type")
        try:
            sender, to = JID.parse(stanza.get("from", "")), JID.parse(stanza.get("to", ""))
        except ValueError:
            return False
        if to.bare != self._connection.jid or kind not in (None, "unavailable", "error"):
            return False
        if kind is None:
            self._available(sender, stanza)
        else:  # an error: what we send does not arrive
            self._asking.pop(sender, None)
            if sender in self._registrations:
                log.info("%s is no longer registered", sender)
            self._registrations.remove(sender)
        return True

    def connected(self) -> None:
        """Ask everybody who is registered, or should have been told something, whether they are there: they may have
        gone meanwhile, unseen."""
        for client in {*self._registrations, *self._kept.clients()}:
            self._look_for(client)
        for client, candidate in self._asking.items():
            self._connection.spawn(self._ask(client, candidate), f"disco {client}")

    def undelivered(self, client: JID) -> None:
        """Something that was sent to `client` has come back: if it does not answer it is no longer registered."""
        if client in self._registrations:
            self._look_for(client)

    def _available(self, sender: JID, stanza: ET.Element) -> None:
        availability = Availability.of(stanza.findtext(f"{{{CLIENT}}}show", "").strip())
        element = stanza.find(f"{{{CAPS}}}c")
        says_so = element is not None and element.get("node", "") == RAYO_CLIENT
        if says_so or element is None or sender in self._registrations:
            try:
                self._register(sender, availability)
            except StanzaError as refusal:
                if says_so or not isinstance(refusal, NotAuthorized):
                    log.info("%s is not registered: %s", sender, refusal)
                    self._connection.send(error_of(stanza, refusal))
                return
            self._asking.pop(sender, None)  # what it said meanwhile is older
        elif self._registrations.security.may_register(sender):
            if sender in self._asking:
                self._asking[sender].availability = availability
            else:
                candidate = self._asking[sender] = _Candidate(stanza, availability)
                self._connection.spawn(self._ask(sender, candidate), f"disco {sender}")

    async def _ask(self, sender: JID, candidate: _Candidate) -> None:
        """Without a session it remains a candidate: `connected` has it asked again."""
        element = candidate.presence.find(f"{{{CAPS}}}c")
        features = await self._discovery.features(sender, element if Caps.read(element) else None)
        is_rayo_client = RAYO_CLIENT in features
        if self._asking.get(sender) is not candidate or not self._connection.connected:
            return
        del self._asking[sender]
        if not is_rayo_client:
            return
        try:
            self._register(sender, candidate.availability)
        except StanzaError as refusal:
            self._connection.send(error_of(candidate.presence, refusal))

    def _register(self, client: JID, availability: Availability) -> None:
        """`client` is there: it gets what was kept for it, or is told that it has missed something, and after that what
        it is offered because it is there. Raises `StanzaError`."""
        self._release(client)
        self._registrations.update(client, availability)
        log.info("%s is registered, %s", client, availability.name.lower())

    def _look_for(self, client: JID) -> None:
        """Who is being looked for already is looked for longer."""
        is_new = client not in self._give_up
        self._give_up[client] = asyncio.get_running_loop().time() + self._patience
        if is_new:
            self._connection.spawn(self._find(client), f"ping {client}")

    async def _find(self, client: JID) -> None:
        try:
            await self._wait_for(client)
        except Disconnected:
            log.debug("nobody knows whether %s is there", client)  # `connected` asks again
        finally:
            del self._give_up[client]

    async def _wait_for(self, client: JID) -> None:
        """Until `client` answers, or has missed what it should have been told. Raises `Disconnected`."""
        while not await self._is_there(client):
            if client in self._registrations:
                self._registrations.remove(client)
                missed = stanza(PRESENCE, client, self._connection.jid, None)
                self._connection.send(error_of(missed, RegistrationRequired("you did not answer; register again")))
            if client not in self._kept:
                return
            if asyncio.get_running_loop().time() >= self._give_up[client]:
                self._kept.give_up(self._connection.jid, client)
                break
            await asyncio.sleep(RETURN_INTERVAL)
        self._release(client)

    async def _is_there(self, client: JID) -> bool:
        """Who does not know pings answers them as servers do for who is not there (XEP-0199 section 4.4), so it is
        asked something that every client of Rayo knows. Raises `Disconnected`."""
        try:
            return await self._answers(client, PING_QUERY) or await self._answers(client, INFO_QUERY)
        except TimeoutError:
            return False

    async def _answers(self, client: JID, query: str) -> bool:
        """Raises TimeoutError where there is no answer at all, and `Disconnected` where there can be none."""
        try:
            await self._connection.iq(self._connection.jid, client, "get", ET.Element(query), PING_TIMEOUT)
        except Disconnected:
            raise
        except StanzaError as error:
            return error.condition not in _GONE
        return True

    def withdraw(self) -> None:
        """Before we go down for good."""
        for client in self._registrations:
            self._connection.send(presence(self._connection.jid, client, "unavailable"))
