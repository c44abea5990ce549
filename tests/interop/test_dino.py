"""What Dino 0.4.2 was seen to send is answered as that client needs it.

The stanzas in `tests/data/dino-0.4.2/` are a real client's, captured when it called, or was called by, a component.
Its candidates lead nowhere any more, so no media flows here; ids are put in where the focus chooses them.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.wire.conference_info import CONFERENCE_INFO
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Jingle
from focus.wire.jingle_message import JMI_0
from tests.interop.running import ClientFactory, RunningFocus, StanzaClient, eventually

pytestmark = pytest.mark.interop

DATA = Path(__file__).parents[1] / "data" / "dino-0.4.2"


def captured(name: str) -> list[ET.Element]:
    """The stanzas of one call, in the order in which they were sent."""
    return list(ET.parse(DATA / f"{name}.xml").getroot())


def send(client: StanzaClient, stanza: ET.Element, **replaced: str) -> None:
    """As captured, with some words replaced."""
    text = ET.tostring(stanza, encoding="unicode")
    for old, new in replaced.items():
        text = re.sub(rf"\b{re.escape(old)}\b", new, text)
    client.send(text)


def jingle_of(stanza: ET.Element) -> Jingle:
    return Jingle.parse(stanza[0])


async def dino(client: ClientFactory) -> StanzaClient:
    """Somebody with the client's address, who answers disco as it does: no Coin in its list, though it reads it."""
    alice = await client("alice/dino.probe")
    alice.answers["{http://jabber.org/protocol/disco#info}query"] = lambda stanza: ET.fromstring(
        "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:jingle:1'/>"
        "<feature var='urn:xmpp:jingle:apps:rtp:1'/><feature var='urn:xmpp:jingle-message:0'/></query>"
    )
    return alice


async def test_dino_calls_a_room_and_is_answered_in_the_form_it_reads(
    focus: RunningFocus, client: ClientFactory
) -> None:
    alice = await dino(client)
    propose, initiate, terminate = captured("audio")

    send(alice, propose)
    proceed = await alice.expect_child(f"{{{JMI_0}}}proceed", id=propose[0].get("id", ""))
    assert (proceed.get("type"), proceed.get("from")) == ("chat", "room@focus.localhost/focus")
    assert proceed.get("to") == str(alice.jid)

    send(alice, initiate)
    accept = jingle_of(await alice.expect_child(f"{{{JINGLE}}}jingle", action="session-accept"))
    (content,) = accept.contents
    assert (content.name, content.creator, content.senders) == ("audio", "initiator", "both")
    assert content.description is not None
    assert content.transport is not None
    first = content.description.payload_types[0]
    assert (first.name, first.id, first.clockrate, first.channels) == ("opus", 111, 48000, 2)
    assert content.description.rtcp_mux is not None
    (fingerprint,) = content.transport.fingerprints
    assert (fingerprint.hash, fingerprint.setup) == ("sha-256", "active")
    assert content.transport.candidates
    assert {candidate.component for candidate in content.transport.candidates} == {1}
    assert accept.group is None, "it did not offer to bundle"
    assert accept.focus is not None
    assert accept.focus.isfocus

    await alice.expect_child("{http://jabber.org/protocol/disco#info}query")
    send(alice, terminate)
    await alice.expect_child(f"{{{JMI_0}}}finish")
    assert not [stanza for stanza in alice.received if _is_coin(stanza)], "a document blanks its call window"


async def test_dino_offers_video_and_is_answered_with_audio_alone(focus: RunningFocus, client: ClientFactory) -> None:
    alice = await dino(client)
    propose, initiate, terminate = captured("video")
    send(alice, propose)
    await alice.expect_child(f"{{{JMI_0}}}proceed")
    send(alice, initiate)
    accept = jingle_of(await alice.expect_child(f"{{{JINGLE}}}jingle", action="session-accept"))
    assert [content.name for content in accept.contents] == ["audio"]
    send(alice, terminate)
    await alice.expect_child(f"{{{JMI_0}}}finish")


async def test_dino_hangs_up_before_it_is_answered(focus: RunningFocus, client: ClientFactory) -> None:
    alice = await dino(client)
    propose, retract = captured("retract")
    send(alice, propose)
    send(alice, retract)
    await alice.ask(JID("", focus.prosody.focus), "get", "<ping xmlns='urn:xmpp:ping'/>")  # both have been read
    await eventually(lambda: focus.service.calls() == 0)
    assert not [stanza for stanza in alice.received if stanza.tag.endswith("}iq")]


async def test_dino_is_called_by_a_room_mutes_and_tries_to_add_video(
    focus: RunningFocus, client: ClientFactory
) -> None:
    alice = await dino(client)
    controller = await client("controller")
    proceed, accept, mute, unmute, add, terminate = captured("called")
    await controller.ask(
        JID("", focus.prosody.focus),
        "set",
        "<dial xmlns='urn:xmpp:rayo:1' to='xmpp:alice@localhost' from='xmpp:room@focus.localhost'>"
        "<join mixer-name='room'/></dial>",
    )
    propose = await alice.expect_child(f"{{{JMI_0}}}propose")
    assert [part.get("media") for part in propose[0]] == ["audio"]
    sid = {proceed[0].get("id", ""): propose[0].get("id", "")}

    send(alice, proceed, **sid)
    initiate = jingle_of(await alice.expect_child(f"{{{JINGLE}}}jingle", action="session-initiate"))
    (content,) = initiate.contents
    assert content.description is not None
    assert content.transport is not None
    assert content.transport.fingerprints[0].setup == "actpass"
    assert initiate.focus is not None
    payload = content.description.payload_types[0].id

    text = ET.tostring(accept, encoding="unicode").replace('id="96"', f'id="{payload}"')
    send(alice, ET.fromstring(text), **sid)
    for info in (mute, unmute):
        send(alice, info, **sid)
    send(alice, add, **sid)
    send(alice, terminate, **sid)
    await alice.expect_child(f"{{{JMI_0}}}finish", id=propose[0].get("id", ""))
    await eventually(lambda: focus.service.calls() == 0)


def _is_coin(stanza: ET.Element) -> bool:
    return any(child.tag == f"{{{CONFERENCE_INFO}}}conference-info" for child in stanza)
