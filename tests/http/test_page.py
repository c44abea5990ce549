"""The page server, asked over a real connection."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from focus.http.page import PageConfig, PageServer

CONFIG = PageConfig(
    domain="example.org",
    guests="guest.example.org",
    rooms="rooms.example.org",
    focus="focus.example.org",
    title="Tea room",
    frame_ancestors=("https://www.example.org",),
)
NOWHERE = "ws://127.0.0.1:9/xmpp-websocket"


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "assets" / "index-abc.js").write_text("console.log('one')\n" * 100)
    (tmp_path / "secret.txt").write_text("not for you")
    return folder


@pytest.fixture
async def url(static: Path) -> AsyncIterator[str]:
    server = PageServer(CONFIG, NOWHERE, static)
    host, port = await server.start("127.0.0.1", 0)
    yield f"http://{host}:{port}"
    await server.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.mark.parametrize("path", ["/", "/tea", "/five%20o'clock", "/caf%C3%A9", "/room%5C40muc.example.org"])
async def test_every_room_is_the_page(url: str, session: aiohttp.ClientSession, path: str) -> None:
    async with session.get(URL(url + path, encoded=True), headers={"Accept-Encoding": "identity"}) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert "<title>page</title>" in await response.text()
        assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/tea/extra",
        "/assets/",
        "/assets/none.js",
        "/favicon.ico",
        "/robots.txt",
        "/..%2fsecret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/tea%00",
        "/" + "a" * 1024,
    ],
)
async def test_anything_else_is_not_found(url: str, session: aiohttp.ClientSession, path: str) -> None:
    async with session.get(URL(url + path, encoded=True)) as response:
        assert response.status == 404
        assert "not for you" not in await response.text()
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_who_mistypes_the_address_is_asked_for_another_room(url: str, session: aiohttp.ClientSession) -> None:
    browsing = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Encoding": "identity"}
    async with session.get(URL(f"{url}/a%20b@c/d", encoded=True), headers=browsing) as response:
        assert response.status == 404
        assert "<title>page</title>" in await response.text()
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with session.get(f"{url}/assets/none.js", headers={"Accept": "*/*"}) as response:
        assert response.status == 404
        assert "<title>page</title>" not in await response.text()


async def test_the_page_learns_its_configuration(url: str, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{url}/config.json") as response:
        assert await response.json() == {
            "domain": "example.org",
            "guests": "guest.example.org",
            "rooms": "rooms.example.org",
            "focus": "focus.example.org",
            "websocket": "/xmpp-websocket",
            "title": "Tea room",
        }


async def test_assets_are_cached_for_ever_and_compressed(
    url: str, session: aiohttp.ClientSession, static: Path
) -> None:
    async with session.get(f"{url}/assets/index-abc.js", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.content_type in ("text/javascript", "application/javascript")
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await response.read()) == (static / "assets" / "index-abc.js").read_bytes()


async def test_what_has_not_changed_is_not_sent_again(url: str, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{url}/icon.svg") as response:
        tag = response.headers["ETag"]
    async with session.get(f"{url}/icon.svg", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert await response.read() == b""
    async with session.get(f"{url}/icon.svg", headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_the_policy_names_who_may_frame_the_page(url: str, session: aiohttp.ClientSession) -> None:
    async with session.get(url) as response:
        policy = response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self' https://www.example.org" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/config.json", "/icon.svg", "/assets/index-abc.js"])
async def test_pages_of_named_sites_alone_may_have_the_meeting_in_them(
    session: aiohttp.ClientSession, static: Path, path: str
) -> None:
    named = "https://www.example.org"
    for origins, origin in (((named,), named), ((named,), "https://other.example"), ((), named)):
        server = PageServer(replace(CONFIG, origins=origins), NOWHERE, static)
        host, port = await server.start("127.0.0.1", 0)
        async with session.get(f"http://{host}:{port}{path}", headers={"Origin": origin}) as response:
            assert response.headers.get("Access-Control-Allow-Origin") == (origin if origin in origins else None)
            assert "Origin" in response.headers.getall("Vary")  # a cache may have it from before the site was named
        await server.stop()


async def test_only_reading_is_allowed(url: str, session: aiohttp.ClientSession) -> None:
    async with session.head(url) as response:
        assert response.status == 200
    async with session.post(url) as response:
        assert response.status == 405
        assert "Content-Security-Policy" in response.headers


async def test_a_page_that_was_not_built_says_what_to_do(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    server = PageServer(CONFIG, NOWHERE, tmp_path / "none")
    host, port = await server.start("127.0.0.1", 0)
    async with session.get(f"http://{host}:{port}/tea") as response:
        assert response.status == 503
        assert "./dev setup" in await response.text()
    await server.stop()
