"""The parties of the conversations in these tests: our component and ordinary clients, all on a real Prosody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from typing import Generic, Protocol, TypeVar
from xml.etree import ElementTree as ET

import pytest
import slixmpp
from slixmpp import ClientXMPP
from slixmpp.xmlstream import StanzaBase

from focus.wire.jid import JID
from focus.xmpp.connection import Backoff, Connection
from tests.interop.servers import Server

CLIENT = "{jabber:client}"
Predicate = Callable[[ET.Element], bool]


T = TypeVar("T")


class Inbox(Generic[T]):
    """What somebody was told, in order, until a test asks for it."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._changed = asyncio.Event()

    def put(self, item: T) -> None:
        self.items.append(item)
        self._changed.set()

    async def get(self, wanted: Callable[[T], bool], limit: float = 10.0) -> T:
        """The first item that is wanted, from what is there or comes; it is taken out."""
        try:
            async with asyncio.timeout(limit):
                while True:
                    for item in self.items:
                        if wanted(item):
                            self.items.remove(item)
                            return item
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"it did not come; these did: {[describe(item) for item in self.items]}") from None


def describe(item: object) -> str:
    return ET.tostring(item, "unicode") if isinstance(item, ET.Element) else repr(item)


def found(tree: ET.Element, path: str) -> ET.Element:
    """The first at `path`, which is there."""
    child = tree.find(path)
    assert child is not None
    return child


class Party:
    """A handler of the component that keeps what it gets; `on_iq` answers, like a binding would."""

    def __init__(self) -> None:
        self.messages, self.presences, self.iqs = Inbox[ET.Element](), Inbox[ET.Element](), Inbox[ET.Element]()
        self.states = Inbox[str]()
        self.on_iq: Callable[[ET.Element], Awaitable[ET.Element | None]] | None = None
        self.on_presence: Callable[[ET.Element], bool] = lambda stanza: False
        self.on_message: Callable[[ET.Element], bool] = lambda stanza: False
        self.on_connected: Callable[[], None] = lambda: None
        self.on_disconnected: Callable[[], None] = lambda: None

    def connected(self) -> None:
        self.on_connected()
        self.states.put("connected")

    def disconnected(self) -> None:
        self.on_disconnected()
        self.states.put("disconnected")

    def message(self, stanza: ET.Element) -> None:
        if not self.on_message(stanza):
            self.messages.put(stanza)

    def presence(self, stanza: ET.Element) -> None:
        if not self.on_presence(stanza):
            self.presences.put(stanza)

    async def iq(self, stanza: ET.Element) -> ET.Element | None:
        self.iqs.put(stanza)
        return await self.on_iq(stanza) if self.on_iq is not None else None


@asynccontextmanager
async def running(connection: Connection, party: Party) -> AsyncIterator[Connection]:
    task = asyncio.create_task(connection.run())
    try:
        waiting = asyncio.create_task(party.states.get(lambda state: state == "connected"))
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await task
        await waiting
        yield connection
    finally:
        connection.stop()
        async with asyncio.timeout(60):
            await task


@pytest.fixture
def prosody(server: Server) -> Server:
    """The chosen server, by the name of the usual one."""
    return server


@pytest.fixture
def party() -> Party:
    return Party()


@pytest.fixture
async def component(prosody: Server, party: Party) -> AsyncIterator[Connection]:
    """Our component `focus.localhost`, connected; what it hears is in `party`."""
    host, port = prosody.component
    connection = Connection(prosody.focus, prosody.secret, host, port, party, backoff=Backoff(0.05, 0.2))
    async with running(connection, party):
        yield connection


class Client(ClientXMPP):
    """An ordinary client; every stanza that it gets is also in `inbox`, as a tree."""

    def __init__(self, jid: str, password: str, features: tuple[str, ...] = ()) -> None:
        mechanism = None if password else "ANONYMOUS"
        plain = {"feature_mechanisms": {"unencrypted_scram": True}}
        super().__init__(jid, password, sasl_mech=mechanism, plugin_config=plain)
        self.enable_direct_tls = self.enable_starttls = False
        self.enable_plaintext = True
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0115")
        for feature in features:
            self.plugin["xep_0030"].add_feature(feature)
        self.inbox = Inbox[ET.Element]()
        self.add_filter("in", self._keep)

    def _keep(self, stanza: StanzaBase) -> StanzaBase:
        if stanza.xml.tag.startswith(CLIENT):
            self.inbox.put(deepcopy(stanza.xml))
        return stanza

    async def run_filters(self) -> None:
        self.sender = asyncio.current_task()
        await super().run_filters()

    def ignore_requests(self) -> None:
        """From now on no IQ is answered by itself."""
        self.add_filter("in", lambda stanza: None if stanza.xml.tag == CLIENT + "iq" else stanza)

    @property  # type: ignore[misc]
    def jid(self) -> JID:  # type: ignore[override]
        return JID.parse(str(self.boundjid))

    def say(self, text: str) -> None:
        """Send a stanza as it stands."""
        self.send_raw(text)

    async def hears(
        self, name: str, sender: str | None = None, type: str | None = None, id: str | None = None
    ) -> ET.Element:
        """The next stanza of this kind; type `available` is none."""

        def wanted(tree: ET.Element) -> bool:
            kind = tree.get("type", "available" if name == "presence" else None)
            return (
                tree.tag == CLIENT + name
                and (sender is None or tree.get("from") == sender)
                and (type is None or kind == type)
                and (id is None or tree.get("id") == id)
            )

        return await self.inbox.get(wanted)

    async def asks(self, to: str, payload: str, type: str = "get", id: str = "q1") -> ET.Element:
        """The answer to an IQ."""
        self.say(f"<iq xmlns='jabber:client' type='{type}' to='{to}' id='{id}'>{payload}</iq>")
        return await self.inbox.get(lambda tree: tree.tag == CLIENT + "iq" and tree.get("id") == id)


class Login(Protocol):
    async def __call__(self, name: str = "", resource: str = "phone", features: tuple[str, ...] = ()) -> Client: ...


@pytest.fixture
async def login(prosody: Server) -> AsyncIterator[Login]:
    """`await login("alice")`: an account of the domain, made if need be; `login()` is an anonymous guest."""
    clients: list[Client] = []

    async def enter(name: str = "", resource: str = "phone", features: tuple[str, ...] = ()) -> Client:
        if name:
            await prosody.add_user(f"{name}@{prosody.domain}", "secret")
            client = Client(f"{name}@{prosody.domain}/{resource}", "secret", features)
        else:
            client = Client(prosody.guests, "", features)
        clients.append(client)
        client.connect(*prosody.c2s)
        await client.wait_until("session_start", 10)
        await client.get_roster()  # a server tells about subscriptions only those who have asked for the roster
        await client.plugin["xep_0115"].update_caps(broadcast=False)
        client.send_presence()
        await client.plugin["xep_0030"].get_info(
            slixmpp.JID(client.jid.domain)
        )  # what `say` says must not overtake the presence
        return client

    yield enter
    async with AsyncExitStack() as ends:
        for client in clients:
            ends.push_async_callback(_end, client)


async def _end(client: Client) -> None:
    if client.is_connected():
        await client.disconnect(wait=1.0)
    client.cancel_connection_attempt()
    assert client.sender is not None
    client.sender.cancel()
    await asyncio.wait((client.sender,))
