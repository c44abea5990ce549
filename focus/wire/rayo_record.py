"""`<record/>`: what of a call or a mixer is kept, and how (XEP-0327 sections 6.5.6 and 7.19.6)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Boolean, Integer, Name, StrictElement, Token
from focus.wire.rayo import Command
from focus.wire.rayo_component import Execution, Metadata, Reason, Timeout

RECORD: Final = "urn:xmpp:rayo:record:1"
RECORD_COMPLETE: Final = "urn:xmpp:rayo:record:complete:1"
#: Of our own: the files of a recording that has one for each who speaks.
TRACKS: Final = "urn:focus-conference:record:tracks:0"

RecordDirection = Literal["duplex", "send", "recv"]


class Hint(StrictElement, tag="hint", ns="", nsmap={"": RECORD}):
    """What the recorder may heed; it ignores those that it does not know."""

    name: Name = attr()
    value: Token = attr()


class Record(Execution, tag="record", ns="", nsmap={"": RECORD}):
    """Write sound to a file; times are in milliseconds. `mix`: both directions of a call in one channel."""

    format: Name = attr(default="wav")
    start_beep: Boolean = attr(name="start-beep", default=False)
    stop_beep: Boolean = attr(name="stop-beep", default=False)
    start_paused: Boolean = attr(name="start-paused", default=False)
    max_duration: Timeout = attr(name="max-duration", default=-1)
    initial_timeout: Timeout = attr(name="initial-timeout", default=-1)
    final_timeout: Timeout = attr(name="final-timeout", default=-1)
    direction: RecordDirection = attr(default="duplex")
    mix: Boolean = attr(default=False)
    hints: Annotated[tuple[Hint, ...], Field(max_length=64)] = element(tag="hint", default=())


class PauseRecording(Command, tag="pause", ns="", nsmap={"": RECORD}):
    """Keep nothing until it is resumed."""


class ResumeRecording(Command, tag="resume", ns="", nsmap={"": RECORD}):
    """Go on, behind what has been kept."""


class Recording(Metadata, tag="recording", ns="", nsmap={"": RECORD_COMPLETE}):
    """Where the recording is; `duration` is in milliseconds, `size` in bytes."""

    uri: Name = attr()
    duration: Annotated[Integer, Field(ge=0)] = attr()
    size: Annotated[Integer, Field(ge=0)] = attr()


class TrackFile(StrictElement, tag="track", ns="", nsmap={"": TRACKS}):
    """What one person has said, as long as the whole; `name` and `jid` as far as the client may know who that is."""

    uri: Name = attr()
    size: Annotated[Integer, Field(ge=0)] = attr()
    name: Token | None = attr(default=None)
    jid: Token | None = attr(default=None)


class TrackFiles(Metadata, tag="tracks", ns="", nsmap={"": TRACKS}):
    """Of a recording with tracks: where they are, and (`uri`) what says when who was heard in them."""

    uri: Name = attr()
    tracks: tuple[TrackFile, ...] = element(tag="track", default=())


class MaxDuration(Reason, tag="max-duration", ns="", nsmap={"": RECORD_COMPLETE}):
    """It is as long as it may be."""


class InitialTimeout(Reason, tag="initial-timeout", ns="", nsmap={"": RECORD_COMPLETE}):
    """Nobody has spoken."""


class FinalTimeout(Reason, tag="final-timeout", ns="", nsmap={"": RECORD_COMPLETE}):
    """Nobody speaks any more."""


RECORD_COMMANDS: tuple[type[Command], ...] = (Record, PauseRecording, ResumeRecording)
