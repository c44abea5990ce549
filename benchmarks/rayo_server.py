"""Prosody and the whole service beside it, as processes of their own, and clocks of what they do."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from benchmarks.result import Unavailable
from benchmarks.workbench import CHECKOUT, Workbench, busy_seconds, cores, cpu_seconds, end_process, on_core
from focus.service.prosody import Prosody
from focus.service.ready import ServiceError

START = 60.0  # s
PASSWORD = "benchmark"
#: More than any of this needs, so that nothing is refused.
LIMITS = 20_000


@dataclass
class Pair:
    """Prosody and focus, serving, the latter on a core. desk: the account (name, password) whose clients control the
    calls.
    """

    prosody: Prosody
    focus: int
    core: int
    desk: tuple[str, str]

    @property
    def service(self) -> str:
        return self.prosody.focus


@dataclass(frozen=True)
class Taken:
    """What something took: wall time, CPU time of the focus' main thread and of Prosody, all in seconds, and the share
    of the focus' core that others had meanwhile.
    """

    seconds: float
    focus: float
    prosody: float
    others: float


class Stopwatch:
    """Runs from when it is made; `taken` may be asked again."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._began = self._now()

    def taken(self) -> Taken:
        seconds, focus, prosody, process, busy = (
            now - then for now, then in zip(self._now(), self._began, strict=True)
        )
        return Taken(seconds, focus, prosody, max(0.0, busy - process) / seconds)

    def _now(self) -> tuple[float, float, float, float, float]:
        pair = self._pair
        assert pair.prosody.pid is not None
        return (
            time.monotonic(),
            main_thread_seconds(pair.focus),
            cpu_seconds(pair.prosody.pid),
            cpu_seconds(pair.focus),
            busy_seconds(pair.core),
        )


def main_thread_seconds(pid: int) -> float:
    """CPU time of a process' first thread, in which the focus does all that is no media."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


@dataclass(frozen=True)
class Cores:
    """Whose core is which."""

    focus: int
    prosody: int
    load: int

    @classmethod
    def of_this_thread(cls) -> "Cores":
        """Out of those that this thread may use now: the focus has one for itself, as has Prosody where there are
        three.
        """
        first, last = cores()
        allowed = sorted(os.sched_getaffinity(0))
        return cls(first, allowed[1] if len(allowed) > 2 else last, last)


@asynccontextmanager
async def prosody_and_focus(bench: Workbench, cores: Cores, **tables: Mapping[str, object]) -> AsyncIterator[Pair]:
    """Both, until the end of the block; the focus with these tables of its configuration besides. Unavailable without
    Prosody.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # Prosody has a socket for each client
    prosody = Prosody(bench.directory / "prosody")
    account = f"desk@{prosody.domain}"
    try:
        with on_core(cores.prosody):
            await prosody.add_user(account, PASSWORD)
            await prosody.start()
    except ServiceError as error:
        raise Unavailable(error.message) from None
    try:
        with _focus(bench, prosody, cores.focus, tables) as process:
            await _ready(process, bench.directory / "focus.log")
            yield Pair(prosody, process.pid, cores.focus, ("desk", PASSWORD))
            if process.poll() is not None:
                raise RuntimeError("the focus has ended while it was measured")
    finally:
        await prosody.stop()


@contextmanager
def _focus(
    bench: Workbench, prosody: Prosody, core: int, tables: Mapping[str, Mapping[str, object]]
) -> "Iterator[subprocess.Popen[bytes]]":
    """`focus serve`, as it is installed, with the configuration of the run."""
    file = bench.directory / "focus.toml"
    file.write_text(configuration(prosody, tables))
    main = "import sys; from focus.service.cli import main; sys.exit(main())"
    with on_core(core), (bench.directory / "focus.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", main, "serve", "--config", str(file)],
            stdout=log,
            stderr=log,
            cwd=CHECKOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end_process(process)


async def _ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it says so in its log."""
    async with asyncio.timeout(START):
        while "ready:" not in (said := _said(log)):
            if process.poll() is not None:
                raise RuntimeError(f"the focus does not start: {said[-2000:]}")
            await asyncio.sleep(0.05)


def _said(log: Path) -> str:
    return log.read_text(errors="replace")


def configuration(prosody: Prosody, more: Mapping[str, Mapping[str, object]] = MappingProxyType({})) -> str:
    """The defaults, but for these tables, addresses, limits, and who may do what: anybody anonymous and the desk are
    Rayo clients; calls to `desk-…` are offered to the anonymous ones.
    """
    host, port = prosody.component
    overall = ("calls", "mixers", "joins", "registrations", "events", "calls_of_caller")
    of_client = ("calls_of_client", "mixers_of_client", "joins_of_client", "registrations_of_client")
    tables: dict[str, Mapping[str, object]] = {
        "xmpp": {
            "jid": prosody.focus, "secret": prosody.secret, "host": host, "port": port, "muc": prosody.rooms,
        },
        "media": {"addresses": ["127.0.0.1"], "port": 0},
        "http": {"enabled": False},
        "metrics": {"enabled": False},
        "rayo": {"clients": [prosody.guests, f"desk@{prosody.domain}"]},
        "limits": dict.fromkeys((*overall, *of_client), LIMITS) | {"load": 1},
        **more,
    }  # fmt: skip
    lines = []
    for table, values in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    lines += ["[[routes]]", 'match = "desk-*"', f"clients = {json.dumps([prosody.guests])}", "timeout = 300"]
    return "\n".join(lines) + "\n"
