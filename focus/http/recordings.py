"""/recordings/NAME: a recording, whole or in parts (Range), for whoever has been told its name; its tracks, and
the manifest that says whose they are, likewise."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from focus.media.recordings import MANIFEST, NAME
from focus.media.writer import FORMATS

RECORDINGS_PATH = "/recordings"


class RecordingFiles:
    """Answers with the recordings in `folder` that are whole, and with nothing else there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        path = self._folder / name
        if not NAME.fullmatch(name) or not path.is_file():
            raise web.HTTPNotFound
        headers = {
            "Cache-Control": "private, no-cache",
            "Content-Disposition": "inline",
            "Content-Type": _media_type(path),
        }
        return web.FileResponse(path, headers=headers)


def _media_type(path: Path) -> str:
    return "application/json" if path.suffix == MANIFEST else FORMATS[path.suffix.removeprefix(".")].media_type
