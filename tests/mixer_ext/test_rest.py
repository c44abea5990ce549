"""Where nothing happens nothing is done, and nobody can tell."""

import random
import select
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from mixer_ext import Plane
from tests.mixer_ext.peers import FRAME, Peer, Stage, tone
from tests.mixer_ext.test_stream import voice

STILL = 250  # ticks of silence that are sent
SETTLED = STILL + 30
COMFORT = b"\xf8\xff\xfe"
VOICE = voice(40).reshape(-1, FRAME)


def live(stage: Stage) -> int:
    return int(stage.plane.plane_stats()["live"])


def room(stage: Stage, members: int, **codec: object) -> tuple[int, list[int]]:
    mixer = stage.plane.add_mixer()
    legs = [stage.peer(**codec)[0] for _ in range(members)]
    for leg in legs:
        stage.plane.join(leg, mixer)
    return mixer, legs


def test_a_room_in_which_nobody_speaks_comes_to_rest(stage: Stage) -> None:
    mixer, legs = room(stage, 3)
    stage.tick()
    assert live(stage) == 4
    stage.tick(SETTLED)
    assert live(stage) == 0
    stage.run(1, {legs[0]: 440})
    assert live(stage) == 4
    stage.tick(SETTLED)
    assert live(stage) == 0
    stage.plane.play(mixer, tone(440, 1))
    stage.tick()
    assert live(stage) == 4


def test_so_does_one_whose_members_have_not_come_yet() -> None:
    stage = Stage()
    mixer = stage.plane.add_mixer()
    for n in range(3):
        leg = stage.plane.add_leg(f"fragment{n}", ssrc=n, csrc=n)
        stage.plane.join(leg, mixer)
    stage.tick(30)
    assert live(stage) == 0
    stage.close()


def test_others_are_left_alone_by_a_room_that_lives(stage: Stage) -> None:
    _, legs = room(stage, 2)
    for _ in range(5):
        room(stage, 2)
    stage.tick(SETTLED)
    assert live(stage) == 0
    for _ in range(50):
        stage.run(1, {legs[0]: 440})
        assert live(stage) == 3
    assert len([packet for packet in stage.peers[legs[1]].rtp if packet.payload != COMFORT]) > 45


def test_a_room_that_is_recorded_does_not_rest(stage: Stage) -> None:
    mixer, _ = room(stage, 1)
    tap = stage.plane.tap(mixer)
    stage.tick(SETTLED + 100)
    assert live(stage) == 2
    assert len(stage.plane.tap_read(tap)) == (SETTLED + 100) * FRAME
    stage.plane.tap_close(tap)
    stage.tick(20)
    assert live(stage) == 0


@pytest.mark.parametrize("dtx", [False, True])
def test_who_is_alone_is_sent_a_frame_of_silence_every_five_seconds(stage: Stage, dtx: bool) -> None:
    _, (leg,) = room(stage, 1, dtx=dtx)
    peer = stage.peers[leg]
    stage.tick(SETTLED)
    before = len(peer.rtp)
    stage.tick(3000)
    kept = peer.rtp[before:]
    assert len(kept) in (11, 12)
    assert {packet.payload for packet in kept} == {COMFORT}
    for one, other in pairwise(kept):
        assert other.sequence == (one.sequence + 1) & 0xFFFF
        assert 250 * FRAME <= (other.timestamp - one.timestamp) % 2**32 <= 262 * FRAME


def test_time_goes_on_while_a_room_rests(stage: Stage) -> None:
    _, (leg, other) = room(stage, 2)
    peer = stage.peers[leg]
    stage.run(20, {other: 440})
    stage.tick(1000)
    stage.run(20, {other: 440})
    first, last = peer.rtp[0], peer.rtp[-1]
    assert (last.timestamp - first.timestamp) % 2**32 == 1039 * FRAME
    assert (last.sequence - first.sequence) % 2**16 == len(peer.rtp) - 1
    assert [packet.marker for packet in peer.rtp].count(True) == 2


def test_reports_go_on_while_a_room_rests(stage: Stage) -> None:
    _, (leg,) = room(stage, 1)
    peer = stage.peers[leg]
    stage.tick(3000)
    assert 18 <= len(peer.rtcp) <= 30
    last = peer.rtcp[-1]
    if last[1] == 200:  # with the RTP time of then
        stamp = int.from_bytes(last[16:20], "big")
        assert (stamp - peer.rtp[0].timestamp) % 2**32 <= 3000 * FRAME


def conversation(seed: int, restless: bool) -> tuple[list[list[object]], int]:
    """What each of five is sent, in what order; two rooms, talk now and then, people who move; ticks that were idle."""
    chance = random.Random(seed)
    stage = Stage()
    mixers = [stage.plane.add_mixer() for _ in range(2)]
    taps = [stage.plane.tap(mixer) for mixer in mixers] if restless else []
    legs = [stage.peer(level_extension=5 * (n % 2), dtx=n == 4)[0] for n in range(5)]
    for n, leg in enumerate(legs):
        stage.plane.join(leg, mixers[n % 2])
    idle = 0
    for _ in range(12):
        talking = {leg: chance.randrange(5, 40) for leg in legs if chance.random() < 0.3}
        pause = chance.choice([3, 15, 100, 300, 600])
        for tick in range(40 + pause):
            for leg in legs:
                if tick < talking.get(leg, 0):
                    stage.peers[leg].say(VOICE[tick], stage.address, level_extension=5, level=20, voice=True)
                else:  # it makes a pause
                    stage.peers[leg].timestamp += FRAME
            stage.tick()
            idle += not live(stage)
        if chance.random() < 0.3:
            leg, there = chance.choice(legs), chance.randrange(2)
            stage.plane.unjoin(leg, mixers[1 - there])
            stage.plane.unjoin(leg, mixers[there])
            stage.plane.join(leg, mixers[there])
        for tap in taps:
            stage.plane.tap_read(tap)
    told: list[list[object]] = []
    for leg in legs:
        start = stage.peers[leg].rtp[0].timestamp
        sound = [packet for packet in stage.peers[leg].rtp if packet.payload != COMFORT]
        told.append([((each.timestamp - start) % 2**32, each.marker, each.csrcs, each.payload) for each in sound])
    stage.close()
    return told, idle


@pytest.mark.parametrize("seed", range(4))
def test_rest_changes_nothing_that_anybody_hears(seed: int) -> None:
    rested, idle = conversation(seed, restless=False)
    restless, never = conversation(seed, restless=True)
    assert idle > 200
    assert never == 0
    assert rested == restless


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane([("127.0.0.1", 0)])
    plane.start()
    yield plane
    plane.stop()


def ticks(plane: Plane) -> int:
    return int(plane.plane_stats()["ticks"])


def come_to_rest(plane: Plane) -> None:
    while plane.plane_stats()["live"] or not ticks(plane):
        assert select.select([plane.fileno()], [], [], 0.05)[0] == []


def test_without_a_leg_the_thread_does_not_tick(plane: Plane) -> None:
    for _ in range(5):
        plane.add_mixer()
    come_to_rest(plane)
    before = ticks(plane)
    assert select.select([plane.fileno()], [], [], 0.5)[0] == []
    assert ticks(plane) <= before + 1


def test_a_leg_that_waits_costs_a_few_ticks_a_second(plane: Plane) -> None:
    leg = plane.add_leg("fragment", ssrc=1, csrc=1)
    plane.set_plain(leg, ("", 0), receive_ssrc=5)
    come_to_rest(plane)
    before, begin = ticks(plane), time.monotonic()
    assert select.select([plane.fileno()], [], [], 0.5)[0] == []
    assert ticks(plane) - before <= 10 * (time.monotonic() - begin)


def test_the_thread_wakes_for_the_first_packet(plane: Plane) -> None:
    leg = plane.add_leg("fragment", ssrc=1, csrc=1)
    plane.set_codec(leg, payload_type=111)
    plane.set_plain(leg, ("", 0), receive_ssrc=5)
    come_to_rest(plane)
    peer = Peer(ssrc=5)
    peer.say(tone(440, 1), plane.addresses[0])
    while not any(event[0] == "ssrc" for event in plane.poll()):
        assert select.select([plane.fileno()], [], [], 10)[0]
    assert plane.plane_stats()["live"] == 1
    peer.close()
