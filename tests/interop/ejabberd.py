"""A private ejabberd as an operator has it: Debian's own example configuration, and merged into it what `focus config
ejabberd` prints. On loopback, unprivileged, in one folder, gone when we are.

It is started as one Erlang program that speaks to no other: no epmd, and nothing of the system's ejabberd. It belongs
to no event loop, so one can serve many tests.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import pwd
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from pydantic import SecretStr

from focus.service import config_text
from focus.service.certificates import self_signed
from focus.service.config import Settings
from focus.service.prosody import LOOPBACK, free_port
from focus.service.sections.http import HttpSettings
from focus.service.sections.xmpp import XmppSettings

START_TIMEOUT = 60.0
PORT_ATTEMPTS = 5

#: Of the Debian package: what lies in /etc/ejabberd after its installation, but readable by everybody.
EXAMPLE = Path("/usr/share/ejabberd/ejabberd.yml.example")

#: What we ask its administration for.
COMMANDS = ("register", "change_password", "registered_users", "unregister", "muc_online_rooms", "destroy_room")

STARTED = "is started in the node"
PORT_TAKEN = "address already in use"

#: Where Debian has ejabberd and the Erlang libraries that it needs.
LIBRARIES = next(Path("/usr/lib").glob("*-linux-gnu/ejabberd-*"), Path("/usr/lib/ejabberd")).parent

#: One scheduler that sleeps when there is nothing to do: many tests run at once.
EMULATOR = "+S 1:1 +SDio 1 +sbwt none +sbwtdcpu none +sbwtdio none"


def merged(base: Any, added: Any) -> Any:
    """What the snippet's first comment tells the operator to do: every key gets what is added to what it has."""
    if isinstance(base, dict) and isinstance(added, dict):
        return base | {key: merged(base[key], value) if key in base else value for key, value in added.items()}
    if isinstance(base, list) and isinstance(added, list):
        return base + [item for item in added if item not in base]
    return added


class Ejabberd:
    """One private server. Ports and accounts stay the same over `stop` and `start`.

    `c2s` and `component` are (host, port), `websocket` a URL. `besides` is merged into its configuration as well.
    """

    def __init__(self, state: Path, *, domain: str = "localhost", besides: dict[str, Any] | None = None) -> None:
        self.state = state.absolute()
        self.domain = domain
        self.focus = f"focus.{domain}"
        self.rooms = f"rooms.{domain}"
        self.guests = f"guest.{domain}"
        self.besides = besides or {}
        self.secret = secrets.token_urlsafe(24)
        self._ports: dict[str, int] = {}
        self._accounts: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def c2s(self) -> tuple[str, int]:
        """Where clients connect (STARTTLS, if they want)."""
        return LOOPBACK, self._ports["c2s"]

    @property
    def component(self) -> tuple[str, int]:
        """Where the focus connects (XEP-0114)."""
        return LOOPBACK, self._ports["component"]

    @property
    def websocket(self) -> str:
        """Where the page's proxy connects (RFC 7395)."""
        return f"ws://{LOOPBACK}:{self._ports['websocket']}/xmpp-websocket"

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def log(self) -> Path:
        return self.state / "output.log"

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start, and return when it takes connections on all its ports."""
        if self.pid is not None:
            return
        for _ in range(PORT_ATTEMPTS):
            if not self._ports:
                for name in ("c2s", "component", "websocket", "api"):
                    self._ports[name] = free_port(but=self._ports.values())
                self._write_files()
            if await self._launch():
                for jid, password in self._accounts.items():  # a crash has cost it those of the last two seconds
                    await self.add_user(jid, password)
                return
            self._ports = {}
        raise AssertionError(f"ejabberd finds no free ports; its words are in {self.log}")

    async def stop(self) -> None:
        """End it in order: everybody is told goodbye."""
        if self.pid is not None:
            assert self._process is not None
            self._process.terminate()
            await self.wait()

    async def restart(self) -> None:
        """Stop and start on the same ports."""
        await self.stop()
        await self.start()

    async def wait(self) -> int:
        """Wait until the running server has ended, for whatever reason; its exit code."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait)

    def kill(self) -> None:
        """End it as a crash would; nothing of it is left when this returns."""
        if self.pid is not None:
            assert self._process is not None
            self._process.kill()
            self._process.wait()

    async def add_user(self, jid: str, password: str) -> None:
        """Make an account of the domain, or give it this password."""
        self._accounts[jid] = password
        user, _, host = jid.partition("@")
        if await self._api("register", but=409, user=user, host=host, password=password) is None:
            await self._api("change_password", user=user, host=host, newpass=password)

    async def clear(self) -> None:
        """Remove all rooms, and all accounts with what they leave behind: rosters, messages that nobody has read."""
        self._accounts.clear()
        for room in await self._api("muc_online_rooms", service=self.rooms):
            await self._api("destroy_room", but=400, name=room.partition("@")[0], service=self.rooms)
        for user in await self._api("registered_users", host=self.domain):
            await self._api("unregister", user=user, host=self.domain)

    async def _api(self, command: str, but: int = 200, **arguments: str) -> Any:
        """Its administration by HTTP; None if its answer is `but`: that it is so already."""
        url = f"http://{LOOPBACK}:{self._ports['api']}/api/{command}"
        async with aiohttp.ClientSession() as session, session.post(url, json=arguments) as response:
            if response.status == but != 200:
                return None
            assert response.status == 200, (command, arguments, response.status, await response.text())
            return await response.json()

    # --- process ------------------------------------------------------------------------------------------------------

    async def _launch(self) -> bool:
        """Whether it came up: false if somebody else has one of the ports now."""
        command = ["setpriv", "--pdeathsig", "KILL"]
        if self._user is not None:
            command += ["--reuid", str(self._user.pw_uid), "--regid", str(self._user.pw_gid), "--clear-groups"]
        command += ["erl", "-noinput", *EMULATOR.split(), "-mnesia", "dir", json.dumps(f"{self.state}/data")]
        with open(self.log, "wb") as output:
            self._process = subprocess.Popen(
                [*command, "-s", "ejabberd"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.state,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.state),
                    "LANG": "C.UTF-8",
                    "ERL_LIBS": str(LIBRARIES),
                    "ERL_CRASH_DUMP_BYTES": "0",
                    "EJABBERD_CONFIG_PATH": str(self.state / "ejabberd.yml"),
                    "EJABBERD_LOG_PATH": str(self.state / "ejabberd.log"),
                },
                start_new_session=True,
            )
        until = time.monotonic() + START_TIMEOUT
        while STARTED not in (said := self.log.read_text(errors="replace")):
            if PORT_TAKEN in said:
                self.kill()
                await self.wait()
                return False
            if self.pid is None or time.monotonic() > until:
                self.kill()
                raise AssertionError(f"ejabberd does not start:\n{said[-5000:]}")
            await asyncio.sleep(0.02)
        return True

    # --- files --------------------------------------------------------------------------------------------------------

    @property
    def _user(self) -> pwd.struct_passwd | None:
        """Whom it runs as: nobody else if we are unprivileged already, else the user that came with the package."""
        return pwd.getpwnam("ejabberd") if os.geteuid() == 0 else None

    def _write_files(self) -> None:
        assert EXAMPLE.exists(), "the tests need Debian's package ejabberd; ./dev test installs it"
        for folder in ("data", "certificates"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)
        names = (self.domain, self.guests, self.rooms, self.focus)
        for path, pem in zip(self._certificate, self_signed(names, datetime.datetime.now(datetime.UTC)), strict=True):
            path.write_bytes(pem)
        (self.state / "ejabberd.yml").write_text(yaml.safe_dump(self._configuration()))
        if self._user is not None:
            for path in (self.state, *self.state.rglob("*")):
                shutil.chown(path, self._user.pw_uid, self._user.pw_gid)

    @property
    def _certificate(self) -> tuple[Path, Path]:
        folder = self.state / "certificates"
        return folder / f"{self.domain}.crt", folder / f"{self.domain}.key"

    def _configuration(self) -> dict[str, Any]:
        """Debian's with addresses and a certificate of our own, and the snippet."""
        base: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
        (c2s, *_) = (each for each in base["listen"] if each["module"] == "ejabberd_c2s")
        del c2s["starttls_required"]  # some of our clients read along
        del c2s["protocol_options"]
        c2s |= {"port": self._ports["c2s"], "ip": LOOPBACK, "starttls": True}
        api = {"port": self._ports["api"], "ip": LOOPBACK, "module": "ejabberd_http"}
        base |= {
            "hosts": [self.domain],
            "certfiles": [str(path) for path in self._certificate],
            "listen": [c2s, api | {"request_handlers": {"/api": "mod_http_api"}}],
        }
        base["api_permissions"]["tests"] = {"who": {"ip": LOOPBACK}, "what": list(COMMANDS)}
        # Tests say in a second what people say in a minute.
        base["shaper"]["normal"] = {"rate": 100_000, "burst_size": 400_000}
        for name in ("mod_fail2ban", "mod_pres_counter"):  # that hold back who logs in, or adds contacts, in such haste
            del base["modules"][name]
        base["modules"]["mod_mam"] = {"default": "always", "assume_mam_usage": True}  # as most have it
        added = yaml.safe_load(config_text.ejabberd(self._settings()))
        config: dict[str, Any] = merged(merged(base, added), self.besides)
        return config

    def _settings(self) -> Settings:
        host, port = self.component
        return Settings(
            xmpp=XmppSettings(jid=self.focus, secret=SecretStr(self.secret), host=host, port=port, muc=self.rooms),
            http=HttpSettings(domain=self.domain, guests=self.guests, websocket=self.websocket),
        )
