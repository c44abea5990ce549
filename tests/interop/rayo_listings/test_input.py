"""Listings 71 to 74 and 57: callers answer with keys (XEP-0327 sections 6.5.4 and 6.5.5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from focus.service.phone import Phone
from focus.wire.jid import JID
from tests.interop.callers import AiortcCaller
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Client, Conversation, listings
from tests.interop.running import PATIENCE
from tests.service.phones import listened

pytestmark = [pytest.mark.interop, pytest.mark.any_server, pytest.mark.asyncio(loop_scope="package")]

#: Of samples: what is louder than the first is speech, and what is softer than the second nothing.
LOUD, QUIET = 1000, 50

PIN = """
      <grammar content-type='application/srgs+xml'>
        <![CDATA[
          <?xml version="1.0"?>
          <grammar mode="dtmf" version="1.0"
                   xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
                   xsi:schemaLocation="http://www.w3.org/2001/06/grammar
                                       http://www.w3.org/TR/speech-grammar/grammar.xsd"
                   xmlns="http://www.w3.org/2001/06/grammar">

            <rule id="digit">
              <one-of>
                <item> 0 </item>
                <item> 1 </item>
                <item> 2 </item>
                <item> 3 </item>
                <item> 4 </item>
                <item> 5 </item>
                <item> 6 </item>
                <item> 7 </item>
                <item> 8 </item>
                <item> 9 </item>
              </one-of>
            </rule>

            <rule id="pin" scope="public">
              <one-of>
                <item>
                  <item repeat="4"><ruleref uri="#digit"/></item>
                  #
                </item>
                <item>
                  * 9
                </item>
              </one-of>
            </rule>
          </grammar>
        ]]>
      </grammar>"""
INPUT = f"<input xmlns='urn:xmpp:rayo:input:1' mode='dtmf'>{PIN}</input>"
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
              <s>Please enter your pin number now.</s>
            </p>
          </speak>
        ]]>"""


async def begins(juliet: Client, call: JID, command: str) -> JID:
    juliet.says(f"<iq from='{juliet}' to='{call}' type='set' id='h7ed2'>{command}</iq>")
    result = await juliet.hears(f"""
        <iq from='{call}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    return JID.from_uri(result[0].get("uri", ""))


async def prompts(juliet: Client, call: JID, times: int, options: str = "") -> JID:
    """Says so often what the listing says once."""
    return await begins(
        juliet,
        call,
        f"""
          <prompt xmlns='urn:xmpp:rayo:prompt:1'{options}>
            <output xmlns='urn:xmpp:rayo:output:1' repeat-times='{times}'>
              <document content-type='application/ssml+xml'>{SSML}</document>
            </output>
            {INPUT}
          </prompt>""",
    )


async def matches(juliet: Client, component: JID, keys: str) -> None:
    interpretation = f'<interpretation><input mode="dtmf" confidence="100">{keys}</input></interpretation>'
    await juliet.hears(f"""
        <presence from='{component}' to='{juliet}' type='unavailable'>
          <complete xmlns='urn:xmpp:rayo:ext:1'>
            <match xmlns='urn:xmpp:rayo:input:complete:1' content-type="application/nlsml+xml">
              <![CDATA[<result xmlns="http://www.ietf.org/xml/ns/mrcpv2">{interpretation}</result>]]>
            </match>
          </complete>
        </presence>""")


async def timers_start(juliet: Client, component: JID) -> None:
    await juliet.hears(f"""
        <presence from='{component}' to='{juliet}'>
          <input-timers-started xmlns='urn:xmpp:rayo:prompt:1'/>
        </presence>""")


async def presses(caller: AiortcCaller, keys: str) -> None:
    """Who has no telephone events tells them (XEP-0181)."""
    for key in keys:
        await caller.jingle("session-info", f"<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='{key}'/>")


async def is_spoken_to(phone: Phone, spoken: bool = True) -> None:
    """Until it is, or is no longer."""
    async with asyncio.timeout(PATIENCE):
        while True:
            loudest = np.abs((await listened(phone, 0.4)).astype(int)).max()
            if loudest > LOUD if spoken else loudest < QUIET:
                return


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet = await stage.registered("juliet/balcony")
    alice, bob = await stage.phone("alice"), await stage.caller("bob")
    call_a = await stage.takes(juliet, alice, stage.at("juliet-desk"))
    call_b = await stage.takes(juliet, bob, stage.at("juliet-desk"))
    await alice.wait_for("connected")
    await juliet.forgets()

    component = await begins(juliet, call_a, INPUT)
    await presses(bob, "*9")  # of another call
    await juliet.has_heard_all()
    yield 71
    alice.press("1234#")
    await matches(juliet, component, "1 2 3 4 #")
    component = await begins(juliet, call_b, INPUT)
    await presses(bob, "*9")
    await matches(juliet, component, "* 9")
    yield 72

    component = await prompts(juliet, call_a, times=50)
    await is_spoken_to(alice)
    alice.press("*,9")
    await timers_start(juliet, component)
    await is_spoken_to(alice, False)
    await matches(juliet, component, "* 9")
    yield 73
    component = await prompts(juliet, call_a, times=2, options=" barge-in='false'")
    await is_spoken_to(alice)
    alice.press("7")  # too early, and no PIN with what follows
    await timers_start(juliet, component)
    await is_spoken_to(alice, False)
    yield 74

    juliet.says(f"""
        <iq from='{juliet}' to='{component}' type='set' id='h7ed2'>
          <pause xmlns='urn:xmpp:rayo:output:1'/>
        </iq>""")
    await juliet.is_refused(component, "h7ed2", "wait", "unexpected-request")
    alice.press("4321#")
    await matches(juliet, component, "4 3 2 1 #")
    yield 57


@listings(71, 72, 73, 74, 57)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
