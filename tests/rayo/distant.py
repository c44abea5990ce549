"""A Rayo server whose clients are behind an XMPP server: they lose it, and it loses them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal
from xml.etree import ElementTree as ET

from typing_extensions import override

from focus.rayo.registration import Availability
from focus.wire.base import serialize
from focus.wire.conditions import ServiceUnavailable
from focus.wire.jid import JID
from focus.wire.jingle_message import Dialect
from focus.wire.rayo import EVENTS, Event
from focus.wire.stanzas import Disconnected, error_of
from focus.xmpp.binding import Binding, Outbox
from focus.xmpp.connection import Connection
from focus.xmpp.discovery import Discovery
from focus.xmpp.registration import RegistrationDesk
from tests.xmpp.conftest import Party

from .scene import DOMAIN, Client, Focus

#: So few that some are lost.
EVENTS_KEPT = 2

SHOWS = {Availability.READY: "chat", Availability.BUSY: "dnd"}


class Line(Connection):
    """A connection whose server is played. What cannot be delivered comes back."""

    def __init__(self, clients: dict[JID, Client]) -> None:
        super().__init__(DOMAIN, "secret", "127.0.0.1", 1, Party())
        self.connected = True
        #: Clients that cannot be reached, without that anybody has said so.
        self.deaf: set[JID] = set()
        #: Those of whom that is known, because something has come back.
        self.unreached: set[JID] = set()
        #: Those that know that they are registered, and how much they had heard before.
        self.registered: dict[JID, int] = {}
        #: Those that have missed something, and know it.
        self.missed: set[JID] = set()
        self.binding: Binding | None = None
        self._clients = clients

    @override
    def send(self, element_tree: ET.Element) -> bool:
        if not self.connected:
            return False
        tree = ET.fromstring(serialize(element_tree))
        to = JID.parse(tree.get("to", ""))
        if to not in self.deaf:
            self._deliver(JID.parse(tree.get("from", "")), to, tree)
        elif tree.get("type") != "error":
            asyncio.get_running_loop().call_soon(self._bounce, error_of(tree, ServiceUnavailable()))
        return True

    def _deliver(self, sender: JID, to: JID, tree: ET.Element) -> None:
        client = self._clients.get(to)
        if client is None:
            return
        if tree.get("type") == "error":
            assert sender == self.jid
            self.registered.pop(to, None)
            self.missed.add(to)
            return
        events = [EVENTS[child.tag].parse(child) for child in tree if child.tag in EVENTS]
        for event in events:
            client.deliver(sender, event)
        if not events:
            client.show(sender, tree.get("type") is None)

    def _bounce(self, tree: ET.Element) -> None:
        if self.connected and self.binding is not None:
            self.unreached |= {JID.parse(tree.get("from", ""))} & self.deaf
            self.binding.presence(tree)

    @override
    async def iq(
        self, sender: JID, to: JID, type: Literal["get", "set"], child: ET.Element | None, timeout: float = 10.0
    ) -> ET.Element:
        await asyncio.sleep(0)
        if not self.connected:
            raise Disconnected
        if to in self.deaf:
            raise ServiceUnavailable
        return ET.Element("iq")

    @override
    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def idle(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks)


class Distant(Focus):
    """The server under test with its way out to XMPP, and its way in for presence."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.line = Line(self.clients)
        self._outbox = Outbox(events=EVENTS_KEPT)
        self._outbox.connection = self.line
        self.line.binding = self.binding = Binding(self.server, self._outbox, grace=0.0)
        self.binding.desk = RegistrationDesk(
            self.line,
            Discovery(self.line, tuple),
            self.server.registrations,
            self._outbox.kept,
            self._outbox.release,
            patience=0.0,
        )

        #: Those who have not been told something and have not been heard of since.
        self.unaware: set[JID] = set()

    async def _dialect(self, peer: JID) -> Dialect | None:
        for _ in range(5):  # commands come meanwhile
            await asyncio.sleep(0)
        return await super()._dialect(peer)

    def event(self, sender: JID, to: JID, event: Event) -> None:
        if to in self.line.deaf and not self.line.connected:
            self.unaware.add(to)
        self._outbox.event(sender, to, event)

    def mixer_presence(self, sender: JID, to: JID, *, available: bool) -> None:
        self._outbox.mixer_presence(sender, to, available=available)

    def comes(self, client: Client, availability: Availability) -> None:
        """What `client` says when it is ready or busy; before the first time its server says that it had gone."""
        if client.jid not in self.line.registered:
            self.goes(client)
            self.line.registered[client.jid] = len(client.stream)
        self._says(client, None, f"<show>{SHOWS[availability]}</show>")

    def goes(self, client: Client) -> None:
        self.line.registered.pop(client.jid, None)
        self._says(client, "unavailable")

    def _says(self, client: Client, kind: str | None, child: str = "") -> None:
        about = f"from='{client.jid}' to='{DOMAIN}'" + (f" type='{kind}'" if kind else "")
        self.binding.presence(ET.fromstring(f"<presence xmlns='jabber:client' {about}>{child}</presence>"))

    def cut(self) -> None:
        if self.line.connected:
            self.line.connected = False
            self.binding.disconnected()

    def mend(self) -> None:
        if not self.line.connected:
            self.line.connected = True
            self.binding.connected()
