"""Debian's own Dino on a desktop that nobody looks at: a display, a session bus and a sound server for it alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from focus.media.tones import SAMPLE_RATE
from focus.wire.jid import JID
from tests.interop.running import PATIENCE
from tests.media.peers import level

#: What Dino reads there is ours, in mount namespaces of their own: the certificates to trust, and that there is no DNS.
TRUSTED, RESOLVER = "/etc/ssl/certs/ca-certificates.crt", "/etc/resolv.conf"
PROGRAMS = ("Xvfb", "dbus-daemon", "dino-im", "gdbus", "pacat", "parec", "pulseaudio", "xdotool")
SOUND = f"--format=s16le --rate={SAMPLE_RATE} --channels=1 --raw".split()
#: A tone that comes and goes, as speech does: a steady one is noise, which Dino suppresses.
SYLLABLE, PAUSE = 0.3, 0.2
#: Where to click in a window of Dino 0.4, which has no window manager to move it.
CALL_BUTTON, AUDIO_CALL, VIDEO_CALL = (978, 28), (978, 80), (978, 112)
MUTE, HANG_UP = (281, 475), (421, 475)


def missing() -> str:
    """Why there can be no desktop here; empty if there can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"there is no {absent[0]}; ./dev test --desktop installs it" if absent else ""


class Dino:
    """One that knows one account, and speaks a tone. Nothing on this machine or of its user is changed by it."""

    def __init__(self, folder: Path, certificate: bytes) -> None:
        self._folder = folder
        self._certificate = certificate
        self._processes: list[Process] = []
        self._logs: list[IO[bytes]] = []
        self._speech: asyncio.Task[None] | None = None
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "GSK_RENDERER": "cairo",
            "GDK_BACKEND": "x11",
            "GTK_A11Y": "none",
        }

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self, account: JID, password: str, frequency: float) -> None:
        """Log in, and talk into the microphone."""
        self._folder.mkdir(mode=0o700)
        (self._folder / "trusted.crt").write_bytes(self._certificate)
        (self._folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        display = await self._launch("Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", stdout=PIPE)
        self._environment["DISPLAY"] = f":{await _line(display)}"
        bus = await self._launch("dbus-daemon", "--session", "--nofork", "--print-address=1", stdout=PIPE)
        self._environment["DBUS_SESSION_BUS_ADDRESS"] = await _line(bus)
        await self._launch(
            *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
            "--load=module-native-protocol-unix",
            "--load=module-null-sink sink_name=speaker channels=1",
            "--load=module-null-sink sink_name=mouth channels=1",
            "--load=module-remap-source source_name=microphone master=mouth.monitor",
        )
        await self._until("sound", lambda: self._run("pactl", "set-default-source", "microphone"))
        await self._until("speaker", lambda: self._run("pactl", "set-default-sink", "speaker"))
        mouth = await self._launch("pacat", *SOUND, "--device=mouth", stdin=PIPE)
        self._speech = asyncio.create_task(_talk(mouth, frequency))

        first = await self._launch("dino-im")  # which makes its database
        await self._until("first start", lambda: self._act("quit"))
        await asyncio.wait_for(first.wait(), PATIENCE)
        with contextlib.closing(sqlite3.connect(self._database)) as database, database:
            database.execute(
                "insert into account (bare_jid, resourcepart, password, alias, enabled) values (?, 'dino', ?, '', 1)",
                (str(account), password),
            )
        await self._launch("dino-im")

    async def close(self) -> None:
        if self._speech is not None:
            self._speech.cancel()
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        for log in self._logs:
            log.close()

    # --- calls --------------------------------------------------------------------------------------------------------

    async def rings(self) -> None:
        """Return when somebody calls."""
        await self._until("ringing", self._call)

    async def takes_the_call(self) -> None:
        """What the button in its notification does."""
        ((conversation, call, _),) = await self._call()
        assert await self._act("accept-call", f"<({conversation}, {call})>")

    async def declines_the_call(self) -> None:
        ((conversation, call, _),) = await self._call()
        assert await self._act("reject-call", f"<({conversation}, {call})>")

    async def calls(self, somebody: JID, *, video: bool = False) -> None:
        """Open the conversation with one who is among the contacts, and choose from the menu of its call button."""

        async def chosen() -> list[Any]:
            await self._click(CALL_BUTTON)
            for place in (VIDEO_CALL, AUDIO_CALL, VIDEO_CALL if video else AUDIO_CALL):
                await self._point(place)  # the button's tooltip lies over the menu until the pointer has moved
            await self._click(VIDEO_CALL if video else AUDIO_CALL)
            return await self._call()

        await self._until("conversation", lambda: self._run("dino-im", f"{somebody.uri}?message"))
        await self._until("call", chosen)

    async def mutes_itself(self) -> None:
        """Click on the microphone in the window of the call; again, and it is heard again."""
        await self._click(MUTE)

    async def hangs_up(self) -> None:
        """Click on the red button of the window of the call."""

        async def ended() -> bool:
            await self._click(HANG_UP)
            return await self._has_ended()

        await self._until("end", ended)

    async def sees_the_end(self) -> None:
        await self._until("end", self._has_ended)

    async def hears(self, frequency: float, without: float) -> None:
        """Return when its speaker plays this tone for half a second, and the other is at least 20 dB below it."""
        levels: list[float] = []
        ear = await self._launch("parec", *SOUND, "--device=speaker.monitor", stdout=PIPE)
        assert ear.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                while not there(levels):
                    heard = np.frombuffer(await ear.stdout.readexactly(SAMPLE_RATE), np.int16)
                    levels = [level(heard, each) for each in (frequency, without)]
        except TimeoutError:
            raise AssertionError(f"{frequency} should be heard without {without}; there are {levels}") from None
        finally:
            ear.kill()
            await ear.wait()

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _database(self) -> Path:
        return self._folder / ".local/share/dino/dino.db"

    async def _call(self) -> list[Any]:
        """The calls that it knows of: conversation, call, whether it has ended."""
        with contextlib.closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as database:
            return database.execute(
                "select conversation.id, call.id, call.end_time > call.time from call"
                " join conversation on conversation.jid_id = call.counterpart_id"
            ).fetchall()

    async def _has_ended(self) -> bool:
        """Not for a call that ends in the second in which it began."""
        ((_, _, ended),) = await self._call()
        return bool(ended)

    async def _point(self, place: tuple[int, int]) -> None:
        await self._run("xdotool", "mousemove", *map(str, place))
        await asyncio.sleep(0.3)  # it takes clicks only where it has seen the pointer arrive

    async def _click(self, place: tuple[int, int]) -> None:
        await self._point(place)
        await self._run("xdotool", "click", "1")
        await asyncio.sleep(0.3)

    async def _act(self, name: str, parameter: str = "") -> bool:
        """Activate one of the actions that it exports."""
        return await self._run(
            *("gdbus", "call", "--session", "--dest=im.dino.Dino", "--object-path=/im/dino/Dino"),
            *("--method=org.gtk.Actions.Activate", name, f"[{parameter}]", "{}"),
        )

    async def _until(self, what: str, ask: Callable[[], Awaitable[object]]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not await ask():  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"no {what}: {(self._folder / 'dino-im.log').read_text()}") from None

    async def _run(self, *command: str) -> bool:
        """Whether a command has done what it should."""
        process = await asyncio.create_subprocess_exec(
            *self._privately(*command), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env=self._environment
        )
        return await process.wait() == 0

    async def _launch(self, *command: str, stdin: int = DEVNULL, stdout: int = STDOUT) -> Process:
        log = open(self._folder / f"{command[0]}.log", "ab")  # noqa: SIM115 - as long as the process
        self._logs.append(log)
        process = await asyncio.create_subprocess_exec(
            *self._privately(*command),
            stdin=stdin,
            stdout=log if stdout == STDOUT else stdout,
            stderr=log,
            env=self._environment,
        )
        self._processes.append(process)
        return process

    def _privately(self, *command: str) -> list[str]:
        """The command where our files lie over those of the machine, ended by the kernel when we end."""
        mounts = f'mount --bind trusted.crt {TRUSTED} && mount --bind resolv.conf {RESOLVER} && exec "$@"'
        namespace = ["unshare", "--mount", "--propagation", "private", "--wd", str(self._folder)]
        return ["setpriv", "--pdeathsig", "KILL", *namespace, "sh", "-c", mounts, "sh", *command]


def there(levels: list[float]) -> bool:
    """Whether the first tone is heard, and the other is not."""
    return bool(levels) and levels[0] > -35 and levels[1] < levels[0] - 20


async def _talk(mouth: Process, frequency: float) -> None:
    """Say the same syllable until cancelled."""
    assert mouth.stdin is not None
    times = np.arange(int((SYLLABLE + PAUSE) * SAMPLE_RATE)) / SAMPLE_RATE
    sound = (8000 * np.sin(2 * np.pi * frequency * times) * (times < SYLLABLE)).astype(np.int16).tobytes()
    while True:
        mouth.stdin.write(sound)
        await mouth.stdin.drain()


async def _line(process: Process) -> str:
    """The first that it says."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    assert line, "it has ended at once"
    return line.decode().strip()
