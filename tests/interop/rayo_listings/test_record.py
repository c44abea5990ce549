"""Listings 75 to 78: a call is recorded, and the recording fetched (XEP-0327 section 6.5.6)."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator

import numpy as np
import pytest
from aiohttp import ClientSession

from focus.wire.jid import JID
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import TONES, Client, Conversation, listings
from tests.interop.rayo_listings.sounds import tone
from tests.media.peers import level

pytestmark = [pytest.mark.interop, pytest.mark.any_server, pytest.mark.asyncio(loop_scope="package")]


async def plays(stage: Stage, juliet: Client, call: JID, frequency: float) -> None:
    """Half a second, to its end."""
    document = f"<document url='{tone(stage.folder, frequency)}'/>"
    component = await stage.starts(juliet, call, f"<output xmlns='urn:xmpp:rayo:output:1'>{document}</output>")
    await juliet.hears(f"""
        <presence from='{component}' to='{juliet}' type='unavailable'>
          <complete xmlns='urn:xmpp:rayo:ext:1'>
            <finish xmlns='urn:xmpp:rayo:output:complete:1'/>
          </complete>
        </presence>""")


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, alice = await stage.registered("juliet/balcony"), await stage.caller("alice")
    call = await stage.takes(juliet, alice, stage.at("juliet-desk"))
    await juliet.forgets()

    juliet.says(f"""
        <iq from='{juliet}' to='{call}' type='set' id='h7ed2'>
          <record xmlns='urn:xmpp:rayo:record:1'/>
        </iq>""")
    result = await juliet.hears(f"""
        <iq from='{call}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    component = JID.from_uri(result[0].get("uri", ""))
    assert component.bare == call
    yield 75
    await plays(stage, juliet, call, 1000)

    juliet.says(f"""
        <iq from='{juliet}' to='{component}' type='set' id='h7ed2'>
          <pause xmlns='urn:xmpp:rayo:record:1'/>
        </iq>""")
    await juliet.is_answered(component, "h7ed2")
    yield 76
    await plays(stage, juliet, call, 1500)
    juliet.says(f"""
        <iq from='{juliet}' to='{component}' type='set' id='h7ed2'>
          <resume xmlns='urn:xmpp:rayo:record:1'/>
        </iq>""")
    await juliet.is_answered(component, "h7ed2")
    yield 77
    await plays(stage, juliet, call, 2000)

    await juliet.ask(component, "set", "<stop xmlns='urn:xmpp:rayo:ext:1'/>")
    told = await juliet.hears(f"""
        <presence from='{component}' to='{juliet}' type='unavailable'>
          <complete xmlns='urn:xmpp:rayo:ext:1'>
            <stop xmlns='urn:xmpp:rayo:ext:complete:1'/>
            <recording xmlns='urn:xmpp:rayo:record:complete:1' uri='*' duration='*' size='*'/>
          </complete>
        </presence>""")
    (recording,) = told.iter("{urn:xmpp:rayo:record:complete:1}recording")
    async with ClientSession() as web, web.get(recording.get("uri", "")) as response:
        assert response.status == 200
        body = await response.read()
    assert len(body) == int(recording.get("size", ""))
    with wave.open(io.BytesIO(body)) as reading:
        rate, channels = reading.getframerate(), reading.getnchannels()
        sides = np.frombuffer(reading.readframes(reading.getnframes()), np.int16).reshape(-1, channels).T
    assert (rate, channels) == (48000, 2)
    assert sides.shape[1] * 1000 // rate == int(recording.get("duration", ""))
    said, sent = sides  # by her, and to her
    own, played = level(said, TONES["alice"]), min(level(sent, frequency) for frequency in (1000, 2000))
    assert own > -35
    assert played > -40
    assert max(level(said, frequency) for frequency in (1000, 1500, 2000)) < own - 20
    assert level(sent, 1500) < played - 10
    assert level(sent, TONES["alice"]) < -50
    yield 78


@listings(75, 76, 77, 78)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
