"""A leg as a telephone line: what its peer says at 8 kHz, sample for sample, and what is said to it.

For what listens to samples and not to words, such as the modem of a fax machine. Between 48 kHz and 8 kHz is one
linear-phase low pass of 192 taps (Kaiser window, 60 dB, 3.5 to 4.5 kHz), 2 ms each way: a modem does not notice it,
while of what is interpolated straight from sample to sample it can make out nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from focus.media.leg import Tap
from focus.media.plane import MediaPlane
from focus.media.tones import SAMPLE_RATE

#: Samples per second of a telephone line, and ours for each of them.
LINE_RATE = 8000
UNIT = SAMPLE_RATE // LINE_RATE
#: Seconds of sound that wait in the plane, so that a busy processor is not heard: there must never be a gap.
CUSHION = 0.2
#: Seconds between two looks at what has come.
LOOK = 0.01
#: Seconds by which what is said may be later than that, before silence is left out of it; and so many seconds of each
#: silence are not: pauses between signals mean something, and those of T.30 have 75 ms.
SLACK, PAUSE = 0.06, 0.25

_TAPS = 192

Samples = NDArray[np.int16]


def _low_pass() -> NDArray[np.float64]:
    """Each of its phases has a gain of exactly one: a constant stays constant."""
    place = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(place / UNIT) * np.kaiser(_TAPS, 5.65)
    phases = taps.reshape(-1, UNIT)
    return np.asarray((phases / phases.sum(axis=0)).reshape(-1))


_LOW_PASS = _low_pass()


def _rounded(samples: NDArray[np.float64]) -> Samples:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


class Narrowing:
    """From 48 kHz to 8 kHz, piece by piece."""

    def __init__(self) -> None:
        self._past: NDArray[np.float64] = np.zeros(_TAPS - UNIT)

    def __call__(self, samples: Samples) -> Samples:
        """`samples`, a multiple of 6, as a sixth as many."""
        known: NDArray[np.float64] = np.concatenate((self._past, samples))
        self._past = known[len(samples) :]
        return _rounded(sliding_window_view(known, _TAPS)[::UNIT] @ _LOW_PASS[::-1] / UNIT)


class Widening:
    """From 8 kHz to 48 kHz, piece by piece."""

    _PHASES = _LOW_PASS.reshape(-1, UNIT)[::-1]

    def __init__(self) -> None:
        self._past: NDArray[np.float64] = np.zeros(len(self._PHASES) - 1)

    def __call__(self, samples: Samples) -> Samples:
        """`samples` as six times as many."""
        known: NDArray[np.float64] = np.concatenate((self._past, samples))
        self._past = known[len(samples) :]
        return _rounded((sliding_window_view(known, len(self._PHASES)) @ self._PHASES).reshape(-1))


class LegGone(ValueError):
    """The leg of a line is no more."""


class Punctuality:
    """Has what a device says, at `LINE_RATE`, heard as soon as can be, where it has been late for once."""

    def __init__(self) -> None:
        self._silent = 0  # samples, until now

    def __call__(self, said: Samples, late: int) -> Samples:
        """`said`, of which as much silence is left out as it would be heard too late by `late` samples, or less."""
        kept, piece = [], LINE_RATE // 50
        for start in range(0, len(said), piece):
            part = said[start : start + piece]
            self._silent = 0 if part.any() else self._silent + len(part)
            if late >= len(part) and self._silent > PAUSE * LINE_RATE:
                late -= len(part)
            else:
                kept.append(part)
        return np.concatenate(kept) if kept else said[:0]


class Line:
    """Gives `device` what the peer of `leg` says, and sends the peer what that answers, as many samples each time.

    The device is called in a thread of its own, as quickly as the sound comes: time is what comes. What it says is
    heard `CUSHION` later. Where that has not lasted, as the thread or the device had no time, all of what came
    meanwhile is given to the device still, and what it says is heard later, until it is silent for long enough to
    make up for it: T.30 waits for 3 s for an answer, and each such time would take of them for good. `gaps` is how
    often that was.
    """

    def __init__(self, plane: MediaPlane, leg: int, device: Callable[[Samples], Samples]) -> None:
        """ValueError: `leg` is gone."""
        self._plane = plane
        self._leg = leg
        self._device = device
        self._tap: Tap = plane.tap(leg)
        self._over = threading.Event()
        self.gaps = 0

    async def run(self) -> None:
        """Until cancelled. Raises `LegGone` when the leg goes, and whatever the device raises."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Exception | None] = loop.create_future()

        def clock() -> None:
            error: Exception | None = None
            try:
                self._clock()
            except Exception as caught:
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set_result, error)

        thread = threading.Thread(target=clock, name=f"line {self._leg}", daemon=True)
        thread.start()
        try:
            if error := await asyncio.shield(ended):
                raise error
        finally:
            self._over.set()
            await asyncio.wait((ended,))
            thread.join()  # that was its last word
            self._tap.close()

    def _clock(self) -> None:
        narrow, widen, punctual = Narrowing(), Widening(), Punctuality()
        self._play(np.zeros(int(CUSHION * SAMPLE_RATE), np.int16))
        while not self._over.wait(LOOK):
            heard = self._tap.read()
            said = self._device(narrow(heard)) if len(heard) else heard
            waiting = self._waiting()
            self.gaps += len(said) > 0 and not waiting
            in_time = punctual(said, waiting + len(said) - int((CUSHION + SLACK) * LINE_RATE))
            self._play(widen(in_time) if len(in_time) else in_time)

    def _waiting(self) -> int:
        """Samples that are to be played still."""
        with _leg():
            return self._plane.play_pending(self._leg) // UNIT

    def _play(self, samples: Samples) -> None:
        """Also nothing: it tells whether the leg is there still."""
        with _leg():
            self._plane.play(self._leg, samples)


@contextlib.contextmanager
def _leg() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise LegGone(str(error)) from None
