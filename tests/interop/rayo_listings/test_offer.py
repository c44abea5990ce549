"""Listings 25 and 26: a call is offered to several, and is the first one's (XEP-0327 section 6.2.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from focus.wire.jid import JID
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Conversation, listings

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, romeo = await stage.registered("juliet/balcony"), await stage.registered("romeo/orchard")
    alice, desk = await stage.program("alice"), stage.at("everybody")
    stage.proposes(alice, desk, "p1", {"x-skill": "agent", "x-customer-id": "8877"})
    for client in (juliet, romeo):
        offer = await client.hears(f"""
            <presence from='*' to='{client}'>
              <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:xmpp:rayo:call:1' ver='*'/>
              <offer xmlns='urn:xmpp:rayo:1'
                     to='{desk.uri}'
                     from='{alice.jid.uri}'>
                <header name="x-skill" value="agent" />
                <header name="x-customer-id" value="8877" />
              </offer>
            </presence>""")
        await client.verifies(offer)
    call = JID.parse(offer.get("from", ""))
    yield 25

    await romeo.ask(call, "set", "<accept xmlns='urn:xmpp:rayo:1'/>")
    juliet.says(f"<iq to='{call}' type='set' id='h7ed2'><accept xmlns='urn:xmpp:rayo:1'/></iq>")
    await juliet.is_refused(call, "h7ed2", "cancel", "conflict")
    yield 26


@listings(25, 26)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
