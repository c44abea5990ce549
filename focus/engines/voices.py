"""Whether there is a voice, and by how long it speaks whether that is somebody or a machine.

Who is called says a word or two and waits; an answering machine goes on. That is a guess, and no better one is to be
had from sound alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from focus.engines.endpointing import FRAME, FRAME_TIME, Endpointer
from focus.engines.moments import SILENT
from focus.engines.recognizer import RecognizerMissing
from focus.engines.signals import DetectorMissing, Heard, Sound

#: Seconds. What is shorter is no speech; what is longer is a machine's; so much silence ends it.
LEAST, MOST, SILENCE = 0.2, 4.0, 0.8
#: What is softer than the loudest moment of an utterance by so many dB is a pause in it.
LOUD = 6.0


class _Listening:
    """Follows one utterance after another. What is a tone for the most part is none: speech detectors take it for one.

    `volume` from 0 to 1 is how loud it must be. Raises `DetectorMissing`.
    """

    def __init__(self, *, least: float = LEAST, volume: float = 0.5, silence: float = SILENCE) -> None:
        try:
            self._endpointer = Endpointer(sensitivity=1 - volume, max_silence=silence, limit=None)
        except RecognizerMissing as error:
            raise DetectorMissing(str(error)) from None
        self._least = least
        self._silence = silence
        self._forget()

    def _forget(self) -> None:
        """Another utterance has begun."""
        self._is_told = False
        self._seconds = 4 * FRAME_TIME  # by which it is known
        self._loudest = SILENT
        self._moments = self._tones = 0

    def feed(self, sound: Sound) -> Iterator[Heard]:
        moments, was_speech = sound.moments, self._endpointer.is_speech
        for start in range(0, len(sound.wide), FRAME):
            for _ in self._endpointer.feed(sound.wide[start : start + FRAME]):
                if self._endpointer.is_speech:
                    self._forget()
                elif not self._is_told:
                    yield from self._over()
            if self._endpointer.is_speech:
                self._seconds += FRAME_TIME
        if was_speech or self._endpointer.is_speech:
            self._loudest = max([self._loudest, *(moment.level for moment in moments)])
            loud = [moment for moment in moments if moment.level > self._loudest - LOUD]
            self._moments += len(loud)
            self._tones += sum(moment.is_tone for moment in loud)
        if self._endpointer.is_speech and not self._is_told and not self._is_tone:
            for heard in self._going_on():
                self._is_told = True
                yield heard

    @property
    def _is_tone(self) -> bool:
        return 4 * self._tones >= 3 * self._moments

    @abstractmethod
    def _going_on(self) -> Iterator[Heard]:
        """What it is that goes on, once that is certain."""

    def _over(self) -> Iterator[Heard]:
        """What it was that is over, and had not been told."""
        yield from ()


class VoiceActivity(_Listening):
    """Each utterance, as soon as it is long enough."""

    def _going_on(self) -> Iterator[Heard]:
        if self._seconds >= self._least:
            yield Heard("vad", self._seconds)


class Speaker(_Listening):
    """Each utterance as a person's or a machine's. One of `most` seconds is a machine's, which is told then; a shorter
    one is told when it is over: a person's up to `person` seconds, else nobody can be sure."""

    def __init__(
        self,
        *,
        least: float = LEAST,
        volume: float = 0.5,
        silence: float = SILENCE,
        most: float = MOST,
        person: float | None = None,
    ) -> None:
        super().__init__(least=least, volume=volume, silence=silence)
        self._most = most
        self._person = most / 2 if person is None else person

    def _going_on(self) -> Iterator[Heard]:
        if self._seconds >= max(self._most, self._least):
            yield Heard("speech", self._seconds, "machine")

    def _over(self) -> Iterator[Heard]:
        seconds = self._seconds - self._silence
        if seconds >= self._least and not self._is_tone:
            yield Heard("speech", seconds, "human" if seconds <= self._person else "notsure")
