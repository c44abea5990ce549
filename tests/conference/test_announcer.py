"""What is said to all, and in which order, of an announcer whose output ends when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from xml.etree import ElementTree as ET

import pytest

from focus.conference.announcer import MAX_WAITING, Announcer
from focus.conference.comfort import NAME, TEXTS, Comfort
from focus.conference.executions import Executions
from focus.conference.roster import Roster
from focus.rayo.actor import Outcome
from focus.wire.conditions import ResourceConstraint
from focus.wire.jid import JID
from focus.wire.rayo import Command, Ref
from focus.wire.rayo_component import Complete, Stopped
from focus.wire.rayo_output import Output

TEA = JID("tea", "focus.example.org")


class Stage:
    """A conference and its server: what is to be said waits there."""

    def __init__(self, comfort: Comfort) -> None:
        self.roster = Roster(focus=TEA, room=JID("tea", "rooms.example.org"))
        self.begun: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
        self.tasks: list[asyncio.Task[None]] = []
        self._executions = Executions(self, TEA)
        self.announcer = Announcer(self, self._executions, comfort)

    def spawn(self, call: JID | None, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.ensure_future(work()))
        return self.tasks[-1]

    async def command(self, sender: JID, to: JID, command: Command) -> Outcome:
        assert isinstance(command, Output)
        self.begun.put_nowait(tuple("".join(ET.fromstring(each.body or "").itertext()) for each in command.documents))
        return Ref(uri="xmpp:tea@focus.example.org/output")

    async def said(self) -> tuple[str, ...]:
        """What is said next, to its end."""
        async with asyncio.timeout(30):
            texts = await self.begun.get()
            await asyncio.sleep(0)
        self._executions.deliver(JID.from_uri("xmpp:tea@focus.example.org/output"), Complete(reason=Stopped()))
        return texts


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(Comfort(entry=NAME, exit=NAME))
    yield stage
    for task in stage.tasks:
        task.cancel()


async def test_that_it_is_recorded_goes_before_all_that_waits_however_much_that_is(stage: Stage) -> None:
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
    assert await stage.said() == ("0",)


async def test_a_recording_that_has_ended_before_anybody_was_told_is_told_of_all_the_same(stage: Stage) -> None:
    for is_recorded in (True, False):
        stage.announcer.recorded(is_recorded, is_heard=True)
    assert await stage.said() == (TEXTS["recording_begun"],)
    assert await stage.said() == (TEXTS["recording_ended"],)


async def test_who_comes_when_nobody_is_there_to_be_told_is_told_only_of_its_end(stage: Stage) -> None:
    stage.announcer.recorded(True, is_heard=False)
    stage.announcer.recorded(False, is_heard=True)
    assert await stage.said() == (TEXTS["recording_ended"],)


async def test_who_comes_and_goes_all_the_time_lets_others_be_told_something_else(stage: Stage) -> None:
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
