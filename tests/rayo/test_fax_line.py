"""Faxes over real calls: Jingle, ICE, DTLS and RTP between a call's component and a fax machine, both with spandsp,
over G.711 and over Opus. They take as long as faxes do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from PIL import Image

from focus.engines.fax import FaxResult, FaxTerminal, Samples
from focus.engines.fetching import Fetched
from focus.engines.spandsp.fax import SpandspFax
from focus.engines.spandsp.isolation import IsolatedFax
from focus.jingle.codecs import MODEM, for_modems, usual
from focus.jingle.peer import PeerSession
from focus.media.line import Line
from focus.media.plane import MediaPlane
from focus.media.recordings import Recordings
from focus.rayo.component import Facilities
from focus.rayo.faxes import FaxMachine
from focus.rayo.registration import Availability
from focus.rayo.routing import Route
from focus.wire import ice
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.jingle_message import JMI_0
from focus.wire.rayo import Answer, End, Ref
from focus.wire.rayo_component import Complete, Failed, HungUp, Stop, Stopped
from focus.wire.rayo_fax import Fax, FaxDocument, FaxFinish, FaxMetadata, FaxPage, ReceiveFax, ReportPages, SendFax
from tests.engines.faxes import FINE, STANDARD, page, pages_of, write
from tests.jingle.pair import End as Caller
from tests.media.peers import Observer, until

from .conftest import QUICK
from .scene import DOMAIN, Client, Focus, Net, eventually

#: Seconds that a fax of a few lines may take, however busy the processor is.
PATIENCE = 110.0
#: What the log says of a fax that this machine had no time for.
NO_TIME = "this machine had no time for its line"


@dataclass
class Machine:
    """What is at the other end of a call."""

    leg: object
    plane: MediaPlane
    line: Line | None = None
    running: asyncio.Task[None] | None = None
    terminal: FaxTerminal | None = None

    heard: int = 0  # samples

    def begin(self, terminal: FaxTerminal) -> None:
        self.terminal = terminal
        self.line = Line(self.plane, self.leg.node, self._exchange)  # type: ignore[attr-defined]
        self.running = asyncio.create_task(self.line.run())

    def _exchange(self, heard: Samples) -> Samples:
        assert self.terminal is not None
        self.heard += len(heard)
        return self.terminal.exchange(heard)

    async def end(self) -> FaxResult:
        assert self.terminal is not None
        assert self.running is not None
        terminal = self.terminal
        async with asyncio.timeout(PATIENCE):
            while not terminal.is_over:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        self.running.cancel()
        await asyncio.wait((self.running,))
        terminal.close()
        return terminal.result()


@dataclass
class Scene:
    focus: Focus
    owner: Client
    call: JID
    machine: Machine
    folder: Path
    engine: SpandspFax
    planes: list[MediaPlane]
    session: PeerSession

    @property
    def is_disturbed(self) -> bool:
        """Whether this machine had no time for the sound of a call: not every fax survives that."""
        gaps = 0 if self.machine.line is None else self.machine.line.gaps
        return gaps > 0 or any(plane.snapshot()["missed_ticks"] > 5 for plane in self.planes)

    async def begin(self, command: ReceiveFax | SendFax) -> JID:
        reference = await self.owner.command(self.call, command)
        assert isinstance(reference, Ref)
        return JID.from_uri(reference.uri)

    async def complete(self, component: JID) -> Complete:
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.owner.events(component):
                    if isinstance(event, Complete):
                        return event
                await asyncio.sleep(0.05)


@asynccontextmanager
async def scene(folder: Path, *, fax: bool) -> AsyncIterator[Scene]:
    """A call that has been answered: with G.711 if the route says that it is one of fax machines, else with Opus."""
    planes = [MediaPlane([("127.0.0.1", 0)]) for _ in range(2)]
    for plane in planes:
        await plane.start()

    async def fetch(uri: str) -> Fetched:
        return Fetched(uri, "image/tiff", "", (folder / uri.rpartition("/")[2]).open("rb"))

    folder.mkdir()
    net, engine = Net(), SpandspFax(timezone="UTC0")
    client = JID.parse("juliet@example.org")
    route = Route("fax", clients=(client,), fax=fax)
    focus = Focus(net, planes[0], clients=frozenset({client}), routes=(route,))  # type: ignore[arg-type]
    focus.server._facilities = Facilities(
        planes[0],
        fetch=fetch,
        recordings=Recordings(folder / "faxes"),
        fax=FaxMachine(engine, identity="+390458077500"),
    )
    await focus.start()
    owner = focus.client("juliet@example.org/balcony")
    focus.server.registrations.update(owner.jid, Availability.READY)
    caller = Caller(net, "alice@example.org/desk", planes[1].create_leg, timeouts=QUICK)
    session, _ = caller.call(JID("fax", DOMAIN), JMI_0)
    await session.start()
    call = await owner.offered()
    await owner.command(call, Answer())
    await caller.owners[-1].until("connected")
    await eventually(lambda: focus.call(call)._connected)
    assert session.settled is not None
    assert session.settled.payload.name == ("PCMU" if fax else "opus")
    planes[1].set_modem(session.leg.node, True)  # type: ignore[union-attr]
    session.wish_for(MODEM)
    machine = Machine(session.leg, planes[1])
    try:
        yield Scene(focus, owner, call, machine, folder, engine, planes, session)
    finally:
        await focus.stop()
        if machine.running is not None:
            machine.running.cancel()
            await asyncio.wait((machine.running,))
            assert machine.terminal is not None
            machine.terminal.close()
        await caller.close()
        await net.cut()
        for plane in planes:
            await plane.stop()


async def in_a_call(
    folder: Path, act: Callable[[Scene], Awaitable[object]], *, fax: bool, log: pytest.LogCaptureFixture
) -> None:
    """Do it in a call, and again in another one where the machine has been too busy for it."""
    for attempt in range(3):
        async with scene(folder.with_name(f"{folder.name}-{attempt}"), fax=fax) as here:
            try:
                await act(here)
            except (AssertionError, TimeoutError):
                if attempt == 2 or not (here.is_disturbed or NO_TIME in log.text):
                    raise
            else:
                return


class _Side(asyncio.DatagramProtocol):
    """Where one of two peers sends, and what the other one sends comes from."""

    def __init__(self, loss: float, seed: int) -> None:
        self.loss, self.lost, self.carried = loss, 0, 0
        self.peer: tuple[str, int] | None = None
        self.other: _Side | None = None
        self._random = random.Random(seed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        assert self.other is not None
        is_rtp = 128 <= data[0] < 192 and not 64 <= data[1] & 0x7F < 96
        self.carried += is_rtp
        if is_rtp and self._random.random() < self.loss:
            self.lost += 1
        elif self.other.peer is not None:
            self.other.transport.sendto(data, self.other.peer)


@asynccontextmanager
async def relay(peers: Sequence[tuple[str, int]], loss: float) -> AsyncIterator[list[_Side]]:
    """Between two sockets, of which each sends to a port of ours; some of what is RTP is lost, the same each time."""
    loop = asyncio.get_running_loop()
    sides = [_Side(loss, seed) for seed in (1, 2)]
    for side, other, peer in zip(sides, reversed(sides), peers, strict=True):
        side.other, side.peer = other, peer
        await loop.create_datagram_endpoint(lambda side=side: side, local_addr=("127.0.0.1", 0))  # type: ignore[misc]
    try:
        yield sides
    finally:
        for side in sides:
            side.transport.close()


def by_way_of(transport: ice.Transport, side: _Side) -> ice.Transport:
    """As a peer would signal it who can only be reached there."""
    (candidate, *_) = transport.candidates
    ip, port = side.transport.get_extra_info("sockname")
    return transport.model_copy(update={"candidates": (candidate.model_copy(update={"ip": ip, "port": port}),)})


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("loss", [0.0, 0.001, 0.005])
@pytest.mark.parametrize("codec", ["PCMU", "opus"])
async def test_a_page_goes_over_two_legs_and_a_network_that_loses_packets(
    tmp_path: Path, record_property: Callable[[str, object], None], codec: str, loss: float
) -> None:
    """Without a loss it must arrive; with some a fax may fail, but both ends come to an end and say what has become
    of it."""
    planes = [MediaPlane([("127.0.0.1", 0)]) for _ in range(2)]
    for plane in planes:
        await plane.start()
    engine = SpandspFax(timezone="UTC0")
    document = write(tmp_path / "sent.tiff", [page(1, height=500)])
    observers = [Observer() for _ in planes]
    async with relay([plane.addresses[0] for plane in planes], loss) as sides:
        legs = [
            plane.create_leg(controlling=number == 0, observer=observer)
            for number, (plane, observer) in enumerate(zip(planes, observers, strict=True))
        ]
        (payload,) = [each for each in for_modems(usual()) if each.name == codec]
        for leg in legs:
            leg.set_codec(payload.payload_type(payload.offered_id), level_extension=None)
        for leg, other, side, role in zip(legs, reversed(legs), sides, ("active", "passive"), strict=True):
            await leg.connect(by_way_of(other.local_transport, side), dtls_role=role)  # type: ignore[arg-type]
        await until(lambda: all("connected" in observer.events for observer in observers))
        for plane, leg in zip(planes, legs, strict=True):
            plane.set_modem(leg.node, True)
        machines = [Machine(leg, plane) for leg, plane in zip(legs, planes, strict=True)]
        machines[0].begin(engine.send(document))
        machines[1].begin(engine.receive(tmp_path / "received.tiff"))
        async with asyncio.timeout(400):
            results = [await machine.end() for machine in machines]
        for side in sides:
            assert side.carried > 500
            assert (side.lost > 0) or loss < 0.005
        record_property("fax", f"{codec} {loss:.1%}: {[(result.code, result.transfer_rate) for result in results]}")
        if not loss:
            assert [result.code for result in results] == [0, 0]
            (came,) = pages_of(tmp_path / "received.tiff")
            assert np.array_equal(rows(came), rows(page(1, height=500)))
        for leg in legs:
            await leg.close()
    for plane in planes:
        await plane.stop()


def told(complete: Complete) -> dict[str, str]:
    return {each.name: each.value for each in complete.metadata if isinstance(each, FaxMetadata)}


def rows(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.asarray(image.convert("1"))


async def received(scene: Scene, sent: Sequence[Image.Image], resolution: tuple[int, int]) -> Complete:
    document = write(scene.folder / "sent.tiff", sent, resolution)
    component = await scene.begin(ReceiveFax(report_pages=ReportPages()))
    scene.machine.begin(scene.engine.send(document, identity="+4930", headers=["From Verona"] * len(sent)))
    complete = await scene.complete(component)
    assert complete.reason == FaxFinish(), told(complete)
    (fax,) = [each for each in complete.metadata if isinstance(each, Fax)]
    path = Path(unquote(urlparse(fax.url).path))
    came = pages_of(path)
    assert (fax.pages, fax.size) == (len(sent), path.stat().st_size)
    assert fax.resolution == f"{came[0].width}x{came[0].height}"
    for there, here in zip(sent, came, strict=True):
        assert here.height > there.height  # a line has been put above it
        assert np.array_equal(rows(here)[-there.height :], rows(there))
        assert not rows(here)[: here.height - there.height].all()
    assert told(complete)["fax-remote-station-id"] == "+4930"
    assert told(complete)["fax-image-resolution"] == f"{resolution[0]}x{resolution[1]}"
    assert (await scene.machine.end()).is_success
    pages = [event.number for event in scene.owner.events(component) if isinstance(event, FaxPage)]
    assert pages == list(range(1, len(sent) + 1))
    return complete


async def sent(
    scene: Scene, pages: Sequence[Image.Image], wanted: str, numbers: Sequence[int], resolution: tuple[int, int]
) -> FaxResult:
    write(scene.folder / "letter.tiff", pages, resolution)
    into = scene.folder / "received.tiff"
    scene.machine.begin(scene.engine.receive(into, identity="+4930"))
    document = FaxDocument(url="http://a.example/letter.tiff", pages=wanted, identity="+39 045", header="From Verona")
    component = await scene.begin(SendFax(documents=(document,), report_pages=ReportPages()))
    complete = await scene.complete(component)
    assert complete.reason == FaxFinish(), told(complete)
    assert told(complete)["fax-remote-station-id"] == "+4930"
    result = await scene.machine.end()
    assert result.is_success
    assert result.remote_identity == "+39 045"
    came = pages_of(into)
    for number, here in zip(numbers, came, strict=True):
        there = pages[number - 1]
        assert np.array_equal(rows(here)[-there.height :], rows(there))
        assert not rows(here)[: here.height - there.height].all()
    assert told(complete)["fax-document-total-pages"] == str(len(numbers))
    return result


async def test_pages_come_and_go_over_g711_and_opus_as_they_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All at the same time, as each takes twenty seconds or more."""
    pages = [page(number, height=80) for number in (1, 2, 3, 4)]
    calls: dict[str, Callable[[Scene], Awaitable[object]]] = {
        "comes g711": lambda here: received(here, pages[:1], FINE),
        "comes opus": lambda here: received(here, pages[:3], STANDARD),
        "goes g711": lambda here: sent(here, pages, "3-4,1", [1, 3, 4], STANDARD),
        "goes opus": lambda here: sent(here, pages, "2", [2], FINE),
    }
    async with asyncio.TaskGroup() as tasks:
        for name, act in calls.items():
            tasks.create_task(in_a_call(tmp_path / name, act, fax=name.endswith("g711"), log=caplog))


async def in_the_middle(scene: Scene) -> JID:
    """Of the second page, the first of which has come."""
    noise = Image.frombytes("1", (1728, 1000), random.Random(1).randbytes(1728 * 1000 // 8))
    document = write(scene.folder / "sent.tiff", [page(1, height=60), noise])
    component = await scene.begin(ReceiveFax(report_pages=ReportPages()))
    scene.machine.begin(scene.engine.send(document))
    async with asyncio.timeout(PATIENCE):
        await scene.owner.until((component, FaxPage(number=1)))
        before = scene.machine.heard
        await until(lambda: scene.machine.heard > before + 8 * 8000)  # the page takes two minutes
    assert not any(isinstance(event, Complete) for event in scene.owner.events(component))
    return component


def part(complete: Complete) -> None:
    """What has come until then is there."""
    (fax,) = [each for each in complete.metadata if isinstance(each, Fax)]
    (came,) = pages_of(Path(unquote(urlparse(fax.url).path)))
    assert (fax.pages, fax.resolution) == (1, "1728x60")
    assert np.array_equal(rows(came), rows(page(1, height=60)))
    assert told(complete)["fax-success"] == "0"
    assert told(complete)["fax-document-transferred-pages"] == "1"


async def stopped(scene: Scene) -> None:
    component = await in_the_middle(scene)
    await scene.owner.command(component, Stop())
    complete = await scene.complete(component)
    assert complete.reason == Stopped()
    part(complete)
    await scene.begin(ReceiveFax())  # the line is free again


async def hung_up(scene: Scene) -> None:
    component = await in_the_middle(scene)
    scene.session.hangup(Reason.of("success"))
    complete = await scene.complete(component)
    assert complete.reason == HungUp()
    part(complete)
    await scene.owner.event(End, scene.call)


async def fails(scene: Scene) -> None:
    """As the disk is full when the second page comes."""
    full = IsolatedFax()
    full._options["size"] = 5000
    facilities = scene.focus.server._facilities
    scene.focus.server._facilities = replace(facilities, fax=FaxMachine(full))
    component = await scene.begin(ReceiveFax())
    pages = [page(1, height=60), page(2, height=300)]
    scene.machine.begin(scene.engine.send(write(scene.folder / "sent.tiff", pages)))
    complete = await scene.complete(component)
    assert complete.reason == Failed(text="the fax has failed: a page that came could not be written")
    part(complete)


async def stopped_early(scene: Scene) -> None:
    component = await scene.begin(ReceiveFax())  # nobody calls
    await scene.owner.command(component, Stop())
    complete = await scene.complete(component)
    assert (complete.reason, told(complete)["fax-result-code"]) == (Stopped(), "49")
    component = await scene.begin(ReceiveFax())
    terminal = scene.engine.send(write(scene.folder / "sent.tiff", [page(1)]))
    scene.machine.begin(terminal)
    async with asyncio.timeout(PATIENCE):
        while terminal.result().remote_identity != "+390458077500":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await scene.owner.command(component, Stop())  # while the modems are trained
    assert (await scene.complete(component)).reason == Stopped()
    await scene.begin(ReceiveFax())


async def test_a_fax_that_ends_before_its_time_leaves_what_has_come_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In each phase: before anybody calls, while the modems are trained, in the middle of a page, and behind one."""
    async with asyncio.TaskGroup() as tasks:
        for act in (stopped_early, stopped, hung_up, fails):
            tasks.create_task(in_a_call(tmp_path / act.__name__, act, fax=True, log=caplog))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fax", [True, False], ids=["g711", "opus"])
@pytest.mark.parametrize("resolution", [FINE, STANDARD], ids=["fine", "standard"])
@pytest.mark.parametrize("count", [1, 3])
async def test_whole_pages_come_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fax: bool, resolution: tuple[int, int], count: int
) -> None:
    monkeypatch.setitem(globals(), "PATIENCE", 400.0)
    height = 2290 if resolution == FINE else 1145
    async with scene(tmp_path / "scene", fax=fax) as here:
        await received(here, [page(number, height=height) for number in range(1, count + 1)], resolution)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fax", [True, False], ids=["g711", "opus"])
async def test_the_pages_that_are_wanted_go_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fax: bool
) -> None:
    monkeypatch.setitem(globals(), "PATIENCE", 400.0)
    async with scene(tmp_path / "scene", fax=fax) as here:
        await sent(here, [page(number, height=2290) for number in range(1, 6)], "2,3,5", [2, 3, 5], FINE)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_nobody_who_sends_and_nobody_who_answers_are_errors_in_time(tmp_path: Path) -> None:
    async with scene(tmp_path / "one", fax=True) as one, scene(tmp_path / "other", fax=True) as other:
        write(other.folder / "letter.tiff", [page(1)])
        waiting = await one.begin(ReceiveFax())
        calling = await other.begin(SendFax(documents=(FaxDocument(url="http://a.example/letter.tiff"),)))
        for component, here, code in ((waiting, one, "48"), (calling, other, "2")):
            complete = await here.complete(component)
            assert isinstance(complete.reason, Failed)
            assert told(complete)["fax-result-code"] == code
