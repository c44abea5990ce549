"""Comfort on the whole service: as it is configured, on a real server, by callers who press keys and listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from focus.service.comfort import TONES, ComfortSettings
from focus.wire.commands import COMMANDS
from focus.wire.conditions import Forbidden
from focus.wire.conference_info import Endpoint
from focus.xmpp.commands import ANNOUNCE
from tests.conference.hearing import sound
from tests.interop.callers import AiortcCaller, CallerFactory, assert_hears, until_gone
from tests.interop.running import ClientFactory, RunningFocus, serve, settings_for
from tests.interop.servers import Server

pytestmark = pytest.mark.interop

MUSIC, ENTRY = 880.0, 1500.0


@pytest.fixture
async def focus(prosody: Server, tmp_path: Path) -> AsyncIterator[RunningFocus]:
    for name, frequency in (("music", MUSIC), ("entry", ENTRY)):
        sound(tmp_path / f"{name}.wav", frequency, 3)
    comfort = ComfortSettings.model_validate(
        {"music": tmp_path / "music.wav", "music_after": 0.0, "entry": f"{tmp_path}/entry.wav", "exit": "tone"}
    )
    settings = settings_for(prosody).model_copy(update={"comfort": (comfort,)})
    async with serve(prosody, settings) as running:
        yield running


async def press(caller: AiortcCaller, keys: str) -> None:
    """One after another, without waiting."""
    told = [f"<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='{key}'/>" for key in keys]
    await asyncio.gather(*(caller.jingle("session-info", each) for each in told))


async def shown(one: AiortcCaller, name: str, status: str, hand: bool) -> Endpoint:
    """What is shown of somebody, as soon as it is so."""
    document = one.conference.document or await one.document()
    while True:
        for user in document.users.users if document.users is not None else ():
            for endpoint in user.endpoints if user.display_text == name else ():
                if [media.status for media in endpoint.media] == [status] and (endpoint.hand is not None) is hand:
                    return endpoint
        document = await one.document()


async def test_a_caller_hears_music_and_who_comes_and_mutes_himself_by_keys(
    focus: RunningFocus, caller: CallerFactory, client: ClientFactory
) -> None:
    alice, bob = await caller("alice", 300), await caller("bob", 440)
    await alice.call(focus.mixer("tea"))
    await alice.connection.ear.until_heard(MUSIC)
    await bob.call(focus.mixer("tea"))
    await alice.connection.ear.until_heard(ENTRY)
    await assert_hears(alice, [440], 300)
    await until_gone(alice, MUSIC)

    await press(alice, "*6*9")
    assert (await shown(bob, "alice", "recvonly", True)).status == "connected"
    await until_gone(bob, 300)
    await press(alice, "*6*9*7*8")
    await shown(bob, "alice", "sendrecv", False)
    await assert_hears(bob, [300], 440)

    form = "<x xmlns='jabber:x:data' type='submit'><field var='text'><value>Tea is ready</value></field></x>"
    command = f"<command xmlns='{COMMANDS}' node='{ANNOUNCE}'>{form}</command>"
    controller = await client("controller")
    answer = await controller.ask(focus.mixer("tea"), "set", command)
    assert answer[0].get("status") == "completed"
    with pytest.raises(Forbidden):
        await alice.client.ask(focus.mixer("tea"), "set", command)
    with (await focus.service._server._facilities.fetch(TONES["exit"].as_uri())).file as tone:  # type: ignore[misc]
        assert tone.read(4) == b"RIFF"
