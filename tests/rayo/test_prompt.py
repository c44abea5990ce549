"""Something is said, and answered by keys: with and without barge-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from focus.media.plane import MediaPlane
from focus.rayo.component import Facilities
from focus.wire.conditions import BadRequest, NotTheOwner, OptionNotSupported, StanzaError, WrongState
from focus.wire.jid import JID
from focus.wire.rayo_component import HungUp, Stop, Stopped
from focus.wire.rayo_input import Input, NoInput, NoMatch
from focus.wire.rayo_output import Document, Output, Pause, Resume, Seek
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
