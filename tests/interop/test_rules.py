"""What the clients of the field need before they show a button for calls: addresses and presence.

The rules about the call itself are in `tests/jingle/test_rules.py`.
"""

from __future__ import annotations

import pytest

from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from tests.interop.running import ClientFactory, RunningFocus, StanzaClient

pytestmark = pytest.mark.interop

INFO, CAPS = "http://jabber.org/protocol/disco#info", "{http://jabber.org/protocol/caps}c"
NEEDED = {
    "urn:xmpp:jingle:1",
    "urn:xmpp:jingle:apps:rtp:1",
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:transports:ice-udp:1",
    "urn:xmpp:jingle:apps:dtls:0",
    "urn:xmpp:jingle-message:0",
    "urn:xmpp:jingle:apps:rtp:rtcp-fb:0",
    "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0",
    "urn:xmpp:jingle:apps:rtp:ssma:0",
    "urn:ietf:rfc:5888",
}


async def features(client: StanzaClient, address: JID, node: str = "") -> set[str]:
    asked = f"<query xmlns='{INFO}' node='{node}'/>" if node else f"<query xmlns='{INFO}'/>"
    result = await client.ask(address, "get", asked)
    return {each.get("var", "") for each in result.iter(f"{{{INFO}}}feature")}


async def test_rule_1_a_room_is_called_at_an_address_that_is_not_the_rooms(
    focus: RunningFocus, client: ClientFactory
) -> None:
    alice = await client("alice")
    mixer = focus.mixer("tea")
    assert mixer != focus.room("tea")
    for address in (mixer, mixer.with_resource("focus")):
        assert "urn:xmpp:jingle:1" in await features(alice, address)
    for room in (mixer.with_resource("focus"), focus.room("tea")):
        with pytest.raises(StanzaError) as refusal:
            await alice.ask(room, "set", "<jingle xmlns='urn:xmpp:jingle:1' action='session-info' sid='s1'/>")
        unknown_session = "no session s1" in (refusal.value.text or "")
        assert unknown_session is (room.bare == mixer)


async def test_rule_2_presence_with_caps_is_the_button_for_calls(focus: RunningFocus, client: ClientFactory) -> None:
    alice = await client("alice")
    mixer = focus.mixer("tea")
    alice.send(f"<presence to='{mixer}' type='subscribe'/>")
    await alice.expect("asked in turn", lambda each: each.get("type") == "subscribe" and each.get("from") == str(mixer))
    available = await alice.expect(
        "caps", lambda each: each.get("from", "").startswith(f"{mixer}/") and each.find(CAPS) is not None
    )
    device = JID.parse(available.get("from", ""))
    assert available.get("type") is None
    caps = available.find(CAPS)
    assert caps is not None
    told = await features(alice, device)
    assert told >= NEEDED
    assert "urn:xmpp:jingle:apps:rtp:video" not in told
    assert await features(alice, device, f"{caps.get('node')}#{caps.get('ver')}") == told
    for address in (mixer, JID("", mixer.domain)):
        assert await features(alice, address) >= NEEDED


async def test_rule_3_a_probe_of_somebody_unknown_costs_nobody_his_subscription(
    focus: RunningFocus, client: ClientFactory
) -> None:
    alice = await client("alice")
    mixer = focus.mixer("tea")
    own = alice.jid.bare
    await alice.ask(own, "get", "<query xmlns='jabber:iq:roster'/>")
    alice.send(f"<presence to='{mixer}' type='subscribe'/>")
    await alice.expect("asked in turn", lambda each: each.get("type") == "subscribe")
    alice.send(f"<presence to='{mixer}' type='subscribed'/>")
    focus.service._presences._watchers.clear()  # as after a restart: it knows nobody
    tablet = await client("alice/tablet")  # whose coming makes the server probe
    await tablet.expect("available", lambda each: each.get("from", "").startswith(f"{mixer}/"))
    roster = await tablet.ask(own, "get", "<query xmlns='jabber:iq:roster'/>")
    items = {each.get("jid"): each.get("subscription") for each in roster.iter("{jabber:iq:roster}item")}
    assert items == {str(mixer): "both"}
