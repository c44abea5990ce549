"""Speech from espeak-ng, which runs as a process of its own: it is GPL, and has one state per process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import av
import numpy as np

from focus.engines.synthesizer import SAMPLE_RATE, EngineMissing, Samples, SynthesisError, UnknownVoice

PROGRAM = "espeak-ng"
#: What it speaks where it is not told.
LANGUAGE = "en"
T = TypeVar("T")

#: Processes that begin to speak at the same time: others wait until these have.
BEGINNING = 8
#: Although it plays nothing, espeak-ng connects with PulseAudio whenever it starts: it waits for a server that does not
#: answer, may start one, and makes folders in the home of whoever runs it. So it is told of one that is not there.
SOUNDLESS = {"PULSE_SERVER": "unix:/dev/null"}
MAX_TEXT = 100_000
#: Bytes of speech that are taken at once where they are there: 0.28 s.
BLOCK = 12_288

_LANGUAGE = re.compile(r"[A-Za-z]{1,8}([-_][A-Za-z0-9]{1,8})*")
_VOICE_LINE = re.compile(
    r"\s*(?P<priority>\d+)\s+(?P<language>\S+)\s+\S+/(?P<gender>\S)\s+(?P<name>\S+)\s+(?P<file>.+?)\s*"
    r"(?P<others>(\(\S+ \d+\)\s*)*)$"
)
_OTHER_LANGUAGE = re.compile(r"\((?P<language>\S+) (?P<priority>\d+)\)")


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as espeak-ng lists it; of `languages`, each with a priority (the least is the best)."""

    name: str
    file: str
    gender: str
    languages: tuple[tuple[str, int], ...]


class Espeak:
    """The Synthesizer that uses espeak-ng.

    `timeout` is how long the process may be silent, in seconds: it speaks a minute of text in a tenth of a second.
    """

    def __init__(self, program: str = PROGRAM, *, timeout: float = 10.0) -> None:
        self._program = program
        self._timeout = timeout
        self._listing: asyncio.Task[tuple[Voice, ...]] | None = None
        self._variants: frozenset[str] = frozenset()
        self._room = asyncio.Semaphore(BEGINNING)

    async def voices(self) -> tuple[Voice, ...]:
        """The voices installed. Raises `SynthesisError` if espeak-ng is missing or does not say."""
        if self._listing is None:  # one for all who wait, whoever of them is cancelled
            self._listing = asyncio.create_task(self._list())
            self._listing.add_done_callback(self._listed)
        return await asyncio.shield(self._listing)

    async def _list(self) -> tuple[Voice, ...]:
        variants = _parse_voices(await self._output("--voices=variant"))
        self._variants = frozenset(voice.file.removeprefix("!v/").lower() for voice in variants)
        return tuple(_parse_voices(await self._output("--voices")))

    def _listed(self, listing: asyncio.Task[tuple[Voice, ...]]) -> None:
        """Who asks after it has failed asks again."""
        if listing.cancelled() or listing.exception() is not None:
            self._listing = None

    async def choose(self, voice: str | None, language: str | None) -> str:
        """What espeak-ng calls the voice: by name, file or language, with a `+variant` if there is one.

        Without a name, the best voice for `language`, or for the same language of another region. Raises
        `UnknownVoice`.
        """
        if voice:
            named, variant = await self._named(voice)
            return f"{named.file}{variant}"
        if not language:
            return ""
        if not _LANGUAGE.fullmatch(language):
            raise UnknownVoice(f"not a language tag: {language[:80]!r}")
        voices = await self.voices()
        subtags = language.lower().replace("_", "-").split("-")
        while subtags:
            if found := _best(voices, "-".join(subtags)):
                return found.file
            subtags.pop()
        raise UnknownVoice(f"no voice of espeak-ng speaks {language}")

    async def language(self, voice: str | None) -> str:
        return (await self._named(voice))[0].languages[0][0] if voice else LANGUAGE

    async def _named(self, voice: str) -> tuple[Voice, str]:
        """And its `+variant`, or ""."""
        voices = await self.voices()
        wanted, plus, variant = voice.partition("+")
        if plus and variant.lower() not in self._variants:
            raise UnknownVoice(f"espeak-ng has no variant {variant!r}")
        named = next((known for known in voices if _is_called(known, wanted)), None) or _best(voices, wanted)
        if named is None:
            raise UnknownVoice(f"espeak-ng has no voice {wanted!r}")
        return named, f"{plus}{variant}"

    async def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, markup: bool = False
    ) -> AsyncGenerator[Samples, None]:
        """See `Synthesizer.synthesize`. The process lives no longer than the iteration."""
        if len(text) > MAX_TEXT:
            raise SynthesisError(f"the text has {len(text)} characters, {MAX_TEXT} is the most")
        chosen = await self.choose(voice, language)
        arguments = [
            "--stdin",
            "--stdout",
            "-b",
            "1",
            *(("-m",) if markup else ()),
            *(("-v", chosen) if chosen else ()),
        ]
        async with self._beginning() as beginning, self._process(*arguments) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            feeding = asyncio.create_task(_feed(process.stdin, text))
            try:
                if rate := await self._read_header(process.stdout):
                    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
                    remainder = b""
                    while data := await self._in_time(process.stdout.read(BLOCK)):
                        data = remainder + data
                        whole = len(data) & ~1
                        remainder = data[whole:]
                        await beginning.aclose()
                        for block in _resample(resampler, _frame(data[:whole], rate)):
                            yield block
                    for block in _resample(resampler, None):
                        yield block
                await self._check_exit(process)
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)

    async def _read_header(self, stdout: asyncio.StreamReader) -> int:
        """The sample rate, the WAV header being read up to the first sample; 0 where nothing was said."""
        try:
            riff = await self._in_time(stdout.readexactly(12))
            if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
                raise SynthesisError("espeak-ng did not write WAV")
            rate = 0
            while True:
                name, length = struct.unpack("<4sI", await self._in_time(stdout.readexactly(8)))
                if name == b"data":
                    return rate
                body = await self._in_time(stdout.readexactly(min(length, BLOCK)))
                if name == b"fmt ":
                    encoding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
                    if (encoding, channels, bits) != (1, 1, 16):
                        raise SynthesisError("espeak-ng did not write 16 bit mono PCM")
        except asyncio.IncompleteReadError:
            return 0

    async def _check_exit(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        complaint = (await self._in_time(process.stderr.read(BLOCK))).decode(errors="replace").strip()
        if code := await self._in_time(process.wait()):
            raise SynthesisError(f"espeak-ng ended with {code}: {complaint or 'no explanation'}")

    async def _output(self, *arguments: str) -> str:
        async with self._process(*arguments) as process:
            output, complaint = await self._in_time(process.communicate(b""))
        if process.returncode:
            text = complaint.decode(errors="replace").strip()
            raise SynthesisError(f"espeak-ng {' '.join(arguments)} ended with {process.returncode}: {text}")
        return output.decode(errors="replace")

    @contextlib.asynccontextmanager
    async def _beginning(self) -> AsyncIterator[contextlib.AsyncExitStack]:
        """When there is room; it is others' once this is closed."""
        async with contextlib.AsyncExitStack() as beginning:
            await beginning.enter_async_context(self._room)
            yield beginning

    @contextlib.asynccontextmanager
    async def _process(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """espeak-ng, killed and reaped on the way out if it still runs."""
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *arguments,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
                env={**os.environ, **SOUNDLESS},
            )
        except FileNotFoundError:
            raise EngineMissing(f"{self._program} is not installed") from None
        except OSError as error:
            raise EngineMissing(f"{self._program} cannot be run: {error.strerror}") from None
        try:
            yield process
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # where it is a script, what it started as well
                # Reads what is left as well: a pipe that nobody reads to its end stays open.
                await asyncio.shield(process.communicate(b""))

    async def _in_time(self, awaitable: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(awaitable, self._timeout)
        except TimeoutError:
            raise SynthesisError(f"espeak-ng said nothing for {self._timeout:g} s") from None


async def _feed(stdin: asyncio.StreamWriter, text: str) -> None:
    with contextlib.suppress(ConnectionError):  # it ended early; its exit code says why
        stdin.write(text.encode())
        await stdin.drain()
    stdin.close()


def _frame(data: bytes, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.frombuffer(data, dtype="<i2").reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    return frame


def _resample(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[Samples]:
    for resampled in resampler.resample(frame):
        yield resampled.to_ndarray().reshape(-1).astype(np.int16, copy=False)


def _parse_voices(listing: str) -> list[Voice]:
    """The table that `espeak-ng --voices` prints; its first line is a heading."""
    voices = []
    for line in listing.splitlines()[1:]:
        if match := _VOICE_LINE.match(line):
            languages = [(match["language"], int(match["priority"]))]
            languages += [
                (other["language"], int(other["priority"])) for other in _OTHER_LANGUAGE.finditer(match["others"])
            ]
            voices.append(Voice(match["name"].replace("_", " "), match["file"], match["gender"], tuple(languages)))
    return voices


def _is_called(voice: Voice, wanted: str) -> bool:
    return wanted.lower().replace("_", " ") in (voice.name.lower(), voice.file.lower())


def _best(voices: tuple[Voice, ...], language: str) -> Voice | None:
    """The voice with the least priority number for exactly this language."""
    speaking = [
        (priority, voice)
        for voice in voices
        for spoken, priority in voice.languages
        if spoken.lower() == language.lower()
    ]
    return min(speaking, key=lambda entry: entry[0])[1] if speaking else None
