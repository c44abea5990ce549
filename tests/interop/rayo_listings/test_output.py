"""Listings 61 to 70: documents are rendered to a call (XEP-0327 section 6.5.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from focus.wire.jid import JID
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Client, Conversation, is_spoken_to, listings
from tests.interop.rayo_listings.sounds import Listener, rising

pytestmark = [pytest.mark.interop, pytest.mark.any_server, pytest.mark.asyncio(loop_scope="package")]

SSML = """<![CDATA[
        <?xml version="1.0"?>
        <!DOCTYPE speak PUBLIC "-//W3C//DTD SYNTHESIS 1.0//EN"
                          "http://www.w3.org/TR/speech-synthesis/synthesis.dtd">
        <speak version="1.0"
               xmlns="http://www.w3.org/2001/10/synthesis"
               xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
               xsi:schemaLocation="http://www.w3.org/2001/10/synthesis
                           http://www.w3.org/TR/speech-synthesis/synthesis.xsd"
               xml:lang="en-US">
          <p>
            <s>You have 4 new messages.</s>
            <s>The first is from Stephanie Williams and arrived at <break/> 3:45pm.</s>
            <s>
              The subject is <prosody rate="-20%">ski trip</prosody>
            </s>
          </p>
        </speak>
      ]]>"""


async def begins(juliet: Client, call: JID, document: str) -> JID:
    """The output that renders `document`."""
    juliet.says(f"""
        <iq from='{juliet}' to='{call}' type='set' id='h7ed2'>
          <output xmlns='urn:xmpp:rayo:output:1'>{document}</output>
        </iq>""")
    result = await juliet.hears(f"""
        <iq from='{call}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    return JID.from_uri(result[0].get("uri", ""))


async def does(juliet: Client, component: JID, command: str) -> None:
    juliet.says(f"""
        <iq from='{juliet}' to='{component}' type='set' id='h7ed2'>
          <{command} xmlns='urn:xmpp:rayo:output:1'/>
        </iq>""")
    await juliet.is_answered(component, "h7ed2")


async def finishes(juliet: Client, component: JID) -> None:
    await juliet.hears(f"""
        <presence from='{component}' to='{juliet}' type='unavailable'>
          <complete xmlns='urn:xmpp:rayo:ext:1'>
            <finish xmlns='urn:xmpp:rayo:output:complete:1'/>
          </complete>
        </presence>""")


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, alice = await stage.registered("juliet/balcony"), await stage.caller("alice")
    listener = Listener(alice)
    call = await stage.takes(juliet, alice, stage.at("juliet-desk"))
    await juliet.forgets()

    component = await begins(juliet, call, f"<document content-type='application/ssml+xml'>{SSML}</document>")
    await is_spoken_to(alice)
    yield 61
    await juliet.ask(component, "set", "<stop xmlns='urn:xmpp:rayo:ext:1'/>")
    await juliet.expect_child("{urn:xmpp:rayo:ext:1}complete")
    component = await begins(
        juliet, call, "<document content-type='text/plain'> Thanks for calling, goodbye! </document>"
    )
    await is_spoken_to(alice)
    await finishes(juliet, component)
    yield 62

    component = await begins(juliet, call, f"<document url='{rising(stage.folder)}'/>")
    await listener.begins()
    await does(juliet, component, "pause")
    left = await listener.falls_silent()
    yield 63
    await does(juliet, component, "resume")
    found = await listener.begins()
    assert left - 0.3 < found < left + 4
    yield 64
    await listener.moves(1)
    await does(juliet, component, "speed-up")
    await listener.moves(1.25)
    yield 65
    await does(juliet, component, "speed-down")
    await listener.moves(1)
    yield 66
    await listener.is_as_loud_as(1)
    await does(juliet, component, "volume-up")
    await listener.is_as_loud_as(10 ** (3 / 20))
    yield 67
    await does(juliet, component, "volume-down")
    await listener.is_as_loud_as(1)
    yield 68
    await does(juliet, component, "pause")
    left = await listener.falls_silent()
    await does(juliet, component, "seek direction='forward' amount='20000'")
    await does(juliet, component, "resume")
    found = await listener.begins()
    assert left + 19.7 < found < left + 24
    yield 69
    await does(juliet, component, "seek direction='forward' amount='60000'")
    await finishes(juliet, component)
    yield 70


@listings(*range(61, 71))
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
