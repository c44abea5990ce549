"""A program joins calls with calls, calls with mixers, and mixers with mixers, with plain stanzas: who hears whom, and
what is told (XEP-0327 sections 6.2.1.2, 6.3, 6.4 and 6.6.3)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

from focus.service.phone import Phone
from focus.wire.base import local_name
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from tests.interop.callers import CallerFactory
from tests.interop.running import PATIENCE, ClientFactory, PhoneFactory, RunningFocus, StanzaClient
from tests.service import phones as ears

pytestmark = pytest.mark.interop

RAYO = "urn:xmpp:rayo:1"
BODY = "{jabber:client}body"
CAPS = "http://jabber.org/protocol/caps"
TONES = {"alice": 300, "bob": 440, "carol": 600}


class Program:
    """A Rayo client; what is told to it stays in `client.received`, in order."""

    def __init__(self, focus: RunningFocus, client: StanzaClient) -> None:
        self.service = JID("", focus.prosody.focus)
        self.domain = focus.prosody.domain
        self.client = client

    async def do(self, to: JID, command: str) -> ET.Element:
        """Send a command; `xmlns` need not be written."""
        return await self.client.ask(to, "set", re.sub(r"^<(\w+)", rf"<\1 xmlns='{RAYO}'", command))

    async def dial(self, name: str, joins: str = "", more: str = "") -> JID:
        """Call somebody; returns when they have answered."""
        result = await self.do(self.service, f"<dial to='xmpp:{name}@{self.domain}' {more}>{joins}</dial>")
        call = JID.from_uri(result[0].get("uri", ""))
        await self.told(call, "answered")
        return call

    async def told(self, sender: JID, kind: str, **attributes: str) -> None:
        """Wait until an event has come. It stays where it is."""
        await until(self, lambda: (kind, attributes) in self.story(sender))

    def story(self, sender: JID) -> list[tuple[str, dict[str, str]]]:
        """All that `sender` has told, in order: names of events with their attributes, and presence."""
        found = []
        for stanza in self.client.received:
            if stanza.get("from") == str(sender) and local_name(stanza.tag) == "presence":
                events = [child for child in stanza if child.tag.startswith(f"{{{RAYO}}}")]
                if events:
                    found.append((local_name(events[0].tag), dict(events[0].attrib)))
                else:
                    found.append((stanza.get("type", "available"), {}))
        return found


@pytest.fixture
async def program(focus: RunningFocus, client: ClientFactory) -> Program:
    return Program(focus, await client("controller"))


@pytest.fixture
async def phones(listening: PhoneFactory) -> dict[str, Phone]:
    return {name: await listening(name, frequency) for name, frequency in TONES.items()}


async def hears(phone: Phone, *names: str) -> None:
    """It hears these, and nobody else."""
    without = [frequency for name, frequency in TONES.items() if name not in names]
    await ears.hears(phone, *(TONES[name] for name in names), without=without)


@pytest.mark.any_server
async def test_two_calls_are_joined_in_each_direction(program: Program, phones: dict[str, Phone]) -> None:
    alice, bob = await program.dial("alice"), await program.dial("bob")
    await asyncio.gather(hears(phones["alice"]), hears(phones["bob"]))

    assert len(await program.do(alice, f"<join call-uri='{bob.uri}'/>")) == 0
    await asyncio.gather(hears(phones["alice"], "bob"), hears(phones["bob"], "alice"))
    await program.do(alice, f"<join call-uri='{bob.uri}' direction='send'/>")
    await asyncio.gather(hears(phones["alice"]), hears(phones["bob"], "alice"))
    await program.do(bob, f"<join call-uri='{alice.uri}' direction='send'/>")
    await asyncio.gather(hears(phones["alice"], "bob"), hears(phones["bob"]))
    await program.do(alice, f"<join call-uri='{bob.uri}' direction='duplex' media='bridge'/>")
    await asyncio.gather(hears(phones["alice"], "bob"), hears(phones["bob"], "alice"))

    await program.do(alice, f"<unjoin call-uri='{bob.uri}'/>")
    await program.told(alice, "unjoined", **{"call-uri": bob.uri})
    await asyncio.gather(hears(phones["alice"]), hears(phones["bob"]))
    assert phones["alice"].current is not None  # silence, and not the end
    for call, other in ((alice, bob), (bob, alice)):
        party = {"call-uri": other.uri}
        assert [each for each in program.story(call) if "join" in each[0]] == [("joined", party), ("unjoined", party)]
    with pytest.raises(StanzaError) as refused:
        await program.do(alice, f"<unjoin call-uri='{bob.uri}'/>")
    assert (refused.value.condition, refused.value.type) == ("service-unavailable", "cancel")


@pytest.mark.any_server
async def test_a_call_has_several_joins_of_different_directions(program: Program, phones: dict[str, Phone]) -> None:
    """Alice whispers to carol, whom nobody else hears, while she talks with bob; all of it is said in the dials."""
    alice = await program.dial("alice")
    bob = await program.dial("bob", f"<join call-uri='{alice.uri}'/>")
    carol = await program.dial("carol", f"<join call-uri='{alice.uri}' direction='recv'/><join mixer-name='milk'/>")
    await program.told(carol, "joined", **{"mixer-name": "milk"})
    await asyncio.gather(hears(phones["alice"], "bob"), hears(phones["bob"], "alice"), hears(phones["carol"], "alice"))
    await program.do(alice, "<unjoin/>")
    await asyncio.gather(hears(phones["alice"]), hears(phones["bob"]), hears(phones["carol"]))
    assert [each for each in program.story(alice) if each[0] == "unjoined"] == [
        ("unjoined", {"call-uri": bob.uri}),
        ("unjoined", {"call-uri": carol.uri}),
    ]


@pytest.mark.any_server
async def test_a_mixer_lives_from_its_first_join_to_its_last(
    focus: RunningFocus, program: Program, phones: dict[str, Phone]
) -> None:
    alice, bob = await program.dial("alice"), await program.dial("bob")
    mixer = JID("mymixer", focus.prosody.focus)
    result = await program.do(alice, "<join mixer-name='myMixer'/>")
    assert result[0].get("uri") == mixer.uri
    await program.told(mixer, "joined", **{"call-uri": alice.uri})
    first = next(each for each in program.client.received if each.get("from") == str(mixer))
    caps = first.find(f"{{{CAPS}}}c")
    assert caps is not None
    assert caps.get("node") == "urn:xmpp:rayo:mixer:1"
    answer = await program.client.ask(
        mixer,
        "get",
        f"<query xmlns='http://jabber.org/protocol/disco#info' node='{caps.get('node')}#{caps.get('ver')}'/>",
    )
    assert len(answer[0]) > 0

    await program.do(mixer, f"<join call-uri='{bob.uri}' direction='send'/>")  # bob only listens
    await program.told(mixer, "started-speaking", **{"call-uri": alice.uri})
    await asyncio.gather(hears(phones["alice"]), hears(phones["bob"], "alice"))
    await program.do(bob, "<join mixer-name='myMixer'/>")
    await program.told(mixer, "started-speaking", **{"call-uri": bob.uri})
    await asyncio.gather(hears(phones["alice"], "bob"), hears(phones["bob"], "alice"))

    await program.do(alice, "<hangup/>")
    await program.told(alice, "end")
    assert program.story(alice)[-2:] == [("unjoined", {"mixer-name": "myMixer"}), ("end", {})]
    await program.do(bob, "<unjoin mixer-name='myMixer'/>")
    await program.told(mixer, "unavailable")
    told = [each for each in program.story(mixer) if "speaking" not in each[0]]
    assert told == [
        ("available", {}),
        ("joined", {"call-uri": alice.uri}),
        ("joined", {"call-uri": bob.uri}),
        ("unjoined", {"call-uri": alice.uri}),
        ("unjoined", {"call-uri": bob.uri}),
        ("unavailable", {}),
    ]
    await hears(phones["bob"])


@pytest.mark.any_server
async def test_mixers_are_joined_with_each_other(
    focus: RunningFocus, program: Program, phones: dict[str, Phone]
) -> None:
    room = JID("tea", focus.prosody.focus)
    alice = await program.dial("alice", "<join mixer-name='tea'/>")
    await program.dial("bob", "<join mixer-name='tea'/>")
    carol = await program.dial("carol", "<join mixer-name='milk'/>")
    await program.told(carol, "joined", **{"mixer-name": "milk"})
    await asyncio.gather(hears(phones["alice"], "bob"), hears(phones["carol"]))
    result = await program.do(room, "<join mixer-name='milk' direction='send'/>")
    assert result[0].get("uri") == JID("milk", focus.prosody.focus).uri
    await program.told(room, "joined", **{"mixer-name": "milk"})
    await asyncio.gather(hears(phones["alice"], "bob"), hears(phones["carol"], "alice", "bob"))
    await program.do(room, "<join mixer-name='milk'/>")
    await asyncio.gather(hears(phones["alice"], "bob", "carol"), hears(phones["carol"], "alice", "bob"))
    with pytest.raises(StanzaError) as refused:
        await program.do(alice, "<join mixer-name='milk'/>")
    assert (refused.value.condition, refused.value.type) == ("conflict", "cancel")
    await program.do(room, "<unjoin mixer-name='milk'/>")
    await asyncio.gather(hears(phones["alice"], "bob"), hears(phones["carol"]))


async def test_who_subscribes_to_a_room_hears_of_its_calls_and_can_write_to_them(
    focus: RunningFocus, program: Program, caller: CallerFactory
) -> None:
    room = focus.mixer("tea")
    program.client.send(f"<presence to='{room}' type='subscribe'/>")
    await program.client.expect("its presence", lambda stanza: stanza.get("from") == f"{room}/focus")
    alice = await caller("alice", 300)
    await alice.call(room)
    await until(program, lambda: "joined" in [name for name, _ in program.story(room)])
    (call,) = [JID.from_uri(party["call-uri"]) for name, party in program.story(room) if name == "joined"]
    await program.told(room, "started-speaking", **{"call-uri": call.uri})

    program.client.send(f"<message to='{call}' type='normal'><body>Art thou not Romeo?</body></message>")
    message = await alice.client.expect("the message", lambda stanza: stanza.find(BODY) is not None)
    assert (message.get("from"), message.get("type", "normal")) == (f"{room}/focus", "normal")
    assert message.findtext(BODY) == "Art thou not Romeo?"
    for kind, child, expected in (("chat", "<body>no</body>", "modify"), ("normal", "<none/>", "cancel")):
        program.client.send(f"<message to='{call}' type='{kind}' id='{kind}'>{child}</message>")
        error = await program.client.expect("an error", lambda stanza, kind=kind: stanza.get("id") == kind)  # type: ignore[misc]
        (condition,) = error.iter("{jabber:client}error")
        assert (condition.get("type"), local_name(condition[0].tag)) == (expected, "feature-not-implemented")

    await alice.hang_up()
    await program.told(room, "unjoined", **{"call-uri": call.uri})
    program.client.send(f"<presence to='{room}' type='unsubscribe'/>")
    await program.told(room, "unavailable")
    assert program.story(room)[-3:] == [
        ("stopped-speaking", {"call-uri": call.uri}),
        ("unjoined", {"call-uri": call.uri}),
        ("unavailable", {}),
    ]


async def until(program: Program, condition: Callable[[], bool]) -> None:
    async with program.client.arrived, asyncio.timeout(PATIENCE):
        await program.client.arrived.wait_for(condition)
