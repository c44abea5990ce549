"""Recordings are served to who knows their names, also in parts, and nothing else of their folder is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from yarl import URL

from focus.http.page import PageConfig, PageServer
from focus.media.recordings import FAX
from focus.media.writer import FORMATS

STEM = "0123456789abcdef" * 2
NAME = f"{STEM}.wav"


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[str]:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / NAME).write_bytes(bytes(range(100)))
    for format in (*FORMATS, FAX):
        (folder / f"{STEM}-1.{format}").write_bytes(b"sound")
    (folder / f"{STEM}.json").write_text("{}")
    (folder / f"{NAME}.part").write_bytes(b"part")
    (folder / "notes.txt").write_text("notes")
    (tmp_path / "secret.wav").write_text("secret")
    config = PageConfig("example.org", "guest.example.org", "rooms.example.org", "focus.example.org")
    server = PageServer(config, "ws://127.0.0.1:1/", tmp_path, recordings=folder)
    host, port = await server.start("127.0.0.1", 0)
    yield f"http://{host}:{port}"
    await server.stop()


async def test_a_recording_is_fetched_whole_and_in_parts(base: str) -> None:
    async with ClientSession() as session:
        async with session.get(f"{base}/recordings/{NAME}") as response:
            assert (response.status, await response.read()) == (200, bytes(range(100)))
            assert response.content_type == "audio/wav"
        async with session.get(f"{base}/recordings/{NAME}", headers={"Range": "bytes=10-19"}) as response:
            assert (response.status, await response.read()) == (206, bytes(range(10, 20)))
            assert response.headers["Content-Range"] == "bytes 10-19/100"
        async with session.get(f"{base}/recordings/{NAME}", headers={"Range": "bytes=200-"}) as response:
            assert response.status == 416
        async with session.head(f"{base}/recordings/{NAME}") as response:
            assert (response.status, response.content_length) == (200, 100)


async def test_a_browser_is_told_what_it_is_so_that_it_plays_it(base: str) -> None:
    types = {}
    async with ClientSession() as session:
        for format in (*FORMATS, FAX):
            async with session.get(f"{base}/recordings/{STEM}-1.{format}") as response:
                types[format] = response.headers["Content-Type"]
        async with session.get(f"{base}/recordings/{STEM}.json") as response:
            assert (await response.json(), response.content_type) == ({}, "application/json")
    assert types == {
        "wav": "audio/wav",
        "mp3": "audio/mpeg",
        "ogg": "audio/ogg",
        "opus": "audio/ogg",
        "tiff": "image/tiff",
        "flac": "audio/flac",
    }


@pytest.mark.parametrize(
    "path",
    [
        f"recordings/{NAME}.part",
        "recordings/notes.txt",
        "recordings/",
        "recordings/..%2fsecret.wav",
        "recordings/%2e%2e/secret.wav",
        f"recordings/{'f' * 32}.wav",
        f"recordings/x/{NAME}",
        "recordings/%00",
    ],
)
async def test_nothing_else_is(base: str, path: str) -> None:
    async with ClientSession() as session, session.get(URL(f"{base}/{path}", encoded=True)) as response:
        assert response.status in (404, 503)  # the latter: it is taken for a room, and there is no page
        assert b"secret" not in await response.read()
