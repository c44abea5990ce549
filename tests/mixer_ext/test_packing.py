"""Packets of other lengths than that of a tick (ptime, RFC 3551 section 4.2)."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from mixer_ext import Companded
from tests.mixer_ext.peers import FRAME, OPUS, Peer, Samples, Stage, loudness, tone

CODECS = ("opus", "pcmu")
EVENT = 101


class NoCodec:
    """Of who takes keys, and not what they are for sound."""

    def decode(self, payload: bytes) -> bytes:
        return b""


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def listener(stage: Stage, codec: str, ptime: int) -> tuple[int, Peer]:
    """A leg that is sent packets of `ptime` ms."""
    if codec == "opus":
        leg, peer = stage.peer()
        stage.plane.set_codec(leg, payload_type=OPUS, ptime=ptime, telephone_events={EVENT: 48000})
    else:
        leg, peer = stage.peer(payload_type=0, codec=Companded("pcmu"), unit=6)
        stage.plane.set_codec(leg, payload_type=0, name="pcmu", ptime=ptime, telephone_events={EVENT: 8000})
    return leg, peer


def room(stage: Stage, *legs: int) -> int:
    """One who speaks, to those that listen."""
    mixer, (talker, _) = stage.plane.add_mixer(), stage.peer()
    for leg in (talker, *legs):
        stage.plane.join(leg, mixer)
    return talker


def lengths(peer: Peer) -> list[int]:
    """Of the sound in its packets, in ms."""
    return [len(samples) * 1000 // 48000 for samples in peer.heard]


def heard(peer: Peer) -> Samples:
    return np.concatenate(peer.heard)


def follow(peer: Peer) -> None:
    """Each packet begins where the one before ended, by its number and by its time."""
    for a, b, samples in zip(peer.rtp, peer.rtp[1:], peer.heard, strict=False):
        assert (b.sequence - a.sequence) & 0xFFFF == 1
        assert (b.timestamp - a.timestamp) & 0xFFFFFFFF == len(samples) // peer.unit


def encodes(stage: Stage) -> int:
    return int(stage.plane.plane_stats()["encodes"])


@pytest.mark.parametrize("ptime", [40, 60])
@pytest.mark.parametrize("codec", CODECS)
def test_several_frames_go_in_one_packet_and_are_encoded_as_for_everybody(stage: Stage, codec: str, ptime: int) -> None:
    (_, short), (_, long) = listener(stage, codec, 20), listener(stage, codec, ptime)
    talker = room(stage, *stage.peers)
    before = encodes(stage)
    stage.run(60, {talker: 440})
    assert encodes(stage) - before <= 60 * 2  # one for the two, and the talker's own
    assert set(lengths(short)) == {20}
    assert sum(packet.marker for packet in long.rtp) == sum(packet.marker for packet in short.rtp) == 1
    full = lengths(long).count(ptime)
    assert full > 0.8 * len(long.heard)  # two kinds of Opus' frames go into packets of their own
    follow(long)
    both = min(len(heard(short)), len(heard(long)))
    assert both > 57 * FRAME
    np.testing.assert_array_equal(heard(short)[:both], heard(long)[:both])


@pytest.mark.parametrize("codec", CODECS)
def test_half_a_frame_goes_in_each_of_two_packets(stage: Stage, codec: str) -> None:
    (_, usual), (_, halved) = listener(stage, codec, 20), listener(stage, codec, 10)
    talker = room(stage, *stage.peers)
    stage.run(50, {talker: 440})
    assert set(lengths(halved)) == {10}
    assert len(halved.rtp) == 2 * len(usual.rtp)
    follow(halved)
    assert sum(packet.marker for packet in halved.rtp) == sum(packet.marker for packet in usual.rtp) == 1
    if codec == "pcmu":
        assert b"".join(packet.payload for packet in halved.rtp) == b"".join(packet.payload for packet in usual.rtp)
    else:
        assert loudness(heard(halved)[-20 * FRAME :], 440) == pytest.approx(
            loudness(heard(usual)[-20 * FRAME :], 440), abs=1
        )


@pytest.mark.parametrize("ptime", [10, 40, 60])
@pytest.mark.parametrize("codec", CODECS)
def test_what_waits_is_sent_before_a_key_and_before_silence(stage: Stage, codec: str, ptime: int) -> None:
    leg, peer = listener(stage, codec, ptime)
    talker = room(stage, leg)
    stage.run(20, {talker: 440})
    peer.codec, codec_of_peer = NoCodec(), peer.codec  # type: ignore[assignment]
    stage.plane.send_dtmf(leg, "5")
    stage.run(15, {talker: 440})
    peer.codec = codec_of_peer
    stage.run(10, {talker: 440})
    stage.tick(300)
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(peer.rtp))
    first = next(n for n, packet in enumerate(peer.rtp) if packet.payload_type == EVENT)
    last, key = peer.rtp[first - 1 : first + 1]
    assert (key.timestamp - last.timestamp) & 0xFFFFFFFF == len(peer.codec.decode(last.payload)) // 2 // peer.unit
    sound = [packet for packet in peer.rtp if packet.payload_type != EVENT]
    assert all(0 < (b.timestamp - a.timestamp) & 0xFFFFFFFF < 1 << 20 for a, b in pairwise(sound))
    count = len(peer.rtp)
    stage.tick(100)
    assert len(peer.rtp) - count <= 1  # a sign of life, and nothing that has waited


def test_who_is_sent_nothing_for_a_while_hears_nothing_of_before(stage: Stage) -> None:
    leg, peer = listener(stage, "pcmu", 60)
    talker = room(stage, leg)
    for ticks in (19, 20, 21):  # until then none, one or two frames wait
        stage.run(ticks, {talker: 440})
        count, last = len(peer.rtp), peer.rtp[-1].timestamp
        stage.plane.set_send(leg, False)
        stage.run(5, {talker: 440})
        assert len(peer.rtp) == count
        stage.plane.set_send(leg, True)
        stage.run(6, {talker: 440})
        assert (peer.rtp[count].timestamp - last) & 0xFFFFFFFF >= (3 + 5) * 160


def test_a_peer_may_change_its_mind(stage: Stage) -> None:
    leg, peer = listener(stage, "opus", 60)
    talker = room(stage, leg)
    stage.run(20, {talker: 440})
    for ptime in (10, 40, 20):
        stage.plane.set_codec(leg, payload_type=OPUS, ptime=ptime)
        stage.run(2, {talker: 440})
        count = len(peer.heard)
        stage.run(20, {talker: 440})
        assert set(lengths(peer)[count:]) == {ptime}
    assert loudness(heard(peer)[-10 * FRAME :], 440) > 120


@pytest.mark.parametrize("codec", CODECS)
def test_who_changes_its_mind_loses_nothing_that_waits(stage: Stage, codec: str) -> None:
    leg, peer = listener(stage, codec, 60)
    talker = room(stage, leg)
    kind = {"payload_type": OPUS} if codec == "opus" else {"payload_type": 0, "name": "pcmu"}
    for ticks in (19, 20, 21):  # until then none, one or two frames wait
        stage.run(ticks, {talker: 440})
        stage.plane.set_codec(leg, ptime=60, **kind)
    stage.run(3, {talker: 440})
    follow(peer)


@pytest.mark.parametrize("codec", CODECS)
def test_what_a_peer_says_goes_on_when_it_changes_its_mind(stage: Stage, codec: str) -> None:
    heard = []
    for changes in (False, True):
        (leg, _), (other, ear) = listener(stage, codec, 20), listener(stage, "pcmu", 20)
        stage.plane.join(leg, other)
        start = stage.ticks
        for n in range(30):
            if n == 20 and changes:
                kind = {"payload_type": OPUS} if codec == "opus" else {"payload_type": 0, "name": "pcmu"}
                stage.plane.set_codec(leg, ptime=40, **kind)
            stage.peers[leg].say(tone(440, 1, stage.ticks - start), stage.address)
            stage.tick()
        heard.append(np.concatenate(ear.heard))
    before, after = heard
    np.testing.assert_array_equal(before, after)
