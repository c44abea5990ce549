"""Janus' AudioBridge with participants on plain RTP, as Debian packages it, in a process of its own.

Its configuration is in the run's folder, its interface a Unix socket there. It runs as nobody when we are root. Room
and participants have Janus' defaults, but for the sampling rate, which is ours.
"""

import json
import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.result import Unavailable
from benchmarks.servers import Server
from benchmarks.workbench import Workbench, cores, end_process, require

ROOM = 1
PAYLOAD_TYPE = 111
START = 60  # s
ANSWER = 10
STARTS = 10  # Janus 1.1.2 often finds its socket's thread gone before it is looked for, and then ends
PLUGINS = ("/usr/lib/*/janus", "/usr/local/lib/janus", "/opt/janus/lib/janus")

CONFIGURATION = """
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{modules}/plugins"
    transports_folder = "{modules}/transports"
    events_folder = "{folder}"
    loggers_folder = "{folder}"
    debug_level = 2
    interface = "127.0.0.1"
    session_timeout = 0
}}
nat: {{ ice_lite = true }}
plugins: {{ disable = "{other_plugins}" }}
transports: {{ disable = "{other_transports}" }}
"""

SOCKET = """
general: {{ enabled = true, json = "compact", path = "{folder}/api" }}
admin: {{ admin_enabled = false }}
"""

AUDIOBRIDGE = """
general: {{ rtp_port_range = "{first}-{last}", local_ip = "127.0.0.1" }}
"""


def version() -> str:
    """Of the Janus that is installed."""
    require("janus", "janus")
    said = subprocess.run(["janus", "--version"], capture_output=True, text=True).stdout  # exits with 1 even so
    found = re.search(r"\(([\d.]+)\)", said)
    return found[1] if found else "of an unknown version"


def _modules() -> Path:
    for pattern in PLUGINS:
        for folder in Path("/").glob(pattern.lstrip("/")):
            if (folder / "plugins" / "libjanus_audiobridge.so").exists():
                return folder
    raise Unavailable("no AudioBridge beside Janus: apt-get install --no-install-recommends janus")


def _others(folder: Path, wanted: str) -> str:
    return ",".join(sorted(each.name for each in folder.glob("*.so") if each.name != wanted))


def _free_ports(count: int) -> int:
    """The first of so many UDP ports that nobody has, below those that the kernel gives away."""
    for first in range(14000 + secrets.randbelow(4000), 30000, 517):
        taken: list[socket.socket] = []
        try:
            for port in range(first, first + count):
                taken.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                taken[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for each in taken:
                each.close()
    raise Unavailable(f"no {count} UDP ports in a row are free")


class _Session:
    """Janus' protocol, as much of it as a room needs."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(ANSWER)
        self._socket.connect(str(path))
        self._id = self._ask({"janus": "create"})["data"]["id"]

    def _ask(self, request: dict[str, Any], final: str = "success") -> dict[str, Any]:
        transaction = secrets.token_hex(6)
        self._socket.send(json.dumps(request | {"transaction": transaction}).encode())
        while True:
            answer: dict[str, Any] = json.loads(self._socket.recv(1 << 20))
            if answer.get("transaction") != transaction or answer["janus"] == "ack":
                continue
            if answer["janus"] != final:
                raise Unavailable(f"Janus answers {answer}")
            return answer

    def attach(self) -> int:
        request = {"janus": "attach", "session_id": self._id, "plugin": "janus.plugin.audiobridge"}
        return int(self._ask(request)["data"]["id"])

    def message(self, handle: int, body: dict[str, Any], final: str = "success") -> dict[str, Any]:
        request = {"janus": "message", "session_id": self._id, "handle_id": handle, "body": body}
        data: dict[str, Any] = self._ask(request, final)["plugindata"]["data"]
        if "error" in data:
            raise Unavailable(f"the AudioBridge refuses: {data['error']}")
        return data

    def close(self) -> None:
        self._socket.close()


def _fill(session: _Session, count: int, local_port: int, peers: Path) -> None:
    """Make the room, join so many participants, and write down where each must send to."""
    handle = session.attach()
    room = {"request": "create", "room": ROOM, "sampling_rate": 48000, "allow_rtp_participants": True}
    session.message(handle, room)
    with peers.open("w") as lines:
        for n in range(count):
            if n:
                handle = session.attach()
            rtp = {"ip": "127.0.0.1", "port": local_port + n, "payload_type": PAYLOAD_TYPE}
            answer = session.message(handle, {"request": "join", "room": ROOM, "rtp": rtp}, "event")
            lines.write(f"127.0.0.1 {answer['rtp']['port']} {PAYLOAD_TYPE} {1 + n}\n")


def _configure(folder: Path, count: int) -> int:
    """Write the configuration of a Janus for so many participants; where the first of them must send from."""
    modules = _modules()
    media, local_port = _free_ports(2 * count + 20), 0
    while local_port in range(media - count, media + 2 * count + 20) or not local_port:
        local_port = _free_ports(count)
    values = {
        "folder": folder,
        "modules": modules,
        "first": media,
        "last": media + 2 * count + 19,
        "other_plugins": _others(modules / "plugins", "libjanus_audiobridge.so"),
        "other_transports": _others(modules / "transports", "libjanus_pfunix.so"),
    }
    (folder / "janus.jcfg").write_text(CONFIGURATION.format(**values))
    (folder / "janus.transport.pfunix.jcfg").write_text(SOCKET.format(**values))
    (folder / "janus.plugin.audiobridge.jcfg").write_text(AUDIOBRIDGE.format(**values))
    return local_port


@contextmanager
def _running(folder: Path) -> "Iterator[tuple[subprocess.Popen[bytes], _Session]]":
    """A Janus of the configuration in a folder, and a session with it. Unavailable with its own words when it does not
    start.
    """
    command = ["taskset", "-c", str(cores()[0]), "janus", "-F", str(folder), "-C", str(folder / "janus.jcfg")]
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if nobody is not None:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            user=nobody.pw_uid if nobody else None,
            group=nobody.pw_gid if nobody else None,
            extra_groups=[] if nobody else None,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + START
            while not (folder / "api").exists():
                if process.poll() is not None or time.monotonic() > end:
                    said = (folder / "log").read_text(errors="replace")[-1000:]
                    raise Unavailable(f"Janus does not start ({process.poll()}): {said}")
                time.sleep(0.1)
            session = _Session(folder / "api")
            try:
                yield process, session
            finally:
                session.close()
        finally:
            end_process(process, 10)


@contextmanager
def room(bench: Workbench, count: int) -> Iterator[Server]:
    """A room with so many participants, on the server's core. Unavailable when there is no Janus."""
    require("janus", "janus")
    folder, peers = bench.directory / "janus", bench.directory / "janus.peers"
    with ExitStack() as stack:
        for attempt in range(STARTS):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            local_port = _configure(folder, count)
            try:
                process, session = stack.enter_context(_running(folder))
                break
            except (Unavailable, OSError):
                if attempt == STARTS - 1:
                    raise
        _fill(session, count, local_port, peers)
        yield Server(process.pid, peers, local_port=local_port)
