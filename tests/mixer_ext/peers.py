"""The other ends of the plane's legs: real UDP sockets on loopback, real Opus, time that stands still between ticks."""

import math
import os
import select
import socket
import struct
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mixer_ext import Companded, Event, Opus, Plane, RtpPacket, Srtp, rtp_build, rtp_parse

TICK = 20_000_000
FRAME = 960
RATE = 48000
OPUS = 111
AMPLITUDE = 8000

Samples = npt.NDArray[np.int16]


class FakeClock:
    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def now_ns(self) -> int:
        return self.ns


def tone(frequency: float, frames: int, start: int = 0, amplitude: float = AMPLITUDE) -> Samples:
    """frames x 960 samples of a sine that goes on from frame `start`."""
    time = np.arange(start * FRAME, (start + frames) * FRAME) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def loudness(samples: Samples, frequency: float) -> float:
    """dB of a tone in samples."""
    spectrum = np.abs(np.fft.rfft(samples.astype(float) * np.hanning(len(samples))))
    line = round(frequency * len(samples) / RATE)
    return float(20 * np.log10(spectrum[line - 2 : line + 3].max() + 1e-9))


def stun(username: str | None, *, kind: int = 0x0001, transaction: bytes | None = None) -> bytes:
    """A STUN message with a USERNAME, without integrity: the plane does not look at that."""
    attribute = b""
    if username is not None:
        value = username.encode()
        attribute = struct.pack("!HH", 6, len(value)) + value + bytes(-len(value) % 4)
    return struct.pack("!HHI", kind, len(attribute), 0x2112A442) + (transaction or os.urandom(12)) + attribute


@dataclass
class Peer:
    """One participant: what it sends is numbered and stamped as a client would."""

    ssrc: int = 5
    sequence: int = 65500
    timestamp: int = 1000
    payload_type: int = OPUS
    family: int = socket.AF_INET
    codec: Opus | Companded = field(default_factory=Opus)
    unit: int = 1  # samples in a unit of RTP time
    outbound: Srtp | None = None
    inbound: Srtp | None = None
    rtp: list[RtpPacket] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)  # the same, as they came
    rtcp: list[bytes] = field(default_factory=list)
    other: list[bytes] = field(default_factory=list)
    heard: list[Samples] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        self.socket.bind(("::1" if self.family == socket.AF_INET6 else "127.0.0.1", 0))
        self.socket.setblocking(False)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.socket.getsockname()[:2]
        return host, port

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.socket.sendto(data, to)
        self._settle()

    def _settle(self) -> None:
        """Wait for a datagram to oneself: then what was sent before it has arrived too."""
        fence = os.urandom(16)
        self.socket.sendto(b"\xff" + fence, self.address)
        while True:
            assert select.select([self.socket], [], [], 60)[0]
            data = self.socket.recv(4096)
            if data == b"\xff" + fence:
                return
            self._take(data)

    def packet(self, samples: Samples | bytes, **changes: object) -> bytes:
        """The next packet with these samples, or this payload."""
        payload = samples if isinstance(samples, bytes) else self.codec.encode(samples)
        values = {
            "payload_type": self.payload_type,
            "sequence": self.sequence,
            "timestamp": self.timestamp,
            "ssrc": self.ssrc,
            "payload": payload,
        }
        packet = rtp_build(**(values | changes))  # type: ignore[arg-type]
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + FRAME // self.unit) & 0xFFFFFFFF
        return self.outbound.protect(packet) if self.outbound else packet

    def say(self, samples: Samples | bytes, to: tuple[str, int], **changes: object) -> None:
        self.send(self.packet(samples, **changes), to)

    def _take(self, data: bytes) -> None:
        if not 128 <= data[0] <= 191:
            self.other.append(data)
        elif 192 <= data[1] <= 223:
            self.rtcp.append(self.inbound.unprotect_rtcp(data) if self.inbound else data)
        else:
            self.raw.append(self.inbound.unprotect(data) if self.inbound else data)
            packet = rtp_parse(self.raw[-1])
            self.rtp.append(packet)
            self.heard.append(np.frombuffer(self.codec.decode(packet.payload), np.int16))

    def receive(self) -> None:
        """Take all that has come."""
        self._settle()

    def close(self) -> None:
        self.socket.close()


class Stage:
    """A plane on a fake clock, and peers with plain legs."""

    def __init__(
        self, addresses: tuple[tuple[str, int], ...] = (("127.0.0.1", 0),), *, relief: float = math.inf
    ) -> None:
        self.clock = FakeClock()
        self.plane = Plane(addresses, clock=self.clock, relief=relief)
        self.plane.start()
        self.peers: dict[int, Peer] = {}
        self.events: list[Event] = []
        self.ticks = 0

    def peer(self, **values: object) -> tuple[int, Peer]:
        """A leg with its peer; the n-th sends SSRC n and is CSRC 1000 + n in mixes."""
        number = len(self.peers) + 1
        codec = {
            key: values.pop(key)
            for key in ("fec", "dtx", "level_extension", "mixed_extension", "bitrate")
            if key in values
        }
        peer = Peer(ssrc=number, **values)  # type: ignore[arg-type]
        leg = self.plane.add_leg(f"fragment{number}", ssrc=100 + number, csrc=1000 + number)
        self.plane.set_codec(leg, payload_type=OPUS, **codec)  # type: ignore[arg-type]
        self.plane.set_plain(leg, peer.address)
        self.peers[leg] = peer
        return leg, peer

    @property
    def address(self) -> tuple[str, int]:
        return self.plane.addresses[0]

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.ns += TICK
            self.plane.tick()
            self.events += self.plane.poll()
            self.ticks += 1
            for peer in self.peers.values():
                peer.receive()

    def run(self, frames: int, tones: dict[int, float]) -> None:
        """So many frames in which these legs' peers send these tones."""
        for _ in range(frames):
            for leg, frequency in tones.items():
                peer = self.peers[leg]
                peer.say(tone(frequency, 1, self.ticks), self.address)
            self.tick()

    def close(self) -> None:
        self.plane.stop()
        for peer in self.peers.values():
            peer.close()
