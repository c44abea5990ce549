"""A leg as a telephone line: what its peer says at 8 kHz, sample for sample, and what is said to it.

For what listens to samples and not to words, such as the modem of a fax machine. Between 48 kHz and 8 kHz is one
linear-phase low pass of 192 taps (Kaiser window, 60 dB, 3.5 to 4.5 kHz), 2 ms each way: a modem does not notice it,
while of what is interpolated straight from sample to sample it can make out nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

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


class Line:
    """Gives `device` what the peer of `leg` says, and sends the peer what that answers, as many samples each time.

    The device is called in a thread of its own, as quickly as the sound comes: time is what comes. What it says is
    heard `CUSHION` later.
    """

    def __init__(self, plane: MediaPlane, leg: int, device: Callable[[Samples], Samples]) -> None:
        """ValueError: `leg` is gone."""
        self._plane = plane
        self._leg = leg
        self._device = device
        self._tap: Tap = plane.tap(leg)
        self._over = threading.Event()

    async def run(self) -> None:
        """Until cancelled. Raises ValueError when the leg goes, and whatever the device raises."""
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
        narrow, widen = Narrowing(), Widening()
        self._plane.play(self._leg, np.zeros(int(CUSHION * SAMPLE_RATE), np.int16))
        while not self._over.wait(LOOK):
            heard = self._tap.read()
            said = widen(self._device(narrow(heard))) if len(heard) else heard
            self._plane.play(self._leg, said)  # also nothing: it tells whether the leg is there still
