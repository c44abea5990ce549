"""Clients of the field call a room, and are called by it, each as it speaks: see `tests/interop/conversation.py`."""

from __future__ import annotations

import pytest

from focus.wire.jingle import JINGLE
from tests.interop.callers import CallerFactory
from tests.interop.conversation import NAMES, Conversation
from tests.interop.running import ClientFactory, RunningFocus, eventually
from tests.media.peers import PeerConnection, closing

pytestmark = [pytest.mark.interop, pytest.mark.any_server]


@pytest.mark.parametrize("name", NAMES)
async def test_a_client_is_understood(
    focus: RunningFocus, client: ClientFactory, caller: CallerFactory, name: str
) -> None:
    room = focus.mixer("tea")
    other = await caller("bob", 660)
    await other.call(room)
    connection = PeerConnection(440)
    async with closing(connection):
        conversation = Conversation(name, await client(f"alice/{name}"), connection, room)
        await conversation.play(other, await client("controller"))
        await eventually(lambda: focus.service.calls() == 1)
    assert conversation.heard
    left = [each for each in conversation.client.received if each.find(f"{{{JINGLE}}}jingle") is not None]
    assert left == [], "it was told what it does not mind"
