"""Calls for tests: offered, and answered."""

from __future__ import annotations

from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0
from focus.wire.rayo import Answer
from tests.jingle.pair import End as Caller

from .scene import DOMAIN, Client, Focus, eventually


async def call_in(focus: Focus, caller: Caller, owner: Client, room: str = f"tea@{DOMAIN}", number: int = 1) -> JID:
    """A call to `room` that is offered to `owner`."""
    session, _ = caller.call(JID.parse(room), JMI_0)
    await session.start()
    return await owner.offered(number)


async def answered(focus: Focus, caller: Caller, owner: Client, number: int = 1) -> JID:
    call = await call_in(focus, caller, owner, number=number)
    await owner.command(call, Answer())
    await caller.owners[-1].until("connected")
    await eventually(lambda: focus.call(call)._connected)
    return call
