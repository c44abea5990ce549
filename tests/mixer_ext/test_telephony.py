"""Keys of a telephone among the sound, over real sockets on a fake clock (RFC 4733 as a leg does it)."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from mixer_ext import Companded, Opus, Plane, RtpPacket, TelephoneEvents
from tests.mixer_ext.peers import FRAME, OPUS, FakeClock, Peer, Stage, loudness, tone
from tests.mixer_ext.test_dtmf import payload

EVENTS = {101: 8000, 110: 48000}


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def browser(stage: Stage) -> tuple[int, Peer]:
    leg, peer = stage.peer()
    stage.plane.set_codec(leg, payload_type=OPUS, telephone_events=EVENTS)
    return leg, peer


def telephone(stage: Stage) -> tuple[int, Peer]:
    leg, peer = stage.peer(payload_type=0, codec=Companded("pcmu"), unit=6)
    stage.plane.set_codec(leg, payload_type=0, name="pcmu", telephone_events=EVENTS)
    return leg, peer


def event_type(peer: Peer) -> int:
    return 110 if peer.unit == 1 else 101


def keys(stage: Stage) -> list[tuple[object, ...]]:
    return [event[1:] for event in stage.events if event[0] == "dtmf"]


def press(stage: Stage, peer: Peer, digit: str, ticks: int, *, lost: tuple[int, ...] = ()) -> None:
    """A key instead of sound for so many ticks. lost: which of the packets do not arrive."""
    start = peer.timestamp
    for n in range(ticks + 2):
        end = n >= ticks - 1
        duration = min(n + 1, ticks) * FRAME // peer.unit
        body = payload(digit, duration, end=end)
        packet = peer.packet(body, payload_type=event_type(peer), timestamp=start, marker=n == 0)
        if n not in lost:
            peer.send(packet, stage.address)
        stage.tick()


def heard(stage: Stage, leg: int) -> int:
    """A tap where the leg is heard by others."""
    mixer, other = stage.plane.add_mixer(), stage.peer()[0]
    stage.plane.join(leg, mixer)
    stage.plane.join(other, mixer)
    return stage.plane.tap(mixer)


@pytest.mark.parametrize("make", [browser, telephone])
@pytest.mark.parametrize("lost", [(), (0, 1), (4, 5), (2, 3, 4, 6)])
def test_a_key_is_told_once_and_leaves_no_trace_in_the_sound(
    stage: Stage, make: Callable[[Stage], tuple[int, Peer]], lost: tuple[int, ...]
) -> None:
    leg, peer = make(stage)
    tap = heard(stage, leg)
    stage.run(50, {leg: 440})
    depth = stage.plane.stats(leg)["depth_ms"]
    jitter = stage.plane.stats(leg)["jitter_ms"]
    press(stage, peer, "#", 5, lost=lost)
    stage.run(50, {leg: 440})
    assert keys(stage) == [(leg, "#", 100)]
    stats = stage.plane.stats(leg)
    assert stats["dropped_payload_type"] == stats["late"] == 0
    assert stats["lost"] == len(lost)
    assert stats["concealed"] <= len(lost)  # a packet that is lost may have been sound
    assert stats["depth_ms"] == depth
    assert abs(stats["jitter_ms"] - jitter) < 1
    sound = stage.plane.tap_read(tap)
    pause = sound[53 * FRAME : 56 * FRAME]
    assert lost or not pause.any()  # nothing is made up where nothing was sent
    steps = np.abs(np.diff(sound.astype(int)))
    assert steps[: 57 * FRAME].max() < 2 * np.abs(np.diff(tone(440, 10).astype(int))).max()
    assert loudness(sound[-25 * FRAME :], 440) > loudness(tone(440, 25), 440) - 1


@pytest.mark.parametrize("make", [browser, telephone])
@pytest.mark.parametrize("lost", [(), (1,), (0, 3)])
def test_sound_with_keys_among_it_is_the_same_as_without(
    stage: Stage, make: Callable[[Stage], tuple[int, Peer]], lost: tuple[int, ...]
) -> None:
    (leg, peer), (plain_leg, plain) = make(stage), make(stage)
    taps = [heard(stage, leg), heard(stage, plain_leg)]
    start = 0
    for n in range(60):
        samples = tone(440, 1, n)
        if 20 <= n < 27:
            start = start or peer.timestamp
            body = payload("5", min(n - 19, 5) * FRAME // peer.unit, end=n >= 24)
            stamp = peer.timestamp
            packet = peer.packet(body, payload_type=event_type(peer), timestamp=start, marker=n == 20)
            peer.timestamp = stamp  # the sound goes on meanwhile
            if n - 20 not in lost:
                peer.send(packet, stage.address)
        peer.say(samples, stage.address)
        plain.say(samples, stage.address)
        stage.tick()
    with_keys, without = (stage.plane.tap_read(tap) for tap in taps)
    assert np.array_equal(with_keys, without)
    assert with_keys.any()
    assert keys(stage) == [(leg, "5", 100)]
    assert stage.plane.stats(leg)["concealed"] == 0


def test_keys_are_told_of_those_who_are_muted_or_silent(stage: Stage) -> None:
    leg, peer = browser(stage)
    tap = heard(stage, leg)
    quiet = np.zeros(FRAME, np.int16)
    for _ in range(60):
        peer.say(quiet, stage.address)
        stage.tick()
    press(stage, peer, "1", 5)
    stage.plane.set_mute(leg, True)
    stage.run(10, {leg: 440})
    press(stage, peer, "2", 5)
    stage.plane.set_mute(leg, False)
    stage.run(30, {leg: 440})
    assert keys(stage) == [(leg, "1", 100), (leg, "2", 100)]
    assert loudness(stage.plane.tap_read(tap)[-20 * FRAME :], 440) > loudness(tone(440, 20), 440) - 1


def test_a_long_key_between_two_words_is_no_loss(stage: Stage) -> None:
    leg, peer = telephone(stage)
    tap = heard(stage, leg)
    stage.run(20, {leg: 440})
    press(stage, peer, "*", 200, lost=(70, 71))
    stage.run(50, {leg: 440})
    assert keys(stage) == [(leg, "*", 4000)]
    assert stage.plane.stats(leg)["concealed"] == 0
    assert loudness(stage.plane.tap_read(tap)[-40 * FRAME :], 440) > loudness(tone(440, 40), 440) - 1


def test_a_key_whose_end_is_lost_is_told_after_a_while(stage: Stage) -> None:
    leg, peer = telephone(stage)
    stage.run(5, {leg: 440})
    press(stage, peer, "9", 5, lost=(4, 5, 6))
    stage.run(8, {leg: 440})
    assert keys(stage) == []
    stage.run(8, {leg: 440})
    assert keys(stage) == [(leg, "9", 80)]


def test_keys_before_any_sound_are_told(stage: Stage) -> None:
    leg, peer = telephone(stage)
    press(stage, peer, "A", 3)
    assert keys(stage) == [(leg, "A", 60)]
    stage.run(20, {leg: 440})
    assert stage.plane.stats(leg)["concealed"] == 0


def test_another_source_has_keys_of_its_own(stage: Stage) -> None:
    leg, peer = telephone(stage)
    stage.run(5, {leg: 440})
    press(stage, peer, "1", 5, lost=(3, 4, 5, 6))
    peer.ssrc = 77
    press(stage, peer, "1", 5, lost=(1,))
    stage.tick(20)
    assert keys(stage) == [(leg, "1", 60), (leg, "1", 100)]


@pytest.mark.parametrize("body", [b"", b"\1\2\3", b"\1\2\3\4\5"])
def test_what_is_no_event_is_dropped(stage: Stage, body: bytes) -> None:
    leg, peer = telephone(stage)
    peer.say(body, stage.address, payload_type=101)
    stage.tick()
    stats = stage.plane.stats(leg)
    assert (stats["dropped_malformed"], stats["received"], stats["dtmf_received"]) == (1, 0, 0)


def test_events_that_are_no_keys_are_counted(stage: Stage) -> None:
    leg, peer = telephone(stage)
    peer.say(payload(36, 160, end=True), stage.address, payload_type=101)
    stage.tick(20)
    assert keys(stage) == []
    assert stage.plane.stats(leg)["dtmf_unknown"] == 1


def test_events_that_were_not_negotiated_are_not_taken(stage: Stage) -> None:
    leg, peer = stage.peer()
    peer.say(payload("1", 160, end=True), stage.address, payload_type=101)
    stage.tick(20)
    assert keys(stage) == []
    assert stage.plane.stats(leg)["dropped_payload_type"] == 1


def test_a_flood_of_keys_is_told_slowly(stage: Stage) -> None:
    leg, peer = telephone(stage)
    for n in range(100):
        peer.say(payload("1", 160, end=True), stage.address, payload_type=101, timestamp=n * 10000)
    stage.tick(40)
    assert len(keys(stage)) == 16
    assert stage.plane.stats(leg)["dtmf_dropped"] == 84


@pytest.mark.parametrize("types", [{128: 8000}, {OPUS: 8000}, {101: 16000}, {101: 8000, 102: 8000}, {-1: 48000}])
def test_impossible_payload_types_are_refused(stage: Stage, types: dict[int, int]) -> None:
    leg, _ = stage.peer()
    with pytest.raises(ValueError, match="telephone events"):
        stage.plane.set_codec(leg, payload_type=OPUS, telephone_events=types)


# what is sent


class Ear(Peer):
    """One that reads telephone events where others would take them for sound."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.events: list[RtpPacket] = []

    def _take(self, data: bytes) -> None:
        if 128 <= data[0] <= 191 and data[1] & 127 in EVENTS:
            codec, self.codec = self.codec, NO_CODEC  # type: ignore[assignment]
            super()._take(data)
            self.codec = codec
            self.heard.pop()
            self.events.append(self.rtp[-1])
        else:
            super()._take(data)


class NoCodec:
    def decode(self, payload: bytes) -> bytes:
        return b""


NO_CODEC = NoCodec()


def ear(stage: Stage, codec: str = "opus", events: dict[int, int] | None = None) -> tuple[int, Ear]:
    if codec == "opus":
        peer = Ear(ssrc=50 + len(stage.peers))
    else:
        peer = Ear(ssrc=50 + len(stage.peers), payload_type=0, codec=Companded("pcmu"), unit=6)
    leg = stage.plane.add_leg(f"ear{len(stage.peers)}", ssrc=2000 + len(stage.peers), csrc=3000 + len(stage.peers))
    stage.plane.set_codec(
        leg, payload_type=peer.payload_type, name=codec, telephone_events=EVENTS if events is None else events
    )
    stage.plane.set_plain(leg, peer.address)
    stage.peers[leg] = peer
    return leg, peer


def understood(packets: list[RtpPacket], rate: int, clock: int) -> list[tuple[str, int]]:
    """What a receiver makes of them."""
    events = TelephoneEvents(rate, clock)
    told, now = [], 0
    for packet in packets:
        now += 20_000_000
        events.push(packet.sequence, packet.timestamp, packet.payload, marker=packet.marker, now_ns=now)
        told += events.pull(now)
    return told + events.pull(now + 10**9)


@pytest.mark.parametrize(("codec", "number", "rate"), [("opus", 110, 48000), ("pcmu", 101, 8000)])
def test_keys_are_sent_instead_of_sound_and_time_goes_on(stage: Stage, codec: str, number: int, rate: int) -> None:
    leg, peer = ear(stage, codec)
    speaker, _ = stage.peer()
    stage.plane.join(leg, speaker)
    stage.run(20, {speaker: 440})
    stage.plane.send_dtmf(leg, "1#", duration_ms=100, gap_ms=60)
    assert stage.plane.dtmf_pending(leg) == 2
    stage.run(40, {speaker: 440})
    assert stage.plane.dtmf_pending(leg) == 0
    assert [event for event in stage.events if event[0] == "dtmf_sent"] == [("dtmf_sent", leg)]
    assert {packet.payload_type for packet in peer.events} == {number}
    assert understood(peer.events, rate, rate) == [("1", 100), ("#", 100)]
    assert [packet.marker for packet in peer.events] == [True, *[False] * 6] * 2
    first = peer.events[:7]
    assert [int.from_bytes(each.payload[2:], "big") for each in first] == [
        rate // 50 * n for n in (1, 2, 3, 4, 5, 5, 5)
    ]
    assert [each.payload[1] >> 7 for each in first] == [0] * 4 + [1] * 3
    assert {each.payload[1] & 0x7F for each in peer.events} == {10}  # the volume, and no reserved bit
    # one stream: numbers without a hole, and the times of the sound where they would be
    assert {packet.ssrc for packet in peer.rtp} == {peer.rtp[0].ssrc}
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(peer.rtp))
    before = next(a for a, b in pairwise(peer.rtp) if b is peer.events[0])
    after = next(b for a, b in pairwise(peer.rtp) if a is peer.events[-1])
    assert (peer.events[0].timestamp - before.timestamp) & 0xFFFFFFFF == rate // 50
    assert (peer.events[7].timestamp - peer.events[0].timestamp) & 0xFFFFFFFF == rate // 50 * 8
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == rate // 50 * 17
    assert after.marker
    assert loudness(np.concatenate(peer.heard[-20:]), 440) > loudness(tone(440, 20), 440) - 2
    assert stage.plane.stats(leg)["dtmf_sent"] == 2


def test_packets_of_keys_have_no_levels(stage: Stage) -> None:
    leg, peer = ear(stage)
    speaker, _ = stage.peer()
    stage.plane.join(leg, speaker)
    stage.plane.set_codec(leg, payload_type=OPUS, level_extension=3, mixed_extension=4, telephone_events=EVENTS)
    stage.run(10, {speaker: 440})
    stage.plane.send_dtmf(leg, "5")
    stage.run(15, {speaker: 440})
    assert {packet.extension for packet in peer.events} == {b""}
    assert len(peer.events) == 7
    assert all(packet.extension for packet in peer.rtp if packet.payload_type == OPUS)


def test_the_sound_after_a_key_is_in_step_at_once(stage: Stage) -> None:
    """For a decoder that was not given what others were."""
    legs = [ear(stage) for _ in range(3)]
    speaker, _ = stage.peer()
    mixer = stage.plane.add_mixer()
    for leg in (speaker, *(leg for leg, _ in legs)):
        stage.plane.join(leg, mixer)
    stage.run(30, {speaker: 440})
    stage.plane.send_dtmf(legs[0][0], "5")
    stage.run(35, {speaker: 440})
    (_, dialled), (_, other), _ = legs
    assert len(other.heard) - len(dialled.heard) == 8
    got, wanted = np.concatenate(dialled.heard[-24:]), np.concatenate(other.heard[-24:])
    noise = (got.astype(float) - wanted)[2 * FRAME :]
    assert 10 * np.log10((noise**2).mean() / (wanted.astype(float) ** 2).mean() + 1e-12) < -20


def test_a_long_key_is_sent_in_segments(stage: Stage) -> None:
    leg, peer = ear(stage)
    stage.plane.send_dtmf(leg, "7", duration_ms=4000)
    stage.tick(220)
    assert understood(peer.events, 48000, 48000) == [("7", 4000)]
    assert [packet.marker for packet in peer.events].count(True) == 1
    starts = list(dict.fromkeys(packet.timestamp for packet in peer.events))
    assert [(b - a) & 0xFFFFFFFF for a, b in pairwise(starts)] == [0xFFFF, 0xFFFF]
    assert len(peer.events) == 202


@pytest.mark.parametrize("milliseconds", [1360, 1380, 2720, 2740])
def test_a_key_that_ends_where_a_segment_does_ends_three_times(stage: Stage, milliseconds: int) -> None:
    leg, peer = ear(stage)
    stage.plane.send_dtmf(leg, "7", duration_ms=milliseconds)
    stage.tick(160)
    assert understood(peer.events, 48000, 48000) == [("7", milliseconds)]
    assert [packet.payload[1] >> 7 for packet in peer.events].count(1) == 3


def test_beside_opus_events_of_8_khz_are_sent_where_there_are_no_others(stage: Stage) -> None:
    leg, peer = ear(stage, events={101: 8000})
    stage.plane.send_dtmf(leg, "42")
    stage.tick(40)
    assert understood(peer.events, 8000, 48000) == [("4", 100), ("2", 100)]
    assert (peer.events[7].timestamp - peer.events[0].timestamp) & 0xFFFFFFFF == 8 * FRAME


def test_keys_wait_while_nothing_can_be_sent_and_one_that_is_interrupted_is_given_up(stage: Stage) -> None:
    leg, peer = ear(stage)
    stage.plane.set_send(leg, False)
    stage.plane.send_dtmf(leg, "1")
    stage.tick(20)
    assert stage.plane.dtmf_pending(leg) == 1
    stage.plane.set_send(leg, True)
    stage.tick(20)
    assert understood(peer.events, 48000, 48000) == [("1", 100)]
    stage.plane.send_dtmf(leg, "234")
    stage.tick(3)
    stage.plane.set_send(leg, False)
    stage.tick(3)
    assert stage.plane.dtmf_pending(leg) == 2
    assert [event for event in stage.events if event[0] == "dtmf_sent"] == [("dtmf_sent", leg)]
    stage.plane.set_send(leg, True)
    stage.tick(30)
    assert stage.plane.dtmf_pending(leg) == 0
    assert understood(peer.events, 48000, 48000) == [("1", 100), ("2", 60), ("3", 100), ("4", 100)]
    assert stage.plane.stats(leg)["dtmf_dropped"] == 1
    assert stage.plane.stats(leg)["dtmf_sent"] == 3
    assert [event for event in stage.events if event[0] == "dtmf_sent"] == [("dtmf_sent", leg)] * 2


@pytest.mark.parametrize(("ticks", "sent"), [(3, 0), (8, 1)])
def test_the_last_key_too_can_be_interrupted_and_counts_if_its_end_was_said(
    stage: Stage, ticks: int, sent: int
) -> None:
    leg, _ = ear(stage)
    stage.plane.send_dtmf(leg, "1", gap_ms=500)
    stage.tick(ticks)
    stage.plane.set_send(leg, False)
    stage.tick(3)
    assert stage.plane.dtmf_pending(leg) == 0
    assert [event for event in stage.events if event[0] == "dtmf_sent"] == [("dtmf_sent", leg)]
    stats = stage.plane.stats(leg)
    assert (stats["dtmf_sent"], stats["dtmf_dropped"]) == (sent, 1 - sent)


def test_keys_are_dropped_when_a_codec_comes_without_events(stage: Stage) -> None:
    leg, peer = ear(stage)
    stage.plane.send_dtmf(leg, "12")
    stage.tick(3)
    stage.plane.set_codec(leg, payload_type=OPUS)
    stage.tick(30)
    assert stage.plane.dtmf_pending(leg) == 0
    assert len(peer.events) == 3
    assert len(peer.heard) == 30


def test_what_cannot_be_dialled_is_refused(stage: Stage) -> None:
    leg, _ = ear(stage)
    without, _ = ear(stage, events={})
    with pytest.raises(ValueError, match="in_band"):
        stage.plane.send_dtmf(without, "1")
    for digits in ("x", "1 2", "!", "\u0661"):
        with pytest.raises(ValueError, match=r"key|flash"):
            stage.plane.send_dtmf(leg, digits)
        with pytest.raises(ValueError, match=r"key|flash"):
            stage.plane.send_dtmf(leg, digits, in_band=True)
    for changes in ({"duration_ms": 20}, {"duration_ms": 6001}, {"gap_ms": 0}):
        with pytest.raises(ValueError, match="ms"):
            stage.plane.send_dtmf(leg, "1", **changes)  # type: ignore[arg-type]
    stage.plane.send_dtmf(leg, "1" * 60)
    with pytest.raises(ValueError, match="64 keys"):
        stage.plane.send_dtmf(leg, "1" * 5)
    assert stage.plane.dtmf_pending(leg) == 60
    with pytest.raises(ValueError, match="10 s"):
        stage.plane.send_dtmf(leg, "1" * 11, duration_ms=900, gap_ms=100, in_band=True)
    assert stage.plane.play_pending(leg) == 0


def test_in_band_keys_are_two_tones(stage: Stage) -> None:
    leg, peer = ear(stage, events={})
    stage.plane.send_dtmf(leg, "a9", duration_ms=200, gap_ms=200, in_band=True)
    stage.tick(45)
    sound = np.concatenate(peer.heard)
    for start, tones in ((2, (697, 1633)), (22, (852, 1477))):
        part = sound[start * FRAME : (start + 8) * FRAME]
        levels = {f: loudness(part, f) for f in (697, 770, 852, 941, 1209, 1336, 1477, 1633)}
        assert set(sorted(levels, key=lambda f: -levels[f])[:2]) == set(tones)


@pytest.mark.parametrize("codec", ["opus", "pcmu"])
def test_two_planes_press_keys_at_each_other(codec: str) -> None:
    """Both ways at once, encrypted, with speech before and after."""
    key_a, key_b = bytes(range(28)), bytes(range(1, 29))
    clocks = [FakeClock(), FakeClock()]
    planes = [Plane([("127.0.0.1", 0)], clock=clock) for clock in clocks]
    legs: list[int] = []
    told: dict[int, list[tuple[object, ...]]] = {0: [], 1: []}
    try:
        for n, plane in enumerate(planes):
            plane.start()
            leg = plane.add_leg("fragment", ssrc=11 + n, csrc=21 + n)
            number = OPUS if codec == "opus" else 0
            plane.set_codec(leg, payload_type=number, name=codec, telephone_events=EVENTS)
            keys_of = (key_a, key_b) if n == 0 else (key_b, key_a)
            plane.set_srtp(leg, "AEAD_AES_128_GCM", *keys_of)
            there = planes[1 - n].addresses[0]
            plane.allow(leg, 0, there)
            plane.set_remote(leg, 0, there)
            legs.append(leg)
        for tick in range(100):
            for n, plane in enumerate(planes):
                plane.play(legs[n], tone(440, 1, tick))
                if tick == 20:
                    plane.send_dtmf(legs[n], "159D"[n:], duration_ms=100 if n else 60)
                clocks[n].ns += 20_000_000
                plane.tick()
                told[n] += [event[2:] for event in plane.poll() if event[0] == "dtmf"]
        assert told == {0: [("5", 100), ("9", 100), ("D", 100)], 1: [(key, 60) for key in "159D"]}
        for plane, leg in zip(planes, legs, strict=True):
            stats = plane.stats(leg)
            assert stats["lost"] == stats["dropped_auth"] == stats["dropped_replay"] == stats["concealed"] == 0
    finally:
        for plane in planes:
            plane.stop()


def test_keys_rouse_those_of_whom_nothing_was_heard_for_long(stage: Stage) -> None:
    leg, peer = ear(stage)
    stage.plane.set_codec(leg, payload_type=OPUS, dtx=True, telephone_events=EVENTS)
    stage.run(5, {leg: 440})
    stage.tick(400)
    assert stage.plane.plane_stats()["live"] == 0
    stage.plane.send_dtmf(leg, "3")
    stage.tick(20)
    assert understood(peer.events, 48000, 48000) == [("3", 100)]
    stage.tick(400)
    assert stage.plane.plane_stats()["live"] == 0
    press(stage, peer, "8", 5, lost=(4, 5, 6))
    stage.tick(20)
    assert keys(stage) == [(leg, "8", 80)]


def test_the_sound_after_a_key_is_in_step_for_one_who_speaks_too(stage: Stage) -> None:
    """What a decoder hears that was there before is what one hears that begins after the key."""
    leg, peer = ear(stage)
    speaker, _ = stage.peer()
    mixer = stage.plane.add_mixer()
    for each in (leg, speaker, stage.peer()[0]):
        stage.plane.join(each, mixer)
    stage.run(30, {speaker: 440, leg: 300})
    stage.plane.send_dtmf(leg, "5")
    stage.run(40, {speaker: 440, leg: 300})
    assert not stage.plane.stats(leg)["shares_encoding"]
    after = [packet for packet in peer.rtp if packet.payload_type == OPUS][-32:]
    fresh = Opus()
    alone = np.concatenate([np.frombuffer(fresh.decode(packet.payload), np.int16) for packet in after]).astype(float)
    through = np.concatenate(peer.heard[-32:])
    error = (alone - through)[FRAME : 3 * FRAME]
    ratio = 10 * np.log10((error**2).mean() / (alone**2).mean() + 1e-12)
    assert ratio < -30
