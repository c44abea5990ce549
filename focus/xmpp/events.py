"""Rayo's events on their way out: directed presence, in order for each client (XEP-0327 section 5.3)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from xml.etree import ElementTree as ET

from focus.wire.conditions import ResourceConstraint
from focus.wire.jid import JID
from focus.wire.rayo import Answered, End, Event, Offer, Ringing, Speaking
from focus.wire.rayo_component import Complete
from focus.wire.stanzas import PRESENCE, error_of, stanza
from focus.xmpp.discovery import CALL

log = logging.getLogger(__name__)

DELAY = "urn:xmpp:delay"
DELAY_TAG = f"{{{DELAY}}}delay"

#: Events that are kept for all clients together, as a multiple of what is kept for one.
CLIENTS_KEPT = 100


class KeptEvents:
    """What could not be sent: there was no connection, or nobody knows yet whether the client is there again after it.
    At most `maximum` for one client.

    With more, or where the client does not come (`give_up`), all that is kept for that client is forgotten, and so is
    what follows until it is there: `lost` is told, and then the client, by an error of the service. The same where what
    was sent to it may not have arrived (`may_have_missed`).
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._kept: dict[JID, deque[ET.Element]] = {}
        self._number = 0
        self._overflowed: dict[JID, JID] = {}
        #: How many were forgotten, or may not have arrived.
        self.forgotten = 0
        #: Told of each client that has missed events.
        self.lost: Callable[[JID], None] = lambda client: None

    def __contains__(self, client: JID) -> bool:
        return client in self._kept or client in self._overflowed

    def clients(self) -> set[JID]:
        """For whom there is something."""
        return self._kept.keys() | self._overflowed.keys()

    def keep(self, service: JID, to: JID, tree: ET.Element) -> None:
        if to in self._overflowed:
            self.forgotten += 1
            return
        kept = self._kept.setdefault(to, deque())
        kept.append(tree)
        self._number += 1
        if len(kept) > self._maximum:
            self.give_up(service, to)
        elif self._number > self._maximum * CLIENTS_KEPT:
            self.give_up(service, max(self._kept, key=lambda client: len(self._kept[client])))

    def take(self, client: JID) -> list[ET.Element]:
        """All that `client` is to be sent, in order; nothing is kept for it any more."""
        found = list(self._kept.pop(client, ()))
        self._number -= len(found)
        service = self._overflowed.pop(client, None)
        if service is not None:
            missed = stanza(PRESENCE, client, service, None)
            found.append(error_of(missed, ResourceConstraint("events for you were lost; register again")))
        return found

    def give_up(self, service: JID, client: JID) -> None:
        """Forget what is kept for `client`, on behalf of `service`."""
        number = self._forget(client)
        if number:
            log.warning("%d events for %s were lost: it could not be reached for too long", number, client)
            self._has_missed(service, client, number)

    def may_have_missed(self, service: JID, client: JID, number: int) -> None:
        """So many events were sent to `client`, and the connection ended before it was certain that they had arrived:
        those that are kept since would not be understood without them."""
        log.warning("%d events for %s may have been lost with the connection", number, client)
        self._has_missed(service, client, number + self._forget(client))

    def _forget(self, client: JID) -> int:
        number = len(self._kept.pop(client, ()))
        self._number -= number
        return number

    def _has_missed(self, service: JID, client: JID, number: int) -> None:
        self.forgotten += number
        self._overflowed[client] = service
        self.lost(client)


def event_stanza(
    sender: JID, to: JID, event: Event, caps: Callable[[str], ET.Element] | None, *, call_ids: bool
) -> ET.Element:
    """`event` as a directed presence with the time of its origin (XEP-0203).

    The first that is heard of a call has its `caps` (section 6.2.2); the end of a call or a component is its going
    offline (sections 6.6.4 and 6.5). `call_ids`: whether who speaks is named in the old way, too.
    """
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    delay = ET.Element(DELAY_TAG, {"stamp": stamp, "from": sender.domain})
    kind = "unavailable" if isinstance(event, End | Complete) else None
    first = isinstance(event, Offer | Ringing | Answered)
    return stanza(PRESENCE, sender, to, kind, caps(CALL) if caps and first else None, _tree(event, call_ids), delay)


@lru_cache(maxsize=64)
def _tree(event: Event, call_ids: bool) -> ET.Element:
    """Made once for all whom the event is sent to: part of many stanzas, and never changed."""
    if call_ids and isinstance(event, Speaking):
        event = event.model_copy(update={"call_id": JID.from_uri(event.call_uri).local})
    return event.to_element()
