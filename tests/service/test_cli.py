"""The command line, run as a command."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from focus import __version__
from focus.service.cli import main
from tests import programs


async def focus(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    async with programs.focus(*arguments, environment=os.environ) as process:
        output, errors = await asyncio.wait_for(process.communicate(), 60)
        return await process.wait(), output.decode(), errors.decode()


def test_it_has_a_version() -> None:
    command = [sys.executable, "-m", "focus.service.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"focus {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("demo", "--nonsense"), "No such option: --nonsense"),
        (("serve",), "Missing option '--config'"),
        (("demo", "--http", "8080"), "--http must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, not '8080'"),
        (("demo", "--domain", "a b"), "--domain must be a domain, such as focus.example.org, not 'a b'"),
        (("demo", "--account", "alice"), "--account must be NAME@localhost:PASSWORD, not 'alice'"),
        (("demo", "--account", "a@example.org:b"), "--account must be NAME@localhost:PASSWORD, not 'a@example.org:b'"),
        (("demo", "--admin", "a@b/c"), "--admin must be a JID without a resource"),
        (("demo", "--admin", "me"), "--admin needs an account, such as me@localhost, not 'me'"),
        (("demo", "--route", "desk=me"), "--route needs an account, such as me@localhost, not 'me'"),
        (("demo", "--certificate", "a.crt"), "--certificate and --key belong together"),
        (("demo", "--log-level", "loud"), "Invalid value for '--log-level'"),
    ],
)
async def test_wrong_usage_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    code, output, errors = await focus(*arguments)
    assert (code, output) == (64, "")
    assert errors.startswith(f"focus: {words}")
    assert errors.count("\n") == 1


async def test_no_command_is_help() -> None:
    code, output, errors = await focus()
    assert (code, errors) == (64, "")
    for command in ("serve", "demo", "config", "phone", "rayo"):
        assert command in output


async def test_the_example_checks_out(tmp_path: Path) -> None:
    code, example, _ = await focus("config", "example")
    assert code == 0
    file = tmp_path / "focus.toml"
    file.write_text(example)
    assert await focus("config", "check", str(file)) == (0, f"{file}: ok\n", "")


async def test_the_check_warns_of_a_variable_that_nothing_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOCUS_MEDIA_PORT", "10000")
    file = tmp_path / "focus.toml"
    file.write_text('[xmpp]\njid = "focus.example.org"\nmuc = "rooms.example.org"\nsecret = "s3cret"\n')
    warning = "warning: environment: FOCUS_MEDIA_PORT: is not read; is it FOCUS_MEDIA__PORT?\n"
    assert await focus("config", "check", str(file)) == (0, f"{file}: ok\n", warning)


@pytest.mark.parametrize("command", [("config", "check"), ("serve", "--config"), ("config", "prosody", "--config")])
async def test_a_bad_configuration_is_a_line_for_each_fault(tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "focus.toml"
    file.write_text("[xmpp]\njid = 'focus.example.org'\nmuc = 'x y'\nsecret = 's'\n[media]\nport = 70000\n")
    assert await focus(*command, str(file)) == (
        78,
        "",
        f"{file}: [xmpp] muc: must be a domain, such as focus.example.org (got 'x y')\n"
        f"{file}: [media] port: must be at most 65535 (got 70000)\n",
    )


@pytest.mark.parametrize("command", [["config", "check"], ["config", "prosody", "--config"], ["serve", "--config"]])
def test_whether_a_file_can_be_read_is_found_by_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    assert main([*command, str(tmp_path)]) == 78
    assert capsys.readouterr().err == f"{tmp_path}: cannot be read: Is a directory\n"


@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
async def test_a_snippet_has_the_names_and_the_secret_of_the_configuration(tmp_path: Path, server: str) -> None:
    file = tmp_path / "focus.toml"
    file.write_text("[xmpp]\njid = 'talk.example.net'\nmuc = 'halls.example.net'\nsecret = 'mellon'\nport = 5999\n")
    code, snippet, _ = await focus("config", server, "--config", str(file))
    assert code == 0
    for word in ("talk.example.net", "halls.example.net", "guest.example.net", "mellon", "5999"):
        assert word in snippet
    assert "example.org" not in snippet
    assert (await focus("config", server))[0] == 0
