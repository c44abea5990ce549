"""The websocket proxy: to a real Prosody, and to an upstream of our own where the test needs both ends."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from focus.http.page import PageConfig, PageServer
from focus.http.server import Listener
from focus.http.websocket import MESSAGE_LIMIT
from focus.service.prosody import Prosody

CONFIG = PageConfig(
    domain="localhost",
    guests="guest.localhost",
    rooms="rooms.localhost",
    focus="focus.localhost",
    origins=("https://www.example.org",),
)
OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='guest.localhost' version='1.0'/>"

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Upstream:
    """An XMPP server as far as the proxy can tell: one websocket, whose talk the test writes."""

    def __init__(self) -> None:
        self.talk: Talk | None = None
        self.headers: dict[str, str] = {}
        self.ended = asyncio.Event()
        self.close_code: int | None = None
        application = web.Application()
        application.router.add_get("/xmpp-websocket", self._handle)
        self._listener = Listener(application)

    async def start(self) -> str:
        host, port = await self._listener.start("127.0.0.1", 0)
        return f"ws://{host}:{port}/xmpp-websocket"

    async def stop(self) -> None:
        await self._listener.stop()

    async def _handle(self, request: web.Request) -> web.WebSocketResponse:
        self.headers = dict(request.headers)
        socket = web.WebSocketResponse(protocols=("xmpp",), max_msg_size=0)
        await socket.prepare(request)
        assert self.talk is not None
        try:
            await self.talk(socket)
        finally:
            self.close_code = socket.close_code
            self.ended.set()
        return socket


async def echo(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        await socket.send_str(message.data)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    server.talk = echo
    yield server
    await server.stop()


@pytest.fixture
async def proxy(upstream: Upstream, tmp_path: Path) -> AsyncIterator[str]:
    server = PageServer(CONFIG, await upstream.start(), tmp_path)
    host, port = await server.start("127.0.0.1", 0)
    yield f"ws://{host}:{port}/xmpp-websocket"
    await server.stop()


async def receive_xml(socket: aiohttp.ClientWebSocketResponse) -> ET.Element:
    return ET.fromstring(await socket.receive_str(timeout=60))


@pytest.mark.interop
async def test_a_guest_logs_in_through_it(prosody: Prosody, session: aiohttp.ClientSession, tmp_path: Path) -> None:
    server = PageServer(CONFIG, prosody.websocket, tmp_path)
    host, port = await server.start("127.0.0.1", 0)
    async with session.ws_connect(f"ws://{host}:{port}/xmpp-websocket", protocols=("xmpp",)) as socket:
        assert socket.protocol == "xmpp"
        await socket.send_str(OPEN)
        assert (await receive_xml(socket)).get("from") == "guest.localhost"
        features = await receive_xml(socket)
        assert [mechanism.text for mechanism in features.iter("{urn:ietf:params:xml:ns:xmpp-sasl}mechanism")] == [
            "ANONYMOUS"
        ]
        await socket.send_str("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>")
        assert (await receive_xml(socket)).tag.endswith("}success")
        await socket.send_str(OPEN)
        await receive_xml(socket)
        await receive_xml(socket)
        await socket.send_str(
            "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        )
        bound = await receive_xml(socket)
        jid = bound.findtext(".//{urn:ietf:params:xml:ns:xmpp-bind}jid")
        assert jid is not None
        assert "@guest.localhost/" in jid
        # Rooms are made by the focus, and there is none here.
        await socket.send_str(
            "<presence xmlns='jabber:client' to='tea@rooms.localhost/guest'>"
            "<x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
        refused = await receive_xml(socket)
        assert refused.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}not-allowed") is not None
        # The server goes: the page hears of it.
        await prosody.stop()
        while (last := await socket.receive(timeout=60)).type is WSMsgType.TEXT:
            pass
        assert last.type is WSMsgType.CLOSE
    await server.stop()


async def test_messages_pass_unchanged_up_to_the_limit(proxy: str, session: aiohttp.ClientSession) -> None:
    async with session.ws_connect(proxy, protocols=("xmpp",)) as socket:
        for message in ("<a/>", "é" * 1000, "x" * (MESSAGE_LIMIT - 1)):
            await socket.send_str(message)
            assert await socket.receive_str(timeout=60) == message


async def test_a_message_over_the_limit_ends_the_connection(
    proxy: str, session: aiohttp.ClientSession, upstream: Upstream
) -> None:
    async with session.ws_connect(proxy, protocols=("xmpp",)) as socket:
        await socket.send_str("x" * (MESSAGE_LIMIT + 1))
        message = await socket.receive(timeout=60)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)
    await asyncio.wait_for(upstream.ended.wait(), 60)


async def test_binary_is_refused(proxy: str, session: aiohttp.ClientSession, upstream: Upstream) -> None:
    async with session.ws_connect(proxy, protocols=("xmpp",)) as socket:
        await socket.send_bytes(b"x")
        assert (await socket.receive(timeout=60)).type is WSMsgType.CLOSE
    await asyncio.wait_for(upstream.ended.wait(), 60)


@pytest.mark.parametrize(("sent", "seen"), [(1000, 1000), (1001, 1001), (3999, 3999)])
async def test_the_page_closing_is_passed_on(
    proxy: str, session: aiohttp.ClientSession, upstream: Upstream, sent: int, seen: int
) -> None:
    async with session.ws_connect(proxy, protocols=("xmpp",)) as socket:
        await socket.send_str("<a/>")
        await socket.receive_str(timeout=60)
        await socket.close(code=sent)
    await asyncio.wait_for(upstream.ended.wait(), 60)
    assert upstream.close_code == seen


@pytest.mark.parametrize("code", [1000, 1011, 4000])
async def test_the_server_closing_is_passed_on(
    proxy: str, session: aiohttp.ClientSession, upstream: Upstream, code: int
) -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.close(code=code)

    upstream.talk = leave
    async with session.ws_connect(proxy, protocols=("xmpp",)) as socket:
        message = await socket.receive(timeout=60)
        assert (message.type, message.data) == (WSMsgType.CLOSE, code)


async def test_a_page_that_vanishes_ends_the_connection_to_the_server(proxy: str, upstream: Upstream) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(proxy, protocols=("xmpp",))
        await socket.send_str("<a/>")
        await socket.receive_str(timeout=60)
        assert session.connector is not None
        await session.connector.close()  # no goodbye, neither websocket's nor XMPP's
        await asyncio.wait_for(upstream.ended.wait(), 60)


async def test_who_does_not_read_is_not_read_for(
    proxy: str, session: aiohttp.ClientSession, upstream: Upstream
) -> None:
    """The server stops being able to send long before all is sent, and nothing is lost when the page reads again."""
    chunk, count = "x" * 60000, 1000
    stalled = asyncio.Event()
    sent = 0

    async def flood(socket: web.WebSocketResponse) -> None:
        nonlocal sent
        for _ in range(count):
            sending = asyncio.ensure_future(socket.send_str(chunk))
            done, _ = await asyncio.wait({sending}, timeout=1)
            if not done:
                stalled.set()
            await sending
            sent += 1

    upstream.talk = flood
    async with session.ws_connect(proxy, protocols=("xmpp",), max_msg_size=0) as socket:
        await asyncio.wait_for(stalled.wait(), 60)
        assert sent < count
        for _ in range(count):
            assert len(await socket.receive_str(timeout=60)) == len(chunk)


async def test_the_server_hears_whom_it_is_for(proxy: str, session: aiohttp.ClientSession, upstream: Upstream) -> None:
    async with session.ws_connect(proxy, protocols=("xmpp",)):
        assert upstream.headers["X-Forwarded-For"] == "127.0.0.1"
    async with session.ws_connect(proxy, protocols=("xmpp",), headers={"X-Forwarded-For": "192.0.2.1"}):
        assert upstream.headers["X-Forwarded-For"] == "192.0.2.1, 127.0.0.1"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://www.example.org", 101),
        ("https://WWW.example.org", 101),
        ("https://evil.example.net", 403),
        ("http://127.0.0.1:1", 403),
        ("null", 403),
    ],
)
async def test_pages_of_other_sites_are_refused(
    proxy: str, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture, origin: str, status: int
) -> None:
    caplog.set_level("INFO")
    got = 101
    try:
        async with session.ws_connect(proxy, protocols=("xmpp",), origin=origin):
            pass
    except aiohttp.WSServerHandshakeError as refused:
        got = refused.status
        host = proxy.removeprefix("ws://").removesuffix("/xmpp-websocket")
        assert f"refused to a page of {origin}, asked for at {host} " in caplog.text
    assert got == status


async def test_the_page_itself_is_let_in(proxy: str, session: aiohttp.ClientSession) -> None:
    own = proxy.replace("ws://", "http://").removesuffix("/xmpp-websocket")
    async with session.ws_connect(proxy, protocols=("xmpp",), origin=own) as socket:
        assert socket.protocol == "xmpp"


async def test_another_subprotocol_is_refused(proxy: str, session: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await session.ws_connect(proxy, protocols=("chat",))
    assert refused.value.status == 400


async def test_a_plain_get_is_told_what_this_is(proxy: str, session: aiohttp.ClientSession) -> None:
    async with session.get(proxy.replace("ws://", "http://")) as response:
        assert response.status == 426


async def test_no_server_is_a_bad_gateway(
    session: aiohttp.ClientSession, free_tcp_port: Callable[[], int], tmp_path: Path
) -> None:
    server = PageServer(CONFIG, f"ws://127.0.0.1:{free_tcp_port()}/xmpp-websocket", tmp_path)
    host, port = await server.start("127.0.0.1", 0)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await session.ws_connect(f"ws://{host}:{port}/xmpp-websocket", protocols=("xmpp",))
    assert refused.value.status == 502
    await server.stop()


async def test_stopping_says_goodbye(session: aiohttp.ClientSession, upstream: Upstream, tmp_path: Path) -> None:
    server = PageServer(CONFIG, await upstream.start(), tmp_path)
    host, port = await server.start("127.0.0.1", 0)
    async with session.ws_connect(f"ws://{host}:{port}/xmpp-websocket", protocols=("xmpp",)) as socket:
        stopping = asyncio.create_task(server.stop())
        message = await socket.receive(timeout=60)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await stopping
    await asyncio.wait_for(upstream.ended.wait(), 60)
