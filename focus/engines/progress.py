"""Tones that tell how a call gets on, and the beeps of answering machines: heard by their pitch and their rhythm.

ITU-T E.180 leaves the tones to each country, within bounds: one of 400 to 450 Hz in most, two together in North America
(440 with 480 Hz, 480 with 620 Hz) and Great Britain (400 with 450 Hz). So they are told apart by their rhythm, which
supplement 2 of E.180 lists, whichever of these pitches they have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from focus.engines.moments import HOP_TIME, PURE, SILENT, Moment
from focus.engines.signals import Detector, Heard, Sound

#: What is softer than the tone before it by so many dB is the pause after it.
PAUSE = 12.0
#: Windows that may be anything, where a tone begins or ends.
UNCLEAR = 3

#: Seconds of tone and pause by turns, from and to; the last one may still go on.
Rhythm = Sequence[tuple[float, float]]
_ANY = math.inf

RING: tuple[Rhythm, ...] = (
    ((0.7, 2.4), (1.8, _ANY)),
    ((0.33, 0.47), (0.13, 0.27), (0.33, 0.47), (1.4, _ANY)),  # Great Britain, Australia
)
BUSY: tuple[Rhythm, ...] = (((0.32, 0.65),) * 4,)
CONGESTION: tuple[Rhythm, ...] = (
    ((0.16, 0.31),) * 4,
    ((0.34, 0.46), (0.29, 0.41), (0.17, 0.28), (0.46, _ANY)),  # Great Britain
)
OFF_HOOK: tuple[Rhythm, ...] = (((0.05, 0.15),) * 6,)

#: Hz, from and to, of the three tones before an announcement (E.180 section 7), and for how many seconds.
SIT = ((890.0, 1010.0), (1340.0, 1460.0), (1740.0, 1840.0))
SIT_SECONDS = (0.2, 0.45)

#: Hz of beeps: below are ringing and busy tones. Seconds: what is longer is not there to be answered.
BEEP = (500.0, 2700.0)
BEEP_SECONDS = (0.25, 2.5)
#: Seconds of no tone before and after a beep.
ALONE = 0.08
#: Pitch in Hz and seconds, from and to, of what is none: the calling tones of fax machines and modems.
CALLING = (((1060.0, 1140.0), (0.4, 0.6)), ((1280.0, 1320.0), (0.45, 0.75)))
#: Hz by which a steady tone may change from one window to the next, and the windows of the shortest.
STEADY = 25.0
LEAST = 3


class Rhythmic:
    """A tone that comes and goes in one of `rhythms`; told once, as long as it goes on. `share` says which part of a
    moment is that tone."""

    def __init__(self, name: str, share: Callable[[Moment], float], rhythms: tuple[Rhythm, ...]) -> None:
        self._name = name
        self._share = share
        self._rhythms = rhythms
        pauses = [part for rhythm in rhythms for part in rhythm[1::2]]
        self._patience = max(8.0 if most == _ANY else 2 * most for _, most in pauses)
        self._most = max(map(len, rhythms))
        self._forget()

    def _forget(self) -> None:
        self._parts: list[float] = []  # how long in seconds, tone and pause by turns, from a tone on
        self._is_on = False
        self._level = -_ANY
        self._unclear = 0
        self._is_told = False

    def feed(self, sound: Sound) -> Iterator[Heard]:
        for moment in sound.moments:
            self._take(moment)
            if not self._is_told and any(map(self._fits, self._rhythms)):
                self._is_told = True
                yield Heard(self._name, sum(self._parts))

    def _take(self, moment: Moment) -> None:
        is_on = moment.level > SILENT and self._share(moment) >= PURE and moment.level > self._level - PAUSE
        is_off = moment.level <= max(SILENT, self._level - PAUSE)
        if not (is_on or is_off):
            self._unclear += 1
            if self._unclear > UNCLEAR:
                self._forget()
            elif self._parts:
                self._parts[-1] += HOP_TIME
            return
        self._unclear = 0
        if is_on:
            self._level = moment.level
        if is_on is self._is_on:
            if self._parts:
                self._parts[-1] += HOP_TIME
        else:
            self._is_on = is_on
            self._parts.append(HOP_TIME)
            if len(self._parts) > self._most + 1:
                del self._parts[:2]
        if self._parts and not is_on and self._parts[-1] > self._patience:
            self._forget()

    def _fits(self, rhythm: Rhythm) -> bool:
        lately = self._parts[-len(rhythm) :]
        begins_on = (len(rhythm) % 2 == 1) is self._is_on
        return (
            begins_on
            and len(lately) == len(rhythm)
            and all(least <= part <= most for part, (least, most) in zip(lately, rhythm, strict=True))
        )


@dataclass(frozen=True, slots=True)
class Tone:
    """A steady tone that is over: its pitch, for how long it was heard, and for how long none had been heard before."""

    pitch: float
    seconds: float
    after: float


class Tones:
    """Finds single tones of three windows and more, one after another."""

    def __init__(self) -> None:
        self._pitches: list[float] = []
        self._level = 0.0
        self._missing = 0
        self._after = self.silence = _ANY

    @property
    def seconds(self) -> float:
        """For how long there has been one."""
        return len(self._pitches) * HOP_TIME

    def take(self, moment: Moment) -> Tone | None:
        """The tone that is over with this moment, if one is."""
        is_tone = moment.level > SILENT and moment.alone >= PURE
        if not self._pitches:
            if is_tone:
                self._begin(moment)
            else:
                self.silence += HOP_TIME
            return None
        if is_tone and self._goes_on(moment):
            self._pitches.append(moment.pitch)
            self._level = max(self._level, moment.level)
            self._missing = 0
            return None
        self._missing += 1
        if not is_tone and self._missing < 2:
            return None  # a packet may be lost
        tone = Tone(sorted(self._pitches)[len(self._pitches) // 2], self.seconds, self._after)
        is_none = len(self._pitches) < LEAST
        self.silence = self._missing * HOP_TIME + (self._after + self.seconds if is_none else 0)
        self._pitches = []
        if is_tone:
            self._begin(moment)
        return None if is_none else tone

    def _begin(self, moment: Moment) -> None:
        self._pitches, self._level, self._missing, self._after = [moment.pitch], moment.level, 0, self.silence

    def _goes_on(self, moment: Moment) -> bool:
        return abs(moment.pitch - self._pitches[-1]) < STEADY and moment.level > self._level - PAUSE


class Beeps:
    """Single tones of `least` seconds and more, each when it is certain that it was all."""

    def __init__(self, *, least: float = BEEP_SECONDS[0]) -> None:
        self._least = least
        self._tones = Tones()
        self._last: Tone | None = None

    def feed(self, sound: Sound) -> Iterator[Heard]:
        for moment in sound.moments:
            tone = self._tones.take(moment)
            if tone is not None:
                self._last = tone if self._is_beep(tone) else None
            elif self._last is not None and self._tones.seconds >= LEAST * HOP_TIME:
                self._last = None  # another one follows
            elif self._last is not None and not self._tones.seconds and self._tones.silence >= ALONE:
                beep, self._last = self._last, None
                yield Heard("beep", beep.seconds, str(round(beep.pitch)))

    def _is_beep(self, tone: Tone) -> bool:
        is_calling = any(_within(tone.pitch, pitch) and _within(tone.seconds, time) for pitch, time in CALLING)
        is_long_enough = self._least <= tone.seconds <= BEEP_SECONDS[1]
        return is_long_enough and _within(tone.pitch, BEEP) and tone.after >= ALONE and not is_calling


class SpecialInformation:
    """The three tones that announce why a call has come to nothing."""

    def __init__(self) -> None:
        self._tones = Tones()
        self._heard: list[Tone] = []

    def feed(self, sound: Sound) -> Iterator[Heard]:
        for moment in sound.moments:
            tone = self._tones.take(moment)
            if tone is None:
                continue
            if self._heard and tone.after > ALONE:
                self._heard.clear()
            if not (_within(tone.seconds, SIT_SECONDS) and _within(tone.pitch, SIT[len(self._heard)])):
                self._heard.clear()
                continue
            self._heard.append(tone)
            if len(self._heard) == len(SIT):
                yield Heard("sit", sum(each.seconds for each in self._heard))
                self._heard.clear()


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def ring() -> Detector:
    return Rhythmic("ring", lambda moment: moment.low, RING)


def busy() -> Detector:
    return Rhythmic("busy", lambda moment: max(moment.low, moment.pair), BUSY)


def congestion() -> Detector:
    return Rhythmic("congestion", lambda moment: max(moment.low, moment.pair), CONGESTION)


def off_hook() -> Detector:
    """A telephone that was left off the hook, as North America's exchanges tell it: four tones, ten times a second."""
    return Rhythmic("offhook", lambda moment: moment.howl, OFF_HOOK)
