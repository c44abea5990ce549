"""Listings 12 and 13: a client is there, and wants no calls (XEP-0327 section 6.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Conversation, listings

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, alice = await stage.rayo_client("juliet/balcony"), await stage.program("alice")
    desk = stage.at("juliet-desk")
    juliet.says(f"""
        <presence from='{juliet}' to='{stage.service}'>
          <c xmlns='http://jabber.org/protocol/caps'
             hash='sha-1'
             node='urn:xmpp:rayo:client:1'
             ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>
         <show>chat</show>
        </presence>""")
    await juliet.has_heard_all()
    stage.proposes(alice, desk, "first")
    offer = await juliet.hears(f"""
        <presence from='*' to='{juliet}'>
          <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:xmpp:rayo:call:1' ver='*'/>
          <offer xmlns='urn:xmpp:rayo:1' to='{desk.uri}' from='{alice.jid.uri}'/>
        </presence>""")
    yield 12

    call = JID.parse(offer.get("from", ""))
    await juliet.ask(call, "set", "<hangup xmlns='urn:xmpp:rayo:1'/>")
    await juliet.hears(f"""
        <presence from='{call}' to='{juliet}' type='unavailable'>
          <end xmlns='urn:xmpp:rayo:1'><hangup-command platform-code='success'/></end>
        </presence>""")
    juliet.says(f"""
        <presence from='{juliet}' to='{stage.service}'>
          <c xmlns='http://jabber.org/protocol/caps'
             hash='sha-1'
             node='urn:xmpp:rayo:client:1'
             ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>
         <show>dnd</show>
        </presence>""")
    await juliet.has_heard_all()
    stage.proposes(alice, desk, "second")
    refusal = await alice.expect_child(f"{{{JMI_0}}}reject", id="second")
    assert refusal[0].find("{*}reason/{*}gone") is not None
    await juliet.has_heard_all()
    yield 13


@listings(12, 13)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
