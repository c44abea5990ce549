"""One track for each who speaks: files that begin and end with the recording of what all say together.

A person has one track, whatever they call from and however often they come and go; where they are not there it is
silent. What is heard is taken from all in step: who is a moment late is waited for, who is later has been silent.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focus.media.leg import Tap
from focus.media.plane import MediaPlane
from focus.media.recordings import MANIFEST, NEW, Recordings
from focus.media.tones import SAMPLE_RATE
from focus.media.writer import FORMATS, PART, SoundWriter, WriteError, make_private

log = logging.getLogger(__name__)

Samples = NDArray[np.int16]

#: So many tracks has a recording; the last one is for all who come later.
MAX_TRACKS = 32
OTHERS = "others"
#: Samples that one is waited for.
PATIENCE = SAMPLE_RATE // 2
#: Samples of silence that `write` puts before what those who came late have said, in all tracks together, and how many
#: of them at once.
SILENCE, STEP = 120 * SAMPLE_RATE, SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who is heard at `node`, or (`sent`) what that one hears. Who has the same `who` is the same person;
    `name` and `jid` are for people to read, `call` is the URI of the call, as far as these may be known."""

    who: str
    node: int
    name: str = ""
    jid: str = ""
    call: str = ""
    sent: bool = False


class Ear:
    """What is heard at a node, until it is taken."""

    def __init__(
        self, plane: MediaPlane, node: int, *, sent: bool = False, since: Callable[[], int] = lambda: 0
    ) -> None:
        """`since`: how many samples ago others have begun of which nothing has been taken yet, as this one begins.
        ValueError: the node is gone."""
        self._tap: Tap | None = plane.tap(node, sent=sent)
        self._waiting: Samples = np.zeros(since(), np.int16)

    def listen(self) -> None:
        if self._tap is not None:
            self._waiting = np.concatenate([self._waiting, self._tap.read()])

    @property
    def ready(self) -> int:
        """How many samples there are."""
        return len(self._waiting)

    @property
    def overruns(self) -> int:
        """How many there would be, had they been listened to in time. Nothing once closed."""
        return 0 if self._tap is None else self._tap.overruns

    def take(self, count: int) -> Samples:
        """So many of them; what is not there is silence."""
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken if len(taken) == count else np.pad(taken, (0, count - len(taken)))

    def close(self) -> None:
        """Nothing is heard any more; what there is can still be taken."""
        if self._tap is not None:
            self.listen()
            self._tap.close()
            self._tap = None


@dataclass(slots=True)
class Written:
    """A track that is whole: where, and how many bytes."""

    path: Path
    name: str
    jid: str
    size: int


@dataclass(slots=True)
class _Track:
    """`missing` samples of silence are to be written before what is `queued`. `gone`: ears that hear nothing any more,
    of which something is still to be taken. `visits`: the calls that were heard, and from which sample on, to which
    (None: still)."""

    path: Path
    name: str
    jid: str
    missing: int
    ears: dict[tuple[int, bool], Ear] = field(default_factory=dict)
    gone: list[Ear] = field(default_factory=list)
    kept: list[Samples] = field(default_factory=list)
    queued: list[Samples] = field(default_factory=list)
    visits: dict[tuple[int, bool], dict[str, Any]] = field(default_factory=dict)
    past: list[dict[str, Any]] = field(default_factory=list)
    writer: SoundWriter | None = None
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to be written: of each track, and what the manifest says if that has changed."""

    samples: list[tuple[_Track, list[Samples]]]
    description: dict[str, Any] | None


class Tracks:
    """The tracks of one recording, beside its file `path`: of the same format, with a number each, and a manifest that
    says whose they are. `write` and `close` block, one at a time; the others are for the event loop, which
    may go on meanwhile until `stop`."""

    def __init__(self, plane: MediaPlane, recordings: Recordings, path: Path, *, rate: int | None = None) -> None:
        self._plane = plane
        self._recordings = recordings
        self._path = path
        self._rate = rate
        self._tracks: dict[str, _Track] = {}
        self._length = 0  # samples that have been kept
        self._has_news = True
        self.manifest = path.with_suffix(MANIFEST)

    # what is heard

    def listen(self, speakers: Iterable[Speaker], *, waiting: Callable[[], int]) -> None:
        """Hear `speakers` and nobody else from now on; `waiting` says how many samples of the whole have not been taken
        yet, at any moment."""
        heard: set[tuple[int, bool]] = set()
        for speaker in speakers:
            key = speaker.node, speaker.sent
            track = self._track_of(speaker)
            heard.add(key)
            if key not in track.ears:
                try:
                    track.ears[key] = Ear(self._plane, speaker.node, sent=speaker.sent, since=waiting)
                except ValueError:
                    continue  # it has gone at this moment
                track.visits[key] = {"call": speaker.call, "from": self._length}
                self._has_news = True
        for track in self._tracks.values():
            track.gone = [ear for ear in track.gone if ear.ready]
            for key, ear in list(track.ears.items()):
                if key in heard:
                    ear.listen()
                    continue
                ear.close()
                track.gone.append(track.ears.pop(key))
                track.past.append({**track.visits.pop(key), "to": self._length})
                self._has_news = True

    def _track_of(self, speaker: Speaker) -> _Track:
        known = self._tracks.get(speaker.who)
        if known is not None:
            return known
        who, name, jid = speaker.who, speaker.name, speaker.jid
        if len(self._tracks) >= MAX_TRACKS - 1:
            who, name, jid = "", OTHERS, ""
        number = len(self._tracks) + 1
        path = self._path.with_stem(f"{self._path.stem}-{number}")
        return self._tracks.setdefault(who, _Track(path, name, jid, self._length))

    def ready(self, most: int) -> int:
        """How many samples can be taken of all, of `most` that there are of the whole."""
        late = [ear.ready for track in self._tracks.values() for ear in track.ears.values()]
        return max(min([most, *late]), most - PATIENCE)

    def take(self, count: int, *, keep: bool) -> None:
        """Take so many samples of each, and `keep` them."""
        for track in self._tracks.values():
            total = np.zeros(count, np.int32)
            for ear in (*track.ears.values(), *track.gone):
                total += ear.take(count)
            if keep:
                track.kept.append(np.clip(total, -32768, 32767).astype(np.int16))
        if keep:
            self._length += count

    def kept(self) -> Kept:
        """What has been kept since this was asked last."""
        samples = [(track, track.kept) for track in self._tracks.values()]
        for track, _ in samples:
            track.kept = []
        has_news, self._has_news = self._has_news, False
        return Kept(samples, self._description() if has_news else None)

    # what is written

    def write(self, kept: Kept, until: int) -> None:
        """Write what has been `kept`, up to sample `until`; what comes behind that waits, as does what follows more
        silence than can be written at once. A track that cannot be written is given up, and the others are not."""
        silence = SILENCE
        for track, blocks in kept.samples:
            track.queued += blocks
            try:
                silence -= self._write(track, until, silence)
            except Exception as error:
                self._lose(track, error)
        if kept.description is not None:
            with suppress(OSError):  # it is written once more in the end
                self._describe(kept.description, whole=False)

    def _write(self, track: _Track, until: int, most: int) -> int:
        """No more silence than `most` samples; how many these were."""
        if track.is_lost:
            track.queued.clear()
            return 0
        if track.writer is None:
            track.writer = SoundWriter(track.path, FORMATS[track.path.suffix[1:]], rate=self._rate)
        writer = track.writer
        silence = max(min(track.missing, most, until - writer.samples), 0)
        _be_silent(writer, silence)
        track.missing -= silence
        if not track.missing and track.queued:
            samples = np.concatenate(track.queued)
            count = max(until - writer.samples, 0)
            track.queued = [samples[count:]] if count < len(samples) else []
            writer.write(samples[:count].reshape(1, -1))
        return silence

    def _lose(self, track: _Track, error: Exception) -> None:
        """Give it up, and no other: these would be out of step. What there is of it may be recovered."""
        foreseen = isinstance(error, WriteError)
        log.error("a track is lost: %s", error if foreseen else track.path.name, exc_info=None if foreseen else error)
        track.is_lost = True
        track.queued.clear()
        if track.writer is not None:
            track.writer.give_up()
        self._recordings.failed(track.path)

    def stop(self) -> None:
        """Hear nobody any more."""
        for track in self._tracks.values():
            for ear in track.ears.values():
                ear.close()

    def close(self, kept: Kept, length: int) -> list[Written]:
        """Write what has been `kept`, and make all of them whole, with so many samples each, and the manifest; which
        there are."""
        written = []
        for track, blocks in kept.samples:
            track.queued += blocks
            try:
                self._write(track, length, length)
                if track.writer is not None and not track.is_lost:
                    _be_silent(track.writer, length - track.writer.samples)
                    size = self._recordings.bring_in(track.writer)
                    written.append(Written(track.path, track.name, track.jid, size))
            except Exception as error:
                self._lose(track, error)
        self._length = length
        try:
            self._describe(self._description(), whole=True)
        except OSError as error:
            log.error("%s cannot be written: %s", self.manifest.name, error.strerror)
        return written

    def _describe(self, description: dict[str, Any], *, whole: bool) -> None:
        """Write the manifest, at once or not at all."""
        part = self.manifest.with_name(self.manifest.name + PART)
        new = part.with_name(part.name + NEW)
        make_private(new)
        with new.open("w") as file:
            json.dump(description, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        if whole:
            self._recordings.make_due(self.manifest)
        new.rename(self.manifest if whole else part)
        if whole:
            part.unlink(missing_ok=True)

    def _description(self) -> dict[str, Any]:
        return {
            "recording": self._recordings.uri(self._path),
            "tracks": [
                {
                    "uri": self._recordings.uri(track.path),
                    "name": track.name,
                    "jid": track.jid,
                    "heard": [
                        {"call": visit["call"], "from": _milliseconds(visit["from"])}
                        | ({"to": _milliseconds(min(visit["to"], self._length))} if "to" in visit else {})
                        for visit in [*track.past, *track.visits.values()]
                    ],
                }
                for track in self._tracks.values()
                if not track.is_lost
            ],
        }


def _be_silent(writer: SoundWriter, count: int) -> None:
    for begin in range(0, count, STEP):
        writer.write(np.zeros((1, min(STEP, count - begin)), np.int16))


def _milliseconds(samples: int) -> int:
    return round(samples * 1000 / SAMPLE_RATE)
