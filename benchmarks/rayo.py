"""Control by Rayo under load: commands, offers, joins and events, through a real Prosody."""

import asyncio
import itertools
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from xml.etree import ElementTree as ET

from benchmarks.generator import DISTURBED
from benchmarks.rayo_phones import Phones
from benchmarks.rayo_server import Cores, Pair, Stopwatch, Taken, prosody_and_focus
from benchmarks.result import Benchmark, Cell, Column, Result
from benchmarks.workbench import Workbench, on_core, resident_bytes
from benchmarks.xmpp_client import PATIENCE, PING, PRESENCE, Client
from focus.wire.jingle_message import JMI_0

RAYO = "urn:xmpp:rayo:1"
CAPS = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:xmpp:rayo:client:1' ver='x'/>"
AVAILABLE = f"{CAPS}<show>chat</show>"
#: Commands that a client has sent and has no answer to yet.
WINDOW = 4
DIRECTIONS = ("send", "recv")


@dataclass(frozen=True)
class Sizes:
    """How much of everything. clients: those that are offered calls; rounds: how often; calls: those that are made, for
    so many desks, to so many phones; joins are measured in steps of `step`. settling: seconds for which those who are
    connected send each other silence.
    """

    clients: int
    rounds: int
    calls: int
    desks: int
    phones: int
    step: int
    commands: int
    listeners: int
    changes: int
    settling: float


FULL = Sizes(
    clients=1000,
    rounds=5,
    calls=500,
    desks=20,
    phones=50,
    step=100,
    commands=4000,
    listeners=500,
    changes=10,
    settling=6,
)
QUICK = Sizes(
    clients=20, rounds=2, calls=12, desks=4, phones=4, step=4, commands=80, listeners=10, changes=2, settling=0
)


@dataclass(frozen=True)
class Figure:
    """What was done so many times, and what it took. stanzas: all that Prosody carried meanwhile; memory: bytes that
    the focus has more of than before.
    """

    what: str
    number: int
    stanzas: int
    taken: Taken
    memory: int | None = None

    @property
    def rate(self) -> float:
        return self.number / self.taken.seconds

    @property
    def stanza_rate(self) -> float:
        return self.stanzas / self.taken.seconds


class Tally:
    """Counts what comes, until there is enough."""

    def __init__(self) -> None:
        self.count = 0
        self._target = 0
        self._enough = asyncio.Event()

    def add(self) -> None:
        self.count += 1
        if self.count >= self._target:
            self._enough.set()

    async def until(self, target: int) -> None:
        """Until `target` have come, of all that were ever counted."""
        self._target = target
        if self.count < target:
            self._enough.clear()
            async with asyncio.timeout(PATIENCE):
                await self._enough.wait()


class Scenario:
    """One run, in its order: each part leaves behind what the next needs. The first figure is the yardstick, Prosody
    alone.
    """

    def __init__(self, bench: Workbench, pair: Pair, sizes: Sizes) -> None:
        self.figures: list[Figure] = []
        self._bench = bench
        self._pair = pair
        self._sizes = sizes
        self._server = pair.prosody.c2s
        self._calls: list[tuple[Client, str]] = []  # whose, and where
        self._told: dict[str, Tally] = {name: Tally() for name in ("offer", "answered", "end", "joined", "unjoined")}

    async def run(self) -> None:
        async with self._desks() as desks:
            await self._pings(desks)
            await self._offers()
            for desk in desks:
                desk.send(f"<presence to='{self._pair.service}'>{AVAILABLE}</presence>")
            phones = Phones.several(
                self._server, self._pair.prosody.guests, self._sizes.phones, calls=self._sizes.calls
            )
            async with phones as called:
                await self._dial(desks, called)
                await self._commands()
                await self._joins(desks)
                await self._events(desks)
                await self._hang_up(desks)

    # the parts

    async def _pings(self, desks: Sequence[Client]) -> None:
        neighbours = {desk: desks[n - 1].jid for n, desk in enumerate(desks)}
        number = self._sizes.commands
        async with self._measured("pings between two clients, without the focus", number, seen_twice=True):
            await _each(_dealt(desks, number), lambda desk: desk.ask(neighbours[desk], "get", PING))
        async with self._measured("pings to the focus", number):
            await _each(_dealt(desks, number), lambda desk: desk.ask(self._pair.service, "get", PING))

    async def _offers(self) -> None:
        number, rounds, service = self._sizes.clients, self._sizes.rounds, self._pair.service
        offers, ends = self._told["offer"], self._told["end"]
        caller = await Client.connect(self._server, self._pair.prosody.guests)
        clients = []
        for _ in range(number):
            clients.append(await Client.connect(self._server, self._pair.prosody.guests, handler=self._take))
        async with self._measured("clients that register", number, with_memory=True):
            for client in clients:
                client.send(f"<presence to='{service}'>{AVAILABLE}</presence>")
            await _each(clients, lambda client: client.ask(service, "get", PING))
        description = "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/>"
        self._bench.say(f"rayo: offers of a call to {number} clients")
        mark = Mark(self._pair)
        for n in range(rounds):
            to = f"<message type='chat' to='desk-{n}@{service}'>"
            mark.begin()
            caller.send(f"{to}<propose xmlns='{JMI_0}' id='p{n}'>{description}</propose></message>")
            await offers.until(number * (n + 1))
            mark.end()
            caller.send(f"{to}<retract xmlns='{JMI_0}' id='p{n}'/></message>")
            await ends.until(number * (n + 1))
        self.figures.append(Figure(f"offers, of a call to {number} clients", number * rounds, mark.stanzas, mark.taken))
        for client in clients:
            client.send(f"<presence type='unavailable' to='{service}'/>")
        await _each(clients, lambda client: client.ask(service, "get", PING))
        for client in (caller, *clients):
            await client.close()

    async def _dial(self, desks: Sequence[Client], phones: Phones) -> None:
        number, service = self._sizes.calls, self._pair.service
        to = itertools.cycle(phones.addresses)

        async def dial(desk: Client) -> None:
            result = await desk.ask(service, "set", f"<dial xmlns='{RAYO}' to='xmpp:{next(to)}'/>")
            self._calls.append((desk, result[0].get("uri", "").removeprefix("xmpp:")))

        async with self._measured("calls dialled, until media can flow", number, with_memory=True):
            await _each(_dealt(desks, number), dial)
            await self._told["answered"].until(number)
            await phones.until_connected(number)
        await asyncio.sleep(self._sizes.settling)

    async def _commands(self) -> None:
        """A call for each desk in a mixer of its own, which is joined again and again in another direction: nobody is
        told of that, so each is a command and its answer.
        """
        own = {desk: call for desk, call in self._calls}
        names = {desk: f"own-{n}" for n, desk in enumerate(own)}
        flips = itertools.cycle(DIRECTIONS)
        before = self._told["joined"].count
        await _each(_dealt(list(own), len(own)), lambda desk: desk.ask(own[desk], "set", _join(names[desk])))
        await self._told["joined"].until(before + 2 * len(own))

        def turn(desk: Client) -> Awaitable[object]:
            return desk.ask(own[desk], "set", _join(names[desk], next(flips)))

        number = self._sizes.commands
        async with self._measured("commands (join in another direction)", number):
            await _each(_dealt(list(own), number), turn)
        before = self._told["unjoined"].count
        await _each(_dealt(list(own), len(own)), lambda desk: desk.ask(own[desk], "set", f"<unjoin xmlns='{RAYO}'/>"))
        await self._told["unjoined"].until(before + 2 * len(own))

    async def _joins(self, desks: Sequence[Client]) -> None:
        """Every call into one mixer, in steps. Each desk is told of each join by the mixer, once it is shown it."""
        step, number = self._sizes.step, self._sizes.calls
        joined = self._told["joined"]
        for begin in range(0, number, step):
            owned: dict[Client, list[str]] = {}
            for desk, call in self._calls[begin : begin + step]:
                owned.setdefault(desk, []).append(call)
            turns = [desk for desk, calls in owned.items() for _ in calls]
            what = f"joins of calls {begin + 1} to {begin + step} with one mixer"
            async with self._measured(what, step, with_memory=True):
                expected = joined.count + step
                await _each(turns, lambda desk: desk.ask(owned[desk].pop(), "set", _join("hall")))  # noqa: B023
                await joined.until(expected)
                await _each(desks, lambda desk: desk.ask(self._pair.service, "get", PING))

    async def _events(self, desks: Sequence[Client]) -> None:
        """A mixer with two calls, of which one comes and goes, and many who have subscribed to it."""
        number, service = self._sizes.listeners, self._pair.service
        stage = f"stage@{service}"
        (desk, stays), (other, comes) = self._calls[:2]
        listeners = []
        for n in range(number):
            listeners.append(await self._log_in(f"listener{n}"))
        for listener in listeners:
            listener.send(f"<presence to='{service}'>{AVAILABLE}</presence>")
        desk.send(f"<presence type='subscribe' to='{stage}'/>")
        everybody = [*desks, *listeners]
        await _each(everybody, lambda one: one.ask(service, "get", PING))
        await desk.ask(stays, "set", _join("stage"))
        # The mixer tells everybody, and each call who controls it.
        told = number + len(desks) + 1
        events = 2 * self._sizes.changes * told
        await _each(everybody, lambda one: one.ask(service, "get", PING))
        async with self._measured(f"events, each to {number + len(desks)} clients", events):
            for _ in range(self._sizes.changes):
                for command, name in ((_join("stage"), "joined"), (_unjoin("stage"), "unjoined")):
                    expected = self._told[name].count + told
                    await other.ask(comes, "set", command)
                    await self._told[name].until(expected)
        for listener in listeners:
            listener.send(f"<presence type='unavailable' to='{service}'/>")
        await _each(listeners, lambda one: one.ask(service, "get", PING))
        for listener in listeners:
            await listener.close()

    async def _hang_up(self, desks: Sequence[Client]) -> None:
        ends = self._told["end"]
        before, number = ends.count, len(self._calls)
        async with self._measured("calls hung up", number):
            await asyncio.gather(*(desk.ask(call, "set", f"<hangup xmlns='{RAYO}'/>") for desk, call in self._calls))
            await ends.until(before + number)
            await _each(desks, lambda desk: desk.ask(self._pair.service, "get", PING))

    # what they need

    async def _log_in(self, resource: str) -> Client:
        """A client of the account that controls the calls."""
        return await Client.connect(
            self._server,
            self._pair.prosody.domain,
            account=self._pair.desk,
            resource=resource,
            handler=self._take,
        )

    def _take(self, stanza: ET.Element) -> str | None:
        if stanza.tag == PRESENCE:
            for child in stanza:
                if child.tag.startswith(f"{{{RAYO}}}"):
                    tally = self._told.get(child.tag.rpartition("}")[2])
                    if tally is not None:
                        tally.add()
        return None

    @asynccontextmanager
    async def _desks(self) -> AsyncIterator[list[Client]]:
        """Clients of one account, who control the calls."""
        made: list[Client] = []
        try:
            for n in range(self._sizes.desks):
                made.append(await self._log_in(f"desk{n}"))
            yield made
        finally:
            for client in made:
                await client.close()

    @asynccontextmanager
    async def _measured(
        self, what: str, number: int, *, seen_twice: bool = False, with_memory: bool = False
    ) -> AsyncIterator[None]:
        """What is done herein, so many times, becomes a figure. seen_twice: both ends of each stanza are ours."""
        self._bench.say(f"rayo: {what}")
        memory = resident_bytes(self._pair.focus)
        mark = Mark(self._pair)
        mark.begin()
        yield
        mark.end()
        stanzas = mark.stanzas // 2 if seen_twice else mark.stanzas
        more = resident_bytes(self._pair.focus) - memory if with_memory else None
        self.figures.append(Figure(what, number, stanzas, mark.taken, more))


class Mark:
    """Adds up what is between each `begin` and `end`."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._parts: list[Taken] = []
        self.stanzas = 0

    def begin(self) -> None:
        self._seen = Client.stanzas
        self._watch = Stopwatch(self._pair)

    def end(self) -> None:
        self._parts.append(self._watch.taken())
        self.stanzas += Client.stanzas - self._seen

    @property
    def taken(self) -> Taken:
        return Taken(
            seconds=sum(part.seconds for part in self._parts),
            focus=sum(part.focus for part in self._parts),
            prosody=sum(part.prosody for part in self._parts),
            others=max(part.others for part in self._parts),
        )


def _join(name: str, direction: str = "duplex") -> str:
    return f"<join xmlns='{RAYO}' mixer-name='{name}' direction='{direction}'/>"


def _unjoin(name: str) -> str:
    return f"<unjoin xmlns='{RAYO}' mixer-name='{name}'/>"


def _dealt(clients: Sequence[Client], number: int) -> list[Client]:
    """Whose turn it is, so many times, one after the other."""
    return [clients[n % len(clients)] for n in range(number)]


async def _each(turns: Iterable[Client], ask: Callable[[Client], Awaitable[object]]) -> None:
    """`ask` for each turn; a client has at most WINDOW answers to wait for."""
    left = Counter(turns)

    async def work(client: Client) -> None:
        while left[client]:
            left[client] -= 1
            await ask(client)

    await asyncio.gather(*(work(client) for client in list(left) for _ in range(min(WINDOW, left[client]))))


def _median(runs: Sequence[Sequence[Figure]]) -> Iterator[list[Cell]]:
    """The rows of the table: of each figure the median over the runs, and of what others did the most."""
    for figures in zip(*runs, strict=True):
        first = figures[0]

        def middle(of: Callable[[Figure, Figure], float], figures: tuple[Figure, ...] = figures) -> float:
            return statistics.median(of(figure, run[0]) for figure, run in zip(figures, runs, strict=True))

        others = max(figure.taken.others for figure in figures)
        memory = [figure.memory for figure in figures if figure.memory is not None]
        yield [
            first.what,
            first.number,
            middle(lambda figure, _: figure.stanzas / figure.number),
            middle(lambda figure, _: figure.rate),
            middle(lambda figure, alone: figure.stanza_rate / alone.stanza_rate),
            middle(lambda figure, _: figure.taken.focus / figure.number * 1e6),
            middle(lambda figure, _: figure.taken.prosody / figure.number * 1e6),
            statistics.median(memory) / first.number / 1024 if memory else None,
            f"{others:.0%}{' (!)' if others > DISTURBED else ''}",
        ]


COLUMNS = (
    Column("what"),
    Column("n"),
    Column("stanzas", ".1f"),
    Column("a second", ".0f"),
    Column("of Prosody alone", ".2f"),
    Column("focus, µs", ".0f"),
    Column("Prosody, µs", ".0f"),
    Column("KiB", ".1f"),
    Column("others"),
)
LEGEND = (
    "n: how many were measured, which the other figures are for one of. stanzas: those that Prosody carries for it; of "
    "Prosody alone: stanzas a second, as a share of those in the first row. focus: CPU time of the focus' main thread "
    "(all that is no media); KiB: what the focus' process has grown by. others: what something else had of the focus' "
    f"core, at most; over {DISTURBED:.0%} is marked (!). Else medians over the runs."
)


def _rayo(bench: Workbench) -> Result:
    runs = []
    cores = Cores.of_this_thread()
    with on_core(cores.load):
        for n in range(bench.runs):
            bench.say(f"rayo: run {n + 1} of {bench.runs}")
            runs.append(asyncio.run(_run(bench, cores, QUICK if bench.quick else FULL)))
    return Result(
        "rayo",
        "Control by Rayo, through Prosody",
        COLUMNS,
        list(_median(runs)),
        [LEGEND],
        [[asdict(figure) for figure in figures] for figures in runs],
    )


async def _run(bench: Workbench, cores: Cores, sizes: Sizes) -> list[Figure]:
    async with prosody_and_focus(bench, cores) as pair:
        scenario = Scenario(bench, pair, sizes)
        await scenario.run()
    return scenario.figures


RAYO_BENCHMARK = Benchmark("rayo", "commands, offers, joins and events of Rayo through Prosody", _rayo)
