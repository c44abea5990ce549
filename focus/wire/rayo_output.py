"""`<output/>`: what is rendered to a call or into a mixer, and how (XEP-0327 sections 6.5.3 and 7.19.3)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Boolean, Integer, Name
from focus.wire.rayo import Command
from focus.wire.rayo_component import DocumentElement, Execution, Milliseconds, Reason, Timeout

OUTPUT: Final = "urn:xmpp:rayo:output:1"
OUTPUT_COMPLETE: Final = "urn:xmpp:rayo:output:complete:1"


class Document(DocumentElement, tag="document", ns="", nsmap={"": OUTPUT}):
    """What to render: here, with its type, or at a URL."""


class Output(Execution, tag="output", ns="", nsmap={"": OUTPUT}):
    """Render documents, one after another; times are in milliseconds. `repeat_times` 0: for ever."""

    start_offset: Milliseconds = attr(name="start-offset", default=0)
    start_paused: Boolean = attr(name="start-paused", default=False)
    repeat_interval: Milliseconds = attr(name="repeat-interval", default=0)
    repeat_times: Annotated[Integer, Field(ge=0, le=2**31 - 1)] = attr(name="repeat-times", default=1)
    max_time: Timeout = attr(name="max-time", default=-1)
    renderer: Name | None = attr(default=None)
    voice: Name | None = attr(default=None)
    documents: Annotated[tuple[Document, ...], Field(min_length=1, max_length=64)] = element(tag="document")


class Pause(Command, tag="pause", ns="", nsmap={"": OUTPUT}):
    """Stay where it is."""


class Resume(Command, tag="resume", ns="", nsmap={"": OUTPUT}):
    """Go on from there."""


class SpeedUp(Command, tag="speed-up", ns="", nsmap={"": OUTPUT}):
    """Render faster, by one unit."""


class SpeedDown(Command, tag="speed-down", ns="", nsmap={"": OUTPUT}):
    """Render more slowly, by one unit."""


class VolumeUp(Command, tag="volume-up", ns="", nsmap={"": OUTPUT}):
    """Render louder, by one unit."""


class VolumeDown(Command, tag="volume-down", ns="", nsmap={"": OUTPUT}):
    """Render more quietly, by one unit."""


class Seek(Command, tag="seek", ns="", nsmap={"": OUTPUT}):
    """Go forward or back, by so many milliseconds."""

    direction: Literal["forward", "back"] = attr()
    amount: Milliseconds = attr()


class Finish(Reason, tag="finish", ns="", nsmap={"": OUTPUT_COMPLETE}):
    """All of it has been rendered."""


class MaxTime(Reason, tag="max-time", ns="", nsmap={"": OUTPUT_COMPLETE}):
    """It was at work for as long as it may."""


OUTPUT_COMMANDS: tuple[type[Command], ...] = (
    Output, Pause, Resume, SpeedUp, SpeedDown, VolumeUp, VolumeDown, Seek,
)  # fmt: skip
