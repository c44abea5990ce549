"""/recordings/NAME: a recording or a received fax, whole or in parts (Range), for whoever has been told its name; the
tracks of a recording, and the manifest that says whose they are, likewise."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from focus.media.recordings import MEDIA_TYPES, NAME

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
            "Content-Type": MEDIA_TYPES[path.suffix.removeprefix(".")],
        }
        return web.FileResponse(path, headers=headers)
