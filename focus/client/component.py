"""Components as a Rayo client has them: work on a call or a mixer, its commands, and how it ended (XEP-0327 section
6.5)."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from focus.client.errors import RayoError
from focus.wire.jid import JID
from focus.wire.rayo import Command, Ref
from focus.wire.rayo_component import Complete, Execution, Stop
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
from focus.wire.rayo_record import Hint, PauseRecording, Record, RecordDirection, Recording, ResumeRecording

if TYPE_CHECKING:
    from focus.client.rayo import RayoClient


class Component:
    """Work that we have started. Commands raise `RayoError`, `item-not-found` once it has ended."""

    def __init__(self, client: RayoClient, address: JID) -> None:
        self.address = address
        #: How it ended, and what it has brought; None as long as it is at work.
        self.complete: Complete | None = None
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

    # what is told

    def _completed(self, complete: Complete) -> None:
        self.complete = complete
        self._over.set()

    def _lose(self, error: RayoError) -> None:
        self._lost = error
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


class RecordComponent(Component):
    """Something that is recorded (section 6.5.6)."""

    @property
    def recording(self) -> Recording | None:
        """Where it is, once it is complete; None where nothing could be kept, too."""
        brought = self.complete.metadata if self.complete is not None else ()
        return next((each for each in brought if isinstance(each, Recording)), None)

    async def pause(self) -> None:
        await self.command(PauseRecording())

    async def resume(self) -> None:
        await self.command(ResumeRecording())


C = TypeVar("C", bound=Component)


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
        wanted = [*documents]
        if url is not None:
            wanted.append(Document(url=url))
        for content_type, body in (("text/plain", text), ("application/ssml+xml", ssml)):
            if body is not None:
                wanted.append(Document(content_type=content_type, body=body))
        command = Output(
            documents=tuple(wanted),
            voice=voice,
            renderer=renderer,
            start_offset=round(start_offset * 1000),
            start_paused=start_paused,
            repeat_times=repeat_times,
            repeat_interval=round(repeat_interval * 1000),
            max_time=_milliseconds(max_time),
        )
        return await self.start(command, OutputComponent)

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


def _milliseconds(seconds: float | None) -> int:
    return -1 if seconds is None else max(round(seconds * 1000), 0)
