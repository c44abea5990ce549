"""Many components at the same time: what they cost beside the calls they work on, and how late the ticks are."""

import asyncio
import statistics
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import cycle
from xml.etree import ElementTree as ET

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.generator import DISTURBED
from benchmarks.rayo_phones import Phones
from benchmarks.rayo_server import Cores, Pair, Stopwatch, prosody_and_focus
from benchmarks.result import Benchmark, Cell, Column, Result
from benchmarks.workbench import RATE, Workbench, cpu_seconds, on_core, sound
from benchmarks.xmpp_client import PATIENCE, PRESENCE, Client
from focus.media.files import WavWriter
from focus.service.prosody import free_port

RAYO, EXT = "urn:xmpp:rayo:1", "urn:xmpp:rayo:ext:1"
CAPS = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:xmpp:rayo:client:1' ver='x'/>"
DESKS = 5
CALLS = 100
#: Of the callers every third speaks, and is given so many seconds of sound at once.
SPEAKS, PIECE = 3, 4

OUTPUT = "<output xmlns='urn:xmpp:rayo:output:1' repeat-times='0'><document url='{sound}'/></output>"
INPUT = "<input xmlns='urn:xmpp:rayo:input:1' mode='dtmf' terminator='#'><grammar url='builtin:dtmf/digits'/></input>"
RECORD = "<record xmlns='urn:xmpp:rayo:record:1' format='{format}'/>"
KINDS = {
    "the calls alone": (),
    "outputs of a sound file": (OUTPUT,),
    "inputs of keys, one a second": (INPUT,),
    "recordings, wav": (RECORD.replace("{format}", "wav"),),
    "recordings, ogg": (RECORD.replace("{format}", "ogg"),),
    "an output, an input and a recording (wav) each": (OUTPUT, INPUT, RECORD.replace("{format}", "wav")),
}


@dataclass(frozen=True)
class Figure:
    """What so many components took in so many seconds. cores, main: CPU time of the focus' process, and of its main
    thread, as a share of a core; load, complexity: in the end, the share of its time in which the plane's thread was at
    work or waited for a core, and Opus' by that; late: of the times that the plane woke up for a tick the share that
    was within 1, 2, 5, 10 and 20 ms; starts: ms from the command to its answer.
    """

    what: str
    components: int
    seconds: float
    cores: float
    main: float
    load: float
    complexity: float
    others: float
    missed: int
    within: dict[str, float]
    starts: list[float]
    ended: dict[str, int]


class Scenario:
    """Calls that stay, and on them one kind of component after the other."""

    def __init__(self, bench: Workbench, pair: Pair, metrics: str, *, calls: int, seconds: float) -> None:
        self._bench = bench
        self._pair = pair
        self._metrics = metrics
        self._number = calls
        self._seconds = seconds
        self._sound = bench.directory / "sound.wav"
        self._calls: list[tuple[Client, str]] = []
        self._completed: Counter[str] = Counter()
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> list[Figure]:
        with WavWriter(self._sound) as file:
            file.write(sound("talk0"))
        server, guests = self._pair.prosody.c2s, self._pair.prosody.guests
        async with (
            self._desks() as desks,
            Phones.several(server, guests, min(self._number, 50), calls=self._number) as phones,
        ):
            to = cycle(phones.addresses)
            for n in range(self._number):
                desk = desks[n % DESKS]
                result = await desk.ask(self._pair.service, "set", f"<dial xmlns='{RAYO}' to='xmpp:{next(to)}'/>")
                self._calls.append((desk, result[0].get("uri", "").removeprefix("xmpp:")))
            async with asyncio.timeout(PATIENCE):
                await phones.until_connected(self._number)
            speech = asyncio.create_task(_speak(phones))
            try:
                return [await self._measure(phones, what, commands) for what, commands in KINDS.items()]
            finally:
                speech.cancel()
                await asyncio.gather(speech, return_exceptions=True)

    async def _measure(self, phones: Phones, what: str, commands: Sequence[str]) -> Figure:
        number = len(commands) * self._number
        asked = time.monotonic()
        self._bench.say(f"components: {number} components, {what}")
        self._completed.clear()
        starts: list[float] = []
        started: list[tuple[Client, str, str]] = []
        for desk, call in self._calls:
            for command in commands:
                began = time.monotonic()
                filled = command.replace("{sound}", self._sound.as_uri())
                result = await desk.ask(call, "set", filled)
                starts.append((time.monotonic() - began) * 1e3)
                started.append((desk, result[0].get("uri", "").removeprefix("xmpp:"), command))
        self._bench.say(f"components: at work after {time.monotonic() - asked:.1f} s")
        await asyncio.sleep(1 if not self._bench.quick else 0)
        before, clock, cpu = await self._figures(), Stopwatch(self._pair), cpu_seconds(self._pair.focus)
        await self._press(phones, INPUT in commands)
        taken, cpu = clock.taken(), cpu_seconds(self._pair.focus) - cpu
        after = await self._figures()
        stopped = time.monotonic()
        for leg in phones.legs if INPUT in commands else ():
            leg.press("#")
        for desk, component, command in started:
            if command != INPUT:
                await desk.ask(component, "set", f"<stop xmlns='{EXT}'/>")
        async with self._changed, asyncio.timeout(PATIENCE):
            await self._changed.wait_for(lambda: self._completed.total() == number)
        self._bench.say(f"components: ended after {time.monotonic() - stopped:.1f} s")
        woken = after["late_count"] - before["late_count"]
        return Figure(
            what=what,
            components=number,
            seconds=taken.seconds,
            cores=cpu / taken.seconds,
            main=taken.focus / taken.seconds,
            load=after["load"],
            complexity=after["complexity"],
            others=taken.others,
            missed=round(after["missed"] - before["missed"]),
            within={name: (after[name] - before[name]) / woken for name in after if name.startswith("0.")},
            starts=starts,
            ended=dict(self._completed),
        )

    async def _press(self, phones: Phones, keys: bool) -> None:
        """Let the time go by, in which every caller presses a key each second."""
        end = time.monotonic() + self._seconds
        while (left := end - time.monotonic()) > 0:
            for leg in phones.legs if keys else ():
                leg.press("5")
            await asyncio.sleep(min(1.0, left))

    async def _figures(self) -> dict[str, float]:
        def read() -> str:
            with urllib.request.urlopen(self._metrics, timeout=PATIENCE) as answer:
                return str(answer.read(), "utf-8")

        figures = {}
        for family in text_string_to_metric_families(await asyncio.to_thread(read)):
            for sample in family.samples:
                if sample.name == "focus_plane_late_seconds_bucket":
                    bound = sample.labels["le"]
                    figures["late_count" if bound == "+Inf" else bound] = sample.value
                elif sample.name in GAUGES:
                    figures[GAUGES[sample.name]] = sample.value
        return figures

    @asynccontextmanager
    async def _desks(self) -> AsyncIterator[list[Client]]:
        pair, made = self._pair, []
        try:
            for n in range(DESKS):
                desk = await Client.connect(
                    pair.prosody.c2s, pair.prosody.domain, account=pair.desk, resource=f"desk{n}", handler=self._take
                )
                made.append(desk)
                desk.send(f"<presence to='{pair.service}'>{CAPS}<show>chat</show></presence>")
            yield made
        finally:
            for desk in made:
                await desk.close()

    def _take(self, stanza: ET.Element) -> str | None:
        if stanza.tag == PRESENCE and (complete := stanza.find(f"{{{EXT}}}complete")) is not None:
            self._completed[complete[0].tag.rpartition("}")[2]] += 1
            task = asyncio.get_running_loop().create_task(self._tell())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return None

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _speak(phones: Phones) -> None:
    """Every third caller, each from another place of the text on."""
    speech = sound("talk1")
    at = [n * RATE for n in range(len(phones.legs[::SPEAKS]))]
    while True:
        for n, leg in enumerate(phones.legs[::SPEAKS]):
            begin = at[n] % (len(speech) - PIECE * RATE)
            if leg.play_pending() < RATE:
                at[n] += leg.play(speech[begin : begin + PIECE * RATE])
        await asyncio.sleep(0.5)


async def _run(bench: Workbench, cores: Cores, *, calls: int, seconds: float) -> list[Figure]:
    port = free_port()
    folder = bench.directory / "recordings"
    folder.mkdir(exist_ok=True)
    tables: dict[str, Mapping[str, object]] = {
        "metrics": {"enabled": True, "listen": f"127.0.0.1:{port}"},
        "fetch": {"folders": [str(bench.directory)]},
        "recordings": {"folder": str(folder)},
    }
    async with prosody_and_focus(bench, cores, **tables) as pair:
        scenario = Scenario(bench, pair, f"http://127.0.0.1:{port}/metrics", calls=calls, seconds=seconds)
        return await scenario.run()


def _components(bench: Workbench) -> Result:
    calls, seconds = (4, 1.0) if bench.quick else (CALLS, 10.0)
    cores = Cores.of_this_thread()
    runs = []
    with on_core(cores.load):
        for n in range(bench.runs):
            bench.say(f"components: run {n + 1} of {bench.runs}")
            runs.append(asyncio.run(_run(bench, cores, calls=calls, seconds=seconds)))
    rows = list(_rows(runs))
    return Result(
        "components",
        f"Components on {calls} calls",
        COLUMNS,
        rows,
        [LEGEND],
        [[asdict(one) for one in run] for run in runs],
    )


def _rows(runs: Sequence[Sequence[Figure]]) -> Iterator[list[Cell]]:
    """Medians over the runs; of what others did and of missed ticks the most."""
    for figures in zip(*runs, strict=True):
        others = max(figure.others for figure in figures)

        alone = statistics.median(run[0].cores for run in runs)
        cores, number = statistics.median(figure.cores for figure in figures), figures[0].components
        starts = [start for figure in figures for start in figure.starts]
        yield [
            figures[0].what,
            number,
            cores,
            statistics.median(figure.main for figure in figures),
            statistics.median(figure.load for figure in figures),
            statistics.median(figure.complexity for figure in figures),
            (cores - alone) / number * 1e3 if number else None,
            statistics.median(starts) if starts else None,
            *(statistics.median(figure.within[name] for figure in figures) for name in WITHIN),
            max(figure.missed for figure in figures),
            f"{others:.0%}{' (!)' if others > DISTURBED else ''}",
        ]


GAUGES = {
    "focus_plane_missed_ticks_total": "missed",
    "focus_plane_load": "load",
    "focus_plane_complexity": "complexity",
}
WITHIN = ("0.001", "0.002", "0.005", "0.01", "0.02")
COLUMNS = (
    Column("what"),
    Column("n"),
    Column("cores", ".3f"),
    Column("main", ".3f"),
    Column("plane", ".2f"),
    Column("complexity", ".0f"),
    Column("more, ‰", ".2f"),
    Column("ref, ms", ".1f"),
    *(Column(f"≤ {float(name) * 1e3:.0f} ms", ".2%") for name in WITHIN),
    Column("missed"),
    Column("others"),
)
LEGEND = (
    "n: components at work at the same time, each for a call in which every third caller speaks. cores, main: CPU time "
    "of the focus, and of its main thread therein, as a share of a core; plane: the share of its time, at the end, in "
    "which the media plane's thread was at work or waited for a core, by which it chooses the complexity of Opus, 0 to "
    "5; more: what one component has of a core more than the calls alone have. ref: from the command to its answer, "
    "one after the other. ≤: how much of the time a tick was made within so many ms after its time, at most; missed: "
    "ticks that were made later than the next one was due. others: what something else had of the focus' core, at "
    f"most; over {DISTURBED:.0%} is marked (!). Else medians over the runs."
)
COMPONENTS = Benchmark("components", "a hundred outputs, inputs and recordings at the same time", _components)
