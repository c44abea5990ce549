"""What is fuzzed. A target takes any bytes and returns; if it raises, or the sanitizers object, that is a finding.

Nothing here looks into the extension: what strangers can reach is reached as they would, over a socket where there is
no other way. The clock is ours, so an input does the same each time.
"""

import contextlib
import functools
import hmac
import socket
import struct
from collections.abc import Callable
from typing import Literal

import numpy as np

from mixer_ext import Companded, JitterBuffer, Opus, Plane, Srtp, rtp_audio_level, rtp_build, rtp_parse
from mixer_ext.dtmf import TelephoneEvents

FRAME = 960
TICK = 20_000_000
OPUS, EVENTS = 111, 101
PROFILES = {"AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44, "AES_CM_128_HMAC_SHA1_80": 30}
UFRAG = "fragment"
PASSWORD = b"a password of ours"
DEEPEST = 70 * 5760  # samples in a full jitter buffer, with room for what is decoded
Target = Callable[[bytes], None]


class Script:
    """The bytes of an input, taken from the front; an input that ends early reads as zeros."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0] if self else 0

    def word(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def block(self) -> bytes:
        """So many bytes as the first says; 255: so many as the next two say."""
        count = self.byte()
        return self.take(self.word() % 3000 if count == 255 else count)


def exact(data: bytes) -> memoryview:
    """A copy with nothing behind its last byte, so that reading on is noticed."""
    return np.frombuffer(data, np.uint8).copy().data


def rtp(data: bytes) -> None:
    """A packet is refused, or what is found in it lies within it, and built again reads the same."""
    view = exact(data)
    levels: list[tuple[int, bool] | Literal["refused"] | None] = []
    for identifier in (1, 3, 14, 15, 16, 255):
        try:
            levels.append(rtp_audio_level(view, identifier))
        except ValueError:
            levels.append("refused")
    try:
        packet = rtp_parse(view)
    except ValueError:
        assert levels == ["refused"] * 6
        return
    assert "refused" not in levels
    assert 12 + 4 * len(packet.csrcs) + len(packet.extension) + len(packet.payload) <= len(data)
    if len(packet.payload) <= 1900:
        again = rtp_build(
            payload_type=packet.payload_type,
            marker=packet.marker,
            sequence=packet.sequence,
            timestamp=packet.timestamp,
            ssrc=packet.ssrc,
            csrcs=packet.csrcs,
            payload=packet.payload,
        )
        assert rtp_parse(again) == packet._replace(extension_profile=None, extension=b"")


def opus(data: bytes) -> None:
    """Payloads one after another into one decoder: each is refused or is 2.5 to 120 ms of sound."""
    script = Script(data)
    codec = Opus()
    while script:
        try:
            sound = codec.decode(script.block())
        except ValueError:
            continue
        assert 0 < len(sound) <= 2 * 5760
        assert len(sound) % 240 == 0


def jitter(data: bytes) -> None:
    """Packets at any place in any order, and pulls between them: always a frame, always in bounds."""
    script = Script(data)
    buffer = JitterBuffer()
    sequence = timestamp = 0
    while script:
        step = script.byte()
        if step < 90:
            assert len(buffer.pull()) == FRAME
        elif step < 92:
            buffer.pin(script.byte() % 101 + 20 if step & 1 else 0)
        elif step < 94:
            buffer.spare(bool(step & 1))
        elif step < 96:
            buffer.rouse()
        elif step < 192:  # the next one
            sequence += 1
            timestamp += FRAME
            _push(buffer, sequence, timestamp, script.block())
        elif step < 224:  # close by
            _push(buffer, sequence + step - 208, timestamp + (step - 208) * FRAME, script.block())
        else:  # somewhere else
            sequence, timestamp = sequence + script.word(), timestamp + script.word() * 120
            _push(buffer, sequence, timestamp, script.block())
        assert 0 <= buffer.depth <= DEEPEST
    for _ in range(3):
        assert len(buffer.pull()) == FRAME


def _push(buffer: JitterBuffer, sequence: int, timestamp: int, payload: bytes) -> None:
    with contextlib.suppress(ValueError):
        buffer.push(sequence & 0xFFFF, timestamp & 0xFFFFFFFF, payload)


def g711(data: bytes) -> None:
    """Payloads and losses in any order."""
    script = Script(data)
    codec = Companded("pcma" if script.byte() & 1 else "pcmu")
    while script:
        step = script.byte()
        if step < 64:
            steps = 1 + step % 48
            assert len(codec.conceal(steps * 120)) == steps * 240
        else:
            with contextlib.suppress(ValueError):
                assert 0 < len(codec.decode(script.block())) <= 2 * 5760


def dtmf(data: bytes) -> None:
    """Payloads of telephone events at any number and time: each told is a key, and none is told that was not sent."""
    script = Script(data)
    first = script.byte()
    events = TelephoneEvents(rate=(8000, 48000)[first & 1], clock=(8000, 48000)[first >> 1 & 1])
    sequence = timestamp = now = told = 0
    while script:
        step = script.byte()
        if step < 64:
            now += (step + 1) * TICK
            for digit, length in events.pull(now):
                assert digit in "0123456789*#ABCD!"
                assert 0 <= length <= 0x7FFFFFFF
                told += 1
            continue
        if step < 192:
            sequence += 1 if step & 1 else step - 128
        else:
            sequence, timestamp = sequence + script.word(), timestamp + script.word() * 40
        payload = script.block()
        try:
            events.push(sequence, timestamp & 0xFFFFFFFF, payload, marker=bool(step & 2), now_ns=now)
        except ValueError:
            assert len(payload) % 4 or not payload
    told += len(events.pull(now + 10**9))
    counters = events.counters
    assert told + counters["dropped"] == counters["received"]


def srtp(data: bytes) -> None:
    """Packets with any header are protected and come out again as they were, once; damaged ones never come out."""
    script = Script(data)
    first = script.byte()
    profile, size = list(PROFILES.items())[first % 3]
    rtcp = bool(first & 4)
    ssrc = 0xCAFEBABE
    sender, receiver = Srtp(profile, bytes(range(size)), ssrc), Srtp(profile, bytes(range(size)))
    protect, unprotect = (
        (sender.protect_rtcp, receiver.unprotect_rtcp) if rtcp else (sender.protect, receiver.unprotect)
    )
    while script:
        step, packet = script.byte(), bytearray(script.block())
        if step < 64:  # anything, from outside
            _refused(unprotect, bytes(packet))
            continue
        at = 4 if rtcp else 8
        if step < 192:
            packet[at : at + 4] = struct.pack("!I", ssrc)
        try:
            sealed = protect(bytes(packet))
        except ValueError:
            continue
        if step & 1:
            damage = script.word() % len(sealed)
            _refused(unprotect, sealed[:damage])
            _refused(unprotect, sealed[:damage] + bytes([sealed[damage] ^ (script.byte() or 1)]) + sealed[damage + 1 :])
        try:
            opened = unprotect(sealed)
        except ValueError:
            continue  # older than the window, or from another SSRC
        assert opened == packet
        _refused(unprotect, sealed)


def _refused(unprotect: Callable[[bytes], bytes], packet: bytes) -> None:
    try:
        unprotect(packet)
    except ValueError:
        return
    raise AssertionError("a packet that nobody has made was taken")


class Clock:
    def __init__(self) -> None:
        self.ns = 10**9

    def now_ns(self) -> int:
        return self.ns


class Loopback:
    """A plane on our clock, and sockets from which it is sent things: each on an address of its own."""

    def __init__(self, sockets: int) -> None:
        self.clock = Clock()
        self.plane = Plane([("127.0.0.1", 0)], clock=self.clock)
        self.plane.start()
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(sockets)]
        for each in self.sockets:
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        self.addresses = [each.getsockname() for each in self.sockets]

    def send(self, number: int, data: bytes, plane: Plane | None = None) -> None:
        """plane: another one than ours."""
        with contextlib.suppress(OSError):
            self.sockets[number].sendto(data, (plane or self.plane).addresses[0])

    def tick(self) -> list[list[bytes]]:
        """20 ms; what each socket was sent in them."""
        self.clock.ns += TICK
        self.plane.tick()
        return [self._received(each) for each in self.sockets]

    def _received(self, which: socket.socket) -> list[bytes]:
        received = []
        while True:
            try:
                received.append(which.recv(4096))
            except BlockingIOError:
                return received

    def close(self) -> None:
        self.plane.stop()
        for each in self.sockets:
            each.close()


_loopbacks: dict[int, Loopback] = {}


def _loopback(sockets: int) -> Loopback:
    """One for all inputs, so that there are many a second; legs are made anew for each."""
    if sockets not in _loopbacks:
        _loopbacks[sockets] = Loopback(sockets)
    loop = _loopbacks[sockets]
    loop.clock.ns += 10**9  # the limits of what a source may send are full again
    return loop


def rtcp(data: bytes) -> None:
    """Compound packets to a leg that has been sent sound: the statistics stay within what they mean."""
    loop = _loopback(1)
    leg = loop.plane.add_leg(UFRAG, ssrc=101, csrc=1)
    loop.plane.set_codec(leg, payload_type=OPUS)
    loop.plane.set_plain(leg, loop.addresses[0])
    loop.plane.set_send(leg, False)
    loop.send(0, rtp_build(payload_type=OPUS, sequence=1, timestamp=0, ssrc=5, payload=b"\xf8\xff\xfe"))
    script = Script(data)
    while script:
        loop.send(0, script.block())
        loop.tick()
    stats = loop.plane.stats(leg)
    assert 0 <= stats["remote_fraction_lost"] < 1
    assert -1 <= stats["rtt_ms"] < 60_000
    loop.plane.remove_leg(leg)
    loop.plane.poll()
    loop.tick()


def stun(data: bytes) -> None:
    """Datagrams from a stranger: what is handed up is STUN for this leg, or a response to what was asked."""
    loop = _loopback(2)
    leg = loop.plane.add_leg(UFRAG, ssrc=101, csrc=1)
    loop.plane.allow(leg, 0, loop.addresses[1])
    loop.plane.set_remote(leg, 0, loop.addresses[1])
    loop.plane.set_consent(leg, PASSWORD, controlling=False)
    asked = struct.pack("!HHI", 1, 16, 0x2112A442) + bytes(12) + struct.pack("!HH", 6, 10) + b"x:fragment\0\0"
    loop.plane.send(0, loop.addresses[1], asked)
    script = Script(data)
    while script:
        kind, datagram = script.byte(), script.block()
        if kind & 4:
            datagram = _with_integrity(datagram)
        if kind & 2 and datagram:
            with contextlib.suppress(ValueError):
                loop.plane.send(0, loop.addresses[1], exact(datagram))
        else:
            loop.send(kind & 1, datagram)
        stranger, peer = loop.tick()
        assert stranger == []
        for answer in peer:
            assert answer in (asked, datagram) or (answer[:2] == b"\1\1" and answer[4:20] == datagram[4:20])
        for event in loop.plane.poll():
            assert event[0] in ("stun", "dtls")
            assert event[1] == leg
            assert event[4] == datagram
    loop.plane.remove_leg(leg)
    loop.tick()
    loop.plane.poll()


def _with_integrity(message: bytes) -> bytes:
    """As a peer ends it that knows the password (RFC 8489 section 14.5)."""
    message = message[:2] + struct.pack("!H", (len(message) + 4) & 0xFFFF) + message[4:]
    return message + b"\0\x08\0\x14" + hmac.digest(PASSWORD, message, "sha1")


class Side:
    """A plane, and what is there."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.nodes: list[int] = []
        self.taps: list[int] = []


class Actions:
    """A plane to which anything may happen, and a second one that can be linked with it: calls of ours in any order,
    and datagrams of theirs. In some inputs two who have nothing to do with it talk to each other meanwhile, and must
    not notice: what they are sent is bit for bit what they are sent when nothing happens.
    """

    CODECS = ("opus", "pcmu", "pcma")
    TICKS = 60
    FRIENDS = (4, 5)

    def __init__(self, script: Script) -> None:
        self.script = script
        self.loop = Loopback(6)
        self.here = self.side = Side(self.loop.plane)
        self.there: Side | None = None
        self.legs = 0
        self.ticks = 0
        self.heard: list[list[bytes]] = [[], []]
        self.friends: list[int] = []
        self.room = 0
        if script.byte() < 64:  # they cost more than all the rest
            self.room = self.plane.add_mixer()
            self.friends = [self._friend(number, self.room) for number in self.FRIENDS]

    @property
    def plane(self) -> Plane:
        return self.side.plane

    @property
    def nodes(self) -> list[int]:
        return self.side.nodes

    @property
    def taps(self) -> list[int]:
        return self.side.taps

    def _friend(self, number: int, room: int) -> int:
        leg = self.plane.add_leg(f"friend{number}", ssrc=number, csrc=number)
        self.plane.set_codec(leg, payload_type=OPUS)
        self.plane.set_plain(leg, self.loop.addresses[number])
        self.plane.join(leg, room)
        return leg

    def run(self) -> list[list[bytes]]:
        """Do all that the script says; what the friends were sent, payload by payload."""
        acts = (
            self.tick, self.tick, self.dial, self.datagram, self.datagram, self.speech, self.delay, self.report,
            self.add_leg, self.add_leg, self.add_mixer, self.remove, self.join, self.volume, self.unjoin, self.codec,
            self.codec, self.keys, self.plain, self.remote, self.allow, self.mute, self.hold, self.send, self.play,
            self.tap, self.tap_read, self.tap_close, self.poll, self.stats, self.listener_gain, self.agc, self.pin,
            self.loudest, self.link, self.cross, self.consent, self.forget, self.stall,
        )  # fmt: skip
        while self.script:
            with contextlib.suppress(ValueError):
                acts[self.script.byte() % len(acts)]()
        for _ in range(3):
            self.tick()
        for leg in self.friends:
            stats = self.here.plane.stats(leg)
            assert stats["received"] == stats["sent"] == self.ticks
        self.loop.close()
        if self.there:
            self.there.plane.stop()
        return self.heard

    def node(self) -> int:
        """One of ours, or, now and then, one that is not there."""
        choice = self.script.byte()
        return self.nodes[choice % len(self.nodes)] if self.nodes and choice < 250 else 10_000 + choice

    def stranger(self) -> int:
        return self.script.byte() % 4

    def tick(self) -> None:
        if self.ticks == self.TICKS:
            return
        for number, payload, _ in zip(self.FRIENDS, _small_talk(), self.friends, strict=False):
            packet = rtp_build(
                payload_type=OPUS,
                sequence=self.ticks,
                timestamp=FRAME * self.ticks,
                ssrc=number,
                payload=payload[self.ticks % len(payload)],
            )
            self.loop.send(number, packet)
        self.ticks += 1
        sent = self.loop.tick()
        if self.there:
            self.there.plane.tick()
        for number, packets, heard in zip(self.FRIENDS, sent[4:], self.heard, strict=True):
            for packet in packets:
                if not 192 <= packet[1] <= 223:
                    parsed = rtp_parse(packet)
                    assert set(parsed.csrcs) <= set(self.FRIENDS) - {number}
                    heard.append(parsed.payload)

    def datagram(self) -> None:
        self.loop.send(self.stranger(), self.script.block(), self.plane)

    def speech(self) -> None:
        """A packet that might be one of a leg's."""
        number, kind = self.stranger(), self.script.byte()
        ssrc = number + 1 + (kind & 1)
        packet = rtp_build(
            payload_type=OPUS if kind & 2 else EVENTS if kind & 4 else kind >> 4,
            sequence=self.script.byte() + 65400,
            timestamp=self.script.byte() * FRAME // (1 if kind & 2 else 6),
            ssrc=ssrc,
            level_extension=3 if kind & 8 else 0,
            payload=self.script.block()[:1400],
        )
        self._seal(number, packet, ssrc, rtcp=False)

    def report(self) -> None:
        number = self.stranger()
        ssrc = number + 1
        body = struct.pack("!I", ssrc) + self.script.block()
        first, kind = 0x80 | self.script.byte() & 0x3F, 192 + self.script.byte() % 32
        self._seal(number, struct.pack("!BBH", first, kind, len(body) // 4) + body, ssrc, rtcp=True)

    def _seal(self, number: int, packet: bytes, ssrc: int, *, rtcp: bool) -> None:
        if self.script.byte() & 1:
            sender = Srtp("AEAD_AES_128_GCM", bytes(28), ssrc)
            packet = sender.protect_rtcp(packet) if rtcp else sender.protect(packet)
        self.loop.send(number, packet, self.plane)

    def add_leg(self) -> None:
        if len(self.nodes) < 12:
            self.legs += 1
            number = self.legs
            leg = self.plane.add_leg(f"u{number % 8}", ssrc=100 + number, csrc=1000 + number)
            self.nodes.append(leg)
            choice = self.script.byte()
            if choice & 3:
                self.plane.set_codec(leg, payload_type=OPUS, level_extension=3, fec=bool(choice & 8))
                self.plane.set_plain(leg, self.loop.addresses[choice >> 4 & 3])

    def add_mixer(self) -> None:
        if len(self.nodes) < 12:
            self.nodes.append(self.plane.add_mixer())

    def remove(self) -> None:
        node = self.node()
        try:
            self.plane.remove_leg(node)
        except ValueError:
            self.plane.remove_mixer(node)
        if node in self.nodes:
            self.nodes.remove(node)

    def join(self) -> None:
        ways = self.script.byte()
        self.plane.join(self.node(), self.node(), a_to_b=bool(ways & 1), b_to_a=bool(ways & 2))

    def unjoin(self) -> None:
        self.plane.unjoin(self.node(), self.node())

    def codec(self) -> None:
        choice = self.script.byte()
        name = self.CODECS[choice % 3]
        self.plane.set_codec(
            self.node(),
            payload_type={"opus": OPUS, "pcmu": 0, "pcma": 8}[name],
            name=name,
            bitrate=6000 + 100 * choice,
            fec=bool(choice & 8),
            dtx=bool(choice & 16),
            level_extension=choice >> 5,
            mixed_extension=4 if choice & 4 else 0,
            telephone_events={EVENTS: 48000 if name == "opus" else 8000} if choice & 2 else {},
        )

    def keys(self) -> None:
        self.plane.set_srtp(self.node(), "AEAD_AES_128_GCM", bytes(28), bytes(28))

    def plain(self) -> None:
        choice = self.script.byte()
        address = self.loop.addresses[choice % 4] if choice & 4 else ("", 0)
        self.plane.set_plain(self.node(), address, receive_ssrc=choice >> 4 if choice & 8 else None)

    def remote(self) -> None:
        self.plane.set_remote(self.node(), self.script.byte() // 200, self.loop.addresses[self.stranger()])

    def allow(self) -> None:
        self.plane.allow(self.node(), self.script.byte() // 200, self.loop.addresses[self.stranger()])

    def mute(self) -> None:
        self.plane.set_mute(self.node(), bool(self.script.byte() & 1))

    def delay(self) -> None:
        choice = self.script.byte()
        self.plane.set_delay(self.node(), choice if choice & 3 else None)

    def volume(self) -> None:
        self.plane.set_gain(self.node(), self.script.byte() / 60)

    def hold(self) -> None:
        self.plane.set_send(self.node(), bool(self.script.byte() & 1))

    def listener_gain(self) -> None:
        self.plane.set_listener_gain(self.node(), self.node(), self.script.byte() / 60)

    def agc(self) -> None:
        self.plane.set_agc(self.node(), bool(self.script.byte() & 1))

    def pin(self) -> None:
        self.plane.set_delay(self.node(), 20 + 2 * self.script.byte())

    def loudest(self) -> None:
        self.plane.set_loudest(self.node(), self.script.byte() % 66)

    def link(self) -> None:
        """A mixer on this side and one on the other."""
        if self.there is None:
            self.there = Side(Plane([("127.0.0.1", 0)], clock=self.loop.clock))
        far = self.there if self.side is self.here else self.here
        if len(self.nodes) < 12 and len(far.nodes) < 12:
            near_end, far_end = self.plane.link(far.plane)
            self.nodes.append(near_end)
            far.nodes.append(far_end)

    def cross(self) -> None:
        """What follows happens on the other side."""
        if self.there:
            self.side = self.there if self.side is self.here else self.here

    def consent(self) -> None:
        choice = self.script.byte()
        self.plane.set_consent(self.node(), PASSWORD[: choice % 32], controlling=bool(choice & 32))

    def forget(self) -> None:
        self.plane.forget_remote(self.node())

    def stall(self) -> None:
        """Nobody ticked for a while; friends would notice."""
        if not self.friends:
            self.loop.clock.ns += self.script.byte() * TICK // 2

    def send(self) -> None:
        self.plane.send(0, self.loop.addresses[self.stranger()], exact(self.script.block()))

    def dial(self) -> None:
        choice = self.script.byte()
        digits = "0123456789*#ABCD"[choice & 15] * (1 + choice // 64)
        self.plane.send_dtmf(self.node(), digits, duration_ms=40 + choice * 8, in_band=bool(choice & 16))

    def play(self) -> None:
        self.plane.play(self.node(), np.arange(self.script.word() * 16 % 500_000).astype(np.int16))

    def tap(self) -> None:
        if len(self.taps) < 4:
            self.taps.append(self.plane.tap(self.node(), direction=("in", "out")[self.script.byte() & 1]))

    def tap_read(self) -> None:
        if self.taps:
            tap = self.taps[self.script.byte() % len(self.taps)]
            assert len(self.plane.tap_read(tap)) % FRAME == 0
            assert self.plane.tap_overruns(tap) <= self.ticks * FRAME

    def tap_close(self) -> None:
        if self.taps:
            self.plane.tap_close(self.taps.pop(self.script.byte() % len(self.taps)))

    def poll(self) -> None:
        for event in self.plane.poll():
            assert event[1] in (*self.nodes, *self.friends, self.room)

    def stats(self) -> None:
        self.plane.plane_stats()
        node = self.node()
        assert 0 <= self.plane.play_pending(node) <= 480_000
        self.plane.stats(node)


@functools.cache
def _small_talk() -> tuple[list[bytes], list[bytes]]:
    """Payloads of two voices."""
    time = np.arange(10 * FRAME) / 48000
    voices = [(6000 * np.sin(2 * np.pi * tone * time)).astype(np.int16).reshape(10, FRAME) for tone in (200, 300)]
    left, right = Opus(), Opus()
    return [left.encode(frame) for frame in voices[0]], [right.encode(frame) for frame in voices[1]]


@functools.cache
def _undisturbed() -> list[list[bytes]]:
    return Actions(Script(bytes(1 + Actions.TICKS))).run()


def plane(data: bytes) -> None:
    """Everything at once; see Actions."""
    for heard, undisturbed in zip(Actions(Script(data)).run(), _undisturbed(), strict=True):
        assert heard == undisturbed[: len(heard)]


TARGETS: dict[str, Target] = {
    target.__name__: target for target in (rtp, opus, jitter, g711, dtmf, srtp, rtcp, stun, plane)
}
