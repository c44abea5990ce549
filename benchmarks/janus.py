"""Janus' AudioBridge with participants on plain RTP, as Debian packages it, in a process of its own.

Its configuration is in the run's folder, its interface HTTP on a loopback port: the Unix socket of Janus 1.1.2 is given
up when its thread runs before the plugin is marked ready, which is the rule on one core. It runs as nobody when we are
root. Room and participants have Janus' defaults, but for the sampling rate, which is ours.
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
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks.result import Unavailable
from benchmarks.servers import Server
from benchmarks.workbench import Workbench, cores, end_process, require

ROOM = 1
PAYLOAD_TYPE = 111
START = 60  # s
ANSWER = 10
STARTS = 3  # a port may be taken between the look and the start
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

HTTP = """
general: {{ json = "compact", base_path = "/janus", http = true, port = {api}, ip = "127.0.0.1", https = false }}
admin: {{ admin_http = false, admin_https = false }}
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
    """Janus' protocol over HTTP, as much of it as a room needs. OSError when nothing answers at the port."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER)
        self._path = "/janus"
        self._path += f"/{self._post('', {'janus': 'create'})['data']['id']}"

    def _exchange(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        self._connection.request(method, self._path + path, body, {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return answer

    def _post(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._exchange("POST", path, json.dumps(request | {"transaction": secrets.token_hex(6)}))
        if answer["janus"] not in ("success", "ack"):
            raise Unavailable(f"Janus answers {answer}")
        return answer

    def attach(self) -> int:
        return int(self._post("", {"janus": "attach", "plugin": "janus.plugin.audiobridge"})["data"]["id"])

    def message(self, handle: int, body: dict[str, Any]) -> dict[str, Any]:
        """What the AudioBridge answers to a request, at once or as the handle's next event."""
        answer = self._post(f"/{handle}", {"janus": "message", "body": body})
        while answer.get("sender") != handle or "plugindata" not in answer:
            answer = self._exchange("GET", "?maxev=1")
        data: dict[str, Any] = answer["plugindata"]["data"]
        if "error" in data:
            raise Unavailable(f"the AudioBridge refuses: {data['error']}")
        return data

    def close(self) -> None:
        self._connection.close()


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
            answer = session.message(handle, {"request": "join", "room": ROOM, "rtp": rtp})
            lines.write(f"127.0.0.1 {answer['rtp']['port']} {PAYLOAD_TYPE} {1 + n}\n")


def _free_api_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])


def _configure(folder: Path, count: int) -> tuple[int, int]:
    """Write the configuration of a Janus for so many participants: the port of its interface, and the one that the
    first of them must send from.
    """
    modules = _modules()
    media, local_port = _free_ports(2 * count + 20), 0
    while local_port in range(media - count, media + 2 * count + 20) or not local_port:
        local_port = _free_ports(count)
    api = _free_api_port()
    values = {
        "folder": folder,
        "api": api,
        "modules": modules,
        "first": media,
        "last": media + 2 * count + 19,
        "other_plugins": _others(modules / "plugins", "libjanus_audiobridge.so"),
        "other_transports": _others(modules / "transports", "libjanus_http.so"),
    }
    (folder / "janus.jcfg").write_text(CONFIGURATION.format(**values))
    (folder / "janus.transport.http.jcfg").write_text(HTTP.format(**values))
    (folder / "janus.plugin.audiobridge.jcfg").write_text(AUDIOBRIDGE.format(**values))
    return api, local_port


def _session(process: subprocess.Popen[bytes], port: int, log: Path) -> _Session:
    """A session with a Janus that has just been started. Unavailable with its own words when it ends or is too slow."""
    end = time.monotonic() + START
    while process.poll() is None and time.monotonic() < end:
        try:
            return _Session(port)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise Unavailable(f"Janus does not start ({process.poll()}): {log.read_text(errors='replace')[-1000:]}")


@contextmanager
def _running(folder: Path, port: int) -> "Iterator[tuple[subprocess.Popen[bytes], _Session]]":
    """A Janus of the configuration in a folder, and a session with it at the port of its interface."""
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
            session = _session(process, port, folder / "log")
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
            port, local_port = _configure(folder, count)
            try:
                process, session = stack.enter_context(_running(folder, port))
                break
            except (Unavailable, OSError):
                if attempt == STARTS - 1:
                    raise
        _fill(session, count, local_port, peers)
        yield Server(process.pid, peers, local_port=local_port)
