"""Listings 27 to 41: calls are joined with each other, and parted (XEP-0327 sections 6.3.1 to 6.3.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from focus.wire.jid import JID
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Client, Conversation, listings, tones

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]


async def both_are(what: str, juliet: Client, one: JID, other: JID) -> None:
    """Both calls tell that they have been joined, or unjoined."""
    for sender, party in ((one, other), (other, one)):
        await juliet.hears(f"""
            <presence from='{sender}' to='{juliet}'>
              <{what} xmlns='urn:xmpp:rayo:1' call-uri='{party.uri}'/>
            </presence>""")


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, romeo = await stage.registered("juliet/balcony"), await stage.registered("romeo/orchard")
    people = {name: await stage.caller(name) for name in ("alice", "bob", "carol")}
    call_a, call_b, call_c = [await stage.takes(juliet, one, stage.at("juliet-desk")) for one in people.values()]
    await tones(people, alice="", bob="", carol="")

    juliet.says(f"""
        <iq from='{juliet}' to='{call_a}' type='set' id='h7ed2'>
          <join xmlns='urn:xmpp:rayo:1' call-uri='{call_b.uri}'/>
        </iq>""")
    await juliet.is_answered(call_a, "h7ed2")
    yield 27
    await both_are("joined", juliet, call_a, call_b)
    await tones(people, alice="bob", bob="alice", carol="")
    yield 28

    nobody = stage.at("call-c")
    juliet.says(f"<iq to='{call_a}' type='set' id='h7ed2'><join xmlns='urn:xmpp:rayo:1' call-uri='{nobody.uri}'/></iq>")
    await juliet.is_refused(call_a, "h7ed2", "cancel", "service-unavailable")
    yield 29
    stage.proposes(await stage.program("dan"), stage.at("romeo-desk"), "p1")
    his = JID.parse((await romeo.expect_child("{urn:xmpp:rayo:1}offer")).get("from", ""))
    await romeo.ask(his, "set", "<accept xmlns='urn:xmpp:rayo:1'/>")
    juliet.says(f"<iq to='{call_a}' type='set' id='h7ed2'><join xmlns='urn:xmpp:rayo:1' call-uri='{his.uri}'/></iq>")
    await juliet.is_refused(call_a, "h7ed2", "cancel", "not-allowed")
    yield 30
    juliet.says(f"<iq to='{call_a}' type='set' id='h7ed2'><join xmlns='urn:xmpp:rayo:1' call-uri='xmpp:'/></iq>")
    await juliet.is_refused(call_a, "h7ed2", "modify", "bad-request")
    yield 32
    juliet.says(f"""
        <iq to='{call_a}' type='set' id='h7ed2'>
          <join xmlns='urn:xmpp:rayo:1' call-uri='{call_b.uri}' media='direct' direction='recv'/>
        </iq>""")
    await juliet.is_refused(call_a, "h7ed2", "modify", "feature-not-implemented")
    yield 33
    await tones(people, alice="bob", bob="alice", carol="")  # as they were

    juliet.says(f"""
        <iq from='{juliet}' to='{call_a}' type='set' id='h7ed2'>
          <unjoin xmlns='urn:xmpp:rayo:1' call-uri='{call_b.uri}'/>
        </iq>""")
    await juliet.is_answered(call_a, "h7ed2")
    yield 35
    await both_are("unjoined", juliet, call_a, call_b)
    yield 39
    await tones(people, alice="", bob="", carol="")
    yield 34
    # The listing shows a <join/>; section 6.3.2.1 is about this.
    juliet.says(
        f"<iq to='{call_a}' type='set' id='h7ed2'><unjoin xmlns='urn:xmpp:rayo:1' call-uri='{call_b.uri}'/></iq>"
    )
    await juliet.is_refused(call_a, "h7ed2", "cancel", "service-unavailable")
    await tones(people, alice="", bob="", carol="")  # as they were
    yield 37
    juliet.says(f"<iq to='{call_a}' type='set' id='h7ed2'><unjoin xmlns='urn:xmpp:rayo:1' call-uri='xmpp:'/></iq>")
    await juliet.is_refused(call_a, "h7ed2", "modify", "bad-request")
    yield 38

    juliet.says(f"""
        <iq from='{juliet}' to='{call_a}' type='set' id='h7ed2'>
          <join xmlns='urn:xmpp:rayo:1' call-uri='{call_b.uri}' direction='recv'/>
        </iq>""")
    await juliet.is_answered(call_a, "h7ed2")
    await both_are("joined", juliet, call_a, call_b)
    await tones(people, alice="bob", bob="", carol="")
    juliet.says(f"""
        <iq from='{juliet}' to='{call_a}' type='set' id='h7ed3'>
          <join xmlns='urn:xmpp:rayo:1' call-uri='{call_b.uri}' direction='duplex'/>
        </iq>""")
    await juliet.is_answered(call_a, "h7ed3")
    await juliet.has_heard_all()
    await tones(people, alice="bob", bob="alice", carol="")
    yield 40

    # There can be as many joins as one likes. What there cannot be is the join of a call with itself, or one in which
    # somebody would hear others twice, as with mixers that are joined already.
    juliet.says(f"""
        <iq from='{juliet}' to='{call_a}' type='set' id='h7ed2'>
          <join xmlns='urn:xmpp:rayo:1' call-uri='{call_c.uri}'/>
        </iq>""")
    await juliet.is_answered(call_a, "h7ed2")
    await both_are("joined", juliet, call_a, call_c)
    await tones(people, alice="bob carol", bob="alice", carol="alice")
    juliet.says(f"<iq to='{call_b}' type='set' id='h7ed3'><join xmlns='urn:xmpp:rayo:1' call-uri='{call_c.uri}'/></iq>")
    await juliet.is_refused(call_b, "h7ed3", "wait", "resource-constraint")
    yield 31

    juliet.says(f"""
        <iq from='{juliet}' to='{call_a}' type='set' id='h7ed2'>
          <unjoin xmlns='urn:xmpp:rayo:1'/>
        </iq>""")
    await juliet.is_answered(call_a, "h7ed2")
    for call in (call_b, call_c):
        await both_are("unjoined", juliet, call_a, call)
    await tones(people, alice="", bob="", carol="")
    yield 36

    juliet.says(f"<iq to='{call_a}' type='set' id='h7ed3'><join xmlns='urn:xmpp:rayo:1' call-uri='{call_a.uri}'/></iq>")
    await juliet.is_refused(call_a, "h7ed3", "cancel", "conflict")
    await juliet.ask(call_a, "set", "<join xmlns='urn:xmpp:rayo:1' mixer-name='one'/>")
    await juliet.ask(stage.at("one"), "set", "<join xmlns='urn:xmpp:rayo:1' mixer-name='two'/>")
    await juliet.ask(call_b, "set", "<join xmlns='urn:xmpp:rayo:1' mixer-name='two'/>")
    await tones(people, alice="bob", bob="alice", carol="")
    await juliet.forgets()
    juliet.says(f"<iq to='{call_a}' type='set' id='h7ed3'><join xmlns='urn:xmpp:rayo:1' mixer-name='two'/></iq>")
    await juliet.is_refused(call_a, "h7ed3", "cancel", "conflict")
    await juliet.has_heard_all()
    await tones(people, alice="bob", bob="alice", carol="")
    yield 41


@listings(27, 28, 29, 30, 32, 33, 35, 39, 34, 37, 38, 40, 31, 36, 41)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
