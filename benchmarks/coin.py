"""Conference documents (Coin) under load: many participants, of whom each is told of every change."""

import asyncio
import json
import re
import statistics
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.generator import DISTURBED
from benchmarks.result import Benchmark, Cell, Column, Result
from benchmarks.workbench import CHECKOUT, Workbench, busy_seconds, cores, on_core, percentile

PATIENCE = 60.0  # s
COALESCE = 0.2  # s, the default of the configuration
OPENING = (
    b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' "
    b"from='focus.example.org' id='benchmark'>"
)
_ATTRIBUTE = re.compile(rb' (id|from|to)="([^"]*)"')


@dataclass(frozen=True)
class Load:
    """So many participants, of whom somebody changes so many times a second."""

    participants: int
    changes: float


LOADS = (Load(10, 20), Load(50, 20), Load(200, 1), Load(200, 20))
QUICK = (Load(5, 20),)


@dataclass
class Answerer:
    """The XMPP server and the clients of all participants in one: every document is acknowledged at once."""

    documents: int = 0
    partial: int = 0
    size: int = 0
    _rest: bytes = field(default=b"", repr=False)

    def forget(self) -> None:
        self.documents = self.partial = self.size = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        writer.write(OPENING)
        await reader.readuntil(b"</handshake>")
        writer.write(b"<handshake/>")
        with suppress(ConnectionError):  # it ends without a goodbye
            while data := await reader.read(2**20):
                writer.write(b"".join(self._answers(data)))
                await writer.drain()
        writer.close()

    def _answers(self, data: bytes) -> list[bytes]:
        *stanzas, self._rest = (self._rest + data).split(b"</iq>")
        answers = []
        for stanza in stanzas:
            self.documents += 1
            self.size += len(stanza) + len(b"</iq>")
            self.partial += b' state="partial"' in stanza[: stanza.index(b">", stanza.index(b">") + 1)]
            said = dict(_ATTRIBUTE.findall(stanza[: stanza.index(b">")]))
            answers.append(b'<iq type="result" id="%s" from="%s" to="%s"/>' % (said[b"id"], said[b"to"], said[b"from"]))
        return answers


async def measure(load: Load, *, warm: float, seconds: float) -> dict[str, Any]:
    """One run; what the server and the answerer have counted."""
    answerer = Answerer()
    server = await asyncio.start_server(answerer.serve, "127.0.0.1", 0, limit=2**24)
    options = {
        "port": server.sockets[0].getsockname()[1],
        "participants": load.participants,
        "changes": load.changes,
        "coalesce": COALESCE,
        "warm": warm,
        "seconds": seconds,
        "cpu": cores()[0],
    }
    command = [
        "-m",
        "benchmarks.coin_server",
        *(part for key, value in options.items() for part in (f"--{key}", value)),
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *map(str, command), cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE + warm + seconds):
            if (await process.stdout.readline()).strip() != b"measure":
                raise RuntimeError(f"the server does not start: {(await process.communicate())[1].decode()[-2000:]}")
            answerer.forget()
            busy = busy_seconds(cores()[0])
            figures: dict[str, Any] = json.loads(await process.stdout.readline())
            others = (busy_seconds(cores()[0]) - busy - figures["cpu"]) / figures["seconds"]
            figures |= {
                "documents": answerer.documents,
                "partial": answerer.partial,
                "bytes": answerer.size,
                "others": max(0.0, others),
            }
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        server.close()
        await server.wait_closed()
    return figures


def row(load: Load, runs: Sequence[dict[str, Any]]) -> list[Cell]:
    def middle(of: str) -> float:
        return float(statistics.median(run[of] / run["seconds"] for run in runs))

    late = [each for run in runs for each in run["late"]]
    documents = sum(run["documents"] for run in runs)
    others = max(run["others"] for run in runs)
    return [
        load.participants,
        load.changes,
        middle("documents"),
        sum(run["partial"] for run in runs) / documents if documents else None,
        sum(run["bytes"] for run in runs) / documents if documents else None,
        middle("bytes") / 1024,
        middle("cpu"),
        statistics.median(run["cpu"] / max(1, run["documents"]) for run in runs) * 1e6,
        percentile(late, 0.5),
        percentile(late, 0.95),
        max(late, default=None),
        f"{others:.0%}{' (!)' if others > DISTURBED else ''}",
    ]


def _coin(bench: Workbench) -> Result:
    rows, raw = [], []
    with on_core(cores()[1]):
        for load in QUICK if bench.quick else LOADS:
            runs = []
            for n in range(bench.runs):
                bench.say(f"coin: {load.participants} participants, {load.changes:g} changes a second, run {n + 1}")
                runs.append(
                    asyncio.run(measure(load, warm=0.5 if bench.quick else 3, seconds=1 if bench.quick else 10))
                )
            rows.append(row(load, runs))
            raw.append(runs)
    return Result("coin", "Conference documents", COLUMNS, rows, [LEGEND], raw)


COLUMNS = (
    Column("participants"),
    Column("changes/s", "g"),
    Column("documents/s", ".0f"),
    Column("partial", ".2f"),
    Column("bytes", ".0f"),
    Column("KiB/s", ".0f"),
    Column("cores", ".3f"),
    Column("µs", ".0f"),
    Column("late p50", ".1f"),
    Column("p95", ".1f"),
    Column("max", ".0f"),
    Column("others"),
)
LEGEND = (
    "documents: those that were sent to all participants, and acknowledged; partial: the share of them that told a "
    "change only; bytes: of one with its stanza. cores, µs: CPU time of the server in all, and for a document. late: "
    "by how many ms the event loop comes back too late from 10 ms of sleep. others: what something else had of the "
    f"server's core, at most; over {DISTURBED:.0%} is marked (!). Else medians over the runs."
)
COIN = Benchmark("coin", "conference documents to many participants", _coin)
