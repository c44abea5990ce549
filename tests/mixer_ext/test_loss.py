"""What a peer's reports of loss change in what it is sent, and nobody else."""

from itertools import pairwise

import numpy as np
import pytest

from mixer_ext import Companded, Opus
from tests.mixer_ext.peers import FRAME, Peer, Stage, loudness
from tests.mixer_ext.test_rtcp import block, report
from tests.mixer_ext.test_stream import voice

SECOND = 50  # ticks


def carries(payload: bytes) -> bool:
    """Whether an Opus packet has its predecessor in it (RFC 6716 section 4.2.4: mono, 20 ms, no CELT)."""
    return len(payload) > 2 and not payload[0] & 0x80 and bool(payload[1] & 0x40)


class Room:
    """A speaker, one who loses packets, and two who do not; all can make use of FEC."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.legs, self.peers = zip(*(stage.peer(fec=True) for _ in range(4)), strict=True)
        mixer = stage.plane.add_mixer()
        for leg in self.legs:
            stage.plane.join(leg, mixer)
        self.sound = voice(100).reshape(-1, FRAME)
        self.said = 0

    def run(self, seconds: int, fraction: float, *, every: int = 1) -> None:
        """The speaker speaks; the one who loses packets says every so many seconds how much of them."""
        for second in range(seconds):
            for _ in range(SECOND):
                self.peers[0].say(self.sound[self.said % 100], self.stage.address)
                self.said += 1
                self.stage.tick()
            if second % every == every - 1:
                own = 100 + self.legs.index(self.legs[1]) + 1
                self.peers[1].send(report(2, block(own, fraction=int(fraction * 256))), self.stage.address)

    def fec(self) -> list[bool]:
        return [bool(self.stage.plane.stats(leg)["sends_fec"]) for leg in self.legs]


@pytest.mark.parametrize("every", [1, 5])
def test_loss_for_five_seconds_brings_fec_and_half_a_minute_without_ends_it(stage: Stage, every: int) -> None:
    room = Room(stage)
    room.run(5, 0.0, every=every)
    assert room.fec() == [False] * 4
    assert not any(carries(packet.payload) for packet in room.peers[1].rtp)
    room.run(10, 0.1, every=every)
    assert room.fec() == [False, True, False, False]
    assert sum(carries(packet.payload) for packet in room.peers[1].rtp[-100:]) > 50
    room.run(25, 0.0, every=every)
    assert room.fec()[1]
    room.run(10, 0.0, every=every)
    assert room.fec() == [False] * 4
    assert not any(carries(packet.payload) for packet in room.peers[1].rtp[-25:])
    # the others were sent the same all the time, and by one encoder
    assert [packet.payload for packet in room.peers[2].rtp] == [packet.payload for packet in room.peers[3].rtp]
    assert not any(carries(packet.payload) for packet in room.peers[2].rtp)
    assert all(stage.plane.stats(leg)["shares_encoding"] for leg in room.legs[1:])


def test_the_sound_goes_on_through_the_changes(stage: Stage) -> None:
    room = Room(stage)
    room.run(2, 0.0)
    started = len(room.peers[1].heard)
    room.run(8, 0.1)
    assert room.fec()[1]
    room.run(32, 0.0)
    assert not room.fec()[1]
    mine, theirs = (np.concatenate(peer.heard[started:]).astype(float) for peer in room.peers[1:3])
    assert len(mine) == len(theirs)
    frames = np.sqrt((mine.reshape(-1, FRAME) ** 2).mean(axis=1))
    assert frames.min() > 0.3 * np.median(frames)
    steps, reference = np.abs(np.diff(mine)).max(), np.abs(np.diff(theirs)).max()
    assert steps < 1.5 * reference
    numbers = [packet.sequence for packet in room.peers[1].rtp]
    assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(numbers))


def test_while_the_change_is_under_way_the_decoder_is_in_step(stage: Stage) -> None:
    """What it hears is what one hears that gets the new encoding alone, from the start."""
    room = Room(stage)
    room.run(10, 0.1)
    first = next(n for n, packet in enumerate(room.peers[1].rtp) if carries(packet.payload))
    through = np.concatenate(room.peers[1].heard[first + 5 : first + 50]).astype(float)
    fresh = Opus()
    heard = [np.frombuffer(fresh.decode(packet.payload), np.int16) for packet in room.peers[1].rtp[first - 25 :]]
    alone = np.concatenate(heard[30:75]).astype(float)
    assert 10 * np.log10(((through - alone) ** 2).mean() / (alone**2).mean() + 1e-12) < -20


@pytest.mark.parametrize("fractions", [[0.02] * 12, [0.1, 0.1, 0.1, 0.02] * 3, [0.1, 0.1, 0.1, 0.0] * 3])
def test_a_little_loss_or_now_and_then_changes_nothing(stage: Stage, fractions: list[float]) -> None:
    room = Room(stage)
    for fraction in fractions:
        room.run(1, fraction)
    assert room.fec() == [False] * 4


def test_between_the_limits_fec_stays(stage: Stage) -> None:
    room = Room(stage)
    room.run(8, 0.1)
    room.run(35, 0.02)
    assert room.fec()[1]


def test_reports_far_apart_say_nothing_of_the_time_between(stage: Stage) -> None:
    room = Room(stage)
    room.run(12, 0.0, every=12)
    room.run(12, 0.5, every=12)
    assert not room.fec()[1]
    room.run(6, 0.5, every=5)
    assert room.fec()[1]


def test_two_bad_reports_with_a_long_pause_between_them_are_no_lasting_loss(stage: Stage) -> None:
    room = Room(stage)
    room.run(1, 0.1)
    room.run(15, 0.0, every=16)  # nobody reports
    room.run(1, 0.1)
    room.run(1, 0.0, every=2)
    assert not room.fec()[1]
    room.run(6, 0.1)
    assert room.fec()[1]


def test_who_cannot_make_use_of_it_is_sent_none(stage: Stage) -> None:
    leg, peer = stage.peer()
    phone = Peer(ssrc=9, payload_type=0, codec=Companded("pcmu"), unit=6)
    telephone = stage.plane.add_leg("telephone", ssrc=200, csrc=201)
    stage.plane.set_codec(telephone, payload_type=0, name="pcmu", fec=True)
    stage.plane.set_plain(telephone, phone.address)
    stage.peers[telephone] = phone
    for _ in range(10):
        stage.run(SECOND, {leg: 440})
        peer.send(report(1, block(101, fraction=100)), stage.address)
        phone.send(report(9, block(200, fraction=100)), stage.address)
    for each in (leg, telephone):
        assert not stage.plane.stats(each)["sends_fec"]
        assert stage.plane.stats(each)["remote_fraction_lost"] > 0.3


def test_the_one_who_speaks_is_sent_fec_too(stage: Stage) -> None:
    (first, _), (second, ear) = stage.peer(fec=True), stage.peer(fec=True)
    stage.plane.join(first, second)
    sound = voice(100).reshape(-1, FRAME)
    for n in range(10 * SECOND):
        for peer in stage.peers.values():
            peer.say(sound[n % 100], stage.address)
        stage.tick()
        if n % SECOND == 0:
            ear.send(report(2, block(102, fraction=50)), stage.address)
    assert stage.plane.stats(second)["sends_fec"]
    assert sum(carries(packet.payload) for packet in ear.rtp[-100:]) > 50
    assert loudness(np.concatenate(ear.heard[-50:]), 140) > loudness(np.concatenate(ear.heard[50:100]), 140) - 3
