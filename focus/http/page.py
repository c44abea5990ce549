"""The meeting page: its files, its configuration, and its websocket."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from focus.http.recordings import RECORDINGS_PATH, RecordingFiles
from focus.http.server import Listener
from focus.http.websocket import WebsocketProxy

WEBSOCKET_PATH = "/xmpp-websocket"
INDEX = "index.html"
BUILT_STATIC = Path(__file__).parent / "static"

# What browsers and robots ask for unasked: no names of rooms.
NO_ROOMS = frozenset({"favicon.ico", "robots.txt", "apple-touch-icon.png", "apple-touch-icon-precomposed.png"})
ROOM_LIMIT = 1023  # bytes of the local part of a JID (RFC 7622 section 3.3)

COMPRESSIBLE = ("text/", "application/json", "application/javascript", "image/svg+xml", "application/manifest+json")

NOT_BUILT = """\
<!doctype html><html lang="en"><title>No page</title>
<h1>The meeting page has not been built</h1>
<p>In a source checkout, <code>./dev setup</code> builds it; an installed package has it inside.
Everything else works: ordinary XMPP clients can call the rooms.</p></html>
"""


@dataclass(frozen=True)
class PageConfig:
    """What the page must know, and who may use it."""

    domain: str
    guests: str
    rooms: str
    focus: str
    title: str = "Meeting"
    origins: tuple[str, ...] = ()  # other sites whose pages may have the meeting in them, and open the websocket
    frame_ancestors: tuple[str, ...] = ()  # other sites that may show the page in a frame

    def document(self) -> dict[str, str]:
        """/config.json."""
        return {
            "domain": self.domain,
            "guests": self.guests,
            "rooms": self.rooms,
            "focus": self.focus,
            "websocket": WEBSOCKET_PATH,
            "title": self.title,
        }


@dataclass(frozen=True)
class _File:
    """A file of the page, read once: answering touches no disk, and no path of a request ever becomes one of ours."""

    content: bytes
    compressed: bytes | None
    content_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> _File:
        content = path.read_bytes()
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        compressed = gzip.compress(content, mtime=0) if content_type.startswith(COMPRESSIBLE) else None
        if content_type.startswith("text/"):
            content_type += "; charset=utf-8"
        return cls(content, compressed, content_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')

    def answer(self, request: web.Request, caching: str) -> web.Response:
        headers = {"ETag": self.etag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
        if any(f'"{tag.value}"' == self.etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = self.content_type
        if self.compressed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=self.compressed, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=self.content, headers=headers)


class PageServer(Listener):
    """Serves / and /ROOM (the page), its files, /config.json and /xmpp-websocket.

    `static` is the folder of the built page, by default the one inside this package; without an index.html in it a
    page says what to do. `recordings`: the folder of those that /recordings/NAME leads to.
    """

    def __init__(
        self,
        config: PageConfig,
        websocket_upstream: str,
        static: Path | None = None,
        *,
        recordings: Path | None = None,
    ) -> None:
        self._config = config
        self._files = _read_all(BUILT_STATIC if static is None else static)
        self._headers = _security_headers(config)
        self._origins = frozenset(config.origins)
        self._proxy = WebsocketProxy(websocket_upstream, origins=config.origins)
        application = web.Application(middlewares=[self._secure])
        application.router.add_get("/config.json", self._configuration)
        application.router.add_get(WEBSOCKET_PATH, self._proxy.handle, allow_head=False)
        application.router.add_get("/", self._index)
        application.router.add_get("/assets/{name:.+}", self._asset)
        if recordings is not None:
            application.router.add_get(f"{RECORDINGS_PATH}/{{name}}", RecordingFiles(recordings).answer)
        application.router.add_get("/{room}", self._room)
        application.on_shutdown.append(lambda _: self.end_websockets())
        super().__init__(application)

    async def _configuration(self, request: web.Request) -> web.Response:
        return self._shared(request, web.json_response(self._config.document(), headers={"Cache-Control": "no-cache"}))

    async def _index(self, request: web.Request) -> web.Response:
        index = self._files.get(INDEX)
        if index is None:
            return web.Response(status=503, text=NOT_BUILT, content_type="text/html")
        return index.answer(request, "no-cache")

    async def _refusal(self, request: web.Request, refused: web.HTTPException) -> web.StreamResponse:
        """The page where people have mistyped the address: it says what is no name of a room, and asks for another.
        Raises `refused` for everybody and everything else."""
        if refused.status != 404 or "text/html" not in request.headers.get("Accept", "") or INDEX not in self._files:
            raise refused
        response = await self._index(request)
        if response.status != 200:  # it is known to them, as another page
            raise refused
        del response.headers["ETag"]
        response.set_status(404)
        return response

    async def _asset(self, request: web.Request) -> web.Response:
        """Their names hold a hash of their content, so they never change."""
        file = self._files.get(f"assets/{request.match_info['name']}")
        if file is None:
            raise web.HTTPNotFound
        return self._shared(request, file.answer(request, "public, max-age=31536000, immutable"))

    async def _room(self, request: web.Request) -> web.Response:
        """A file beside index.html, or the name of a room."""
        name = request.match_info["room"]
        if file := self._files.get(name):
            return self._shared(request, file.answer(request, "no-cache"))
        if name in NO_ROOMS or "/" in name or not name.isprintable() or len(name.encode()) > ROOM_LIMIT:
            raise web.HTTPNotFound
        return await self._index(request)

    def _shared(self, request: web.Request, response: web.Response) -> web.Response:
        """With leave for pages of `origins`, which load <focus-meeting> and what it asks for."""
        response.headers.add("Vary", "Origin")  # even if there are none, as there may be some while caches have this
        origin = request.headers.get("Origin", "")
        if "*" in self._origins or origin.lower() in self._origins:
            response.headers["Access-Control-Allow-Origin"] = origin or "*"
        return response

    async def end_websockets(self) -> None:
        """For good, before anything else ends: pages come back when the service has been started again."""
        await self._proxy.close()

    @web.middleware
    async def _secure(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Security headers on every answer, the refusals too."""
        try:
            response = await handler(request)
        except web.HTTPException as refused:
            refused.headers.update(self._headers)
            response = await self._refusal(request, refused)
        if not response.prepared:
            response.headers.update(self._headers)
        return response


def _read_all(static: Path) -> dict[str, _File]:
    """Every file below the folder by its path; none where there is no folder."""
    paths = (path for path in static.rglob("*") if path.is_file())
    return {path.relative_to(static).as_posix(): _File.read(path) for path in paths}


def _security_headers(config: PageConfig) -> dict[str, str]:
    ancestors = " ".join(["'self'", *config.frame_ancestors])
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "media-src": "'self' blob:",
        "connect-src": "'self'",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": ancestors,
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), display-capture=()",
    }
