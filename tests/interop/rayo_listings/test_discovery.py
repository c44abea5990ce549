"""Listings 91 to 94: a client finds out what the service is, and the service what a client is (XEP-0327 section 8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

import pytest

from focus.xmpp.discovery import DISCO_INFO, INFO_QUERY
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Conversation, listings
from tests.interop.running import eventually

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]


async def conversation(stage: Stage) -> AsyncIterator[int]:
    service = stage.service
    claudius = await stage.rayo_client("kingclaudius/castle")
    claudius.says(f"""
        <iq from='{claudius}' id='disco1' to='{service}' type='get'>
          <query xmlns='http://jabber.org/protocol/disco#info'/>
        </iq>""")
    answer = await claudius.expect("the features", lambda stanza: stanza.get("id") == "disco1")
    assert (answer.get("from"), answer.get("type")) == (str(service), "result")
    yield 91
    features = {feature.get("var") for feature in answer.iter(f"{{{DISCO_INFO}}}feature")}
    assert {"urn:xmpp:rayo:1", "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:transports:ice-udp:1"} < features
    yield 92

    juliet, romeo = await stage.rayo_client("juliet/balcony"), await stage.rayo_client("romeo/orchard")
    romeo.answers[INFO_QUERY] = lambda _: ET.fromstring(f"<query xmlns='{DISCO_INFO}'/>")
    juliet.answers[INFO_QUERY] = lambda _: ET.fromstring("""
        <query xmlns='http://jabber.org/protocol/disco#info'>
          <feature var='urn:xmpp:rayo:client:1'/>
        </query>""")
    for client in (romeo, juliet):
        # capabilities of other software, and of the kind before XEP-0115 had verification strings
        client.says(f"""
            <presence from='{client}' to='{service}'>
              <c xmlns='http://jabber.org/protocol/caps' node='http://capulet.lit/telephone' ver='0.9'/>
            </presence>""")
        await client.hears(f"""
            <iq from='{service}' id='*' to='{client}' type='get'>
              <query xmlns='http://jabber.org/protocol/disco#info'/>
            </iq>""")
    yield 93
    await eventually(lambda: len(stage.focus.service._server.registrations) == 1)
    dial = f"<iq to='{service}' type='set' id='dial'><dial xmlns='urn:xmpp:rayo:1' to='foo:bar'/></iq>"
    juliet.says(dial)
    await juliet.is_refused(service, "dial", "modify", "bad-request")  # it is known
    romeo.says(dial)
    await romeo.is_refused(service, "dial", "auth", "registration-required")
    yield 94


@listings(91, 92, 93, 94)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
