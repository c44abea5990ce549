"""Service discovery as clients and servers see it, and what we learn about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slixmpp import ComponentXMPP
from slixmpp.plugins.xep_0030.stanza.info import DiscoInfo

from focus.wire.conditions import FeatureNotImplemented, ItemNotFound
from focus.wire.jid import JID
from focus.xmpp.connection import Connection
from focus.xmpp.discovery import (
    CALL,
    CAPS,
    DISCO_INFO,
    FEATURES,
    INFO_QUERY,
    KINDS,
    MIXER,
    Discovery,
    verification_string,
)
from tests.interop.servers import Server

from .conftest import Client, Login, Party, found

ROOMS = ((JID.parse("tea@focus.localhost"), "Tea"), (JID.parse("coffee@focus.localhost"), "Coffee"))
ADDRESSES = ["focus.localhost", "tea@focus.localhost", "tea@focus.localhost/focus", "focus@focus.localhost/tea"]
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"

# What Conversations, Dino, Monal and Movim look for before they show a call button.
CALLABLE = {
    "urn:xmpp:jingle:1",
    "urn:xmpp:jingle:transports:ice-udp:1",
    "urn:xmpp:jingle:apps:rtp:1",
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:dtls:0",
    "urn:xmpp:jingle-message:0",
}


@pytest.fixture
def discovery(component: Connection, party: Party) -> Discovery:
    """Behind a binding that does no more than this."""
    discovery = Discovery(component, lambda: ROOMS)

    async def answer(stanza: ET.Element) -> ET.Element | None:
        if discovery.answers(stanza[0]):
            return discovery.answer(stanza)
        raise FeatureNotImplemented

    def observe(stanza: ET.Element) -> bool:
        discovery.observe(stanza, from_room=stanza.get("from", "").startswith("tea@rooms.localhost/"))
        return False

    party.on_iq, party.on_presence = answer, observe
    return discovery


def features_of(answer: ET.Element) -> set[str | None]:
    return {feature.get("var") for feature in answer.iter(f"{{{DISCO_INFO}}}feature")}


@pytest.mark.parametrize("address", ADDRESSES)
async def test_every_address_says_that_it_can_be_called(discovery: Discovery, login: Login, address: str) -> None:
    alice = await login("alice")
    caps = discovery.caps_element()
    for number, node in enumerate(("", f" node='{caps.get('node')}#{caps.get('ver')}'")):
        answer = await alice.asks(address, f"<query xmlns='{DISCO_INFO}'{node}/>", id=f"d{number}")
        assert answer.get("type") == "result"
        assert features_of(answer) == set(FEATURES) >= CALLABLE
        identity = found(answer, f".//{{{DISCO_INFO}}}identity")
        assert (identity.get("category"), identity.get("type")) == ("conference", "audio-focus")
        assert verification_string(found(answer, INFO_QUERY), "sha-1") == caps.get("ver")
        assert found(answer, INFO_QUERY).get("node") == (f"{caps.get('node')}#{caps.get('ver')}" if node else None)


def test_no_video_is_offered() -> None:
    """It would show a video button that nobody answers."""
    assert "urn:xmpp:jingle:apps:rtp:video" not in FEATURES


def test_keys_may_be_told() -> None:
    """XEP-0181 section 3."""
    assert all("urn:xmpp:jingle:dtmf:0" in features for features in (FEATURES, KINDS[CALL].features))


@pytest.mark.parametrize("node", [CALL, MIXER])
async def test_calls_and_mixers_have_nodes_of_their_own(discovery: Discovery, login: Login, node: str) -> None:
    alice = await login("alice")
    caps = discovery.caps_element(node)
    answer = await alice.asks("x@focus.localhost", f"<query xmlns='{DISCO_INFO}' node='{node}#{caps.get('ver')}'/>")
    assert verification_string(found(answer, INFO_QUERY), "sha-1") == caps.get("ver")
    assert {node, "urn:xmpp:rayo:1", "urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:ping"} < features_of(answer)
    assert answer.find(f".//{{{DISCO_INFO}}}identity") is not None


async def test_an_address_says_what_lives_there(component: Connection, party: Party, login: Login) -> None:
    lives = {"call@focus.localhost": CALL, "tea@focus.localhost": MIXER}
    discovery = Discovery(component, tuple, kind=lambda client, address: lives.get(str(address)))

    async def answer(stanza: ET.Element) -> ET.Element | None:
        return discovery.answer(stanza)

    party.on_iq = answer
    alice = await login("alice")
    features = {
        address: features_of(await alice.asks(address, f"<query xmlns='{DISCO_INFO}'/>", id=address))
        for address in (*lives, "focus.localhost")
    }
    assert features["call@focus.localhost"] == set(KINDS[CALL].features)
    assert features["tea@focus.localhost"] == {*FEATURES, MIXER}
    assert features["focus.localhost"] == set(FEATURES)


async def test_who_may_know_is_told_how_far_a_call_has_come(component: Connection, party: Party, login: Login) -> None:
    """Which is no part of its capabilities: these are the same for all calls."""
    states: dict[JID, str] = {}
    discovery = Discovery(
        component,
        tuple,
        kind=lambda client, address: CALL,
        state=lambda client, _: states.get(client, ""),
        nick=lambda client, _: "Ann",
    )

    async def answer(stanza: ET.Element) -> ET.Element | None:
        return discovery.answer(stanza)

    party.on_iq = answer
    alice, bob = await login("alice"), await login("bob")
    states[alice.jid] = "ringing"
    ver = discovery.caps_element(CALL).get("ver")
    told: list[dict[str | None, str | None]] = []
    for who, node in ((alice, ""), (bob, ""), (alice, f" node='{CALL}#{ver}'")):
        about = await who.asks("call@focus.localhost", f"<query xmlns='{DISCO_INFO}'{node}/>", id=f"q{len(told)}")
        fields = about.iter("{jabber:x:data}field")
        told.append({field.get("var"): field.findtext("{jabber:x:data}value") for field in fields})
    assert told == [{"FORM_TYPE": "urn:focus-conference:call", "state": "ringing", "nick": "Ann"}, {}, {}]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_it_says_for_how_long_it_has_been_there(discovery: Discovery, login: Login, address: str) -> None:
    """XEP-0012 section 5; the feature says that it can be asked for."""
    alice = await login("alice")
    discovery._began -= 100
    answer = await alice.asks(address, "<query xmlns='jabber:iq:last'/>")
    assert 100 <= int(answer[0].attrib["seconds"]) < 160
    assert "jabber:iq:last" in FEATURES


async def test_an_unknown_node_is_not_found(discovery: Discovery, login: Login) -> None:
    alice = await login("alice")
    for number, namespace in enumerate((DISCO_INFO, "http://jabber.org/protocol/disco#items")):
        answer = await alice.asks("tea@focus.localhost", f"<query xmlns='{namespace}' node='x'/>", id=f"d{number}")
        assert answer.find(f".//{STANZAS}item-not-found") is not None


async def test_discovery_cannot_be_set(discovery: Discovery, login: Login) -> None:
    answer = await (await login("alice")).asks("tea@focus.localhost", f"<query xmlns='{DISCO_INFO}'/>", "set")
    assert answer.find(f".//{STANZAS}feature-not-implemented") is not None


async def test_the_domain_lists_the_rooms_and_a_room_lists_nothing(discovery: Discovery, login: Login) -> None:
    alice = await login("alice")
    query = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
    items = (await alice.asks("focus.localhost", query, id="i1")).findall(".//{*}item")
    assert [(item.get("jid"), item.get("name")) for item in items] == sorted((str(jid), name) for jid, name in ROOMS)
    assert (await alice.asks("tea@focus.localhost", query, id="i2")).findall(".//{*}item") == []


async def test_who_may_command_calls_and_mixers_is_shown_them(
    component: Connection, party: Party, login: Login
) -> None:
    """By nodes of the domain, and at each what it is joined with."""
    asked: list[tuple[str, str, str]] = []

    def items(client: JID, address: JID, node: str) -> list[tuple[JID, str]]:
        asked.append((str(client), str(address), node))
        return [(JID.parse("call@focus.localhost"), "bob@localhost/phone"), (JID.parse("new@focus.localhost"), "")]

    discovery = Discovery(component, lambda: ROOMS, items=items)

    async def answer(stanza: ET.Element) -> ET.Element | None:
        return discovery.answer(stanza)

    party.on_iq = answer
    alice = await login("alice")
    at = [("focus.localhost", CALL), ("focus.localhost", MIXER), ("tea@focus.localhost", "")]
    for number, (address, node) in enumerate(at):
        written = f" node='{node}'" if node else ""
        query = f"<query xmlns='http://jabber.org/protocol/disco#items'{written}/>"
        answered = (await alice.asks(address, query, id=f"n{number}"))[0]
        assert answered.get("node", "") == node
        assert [dict(item.attrib) for item in answered] == [
            {"jid": "call@focus.localhost", "name": "bob@localhost/phone"},
            {"jid": "new@focus.localhost"},
        ]
    assert asked == [(str(alice.jid), address, node) for address, node in at]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_ping_is_answered(discovery: Discovery, login: Login, address: str) -> None:
    answer = await (await login("alice")).asks(address, "<ping xmlns='urn:xmpp:ping'/>")
    assert (answer.get("type"), len(answer)) == ("result", 0)


# --- others -----------------------------------------------------------------------------------------------------------


def questions(client: Client) -> list[str | None]:
    """By which addresses of ours the client has been asked; its server asks, too."""
    asked = [tree for tree in client.inbox.items if tree.tag == "{jabber:client}iq" and tree.get("type") == "get"]
    return [tree.get("from") for tree in asked if JID.parse(tree.attrib["from"]).domain == "focus.localhost"]


async def test_a_client_is_asked_once_by_all_who_want_to_know(discovery: Discovery, login: Login) -> None:
    alice = await login("alice", features=("urn:xmpp:coin:1",))
    answers = await asyncio.gather(*(discovery.features(alice.jid) for _ in range(5)))
    assert all("urn:xmpp:coin:1" in features for features in answers)
    assert "urn:xmpp:coin:1" in await discovery.features(alice.jid)
    assert questions(alice) == ["focus.localhost"]


async def test_the_question_comes_from_whom_it_concerns(discovery: Discovery, login: Login) -> None:
    alice = await login("alice")
    await discovery.features(alice.jid, sender=JID.parse("tea@focus.localhost"))
    assert questions(alice) == ["tea@focus.localhost"]


async def test_whoever_has_the_same_software_is_not_asked_again(
    discovery: Discovery, party: Party, login: Login
) -> None:
    alice, bob = await login("alice", features=("urn:xmpp:coin:1",)), await login("bob", features=("urn:xmpp:coin:1",))
    seen = []
    for client in (alice, bob):
        client.send_presence(pto="tea@focus.localhost")
        seen.append(await party.presences.get(lambda tree: True))
    assert found(seen[0], f"{{{CAPS}}}c").attrib == found(seen[1], f"{{{CAPS}}}c").attrib
    assert "urn:xmpp:coin:1" in await discovery.features(alice.jid)
    bob.ignore_requests()
    assert "urn:xmpp:coin:1" in await discovery.features(bob.jid)
    assert "urn:xmpp:coin:1" in await discovery.features(
        JID.parse("carol@elsewhere.example/x"), found(seen[0], f"{{{CAPS}}}c")
    )
    assert questions(bob) == []


async def test_a_false_verification_string_misleads_nobody(discovery: Discovery, login: Login, party: Party) -> None:
    """Mallory says that her software is Alice's; only she is taken for it."""
    alice, mallory = await login("alice", features=("urn:xmpp:coin:1",)), await login("mallory")
    alice.send_presence(pto="tea@focus.localhost")
    caps = found(await party.presences.get(lambda tree: True), f"{{{CAPS}}}c")
    mallory.say(f"<presence to='tea@focus.localhost'>{ET.tostring(caps, 'unicode')}</presence>")
    await party.presences.get(lambda tree: tree.get("from") == str(mallory.jid))
    mallory.ignore_requests()
    asking = asyncio.create_task(discovery.features(mallory.jid))
    asked = await mallory.hears("iq", "focus.localhost")
    mallory.say(
        f"<iq type='result' to='focus.localhost' id='{asked.get('id')}'>"
        f"<query xmlns='{DISCO_INFO}' node='{asked[0].get('node')}'><feature var='urn:evil'/></query></iq>"
    )
    assert await asking == {"urn:evil"}
    assert "urn:xmpp:coin:1" in await discovery.features(alice.jid)


async def test_nobody_can_tell_what_software_somebody_else_has(
    discovery: Discovery, login: Login, party: Party
) -> None:
    """Mallory sends a presence as a room would, which says that Alice, who has Coin, has something else."""
    alice, mallory = await login("alice", features=("urn:xmpp:coin:1",)), await login("mallory")
    mallory.send_presence(pto="tea@focus.localhost")
    caps = found(await party.presences.get(lambda tree: tree.get("from") == str(mallory.jid)), f"{{{CAPS}}}c")
    assert "urn:xmpp:coin:1" not in await discovery.features(mallory.jid)
    item = f"<x xmlns='http://jabber.org/protocol/muc#user'><item jid='{alice.jid}'/></x>"
    mallory.say(f"<presence to='tea@focus.localhost' id='false'>{item}{ET.tostring(caps, 'unicode')}</presence>")
    told = await party.presences.get(lambda tree: tree.get("id") == "false")
    assert found(told, ".//{http://jabber.org/protocol/muc#user}item").get("jid") == str(alice.jid)
    assert "urn:xmpp:coin:1" in await discovery.features(alice.jid)


async def test_a_peer_that_refuses_or_is_gone_has_no_features(discovery: Discovery, login: Login) -> None:
    assert await discovery.features(JID.parse("nobody@localhost/x")) == frozenset()
    assert await discovery.features(JID.parse("alice@unreachable.example/x")) == frozenset()


async def test_without_a_session_nobody_is_asked(prosody: Server, party: Party) -> None:
    connection = Connection("focus.localhost", "x", "127.0.0.1", 1, party)
    assert await Discovery(connection, tuple).features(JID.parse("alice@localhost/x")) == frozenset()


async def test_caps_that_a_room_shows_are_known_under_the_real_jid_and_forgotten_with_it(
    discovery: Discovery, login: Login, party: Party
) -> None:
    alice = await login("alice", features=("urn:xmpp:coin:1",))
    alice.send_presence(pto="tea@focus.localhost")
    caps = found(await party.presences.get(lambda tree: True), f"{{{CAPS}}}c")
    await discovery.features(alice.jid)
    user = "<x xmlns='http://jabber.org/protocol/muc#user'><item jid='bob@localhost/phone'/></x>"
    shown = ET.fromstring(f"<presence xmlns='jabber:client' from='tea@rooms.localhost/Bob'>{user}</presence>")
    shown.append(caps)
    discovery.observe(shown, from_room=True)
    for jid in ("bob@localhost/phone", "tea@rooms.localhost/Bob"):
        assert "urn:xmpp:coin:1" in await discovery.features(JID.parse(jid))
    discovery.observe(
        ET.fromstring(
            f"<presence xmlns='jabber:client' type='unavailable' from='tea@rooms.localhost/Bob'>{user}</presence>"
        ),
        from_room=True,
    )
    assert await discovery.features(JID.parse("bob@localhost/phone")) == frozenset()


# --- verification strings ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def caps_of_slixmpp() -> Iterator[Callable[[ET.Element], str]]:
    """slixmpp's own computation, as an oracle."""
    loop = asyncio.new_event_loop()  # a stream makes one for itself where there is none, and leaves it open
    asyncio.set_event_loop(loop)
    stream = ComponentXMPP("focus.localhost", "x")  # type: ignore[no-untyped-call]
    stream.register_plugin("xep_0115")
    caps = stream.plugin["xep_0115"]
    yield lambda query: caps.generate_verstring(DiscoInfo(xml=query), "sha-1")  # type: ignore[no-untyped-call]
    asyncio.set_event_loop(None)
    loop.close()


def test_a_simple_string_is_that_of_the_specification() -> None:
    query = ET.fromstring(
        f"<query xmlns='{DISCO_INFO}'><identity category='client' name='Exodus 0.9.1' type='pc'/>"
        "<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>"
        "<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/></query>"
    )
    assert verification_string(query, "sha-1") == "QgayPKawpkPSDYmwT/WM94uAlu0="


FORM = """
<x xmlns='jabber:x:data' type='result'>
  <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
  <field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>
  <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>
  <field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field>
</x>
"""


def test_a_string_with_forms_and_languages_is_that_of_the_specification() -> None:
    query = ET.fromstring(
        f"<query xmlns='{DISCO_INFO}'><identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"
        "<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>"
        "<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>"
        f"<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>{FORM}"
        "</query>"
    )
    assert verification_string(query, "sha-1") == "q07IKJEyjvHSyhy//CH0CxmKi8w="


@pytest.mark.parametrize(
    "twice",
    [
        "<identity category='client' type='pc'/><identity category='client' type='pc'/>",
        "<feature var='a'/><feature var='a'/>",
        FORM + FORM,
        FORM.replace("softwareinfo</value>", "softwareinfo</value><value>another</value>"),
    ],
    ids=["identity", "feature", "form", "form type"],
)
def test_what_is_there_twice_makes_an_answer_ill_formed(twice: str) -> None:
    assert verification_string(ET.fromstring(f"<query xmlns='{DISCO_INFO}'>{twice}</query>"), "sha-1") == ""


GENUINE = (
    "<identity category='client' type='web' name='focus'/><feature var='http://jabber.org/protocol/caps'/>"
    "<feature var='urn:xmpp:coin:1'/><feature var='urn:xmpp:jingle:1'/><feature var='urn:xmpp:ping'/>"
)
HIDDEN = "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:coin:1</value></field>"


@pytest.mark.parametrize(
    "false",
    [
        GENUINE.replace("'focus'/><feature var='http", "'focus&lt;http"),
        "<identity category='http:' type='' xml:lang='jabber.org' name='protocol/caps'/>"
        + GENUINE.replace("<feature var='http://jabber.org/protocol/caps'/>", ""),
        GENUINE.split("<feature var='urn:xmpp:coin")[0]
        + HIDDEN
        + "<field var='urn:xmpp:jingle:1'><value>urn:xmpp:ping</value></field></x>",
    ],
    ids=["in an identity", "as an identity", "in a form"],
)
def test_features_cannot_be_hidden_behind_the_same_hash(
    caps_of_slixmpp: Callable[[ET.Element], str], false: str
) -> None:
    """XEP-0115 hashes a text that can be read in more than one way."""
    genuine, other = (ET.fromstring(f"<query xmlns='{DISCO_INFO}'>{one}</query>") for one in (GENUINE, false))
    assert features_of(other) < features_of(genuine)
    assert caps_of_slixmpp(other) == caps_of_slixmpp(genuine) == verification_string(genuine, "sha-1")
    assert verification_string(other, "sha-1") == ""


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="<\ufffe\uffff"), max_size=8
)
NAMES = st.text(st.sampled_from("abc-"), min_size=1, max_size=8)


@given(
    identities=st.sets(st.tuples(NAMES, NAMES, WORDS), min_size=1, max_size=3),
    features=st.sets(WORDS.filter(bool), min_size=1, max_size=6),
)
def test_any_string_is_the_one_that_slixmpp_makes(
    caps_of_slixmpp: Callable[[ET.Element], str], identities: set[tuple[str, str, str]], features: set[str]
) -> None:
    query = ET.Element(INFO_QUERY)
    for category, kind, name in identities:
        ET.SubElement(query, f"{{{DISCO_INFO}}}identity", {"category": category, "type": kind, "name": name})
    for feature in features:
        ET.SubElement(query, f"{{{DISCO_INFO}}}feature", {"var": feature})
    assert verification_string(query, "sha-1") == caps_of_slixmpp(query)


async def test_the_errors_of_answer_carry_their_conditions(component: Connection) -> None:
    discovery = Discovery(component, tuple)
    with pytest.raises(ItemNotFound):
        discovery.answer(
            ET.fromstring(f"<iq xmlns='jabber:client' type='get'><query xmlns='{DISCO_INFO}' node='x'/></iq>")
        )
