"""The servers that are put under load, each as a process of its own on a core of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.plane_server import keys
from benchmarks.result import Unavailable
from benchmarks.workbench import CHECKOUT, Workbench, cores, end_process, read_line

START = 60  # s


@dataclass
class Server:
    """A server that serves. statistics: what it said at its end, which is empty before."""

    pid: int
    peers: Path
    srtp: str = "none"
    local_port: int = 0  # where the first participant sends from; 0: where it likes
    statistics: dict[str, object] = field(default_factory=dict)

    def load_options(self) -> list[str]:
        """What the generator must be told."""
        options = ["--peers", str(self.peers), "--server-pid", str(self.pid), "--port", str(self.local_port)]
        if self.srtp != "none":
            _, receive, send = keys(self.srtp)
            options += ["--srtp", self.srtp, "--send-key", receive.hex(), "--receive-key", send.hex()]
        return options


@contextmanager
def plane(
    bench: Workbench,
    legs: int,
    *,
    rooms: int = 1,
    codec: str = "opus",
    srtp: str = "none",
    level_extension: int = 0,
    hold_gil: float = 0,
) -> Iterator[Server]:
    """Our own media plane. Unavailable with its own words when it does not start."""
    peers = bench.directory / "plane.peers"
    command = [sys.executable, "-m", "benchmarks.plane_server", "--legs", str(legs), "--rooms", str(rooms)]
    command += ["--codec", codec, "--srtp", srtp, "--cpu", str(cores()[0]), "--peers-file", str(peers)]
    command += ["--level-extension", str(level_extension), "--hold-gil", str(hold_gil)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT, start_new_session=True
    )
    try:
        if read_line(process, START).split() != ["ready", str(process.pid)]:
            raise Unavailable((end_process(process)[1].strip().splitlines() or ["the plane server does not start"])[-1])
        server = Server(process.pid, peers, srtp)
        yield server
        output, errors = end_process(process)
        if process.returncode:
            raise RuntimeError(f"the plane server ended with {process.returncode}: {errors.strip()[-2000:]}")
        server.statistics.update(json.loads(output.splitlines()[-1]))
    finally:
        if process.poll() is None:
            end_process(process)
