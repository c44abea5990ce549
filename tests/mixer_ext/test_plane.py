"""Legs, mixers and what each peer hears, over real sockets on a fake clock."""

import errno
import io
import os
import select
import socket
import subprocess
import wave
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from mixer_ext import Companded, Plane, level, rtp_audio_level, rtp_mixed_levels
from tests.mixer_ext.levels import LimiterOracle, dying, ramped
from tests.mixer_ext.peers import FRAME, Peer, Stage, loudness, tone

PRESENT = 120.0  # dB as of loudness() over half a second: a tone of AMPLITUDE is at 147


def hears(peer: Peer, frames: int = 25) -> dict[int, bool]:
    """Of which of the tones there are in the last frames."""
    sound = np.concatenate(peer.heard[-frames:])
    return {frequency: loudness(sound, frequency) > PRESENT for frequency in (300, 440, 660)}


def three(stage: Stage) -> tuple[int, list[int], list[Peer]]:
    legs, peers = zip(*(stage.peer() for _ in range(3)), strict=True)
    mixer = stage.plane.add_mixer()
    for leg in legs:
        stage.plane.join(leg, mixer)
    return mixer, list(legs), list(peers)


def test_three_hear_each_exactly_the_other_two(stage: Stage) -> None:
    _, legs, peers = three(stage)
    frequencies = (300, 440, 660)
    stage.run(125, dict(zip(legs, frequencies, strict=True)))
    for leg, peer, own in zip(legs, peers, frequencies, strict=True):
        sound = np.concatenate(peer.heard[-50:])
        levels = {frequency: loudness(sound, frequency) for frequency in frequencies}
        others = min(value for frequency, value in levels.items() if frequency != own)
        assert others - levels[own] >= 40
        assert len(peer.rtp) == 125
        numbers = [packet.sequence for packet in peer.rtp]
        assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(numbers))
        stamps = [packet.timestamp for packet in peer.rtp]
        assert all((b - a) & 0xFFFFFFFF == FRAME for a, b in pairwise(stamps))
        assert {packet.ssrc for packet in peer.rtp} == {100 + legs.index(leg) + 1}


def test_numbers_and_times_begin_anywhere(stage: Stage) -> None:
    """RFC 3550 section 5.1; no number so high that what is lost at first hides a roll-over (RFC 3711 section 3.3.1)."""
    peers = [stage.peer()[1] for _ in range(30)]
    stage.tick()
    first = [peer.rtp[0] for peer in peers]
    assert len({packet.sequence for packet in first}) > 25
    assert len({packet.timestamp >> 16 for packet in first}) > 25
    assert max(packet.sequence for packet in first) < 2**15


def test_packets_name_who_is_heard_in_them(stage: Stage) -> None:
    _, legs, peers = three(stage)
    stage.run(50, {legs[0]: 300, legs[1]: 440})
    assert set(peers[0].rtp[-1].csrcs) == {1002}
    assert set(peers[1].rtp[-1].csrcs) == {1001}
    assert set(peers[2].rtp[-1].csrcs) == {1001, 1002}
    stage.run(60, {legs[0]: 300})
    assert peers[2].rtp[-1].csrcs == (1001,)
    stage.tick(80)
    assert peers[2].rtp[-1].csrcs == ()


def test_speaking_begins_with_sound_and_ends_after_it(stage: Stage) -> None:
    leg, _ = stage.peer()
    floor = np.random.default_rng(1).integers(-3, 4, (40, FRAME)).astype(np.int16)
    for frame in floor:
        stage.peers[leg].say(frame, stage.address)
        stage.tick()
    assert [event for event in stage.events if event[0] == "speaking"] == []
    stage.run(200, {leg: 440})
    assert [event for event in stage.events if event[0] == "speaking"] == [("speaking", leg, True)]
    stage.tick(60)
    assert [event for event in stage.events if event[0] == "speaking"][1:] == [("speaking", leg, False)]


def test_a_quiet_tone_is_speech_and_a_whisper_of_noise_is_not(stage: Stage) -> None:
    quiet, _ = stage.peer()
    noisy, _ = stage.peer()
    noise = np.random.default_rng(2).normal(0, 25, (100, FRAME)).astype(np.int16)
    for n in range(100):
        stage.peers[quiet].say(tone(440, 1, n, amplitude=1000), stage.address)
        stage.peers[noisy].say(noise[n], stage.address)
        stage.tick()
    assert [event for event in stage.events if event[0] == "speaking"] == [("speaking", quiet, True)]


def test_the_level_in_a_packet_is_believed_where_it_was_negotiated(stage: Stage) -> None:
    told, first = stage.peer(level_extension=5)
    untold, second = stage.peer()
    long_form, third = stage.peer(level_extension=20)
    for n in range(20):
        for peer, identifier in ((first, 5), (second, 5), (third, 20)):
            peer.say(tone(440, 1, n), stage.address, level_extension=identifier, level=33, voice=True)
        stage.tick()
    assert stage.plane.stats(told)["level_dbov"] == stage.plane.stats(long_form)["level_dbov"] == -33
    assert stage.plane.stats(untold)["level_dbov"] == pytest.approx(level(tone(440, 1)), abs=1)


@pytest.mark.parametrize(("own", "mixed"), [(0, 2), (1, 2), (1, 20), (16, 2)])
def test_each_who_is_heard_has_a_level_where_that_was_negotiated(stage: Stage, own: int, mixed: int) -> None:
    listener, ear = stage.peer(level_extension=own, mixed_extension=mixed)
    loud, first = stage.peer(level_extension=5)
    quiet, second = stage.peer(level_extension=5)
    other, unaware = stage.peer()
    mixer = stage.plane.add_mixer()
    for leg in (listener, loud, quiet, other):
        stage.plane.join(leg, mixer)
    for n in range(10):
        first.say(tone(440, 1, n), stage.address, level_extension=5, level=12)
        second.say(tone(660, 1, n), stage.address, level_extension=5, level=40)
        stage.tick()
    levels = dict(zip(ear.rtp[-1].csrcs, rtp_mixed_levels(ear.raw[-1], mixed) or (), strict=True))
    assert levels == {1002: 12, 1003: 40}
    assert (rtp_audio_level(ear.raw[-1], own) is None) is (own == 0)
    assert unaware.rtp[-1].extension == b""
    for n in range(15):
        second.say(tone(660, 1, n), stage.address, level_extension=5, level=40)
        stage.tick()
    levels = dict(zip(ear.rtp[-1].csrcs, rtp_mixed_levels(ear.raw[-1], mixed) or (), strict=True))
    assert levels == {1002: 127, 1003: 40}  # who falls silent is named for a while yet
    stage.tick(60)
    assert ear.rtp[-1].csrcs == ()
    assert rtp_mixed_levels(ear.raw[-1], mixed) is None


def test_what_is_sent_says_how_loud_it_is(stage: Stage) -> None:
    """RFC 6464 section 3: of the sound in the packet, and 127 of digital silence."""
    leg, ear = stage.peer(level_extension=5)
    for amplitude in (8000, 500):
        stage.plane.play(leg, tone(440, 40, amplitude=amplitude))
        stage.tick(40)
        told = rtp_audio_level(ear.raw[-10], 5)
        assert told is not None
        assert -told[0] == pytest.approx(level(tone(440, 1, amplitude=amplitude)), abs=1)
        assert told[1]
    stage.tick(300)
    assert {rtp_audio_level(raw, 5) for raw in ear.raw[-20:]} == {(127, False)}


def test_the_muted_are_not_heard_and_do_not_speak(stage: Stage) -> None:
    _, legs, peers = three(stage)
    stage.run(50, {legs[0]: 300, legs[1]: 440})
    stage.plane.set_mute(legs[0], True)
    stage.run(50, {legs[0]: 300, legs[1]: 440})
    assert hears(peers[2]) == {300: False, 440: True, 660: False}
    assert ("speaking", legs[0], False) in stage.events
    assert peers[2].rtp[-1].csrcs == (1002,)
    stage.plane.set_mute(legs[0], False)
    stage.run(50, {legs[0]: 300, legs[1]: 440})
    assert hears(peers[2]) == {300: True, 440: True, 660: False}


def test_nothing_is_sent_to_one_on_hold_and_time_goes_on(stage: Stage) -> None:
    _, legs, peers = three(stage)
    stage.run(20, {legs[1]: 440})
    stage.plane.set_send(legs[0], False)
    stage.run(20, {legs[1]: 440})
    assert len(peers[0].rtp) == 20
    stage.plane.set_send(legs[0], True)
    stage.run(1, {legs[1]: 440})
    before, after = peers[0].rtp[-2:]
    assert (after.sequence - before.sequence) & 0xFFFF == 1
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 21 * FRAME
    assert after.marker


def test_silence_goes_on_being_sent_cheaply_and_sound_after_it_is_marked(stage: Stage) -> None:
    _, legs, peers = three(stage)
    stage.run(30, {legs[0]: 300})
    assert [packet.marker for packet in peers[1].rtp].count(True) == 1
    stage.tick(60)
    assert len(peers[1].rtp) == 90
    assert all(len(packet.payload) <= 3 and not packet.csrcs for packet in peers[1].rtp[-20:])
    stage.run(40, {legs[0]: 300})
    assert [packet.marker for packet in peers[1].rtp[-40:]].count(True) == 1
    assert hears(peers[1])[300]


def test_with_dtx_silence_is_hardly_sent(stage: Stage) -> None:
    leg, peer = stage.peer(dtx=True)
    stage.tick(200)
    assert 5 <= len(peer.rtp) <= 25
    assert (peer.rtp[-1].timestamp - peer.rtp[0].timestamp) & 0xFFFFFFFF > 150 * FRAME
    assert stage.plane.stats(leg)["sent"] == len(peer.rtp)


def test_directions_of_joins(stage: Stage) -> None:
    mixer, legs, peers = three(stage)
    stage.plane.join(legs[0], mixer, a_to_b=True, b_to_a=False)
    stage.plane.join(mixer, legs[1], a_to_b=True, b_to_a=False)
    stage.run(50, dict(zip(legs, (300, 440, 660), strict=True)))
    assert hears(peers[0]) == {300: False, 440: False, 660: False}
    assert hears(peers[1]) == {300: True, 440: False, 660: True}
    assert hears(peers[2]) == {300: True, 440: False, 660: False}


def test_two_legs_without_a_mixer(stage: Stage) -> None:
    (a, first), (b, second) = stage.peer(), stage.peer()
    stage.plane.join(a, b)
    stage.run(50, {a: 300, b: 440})
    assert hears(first) == {300: False, 440: True, 660: False}
    assert hears(second) == {300: True, 440: False, 660: False}
    assert second.rtp[-1].csrcs == (1001,)
    stage.plane.unjoin(b, a)
    stage.run(50, {a: 300, b: 440})
    assert hears(second) == {300: False, 440: False, 660: False}


def test_mixers_pass_on_to_each_other(stage: Stage) -> None:
    mixers = [stage.plane.add_mixer() for _ in range(3)]
    legs = [stage.peer()[0] for _ in range(3)]
    for leg, mixer in zip(legs, mixers, strict=True):
        stage.plane.join(leg, mixer)
    stage.plane.join(mixers[0], mixers[1])
    stage.plane.join(mixers[1], mixers[2], b_to_a=False)
    stage.run(60, dict(zip(legs, (300, 440, 660), strict=True)))
    peers = list(stage.peers.values())
    assert hears(peers[0]) == {300: False, 440: True, 660: False}
    assert hears(peers[1]) == {300: True, 440: False, 660: False}
    assert hears(peers[2]) == {300: True, 440: True, 660: False}
    stage.plane.remove_mixer(mixers[1])
    stage.plane.remove_mixer(mixers[1])
    stage.run(60, dict(zip(legs, (300, 440, 660), strict=True)))
    assert hears(peers[2]) == {300: False, 440: False, 660: False}


def test_loops_are_refused(stage: Stage) -> None:
    plane = stage.plane
    a, b, c = (plane.add_mixer() for _ in range(3))
    leg, other = stage.peer()[0], stage.peer()[0]
    plane.join(a, b)
    plane.join(b, c)
    plane.join(leg, a)
    plane.join(leg, other)
    for x, y in ((a, c), (c, a), (leg, b), (c, leg), (a, a), (leg, leg)):
        with pytest.raises(ValueError, match=r"loop|itself"):
            plane.join(x, y)
    plane.join(a, b, a_to_b=False)  # another direction is no loop
    plane.unjoin(a, b)
    plane.join(a, c)
    plane.unjoin(a, c)
    plane.join(leg, b)
    with pytest.raises(ValueError, match="loop"):
        plane.join(a, b)  # the leg is in both
    plane.join(other, b)
    plane.join(other, a)


def test_what_is_played_to_a_leg_is_heard_by_it_alone(stage: Stage) -> None:
    mixer, legs, peers = three(stage)
    assert stage.plane.play(legs[0], tone(440, 50)) == 50 * FRAME
    assert stage.plane.play(mixer, tone(300, 50)) == 50 * FRAME
    stage.tick(20)
    assert stage.plane.play_pending(legs[0]) == stage.plane.play_pending(mixer) == 30 * FRAME
    stage.tick(20)
    assert hears(peers[0]) == {300: True, 440: True, 660: False}
    assert hears(peers[1]) == {300: True, 440: False, 660: False}
    stage.tick(20)
    assert stage.plane.play_pending(legs[0]) == 0


def test_ten_seconds_can_be_played_ahead(stage: Stage) -> None:
    leg, _ = stage.peer()
    assert stage.plane.play(leg, tone(440, 400)) == 400 * FRAME
    assert stage.plane.play(leg, tone(440, 400)) == 100 * FRAME
    assert stage.plane.play(leg, tone(440, 1)) == 0
    assert stage.plane.play(leg, np.zeros(0, np.int16)) == 0


def test_what_waits_to_be_played_can_be_taken_back_but_for_two_frames(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    tap = stage.plane.tap(mixer)
    assert stage.plane.unplay(mixer) == 0
    stage.plane.play(mixer, tone(440, 50))
    stage.tick(10)
    assert stage.plane.unplay(mixer) == 38 * FRAME
    assert stage.plane.unplay(mixer) == 0
    assert stage.plane.play_pending(mixer) == 2 * FRAME
    stage.plane.play(mixer, tone(660, 5))
    stage.tick(10)
    heard = stage.plane.tap_read(tap)
    assert stage.events == [("played", mixer)]
    assert np.flatnonzero(heard)[-1] < 18 * FRAME  # 12 frames, then 5, and the last sample dies away
    assert loudness(heard[: 12 * FRAME], 440) > PRESENT
    assert loudness(heard[12 * FRAME : 17 * FRAME], 660) > PRESENT
    stage.plane.play(mixer, tone(440, 1))
    assert stage.plane.unplay(mixer) == 0  # it may be on its way


def test_taps_hear_a_leg_or_all_of_a_mixer(stage: Stage) -> None:
    mixer, legs, _ = three(stage)
    one, everything = stage.plane.tap(legs[0]), stage.plane.tap(mixer)
    stage.plane.play(mixer, tone(660, 60))
    stage.run(60, {legs[0]: 300, legs[1]: 440})
    said, mixed = stage.plane.tap_read(one), stage.plane.tap_read(everything)
    assert len(said) == len(mixed) == 60 * FRAME
    assert [loudness(said[-24000:], frequency) > PRESENT for frequency in (300, 440, 660)] == [True, False, False]
    assert [loudness(mixed[-24000:], frequency) > PRESENT for frequency in (300, 440, 660)] == [True, True, True]
    assert len(stage.plane.tap_read(one)) == 0
    stage.plane.tap_close(one)
    stage.plane.tap_close(one)
    stage.plane.remove_mixer(mixer)
    stage.tick()
    assert len(stage.plane.tap_read(everything)) == 0
    stage.plane.tap_close(everything)
    with pytest.raises(ValueError, match="tap"):
        stage.plane.tap_read(everything)


def test_a_tap_hears_what_one_leg_is_sent(stage: Stage) -> None:
    """To the sample: the others, what is played to it alone, and not itself."""
    mixer, legs, _ = three(stage)
    said = [stage.plane.tap(leg) for leg in legs]
    sent = [stage.plane.tap(leg, direction="out") for leg in legs]
    announcement = tone(660, 20, amplitude=3000)
    for n in range(60):
        for leg, frequency in zip(legs, (300, 440, 550), strict=True):
            stage.peers[leg].say(tone(frequency, 1, n), stage.address)
        if n == 30:
            stage.plane.play(legs[0], announcement)
        stage.tick()
    voices = [stage.plane.tap_read(tap).astype(int) for tap in said]
    assert all(len(voice) == 60 * FRAME and np.abs(voice).max() > 4000 for voice in voices)
    heard = [stage.plane.tap_read(tap) for tap in sent]
    extra = np.zeros(60 * FRAME, int)
    extra[30 * FRAME : 50 * FRAME] = announcement
    extra[30 * FRAME : 31 * FRAME] = ramped(announcement[:FRAME], 0, 1)
    extra[50 * FRAME : 51 * FRAME] = dying(int(announcement[-1]))
    assert np.array_equal(heard[0], np.clip(voices[1] + voices[2] + extra, -32768, 32767))
    assert np.array_equal(heard[1], np.clip(voices[0] + voices[2], -32768, 32767))
    assert np.array_equal(heard[2], np.clip(voices[0] + voices[1], -32768, 32767))
    with pytest.raises(ValueError, match="direction"):
        stage.plane.tap(mixer, direction="out")
    with pytest.raises(ValueError, match="direction"):
        stage.plane.tap(legs[0], direction="both")  # type: ignore[arg-type]


def test_a_tap_on_a_leg_that_is_sent_nothing_hears_silence_in_time(stage: Stage) -> None:
    _, legs, _ = three(stage)
    tap = stage.plane.tap(legs[1], direction="out")
    stage.run(10, {legs[0]: 300})
    stage.plane.set_send(legs[1], False)
    stage.run(10, {legs[0]: 300})
    heard = stage.plane.tap_read(tap)
    assert len(heard) == 20 * FRAME
    assert heard[: 10 * FRAME].any()
    assert not heard[10 * FRAME :].any()
    stage.plane.remove_leg(legs[1])
    stage.tick()
    assert len(stage.plane.tap_read(tap)) == 0
    stage.plane.tap_close(tap)


def test_the_end_of_what_is_played_is_told_once(stage: Stage) -> None:
    leg, _ = stage.peer()
    alone = stage.plane.add_leg("nobodyyet", ssrc=7, csrc=8)
    mixer = stage.plane.add_mixer()
    for node in (leg, alone, mixer):
        stage.plane.play(node, tone(440, 3)[:-100])
    stage.tick(2)
    assert stage.plane.play(mixer, tone(440, 2)) == 2 * FRAME
    assert not stage.events
    stage.tick()
    assert sorted(stage.events) == [("played", leg), ("played", alone)]
    stage.tick(20)
    assert stage.events[2:] == [("played", mixer)]
    stage.plane.play(leg, tone(440, 1))
    stage.tick(20)
    assert stage.events[3:] == [("played", leg)]


def test_each_tap_counts_its_own_overruns(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    idle, read = stage.plane.tap(mixer), stage.plane.tap(mixer)
    stage.tick(300)
    stage.plane.tap_read(read)
    stage.tick(210)
    assert stage.plane.tap_overruns(idle) == 10 * FRAME
    assert stage.plane.tap_overruns(read) == 0
    stage.plane.tap_close(idle)
    with pytest.raises(ValueError, match="tap"):
        stage.plane.tap_overruns(idle)


def test_steady_sound_of_many_legs_needs_no_python(stage: Stage) -> None:
    """Three seconds of ten legs, two of whom talk, with a recording: nothing is told, nothing is to be polled."""
    mixer = stage.plane.add_mixer()
    members = [stage.peer() for _ in range(10)]
    for leg, _ in members:
        stage.plane.join(leg, mixer)
    tap = stage.plane.tap(mixer)
    stage.run(30, {leg: 300 + 20 * leg for leg, _ in members})
    stage.events.clear()
    for n in range(150):
        for leg, peer in members:
            peer.say(tone(300 + 20 * leg, 1, 30 + n), stage.address)
        stage.clock.ns += 20_000_000
        stage.plane.tick()
        assert select.select([stage.plane.fileno()], [], [], 0)[0] == []
        for _, peer in members:
            peer.receive()
    assert stage.plane.poll() == []
    assert len(stage.plane.tap_read(tap)) == 180 * FRAME
    assert all(stage.plane.stats(leg)["received"] == 180 for leg, _ in members)


def test_a_tap_that_nobody_reads_keeps_ten_seconds_and_counts_the_rest(stage: Stage) -> None:
    tap = stage.plane.tap(stage.plane.add_mixer())
    stage.tick(510)
    assert stage.plane.plane_stats()["overruns"] == 10 * FRAME
    assert len(stage.plane.tap_read(tap)) == 500 * FRAME
    stage.plane.tap_close(tap)
    assert stage.plane.plane_stats()["overruns"] == 10 * FRAME


def test_samples_of_a_mixer_are_the_exact_sum_through_a_limiter(stage: Stage) -> None:
    """Through the codecs no sample is known; but what each leg says can be tapped, and so can the sum."""
    mixer, legs, _ = three(stage)
    taps = [stage.plane.tap(leg) for leg in legs]
    total = stage.plane.tap(mixer)
    for n in range(60):
        for leg, frequency in zip(legs, (300, 440, 660), strict=True):
            stage.peers[leg].say(tone(frequency, 1, n, amplitude=32000), stage.address)
        stage.tick()
    parts = np.sum([stage.plane.tap_read(tap).astype(int) for tap in taps], axis=0)
    assert np.abs(parts).max() > 40000
    limiter = LimiterOracle()
    expected = np.concatenate([limiter.limit(part) for part in parts.reshape(-1, FRAME)])
    assert np.array_equal(stage.plane.tap_read(total), expected)


def test_legs_that_left_are_neither_heard_nor_sent_to(stage: Stage) -> None:
    _, legs, peers = three(stage)
    stage.run(40, {legs[0]: 300, legs[1]: 440})
    stage.plane.remove_leg(legs[0])
    stage.plane.remove_leg(legs[0])
    sent = len(peers[0].rtp)
    stage.run(60, {legs[0]: 300, legs[1]: 440})
    assert len(peers[0].rtp) == sent
    assert hears(peers[2]) == {300: False, 440: True, 660: False}
    with pytest.raises(ValueError, match="no such node"):
        stage.plane.stats(legs[0])


def test_a_ufrag_is_taken_until_its_leg_is_gone(stage: Stage) -> None:
    leg = stage.plane.add_leg("abcdefgh", ssrc=1, csrc=1)
    with pytest.raises(ValueError, match="taken"):
        stage.plane.add_leg("abcdefgh", ssrc=2, csrc=2)
    stage.plane.remove_leg(leg)
    assert stage.plane.add_leg("abcdefgh", ssrc=2, csrc=2) > leg


def test_what_makes_no_sense_is_refused(stage: Stage) -> None:
    plane = stage.plane
    leg, mixer = stage.peer()[0], plane.add_mixer()
    wrong: list[Callable[[], object]] = [
        lambda: plane.join(leg, 999),
        lambda: plane.unjoin(999, leg),
        lambda: plane.set_mute(mixer, True),
        lambda: plane.remove_leg(mixer),
        lambda: plane.remove_mixer(leg),
        lambda: plane.stats(999),
        lambda: plane.add_leg("", ssrc=1, csrc=1),
        lambda: plane.add_leg("a:b", ssrc=1, csrc=1),
        lambda: plane.add_leg("x" * 257, ssrc=1, csrc=1),
        lambda: plane.set_delay(mixer, 100),
        lambda: plane.set_delay(leg, 10),
        lambda: plane.set_delay(leg, 501),
        lambda: plane.set_codec(leg, payload_type=128),
        lambda: plane.set_codec(leg, payload_type=1, name="speex"),
        lambda: plane.set_codec(leg, payload_type=1, bitrate=1),
        *(partial(plane.set_codec, leg, payload_type=1, ptime=ptime) for ptime in (-20, 0, 5, 30, 50, 80)),
        lambda: plane.set_codec(leg, payload_type=1, level_extension=15),
        lambda: plane.set_codec(leg, payload_type=1, mixed_extension=256),
        lambda: plane.set_codec(leg, payload_type=1, level_extension=3, mixed_extension=3),
        lambda: plane.set_srtp(leg, "AEAD_AES_128_GCM", bytes(28), bytes(27)),
        lambda: plane.set_srtp(leg, "AEAD_AES_128_GCM", bytes(27), bytes(28)),
        lambda: plane.set_plain(leg, ("", 0)),
        lambda: plane.set_plain(leg, ("localhost", 1)),
        lambda: plane.set_plain(leg, ("::1", 1)),
        lambda: plane.set_remote(leg, 1, ("127.0.0.1", 1)),
        lambda: plane.set_remote(leg, -1, ("127.0.0.1", 1)),
        lambda: plane.set_remote(leg, 0, ("::1", 1)),
        lambda: plane.allow(leg, 0, ("127.0.0.1", 70000)),
        lambda: plane.send(0, ("256.0.0.1", 1), b"x"),
        lambda: plane.play(leg, np.zeros(10, np.float32)),
        lambda: Plane([]),
    ]
    for call in wrong:
        with pytest.raises(ValueError, match=r"\w"):
            call()
    stage.tick()


def test_an_address_that_is_taken_is_an_error_with_its_number() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use") as raised:
            Plane([("127.0.0.1", 0), taken.getsockname()])
    assert raised.value.errno == errno.EADDRINUSE


def test_a_stopped_plane_does_nothing_more_and_says_so(stage: Stage) -> None:
    leg, peer = stage.peer()
    stage.tick()
    stage.plane.stop()
    stage.plane.stop()
    peer.receive()
    assert peer.rtcp[-1][-8:-4] == b"\x81\xcb\x00\x01"
    with pytest.raises(RuntimeError):
        stage.plane.tick()
    with pytest.raises(RuntimeError):
        stage.plane.start()
    stage.plane.send(0, peer.address, b"\0\1")
    stage.plane.set_remote(leg, 0, peer.address)
    stage.plane.remove_leg(leg)
    assert stage.plane.poll() == []


def test_a_plane_of_one_leg_is_a_phone(stage: Stage) -> None:
    """Two planes call each other."""
    other = Stage()
    here = stage.plane.add_leg("hereufrag", ssrc=1, csrc=1)
    there = other.plane.add_leg("thereufrag", ssrc=2, csrc=2)
    for plane, leg, address in ((stage.plane, here, other.address), (other.plane, there, stage.address)):
        plane.set_codec(leg, payload_type=96, fec=True)
        plane.set_plain(leg, address)
    taps = stage.plane.tap(here), other.plane.tap(there)
    stage.plane.play(here, tone(300, 100))
    other.plane.play(there, tone(440, 100))
    for _ in range(100):
        stage.tick()
        other.tick()
    assert loudness(stage.plane.tap_read(taps[0])[-24000:], 440) > PRESENT
    assert loudness(other.plane.tap_read(taps[1])[-24000:], 300) > PRESENT
    other.close()


def test_a_voice_speaks(stage: Stage) -> None:
    leg, _ = stage.peer()
    command = ["espeak-ng", "--stdout", "The quick brown fox jumps over the lazy dog."]
    environment = os.environ | {"LD_PRELOAD": ""}  # a sanitizer that this process runs with is not for that one
    voice = subprocess.run(command, check=True, capture_output=True, timeout=60, env=environment).stdout
    with wave.open(io.BytesIO(voice)) as spoken:
        rate, sound = spoken.getframerate(), np.frombuffer(spoken.readframes(-1), np.int16)
    sound = np.interp(np.arange(0, len(sound), rate / 48000), np.arange(len(sound)), sound).astype(np.int16)
    for n in range(len(sound) // FRAME):
        stage.peers[leg].say(sound[n * FRAME : (n + 1) * FRAME], stage.address)
        stage.tick()
    stage.tick(60)
    speaking = [event for event in stage.events if event[0] == "speaking"]
    assert speaking[0] == ("speaking", leg, True)
    assert speaking[-1] == ("speaking", leg, False)
    assert len(speaking) <= 4


def test_a_leg_can_be_pinned_to_a_delay(stage: Stage) -> None:
    leg, _ = stage.peer()
    stage.run(50, {leg: 440})
    stage.plane.set_delay(leg, 200)
    stage.run(30, {leg: 440})
    depths = set()
    for _ in range(100):
        stage.run(1, {leg: 440})
        depths.add(stage.plane.stats(leg)["depth_ms"])
    assert depths == {180.0}  # and the frame that has just been played
    assert stage.plane.stats(leg)["target_ms"] == 200
    assert stage.plane.stats(leg)["late"] == 0
    stage.plane.set_delay(leg, None)
    stage.run(100, {leg: 440})
    assert stage.plane.stats(leg)["depth_ms"] <= 60
    assert stage.plane.stats(leg)["shortened_ms"] >= 120


@pytest.mark.parametrize("codec", ["opus", "pcmu"])
@pytest.mark.parametrize("rested", [0, 300])
def test_a_pinned_leg_is_sent_each_frame_of_silence_however_long_it_lasts(
    stage: Stage, codec: str, rested: int
) -> None:
    """A modem that listens for a page: its peer hears that the line is there all the time. Opus goes on where it was,
    not as the frames that cost nothing."""
    if codec == "opus":
        leg, peer = stage.peer(dtx=True)
    else:
        leg, peer = stage.peer(payload_type=0, codec=Companded("pcmu"), unit=6)
        stage.plane.set_codec(leg, payload_type=0, name="pcmu")
    stage.tick(rested)
    stage.plane.set_delay(leg, 200)
    stage.tick(2)
    before = len(peer.rtp)
    stage.tick(400)
    sent = peer.rtp[before:]
    assert len(sent) == 400
    steps = {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(sent)}
    assert steps == {FRAME if codec == "opus" else 160}
    if codec == "opus":
        assert bytes((0xF8, 0xFF, 0xFE)) not in {bytes(packet.payload) for packet in sent}
    stage.plane.set_delay(leg, None)
    stage.tick(300)
    before = len(peer.rtp)
    stage.tick(100)
    assert len(peer.rtp) - before < 10


def test_what_a_pinned_leg_loses_is_its_last_frame_again(stage: Stage) -> None:
    leg, peer = stage.peer(payload_type=0, codec=Companded("pcmu"), unit=6)
    stage.plane.set_codec(leg, payload_type=0, name="pcmu")
    stage.plane.set_delay(leg, 100)
    tap = stage.plane.tap(leg)
    noise = np.random.default_rng(1).integers(-8000, 8000, (60, FRAME)).astype(np.int16)
    for n, frame in enumerate(noise):
        packet = peer.packet(frame)
        if n not in (20, 35, 36):
            peer.send(packet, stage.address)
        stage.tick()
    stage.tick(10)
    heard = stage.plane.tap_read(tap)
    start = int(np.flatnonzero(heard)[0]) // 120 * 120
    frames = heard[start : start + len(noise) * FRAME].reshape(-1, FRAME)
    again = [n for n in range(1, len(frames)) if np.array_equal(frames[n], frames[n - 1])]
    assert again == [20, 35, 36]
    assert frames[50].any()
