"""Tracks of a recording: each holds what one person has said, when they said it. On the real plane."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from focus.media.files import read_audio
from focus.media.plane import Direction, MediaPlane
from focus.media.recordings import MANIFEST, NAME, Recordings
from focus.media.tones import Tone
from focus.media.tracks import MAX_TRACKS, OTHERS, SILENCE, Ear, Kept, Samples, Speaker, Tracks
from focus.media.writer import FORMATS, PART
from focus.rayo.component import Facilities
from focus.rayo.components.record import Recorder
from focus.wire.rayo_component import Complete, Stop, Stopped
from focus.wire.rayo_record import Hint, MaxDuration, PauseRecording, Record, Recording, ResumeRecording, TrackFiles
from tests.rayo.at_work import RATE, Scene

BY_SPEAKER = (Hint(name="tracks", value="speaker"),)


@pytest.fixture
async def plane() -> AsyncIterator[MediaPlane]:
    plane = MediaPlane([("127.0.0.1", 0)], shards=2)
    await plane.start()
    yield plane
    await plane.stop()


@pytest.fixture
async def scene(plane: MediaPlane, tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(plane, Facilities(plane, recordings=Recordings(tmp_path / "recordings")))
    yield scene
    await scene.close()


class Someone:
    """Who says tones of one pitch into the mixer, from wherever the plane puts them."""

    def __init__(self, plane: MediaPlane, scene: Scene, who: str, pitch: float) -> None:
        assert scene.node is not None
        self._plane, self._scene, self._pitch = plane, scene, pitch
        self.node = plane.create_mixer()
        plane.join(self.node, scene.node, Direction.SEND)
        self.speaker = Speaker(who, self.node, who.title(), f"{who}@example.org", f"xmpp:{self.node}@example.org")
        scene.heard_here.append(self.speaker)

    def says(self, seconds: float) -> None:
        self._plane.play(self.node, Tone(self._pitch).samples(int(seconds * RATE)))

    async def said(self) -> None:
        await self._plane.played(self.node)
        await self._scene.silence(0.1)

    def goes(self) -> None:
        self._scene.heard_here.remove(self.speaker)
        self._plane.remove_mixer(self.node)


def sounds(samples: Samples, pitch: float) -> list[tuple[float, float]]:
    """From when to when a tone is heard, in seconds, to 20 ms."""
    frames = samples[: len(samples) // 960 * 960].reshape(-1, 960)
    spectra = np.abs(np.fft.rfft(frames))
    heard = np.flatnonzero(spectra[:, round(pitch / 50)] > 400_000)
    runs = np.split(heard, np.flatnonzero(np.diff(heard) > 2) + 1)
    return [(run[0] / 50, (run[-1] + 1) / 50) for run in runs if len(run)]


def read(folder: Path, uri: str) -> Samples:
    path = folder / uri.rpartition("/")[2]
    assert NAME.fullmatch(path.name)
    return np.concatenate([*read_audio(path), np.zeros(0, np.int16)])


async def whole(scene: Scene, folder: Path) -> tuple[Complete, Samples, dict[str | None, Samples], dict[str, Any]]:
    """How it ended, the recording, its tracks by name, and the manifest."""
    complete = await scene.complete()
    recording, tracks = complete.metadata
    assert isinstance(recording, Recording)
    assert isinstance(tracks, TrackFiles)
    assert not list(folder.glob(f"*{PART}*"))
    manifest = json.loads((folder / tracks.uri.rpartition("/")[2]).read_text())
    assert manifest["recording"] == recording.uri
    assert [each["uri"] for each in manifest["tracks"]] == [each.uri for each in tracks.tracks]
    for each in tracks.tracks:
        assert each.size == (folder / each.uri.rpartition("/")[2]).stat().st_size
    found = {each.name: read(folder, each.uri) for each in tracks.tracks}
    return complete, read(folder, recording.uri), found, manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.mark.parametrize("format", ["wav", "ogg"])
async def test_each_has_a_track_with_what_they_said_when_they_said_it(
    plane: MediaPlane, scene: Scene, folder: Path, format: str
) -> None:
    romeo = Someone(plane, scene, "romeo", 500)
    await scene.begin(Record(format=format, hints=BY_SPEAKER))
    romeo.says(0.4)
    await romeo.said()
    await scene.silence(0.5)
    juliet = Someone(plane, scene, "juliet", 1500)
    await scene.silence(0.3)
    juliet.says(0.3)
    await juliet.said()
    juliet.goes()
    await scene.silence(0.3)
    again, other = Someone(plane, scene, "juliet", 1500), Someone(plane, scene, "juliet", 2500)
    await scene.silence(0.3)
    for each in (again, other, romeo):  # two calls of hers, both at once
        each.says(0.3)
    await romeo.said()
    await scene.does(Stop())
    complete, mix, tracks, manifest = await whole(scene, folder)
    assert complete.reason == Stopped()
    assert {len(track) for track in tracks.values()} == {len(mix)}
    assert not sounds(tracks["Romeo"], 1500)
    assert not sounds(tracks["Juliet"], 500)
    for name, pitch, times in (("Romeo", 500, 2), ("Juliet", 1500, 2), ("Juliet", 2500, 1)):
        heard = sounds(tracks[name], pitch)
        assert len(heard) == times
        assert np.array(heard) == pytest.approx(np.array(sounds(mix, pitch)), abs=0.061)
    (romeos, juliets) = manifest["tracks"]
    assert (romeos["name"], romeos["jid"]) == ("Romeo", "romeo@example.org")
    assert [each["call"] for each in juliets["heard"]] == [each.speaker.call for each in (juliet, again, other)]
    first, second, _ = juliets["heard"]
    assert 800 < first["from"] < first["to"] < second["from"]
    assert "to" not in second or second["to"] <= len(mix) / 48 + 1


async def test_in_a_pause_nobody_is_recorded_and_the_tracks_stay_in_step(
    plane: MediaPlane, scene: Scene, folder: Path
) -> None:
    romeo, juliet = Someone(plane, scene, "romeo", 500), Someone(plane, scene, "juliet", 1500)
    await scene.begin(Record(hints=BY_SPEAKER))
    for deed in (PauseRecording(), ResumeRecording(), Stop()):
        romeo.says(0.3)
        await romeo.said()
        if isinstance(deed, ResumeRecording):
            juliet.says(0.3)
            await juliet.said()
        await scene.does(deed)
    _, mix, tracks, _ = await whole(scene, folder)
    assert {len(track) for track in tracks.values()} == {len(mix)}
    assert not sounds(tracks["Juliet"], 1500)
    assert len(sounds(tracks["Romeo"], 500)) == 2
    assert np.array(sounds(tracks["Romeo"], 500)) == pytest.approx(np.array(sounds(mix, 500)), abs=0.061)


async def test_who_is_back_at_once_is_heard_again(plane: MediaPlane, scene: Scene, folder: Path) -> None:
    romeo, juliet = Someone(plane, scene, "romeo", 500), Someone(plane, scene, "juliet", 1500)
    recorder = await scene.begin(Record(hints=BY_SPEAKER))
    assert isinstance(recorder, Recorder)
    await scene.silence(0.3)
    scene.heard_here.remove(juliet.speaker)
    recorder._take()  # the plane may have nothing new by the next look
    scene.heard_here.append(juliet.speaker)
    recorder._take()
    for each in (romeo, juliet):
        each.says(0.4)
    await juliet.said()
    await scene.does(Stop())
    _, mix, tracks, manifest = await whole(scene, folder)
    assert {len(track) for track in tracks.values()} == {len(mix)}
    assert np.array(sounds(tracks["Juliet"], 1500)) == pytest.approx(np.array(sounds(mix, 1500)), abs=0.061)
    first, second = manifest["tracks"][1]["heard"]
    assert "to" in first
    assert first["to"] <= second["from"]


async def test_the_tracks_stay_in_step_though_the_process_stalls(
    plane: MediaPlane, scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = await scene.begin(Record(hints=BY_SPEAKER))
    assert isinstance(recorder, Recorder)
    await scene.silence(0.3)
    romeo = Someone(plane, scene, "romeo", 500)
    known = recorder._speakers

    def stalling() -> Iterable[Speaker]:
        time.sleep(0.3)
        return known()

    with monkeypatch.context() as patched:
        patched.setattr(recorder, "_speakers", stalling)
        recorder._take()
    romeo.says(0.4)
    await romeo.said()
    await scene.does(Stop())
    _, mix, tracks, _ = await whole(scene, folder)
    assert np.array(sounds(tracks["Romeo"], 500)) == pytest.approx(np.array(sounds(mix, 500)), abs=0.061)


async def test_of_what_began_in_a_pause_the_manifest_is_there_with_the_first_word(
    plane: MediaPlane, scene: Scene, folder: Path
) -> None:
    juliet = Someone(plane, scene, "juliet", 1500)
    await scene.begin(Record(start_paused=True, hints=BY_SPEAKER))
    await scene.silence(0.3)
    await scene.does(ResumeRecording())
    juliet.says(0.3)
    await scene.until(lambda: any(folder.glob(f"*-1.wav{PART}")) and any(folder.glob(f"*{MANIFEST}{PART}")))
    (manifest,) = folder.glob(f"*{MANIFEST}{PART}")
    assert [track["name"] for track in json.loads(manifest.read_text())["tracks"]] == ["Juliet"]
    await scene.does(Stop())
    await whole(scene, folder)


async def test_tracks_are_as_long_as_the_whole_may_be_to_the_sample(
    plane: MediaPlane, scene: Scene, folder: Path
) -> None:
    romeo = Someone(plane, scene, "romeo", 500)
    await scene.begin(Record(max_duration=777, hints=BY_SPEAKER))
    romeo.says(2)
    complete, mix, tracks, _ = await whole(scene, folder)
    assert complete.reason == MaxDuration()
    assert [len(mix), *map(len, tracks.values())] == [777 * 48] * 2


async def test_who_comes_when_there_are_enough_tracks_shares_the_last_one(
    plane: MediaPlane, scene: Scene, folder: Path
) -> None:
    people = [Someone(plane, scene, f"guest {number}", 500) for number in range(MAX_TRACKS + 2)]
    await scene.begin(Record(hints=BY_SPEAKER))
    await scene.silence(0.3)
    for each in people[-2:]:
        each.says(0.3)
        await each.said()
    await scene.does(Stop())
    _, _, tracks, _ = await whole(scene, folder)
    assert len(tracks) == MAX_TRACKS
    assert len(sounds(tracks[OTHERS], 500)) == 2


async def test_silence_before_many_who_come_late_is_written_piece_by_piece(plane: MediaPlane, folder: Path) -> None:
    recordings, late = Recordings(folder), 100 * RATE
    tracks = Tracks(plane, recordings, recordings.new("ogg"))
    tracks.take(late, keep=True)
    nodes = [plane.create_mixer() for _ in range(MAX_TRACKS - 1)]
    tracks.listen([Speaker(f"guest {node}", node) for node in nodes], waiting=lambda: RATE)
    tracks.take(RATE, keep=True)
    before = 0
    for _ in range(3):
        tracks.write(tracks.kept(), late + RATE)
        written = sum(track.writer.samples for track in tracks._tracks.values() if track.writer is not None)
        assert before < written <= before + SILENCE + 2 * RATE  # and what those have said that are done with it
        before = written
    tracks.stop()
    whole = tracks.close(tracks.kept(), late + RATE)
    assert len(whole) == len(nodes)
    for path in (whole[0].path, whole[-1].path):
        assert sum(len(block) for block in read_audio(path)) == late + RATE


def is_open(path: Path) -> bool:
    """By this process."""
    return str(path) in {os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()}


async def test_whatever_happens_to_a_track_the_others_stay_in_step(
    plane: MediaPlane, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = Recordings(folder)
    tracks = Tracks(plane, recordings, recordings.new("wav"))
    nodes = [plane.create_mixer() for _ in range(3)]
    tracks.listen([Speaker(f"guest {node}", node) for node in nodes], waiting=lambda: RATE)
    tracks.take(RATE, keep=True)
    tracks.write(tracks.kept(), RATE)
    first, _, last = tracks._tracks.values()
    assert is_open(first.path.with_name(first.path.name + PART))

    def fail(samples: object) -> None:
        raise RuntimeError("nobody has foreseen this")

    for length, track in ((2 * RATE, first), (3 * RATE, last)):
        monkeypatch.setattr(track.writer, "write", fail)
        tracks.take(RATE, keep=True)
        if track is first:
            tracks.write(tracks.kept(), length)
    tracks.stop()
    (whole,) = tracks.close(tracks.kept(), 3 * RATE)
    assert sum(len(block) for block in read_audio(whole.path)) == 3 * RATE
    for track in (first, last):
        assert not is_open(track.path.with_name(track.path.name + PART))
    assert recordings.counted == {"lost": 2}
    assert {path.name for path in recordings.recover()} == {first.path.name, last.path.name}


class StuckTracks(Tracks):
    """Whose disk does nothing for a while."""

    goes_on = threading.Event()

    def write(self, kept: Kept, until: int) -> None:
        assert self.goes_on.wait(60)
        super().write(kept, until)


async def test_tracks_that_take_their_time_keep_nothing_of_the_whole_waiting(
    plane: MediaPlane, scene: Scene, folder: Path
) -> None:
    recordings = scene._facilities.recordings
    assert recordings is not None
    romeo = Someone(plane, scene, "romeo", 500)
    recorder = await scene.begin(Record(hints=BY_SPEAKER))
    assert isinstance(recorder, Recorder)
    recorder._tracks = StuckTracks(plane, recordings, recorder._path)
    try:
        romeo.says(0.6)
        await scene.until(lambda: recorder._writer is not None and recorder._writer.samples > 0.8 * RATE)
        await scene.does(Stop())
        await scene.until(lambda: recordings.counted["whole"] == 1)
    finally:
        StuckTracks.goes_on.set()
    _, mix, tracks, _ = await whole(scene, folder)
    assert {name: len(track) for name, track in tracks.items()} == {"Romeo": len(mix)}
    assert np.array(sounds(tracks["Romeo"], 500)) == pytest.approx(np.array(sounds(mix, 500)), abs=0.061)


async def test_a_track_that_cannot_be_brought_in_costs_no_other(plane: MediaPlane, scene: Scene, folder: Path) -> None:
    romeo, _ = Someone(plane, scene, "romeo", 500), Someone(plane, scene, "juliet", 1500)
    await scene.begin(Record(hints=BY_SPEAKER))
    romeo.says(0.3)
    await romeo.said()
    await scene.until(lambda: len(list(folder.glob(f"*-2.wav{PART}"))) == 1)
    for part in folder.glob(f"*-2.wav{PART}"):
        part.unlink()
    await scene.does(Stop())
    _, mix, tracks, _ = await whole(scene, folder)
    assert {name: len(track) for name, track in tracks.items()} == {"Romeo": len(mix)}
    assert scene._facilities.recordings is not None
    assert scene._facilities.recordings.counted == {"whole": 2, "lost": 1}


@pytest.mark.parametrize("format", FORMATS)
async def test_tracks_that_a_crash_has_cut_short_are_whole_after_the_next_start(
    plane: MediaPlane, scene: Scene, folder: Path, tmp_path: Path, format: str
) -> None:
    romeo = Someone(plane, scene, "romeo", 500)
    await scene.begin(Record(format=format, hints=BY_SPEAKER))
    romeo.says(1.5)
    await romeo.said()
    await scene.until(lambda: len(list(folder.glob(f"*{PART}"))) == 3)
    left = tmp_path / "left"  # as the disk is at this moment
    left.mkdir()
    for part in folder.iterdir():
        (left / part.name).write_bytes(part.read_bytes())
    (left / f"{'0' * 32}.json{PART}.new").write_text("{")
    recordings = Recordings(left)
    names = {path.name for path in recordings.recover()}
    (manifest,) = left.glob(f"*{MANIFEST}")
    assert (
        names
        == {path.name for path in left.iterdir()}
        == {manifest.stem + end for end in (f".{format}", f"-1.{format}", MANIFEST)}
    )
    (track,) = json.loads(manifest.read_text())["tracks"]
    assert track["name"] == "Romeo"
    assert len(sounds(read(left, track["uri"]), 500)) == 1
    await scene.does(Stop())
    await scene.complete()


async def test_who_says_it_is_a_call_has_a_track_for_each_side(plane: MediaPlane, folder: Path) -> None:
    class Nobody:
        def leg_speaking(self, speaking: bool) -> None: ...

    leg = plane.create_leg(controlling=False, observer=Nobody())  # type: ignore[arg-type]
    scene = Scene(plane, Facilities(plane, recordings=Recordings(folder)))
    mixer, scene.node, scene.is_mixer = scene.node, leg.node, False
    for direction, names in (("duplex", {"send", "recv"}), ("recv", {"recv"})):
        await scene.begin(Record.model_validate({"direction": direction, "mix": True, "hints": BY_SPEAKER}))
        await scene.silence(0.3)
        await scene.does(Stop())
        _, mix, tracks, _ = await whole(scene, folder)
        assert {name: len(track) for name, track in tracks.items()} == dict.fromkeys(names, len(mix))
        scene.events.clear()
    scene.node = mixer
    await scene.close()
    await leg.close()


async def test_who_has_gone_can_still_be_taken(plane: MediaPlane) -> None:
    node = plane.create_mixer()
    ear = Ear(plane, node, since=lambda: 100)
    plane.remove_mixer(node)
    ear.close()
    assert ear.ready >= 100
    assert not ear.take(100_000).any()
    with pytest.raises(ValueError, match=str(node)):
        Ear(plane, node)
