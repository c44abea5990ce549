"""The service beside a real XMPP server, and clients that speak plain stanzas to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

from pydantic import SecretStr

from focus.client.connection import Account, Connection
from focus.service.config import Settings
from focus.service.phone import Phone
from focus.service.ready import ServiceReady
from focus.service.sections.conference import ConferenceSettings
from focus.service.sections.http import HttpSettings
from focus.service.sections.limits import LimitsSettings
from focus.service.sections.media import MediaSettings
from focus.service.sections.monitoring import MetricsSettings
from focus.service.sections.rayo import RayoSettings
from focus.service.sections.xmpp import XmppSettings
from focus.service.values import Address
from focus.service.wiring import Service
from focus.wire.base import serialize
from focus.wire.jid import JID
from tests.interop.servers import Server

PASSWORD = "secret"
#: Seconds for anything to happen; only a failing test waits so long, or one on a machine that does something else.
PATIENCE = 60.0
#: What an archive (XEP-0313) puts into messages, that of ejabberd before everything else.
OF_THE_ARCHIVE = ("{urn:xmpp:mam:tmp}archived", "{urn:xmpp:sid:0}stanza-id")


@dataclass
class RunningFocus:
    """The service, and where it listens."""

    service: Service
    ready: ServiceReady
    prosody: Server

    @property
    def http(self) -> str:
        assert self.ready.http is not None
        return f"http://{self.ready.http[0]}:{self.ready.http[1]}"

    @property
    def health(self) -> str:
        assert self.ready.metrics is not None
        return f"http://{self.ready.metrics[0]}:{self.ready.metrics[1]}"

    def mixer(self, room: str) -> JID:
        return JID(room, self.prosody.focus)

    def room(self, room: str) -> JID:
        return JID(room, self.prosody.rooms)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds, which nothing tells us of; fails where it never does."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError("it never became so") from None


def settings_for(prosody: Server, **conference: Any) -> Settings:
    """The configuration of a focus beside `prosody`, on loopback, on free ports."""
    return Settings(
        xmpp=XmppSettings(
            jid=prosody.focus,
            secret=SecretStr(prosody.secret),
            host=prosody.component[0],
            port=prosody.component[1],
            muc=prosody.rooms,
        ),
        media=MediaSettings(addresses=("127.0.0.1",), port=0),
        http=HttpSettings(
            listen=Address("127.0.0.1", 0), domain=prosody.domain, guests=prosody.guests, websocket=prosody.websocket
        ),
        metrics=MetricsSettings(listen=Address("127.0.0.1", 0)),
        conference=ConferenceSettings(**{"strangers": True, **conference}),
        rayo=RayoSettings(controllers=(f"controller@{prosody.domain}",)),
        limits=LimitsSettings(load=1.0),  # tests that run beside others leave little to each
    )


@asynccontextmanager
async def serve(prosody: Server, settings: Settings) -> AsyncIterator[RunningFocus]:
    """The service while it runs; what it raises comes out here."""
    stop = asyncio.Event()
    up: asyncio.Future[ServiceReady] = asyncio.get_running_loop().create_future()
    service = Service(settings)
    running = asyncio.create_task(service.run(stop, up.set_result))
    try:
        either: set[asyncio.Future[None] | asyncio.Future[ServiceReady]] = {running, up}
        await asyncio.wait(either, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield RunningFocus(service, await up, prosody)
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE)


@dataclass
class StanzaClient:
    """An XMPP client that sends what it is told, and keeps all that comes until somebody expects it.

    `answers` gives the results of requests by the tag of their child; others are answered with an empty result.
    """

    account: Account
    connection: Connection = field(init=False)
    received: list[ET.Element] = field(default_factory=list)
    answers: dict[str, Callable[[ET.Element], ET.Element | None]] = field(default_factory=dict)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _is_there: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def jid(self) -> JID:
        return self.connection.jid

    async def connect(self) -> None:
        """Log in and be available, as the server knows then; again after the server was gone."""
        self._is_there.clear()
        self.connection = Connection(self.account, self)
        await self.connection.connect()
        self.connection.send(ET.fromstring("<presence xmlns='jabber:client'/>"))
        async with asyncio.timeout(PATIENCE):
            await self._is_there.wait()

    async def close(self) -> None:
        await self.connection.close()

    def message(self, stanza: ET.Element) -> None:
        for child in [child for child in stanza if child.tag in OF_THE_ARCHIVE]:
            stanza.remove(child)
            if child.get("by") != str(self.jid.bare):
                stanza.append(child)  # what a room says of it may be of use
        self._take(stanza)

    def presence(self, stanza: ET.Element) -> None:
        if stanza.get("from") == str(self.jid):
            self._is_there.set()
        self._take(stanza)

    def iq(self, stanza: ET.Element) -> ET.Element | None:
        self._take(stanza)
        answer = self.answers.get(stanza[0].tag)
        return answer(stanza) if answer is not None else None

    def disconnected(self, reason: str) -> None:
        pass

    def send(self, text: str) -> None:
        """Send the stanza written in `text`, in `jabber:client` if it says nothing else."""
        tree = ET.fromstring(text.replace(" ", " xmlns='jabber:client' ", 1))
        self.connection.send(tree)

    async def ask(self, to: JID, type: str, child: str) -> ET.Element:
        """The result stanza; raises the `StanzaError` that comes instead."""
        assert type in ("get", "set")
        return await self.connection.iq(to, type, ET.fromstring(child))  # type: ignore[arg-type]

    async def expect(self, what: str, matches: Callable[[ET.Element], bool]) -> ET.Element:
        """The first stanza that matches, also among those that have come already; it is taken out."""
        async with self.arrived:
            try:
                async with asyncio.timeout(PATIENCE):
                    while True:
                        for stanza in self.received:
                            if matches(stanza):
                                self.received.remove(stanza)
                                return stanza
                        await self.arrived.wait()
            except TimeoutError:
                seen = "\n".join(serialize(stanza, "jabber:client") for stanza in self.received)
                raise AssertionError(f"no {what}; there came:\n{seen}") from None

    async def expect_child(self, tag: str, **attributes: str) -> ET.Element:
        """The next stanza with a child `tag` that has `attributes`."""

        def matches(stanza: ET.Element) -> bool:
            return any(
                child.tag == tag and all(child.get(name) == value for name, value in attributes.items())
                for child in stanza
            )

        return await self.expect(f"{tag} {attributes}", matches)

    def _take(self, stanza: ET.Element) -> None:
        async def put() -> None:
            async with self.arrived:
                self.received.append(stanza)
                self.arrived.notify_all()

        task = asyncio.get_running_loop().create_task(put())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


ClientFactory = Callable[[str], Awaitable[StanzaClient]]
PhoneFactory = Callable[..., Awaitable[Phone]]
