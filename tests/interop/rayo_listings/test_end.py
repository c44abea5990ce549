"""Listings 79 to 90: a call is redirected, rejected, hung up, and written to (XEP-0327 sections 6.6 to 6.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0
from tests.interop.rayo_listings.conftest import Stage
from tests.interop.rayo_listings.conversation import Client, Conversation, listings, shim
from tests.interop.running import StanzaClient

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]


async def offered(stage: Stage, juliet: Client, caller: StanzaClient, id: str) -> JID:
    """A call that waits to be answered."""
    stage.proposes(caller, stage.at("juliet-desk"), id)
    return JID.parse((await juliet.expect_child("{urn:xmpp:rayo:1}offer")).get("from", ""))


async def is_over(juliet: Client, call: JID, reason: str, code: str) -> None:
    await juliet.hears(f"""
        <presence from='{call}' to='{juliet}' type='unavailable'>
          <end xmlns='urn:xmpp:rayo:1'>
            <{reason} platform-code='{code}'/>
          </end>
        </presence>""")


async def conversation(stage: Stage) -> AsyncIterator[int]:
    juliet, dan = await stage.registered("juliet/balcony"), await stage.program("dan")
    redirected = await offered(stage, juliet, dan, "redirected")
    redirect = f"""
        <iq from='{juliet}' to='{redirected}' type='set' id='h7ed2'>
          <redirect xmlns='urn:xmpp:rayo:1'
                    to='sip:other@there.com'>
            <header name="x-skill" value="agent" />
            <header name="x-customer-id" value="8877" />
          </redirect>
        </iq>"""
    juliet.says(redirect)
    await juliet.is_answered(redirected, "h7ed2")
    yield 80
    refusal = await dan.expect_child(f"{{{JMI_0}}}reject", id="redirected")
    assert refusal[0].findtext("{*}reason/{*}redirect") == "sip:other@there.com"
    assert shim(refusal) == [("x-skill", "agent"), ("x-customer-id", "8877")]
    await is_over(juliet, redirected, "hangup-command", "decline")
    yield 79

    rejected = await offered(stage, juliet, dan, "rejected")
    reject = f"""
        <iq from='{juliet}' to='{rejected}' type='set' id='h7ed2'>
          <reject xmlns='urn:xmpp:rayo:1'>
            <header name="x-reject-description" value="Sorry, she cannae take it!" />
          </reject>
        </iq>"""
    juliet.says(reject)  # without any reason, of which there MUST be one (section 7.9)
    await juliet.is_refused(rejected, "h7ed2", "modify", "bad-request")
    juliet.says(reject.replace("<header", "<decline/><header"))
    await juliet.is_answered(rejected, "h7ed2")
    yield 83
    refusal = await dan.expect_child(f"{{{JMI_0}}}reject", id="rejected")
    assert refusal[0].find("{*}reason/{*}decline") is not None
    assert shim(refusal) == [("x-reject-description", "Sorry, she cannae take it!")]
    await is_over(juliet, rejected, "hangup-command", "decline")
    yield 82

    alice = await stage.caller("alice")
    answered = await stage.takes(juliet, alice, stage.at("juliet-desk"))
    juliet.says(redirect.replace(str(redirected), str(answered)))
    await juliet.is_refused(answered, "h7ed2", "wait", "unexpected-request")
    yield 81
    juliet.says(reject.replace(str(rejected), str(answered)).replace("<header", "<decline/><header"))
    await juliet.is_refused(answered, "h7ed2", "cancel", "not-allowed")
    yield 84
    juliet.says(f"""
        <message from='{juliet}' to='{answered}' type='normal'>
          <body>Art thou not Romeo, and a Montague?</body>
        </message>""")
    message = await alice.client.expect("the message", lambda each: each.find("{jabber:client}body") is not None)
    assert message.get("type", "normal") == "normal"  # which is what none means, and ejabberd leaves it out
    assert JID.parse(message.get("from", "")).bare == stage.at("juliet-desk")
    assert message.findtext("{jabber:client}body") == "Art thou not Romeo, and a Montague?"
    yield 90
    juliet.says(f"""
        <iq from='{juliet}' to='{answered}' type='set' id='h7ed2'>
          <hangup xmlns='urn:xmpp:rayo:1'>
            <header name="x-call-result" value="4" />
          </hangup>
        </iq>""")
    await juliet.is_answered(answered, "h7ed2")
    yield 86
    goodbye = await alice.client.expect_child("{urn:xmpp:jingle:1}jingle", action="session-terminate")
    assert shim(goodbye) == [("x-call-result", "4")]
    await is_over(juliet, answered, "hangup-command", "success")
    yield 85

    bob = await stage.caller("bob")
    answered = await stage.takes(juliet, bob, stage.at("juliet-desk"))
    await bob.hang_up()
    await is_over(juliet, answered, "hungup", "success")  # so section 7.5.1 has it, not <hangup/>
    yield 87
    juliet.says(f"<iq from='{juliet}' to='{answered}' type='set' id='h7ed2'><answer xmlns='urn:xmpp:rayo:1'/></iq>")
    await juliet.is_refused(answered, "h7ed2", "cancel", "item-not-found")
    yield 88

    silent = await stage.program("silent")
    juliet.says(f"""
        <iq from='{juliet}' to='{stage.service}' type='set' id='h7ed2'>
          <dial xmlns='urn:xmpp:rayo:1'
                to='{silent.jid.bare.uri}'
                from='{stage.at("juliet-desk").uri}'>
            <header name="Route" value="foo" />
            <header name="Route" value="bar" />
          </dial>
        </iq>""")
    await juliet.hears(f"""
        <iq from='{stage.service}' to='{juliet}' type='result' id='h7ed2'>
          <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
        </iq>""")
    proposal = await silent.expect_child(f"{{{JMI_0}}}propose")
    assert shim(proposal) == [("Route", "foo"), ("Route", "bar")]
    yield 89


@listings(80, 79, 83, 82, 81, 84, 90, 86, 85, 87, 88, 89)
async def test_listing(conversation: Conversation, listing: int) -> None:
    await conversation.shows(listing)
