"""A private Prosody 0.12, for the demo and the tests: generated configuration, unprivileged, gone when we are.

Everything it reads or writes lies in one folder. It has the domain itself (accounts, STARTTLS), `guest.` (anonymous
logins for the page), `rooms.` (MUC, XEP-0045) and the component `focus.` (XEP-0114); it speaks to nobody outside.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
from collections.abc import Container, Sequence
from pathlib import Path

from focus.service.certificates import read_pair, self_signed, still_good
from focus.service.lua import quoted
from focus.service.ready import ServiceError

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
START_TIMEOUT = 20.0
STOP_TIMEOUT = 1.0
PORT_ATTEMPTS = 5
RESTART_DELAY = 0.25
RESTART_LIMIT = 15.0

# Below Linux' range for outgoing connections, so that nobody gets one of these by accident between our look and
# Prosody's bind.
FREE_PORTS = range(20000, 32000)

ACTIVATED = re.compile(r"Activated service '(?P<service>c2s|http|component)' on (?P<where>.*)")
PORT_FAILED = re.compile(r"Failed to open server port (?P<port>\d+) on (?P<host>\S+), (?P<why>.*)")
LINE = re.compile(r"(?P<source>\S+)\s+(?P<level>debug|info|warn|error)\t(?P<message>.*)")
LEVELS = {"warn": logging.WARNING, "error": logging.ERROR}

SERVICES = ("c2s", "http", "component")

CONFIGURATION = """\
-- Generated at every start: changes are lost.
pidfile = {pidfile}
data_path = {data}
certificates = {certificates}
plugin_paths = {{ {plugins} }}
network_backend = "epoll"

interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_interfaces = {{ {c2s_host} }}
c2s_ports = {{ {c2s_port} }}
c2s_direct_tls_ports = {{ }}
s2s_ports = {{ }}
component_interfaces = {{ "127.0.0.1" }}
component_ports = {{ {component_port} }}
http_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {http_port} }}
https_ports = {{ }}

http_default_host = {domain}
trusted_proxies = {{ "127.0.0.1" }}
consider_websocket_secure = true -- TLS, where there is any, ends before the proxy in front of this port
c2s_require_encryption = {require_encryption}
allow_unencrypted_plain_auth = false
ssl = {{ certificate = {certificate}, key = {key} }}

modules_enabled = {{
  "disco", "roster", "saslauth", "tls", "ping", "time", "version", "smacks", "websocket", "posix", "limits",
  "carbons", "pep", "vcard4", "vcard_legacy", "blocklist", "private", "bookmarks", "csi_simple", {modules}
}}
modules_disabled = {{ "s2s", "dialback", "offline" }}
limits = {{ c2s = {{ rate = "64kb/s", burst = "2s" }} }}
c2s_stanza_size_limit = 256 * 1024
smacks_hibernation_time = 30
storage = "internal"
authentication = "internal_hashed"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
{options}

VirtualHost {domain}
  disco_items = {{ {{ {rooms}, "Meeting rooms" }}, {{ {focus}, "Conference focus" }} }}

VirtualHost {guests}
  authentication = "anonymous"
  modules_disabled = {{
    "carbons", "pep", "vcard4", "vcard_legacy", "blocklist", "private", "bookmarks", "csi_simple", "offline", "s2s",
  }}
  disco_items = {{ {{ {rooms}, "Meeting rooms" }}, {{ {focus}, "Conference focus" }} }}

Component {rooms} "muc"
  name = "Meeting rooms"
  modules_enabled = {{ "muc_mam" }} -- messages have ids, which invites to calls need (XEP-0482)
  storage = "memory" -- else every live room comes back after a restart, with a guest of long ago as its owner
  admins = {{ {admins} }}
  restrict_room_creation = true -- only the focus makes rooms, so that no guest owns one
  muc_room_default_public = false
  muc_room_default_persistent = false
  muc_room_locking = false
  muc_tombstones = false

Component {focus}
  component_secret = {secret}
"""


def free_port(
    host: str = LOOPBACK,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    *,
    but: Container[int] = (),
    in_a_row: int = 1,
) -> int:
    """A port of this address that nobody has now, and none of `but`; the first of so many `in_a_row`."""
    for port in random.sample(FREE_PORTS, 200):
        if all(one not in but and _is_free(host, kind, one) for one in range(port, port + in_a_row)):
            return port
    raise ServiceError(f"{host} has no free port between {FREE_PORTS.start} and {FREE_PORTS.stop}")


def _is_free(host: str, kind: socket.SocketKind, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


class _PortTaken(Exception):
    def __init__(self, service: str, host: str, port: int, why: str) -> None:
        super().__init__(f"{service} on {host} port {port}: {why}")
        self.service = service


def _user() -> pwd.struct_passwd | None:
    """Whom Prosody runs as: nobody else if we are unprivileged already, else `prosody` or `nobody`."""
    if os.geteuid() != 0:
        return None
    for name in ("prosody", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServiceError("Prosody does not run as root, and there is no user 'prosody' or 'nobody' to run it as")


class Prosody:
    """One private server. `start` makes its folder and configuration; ports stay the same over `stop` and `start`.

    `c2s` and `component` are (host, port), `websocket` a URL; they are what was asked for until `start` has returned,
    then what is bound. `modules` and `options`, the latter as lines of Lua, are for all hosts. Errors are ServiceError:
    no Prosody, a port taken, a folder that cannot be used.
    """

    def __init__(
        self,
        state: Path,
        *,
        domain: str = "localhost",
        c2s: tuple[str, int] = (LOOPBACK, 0),
        admins: Sequence[str] = (),
        certificate: tuple[Path, Path] | None = None,
        modules: Sequence[str] = (),
        options: str = "",
    ) -> None:
        self.state = state.absolute()
        self.domain = domain
        self.focus = f"focus.{domain}"
        self.rooms = f"rooms.{domain}"
        self.guests = f"guest.{domain}"
        self.secret = secrets.token_urlsafe(24)
        self.admins = (f"{self.focus}", f"focus@{self.focus}", *admins)
        self._hosts = {"c2s": c2s[0], "http": LOOPBACK, "component": LOOPBACK}
        self._ports = {"c2s": c2s[1], "http": 0, "component": 0}
        self._given_certificate = certificate
        self._modules = tuple(modules)
        self._options = options
        self._user = _user()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._up: asyncio.Future[None] | None = None
        self._activated: set[str] = set()
        self._stopping = False  # then its last words are no news

    @property
    def c2s(self) -> tuple[str, int]:
        """Where clients connect (STARTTLS)."""
        return self._hosts["c2s"], self._ports["c2s"]

    @property
    def component(self) -> tuple[str, int]:
        """Where the focus connects (XEP-0114)."""
        return self._hosts["component"], self._ports["component"]

    @property
    def websocket(self) -> str:
        """Where the page's proxy connects (RFC 7395)."""
        return f"ws://{LOOPBACK}:{self._ports['http']}/xmpp-websocket"

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def _configuration(self) -> Path:
        return self.state / "prosody.cfg.lua"

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start, and return when it takes connections on all its ports."""
        if self.pid is not None:
            return
        await self._make_folders()
        asked = dict(self._ports)
        for attempt in range(PORT_ATTEMPTS):
            for service, port in asked.items():
                self._ports[service] = port or free_port(self._hosts[service], but=self._ports.values())
            self._write_configuration()
            try:
                await self._launch()
                return
            except _PortTaken as taken:
                await self.stop()
                if asked[taken.service] or attempt == PORT_ATTEMPTS - 1:
                    self._ports = asked
                    raise ServiceError(f"Prosody cannot listen for {taken}") from None
            except BaseException:
                self._ports = asked
                await self.stop()
                raise

    async def stop(self) -> None:
        """End it, by force if it does not end by itself at once; nothing of it is left when this returns."""
        process, reader = self._process, self._reader
        if process is None:
            return
        if process.returncode is None:
            self._stopping = True
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await process.wait()
        if reader is not None:
            await reader
        self._process = self._reader = None

    async def restart(self) -> None:
        """Stop and start on the same ports."""
        await self.stop()
        await self.start()

    async def wait(self) -> int:
        """Wait until the running server has ended, for whatever reason; its exit code."""
        if self._process is None:
            raise RuntimeError("Prosody has not been started")
        return await self._process.wait()

    def kill(self) -> None:
        """End it as a crash would."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def add_user(self, jid: str, password: str) -> None:
        """Make an account of the domain, or give it this password. Works before and after `start`."""
        user, _, host = jid.partition("@")
        if host != self.domain or not user:
            raise ServiceError(f"{jid} is no account of {self.domain}")
        await self._make_folders()
        if not self._configuration.exists():
            self._write_configuration()
        code, output = await self._run(
            "prosodyctl", "--config", str(self._configuration), "register", user, host, password
        )
        if code != 0:
            raise ServiceError(f"Prosody does not make the account {jid}: {output}")

    # --- process ------------------------------------------------------------------------------------------------------

    def _command(self, program: str, *arguments: str) -> list[str]:
        """The command as the unprivileged user, ended by the kernel when we end."""
        found = shutil.which(program)
        if found is None:
            raise ServiceError(f"{program} is not installed: install Prosody 0.12 or newer (apt-get install prosody)")
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise ServiceError("setpriv is not installed: it is in the package util-linux")
        command = [setpriv, "--pdeathsig", "KILL"]
        if self._user is not None:
            command += ["--reuid", str(self._user.pw_uid), "--regid", str(self._user.pw_gid), "--clear-groups"]
        return [*command, found, *arguments]

    async def _run(self, program: str, *arguments: str) -> tuple[int, str]:
        """Run to the end: exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            *self._command(program, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.state,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, " ".join(output.decode(errors="replace").split())

    async def _launch(self) -> None:
        self._activated = set()
        self._stopping = False
        self._up = asyncio.get_running_loop().create_future()
        self._process = await asyncio.create_subprocess_exec(
            *self._command("prosody", "-F", "--config", str(self._configuration)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.state,
            start_new_session=True,  # ctrl-C is for us; we end it in our order
        )
        self._reader = asyncio.create_task(self._read(self._process, self._up), name="prosody output")
        try:
            await asyncio.wait_for(self._up, START_TIMEOUT)
        except TimeoutError:
            missing = ", ".join(service for service in SERVICES if service not in self._activated)
            raise ServiceError(f"Prosody is not ready after {START_TIMEOUT:.0f} s (missing: {missing})") from None

    async def _read(self, process: asyncio.subprocess.Process, up: asyncio.Future[None]) -> None:
        """Take its log: readiness and failures from it, the rest into ours."""
        assert process.stdout is not None
        last: list[str] = []
        async for raw in process.stdout:
            text = raw.decode(errors="replace").rstrip()
            if not text:
                continue
            last = [*last[-4:], text]
            match = LINE.fullmatch(text)
            message = match["message"] if match else text
            level = LEVELS.get(match["level"], logging.DEBUG) if match and not self._stopping else logging.DEBUG
            log.log(level, "prosody: %s", message)
            if not up.done():
                self._watch(message, up)
        code = await process.wait()
        if not up.done():
            up.set_exception(ServiceError(f"Prosody ended with code {code} at once: {' / '.join(last) or 'no word'}"))

    def _watch(self, message: str, up: asyncio.Future[None]) -> None:
        if failed := PORT_FAILED.match(message):
            port = int(failed["port"])
            service = next((name for name, one in self._ports.items() if one == port), "c2s")
            up.set_exception(_PortTaken(service, failed["host"], port, failed["why"]))
        elif (activated := ACTIVATED.match(message)) and activated["where"] != "no ports":
            self._activated.add(activated["service"])
            if self._activated.issuperset(SERVICES):
                up.set_result(None)

    # --- files --------------------------------------------------------------------------------------------------------

    def _own(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _write(self, path: Path, content: bytes) -> None:
        """Write for Prosody's eyes only."""
        path.unlink(missing_ok=True)
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
        self._own(path, 0o600)

    async def _make_folders(self) -> None:
        self._command("prosody")  # is there one at all?
        try:
            for folder in (self.state, *(self.state / name for name in ("data", "certificates", "modules"))):
                folder.mkdir(parents=True, exist_ok=True)
                self._own(folder, 0o700)
            self._make_certificate()
        except OSError as error:
            raise ServiceError(f"the state directory {self.state} cannot be used: {error.strerror}") from error
        if self._user is not None:
            code, _ = await self._run("test", "-w", str(self.state / "data"))
            if code != 0:
                raise ServiceError(
                    f"the state directory {self.state} cannot be used: Prosody runs as user '{self._user.pw_name}', "
                    "who may not enter a folder above it"
                )

    def _make_certificate(self) -> None:
        certificate, key = self._certificate
        if self._given_certificate is not None:
            content, key_content = read_pair(*self._given_certificate)
            self._write(certificate, content)
            self._write(key, key_content)
            return
        names = (self.domain, self.guests, self.rooms, self.focus)
        now = datetime.datetime.now(datetime.UTC)
        if key.exists() and still_good(certificate, names, now):
            return
        certificate_pem, key_pem = self_signed(names, now)
        self._write(certificate, certificate_pem)
        self._write(key, key_pem)

    @property
    def _certificate(self) -> tuple[Path, Path]:
        folder = self.state / "certificates"
        return folder / f"{self.domain}.crt", folder / f"{self.domain}.key"

    def _write_configuration(self) -> None:
        certificate, key = self._certificate
        loopback = self._hosts["c2s"] in (LOOPBACK, "::1")
        self._write(
            self._configuration,
            CONFIGURATION.format(
                pidfile=quoted(self.state / "prosody.pid"),
                data=quoted(self.state / "data"),
                certificates=quoted(self.state / "certificates"),
                plugins=quoted(self.state / "modules"),
                certificate=quoted(certificate),
                key=quoted(key),
                c2s_host=quoted(self._hosts["c2s"]),
                c2s_port=self._ports["c2s"],
                component_port=self._ports["component"],
                http_port=self._ports["http"],
                require_encryption="false" if loopback else "true",
                domain=quoted(self.domain),
                guests=quoted(self.guests),
                rooms=quoted(self.rooms),
                focus=quoted(self.focus),
                admins=", ".join(quoted(jid) for jid in self.admins),
                secret=quoted(self.secret),
                modules=", ".join(quoted(name) for name in self._modules),
                options=self._options,
            ).encode(),
        )


async def keep_running(server: Prosody) -> None:
    """Start the server again whenever it ends, at first soon, then ever later; for ever."""
    delay = RESTART_DELAY
    loop = asyncio.get_running_loop()
    while True:
        since = loop.time()
        code = await server.wait()
        if loop.time() - since > RESTART_LIMIT:
            delay = RESTART_DELAY
        log.error("Prosody has ended with code %d and is started again", code)
        while server.pid is None:
            await asyncio.sleep(delay)
            delay = min(delay * 2, RESTART_LIMIT)
            try:
                await server.restart()
            except ServiceError as error:
                log.error("%s", error.message)
        log.info("Prosody is back")
