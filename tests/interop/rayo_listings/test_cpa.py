"""All listings of XEP-0341: a client learns who or what has answered, and which keys are pressed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from focus.service.phone.call import Sound
from focus.service.phone.sound import BLOCK, Samples, Source
from focus.wire.jid import JID
from focus.xmpp.discovery import DISCO_INFO
from tests.engines.spoken import say
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Conversation

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]

TITLES = {
    1: "Client requests CPA from a call, indicating interest in speech detection and DTMF",
    2: "Component indicates that a signal was detected",
    3: "Component indicates it has completed due to one of the grammars matching a detected signal",
    4: "Service Discovery Information Request - Client to Server",
    5: "Service Discovery Information Response - Client to Server",
}
GREETING = "You have reached the answering machine of the Capulet family. Nobody is there to take your call."


async def machine(speaking: asyncio.Event) -> Source:
    """Says nothing, and then does not stop."""
    greeting = await say(GREETING)

    async def play() -> AsyncGenerator[Samples, None]:
        while not speaking.is_set():
            yield np.zeros(BLOCK, np.int16)
        while True:
            for start in range(0, len(greeting), BLOCK):
                yield greeting[start : start + BLOCK]

    return play


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, alice = await stage.registered("juliet/balcony"), await stage.phone("alice")
    speaking = asyncio.Event()
    alice.settings = replace(alice.settings, sound=Sound(await machine(speaking)))
    call = await stage.takes(juliet, alice, stage.at("juliet-desk"))
    await alice.wait_for("connected")
    await juliet.forgets()

    juliet.says(f"""
        <iq from='{juliet}' to='{call}' type='set' id='h7ed2'>
          <input xmlns='urn:xmpp:rayo:input:1' mode='cpa'>
            <grammar url="urn:xmpp:rayo:cpa:speech:1?maxTime=4000;minSpeechDuration=4000;minVolume=10;finalSilence=2000;terminate=true" />
            <grammar url="urn:xmpp:rayo:cpa:dtmf:1" />
          </input>
        </iq>""")  # noqa: E501 - as the listing has it
    result = await juliet.hears(f"""
        <iq from='{call}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    component = JID.from_uri(result[0].get("uri", ""))
    yield 1
    alice.press("1")
    await juliet.hears(f"""
        <presence from='{component}' to='{juliet}'>
          <signal xmlns="urn:xmpp:rayo:cpa:1" type="urn:xmpp:rayo:cpa:dtmf:1" duration="*" value="1"/>
        </presence>""")
    yield 2
    speaking.set()
    told = await juliet.hears(f"""
        <presence from='{component}' to='{juliet}' type='unavailable'>
          <complete xmlns='urn:xmpp:rayo:ext:1'>
            <signal xmlns="urn:xmpp:rayo:cpa:1" type="urn:xmpp:rayo:cpa:speech:1" duration="*" value="machine"/>
          </complete>
        </presence>""")
    (signal,) = told.iter("{urn:xmpp:rayo:cpa:1}signal")
    assert int(signal.get("duration", "")) >= 4000
    yield 3

    juliet.says(f"""
        <iq from='{juliet}' id='disco1' to='{stage.service}' type='get'>
          <query xmlns='http://jabber.org/protocol/disco#info'/>
        </iq>""")
    answer = await juliet.expect("the features", lambda stanza: stanza.get("id") == "disco1")
    yield 4
    features = {feature.get("var") for feature in answer.iter(f"{{{DISCO_INFO}}}feature")}
    assert {"urn:xmpp:rayo:1", "urn:xmpp:rayo:cpa:1"} < features
    yield 5


@pytest.mark.parametrize("listing", [pytest.param(number, id=f"{number}: {TITLES[number]}") for number in TITLES])
async def test_listing_of_xep_0341(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
