"""What is heard: lost packets, random loss, and clocks that drift. On a fake clock, so that hours take a minute."""

import random
import select
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.result import Benchmark, Cell, Column, Result
from benchmarks.workbench import FRAME, RATE, TICKS, Samples, Workbench, cores, frames_of, on_core
from mixer_ext import LegStatistics, Opus, Plane, rtp_build

TICK = 20_000_000  # ns
WINDOW = 240  # samples: 5 ms
# Not 1000 Hz: of that a frame left out or played twice would go unheard, its 20 ms being whole periods.
TONE = 997
AMPLITUDE = 8000
DRIFT = 200e-6
HOUR = 3600  # s
FENCE = b"\xff"


class _Clock:
    def __init__(self) -> None:
        self.ns = TICK

    def now_ns(self) -> int:
        return self.ns


@dataclass
class Line:
    """A leg and what is heard of its peer, who speaks from a real socket. The plane ticks when we say so."""

    heard: list[Samples] = field(default_factory=list)
    depths: list[float] = field(default_factory=list)
    sequence: int = 0

    def __post_init__(self) -> None:
        self._clock = _Clock()
        self._plane = Plane([("127.0.0.1", 0)], clock=self._clock)
        self._plane.start()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._plane.addresses[0])
        self._leg = self._plane.add_leg("quality", ssrc=2, csrc=1)
        self._plane.set_codec(self._leg, payload_type=111)
        self._plane.set_plain(self._leg, self._socket.getsockname())
        self._plane.set_send(self._leg, False)
        self._tap = self._plane.tap(self._leg)
        self._fence = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._fence.bind(("127.0.0.1", 0))

    def say(self, payload: bytes | None) -> None:
        """Send the next packet; None: it gets lost."""
        if payload is not None:
            sequence, timestamp = self.sequence & 0xFFFF, self.sequence * FRAME & 0xFFFFFFFF
            packet = rtp_build(payload_type=111, sequence=sequence, timestamp=timestamp, ssrc=1, payload=payload)
            self._socket.send(packet)
        self.sequence += 1

    def tick(self) -> None:
        """20 ms later: take what has come, and listen."""
        # What comes back from loopback shows that what was sent before has arrived as well.
        self._fence.sendto(FENCE, self._fence.getsockname())
        select.select([self._fence], [], [])
        self._fence.recv(16)
        self._clock.ns += TICK
        self._plane.tick()
        self.heard.append(self._plane.tap_read(self._tap))
        self.depths.append(float(self.stats()["depth_ms"]))

    def run(self, payloads: Iterable[bytes | None]) -> None:
        """One packet a tick."""
        for payload in payloads:
            self.say(payload)
            self.tick()

    def stats(self) -> LegStatistics:
        return self._plane.stats(self._leg)

    def close(self) -> None:
        self._plane.stop()
        self._socket.close()
        self._fence.close()


# --- a lost packet ----------------------------------------------------------------------------------------------------


def _levels(heard: list[Samples]) -> npt.NDArray[np.float64]:
    """dBov of each 5 ms."""
    windows = np.concatenate(heard).reshape(-1, WINDOW).astype(float) / 32768
    levels: npt.NDArray[np.float64] = 10 * np.log10((windows**2).mean(axis=1) + 1e-13)
    return levels


def one_lost(payloads: list[bytes], every: int) -> dict[str, float]:
    """Lose a packet every now and then. holes: milliseconds below -60 dBov where without loss there are more than -40;
    grown_ms: how much deeper the buffer is a second after a loss than before it, at worst.
    """
    whole, holed = Line(), Line()
    whole.run(payloads)
    lost = range(every, len(payloads) - TICKS, every)
    holed.run(None if n in lost else payload for n, payload in enumerate(payloads))
    silent = (_levels(whole.heard) > -40) & (_levels(holed.heard) < -60)
    grown = max(holed.depths[n + TICKS] - holed.depths[n - 1] for n in lost)
    stats = holed.stats()
    for line in (whole, holed):
        line.close()
    return {
        "lost": len(lost),
        "holes_ms": float(silent.sum()) * 5,
        "grown_ms": grown,
        "recovered": stats["recovered"],
        "concealed": stats["concealed"],
    }


def random_loss(payloads: list[bytes], share: float) -> float:
    """Of all frames played, how many came from the codec or its FEC when so many packets get lost."""
    dice = random.Random(20)
    line = Line()
    line.run(None if dice.random() < share else payload for payload in payloads)
    stats = line.stats()
    line.close()
    good = stats["decoded"] + stats["recovered"]
    return float(good / (good + stats["concealed"]))


# --- drift ------------------------------------------------------------------------------------------------------------


def tone_payloads(frames: int) -> list[bytes]:
    """The tone, encoded."""
    opus = Opus(bitrate=64000)
    payloads = []
    for n in range(frames):
        time = np.arange(n * FRAME, (n + 1) * FRAME) / RATE
        payloads.append(opus.encode((AMPLITUDE * np.sin(2 * np.pi * TONE * time)).astype(np.int16)))
    return payloads


def impurity(samples: Samples) -> npt.NDArray[np.float64]:
    """For each 5 ms: what is left when a tone of this frequency, whatever its phase and amplitude, is taken off; as a
    share of the tone.
    """
    time = np.arange(WINDOW) / RATE
    basis = np.stack([np.sin(2 * np.pi * TONE * time), np.cos(2 * np.pi * TONE * time)])
    project = np.linalg.pinv(basis)
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(float)
    rest = windows - windows @ project @ basis
    shares: npt.NDArray[np.float64] = np.sqrt((rest**2).mean(axis=1)) / (AMPLITUDE / np.sqrt(2))
    return shares


def drift(payloads: list[bytes], rate: float) -> dict[str, float]:
    """The tone from a peer whose clock is too fast (or, below 0, too slow) by rate. clicks: runs of windows that are
    less pure than twice the worst of the codec itself; their number, and the bounds of the depth after a second.
    """
    opus = Opus()
    reference = np.concatenate([np.frombuffer(opus.decode(payload), np.int16) for payload in payloads[: 10 * TICKS]])
    allowed = 2 * float(impurity(reference)[TICKS * 4 :].max())
    line = Line()
    bad: list[npt.NDArray[np.bool_]] = []
    for tick in range(int(len(payloads) / (1 + max(0.0, rate)))):
        while line.sequence < len(payloads) and line.sequence <= tick * (1 + rate):
            line.say(payloads[line.sequence])
        line.tick()
        if len(line.heard) == 60 * TICKS:
            _judge(line, allowed, bad, first=tick < 60 * TICKS)
    _judge(line, allowed, bad, first=not bad)
    flags = np.concatenate(bad)
    begun = int((flags & ~np.concatenate([[False], flags[:-1]])).sum())
    stats = line.stats()
    line.close()
    settled = line.depths[TICKS:]
    return {
        "clicks": begun,
        "depth_min_ms": min(settled),
        "depth_max_ms": max(settled),
        "concealed": stats["concealed"],
        "seconds": len(line.depths) / TICKS,
    }


def _judge(line: Line, allowed: float, bad: list[npt.NDArray[np.bool_]], *, first: bool) -> None:
    """Look at what was heard since the last time, and forget it; of the first, not the beginning."""
    if line.heard:
        samples = np.concatenate(line.heard)
        line.heard.clear()
        bad.append(impurity(samples[RATE:] if first else samples) > allowed)


def _quality(bench: Workbench) -> Result:
    rows: list[list[Cell]] = []
    raw: list[object] = []
    rounds = 1 if bench.quick else 10
    with on_core(cores()[0]):
        for fec in (False, True):
            payloads = [payload for n in range(3) for payload in frames_of(bench.frames(f"talk{n}", fec=fec))] * rounds
            bench.say(f"quality: single lost packets, FEC {'on' if fec else 'off'}")
            one = one_lost(payloads, 77)
            raw.append(one)
            label = f"{one['lost']} single packets lost, FEC {'on' if fec else 'off'}"
            rows.append([f"{label}: sound missing, ms", one["holes_ms"], "no audible gap"])
            rows.append([f"{label}: delay a second later, ms more", one["grown_ms"], "0"])
            bench.say(f"quality: random loss, FEC {'on' if fec else 'off'}")
            share = random_loss(payloads, 0.2) * 100
            wanted = ">= 90" if fec else ""
            rows.append([f"20 % random loss, FEC {'on' if fec else 'off'}: % from the codec or its FEC", share, wanted])
        seconds = 20 if bench.quick else HOUR
        bench.say(f"quality: encoding {seconds} s of a tone")
        payloads = tone_payloads(seconds * TICKS)
        for rate in (DRIFT, -DRIFT):
            bench.say(f"quality: {seconds} s of a clock that is off by {rate * 1e6:+.0f} ppm")
            found = drift(payloads, rate)
            raw.append(found)
            label = f"{found['seconds']:.0f} s of a tone, {rate * 1e6:+.0f} ppm"
            rows.append([f"{label}: clicks", found["clicks"], "0"])
            rows.append([f"{label}: delay at least, ms", found["depth_min_ms"], ""])
            rows.append([f"{label}: delay at most, ms", found["depth_max_ms"], "bounded"])
    return Result(
        "quality",
        "What is heard",
        [Column("what"), Column("figure", ".1f"), Column("to reach")],
        rows,
        [
            "On a fake clock, packets through a real socket, listened to with a tap on the leg. Delay: the jitter "
            "buffer's depth.",
            f"The tone is {TONE} Hz; a click is where 5 ms of it are less pure than twice the worst of the codec.",
        ],
        raw,
    )


QUALITY = Benchmark("quality", "lost packets, random loss, drifting clocks, on a fake clock", _quality)
