"""Listings 42 to 44: a mixer is made, and tells who speaks (XEP-0327 section 6.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from focus.wire.jid import JID
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Conversation, is_spoken_to, listings, tones

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet = await stage.registered("juliet/balcony")
    people = {name: await stage.caller(name) for name in ("alice", "bob")}
    alice, bob = (one.connection.track for one in people.values())
    call_a, call_b = [await stage.takes(juliet, one, stage.at("juliet-desk")) for one in people.values()]
    mixer = stage.at("mymixer")  # addresses have no capitals

    juliet.says(f"""
        <iq from='{juliet}' to='{call_a}' type='set' id='h7ed2'>
          <join xmlns='urn:xmpp:rayo:1' mixer-name='myMixer'/>
        </iq>""")
    shown = await juliet.hears(f"""
        <presence from='{mixer}' to='{juliet}'>
          <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:xmpp:rayo:mixer:1' ver='*'/>
        </presence>""")
    await juliet.hears(f"""
        <iq from='{call_a}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='{mixer.uri}'/>
        </iq>""")
    await juliet.hears(f"""
        <presence from='{call_a}' to='{juliet}'>
          <joined xmlns='urn:xmpp:rayo:1' mixer-name='myMixer'/>
        </presence>""")
    await juliet.hears(f"""
        <presence from='{mixer}' to='{juliet}'>
          <joined xmlns='urn:xmpp:rayo:1' call-uri='{call_a.uri}'/>
        </presence>""")
    await juliet.ask(call_b, "set", "<join xmlns='urn:xmpp:rayo:1' mixer-name='myMixer'/>")
    await juliet.hears(f"""
        <presence from='{call_b}' to='{juliet}'>
          <joined xmlns='urn:xmpp:rayo:1' mixer-name='myMixer'/>
        </presence>""")
    await juliet.hears(f"""
        <presence from='{mixer}' to='{juliet}'>
          <joined xmlns='urn:xmpp:rayo:1' call-uri='{call_b.uri}'/>
        </presence>""")
    await tones(people, alice="bob", bob="alice")
    await juliet.verifies(shown)
    yield 42

    juliet.says(f"""
        <iq from='{juliet}' to='{mixer}' type='set' id='h7ed2'>
          <output xmlns='urn:xmpp:rayo:output:1'>
            <document content-type='text/plain'>
              Thanks for calling, goodbye!
            </document>
          </output>
        </iq>""")
    result = await juliet.hears(f"""
        <iq from='{mixer}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    alice.quiet = bob.quiet = True
    await asyncio.gather(is_spoken_to(people["alice"]), is_spoken_to(people["bob"]))
    component = JID.from_uri(result[0].get("uri", ""))
    await juliet.hears(f"""
        <presence from='{component}' to='{juliet}' type='unavailable'>
          <complete xmlns='urn:xmpp:rayo:ext:1'>
            <finish xmlns='urn:xmpp:rayo:output:complete:1'/>
          </complete>
        </presence>""")
    yield 43

    for track, call in ((alice, call_a), (bob, call_b)):  # who have spoken from the start
        track.quiet = True
        await juliet.expect_child("{urn:xmpp:rayo:1}stopped-speaking", **{"call-uri": call.uri})
    await juliet.forgets()
    for track, what, call in (
        (alice, "started", call_a),
        (bob, "started", call_b),
        (bob, "stopped", call_b),
        (alice, "stopped", call_a),
    ):
        track.quiet = what == "stopped"
        await juliet.hears(f"""
            <presence from='{mixer}' to='{juliet}'>
              <{what}-speaking xmlns='urn:xmpp:rayo:1' call-uri='{call.uri}'/>
            </presence>""")
    yield 44


@listings(42, 43, 44)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
