"""Who is heard and who hears, as the `senders` of a content say in mid-call (XEP-0166 section 7.2.3)."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.callers import AiortcCaller, CallerFactory
from tests.interop.running import PATIENCE, RunningFocus
from tests.media.peers import level

pytestmark = [pytest.mark.interop, pytest.mark.any_server]


async def until_heard(ear: AiortcCaller, mouth: AiortcCaller, heard: bool) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            samples = await ear.connection.ear.within(0.3)
            loud = len(samples) > 4800 and level(samples, mouth.connection.track.frequency) > -40
            if loud is heard:
                return


async def test_each_direction_has_its_effect_in_the_mix(focus: RunningFocus, caller: CallerFactory) -> None:
    """Alice is the initiator; who only listens to her side is Bob, whose own side stays as it is."""
    alice, bob = await caller("alice", 300), await caller("bob", 440)
    for one in (alice, bob):
        await one.call(focus.mixer("tea"))
    for senders, is_heard, hears, status in (
        ("both", True, True, "sendrecv"),
        ("initiator", True, False, "sendonly"),
        ("none", False, False, "inactive"),
        ("responder", False, True, "recvonly"),
        ("both", True, True, "sendrecv"),
    ):
        await alice.jingle("content-modify", f"<content creator='initiator' name='a0' senders='{senders}'/>")
        await until_heard(bob, alice, is_heard)
        await until_heard(alice, bob, hears)
        told = ""
        while told != status:
            document = await bob.document()
            assert document.users is not None
            found = [user for user in document.users.users if user.display_text == "alice"]
            (user,) = found or (None,)
            told = str(user.endpoints[0].media[0].status) if user is not None and user.endpoints[0].media else ""
