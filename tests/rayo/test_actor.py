"""Actors: an ordered mailbox, and what becomes of those who wait when one ends."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from focus.rayo.actor import Actor, Outcome, on
from focus.wire.conditions import FeatureNotImplemented, InternalServerError, ItemNotFound, NotTheOwner
from focus.wire.jid import JID
from focus.wire.rayo import Accept, Answer, Command, Hangup, Ref, Unjoin

SENDER = JID.parse("juliet@example.org/balcony")
ADDRESS = JID.parse("actor@focus.example.org")


class Clerk(Actor):
    """Answers slowly, and remembers."""

    def __init__(self) -> None:
        super().__init__(ADDRESS)
        self.done: list[str] = []
        self.may_go_on = asyncio.Event()

    def authorize(self, sender: JID, command: Command) -> None:
        if sender.domain != "example.org":
            raise NotTheOwner("not yours")

    @on(Accept)
    async def slow(self, sender: JID, command: Accept) -> Outcome:
        await self.may_go_on.wait()
        self.done.append("slow")
        return None

    @on(Answer)
    async def quick(self, sender: JID, command: Answer) -> Outcome:
        self.done.append("quick")
        return Ref(uri="xmpp:somebody@example.org")

    @on(Hangup)
    async def broken(self, sender: JID, command: Hangup) -> Outcome:
        raise ZeroDivisionError


class Junior(Clerk):
    """Knows what its elder knows, and does one thing in its own way."""

    @on(Hangup)
    async def repaired(self, sender: JID, command: Hangup) -> Outcome:
        return None


@pytest.fixture
async def clerk() -> AsyncIterator[Clerk]:
    clerk = Clerk()
    task = asyncio.create_task(clerk.run())
    yield clerk
    clerk.may_go_on.set()
    clerk.close()
    await task


async def test_commands_are_carried_out_in_their_order(clerk: Clerk) -> None:
    slow, quick = clerk.submit(SENDER, Accept()), clerk.submit(SENDER, Answer())
    await asyncio.sleep(0)
    assert not slow.done()
    assert not quick.done()
    clerk.may_go_on.set()
    assert await slow is None
    assert await quick == Ref(uri="xmpp:somebody@example.org")
    assert clerk.done == ["slow", "quick"]


async def test_a_crash_is_an_internal_server_error_and_the_actor_goes_on(
    clerk: Clerk, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InternalServerError):
        await clerk.submit(SENDER, Hangup())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert await clerk.submit(SENDER, Answer()) is not None


async def test_what_nobody_has_a_method_for_is_not_implemented(clerk: Clerk) -> None:
    with pytest.raises(FeatureNotImplemented):
        await clerk.submit(SENDER, Unjoin())


async def test_who_may_not_command_is_refused(clerk: Clerk) -> None:
    with pytest.raises(NotTheOwner):
        await clerk.submit(JID.parse("romeo@montague.lit/orchard"), Answer())
    assert clerk.done == []


async def test_a_closed_actor_is_not_found(clerk: Clerk) -> None:
    clerk.close()
    with pytest.raises(ItemNotFound):
        await clerk.submit(SENDER, Answer())


async def test_what_waits_when_an_actor_closes_is_refused_and_not_done(clerk: Clerk) -> None:
    slow, quick = clerk.submit(SENDER, Accept()), clerk.submit(SENDER, Answer())
    await asyncio.sleep(0)
    clerk.close()
    clerk.may_go_on.set()
    await slow
    with pytest.raises(ItemNotFound):
        await quick
    assert clerk.done == ["slow"]


async def test_nobody_waits_for_an_actor_that_was_cancelled() -> None:
    clerk = Clerk()
    task = asyncio.create_task(clerk.run())
    slow, quick = clerk.submit(SENDER, Accept()), clerk.submit(SENDER, Answer())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for answer in (slow, quick, clerk.submit(SENDER, Answer())):
        with pytest.raises(ItemNotFound):
            await answer


async def test_a_sender_that_has_gone_costs_nobody_anything(clerk: Clerk) -> None:
    gone, quick = clerk.submit(SENDER, Accept()), clerk.submit(SENDER, Answer())
    await asyncio.sleep(0)
    gone.cancel()
    clerk.may_go_on.set()
    assert await quick is not None


async def test_methods_are_inherited_and_replaced() -> None:
    junior = Junior()
    task = asyncio.create_task(junior.run())
    assert await junior.submit(SENDER, Hangup()) is None
    assert await junior.submit(SENDER, Answer()) is not None
    junior.close()
    await task
