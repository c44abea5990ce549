"""Where speech begins and ends: what sounds like a voice, and is louder than what is always there.

Neither detector will do alone. WebRTC's takes much of a room's babble for a voice, and a gate on loudness takes
everything for one that is loud.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from focus.engines.recognizer import RecognizerMissing
from focus.engines.synthesizer import SAMPLE_RATE, Samples

#: 20 ms, one of three lengths that WebRTC's detector takes.
FRAME = SAMPLE_RATE // 50
FRAME_TIME = 0.02

#: How eager WebRTC's detector is to say that something is no voice, from 0 to 3.
MODE = 2

#: Speech has begun when so many of the last frames are speech: 80 ms, in which 20 ms may be anything.
ENOUGH = 4
LATELY = 5

#: What is kept of before and after speech, in frames: quiet consonants, which no detector hears.
MARGIN = 15

#: In seconds. Of somebody who does not stop, so much is listened to.
MAX_UTTERANCE = 20.0
LEAST_SILENCE = 0.1
DEFAULT_SILENCE = 0.4

#: Loudness in dB, 0 is full scale: silence, the loudest of what the first frame is taken to be noise, and by how much
#: a frame the idea of the noise moves up and down.
_SILENCE = -70.0
_NOISE = -40.0
_RISE, _RISE_IN_SPEECH, _FALL = 0.12, 0.02, 0.2


class SpeechStarted:
    """Somebody speaks."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Nobody speaks any more; `utterance` is what was said, with a little of what was before and after."""

    utterance: Samples


class Endpointer:
    """Finds utterances in blocks of samples of any length.

    `sensitivity` is from 0, only for who is loud, to 1, also for who hardly rises above the noise. Speech has ended
    after `max_silence` seconds without any, or when it has gone on for `limit` seconds; without a limit only the
    beginning of an utterance is kept.
    """

    def __init__(
        self, *, sensitivity: float = 0.5, max_silence: float | None = None, limit: float | None = MAX_UTTERANCE
    ) -> None:
        try:
            import webrtcvad
        except ImportError:
            raise RecognizerMissing("webrtcvad-wheels is not installed (focus-conference[speech])") from None
        if not 0 <= sensitivity <= 1:
            raise ValueError(f"sensitivity must be between 0 and 1, not {sensitivity}")
        self._detector = webrtcvad.Vad(MODE)
        self._margin = 15 - 12 * sensitivity
        self._least = -35 - 30 * sensitivity
        silence = DEFAULT_SILENCE if max_silence is None else max(max_silence, LEAST_SILENCE)
        self._patience = math.ceil(silence / FRAME_TIME)
        self._floor: float | None = None
        self._rest = np.zeros(0, np.int16)
        self._lately: deque[bool] = deque(maxlen=LATELY)
        self._before: deque[Samples] = deque(maxlen=MARGIN + LATELY)
        self._utterance: list[Samples] = []
        self._silent = 0
        self._most = limit

    @property
    def is_speech(self) -> bool:
        """Whether an utterance has begun and not ended."""
        return bool(self._utterance)

    def feed(self, block: Samples) -> Iterator[SpeechStarted | SpeechEnded]:
        """What more is known with these samples, int16 mono at 48 kHz."""
        samples = np.concatenate((self._rest, block))
        whole = len(samples) // FRAME * FRAME
        self._rest = samples[whole:]
        for frame in samples[:whole].reshape(-1, FRAME):
            if event := self._take(frame):
                yield event

    def end(self) -> SpeechEnded | None:
        """Nothing more comes: the utterance that has begun ends with it."""
        return self._ended() if self._utterance else None

    def _take(self, frame: Samples) -> SpeechStarted | SpeechEnded | None:
        is_speech = self._is_speech(frame)
        if self._utterance:
            if self._most is not None:
                self._utterance.append(frame)
            self._silent = 0 if is_speech else self._silent + 1
            is_long = self._most is not None and len(self._utterance) * FRAME_TIME >= self._most
            if self._silent >= self._patience or is_long:
                return self._ended()
            return None
        self._before.append(frame)
        self._lately.append(is_speech)
        if sum(self._lately) < ENOUGH:
            return None
        self._utterance = list(self._before)
        self._silent = 0
        return SpeechStarted()

    def _ended(self) -> SpeechEnded:
        after = max(0, self._silent - MARGIN) if self._most is not None else 0
        frames = self._utterance[: len(self._utterance) - after]
        self._utterance = []
        self._before.clear()
        self._lately.clear()
        return SpeechEnded(np.concatenate(frames))

    def _is_speech(self, frame: Samples) -> bool:
        level = max(_SILENCE, 10 * math.log10(max(1e-10, float(np.mean((frame / 32768.0) ** 2)))))
        if self._floor is None:
            self._floor = min(level, _NOISE)
        is_loud = level > max(self._floor + self._margin, self._least)
        is_voice = self._detector.is_speech(frame.tobytes(), SAMPLE_RATE)
        if level < self._floor:
            self._floor += _FALL * (level - self._floor)
        else:
            self._floor = min(level, self._floor + (_RISE_IN_SPEECH if is_voice else _RISE))
        return is_loud and is_voice
