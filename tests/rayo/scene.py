"""A Rayo server between callers on a wire (`tests.jingle.pair`) and clients that command it, on an honest plane or the
real one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeGuard
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from focus.jingle.peer import LegObserver
from focus.media.leg import Leg, Tap
from focus.media.plane import Direction, MediaPlane
from focus.rayo.addresses import Addresses
from focus.rayo.call import Call
from focus.rayo.component import Facilities
from focus.rayo.limits import Limits
from focus.rayo.mixer import Mixer
from focus.rayo.registration import Security
from focus.rayo.routing import Route
from focus.rayo.server import Server
from focus.wire.base import Element
from focus.wire.conditions import ServiceUnavailable, StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import Jingle, Reason
from focus.wire.jingle_message import BY_TAG, JMI_0, Dialect, JingleMessage, Propose, Reject, in_dialect
from focus.wire.message import CallMessage
from focus.wire.rayo import Command, Event, Offer, Ref
from tests.jingle.pair import PATIENCE, Air, Diary, End, FakeLeg, Wire

DOMAIN = "focus.example.org"
ROOMS = "rooms.example.org"


class SilentTap(Tap):
    """Of legs without sound."""

    def __init__(self) -> None: ...

    @override
    def read(self) -> NDArray[np.int16]:
        return np.zeros(0, np.int16)

    @override
    def close(self) -> None: ...


class FakePlane(MediaPlane):
    """The join graph of `mixer_ext.Plane` with the same refusals, and legs that meet in `Air`."""

    def __init__(self) -> None:
        super().__init__([("127.0.0.1", 0)])
        self.air = Air()
        self._fakes: dict[int, FakeLeg] = {}
        self._mixers: set[int] = set()
        self._edges: dict[tuple[int, int], Direction] = {}
        self._next_mixer = 1_000_000
        self.refused = 0  # joins
        self.succeeded: list[tuple[int, int]] = []  # legs, and whose volumes they have taken over
        self.most_with_itself = 0

    @property
    @override
    def calls_with_itself(self) -> int:
        return self.most_with_itself

    @override
    def create_leg(
        self,
        *,
        controlling: bool,
        observer: LegObserver,
        room: str | None = None,
        near: int | None = None,
        with_ourselves: bool = False,
    ) -> Leg:
        leg = self.air.leg(controlling=controlling, observer=observer)
        self._fakes[leg.node] = leg
        return leg  # type: ignore[return-value]  # no more of one than a session needs

    @override
    def create_mixer(
        self,
        dominant_changed: Callable[[int | None], None] | None = None,
        *,
        room: str | None = None,
        near: int | None = None,
    ) -> int:
        self._next_mixer += 1
        self._mixers.add(self._next_mixer)
        return self._next_mixer

    @override
    def remove_mixer(self, mixer: int) -> None:
        self._mixers.discard(mixer)

    @override
    def join(self, a: int, b: int, direction: Direction = Direction.DUPLEX) -> None:
        self.refused += 1
        self._know(a, b)
        if a == b:
            raise ValueError("a node cannot be joined to itself")
        if self.direction(a, b) is None and self._closes_loop(a, b):
            raise ValueError(f"joining {a} and {b} would close a loop")
        self.refused -= 1
        self._edges.pop((b, a), None)
        self._edges[(a, b)] = direction

    @override
    def unjoin(self, a: int, b: int) -> None:
        self._know(a, b)
        self._edges.pop((a, b), None)
        self._edges.pop((b, a), None)

    @override
    def succeed(self, leg: int, predecessor: int) -> None:
        self._know(leg, predecessor)
        self.succeeded.append((leg, predecessor))

    @override
    def load(self, *, room: str | None = None, near: int | None = None) -> float:
        return 0.0

    @override
    def tap(self, node: int, *, sent: bool = False) -> SilentTap:
        self._know(node)
        return SilentTap()

    @override
    def snapshot(self) -> dict[str, int | float]:
        return {"legs": sum(not leg.closed for leg in self._fakes.values()), "mixers": len(self._mixers)}

    # what a test may ask

    def direction(self, a: int, b: int) -> Direction | None:
        """Of the join of two nodes that are there, seen from `a`."""
        if not (self._is_there(a) and self._is_there(b)):
            return None
        if (a, b) in self._edges:
            return self._edges[(a, b)]
        back = self._edges.get((b, a))
        opposite = {Direction.SEND: Direction.RECV, Direction.RECV: Direction.SEND}
        return opposite.get(back, back) if back is not None else None

    # inside

    def _is_there(self, node: int) -> bool:
        return node in self._mixers or (node in self._fakes and not self._fakes[node].closed)

    def _know(self, *nodes: int) -> None:
        for node in nodes:
            if not self._is_there(node):
                raise ValueError(f"no such node: {node}")

    def _neighbours(self, node: int) -> set[int]:
        pairs = [pair for pair in self._edges if node in pair and all(map(self._is_there, pair))]
        return {other for pair in pairs for other in pair if other != node}

    def _tree(self, mixer: int) -> set[int]:
        found, pending = {mixer}, [mixer]
        while pending:
            for other in self._neighbours(pending.pop()) & self._mixers - found:
                found.add(other)
                pending.append(other)
        return found

    def _closes_loop(self, a: int, b: int) -> bool:
        trees = [self._tree(node) if node in self._mixers else None for node in (a, b)]
        if trees[0] is not None and trees[1] is not None:
            legs = [{leg for mixer in tree for leg in self._neighbours(mixer) - self._mixers} for tree in trees if tree]
            return b in trees[0] or bool(legs[0] & legs[1])
        for leg, tree in ((b, trees[0]), (a, trees[1])):
            if tree is not None:
                return bool(self._neighbours(leg) & tree)
        return False


class _At:
    """The focus as it is reached at one of its addresses (see `Wire.at`)."""

    def __init__(self, focus: Focus, to: JID) -> None:
        self._focus, self._to = focus, to
        self.deaf = False

    def take_message(self, sender: JID, text: str) -> None:
        self._focus.take_message(sender, self._to, text)

    def take_iq(self, sender: JID, text: str) -> None:
        self._focus.take_iq(sender, self._to, text)


class Net(Wire):
    """A wire on which all addresses of our domain lead to the focus."""

    focus: Focus

    def at(self, jid: JID) -> list[End]:
        return [_At(self.focus, jid)] if jid.domain == DOMAIN else super().at(jid)  # type: ignore[list-item]


class Client(Diary):
    """A Rayo client: remembers (sender, event).

    `presences`: those of mixers, as (sender, whether it is there, how many events came before).
    """

    def __init__(self, focus: Focus, jid: str) -> None:
        super().__init__()
        self.focus = focus
        self.jid = JID.parse(jid)
        self.presences: list[tuple[JID, bool, int]] = []
        self.stream: list[tuple[JID, Event | bool]] = []  # both, in order

    def show(self, sender: JID, available: bool) -> None:
        self.presences.append((sender, available, len(self.entries)))
        self.stream.append((sender, available))

    def deliver(self, sender: JID, event: Event) -> None:
        self.write((sender, event))
        self.stream.append((sender, event))

    async def command(self, to: JID, command: Command) -> Element | None:
        async with asyncio.timeout(PATIENCE):
            return await self.focus.server.command(self.jid, to, command)

    async def dial(self, command: Command) -> JID:
        reference = await self.command(self.focus.addresses.service, command)
        assert isinstance(reference, Ref)
        return JID.from_uri(reference.uri)

    def events(self, sender: JID | None = None) -> list[Event]:
        """In order; of one sender or of all."""
        found = []
        for entry in self.entries:
            assert isinstance(entry, tuple)
            if sender in (None, entry[0]):
                found.append(entry[1])
        return found

    async def event(self, kind: type[Event], sender: JID | None = None) -> tuple[JID, Event]:
        """The first event of `kind` that there is or comes."""

        def wanted(entry: object) -> TypeGuard[tuple[JID, Event]]:
            assert isinstance(entry, tuple)
            return isinstance(entry[1], kind) and sender in (None, entry[0])

        await self.until(wanted)
        return next(entry for entry in self.entries if wanted(entry))

    async def offered(self, number: int = 1) -> JID:
        """The address of the call that was offered as the `number`th."""

        def offers() -> list[JID]:
            return [entry[0] for entry in self.entries if isinstance(entry, tuple) and isinstance(entry[1], Offer)]

        await self.until(lambda _: len(offers()) >= number)
        return offers()[number - 1]


class Takers:
    """An application that leaves all calls to the same potential controlling parties."""

    def __init__(self) -> None:
        self.parties: list[JID] = []
        self.opened: list[str] = []
        self.nicks: dict[JID, str] = {}

    def controllers(self, called: JID, mixer: str) -> list[JID]:
        return self.parties

    def mixer_opened(self, name: str) -> None:
        self.opened.append(name)

    def nick(self, mixer: str, peer: JID) -> str:
        return self.nicks.get(peer.bare, "")


class Focus:
    """The server under test, with what it needs of the world."""

    def __init__(
        self,
        net: Net,
        plane: FakePlane,
        *,
        limits: Limits | None = None,
        controllers: frozenset[JID] = frozenset(),
        clients: frozenset[JID] = frozenset(),
        routes: Sequence[Route] = (),
        facilities: Facilities | None = None,
    ) -> None:
        self.net = net
        net.focus = self
        self.plane = plane
        self.addresses = Addresses(DOMAIN, ROOMS)
        self.outside = Diary()  # events that left by XMPP
        self.presences: list[tuple[JID, JID, bool]] = []  # of mixers
        self.handed_on: list[tuple[JID, JID, CallMessage]] = []
        self.clients: dict[JID, Client] = {}
        self.dialect: Callable[[JID], Awaitable[Dialect | None]] = self._dialect
        self.server = Server(
            self.addresses,
            plane,
            outbox=self,
            events=self,
            dialect=lambda peer: self.dialect(peer),
            security=Security(clients, controllers),
            routes=routes,
            limits=limits,
            facilities=facilities,
        )
        self.takers = Takers()
        self.server.application = self.takers
        self._task: asyncio.Task[None] | None = None
        self.tasks_before: set[asyncio.Task[object]] = set()

    async def _dialect(self, peer: JID) -> Dialect | None:
        return None if peer.resource else JMI_0

    async def start(self) -> None:
        self._task = asyncio.create_task(self.server.run())
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """The end of the service: it must come by itself."""
        self.server.close()
        if self._task is not None:
            async with asyncio.timeout(PATIENCE):
                await self._task

    def client(self, jid: str, *, local: bool = False) -> Client:
        client = Client(self, jid)
        self.clients[client.jid] = client
        if local:
            self.server.register(client.jid, client)
        return client

    # an Outbox and an EventOutbox

    def message(self, sender: JID, to: JID, element: Element) -> None:
        assert sender.domain == DOMAIN
        text = element.to_string()

        def deliver() -> None:
            for end in self.net.at(to):
                end.take_message(sender, text)

        self.net.send(deliver)

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        assert sender.domain == DOMAIN
        text = element.to_string()
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def deliver() -> None:
            ends = self.net.at(to)
            error: StanzaError | None = None
            if len(ends) != 1:
                error = ServiceUnavailable("nobody there")
            elif ends[0].deaf:
                return
            else:
                try:
                    ends[0].take_iq(sender, text)
                except StanzaError as refusal:
                    error = refusal
            self.net.send(lambda: resolve(error))

        def resolve(error: StanzaError | None) -> None:
            if not answer.done():
                answer.set_exception(error) if error else answer.set_result(None)

        self.net.send(deliver)
        async with asyncio.timeout(PATIENCE):
            await answer

    def event(self, sender: JID, to: JID, event: Event) -> None:
        assert type(event).parse(ET.fromstring(event.to_string())) == event
        self.outside.write((sender, to, event))
        if to in self.clients:
            self.clients[to].deliver(sender, event)

    def mixer_presence(self, sender: JID, to: JID, *, available: bool) -> None:
        assert to.domain != DOMAIN
        self.presences.append((sender, to, available))
        if to in self.clients:
            self.clients[to].show(sender, available)

    def hand_on(self, sender: JID, to: JID, message: CallMessage) -> None:
        assert sender.domain == DOMAIN
        self.handed_on.append((sender, to, message))

    # what comes

    def take_message(self, sender: JID, to: JID, text: str) -> None:
        tree = ET.fromstring(text)
        element = BY_TAG[tree.tag].parse(tree)
        assert isinstance(element, JingleMessage)
        try:
            self.server.message(sender, to, element)
        except StanzaError:
            assert isinstance(element, Propose)
            reject = in_dialect(Reject, element.dialect)
            self.message(to, sender, reject(id=element.id, reason=Reason.of("general-error")))

    def take_iq(self, sender: JID, to: JID, text: str) -> None:
        tree = ET.fromstring(text)
        self.server.jingle(sender, to, Jingle.parse(tree), tree)

    # what a test may ask

    def call(self, address: JID) -> Call:
        call = self.server.directory.call(address)
        assert call is not None
        return call

    def mixer(self, name: str) -> Mixer | None:
        """In any zone."""
        address = self.addresses.mixer(name)
        return next((mixer for mixer in self.server.directory.mixers() if mixer.address == address), None)

    def is_empty(self) -> bool:
        """Whether nothing is left of any call or mixer, neither here nor in the plane."""
        counts = self.plane.snapshot()
        nobody = not list(self.server.directory.calls()) and not list(self.server.directory.mixers())
        return nobody and not len(self.server._sessions) and not counts["legs"] and not counts["mixers"]


async def eventually(condition: Callable[[], bool]) -> None:
    """Until `condition` holds. The loop is let go round: what is waited for happens in other tasks."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def comes_true(check: Callable[[], None]) -> None:
    """Until `check` asserts nothing that is not so: the clock that ends some waits does not go by the loop's rounds."""
    until = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            return check()
        except AssertionError:
            if asyncio.get_running_loop().time() > until:
                raise
        await asyncio.sleep(0.01)


async def settled(rounds: int = 50) -> None:
    """Until everything that was ready to run has run; for showing that something does not happen."""
    for _ in deque(range(rounds)):
        await asyncio.sleep(0)
