"""A leg as a telephone line: what becomes of samples on their way, and how it ends."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from focus.media.leg import bitrate_for
from focus.media.line import (
    CUSHION,
    LINE_RATE,
    PAUSE,
    SLACK,
    UNIT,
    LegGone,
    Line,
    Narrowing,
    Punctuality,
    Samples,
    Widening,
)
from focus.media.plane import MediaPlane
from focus.wire import rtp
from mixer_ext import Plane

from .peers import Observer, until


def of_a_modem(seconds: float) -> Samples:
    """Noise where the tones of modems are."""
    count = int(seconds * LINE_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(7).normal(size=count))
    frequencies = np.fft.rfftfreq(count, 1 / LINE_RATE)
    spectrum[(frequencies < 300) | (frequencies > 3300)] = 0
    noise = np.fft.irfft(spectrum)
    return np.asarray(noise / np.abs(noise).max() * 20_000).astype(np.int16)


def test_what_a_modem_says_comes_through_both_changes_of_rate_with_no_more_than_60_db_of_noise() -> None:
    said = of_a_modem(4)
    widen, narrow = Widening(), Narrowing()
    pieces = np.split(said, range(160, len(said), 160))
    heard = np.concatenate([narrow(widen(piece)) for piece in pieces])
    assert len(heard) == len(said)
    delay = (192 - 2) // UNIT
    wrong = heard[delay:].astype(float) - said[:-delay]
    assert 10 * np.log10(np.mean(said.astype(float) ** 2) / np.mean(wrong**2)) > 60


def test_pieces_of_any_length_are_as_good_as_the_whole() -> None:
    said = of_a_modem(0.5)
    whole = Widening()(said)
    widen, narrow = Widening(), Narrowing()
    pieces = np.split(said, [1, 2, 50, 1000, 1001])
    assert np.array_equal(np.concatenate([widen(piece) for piece in pieces]), whole)
    parts = np.split(whole, [6, 960, 966, 9600])
    assert np.array_equal(np.concatenate([narrow(part) for part in parts]), Narrowing()(whole))


class Device:
    """Says what it is told, and remembers in which threads."""

    def __init__(self, said: Samples) -> None:
        self.left = said
        self.heard = 0
        self.threads: set[str] = set()
        self.fault: Exception | None = None

    def __call__(self, heard: Samples) -> Samples:
        self.threads.add(threading.current_thread().name)
        self.heard += len(heard)
        if self.fault is not None:
            raise self.fault
        said, self.left = self.left[: len(heard)], self.left[len(heard) :]
        return np.concatenate([said, np.zeros(len(heard) - len(said), np.int16)])


async def test_a_device_is_given_as_much_as_comes_and_what_it_says_is_said(plane: MediaPlane) -> None:
    leg = plane.create_leg(controlling=True, observer=Observer())
    device = Device(of_a_modem(0.5))
    running = asyncio.create_task(Line(plane, leg.node, device).run())
    await until(lambda: device.heard >= LINE_RATE)
    assert device.threads == {f"line {leg.node}"}
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    heard = device.heard
    assert not any(thread.name == f"line {leg.node}" for thread in threading.enumerate())
    assert device.heard == heard


async def test_a_line_ends_with_its_leg_and_with_its_device(plane: MediaPlane) -> None:
    legs = [plane.create_leg(controlling=True, observer=Observer()) for _ in range(2)]
    devices = [Device(of_a_modem(0.1)) for _ in legs]
    running = [
        asyncio.create_task(Line(plane, leg.node, device).run()) for leg, device in zip(legs, devices, strict=True)
    ]
    await until(lambda: all(device.heard > 0 for device in devices))
    await legs[0].close()
    with pytest.raises(LegGone, match="no such"):
        await running[0]
    devices[1].fault = RuntimeError("the device broke")
    with pytest.raises(RuntimeError, match="the device broke"):
        await running[1]


async def test_a_leg_that_is_no_more_is_no_line(plane: MediaPlane) -> None:
    leg = plane.create_leg(controlling=True, observer=Observer())
    plane.set_modem(leg.node, True)
    await leg.close()
    with pytest.raises(ValueError, match="no such"):
        Line(plane, leg.node, Device(of_a_modem(0.1)))
    with pytest.raises(ValueError, match="is no leg"):
        plane.set_modem(leg.node, True)


class Clocked:
    """A plane with one leg, whose time goes on when somebody listens, by so many samples of a line each time; and which
    is a tap of that leg. `gaps`: samples of the line for which there was nothing to play."""

    def __init__(self, pieces: list[int]) -> None:
        self._pieces = [UNIT * piece for piece in pieces]
        self.said: list[NDArray[np.int16]] = []
        self.waiting: list[int] = []
        self.pending = self.gaps = 0

    def tap(self, leg: int) -> Clocked:
        return self

    def close(self) -> None:
        pass

    def read(self) -> NDArray[np.int16]:
        passed = self._pieces.pop(0) if self._pieces else 0
        self.gaps += max(0, passed - self.pending) // UNIT
        self.pending = max(0, self.pending - passed)
        return np.zeros(passed, np.int16)

    def play(self, leg: int, samples: NDArray[np.int16]) -> int:
        if not self._pieces:
            raise ValueError("no such leg")
        self.said.append(samples)
        self.pending += len(samples)
        self.waiting.append(self.pending // UNIT)
        return len(samples)

    def play_pending(self, leg: int) -> int:
        return self.pending


async def test_a_line_that_had_no_time_loses_nothing_of_what_is_said_and_is_soon_as_quick_as_before() -> None:
    piece = LINE_RATE // 50
    signal = of_a_modem(3)
    quiet, stalled = np.zeros(2 * LINE_RATE, np.int16), 2 * LINE_RATE
    device = Device(np.concatenate([quiet, signal, quiet, signal]))
    plane = Clocked([piece] * 125 + [stalled] + [piece] * 300)
    line = Line(plane, 1, device)  # type: ignore[arg-type]
    with pytest.raises(LegGone):
        await line.run()
    assert line.gaps == 1
    assert plane.gaps == stalled - CUSHION * LINE_RATE
    assert device.heard == 425 * piece + stalled
    assert max(plane.waiting) >= stalled
    assert plane.waiting[-1] <= (CUSHION + SLACK) * LINE_RATE + piece
    said = np.concatenate(plane.said)
    loud = np.flatnonzero(np.abs(said.astype(int)) > 5)
    breaks = np.flatnonzero(np.diff(loud) > UNIT * LINE_RATE // 10)
    assert len(breaks) == 1
    first, second = loud[: breaks[0] + 1], loud[breaks[0] + 1 :]
    for part in (first, second):
        assert abs(len(part) / UNIT - len(signal)) < len(signal) / 5
        assert part[-1] - part[0] == pytest.approx(UNIT * len(signal), abs=UNIT * 100)
    assert PAUSE * LINE_RATE <= (second[0] - first[-1]) / UNIT < 1 * LINE_RATE


def test_pauses_are_left_as_they_are_and_so_is_everything_that_is_in_time() -> None:
    punctual, rest = Punctuality(), np.zeros(LINE_RATE // 10, np.int16)
    signal = of_a_modem(0.1)
    for said in (rest, signal, rest, signal, rest, rest):
        assert np.array_equal(punctual(said, LINE_RATE), said)
    assert len(punctual(rest, LINE_RATE)) < len(rest)
    assert len(punctual(rest, LINE_RATE)) == 0
    assert len(punctual(rest, 0)) == len(rest)
    assert len(punctual(np.concatenate([rest, signal]), LINE_RATE)) == len(signal)


class Settings:
    """The plane of a leg, and what it is told last of each setting."""

    def __init__(self, plane: Plane) -> None:
        self.last: dict[str, object] = {}
        self._plane = plane

    def __getattr__(self, name: str) -> object:
        method = getattr(self._plane, name)
        if not name.startswith("set_"):
            return method

        def told(leg: int, *arguments: object, **options: object) -> None:
            method(leg, *arguments, **options)
            self.last[name.removeprefix("set_")] = options or arguments[0]

        return told

    def are(self) -> dict[str, object]:
        """Volume and delay, and of the codec what a modem changes."""
        codec = self.last["codec"]
        assert isinstance(codec, dict)
        others = {name: value for name, value in self.last.items() if name != "codec"}
        return {name: codec[name] for name in ("bitrate", "fec", "dtx")} | others


async def test_what_is_set_for_people_is_not_there_for_a_modem_and_back_afterwards(plane: MediaPlane) -> None:
    leg = plane.create_leg(controlling=True, observer=Observer())
    settings = Settings(leg._plane)
    leg._plane = settings  # type: ignore[assignment]
    speech = rtp.PayloadType(
        id=111, name="opus", clockrate=48000, channels=2,
        parameters=tuple(rtp.Parameter(name=name, value="1") for name in ("useinbandfec", "usedtx")),
    )  # fmt: skip
    for_people = {"bitrate": 32000, "fec": True, "dtx": True, "agc": True, "gain": 2.0, "mute": True, "delay": None}
    for_a_modem = {"bitrate": 128_000, "fec": False, "dtx": False, "agc": False, "gain": 1, "mute": False, "delay": 200}

    leg.set_codec(speech, level_extension=None)
    leg.set_agc(True)
    leg.set_gain(2.0)
    leg.silence(True)
    leg.set_modem(False)
    assert settings.are() == for_people
    leg.set_modem(True)
    assert settings.are() == for_a_modem
    leg.set_codec(speech, level_extension=None)  # a description-info has come
    leg.set_agc(True)
    leg.set_gain(2.0)
    leg.silence(True)
    leg.set_mute(True)
    assert settings.are() == for_a_modem
    leg.set_modem(False)
    assert settings.are() == for_people
    leg.silence(False)
    leg.set_mute(False)
    assert settings.are() == for_people | {"mute": False}
    await leg.close()


def test_opus_is_given_room_for_a_modem_and_never_more_than_the_peer_wants() -> None:
    def opus(**parameters: int) -> rtp.PayloadType:
        given = tuple(rtp.Parameter(name=name, value=str(value)) for name, value in parameters.items())
        return rtp.PayloadType(id=111, name="opus", clockrate=48000, channels=2, parameters=given)

    assert bitrate_for(opus(), 128_000) == 128_000
    assert bitrate_for(opus(maxaveragebitrate=64_000), 128_000) == 64_000
    assert bitrate_for(opus()) == 32_000
