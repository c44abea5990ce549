"""What encoding may cost goes by how much of a core the plane's thread takes, and by whether it is given that."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from mixer_ext import EncodingEffort, Plane
from tests.mixer_ext.peers import FRAME, OPUS, Peer, Stage
from tests.mixer_ext.test_stream import voice

CALM = 50
SPEECH = voice(150)


@pytest.mark.parametrize(
    ("loads", "complexities"),
    [
        ([0.0, 0.3, 0.6], [5, 5, 5]),
        ([0.61] * 7, [4, 3, 2, 1, 0, 0, 0]),
        ([1.0, 0.5, 1.0, 0.6], [4, 4, 3, 3]),
        ([0.7, *[0.37] * CALM * 3], [4] * (3 * CALM + 1)),  # less, but not much less
        ([0.7, 0.7, *[0.35] * CALM * 2], [4, 3, *[3] * (CALM - 1), *[4] * CALM, 5]),
        ([0.7, *[0.35] * (CALM - 1), 0.4, *[0.35] * CALM], [4, *[4] * (2 * CALM - 1), 5]),  # not calm throughout
        ([0.7, *[0.0] * CALM * 3], [4, *[4] * (CALM - 1), *[5] * (CALM * 2 + 1)]),
    ],
)
def test_it_becomes_less_at_once_and_more_after_a_calm_while(loads: list[float], complexities: list[int]) -> None:
    effort = EncodingEffort(0.6)
    assert [effort.step(load) for load in loads] == complexities


def test_a_step_that_costs_two_thirds_more_is_not_taken_back_again_and_again() -> None:
    effort = EncodingEffort(0.6)
    costs = [0.35, 0.35, 0.35, 0.35, 0.58, 0.65]
    complexities = [5]
    for _ in range(20 * CALM):
        complexities.append(effort.step(costs[complexities[-1]]))
    assert complexities[10:] == [4] * (len(complexities) - 10)


def test_who_hears_something_hears_the_same_where_it_is_encoded_cheaper() -> None:
    rich, poor = Stage(), Stage(relief=0.0)
    sent = []
    for stage in (rich, poor):
        leg, peer = stage.peer()
        assert stage.plane.play(leg, SPEECH) == len(SPEECH)
        stage.tick(len(SPEECH) // FRAME)
        sent.append([packet.payload for packet in peer.rtp])
        heard = np.concatenate(peer.heard)
        level = np.sqrt(np.mean(heard.astype(float) ** 2))
        assert level == pytest.approx(np.sqrt(np.mean(SPEECH.astype(float) ** 2)), rel=0.2)
        stage.close()
    assert [stage.plane.plane_stats()["complexity"] for stage in (rich, poor)] == [5, 0]
    first = [one == other for one, other in zip(*sent, strict=True)].index(False)
    assert first >= 10  # the first window has to have passed
    assert poor.plane.plane_stats()["load"] == poor.plane.load > 0


def test_a_plane_in_which_nothing_is_left_to_do_bears_no_load() -> None:
    plane, peer = Plane([("127.0.0.1", 0)], relief=0.0), Peer()
    leg = plane.add_leg("fragment", ssrc=1, csrc=2)
    plane.set_codec(leg, payload_type=OPUS)
    plane.set_plain(leg, peer.address)
    plane.play(leg, np.tile(SPEECH, 3))
    plane.start()
    try:
        until(lambda: plane.plane_stats()["complexity"] == 0 and plane.load > 0)
        plane.remove_leg(leg)
        until(lambda: plane.plane_stats()["complexity"] == 5)
        assert plane.load == 0
    finally:
        plane.stop()
        peer.close()


def test_what_takes_longer_than_there_is_takes_no_more_than_all_of_a_core(stage: Stage) -> None:
    effort = EncodingEffort(0.6)
    for _ in range(100):
        effort.step(1.05, 1.2)
    assert effort.load == pytest.approx(1)
    assert effort.load <= 1
    stage.tick(20)
    before = stage.plane.load
    end = time.thread_time() + 0.25
    while time.thread_time() < end:
        pass
    stage.tick(10)  # 200 ms
    assert before < stage.plane.load < 1


def test_who_is_not_given_the_core_that_he_needs_is_helped_too() -> None:
    effort = EncodingEffort(0.6)
    complexities = [effort.step(0.5, 1.0) for _ in range(20)]  # two on one core, and late all the time
    assert complexities[:4] == [5] * 4  # it may have been a stall
    assert complexities[-1] == 0
    assert effort.load > 0.95


@pytest.mark.parametrize("windows", [1, 2, 3])
def test_a_stall_is_no_load_that_others_would_be_refused_for(windows: int) -> None:
    effort = EncodingEffort(0.7)
    for _ in range(50):
        effort.step(0.2, 0.25)
    assert effort.load == pytest.approx(0.25, abs=0.01)
    assert [effort.step(0.2, 1.0) for _ in range(windows)] == [5] * windows
    assert effort.load < 0.7


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
