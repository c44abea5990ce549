"""The private Prosody, started for real."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from focus.service.prosody import Prosody, free_port
from focus.service.ready import ServiceError

pytestmark = pytest.mark.interop


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def stream_features(address: tuple[str, int], domain: str) -> str:
    """Open a client's stream and return what the server offers."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(
        f"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
        f"to='{domain}'>".encode()
    )
    features = await asyncio.wait_for(reader.readuntil(b"</stream:features>"), 60)
    writer.close()
    await writer.wait_closed()
    return features.decode()


async def test_it_listens_on_the_ports_that_it_names(prosody: Prosody) -> None:
    features = await stream_features(prosody.c2s, "localhost")
    assert "urn:ietf:params:xml:ns:xmpp-tls" in features
    assert "SCRAM-SHA-1" in features
    assert "PLAIN<" not in features
    for address in (prosody.c2s, prosody.component):
        _, writer = await asyncio.open_connection(*address)
        writer.close()
        await writer.wait_closed()


async def test_it_runs_as_an_ordinary_user(prosody: Prosody) -> None:
    status = Path(f"/proc/{prosody.pid}/status").read_text()
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert "0" not in uids


async def test_its_secrets_are_readable_by_nobody_else(prosody: Prosody) -> None:
    for name in ("prosody.cfg.lua", "certificates/localhost.key"):
        assert (prosody.state / name).stat().st_mode & 0o077 == 0


async def test_it_comes_back_on_the_same_ports(prosody: Prosody) -> None:
    before = (prosody.c2s, prosody.component, prosody.websocket, prosody.pid)
    await prosody.restart()
    assert (prosody.c2s, prosody.component, prosody.websocket) == before[:3]
    assert prosody.pid != before[3]
    await stream_features(prosody.c2s, "localhost")


async def test_a_crash_is_seen_and_nothing_is_left(prosody: Prosody) -> None:
    pid = prosody.pid
    assert pid is not None
    prosody.kill()
    assert await asyncio.wait_for(prosody.wait(), 60) == -signal.SIGKILL
    assert prosody.pid is None
    assert gone(pid)
    await prosody.stop()
    await prosody.start()
    assert prosody.pid is not None


async def test_stopping_leaves_no_process_and_no_listener(state_dir: Path) -> None:
    server = Prosody(state_dir / "prosody")
    await server.start()
    pid, address = server.pid, server.c2s
    assert pid is not None
    await server.stop()
    await server.stop()
    assert gone(pid)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_it_dies_with_a_parent_that_is_killed(state_dir: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from focus.service.prosody import Prosody\n"
        "async def main():\n"
        "    server = Prosody(pathlib.Path(sys.argv[1]))\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(state_dir / "prosody"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 60))
    # A pidfd becomes readable when the process ends, whosever child it is.
    descriptor = os.pidfd_open(pid)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        parent.kill()
        await parent.wait()
        await asyncio.wait_for(ended.wait(), 60)
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def test_an_account_can_be_made_before_and_after_the_start(state_dir: Path) -> None:
    server = Prosody(state_dir / "prosody")
    await server.add_user("alice@localhost", "wonder land'\"")
    await server.start()
    try:
        await server.add_user("bob@localhost", "builder")
        accounts = {path.name for path in (server.state / "data" / "localhost" / "accounts").iterdir()}
        assert accounts == {"alice.dat", "bob.dat"}
        assert "wonder" not in (server.state / "data/localhost/accounts/alice.dat").read_text()
    finally:
        await server.stop()


async def test_an_account_elsewhere_is_refused(prosody: Prosody) -> None:
    with pytest.raises(ServiceError, match=r"alice@example\.org is no account of localhost"):
        await prosody.add_user("alice@example.org", "x")


async def test_a_taken_port_is_named(state_dir: Path, free_tcp_port: Callable[[], int]) -> None:
    port = free_tcp_port()
    with socket.create_server(("127.0.0.1", port)):
        server = Prosody(state_dir / "prosody", c2s=("127.0.0.1", port))
        with pytest.raises(ServiceError, match=f"c2s on 127.0.0.1 port {port}") as raised:
            await server.start()
    assert raised.value.exit_code == 69
    assert "\n" not in raised.value.message
    assert server.pid is None


async def test_an_unusable_state_dir_is_named(state_dir: Path) -> None:
    (state_dir / "file").write_text("")
    with pytest.raises(ServiceError, match=r"state directory .*file/below cannot be used: Not a directory"):
        await Prosody(state_dir / "file" / "below").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts Prosody as another user")
async def test_a_folder_that_its_user_cannot_enter_is_named(state_dir: Path) -> None:
    (state_dir / "closed").mkdir(mode=0o700)
    with pytest.raises(ServiceError, match="may not enter a folder above it"):
        await Prosody(state_dir / "closed" / "prosody").start()


async def test_without_prosody_it_says_what_to_install(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(state_dir))
    with pytest.raises(ServiceError, match="apt-get install prosody"):
        await Prosody(state_dir / "prosody").start()


async def test_a_certificate_is_kept_while_it_is_good(state_dir: Path) -> None:
    server = Prosody(state_dir / "prosody")
    certificate = server.state / "certificates" / "localhost.crt"
    await server.start()
    first = certificate.read_bytes()
    await server.restart()
    assert certificate.read_bytes() == first
    await server.stop()
    certificate.write_text("broken")
    await server.start()
    await server.stop()
    assert b"BEGIN CERTIFICATE" in certificate.read_bytes()


def test_a_free_port_is_none_of_those_that_are_given_out_already(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    monkeypatch.setattr("focus.service.prosody.FREE_PORTS", range(first, first + 200))
    with contextlib.suppress(ServiceError):  # somebody may have just that one
        assert free_port(but=set(range(first, first + 200)) - {first + 7}) == first + 7
    with pytest.raises(ServiceError, match="no free port"):
        free_port(but=range(first, first + 200))
