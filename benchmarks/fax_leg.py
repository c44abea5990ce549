"""Faxes over real legs, ICE, DTLS-SRTP and all, with a network between them that loses packets, in real time."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from benchmarks.fax import TO_REACH, letter
from benchmarks.result import Benchmark, Cell, Column, Result, Unavailable
from benchmarks.workbench import Workbench
from focus.engines.fax import EngineMissing, FaxResult, FaxTerminal
from focus.engines.spandsp.fax import SpandspFax
from focus.jingle.codecs import for_modems, usual
from focus.media.leg import Leg
from focus.media.line import Line
from focus.media.plane import MediaPlane
from focus.wire import ice

CODECS = ("PCMU", "opus")
LOSSES = (0.1, 0.5, 1.0)
CALLS = 12
#: So many calls the modems of both ends, the planes and the codecs leave some time of two cores to.
AT_ONCE = 6
PATIENCE = 60.0
#: Seconds that a fax may take, repetitions of damaged parts included.
LONGEST = 400.0


class _Side(asyncio.DatagramProtocol):
    """Where one of two peers sends, and what the other one sends comes from. Of what is RTP a share is lost."""

    def __init__(self, peer: tuple[str, int], loss: float, seed: int) -> None:
        self.peer = peer
        self.other: _Side | None = None
        self._loss = loss
        self._random = random.Random(seed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        is_rtp = 128 <= data[0] < 192 and not 64 <= data[1] & 0x7F < 96
        if self.other is not None and not (is_rtp and self._random.random() < self._loss):
            self.other.transport.sendto(data, self.other.peer)

    def candidate_of(self, transport: ice.Transport) -> ice.Transport:
        """`transport` of the other peer, as who can only be reached here would signal it."""
        first = transport.candidates[0]
        ip, port = self.transport.get_extra_info("sockname")
        return transport.model_copy(update={"candidates": (first.model_copy(update={"ip": ip, "port": port}),)})


@dataclass
class _Ear:
    """Observer of a leg (`focus.media.leg.LegObserver`)."""

    connected: asyncio.Event = field(default_factory=asyncio.Event)

    def leg_connected(self) -> None:
        self.connected.set()

    def leg_failed(self, reason: str) -> None: ...

    def leg_closed(self) -> None: ...

    def leg_speaking(self, speaking: bool) -> None: ...

    def leg_pressed(self, key: str, duration: float) -> None: ...


@asynccontextmanager
async def _legs(codec: str, loss: float, seed: int) -> AsyncIterator[list[tuple[MediaPlane, Leg]]]:
    """Two that are connected, each in a plane and at a port of its own."""
    async with AsyncExitStack() as stack:
        planes = [MediaPlane([("127.0.0.1", 0)]) for _ in range(2)]
        for plane in planes:
            await plane.start()
            stack.push_async_callback(plane.stop)
        sides = [_Side(plane.addresses[0], loss, 2 * seed + n) for n, plane in enumerate(planes)]
        for side, other in zip(sides, reversed(sides), strict=True):
            side.other = other
            await asyncio.get_running_loop().create_datagram_endpoint(
                lambda side=side: side,  # type: ignore[misc]
                local_addr=("127.0.0.1", 0),
            )
            stack.callback(side.transport.close)
        ears = [_Ear() for _ in planes]
        legs = [
            plane.create_leg(controlling=not n, observer=ear)
            for n, (plane, ear) in enumerate(zip(planes, ears, strict=True))
        ]
        (payload,) = [each for each in for_modems(usual()) if each.name == codec]
        for leg in legs:
            stack.push_async_callback(leg.close)
            leg.set_codec(payload.payload_type(payload.offered_id), level_extension=None)
        first, second = legs
        await first.connect(sides[0].candidate_of(second.local_transport), dtls_role="active")
        await second.connect(sides[1].candidate_of(first.local_transport), dtls_role="passive")
        async with asyncio.timeout(PATIENCE):
            for ear in ears:
                await ear.connected.wait()
        for plane, leg in zip(planes, legs, strict=True):
            plane.set_modem(leg.node, True)
        yield list(zip(planes, legs, strict=True))


async def _end(plane: MediaPlane, leg: Leg, terminal: FaxTerminal) -> FaxResult:
    """What comes of one end of a call."""
    running = asyncio.create_task(Line(plane, leg.node, terminal.exchange).run())
    try:
        async with asyncio.timeout(LONGEST):
            while not terminal.is_over:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.1)
            await asyncio.sleep(2)  # the other end has something to say still
    except TimeoutError:
        terminal.terminate()
    finally:
        running.cancel()
        await asyncio.wait((running,))
        terminal.close()
    return terminal.result()


async def _call(sent: Path, received: Path, codec: str, loss: float, seed: int) -> tuple[FaxResult, FaxResult, bool]:
    """What comes of both ends, and whether the planes were late by more than a tick meanwhile."""
    engine = SpandspFax()
    async with _legs(codec, loss / 100, seed) as ends:
        terminals = (engine.send(sent), engine.receive(received))
        sender, receiver = await asyncio.gather(
            *(_end(plane, leg, terminal) for (plane, leg), terminal in zip(ends, terminals, strict=True))
        )
        return sender, receiver, any(plane.snapshot()["skipped_ticks"] for plane, _ in ends)


async def _all(bench: Workbench, codec: str, losses: Sequence[float], calls: int) -> list[list[Cell]]:
    sent = letter(bench.directory / "sent.tiff", 1)
    asked = [(loss, seed) for loss in losses for seed in range(calls)]
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, loss: float, seed: int) -> tuple[FaxResult, FaxResult, bool]:
        async with room:
            return await _call(sent, bench.directory / f"received-{number}.tiff", codec, loss, seed)

    results = await asyncio.gather(*(one(number, *each) for number, each in enumerate(asked)))
    rows: list[list[Cell]] = []
    for loss in losses:
        mine = [result for result, (lost, _) in zip(results, asked, strict=True) if lost == loss]
        rates = [receiver.transfer_rate for _, receiver, _ in mine if receiver.is_success]
        rows.append(
            [
                codec,
                loss,
                100 * sum(sender.is_success for sender, _, _ in mine) / calls,
                100 * sum(receiver.is_success for _, receiver, _ in mine) / calls,
                sum(rates) / len(rates) if rates else None,
                TO_REACH[loss] if codec == "PCMU" else None,
                sum(late for _, _, late in mine),
            ]
        )
    return rows


def _fax_leg(bench: Workbench) -> Result:
    losses, calls = ((0.0,), 1) if bench.quick else (LOSSES, CALLS)
    rows = []
    try:
        for codec in CODECS[: 1 if bench.quick else None]:
            bench.say(f"fax-leg: {codec}, {calls} faxes each with {', '.join(f'{loss:g} %' for loss in losses)} lost")
            rows += asyncio.run(_all(bench, codec, losses, calls))
    except EngineMissing as missing:
        raise Unavailable(str(missing)) from None
    return Result("fax-leg", "Faxes of one page over calls that lose packets", COLUMNS, rows, [LEGEND], rows)


COLUMNS = (
    Column("codec"),
    Column("lost, %", "g"),
    Column("sent, %", ".0f"),
    Column("received, %", ".0f"),
    Column("bit/s", ".0f"),
    Column("to reach, %"),
    Column("disturbed"),
)
LEGEND = (
    f"{CALLS} faxes of a page of A4 each, with ECM, in real time, {AT_ONCE} at once. Sent: the sender has the "
    "receipt; received: the receiver has sent it; bit/s of those, on average. To reach: see fax-loss. disturbed: calls "
    "in which one of the planes has left out a tick, as the machine had no time for it."
)
FAX_LEG = Benchmark("fax-leg", "faxes over calls that lose packets, in real time", _fax_leg)
