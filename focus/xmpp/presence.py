"""Presence of the rooms' addresses: what makes the call button of ordinary clients appear (RFC 6121 sections 3 and 4).

A client calls whom it sees online with the right capabilities; it sees whom it has in its roster. So everybody may
subscribe to a room's address, is subscribed back, and gets an available presence with caps from a resource.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from xml.etree import ElementTree as ET

from focus.wire.jid import JID
from focus.wire.stanzas import presence
from focus.xmpp.connection import Connection

log = logging.getLogger(__name__)

MAX_WATCHERS = 20_000


class PresenceResponder:
    """Accepts subscriptions and answers probes for every address of the component.

    While we are up nobody is sent `unsubscribed` or `unavailable`: the first removes the call button for good, on the
    second some clients end their calls.
    """

    def __init__(self, connection: Connection, caps: Callable[[], ET.Element], resource: str = "focus") -> None:
        self._connection = connection
        self._caps = caps
        self._resource = resource
        # Who has been shown which address, and whether it has asked for the watcher's presence in turn.
        self._watchers: OrderedDict[tuple[JID, JID], bool] = OrderedDict()

    def handle_presence(self, stanza: ET.Element) -> bool:
        """Whether the presence was about a subscription, or a probe."""
        kind = stanza.get("type")
        if kind not in ("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"):
            return False
        try:
            watcher, watched = JID.parse(stanza.get("from", "")), JID.parse(stanza.get("to", "")).bare
        except ValueError as error:
            log.info("presence of type %s: %s", kind, error)
            return True
        if kind == "subscribe":
            self._subscribed(watched, watcher.bare)
        elif kind == "probe":
            self._remember(watched, watcher.bare)
            self._available(watched, watcher)
        elif kind == "unsubscribe":
            self._watchers.pop((watched, watcher.bare), None)
            self._connection.send(presence(watched, watcher.bare, "unsubscribe"))
        return True

    def connected(self) -> None:
        """Tell those who had seen us before the session was lost: their servers' probes may have come meanwhile."""
        for watched, watcher in self._watchers:
            self._available(watched, watcher)

    def withdraw(self) -> None:
        """Before we go down for good."""
        for watched, watcher in self._watchers:
            self._connection.send(presence(watched.with_resource(self._resource), watcher, "unavailable"))
        self._watchers.clear()

    def _subscribed(self, watched: JID, watcher: JID) -> None:
        self._connection.send(presence(watched, watcher, "subscribed"))
        if not self._watchers.get((watched, watcher)):
            # Once: with another program that does the same as we do, this would never end.
            self._connection.send(presence(watched, watcher, "subscribe"))
        self._remember(watched, watcher, asked=True)
        self._available(watched, watcher)

    def _remember(self, watched: JID, watcher: JID, asked: bool = False) -> None:
        self._watchers[watched, watcher] = asked or self._watchers.get((watched, watcher), False)
        self._watchers.move_to_end((watched, watcher))
        if len(self._watchers) > MAX_WATCHERS:
            self._watchers.popitem(last=False)

    def _available(self, watched: JID, watcher: JID) -> None:
        self._connection.send(presence(watched.with_resource(self._resource), watcher, None, self._caps()))
