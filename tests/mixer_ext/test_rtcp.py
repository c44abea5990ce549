"""RTCP as the peers of a plane see it: RFC 3550 section 6."""

import struct
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixer_ext import Companded, Opus, Srtp
from tests.mixer_ext.peers import OPUS, Peer, Stage, tone

NTP = 2208988800


def parts(compound: bytes) -> list[tuple[int, int, bytes]]:
    """(type, count, body) of each packet in a compound one; AssertionError for a malformed one."""
    found = []
    while compound:
        first, kind, words = struct.unpack_from("!BBH", compound)
        assert first >> 6 == 2
        size = 4 * (words + 1)
        assert size <= len(compound)
        found.append((kind, first & 31, compound[4:size]))
        compound = compound[size:]
    return found


def report(ssrc: int, *blocks: bytes, ntp: int | None = None) -> bytes:
    body = struct.pack("!I", ssrc)
    if ntp is not None:
        body += struct.pack("!QIII", ntp, 0, 0, 0)
    body += b"".join(blocks)
    return struct.pack("!BBH", 0x80 | len(blocks), 201 if ntp is None else 200, len(body) // 4) + body


def block(ssrc: int, fraction: int = 0, lost: int = 0, jitter: int = 0, last: int = 0, delay: int = 0) -> bytes:
    return struct.pack("!IIIIII", ssrc, fraction << 24 | lost & 0xFFFFFF, 7, jitter, last, delay)


def test_reports_come_every_few_seconds_and_are_complete(stage: Stage) -> None:
    leg, peer = stage.peer()
    stage.plane.play(leg, tone(440, 400))
    stage.run(600, {leg: 300})
    assert 3 <= len(peer.rtcp) <= 10
    names = set()
    for compound in peer.rtcp:
        (kind, count, body), (second, chunks, names_body) = parts(compound)
        assert (kind, count, second, chunks) == (200, 1, 202, 1)
        assert struct.unpack_from("!I", body)[0] == struct.unpack_from("!I", names_body)[0] == 101
        names.add(names_body)
    assert len(names) == 1
    body = parts(peer.rtcp[-1])[0][2]
    _, seconds, _, _, packets, octets, source, loss, highest = struct.unpack_from("!IIIIIIIII", body)
    assert seconds - NTP == pytest.approx(stage.clock.ns / 1e9, abs=6)
    assert packets > 400
    assert octets > packets * 3
    assert (source, loss) == (1, 0)
    assert highest & 0xFFFF0000 == 0x10000  # it began just below a wrap


def test_loss_and_jitter_are_reported(stage: Stage) -> None:
    leg, peer = stage.peer()
    for n in range(400):
        packet = peer.packet(tone(440, 1, n))
        if n % 4:
            peer.send(packet, stage.address)
        stage.tick()
    stats = stage.plane.stats(leg)
    assert stats["received"] == 300
    assert stats["lost"] == 99
    body = parts(peer.rtcp[-1])[0][2]
    at = 24 if parts(peer.rtcp[-1])[0][0] == 200 else 4
    source, loss, _, _ = struct.unpack_from("!IIII", body, at)
    assert source == 1
    assert 55 <= loss >> 24 <= 72  # a quarter of 256
    assert 20 <= loss & 0xFFFFFF <= 99


def test_packets_that_come_unevenly_show_as_jitter(stage: Stage) -> None:
    leg, peer = stage.peer()
    for n in range(0, 200, 2):
        for _ in range(2):  # two at a time, every 40 ms
            peer.say(tone(440, 1, n), stage.address)
        stage.tick(2)
    assert stage.plane.stats(leg)["jitter_ms"] == pytest.approx(20, abs=3)
    assert stage.plane.stats(leg)["lost"] == 0


def test_what_the_peer_reports_is_in_the_statistics(stage: Stage) -> None:
    leg, peer = stage.peer()
    while not peer.rtcp:
        stage.tick()
    stage.tick(12)  # the next report is not due for another second
    middle = struct.unpack_from("!Q", parts(peer.rtcp[-1])[0][2], 4)[0] >> 16 & 0xFFFFFFFF
    sent_at = middle / 65536
    now = (stage.clock.ns / 1e9 + 0.02 + NTP) % 65536
    delay = int((now - sent_at - 0.150) * 65536)
    peer.send(report(1, block(101, fraction=64, lost=12, jitter=480, last=middle, delay=delay)), stage.address)
    stage.tick()
    stats = stage.plane.stats(leg)
    assert stats["rtt_ms"] == pytest.approx(150, abs=1)
    assert (stats["remote_lost"], stats["remote_fraction_lost"], stats["remote_jitter_ms"]) == (12, 0.25, 10)


def test_the_senders_clock_is_given_back(stage: Stage) -> None:
    leg, peer = stage.peer()
    peer.say(tone(440, 1), stage.address)
    stage.tick()
    peer.send(report(1, ntp=0x0123456789ABCDEF), stage.address)
    stage.tick(300)
    body = parts(peer.rtcp[-1])[0][2]
    last, delay = struct.unpack_from("!II", body, 24 + 16)
    assert last == 0x456789AB
    assert 0 < delay / 65536 < 6.1
    assert stage.plane.stats(leg)["rtt_ms"] == -1


def test_a_leg_that_only_receives_sends_receiver_reports(stage: Stage) -> None:
    leg, peer = stage.peer()
    stage.plane.set_send(leg, False)
    stage.run(300, {leg: 440})
    assert peer.rtp == []
    assert {parts(compound)[0][:2] for compound in peer.rtcp} == {(201, 1)}


def test_who_has_sent_something_in_the_last_two_intervals_sends_senders_reports(stage: Stage) -> None:
    leg, peer = stage.peer()
    stage.plane.play(leg, tone(440, 400))  # in silence little would be sent
    while len(peer.rtcp) < 2:
        stage.run(1, {leg: 440})
    stage.run(5, {leg: 440})
    stage.plane.set_send(leg, False)
    stage.tick(1000)
    kinds = [parts(compound)[0][0] for compound in peer.rtcp[2:]]
    assert kinds[:3] == [200, 200, 201]
    assert set(kinds[3:]) == {201}


def test_goodbye_is_said_and_heard(stage: Stage) -> None:
    leg, peer = stage.peer()
    stage.run(50, {leg: 440})
    peer.send(report(1) + struct.pack("!BBHI", 0x81, 203, 1, 1), stage.address)
    stage.tick(5)
    concealed = stage.plane.stats(leg)["concealed"]
    stage.tick(20)
    assert stage.plane.stats(leg)["concealed"] == concealed
    stage.plane.remove_leg(leg)
    peer.receive()
    assert [kind for kind, _, _ in parts(peer.rtcp[-1])] == [200, 202, 203]
    assert parts(peer.rtcp[-1])[-1][2] == struct.pack("!I", 101)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\xc9",
        b"\x80\xc9\xff\xff\0\0\0\1",
        b"\x00\xc9\0\1\0\0\0\1",
        report(1)[:6],
        report(1, block(101))[:20],
    ],
)
def test_a_broken_report_is_dropped(stage: Stage, data: bytes) -> None:
    leg, peer = stage.peer()
    peer.send(data, stage.address)
    stage.tick()
    dropped = (
        stage.plane.stats(leg)["dropped_malformed"]
        + stage.plane.plane_stats()["dropped_malformed"]
        + stage.plane.plane_stats()["dropped_unknown"]
    )
    assert dropped == 1


def test_a_report_that_promises_more_blocks_than_it_has_is_read_as_far_as_it_goes(stage: Stage) -> None:
    leg, peer = stage.peer()
    data = bytearray(report(1, block(101, fraction=128)))
    data[0] |= 31
    peer.send(bytes(data), stage.address)
    stage.tick()
    assert stage.plane.stats(leg)["remote_fraction_lost"] == 0.5


def test_reports_are_encrypted_where_media_is(stage: Stage) -> None:
    key = bytes(range(30))
    leg = stage.plane.add_leg("localufrag", ssrc=101, csrc=2)
    peer = Peer(ssrc=1, outbound=Srtp("AES_CM_128_HMAC_SHA1_80", key, 1), inbound=Srtp("AES_CM_128_HMAC_SHA1_80", key))
    stage.peers[leg] = peer
    stage.plane.set_codec(leg, payload_type=OPUS)
    stage.plane.set_srtp(leg, "AES_CM_128_HMAC_SHA1_80", key, key)
    stage.plane.allow(leg, 0, peer.address)
    stage.plane.set_remote(leg, 0, peer.address)
    stage.run(300, {leg: 440})
    assert peer.outbound is not None
    peer.send(peer.outbound.protect_rtcp(report(1, block(101, fraction=64))), stage.address)
    stage.tick()
    assert len(peer.rtcp) >= 2
    assert stage.plane.stats(leg)["remote_fraction_lost"] == 0.25
    assert stage.plane.stats(leg)["dropped_auth"] == 0


def intervals(stage: Stage, ticks: int) -> list[float]:
    """Seconds between a leg's reports."""
    _, peer = stage.peer()
    times = [stage.clock.ns]
    for _ in range(ticks):
        before = len(peer.rtcp)
        stage.tick()
        times += [stage.clock.ns] * (len(peer.rtcp) - before)
    return [(b - a) / 1e9 for a, b in pairwise(times)]


def test_reports_are_not_sent_by_the_clock(stage: Stage) -> None:
    first, *others = intervals(stage, 3000)
    assert first <= 1.9 + 0.5
    assert all(1.2 <= each <= 3.75 + 0.6 for each in others)
    assert 2.0 < sum(others) / len(others) < 3.1
    assert len({round(each, 1) for each in others}) > 5


@pytest.mark.parametrize("rate", [48000, 8000])
def test_counts_and_clocks_of_a_senders_report_are_those_of_the_packets(stage: Stage, rate: int) -> None:
    """RFC 3550 section 6.4.1: what has been sent so far, and the RTP time at the NTP time."""
    unit = 48000 // rate
    leg, peer = stage.peer(codec=Opus() if unit == 1 else Companded("pcmu"), unit=unit)
    if unit > 1:
        stage.plane.set_codec(leg, payload_type=0, name="pcmu")
    stage.plane.play(leg, tone(440, 450))
    clocks = []
    for _ in range(450):
        before = len(peer.rtcp)
        stage.tick()
        for compound in peer.rtcp[before:]:
            _, ntp, timestamp, packets, octets = struct.unpack_from("!IQIII", parts(compound)[0][2])
            assert packets == len(peer.rtp)
            assert octets == sum(len(packet.payload) for packet in peer.rtp)
            assert timestamp == peer.rtp[-1].timestamp
            clocks.append((ntp / 2**32, timestamp))
    assert len(clocks) >= 3
    for (ntp, timestamp), (later, timestamp_then) in pairwise(clocks):
        assert ((timestamp_then - timestamp) & 0xFFFFFFFF) / rate == pytest.approx(later - ntp, abs=1e-4)


def test_a_source_is_called_as_it_was_announced(stage: Stage) -> None:
    """RFC 3550 section 6.5.1, RFC 7022: who is not given a name makes up one."""
    given = stage.plane.add_leg("named", ssrc=200, csrc=201, cname="a name of 96 bits")
    peer = Peer(ssrc=9)
    stage.plane.set_codec(given, payload_type=OPUS)
    stage.plane.set_plain(given, peer.address)
    stage.peers[given] = peer
    others = [stage.peer()[1] for _ in range(2)]
    stage.tick(150)

    def name(compound: bytes) -> bytes:
        kind, _, body = parts(compound)[1]
        assert (kind, body[4]) == (202, 1)
        return body[6 : 6 + body[5]]

    assert {name(compound) for compound in peer.rtcp} == {b"a name of 96 bits"}
    made_up = {name(compound) for each in others for compound in each.rtcp}
    assert len(made_up) == 2
    assert all(len(each) >= 16 for each in made_up)
    for wrong in ("", "x" * 24, "a\0b"):
        with pytest.raises(ValueError, match="CNAME"):
            stage.plane.add_leg("other", ssrc=300, csrc=301, cname=wrong)


def test_reports_take_less_than_a_twentieth_of_the_bandwidth(stage: Stage) -> None:
    """RFC 3550 section 6.2, of sound at 32 kbit/s, the peer's reports being like ours; with IP, UDP and SRTCP."""
    leg, peer = stage.peer()
    stage.run(1000, {leg: 440})
    bits = sum(8 * (len(compound) + 14 + 28) for compound in peer.rtcp)
    assert 0 < 2 * bits / 20 < 0.05 * 32000


def test_who_was_sent_nothing_is_told_no_goodbye(stage: Stage) -> None:
    """RFC 3550 section 6.3.7."""
    leg, peer = stage.peer()
    stage.plane.set_send(leg, False)
    stage.tick(10)
    stage.plane.remove_leg(leg)
    stage.tick()
    assert not peer.rtcp
    assert not peer.rtp


def test_who_is_forgotten_is_sent_nothing_neither_sound_nor_reports_nor_goodbye(stage: Stage) -> None:
    leg, peer = stage.peer()
    stage.plane.play(leg, tone(440, 450))
    stage.tick(200)
    sent = len(peer.rtp), len(peer.rtcp)
    assert all(sent)
    stage.plane.forget_remote(leg)
    stage.tick(200)
    assert (len(peer.rtp), len(peer.rtcp)) == sent
    stage.plane.set_remote(leg, 0, peer.address)
    stage.tick(10)
    assert len(peer.rtp) == sent[0] + 10
    sent = len(peer.rtp), len(peer.rtcp)
    stage.plane.forget_remote(leg)
    stage.plane.remove_leg(leg)
    stage.tick()
    assert (len(peer.rtp), len(peer.rtcp)) == sent


@pytest.mark.parametrize(("second", "counted"), [(191, 1), (192, 0), (223, 0), (224, 1)])
def test_reports_are_told_from_sound_by_their_second_byte(stage: Stage, second: int, counted: int) -> None:
    """RFC 5761 section 4: 191 and 224 are payload types with the marker."""
    leg, peer = stage.peer()
    peer.send(bytes([0x80, second, 0, 2]) + struct.pack("!III", 1, 1, 1), stage.address)
    stage.tick()
    assert stage.plane.stats(leg)["dropped_payload_type"] == counted


def test_reports_without_a_compound_are_read(stage: Stage) -> None:
    """RFC 5506: feedback or a goodbye may come alone, or before the report."""
    leg, peer = stage.peer()
    feedback = struct.pack("!BBHII", 0x81, 205, 2, 1, 101)
    peer.send(feedback + report(1, block(101, fraction=128)), stage.address)
    stage.tick()
    assert stage.plane.stats(leg)["remote_fraction_lost"] == 0.5
    stage.run(20, {leg: 440})
    peer.send(struct.pack("!BBHI", 0x81, 203, 1, 1), stage.address)
    stage.tick(3)
    concealed = stage.plane.stats(leg)["concealed"]
    stage.tick(20)
    assert stage.plane.stats(leg)["concealed"] == concealed
    assert stage.plane.stats(leg)["dropped_malformed"] == 0


def test_goodbye_is_said_once(stage: Stage) -> None:
    leg, peer = stage.peer()
    _, other = stage.peer()
    stage.tick(10)
    stage.plane.remove_leg(leg)
    stage.plane.remove_leg(leg)
    stage.tick(200)
    stage.plane.stop()
    for each in (peer, other):
        each.receive()
        assert [kind for compound in each.rtcp for kind, _, _ in parts(compound)].count(203) == 1
        assert parts(each.rtcp[-1])[-1][0] == 203


def test_what_came_twice_is_loss_below_zero(stage: Stage) -> None:
    _, peer = stage.peer()
    for n in range(300):
        packet = peer.packet(tone(440, 1, n))
        for _ in range(2 if n % 3 == 0 else 1):
            peer.send(packet, stage.address)
        stage.tick()
    kind, _, body = parts(peer.rtcp[-1])[0]
    (loss,) = struct.unpack_from("!I", body, 24 + 4 if kind == 200 else 8)
    assert loss >> 24 == 0  # the fraction has no sign
    assert -100 <= (loss & 0xFFFFFF) - 0x1000000 <= -10  # the last report may be of a second after the beginning


def test_jitter_is_in_units_of_the_codecs_clock(stage: Stage) -> None:
    leg, peer = stage.peer(payload_type=0, codec=Companded("pcmu"), unit=6)
    stage.plane.set_codec(leg, payload_type=0, name="pcmu")
    for n in range(0, 300, 2):
        for _ in range(2):
            peer.say(tone(440, 1, n), stage.address)
        stage.tick(2)
    kind, _, body = parts(peer.rtcp[-1])[0]
    (jitter,) = struct.unpack_from("!I", body, (24 if kind == 200 else 4) + 12)
    assert jitter == pytest.approx(160, abs=24)
    assert stage.plane.stats(leg)["jitter_ms"] == pytest.approx(20, abs=3)


def test_the_report_of_somebody_else_in_a_compound_says_nothing_of_the_peers_clock(stage: Stage) -> None:
    _, peer = stage.peer()
    peer.say(tone(440, 1), stage.address)
    stage.tick()
    peer.send(report(1, ntp=0x0123456789ABCDEF) + report(99, block(7), ntp=0xFFFF000000000000), stage.address)
    stage.tick(300)
    (last,) = struct.unpack_from("!I", parts(peer.rtcp[-1])[0][2], 24 + 16)
    assert last == 0x456789AB


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 31), st.integers(192, 223), st.integers(0, 30), st.binary(max_size=80)),
        min_size=1,
        max_size=6,
    )
)
def test_any_compound_is_read_within_its_bounds(stage: Stage, packets: list[tuple[int, int, int, bytes]]) -> None:
    if not stage.peers:
        stage.peer(fec=True)
    (leg, peer), *_ = stage.peers.items()
    data = b"".join(struct.pack("!BBH", 0x80 | count, kind, words) + body for count, kind, words, body in packets)
    peer.send(data, stage.address)
    stage.tick()
    stats = stage.plane.stats(leg)
    assert 0 <= stats["remote_fraction_lost"] < 1
    assert -0x800000 <= stats["remote_lost"] <= 0x7FFFFF
    assert stats["rtt_ms"] == -1 or 0 <= stats["rtt_ms"] < 60_000
