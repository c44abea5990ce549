"""Phones that take every call: real sessions, with ICE, DTLS-SRTP and a leg each, on few streams.

They are the product's own Jingle and media, and each call is as real as any. What is no STUN is told apart by where it
comes from, so each call needs a port of its own, which is a media plane of its own.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

from benchmarks.xmpp_client import Client
from focus.jingle.peer import LegObserver, PeerSession
from focus.media.leg import Leg
from focus.media.plane import MediaPlane
from focus.wire.base import Element
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Action, Jingle, Reason
from focus.wire.rtp import Info

DISCO_INFO = "http://jabber.org/protocol/disco#info"
_FEATURES = (
    "urn:xmpp:jingle:1",
    "urn:xmpp:jingle:apps:rtp:1",
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:dtls:0",
    "urn:xmpp:jingle:transports:ice-udp:1",
)
#: No invitation messages among them: they are called straight by session-initiate.
INFORMATION = (
    f"<query xmlns='{DISCO_INFO}'><identity category='client' type='phone'/>"
    + "".join(f"<feature var='{feature}'/>" for feature in _FEATURES)
    + "</query>"
)


class Phones:
    """Some clients, each of which can have many calls at once."""

    def __init__(self) -> None:
        self.connected = 0
        self.ended = 0
        #: Of all calls that there have been.
        self.legs: list[Leg] = []
        self._planes: list[MediaPlane] = []
        self._free: list[MediaPlane] = []
        self._sessions: dict[str, PeerSession] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: list[Client] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def several(cls, server: tuple[str, int], domain: str, number: int, *, calls: int) -> AsyncIterator["Phones"]:
        """So many of them, each with an anonymous account, for so many calls together."""
        self = cls()
        try:
            for _ in range(calls):
                plane = MediaPlane([("127.0.0.1", 0)])
                await plane.start()
                self._planes.append(plane)
            self._free = list(self._planes)
            for _ in range(number):
                client = await Client.connect(server, domain)
                client.handler = Line(client, self).take
                self._clients.append(client)
            yield self
        finally:
            for session in list(self._sessions.values()):
                session.hangup(Reason.of("success"))
                await session.closed()
            for client in self._clients:
                await client.close()
            for plane in self._planes:
                await plane.stop()

    @property
    def clients(self) -> tuple[Client, ...]:
        return tuple(self._clients)

    @property
    def addresses(self) -> list[str]:
        return [client.jid for client in self._clients]

    async def until_connected(self, number: int) -> None:
        """Until so many calls have had media that can flow both ways."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.connected >= number or self.ended)
        if self.ended:
            raise RuntimeError(f"{self.ended} calls ended when {self.connected} had been connected")

    def ring(self, line: "Line", sender: JID, jingle: Jingle, tree: ET.Element) -> None:
        """Take a call."""
        session = self._sessions[jingle.sid] = PeerSession.incoming(
            local=JID.parse(line.client.jid),
            peer=sender,
            first=jingle,
            tree=tree,
            outbox=line,
            legs=self._leg,
            observer=_Observer(self, jingle.sid),
            isfocus=False,
        )
        session.accept()

    def session(self, sid: str) -> PeerSession | None:
        return self._sessions.get(sid)

    def tell(self, sid: str, *, connected: bool) -> None:
        if connected:
            self.connected += 1
        else:
            self.ended += 1
            del self._sessions[sid]
        task = asyncio.get_running_loop().create_task(self._announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _leg(self, *, controlling: bool, observer: LegObserver) -> Leg:
        leg = self._free.pop().create_leg(controlling=controlling, observer=observer)
        self.legs.append(leg)
        return leg


class Line:
    """One client of a phone: the way in and the way out (`focus.jingle.surroundings.Outbox`)."""

    def __init__(self, client: Client, phones: Phones) -> None:
        self.client = client
        self._phones = phones

    def take(self, stanza: ET.Element) -> str | None:
        if not len(stanza):
            return None
        payload = stanza[0]
        if payload.tag == f"{{{DISCO_INFO}}}query":
            return INFORMATION
        if payload.tag == f"{{{JINGLE}}}jingle":
            jingle, sender = Jingle.parse(payload), JID.parse(stanza.get("from", ""))
            session = self._phones.session(jingle.sid)
            if session is not None:
                session.receive(sender, jingle, payload)
            elif jingle.action is Action.SESSION_INITIATE:
                self._phones.ring(self, sender, jingle, payload)
        return None

    def message(self, sender: JID, to: JID, element: Element) -> None:
        """Nothing here is invited."""

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        await self.client.ask(str(to), "set", element.to_string())


class _Observer:
    """Of one session (`focus.jingle.surroundings.PeerObserver`)."""

    def __init__(self, phones: Phones, sid: str) -> None:
        self._phones = phones
        self._sid = sid

    def peer_ringing(self) -> None: ...

    def peer_accepted(self) -> None: ...

    def peer_connected(self) -> None:
        self._phones.tell(self._sid, connected=True)

    def peer_info(self, info: Info) -> None: ...

    def peer_senders(self, speaks: bool, hears: bool) -> None: ...

    def peer_focus(self, isfocus: bool) -> None: ...

    def peer_speaking(self, speaking: bool) -> None: ...

    def peer_pressed(self, key: str, duration: float) -> None: ...

    def peer_ended(self, reason: Reason, by_peer: bool) -> None:
        self._phones.tell(self._sid, connected=False)
