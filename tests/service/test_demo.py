"""The demo: the server, the ports, the files, and how it ends.

Most of it around a service of our own, which takes no calls and can be made to fail; what is true of all of it, around
the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from focus.service.prosody import free_port
from tests import programs
from tests.programs import Program

pytestmark = pytest.mark.interop

# The real command line in a process of its own; only what `focus.service.wiring` gives is replaced. This service
# serves nothing but its ports, and says that it is up once the XMPP server has accepted its connection.
SCRIPT = """
import asyncio, socket, sys, time
from focus.service import cli
from focus.service.ready import ServiceError, ServiceReady

class Service:
    def __init__(self, settings):
        self.settings = settings
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            MAKE
            return
        raise ServiceError("it may take long to make a service: not in the event loop")

    async def run(self, stop, ready):
        xmpp, http = self.settings.xmpp, self.settings.http
        reader, writer = await asyncio.open_connection(xmpp.host, xmpp.port)
        server = await asyncio.start_server(lambda reader, writer: writer.close(), *http.listen)
        media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        media.bind((self.settings.media.addresses[0].replace("auto", "0.0.0.0"), self.settings.media.port))
        ready(ServiceReady((media.getsockname(),), server.sockets[0].getsockname(), None))
        MODE
        media.close()
        server.close()
        writer.close()

cli._load_service = lambda: Service
sys.exit(cli.main())
"""
SERVES = "await stop.wait()"
REFUSES = "raise ServiceError('the XMPP server refuses the secret', 69)"
HANGS = "await asyncio.sleep(3600)"
ENDS = "pass"
MADE = "pass"
TAKES_LONG = "print('it is being made', file=sys.stderr, flush=True); time.sleep(3600)"

ANY = ("--http", "127.0.0.1:0", "--c2s", "127.0.0.1:0", "--media", "127.0.0.1:0")


class Demo:
    """A running `focus demo`."""

    def __init__(self, process: Program) -> None:
        self.process = process

    async def ready(self) -> dict[str, Any]:
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        facts: dict[str, Any] = json.loads(line)
        return facts

    async def end(self) -> tuple[int, str, str]:
        """Exit code, the rest of standard output, standard error."""
        output, errors = await asyncio.wait_for(self.process.communicate(), 60)
        assert self.process.returncode is not None
        return self.process.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def demo(*options: str, mode: str | None = SERVES, make: str = MADE, **environment: str) -> AsyncIterator[Demo]:
    """A demo around the service of this mode, None being the real one."""
    code = programs.FOCUS if mode is None else SCRIPT.replace("MODE", mode).replace("MAKE", make)
    async with programs.program(code, "demo", *options, environment={**os.environ, **environment}) as process:
        yield Demo(process)


def processes_below(folder: Path) -> list[str]:
    """Command lines of processes that work with files of this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in line:
                found.append(line)
    return found


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_it_says_where_everything_is(state_dir: Path) -> None:
    ready_file = state_dir / "ready.json"
    async with demo(*ANY, "--domain", "Tea.Example", "--ready-file", str(ready_file)) as running:
        facts = await running.ready()
        assert list(facts) == ["domain", "focus", "rooms", "guests", "c2s", "media", "http", "files", "pid"]
        assert facts["domain"] == "tea.example"
        assert facts["focus"] == "focus.tea.example"
        assert facts["rooms"] == "rooms.tea.example"
        assert facts["guests"] == "guest.tea.example"
        assert facts["pid"] == running.process.pid
        assert facts["media"][0] == "127.0.0.1"
        assert facts["media"][1] > 0
        assert facts["http"].startswith("http://127.0.0.1:")
        assert json.loads(ready_file.read_text()) == facts
        _, writer = await asyncio.open_connection(*facts["c2s"])
        writer.close()
        await writer.wait_closed()
        running.process.terminate()
        assert (await running.end())[:2] == (0, "")
    assert not ready_file.exists()


async def test_the_real_one_comes_up_serves_its_page_and_ends(state_dir: Path) -> None:
    async with demo(*ANY, "--media", "auto:0", mode=None, TMPDIR=str(state_dir)) as running:
        facts = await running.ready()
        async with aiohttp.ClientSession() as session:
            async with session.get(facts["http"] + "/config.json") as response:
                config = await response.json()
            assert {key: config[key] for key in ("domain", "guests", "rooms", "focus")} == {
                key: facts[key] for key in ("domain", "guests", "rooms", "focus")
            }
            websocket = facts["http"].replace("http://", "ws://") + config["websocket"]
            async with session.ws_connect(websocket, protocols=("xmpp",)) as socket:
                await socket.send_str(
                    f"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{config['guests']}' version='1.0'/>"
                )
                assert "<open" in await socket.receive_str(timeout=60)
                # It ends with a guest still connected.
                running.process.terminate()
                code, _, errors = await running.end()
        assert code == 0, errors
        assert "Traceback" not in errors
    assert processes_below(state_dir) == []
    assert list(state_dir.iterdir()) == []


async def test_the_real_one_names_a_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = await refused(*ANY, "--http", f"127.0.0.1:{port}", mode=None)
    assert code == 69
    assert f"127.0.0.1:{port}: Address already in use" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("mode", [SERVES, HANGS], ids=["well", "hanging"])
async def test_a_signal_ends_all_of_it(state_dir: Path, number: signal.Signals, mode: str) -> None:
    async with demo(*ANY, "--state-dir", str(state_dir / "state"), mode=mode) as running:
        facts = await running.ready()
        (server,) = children(facts["pid"])
        assert alive(server)
        running.process.send_signal(number)
        code, _, errors = await running.end()
        assert code == 0, errors
        assert "Traceback" not in errors
        assert not alive(server)


async def test_nothing_is_left_of_its_own_folder(state_dir: Path) -> None:
    async with demo(*ANY, TMPDIR=str(state_dir)) as running:
        await running.ready()
        assert [path.name.startswith("focus-demo-") for path in state_dir.iterdir()] == [True]
        running.process.terminate()
        assert (await running.end())[0] == 0
    assert list(state_dir.iterdir()) == []


async def test_a_signal_during_the_start_ends_it_too(state_dir: Path) -> None:
    async with demo(*ANY, "--log-level", "debug", TMPDIR=str(state_dir)) as running:
        # Prosody's first word: signals are ours by then, and it is not up yet.
        async for line in running.process.stderr:
            if b"prosody: Hello" in line:
                break
        running.process.terminate()
        assert (await running.end())[0] == 0
    assert list(state_dir.iterdir()) == []


async def test_a_signal_while_the_service_is_being_made_ends_it_at_once(state_dir: Path) -> None:
    async with demo(*ANY, make=TAKES_LONG, TMPDIR=str(state_dir)) as running:
        async for line in running.process.stderr:
            if b"it is being made" in line:
                break
        running.process.send_signal(signal.SIGINT)
        code, _, errors = await running.end()
        assert (code, "Traceback" in errors) == (0, False)
    assert list(state_dir.iterdir()) == []


async def test_prosody_is_started_again_when_it_dies(state_dir: Path) -> None:
    async with demo(*ANY, "--state-dir", str(state_dir / "state")) as running:
        facts = await running.ready()
        (server,) = children(facts["pid"])
        os.kill(server, signal.SIGKILL)
        async with asyncio.timeout(60):
            async for line in running.process.stderr:
                if b"Prosody is back" in line:
                    break
        (again,) = children(facts["pid"])
        assert again != server
        _, writer = await asyncio.open_connection(*facts["c2s"])
        writer.close()
        await writer.wait_closed()
        running.process.terminate()
        assert (await running.end())[0] == 0
        assert not alive(again)


async def test_killing_it_takes_prosody_along(state_dir: Path) -> None:
    async with demo(*ANY, "--state-dir", str(state_dir / "state")) as running:
        facts = await running.ready()
        (server,) = children(facts["pid"])
        descriptor = os.pidfd_open(server)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        running.process.kill()
        await asyncio.wait_for(ended.wait(), 60)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        await running.end()


async def test_accounts_can_log_in(state_dir: Path) -> None:
    accounts = ("--account", "alice@localhost:one", "--account", "bob@localhost:t:wo")
    async with demo(*ANY, *accounts, "--state-dir", str(state_dir / "state")) as running:
        facts = await running.ready()
        made = state_dir / "state" / "prosody" / "data" / "localhost" / "accounts"
        assert {path.name for path in made.iterdir()} == {"alice.dat", "bob.dat"}
        running.process.terminate()
        assert (await running.end())[0] == 0
        assert facts["domain"] == "localhost"


async def refused(*options: str, mode: str | None = SERVES, **environment: str) -> tuple[int, str]:
    """Exit code and the one line of a demo that does not come up."""
    async with demo(*options, mode=mode, **environment) as running:
        code, output, errors = await running.end()
    assert output == ""
    assert errors.count("\n") == 1, errors
    return code, errors.rstrip()


@pytest.mark.parametrize("option", ["--http", "--c2s"])
async def test_a_taken_port_is_one_line(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, line = await refused(*ANY, option, address)
    assert code == 69
    assert line == (
        f"focus: cannot listen on {address}: Address already in use; "
        f"choose another with {option} HOST:PORT (port 0 is any free one)"
    )


async def test_media_comes_in_on_every_address(state_dir: Path) -> None:
    async with demo(*ANY, "--media", "auto:0") as running:
        facts = await running.ready()
        assert facts["media"][0] == "127.0.0.1"
        assert facts["media"][1] > 0
        running.process.terminate()
        assert (await running.end())[0] == 0


async def test_callers_have_keys_rooms_can_be_recorded_and_faxes_sent(state_dir: Path) -> None:
    folder = state_dir / "state" / "files"
    mode = f"""
        assert [(route.match, route.fax) for route in self.settings.routes] == [("desk", False), ("fax", True)]
        assert self.settings.media.shards == 2
        (comfort,), files, reach = self.settings.comfort, self.settings.recordings.folder, self.settings.fetch.folders
        assert comfort.keys and files.is_dir() and [str(files)] == [str(each) for each in reach] == [{str(folder)!r}]
        {SERVES}
"""
    routes = ("--fax-route", "fax=me@localhost", "--route", "desk=me@localhost")
    async with demo(*ANY, *routes, "--state-dir", str(state_dir / "state"), mode=mode) as running:
        assert (await running.ready())["files"] == str(folder)
        running.process.terminate()
        code, _, errors = await running.end()
        assert code == 0, errors


@pytest.mark.parametrize(("host", "offset"), [("auto", 0), ("127.0.0.1", 1)])
async def test_a_taken_media_port_is_one_line(host: str, offset: int) -> None:
    """Also if it is the second one."""
    port = free_port(kind=socket.SOCK_DGRAM, in_a_row=2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port + offset))
        code, line = await refused(*ANY, "--media", f"{host}:{port}")
    assert code == 69
    assert f":{port + offset}: Address already in use; choose another with --media" in line


async def test_the_highest_media_port_leaves_none_for_the_second() -> None:
    code, line = await refused(*ANY, "--media", "auto:65535")
    assert (code, "leaves no port for the other" in line) == (69, True)


@pytest.mark.parametrize(
    ("route", "complaint"),
    [
        (("--route", "desk"), "--route must be NAME=JID"),
        (("--route", "=a@localhost"), "--route must"),
        (("--fax-route", "x=@"), "--fax-route"),
    ],
)
async def test_a_route_that_is_none_is_one_line(route: tuple[str, str], complaint: str) -> None:
    code, line = await refused(*ANY, *route)
    assert code == 64
    assert complaint in line


async def test_an_address_that_is_not_ours_is_one_line() -> None:
    code, line = await refused(*ANY, "--http", "192.0.2.1:0")
    assert (code, line[:48]) == (69, "focus: cannot listen on 192.0.2.1:0: Cannot assi")


async def test_without_prosody_it_says_what_to_install(tmp_path: Path) -> None:
    code, line = await refused(*ANY, PATH=str(tmp_path))
    assert code == 69
    assert line == "focus: prosody is not installed: install Prosody 0.12 or newer (apt-get install prosody)"


async def test_an_unusable_state_dir_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, line = await refused(*ANY, "--state-dir", str(tmp_path / "file"))
    assert code == 69
    assert line.endswith("file cannot be used: File exists; choose another with --state-dir")


async def test_two_demos_do_not_share_a_state_dir(state_dir: Path) -> None:
    options = (*ANY, "--state-dir", str(state_dir / "state"))
    async with demo(*options) as running:
        await running.ready()
        code, line = await refused(*options)
        assert (code, line.endswith("is in use by another demo")) == (69, True)


async def test_an_unwritable_ready_file_is_one_line(tmp_path: Path) -> None:
    code, line = await refused(*ANY, "--ready-file", str(tmp_path / "none" / "ready.json"))
    assert code == 69
    assert "ready.json cannot be written: No such file or directory" in line


async def test_a_certificate_that_does_not_belong_to_its_key_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.crt").write_text("nothing")
    (tmp_path / "a.key").write_text("nothing")
    code, line = await refused(*ANY, "--certificate", str(tmp_path / "a.crt"), "--key", str(tmp_path / "a.key"))
    assert code == 69
    assert "are no certificate and its key in PEM" in line


@pytest.mark.parametrize(
    ("mode", "words"),
    [(REFUSES, "the XMPP server refuses the secret"), (ENDS, "the service has ended by itself")],
)
async def test_a_service_that_fails_ends_the_demo(state_dir: Path, mode: str, words: str) -> None:
    async with demo(*ANY, mode=mode, TMPDIR=str(state_dir)) as running:
        facts = await running.ready()
        code, _, errors = await running.end()
    assert code == 69
    assert errors.splitlines()[-1] == f"focus: {words}"
    assert not alive(facts["pid"])
    assert list(state_dir.iterdir()) == []


async def test_friendly_words_go_to_people_and_the_line_to_programs() -> None:
    async with demo(*ANY, "--friendly") as running:
        facts = await running.ready()
        running.process.terminate()
        code, output, errors = await running.end()
    assert (code, output) == (0, "")
    assert facts["http"].replace("127.0.0.1", "localhost") + "/tea" in errors
    assert "tea@focus.localhost" in errors
