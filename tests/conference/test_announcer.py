"""What is said to all, and in which order, of an announcer whose output ends when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from focus.conference.announcer import MAX_WAITING, Announcer
from focus.conference.comfort import NAME, TEXTS, Comfort
from focus.wire.conditions import ResourceConstraint

from .stage import Stage


class Hall(Stage):
    def __init__(self, comfort: Comfort) -> None:
        super().__init__()
        self.is_said: list[bool] = []
        self.announcer = Announcer(self, self.executions, comfort, self.is_said.append)


@pytest.fixture
async def stage() -> AsyncIterator[Hall]:
    stage = Hall(Comfort(entry=NAME, exit=NAME))
    yield stage
    stage.close()


async def test_that_it_is_recorded_goes_before_all_that_is_announced_which_is_begun_anew(stage: Hall) -> None:
    announcer, comfort = stage.announcer, Comfort()
    announcer.say(comfort.speech("first"))
    await asyncio.sleep(0)
    for each in range(MAX_WAITING):
        announcer.say(comfort.speech(str(each)))
    with pytest.raises(ResourceConstraint):
        announcer.say(comfort.speech("too much"))
    announcer.came("Alice")
    for is_recorded in (True, False, True):
        announcer.recorded(is_recorded, is_heard=True)
    assert await stage.said() == ("first",)
    assert await stage.said() == (TEXTS["recording_begun"],)
    announcer.recorded(False, is_heard=True)
    assert await stage.said() == (TEXTS["recording_ended"],)
    assert await stage.said() == ("Alice has joined.",)
    assert await stage.said() == ("first",)
    assert await stage.said() == ("0",)
    assert stage.is_said == [True, False] * 5 + [True]


async def test_a_recording_that_has_ended_before_anybody_was_told_is_told_of_all_the_same(stage: Hall) -> None:
    for is_recorded in (True, False):
        stage.announcer.recorded(is_recorded, is_heard=True)
    assert await stage.said() == (TEXTS["recording_begun"],)
    assert await stage.said() == (TEXTS["recording_ended"],)


async def test_who_comes_when_nobody_is_there_to_be_told_is_told_only_of_its_end(stage: Hall) -> None:
    stage.announcer.recorded(True, is_heard=False)
    stage.announcer.recorded(False, is_heard=True)
    assert await stage.said() == (TEXTS["recording_ended"],)


async def test_names_of_those_who_come_while_something_is_said_are_said_together(stage: Hall) -> None:
    stage.announcer.came("Alice")
    await asyncio.sleep(0)
    for name in "BCD":
        stage.announcer.came(name)
    assert await stage.said() == ("Alice has joined.",)
    assert await stage.said() == ("B has joined. C has joined. D has joined.",)


async def test_who_comes_and_goes_all_the_time_lets_others_be_told_something_else(stage: Hall) -> None:
    announcer = stage.announcer
    announcer.came("A" * 1000)
    await asyncio.sleep(0)
    announcer.say(Comfort().speech("Tea is ready."))
    for name in "BCDE":
        announcer.came(name)
        announcer.went(name)
    assert await stage.said() == (f"{'A' * 40} has joined.",)
    assert await stage.said() == ("Tea is ready.",)
    assert await stage.said() == ("4 people have joined.", "4 people have left.")


async def test_what_has_just_been_said_is_not_said_again_for_a_recording_that_begins(stage: Hall) -> None:
    stage.announcer.say(Comfort().speech("first"))
    component, _ = await stage.begins()
    stage.end(component)
    stage.announcer.recorded(True, is_heard=True)
    assert await stage.said() == (TEXTS["recording_begun"],)
    stage.announcer.say(Comfort().speech("second"))
    assert await stage.said() == ("second",)
