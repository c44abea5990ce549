"""The way from a page to the XMPP server's websocket (RFC 7395): frames go through as they are, both ways."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Collection
from urllib.parse import urlsplit

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web

log = logging.getLogger(__name__)

SUBPROTOCOL = "xmpp"
MESSAGE_LIMIT = 256 * 1024
HEARTBEAT = 30.0
CONNECT_TIMEOUT = 10.0

# Codes that say what happened on a connection but may not be sent on one (RFC 6455 section 7.4.1).
UNSENDABLE = frozenset({1004, 1005, 1006, 1015})

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class WebsocketProxy:
    """Answers GET with a websocket that is joined to one of the upstream.

    Only pages of the same origin, or of one in `origins` ('*' is every one), may open it from a browser. A message
    has at most 256 kB. Who is slow to read slows down the other side: nothing is gathered here.
    """

    def __init__(self, upstream: str, *, origins: Collection[str] = ()) -> None:
        self._upstream = upstream
        self._origins = frozenset(origins)
        self._open: set[web.WebSocketResponse] = set()
        self._is_closed = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The request handler."""
        if self._is_closed:
            return web.Response(status=503, text="The service is shutting down.\n")
        if not self._may_open(request):
            origin, host = request.headers.get("Origin"), request.host
            log.info("websocket refused to a page of %s, asked for at %s ([http] origins)", origin, host)
            return web.Response(status=403, text="Pages of this origin may not use this websocket.\n")
        browser = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), max_msg_size=MESSAGE_LIMIT, heartbeat=HEARTBEAT, compress=False
        )
        if not browser.can_prepare(request).ok:
            return web.Response(status=426, text="This is a websocket.\n", headers={"Upgrade": "websocket"})
        if SUBPROTOCOL not in _offered(request):
            return web.Response(status=400, text="The websocket subprotocol here is 'xmpp'.\n")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    server = await session.ws_connect(
                        self._upstream,
                        protocols=(SUBPROTOCOL,),
                        headers={"X-Forwarded-For": _forwarded_for(request)},
                        max_msg_size=MESSAGE_LIMIT,
                        heartbeat=HEARTBEAT,
                        compress=0,
                    )
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                log.warning("the XMPP server's websocket cannot be reached: %s", error or type(error).__name__)
                return web.Response(status=502, text="The XMPP server cannot be reached.\n")
            async with server:
                await browser.prepare(request)
                self._open.add(browser)
                try:
                    await _join(browser, server)
                finally:
                    self._open.discard(browser)
        return browser

    async def close(self) -> None:
        """End all of them, as we go away, and open none."""
        self._is_closed = True
        await asyncio.gather(*(browser.close(code=WSCloseCode.GOING_AWAY) for browser in set(self._open)))

    def _may_open(self, request: web.Request) -> bool:
        """Browsers always name the origin, and let pages of any site connect: it is for us to refuse."""
        origin = request.headers.get("Origin")
        if origin is None or "*" in self._origins or origin.lower() in self._origins:
            return True
        return urlsplit(origin.lower()).netloc == request.host.lower()


def _offered(request: web.Request) -> set[str]:
    names = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    return {name.strip() for name in names}


def _forwarded_for(request: web.Request) -> str:
    """Whom we speak for. A web server in front, on this machine, is believed; others could write anything."""
    peer = request.remote or "unknown"
    before = request.headers.get("X-Forwarded-For")
    if before and _is_loopback(peer):
        return f"{before}, {peer}"
    return peer


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def _join(browser: Socket, server: Socket) -> None:
    """Carry messages both ways until either side ends; then end the other with the same code."""
    ways = {
        asyncio.create_task(_carry(browser, server), name="websocket to the server"): server,
        asyncio.create_task(_carry(server, browser), name="websocket to the page"): browser,
    }
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await ways[task].close(code=task.result())
    finally:
        for task in ways:
            task.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await browser.close()


async def _carry(source: Socket, target: Socket) -> int:
    """Until the source ends; the close code for the target. Sending waits while the target does not read."""
    async for message in source:
        if message.type is not WSMsgType.TEXT:
            return int(WSCloseCode.UNSUPPORTED_DATA)  # RFC 7395 section 3.2: text only
        try:
            await target.send_str(message.data)
        except (ConnectionError, aiohttp.ClientError):
            return int(WSCloseCode.INTERNAL_ERROR)
    code = source.close_code
    if code is None or code in UNSENDABLE:
        return int(WSCloseCode.GOING_AWAY if code == WSCloseCode.ABNORMAL_CLOSURE else WSCloseCode.OK)
    return int(code)
