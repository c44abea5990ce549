"""What docs/rayo.md tells a newcomer to type is typed, line by line, and does what is said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import programs
from tests.client.test_rayo_examples import DOCUMENT, PROGRAMS, Program
from tests.interop.running import PATIENCE

pytestmark = pytest.mark.interop

#: In place of those that the text relies upon.
FREE_PORTS = ("--http", "127.0.0.1:0", "--c2s", "127.0.0.1:0", "--media", "127.0.0.1:0")


@dataclass
class Terminal:
    """Takes lines; `values` replaces what a reader would."""

    home: Path
    values: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def runs(self, line: str) -> AsyncIterator[programs.Program]:
        words = self._words(line)
        match words:
            case ["./dev", "run", *more]:
                code, words = programs.FOCUS, ["demo", *more, *FREE_PORTS]
            case ["focus", *more]:
                code, words = programs.FOCUS, more
            case ["python", program, *more]:
                code, words = programs.AT_ONCE_AND_STRICT + PROGRAMS[program], more
            case _:
                raise AssertionError(f"nobody can run {line!r}")
        environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(self.home), **self.environment}
        async with programs.program(code, *words, environment=environment) as process:
            try:
                yield process
            finally:
                process.terminate()
                await asyncio.wait_for(process.communicate(), PATIENCE)

    def _words(self, line: str) -> list[str]:
        for old, new in self.values.items():
            line = line.replace(old, new)
        return shlex.split(line, comments=True)

    async def types(self, line: str) -> str:
        """What is said until it has ended, which has to be well."""
        if line.startswith("export "):
            self.environment |= dict(word.split("=", 1) for word in self._words(line)[1:])
            return ""
        if line == ". .venv/bin/activate":
            return ""
        async with self.runs(line) as process:
            output, errors = await asyncio.wait_for(process.communicate(), 2 * PATIENCE)
        assert process.returncode == 0, f"{line}: {errors.decode()}"
        return output.decode()


def blocks() -> list[list[str]]:
    """The lines to type, those that belong together together."""
    text = DOCUMENT.read_text().partition("## Try it\n")[2].partition("\n## ")[0].replace("\\\n", " ")
    found = [re.findall("^    +(.+)$", part, re.MULTILINE) for part in re.split(r"\n(?=\S)", text)]
    return [lines for lines in found if lines]


async def test_a_newcomer_can_type_what_is_written(tmp_path: Path) -> None:
    first, bobs, ours, program_and_anns = blocks()
    (program, *anns) = program_and_anns
    async with contextlib.AsyncExitStack() as all_of_it:
        demo = await all_of_it.enter_async_context(Terminal(tmp_path, {}).runs(first[0]))
        async with asyncio.timeout(60):
            facts = json.loads(await demo.stdout.readline())
        values = {"127.0.0.1:5222": "{}:{}".format(*facts["c2s"]), "--seconds 10": "--seconds 1"}

        bob = Terminal(tmp_path, values)
        for line in bobs[:-1]:
            await bob.types(line)
        listening = await all_of_it.enter_async_context(bob.runs(bobs[-1]))
        async with asyncio.timeout(PATIENCE):
            await listening.stdout.readline()  # he is there

        us = Terminal(tmp_path, values)
        *settings, dial, list_, hangup = ours
        for line in settings:
            await us.types(line)
        assert "answered" in await us.types(dial)
        listed = (await us.types(list_)).splitlines()
        call, peer, state, joined = listed[1].split()
        assert (peer.partition("/")[0], state, joined) == ("bob@localhost", "answered", "tea")
        us.values["CALL"] = call
        assert "is hung up" in await us.types(hangup)

        desk = Program(await all_of_it.enter_async_context(us.runs(program)))
        await desk.says("ready as me@localhost")
        ann = Terminal(tmp_path, values)
        said = [await ann.types(line) for line in anns]
        assert "connected" in said[-1]
        assert (await desk.says("connected")).startswith("connected xmpp:ann@localhost")
