"""What a Rayo service tells, on standard output: a line for people, or a JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from focus.client import (
    Answered,
    End,
    Event,
    Joined,
    Ringing,
    StartedSpeaking,
    StoppedSpeaking,
    Unjoined,
)
from focus.wire.base import local_name

#: Columns of characters where nobody looks.
NO_TERMINAL = 10_000

_ENDS = {
    "busy": "busy",
    "error": "it failed",
    "hangup-command": "hung up by us",
    "hungup": "hung up",
    "rejected": "rejected",
    "timeout": "no answer",
}


class Report:
    """One line for each thing that happens; all that others have said is without anything that a terminal obeys."""

    def __init__(self, *, json: bool) -> None:
        self.is_json = json
        width = None if sys.stdout.isatty() else NO_TERMINAL  # nothing is folded for programs
        self._console = Console(highlight=False, soft_wrap=True, width=width)

    def say(self, name: str, *lines: str, at: datetime | None = None, **details: Any) -> None:
        """`lines` for people; `name` and `details`, where they are not None, for programs."""
        at = at or datetime.now(UTC)
        if self.is_json:
            known = {key.replace("_", "-"): value for key, value in details.items() if value is not None}
            print(json.dumps({"event": name, "time": at.isoformat(timespec="milliseconds"), **known}), flush=True)
        else:
            for line in lines:
                self._console.print(Text(f"{at.astimezone():%H:%M:%S}  ", "dim"), Text(_printable(line)), sep="")

    def event(self, event: Event, at: datetime, who: str = "", *, hint: str | None = None, **details: Any) -> None:
        """What an event says, of `who` (for people), with a hint what to do about it."""
        element = event.to_element()
        said: dict[str, Any] = dict(element.attrib)
        if isinstance(event, End):
            said["reason"] = event.reason
            said["platform-code"] = event.platform_code
        if headers := [[header.name, header.value] for header in getattr(event, "headers", ())]:
            said["headers"] = headers
        words = describe(event, who) + (f" ({hint})" if hint else "")
        self.say(local_name(element.tag), words, at=at, hint=hint, **said, **details)

    def table(
        self,
        rows: Sequence[Mapping[str, Any]],
        nothing: str,
        columns: Sequence[str],
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """A table of these columns for people, or `nothing` where there are no rows; a JSON object for each row for
        programs. `names`: what people call URIs that are in it. A row's `directions` are of its URIs."""
        if self.is_json:
            for row in rows:
                print(json.dumps(row), flush=True)
        elif not rows:
            self._console.print(Text(nothing))
        else:
            table = Table(box=None, pad_edge=False, header_style="bold")
            for column in columns:  # the first is what commands are given: it must be in one piece
                table.add_column(column, overflow="fold", no_wrap=column == columns[0])
            for row in rows:
                ways = row["directions"]
                table.add_row(*(Text(_printable(_cell(row[column], names, ways))) for column in columns))
            self._console.print(table)


def describe(event: Event, who: str = "") -> str:
    """In words."""
    match event:
        case Ringing():
            return "it rings"
        case Answered():
            return "answered"
        case End():
            code = f" ({event.platform_code})" if event.platform_code else ""
            return f"ended: {_ENDS[event.reason]}{code}"
        case Joined() | Unjoined():
            verb = "joined" if isinstance(event, Joined) else "left"
            party = event.mixer_name or event.call_uri
            return f"{who} {verb}" if who else f"{verb} {party}"
        case StartedSpeaking():
            return f"{who or event.call_uri} speaks"
        case StoppedSpeaking():
            return f"{who or event.call_uri} is silent"
    return local_name(event.to_element().tag)


def _cell(cell: str | Sequence[str], names: Mapping[str, str], directions: Mapping[str, str]) -> str:
    """Names, and addresses without what is the same for all of them; which way, where that is not both."""
    if not isinstance(cell, str):
        return ", ".join(_cell(each, names, directions) for each in cell)
    if cell.startswith("xmpp:"):
        name = names.get(cell) or cell.removeprefix("xmpp:").partition("@")[0]
        return f"{name} ({directions[cell]})" if cell in directions else name
    return cell or "?"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
