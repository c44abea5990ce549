"""Log lines on standard error: for people, or one JSON object each; with the room and the call that they are about."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Literal, TextIO

from focus.wire import context

# Libraries that say at "info" what only their developers want to know.
TALKATIVE = ("aioice", "aiortc", "aiohttp", "asyncio", "libav", "slixmpp")


class ContextFilter(logging.Filter):
    """Puts the task's room and call on each record. It filters nothing out."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.room = context.room.get()
        record.call = context.call.get()
        return True


def _time(record: logging.LogRecord) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(record.created, datetime.UTC)


def _about(record: logging.LogRecord) -> dict[str, str]:
    """The record's room and call, where it has them."""
    named = {name: str(getattr(record, name, "")) for name in ("room", "call")}
    return {name: value for name, value in named.items() if value}


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z info focus.rayo.call [room=tea call=x1] what happened`.

    A line stays a line: what peers sent may hold line breaks, and must not be able to forge one.
    """

    def format(self, record: logging.LogRecord) -> str:
        time = _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        about = " ".join(f"{name}={value}" for name, value in _about(record).items())
        head = f"{time} {record.levelname.lower()} {record.name} {f'[{about}] ' if about else ''}{record.getMessage()}"
        line = "".join(character if character.isprintable() else repr(character)[1:-1] for character in head)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, and room, call, exception where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about(record),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)


def configure(level: str, form: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Send all logs of this level and above to the stream (standard error), in place of any configuration before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(ContextFilter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    logging.captureWarnings(True)
