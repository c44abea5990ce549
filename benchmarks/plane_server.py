"""A conference server of the plane alone, for load generators: N plain legs in R rooms, no signalling.

Each leg is told from the others by the SSRC of what it sends, so one line a leg, `ip port payload-type ssrc`, is all
that a generator needs to know. It prints `ready` and its process id when it serves, and its statistics as JSON when it
is ended with SIGTERM.
"""

import argparse
import json
import os
import signal
import time
from pathlib import Path

from mixer_ext import Plane

PAYLOAD_TYPE = 111


def serve(legs: int, rooms: int, port: int, peers_file: Path, level_extension: int) -> dict[str, object]:
    """Serve until SIGTERM or SIGINT; what happened."""
    plane = Plane([("127.0.0.1", port)])
    mixers = [plane.add_mixer() for _ in range(rooms)]
    host, bound = plane.addresses[0]
    ids = []
    with peers_file.open("w") as lines:
        for n in range(legs):
            leg = plane.add_leg(f"benchmark{n}", ssrc=1_000_000 + n, csrc=1 + n)
            plane.set_codec(leg, payload_type=PAYLOAD_TYPE, level_extension=level_extension)
            plane.set_plain(leg, ("", 0), receive_ssrc=1 + n)
            plane.join(leg, mixers[n % rooms])
            ids.append(leg)
            lines.write(f"{host} {bound} {PAYLOAD_TYPE} {1 + n}\n")
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    plane.start()
    began, cpu = time.monotonic(), time.process_time()
    print("ready", os.getpid(), flush=True)
    while signal.sigtimedwait(signals, 0.1) is None:
        plane.poll()
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    stats = [plane.stats(leg) for leg in ids]
    result: dict[str, object] = {
        "legs": legs,
        "rooms": rooms,
        "seconds": round(seconds, 2),
        "cores": round(cpu / seconds, 4),
        "us_per_leg_and_tick": round(cpu / seconds / legs * 20_000, 1),
        "plane": plane.plane_stats(),
        "total": {name: round(sum(each[name] for each in stats), 1) for name in stats[0]},
        "mean_depth_ms": round(sum(each["depth_ms"] for each in stats) / legs, 1),
    }
    plane.stop()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--legs", type=int, required=True)
    parser.add_argument("--rooms", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cpu", type=int, help="run on this core only")
    parser.add_argument("--level-extension", type=int, default=0, help="RFC 6464 identifier")
    parser.add_argument("--peers-file", type=Path, required=True)
    chosen = parser.parse_args()
    if chosen.cpu is not None:
        os.sched_setaffinity(0, {chosen.cpu})
    print(json.dumps(serve(chosen.legs, chosen.rooms, chosen.port, chosen.peers_file, chosen.level_extension)))


if __name__ == "__main__":
    main()
