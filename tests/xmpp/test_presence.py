"""Presence and subscriptions as an ordinary client and its server see them: what shows the call button."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from typing_extensions import override

from focus.xmpp.connection import Connection
from focus.xmpp.discovery import CAPS, DISCO_INFO, Discovery
from focus.xmpp.presence import PresenceResponder

from .conftest import Client, Login, Party
from .test_muc import drop_connection

ROOM = "tea@focus.localhost"
ROSTER = "<query xmlns='jabber:iq:roster'/>"


@pytest.fixture
def responder(component: Connection, party: Party) -> PresenceResponder:
    discovery = Discovery(component, tuple)
    responder = PresenceResponder(component, discovery.caps_element)

    async def answer(stanza: ET.Element) -> ET.Element | None:
        return discovery.answer(stanza)

    party.on_iq, party.on_presence, party.on_connected = answer, responder.handle_presence, responder.connected
    return responder


async def subscription(client: Client, id: str) -> str | None:
    roster = await client.asks(str(client.jid.bare), ROSTER, id=id)
    return next(
        (item.get("subscription") for item in roster.iter("{jabber:iq:roster}item") if item.get("jid") == ROOM), None
    )


async def add(client: Client) -> ET.Element:
    """As the dialogue "add contact" does it; returns the first available presence."""
    client.say(f"<iq type='set' id='add'><query xmlns='jabber:iq:roster'><item jid='{ROOM}' name='Tea'/></query></iq>")
    client.say(f"<presence type='subscribe' to='{ROOM}'/>")
    await client.hears("presence", ROOM, "subscribed")
    await client.hears("presence", ROOM, "subscribe")
    client.say(f"<presence type='subscribed' to='{ROOM}'/>")
    return await client.hears("presence", f"{ROOM}/focus", "available")


async def test_a_contact_that_is_added_is_online_with_capabilities_and_in_both_directions(
    responder: PresenceResponder, login: Login
) -> None:
    alice = await login("alice")
    presence = await add(alice)
    caps = presence.find(f"{{{CAPS}}}c")
    assert caps is not None
    assert await subscription(alice, "r1") == "both"
    node = f"{caps.get('node')}#{caps.get('ver')}"
    answer = await alice.asks(presence.attrib["from"], f"<query xmlns='{DISCO_INFO}' node='{node}'/>", id="info")
    assert "urn:xmpp:jingle:apps:rtp:audio" in {one.get("var") for one in answer.iter(f"{{{DISCO_INFO}}}feature")}


async def test_the_contact_is_online_again_at_the_next_login_and_stays_in_the_roster(
    responder: PresenceResponder, login: Login
) -> None:
    await add(await login("alice"))
    tablet = await login("alice", "tablet")
    assert (await tablet.hears("presence", f"{ROOM}/focus", "available")).find(f"{{{CAPS}}}c") is not None
    assert await subscription(tablet, "r2") == "both"


async def test_the_probe_of_a_stranger_is_answered_with_presence_and_never_with_unsubscribed(
    responder: PresenceResponder, login: Login
) -> None:
    alice = await login("alice")
    alice.say(f"<presence type='probe' to='{ROOM}'/>")
    assert (await alice.hears("presence", f"{ROOM}/focus", "available")).find(f"{{{CAPS}}}c") is not None
    assert not [tree for tree in alice.inbox.items if tree.get("type") in ("unsubscribed", "unavailable")]


async def test_a_contact_that_is_removed_lets_go_too(responder: PresenceResponder, login: Login, party: Party) -> None:
    alice = await login("alice")
    await add(alice)
    alice.say(f"<presence type='unsubscribe' to='{ROOM}'/>")
    await alice.hears("presence", ROOM, "unsubscribe")
    assert not [tree for tree in alice.inbox.items if tree.get("type") in ("unsubscribed", "unavailable")]


def test_somebody_who_subscribes_again_is_not_asked_again() -> None:
    """Two programs that subscribe to whoever subscribes would never end; here the second is played by hand."""
    sent: list[tuple[str | None, str | None]] = []
    echo = PresenceResponder(Recording(sent), lambda: ET.Element(f"{{{CAPS}}}c"))
    subscribe = ET.fromstring(f"<presence xmlns='jabber:client' type='subscribe' from='a@b.example' to='{ROOM}'/>")
    for _ in range(2):
        assert echo.handle_presence(subscribe)
    assert sent == [
        ("subscribed", ROOM),
        ("subscribe", ROOM),
        (None, f"{ROOM}/focus"),
        ("subscribed", ROOM),
        (None, f"{ROOM}/focus"),
    ]


@pytest.mark.parametrize(
    ("kind", "answers"), [("unsubscribe", ["unsubscribe"]), ("subscribed", []), ("unsubscribed", [])]
)
def test_only_who_unsubscribes_is_shown_nothing_any_more_and_only_that_is_answered(
    kind: str, answers: list[str]
) -> None:
    sent: list[tuple[str | None, str | None]] = []
    responder = PresenceResponder(Recording(sent), lambda: ET.Element(f"{{{CAPS}}}c"))
    text = "<presence xmlns='jabber:client' type='{}' from='a@b.example' to='{}'/>"
    assert responder.handle_presence(ET.fromstring(text.format("subscribe", ROOM)))
    sent.clear()
    assert responder.handle_presence(ET.fromstring(text.format(kind, ROOM)))
    assert sent == [(answer, ROOM) for answer in answers]
    sent.clear()
    responder.connected()
    assert sent == ([] if kind == "unsubscribe" else [(None, f"{ROOM}/focus")])


class Recording(Connection):
    """Says what is sent."""

    def __init__(self, sent: list[tuple[str | None, str | None]]) -> None:
        super().__init__("focus.localhost", "x", "127.0.0.1", 1, Party())
        self.sent = sent

    @override
    def send(self, element_tree: ET.Element) -> bool:
        self.sent.append((element_tree.get("type"), element_tree.get("from")))
        return True


async def test_those_who_saw_us_are_told_again_when_our_connection_is_back(
    responder: PresenceResponder, component: Connection, party: Party, login: Login
) -> None:
    alice = await login("alice")
    await add(alice)
    drop_connection(component)
    await party.states.get(lambda state: state == "disconnected")
    assert (await alice.hears("presence", f"{ROOM}/focus", "available")).find(f"{{{CAPS}}}c") is not None


async def test_only_on_withdrawal_are_we_gone(responder: PresenceResponder, login: Login) -> None:
    alice = await login("alice")
    await add(alice)
    responder.withdraw()
    await alice.hears("presence", f"{ROOM}/focus", "unavailable")


async def test_other_presence_is_left_to_others(responder: PresenceResponder, party: Party, login: Login) -> None:
    alice = await login("alice")
    alice.say(f"<presence to='{ROOM}'/>")
    assert (await party.presences.get(lambda tree: True)).get("type") is None
    alice.say(f"<presence type='unavailable' to='{ROOM}'/>")
    assert (await party.presences.get(lambda tree: True)).get("type") == "unavailable"
