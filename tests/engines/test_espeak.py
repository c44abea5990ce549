"""Speech from the real espeak-ng."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import aclosing, suppress
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from focus.engines.espeak import BEGINNING, MAX_TEXT, Espeak
from focus.engines.synthesizer import SAMPLE_RATE, EngineMissing, Samples, SynthesisError, Synthesizer, UnknownVoice

LONG = "The quick brown fox jumps over the lazy dog. " * 200


def children_of_this_process() -> set[int]:
    children: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has just ended
            children.update(int(child) for child in (task / "children").read_text().split())
    return children


@pytest.fixture(autouse=True)
def others() -> Iterator[set[int]]:
    """Processes that were there before: servers that several tests share. No other one is left."""
    before = children_of_this_process()
    yield before
    assert children_of_this_process() <= before


async def spoken(engine: Synthesizer, text: str, *, voice: str | None = None, language: str | None = None) -> Samples:
    return np.concatenate([block async for block in engine.synthesize(text, voice=voice, language=language)])


def program(folder: Path, script: str) -> str:
    path = folder / "engine"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


async def test_speech_has_the_length_and_energy_of_speech() -> None:
    samples = await spoken(Espeak(), "Welcome to the conference. There are three participants.")
    assert samples.dtype == np.int16
    assert samples.ndim == 1
    assert 2 < len(samples) / SAMPLE_RATE < 8
    loud = samples.astype(np.float64)
    assert np.sqrt(np.mean(loud**2)) > 500
    spectrum = np.abs(np.fft.rfft(loud)) ** 2
    frequencies = np.fft.rfftfreq(len(loud), 1 / SAMPLE_RATE)
    # espeak-ng works at 22.05 kHz: a resampling that is none would put energy above, and speech at the wrong pitch.
    assert spectrum[frequencies > 11_500].sum() < 0.001 * spectrum.sum()
    assert spectrum[(frequencies > 80) & (frequencies < 5000)].sum() > 0.9 * spectrum.sum()


async def test_nothing_is_to_be_heard_on_the_machine_nor_left_in_anybodys_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, run = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    (run / "pulse").mkdir(parents=True, mode=0o700)
    run.chmod(0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    monkeypatch.delenv("PULSE_SERVER", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as pulseaudio:  # that does not answer
        pulseaudio.bind(str(run / "pulse" / "native"))
        pulseaudio.listen()
        pulseaudio.setblocking(False)
        assert len(await spoken(Espeak(), "one two three")) > 0
        with pytest.raises(BlockingIOError):
            pulseaudio.accept()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert len(await spoken(Espeak(), "one two three")) > 0
    assert list(home.iterdir()) == []


async def test_more_text_takes_longer() -> None:
    engine = Espeak()
    assert len(await spoken(engine, "one two three four five six")) > 2 * len(await spoken(engine, "one"))


async def test_speech_comes_in_blocks_before_the_end() -> None:
    lengths = [len(block) async for block in Espeak().synthesize("A sentence of more than one block.")]
    assert len(lengths) > 3
    assert max(lengths) < SAMPLE_RATE


async def test_what_is_there_already_comes_a_quarter_of_a_second_at_once(tmp_path: Path) -> None:
    said = tmp_path / "said"
    engine = Espeak(program(tmp_path, f'espeak-ng "$@" >{said}; head -c 60000 {said}; touch {said}.written'))
    lengths = []
    async with asyncio.timeout(60), aclosing(engine.synthesize("A sentence of more than one block.")) as blocks:
        lengths.append(len(await anext(blocks)))
        while not Path(f"{said}.written").exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        lengths += [len(block) async for block in blocks]
    assert max(lengths) > SAMPLE_RATE / 4
    assert len(lengths) < 8


async def test_no_text_is_no_speech() -> None:
    assert [block async for block in Espeak().synthesize("")] == []


async def test_text_longer_than_a_pipe_is_spoken() -> None:
    async with aclosing(Espeak().synthesize("a" + " " * 90_000 + "b")) as blocks:
        assert len(await anext(blocks)) > 0


async def test_markup_and_options_in_the_text_are_only_text() -> None:
    engine = Espeak()
    assert len(await spoken(engine, "--version")) > SAMPLE_RATE / 4
    assert len(await spoken(engine, "<break time='60s'/>hi")) < 20 * SAMPLE_RATE


async def test_a_voice_is_found_by_name_language_or_file_with_a_variant() -> None:
    engine = Espeak()
    plain = await spoken(engine, "hello", voice="en-us")
    assert np.array_equal(plain, await spoken(engine, "hello", voice="English (America)"))
    assert np.array_equal(plain, await spoken(engine, "hello", voice="gmw/en-US"))
    assert not np.array_equal(plain, await spoken(engine, "hello", voice="en-us+f3"))


async def test_the_language_counts_where_no_voice_is_named() -> None:
    engine = Espeak()
    german = await spoken(engine, "Wasserfall", language="de")
    assert np.array_equal(german, await spoken(engine, "Wasserfall", language="de-AT"))
    assert not np.array_equal(german, await spoken(engine, "Wasserfall", language="en-GB"))
    assert np.array_equal(german, await spoken(engine, "Wasserfall", voice="de", language="en"))


async def test_the_language_is_that_of_the_voice_or_english() -> None:
    engine = Espeak()
    named = ["German", "en-us+f3", "gmw/en-GB-scotland", "en"]
    assert [await engine.language(each) for each in named] == ["de", "en-us", "en-gb-scotland", "en-gb"]
    assert np.array_equal(await spoken(engine, "Wasserfall"), await spoken(engine, "Wasserfall", voice="en"))
    assert await engine.language(None) == "en"
    with pytest.raises(UnknownVoice):
        await engine.language("nonesuch")


@pytest.mark.parametrize("voice", ["nonesuch", "en-us+nonesuch", "../../etc/passwd", "-x", "+f3"])
async def test_an_unknown_voice_is_refused(voice: str) -> None:
    with pytest.raises(UnknownVoice):
        await spoken(Espeak(), "hello", voice=voice)


@pytest.mark.parametrize("language", ["tlh", "x y", "-v", "q" * 500])
async def test_an_unknown_language_is_refused(language: str) -> None:
    with pytest.raises(UnknownVoice):
        await spoken(Espeak(), "hello", language=language)


async def test_the_voices_are_listed() -> None:
    voices = await Espeak().voices()
    assert len(voices) > 50
    german = next(voice for voice in voices if voice.name == "German")
    assert german.languages[0][0] == "de"
    american = next(voice for voice in voices if voice.file == "gmw/en-US")
    assert american.name == "English (America)"
    assert {language for language, _ in american.languages} == {"en-us", "en"}


async def test_all_who_need_the_voices_share_one_listing_of_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    engine = Espeak(program(tmp_path, f'echo "$1" >> {log}; exec espeak-ng "$@"'))
    impatient = asyncio.create_task(engine.voices())
    speaking = [asyncio.create_task(spoken(engine, "one", language="en")) for _ in range(5)]
    await asyncio.sleep(0)  # all have begun to wait
    impatient.cancel()
    async with asyncio.timeout(60):
        assert all([len(samples) for samples in await asyncio.gather(*speaking)])
    assert sorted(log.read_text().split()) == [*["--stdin"] * 5, "--voices", "--voices=variant"]
    assert impatient.cancelled()


async def test_a_listing_that_has_failed_is_made_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    engine = Espeak(program(tmp_path, f'[ -e {log} ] || {{ echo > {log}; exit 3; }}; exec espeak-ng "$@"'))
    waiting = [asyncio.create_task(engine.voices()) for _ in range(2)]
    await asyncio.wait(waiting)
    assert ["ended with 3" in str(each.exception()) for each in waiting] == [True, True]
    assert len(await engine.voices()) > 50


async def test_reading_no_further_ends_the_process(others: set[int]) -> None:
    async with aclosing(Espeak().synthesize(LONG)) as blocks:
        await anext(blocks)
        assert children_of_this_process() - others
    assert not children_of_this_process() - others


async def test_cancelling_whoever_listens_ends_the_process(others: set[int]) -> None:
    speaking = asyncio.Event()

    async def listen() -> None:
        async with aclosing(Espeak().synthesize(LONG)) as blocks:
            async for _ in blocks:
                speaking.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(listen())
    await asyncio.wait_for(speaking.wait(), 60)
    assert children_of_this_process() - others
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children_of_this_process() - others


async def test_cancelling_before_the_first_sound_ends_the_process(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "started")
    engine = Espeak(program(tmp_path, f"echo yes > {tmp_path}/started; exec sleep 60"))
    task = asyncio.create_task(spoken(engine, "hello"))
    async with asyncio.timeout(60):
        assert await asyncio.to_thread((tmp_path / "started").read_text) == "yes\n"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_engine_that_hangs_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match="said nothing"):
        await spoken(Espeak(program(tmp_path, "exec sleep 60"), timeout=0.2), "hello")


async def test_only_so_many_begin_to_speak_at_the_same_time(tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    log.touch()
    waiting = f"echo begin >> {log}; while [ ! -e {go} ]; do sleep 0.01; done; echo end >> {log}"
    engine = Espeak(program(tmp_path, waiting))
    speaking = [asyncio.create_task(anext(engine.synthesize("Hello"), None)) for _ in range(2 * BEGINNING)]
    async with asyncio.timeout(30):
        while log.read_text().count("begin") < BEGINNING:  # noqa: ASYNC110 - other processes write it
            await asyncio.sleep(0.01)
        go.touch()
        await asyncio.gather(*speaking)
    at_once = list(accumulate(1 if line == "begin" else -1 for line in log.read_text().split()))
    assert len(at_once) == 4 * BEGINNING
    assert max(at_once) == BEGINNING


async def test_an_engine_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match=r"ended with 3: out of order"):
        await spoken(Espeak(program(tmp_path, "cat >/dev/null; echo out of order >&2; exit 3")), "hello")


async def test_an_engine_that_writes_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match="WAV"):
        await spoken(Espeak(program(tmp_path, "echo nothing that anybody could play")), "hello")


async def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(EngineMissing, match="no-such-engine is not installed"):
        await spoken(Espeak("no-such-engine"), "hello")


async def test_too_much_text_is_refused() -> None:
    with pytest.raises(SynthesisError, match="characters"):
        await spoken(Espeak(), "a" * (MAX_TEXT + 1))
