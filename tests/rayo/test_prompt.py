"""Something is said, and answered by keys: with and without barge-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

import numpy as np
import pytest

from focus.engines.synthesizer import Samples, SynthesisError
from focus.media.plane import MediaPlane
from focus.rayo.component import Facilities
from focus.wire.conditions import BadRequest, ItemNotFound, NotTheOwner, OptionNotSupported, StanzaError, WrongState
from focus.wire.jid import JID
from focus.wire.rayo_component import Complete, Failed, HungUp, Stop, Stopped
from focus.wire.rayo_input import Input, NoInput, NoMatch
from focus.wire.rayo_output import Document, Finish, Output, Pause, Resume, Seek
from focus.wire.rayo_prompt import InputTimersStarted, Prompt

from .at_work import CLIENT, RATE, Scene
from .test_input import MENU, here, read
from .test_output import Web, url


@pytest.fixture
async def plane() -> AsyncIterator[MediaPlane]:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    yield plane
    await plane.stop()


@pytest.fixture
async def scene(plane: MediaPlane) -> AsyncIterator[Scene]:
    scene = Scene(plane, Facilities(plane, fetch=Web()))
    yield scene
    assert len(scene._clients) == 0
    assert all(component.over.is_set() for component in scene.components)
    await scene.close()
    assert plane.snapshot()["mixers"] == 0


def prompt(sound: str = "two", *, barge_in: bool = True, **timeouts: int) -> Prompt:
    return Prompt(
        barge_in=barge_in,
        output=Output(documents=url(sound)),
        input=Input(grammars=here(MENU), **timeouts),  # type: ignore[arg-type]
    )


def press(scene: Scene, keys: str) -> None:
    """To all that are at work, as a call does."""
    for component in scene.components:
        for key in keys:
            component.key_pressed(key)


def seconds_heard(scene: Scene) -> float:
    return float(np.count_nonzero(scene.heard())) / RATE


async def test_who_presses_a_key_is_not_kept_waiting(scene: Scene) -> None:
    await scene.begin(prompt(inter_digit_timeout=300))
    await scene.until_heard(0.2)
    press(scene, "1")
    assert read((await scene.complete()).reason)[1] == "sales"
    assert seconds_heard(scene) < 1.5
    assert scene.events[:-1] == [InputTimersStarted()]


async def test_an_answer_that_is_whole_at_once_ends_it_at_once(scene: Scene) -> None:
    await scene.begin(prompt())
    await scene.until_heard(0.1)
    press(scene, "12")
    assert read((await scene.complete()).reason)[1] == "support"
    assert seconds_heard(scene) < 1


async def test_the_timers_run_when_all_has_been_said(scene: Scene) -> None:
    await scene.begin(prompt("short", initial_timeout=1))
    assert (await scene.complete()).reason == NoInput()
    assert seconds_heard(scene) == pytest.approx(0.2, abs=0.02)
    assert scene.events[:-1] == [InputTimersStarted()]


async def test_without_barge_in_keys_count_after_it(scene: Scene) -> None:
    await scene.begin(prompt("short", barge_in=False, initial_timeout=5000))
    press(scene, "9")  # would not match
    await scene.until(lambda: InputTimersStarted() in scene.events)
    assert seconds_heard(scene) == pytest.approx(0.2, abs=0.02)
    press(scene, "12")
    assert read((await scene.complete()).reason)[1] == "support"


async def test_what_does_not_match_says_so(scene: Scene) -> None:
    await scene.begin(prompt())
    await scene.until_heard(0.1)
    press(scene, "7")
    assert (await scene.complete()).reason == NoMatch()


async def test_the_output_is_controlled_until_it_is_over(scene: Scene) -> None:
    await scene.begin(prompt())
    await scene.until_heard(0.1)
    await scene.does(Pause())
    await scene.silence(0.2)
    await scene.does(Seek(direction="forward", amount=1500))
    await scene.does(Resume())
    await scene.until(lambda: InputTimersStarted() in scene.events)
    assert seconds_heard(scene) < 1.2
    with pytest.raises(WrongState):
        await scene.does(Pause())
    press(scene, "12")
    await scene.complete()


async def test_it_is_stopped_with_both_its_parts(scene: Scene) -> None:
    for begun in (False, True):
        await scene.begin(prompt())
        if begun:
            await scene.until_heard(0.1)
        with pytest.raises(NotTheOwner):
            await scene.component.submit(JID.parse("mallory@example.org/x"), Stop())
        await scene.does(Stop())
        assert (await scene.complete()).reason == Stopped()
        scene.events.clear()


async def test_it_is_hung_up_with_both_its_parts(scene: Scene) -> None:
    await scene.begin(prompt())
    await scene.until_heard(0.1)
    for component in scene.components:
        component.hang_up()
    assert (await scene.complete()).reason == HungUp()


async def test_nobody_else_commands_the_parts(scene: Scene) -> None:
    await scene.begin(prompt())
    for part in scene.components[1:]:
        with pytest.raises(NotTheOwner):
            await part.submit(CLIENT, Stop())
    await scene.does(Stop())
    await scene.complete()


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (prompt("none"), OptionNotSupported),
        (
            Prompt(output=Output(documents=(Document(url="http://x/two"),)), input=Input(grammars=here("<grammar"))),
            BadRequest,
        ),
    ],
)
async def test_what_either_part_cannot_do_is_refused_before_anything_is_heard(
    scene: Scene, command: Prompt, refusal: type[StanzaError]
) -> None:
    with pytest.raises(refusal):
        await scene.begin(command)
    assert not scene.events
    assert seconds_heard(scene) == 0


async def test_what_is_stopped_twice_ends_once(scene: Scene) -> None:
    await scene.begin(prompt())
    await scene.until_heard(0.1)
    stopping = [scene.component.submit(CLIENT, Stop()) for _ in range(2)]
    assert await asyncio.gather(*stopping) == [None, None]
    assert (await scene.complete()).reason == Stopped()


@pytest.mark.parametrize("turns", range(12))
async def test_who_hangs_up_before_it_begins_leaves_nothing(scene: Scene, turns: int) -> None:
    starting = asyncio.create_task(scene.begin(prompt()))
    for _ in range(turns + 1):
        await asyncio.sleep(0)
    for component in scene.components:
        component.hang_up()
    with suppress(ItemNotFound):
        await starting
    await scene.component.over.wait()
    assert [event for event in scene.events if event != Complete(reason=HungUp())] == []


@pytest.mark.parametrize("turns", range(-12, 13))
async def test_who_answers_as_the_last_word_is_said_is_understood(scene: Scene, turns: int) -> None:
    """Whichever of the two comes first; the timers are told of once at most, and not after the end."""
    await scene.begin(prompt(initial_timeout=5000))
    await scene.until_heard(0.1)
    _, output, _ = scene.components
    for each in sorted((0, turns)):
        if each == turns:
            press(scene, "12")
        if each == 0:
            output.end(Finish())
        for _ in range(abs(turns)):
            await asyncio.sleep(0)
    assert read((await scene.complete()).reason)[1] == "support"
    assert scene.events[:-1] in ([], [InputTimersStarted()])


class Hoarse:
    """A voice that fails in the middle of a word."""

    async def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, markup: bool = False
    ) -> AsyncGenerator[Samples, None]:
        yield np.full(RATE // 4, 2000, np.int16)
        raise SynthesisError("it has lost its voice")

    async def language(self, voice: str | None) -> str:
        return "en"


async def test_who_cannot_say_it_all_says_so_and_gathers_nothing_more(plane: MediaPlane) -> None:
    scene = Scene(plane, Facilities(plane, synthesizers={"hoarse": Hoarse()}))
    spoken = Document(content_type="text/plain", body="Press a key")
    await scene.begin(Prompt(output=Output(documents=(spoken,)), input=Input(grammars=here(MENU))))
    reason = (await scene.complete()).reason
    assert isinstance(reason, Failed)
    assert "voice" in reason.text
    assert scene.events[:-1] == []
    assert not scene._clients
    assert all(component.over.is_set() for component in scene.components)
    await scene.close()


async def test_no_time_at_all_is_over_when_all_has_been_said(scene: Scene) -> None:
    await scene.begin(prompt("short", initial_timeout=0))
    assert (await scene.complete()).reason == NoInput()
    assert seconds_heard(scene) == pytest.approx(0.2, abs=0.02)
    assert scene.events[:-1] == [InputTimersStarted()]
