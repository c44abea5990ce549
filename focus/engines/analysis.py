"""A detector for each signal of XEP-0341 but keys, and what its parameters mean (section 4.1: these are ours)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from focus.engines import progress, voices
from focus.engines.signals import Detector
from focus.engines.spandsp.tones import ConnectTones


class UnknownParameter(Exception):
    """The signal has no such parameter; the message says which it has."""


def _seconds(least: int, most: int) -> Callable[[str], float]:
    """Of milliseconds, from and to."""

    def read(value: str) -> float:
        if not (value.isascii() and value.isdigit() and len(value) < 9 and least <= int(value) <= most):
            raise ValueError(f"milliseconds from {least} to {most} are needed, not {value[:20]!r}")
        return int(value) / 1000

    return read


def _volume(value: str) -> float:
    if not (value.isascii() and value.isdigit() and len(value) < 4 and int(value) <= 100):
        raise ValueError(f"a number from 0 to 100 is needed, not {value[:20]!r}")
    return int(value) / 100


Parameters = dict[str, tuple[str, Callable[[str], float]]]
_VOICE: Parameters = {
    "minSpeechDuration": ("least", _seconds(100, 15_000)),
    "minVolume": ("volume", _volume),
    "finalSilence": ("silence", _seconds(100, 10_000)),
}
_SPEAKER: Parameters = {"maxTime": ("most", _seconds(500, 15_000)), "humanTime": ("person", _seconds(200, 15_000))}

_DETECTORS: dict[str, tuple[Callable[..., Detector], Parameters]] = {
    "beep": (progress.Beeps, {"minDuration": ("least", _seconds(150, 2_000))}),
    "vad": (voices.VoiceActivity, _VOICE),
    "speech": (voices.Speaker, _VOICE | _SPEAKER),
    "fax-ced": (partial(ConnectTones, "fax-ced"), {}),
    "fax-cng": (partial(ConnectTones, "fax-cng"), {}),
    "ring": (progress.ring, {}),
    "busy": (progress.busy, {}),
    "congestion": (progress.congestion, {}),
    "sit": (progress.SpecialInformation, {}),
    "modem": (partial(ConnectTones, "modem"), {}),
    "offhook": (progress.off_hook, {}),
}
SIGNALS = frozenset(_DETECTORS)


def detector(name: str, parameters: Mapping[str, str]) -> Detector:
    """Listens for the signal `name`, one of `SIGNALS`.

    Raises `UnknownParameter`, ValueError for one that cannot be, and `DetectorMissing`.
    """
    make, known = _DETECTORS[name]
    options = {}
    for parameter, value in parameters.items():
        if parameter not in known:
            there = ", ".join(("terminate", *known))
            raise UnknownParameter(f"{name} has no parameter {parameter[:40]!r}, but {there}")
        option, read = known[parameter]
        try:
            options[option] = read(value)
        except ValueError as error:
            raise ValueError(f"{parameter} of {name}: {error}") from None
    return make(**options)
