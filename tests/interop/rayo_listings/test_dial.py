"""Listings 14 to 24: a client makes a call (XEP-0327 section 6.2.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from focus.wire.jid import JID
from tests.interop.rayo_listings.conftest import CALLS, Stage
from tests.interop.rayo_listings.conversation import Conversation, listings, shim, tones

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]

HEADERS = """
    <header name="x-skill" value="agent" />
    <header name="x-customer-id" value="8877" />"""


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, mallory = await stage.rayo_client("juliet/balcony"), await stage.rayo_client("mallory/heath")
    bob, alice = await stage.callee("bob"), await stage.caller("alice")
    service, desk, to = stage.service, stage.at("juliet-desk"), bob.client.jid.bare.uri
    dial = f"""
        <iq to='{service}' type='set' id='h7ed2'>
          <dial xmlns='urn:xmpp:rayo:1' to='{to}' from='{desk.uri}'>{HEADERS}
          </dial>
        </iq>"""

    juliet.says(dial)
    await juliet.is_refused(service, "h7ed2", "auth", "registration-required")
    yield 15
    juliet.says(f"<presence to='{service}'><show>chat</show></presence>")
    await juliet.has_heard_all()
    juliet.says(dial.replace("juliet-desk", "romeo-desk"))
    await juliet.is_refused(service, "h7ed2", "auth", "not-authorized")
    mallory.says(dial)  # who never could
    await mallory.is_refused(service, "h7ed2", "auth", "not-authorized")
    yield 16
    # There are outbound calls, but not to telephones: an option, to which another can be found (type modify).
    juliet.says(dial.replace(to, "tel:+13055195825"))
    await juliet.is_refused(service, "h7ed2", "modify", "feature-not-implemented")
    yield 17
    juliet.says(dial.replace(to, "foo:bar"))
    await juliet.is_refused(service, "h7ed2", "modify", "bad-request")
    yield 19

    juliet.says(f"""
        <iq from='{juliet}' to='{service}' type='set' id='h7ed2'>
          <dial xmlns='urn:xmpp:rayo:1'
                to='{to}'
                from='{desk.uri}'>
            <header name="x-skill" value="agent" />
            <header name="x-customer-id" value="8877" />
          </dial>
        </iq>""")
    reference = await juliet.hears(f"""
        <iq from='{service}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    call = JID.from_uri(reference[0].get("uri", ""))
    assert call.domain == service.domain
    yield 21
    proposal = await bob.rings()
    assert JID.parse(proposal.get("from", "")).bare == desk
    assert shim(proposal) == [("x-skill", "agent"), ("x-customer-id", "8877")]
    yield 14
    await juliet.hears(f"""
        <presence from='{call}' to='{juliet}'>
          <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:xmpp:rayo:call:1' ver='*'/>
          <ringing xmlns='urn:xmpp:rayo:1'/>
        </presence>""")
    yield 22
    await bob.answers()
    await juliet.hears(f"""
        <presence from='{call}' to='{juliet}'>
          <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:xmpp:rayo:call:1' ver='*'/>
          <answered xmlns='urn:xmpp:rayo:1'/>
        </presence>""")
    yield 23
    await juliet.ask(call, "set", "<hangup xmlns='urn:xmpp:rayo:1'/>")
    await juliet.hears(f"""
        <presence from='{call}' to='{juliet}' type='unavailable'>
          <end xmlns='urn:xmpp:rayo:1'><hangup-command platform-code='success'/></end>
        </presence>""")

    bob = await stage.callee("bob")
    first = await stage.takes(juliet, alice, desk)
    juliet.says(f"""
        <iq from='{juliet}' to='{service}' type='set' id='h7ed2'>
          <dial xmlns='urn:xmpp:rayo:1'
                to='{bob.client.jid.bare.uri}'
                from='{desk.uri}'>
            <join call-uri='{first.uri}' />
          </dial>
        </iq>""")
    reference = await juliet.hears(f"""
        <iq from='{service}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    second = JID.from_uri(reference[0].get("uri", ""))
    await bob.rings()
    await bob.answers()
    for name in ("ringing", "answered"):
        await juliet.hears(f"""
            <presence from='{second}' to='{juliet}'>
              <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:xmpp:rayo:call:1' ver='*'/>
              <{name} xmlns='urn:xmpp:rayo:1'/>
            </presence>""")
    for one, other in ((second, first), (first, second)):
        await juliet.hears(f"""
            <presence from='{one}' to='{juliet}'>
              <joined xmlns='urn:xmpp:rayo:1' call-uri='{other.uri}'/>
            </presence>""")
    await tones({"alice": alice, "bob": bob}, alice="bob", bob="alice")
    yield 24

    mine = f"xmpp:{uuid4()}@{service}"
    silent = await stage.program("silent")
    dial = f"""
        <iq to='{service}' type='set' id='h7ed2'>
          <dial xmlns='urn:xmpp:rayo:1' to='{silent.jid.bare.uri}' from='{desk.uri}' uri='{mine}'>{HEADERS}
          </dial>
        </iq>"""
    juliet.says(dial)
    await juliet.hears(f"""
        <iq from='{service}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='{mine}'/>
        </iq>""")
    juliet.says(dial)
    await juliet.is_refused(service, "h7ed2", "modify", "conflict")
    yield 20
    dial = dial.replace(f" uri='{mine}'", "")
    for _ in range(CALLS - 3):  # there are Alice's, Bob's, and that one
        juliet.says(dial)
        await juliet.hears(f"""
            <iq from='{service}' to='{juliet}' type='result' id='h7ed2'>
              <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
            </iq>""")
    juliet.says(dial)
    await juliet.is_refused(service, "h7ed2", "wait", "resource-constraint")
    yield 18


@listings(15, 16, 17, 19, 21, 14, 22, 23, 24, 20, 18)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
