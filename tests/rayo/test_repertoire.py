"""Speech that several need, at once or one after another, of a synthesizer that says how often it is asked."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from focus.engines.synthesizer import SAMPLE_RATE, Samples
from focus.rayo.rendering import KEPT, NEAR, Place, Programme, RenderingError, Utterance
from focus.rayo.repertoire import LONGEST_TEXT, Recital, Repertoire
from tests.rayo.test_rendering import Clock, Dictation, Lecturer

TEN = Utterance("ten")


async def heard(recital: Recital, start: int = 0) -> list[int]:
    return np.concatenate([block async for block in recital.blocks(start)]).tolist()  # type: ignore[no-any-return]


async def test_what_was_said_is_not_synthesized_again() -> None:
    clock, repertoire = Clock(), Repertoire()
    for _ in range(3):
        recital = repertoire.recital(clock, TEN)
        await recital.check()
        assert await heard(recital) == list(range(1000))
        assert await heard(recital, 990) == list(range(990, 1000))
        assert recital.length == 1000
        await recital.close()
    assert (clock.asked, clock.open) == (["ten"], 0)
    for other in (Utterance("ten", language="de"), Utterance("ten", voice="x"), Utterance("ten", markup=True)):
        recital = repertoire.recital(clock, other)
        await recital.check()
        await recital.close()
    assert len(clock.asked) == 4


async def test_what_many_need_at_once_is_synthesized_once_whoever_goes() -> None:
    dictation, repertoire = Dictation(), Repertoire()
    recitals = [repertoire.recital(dictation, TEN) for _ in range(3)]
    checks = [asyncio.create_task(each.check()) for each in recitals]
    await dictation.is_asked.wait()
    checks[0].cancel()
    await asyncio.wait((checks[0],))
    await recitals[0].close()
    dictation.may_go_on.set()
    await asyncio.gather(*checks[1:])
    for each in recitals[1:]:
        assert await heard(each) == list(range(1000))
        await each.close()
    assert (dictation.asked, dictation.open) == (["ten"], 0)


async def test_what_was_not_said_to_its_end_is_said_again() -> None:
    clock, repertoire = Clock(), Repertoire()
    for asked in (1, 2):
        recital = repertoire.recital(clock, TEN)
        await recital.check()
        await recital.close()
        assert (len(clock.asked), clock.open) == (asked, 0)


async def test_what_has_failed_is_tried_again_by_the_next_also_while_somebody_holds_it() -> None:
    dictation, repertoire = Dictation(), Repertoire()
    dictation.fails = True
    dictation.may_go_on.set()
    failing = repertoire.recital(dictation, TEN)
    with pytest.raises(RenderingError, match="hoarse"):
        await heard(failing)
    dictation.fails = False
    recital = repertoire.recital(dictation, TEN)
    assert await heard(recital) == list(range(1000))
    await failing.close()
    await recital.close()
    assert len(dictation.asked) == 2
    again = repertoire.recital(dictation, TEN)
    assert await heard(again) == list(range(1000))
    assert len(dictation.asked) == 2


async def test_what_was_asked_for_least_lately_is_given_up() -> None:
    clock, repertoire = Clock(), Repertoire(room=2500)
    for text in ("one", "two", "one", "three", "one", "two"):
        recital = repertoire.recital(clock, Utterance(text))
        await heard(recital)
        await recital.close()
    assert clock.asked == ["one", "two", "three", "two"]


async def test_what_is_not_kept_any_more_is_said_again_for_who_needs_it() -> None:
    lecturer, repertoire = Lecturer(1), Repertoire()
    slow, fast = (repertoire.recital(lecturer, TEN) for _ in range(2))
    reading = slow.blocks(0)
    found = [await anext(reading)]
    assert [block async for block in fast.blocks(10**9)] == []
    assert fast.length is not None
    assert [block[0] async for block in fast.blocks(fast.length - KEPT)] == [6, 7, 8, 9, 10, 11]
    assert len(lecturer.asked) == 1
    found += [block async for block in reading]
    assert [block[0] for block in found] == list(range(12))
    assert (sum(map(len, found)), len(lecturer.asked)) == (fast.length, 2)
    assert [block[0] async for block in fast.blocks(0)] == list(range(12))
    assert len(lecturer.asked) == 3
    await slow.close()
    await fast.close()
    assert lecturer.open == 0


class Speechless(Clock):
    """Says nothing, of whatever text."""

    async def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, markup: bool = False
    ) -> AsyncGenerator[Samples, None]:
        self.asked.append(text)
        nothing: list[Samples] = []
        for each in nothing:
            yield each


@pytest.mark.parametrize(
    ("clock", "text", "asked"), [(Speechless(), "", 2), (Clock(), "x" * LONGEST_TEXT, 1), (Clock(), "x" * 5_001, 2)]
)
async def test_neither_nothing_nor_a_very_long_text_is_kept(clock: Clock, text: str, asked: int) -> None:
    repertoire = Repertoire()
    for _ in range(2):
        recital = repertoire.recital(clock, Utterance(text))
        assert [block async for block in recital.blocks(0)] != [] or not text
        await recital.close()
    assert len(clock.asked) == asked


async def test_texts_take_room_as_well() -> None:
    clock, repertoire = Clock(), Repertoire(room=2500)
    texts = ["a" * 150, "b" * 150, "a" * 150, "a" * 150]
    for text in texts:
        recital = repertoire.recital(clock, Utterance(text))
        await heard(recital)
        await recital.close()
    assert clock.asked == texts[:3]


async def test_of_many_texts_only_the_last_are_kept_and_the_others_said_again_when_they_are_wanted() -> None:
    lecturer, repertoire = Lecturer(1), Repertoire()
    recitals = [repertoire.recital(lecturer, Utterance(str(number))) for number in range(6)]
    programme = Programme(recitals)
    tracemalloc.start()
    try:
        assert [block async for block in programme.blocks(Place(0, 10**12))] == []
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < NEAR * 2 * KEPT + 1_000_000
    assert lecturer.asked == list("012345")
    for place, asked in ((Place(5, 0), "012345"), (Place(1, 0), "0123450")):
        reading = programme.blocks(programme.moved(place, -SAMPLE_RATE))
        assert (await anext(reading))[0] == 11
        await reading.aclose()
        assert lecturer.asked == list(asked)
    for each in recitals:
        await each.close()
    assert lecturer.open == 0
