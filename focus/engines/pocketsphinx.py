"""English recognized by pocketsphinx, which works in a process of its own (`focus.engines.decoding`).

It finds words of the grammar in whatever it hears. So how sure it is comes from a comparison: by how much the grammar's
words fit the sound better than the phones that fit it best (`decoding.Decoding.decode`). What fits too badly is nothing
that was in the grammar, and not a hypothesis at all. docs/grammars.md has what was measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import av
import numpy as np

from focus.engines import decoding
from focus.engines.grammar import Grammar, Mode
from focus.engines.grammar.network import NoNetwork, network
from focus.engines.recognizer import Hypothesis, NotRecognizable, RecognitionError, RecognizerMissing
from focus.engines.synthesizer import SAMPLE_RATE, Samples

LANGUAGES = frozenset({"en", "en-us", "eng", "eng-us"})

#: Where a fit is as likely right as wrong, and how fast it becomes surer from there.
EVEN = -0.4
STEEP = 4.0

#: With less confidence there is no hypothesis.
LEAST = 0.1

_MAX_LINE = 1 << 20
#: Words of which is remembered that they are in the dictionary: who asks for them again need not wait for a process.
_MAX_KNOWN = 20_000


class Pocketsphinx:
    """The Recognizer that uses pocketsphinx, in so many `processes` at most.

    Each is started when it is needed first, and again when it has failed; what comes when all are at work waits.
    `timeout` is what an utterance may take, in seconds, all told.
    """

    def __init__(self, *, processes: int = 1, timeout: float = 20.0) -> None:
        self._timeout = timeout
        self._known: set[str] = set()
        self._decoders = [_Decoder() for _ in range(processes)]
        self._idle: asyncio.LifoQueue[_Decoder] = asyncio.LifoQueue()
        for decoder in self._decoders:
            self._idle.put_nowait(decoder)

    async def check(self, grammars: Sequence[Grammar], *, language: str | None = None) -> None:
        """See `Recognizer.check`. It knows US English, the words of its dictionary, and digits."""
        for grammar in grammars:
            if grammar.mode is not Mode.VOICE:
                raise NotRecognizable("a grammar of keys cannot be recognized in speech")
            spoken = grammar.language or language or "en-US"
            if spoken.lower().replace("_", "-") not in LANGUAGES:
                raise NotRecognizable(f"pocketsphinx recognizes en-US, not {spoken[:40]!r}")
        try:
            words = (await asyncio.to_thread(network, grammars)).words
        except NoNetwork as error:
            raise NotRecognizable(str(error)) from None
        asked = sorted(words - self._known)
        unknown = (await self._ask({"words": asked}))["unknown"] if asked else []
        if len(self._known) < _MAX_KNOWN:
            self._known.update(words.difference(unknown))
        if unknown:
            shown = ", ".join(repr(word[:40]) for word in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
            raise NotRecognizable(f"pocketsphinx does not know how these words sound: {shown}")

    async def recognize(self, utterance: Samples, grammars: Sequence[Grammar]) -> Hypothesis | None:
        """See `Recognizer.recognize`."""
        if not len(utterance):
            return None
        question, samples = await asyncio.to_thread(_question, utterance, grammars)
        answer = await self._ask(question, samples)
        if answer["words"] is None:
            return None
        confidence = _confidence(answer["fit"])
        return Hypothesis(tuple(answer["words"]), confidence) if confidence >= LEAST else None

    async def close(self) -> None:
        """End the processes, each when it has answered."""
        for _ in self._decoders:
            await (await self._idle.get()).end()
        for decoder in self._decoders:
            self._idle.put_nowait(decoder)

    async def _ask(self, question: dict[str, Any], samples: bytes = b"") -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeout):
                decoder = await self._idle.get()
                try:
                    answer = await decoder.answer(question, samples)
                except BaseException:
                    await decoder.end()  # else the next question would get this one's answer
                    raise
                finally:
                    self._idle.put_nowait(decoder)
        except TimeoutError:
            raise RecognitionError(f"pocketsphinx did not answer in {self._timeout:g} s") from None
        if "error" in answer:
            raise RecognitionError(f"pocketsphinx: {answer['error']}")
        return answer


class _Decoder:
    """One process, when it is needed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def answer(self, question: dict[str, Any], samples: bytes) -> dict[str, Any]:
        """Raises `RecognitionError`."""
        if self._process is None or self._process.returncode is not None:
            self._process = await _start()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(ConnectionError):  # it has ended: there is no answer
            stdin.write(json.dumps(question).encode() + b"\n" + samples)
            await stdin.drain()
        line = await stdout.readline()
        if not line.endswith(b"\n"):
            raise RecognitionError("the process of pocketsphinx has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # Reads what is left as well: a pipe that nobody reads to its end stays open.
            await asyncio.shield(process.communicate())


async def _start() -> asyncio.subprocess.Process:
    if importlib.util.find_spec("pocketsphinx") is None:
        raise RecognizerMissing("pocketsphinx is not installed (focus-conference[speech])")
    pipe = asyncio.subprocess.PIPE
    # In the same environment as this one, and from the same place.
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", decoding.__name__, stdin=pipe, stdout=pipe, limit=_MAX_LINE, start_new_session=True
    )


def _question(utterance: Samples, grammars: Sequence[Grammar]) -> tuple[dict[str, Any], bytes]:
    samples = _resampled(utterance).tobytes()
    return {"transitions": network(grammars).transitions, "length": len(samples)}, samples


def _resampled(samples: Samples) -> Samples:
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    resampler = av.AudioResampler(format="s16", layout="mono", rate=decoding.SAMPLE_RATE)
    parts = [part.to_ndarray().reshape(-1) for given in (frame, None) for part in resampler.resample(given)]
    return np.concatenate(parts).astype(np.int16, copy=False)


def _confidence(fit: float) -> float:
    return 1 / (1 + math.exp(-STEEP * max(-100.0, fit - EVEN)))
