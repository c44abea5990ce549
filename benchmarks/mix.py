"""The mix: ours, with everybody's own mix-minus, beside numpy, ffmpeg's amix and GStreamer's audiomixer."""

import os
import resource
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.result import Benchmark, Cell, Column, Result, Unavailable
from benchmarks.workbench import FRAME, RATE, TICKS, Samples, Workbench, cores, microseconds, on_core, require, sound
from mixer_ext import mix_minus

SIZES = (3, 10, 50, 100, 400)
FILES = (10, 50, 100)  # inputs of ffmpeg and GStreamer; more would measure their parsers of command lines


def numpy_mix_minus(frames: Samples) -> Samples:
    """The same as mix_minus, in numpy."""
    total = frames.sum(axis=0, dtype=np.int32)
    clipped: Samples = np.clip(total - frames, -32768, 32767).astype(np.int16)
    return clipped


def cpu_of(command: Sequence[str]) -> float:
    """CPU seconds of a program that runs to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Unavailable(f"{command[0]} fails: {done.stderr.strip()[-300:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _ffmpeg(path: Path, inputs: int, mixed: bool) -> list[str]:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-filter_threads", "1", "-filter_complex_threads", "1"]
    for _ in range(inputs):
        command += ["-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", str(path)]
    if mixed:
        command += ["-filter_complex", f"amix=inputs={inputs}:normalize=0"]
    else:
        for n in range(inputs):
            command += ["-map", f"{n}:a"]
    return [*command, "-f", "null", "-"]


def _gstreamer(path: Path, inputs: int, mixed: bool) -> list[str]:
    parse = f"rawaudioparse format=pcm pcm-format=s16le sample-rate={RATE} num-channels=1"
    source = f"filesrc location={path} blocksize={2 * FRAME} ! {parse}"
    command = "gst-launch-1.0 -q"
    if mixed:
        command += " audiomixer name=mix output-buffer-duration=20000000 ! fakesink sync=false"
    for _ in range(inputs):
        command += f" {source} ! " + ("mix." if mixed else "fakesink sync=false")
    return command.split()


def _others(
    bench: Workbench, name: str, program: str, package: str, command: Callable[[Path, int, bool], list[str]]
) -> tuple[dict[int, tuple[float, float]], str]:
    """Milliseconds of CPU for a second of sound by number of inputs: with the mix, and without it. A note if it must
    be skipped.
    """
    seconds = 5 if bench.quick else 30
    path, one_frame = bench.directory / "mix.raw", bench.directory / "frame.raw"
    samples = (np.tile(sound("silence"), 3)[: seconds * RATE] * 1000).astype(np.int16)
    path.write_bytes(samples.tobytes())
    one_frame.write_bytes(samples[:FRAME].tobytes())  # what the program costs before it does anything
    found: dict[int, tuple[float, float]] = {}
    try:
        require(program, package)
        for size in FILES[:1] if bench.quick else FILES:
            bench.say(f"mix: {name}, {size} inputs")
            mixed, read = (
                cpu_of(command(path, size, mixed)) - cpu_of(command(one_frame, size, mixed)) for mixed in (True, False)
            )
            found[size] = mixed / seconds * 1000, read / seconds * 1000
    except Unavailable as missing:
        return found, f"{name} is skipped: {missing}"
    finally:
        path.unlink()
    return found, ""


def _mix(bench: Workbench) -> Result:
    notes = [
        "Ours and numpy's: a mix for each of the inputs, without itself; called from Python, the result's memory made "
        "anew each time. amix and audiomixer: one mix of everybody, from files; in brackets what only reading the same "
        "files takes.",
    ]
    rng = np.random.default_rng(1)
    rows: list[list[Cell]] = []
    with on_core(cores()[0]):
        ffmpeg, skipped = _others(bench, "ffmpeg", "ffmpeg", "ffmpeg", _ffmpeg)
        notes += [skipped] * bool(skipped)
        gstreamer, skipped = _others(
            bench, "GStreamer", "gst-launch-1.0", "gstreamer1.0-tools gstreamer1.0-plugins-base", _gstreamer
        )
        notes += [skipped] * bool(skipped)
        for size in SIZES[:2] if bench.quick else SIZES:
            frames = rng.integers(-8000, 8000, (size, FRAME)).astype(np.int16)
            if not np.array_equal(mix_minus(frames), numpy_mix_minus(frames)):
                raise AssertionError("mix_minus is wrong")
            bench.say(f"mix: ours and numpy, {size} inputs")
            seconds = 0.2 if bench.quick else 1.5
            ours = microseconds(partial(mix_minus, frames), seconds=seconds)
            theirs = microseconds(partial(numpy_mix_minus, frames), seconds=seconds)
            both = [_pair(found.get(size)) for found in (ffmpeg, gstreamer)]
            rows.append([size, ours, theirs, ours * TICKS / 1000, theirs * TICKS / 1000, *both])
    return Result(
        "mix",
        f"Mixing 20 ms of N inputs at {RATE // 1000} kHz",
        [
            Column("inputs"),
            Column("ours, µs a tick", ".1f"),
            Column("numpy", ".1f"),
            Column("ours, ms for 1 s", ".2f"),
            Column("numpy", ".2f"),
            Column("ffmpeg amix (reading)"),
            Column("GStreamer audiomixer (reading)"),
        ],
        rows,
        notes,
        [{"ffmpeg": ffmpeg, "gstreamer": gstreamer, "cpus": os.cpu_count()}],
    )


def _pair(found: tuple[float, float] | None) -> Cell:
    return None if found is None else f"{found[0]:.2f} ({found[1]:.2f})"


MIX = Benchmark("mix", "the mix kernel, numpy, ffmpeg's amix, GStreamer's audiomixer", _mix)
