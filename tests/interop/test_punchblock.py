"""What the one existing client library of Rayo sends is taken, and what it reads is there (COMPAT: punchblock).

It sends no capabilities, pings, looks for calls and mixers at the service's own domain, chooses the addresses of calls,
and writes the namespace once more in what is inside of a command. It reads a call by the local part of who sends the
event, and who speaks by `call-id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest

from focus.service.prosody import Prosody
from focus.service.sections.rayo import RayoSettings, RouteSettings
from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0
from tests.interop.callers import AiortcCallee, AiortcCaller, CallerFactory
from tests.interop.rayo_listings.conversation import Client, shim, tones
from tests.interop.running import PATIENCE, ClientFactory, RunningFocus, StanzaClient, serve, settings_for

pytestmark = [pytest.mark.interop, pytest.mark.any_server]

RAYO = "urn:xmpp:rayo:1"
STANZAS = {path.stem[3:]: path.read_text() for path in (Path(__file__).parents[1] / "golden/punchblock").glob("*.xml")}


class Punchblock(Client):
    """`said` are the names of those stanzas that it has sent."""

    said: frozenset[str] = frozenset()

    def sends(self, name: str, **values: object) -> str:
        """The stanza's id."""
        text = STANZAS[name].format(service=self.service, **values)
        self.says(text)
        self.said = self.said | {name}
        return ET.fromstring(text).get("id", "")

    async def commands(self, name: str, **values: object) -> ET.Element:
        """What it is answered, which has to be a result."""
        id = self.sends(name, **values)
        answer = await self.expect(f"answer to {name}", lambda stanza: stanza.get("id") == id)
        assert answer.get("type") == "result", ET.tostring(answer)
        return answer

    async def offered(self) -> JID:
        """The address of the next call that comes in."""
        return JID.parse((await self.expect_child(f"{{{RAYO}}}offer")).get("from", ""))

    async def reads(self, name: str, node: str) -> ET.Element:
        """The event of that name of the call or mixer at `node`, which has the time of its origin."""

        def matches(stanza: ET.Element) -> bool:
            sender = JID.parse(stanza.get("from", ""))
            return (sender.local, sender.domain) == (node, self.service.domain) and stanza.find(tag) is not None

        tag = f"{{{RAYO}}}{name}"
        stanza = await self.expect(f"<{name}/> of {node}", matches)
        assert stanza.find("{urn:xmpp:delay}delay") is not None
        event = stanza.find(tag)
        assert event is not None
        return event

    async def reads_end(self, node: str) -> str:
        """Its reason, which is the first child that is no header."""
        children = [child.tag for child in await self.reads("end", node) if not child.tag.endswith("}header")]
        return children[0].rpartition("}")[2]


@pytest.fixture
async def focus(prosody: Prosody) -> AsyncIterator[RunningFocus]:
    juliet = f"juliet@{prosody.domain}"
    settings = settings_for(prosody).model_copy(
        update={
            "rayo": RayoSettings(clients=(juliet,), call_ids=True),
            "routes": (RouteSettings(match="desk", clients=(juliet,), timeout=60),),
        }
    )
    async with serve(prosody, settings) as running:
        yield running


def proposes(caller: StanzaClient, to: JID, id: str) -> None:
    caller.send(
        f"<message type='chat' to='{to}'><propose xmlns='{JMI_0}' id='{id}'>"
        "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose></message>"
    )


async def test_a_day_of_an_application(focus: RunningFocus, client: ClientFactory, caller: CallerFactory) -> None:
    account = (await client("juliet")).account
    service, desk = JID("", focus.prosody.focus), focus.mixer("desk")
    juliet = Punchblock(replace(account, jid=account.jid.with_resource("punchblock")), service=service)
    await juliet.connect()
    juliet.sends("ready")
    await juliet.commands("ping")

    alice = await caller("alice", 300)
    calling = asyncio.create_task(alice.call(desk))
    call = await juliet.offered()
    for command in ("accept", "answer"):
        await juliet.commands(command, call=call)
    async with asyncio.timeout(PATIENCE):
        await calling

    answer = await juliet.commands("join-mixer", call=call)
    assert answer[0].get("uri") == focus.mixer("support").uri
    assert (await juliet.reads("joined", call.local)).get("mixer-name") == "support"
    assert (await juliet.reads("joined", "support")).get("call-uri") == call.uri
    assert (await juliet.reads("started-speaking", "support")).get("call-id") == call.local

    bob = AiortcCallee(await client("bob"), 440)
    made = JID(str(uuid4()), service.domain)
    answer = await juliet.commands(
        "dial", callee=bob.client.jid.bare.uri, called=desk.uri, uri=made.uri, call_uri=call.uri
    )
    assert answer[0].get("uri") == made.uri
    assert shim(await bob.rings()) == [("X-Skill", "complaints"), ("X-Skill", "praise")]
    await juliet.reads("ringing", made.local)
    await bob.answers()
    await juliet.reads("answered", made.local)
    assert (await juliet.reads("joined", made.local)).get("call-uri") == call.uri
    people: dict[str, AiortcCaller | AiortcCallee] = {"alice": alice, "bob": bob}
    await tones(people, alice="bob", bob="")
    await juliet.commands("join-again", call=call, uri=made.uri)
    await tones(people, alice="bob", bob="alice")
    await juliet.commands("unjoin-mixer", call=call)
    assert (await juliet.reads("unjoined", call.local)).get("mixer-name") == "support"
    await juliet.commands("unjoin-call", call=call, uri=made.uri)
    assert (await juliet.reads("unjoined", made.local)).get("call-uri") == call.uri
    await juliet.commands("join-again", call=call, uri=made.uri)
    await juliet.commands("unjoin-all", call=call)
    await tones(people, alice="", bob="")

    juliet.sends("message", call=call)
    written = await alice.client.expect("what was written", lambda stanza: stanza.find("{*}body") is not None)
    assert (written.findtext("{*}body"), written.findtext("{*}subject")) == ("Art thou not Romeo?", "Montague")
    for each, who in ((call, alice), (made, bob)):
        await juliet.commands("hangup", call=each)
        assert await juliet.reads_end(each.local) == "hangup-command"
        goodbye = await who.client.expect_child("{urn:xmpp:jingle:1}jingle", action="session-terminate")
        assert shim(goodbye) == [("X-Call-Result", "4")]
    await bob.close()

    dan = await client("dan")
    for command, reason in (("reject", "busy"), ("redirect", "decline")):
        proposes(dan, desk, command)
        call = await juliet.offered()
        await juliet.commands(command, call=call)
        refusal = await dan.expect_child(f"{{{JMI_0}}}reject", id=command)
        assert refusal[0].find(f"{{*}}reason/{{*}}{reason}") is not None
        assert await juliet.reads_end(call.local) == "hangup-command"

    juliet.sends("not-ready")
    # Older ones ping with a set, and go on when the answer is that this is not implemented.
    id = juliet.sends("ping-of-old")
    answer = await juliet.expect("an answer", lambda stanza: stanza.get("id") == id)
    assert answer.find("{*}error/{*}feature-not-implemented") is not None
    proposes(dan, desk, "nobody")
    refusal = await dan.expect_child(f"{{{JMI_0}}}reject", id="nobody")
    assert refusal[0].find("{*}reason/{*}gone") is not None
    assert juliet.said == set(STANZAS)
    await juliet.close()
