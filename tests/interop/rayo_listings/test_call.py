"""Listings 1 to 11: a call from its offer to its end (XEP-0327 section 4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from focus.wire.jid import JID
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Conversation, is_spoken_to, listings
from tests.interop.running import PATIENCE

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, alice = await stage.registered("juliet/balcony"), await stage.caller("alice")
    desk = stage.at("juliet-desk")
    calling = stage.begins(alice.call(desk))
    offer = await juliet.hears(f"""
        <presence from='*' to='{juliet}'>
          <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:xmpp:rayo:call:1' ver='*'/>
          <offer xmlns='urn:xmpp:rayo:1' to='{desk.uri}' from='{alice.client.jid.uri}'/>
        </presence>""")
    call = JID.parse(offer.get("from", ""))
    yield 1
    juliet.says(f"""
        <iq from='{juliet}' to='{call}' type='set' id='hd721'>
          <accept xmlns='urn:xmpp:rayo:1'/>
        </iq>""")
    yield 2
    await juliet.is_answered(call, "hd721")
    yield 3
    juliet.says(f"""
        <iq from='{juliet}' to='{call}' type='set' id='43jo3'>
          <answer xmlns='urn:xmpp:rayo:1'/>
        </iq>""")
    yield 4
    await juliet.is_answered(call, "43jo3")
    async with asyncio.timeout(PATIENCE):
        await calling
    yield 5

    juliet.says(f"""
        <iq from='{juliet}' to='{call}' type='set' id='j9d3j'>
          <output xmlns='urn:xmpp:rayo:output:1' voice='en-us'>
            <document content-type="text/plain">
              <![CDATA[
                You have no new messages. Goodbye!
              ]]>
            </document>
          </output>
        </iq>""")
    yield 6
    result = await juliet.hears(f"""
        <iq from='{call}' to='{juliet}' type='result' id='j9d3j'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    component = JID.from_uri(result[0].get("uri", ""))
    assert component.bare == call
    await is_spoken_to(alice)
    yield 7
    await juliet.hears(f"""
        <presence from='{component}' to='{juliet}' type='unavailable'>
          <complete xmlns='urn:xmpp:rayo:ext:1'>
            <finish xmlns='urn:xmpp:rayo:output:complete:1'/>
          </complete>
        </presence>""")
    yield 8

    juliet.says(f"""
        <iq from='{juliet}' to='{call}' type='set' id='f3wh8'>
          <hangup xmlns='urn:xmpp:rayo:1'/>
        </iq>""")
    yield 9
    await juliet.is_answered(call, "f3wh8")
    yield 10
    await juliet.hears(f"""
        <presence from='{call}' to='{juliet}' type='unavailable'>
          <end xmlns='urn:xmpp:rayo:1'>
            <hangup-command platform-code='success'/>
          </end>
        </presence>""")
    await alice.client.expect_child("{urn:xmpp:jingle:1}jingle", action="session-terminate")
    yield 11


@listings(*range(1, 12))
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
