"""`<record/>`: write what is said on a call, or in a mixer, to a file (XEP-0327 sections 6.5.6 and 7.19.6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from focus.media.player import Player
from focus.media.recordings import Recordings, RecordingsError
from focus.media.threads import in_thread
from focus.media.tones import SAMPLE_RATE, Tone
from focus.media.tracks import Ear, Speaker, Tracks, Written
from focus.media.writer import FORMATS, RATES, SoundWriter, WriteError
from focus.rayo.actor import Outcome, on
from focus.rayo.component import Component, ComponentError, registry
from focus.wire.conditions import OptionNotSupported, ResourceConstraint
from focus.wire.jid import JID
from focus.wire.rayo_component import Failed, HungUp, Metadata, Reason
from focus.wire.rayo_record import (
    RECORD,
    FinalTimeout,
    InitialTimeout,
    MaxDuration,
    PauseRecording,
    Record,
    Recording,
    ResumeRecording,
    TrackFile,
    TrackFiles,
)

log = logging.getLogger(__name__)

#: Seconds between two looks at what has been said.
STEP = 0.1
#: Of both beeps.
BEEP, BEEP_SECONDS = 1000.0, 0.2
#: The hints that are known: bits per second for each channel, and files of their own for those who speak.
BITRATE, TRACKS = "bitrate", ("tracks", "speaker")
#: Seconds from the end until which tracks are to be whole.
TRACKS_WIND_UP = 7.0


@registry.component(Record, RECORD)
class Recorder(Component[Record]):
    """Takes what there is ten times a second. `duration` counts samples written, not time."""

    async def prepare(self) -> None:
        command = self.command
        self._writer: SoundWriter | None = None
        self._ears: list[Ear] = []  # of each side
        self._tracks: Tracks | None = None
        self._writing_tracks: asyncio.Task[None] | None = None
        self._kept: list[NDArray[np.int16]] = []  # of all sides, what is to be written
        self._is_paused = command.start_paused
        if command.format not in FORMATS:
            raise OptionNotSupported(f"{command.format!r} is not written here; {', '.join(FORMATS)} are")
        if self.target.is_mixer and command.direction == "send":
            raise OptionNotSupported("a mixer says nothing by itself: direction is recv or duplex")
        if self._facilities.recordings is None:
            raise OptionNotSupported("nothing is recorded here: no folder is configured for it")
        self._recordings: Recordings = self._facilities.recordings
        self._path: Path
        try:
            self._path = await in_thread(self._recordings.new, command.format)
            self._writer = await in_thread(
                SoundWriter, self._path, FORMATS[command.format], channels=self._channels, rate=self._rate()
            )
        except (RecordingsError, WriteError) as error:
            raise ResourceConstraint(str(error)) from None
        if TRACKS in ((hint.name, hint.value) for hint in command.hints):
            self._tracks = Tracks(self._plane, self._recordings, self._path, rate=self._rate())

    @property
    def _sides(self) -> tuple[bool, ...]:
        """Which sides of a call are heard: True is what it is sent. What all in a mixer say is one."""
        if self.target.is_mixer or self.command.direction == "send":
            return (False,)
        return (True,) if self.command.direction == "recv" else (False, True)

    @property
    def _channels(self) -> int:
        return 1 if self.command.mix else len(self._sides)

    def _rate(self) -> int | None:
        """What a hint asks for; one that is not understood is ignored (section 6.5.6)."""
        for hint in self.command.hints:
            if hint.name == BITRATE and hint.value.isdecimal() and int(hint.value[:9]) in RATES:
                return int(hint.value)
        return None

    async def work(self) -> Reason:
        if self.command.start_beep:
            await self._beep()
        try:
            self._ears = [Ear(self._plane, self.node, sent=side) for side in self._sides]
        except ValueError:
            raise ComponentError("its media has ended") from None
        self._take()  # so that who is there is heard from the beginning
        log.info("%s records %s into %s", self.creator, self.target.address, self._path)
        silent_for, has_spoken = 0.0, False
        while True:
            await asyncio.sleep(STEP)
            count = self._take()
            if await self._write(self._most()):
                return MaxDuration()
            if self._is_paused:
                continue
            is_spoken = self.target.is_spoken_in
            has_spoken, silent_for = has_spoken or is_spoken, 0.0 if is_spoken else silent_for + count / SAMPLE_RATE
            if has_spoken and 0 <= self.command.final_timeout <= silent_for * 1000:
                return FinalTimeout()
            if not has_spoken and 0 <= self.command.initial_timeout <= silent_for * 1000:
                return InitialTimeout()

    def _most(self) -> int | None:
        """Samples that there may still be."""
        if self.command.max_duration < 0 or self._writer is None:
            return None
        return max(self.command.max_duration * SAMPLE_RATE // 1000 - self._writer.samples, 0)

    def _take(self) -> int:
        """Read what has been said, and keep it unless this is a pause. How many samples of each side."""
        count = self._waiting()
        if self._tracks is not None and self._ears:
            self._tracks.listen(self._speakers(), waiting=self._waiting)
            count = self._tracks.ready(count)
            self._tracks.take(count, keep=not self._is_paused)
        taken = [ear.take(count) for ear in self._ears]
        if not self._is_paused and count:
            self._kept.append(np.stack(taken))
        return count

    def _waiting(self) -> int:
        """How many samples of each side can be taken."""
        for ear in self._ears:
            ear.listen()
        return min((ear.ready for ear in self._ears), default=0)

    def _speakers(self) -> Iterable[Speaker]:
        """Of a call its sides."""
        if self.target.is_mixer:
            return self.target.people(self.creator)
        if self.target.node is None:
            return ()
        names = [(side, "recv" if side else "send") for side in self._sides]
        return [Speaker(name, self.target.node, name, sent=side) for side, name in names]

    async def _write(self, most: int | None) -> bool:
        """Write what has been kept of the whole; no more than `most`. Whether that is the end."""
        assert self._writer is not None
        sides = np.concatenate([np.zeros((len(self._sides), 0), np.int16), *self._kept], axis=1)[:, :most]
        self._kept.clear()
        taken = sides.shape[1]
        if taken:
            if self._channels < len(sides):
                total = sides.sum(axis=0, dtype=np.int32, keepdims=True)
                sides = np.clip(total, -32768, 32767).astype(np.int16)
            try:
                await in_thread(self._writer.write, sides)
            except WriteError as error:
                raise ComponentError(str(error)) from None
            self._write_on_tracks(self._writer.samples)
        return most is not None and taken >= most

    def _write_on_tracks(self, until: int) -> None:
        """Beside the whole, which never waits for them: while they are at work what is said next is kept for them."""
        if self._tracks is not None and (self._writing_tracks is None or self._writing_tracks.done()):
            writing = in_thread(self._tracks.write, self._tracks.kept(), until)
            self._writing_tracks = asyncio.create_task(writing, name=f"tracks of {self.address}")

    async def _beep(self) -> None:
        try:
            player = Player(self._plane, self.node)
        except ValueError:
            raise ComponentError("its media has ended") from None
        try:
            await player.play(Tone(BEEP).samples(int(BEEP_SECONDS * SAMPLE_RATE)))
            await player.played()
        finally:
            player.close()

    async def wind_up(self, reason: Reason) -> Iterable[Metadata]:
        writer = self._writer
        if writer is None:
            return ()
        if not self._begun.is_set():
            await in_thread(writer.discard)
            return ()
        in_time = asyncio.get_running_loop().time() + TRACKS_WIND_UP
        failed: ComponentError | None = None
        try:
            if self._ears and not isinstance(reason, Failed):
                self._take()
                await self._write(self._most())
        except ComponentError as error:
            failed = error  # what was written before is brought in all the same
        finally:
            if overruns := max((ear.overruns for ear in self._ears), default=0):
                log.warning(
                    "%.1f s are not in %s, as they were not taken in time", overruns / SAMPLE_RATE, self._path.name
                )
            for ear in self._ears:
                ear.close()
            if self._tracks is not None:
                self._tracks.stop()
        try:
            size = await in_thread(self._recordings.bring_in, writer)
        except WriteError as error:
            self._recordings.failed(self._path)
            tracks = await self._bring_in(self._tracks, writer.samples, in_time) if self._tracks is not None else ()
            raise ComponentError(str(error), metadata=tracks) from None
        what, why = f"{self._path.name} of {self.target.address}", type(reason).__xml_tag__
        log.info("the recording %s has ended (%s): %.1f s", what, why, writer.samples / SAMPLE_RATE)
        self._recordings.finished(self._path)
        tracks = await self._bring_in(self._tracks, writer.samples, in_time) if self._tracks is not None else ()
        if self.command.stop_beep and failed is None and not isinstance(reason, HungUp | Failed):
            with suppress(ComponentError):  # nobody is there any more
                await self._beep()
        duration = round(writer.samples * 1000 / SAMPLE_RATE)
        brought_in = (Recording(uri=self._recordings.uri(self._path), duration=duration, size=size), *tracks)
        if failed is not None:
            raise ComponentError(str(failed), metadata=brought_in)
        return brought_in

    async def _bring_in(self, tracks: Tracks, length: int, in_time: float) -> Iterable[Metadata]:
        """Those that are whole in time. The others are made so at the next start, at the latest."""
        working = asyncio.create_task(self._close_tracks(tracks, length), name=f"end of tracks of {self.address}")
        await asyncio.wait((working,), timeout=max(in_time - asyncio.get_running_loop().time(), 0))
        if not working.done():
            log.error("the tracks of %s are not brought in within %g s", self._path.name, TRACKS_WIND_UP)
            return ()
        written = working.result()
        if written is None:
            return ()
        files = [
            TrackFile(uri=self._recordings.uri(each.path), size=each.size, name=each.name or None, jid=each.jid or None)
            for each in written
        ]
        return (TrackFiles(uri=self._recordings.uri(tracks.manifest), tracks=tuple(files)),)

    async def _close_tracks(self, tracks: Tracks, length: int) -> list[Written] | None:
        """Which there are; None where that has failed, which does not concern the whole."""
        try:
            if self._writing_tracks is not None:
                await self._writing_tracks
            written = await in_thread(tracks.close, tracks.kept(), length)
        except Exception:
            log.exception("the tracks of %s are not brought in", self._path.name)
            return None
        for path in (*(each.path for each in written), tracks.manifest):
            self._recordings.finished(path)
        return written

    @on(PauseRecording)
    async def pause(self, sender: JID, command: PauseRecording) -> Outcome:
        self._take()
        self._is_paused = True
        return None

    @on(ResumeRecording)
    async def resume(self, sender: JID, command: ResumeRecording) -> Outcome:
        self._take()
        self._is_paused = False
        return None
