"""Who is the dominant speaker: the decisions on levels, against the same in numpy, and what becomes of them."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer_ext import DominantSpeaker
from tests.mixer_ext.peers import FRAME, Stage
from tests.mixer_ext.test_stream import voice

LEVEL = 5
VOICE = voice(200).reshape(-1, FRAME)
SILENT = -127.0


class Oracle:
    """All levels of all are kept, and each decision is made from them alone."""

    def __init__(self) -> None:
        self.past: dict[int, list[int]] = {}
        self.dominant: int | None = None
        self.ticks = 0

    @staticmethod
    def least(levels: list[int]) -> int:
        least = estimate = window = 0
        for level in levels:
            if level == 0:
                continue
            if least == 0 or level < least:
                least, estimate, window = level, 0, 0
            elif estimate == 0:
                estimate, window = level, 1
            else:
                estimate, window = min(estimate, level), window + 1
                if window >= 750:
                    least, estimate, window = int(math.sqrt(least * estimate)), 0, 0
        return least

    def scores(self, speaker: int) -> npt.NDArray[np.float64]:
        levels = np.array(([0] * 50 + self.past.get(speaker, []))[-50:])[::-1]
        steps = np.where(levels < self.least(self.past.get(speaker, [])) + 10, 0, levels // 10)
        loud = (steps.reshape(10, 5) > 7).sum(axis=1)
        counts = [(int(steps[0]), 13, 0.78), (int(loud[0]), 5, 24.0), (int((loud > 4).sum()), 10, 47.0)]
        return np.array(
            [
                max(1e-10, math.log(math.comb(n, k)) + n * math.log(0.5) - math.log(rate) + rate * k)
                for k, n, rate in counts
            ]
        )

    def tick(self, levels: dict[int, float]) -> int | None:
        for speaker, level in levels.items():
            self.past.setdefault(speaker, []).append(int(127 + level))
        self.ticks += 1
        if self.ticks % 15 == 0:
            reigning = np.full(3, 1e-10) if self.dominant is None else self.scores(self.dominant)
            best, winner = 2.0, None
            for speaker in levels:
                ratio = np.log(self.scores(speaker) / reigning)
                if speaker != self.dominant and ratio[0] > 3 and ratio[1] > max(2, best) and ratio[2] > 0:
                    best, winner = ratio[1], speaker
            self.dominant = self.dominant if winner is None else winner
        return self.dominant


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(0.02, 0.5))
def test_each_decision_is_that_of_the_algorithm(seed: int, speakers: int, turn: float) -> None:
    random = np.random.default_rng(seed)
    tested, oracle = DominantSpeaker(), Oracle()
    talking = np.zeros(speakers, bool)
    loudness = random.uniform(-45, -15, speakers)
    for _ in range(400):
        talking ^= random.random(speakers) < turn / 10
        level = np.where(talking, loudness + random.normal(0, 6, speakers), random.choice([-127, -75, -60], speakers))
        levels = {n + 1: float(np.clip(level[n], -127, 0)) for n in range(speakers)}
        assert tested.tick(levels) == oracle.tick(levels)


def test_the_quietest_is_looked_for_again_every_fifteen_seconds() -> None:
    """Somebody whose background grows louder is not taken for speech for ever."""
    tested, oracle = DominantSpeaker(), Oracle()
    random = np.random.default_rng(3)
    for n in range(4000):
        background = -80.0 if n < 100 else -44.0
        levels = {1: background + random.uniform(0, 2), 2: -30.0 if n % 900 > 700 else -70.0}
        assert tested.tick(levels) == oracle.tick(levels)


def talk(tested: DominantSpeaker, ticks: int, *speaking: int, among: int = 3, level: float = -20.0) -> int | None:
    for _ in range(ticks):
        tested.tick({n: level if n in speaking else -70.0 for n in range(1, among + 1)})
    return tested.dominant


def test_at_first_nobody_is_and_then_who_speaks() -> None:
    tested = DominantSpeaker()
    assert talk(tested, 100) is None
    assert talk(tested, 30, 2) == 2


def test_a_cough_does_not_take_the_floor() -> None:
    tested = DominantSpeaker()
    talk(tested, 20)
    assert talk(tested, 100, 1) == 1
    for _ in range(20):
        talk(tested, 4, 1, 3)
        assert talk(tested, 30, 1) == 1


def test_who_takes_over_from_somebody_who_has_ended_has_the_floor_within_a_second() -> None:
    tested = DominantSpeaker()
    talk(tested, 20)
    assert talk(tested, 200, 1) == 1
    assert talk(tested, 50, 2) == 2


def test_who_has_ended_keeps_the_floor_while_nobody_takes_it() -> None:
    tested = DominantSpeaker()
    talk(tested, 20)
    talk(tested, 100, 3)
    assert talk(tested, 500) == 3


def test_rest_is_silence() -> None:
    tested, rested = DominantSpeaker(), DominantSpeaker()
    for each in (tested, rested):
        talk(each, 15)
        talk(each, 45, 1)
    for _ in range(60):
        tested.tick(dict.fromkeys((1, 2, 3), SILENT))
    for speaker in (1, 2, 3):
        rested.rest(speaker, 60)
    assert talk(tested, 45, 2) == talk(rested, 45, 2) == 2


def dominants(stage: Stage) -> list[tuple[object, ...]]:
    return [event for event in stage.events if event[0] == "dominant"]


@pytest.mark.parametrize("told", [True, False], ids=["by the levels they send", "by what is heard"])
def test_a_mixer_tells_who_leads(stage: Stage, told: bool) -> None:
    mixer, other = stage.plane.add_mixer(), stage.plane.add_mixer()
    legs = [stage.peer(level_extension=LEVEL * told)[0] for _ in range(3)]
    extension = {"level_extension": LEVEL, "level": 20, "voice": True} if told else {}
    for leg in legs:
        stage.plane.join(leg, mixer)
    stage.plane.join(stage.peer()[0], other)

    def speak(leg: int, frames: int) -> None:
        for n in range(frames):
            stage.peers[leg].say(VOICE[n % 200], stage.address, **extension)
            stage.tick()

    hush = {"level_extension": LEVEL, "level": 70, "voice": False} if told else {}
    for _ in range(10):
        for leg in legs:
            stage.peers[leg].say(np.full(FRAME, 3, np.int16), stage.address, **hush)
        stage.tick()
    speak(legs[0], 60)
    assert dominants(stage) == [("dominant", mixer, legs[0])]
    speak(legs[1], 120)
    assert dominants(stage)[1:] == [("dominant", mixer, legs[1])]
    stage.tick(400)
    assert len(dominants(stage)) == 2
    assert stage.plane.plane_stats()["live"] == 0
    speak(legs[2], 120)
    assert dominants(stage)[2:] == [("dominant", mixer, legs[2])]
    stage.plane.remove_leg(legs[2])
    stage.tick()
    assert dominants(stage)[3:] == [("dominant", mixer, None)]
    speak(legs[0], 60)
    stage.plane.unjoin(legs[0], mixer)
    stage.tick()
    assert dominants(stage)[4:] == [("dominant", mixer, legs[0]), ("dominant", mixer, None)]
