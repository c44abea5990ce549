"""What the plane needs without doing anything: idle rooms, memory, and the interpreter's lock."""

import socket
import time
from functools import partial

from benchmarks.conference import FIGURES, figures, legend
from benchmarks.generator import Load, generate, measure
from benchmarks.result import Benchmark, Cell, Column, Result
from benchmarks.servers import Server, plane
from benchmarks.workbench import TICKS, Workbench, cpu_seconds, resident_bytes
from mixer_ext import rtp_build

ROOMS = 2000
LEGS = 1000
HOLD = 3.0  # s
SETTLING = 30.0  # s; encoding the first of 2000 silences at once takes a while, and five seconds of it are sent
SILENT_PAYLOAD = bytes([0xF8, 0xFF, 0xFE])  # 20 ms of nothing


def _idle(bench: Workbench) -> Result:
    rooms = ROOMS // 20 if bench.quick else ROOMS
    seconds = 1 if bench.quick else 20
    rows: list[list[Cell]] = []
    for what, legs, wanted in (
        ("nobody in them", 0, "< 0.5 % of a core"),
        ("one member each, who has never sent anything", rooms, ""),
        ("one member each, silent, who is sent silence", rooms, ""),
    ):
        bench.say(f"idle: {rooms} rooms, {what}")
        with plane(bench, legs, rooms=rooms) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member:
            if "is sent" in what:
                _say_something(server, member)
            time.sleep(SETTLING)  # what there is to do at the beginning is done
            began, cpu = time.monotonic(), cpu_seconds(server.pid)
            time.sleep(seconds)
            share = (cpu_seconds(server.pid) - cpu) / (time.monotonic() - began)
        rows.append([f"{rooms} rooms, {what}", share * 100, share * 1e6 / TICKS / rooms, wanted])
    return Result(
        "idle",
        "Rooms in which nothing happens",
        [Column("rooms"), Column("% of a core", ".2f"), Column("µs a room and tick", ".3f"), Column("to reach")],
        rows,
        [f"CPU time of the server's process over {seconds} s; five times a second its Python looks for events."],
    )


def _say_something(server: Server, member: socket.socket) -> None:
    """One packet from each leg, all from one socket that nobody reads: then the plane knows where to send to."""
    for line in server.peers.read_text().splitlines():
        host, port, payload_type, ssrc = line.split()
        packet = rtp_build(
            payload_type=int(payload_type), sequence=1, timestamp=1, ssrc=int(ssrc), payload=SILENT_PAYLOAD
        )
        member.sendto(packet, (host, int(port)))


def _memory(bench: Workbench) -> Result:
    legs = LEGS // 20 if bench.quick else LEGS
    bench.say("memory: an empty plane")
    with plane(bench, 0) as server:
        empty = resident_bytes(server.pid)
    sizes: dict[str, int] = {}

    bench.say(f"memory: {legs} legs")
    with plane(bench, legs, srtp="gcm") as server:
        sizes["keyed, nothing sent yet"] = resident_bytes(server.pid)
        generate(bench, server, Load.of(3, legs), warm=1, seconds=2 if bench.quick else 5)
        sizes["all sending, 3 of them speech"] = resident_bytes(server.pid)
    rows: list[list[Cell]] = [["the process with no legs", empty / 2**20, None]]
    rows += [[f"{legs} legs, {name}", size / 2**20, (size - empty) / legs / 1024] for name, size in sizes.items()]
    return Result(
        "memory",
        "Memory",
        [Column("what"), Column("resident, MiB", ".1f"), Column("KiB a leg", ".1f")],
        rows,
        ["Resident memory of the server's process, Python and numpy included; Opus, AEAD_AES_128_GCM, one room."],
    )


def _lock(bench: Workbench) -> Result:
    legs = 10
    hold = 1.0 if bench.quick else HOLD
    rows: list[list[Cell]] = []
    notes = [
        f"Another thread of the same process keeps the interpreter's lock for {hold:.0f} s again and again (usleep() "
        "called through ctypes.PyDLL). A tick that needs the lock would wait as long: the ticks counted between taking "
        "and giving back the lock did without it.",
    ]
    measurements = []
    raw: list[object] = []
    for held in (0.0, hold):
        bench.say(f"lock: {'held' if held else 'free'}")
        measured = measure(
            bench,
            partial(plane, bench, legs, hold_gil=held),
            Load.of(3, legs),
            runs=1,
            seconds=3 if bench.quick else 10,
        )
        lock = measured.runs[0]["statistics"].get("lock", {})
        due = int(lock.get("held_seconds", 0) * TICKS)
        ticks = f"{lock['ticks_meanwhile']} of {due}" if lock else None
        rows.append(["held" if held else "free", ticks, *figures(measured)])
        measurements.append(measured)
        raw.append(measured.runs)
    return Result(
        "lock",
        f"The interpreter's lock, {legs} participants",
        [Column("lock"), Column("ticks while it is held"), *FIGURES],
        rows,
        notes + legend(measurements),
        raw,
    )


IDLE = Benchmark("idle", "rooms in which nothing happens", _idle)
MEMORY = Benchmark("memory", "memory of a leg", _memory)
LOCK = Benchmark("lock", "the tick thread while Python's lock is held", _lock)
