"""What somebody hears who is alone, and how loud, of a server that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from focus.conference.comfort import Comfort
from focus.conference.solitude import DUCK, FADE, Solitude
from focus.wire.conditions import OptionNotSupported
from focus.wire.jid import JID
from focus.wire.rayo_component import Stop
from focus.wire.rayo_output import VolumeDown, VolumeUp
from focus.wire.session import Session

from .stage import CALL, Stage

OTHER = JID("other", "focus.example.org")
NOW = datetime(2026, 1, 5, tzinfo=UTC)


class Cell(Stage):
    """With one in it."""

    def __init__(self) -> None:
        super().__init__()
        self.solitude = Solitude(self, self.executions, Comfort(music=("file:///music.ogg",), music_after=5.0))
        self.come(CALL)

    def come(self, call: JID) -> None:
        session = Session(sid="a", peer=f"{call.local}@example.org/x", local="tea@focus.example.org", connected=True)
        self.roster = self.roster.with_session(call, session, NOW)
        self.solitude.look()

    async def told(self, *commands: type) -> None:
        """Nothing but these, by now."""
        await asyncio.sleep(10)
        assert [type(each) for each in self.commands] == list(commands)
        self.commands.clear()


@pytest.fixture
async def cell() -> AsyncIterator[Cell]:
    cell = Cell()
    yield cell
    cell.close()


async def test_while_something_is_said_the_music_is_quieter(cell: Cell) -> None:
    component, output = await cell.begins()
    assert (component.bare, output.repeat_times) == (CALL, 0)
    await cell.told()
    cell.solitude.said(True)
    cell.solitude.said(True)
    await cell.told(*[VolumeDown] * DUCK)
    cell.solitude.said(False)
    await cell.told()
    cell.solitude.said(False)
    await cell.told(*[VolumeUp] * DUCK)


async def test_music_that_begins_while_something_is_said_begins_quietly(cell: Cell) -> None:
    cell.solitude.said(True)
    await cell.begins()
    await cell.told(*[VolumeDown] * DUCK)
    cell.solitude.said(False)
    await cell.told(*[VolumeUp] * DUCK)


async def test_the_music_fades_when_somebody_comes_and_is_not_made_louder_again(cell: Cell) -> None:
    await cell.begins()
    cell.solitude.said(True)
    await cell.told(*[VolumeDown] * DUCK)
    cell.come(OTHER)
    await asyncio.sleep(0)
    cell.solitude.said(False)
    await cell.told(*[VolumeDown] * FADE, Stop)


async def test_music_that_cannot_be_played_is_no_matter_and_is_tried_again_for_the_next(
    cell: Cell, caplog: pytest.LogCaptureFixture
) -> None:
    cell.refusal = OptionNotSupported("it is not there any more")
    await asyncio.sleep(10)
    assert "who is alone hears nothing: " in caplog.text
    cell.refusal = None
    cell.come(OTHER)
    cell.roster = cell.roster.without(CALL)
    cell.solitude.look()
    assert (await cell.begins())[0].bare == OTHER


@pytest.mark.parametrize("company", ["mixer", "cascade"])
async def test_who_is_joined_with_another_conference_is_not_alone(cell: Cell, company: str) -> None:
    if company == "mixer":
        cell.roster = cell.roster.with_mixer(OTHER, NOW)
    else:
        cell.roster = cell.roster.with_cascaded(CALL, "xmpp:coffee@focus.example.org")
    cell.solitude.look()
    await asyncio.sleep(10)
    assert cell.begun.empty()
    cell.roster = replace(cell.roster, mixers={}).with_cascaded(CALL, None)  # type: ignore[arg-type]
    cell.solitude.look()
    await cell.begins()
