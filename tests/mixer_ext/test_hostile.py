"""Hostile input: whatever somebody sends, it is dropped, counted as what it is, and nobody else hears it.

Alice and Bob talk in a room. Mallory has a leg in it too, or is a stranger, and attacks. What Alice and Bob are sent
must be, bit for bit, what they are sent while Mallory keeps quiet.
"""

import functools
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from aioice import stun as ice

from mixer_ext import Companded, Opus, Plane, Srtp
from tests.mixer_ext.peers import FRAME, OPUS, Peer, Stage, loudness, stun, tone

PROFILE = "AEAD_AES_128_GCM"
KEYS = bytes(range(28)), bytes(range(28, 56))
TICKS = 30
AT_ONCE = 10  # of Mallory's datagrams in a tick: 500 a second
SSRC = 66
COUNTERS = ("unknown", "auth", "replay", "malformed", "payload_type", "flood", "stun")


class Room(Stage):
    """Alice and Bob, whose voices are always the same, and Mallory. alice_is_keyed: she alone uses SRTP."""

    def __init__(self, *, keyed: bool = False, codec: str = "opus", alice_is_keyed: bool = False) -> None:
        super().__init__()
        self.alice, self.bob = self._member("alice", 1, keyed=alice_is_keyed), self._member("bob", 2, keyed=False)
        unit = 1 if codec == "opus" else 6
        self.mallory = self._member("mallory", SSRC, keyed=keyed, codec=codec, unit=unit)
        self.stranger = Peer(ssrc=99)
        mixer = self.plane.add_mixer()
        for leg in (self.alice, self.bob, self.mallory):
            self.plane.join(leg, mixer)

    def _member(self, name: str, ssrc: int, *, keyed: bool, codec: str = "opus", unit: int = 1) -> int:
        payload_type = {"opus": OPUS, "pcmu": 0, "pcma": 8}[codec]
        peer = Peer(
            ssrc=ssrc, payload_type=payload_type, codec=Opus() if codec == "opus" else Companded(codec), unit=unit
        )
        leg = self.plane.add_leg(f"{name}fragment", ssrc=100 + ssrc, csrc=ssrc)
        self.plane.set_codec(leg, payload_type=payload_type, name=codec, level_extension=3)
        if keyed:
            self.plane.set_srtp(leg, PROFILE, *KEYS)
            self.plane.allow(leg, 0, peer.address)
            self.plane.set_remote(leg, 0, peer.address)
            peer.outbound, peer.inbound = Srtp(PROFILE, KEYS[0], ssrc), Srtp(PROFILE, KEYS[1])
        else:
            self.plane.set_plain(leg, peer.address)
        self.peers[leg] = peer
        return leg

    def talk(self) -> None:
        """One tick in which Alice and Bob say what they always say."""
        for leg, frequency in ((self.alice, 300), (self.bob, 440)):
            self.peers[leg].say(tone(frequency, 1, self.ticks), self.address)
        self.tick()

    def sent(self) -> list[list[tuple[bytes, tuple[int, ...]]]]:
        """What Alice and Bob were sent: payloads and CSRCs."""
        return [[(packet.payload, packet.csrcs) for packet in self.peers[leg].rtp] for leg in (self.alice, self.bob)]

    def dropped(self) -> dict[str, int]:
        """All that was dropped, wherever it was counted, without zeros: of Mallory's leg, and of the plane as such."""
        legs: dict[str, Mapping[str, object]]
        legs = {"": self.plane.stats(self.mallory), "plane ": self.plane.plane_stats()}
        counts = {where + name: stats.get(f"dropped_{name}", 0) for where, stats in legs.items() for name in COUNTERS}
        return {name: count for name, count in counts.items() if isinstance(count, int) and count}

    def close(self) -> None:
        super().close()
        self.stranger.close()


@contextmanager
def room(**values: object) -> Iterator[Room]:
    made = Room(**values)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


@functools.cache
def undisturbed(ticks: int = TICKS) -> list[list[tuple[bytes, tuple[int, ...]]]]:
    with room() as quiet:
        for _ in range(ticks):
            quiet.talk()
        return quiet.sent()


def test_alice_and_bob_hear_each_other_while_nothing_happens() -> None:
    with room() as quiet:
        for _ in range(TICKS):
            quiet.talk()
        for leg, frequency in ((quiet.alice, 440), (quiet.bob, 300)):
            assert loudness(np.concatenate(quiet.peers[leg].heard[-20:]), frequency) > 120
        assert quiet.sent() == undisturbed()


# --- what Mallory sends


def header(first: int = 0x80, payload_type: int = OPUS, sequence: int = 1, ssrc: int = SSRC) -> bytes:
    return struct.pack("!BBHII", first, payload_type, sequence, FRAME * sequence, ssrc)


def extended(profile: int, words: int, body: bytes, payload: bytes = b"") -> bytes:
    return header(0x90) + struct.pack("!HH", profile, words) + body + payload


def report(kind: int, count: int, body: bytes, words: int | None = None, first: int = 0x80) -> bytes:
    return struct.pack("!BBH", first | count, kind, len(body) // 4 if words is None else words) + body


def whole() -> bytes:
    """A packet with everything: CSRCs, an extension, padding."""
    body = header(0xB2) + bytes(8) + struct.pack("!HHI", 0xBEDE, 1, 0x30AA0000)
    return body + Opus().encode(tone(660, 1)) + b"\0\0\0\4"


WHOLE = whole()
BEGINNING = 12 + 8 + 8  # of WHOLE that is no payload
SILK = Opus(bitrate=8000, fec=True).encode(tone(660, 1))
TOC = SILK[0] & 0xFC
SENDER = struct.pack("!I", SSRC)

NOT_RTP = {
    "one byte": [bytes([first]) for first in (0x80, 0x90, 0xBF)],
    "seven bytes": [b"\x80\x6f" + bytes(5)],
    "nothing at all": [b""],
}
BROKEN_RTP = {
    "cut off in every place of the header": [WHOLE[:cut] for cut in range(8, BEGINNING)],
    "no payload": [header()],
    "more CSRCs than there is packet": [header(0x80 | count) + bytes(4 * count - 1) for count in (1, 7, 15)],
    "an extension without its length": [header(0x90), header(0x90) + b"\xbe\xde\0"],
    "an extension longer than the packet": [
        extended(0xBEDE, 1, b""),
        extended(0xBEDE, 2, bytes(7)),
        extended(0x1000, 0xFFFF, bytes(100)),
        header(0x9F) + bytes(60) + b"\xbe\xde\0\1",
    ],
    "an extension instead of a payload": [extended(0xBEDE, 1, bytes(4)), extended(0x1000, 0, b"")],
    "padding of zero bytes": [header(0xA0) + SILK[:-1] + b"\0"],
    "padding longer than the packet": [header(0xA0) + b"\xf8\xff" + bytes([count]) for count in (4, 100, 255)],
    "padding that reaches into the header": [header(0xA0) + SILK[:4] + b"\6", WHOLE[:-1] + b"\xff"],
    "nothing but padding": [header(0xA0) + b"\0\0\3", header(0xA0) + b"\1"],
}
BROKEN_OPUS = {
    "code 3 without a count": [bytes([TOC | 3])],
    "code 3 with no frames": [bytes([TOC | 3, count]) + bytes(20) for count in (0, 0x40, 0x80, 0xC0)],
    "code 3 with more frames than 120 ms": [bytes([TOC | 3, 7]) + bytes(70), bytes([0xE3, 0x3F]) + bytes(630)],
    "code 3 whose padding is longer than the packet": [bytes([TOC | 3, 0x41, 255, 255, 10]) + bytes(20)],
    "code 3 whose lengths are beyond the packet": [bytes([TOC | 3, 0x83, 251, 251, 200]) + bytes(20)],
    "code 3 that ends within its lengths": [bytes([TOC | 3, 0x86, 1, 2, 252])],
    "frames of one size that do not divide": [bytes([TOC | 3, 3]) + bytes(20), bytes([TOC | 1]) + bytes(21)],
    "a first frame longer than the packet": [bytes([TOC | 2, 200]) + bytes(20), bytes([TOC | 2, 252])],
    "a frame of more than 1275 bytes": [bytes([TOC]) + bytes(1276)],
}
G711_LENGTHS = [2, 3, 19, 39, 961, 1000, 1400]
BROKEN_RTCP = {
    "a length beyond the packet": [report(201, 0, SENDER, words=2), report(200, 0, SENDER, words=0xFFFF)],
    "no room for an SSRC": [report(201, 0, b"", words=0) + SENDER],
}
STRANGE_RTCP = {
    "types that nobody knows": [report(kind, 0, SENDER + bytes(8)) for kind in (192, 199, 208, 223)],
    "feedback without an end": [report(205, 15, SENDER + bytes(4)), report(206, 1, SENDER + os.urandom(40))],
    "more blocks than it has": [report(201, 31, SENDER + bytes(24)), report(200, 31, SENDER + bytes(20))],
    "names beyond their chunk": [report(202, 1, SENDER + b"\1\xff" + b"ab"), report(202, 31, SENDER + b"\1\0\0\0")],
    "names without an end": [report(202, 1, SENDER + b"\1\2ab")],
    "a good beginning with a broken rest": [
        report(201, 0, SENDER) + end for end in (b"\x80", b"\0" * 8, b"\x81\xca\xff\xff" * 2)
    ],
    "goodbye for the others": [report(203, 3, struct.pack("!III", 1, 2, 101)), report(203, 1, struct.pack("!I", 2))],
    "goodbye for more than it names": [report(203, 31, struct.pack("!I", 1))],
    "application data": [report(204, 0, SENDER + b"evil" + bytes(100))],
    "padding longer than the packet": [report(201, 0, SENDER, first=0xA0) + b"\xff"],
}
BROKEN_STUN = {
    "half a header": [stun(None)[:cut] for cut in range(1, 20)],
    "lengths that are not true": [stun("a:b")[:-1], stun("a:b") + bytes(4), b"\0\1\xff\xff" + stun(None)[4:]],
    "another cookie": [b"\0\1\0\0" + bytes(16)],
    "an attribute beyond the message": [struct.pack("!HHI", 1, 4, 0x2112A442) + bytes(12) + b"\0\6\0\1"],
}
STUN_FOR_NOBODY = {
    "an unknown fragment": [stun("nobody:x"), stun("malloryfragmen:x"), stun("malloryfragment")],
    "no name, an empty name, a long name": [stun(None), stun(""), stun(":"), stun("x" * 600 + ":y")],
}
OTHER_PROTOCOLS = {
    "DTLS": [b"\x16\xfe\xfd" + bytes(40), b"\x14", b"\x3f" + bytes(1400)],
    "ZRTP, TURN and what nobody has heard of": [bytes([first]) + bytes(30) for first in (4, 16, 19, 64, 79, 192, 255)],
}


@dataclass
class Attack:
    name: str
    datagrams: Callable[[Room], list[bytes]]
    counted: str | None  # where each of them is; None: nowhere, as there is nothing wrong with it
    stranger: bool = False
    room: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def fixed(datagrams: list[bytes]) -> Callable[[Room], list[bytes]]:
    return lambda room: datagrams


def payloads(made: list[bytes], payload_type: int = OPUS) -> Callable[[Room], list[bytes]]:
    return fixed([header(payload_type=payload_type, sequence=n) + payload for n, payload in enumerate(made)])


def mallory(room: Room) -> Peer:
    return room.peers[room.mallory]


def sealed(room: Room) -> list[bytes]:
    """Packets as Mallory's own leg would take them."""
    return [mallory(room).packet(tone(660, 1, n)) for n in range(5)]


def damaged(room: Room) -> list[bytes]:
    packet = sealed(room)[0]
    return [packet[:at] + bytes([packet[at] ^ 0x55]) + packet[at + 1 :] for at in range(12, len(packet), 7)]


def cut_off(room: Room) -> list[bytes]:
    packet = sealed(room)[0]
    return [packet[:length] for length in range(12, len(packet))]


def under_another_key(room: Room) -> list[bytes]:
    stolen = Srtp(PROFILE, bytes(28), SSRC)
    return [stolen.protect(header(sequence=n) + SILK) for n in range(5)]


def unprotected(room: Room) -> list[bytes]:
    return [header(sequence=n) + SILK * 3 for n in range(5)] + [report(201, 0, SENDER) + bytes(40)]


def too_many_sources(room: Room) -> list[bytes]:
    """Forty SSRCs, two packets each: the first of each is refused while another is heard."""
    return [header(ssrc=1000 + n // 2, sequence=n) + SILK for n in range(0, 80, 2)]


ATTACKS = [
    *(Attack(f"datagram: {name}", fixed(data), "plane malformed") for name, data in NOT_RTP.items()),
    *(Attack(f"rtp: {name}", fixed(data), "malformed") for name, data in BROKEN_RTP.items()),
    Attack("rtp: another payload type", payloads([SILK] * 5, payload_type=96), "payload_type"),
    Attack("rtp: comfort noise to Opus", payloads([b"\x10"] * 5, payload_type=13), "payload_type"),
    *(Attack(f"opus: {name}", payloads(data), "malformed") for name, data in BROKEN_OPUS.items()),
    *(
        Attack(
            f"{law}: lengths that are no sound",
            payloads([b"\x2a" * length for length in G711_LENGTHS], payload_type=number),
            "malformed",
            room={"codec": law},
        )
        for law, number in (("pcmu", 0), ("pcma", 8))
    ),
    *(Attack(f"rtcp: {name}", fixed(data), "malformed") for name, data in BROKEN_RTCP.items()),
    *(Attack(f"rtcp: {name}", fixed(data), None) for name, data in STRANGE_RTCP.items()),
    Attack("srtp: damaged", damaged, "auth", room={"keyed": True}),
    Attack("srtp: cut off in every place", cut_off, "auth", room={"keyed": True}),
    Attack("srtp: under another key", under_another_key, "auth", room={"keyed": True}),
    Attack("srtp: not encrypted", unprotected, "auth", room={"keyed": True}),
    *(Attack(f"stun: {name}", fixed(data), "plane malformed") for name, data in BROKEN_STUN.items()),
    *(Attack(f"stun: {name}", fixed(data), "plane stun") for name, data in STUN_FOR_NOBODY.items()),
    *(
        Attack(f"a stranger: {name}", fixed(data), "plane unknown", stranger=True)
        for name, data in OTHER_PROTOCOLS.items()
    ),
    Attack(
        "a stranger: STUN answers that were never asked for",
        fixed([stun(None, kind=kind) for kind in (0x0101, 0x0111, 0x0011)]),
        "plane stun",
        stranger=True,
    ),
    Attack("a stranger: RTP as from Alice", fixed([header(ssrc=1) + SILK] * 10), "plane unknown", stranger=True),
    Attack("a stranger: RTP as from Mallory", sealed, "plane unknown", stranger=True, room={"keyed": True}),
    Attack(
        "a stranger: goodbye as from Alice",
        fixed([report(203, 1, struct.pack("!I", 1))]),
        "plane unknown",
        stranger=True,
    ),
]


def attacked(attack: Attack, room: Room) -> int:
    """Let Alice and Bob talk while all of an attack comes; how many datagrams that was."""
    for _ in range(3):
        room.talk()
    datagrams = attack.datagrams(room)
    sender = room.stranger if attack.stranger else mallory(room)
    for n in range(TICKS - 3):
        for data in datagrams[n * AT_ONCE : (n + 1) * AT_ONCE]:
            sender.send(data, room.address)
        room.talk()
    assert len(datagrams) <= (TICKS - 3) * AT_ONCE
    return len(datagrams)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_it_is_dropped_and_counted_and_nobody_hears_it(attack: Attack) -> None:
    with room(**attack.room) as scene:
        count = attacked(attack, scene)
        assert scene.dropped() == ({attack.counted: count} if attack.counted else {})
        assert scene.plane.stats(scene.mallory)["received"] == 0
        assert scene.sent() == undisturbed()


def test_a_replayed_packet_is_dropped_and_changes_nothing() -> None:
    with room(keyed=True) as once, room(keyed=True) as again:
        for scene, times in ((once, 1), (again, 4)):
            for n in range(10):
                packet = mallory(scene).packet(tone(660, 1, n))
                for _ in range(times):
                    mallory(scene).send(packet, scene.address)
                scene.talk()
        assert once.dropped() == {}
        assert again.dropped() == {"replay": 30}
        assert again.sent() == once.sent()


def test_a_leg_that_expects_an_ssrc_takes_no_other() -> None:
    with room() as scene:
        scene.plane.set_plain(scene.mallory, mallory(scene).address, receive_ssrc=SSRC)
        for n in range(TICKS):
            mallory(scene).say(tone(660, 1, n), scene.address, ssrc=1)
            scene.talk()
        assert scene.dropped() == {"unknown": TICKS, "plane unknown": TICKS}
        assert scene.sent() == undisturbed()


def test_sources_that_take_turns_are_not_heard_but_the_first() -> None:
    with room() as calm, room() as scene:
        for n in range(20):
            for each in (calm, scene):
                mallory(each).say(tone(660, 1, n), each.address)
            for data in too_many_sources(scene)[n::20]:
                mallory(scene).send(data, scene.address)
            calm.talk()
            scene.talk()
        assert scene.dropped() == {"unknown": 40}
        assert scene.sent() == calm.sent()


def test_extensions_that_make_no_sense_carry_no_level_and_the_sound_is_taken() -> None:
    bodies = [
        (0xBEDE, b"\xf0\x30\xaa\0"),  # identifier 15: stop here
        (0xBEDE, b"\x3f\xaa\0\0"),  # an element longer than the extension
        (0xBEDE, b"\0\0\0\x3f"),
        (0x1000, b"\3\xff\xaa\0"),
        (0x1000, b"\0\0\0\3"),
        (0x1000, b"\3\0\0\0"),  # no byte of level
        (0x100F, b"\3\0\0\0"),
        (0xABCD, b"\x30\xaa\0\0"),  # another profile
    ]
    with room() as plain, room() as scene:
        for n, (profile, body) in enumerate(bodies * 3):
            payload = mallory(plain).codec.encode(tone(660, 1, n))
            mallory(plain).send(header(sequence=n) + payload, plain.address)
            packet = header(0x90, sequence=n) + struct.pack("!HH", profile, 1) + body + payload
            mallory(scene).send(packet, scene.address)
            plain.talk()
            scene.talk()
        assert scene.dropped() == {}
        assert scene.plane.stats(scene.mallory)["received"] == 24
        assert scene.plane.stats(scene.mallory)["level_dbov"] == plain.plane.stats(plain.mallory)["level_dbov"]
        assert scene.sent() == plain.sent()


@pytest.mark.parametrize("seed", range(3))
def test_sound_that_is_garbage_is_only_that(seed: int) -> None:
    """A payload of random bytes may be Opus; then it is noise. Alice and Bob hear each other through it."""
    random = np.random.default_rng(seed)
    with room() as scene:
        for _ in range(60):
            payload = random.integers(0, 256, random.integers(1, 300), np.uint8).tobytes()
            mallory(scene).say(payload, scene.address, level_extension=3, level=0)
            scene.talk()
        stats = scene.plane.stats(scene.mallory)
        assert stats["received"] + stats["dropped_malformed"] == 60
        heard = np.concatenate(scene.peers[scene.bob].heard[-25:])
        assert loudness(heard, 300) > 115
        for leg in (scene.alice, scene.bob):
            assert scene.plane.stats(leg)["received"] == scene.plane.stats(leg)["sent"] == 60
            assert scene.plane.stats(leg)["concealed"] == 0


def test_goodbye_in_the_name_of_another_ends_nothing() -> None:
    with room() as calm, room() as scene:
        for n in range(20):
            for each in (calm, scene):
                mallory(each).say(tone(660, 1, n), each.address)
            for ssrc in (1, 2, 101, 102):
                mallory(scene).send(report(203, 1, struct.pack("!I", ssrc)), scene.address)
            calm.talk()
            scene.talk()
        assert scene.sent() == calm.sent()


def check(password: bytes) -> bytes:
    """What Alice's ICE agent asks every few seconds."""
    message = ice.Message(ice.Method.BINDING, ice.Class.REQUEST, transaction_id=os.urandom(12))
    message.attributes["USERNAME"] = "alicefragment:hers"
    message.attributes["ICE-CONTROLLING"] = 7
    message.add_message_integrity(password)
    return bytes(message)


def test_who_sends_in_the_name_of_a_peer_does_not_end_its_call() -> None:
    """Consent is asked for and given however many STUN messages and DTLS records are forged with Alice's address."""
    forged = [check(b"not her password"), stun(None, kind=0x0101), b"\x17\xfe\xfd" + bytes(60)]
    with room(alice_is_keyed=True) as scene:
        alice = scene.peers[scene.alice]
        scene.plane.set_consent(scene.alice, b"her password", controlling=False)
        for n in range(TICKS):
            for data in forged * 60:
                alice.socket.sendto(data, scene.address)
            ours = os.urandom(12)
            scene.plane.send(0, alice.address, stun("hers:alicefragment", transaction=ours))
            alice.send(check(b"her password"), scene.address)
            answer = stun(None, kind=0x0101, transaction=ours)
            alice.send(answer, scene.address)
            scene.events.clear()
            scene.talk()
            assert answer in [event[4] for event in scene.events if event[0] == "stun"]
            assert scene.plane.stats(scene.alice)["consents"] == n + 1
        assert scene.plane.plane_stats()["dropped_flood"] > 100 * TICKS
        assert scene.sent() == undisturbed()


def test_one_answer_is_taken_for_each_request() -> None:
    with room() as scene:
        ours = os.urandom(12)
        scene.plane.send(0, mallory(scene).address, stun("x:malloryfragment", transaction=ours))
        for _ in range(500):
            scene.stranger.socket.sendto(stun(None, kind=0x0101, transaction=ours), scene.address)
        scene.stranger.receive()
        scene.talk()
        assert sum(event[0] == "stun" for event in scene.events) == 1
        assert scene.dropped() == {"plane stun": 499}


FLOOD = 200  # datagrams in each tick: ten thousand a second


@pytest.mark.parametrize(
    ("counter", "datagram"),
    [
        ("plane unknown", b"\x80\x6f" + bytes(100)),
        ("plane unknown", b"\x80\xc9\0\1" + bytes(100)),
        ("plane unknown", b"\x16\xfe\xfd" + bytes(1200)),
        ("plane malformed", b"\0\1\0\0" + bytes(100)),
        ("plane stun", stun("nobody:x")),
    ],
    ids=["RTP", "RTCP", "DTLS", "broken STUN", "STUN for nobody"],
)
def test_ten_thousand_datagrams_a_second_from_strangers_are_not_noticed(counter: str, datagram: bytes) -> None:
    with room() as scene:
        for _ in range(TICKS):
            for _ in range(FLOOD):
                scene.stranger.socket.sendto(datagram, scene.address)
            scene.stranger.receive()
            scene.talk()
        assert scene.dropped() == {counter: FLOOD * TICKS}
        assert scene.sent() == undisturbed()
        assert not [event for event in scene.events if event[0] in ("stun", "dtls")]


def test_requests_by_the_thousand_for_a_leg_are_limited_and_not_noticed_by_others() -> None:
    with room() as scene:
        for _ in range(TICKS):
            for _ in range(FLOOD):
                scene.stranger.socket.sendto(stun("malloryfragment:x"), scene.address)
            scene.stranger.receive()
            scene.talk()
        seen = sum(event[0] == "stun" for event in scene.events)
        assert 200 <= seen <= 200 + TICKS * 5
        assert scene.dropped() == {"plane flood": FLOOD * TICKS - seen}
        assert scene.sent() == undisturbed()


def test_records_by_the_thousand_from_a_peer_are_limited_and_not_noticed_by_others() -> None:
    with room(keyed=True) as scene:
        for _ in range(TICKS):
            for _ in range(FLOOD):
                mallory(scene).socket.sendto(b"\x17\xfe\xfd" + bytes(60), scene.address)
            mallory(scene).receive()
            scene.talk()
        seen = sum(event[0] == "dtls" for event in scene.events)
        assert 200 <= seen <= 200 + TICKS * 5
        assert scene.dropped() == {"plane flood": FLOOD * TICKS - seen}
        assert scene.sent() == undisturbed()


def test_ten_thousand_packets_a_second_on_one_leg_are_limited_and_not_noticed_by_others() -> None:
    with room() as scene:
        scene.plane.set_mute(scene.mallory, True)
        for n in range(TICKS):
            for k in range(FLOOD):
                mallory(scene).socket.sendto(header(sequence=FLOOD * n + k) + SILK, scene.address)
            mallory(scene).receive()
            scene.talk()
        taken = scene.plane.stats(scene.mallory)["received"]
        assert 300 <= taken <= 300 + TICKS * 10
        assert scene.dropped() == {"flood": FLOOD * TICKS - taken}
        assert scene.sent() == undisturbed()


@pytest.mark.parametrize("rtcp", [False, True], ids=["RTP", "RTCP"])
def test_who_sends_in_the_name_of_a_peer_does_not_silence_it(rtcp: bool) -> None:
    """Forged packets with Alice's very address: she is heard as if they were not there."""
    forged = report(201, 0, struct.pack("!I", 1) + bytes(60)) if rtcp else header(ssrc=1) + bytes(80)
    with room(alice_is_keyed=True) as scene:
        for _ in range(TICKS):
            for _ in range(FLOOD):
                scene.peers[scene.alice].socket.sendto(forged, scene.address)
            scene.talk()
        stats = scene.plane.stats(scene.alice)
        assert (stats["received"], stats["dropped_auth"], stats["dropped_flood"]) == (TICKS, FLOOD * TICKS, 0)
        assert scene.sent() == undisturbed()


def test_a_plane_that_runs_by_itself_drops_thousands_and_loses_nothing() -> None:
    """The same on the plane's own thread and clock: of all that came, each datagram is counted, as what it is."""
    plane, friend, stranger = Plane([("127.0.0.1", 0)]), Peer(ssrc=1), Peer(ssrc=99)
    leg = plane.add_leg("friendfragment", ssrc=101, csrc=1)
    plane.set_codec(leg, payload_type=OPUS)
    plane.set_plain(leg, friend.address)
    plane.start()
    junk = [b"\x80\x6f" + bytes(80), b"\0\1\0\0" + bytes(40), b"\x16" + bytes(60), stun("nobody:x"), b""]
    counters = ("dropped_unknown", "dropped_malformed", "dropped_stun")
    try:
        for n in range(1, 31):
            friend.say(tone(300, 1, n), plane.addresses[0])
            for data in junk * 40:
                stranger.socket.sendto(data, plane.addresses[0])
            deadline = time.monotonic() + 60
            while sum(plane.plane_stats()[name] for name in counters) < 200 * n:
                assert time.monotonic() < deadline
                time.sleep(0.002)
        stats = plane.plane_stats()
        assert [stats[name] for name in counters] == [2 * 40 * 30, 2 * 40 * 30, 40 * 30]
        assert plane.stats(leg)["received"] == 30
        assert plane.stats(leg)["lost"] == 0
    finally:
        plane.stop()
        friend.close()
        stranger.close()


EVENTS = {
    "telephone events that are cut off": [b"\5", b"\5\x0a\0", b"\5\x8a\0\xa0\5"],
    "no telephone event at all": [b""],
}


@pytest.mark.parametrize("name", EVENTS)
def test_broken_telephone_events_are_dropped(name: str) -> None:
    with room() as scene:
        scene.plane.set_codec(scene.mallory, payload_type=OPUS, telephone_events={101: 48000})
        for n in range(TICKS):
            for payload in EVENTS[name]:
                mallory(scene).send(header(payload_type=101, sequence=n) + payload, scene.address)
            scene.talk()
        assert scene.dropped() == {"malformed": TICKS * len(EVENTS[name])}
        assert scene.sent() == undisturbed()


def test_telephone_events_by_the_thousand_are_bounded_and_nobody_hears_them() -> None:
    with room() as scene:
        scene.plane.set_codec(scene.mallory, payload_type=OPUS, telephone_events={101: 48000})
        for n in range(TICKS):
            for k in range(AT_ONCE):
                number = AT_ONCE * n + k
                keys = b"".join(struct.pack("!BBH", key % 256, 0x8A, 1) for key in range(number, number + 8))
                mallory(scene).send(header(payload_type=101, sequence=number) + keys, scene.address)
            scene.talk()
        pressed = [event for event in scene.events if event[0] == "dtmf"]
        assert len(pressed) <= TICKS
        assert all(event[1] == scene.mallory for event in pressed)
        assert scene.dropped() == {}
        assert scene.sent() == undisturbed()
