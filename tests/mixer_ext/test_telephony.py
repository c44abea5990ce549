"""Keys of a telephone among the sound, over real sockets on a fake clock (RFC 4733 as a leg does it)."""

from collections.abc import Iterator

import numpy as np
import pytest

from mixer_ext import Companded
from tests.mixer_ext.peers import FRAME, OPUS, Peer, Stage, loudness, tone
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
    stage: Stage, make: type[object], lost: tuple[int, ...]
) -> None:
    leg, peer = make(stage)  # type: ignore[call-arg, misc]
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
    stage: Stage, make: type[object], lost: tuple[int, ...]
) -> None:
    (leg, peer), (plain_leg, plain) = make(stage), make(stage)  # type: ignore[call-arg, misc]
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
