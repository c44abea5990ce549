"""`focus phone`, as a process of its own, against a real Prosody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from focus.media.files import WavWriter, read_audio
from focus.media.tones import SAMPLE_RATE, Tone
from focus.service.cli import main
from focus.service.prosody import Prosody
from tests import programs
from tests.media.peers import level
from tests.programs import Program

PATIENCE = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(lasting_prosody: Prosody) -> Prosody:
    await lasting_prosody.add_user("alice@localhost", "in wonderland")
    await lasting_prosody.add_user("bob@localhost", "builder")
    return lasting_prosody


class Process:
    """A `focus phone --json`."""

    def __init__(self, process: Program) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    async def event(self, name: str) -> dict[str, Any]:
        """The next one of this name."""
        async with asyncio.timeout(PATIENCE):
            while line := await self.process.stdout.readline():
                self.events.append(json.loads(line))
                if self.events[-1]["event"] == name:
                    return self.events[-1]
        raise AssertionError(f"it ended without {name}: {self.events} {await self.complaint()}")

    async def complaint(self) -> str:
        return (await self.process.stderr.read()).decode()

    async def exit_code(self) -> int:
        async with asyncio.timeout(PATIENCE):
            output, _ = await self.process.communicate()
            self.events.extend(json.loads(line) for line in output.splitlines())
            return await self.process.wait()


@contextlib.asynccontextmanager
async def phone(server: Prosody, command: str, *arguments: str, **environment: str) -> AsyncIterator[Process]:
    host, port = server.c2s
    place = ("--server", f"{host}:{port}", "--media", "127.0.0.1", "--json")
    known = {"PATH": "/usr/bin:/bin", **environment}
    async with programs.focus("phone", command, *arguments, *place, environment=known) as process:
        yield Process(process)


@contextlib.asynccontextmanager
async def bob_listening(server: Prosody, *arguments: str) -> AsyncIterator[Process]:
    async with phone(server, "listen", "--account", "bob@localhost/x", "--password", "builder", *arguments) as bob:
        await bob.event("online")
        yield bob


ALICE = ("--account", "alice@localhost", "--password", "in wonderland")


@pytest.mark.interop
@pytest.mark.asyncio(loop_scope="module")
async def test_two_processes_talk(server: Prosody, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("in wonderland\n")
    with WavWriter(tmp_path / "played.wav") as writer:
        writer.write(Tone(660).samples(SAMPLE_RATE))
    said = ("--play", str(tmp_path / "played.wav"), "--record", str(tmp_path / "bob.wav"), "--once")
    async with bob_listening(server, *said) as bob:
        arguments = ["bob@localhost", "--account", "alice@localhost", "--password-file", str(secret), "--seconds", "2"]
        arguments += ("--play", "tone:440", "--record", str(tmp_path / "alice.wav"), "--trickle", "--dialect", "1")
        async with phone(server, "call", *arguments) as alice:
            assert await alice.exit_code() == 0
            assert await bob.exit_code() == 0
            names = [event["event"] for event in alice.events]
            for name in ("connecting", "online", "calling", "ringing", "proceeding", "accepted", "connected", "stats"):
                assert name in names
            assert names[-1] == "ended"
            assert (alice.events[-1]["reason"], alice.events[-1]["by"]) == ("success", "us")
    for name, theirs, own in (("alice", 660, 440), ("bob", 440, 660)):
        samples = np.concatenate(list(read_audio(tmp_path / f"{name}.wav")))
        middle = samples[len(samples) // 3 : -len(samples) // 3]
        assert level(middle, theirs) > -20
        assert level(middle, own) < level(middle, theirs) - 40


@pytest.mark.interop
@pytest.mark.asyncio(loop_scope="module")
async def test_keys_are_pressed(server: Prosody) -> None:
    async with (
        bob_listening(server, "--once", "--keys", "#") as bob,
        phone(server, "call", "bob@localhost", *ALICE, "--keys", "1,d##") as alice,
    ):
        assert (await alice.event("dtmf"))["key"] == "#"
        pressed = [(await bob.event("dtmf"))["key"] for _ in range(4)]
        assert pressed == ["1", "D", "#", "#"]
        alice.process.send_signal(signal.SIGINT)
        assert await alice.exit_code() == 0
        assert [event["key"] for event in alice.events if event["event"] == "pressed"] == pressed
        assert await bob.exit_code() == 0
        told = [event for event in bob.events if event["event"] == "dtmf"]
        assert [event["key"] for event in told] == pressed
        first, second, *_ = [
            datetime.fromisoformat(event["time"]) for event in alice.events if event["event"] == "pressed"
        ]
        assert (second - first).total_seconds() > 1


@pytest.mark.interop
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("option", "reason"), [("--reject", "decline"), ("--busy", "busy")])
async def test_a_call_that_is_not_taken_has_its_exit_code(server: Prosody, option: str, reason: str) -> None:
    async with bob_listening(server, option) as bob, phone(server, "call", "bob@localhost", *ALICE) as alice:
        assert await alice.exit_code() == 75
        assert alice.events[-1]["reason"] == reason
        bob.process.send_signal(signal.SIGTERM)
        assert await bob.exit_code() == 0


@pytest.mark.interop
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_hangs_up_politely(server: Prosody, number: signal.Signals) -> None:
    async with bob_listening(server) as bob, phone(server, "call", "bob@localhost", *ALICE) as alice:
        await alice.event("connected")
        alice.process.send_signal(number)
        assert await alice.exit_code() == 0
        ended = await bob.event("ended")
        assert (ended["reason"], ended["by"]) == ("success", "peer")


@pytest.mark.interop
@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_there_has_its_exit_code(server: Prosody) -> None:
    async with phone(server, "call", "bob@localhost", *ALICE) as alice:
        assert await alice.exit_code() == 75
        assert alice.events[-1]["reason"] == "gone"


@pytest.mark.interop
@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_password_is_one_line(server: Prosody) -> None:
    arguments = ("bob@localhost", "--account", "alice@localhost")
    async with phone(server, "call", *arguments, FOCUS_PHONE_PASSWORD="guess") as alice:
        async with asyncio.timeout(PATIENCE):
            complaint = await alice.complaint()
        assert complaint.startswith("focus: ")
        assert "alice@localhost" in complaint
        assert complaint.count("\n") == 1
        assert await alice.exit_code() == 69


@pytest.mark.interop
@pytest.mark.asyncio(loop_scope="module")
async def test_guests_need_no_password(server: Prosody) -> None:
    async with (
        bob_listening(server, "--once"),
        phone(server, "call", "bob@localhost", "--account", server.guests, "--seconds", "0.2") as guest,
    ):
        assert await guest.exit_code() == 0


def test_a_server_that_is_not_there_is_one_line(
    capfd: pytest.CaptureFixture[str], free_tcp_port: Callable[[], int]
) -> None:
    port = free_tcp_port()
    arguments = ["phone", "call", "bob@localhost", "--account", "a@localhost", "--password", "x"]
    assert main([*arguments, "--server", f"127.0.0.1:{port}", "--media", "127.0.0.1"]) == 69
    complaint = capfd.readouterr().err
    assert complaint.count("\n") == 1
    assert f"127.0.0.1 port {port} cannot be reached" in complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["call"], "JID"),
        (["call", "@", "--account", "guest.localhost"], "not a JID"),
        (["call", "a b@localhost", "--account", "guest.localhost"], "JID: "),
        (["call", "bob@localhost", "--account", "alice@@localhost", "--password", "x"], "--account: "),
        (["call", "bob@localhost", "--account", "alice@localhost"], "--password"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--dialect", "2"], "--dialect"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--dialect", "none"], "full JID"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--server", "here"], "--server"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--play", "tone:high"], "--play"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--play", "tone:99000"], "--play"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--play", "/nowhere.wav"], "nowhere.wav"),
        (
            ["call", "bob@localhost", "--account", "guest.localhost", "--play", "speech:hi", "--voice", "nonesuch"],
            "nonesuch",
        ),
        (["call", "bob@localhost", "--account", "guest.localhost", "--record", "/no/where.wav"], "--record"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--media", "here"], "--media"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--join", "tea@rooms.localhost"], "--join"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--keys", "1w2"], "'W' is no key"),
        (["call", "bob@localhost", "--account", "guest.localhost", "--log-level", "loud"], "--log-level"),
        (["call", "bob@localhost", "--account", "a@b", "--password-file", "/nowhere"], "--password-file"),
        (["listen", "--account", "guest.localhost", "--reject", "--busy"], "--busy"),
        (["listen", "--account", "guest.localhost", "--seconds", "-1"], "--seconds"),
    ],
)
def test_wrong_usage_is_told(capfd: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    assert main(["phone", *arguments]) == 64
    assert complaint in capfd.readouterr().err


def test_help_lists_the_exit_codes(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["phone", "call", "--help"]) == 0
    text = " ".join(capfd.readouterr().out.split())
    for code in (64, 69, 75, 76):
        assert f" {code} " in text
