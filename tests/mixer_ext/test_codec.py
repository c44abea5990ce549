"""Opus packets of every kind (RFC 6716 section 3), and of what kind those are that a leg is sent (RFC 7587)."""

from itertools import pairwise

import av
import numpy as np
import pytest

from mixer_ext import Opus
from tests.mixer_ext.peers import FRAME, RATE, Samples, Stage, loudness, tone

#: Milliseconds of a frame, by configuration (RFC 6716 table 2).
FRAMES = [*[10, 20, 40, 60] * 3, *[10, 20] * 2, *[2.5, 5, 10, 20] * 4]


def encoded(count: int) -> list[bytes]:
    """So many packets of one frame each, by one encoder."""
    opus = Opus()
    sound = tone(440, count)
    packets = [opus.encode(sound[n * FRAME : (n + 1) * FRAME]) for n in range(count)]
    assert len({packet[0] for packet in packets[2:]}) == 1
    assert packets[-1][0] & 3 == 0
    return packets


def decoded(*packets: bytes) -> Samples:
    opus = Opus()
    return np.concatenate([np.frombuffer(opus.decode(packet), np.int16) for packet in packets])


def length(size: int) -> bytes:
    """RFC 6716 section 3.2.1."""
    return bytes([size]) if size < 252 else bytes([252 + (size & 3), (size - 252 - (size & 3)) // 4])


def packed(code: int, packets: list[bytes], *, padding: int = 0) -> bytes:
    """Frames of packets of one frame in one packet (RFC 6716 sections 3.2.2 to 3.2.5); code 3 has variable lengths."""
    toc, frames = packets[0][0] & 0xFC | code, [packet[1:] for packet in packets]
    if code == 1:
        return bytes([toc]) + b"".join(frames)
    if code == 2:
        return bytes([toc]) + length(len(frames[0])) + b"".join(frames)
    head = bytes([toc, 0x80 | 0x40 * bool(padding) | len(frames)])
    if padding:
        head += b"\xff" * ((padding - 1) // 254) + bytes([padding - (padding - 1) // 254 * 254])
    return head + b"".join(length(len(frame)) for frame in frames[:-1]) + b"".join(frames) + bytes(padding)


def test_frames_in_one_packet_are_played_as_if_each_had_come_alone() -> None:
    packets = encoded(20)
    before, frames = packets[:14], packets[14:]
    alone = decoded(*packets)
    assert len(alone) == 20 * FRAME
    assert np.array_equal(decoded(*before, *[packed(2, frames[n : n + 2]) for n in (0, 2, 4)]), alone)
    for padding in (0, 1, 254, 255, 600):
        assert np.array_equal(decoded(*before, packed(3, frames, padding=padding)), alone)
    # frames of one size: made so by zeros behind them, which is what their decoder reads there anyway
    size = max(len(frame) for frame in frames)
    same = [frame + bytes(size - len(frame)) for frame in frames]
    alone = decoded(*before, *same)
    assert np.array_equal(decoded(*before, packed(1, same[:2]), packed(1, same[2:4]), packed(1, same[4:])), alone)
    constant = bytes([same[0][0] | 3, len(same)]) + b"".join(frame[1:] for frame in same)
    assert np.array_equal(decoded(*before, constant), alone)


def test_a_leg_plays_packets_of_several_frames(stage: Stage) -> None:
    leg, peer = stage.peer()
    tap = stage.plane.tap(leg)
    packets = encoded(90)
    for n in range(0, 90, 3):
        peer.send(peer.packet(packed(3, packets[n : n + 3]), timestamp=n * FRAME), stage.address)
        stage.tick(3)
    stats = stage.plane.stats(leg)
    assert (stats["received"], stats["lost"], stats["concealed"], stats["dropped_malformed"]) == (30, 0, 0, 0)
    assert loudness(stage.plane.tap_read(tap)[-48 * FRAME :], 440) > loudness(tone(440, 48), 440) - 1


@pytest.mark.parametrize("channels", [1, 2])
def test_every_configuration_has_the_length_that_it_says(channels: int) -> None:
    frame = bytes(np.random.default_rng(3).integers(0, 256, 80).astype(np.uint8))
    for configuration, milliseconds in enumerate(FRAMES):
        toc = bytes([configuration << 3 | 4 * (channels == 2)])
        assert len(Opus().decode(toc + frame)) == milliseconds * 48 * 2
        empty = bytes([toc[0] | 3, 2])  # two frames of nothing: a pause (section 3.4, R7 allows a length of 0)
        assert len(Opus().decode(empty)) == 2 * milliseconds * 48 * 2


def test_stereo_is_mixed_down() -> None:
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.format, codec.layout, codec.bit_rate = RATE, "s16", "stereo", 96000
    sound = np.zeros((50 * FRAME, 2), np.int16)
    sound[:, 0], sound[:, 1] = tone(440, 50), tone(1000, 50)
    opus, heard = Opus(), []
    for n in range(50):
        frame = av.AudioFrame.from_ndarray(sound[n * FRAME : (n + 1) * FRAME].reshape(1, -1), "s16", "stereo")
        frame.sample_rate = RATE
        heard += [np.frombuffer(opus.decode(bytes(packet)), np.int16) for packet in codec.encode(frame)]
    mixed = np.concatenate(heard[-25:])
    for frequency in (440, 1000):
        assert loudness(mixed, frequency) == pytest.approx(loudness(tone(frequency, 25), frequency) - 6, abs=1)


@pytest.mark.parametrize("fec", [False, True])
def test_what_a_leg_is_sent_is_one_frame_of_20_ms_in_mono(stage: Stage, fec: bool) -> None:
    """RFC 7587 sections 4.1 and 4.2: every decoder takes it whatever was asked for; its clock is of 48 kHz."""
    leg, peer = stage.peer(fec=fec)
    stage.plane.play(leg, tone(440, 50))
    stage.tick(100)
    assert {packet.payload[0] & 7 for packet in peer.rtp} == {0}
    assert {FRAMES[packet.payload[0] >> 3] for packet in peer.rtp} == {20}
    assert all(len(packet.payload) <= 1276 for packet in peer.rtp)
    stamps = [packet.timestamp for packet in peer.rtp]
    assert {(b - a) & 0xFFFFFFFF for a, b in pairwise(stamps)} == {FRAME}


@pytest.mark.parametrize("bitrate", [6000, 16000, 32000])
def test_no_more_is_sent_than_is_asked_for(stage: Stage, bitrate: int) -> None:
    """RFC 7587 section 6.1, maxaveragebitrate."""
    leg, peer = stage.peer(bitrate=bitrate)
    noise = np.random.default_rng(1).normal(0, 3000, 250 * FRAME).astype(np.int16)
    stage.plane.play(leg, noise)
    stage.tick(250)
    sent = 8 * sum(len(packet.payload) for packet in peer.rtp) / 5
    assert bitrate / 2 < sent < bitrate * 1.1


def test_with_dtx_the_first_packet_after_a_pause_is_marked_and_only_the_time_has_gone_on(stage: Stage) -> None:
    """RFC 7587 sections 3.1.3 and 4.1."""
    leg, peer = stage.peer(dtx=True)
    for _ in range(2):
        stage.plane.play(leg, tone(440, 30))
        stage.tick(330)
    packets = peer.rtp
    assert [packet.marker for packet in packets].count(True) == 2
    assert packets[0].marker
    second = next(n for n, packet in enumerate(packets) if n and packet.marker)
    assert (packets[second].timestamp - packets[0].timestamp) & 0xFFFFFFFF == 330 * FRAME
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
    assert second < 100
