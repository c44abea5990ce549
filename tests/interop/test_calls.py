"""Rayo clients of two accounts command their calls, in plain stanzas: from the offer to every kind of end (XEP-0327
sections 6.2, 6.4, 6.6 and 6.7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

import pytest

from focus.service.prosody import Prosody
from focus.service.sections.rayo import RayoSettings, RouteSettings
from focus.wire.base import local_name
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0
from tests.interop.callers import AiortcCaller, CallerFactory, assert_hears
from tests.interop.running import (
    PATIENCE,
    ClientFactory,
    PhoneFactory,
    RunningFocus,
    StanzaClient,
    eventually,
    serve,
    settings_for,
)

pytestmark = pytest.mark.interop

RAYO = "urn:xmpp:rayo:1"
SHIM = "http://jabber.org/protocol/shim"
SKILL = "<header name='x-skill' value='agent'/><header name='Route' value='foo'/><header name='Route' value='bar'/>"
AS_SHIM = [("x-skill", "agent"), ("Route", "foo"), ("Route", "bar")]
PROPOSED_WITH = "".join(f"<header name='{name}'>{value}</header>" for name, value in AS_SHIM)


@pytest.fixture
async def focus(prosody: Prosody) -> AsyncIterator[RunningFocus]:
    """Calls to juliet-… go to juliet's clients, those to romeo-… to romeo's."""
    accounts = {name: f"{name}@{prosody.domain}" for name in ("juliet", "romeo")}
    settings = settings_for(prosody).model_copy(
        update={
            "rayo": RayoSettings(clients=tuple(accounts.values())),
            "routes": tuple(
                RouteSettings(match=f"{name}-*", clients=(account,), timeout=60) for name, account in accounts.items()
            ),
        }
    )
    async with serve(prosody, settings) as running:
        yield running


class Tenant:
    """A registered client, and the calls that it is offered."""

    def __init__(self, focus: RunningFocus, client: StanzaClient) -> None:
        self.client = client
        self.focus = focus
        self.service = JID("", focus.prosody.focus)

    async def register(self) -> None:
        self.client.send(f"<presence to='{self.service}'><show>chat</show></presence>")
        await self.client.ask(self.service, "get", "<ping xmlns='urn:xmpp:ping'/>")

    @property
    def desk(self) -> JID:
        """Who calls there, calls this client."""
        return self.focus.mixer(f"{self.client.jid.local}-desk")

    async def do(self, to: JID, name: str, attributes: str = "", children: str = "") -> ET.Element:
        return await self.client.ask(to, "set", f"<{name} xmlns='{RAYO}' {attributes}>{children}</{name}>")

    async def refused(self, to: JID, name: str, attributes: str = "", children: str = "") -> tuple[str, str]:
        with pytest.raises(StanzaError) as caught:
            await self.do(to, name, attributes, children)
        return caught.value.condition, caught.value.type

    async def event(self, kind: str, sender: JID | None = None) -> tuple[JID, ET.Element]:
        """The next event of this kind, taken out."""
        stanza = await self.client.expect(
            f"<{kind}/> of {sender}",
            lambda each: (
                each.find(f"{{{RAYO}}}{kind}") is not None and sender in (None, JID.parse(each.get("from", "")))
            ),
        )
        element = stanza.find(f"{{{RAYO}}}{kind}")
        assert element is not None
        return JID.parse(stanza.get("from", "")), element

    async def end(self, call: JID) -> tuple[str, str | None]:
        """Why it ended, and the platform code."""
        _, end = await self.event("end", call)
        (reason,) = [each for each in end if local_name(each.tag) != "header"]
        return local_name(reason.tag), reason.get("platform-code")

    async def takes(self, caller: AiortcCaller) -> JID:
        """The call of `caller`, answered."""
        calling = asyncio.create_task(caller.call(self.desk))
        call, _ = await self.event("offer")
        await self.do(call, "accept")
        await self.do(call, "answer")
        async with asyncio.timeout(PATIENCE):
            await calling
        return call


@pytest.fixture
async def juliet(focus: RunningFocus, client: ClientFactory) -> Tenant:
    tenant = Tenant(focus, await client("juliet/balcony"))
    await tenant.register()
    return tenant


@pytest.fixture
async def romeo(focus: RunningFocus, client: ClientFactory) -> Tenant:
    tenant = Tenant(focus, await client("romeo/orchard"))
    await tenant.register()
    return tenant


async def propose(client: StanzaClient, to: JID, id: str) -> None:
    client.send(
        f"<message type='chat' to='{to}'><propose xmlns='{JMI_0}' id='{id}'>"
        "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>"
        f"<headers xmlns='{SHIM}'>{PROPOSED_WITH}</headers></message>"
    )


def headers(element: ET.Element) -> list[tuple[str | None, str | None]]:
    """Rayo's, or SHIM's."""
    return [(each.get("name"), each.get("value", each.text)) for each in element if local_name(each.tag) == "header"]


def shim(stanza: ET.Element) -> list[tuple[str | None, str | None]]:
    found = stanza.find(f"{{{SHIM}}}headers")
    return headers(found) if found is not None else []


@pytest.mark.parametrize(("reason", "told"), [("decline", "decline"), ("busy", "busy"), ("error", "general-error")])
async def test_a_call_is_rejected_with_a_reason_and_headers(
    client: ClientFactory, juliet: Tenant, reason: str, told: str
) -> None:
    alice = await client("alice")
    await propose(alice, juliet.desk, "p1")
    call, offer = await juliet.event("offer")
    assert headers(offer) == AS_SHIM
    assert await juliet.refused(call, "reject") == ("bad-request", "modify")
    assert await juliet.refused(call, "reject", children="<decline/><later/>") == ("feature-not-implemented", "modify")
    assert len(await juliet.do(call, "reject", children=f"<{reason}/>{SKILL}")) == 0
    rejected = await alice.expect_child(f"{{{JMI_0}}}reject", id="p1")
    assert rejected[0].find(f"{{*}}reason/{{*}}{told}") is not None
    assert shim(rejected) == AS_SHIM
    assert await juliet.end(call) == ("hangup-command", told)
    assert await juliet.refused(call, "answer") == ("item-not-found", "cancel")


async def test_a_caller_is_redirected(client: ClientFactory, juliet: Tenant) -> None:
    alice = await client("alice")
    await propose(alice, juliet.desk, "p1")
    call, _ = await juliet.event("offer")
    await juliet.do(call, "accept", children=SKILL)
    ringing = await alice.expect_child(f"{{{JMI_0}}}ringing", id="p1")
    assert shim(ringing) == AS_SHIM
    assert await juliet.refused(call, "redirect") == ("bad-request", "modify")
    assert len(await juliet.do(call, "redirect", "to='xmpp:other@there.com'", SKILL)) == 0
    rejected = await alice.expect_child(f"{{{JMI_0}}}reject", id="p1")
    redirect = rejected[0].find("{*}reason/{urn:ietf:params:xml:ns:xmpp-stanzas}redirect")
    assert redirect is not None
    assert redirect.text == "xmpp:other@there.com"
    assert await juliet.end(call) == ("hangup-command", "decline")


async def test_an_answered_call_is_hung_up_in_order(juliet: Tenant, caller: CallerFactory) -> None:
    alice = await caller("alice", 300)
    call = await juliet.takes(alice)
    assert await juliet.refused(call, "reject", children="<busy/>") == ("not-allowed", "cancel")
    assert await juliet.refused(call, "redirect", "to='xmpp:other@there.com'") == ("unexpected-request", "wait")
    assert await juliet.refused(call, "hangup", "now='yes'") == ("feature-not-implemented", "modify")
    await juliet.do(call, "join", "mixer-name='milk'")
    await juliet.do(call, "hangup", children=SKILL)
    terminate = await alice.client.expect_child("{urn:xmpp:jingle:1}jingle", action="session-terminate")
    assert shim(terminate[0]) == AS_SHIM
    assert await juliet.end(call) == ("hangup-command", "success")
    told = [local_name(each[-2].tag) for each in juliet.client.received if each.get("from") == str(call)]
    assert told == ["joined", "unjoined"]  # the end, which came after them, has been read


async def test_two_tenants_do_not_meet_in_mixers_of_one_name(
    juliet: Tenant, romeo: Tenant, caller: CallerFactory
) -> None:
    alice, bob, carol = await caller("alice", 300), await caller("bob", 440), await caller("carol", 600)
    hers, his = await juliet.takes(alice), await romeo.takes(bob)
    for tenant, call in ((juliet, hers), (romeo, his)):
        result = await tenant.do(call, "join", "mixer-name='myMixer'")
        assert result[0].get("uri") == juliet.focus.mixer("mymixer").uri
    third = await juliet.takes(carol)
    await juliet.do(third, "join", "mixer-name='myMixer'")
    await assert_hears(alice, [600], 300, 440)
    await assert_hears(bob, [], 300, 600)

    mixer = juliet.focus.mixer("mymixer")
    assert await romeo.refused(his, "join", f"call-uri='{hers.uri}'") == ("not-allowed", "cancel")
    assert await romeo.refused(mixer, "unjoin", f"call-uri='{hers.uri}'") == ("service-unavailable", "cancel")
    assert await romeo.refused(hers, "unjoin") == ("conflict", "cancel")
    await romeo.do(mixer, "unjoin")
    about = [each.attrib for stanza in romeo.client.received for each in stanza if each.tag.startswith(f"{{{RAYO}}}")]
    assert not [one for one in about if {hers.uri, third.uri} & set(one.values())]
    assert await romeo.refused(mixer, "unjoin") == ("item-not-found", "cancel")
    await assert_hears(alice, [600], 300)


async def test_every_way_in_which_nobody_answers(
    client: ClientFactory, juliet: Tenant, listening: PhoneFactory, focus: RunningFocus
) -> None:
    await client("silent")
    ends = {"busy": "busy", "decline": "rejected", "gone": "hungup", "media-error": "error"}
    for number, condition in enumerate(ends):
        await listening(f"phone{number}", 440, condition)
    dialled = {}
    for number, (condition, reason) in enumerate(ends.items()):
        dialled[f"phone{number}"] = (reason, condition)
    for name, expected in dialled.items():
        result = await juliet.do(juliet.service, "dial", f"to='xmpp:{name}@localhost'", SKILL)
        assert await juliet.end(JID.from_uri(result[0].get("uri", ""))) == expected
    result = await juliet.do(juliet.service, "dial", "to='xmpp:silent@localhost' timeout='300'")
    assert await juliet.end(JID.from_uri(result[0].get("uri", ""))) == ("timeout", "timeout")
    result = await juliet.do(juliet.service, "dial", "to='xmpp:silent@localhost'")
    call = JID.from_uri(result[0].get("uri", ""))
    await juliet.do(call, "hangup")
    assert await juliet.end(call) == ("hangup-command", "success")
    await eventually(lambda: focus.service.calls() == 0)
