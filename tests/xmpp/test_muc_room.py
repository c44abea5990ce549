"""What a room is asked while it changes; the rest of rooms is proven on a real server (`test_muc.py`)."""

from __future__ import annotations

import asyncio
from typing import Literal
from xml.etree import ElementTree as ET

from focus.conference.room import Rules
from focus.wire.jid import JID
from focus.xmpp.muc import MucRooms
from focus.xmpp.muc_room import MucRoom
from tests.rayo.scene import settled
from tests.xmpp.test_binding import FakeConnection
from tests.xmpp.test_muc import MUC, ROOM, US, Observer

CHANGED = (
    f"<message xmlns='jabber:client' from='{ROOM}' type='groupchat'><x xmlns='{MUC}#user'><status code='104'/></x>"
    "</message>"
)


class SlowServer(FakeConnection):
    """Answers when it is told to, each question as the room was when that was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[asyncio.Future[None]] = []

    async def iq(
        self, sender: JID, to: JID, type: Literal["get", "set"], child: ET.Element | None, timeout: float = 10.0
    ) -> ET.Element:
        result = await super().iq(sender, to, type, child, timeout)
        self.questions.append(asyncio.get_running_loop().create_future())
        await self.questions[-1]
        return result


async def test_the_newest_rules_stand_however_often_they_change() -> None:
    server, observer = SlowServer(), Observer()
    room = MucRoom(MucRooms(server, US, ROOM.domain), ROOM, US, observer, "")
    for features in (["muc_membersonly"], ["muc_passwordprotected"], ["muc_membersonly", "muc_passwordprotected"]):
        server.features = features
        room.message("", ET.fromstring(CHANGED))
        await settled()
    assert len(server.questions) == 1, "one after the other"
    server.questions[0].set_result(None)
    await settled()
    assert len(server.questions) == 2, "one for all changes meanwhile"
    server.questions[1].set_result(None)
    await server.idle()
    assert room.rules == Rules(members_only=True, password_protected=True)
    assert await observer.hears("rules") == ("rules", Rules(members_only=True))
    assert await observer.hears("rules") == ("rules", room.rules)
