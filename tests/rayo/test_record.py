"""What a recording holds, how long it is, how it ends: of a mixer on the real plane, into which tones are played."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from numpy.typing import NDArray

from focus.engines.synthesizer import Samples
from focus.media.files import read_audio
from focus.media.plane import MediaPlane
from focus.media.recordings import NAME, Recordings
from focus.media.tones import Tone
from focus.media.tracks import Speaker
from focus.media.writer import FORMATS, PART, SoundWriter, WriteError
from focus.rayo.component import Facilities
from focus.rayo.components import record
from focus.wire.conditions import OptionNotSupported, ResourceConstraint, StanzaError
from focus.wire.rayo_component import Failed, Reason, Stop, Stopped
from focus.wire.rayo_record import (
    FinalTimeout,
    Hint,
    InitialTimeout,
    MaxDuration,
    PauseRecording,
    Record,
    Recording,
    ResumeRecording,
    TrackFiles,
)

from .at_work import CLIENT, RATE, Scene


@pytest.fixture
async def plane() -> AsyncIterator[MediaPlane]:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    yield plane
    await plane.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
async def scene(plane: MediaPlane, folder: Path) -> AsyncIterator[Scene]:
    scene = Scene(plane, Facilities(plane, recordings=Recordings(folder)))
    yield scene
    await scene.close()
    assert plane.snapshot()["mixers"] == 0


def says(scene: Scene, seconds: float, frequency: float = 440) -> None:
    assert scene.node is not None
    scene._plane.play(scene.node, Tone(frequency).samples(int(seconds * RATE)))


async def result(scene: Scene, reason: Reason) -> tuple[Recording, Samples]:
    complete = await scene.complete()
    assert complete.reason == reason
    (recording,) = complete.metadata
    assert isinstance(recording, Recording)
    path = Path(unquote(urlparse(recording.uri).path))
    assert NAME.fullmatch(path.name)
    assert recording.size == path.stat().st_size
    assert not list(path.parent.glob(f"*{PART}"))
    return recording, np.concatenate([*read_audio(path), np.zeros(0, np.int16)])


def sounding(samples: Samples) -> float:
    """Seconds in which there is a sound, by parts of 10 ms."""
    parts = samples[: len(samples) // 480 * 480].reshape(-1, 480).astype(int)
    return float(np.count_nonzero(np.abs(parts).max(axis=1) > 1000)) / 100


@pytest.mark.parametrize("format", FORMATS)
async def test_what_is_said_is_there(scene: Scene, format: str) -> None:
    await scene.begin(Record(format=format))
    says(scene, 1)
    await scene.silence(1.3)
    await scene.does(Stop())
    recording, heard = await result(scene, Stopped())
    assert recording.uri.endswith(f".{format}")
    assert recording.duration == pytest.approx(len(heard) / RATE * 1000, abs=70)
    assert recording.duration % 20 == 0  # whole ticks
    assert sounding(heard) == pytest.approx(1, abs=0.05)


async def test_it_is_as_long_as_it_may_be_to_the_sample(scene: Scene) -> None:
    await scene.begin(Record(max_duration=777))
    says(scene, 2)
    recording, heard = await result(scene, MaxDuration())
    assert (recording.duration, len(heard)) == (777, 777 * 48)


async def test_what_is_said_in_a_pause_is_not_there(scene: Scene) -> None:
    await scene.begin(Record(start_paused=True))
    says(scene, 0.4)
    await scene.silence(0.6)
    going = -len(scene.heard())
    await scene.does(ResumeRecording())
    await scene.silence(0.2)
    says(scene, 0.5, 1000)
    await scene.silence(0.7)
    await scene.does(PauseRecording())
    going += len(scene.heard())
    await scene.silence(0.2)
    says(scene, 0.4)
    await scene.silence(0.6)
    going -= len(scene.heard())
    await scene.does(ResumeRecording())
    await scene.silence(0.2)
    await scene.does(Stop())
    going += len(scene.heard())
    recording, heard = await result(scene, Stopped())
    assert sounding(heard) == pytest.approx(0.5, abs=0.15)
    assert 1100 <= recording.duration <= going * 1000 / RATE + 60
    spectrum = np.abs(np.fft.rfft(heard.astype(float)))
    assert spectrum[round(1000 * len(heard) / RATE)] > 20 * spectrum[round(440 * len(heard) / RATE)]


async def test_a_pause_begins_and_ends_with_its_command(scene: Scene) -> None:
    await scene.begin(Record())
    for _ in range(8):  # each is shorter than the time between two looks
        says(scene, 0.1, 500)
        await scene.silence(0.08)
        await scene.does(PauseRecording())
        says(scene, 0.06, 1500)
        await scene.silence(0.08)
        await scene.does(ResumeRecording())
    await scene.does(Stop())
    _, heard = await result(scene, Stopped())
    spectra = np.abs(np.fft.rfft(heard[: len(heard) // 480 * 480].reshape(-1, 480)))  # of 10 ms: 100 Hz each
    kept, dropped = (np.count_nonzero(spectra[:, pitch] > 100_000) for pitch in (5, 15))
    assert kept > 40
    assert dropped < 8


async def test_nobody_speaks_or_nobody_any_more(scene: Scene) -> None:
    await scene.begin(Record(initial_timeout=400, final_timeout=5000))
    recording, _ = await result(scene, InitialTimeout())
    assert recording.duration >= 400
    scene.events.clear()
    await scene.begin(Record(initial_timeout=400, final_timeout=600))
    scene.is_spoken_in = True
    await scene.silence(1)
    scene.is_spoken_in = False
    recording, _ = await result(scene, FinalTimeout())
    assert recording.duration >= 1300


async def test_beeps_are_heard_and_not_recorded(scene: Scene) -> None:
    await scene.begin(Record(start_beep=True, stop_beep=True))
    await scene.until_heard(0.15)
    await scene.silence(0.5)
    await scene.does(Stop())
    _, recorded = await result(scene, Stopped())
    assert sounding(recorded) == 0
    assert [len(part) / RATE for part in scene.parts()] == [pytest.approx(0.2, abs=0.01)] * 2


async def test_two_sides_are_two_channels_or_mixed(plane: MediaPlane, folder: Path) -> None:
    """Of a call, for which a leg stands that nobody answers."""

    class Nobody:
        def leg_speaking(self, speaking: bool) -> None: ...

    leg = plane.create_leg(controlling=False, observer=Nobody())  # type: ignore[arg-type]
    scene = Scene(plane, Facilities(plane, recordings=Recordings(folder)))
    mixer, scene.node, scene.is_mixer = scene.node, leg.node, False
    for command, channels in (
        (Record(), 2),
        (Record(mix=True), 1),
        (Record(direction="send"), 1),
        (Record(direction="recv"), 1),
    ):
        await scene.begin(command)
        await scene.silence(0.3)
        await scene.does(Stop())
        recording, _ = await result(scene, Stopped())
        path = Path(unquote(urlparse(recording.uri).path))
        assert path.stat().st_size == pytest.approx(recording.duration * 48 * 2 * channels, abs=200)
        scene.events.clear()
    scene.node = mixer
    await scene.close()
    await leg.close()


@pytest.mark.parametrize(
    ("hints", "rate"),
    [
        ((("bitrate", "96000"),), 96),
        ((("bitrate", "nonsense"),), 64),
        ((("bitrate", "9" * 30),), 64),
        ((("colour", "red"),), 64),
    ],
)
async def test_a_hint_is_heeded_or_ignored(scene: Scene, hints: Sequence[tuple[str, str]], rate: int) -> None:
    await scene.begin(Record(format="mp3", hints=tuple(Hint(name=name, value=value) for name, value in hints)))
    says(scene, 1)
    await scene.silence(1)
    await scene.does(Stop())
    recording, _ = await result(scene, Stopped())
    assert recording.size * 8 / recording.duration == pytest.approx(rate, rel=0.15)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (Record(format="m4a"), OptionNotSupported),
        (Record(format="h264"), OptionNotSupported),
        (Record(direction="send"), OptionNotSupported),
    ],
)
async def test_what_cannot_be_recorded_is_refused(
    scene: Scene, folder: Path, command: Record, refusal: type[StanzaError]
) -> None:
    with pytest.raises(refusal):
        await scene.begin(command)
    assert not folder.exists() or not list(folder.iterdir())


async def test_where_nothing_can_be_written_it_is_refused(plane: MediaPlane, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for recordings, refusal in ((None, OptionNotSupported), (Recordings(tmp_path / "file" / "x"), ResourceConstraint)):
        scene = Scene(plane, Facilities(plane, recordings=recordings))
        with pytest.raises(refusal):
            await scene.begin(Record())
        await scene.close()


async def test_a_disk_that_fails_ends_the_recording_and_nothing_else(scene: Scene, folder: Path) -> None:
    assert scene.node is not None
    scene.heard_here = [Speaker("romeo", scene.node)]
    recorder = await scene.begin(Record(hints=(Hint(name="tracks", value="speaker"),)))
    assert isinstance(recorder, record.Recorder)
    says(scene, 1)
    await scene.silence(0.5)
    recorder._path.with_name(recorder._path.name + PART).unlink()  # it cannot be brought in under its name any more
    await scene.does(Stop())
    complete = await scene.complete()
    assert isinstance(complete.reason, Failed)
    assert (complete.reason.text or "").endswith("cannot be ended: No such file or directory")
    (tracks,) = complete.metadata
    assert isinstance(tracks, TrackFiles)
    assert {path.as_uri() for path in folder.iterdir()} == {tracks.uri, *(track.uri for track in tracks.tracks)}
    assert scene._facilities.recordings is not None
    assert scene._facilities.recordings.counted == {"lost": 1, "whole": 1}


async def test_who_leaves_before_the_last_beep_costs_the_beep_alone(scene: Scene) -> None:
    await scene.begin(Record(stop_beep=True))
    says(scene, 1)
    await scene.silence(0.5)
    node, scene.node = scene.node, None
    await scene.does(Stop())
    await result(scene, Stopped())
    scene.node = node


async def test_what_cannot_be_written_at_the_end_keeps_nothing_else_from_being_brought_in(
    scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "STEP", 3600.0)  # all is written when it ends
    recorder = await scene.begin(Record(stop_beep=True))
    assert isinstance(recorder, record.Recorder)
    writer = recorder._writer
    assert writer is not None
    write = writer.write

    def fill(samples: NDArray[np.int16]) -> None:
        write(samples[:, : RATE // 10])
        raise WriteError("the disk is full")

    monkeypatch.setattr(writer, "write", fill)
    await scene.silence(0.5)
    await scene.does(Stop())
    complete = await scene.complete()
    assert complete.reason == Failed(text="the disk is full")
    (recording,) = complete.metadata
    assert isinstance(recording, Recording)
    assert recording.duration == 100
    (path,) = folder.iterdir()
    assert sum(len(block) for block in read_audio(path)) == RATE // 10
    assert scene._facilities.recordings is not None
    assert scene._facilities.recordings.counted == {"whole": 1}


# --- the folder ---


async def test_the_log_says_who_has_recorded_whom_into_which_file(
    scene: Scene, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "focus.rayo.components.record")
    await scene.begin(Record(format="wav", max_duration=500))
    says(scene, 0.5)
    recording, _ = await result(scene, MaxDuration())
    path = folder / recording.uri.rpartition("/")[2]
    assert caplog.messages == [
        f"{CLIENT} records tea@focus.example.org into {path}",
        f"the recording {path.name} of tea@focus.example.org has ended (max-duration): 0.5 s",
    ]


async def test_what_was_cut_short_is_whole_after_the_next_start(folder: Path) -> None:
    recordings = Recordings(folder)
    path = recordings.new("wav")
    writer = SoundWriter(path, FORMATS["wav"])
    for _ in range(20):
        writer.write(Tone(440).samples(4800).reshape(1, -1))
    (folder / f"notes.txt{PART}").write_text("not ours")
    (folder / f"{'0' * 32}.wav{PART}").write_bytes(b"")
    assert recordings.recover() == [path]
    assert recordings.counted == {"recovered": 1, "lost": 1}
    assert sum(len(block) for block in read_audio(path)) >= RATE
    assert sorted(each.name for each in folder.iterdir()) == sorted(
        [path.name, f"notes.txt{PART}", f"{'0' * 32}.wav{PART}.lost"]
    )


async def test_what_finds_no_room_is_whole_after_a_later_start(folder: Path) -> None:
    recordings = Recordings(folder)
    path = recordings.new("wav")
    writer = SoundWriter(path, FORMATS["wav"])
    writer.write(Tone(440).samples(2 * RATE).reshape(1, -1))
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        assert recordings.recover() == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    assert [each.name for each in folder.iterdir()] == [f"{path.name}{PART}"]
    assert recordings.recover() == [path]
    assert recordings.counted == {"put-off": 1, "recovered": 1}
    assert sum(len(block) for block in read_audio(path)) >= 2 * RATE


async def test_recordings_are_for_our_own_user_only(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path / "made" / "recordings")
    whole, cut = recordings.new("ogg"), recordings.new("flac")
    assert stat.S_IMODE(recordings.folder.stat().st_mode) == 0o700
    writers = [SoundWriter(path, FORMATS[path.suffix[1:]]) for path in (whole, cut)]
    assert {stat.S_IMODE(each.stat().st_mode) for each in recordings.folder.iterdir()} == {0o600}
    for writer in writers:
        writer.write(Tone(440).samples(RATE).reshape(1, -1))
    writers[0].close()
    cut.with_name(f"{cut.name}{PART}").chmod(0o644)  # as an earlier version has left it
    recordings.recover()
    assert {each.name: stat.S_IMODE(each.stat().st_mode) for each in recordings.folder.iterdir()} == {
        whole.name: 0o600,
        cut.name: 0o600,
    }


async def test_what_is_too_old_is_deleted(folder: Path) -> None:
    recordings = Recordings(folder, keep=1000)
    old, new, other = recordings.new("ogg"), recordings.new("ogg"), folder / "old.txt"
    for path in (old, new, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (0, 0))
    recordings.expire()
    assert {path.name for path in folder.iterdir()} == {new.name, other.name}
    assert recordings.counted == {"deleted": 1}


async def test_a_disk_that_does_not_let_things_be_deleted_or_renamed_ends_nothing(folder: Path, tmp_path: Path) -> None:
    hook, told = hook_in(tmp_path)
    recordings = Recordings(folder, base="http://x/", keep=1000, hook=hook)
    path, old, left, cut, new = (recordings.new("wav") for _ in range(5))
    path.write_bytes(b"x")
    for each in (
        old,
        left.with_name(f"{left.name}.due"),
        cut.with_name(f"{cut.name}{PART}"),
        new.with_name(f"{new.stem}.json{PART}.new"),
    ):
        each.mkdir()  # as root can delete and rename everything else
        (each / "full").touch()
        os.utime(each, (0, 0))
    running = asyncio.create_task(recordings.run())
    recordings.finished(path)
    await recordings.handed_over(60)
    assert told.read_text() == f"{path} http://x/{path.name}\n"
    recordings.expire()
    assert recordings.counted == {"whole": 1, "put-off": 1}
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def hook_in(folder: Path, deed: str = "") -> tuple[Path, Path]:
    """A hook that writes down what it is given, once it has done its `deed`; and where it does."""
    hook, told = folder / "hook", folder / "told"
    hook.write_text(f'#!/bin/sh\n{deed}\nprintf "%s %s\\n" "$1" "$2" >> {told}\n')
    hook.chmod(0o755)
    return hook, told


async def test_the_hook_is_given_each_recording(folder: Path, tmp_path: Path) -> None:
    hook, told = hook_in(tmp_path)
    recordings = Recordings(folder, base="https://meet.example.org/recordings/", hook=hook)
    path = recordings.new("wav")
    path.write_bytes(b"x")
    running = asyncio.create_task(recordings.run())
    recordings.finished(path)
    await recordings.handed_over(60)
    assert told.read_text() == f"{path} https://meet.example.org/recordings/{path.name}\n"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_hook_that_fails_is_counted_and_the_next_recording_is_given_to_it(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook, told = hook_in(tmp_path, 'test -s "$1" || exit 3')
    recordings = Recordings(folder, base="http://x/", hook=hook)
    empty, whole = recordings.new("wav"), recordings.new("wav")
    empty.touch()
    whole.write_bytes(b"x")
    running = asyncio.create_task(recordings.run())
    for path in (empty, whole):
        recordings.finished(path)
    await recordings.handed_over(60)
    assert told.read_text() == f"{whole} http://x/{whole.name}\n"
    hook.unlink()
    recordings.finished(whole)
    await recordings.handed_over(60)
    assert recordings.counted == {"whole": 3, "hook-failed": 2}
    assert sorted(folder.iterdir()) == sorted([empty, whole])
    assert f"{hook} ended with 3 for {empty.name}, which stays where it is" in caplog.text
    assert f"{hook} cannot be run for {whole.name}" in caplog.text
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_the_hook_has_not_been_given_in_time_it_is_given_at_the_next_start(
    folder: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    hook, told = hook_in(tmp_path, f"test -e {gate} || exec sleep 60")
    paths: list[Path] = []
    for within in (0.2, 20):
        recordings = Recordings(folder, base="http://x/", hook=hook)
        running = asyncio.create_task(recordings.run())
        if not paths:
            for _ in range(2):
                paths.append(recordings.new("wav"))
                writer = SoundWriter(paths[-1], FORMATS["wav"])
                writer.write(Tone(440).samples(480).reshape(1, -1))
                recordings.bring_in(writer)
                recordings.finished(paths[-1])
        else:
            gate.touch()
            await asyncio.sleep(0)
            async with asyncio.timeout(60):
                while not told.exists() or told.read_text().count("\n") < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await recordings.handed_over(within)
        assert told.exists() is gate.exists()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert sorted(told.read_text().splitlines()) == sorted(f"{path} http://x/{path.name}" for path in paths)
    assert sorted(folder.iterdir()) == sorted(paths)
