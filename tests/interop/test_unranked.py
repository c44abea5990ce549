"""The focus in rooms of a server that has not been told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from focus.service.prosody import Prosody
from focus.wire.jid import JID
from tests.interop.callers import CallerFactory
from tests.interop.mucs import MUC, MucRoom, refused
from tests.interop.running import ClientFactory, serve, settings_for

pytestmark = pytest.mark.interop


@pytest.fixture
async def prosody(state_dir: Path) -> AsyncIterator[Prosody]:
    """A server whose configuration does not know the focus, but an owner of all rooms."""
    server = Prosody(state_dir / "prosody")
    server.admins = ("owner@localhost",)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_a_focus_that_is_not_shown_who_is_who_says_so(
    prosody: Prosody, client: ClientFactory, caller: CallerFactory
) -> None:
    room = MucRoom(JID("tea", prosody.rooms), await client("owner"))
    await room.enter(room.owner, "Owner")
    await room.configure()
    async with serve(prosody, settings_for(prosody, strangers=False)) as focus:
        alice = await caller("alice", 300)
        await room.enter(alice.client, "Alice")
        reason = await refused(alice, focus.mixer("tea"))
        assert (reason.condition, reason.text) == (
            "decline",
            f"in the room {room.jid} the focus is not shown who is who",
        )
        await room.administrate(nick="focus", role="moderator")
        await alice.client.expect(
            "rank", lambda stanza: stanza.find(f".//{{{MUC}#user}}item[@role='moderator']") is not None
        )
        alice.sid = "again"
        await alice.call(focus.mixer("tea"))
        await alice.document_of("Alice")
