"""The XMPP server falls and comes back under a running call."""

from __future__ import annotations

import pytest

from focus.service.prosody import Prosody
from focus.wire.conference_info import ConferenceInfo
from tests.interop.callers import CallerFactory, assert_hears, listed
from tests.interop.running import RunningFocus, eventually

pytestmark = pytest.mark.interop


def everybody_is_connected(document: ConferenceInfo) -> bool:
    assert document.users is not None
    return all(endpoint.status == "connected" for user in document.users.users for endpoint in user.endpoints)


async def test_the_audio_goes_on_while_the_server_is_down_and_everybody_is_told_anew(
    focus: RunningFocus, prosody: Prosody, caller: CallerFactory
) -> None:
    alice, bob = await caller("alice", 300), await caller("bob", 440)
    for one in (alice, bob):
        await one.call(focus.mixer("tea"))
    for one in (alice, bob):
        last = await one.document_of("alice", "bob")
        while not everybody_is_connected(last):
            last = await one.document()
    await assert_hears(alice, [440], 300)

    prosody.kill()
    await prosody.wait()
    await eventually(lambda: not focus.service.connected())
    await assert_hears(alice, [440], 300)
    await prosody.start()
    await eventually(focus.service.connected)
    for one in (alice, bob):
        await one.client.connect()
    for one in (alice, bob):
        document = await one.document()
        while one.told is None or one.told.state != "full":
            document = await one.document()
        assert listed(document) == ["alice", "bob"]
        assert (document.version or 0) > (last.version or 0)

    await assert_hears(alice, [440], 300)
    assert focus.service.calls() == 2
    await bob.hang_up()
    await alice.document_of("alice")


async def test_the_audio_goes_on_when_the_server_is_stopped_in_order(
    focus: RunningFocus, prosody: Prosody, caller: CallerFactory
) -> None:
    """A server that goes down says goodbye for everybody first; that is no reason to hang up."""
    alice, bob = await caller("alice", 300), await caller("bob", 440)
    for one in (alice, bob):
        await one.call(focus.mixer("tea"))
        one.client.send(f"<presence to='{focus.mixer('tea')}'/>")
    await assert_hears(alice, [440], 300)
    await prosody.stop()
    await eventually(lambda: not focus.service.connected())
    await prosody.start()
    await eventually(focus.service.connected)
    await assert_hears(alice, [440], 300)
    assert focus.service.calls() == 2
