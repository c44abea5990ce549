"""Links: what is said in one plane is heard in another, exactly, and does not come back."""

import gc
import time
from collections.abc import Iterator

import numpy as np
import pytest

from mixer_ext import Plane
from tests.mixer_ext.levels import RAMP, LimiterOracle
from tests.mixer_ext.peers import FRAME, TICK, FakeClock, Samples, Stage, tone

PATIENCE = 60.0


class Planes:
    """Some planes on one clock, ticked one after another: who comes later hears the others without delay, and is heard
    a tick later.
    """

    def __init__(self, count: int) -> None:
        self.clock = FakeClock()
        self.each = [Plane([("127.0.0.1", 0)], clock=self.clock, first_id=1 + n, step=count) for n in range(count)]
        self.random = np.random.default_rng(5)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.ns += TICK
            for plane in self.each:
                plane.tick()

    def noise(self, frames: int, amplitude: int = 32767) -> Samples:
        return soft(self.random.integers(-amplitude, amplitude + 1, frames * FRAME).astype(np.int16))


@pytest.fixture
def two() -> Iterator[Planes]:
    planes = Planes(2)
    yield planes
    for plane in planes.each:
        plane.stop()


def soft(samples: Samples) -> Samples:
    """With nothing where a ramp would be when it is played."""
    samples[:RAMP] = samples[-1] = 0
    return samples


def limited(*parts: Samples) -> Samples:
    limiter = LimiterOracle()
    total = sum((part.astype(np.int64) for part in parts), np.zeros(len(parts[0]), np.int64))
    return np.concatenate([limiter.limit(frame) for frame in total.reshape(-1, FRAME)])


def later(samples: Samples, frames: int = 1) -> Samples:
    return np.concatenate([np.zeros(frames * FRAME, np.int16), samples[: len(samples) - frames * FRAME]])


def linked_mixers(planes: Planes) -> tuple[int, int, tuple[int, int]]:
    a, b = planes.each[0].add_mixer(), planes.each[1].add_mixer()
    ends = planes.each[0].link(planes.each[1])
    planes.each[0].join(a, ends[0])
    planes.each[1].join(b, ends[1])
    return a, b, ends


def test_ids_of_planes_that_are_used_together_differ(two: Planes) -> None:
    one, other = two.each
    assert [one.add_mixer() for _ in range(3)] == [1, 3, 5]
    assert [other.add_mixer() for _ in range(2)] == [2, 4]
    assert one.link(other) == (7, 6)
    assert one.tap(1) == 9


def test_each_side_hears_the_other_and_no_echo_of_itself(two: Planes) -> None:
    one, other = two.each
    a, b, _ = linked_mixers(two)
    here, there = two.noise(40, 9000), two.noise(40, 9000)
    one.play(a, here)
    other.play(b, there)
    taps = one.tap(a), other.tap(b)
    two.tick(40)
    assert np.array_equal(one.tap_read(taps[0]), limited(here, later(there)))
    assert np.array_equal(other.tap_read(taps[1]), limited(there, here))
    stats = one.plane_stats()
    assert (stats["mixers"], stats["links"], stats["link_underruns"], stats["link_overruns"]) == (1, 1, 0, 0)


def test_sums_cross_without_being_limited(two: Planes) -> None:
    """Two at full scale here, and one of them upside down there: the other is left, to the bit."""
    one, other = two.each
    a, b, _ = linked_mixers(two)
    second = one.add_mixer()
    one.join(second, a)
    loud, louder = two.noise(20), two.noise(20)
    one.play(a, loud)
    one.play(second, louder)
    other.play(b, -louder)
    tap = other.tap(b)
    two.tick(20)
    assert np.abs(loud.astype(int) + louder).max() > 50000
    assert np.array_equal(other.tap_read(tap), limited(loud))


def test_a_leg_hears_those_beyond_the_link_and_not_itself() -> None:
    stage = Stage()
    far = Plane([("127.0.0.1", 0)], clock=stage.clock)
    leg, peer = stage.peer()
    mixer, beyond = stage.plane.add_mixer(), far.add_mixer()
    here, there = stage.plane.link(far)
    stage.plane.join(leg, mixer)
    stage.plane.join(mixer, here)
    far.join(there, beyond)
    said, sent = stage.plane.tap(leg), stage.plane.tap(leg, direction="out")
    heard = far.tap(beyond)
    voice = soft(tone(660, 60, amplitude=5000))
    far.play(beyond, voice)
    for n in range(60):
        peer.say(tone(300, 1, n), stage.address)
        stage.tick()
        far.tick()
    of_leg = stage.plane.tap_read(said)
    assert np.abs(of_leg).max() > 4000
    assert np.array_equal(stage.plane.tap_read(sent), later(voice))
    assert np.array_equal(far.tap_read(heard), limited(voice, of_leg))
    far.stop()
    stage.close()


def test_sound_crosses_a_plane_between_two_others() -> None:
    planes = Planes(3)
    first, middle, last = planes.each
    mixers = [plane.add_mixer() for plane in planes.each]
    for n in range(2):
        here, there = planes.each[n].link(planes.each[n + 1])
        planes.each[n].join(mixers[n], here)
        planes.each[n + 1].join(mixers[n + 1], there)
    sounds = [planes.noise(30, 9000) for _ in planes.each]
    taps = [plane.tap(mixer) for plane, mixer in zip(planes.each, mixers, strict=True)]
    for plane, mixer, sound in zip(planes.each, mixers, sounds, strict=True):
        plane.play(mixer, sound)
    planes.tick(30)
    a, b, c = sounds
    assert np.array_equal(first.tap_read(taps[0]), limited(a, later(b), later(c, 2)))
    assert np.array_equal(middle.tap_read(taps[1]), limited(a, b, later(c)))
    assert np.array_equal(last.tap_read(taps[2]), limited(a, b, c))
    for plane in planes.each:
        plane.stop()


def test_a_join_that_would_close_a_loop_through_a_link_is_refused(two: Planes) -> None:
    one, other = two.each
    a, b, (here, _) = linked_mixers(two)
    again = one.link(other)
    one.join(a, again[0])
    with pytest.raises(ValueError, match="loop"):
        other.join(b, again[1])
    leg = one.add_leg("fragment", ssrc=1, csrc=2)
    one.join(leg, a)
    with pytest.raises(ValueError, match="loop"):
        one.join(leg, here)
    with pytest.raises(ValueError, match="itself"):
        one.link(one)
    one.remove_mixer(again[0])
    other.join(b, again[1])  # its other end is gone: there is no loop any more


def test_an_end_that_is_gone_is_silence(two: Planes) -> None:
    one, other = two.each
    a, b, (here, there) = linked_mixers(two)
    sound = two.noise(30, 9000)
    one.play(a, sound)
    tap = other.tap(b)
    two.tick(10)
    one.remove_mixer(here)
    two.tick(10)
    other.remove_mixer(there)
    two.tick(10)
    heard = other.tap_read(tap)
    assert np.array_equal(heard[: 10 * FRAME], sound[: 10 * FRAME])
    assert not heard[10 * FRAME + RAMP :].any()
    assert other.plane_stats()["links"] == 0


def test_a_frame_that_is_late_is_silence_and_nothing_is_lost(two: Planes) -> None:
    one, other = two.each
    a, b, _ = linked_mixers(two)
    sound = two.noise(30, 9000)
    one.play(a, sound)
    tap = other.tap(b)
    two.tick(10)
    other.tick()
    two.tick(10)
    heard = other.tap_read(tap)
    assert np.array_equal(heard[: 10 * FRAME], sound[: 10 * FRAME])
    assert not heard[10 * FRAME : 11 * FRAME].any()
    assert np.array_equal(heard[11 * FRAME :], sound[10 * FRAME : 20 * FRAME])
    assert other.plane_stats()["link_underruns"] == 1


def test_what_a_stall_has_put_between_is_taken_back(two: Planes) -> None:
    one, other = two.each
    a, b, _ = linked_mixers(two)
    sound = two.noise(200, 9000)
    one.play(a, sound)
    tap = other.tap(b)
    two.tick(10)
    for _ in range(5):
        one.tick()
    two.tick(150)
    heard = other.tap_read(tap)
    assert other.plane_stats()["link_overruns"] == 4
    assert np.array_equal(heard[: 10 * FRAME], sound[: 10 * FRAME])
    # Within two seconds but one of the five frames have been left out; the one may be needed.
    end = heard[-50 * FRAME :]
    assert np.array_equal(end, sound[(165 - 1 - 50) * FRAME : (165 - 1) * FRAME])


def test_a_plane_that_has_stopped_holds_up_nobody(two: Planes) -> None:
    one, other = two.each
    a, _, _ = linked_mixers(two)
    one.play(a, two.noise(100, 9000))
    other.stop()
    for _ in range(100):
        one.tick()
    assert one.plane_stats()["link_overruns"] == 100 - 16
    assert one.play_pending(a) == 0


def test_linked_planes_are_freed_in_any_order() -> None:
    for first in range(2):
        planes = Planes(2)
        linked_mixers(planes)
        planes.tick(3)
        kept = planes.each[1 - first]
        planes.each[first].stop()
        del planes.each[first]
        gc.collect()
        kept.tick()
        kept.stop()


def test_planes_with_threads_of_their_own_are_linked() -> None:
    """Each frame arrives whole and in its place; of those that are missing each is counted."""
    one, other = Plane([("127.0.0.1", 0)]), Plane([("127.0.0.1", 0)])
    a, b = one.add_mixer(), other.add_mixer()
    here, there = one.link(other)
    one.join(a, here)
    other.join(b, there)
    taps = one.tap(a), other.tap(b)
    one.start()
    other.start()
    sounds = [soft(np.random.default_rng(n).integers(1, 9000, 100 * FRAME).astype(np.int16)) for n in range(2)]
    one.play(a, sounds[0])
    other.play(b, sounds[1])
    until = time.monotonic() + PATIENCE
    while (one.play_pending(a) or other.play_pending(b)) and time.monotonic() < until:
        time.sleep(0.05)
    before = one.plane_stats()["ticks"], other.plane_stats()["ticks"]
    while min(one.plane_stats()["ticks"] - before[0], other.plane_stats()["ticks"] - before[1]) < 20:
        time.sleep(0.05)
    one.stop()
    other.stop()
    for plane, tap, own, far in ((one, taps[0], sounds[0], sounds[1]), (other, taps[1], sounds[1], sounds[0])):
        heard = plane.tap_read(tap).reshape(-1, FRAME)
        begins = next(n for n, frame in enumerate(heard) if (frame >= own[:FRAME]).all())
        crossed = heard.astype(int)
        crossed[begins : begins + 100] -= own.reshape(-1, FRAME)
        arrived = [frame for frame in crossed if frame.any()]
        sent = far.reshape(-1, FRAME).astype(int)
        places = [next(n for n, frame in enumerate(sent) if np.array_equal(frame, each)) for each in arrived]
        assert places == sorted(set(places))
        assert len(sent) - len(places) <= plane.plane_stats()["link_overruns"]
