"""What everything is made of: Opus, SRTP and system calls, in C and as the extension offers them to Python."""

import itertools
import json
import statistics
import subprocess
import time

from benchmarks.plane_server import keys
from benchmarks.result import Benchmark, Cell, Column, Result
from benchmarks.workbench import FRAME, Workbench, cores, frames_of, microseconds, on_core, sound
from mixer_ext import Opus, Srtp, rtp_build

BATCH = 400  # packets between two looks at the clock


def srtp_costs(profile: str, key: bytes, streams: int, seconds: float) -> tuple[float, float]:
    """Microseconds to protect and to unprotect a packet of 100 bytes; the streams take turns."""
    senders = [Srtp(profile, key, ssrc) for ssrc in range(streams)]
    receivers = [Srtp(profile, key) for _ in range(streams)]
    turns = max(1, BATCH // streams)
    protecting, unprotecting = [], []
    until = time.thread_time() + seconds
    for batch in itertools.count():
        numbers = [batch * turns + turn & 0xFFFF for turn in range(turns)]
        packets = [
            rtp_build(payload_type=111, sequence=number, timestamp=0, ssrc=ssrc, payload=bytes(88))
            for number in numbers
            for ssrc in range(streams)
        ]
        began = time.thread_time()
        sealed = [sender.protect(packet) for sender, packet in zip(senders * turns, packets, strict=True)]
        between = time.thread_time()
        for receiver, packet in zip(receivers * turns, sealed, strict=True):
            receiver.unprotect(packet)
        ended = time.thread_time()
        protecting.append((between - began) / len(packets))
        unprotecting.append((ended - between) / len(packets))
        if ended > until:
            break
    return statistics.median(protecting) * 1e6, statistics.median(unprotecting) * 1e6


def in_python(bench: Workbench, seconds: float) -> dict[str, float]:
    """The extension's own, a call from Python and a new object for the result included."""
    speech = sound("talk0").reshape(-1, FRAME)
    frames = itertools.cycle(speech)
    payloads = itertools.cycle(frames_of(bench.frames("talk0")))
    opus = Opus()
    found = {"mixer_ext.Opus.encode": microseconds(lambda: opus.encode(next(frames)), seconds=seconds)}
    found["mixer_ext.Opus.decode"] = microseconds(lambda: opus.decode(next(payloads)), seconds=seconds)
    for srtp in ("gcm", "cm"):
        profile, key, _ = keys(srtp)
        for streams in (1, 400):
            protecting, unprotecting = srtp_costs(profile, key, streams, seconds)
            name = f"{srtp.upper()}, {streams} stream{'s' * (streams > 1)}"
            found[f"mixer_ext.Srtp.protect {name}"] = protecting
            found[f"mixer_ext.Srtp.unprotect {name}"] = unprotecting
    return found


def _primitives(bench: Workbench) -> Result:
    seconds = 0.05 if bench.quick else 1.0
    program = bench.program("primitives.c")
    path = bench.directory / "speech.raw"
    path.write_bytes(sound("talk0").tobytes())
    with on_core(cores()[0]):
        bench.say("primitives: C")
        done = subprocess.run([program, str(seconds), path], check=True, capture_output=True, text=True)
        measured = json.loads(done.stdout)
        bench.say("primitives: the extension from Python")
        extension = in_python(bench, seconds)
    rows: list[list[Cell]] = [[name, value] for name, value in (measured["us"] | extension).items()]
    return Result(
        "primitives",
        "What everything is made of, µs for a frame of 20 ms or a packet of 100 bytes",
        [Column("primitive"), Column("µs", ".2f")],
        rows,
        [
            f"{measured['opus']}, {measured['srtp']}. An Opus encoder has {measured['bytes']['opus encoder']} bytes, a "
            f"decoder {measured['bytes']['opus decoder']}.",
            "CPU time. VOIP, mono, espeak-ng speech, unless named otherwise. System calls: on loopback, 110 bytes; "
            "what is sent goes through the whole of the receiving side's IP layer within the sending call.",
        ],
        [measured, extension],
    )


PRIMITIVES = Benchmark("primitives", "Opus, SRTP and system calls", _primitives)
