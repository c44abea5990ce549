"""`focus rayo`, as a process of its own, against the service on a real Prosody."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pytest

from focus.client import RayoError
from focus.client.rayo import COMMAND_TIMEOUT, LONGEST_RINGING
from focus.media.files import read_audio
from focus.service.cli import main
from focus.service.prosody import Prosody
from focus.service.rayo import cli, working
from focus.service.rayo.report import Report
from focus.service.ready import ServiceError
from tests import programs
from tests.client.conftest import RayoFactory, caller, client, focus, listening, rayo, settings
from tests.client.test_rayo_answers import presses
from tests.interop.callers import CallerFactory
from tests.interop.rayo_listings.sounds import tone
from tests.interop.running import PASSWORD, ClientFactory, PhoneFactory, RunningFocus, eventually, serve, settings_for
from tests.media.peers import level
from tests.programs import Program

__all__ = ["caller", "client", "focus", "listening", "rayo", "settings"]

PATIENCE = 60
MENU = """
<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="menu">
  <rule id="menu"><one-of><item>1 <tag>sales</tag></item><item>2 <tag>support</tag></item></one-of></rule>
</grammar>"""


class Process:
    """A `focus rayo`; its lines are JSON if it was asked for them."""

    def __init__(self, process: Program) -> None:
        self.process = process

    async def event(self, name: str, *, within: float = PATIENCE, **details: str) -> dict[str, Any]:
        """The next one of this name, with these details."""
        seen = []
        async with asyncio.timeout(within):
            while line := await self.process.stdout.readline():
                said: dict[str, Any] = json.loads(line)
                seen.append(said)
                if said["event"] == name and all(said.get(key) == value for key, value in details.items()):
                    return said
        raise AssertionError(f"it ended without {name}: {seen} {await self.end()}")

    async def end(self, *, within: float = PATIENCE) -> tuple[int, str, str]:
        """Exit code, the rest of standard output, standard error."""
        async with asyncio.timeout(within):
            output, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, output.decode(), errors.decode()


@contextlib.asynccontextmanager
async def begun(prosody: Prosody, *arguments: str, group: str = "rayo", **environment: str) -> AsyncIterator[Process]:
    host, port = prosody.c2s
    known = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(prosody.state.parent),
        "COLUMNS": "200",
        "FOCUS_RAYO_ACCOUNT": f"controller@{prosody.domain}",
        "FOCUS_RAYO_PASSWORD": PASSWORD,
        "FOCUS_RAYO_SERVER": f"{host}:{port}",
    }
    environment = {name: value for name, value in (known | environment).items() if value}
    async with programs.focus(group, *arguments, environment=environment) as process:
        yield Process(process)


async def command(prosody: Prosody, *arguments: str, group: str = "rayo", **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    async with begun(prosody, *arguments, group=group, **environment) as process:
        return await process.end()


@pytest.fixture
async def prosody(state_dir: Path) -> AsyncIterator[Prosody]:
    """A real one; owner@localhost owns all its rooms."""
    async with contextlib.AsyncExitStack() as closing:
        made = Prosody(state_dir / "prosody", admins=("owner@localhost",))
        await made.start()
        closing.push_async_callback(made.stop)
        yield made


@pytest.fixture
async def server(prosody: Prosody) -> Prosody:
    for name in ("controller", "juliet", "mallory"):
        await prosody.add_user(f"{name}@{prosody.domain}", PASSWORD)
    return prosody


@pytest.mark.interop
async def test_an_operator_calls_somebody_into_a_room_and_sees_and_ends_it(
    server: Prosody, focus: RunningFocus, listening: PhoneFactory
) -> None:
    bob = await listening("bob", 440)
    async with begun(server, "watch", "tea", "--json") as watching:
        assert (await watching.event("watching"))["there"] is False

        code, output, errors = await command(server, "dial", f"bob@{server.domain}", "--join", "tea", "--json")
        assert (code, errors) == (0, "")
        told = [json.loads(line) for line in output.splitlines()]
        assert [one["event"] for one in told] == ["dialled", "ringing", "answered"]
        call = told[0]["call"]
        joined = await watching.event("joined", **{"call-uri": call})
        assert joined["peer"] == str(bob.jid)
        assert (joined["mixer"], joined["uri"]) == ("tea", focus.mixer("tea").uri)
        await watching.event("started-speaking", **{"call-uri": call})

        name = call.removeprefix("xmpp:").partition("@")[0]
        tea = focus.mixer("tea").uri
        code, output, errors = await command(server, "list", "--json")
        assert (code, errors) == (0, "")
        assert [json.loads(line) for line in output.splitlines()] == [
            {"call": call, "peer": str(bob.jid), "state": "answered", "joined": [tea], "directions": {}},
            {"mixer": "tea", "uri": tea, "joined": [call], "directions": {}},
        ]
        code, output, _ = await command(server, "list")
        assert [line.split() for line in output.splitlines()] == [
            ["call", "peer", "state", "joined"],
            [name, str(bob.jid), "answered", "tea"],
            ["mixer", "joined"],
            ["tea", name],
        ]

        code, output, _ = await command(server, "join", name, "tea", "--direction", "recv")
        assert (code, output.partition("  ")[2]) == (
            0,
            f"{name} is joined with tea, hears it, and is not heard there\n",
        )
        code, output, _ = await command(server, "list", "--json")
        of_call, of_mixer = [json.loads(line)["directions"] for line in output.splitlines()]
        assert (of_call, of_mixer) == ({tea: "recv"}, {call: "send"})
        await watching.event("stopped-speaking", **{"call-uri": call})
        assert (await command(server, "unjoin", call, "tea"))[0] == 0
        await watching.event("unjoined", **{"call-uri": call})
        assert (await command(server, "join", "tea", name))[0] == 0
        await watching.event("joined", **{"call-uri": call})
        code, output, _ = await command(server, "hangup", name, "--reason", "busy")
        assert code == 0
        assert output.endswith(f"{name} is hung up\n")
        assert (await bob.wait_for("ended"))["reason"] == "busy"
        await watching.event("unjoined", **{"call-uri": call})
        watching.process.send_signal(signal.SIGINT)
        assert await watching.end() == (0, "", "")
    await eventually(lambda: focus.service.calls() == 0)


@pytest.mark.interop
async def test_an_operator_plays_into_a_room_and_records_it(
    server: Prosody, focus: RunningFocus, caller: CallerFactory, tmp_path: Path
) -> None:
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("tea"))
    name = {"mixer": "tea", "uri": focus.mixer("tea").uri}
    async with (
        begun(server, "record", "tea", "--format", "flac", "--tracks", "--json") as recording,
        begun(server, "play", "tea", tone(tmp_path, 1000), "--times", "0", "--json") as playing,
    ):
        assert name.items() <= (await recording.event("recording")).items()
        async with asyncio.timeout(PATIENCE):
            while level(await alice.connection.ear.next(0.4), 1000) < -50:
                pass
        for process, reason in ((playing, "stop"), (recording, "stop")):
            process.process.send_signal(signal.SIGINT)
            complete = await process.event("complete", reason=reason)
            assert name.items() <= complete.items()
            assert await process.end() == (0, "", "")
    heard = np.concatenate([*read_audio(Path(unquote(urlparse(complete["recording"]).path)))])
    assert complete["duration"] == len(heard) // 48
    assert level(heard, 300) > -40
    ((name, track),) = [(one["jid"], one["recording"]) for one in complete["tracks"]]
    assert name == str(alice.client.jid.bare)
    alone = np.concatenate([*read_audio(Path(unquote(urlparse(track).path)))])
    assert level(alone, 300) > -40 > -60 > level(alone, 1000)


@pytest.mark.interop
async def test_what_is_said_and_asked_is_told(
    server: Prosody,
    focus: RunningFocus,
    rayo: RayoFactory,
    caller: CallerFactory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alice, controller = await caller("alice", 300), await rayo("controller", ready=None)
    await alice.call(focus.mixer("tea"))
    (tmp_path / "menu.grxml").write_text(MENU)
    report, grammar = Report(json=True), str(tmp_path / "menu.grxml")
    asking = asyncio.create_task(
        working.ask(controller, report, "tea", "Yes?", grammar=grammar, mode="any", wait=PATIENCE)
    )
    told = ""
    while "asking" not in told:
        await asyncio.sleep(0.01)
        told += capsys.readouterr().out
    await presses(alice, "2")
    assert await asking == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["event"], answer["mixer"], answer["reason"]) == ("complete", "tea", "match")
    assert (answer["meaning"], answer["input"], answer["confidence"]) == ("support", "2", 1)
    report = Report(json=False)
    assert await working.say(controller, report, "tea", "Yes.", voice="de", renderer="espeak") == 0
    assert capsys.readouterr().out.partition("  ")[2] == "done\n"
    assert await working.ask(controller, report, "tea", "Yes?", grammar="builtin:dtmf/date", mode="dtmf", wait=0) == 75
    assert capsys.readouterr().out.partition("  ")[2].splitlines()[-1].endswith("  no answer")
    with pytest.raises(ServiceError, match="there is no file /nowhere"):
        await working.play(controller, report, "tea", "/nowhere", 1)
    with pytest.raises(ServiceError, match="/nowhere: No such file or directory"):
        await working.ask(controller, report, "tea", "Yes?", grammar="/nowhere", mode="dtmf", wait=0)
    with pytest.raises(RayoError, match="there is no renderer 'parrot' here"):
        await working.say(controller, report, "tea", "Yes.", renderer="parrot")
    with pytest.raises(RayoError, match="there is no renderer 'parrot' here"):
        await working.ask(
            controller, report, "tea", "Yes?", grammar="builtin:dtmf/date", mode="dtmf", wait=0, renderer="parrot"
        )
    with pytest.raises(RayoError, match="item-not-found"):
        await working.record(controller, report, "coffee", "flac")


@pytest.mark.interop
async def test_a_moderator_commands_the_calls_of_the_room(
    server: Prosody, focus: RunningFocus, client: ClientFactory, caller: CallerFactory
) -> None:
    """In whom the configuration has no clients nor controllers: with a chat program in the room, and the command."""
    owner, alice = await client("owner"), await caller("alice", 300)
    account = {"FOCUS_RAYO_ACCOUNT": f"owner@{server.domain}"}
    owner.send(f"<presence to='{focus.room('tea')}/owner'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    await owner.expect("our entrance", lambda stanza: stanza.find(".//{*}status[@code='110']") is not None)
    await alice.call(focus.mixer("tea"))
    async with asyncio.timeout(PATIENCE):
        while (found := await command(server, "list", "--json", **account))[0] != 0:
            assert found[0] == 77  # the focus is not in the room yet
    call = json.loads(found[1].splitlines()[0])["call"]
    assert (await command(server, "join", call, "tea", "--direction", "recv", **account))[0] == 0
    assert (await command(server, "hangup", call, **account))[0] == 0
    await eventually(lambda: focus.service.calls() == 0)
    code, _, errors = await command(server, "watch", "tea", **account)
    assert code == 77
    assert "does not know us" in errors


@pytest.mark.interop
async def test_people_read_lines(server: Prosody, focus: RunningFocus, caller: CallerFactory) -> None:
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("tea"))
    async with begun(server, "watch", "tea") as watching:
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while len(lines) < 3:
                lines.append((await watching.process.stdout.readline()).decode()[10:].rstrip())
        name = str(alice.client.jid)
        assert lines == ["watching tea", f"{name} joined", f"{name} speaks"]
        await alice.hang_up()
        watching.process.send_signal(signal.SIGTERM)
        assert (await watching.end())[0] == 0


@pytest.mark.interop
@pytest.mark.parametrize(("mood", "code", "words"), [("busy", 75, "ended: busy"), ("decline", 75, "ended: rejected")])
async def test_a_call_that_is_not_taken_has_its_exit_code(
    server: Prosody, focus: RunningFocus, listening: PhoneFactory, mood: str, code: int, words: str
) -> None:
    await listening("bob", 440, mood)
    done = await command(server, "dial", f"xmpp:bob@{server.domain}")
    assert (done[0], done[2]) == (code, "")
    assert words in done[1]


@pytest.mark.interop
async def test_nobody_answers_in_time(server: Prosody, focus: RunningFocus, client: ClientFactory) -> None:
    nobody_answers = (await client("bob")).jid.bare
    done = await command(server, "dial", str(nobody_answers), "--ring", "0.2", "--follow")
    assert done[0] == 75
    assert "ended: no answer" in done[1]


@pytest.mark.interop
async def test_who_follows_a_call_hangs_it_up_with_ctrl_c(
    server: Prosody, focus: RunningFocus, listening: PhoneFactory
) -> None:
    bob = await listening("bob", 440)
    headers = ("--header", "x-skill=tea", "--from", f"tea@{server.focus}")
    async with begun(server, "dial", f"bob@{server.domain}", "--follow", "--json", *headers) as dialling:
        await dialling.event("answered")
        dialling.process.send_signal(signal.SIGINT)
        end = await dialling.event("end")
        assert end["reason"] == "hangup-command"
        assert await dialling.end() == (0, "", "")
    assert (await bob.wait_for("ended"))["reason"] == "success"


@pytest.mark.interop
async def test_what_is_refused_is_one_line_and_an_exit_code(
    server: Prosody, focus: RunningFocus, rayo: RayoFactory, listening: PhoneFactory
) -> None:
    await listening("bob", 440)
    juliet = await rayo("juliet", ready=False)
    call = await juliet.dial(f"bob@{server.domain}")
    await call.answered()
    other = {"FOCUS_RAYO_ACCOUNT": f"juliet@{server.domain}"}
    cases: list[tuple[tuple[str, ...], dict[str, str], int, str]] = [
        (("list",), {"FOCUS_RAYO_PASSWORD": "guess"}, 69, "refuses the login of controller@localhost: not-authorized"),
        (("list", "--service", "nowhere.localhost"), {}, 69, "there is no service at nowhere.localhost"),
        (("list", "--service", server.rooms), {}, 69, f"{server.rooms} is no Rayo service"),
        (
            ("list",),
            {"FOCUS_RAYO_ACCOUNT": f"mallory@{server.domain}"},
            77,
            "mallory@localhost is neither in [rayo] clients nor in controllers there",
        ),
        (("dial", "bob@localhost", "--from", f"tea@{server.focus}"), other, 77, "would not come to you"),
        (("hangup", call.uri), other, 77, "is not controlled by you (conflict)"),
        (("hangup", "milk"), {}, 76, "nothing lives at milk@focus.localhost (item-not-found)"),
        (
            ("dial", "bob@localhost", "--join=tea", "--media=direct"),
            {},
            76,
            "use media='bridge' (feature-not-implemented)",
        ),
        (("dial", "tel:+123"), {}, 76, "addresses cannot be called from here (feature-not-implemented)"),
        (("join", call.uri, "tea", "--media", "direct"), {}, 76, "is here already"),
        (("unjoin", call.uri, "tea"), {}, 76, "is not joined with tea (service-unavailable)"),
        (("join", "00000000-0000-0000-0000-000000000000", call.uri), {}, 76, "(item-not-found)"),
        (("watch", "tea@elsewhere"), {}, 64, "'tea@elsewhere' is no call or mixer of focus.localhost"),
        (("dial", "@"), {}, 64, "not a JID"),
        (("dial", "bob@localhost", "--from", "@"), {}, 64, "not a JID"),
        (("dial", "bob@localhost", "--join", "a b"), {}, 64, "not the local part of an address: 'a b'"),
        (("dial", f"xmpp:{'b' * 4000}@localhost"), {}, 64, "to: String should have at most 3200 characters"),
        (("dial", "bob@localhost", *["--join=tea"] * 17), {}, 64, "joins: Tuple should have at most 16 items"),
        (("watch", "a b"), {}, 64, "not the local part of an address: 'a b'"),
        (("join", "tea", "xmpp:tea%ff@focus.localhost"), {}, 64, "can't decode byte 0xff"),
        (("unjoin", "tea", "a b"), {}, 64, "not the local part of an address: 'a b'"),
        (("hangup", "a b"), {}, 64, "not the local part of an address: 'a b'"),
    ]
    turn = asyncio.Semaphore(4)  # each must be answered in ten seconds

    async def done_in_turn(*arguments: str, **environment: str) -> tuple[int, str, str]:
        async with turn:
            return await command(server, *arguments, **environment)

    all_done = await asyncio.gather(*(done_in_turn(*arguments, **who) for arguments, who, _, _ in cases))
    for (arguments, _, code, words), done in zip(cases, all_done, strict=True):
        assert (done[0], done[1]) == (code, ""), (arguments, done)
        assert words in done[2], arguments
        assert done[2].startswith("focus: ")
        assert done[2].count("\n") == 1, done[2]


@pytest.mark.interop
async def test_a_service_that_goes_ends_a_watch(server: Prosody) -> None:
    async with contextlib.AsyncExitStack() as closing:
        await closing.enter_async_context(serve(server, settings_for(server)))
        watching = await closing.enter_async_context(begun(server, "watch", "tea", "--json"))
        await watching.event("watching")
        server.kill()
        code, _, errors = await watching.end()
        assert code == 69
        assert "the session with the XMPP server was lost" in errors
        await server.wait()
        await server.start()


@pytest.mark.interop
async def test_the_account_may_be_in_a_file(server: Prosody, focus: RunningFocus, tmp_path: Path) -> None:
    """Options go before the environment, and that before the file."""
    host, port = server.c2s
    (tmp_path / "focus").mkdir()
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSWORD}\n")
    file = tmp_path / "focus" / "rayo.toml"
    file.write_text(
        f"account = 'controller@localhost'\npassword_file = '{secret}'\nserver = '{host}:{port}'\ninsecure = true\n"
    )
    nothing = {"FOCUS_RAYO_ACCOUNT": "", "FOCUS_RAYO_PASSWORD": "", "FOCUS_RAYO_SERVER": ""}
    done = await command(server, "list", **nothing, XDG_CONFIG_HOME=str(tmp_path))
    assert done == (0, "no calls\nno mixers\n", "")
    done = await command(server, "list", **nothing, FOCUS_RAYO_CONFIG=str(file))
    assert done[0] == 0
    done = await command(server, "list", "--account", "mallory@localhost", **nothing, FOCUS_RAYO_CONFIG=str(file))
    assert done[0] == 77
    done = await command(server, "list", "--password", "guess", **nothing, FOCUS_RAYO_CONFIG=str(file))
    assert done[0] == 69


ACCOUNT = ("--account", "a@localhost", "--password", "x")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is said but on the command line."""
    for name in ("ACCOUNT", "PASSWORD", "PASSWORD_FILE", "SERVICE", "SERVER", "CA_FILE", "INSECURE", "CONFIG"):
        monkeypatch.delenv(f"FOCUS_RAYO_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["list"], "--account is missing"),
        (["list", "--account", "@"], "--account: not a JID"),
        (["list", "--account", "localhost", "--password", "x"], "--account must be NAME@DOMAIN"),
        (
            ["list", "--account", "a@localhost"],
            "--password or --password-file is missing, for a@localhost; FOCUS_RAYO_P",
        ),
        (["list", "--account", "a@localhost", "--password-file", "/nowhere"], "--password-file /nowhere"),
        (["list", *ACCOUNT, "--service", "x@y"], "--service must be a domain"),
        (["list", *ACCOUNT, "--server", "here"], "--server must be HOST:PORT"),
        (["list", *ACCOUNT, "--server", "here:99999"], "--server must be HOST:PORT"),
        (["list", *ACCOUNT, "--log-level", "loud"], "--log-level"),
        (["list", *ACCOUNT, "--timeout", "0"], "--timeout"),
        (["list", "--account", "a@b@c", "--password", "x"], "--account: not the local part"),
        (["list", *ACCOUNT, "--timeout", "nan"], "--timeout"),
        (["list", *ACCOUNT, "--timeout", "inf"], "--timeout"),
        (["dial", *ACCOUNT], "TO"),
        (["dial", "bob@localhost", *ACCOUNT, "--ring", "inf"], "--ring"),
        (["dial", "bob@localhost", *ACCOUNT, "--ring", "nan"], "--ring"),
        (["dial", "bob@localhost", *ACCOUNT, "--ring", "1e12"], "--ring"),
        (["dial", "bob@localhost", *ACCOUNT, "--header", "x=" + "a" * 2000], "--header: value: String should have"),
        (["hangup", "x", *ACCOUNT, "--reason", "a" * 2000], "--reason: value: String should have"),
        (["dial", "bob@localhost", *ACCOUNT, "--header", "x"], "--header must be NAME=VALUE"),
        (["dial", "bob@localhost", *ACCOUNT, "--direction", "up"], "--direction"),
        (["join", "x", *ACCOUNT], "B"),
        (["join", "x", "y", *ACCOUNT, "--media", "gold"], "--media"),
        (["hangup", *ACCOUNT], "CALL"),
        (["watch", *ACCOUNT], "ROOM"),
        (["say", "tea", *ACCOUNT], "TEXT"),
        (["say", "tea", "", *ACCOUNT], "TEXT is empty"),
        (["ask", "tea", " ", *ACCOUNT], "TEXT is empty"),
        (["ask", "tea", "Well?", *ACCOUNT, "--mode", "voice"], "--mode voice needs a --grammar of words"),
        (["play", "tea", "file:///x", *ACCOUNT, "--times", "-1"], "--times"),
        (["ask", "tea", "Well?", *ACCOUNT, "--mode", "cpa"], "--mode"),
        (["ask", "tea", "Well?", *ACCOUNT, "--wait", "nan"], "--wait"),
        (["record", "tea", *ACCOUNT, "--seconds", "0"], "--seconds"),
        (["dance"], "No such command 'dance' (see focus rayo --help)"),
        (["join", "x", "y", *ACCOUNT, "--media", "gold"], "(see focus rayo join --help)"),
    ],
)
def test_wrong_usage_is_told(capfd: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    assert main(["rayo", *arguments]) == 64
    told = capfd.readouterr().err
    assert complaint in told
    assert "Traceback" not in told


@pytest.mark.usefixtures("nobody")
def test_a_password_file_that_is_given_goes_before_a_password_of_the_environment(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is read, which shows that it counts."""
    monkeypatch.setenv("FOCUS_RAYO_PASSWORD", "x")
    server = ("--account", "a@localhost", "--server", "here")
    assert main(["rayo", "list", *server, "--password-file", str(tmp_path / "none")]) == 64
    assert "--password-file" in capfd.readouterr().err
    for others in (("--password", "x", "--password-file", str(tmp_path / "none")), ()):
        monkeypatch.setenv("FOCUS_RAYO_PASSWORD_FILE", str(tmp_path / "none"))
        assert main(["rayo", "list", *server, *others]) == 64
        assert "--server must be HOST:PORT" in capfd.readouterr().err


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("account = 5", "account must be a text"),
        ("acount = 'a@b'", "acount is unknown"),
        ("account", "Expected"),
        (None, "there is no such file"),
    ],
)
def test_a_wrong_file_is_told_with_its_place(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, text: str | None, complaint: str
) -> None:
    file = tmp_path / "my.toml"
    if text is not None:
        file.write_text(text)
    assert main(["rayo", "list", "--config", str(file)]) == 78
    errors = capfd.readouterr().err
    assert errors.startswith(f"{file}: ")
    assert complaint in errors


def test_a_server_that_is_not_there_is_one_line(
    capfd: pytest.CaptureFixture[str], free_tcp_port: Callable[[], int]
) -> None:
    port = free_tcp_port()
    assert main(["rayo", "list", *ACCOUNT, "--server", f"127.0.0.1:{port}"]) == 69
    complaint = capfd.readouterr().err
    assert complaint.count("\n") == 1
    assert f"127.0.0.1 port {port} cannot be reached" in complaint


@pytest.mark.parametrize(
    "command", ["list", "dial", "join", "unjoin", "hangup", "watch", "say", "play", "ask", "record"]
)
def test_help_is_complete(capfd: pytest.CaptureFixture[str], command: str) -> None:
    assert main(["rayo", command, "--help"]) == 0
    text = " ".join(capfd.readouterr().out.split())
    for code in (64, 69, 75, 76, 77, 78):
        assert f" {code} " in text
    for option in ("--account", "--password", "--password-file", "--service", "--server", "--config", "--json"):
        assert option in text
    assert main(["rayo", "--help"]) == 0
    assert f" {command} " in capfd.readouterr().out


def test_what_the_command_line_takes_is_what_the_client_takes() -> None:
    """It has numbers of its own so that its help does without the client."""
    assert cli.LONGEST == LONGEST_RINGING
    assert inspect.signature(cli._session).parameters["timeout"].default == COMMAND_TIMEOUT
