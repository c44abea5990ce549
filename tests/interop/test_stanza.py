"""stanza.js in a real Chromium calls a room, talks, mutes, hangs up, and is called into it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from focus.wire.jid import JID
from tests.interop.browser import chromium, hears
from tests.interop.callers import AiortcCaller, CallerFactory, assert_hears, until_gone
from tests.interop.running import PASSWORD, ClientFactory, RunningFocus, eventually
from tests.interop.stanza_client import StanzaJs

pytestmark = [pytest.mark.interop, pytest.mark.browser]

RAYO = "urn:xmpp:rayo:1"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    # The page comes from no server, and so from no network from which it might speak to loopback.
    async with chromium("--disable-features=LocalNetworkAccessChecks") as running:
        yield running


async def bob_of(focus: RunningFocus, browser: Browser, *, invitations: bool) -> StanzaJs:
    jid = f"bob@{focus.prosody.domain}"
    await focus.prosody.add_user(jid, PASSWORD)
    return await StanzaJs.log_in(browser, jid, PASSWORD, focus.prosody.websocket, 440, invitations=invitations)


async def shown(one: AiortcCaller, name: str, status: str) -> None:
    """Until somebody's audio has this direction in the conference documents."""
    while True:
        document = await one.document()
        assert document.users is not None
        (user,) = [user for user in document.users.users if user.display_text == name]
        if user.endpoints[0].media[0].status == status:
            return


@pytest.mark.parametrize("invitations", [False, True], ids=["straight", "invited"])
async def test_it_calls_a_room_and_is_called_into_it(
    focus: RunningFocus, client: ClientFactory, caller: CallerFactory, browser: Browser, invitations: bool
) -> None:
    room = focus.mixer("tea")
    alice = await caller("alice", 300)
    await alice.call(room)
    bob = await bob_of(focus, browser, invitations=invitations)
    await bob.call(room if invitations else room.with_resource("focus"))
    await bob.told("accepted")
    await alice.document_of("alice", "bob")
    await hears(bob.page, 300, not_=440)
    await assert_hears(alice, [440], 300)
    await bob.mute(True)
    await shown(alice, "bob", "recvonly")
    await bob.mute(False)
    await shown(alice, "bob", "sendrecv")
    await bob.end()
    await alice.document_of("alice")
    await until_gone(alice, 440)
    await bob.hears_nothing_of(300)

    controller = await client("controller")
    called = bob.jid.bare if invitations else bob.jid
    result = await controller.ask(
        JID("", focus.prosody.focus),
        "set",
        f"<dial xmlns='{RAYO}' to='xmpp:{called}' from='{room.uri}'><join mixer-name='tea'/></dial>",
    )
    if invitations:
        await bob.told("propose")
    await bob.told(f"incoming {room.with_resource('focus')}")
    await alice.document_of("alice", "bob")
    await hears(bob.page, 300, not_=440)
    await assert_hears(alice, [440], 300)
    call = JID.from_uri(result[0].get("uri", ""))
    await controller.ask(call, "set", f"<hangup xmlns='{RAYO}'/>")
    await bob.told("terminated success")
    await alice.document_of("alice")
    await alice.hang_up()
    await eventually(lambda: focus.service.calls() == 0)


@pytest.mark.any_server
async def test_it_restarts_ice_in_mid_call(focus: RunningFocus, caller: CallerFactory, browser: Browser) -> None:
    """XEP-0176 section 5.9, as a client does it that has come to another network."""
    room = focus.mixer("tea")
    alice = await caller("alice", 300)
    await alice.call(room)
    bob = await bob_of(focus, browser, invitations=False)
    await bob.call(room.with_resource("focus"))
    await bob.told("accepted")
    await hears(bob.page, 300, not_=440)
    for _ in range(2):
        await bob.restart_ice()
        await hears(bob.page, 300, not_=440)
        await assert_hears(alice, [440], 300)
    await bob.end()
    await alice.document_of("alice")
    await alice.hang_up()
    await eventually(lambda: focus.service.calls() == 0)
