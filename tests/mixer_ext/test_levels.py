"""Volumes, and what is too loud, in a plane: who hears what, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest

from tests.mixer_ext.levels import VolumeOracle
from tests.mixer_ext.peers import FRAME, Samples, Stage, loudness, tone
from tests.mixer_ext.test_audience import SPEECH, Reference, talk


def shouting(n: int, frequency: float) -> Samples:
    return tone(frequency, 1, n, amplitude=32767)


def test_two_at_full_scale_and_a_third_hear_the_exact_sum_of_the_others_through_the_limiter(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    reference = Reference(stage, {mixer})
    legs = [reference.leg(bitrate=64000) for _ in range(3)]
    for leg in legs:
        reference.join(leg, mixer)
    loudest = 0
    for n in range(120):
        for leg, frequency in zip(legs[: 2 if n < 60 else 1], (300, 440), strict=False):
            stage.peers[leg].say(shouting(n, frequency), stage.address)
        reference.tick()
        loudest = max(loudest, np.abs(reference.total(legs[2])).max())
        reference.check()
    assert loudest > 60000


def test_a_member_at_any_volume_never_hears_himself(stage: Stage) -> None:
    """Bit by bit, while the volume changes, through mutes and while he is joined elsewhere."""
    random = np.random.default_rng(7)
    mixers = [stage.plane.add_mixer() for _ in range(2)]
    reference = Reference(stage, set(mixers))
    legs = [reference.leg() for _ in range(4)]
    for n, leg in enumerate(legs):
        reference.join(leg, mixers[n // 3])
    for n in range(12):
        stage.plane.set_gain(legs[0], [1.5, 0.3, 4, 0][n % 4])
        stage.plane.set_mute(legs[1], n % 3 == 1)
        if n % 4 == 2:
            reference.unjoin(legs[0], mixers[n // 4 % 2])
            reference.join(legs[0], mixers[1 - n // 4 % 2])
        talk(reference, legs[:3], 15, random)


def test_a_volume_is_that_of_what_is_decoded(stage: Stage) -> None:
    """Two legs are sent the same packets, one of them has a volume."""
    plain, _ = stage.peer()
    loud, peer = stage.peer()
    taps = [stage.plane.tap(leg) for leg in (plain, loud)]
    oracle, gain = VolumeOracle(), 1.0
    for n in range(100):
        if n % 10 == 5:
            gain = [1.5, 0.5, 4.0, 0.0, 1.0][n // 10 % 5]
            stage.plane.set_gain(loud, gain)
        packet = peer.packet(SPEECH[n])
        stage.peers[plain].send(packet, stage.address)
        peer.send(packet, stage.address)
        stage.tick()
        before, after = (stage.plane.tap_read(tap) for tap in taps)
        assert np.array_equal(after, oracle.apply(before, gain))


def test_what_is_played_into_a_mixer_has_the_mixers_volume(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    tap = stage.plane.tap(mixer)
    stage.plane.play(mixer, tone(440, 30))
    stage.plane.set_gain(mixer, 0.5)
    stage.tick(31)
    heard = stage.plane.tap_read(tap).reshape(-1, FRAME)
    assert np.array_equal(heard[5], np.rint(tone(440, 1, 5) * np.float32(0.5)))
    assert not heard[30][240:].any()


def test_what_is_played_begins_and_ends_without_a_step(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    leg, _ = stage.peer()
    stage.plane.join(leg, mixer)
    tap = stage.plane.tap(mixer)
    for count in (FRAME // 2, FRAME, 2 * FRAME - 100, 50):
        stage.plane.play(mixer, np.full(count, 20000, np.int16))
        stage.tick(4)
        heard = stage.plane.tap_read(tap).astype(int)
        assert (heard[240:count] == 20000).all()
        assert np.abs(np.diff(heard, prepend=0)).max() <= 20000 / 240 + 1
        assert not heard[count + 480 :].any()


def test_more_that_is_played_in_time_goes_on_without_a_seam(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    tap = stage.plane.tap(mixer)
    sound = tone(440, 20)
    for frame in sound.reshape(-1, FRAME):
        stage.plane.play(mixer, frame)
        stage.tick()
    assert np.array_equal(stage.plane.tap_read(tap)[240:], sound[240:])


def test_who_is_removed_fades_and_is_gone_a_tick_later(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    (speaker, _), (listener, _) = stage.peer(), stage.peer()
    for leg in (speaker, listener):
        stage.plane.join(leg, mixer)
    tap = stage.plane.tap(mixer)
    stage.run(20, {speaker: 300})
    stage.plane.tap_read(tap)
    stage.plane.remove_leg(speaker)
    stage.tick(3)
    last = stage.plane.tap_read(tap).astype(int)
    assert np.abs(last[:200]).max() > 1000
    assert not last[240:].any()
    assert np.abs(np.diff(last)).max() < 600
    assert stage.plane.plane_stats()["legs"] == 1


def test_a_mixer_that_is_removed_fades_for_those_who_heard_it(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    (speaker, _), (listener, peer) = stage.peer(), stage.peer()
    for leg in (speaker, listener):
        stage.plane.join(leg, mixer)
    stage.run(30, {speaker: 300})
    stage.plane.remove_mixer(mixer)
    stage.run(10, {speaker: 300})
    assert loudness(np.concatenate(peer.heard[20:30]), 300) > 120
    assert not np.abs(np.concatenate(peer.heard[-5:])).max() > 10


@pytest.mark.parametrize("gain", [-0.1, 4.1, float("nan"), float("inf")])
def test_a_volume_is_from_nothing_to_four_times(stage: Stage, gain: float) -> None:
    leg, _ = stage.peer()
    with pytest.raises(ValueError, match="0 to 4"):
        stage.plane.set_gain(leg, gain)
    with pytest.raises(ValueError, match="no such node"):
        stage.plane.set_gain(12345, 1.0)


# --- one for another ---


def room(stage: Stage, count: int) -> tuple[Reference, int, list[int]]:
    mixer = stage.plane.add_mixer()
    reference = Reference(stage, {mixer})
    legs = [reference.leg(bitrate=64000) for _ in range(count)]
    for leg in legs:
        reference.join(leg, mixer)
    reference.tick()
    reference.check()
    return reference, mixer, legs


def test_one_who_turns_another_down_hears_the_rest_exactly_and_the_others_hear_all(stage: Stage) -> None:
    """Two shout, so that the limiters work; a third wants one of them at another volume again and again."""
    reference, _, legs = room(stage, 4)
    deviations = set()
    for n in range(60):
        if n % 5 == 0:
            reference.set_listener_gain(legs[2], legs[0], [0, 1, 0.5, 4, 0.1, 1][n // 5 % 6])
        for leg, frequency in zip(legs[:2], (300, 440), strict=True):
            stage.peers[leg].say(shouting(n, frequency), stage.address)
        reference.tick()
        difference = reference.total(legs[2]) - reference.total(legs[3])
        deviations.add(bool(difference[240:].any()))
        if n % 30 == 3 and n:
            assert np.array_equal(reference.total(legs[2])[240:], reference.frames[legs[1]].astype(int)[240:])
        reference.check()
    assert deviations == {True, False}


@pytest.mark.parametrize("seed", range(2))
def test_gains_of_some_for_others_are_exact_in_any_graph_that_changes(stage: Stage, seed: int) -> None:
    random = np.random.default_rng(300 + seed)
    mixers = [stage.plane.add_mixer() for _ in range(4)]
    reference = Reference(stage, set(mixers))
    legs = [reference.leg() for _ in range(6)]
    reference.join(mixers[0], mixers[1])
    reference.join(mixers[1], mixers[2], a_to_b=False)
    for n, leg in enumerate(legs):
        reference.join(leg, mixers[n % 3])
    reference.join(legs[0], mixers[3])
    reference.join(legs[1], mixers[3], a_to_b=False)
    reference.join(legs[2], legs[5])
    reference.tick()
    reference.check()
    for n in range(10):
        talk(reference, legs[:4], 12, random)
        for _ in range(3):
            listener, source = (legs[k] for k in random.permutation(len(legs))[:2])
            reference.set_listener_gain(listener, source, float(random.choice([0, 0.4, 1, 2.5])))
        stage.plane.set_mute(legs[3], bool(n % 2))
        if n % 3 == 1:
            leg = legs[int(random.integers(6))]
            for mixer in mixers[:3]:
                if {(leg, mixer), (mixer, leg)} & reference.joins:
                    reference.unjoin(leg, mixer)
            reference.join(leg, mixers[int(random.integers(3))])
        if n % 5 == 4:
            reference.unjoin(mixers[0], mixers[1])
            talk(reference, legs[:4], 2, random)
            reference.join(mixers[0], mixers[1])


def test_who_turns_another_down_shares_while_that_one_is_silent(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    legs = [stage.peer()[0] for _ in range(4)]
    for leg in legs:
        stage.plane.join(leg, mixer)
    turned, other, listener, _ = legs
    stage.plane.set_listener_gain(listener, turned, 0.25)

    def shares() -> bool:
        return bool(stage.plane.stats(listener)["shares_encoding"])

    stage.run(20, {other: 300})
    assert shares()
    stage.run(20, {other: 300, turned: 440})
    assert not shares()
    stage.run(200, {other: 300})
    assert shares()
    stage.run(20, {turned: 440})
    assert not shares()
    stage.plane.set_listener_gain(listener, turned, 1)
    stage.run(200, {turned: 440})
    assert shares()


def test_who_is_turned_down_to_nothing_is_not_named_either(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    (talker, _), (deaf, peer), (other, there) = stage.peer(), stage.peer(), stage.peer()
    for leg in (talker, deaf, other):
        stage.plane.join(leg, mixer)
    stage.plane.set_listener_gain(deaf, talker, 0)
    stage.run(20, {talker: 300})
    assert not np.abs(np.concatenate(peer.heard)).max() > 10
    assert peer.rtp[-1].csrcs == ()
    assert there.rtp[-1].csrcs == (1001,)
    stage.plane.set_listener_gain(deaf, talker, 0.5)
    stage.run(5, {talker: 300})
    assert peer.rtp[-1].csrcs == (1001,)
    assert peer.rtp[-1].marker is False


def test_a_gain_for_another_ends_with_either_leg(stage: Stage) -> None:
    """Who is removed fades as he was heard; who comes after him is heard as anybody."""
    reference, mixer, legs = room(stage, 5)
    random = np.random.default_rng(5)
    for source in legs[:3]:
        for listener in legs[1:]:
            if listener != source:
                reference.set_listener_gain(listener, source, 0.3)
    talk(reference, legs, 10, random)
    for leg in (legs[0], legs[2], legs[4]):
        reference.unjoin(leg, mixer)
        talk(reference, [other for other in legs[:4] if other in reference.ears], 3, random)
        reference.remove(leg)
        new = reference.leg(bitrate=64000)
        reference.join(new, mixer)
        legs.append(new)
        talk(reference, [other for other in legs if other in reference.ears], 5, random)


@pytest.mark.parametrize("end", ["listener", "source", "both"])
def test_a_leg_with_gains_may_be_removed_while_it_sounds(stage: Stage, end: str) -> None:
    mixer = stage.plane.add_mixer()
    legs = [stage.peer()[0] for _ in range(4)]
    for leg in legs:
        stage.plane.join(leg, mixer)
    for listener in legs:
        for source in legs:
            if listener != source:
                stage.plane.set_listener_gain(listener, source, 0.5)
    stage.run(10, dict(zip(legs, (300, 440, 500, 600), strict=True)))
    gone = {"listener": legs[:1], "source": legs[1:2], "both": legs[:3]}[end]
    for leg in gone:
        stage.plane.remove_leg(leg)
    stage.tick(3)
    stage.run(10, {leg: 300 for leg in legs if leg not in gone})
    for leg in gone:
        with pytest.raises(ValueError, match="no such node"):
            stage.plane.set_listener_gain(leg, legs[3], 0.5)
        with pytest.raises(ValueError, match="no such node"):
            stage.plane.set_listener_gain(legs[3], leg, 0.5)


@pytest.mark.parametrize("gain", [-0.1, 4.1, float("nan")])
def test_a_gain_for_another_is_a_legs_for_a_leg_from_nothing_to_four_times(stage: Stage, gain: float) -> None:
    mixer = stage.plane.add_mixer()
    (one, _), (other, _) = stage.peer(), stage.peer()
    with pytest.raises(ValueError, match="0 to 4"):
        stage.plane.set_listener_gain(one, other, gain)
    for pair in ((one, mixer), (mixer, one)):
        with pytest.raises(ValueError, match="not a leg"):
            stage.plane.set_listener_gain(*pair, 0.5)
    with pytest.raises(ValueError, match="hear itself"):
        stage.plane.set_listener_gain(one, one, 0.5)
