"""People talk in a room, and see who is there."""

from __future__ import annotations

import pytest

from tests.interop.callers import CallerFactory, assert_hears, until_gone
from tests.interop.running import RunningFocus, eventually

pytestmark = pytest.mark.interop


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
        await assert_hears(one, [tone for tone in callers if tone != own], own)

    await bob.hang_up()
    for own, one in ((300.0, alice), (660.0, carol)):
        await one.document_of("alice", "carol")
        assert one.told is not None
        assert one.told.state == "partial", "who is left need not be told again"
        (other,) = {300.0, 660.0} - {own}
        await until_gone(one, 440.0)
        await assert_hears(one, [other], own)
    for one in (alice, carol):
        await one.hang_up()
    await eventually(lambda: focus.service.calls() == 0)
