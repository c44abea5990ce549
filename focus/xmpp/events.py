"""Rayo's events on their way out: directed presence, in order for each client (XEP-0327 section 5.3)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from focus.wire.conditions import ResourceConstraint
from focus.wire.jid import JID
from focus.wire.rayo import Answered, End, Event, Offer, Ringing, Speaking
from focus.wire.stanzas import PRESENCE, error_of, stanza
from focus.xmpp.discovery import CALL

log = logging.getLogger(__name__)

DELAY = "urn:xmpp:delay"

#: Events that are kept for all clients together, as a multiple of what is kept for one.
CLIENTS_KEPT = 100


class KeptEvents:
    """What could not be sent while there was no connection, at most `maximum` for one client.

    With more, all that is kept for that client is forgotten, and so is what follows until there is a connection:
    `lost` is told, and the client hears of it by an error of the service as soon as it can be told.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._kept: dict[JID, deque[ET.Element]] = {}
        self._number = 0
        self._overflowed: dict[JID, JID] = {}
        #: Told of each client that has missed events.
        self.lost: Callable[[JID], None] = lambda client: None

    def keep(self, service: JID, to: JID, tree: ET.Element) -> None:
        if to in self._overflowed:
            return
        kept = self._kept.setdefault(to, deque())
        kept.append(tree)
        self._number += 1
        if len(kept) > self._maximum:
            self._overflow(service, to)
        elif self._number > self._maximum * CLIENTS_KEPT:
            self._overflow(service, max(self._kept, key=lambda client: len(self._kept[client])))

    def take(self) -> list[ET.Element]:
        """All that is to be sent now, in order; nothing is kept any more."""
        found = [tree for kept in self._kept.values() for tree in kept]
        for client, service in self._overflowed.items():
            missed = stanza(PRESENCE, client, service, None)
            found.append(error_of(missed, ResourceConstraint("events for you were lost; register again")))
        self._kept.clear()
        self._overflowed.clear()
        self._number = 0
        return found

    def _overflow(self, service: JID, client: JID) -> None:
        self._number -= len(self._kept.pop(client))
        self._overflowed[client] = service
        log.warning("%d events for %s were lost: there was no connection for too long", self._maximum + 1, client)
        self.lost(client)


def event_stanza(
    sender: JID, to: JID, event: Event, caps: Callable[[str], ET.Element] | None, *, call_ids: bool
) -> ET.Element:
    """`event` as a directed presence with the time of its origin (XEP-0203).

    The first that is heard of a call has its `caps` (section 6.2.2); the end of a call is its going offline (section
    6.6.4). `call_ids`: whether who speaks is named in the old way, too.
    """
    now = datetime.now(UTC)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    delay = ET.Element(f"{{{DELAY}}}delay", {"stamp": stamp, "from": str(sender.domain)})
    kind = "unavailable" if isinstance(event, End) else None
    first = isinstance(event, Offer | Ringing | Answered)
    if call_ids and isinstance(event, Speaking):
        event = event.model_copy(update={"call_id": JID.from_uri(event.call_uri).local})
    return stanza(PRESENCE, sender, to, kind, caps(CALL) if caps and first else None, event.to_element(), delay)
