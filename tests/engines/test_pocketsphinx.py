"""Speech of the real espeak-ng, recognized by the real pocketsphinx."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

import numpy as np
import pytest

from focus.engines import nlsml
from focus.engines.endpointing import Endpointer, SpeechEnded, SpeechStarted
from focus.engines.grammar import Grammar, Mode, load, load_from
from focus.engines.listening import Heard, listen
from focus.engines.pocketsphinx import Pocketsphinx
from focus.engines.recognizer import NotRecognizable, RecognitionError, Recognizer, RecognizerMissing
from focus.engines.synthesizer import Samples
from tests.engines.spoken import decoders, noise, over, rms, say, silence

NS = 'xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="voice" tag-format="semantics/1.0-literals"'

YES_NO = "<rule id='r'><one-of><item>yes <tag>true</tag></item><item>no <tag>false</tag></item></one-of></rule>"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT = "".join(f"<item>{word}</item>" for word in WORDS)
DIGITS = f"<rule id='r'><item repeat='4'><one-of>{DIGIT}</one-of></item></rule>"
PIZZA = """
<rule id='r'>
  <item repeat='0-1'>I would like</item>
  <one-of><item>a</item><item>two</item></one-of>
  <one-of><item>small</item><item>medium</item><item>large</item></one-of>
  <one-of><item>pizza</item><item>pizzas</item></one-of>
  with <ruleref uri='#topping'/> <item repeat='0-2'>and <ruleref uri='#topping'/></item>
</rule>
<rule id='topping'><one-of><item>mushrooms</item><item>onions</item><item>cheese</item><item>ham</item></one-of></rule>
"""

#: What is said, and where it is in the grammar.
SAID = {
    YES_NO: ("yes", "no"),
    DIGITS: ("one two three four", "five seven zero two", "three one four one"),
    PIZZA: (
        "i would like a large pizza with mushrooms",
        "a medium pizza with cheese and onions and mushrooms",
        "two small pizzas with ham",
    ),
}
SOMETHING_ELSE = (
    "can you please call me back tomorrow",
    "what is the weather like",
    "the quick brown fox jumps over the lazy dog",
    "transfer me to an operator please",
)


async def grammar(rules: str, language: str = "en-US") -> Grammar:
    return await load(f"<grammar {NS} root='r' xml:lang='{language}'>{rules}</grammar>")


@pytest.fixture
async def engine() -> AsyncIterator[Pocketsphinx]:
    engine = Pocketsphinx(timeout=60)
    yield engine
    await engine.close()


async def heard(engine: Recognizer, sound: Samples, *grammars: Grammar) -> Heard:
    """The one utterance in a sound."""

    async def blocks() -> AsyncIterator[Samples]:
        for at in range(0, len(sound), 960):
            yield sound[at : at + 960]

    started, ended, result = [event async for event in listen(blocks(), Endpointer(), engine, grammars)]
    assert isinstance(started, SpeechStarted)
    assert isinstance(ended, SpeechEnded)
    assert isinstance(result, Heard)
    return result


async def around(text: str, voice: str = "en-us", *, noisy: bool = False) -> Samples:
    speech = await say(text, voice)
    sound = np.concatenate((silence(0.5), speech, silence(0.8)))
    return over(sound, noise(1, rms(speech) / 10)) if noisy else sound


@pytest.mark.parametrize("noisy", [False, True], ids=["clean", "noisy"])
@pytest.mark.parametrize("rules", SAID, ids=["yes-no", "digits", "pizza"])
async def test_what_is_in_the_grammar_is_recognized_and_what_is_not_is_not(
    engine: Pocketsphinx, rules: str, noisy: bool
) -> None:
    asked = await grammar(rules)
    await engine.check([asked])
    for text in SAID[rules]:
        result = await heard(engine, await around(text, "en-us+f3" if noisy else "en-us", noisy=noisy), asked)
        assert result.matched is not None, text
        assert " ".join(result.matched.tokens) == text
        assert 0.5 < result.confidence <= 1
    for text in SOMETHING_ELSE:
        result = await heard(engine, await around(text, noisy=noisy), asked)
        assert result.confidence < 0.5, (text, result)


async def test_a_match_means_what_the_tags_say(engine: Pocketsphinx) -> None:
    result = await heard(engine, await around("yes"), await grammar(YES_NO))
    assert result.matched is not None
    assert nlsml.result(result.matched, result.confidence) == (
        '<result xmlns="http://www.ietf.org/xml/ns/mrcpv2"><interpretation>'
        f'<input mode="speech" confidence="{round(100 * result.confidence)}">yes</input>'
        "<instance>true</instance></interpretation></result>"
    )


async def test_of_several_grammars_the_one_that_matches_is_named(engine: Pocketsphinx) -> None:
    grammars = [await grammar(YES_NO), await grammar(PIZZA), await grammar(DIGITS)]
    await engine.check(grammars)
    for text, asked in zip(("no", "two small pizzas with ham", "three one four one"), grammars, strict=True):
        result = await heard(engine, await around(text), *grammars)
        assert result.matched is not None
        assert result.matched.grammar is asked


async def test_digits_may_be_written_as_such(engine: Pocketsphinx) -> None:
    asked = await grammar("<rule id='r'><item repeat='3'><one-of><item>1</item><item>2</item></one-of></item></rule>")
    await engine.check([asked])
    result = await heard(engine, await around("one two one"), asked)
    assert result.matched is not None
    assert result.matched.tokens == ("1", "2", "1")


@pytest.mark.parametrize(
    ("rules", "grammar_language", "language", "why"),
    [
        ("<rule id='r'>oui</rule>", "fr-FR", None, "recognizes en-US, not 'fr-FR'"),
        ("<rule id='r'>yes</rule>", "de", "en-US", "recognizes en-US, not 'de'"),
        (
            "<rule id='r'>yes xyzzyfoo no qwertzuiop</rule>",
            "en",
            None,
            "how these words sound: 'qwertzuiop', 'xyzzyfoo'",
        ),
        ("<rule id='r'>yes <ruleref special='GARBAGE'/></rule>", "en-US", None, "GARBAGE cannot"),
    ],
)
async def test_what_it_cannot_recognize_is_said_before(
    engine: Pocketsphinx, rules: str, grammar_language: str, language: str | None, why: str
) -> None:
    with pytest.raises(NotRecognizable, match=why):
        await engine.check([await grammar(rules, grammar_language)], language=language)


async def test_the_language_asked_for_counts_where_the_grammar_says_none(engine: Pocketsphinx) -> None:
    asked = await load(f"<grammar {NS} root='r'>{YES_NO}</grammar>")
    await engine.check([asked])
    await engine.check([asked], language="en-us")
    with pytest.raises(NotRecognizable, match="not 'nl'"):
        await engine.check([asked], language="nl")


async def test_keys_are_not_recognized_in_speech(engine: Pocketsphinx) -> None:
    keys = await load_from("builtin:dtmf/digits", mode=Mode.DTMF)
    with pytest.raises(NotRecognizable, match="keys"):
        await engine.check([keys])


async def test_it_does_not_hold_up_the_loop_and_answers_each_with_his_own(engine: Pocketsphinx) -> None:
    asked = await grammar(DIGITS)
    sounds = [await around(text) for text in SAID[DIGITS]]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    results = await asyncio.gather(*(heard(engine, sound, asked) for sound in sounds))
    counting.cancel()
    assert [" ".join(result.matched.tokens) for result in results if result.matched] == list(SAID[DIGITS])
    assert turns > 1000


async def test_a_process_that_ends_costs_one_utterance(engine: Pocketsphinx) -> None:
    asked = await grammar(YES_NO)
    await engine.check([asked])
    (process,) = decoders()
    os.kill(process, signal.SIGSTOP)
    sound = await around("no")
    recognizing = asyncio.create_task(engine.recognize(sound, [asked]))
    await asyncio.wait((recognizing,), timeout=1)
    os.kill(process, signal.SIGKILL)
    with pytest.raises(RecognitionError, match="has ended"):
        await recognizing
    result = await heard(engine, sound, asked)
    assert result.matched is not None
    assert result.matched.meaning == "false"


async def test_who_no_longer_waits_leaves_no_answer_to_the_next(engine: Pocketsphinx) -> None:
    asked = await grammar(DIGITS)
    await engine.check([asked])
    (process,) = decoders()
    os.kill(process, signal.SIGSTOP)
    first = asyncio.create_task(engine.recognize(await around("one two three four"), [asked]))
    await asyncio.wait((first,), timeout=1)
    assert not first.done()
    first.cancel()
    await asyncio.wait((first,))
    result = await heard(engine, await around("three one four one"), asked)
    assert result.matched is not None
    assert result.matched.tokens == ("three", "one", "four", "one")


async def test_while_one_process_is_at_work_another_answers_and_what_is_known_is_not_asked() -> None:
    engine = Pocketsphinx(processes=2, timeout=60)
    asked = await grammar(YES_NO)
    await engine.check([asked])
    (process,) = decoders()
    os.kill(process, signal.SIGSTOP)
    sound = await around("no")
    stuck = asyncio.create_task(engine.recognize(sound, [asked]))
    while engine._idle.qsize() > 1:  # noqa: ASYNC110 - until it is asked
        await asyncio.sleep(0.01)
    assert (await heard(engine, sound, asked)).matched is not None
    both = [stuck, asyncio.create_task(engine.recognize(sound, [asked]))]
    os.kill(next(other for other in decoders() if other != process), signal.SIGSTOP)
    await engine.check([asked])
    for each in decoders():
        os.kill(each, signal.SIGCONT)
    assert [hypothesis.tokens for hypothesis in await asyncio.gather(*both) if hypothesis] == [("no",), ("no",)]
    await engine.close()
    assert decoders() == []


async def test_one_that_does_not_answer_is_given_up() -> None:
    engine = Pocketsphinx(timeout=60)
    await engine.check([await grammar(YES_NO)])
    (process,) = decoders()
    os.kill(process, signal.SIGSTOP)
    impatient = Pocketsphinx(timeout=0.01)
    with pytest.raises(RecognitionError, match="did not answer"):
        await impatient.check([await grammar(YES_NO)])
    await engine.close()
    await impatient.close()
    assert decoders() == []


async def test_silence_is_no_hypothesis(engine: Pocketsphinx) -> None:
    asked = [await grammar(YES_NO)]
    assert await engine.recognize(np.zeros(0, np.int16), asked) is None
    assert await engine.recognize(silence(0.01), asked) is None
    assert await engine.recognize(silence(1), asked) is None


async def test_without_pocketsphinx_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "pocketsphinx", raising=False)
    with pytest.raises(RecognizerMissing, match="pocketsphinx is not installed"):
        await Pocketsphinx().check([await grammar(YES_NO)])
