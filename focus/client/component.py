"""Components as a Rayo client has them: work on a call or a mixer, its commands, and how it ended (XEP-0327 section
6.5)."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

from focus.client.errors import RayoError
from focus.client.feed import Feed
from focus.client.interpretation import Interpretation
from focus.wire.jid import JID
from focus.wire.rayo import Command, Event, Ref
from focus.wire.rayo_component import Complete, Execution, Metadata, Reason, Stop
from focus.wire.rayo_cpa import Signal
from focus.wire.rayo_fax import Fax, FaxMetadata
from focus.wire.rayo_input import Grammar, Input, InputMode, Match
from focus.wire.rayo_output import (
    Document,
    Output,
    Pause,
    Resume,
    Seek,
    SpeedDown,
    SpeedUp,
    VolumeDown,
    VolumeUp,
)
from focus.wire.rayo_prompt import Prompt
from focus.wire.rayo_record import (
    Hint,
    PauseRecording,
    Record,
    RecordDirection,
    Recording,
    ResumeRecording,
    TrackFile,
    TrackFiles,
)

if TYPE_CHECKING:
    from focus.client.rayo import RayoClient


class Component:
    """Work that we have started. Commands raise `RayoError`, `item-not-found` once it has ended."""

    def __init__(self, client: RayoClient, address: JID, backlog: int) -> None:
        self.address = address
        #: How it ended, and what it has brought; None as long as it is at work.
        self.complete: Complete | None = None
        #: What it tells, in order; `Complete` is the last, and for most of them all.
        self.events: Feed[Event] = Feed(backlog, owner=self)
        self._client = client
        self._lost: RayoError | None = None
        self._over = asyncio.Event()

    @property
    def uri(self) -> str:
        return self.address.uri

    async def stop(self) -> None:
        """End it, unless it has ended; `completed` waits for that."""
        try:
            await self.command(Stop())
        except RayoError as error:
            if error.condition != "item-not-found":
                raise

    async def command(self, command: Command) -> Ref | None:
        """Any other command of Rayo."""
        return await self._client.command(self.address, command)

    async def completed(self) -> Complete:
        """Return when it has ended, and how. Raises `CallEnded` where its call has ended without a word of it, and
        `SessionLost` where we cannot learn it any more."""
        await self._over.wait()
        if self.complete is None:
            assert self._lost is not None
            raise self._lost.with_traceback(None)
        return self.complete

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    @property
    def _reason(self) -> Reason | None:
        return self.complete.reason if self.complete is not None else None

    @property
    def _brought(self) -> Iterable[Metadata]:
        return self.complete.metadata if self.complete is not None else ()

    # what is told

    def _told(self, event: Event, at: datetime) -> None:
        self.events.put(event, at)
        if isinstance(event, Complete):
            self.complete = event
            self.events.end()
            self._over.set()

    def _lose(self, error: RayoError, *, closed: bool) -> None:
        self._lost = error
        self.events.end(None if closed else error)
        self._over.set()


class OutputComponent(Component):
    """Something that is played (section 6.5.3)."""

    async def pause(self) -> None:
        await self.command(Pause())

    async def resume(self) -> None:
        await self.command(Resume())

    async def seek(self, seconds: float) -> None:
        """Forward, or back by less than nothing."""
        direction = "forward" if seconds >= 0 else "back"
        await self.command(Seek.model_validate({"direction": direction, "amount": round(abs(seconds) * 1000)}))

    async def speed_up(self) -> None:
        await self.command(SpeedUp())

    async def speed_down(self) -> None:
        await self.command(SpeedDown())

    async def volume_up(self) -> None:
        await self.command(VolumeUp())

    async def volume_down(self) -> None:
        await self.command(VolumeDown())


class InputComponent(Component):
    """Something that is gathered (section 6.5.4). In the mode "cpa" `events` has the signals (XEP-0341 section 3.1)."""

    @property
    def signal(self) -> Signal | None:
        """What has ended it, where that was a signal (XEP-0341 section 3.2)."""
        return self._reason if isinstance(self._reason, Signal) else None

    @property
    def interpretation(self) -> Interpretation | None:
        """What has matched, once it is complete; None where nothing has. Raises `RayoError` where the result is no
        NLSML: then it is in the reason of `complete`."""
        reason = self._reason
        if not isinstance(reason, Match):
            return None
        try:
            return Interpretation.parse(reason.result)
        except ValueError as error:
            text = f"the result of {self.address} cannot be read: {error}"
            raise RayoError("undefined-condition", "cancel", text) from None

    async def matched(self) -> Interpretation | None:
        """Return what has matched when it has ended, None where that is for another reason. Raises what `completed`
        and `interpretation` do."""
        await self.completed()
        return self.interpretation


class PromptComponent(OutputComponent, InputComponent):
    """Something that is asked (section 6.5.5). What is said is commanded as any output, `unexpected-request` once it is
    over, which `InputTimersStarted` in `events` tells. It ends as an input does."""


class RecordComponent(Component):
    """Something that is recorded (section 6.5.6)."""

    @property
    def recording(self) -> Recording | None:
        """Where it is, once it is complete; None where nothing could be kept, too."""
        return next((each for each in self._brought if isinstance(each, Recording)), None)

    @property
    def tracks(self) -> tuple[TrackFile, ...]:
        """Who speaks in it, each in a file, if these have been asked for (`hints={"tracks": "speaker"}`)."""
        return next((each.tracks for each in self._brought if isinstance(each, TrackFiles)), ())

    async def pause(self) -> None:
        await self.command(PauseRecording())

    async def resume(self) -> None:
        await self.command(ResumeRecording())


class FaxComponent(Component):
    """A fax that is sent or received (XEP-0342). Its `events` have a `FaxPage` for each page, if that was asked for."""

    @property
    def fax(self) -> Fax | None:
        """Where what has been received is, once it is complete; None where not one page has come, too."""
        return next((each for each in self._brought if isinstance(each, Fax)), None)

    @property
    def details(self) -> dict[str, str]:
        """How it went, once it is complete: `fax-result-text`, `fax-transfer-rate` and so on."""
        return {each.name: each.value for each in self._brought if isinstance(each, FaxMetadata)}


C = TypeVar("C", bound=Component)


class InputOptions(TypedDict, total=False):
    """What is listened for (section 7.19.4.1). Times are in seconds."""

    #: An SRGS document, where another is, and any others.
    grammar: str
    grammar_url: str
    grammars: Iterable[Grammar]
    #: Keys, speech, both (which is what holds if nothing is said), or the signals of a line (XEP-0341).
    mode: InputMode
    #: The key that ends it.
    terminator: str
    #: Of speech: which engine, its language, how readily noise is taken for speech, what is sure enough, and how long
    #: a pause ends it.
    recognizer: str
    language: str
    sensitivity: float
    min_confidence: float
    max_silence: float
    #: Until something comes, between two keys, and for all of it.
    initial_timeout: float
    inter_digit_timeout: float
    recognition_timeout: float
    #: Of the result.
    match_content_type: str


class Workplace:
    """Where components work: a call, or a mixer. Times are in seconds."""

    async def output(
        self,
        *,
        text: str | None = None,
        ssml: str | None = None,
        url: str | None = None,
        documents: Iterable[Document] = (),
        voice: str | None = None,
        renderer: str | None = None,
        start_offset: float = 0,
        start_paused: bool = False,
        repeat_times: int = 1,
        repeat_interval: float = 0,
        max_time: float | None = None,
    ) -> OutputComponent:
        """Play `documents`, and behind them what is at `url`, and what `text` and `ssml` say, as far as they are given.
        `repeat_times` 0 is for ever. Returns when it begins; raises ValueError where there is nothing to be played."""
        command = Output(
            documents=_documents(text, ssml, url, documents),
            voice=voice,
            renderer=renderer,
            start_offset=round(start_offset * 1000),
            start_paused=start_paused,
            repeat_times=repeat_times,
            repeat_interval=round(repeat_interval * 1000),
            max_time=_milliseconds(max_time),
        )
        return await self.start(command, OutputComponent)

    async def input(self, **options: Unpack[InputOptions]) -> InputComponent:
        """Gather what callers put in until it matches a grammar, or cannot any more; `InputOptions` says what there is
        to choose. Returns when it begins; raises ValueError where there is no grammar."""
        return await self.start(_input(options), InputComponent)

    async def prompt(
        self,
        *,
        text: str | None = None,
        ssml: str | None = None,
        url: str | None = None,
        documents: Iterable[Document] = (),
        voice: str | None = None,
        renderer: str | None = None,
        barge_in: bool = True,
        **options: Unpack[InputOptions],
    ) -> PromptComponent:
        """Play what `output` would, and gather the answer, which may interrupt it if `barge_in`; the time for the
        answer runs when it has been played. Returns when it begins; raises ValueError where there is nothing to be
        played, or no grammar."""
        output = Output(documents=_documents(text, ssml, url, documents), voice=voice, renderer=renderer)
        return await self.start(Prompt(barge_in=barge_in, output=output, input=_input(options)), PromptComponent)

    async def record(
        self,
        *,
        format: str = "wav",
        direction: RecordDirection = "duplex",
        mix: bool = False,
        start_beep: bool = False,
        stop_beep: bool = False,
        start_paused: bool = False,
        max_duration: float | None = None,
        initial_timeout: float | None = None,
        final_timeout: float | None = None,
        hints: Mapping[str, str] | None = None,
    ) -> RecordComponent:
        """Write what is said to a file. Returns when it begins."""
        command = Record(
            format=format,
            direction=direction,
            mix=mix,
            start_beep=start_beep,
            stop_beep=stop_beep,
            start_paused=start_paused,
            max_duration=_milliseconds(max_duration),
            initial_timeout=_milliseconds(initial_timeout),
            final_timeout=_milliseconds(final_timeout),
            hints=tuple(Hint(name=name, value=value) for name, value in (hints or {}).items()),
        )
        return await self.start(command, RecordComponent)

    @abstractmethod
    async def start(self, command: Execution, kind: type[C]) -> C:
        """Any other component, as a `kind`. Whoever does not wait for the answer, or gets none in time, has it stopped
        as soon as there is one."""


def _documents(
    text: str | None, ssml: str | None, url: str | None, documents: Iterable[Document]
) -> tuple[Document, ...]:
    wanted = [*documents]
    if url is not None:
        wanted.append(Document(url=url))
    for content_type, body in (("text/plain", text), ("application/ssml+xml", ssml)):
        if body is not None:
            wanted.append(Document(content_type=content_type, body=body))
    return tuple(wanted)


def _input(options: InputOptions) -> Input:
    wanted = [*options.get("grammars", ())]
    if "grammar" in options:
        wanted.append(Grammar(content_type="application/srgs+xml", body=options["grammar"]))
    if "grammar_url" in options:
        wanted.append(Grammar(url=options["grammar_url"]))
    return Input(
        grammars=tuple(wanted),
        mode=options.get("mode", "any"),
        terminator=options.get("terminator"),
        recognizer=options.get("recognizer"),
        language=options.get("language"),
        sensitivity=options.get("sensitivity", 0.5),
        min_confidence=options.get("min_confidence", 0),
        max_silence=_milliseconds(options.get("max_silence")),
        initial_timeout=_milliseconds(options.get("initial_timeout")),
        inter_digit_timeout=_milliseconds(options.get("inter_digit_timeout")),
        recognition_timeout=_milliseconds(options.get("recognition_timeout")),
        match_content_type=options.get("match_content_type", "application/nlsml+xml"),
    )


def _milliseconds(seconds: float | None) -> int:
    return -1 if seconds is None else max(round(seconds * 1000), 0)
