"""/recordings/NAME: a recording, whole or in parts (Range), for whoever has been told its name."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from focus.media.recordings import NAME
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
            "Content-Type": FORMATS[path.suffix.removeprefix(".")].media_type,
        }
        return web.FileResponse(path, headers=headers)
