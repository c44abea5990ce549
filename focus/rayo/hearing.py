"""What is said to an input: who recognizes it, and whether that is possible (XEP-0327 sections 6.5.4 and 7.19.4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Sequence

from focus.engines.endpointing import Endpointer, SpeechEnded, SpeechStarted
from focus.engines.grammar import Grammar
from focus.engines.listening import Heard, listen
from focus.engines.recognizer import NotRecognizable, RecognitionError, Recognizer, RecognizerMissing
from focus.engines.synthesizer import Samples
from focus.rayo.component import ComponentError, Facilities
from focus.wire.conditions import OptionNotSupported, ResourceConstraint
from focus.wire.rayo_input import Input


def chosen(facilities: Facilities, name: str | None) -> Recognizer | None:
    """The recognizer of that name, or the default one if there is any. Raises `OptionNotSupported`."""
    engines = facilities.recognizers
    if name is None:
        return next(iter(engines.values()), None)
    if name not in engines:
        raise OptionNotSupported(f"there is no recognizer {name!r} here; there is {', '.join(engines) or 'none'}")
    return engines[name]


class Listener:
    """Listens for one input, by `grammars` of words, as `command` wants it."""

    def __init__(self, recognizer: Recognizer, grammars: Sequence[Grammar], command: Input) -> None:
        """Raises `OptionNotSupported`."""
        self._recognizer = recognizer
        self._grammars = grammars
        self._language = command.language
        silence = command.max_silence
        try:
            self._endpointer = Endpointer(
                sensitivity=command.sensitivity, max_silence=silence / 1000 if silence >= 0 else None
            )
        except RecognizerMissing as error:
            raise OptionNotSupported(str(error)) from None

    async def check(self) -> None:
        """Raises `StanzaError` where such speech is not recognized."""
        try:
            await self._recognizer.check(self._grammars, language=self._language)
        except (NotRecognizable, RecognizerMissing) as error:
            raise OptionNotSupported(str(error)) from None
        except RecognitionError as error:
            raise ResourceConstraint(str(error)) from None

    async def listen(self, blocks: AsyncIterable[Samples]) -> AsyncGenerator[SpeechStarted | SpeechEnded | Heard, None]:
        """See `focus.engines.listening.listen`. Raises `ComponentError`."""
        try:
            async for event in listen(blocks, self._endpointer, self._recognizer, self._grammars):
                yield event
        except RecognitionError as error:
            raise ComponentError(str(error)) from None
