"""A conference server of the plane alone, for load generators: N legs in R rooms, no signalling.

Each leg is told from the others by the SSRC of what it sends, so one line a leg, `ip port payload-type ssrc`, is all
that a generator needs to know. It prints `ready` and its process id when it serves, and its statistics as JSON when it
is ended with SIGTERM.

With --srtp the legs are keyed as if DTLS had just been there, all with the same two keys, which are no secret: for
what the server receives the bytes 0, 1, 2, ... and for what it sends 128, 129, 130, ..., as many as the profile has in
key and salt together (28 for gcm, AEAD_AES_128_GCM; 30 for cm, AES_CM_128_HMAC_SHA1_80). The streams differ by their
SSRC. A keyed leg must have a source address of its own.

With --shards S there are S planes, each with a thread and a port of its own; each room is in one.

With --hold-gil S another thread's worst is played: the interpreter lock is held for S seconds again and again. The
statistics then say how many ticks went on meanwhile.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mixer_ext import Plane

PAYLOAD_TYPES = {"opus": 111, "pcmu": 0}
PROFILES = {"gcm": ("AEAD_AES_128_GCM", 28), "cm": ("AES_CM_128_HMAC_SHA1_80", 30)}
POLL = 0.2  # s
OWN_SSRC = 1_000_000


def keys(srtp: str) -> tuple[str, bytes, bytes]:
    """The profile, and key with salt for what the server receives and for what it sends."""
    profile, length = PROFILES[srtp]
    return profile, bytes(range(length)), bytes(range(128, 128 + length))


@dataclass
class Hold:
    """The interpreter lock is held for so many seconds at a time; what the plane did meanwhile."""

    seconds: float
    ticks: int = 0
    held: float = 0.0

    def __post_init__(self) -> None:
        self._sleep = ctypes.PyDLL(None).usleep  # PyDLL, unlike CDLL, keeps the lock

    def once(self, plane: Plane) -> None:
        ticks, began = plane.plane_stats()["ticks"], time.monotonic()
        self._sleep(int(self.seconds * 1e6))
        self.held += time.monotonic() - began
        self.ticks += int(plane.plane_stats()["ticks"] - ticks)


def add_legs(planes: list[Plane], chosen: argparse.Namespace) -> list[tuple[Plane, int]]:
    """All rooms, each with its legs in one plane, and the file that tells of them. SystemExit for a codec not taken."""
    rooms = [(planes[n % len(planes)], planes[n % len(planes)].add_mixer()) for n in range(chosen.rooms)]
    payload_type = PAYLOAD_TYPES[chosen.codec]
    legs = []
    with chosen.peers_file.open("w") as lines:
        for n in range(chosen.legs):
            plane, mixer = rooms[n % len(rooms)]
            host, port = plane.addresses[0]
            leg = plane.add_leg(f"benchmark{n}", ssrc=OWN_SSRC + n, csrc=1 + n)
            try:
                plane.set_codec(
                    leg, payload_type=payload_type, name=chosen.codec, level_extension=chosen.level_extension
                )
            except ValueError as error:
                sys.exit(f"plane_server: the plane does not take {chosen.codec}: {error}")
            plane.set_plain(leg, ("", 0), receive_ssrc=1 + n)
            if chosen.srtp != "none":
                plane.set_srtp(leg, *keys(chosen.srtp))
            plane.join(leg, mixer)
            legs.append((plane, leg))
            lines.write(f"{host} {port} {payload_type} {1 + n}\n")
    return legs


def serve(chosen: argparse.Namespace) -> dict[str, object]:
    """Serve until SIGTERM or SIGINT; what happened."""
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: ended.append(number))
    planes = [Plane([("127.0.0.1", chosen.port + n if chosen.port else 0)]) for n in range(chosen.shards)]
    legs = add_legs(planes, chosen)
    hold = Hold(chosen.hold_gil) if chosen.hold_gil else None
    for plane in planes:
        plane.start()
    began, cpu = time.monotonic(), time.process_time()
    print("ready", os.getpid(), flush=True)
    while not ended:
        time.sleep(POLL)
        for plane in planes:
            plane.poll()
        if hold is not None:
            hold.once(planes[0])
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    stats = [plane.stats(leg) for plane, leg in legs]
    shards = [plane.plane_stats() for plane in planes]
    result: dict[str, object] = {
        "legs": chosen.legs,
        "rooms": chosen.rooms,
        "codec": chosen.codec,
        "srtp": chosen.srtp,
        "seconds": round(seconds, 2),
        "cores": round(cpu / seconds, 4),
        "us_per_leg_and_tick": round(cpu / seconds / chosen.legs * 20_000, 1) if chosen.legs else None,
        "plane": {name: (max if "_max_" in name else sum)(shard[name] for shard in shards) for name in shards[0]},
        "total": {
            name: round(sum(each[name] for each in stats), 1)  # type: ignore[literal-required]  # of its own names
            for name in stats[0]
        }
        if stats
        else {},
        "mean_depth_ms": round(sum(each["depth_ms"] for each in stats) / len(stats), 1) if stats else None,
    }
    if hold is not None:
        result["lock"] = {"held_seconds": round(hold.held, 3), "ticks_meanwhile": hold.ticks}
    for plane in planes:
        plane.stop()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--legs", type=int, required=True, metavar="N")
    parser.add_argument("--rooms", type=int, default=1, metavar="R")
    parser.add_argument("--shards", type=int, default=1, metavar="S", help="planes, each with a thread and a port")
    parser.add_argument("--codec", choices=sorted(PAYLOAD_TYPES), default="opus")
    parser.add_argument("--srtp", choices=[*PROFILES, "none"], default="none")
    parser.add_argument("--port", type=int, default=0, help="UDP; 0 is any free one")
    parser.add_argument("--cpu", type=int, help="run on this core only")
    parser.add_argument("--level-extension", type=int, default=0, metavar="ID", help="RFC 6464 identifier, 0 for none")
    parser.add_argument("--hold-gil", type=float, default=0, metavar="S", help="keep the interpreter lock so long")
    parser.add_argument("--peers-file", type=Path, required=True)
    chosen = parser.parse_args()
    if chosen.legs < 0 or chosen.rooms < 1 or chosen.shards < 1:
        parser.error("some rooms and shards, and no less than no legs")
    if chosen.cpu is not None:
        os.sched_setaffinity(0, {chosen.cpu})
    print(json.dumps(serve(chosen)))


if __name__ == "__main__":
    main()
