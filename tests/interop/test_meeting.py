"""People talk in a room, and see who is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import numpy as np
import pytest

from tests.interop.callers import AiortcCaller
from tests.interop.conftest import ClientFactory, RunningFocus, eventually
from tests.media.peers import level

pytestmark = pytest.mark.interop

CallerFactory = Callable[[str, float], Awaitable[AiortcCaller]]


@pytest.fixture
async def caller(client: ClientFactory, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CallerFactory]:
    """Makes callers with accounts of their own. aiortc offers no loopback addresses by itself."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    async with AsyncExitStack() as closing:

        async def make(name: str, frequency: float) -> AiortcCaller:
            made = AiortcCaller(await client(name), frequency)
            closing.push_async_callback(made.close)
            return made

        yield make


def assert_hears(heard: np.ndarray, others: list[float], own: float) -> None:
    """All of the others, and not itself: its own tone is at least 40 dB below each of theirs."""
    levels = [level(heard, frequency) for frequency in others]
    assert min(levels) > -25, f"not heard: {dict(zip(others, levels, strict=True))}"
    assert level(heard, own) < min(levels) - 40


async def test_three_callers_hear_the_other_two(focus: RunningFocus, caller: CallerFactory) -> None:
    alice, bob, carol = [await caller(name, tone) for name, tone in (("alice", 300), ("bob", 440), ("carol", 660))]
    room = focus.mixer("tea")
    await alice.call(room, dialect=0)
    await bob.call(room, dialect=1, trickle=True)
    await carol.call(room, dialect=None)
    callers = {300.0: alice, 440.0: bob, 660.0: carol}

    for one in callers.values():
        await one.document_of("alice", "bob", "carol")
    for own, one in callers.items():
        others = [tone for tone in callers if tone != own]
        await one.connection.ear.until_heard(*others)
        assert_hears(await one.connection.ear.next(1.0), others, own)

    await bob.hang_up()
    for own, one in ((300.0, alice), (660.0, carol)):
        await one.document_of("alice", "carol")
        (other,) = {300.0, 660.0} - {own}
        await silence(one, 440.0)
        assert_hears(await one.connection.ear.next(1.0), [other], own)
    for one in (alice, carol):
        await one.hang_up()
    await eventually(lambda: focus.service.calls() == 0)


async def silence(one: AiortcCaller, frequency: float) -> None:
    async with asyncio.timeout(20):
        while level(await one.connection.ear.next(0.2), frequency) > -60:
            pass
