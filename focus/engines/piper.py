"""Speech from piper, which runs as processes of its own: it is GPL, and takes seconds to load a voice.

A process is given a sentence at a time and writes a file for each, so that it can be used for the next one, whoever
wants that. It ends when nobody has wanted anything of it for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import signal
import tempfile
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import numpy as np

from focus.engines.espeak import MAX_TEXT
from focus.engines.plain import Phrase, phrases, sentences
from focus.engines.synthesizer import SAMPLE_RATE, EngineMissing, Samples, SynthesisError, UnknownVoice

log = logging.getLogger(__name__)

PROGRAM = "piper"
#: Seconds in which a sentence must be there, a voice to be loaded first included.
TIMEOUT = 60.0
#: Seconds for which a process waits for more.
IDLE = 60.0
#: Processes at once; each takes 250 MB and more. A sentence of ten seconds takes one of them half a second.
PROCESSES = 2
#: Behind other work: it would take every processor that there is.
NICENESS = 10
BLOCK = SAMPLE_RATE // 4


class Stretch(Protocol):
    """Speech at another speed."""

    def changed(self, samples: Samples) -> Iterator[Samples]: ...

    def rest(self) -> Iterator[Samples]: ...


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that is installed; `language` is a tag in lower case."""

    name: str
    model: Path
    language: str


class _Ended(SynthesisError):
    """A process has ended instead of saying something."""


class _Process:
    """piper with one voice loaded."""

    def __init__(self, voice: Voice, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.voice = voice
        self._folder = folder
        self._process = process
        self.idle: asyncio.TimerHandle | None = None
        self.has_spoken = False

    @classmethod
    async def started(cls, program: str, voice: Voice) -> _Process:
        folder = Path(tempfile.mkdtemp(prefix="focus-piper-"))
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *(program, "--model", voice.model, "--output-dir", folder),
                stdin=pipe,
                stdout=pipe,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
            )
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            why = "is not installed" if isinstance(error, FileNotFoundError) else f"cannot be run: {error.strerror}"
            raise EngineMissing(f"{program} {why}") from None
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return cls(voice, folder, process)

    async def say(self, sentence: str) -> Samples:
        """What one line is read as, at 48 kHz. Raises `SynthesisError`, after which it is of no use."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        said: list[str] = []
        written = re.compile(rf"{re.escape(str(self._folder))}/\S+\.wav")
        try:
            async with asyncio.timeout(TIMEOUT):
                with contextlib.suppress(ConnectionError):  # it has gone; what it has said is there still
                    self._process.stdin.write(sentence.encode() + b"\n")
                    await self._process.stdin.drain()
                while line := (await self._process.stdout.readline()).decode(errors="replace"):
                    if match := written.search(line):
                        samples = await asyncio.to_thread(_taken, Path(match[0]))
                        self.has_spoken = True
                        return samples
                    said.append(line.strip())
        except TimeoutError:
            raise SynthesisError(f"piper said nothing for {TIMEOUT:g} s") from None
        except ValueError:  # a line without an end
            pass
        except (OSError, EOFError, wave.Error) as error:
            raise SynthesisError(f"what piper wrote cannot be read: {error}") from None
        why = next((line for line in reversed(said) if line), "no explanation")
        raise _Ended(f"piper has ended: {why[:200]}")

    async def end(self) -> None:
        """Idempotent. Who is cancelled while he waits for it leaves nothing behind."""
        await asyncio.shield(self._end())

    async def _end(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(ConnectionError):
            await self._process.communicate()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


class Piper:
    """The Synthesizer that uses piper, with the voices (`NAME.onnx` beside `NAME.onnx.json`) in `folders`.

    `tempo` makes what changes the speed, so that SSML can ask for it.
    """

    def __init__(self, program: str = PROGRAM, *, folders: Sequence[Path], tempo: Callable[[float], Stretch]) -> None:
        self._program = program
        self._folders = tuple(folders)
        self._tempo = tempo
        self._waiting: list[_Process] = []
        self._busy = 0
        self._room = asyncio.Semaphore(PROCESSES)
        self._ending: set[asyncio.Task[None]] = set()

    def voices(self) -> list[Voice]:
        """Those installed, by name. Blocks, for the disk."""
        found = []
        for model in sorted({model for folder in self._folders for model in folder.glob("*.onnx")}):
            try:
                described = json.loads(model.with_name(f"{model.name}.json").read_text())
                language = (
                    str(described["language"]["code"]) if "language" in described else described["espeak"]["voice"]
                )
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("the voice %s has no description that can be read: %s", model, error)
                continue
            found.append(Voice(model.stem, model.absolute(), str(language).lower().replace("_", "-")))
        return found

    def choose(self, voice: str | None, language: str | None) -> Voice:
        """By name, by a part of it, or by language; without a name, the first that speaks `language`, or the same of
        another region. Raises `UnknownVoice`, and `EngineMissing` where there are no voices. Blocks."""
        voices = self.voices()
        if not voices:
            where = ", ".join(map(str, self._folders)) or "no folder is configured for them"
            raise EngineMissing(f"piper has no voices: {where}")
        wanted = (voice or "").lower()
        if wanted:
            named = [one for one in voices if wanted == one.name.lower() or wanted in one.name.lower().split("-")[1:]]
            named = named or [one for one in voices if one.language == wanted.replace("_", "-")]
            if not named:
                raise UnknownVoice(
                    f"piper has no voice {voice!r}; it has {', '.join(one.name for one in voices)}"[:500]
                )
            return named[0]
        tag = (language or "").lower().replace("_", "-")
        if not tag:
            return voices[0]
        speaking = [one for one in voices if one.language == tag]
        speaking = speaking or [one for one in voices if one.language.split("-")[0] == tag.split("-")[0]]
        if not speaking:
            raise UnknownVoice(f"no voice of piper speaks {tag[:80]}")
        return speaking[0]

    async def language(self, voice: str | None) -> str:
        return (await asyncio.to_thread(self.choose, voice, None)).language

    async def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, markup: bool = False
    ) -> AsyncGenerator[Samples, None]:
        """See `Synthesizer.synthesize`. The next sentence is read while one is heard."""
        if len(text) > MAX_TEXT:
            raise SynthesisError(f"the text has {len(text)} characters, {MAX_TEXT} is the most")
        chosen = await asyncio.to_thread(self.choose, voice, language)
        parts = [part for phrase in (phrases(text) if markup else [Phrase(text)]) for part in _by_sentence(phrase)]
        reading: asyncio.Task[Samples] | None = None
        try:
            for number, part in enumerate(parts):
                if part.text:
                    reading = reading or asyncio.create_task(self._read(chosen, part.text))
                    said = await reading
                    following = parts[number + 1] if number + 1 < len(parts) else None
                    reading = None
                    if following is not None and following.text:
                        reading = asyncio.create_task(self._read(chosen, following.text))
                    for block in self._in_its_manner(said, part):
                        yield block
                for begin in range(0, int(part.pause * SAMPLE_RATE), BLOCK):
                    yield np.zeros(min(BLOCK, int(part.pause * SAMPLE_RATE) - begin), np.int16)
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    def _in_its_manner(self, said: Samples, part: Phrase) -> Iterator[Samples]:
        if part.volume != 1:
            said = np.clip(said * part.volume, -32768, 32767).astype(np.int16)
        tempo = self._tempo(part.rate)
        for begin in range(0, len(said), BLOCK):
            yield from tempo.changed(said[begin : begin + BLOCK])
        yield from tempo.rest()

    async def _read(self, voice: Voice, sentence: str) -> Samples:
        while True:
            try:
                async with self._process(voice) as process:
                    return await process.say(sentence)
            except _Ended:
                if not process.has_spoken:
                    raise
                log.info("piper has ended since it was used last: another one is asked")

    @contextlib.asynccontextmanager
    async def _process(self, voice: Voice) -> AsyncIterator[_Process]:
        """One that nobody else uses. It is ended where its work has not been done to the end."""
        async with self._room:
            self._busy += 1
            try:
                process = await self._made(voice)
                try:
                    yield process
                except BaseException:
                    await process.end()
                    raise
                self._waiting.append(process)
                process.idle = asyncio.get_running_loop().call_later(IDLE, self._expire, process)
            finally:
                self._busy -= 1

    async def _made(self, voice: Voice) -> _Process:
        """One that waits, or a new one, in place of one with another voice if there would be too many."""
        for process in self._waiting:
            if process.voice == voice:
                self._waiting.remove(process)
                if process.idle is not None:
                    process.idle.cancel()
                return process
        while self._waiting and len(self._waiting) + self._busy > PROCESSES:
            await self._waiting.pop(0).end()
        return await _Process.started(self._program, voice)

    def _expire(self, process: _Process) -> None:
        if process in self._waiting:
            self._waiting.remove(process)
            ending = asyncio.create_task(process.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End what waits for more."""
        while self._waiting:
            await self._waiting.pop().end()
        await asyncio.gather(*self._ending, return_exceptions=True)


def _by_sentence(phrase: Phrase) -> Iterator[Phrase]:
    """In parts of one sentence; the pause comes behind the last one."""
    said = sentences(phrase.text)
    for sentence in said:
        yield Phrase(sentence, phrase.rate, phrase.volume)
    if phrase.pause:
        yield Phrase("", pause=phrase.pause)


def _taken(path: Path) -> Samples:
    """The file's samples, at 48 kHz; the file is no more."""
    with wave.open(str(path), "rb") as reading:
        rate, samples = reading.getframerate(), np.frombuffer(reading.readframes(reading.getnframes()), "<i2")
        if (reading.getnchannels(), reading.getsampwidth()) != (1, 2):
            raise wave.Error("not 16 bit mono PCM")
    path.unlink()
    if not len(samples):  # a voice that has nothing to say of it
        return np.zeros(0, np.int16)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    parts = [part.to_ndarray().reshape(-1) for each in (frame, None) for part in resampler.resample(each)]
    return np.concatenate(parts).astype(np.int16, copy=False)
