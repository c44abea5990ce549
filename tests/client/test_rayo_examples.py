"""The programs in docs/rayo.md do what is said of them, as they stand there."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from signal import SIGINT
from urllib.parse import unquote, urlparse

import numpy as np
import pytest

from focus.media.files import read_audio
from focus.service.phone.sound import BLOCK, Samples, Source
from focus.service.prosody import Prosody
from tests import programs
from tests.client.test_rayo_answers import presses
from tests.engines.signalled import tone as signal
from tests.engines.spoken import say, silence
from tests.interop.callers import CallerFactory, assert_hears, until_gone
from tests.interop.running import PASSWORD, PATIENCE, PhoneFactory, RunningFocus
from tests.media.peers import level, until
from tests.service.phones import hears

pytestmark = pytest.mark.interop

DOCUMENT = Path(__file__).parents[2] / "docs" / "rayo.md"
PROGRAMS = {
    re.findall(r"(\w+\.py)", program)[0]: program
    for program in re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
}


FREQUENCIES = {"alice": 300, "bob": 440, "carol": 600, "dave": 800}


class Program:
    def __init__(self, process: programs.Program) -> None:
        self._process = process

    async def says(self, text: str, *, within: float = PATIENCE) -> str:
        """The next line with this in it."""
        seen = []
        async with asyncio.timeout(within):
            while line := (await self._process.stdout.readline()).decode():
                seen.append(line)
                if text in line:
                    return line.strip()
        raise AssertionError(f"it ended without saying {text!r}: {seen} {await self._process.communicate()}")

    def interrupt(self) -> None:
        """As ctrl-C does."""
        self._process.send_signal(SIGINT)

    async def ends(self) -> tuple[int | None, str]:
        """Exit code and standard error."""
        async with asyncio.timeout(PATIENCE):
            _, errors = await self._process.communicate()
        return self._process.returncode, errors.decode()


@contextlib.asynccontextmanager
async def running(prosody: Prosody, account: str, file: str, *arguments: str) -> AsyncIterator[Program]:
    await prosody.add_user(f"{account}@{prosody.domain}", PASSWORD)
    environment = {
        "PATH": "/usr/bin:/bin",
        "FOCUS_RAYO_ACCOUNT": f"{account}@{prosody.domain}",
        "FOCUS_RAYO_PASSWORD": PASSWORD,
        "FOCUS_RAYO_SERVER": "{}:{}".format(*prosody.c2s),
    }
    code = programs.AT_ONCE_AND_STRICT + PROGRAMS[file]
    async with programs.program(code, *arguments, environment=environment) as process:
        yield Program(process)


def sound_at(line: str) -> np.ndarray:
    """Of the recording whose URI ends the line."""
    return np.concatenate([*read_audio(Path(unquote(urlparse(line.split()[-1]).path)))])


def tones_of(heard: np.ndarray) -> set[int]:
    return {frequency for frequency in FREQUENCIES.values() if level(heard, frequency) > -45}


def test_there_are_nine_of_them() -> None:
    """Those that fax are in `tests/client/test_rayo_fax.py`."""
    usual = {"desk.py", "call.py", "chair.py", "voicemail.py", "menu.py", "meeting.py", "remind.py"}
    assert set(PROGRAMS) == usual | {"faxes_in.py", "fax_out.py"}
    assert max(program.count("\n") for program in PROGRAMS.values()) <= 64


async def test_whoever_calls_the_desk_is_connected_with_the_agent(
    focus: RunningFocus, prosody: Prosody, caller: CallerFactory, listening: PhoneFactory
) -> None:
    bob, alice = await listening("bob", 440), await caller("alice", 300)
    async with running(prosody, "juliet", "desk.py", f"bob@{prosody.domain}") as desk:
        await desk.says("ready as juliet@localhost/")
        await asyncio.wait_for(alice.call(focus.mixer("desk-1")), PATIENCE)
        assert await desk.says("connected") == f"connected {alice.client.jid.uri}"
        await assert_hears(alice, [440], 300)
        await alice.hang_up()
        assert (await bob.wait_for("ended"))["reason"] == "success"
    await listening("busy", 440, "busy")
    carol = await listening("carol", 600)
    async with running(prosody, "juliet", "desk.py", f"busy@{prosody.domain}") as desk:
        await desk.says("ready")
        await carol.call(focus.mixer("desk-1"))
        await desk.says("not connected: the call xmpp:")
        await carol.wait_for("ended")


async def test_two_people_are_called_and_connected(
    focus: RunningFocus, prosody: Prosody, listening: PhoneFactory
) -> None:
    alice, bob = await listening("alice", 300), await listening("bob", 440)
    one, other = f"alice@{prosody.domain}", f"bob@{prosody.domain}"
    async with running(prosody, "juliet", "call.py", one, other) as program:
        for line in (f"it rings at {other}", f"{other} has answered", "connected"):
            assert await program.says(line) == line
        await hears(alice, 440)
        bob.hangup()
        assert await program.says("over") == "over: hungup"
        assert await program.ends() == (0, "")
    await alice.wait_for("ended")
    await listening("busy", 440, "busy")
    async with running(prosody, "juliet", "call.py", f"busy@{prosody.domain}", other) as program:
        assert await program.ends() == (1, f"busy@{prosody.domain} cannot be reached: busy\n")


async def test_who_speaks_too_long_is_muted(focus: RunningFocus, prosody: Prosody, caller: CallerFactory) -> None:
    async with running(prosody, "controller", "chair.py", "tea", "0.5") as chair:
        await chair.says("watching tea")
        alice, bob = await caller("alice", 300), await caller("bob", 440)
        await alice.call(focus.mixer("tea"))
        await chair.says("muted xmpp:")
        await bob.call(focus.mixer("tea"))
        await chair.says("muted xmpp:")
        await until_gone(bob, 300)
        await until_gone(alice, 440)


async def test_whoever_calls_leaves_a_message(focus: RunningFocus, prosody: Prosody, caller: CallerFactory) -> None:
    alice = await caller("alice", 300)
    async with running(prosody, "juliet", "voicemail.py", "Please speak.") as voicemail:
        await voicemail.says("ready")
        await asyncio.wait_for(alice.call(focus.mixer("desk-1")), PATIENCE)
        assert await voicemail.says("recording") == f"recording {alice.client.jid.uri}"
        before = alice.connection.track.said
        await until(lambda: alice.connection.track.said > before + 0.8)
        alice.connection.track.quiet = True
        said = await voicemail.says("FinalTimeout")
        await alice.client.expect_child("{urn:xmpp:jingle:1}jingle", action="session-terminate")
    path = Path(unquote(urlparse(said.split()[-1]).path))
    heard = np.concatenate([*read_audio(path)])
    assert int(said.split()[1]) == len(heard) // 48
    assert max(level(heard[at : at + 14_400], 300) for at in range(0, 48_000, 4800)) > -20
    assert level(heard[-48_000:], 300) < -40


async def test_whoever_calls_chooses_by_key(
    focus: RunningFocus, prosody: Prosody, caller: CallerFactory, listening: PhoneFactory
) -> None:
    alice, _ = await caller("alice", 300), await listening("bob", 440)
    addresses = (f"nobody@{prosody.domain}", f"bob@{prosody.domain}")
    async with running(prosody, "juliet", "menu.py", *addresses) as menu:
        await menu.says("ready")
        await asyncio.wait_for(alice.call(focus.mixer("desk-1")), PATIENCE)
        for question, keys in (("For sales", "9"), ("For sales", "2"), ("What is your customer number?", "4711")):
            await menu.says(f"asking: {question}")
            await presses(alice, keys)
        assert await menu.says("connected") == f"connected {alice.client.jid.uri} with support 4711"
        await assert_hears(alice, [440], 300)
        await alice.hang_up()
    carol = await caller("carol", 600)
    async with running(prosody, "juliet", "menu.py", *addresses) as menu:
        await menu.says("ready")
        await asyncio.wait_for(carol.call(focus.mixer("desk-1")), PATIENCE)
        for _ in range(3):
            await menu.says("asking: For sales")
            await presses(carol, "#")
        assert await menu.says("not") == "not connected: no answer that is one (undefined-condition)"
        await carol.client.expect_child("{urn:xmpp:jingle:1}jingle", action="session-terminate")


async def test_people_are_called_and_recorded(focus: RunningFocus, prosody: Prosody, listening: PhoneFactory) -> None:
    """In a room, until somebody presses a key, and in mixers of one's own, until nobody is there, or ctrl-C."""
    alice, bob, carol, dave = [await listening(*each) for each in FREQUENCIES.items()]
    people = [f"{name}@{prosody.domain}" for name in ("alice", "bob", "nobody")]
    async with (
        running(prosody, "controller", "meeting.py", "tea", *people) as meeting,
        running(prosody, "juliet", "meeting.py", "tea", f"carol@{prosody.domain}") as alone,
        running(prosody, "romeo", "meeting.py", "tea", f"dave@{prosody.domain}") as interrupted,
    ):
        for program in (meeting, alone, interrupted):
            await program.says("recording tea")
        await hears(alice, 440)
        bob.press("5,#")
        carol.hangup()
        interrupted.interrupt()
        for program, end, names in (
            (meeting, "Stopped", ("alice", "bob")),
            (alone, "HungUp", ("carol",)),
            (interrupted, "Stopped", ("dave",)),
        ):
            line = await program.says("ms:")
            assert line.split()[0] == end
            whole = sound_at(line)
            assert int(line.split()[1]) == pytest.approx(len(whole) / 48, abs=30)
            assert tones_of(whole) == {FREQUENCIES[name] for name in names}
            for name in names:
                track = await program.says(f"{name}@{prosody.domain} alone:")
                assert tones_of(sound_at(track)) == {FREQUENCIES[name]}
            assert await program.ends() == (0, "")
    assert (await dave.wait_for("ended"))["reason"] == "success"


@pytest.mark.parametrize("who", ["human", "beep", "fax-ced"])
async def test_who_has_answered_is_told_and_reminded_unless_it_is_a_fax_machine(
    focus: RunningFocus, prosody: Prosody, listening: PhoneFactory, who: str
) -> None:
    sounds = {"human": await say("Hello?"), "beep": signal(0.5, 1400), "fax-ced": signal(3, 2100)}
    await listening("bob", repeated(np.concatenate([silence(0.5), sounds[who], silence(1.5)])))
    async with running(prosody, "juliet", "remind.py", f"bob@{prosody.domain}", "Your train.") as program:
        assert await program.says("answered by") == f"answered by {who}"
        if who != "fax-ced":
            await program.says("reminded")
        assert await program.ends() == (0, "")


def repeated(sound: Samples) -> Source:
    async def play() -> AsyncGenerator[Samples, None]:
        while True:
            for start in range(0, len(sound), BLOCK):
                yield sound[start : start + BLOCK]

    return play
