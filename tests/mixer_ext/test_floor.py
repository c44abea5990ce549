"""Where many speak at once the loudest are mixed, and nobody hears a seam."""

import numpy as np
import pytest

from tests.mixer_ext.peers import FRAME, Samples, Stage, loudness, tone
from tests.mixer_ext.test_silence import SPEECH

LEVEL = 5
TONES = [400 + 150 * n for n in range(12)]


class Party:
    """Members who all speak, each in a tone of his own; who is heard in the mix is known from its tap."""

    def __init__(self, stage: Stage, members: int, k: int | None = None, told: bool = True) -> None:
        self.stage, self.told = stage, told
        self.mixer = stage.plane.add_mixer()
        self.legs = [stage.peer(level_extension=LEVEL * told)[0] for _ in range(members)]
        for leg in self.legs:
            stage.plane.join(leg, self.mixer)
        if k is not None:
            stage.plane.set_loudest(self.mixer, k)
        self.tap = stage.plane.tap(self.mixer)
        self.levels = [-20.0] * members
        self.history: list[list[float]] = []
        self.chosen: list[set[int]] = []

    def talk(self, ticks: int, *silent: int) -> Samples:
        for _ in range(ticks):
            for n, leg in enumerate(self.legs):
                if n in silent:
                    continue
                amplitude = 32768 * 10 ** (self.levels[n] / 20) * 1.3
                frame = tone(TONES[n], 1, self.stage.ticks, amplitude)
                extension = {"level_extension": LEVEL, "level": int(-self.levels[n]), "voice": True}
                self.stage.peers[leg].say(frame, self.stage.address, **(extension if self.told else {}))
            self.stage.tick()
            stats = [self.stage.plane.stats(leg) for leg in self.legs]
            self.history.append([each["level_dbov"] for each in stats])
            self.chosen.append({n for n, each in enumerate(stats) if each["heard"]})
        return self.stage.plane.tap_read(self.tap)

    def heard(self, sound: Samples) -> set[int]:
        least = loudness(tone(400, len(sound) // FRAME, 0, 100), 400)
        return {n for n in range(len(self.legs)) if loudness(sound, TONES[n]) > least}


def test_in_small_rooms_everybody_is_mixed(stage: Stage) -> None:
    party = Party(stage, 8)
    party.talk(50)
    assert party.heard(party.talk(25)) == set(range(8))
    assert all(chosen == set(range(8)) for chosen in party.chosen[5:])


def test_in_large_ones_the_loudest_are_and_the_others_cost_no_decoder(stage: Stage) -> None:
    party = Party(stage, 12, 3)
    party.levels = [-20.0 - 4 * n for n in (5, 1, 7, 3, 0, 2, 6, 4, 5, 6, 7, 5)]
    party.talk(60, *(n for n in range(12) if n != 4))  # so that he leads who is the loudest
    party.talk(60)
    before = stage.plane.plane_stats()["decodes"]
    assert party.heard(party.talk(25)) == {1, 4, 5}
    assert stage.plane.plane_stats()["decodes"] - before == 25 * 3
    stage.plane.set_loudest(party.mixer, 0)
    party.talk(25)
    assert party.heard(party.talk(25)) == set(range(12))


def test_somebody_is_replaced_by_who_is_clearly_louder_only(stage: Stage) -> None:
    party = Party(stage, 4, 3)
    party.levels = [-20.0, -24.0, -28.0, -40.0]
    party.talk(100)
    assert party.chosen[-1] == {0, 1, 2}
    party.levels[3] = -26.0
    party.talk(50)
    assert party.chosen[-1] == {0, 1, 2}
    party.levels[3] = -24.0
    party.talk(50)
    assert party.chosen[-1] == {0, 1, 3}


def test_who_says_that_he_is_loud_and_is_not_takes_one_place(stage: Stage) -> None:
    party = Party(stage, 4, 2)
    for _ in range(60):
        whisper = tone(TONES[3], 1, stage.ticks, 30)
        stage.peers[party.legs[3]].say(whisper, stage.address, level_extension=LEVEL, level=0, voice=True)
        party.talk(1, 3)
    assert all(3 in chosen and len(chosen) == 2 for chosen in party.chosen[40:])


def test_the_dominant_speaker_is_always_in(stage: Stage) -> None:
    party = Party(stage, 4, 2)
    party.levels = [-30.0, -35.0, -35.0, -35.0]
    party.talk(10, 0, 1, 2, 3)
    party.talk(60, 1, 2, 3)
    assert ("dominant", party.mixer, party.legs[0]) in stage.events
    party.levels = [-30.0, -24.0, -22.0, -20.0]
    party.talk(60)
    leader = [event for event in stage.events if event[0] == "dominant"][-1][2]
    assert leader is not None
    assert party.legs.index(leader) in party.chosen[-1]
    assert len(party.chosen[-1]) == 2


@pytest.mark.parametrize("seed", range(3))
def test_the_choice_is_that_of_the_rule(stage: Stage, seed: int) -> None:
    random = np.random.default_rng(seed)
    party = Party(stage, 6, 3)
    for _ in range(30):
        party.levels = list(-random.integers(15, 45, 6).astype(float))
        party.talk(int(random.integers(3, 40)))
    loud, stay, heard = [-127.0] * 6, [0] * 6, set[int]()
    checked = 0
    for tick, chosen in enumerate(party.chosen):
        ranks = [loud[n] + 3 * (n in heard) + 500 * (n in heard and stay[n] > 0) for n in range(6)]
        order = sorted(range(6), key=lambda n: (-ranks[n], n))
        if tick > 5:
            extra = chosen - set(order[:3])
            assert len(chosen) == 3
            assert len(extra) <= 1  # the dominant speaker
            checked += not extra
        for n in range(6):
            loud[n] = max(party.history[tick][n], loud[n] - 0.1, -127.0)
            stay[n] = 0 if n not in chosen else max(0, stay[n] - 1) if n in heard else 15
        heard = chosen
    assert checked > 100


def test_who_comes_and_who_goes_makes_no_click(stage: Stage) -> None:
    party = Party(stage, 3, 2)
    party.levels = [-26.0, -26.0, -26.0]
    sounds = [party.talk(60)]
    for louder in (1, 2, 1, 2):
        party.levels = [-16.0 if n == louder else -26.0 for n in range(3)]
        sounds.append(party.talk(60))
    assert {0, 1} in party.chosen
    assert {0, 2} in party.chosen
    steps = np.abs(np.diff(np.concatenate(sounds).astype(int)))
    loudest = 32768 * 10 ** (-16 / 20) * 1.3
    assert steps.max() < 1.5 * 3 * loudest * 2 * np.pi * max(TONES[:3]) / 48000


def test_of_whom_no_level_is_known_it_is_found_out(stage: Stage) -> None:
    party = Party(stage, 8, 2, told=False)

    def talk(ticks: int, gains: list[float]) -> None:
        for tick in range(ticks):
            for leg, gain in zip(party.legs, gains, strict=True):
                stage.peers[leg].say((SPEECH[tick % 100] * gain).astype(np.int16), stage.address)
            stage.tick()

    talk(60, [0.0] * 5 + [0.9, 0.0, 0.0])
    talk(150, [0.3] * 8)
    before = stage.plane.plane_stats()["decodes"]
    talk(300, [0.05] * 5 + [0.9, 0.05, 0.8])
    assert [stage.plane.stats(leg)["heard"] for leg in party.legs] == [False] * 5 + [True, False, True]
    # Two that are mixed and three that are measured, who are woken with three packets each.
    assert stage.plane.plane_stats()["decodes"] - before < 300 * 6.5


def test_what_is_no_mixer_or_no_number_is_refused(stage: Stage) -> None:
    leg, _ = stage.peer()
    mixer = stage.plane.add_mixer()
    with pytest.raises(ValueError, match="not a mixer"):
        stage.plane.set_loudest(leg, 3)
    for count in (-1, 65):
        with pytest.raises(ValueError, match="speakers"):
            stage.plane.set_loudest(mixer, count)


@pytest.mark.parametrize("told", [True, False])
def test_who_is_not_among_the_loudest_has_not_stopped_speaking(stage: Stage, told: bool) -> None:
    party = Party(stage, 12, 3, told)
    for turn in range(8):
        party.levels = [-20.0 - 6 * ((n + turn) % 3) for n in range(12)]
        for _ in range(25):
            for n, leg in enumerate(party.legs):
                frame = (SPEECH[(stage.ticks + 17 * n) % 100] * 10 ** ((party.levels[n] + 20) / 20)).astype(np.int16)
                extension = {"level_extension": LEVEL, "level": int(-party.levels[n]), "voice": True}
                stage.peers[leg].say(frame, stage.address, **(extension if told else {}))
            stage.tick()
    stopped = [event for event in stage.events if event[0] == "speaking" and not event[2]]
    assert stopped == []
    assert len([event for event in stage.events if event[0] == "speaking"]) == 12
    stage.tick(100)
    stopped = [event for event in stage.events if event[0] == "speaking" and not event[2]]
    assert sorted(event[1] for event in stopped) == party.legs
