"""Listings 45 to 56 and 58 to 60: what all components have in common (XEP-0327 section 6.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from focus.wire.jid import JID
from tests.interop.rayo_listings.conftest import COMPONENTS, COMPONENTS_OF_ONE, Stage
from tests.interop.rayo_listings.conversation import Client, Conversation, is_spoken_to, listings

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]

GOODBYE = "<document content-type='text/plain'>Thanks for calling, goodbye!</document>"
WAITING = f"<output xmlns='urn:xmpp:rayo:output:1' start-paused='true'>{GOODBYE}</output>"


async def refused(juliet: Client, to: JID, command: str, type: str, condition: str) -> None:
    juliet.says(f"<iq from='{juliet}' to='{to}' type='set' id='h7ed2'>{command}</iq>")
    await juliet.is_refused(to, "h7ed2", type, condition)


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, courtyard = await stage.registered("juliet/balcony"), await stage.registered("juliet/courtyard")
    alice, bob = await stage.caller("alice"), await stage.caller("bob")

    ringing = stage.begins(alice.call(stage.at("juliet-desk")))
    call = JID.parse((await juliet.expect_child("{urn:xmpp:rayo:1}offer")).get("from", ""))
    await juliet.ask(call, "set", "<accept xmlns='urn:xmpp:rayo:1'/>")
    await juliet.forgets()
    await refused(juliet, call, WAITING, "wait", "unexpected-request")
    yield 52
    await juliet.ask(call, "set", "<answer xmlns='urn:xmpp:rayo:1'/>")
    await ringing

    juliet.says(f"""
        <iq from='{juliet}' to='{call}' type='set' id='h7ed2'>
          <output xmlns='urn:xmpp:rayo:output:1'>
            <document content-type='text/plain'>
              Thanks for calling, goodbye!
            </document>
          </output>
        </iq>""")
    yield 45
    result = await juliet.hears(f"""
        <iq from='{call}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    component = JID.from_uri(result[0].get("uri", ""))
    assert component.bare == call
    await is_spoken_to(alice)
    yield 46
    await juliet.expect_child("{urn:xmpp:rayo:ext:1}complete")

    await refused(juliet, call, "<sing xmlns='urn:xmpp:rayo:sing:1'/>", "cancel", "feature-not-implemented")
    yield 47
    for options in ("renderer='orchestra'", "voice='nobody'", "loudness='9'"):
        command = f"<output xmlns='urn:xmpp:rayo:output:1' {options}>{GOODBYE}</output>"
        await refused(juliet, call, command, "modify", "feature-not-implemented")
    yield 48
    for options, documents in (("max-time='-2'", GOODBYE), ("start-paused='yes'", GOODBYE), ("", "")):
        command = f"<output xmlns='urn:xmpp:rayo:output:1' {options}>{documents}</output>"
        await refused(juliet, call, command, "modify", "bad-request")
    yield 49

    components = [await stage.starts(juliet, call, WAITING) for _ in range(COMPONENTS_OF_ONE)]
    await refused(juliet, call, WAITING, "wait", "resource-constraint")
    yield 51  # with those at work on this call
    other = await stage.takes(juliet, bob, stage.at("juliet-desk"))
    for _ in range(COMPONENTS - COMPONENTS_OF_ONE):
        await stage.starts(juliet, other, WAITING)
    await juliet.forgets()
    await refused(juliet, other, WAITING, "wait", "resource-constraint")
    yield 50

    component = components[0]
    wrong = "<pause xmlns='urn:xmpp:rayo:record:1'/>"
    await refused(juliet, component, wrong, "cancel", "feature-not-implemented")
    yield 54
    loud = "<seek xmlns='urn:xmpp:rayo:output:1' direction='forward' amount='1' loudness='9'/>"
    await refused(juliet, component, loud, "modify", "feature-not-implemented")
    yield 55
    for attributes in ("direction='sideways' amount='1'", "direction='back' amount='-1'", "direction='back'"):
        seek = f"<seek xmlns='urn:xmpp:rayo:output:1' {attributes}/>"
        await refused(juliet, component, seek, "modify", "bad-request")
    yield 56
    await courtyard.forgets()
    await refused(courtyard, component, "<stop xmlns='urn:xmpp:rayo:ext:1'/>", "cancel", "conflict")
    await juliet.has_heard_all()
    yield 58

    juliet.says(f"""
        <iq from='{juliet}' to='{component}' type='set' id='h7ed2'>
          <stop xmlns='urn:xmpp:rayo:ext:1'/>
        </iq>""")
    await juliet.is_answered(component, "h7ed2")
    yield 53
    await juliet.hears(f"""
        <presence from='{component}' to='{juliet}' type='unavailable'>
          <complete xmlns='urn:xmpp:rayo:ext:1'>
            <stop xmlns='urn:xmpp:rayo:ext:complete:1'/>
          </complete>
        </presence>""")
    await juliet.has_heard_all()
    await courtyard.has_heard_all()
    yield 59
    await refused(juliet, component, "<stop xmlns='urn:xmpp:rayo:ext:1'/>", "cancel", "item-not-found")
    yield 60


@listings(52, 45, 46, 47, 48, 49, 51, 50, 54, 55, 56, 58, 53, 59, 60)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
