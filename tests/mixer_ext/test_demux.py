"""What the plane takes from whom: STUN by ufrag or transaction, media from proved addresses, no more (RFC 7983)."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixer_ext import Opus, Srtp, rtp_build
from tests.mixer_ext.peers import FRAME, OPUS, Peer, Stage, loudness, stun, tone

KEY = bytes(range(28))
CLIENT_HELLO = b"\x16\xfe\xfd" + bytes(40)


@pytest.fixture
def two() -> Iterator[Stage]:
    """A plane with two addresses."""
    stage = Stage((("127.0.0.1", 0), ("127.0.0.1", 0)))
    yield stage
    stage.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def stranger() -> Iterator[Peer]:
    peer = Peer(ssrc=666)
    yield peer
    peer.close()


def leg_of(stage: Stage, ufrag: str = "localufrag") -> int:
    return stage.plane.add_leg(ufrag, ssrc=1, csrc=2)


def keyed(stage: Stage, peer: Peer) -> int:
    """A leg as after ICE and DTLS."""
    leg = leg_of(stage)
    stage.plane.set_codec(leg, payload_type=OPUS)
    stage.plane.set_srtp(leg, "AEAD_AES_128_GCM", KEY, KEY[::-1])
    stage.plane.allow(leg, 0, peer.address)
    stage.plane.set_remote(leg, 0, peer.address)
    peer.outbound, peer.inbound = Srtp("AEAD_AES_128_GCM", KEY, peer.ssrc), Srtp("AEAD_AES_128_GCM", KEY[::-1])
    return leg


def test_a_stun_request_goes_to_the_leg_of_its_ufrag(two: Stage, peer: Peer) -> None:
    first, second = leg_of(two, "firstufrag"), leg_of(two, "secondufrag")
    requests = [stun("secondufrag:theirs"), stun("firstufrag:theirs")]
    peer.send(requests[0], two.plane.addresses[1])
    peer.send(requests[1], two.plane.addresses[0])
    two.tick()
    assert sorted(two.events) == [
        ("stun", first, 0, peer.address, requests[1]),
        ("stun", second, 1, peer.address, requests[0]),
    ]


def test_the_ufrag_in_use_and_the_one_before_it_lead_to_a_leg(stage: Stage, peer: Peer) -> None:
    leg, other = leg_of(stage, "first"), leg_of(stage, "other")
    for ufrag in ("second", "third"):
        stage.plane.set_ufrag(leg, ufrag)
    requests = [stun(f"{ufrag}:theirs") for ufrag in ("first", "second", "third", "other")]
    for request in requests:
        peer.send(request, stage.address)
    stage.tick()
    assert [(event[1], event[4]) for event in stage.events if event[0] == "stun"] == [
        (leg, requests[1]),
        (leg, requests[2]),
        (other, requests[3]),
    ]
    for taken in ("second", "third", "other", "with:colon", ""):
        with pytest.raises(ValueError, match="user fragment"):
            stage.plane.set_ufrag(leg, taken)
    assert leg_of(stage, "first") != leg, "it is free again"
    stage.plane.remove_leg(leg)
    assert leg_of(stage, "third")


@pytest.mark.parametrize(
    "username", [None, "", ":", "unknown:theirs", "localufrag", "localufrag2:theirs", "x" * 300 + ":y"]
)
def test_a_stun_request_for_nobody_is_dropped(stage: Stage, peer: Peer, username: str | None) -> None:
    leg_of(stage)
    peer.send(stun(username), stage.address)
    stage.tick()
    assert stage.events == []
    assert stage.plane.plane_stats()["dropped_stun"] == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        stun("localufrag:a")[:-1],
        stun("localufrag:a") + b"\0\0\0\0",
        struct.pack("!HHI", 1, 4, 0x2112A442) + bytes(12) + b"\0\x06\xff\xff",
        struct.pack("!HHI", 1, 0, 0x11111111) + bytes(12),
    ],
    ids=["one byte", "cut off", "too long", "an endless attribute", "another cookie"],
)
def test_a_broken_stun_message_is_dropped(stage: Stage, peer: Peer, data: bytes) -> None:
    leg_of(stage)
    peer.send(data, stage.address)
    stage.tick()
    assert stage.events == []
    assert stage.plane.plane_stats()["dropped_malformed"] == 1


def test_a_stun_response_goes_to_the_leg_that_asked(stage: Stage, peer: Peer, stranger: Peer) -> None:
    first, second = leg_of(stage, "firstufrag"), leg_of(stage, "secondufrag")
    one, other = os.urandom(12), os.urandom(12)
    stage.plane.send(0, peer.address, stun("theirs:secondufrag", transaction=one))
    stage.plane.send(0, peer.address, stun("theirs:firstufrag", transaction=other))
    stage.tick()
    peer.receive()
    assert len(peer.other) == 2
    for transaction in (one, other):
        peer.send(stun(None, kind=0x0101, transaction=transaction), stage.address)
    stranger.send(stun(None, kind=0x0101), stage.address)
    stage.tick()
    assert [event[:4] for event in stage.events] == [
        ("stun", second, 0, peer.address),
        ("stun", first, 0, peer.address),
    ]
    assert stage.plane.plane_stats()["dropped_stun"] == 1


def test_dtls_waits_for_its_address_to_be_proved(stage: Stage, peer: Peer, stranger: Peer) -> None:
    leg = leg_of(stage)
    peer.send(stun("localufrag:theirs"), stage.address)
    for n in range(6):
        peer.send(CLIENT_HELLO + bytes([n]), stage.address)
    stranger.send(CLIENT_HELLO, stage.address)
    stage.tick()
    assert [event[0] for event in stage.events] == ["stun"]
    stage.events.clear()
    stage.plane.allow(leg, 0, peer.address)
    peer.send(CLIENT_HELLO + b"later", stage.address)
    stage.tick()
    held = [("dtls", leg, 0, peer.address, CLIENT_HELLO + bytes([n])) for n in range(4)]
    assert stage.events == [*held, ("dtls", leg, 0, peer.address, CLIENT_HELLO + b"later")]
    assert stage.plane.plane_stats()["dropped_unknown"] == 1


def test_news_of_a_leg_that_is_gone_is_no_news(stage: Stage, peer: Peer) -> None:
    leg = leg_of(stage)
    peer.send(stun("localufrag:theirs"), stage.address)
    stage.clock.ns += 1
    stage.plane.tick()
    stage.plane.remove_leg(leg)
    assert stage.plane.poll() == []
    peer.send(stun("localufrag:theirs"), stage.address)
    stage.tick()
    assert stage.events == []


def test_media_is_taken_from_proved_addresses_only(stage: Stage, peer: Peer, stranger: Peer) -> None:
    leg = keyed(stage, peer)
    stranger.outbound = peer.outbound
    peer.send(stun("localufrag:theirs"), stage.address)
    stranger.send(stun("localufrag:theirs"), stage.address)  # knowing the ufrag proves nothing
    for n in range(5):
        stranger.send(peer.packet(tone(440, 1, n)), stage.address)
        stage.tick()
    assert stage.plane.stats(leg)["received"] == 0
    assert stage.plane.stats(leg)["dropped_unknown"] == 5
    peer.say(tone(440, 1), stage.address)
    stage.tick()
    assert stage.plane.stats(leg)["received"] == 1


def test_an_address_is_proved_for_one_local_address(two: Stage, peer: Peer) -> None:
    leg = keyed(two, peer)
    peer.say(tone(440, 1), two.plane.addresses[1])
    two.tick()
    assert two.plane.stats(leg)["received"] == 0
    peer.say(tone(440, 1), two.plane.addresses[0])
    two.tick()
    assert two.plane.stats(leg)["received"] == 1


def test_packets_that_are_not_authentic_or_replayed_are_dropped_and_counted(stage: Stage, peer: Peer) -> None:
    leg = keyed(stage, peer)
    good, bad, short = (peer.packet(tone(440, 1)) for _ in range(3))
    assert peer.outbound is not None
    report = bytearray(peer.outbound.protect_rtcp(b"\x80\xc9\0\1\0\0\0\5"))
    report[10] ^= 1
    for data in (good, good, bad[:20] + b"x" + bad[21:], short[:20], bytes(report)):
        peer.send(data, stage.address)
    stage.tick()
    stats = stage.plane.stats(leg)
    assert (stats["received"], stats["dropped_replay"], stats["dropped_auth"]) == (1, 1, 3)


def test_padding_of_an_encrypted_packet_is_no_sound(stage: Stage, peer: Peer) -> None:
    """Its length can be read, and be found wrong, only when it is decrypted (RFC 3550 section 5.1)."""
    leg = keyed(stage, peer)
    assert peer.outbound is not None
    tap, sound = stage.plane.tap(leg), Opus()
    for n in range(20):
        payload = sound.encode(tone(440, 1, n))
        plain = bytearray(
            rtp_build(payload_type=OPUS, sequence=n, timestamp=n * FRAME, ssrc=peer.ssrc, payload=payload)
        )
        plain[0] |= 0x20
        peer.send(peer.outbound.protect(bytes(plain) + b"\0\0\0\4"), stage.address)
        stage.tick()
    heard = stage.plane.tap_read(tap)[-10 * FRAME :]
    assert loudness(heard, 440) > loudness(tone(440, 10), 440) - 1
    wrong = bytearray(rtp_build(payload_type=OPUS, sequence=20, timestamp=0, ssrc=peer.ssrc, payload=b"abc\xff"))
    wrong[0] |= 0x20
    peer.send(peer.outbound.protect(bytes(wrong)), stage.address)
    stage.tick()
    stats = stage.plane.stats(leg)
    assert (stats["received"], stats["undecodable"], stats["dropped_malformed"]) == (20, 0, 1)


def test_media_before_the_keys_is_dropped(stage: Stage, peer: Peer) -> None:
    leg = leg_of(stage)
    stage.plane.set_codec(leg, payload_type=OPUS)
    stage.plane.allow(leg, 0, peer.address)
    peer.say(tone(440, 1), stage.address)
    stage.tick()
    assert (stage.plane.stats(leg)["received"], stage.plane.stats(leg)["dropped_unknown"]) == (0, 1)


def test_another_payload_type_is_dropped(stage: Stage) -> None:
    leg, peer = stage.peer()
    peer.say(tone(440, 1), stage.address, payload_type=0)
    peer.say(b"\xff\xff\xff", stage.address)
    peer.say(b"", stage.address)
    stage.tick()
    stats = stage.plane.stats(leg)
    assert (stats["received"], stats["dropped_payload_type"], stats["dropped_malformed"]) == (0, 1, 2)


def test_a_flood_of_signalling_is_limited_to_its_source(stage: Stage, peer: Peer, stranger: Peer) -> None:
    leg = leg_of(stage)
    for _ in range(400):
        stranger.socket.sendto(stun("localufrag:theirs"), stage.address)
    stranger.receive()
    stage.tick()
    assert len(stage.events) == 200
    assert stage.plane.plane_stats()["dropped_flood"] == 200
    stage.events.clear()
    peer.send(stun("localufrag:theirs"), stage.address)
    stage.tick()
    assert [event[:2] for event in stage.events] == [("stun", leg)]


def test_a_flood_of_media_is_limited_and_the_others_are_heard(stage: Stage) -> None:
    loud, flooder = stage.peer()
    leg, peer = stage.peer()
    other, listener = stage.peer()
    mixer = stage.plane.add_mixer()
    for each in (loud, leg, other):
        stage.plane.join(each, mixer)
    payload = flooder.codec.encode(tone(300, 1))
    for n in range(50):
        for _ in range(200):  # ten thousand a second
            flooder.socket.sendto(flooder.packet(payload), stage.address)
        flooder.receive()
        peer.say(tone(440, 1, n), stage.address)
        stage.tick()
    assert stage.plane.stats(loud)["dropped_flood"] > 8000
    assert stage.plane.stats(leg)["concealed"] == 0
    assert stage.plane.stats(leg)["decoded"] == 49
    assert len(listener.rtp) == 50


def test_one_source_at_a_time_and_the_next_takes_over(stage: Stage) -> None:
    leg, peer = stage.peer()
    for n in range(10):
        peer.say(tone(440, 1, n), stage.address)
        if n % 2:
            peer.send(peer.packet(tone(440, 1, n), ssrc=77, sequence=n), stage.address)
        stage.tick()
    assert stage.plane.stats(leg)["dropped_unknown"] == 5
    for n in range(10):
        peer.send(peer.packet(tone(440, 1, n), ssrc=78, sequence=n), stage.address)
        stage.tick()
    assert [event for event in stage.events if event[0] == "ssrc"] == [("ssrc", leg, 1), ("ssrc", leg, 78)]


@pytest.fixture(scope="module")
def tough() -> Iterator[tuple[Stage, Peer]]:
    """A plain leg that has been sent all sorts of things, and goes on being sent more."""
    stage = Stage()
    leg, peer = stage.peer(level_extension=3)
    stage.plane.join(leg, stage.plane.add_mixer())
    stage.plane.allow(leg, 0, peer.address)
    yield stage, peer
    before = stage.plane.stats(leg)["decoded"]
    for n in range(100):
        peer.say(tone(440, 1, n), stage.address)
        stage.tick()
    assert stage.plane.stats(leg)["decoded"] - before > 80
    stage.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(
            st.sampled_from([0x80, 0x90, 0xA0, 0xB0, 0x8F, 0x9F]),
            st.sampled_from([OPUS, 0x80 | OPUS, 200, 201, 203, 0]),
            st.binary(max_size=200),
        ).map(lambda parts: bytes(parts[:2]) + parts[2]),
        st.binary(max_size=100).map(lambda body: struct.pack("!HHI", 1, len(body) & 0xFFFC, 0x2112A442) + body),
        st.binary(max_size=80).map(lambda body: struct.pack("!BBHII", 0x80, OPUS, 5, 6, 1) + body),
    )
)
def test_whatever_comes_the_plane_goes_on(tough: tuple[Stage, Peer], data: bytes) -> None:
    stage, peer = tough
    sent = len(peer.rtp)
    stage.plane.play(next(iter(stage.peers)), tone(440, 1))
    peer.send(data, stage.address)
    stage.tick()
    assert len(peer.rtp) == sent + 1


@pytest.fixture(scope="module", params=["AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"])
def guarded(request: pytest.FixtureRequest) -> Iterator[tuple[Stage, Peer]]:
    """A keyed leg, and a peer whose packets are damaged on the way."""
    stage, peer, size = Stage(), Peer(sequence=0), 28 if "GCM" in request.param else 30
    leg = leg_of(stage)
    stage.plane.set_codec(leg, payload_type=OPUS, level_extension=3)
    stage.plane.set_srtp(leg, request.param, bytes(size), bytes(size))
    stage.plane.allow(leg, 0, peer.address)
    stage.plane.set_remote(leg, 0, peer.address)
    stage.peers[leg] = peer
    peer.outbound, peer.inbound = Srtp(request.param, bytes(size), peer.ssrc), Srtp(request.param, bytes(size))
    yield stage, peer
    assert stage.plane.stats(leg)["received"] == 0
    for n in range(20):
        peer.say(tone(440, 1, n), stage.address)
        stage.tick()
    assert stage.plane.stats(leg)["received"] == 20
    stage.close()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.integers(0, 80), st.binary(max_size=12), st.integers(0, 120))
def test_a_damaged_packet_is_never_taken(
    guarded: tuple[Stage, Peer], report: bool, at: int, put: bytes, cut: int
) -> None:
    stage, peer = guarded
    assert peer.outbound is not None
    if report:
        data = peer.outbound.protect_rtcp(struct.pack("!BBHI", 0x81, 203, 1, peer.ssrc) * 3)
    else:
        data = peer.packet(tone(440, 1), level_extension=3, csrcs=[1, 2, 3])
    damaged = (data[:at] + put + data[at + len(put) :])[: len(data) - cut]
    if damaged != data:
        peer.send(damaged, stage.address)
    stage.tick()


def test_a_datagram_that_is_too_long_is_dropped(stage: Stage) -> None:
    leg, peer = stage.peer()
    peer.send(b"\x80" + bytes([OPUS]) + bytes(5000), stage.address)
    stage.tick()
    assert stage.plane.plane_stats()["dropped_malformed"] == 1
    assert stage.plane.stats(leg)["received"] == 0


def test_a_plain_leg_is_learned_by_its_source(stage: Stage) -> None:
    peers = [Peer(ssrc=n) for n in (10, 20)]
    peers[1].socket.close()
    peers[1].socket = peers[0].socket.dup()  # both on one address, told apart by SSRC
    legs = []
    for peer in peers:
        leg = stage.plane.add_leg(f"plain{peer.ssrc}", ssrc=peer.ssrc + 1, csrc=peer.ssrc)
        stage.plane.set_codec(leg, payload_type=OPUS)
        stage.plane.set_plain(leg, ("", 0), receive_ssrc=peer.ssrc)
        legs.append(leg)
    for n in range(5):
        for peer in peers:
            peer.say(tone(440, 1, n), stage.address)
        peers[0].send(peers[0].packet(b"x", ssrc=99), stage.address)
        stage.tick()
    assert [stage.plane.stats(leg)["received"] for leg in legs] == [5, 5]
    assert [stage.plane.stats(leg)["sent"] for leg in legs] == [5, 5]
    assert stage.plane.plane_stats()["dropped_unknown"] == 5
    for peer in peers:
        peer.close()


def test_ipv6_is_served_too() -> None:
    stage = Stage((("127.0.0.1", 0), ("::1", 0)))
    leg, peer = stage.peer(family=socket.AF_INET6)
    for n in range(3):
        peer.say(tone(440, 1, n), stage.plane.addresses[1])
        stage.tick()
    assert stage.plane.stats(leg)["received"] == 3
    assert len(peer.rtp) == 3
    stage.close()
