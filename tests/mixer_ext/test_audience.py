"""Who hears the same is sent the same: packet by packet, bit by bit, what an encoder of one's own would have sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise, product

import numpy as np
import pytest

from mixer_ext import Companded, Opus
from tests.mixer_ext.levels import LimiterOracle, Wide, dying, ramped
from tests.mixer_ext.peers import FRAME, Peer, Samples, Stage, loudness, tone
from tests.mixer_ext.test_graph import Oracle
from tests.mixer_ext.test_stream import voice

RETURN_AFTER = 50
LAWS = (("pcmu", 0), ("pcmu", 0), ("pcma", 8), ("pcma", 8))
SPEECH = voice(150).reshape(-1, FRAME)


@dataclass
class Ear:
    """What one peer should be sent: the encoder whose state its decoder has."""

    coding: dict[str, int]
    opus: Opus
    hears: frozenset[int] = frozenset()
    together: int = 0
    packets: int = 0
    shares: bool = False
    limiter: LimiterOracle = field(default_factory=LimiterOracle)


@dataclass
class Reference:
    """A plane's graph, and for each leg the encoder that must have made its packets.

    A leg is sent what its encoder, having encoded all that was sent to it before, makes of what it hears. Only a leg
    that has heard for a second just what others hear, or that has been joined elsewhere and has heard the ramp from the
    one to the other, may go over to theirs, which for that frame does without prediction. What it hears has gone
    through a limiter of its own, or from then on theirs.
    """

    stage: Stage
    mixers: set[int]
    joins: set[tuple[int, int]] = field(default_factory=set)
    before: set[tuple[int, int]] = field(default_factory=set)  # in the last tick
    ears: dict[int, Ear] = field(default_factory=dict)
    taps: dict[int, int] = field(default_factory=dict)
    frames: dict[int, Samples] = field(default_factory=dict)
    played: dict[int, Wide] = field(default_factory=dict)
    dying: dict[int, Wide] = field(default_factory=dict)  # what is played in the next tick
    gains: dict[tuple[int, int], float] = field(default_factory=dict)  # of listeners for sources
    gains_before: dict[tuple[int, int], float] = field(default_factory=dict)
    afresh: dict[object, int] = field(default_factory=dict)  # audience: last tick without prediction
    afresh_frames: int = 0
    occasions: int = 0

    def leg(self, **coding: int) -> int:
        leg, _ = self.stage.peer(**coding)
        self.ears[leg] = Ear(coding, Opus(**coding))  # type: ignore[arg-type]
        self.taps[leg] = self.stage.plane.tap(leg)
        return leg

    def join(self, a: int, b: int, a_to_b: bool = True, b_to_a: bool = True) -> None:
        self.stage.plane.join(a, b, a_to_b=a_to_b, b_to_a=b_to_a)
        self.joins -= {(a, b), (b, a)}
        self.joins |= {(a, b)} if a_to_b else set()
        self.joins |= {(b, a)} if b_to_a else set()

    def unjoin(self, a: int, b: int) -> None:
        self.stage.plane.unjoin(a, b)
        self.joins -= {(a, b), (b, a)}

    def play(self, leg: int, samples: Samples) -> None:
        assert self.stage.plane.play(leg, samples) == FRAME
        self.played[leg] = ramped(samples, 0, 1)
        self.dying[leg] = dying(int(samples[-1]))

    def set_listener_gain(self, listener: int, source: int, gain: float) -> None:
        self.stage.plane.set_listener_gain(listener, source, gain)
        self.gains[listener, source] = gain

    def remove(self, leg: int) -> None:
        """Out of a graph in which nobody hears it any more."""
        self.stage.plane.remove_leg(leg)
        del self.ears[leg], self.taps[leg]
        self.joins, self.before = ({join for join in joins if leg not in join} for joins in (self.joins, self.before))
        self.gains, self.gains_before = (
            {pair: gain for pair, gain in gains.items() if leg not in pair} for gains in (self.gains, self.gains_before)
        )

    def tick(self) -> None:
        self.stage.tick()
        self.frames = {leg: self.stage.plane.tap_read(tap) for leg, tap in self.taps.items()}
        assert all(len(frame) == FRAME for frame in self.frames.values())

    def oracle(self) -> Oracle:
        return Oracle(self.mixers, self.joins, self.frames, self.before)

    def total(self, leg: int) -> Wide:
        oracle = self.oracle()
        if not self.ears[leg].packets:  # who is sent his first packet has heard nothing that could break off
            oracle.before = {join for join in oracle.before if join[1] != leg}
            oracle.before |= {join for join in oracle.joins if join[1] == leg}
        heard = oracle.heard(leg) + self.played.get(leg, 0)
        return heard + sum(oracle.regained(leg, source, *change) for source, change in self.wishes(leg).items())

    def wishes(self, leg: int) -> dict[int, tuple[float, float]]:
        """Of whom it hears more or less, and how much: in the last tick, and at the end of this one."""
        changes = {pair: (self.gains_before.get(pair, 1.0), gain) for pair, gain in self.gains.items()}
        return {source: change for (who, source), change in changes.items() if who == leg and change != (1, 1)}

    def hears(self, leg: int, source: int) -> bool:
        alone = self.oracle().alone(source)
        return any(alone.sounds(a, leg) for a in alone.into(leg))

    def heard(self, leg: int) -> Samples:
        return self.ears[leg].limiter.copy().limit(self.total(leg))

    def fades(self, leg: int) -> bool:
        """Whether something that it hears begins or ends."""
        oracle = self.oracle()
        changed = {a for a, b in oracle.joins ^ oracle.before if b == leg}
        return self.ears[leg].packets > 0 and any(oracle.sounds(a) for a in changed)

    def apart(self, leg: int) -> bool:
        oracle = self.oracle()
        joins = oracle.joins | oracle.before
        mixed = self.frames[leg].any() and any((m, leg) in joins and (leg, m) in joins for m in self.mixers)
        turned = any(self.hears(leg, source) for source in self.wishes(leg))
        return leg in self.played or bool(mixed) or self.fades(leg) or turned

    def check(self) -> None:
        """All packets of the tick that just was."""
        before = {leg: copied(ear.opus, ear.coding) for leg, ear in self.ears.items()}
        limits = {leg: ear.limiter.gain for leg, ear in self.ears.items()}
        total = {leg: self.total(leg) for leg in self.ears}
        shares = {leg: bool(self.stage.plane.stats(leg)["shares_encoding"]) for leg in self.ears}
        hears = {leg: frozenset(a for a, b in self.joins if b == leg) for leg in self.ears}
        moved = {leg: hears[leg] != ear.hears for leg, ear in self.ears.items()}
        stayed = {leg for leg, ear in self.ears.items() if ear.shares and shares[leg] and not moved[leg]}
        afresh: dict[object, bool] = {}  # audience: a leg has just been joined to what it hears
        for leg, ear in self.ears.items():
            came = shares[leg] and (moved[leg] or not ear.shares)
            others = [there for there in stayed if hears[there] == hears[leg] and self.ears[there].coding == ear.coding]
            ear.together = 0 if self.apart(leg) or (moved[leg] and ear.packets) else ear.together + 1
            ear.shares = shares[leg]
            ear.hears = ear.hears if self.fades(leg) else hears[leg]
            self.occasions += moved[leg] or ear.together == RETURN_AFTER + 1
            if self.apart(leg):
                assert not shares[leg]
            if came and others:
                assert moved[leg] or ear.together > RETURN_AFTER
            received = self.stage.peers[leg].rtp
            payload = received[ear.packets].payload if len(received) > ear.packets else b""
            source = before[others[0] if came and others else leg]
            gains = {ear.limiter.gain} | {limits[there] for there in hears if moved[leg] and hears[there] == hears[leg]}
            for without, gain in product((False, True), sorted(gains, key=ear.limiter.gain.__ne__)):
                ear.opus, limiter = copied(source, ear.coding), LimiterOracle(gain)
                if ear.opus.payload(limiter.limit(total[leg]), afresh=without) == payload:
                    break
            else:
                raise AssertionError(f"leg {leg} is sent what its encoder did not make")
            ear.limiter = limiter
            if without and ear.packets:
                audience = (hears[leg], *ear.coding.items())
                afresh[audience] = afresh.get(audience, False) or moved[leg]
            ear.packets = len(received)
        for changed, joined in afresh.items():
            assert joined or self.stage.ticks - self.afresh.get(changed, -RETURN_AFTER) >= RETURN_AFTER
            self.afresh[changed] = self.stage.ticks
            self.afresh_frames += 1
        assert self.afresh_frames <= self.occasions
        self.played, self.dying = self.dying, {}
        self.before = set(self.joins)
        self.gains_before = dict(self.gains)


def copied(opus: Opus, coding: dict[str, int]) -> Opus:
    copy = Opus(**coding)  # type: ignore[arg-type]
    copy.copy_encoder(opus)
    return copy


def talk(reference: Reference, legs: list[int], ticks: int, random: np.random.Generator) -> None:
    """Turns and interruptions: each of these legs talks for a while, is silent for a while."""
    stage, talking = reference.stage, dict.fromkeys(legs, False)
    left = {leg: int(random.integers(0, 60)) for leg in legs}
    for n in range(ticks):
        for leg in legs:
            left[leg] -= 1
            if left[leg] < 0:
                talking[leg] = not talking[leg]
                left[leg] = int(random.integers(5, 40 if talking[leg] else 150))
            if talking[leg]:
                stage.peers[leg].say(SPEECH[(n + 31 * leg) % len(SPEECH)] // 2, stage.address)
        reference.tick()
        reference.check()


def continuous(peer: Peer, ticks: int) -> bool:
    numbers = [packet.sequence for packet in peer.rtp]
    stamps = [packet.timestamp for packet in peer.rtp]
    return (
        len(peer.rtp) == ticks
        and all((b - a) & 0xFFFF == 1 for a, b in pairwise(numbers))
        and all((b - a) & 0xFFFFFFFF == FRAME for a, b in pairwise(stamps))
    )


@pytest.mark.parametrize("seed", range(2))
def test_in_a_room_each_packet_is_bit_for_bit_that_of_an_encoder_of_ones_own(stage: Stage, seed: int) -> None:
    mixer = stage.plane.add_mixer()
    reference = Reference(stage, {mixer})
    legs = [reference.leg() for _ in range(4)] + [reference.leg(bitrate=24000), reference.leg(bitrate=20000)]
    listeners = [reference.leg() for _ in range(3)]
    for leg in (*legs, *listeners):
        reference.join(leg, mixer, a_to_b=leg not in listeners[:2])
    talk(reference, legs, 300, np.random.default_rng(seed))
    assert all(continuous(peer, 300) for peer in stage.peers.values())
    assert reference.afresh_frames > 0
    assert all(reference.ears[leg].shares for leg in listeners[:2])


@pytest.mark.parametrize("seed", range(2))
def test_in_any_graph_that_changes_it_is_so_too(stage: Stage, seed: int) -> None:
    """Mixers joined to mixers, legs that only hear or only speak, legs in two rooms, calls, sounds for one alone."""
    random = np.random.default_rng(100 + seed)
    mixers = [stage.plane.add_mixer() for _ in range(4)]
    reference = Reference(stage, set(mixers))
    legs = [reference.leg() for _ in range(6)] + [reference.leg(dtx=True) for _ in range(2)]
    reference.join(mixers[0], mixers[1])
    reference.join(mixers[1], mixers[2], a_to_b=False)
    for n, leg in enumerate(legs):
        reference.join(leg, mixers[n % 3], b_to_a=n != 4)
    reference.join(legs[0], mixers[3])
    reference.join(legs[1], mixers[3], a_to_b=False)
    reference.join(legs[2], legs[5])
    for _ in range(5):
        talk(reference, legs[:6], 80, random)
        reference.play(legs[int(random.integers(8))], SPEECH[int(random.integers(100))].copy())
        talk(reference, legs[:6], 10, random)
        leg = legs[int(random.integers(8))]
        for mixer in mixers[:3]:
            if {(leg, mixer), (mixer, leg)} & reference.joins:
                reference.unjoin(leg, mixer)
        reference.join(leg, mixers[int(random.integers(3))], a_to_b=bool(random.integers(4)))


@pytest.mark.parametrize("moment", range(5))
def test_who_is_joined_elsewhere_when_he_begins_to_speak_takes_his_encoder_along(stage: Stage, moment: int) -> None:
    here, there = stage.plane.add_mixer(), stage.plane.add_mixer()
    reference = Reference(stage, {here, there})
    legs = [reference.leg() for _ in range(5)]
    for leg, mixer in zip(legs, (here, here, here, there, there), strict=True):
        reference.join(leg, mixer)
    for n in range(70):
        stage.peers[legs[1]].say(SPEECH[n], stage.address)
        stage.peers[legs[3]].say(SPEECH[n + 50], stage.address)
        if n >= 50:
            stage.peers[legs[0]].say(SPEECH[n + 20], stage.address)
        if n == 50 + moment:
            reference.unjoin(legs[0], here)
            reference.join(legs[0], there)
        reference.tick()
        reference.check()


def distinct(reference: Reference) -> int:
    """Different things that are heard now, in different codings."""
    return len({(reference.heard(leg).tobytes(), *ear.coding.items()) for leg, ear in reference.ears.items()})


def encodes(stage: Stage) -> int:
    return int(stage.plane.plane_stats()["encodes"])


def test_as_much_is_encoded_as_is_different(stage: Stage) -> None:
    mixers = [stage.plane.add_mixer() for _ in range(2)]
    reference = Reference(stage, set(mixers))
    legs = [reference.leg(bitrate=24000 if n % 5 == 4 else 32000) for n in range(20)]
    for n, leg in enumerate(legs):
        reference.join(leg, mixers[n % 2])
    talkers = {legs[0]: 0, legs[2]: 40, legs[3]: 80}
    for n in range(120):
        for leg, start in talkers.items():
            stage.peers[leg].say(SPEECH[(n + start) % len(SPEECH)], stage.address)
        before = encodes(stage)
        reference.tick()
        if n >= 20:
            # two talkers and their listeners in two codings; one talker, who hears nothing, and his listeners
            assert distinct(reference) == 2 + 2 + 1 + 2
            assert encodes(stage) - before == 6  # nothing needs no codec


def test_those_who_fell_silent_come_back_together_and_the_bridge_encodes_once(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    reference = Reference(stage, {mixer})
    legs = [reference.leg() for _ in range(6)]
    for leg in legs:
        reference.join(leg, mixer)
    counts = []
    for n in range(400):
        for leg, until in ((legs[0], 400), (legs[1], 100), (legs[2], 130)):
            if n < until:
                stage.peers[leg].say(SPEECH[(n + 50 * leg) % len(SPEECH)] // 2, stage.address)
        before = encodes(stage)
        reference.tick()
        reference.check()
        counts.append(encodes(stage) - before)
    assert counts[50] == 4
    assert counts[-1] == 1  # for all who hear the one who still talks; he himself hears nothing
    assert [reference.ears[leg].shares for leg in legs] == [False] + [True] * 5
    assert reference.afresh_frames <= 2


def test_who_was_on_hold_hears_again_what_the_others_hear(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    legs = [stage.peer()[0] for _ in range(4)]
    for leg in legs:
        stage.plane.join(leg, mixer)
    stage.run(60, {legs[0]: 300})
    stage.plane.set_send(legs[1], False)
    stage.run(60, {legs[0]: 300})
    stage.plane.set_send(legs[1], True)
    stage.run(60, {legs[0]: 300})
    held, other = stage.peers[legs[1]], stage.peers[legs[2]]
    assert [packet.payload for packet in held.rtp[-60:]] == [packet.payload for packet in other.rtp[-60:]]


def test_a_copied_encoder_goes_on_bit_for_bit() -> None:
    first, second = Opus(), Opus()
    for frame in SPEECH[:50]:
        first.encode(frame)
    second.copy_encoder(first)
    for frame in SPEECH[50:100]:
        assert second.encode(frame) == first.encode(frame)
    second.encode(SPEECH[0])
    assert second.encode(SPEECH[1]) != first.encode(SPEECH[1])


def test_without_prediction_a_decoder_takes_up_another_encoder_within_frames() -> None:
    """What a listener hears who goes over to an encoder that has heard the same for a second, against what he should:
    the worst of some places.
    """

    def error(afresh: bool) -> list[float]:
        worst = []
        for start in range(0, 60, 7):
            shared, own, true, heard = Opus(), Opus(), Opus(), Opus()
            sound = np.concatenate([SPEECH[start:], SPEECH])[:100]
            sound = (sound * (0.6 + 0.3 * np.sin(0.7 * np.arange(100)))[:, None]).astype(np.int16)
            for n in range(30):
                true.decode(shared.encode(sound[n]))
                heard.decode(own.encode(tone(300, 1, n)))  # meanwhile he heard something else
            for n in range(30, 85):
                true.decode(shared.encode(sound[n]))
                heard.decode(own.encode(sound[n]))
            errors = []
            for n in range(85, 91):
                payload = shared.encode(sound[n], afresh=afresh and n == 85)
                right = np.frombuffer(true.decode(payload), np.int16).astype(float)
                got = np.frombuffer(heard.decode(payload), np.int16).astype(float)
                errors.append(10 * np.log10((np.square(got - right).sum() + 1) / np.square(right).sum()))
            worst.append(errors)
        return [max(column) for column in zip(*worst, strict=True)]

    plain, afresh = error(False), error(True)
    assert afresh[0] < -15
    assert max(afresh[1:]) < -30
    assert min(plain[:3]) > -20


def test_telephones_share_among_themselves_and_there_is_a_mix_for_each_law(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    legs = [stage.peer()[0] for _ in range(3)]
    phones = [(stage.peer(payload_type=number, codec=Companded(law), unit=6)[0], law, number) for law, number in LAWS]
    for phone, law, number in phones:
        stage.plane.set_codec(phone, payload_type=number, name=law)
    for leg in (*legs, *(phone for phone, _, _ in phones)):
        stage.plane.join(leg, mixer)
    stage.run(20, {legs[0]: 440})
    before = encodes(stage)
    stage.run(20, {legs[0]: 440})
    assert encodes(stage) - before == 20 * 3  # the talker hears nothing
    heard = [[packet.payload for packet in stage.peers[phone].rtp[-20:]] for phone, _, _ in phones]
    assert heard[0] == heard[1]
    assert heard[2] == heard[3] != heard[0]


def test_a_leg_that_becomes_a_telephone_goes_on_hearing(stage: Stage) -> None:
    mixer = stage.plane.add_mixer()
    legs = [stage.peer()[0] for _ in range(4)]
    for leg in legs:
        stage.plane.join(leg, mixer)
    stage.run(20, {legs[0]: 440, legs[1]: 300})
    for leg in legs[1:3]:  # one that talks, one that listens
        stage.plane.set_codec(leg, payload_type=0, name="pcmu")
        stage.peers[leg].codec, stage.peers[leg].unit, stage.peers[leg].payload_type = Companded("pcmu"), 6, 0
    stage.run(40, {legs[0]: 440})
    for leg in legs[1:]:
        assert loudness(np.concatenate(stage.peers[leg].heard[-20:]), 440) > 120
    assert stage.peers[legs[1]].rtp[-1].payload == stage.peers[legs[2]].rtp[-1].payload
