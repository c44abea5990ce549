"""Programs as processes of their own, of which not each imports everything anew.

One process imports, once, what most of them need, and forks for each program (`multiprocessing`'s fork server): the
same code, with standard streams, an environment, signals and an exit code of its own, for a tenth of the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from functools import partial
from multiprocessing.connection import Connection

#: What the fork server imports: whatever the commands import when they are run.
IMPORTED = (
    "focus.service.demo",
    "focus.service.fax.cli",
    "focus.service.fax.doing",
    "focus.service.grammar",
    "focus.service.phone.desk",
    "focus.service.phone_cli",
    "focus.service.rayo.working",
    "tests.programs",
    "typer.rich_utils",
)

#: To stand before code that is to be run as by `python -u -W error`.
AT_ONCE_AND_STRICT = """\
import sys, warnings
sys.stdout.reconfigure(line_buffering=True)
warnings.simplefilter("error")
"""

#: The command line.
FOCUS = "import sys\nfrom focus.service.cli import main\nsys.exit(main())"

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload([*IMPORTED])
_lock, _is_waiting = threading.Lock(), True


class Program:
    """A program that runs, as `asyncio.subprocess.Process` has it; nothing is to be read on its standard input."""

    def __init__(self, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def start(self, code: str, arguments: tuple[str, ...], environment: Mapping[str, str], *streams: int) -> None:
        """Begin; `streams` are its standard output and standard error."""
        ends = [Connection(stream, readable=False) for stream in streams]
        self._process = _forking.Process(target=_run, args=(code, arguments, dict(environment), *ends))
        await asyncio.to_thread(_wait_for_the_server)
        self._process.start()  # in this thread, as all that is done with it
        for end in ends:
            end.close()
        asyncio.get_running_loop().add_reader(self._process.sentinel, self._end)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """All that it still says on standard output and standard error."""
        output, errors, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())
        return output, errors

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self.returncode = self._process.exitcode
        self._ended.set()


@contextlib.asynccontextmanager
async def program(code: str, *arguments: str, environment: Mapping[str, str]) -> AsyncIterator[Program]:
    """`python -c CODE ARGUMENTS`; killed at the end if it has not ended by itself."""
    loop = asyncio.get_running_loop()
    readers, ends = [], []
    async with contextlib.AsyncExitStack() as closing:
        for _ in range(2):
            readable, writable = os.pipe()
            ends.append(writable)
            reader = asyncio.StreamReader()
            transport, _ = await loop.connect_read_pipe(
                partial(asyncio.StreamReaderProtocol, reader), os.fdopen(readable, "rb", 0)
            )
            closing.callback(transport.close)
            readers.append(reader)
        running = Program(*readers)
        await running.start(code, arguments, environment, *ends)
        try:
            yield running
        finally:
            if running.returncode is None:
                running.kill()
            await running.communicate()


def _wait_for_the_server() -> None:
    """Until it has imported all that."""
    global _is_waiting
    with _lock:
        if _is_waiting:
            first = _forking.Process(target=_nothing)
            first.start()
            first.join()
            _is_waiting = False


def _nothing() -> None: ...


def focus(*arguments: str, environment: Mapping[str, str]) -> contextlib.AbstractAsyncContextManager[Program]:
    """The command `focus`."""
    return program(FOCUS, *arguments, environment=environment)


def _run(
    code: str, arguments: tuple[str, ...], environment: dict[str, str], output: Connection, errors: Connection
) -> None:
    """What is done in the process."""
    for number, end in enumerate((output, errors), start=1):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin = open(os.devnull)  # noqa: SIM115  # for as long as there is the process
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # who runs the tests may ignore it, as what is in the background
    sys.argv = ["-c", *arguments]
    os.environ.clear()
    os.environ.update(environment)
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
