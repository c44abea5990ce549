"""Faxes faster than a line: how many survive lost packets, and what a page costs."""

import functools
import random
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.result import Benchmark, Cell, Column, Result, Unavailable
from benchmarks.workbench import Workbench, cores, on_core
from focus.engines import tiff
from focus.engines.fax import SAMPLE_RATE, Concealment, EngineMissing, FaxEngine, FaxTerminal, Samples
from focus.engines.spandsp.fax import SpandspFax
from focus.engines.spandsp.isolation import IsolatedFax

FRAME = SAMPLE_RATE // 50
A4 = (1728, 2290)
LONGEST = 600 * 50  # frames that a call may have

#: How many of a hundred faxes with error correction were counted on, by the percentage of packets lost. A modem that
#: was tried apart from all this had them.
TO_REACH = {0.0: 100, 0.1: 83, 0.25: 92, 0.5: 83, 1.0: 58, 2.0: 0}
CALLS = 48
AT_ONCE = 10


@functools.cache
def _companded() -> Samples:
    """What becomes of each sample on its way through G.711, µ-law; at sample & 0xFFFF."""
    linear = np.arange(-32768, 32768).astype(np.int16).view(np.uint16).astype(np.int64)
    signed = linear.astype(np.uint16).view(np.int16).astype(np.int64)
    magnitude = np.minimum(np.abs(signed), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int64) - 7
    mantissa = (magnitude >> (exponent + 3)) & 15
    decoded = np.sign(signed) * ((((mantissa << 3) + 132) << exponent) - 132)
    table = np.zeros(65536, np.int16)
    table[linear] = decoded
    return table


class _Way:
    """One way of a line: packets of 20 ms, µ-law, some lost."""

    def __init__(self, loss: float, seed: int) -> None:
        self._loss = loss
        self._random = random.Random(seed)
        self._concealment = Concealment()

    def carry(self, frame: Samples) -> Samples:
        if self._random.random() < self._loss:
            return self._concealment.lost(len(frame))
        return self._concealment.arrived(_companded()[frame.view(np.uint16)])


def letter(path: Path, pages: int) -> Path:
    """Pages with as much on them as a letter has, of a kind that takes 30 s at 14400 bit/s."""
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise Unavailable("fax needs Pillow") from None
    made = []
    for number in range(1, pages + 1):
        page = Image.new("1", A4, 1)
        draw = ImageDraw.Draw(page)
        draw.rectangle((100, 100, A4[0] - 100, A4[1] - 100), outline=0, width=4)
        for row in range(40):
            text = f"page {number}, row {row}: the quick brown fox jumps over the lazy dog; "
            draw.text((150, 150 + 50 * row), text * 3, fill=0)
        made.append(page)
    made[0].save(path, compression="group4", dpi=(204, 196), save_all=True, append_images=made[1:])
    return path


class _Call:
    """A fax between two terminals of ours."""

    def __init__(self, engine: FaxEngine, document: Path, received: Path, *, loss: float = 0.0, seed: int = 0) -> None:
        try:
            self.sender: FaxTerminal = engine.send(document)
            self.receiver: FaxTerminal = engine.receive(received)
        except EngineMissing as missing:
            raise Unavailable(str(missing)) from None
        self.received = received
        self.frames = 0
        self._ways = _Way(loss, 2 * seed), _Way(loss, 2 * seed + 1)
        self._heard = [np.zeros(FRAME, np.int16)] * 2

    def step(self) -> bool:
        """20 ms of it; whether it goes on."""
        said = self.sender.exchange(self._heard[0]), self.receiver.exchange(self._heard[1])
        self._heard = [self._ways[1].carry(said[1]), self._ways[0].carry(said[0])]
        self.frames += 1
        return self.frames < LONGEST and not (self.sender.is_over and self.receiver.is_over)

    def end(self) -> None:
        self.sender.close()
        self.receiver.close()


def _loss(bench: Workbench) -> Result:
    calls = 1 if bench.quick else CALLS
    losses = [0.0, 0.5] if bench.quick else sorted(TO_REACH)
    document = letter(bench.directory / "sent.tiff", 1)
    rows: list[list[Cell]] = []
    raw = []
    for loss in losses:
        row: list[Cell] = [loss]
        for ecm in (True, False):
            bench.say(f"fax-loss: {loss:g} %, {'with' if ecm else 'without'} error correction, {calls} faxes")
            engine = SpandspFax(ecm=ecm)
            sent = received = damaged = seconds = 0.0
            for seed in range(calls):
                call = _Call(engine, document, bench.directory / "received.tiff", loss=loss / 100, seed=seed)
                while call.step():
                    pass
                call.end()
                results = call.sender.result(), call.receiver.result()
                raw.append([loss, ecm, seed, *(result.code for result in results), results[0].transfer_rate])
                sent += results[0].is_success
                received += results[1].is_success
                if results[1].is_success:
                    damaged += results[1].bad_rows
                    seconds += call.frames / 50
            row += [100 * sent / calls, 100 * received / calls, seconds / received if received else None]
            if not ecm:
                row.append(100 * damaged / (received * A4[1]) if received else None)
        rows.append([*row, TO_REACH[loss]])
    return Result(
        "fax-loss",
        "Faxes of one page over a line that loses packets",
        [
            Column("lost, %", "g"),
            Column("sent with ECM, %", ".0f"),
            Column("received, %", ".0f"),
            Column("s", ".0f"),
            Column("without ECM: sent, %", ".0f"),
            Column("received, %", ".0f"),
            Column("s", ".0f"),
            Column("rows damaged, %", ".1f"),
            Column("to reach, ECM, %"),
        ],
        rows,
        [
            f"{calls} faxes each, both ends ours, µ-law, packets of 20 ms lost at random both ways, each replaced by "
            "the one before. Sent: the sender has the receipt; received: the receiver has sent it. s: how long the "
            "line was busy where it was received.",
        ],
        raw,
    )


def _cpu() -> float:
    """Of this thread, and of processes that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time() + ended.ru_utime + ended.ru_stime


def _cost(bench: Workbench) -> Result:
    many = f"{AT_ONCE} faxes of 1 page at once, ECM"
    counts: Sequence[tuple[str, int, int, FaxEngine]] = (
        ("1 page, ECM", 1, 1, SpandspFax()),
        ("1 page, without ECM", 1, 1, SpandspFax(ecm=False)),
        ("3 pages, ECM", 3, 1, SpandspFax()),
        (many, 1, AT_ONCE, SpandspFax()),
        (f"{many}, each end a process", 1, AT_ONCE, IsolatedFax()),
    )
    rows: list[list[Cell]] = []
    with on_core(cores()[0]):
        _Call(SpandspFax(), letter(bench.directory / "sent.tiff", 1), bench.directory / "none").end()  # loads it
        for what, pages, at_once, engine in counts[-2:-1] if bench.quick else counts:
            bench.say(f"fax: {what}")
            document = letter(bench.directory / "sent.tiff", pages)
            cpu, starting = _cpu(), time.monotonic()
            calls = [_Call(engine, document, bench.directory / f"received{n}.tiff") for n in range(at_once)]
            starting = time.monotonic() - starting
            slowest = 0.0
            active = calls
            while active:
                began = time.monotonic()
                active = [call for call in active if call.step()]
                slowest = max(slowest, time.monotonic() - began)
            for call in calls:
                call.end()
            cpu = _cpu() - cpu
            whole = sum(len(tiff.read(call.received)) for call in calls if call.sender.result().is_success)
            line = sum(call.frames for call in calls) / 50
            row: list[Cell] = [what, whole, line / at_once, cpu, 1000 * cpu / (2 * pages * at_once), line / cpu]
            rows.append([*row, 1000 * slowest, 1000 * starting / (2 * at_once)])
    return Result(
        "fax",
        "What a fax costs",
        [
            Column("what"),
            Column("pages received"),
            Column("s of the line", ".0f"),
            Column("s of CPU", ".3f"),
            Column("ms for a page and end", ".1f"),
            Column("calls on a core", ".0f"),
            Column("longest step, ms", ".1f"),
            Column("start of an end, ms", ".1f"),
        ],
        rows,
        [
            "14400 bit/s, A4, fine; both ends ours, on one core, with the line between them. A step: 20 ms of all "
            "calls; it and the start are by the clock. Calls on a core: seconds of lines divided by those of CPU, a "
            "call being both its ends.",
        ],
    )


FAX = Benchmark("fax", "what faxes cost, one and ten at once", _cost)
FAX_LOSS = Benchmark("fax-loss", "faxes over lines that lose packets", _loss)
