"""What everything is made of: Opus, SRTP and system calls, in C and as the extension offers them to Python."""

import itertools
import json
import subprocess
from collections.abc import Iterator

from benchmarks.plane_server import keys
from benchmarks.result import Benchmark, Cell, Column, Result
from benchmarks.workbench import FRAME, Workbench, cores, frames_of, microseconds, on_core, sound
from mixer_ext import Opus, Srtp, rtp_build


def packets_in_order() -> Iterator[bytes]:
    """RTP packets of 100 bytes, without end."""
    for n in itertools.count():
        sequence, timestamp = n & 0xFFFF, n * FRAME & 0xFFFFFFFF
        yield rtp_build(payload_type=111, sequence=sequence, timestamp=timestamp, ssrc=1, payload=bytes(88))


def srtp_costs(profile: str, key: bytes, seconds: float) -> tuple[float, float]:
    """Microseconds to protect and to unprotect."""
    # Each loop has streams of its own: an end must see every packet, or it loses count of the sequence.
    one, two, three = packets_in_order(), packets_in_order(), packets_in_order()
    sender, receiver = Srtp(profile, key, 1), Srtp(profile, key)
    only_sender = Srtp(profile, key, 1)
    making = microseconds(lambda: next(one), seconds=seconds)
    protecting = microseconds(lambda: only_sender.protect(next(two)), seconds=seconds)
    both = microseconds(lambda: receiver.unprotect(sender.protect(next(three))), seconds=seconds)
    return protecting - making, both - protecting


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
        protecting, unprotecting = srtp_costs(profile, key, seconds)
        found[f"mixer_ext.Srtp.protect {srtp.upper()}"] = protecting
        found[f"mixer_ext.Srtp.unprotect {srtp.upper()}"] = unprotecting
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
