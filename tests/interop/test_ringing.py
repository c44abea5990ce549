"""People who are absent are called into a conference: real phones that ring, refuse, and come after all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from focus.service.config import RingingSettings, RoomSettings
from focus.service.phone import Answering
from focus.service.prosody import Prosody
from tests.interop.callers import AiortcCaller, CallerFactory, assert_hears
from tests.interop.running import PhoneFactory, RunningFocus, eventually, serve, settings_for
from tests.media.peers import level
from tests.service.phones import listened

pytestmark = pytest.mark.interop

BOB = "bob@localhost"


@pytest.fixture
async def focus(prosody: Prosody) -> AsyncIterator[RunningFocus]:
    """Which calls Bob into every conference, again after a second, and Carol into that of one room."""
    settings = settings_for(prosody, invite=(BOB,)).model_copy(
        update={
            "ringing": RingingSettings(pauses=(1.0, 1.0)),
            "rooms": (RoomSettings(name="milk", invite=("carol@localhost",)),),
        }
    )
    async with serve(prosody, settings) as running:
        yield running


async def endpoint(one: AiortcCaller, name: str, **wanted: Any) -> None:
    """Until a document says so of somebody."""
    while True:
        document = await one.document()
        found = [user.endpoints[0] for user in document.users.users if user.display_text == name]  # type: ignore[union-attr]
        if found and all(getattr(found[0], key) == value for key, value in wanted.items()):
            return


async def test_who_is_absent_is_rung_refuses_is_rung_again_and_is_heard(
    focus: RunningFocus, caller: CallerFactory, listening: PhoneFactory
) -> None:
    bob = await listening("bob", 440, "busy")
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("tea"))
    ended = await bob.wait_for("ended")
    assert ended["reason"] == "busy"
    await endpoint(alice, "bob", status="disconnected", disconnection_method="busy")
    bob.listen(Answering())  # now he has time
    await bob.wait_for("connected", since=ended)
    await endpoint(alice, "bob", status="connected", joining_method="dialed-out")
    await assert_hears(alice, [440], 300)
    assert level(await listened(bob), 300) > -30
    await alice.hang_up()


async def test_who_declines_is_left_alone(focus: RunningFocus, caller: CallerFactory, listening: PhoneFactory) -> None:
    bob = await listening("bob", 440, "decline")
    carol = await listening("carol", 660)
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("milk"))
    await bob.wait_for("ended")
    await carol.wait_for("connected")
    await endpoint(alice, "bob", status="disconnected", disconnection_method="failed")
    await alice.document_of("alice", "carol")
    (conference,) = focus.service._application.conferences
    await eventually(lambda: not conference.callout.is_active)
