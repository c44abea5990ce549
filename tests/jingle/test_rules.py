"""What the clients of the field need of a focus, rule by rule: the golden conversations on fakes, looked at closely.

`tests/interop/test_conversations.py` plays the same files against the service, and `tests/interop/test_rules.py` has
the rules about addresses and presence.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.jingle.peer import PeerSession
from focus.jingle.table import SessionTable
from focus.media.transport import usable
from focus.wire.base import Element, local_name
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Action, Jingle, Reason
from focus.wire.jingle_message import (
    JMI_0,
    Finish,
    JingleMessage,
    Proceed,
    Propose,
    Reject,
    Retract,
    Ringing,
    parse_message,
)
from focus.wire.rtp import Active

from .pair import Air, Diary, FakeLeg, Owner

GOLDEN = Path(__file__).parents[1] / "golden" / "conversations"
CALLERS = ["dino-calls", "conversations-calls", "monal-calls", "movim-calls", "stanza-calls"]
CALLED = ["dino-is-called", "conversations-is-called", "monal-is-called", "movim-is-called", "stanza-is-called"]
BUNDLING = ["conversations-calls", "monal-calls", "movim-calls", "stanza-calls"]

ROOM, PEER = JID.parse("tea@focus.localhost/focus"), JID.parse("alice@localhost/phone")
RTP, ICE = "{urn:xmpp:jingle:apps:rtp:1}", "{urn:xmpp:jingle:transports:ice-udp:1}"
DTLS = "{urn:xmpp:jingle:apps:dtls:0}"
WORDS = {
    "me": str(PEER), "account": str(PEER.bare), "room": str(ROOM.bare), "focus": str(ROOM), "ip": "192.0.2.7",
    "port": "4711", "ufrag": "them", "pwd": "their-password-22-chars", "ssrc": "4242", "name": "audio",
    "fingerprint": ":".join(["7A"] * 32), "sid": "s1",
}  # fmt: skip
EVERYBODY = pytest.mark.parametrize("name", [*CALLERS, *CALLED])


class Call:
    """A session with a client whose side is in a golden conversation. `sent` has what it was sent, and to whom."""

    def __init__(self, name: str) -> None:
        self.sent = Diary()
        self.owner = Owner()
        self.session: PeerSession
        root = ET.parse(GOLDEN / f"{name}.xml").getroot()
        self.says = [step[0] for step in root if step.tag == "says" and step[0].tag != "presence"]
        self.is_called = root.find("dialled") is not None
        self.knows_messages = "urn:xmpp:jingle-message:0" in root.get("features", "")

    def message(self, sender: JID, to: JID, element: Element) -> None:
        assert sender == ROOM
        self.sent.write((to, element))

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        assert sender == ROOM
        self.sent.write((to, element))

    async def begin(self) -> Call:
        """The first word, whoever has it."""
        if self.is_called:
            self.session = PeerSession.outgoing(
                local=ROOM, to=PEER.bare if self.knows_messages else PEER, outbox=self, legs=Air().leg,
                observer=self.owner, isfocus=True, dialect=JMI_0 if self.knows_messages else None, sid="s1",
            )  # fmt: skip
            await self.session.start()
        else:
            self.next()
        return self

    def next(self, **words: str) -> Jingle | JingleMessage:
        """Let the client say what comes next; the binding acknowledges it when this returns."""
        text = ET.tostring(self.says.pop(0), encoding="unicode")
        stanza = ET.fromstring(re.sub(r"\{(\w+)\}", lambda each: (WORDS | words)[each[1]], text))
        if stanza.tag == "message":
            message = parse_message(stanza)
            assert message is not None
            if isinstance(message, Propose):
                self._called(message, None)
            elif stanza.get("to") != WORDS["account"]:
                self.session.receive_message(PEER, message)
            return message
        tree = stanza.find(f"{{{JINGLE}}}jingle")
        assert tree is not None
        jingle = Jingle.parse(tree)
        if jingle.action is Action.SESSION_INITIATE and not self.knows_messages:
            self._called(jingle, tree)
        else:
            self.session.receive(PEER, jingle, tree)
        return jingle

    def _called(self, first: Propose | Jingle, tree: ET.Element | None) -> None:
        self.session = PeerSession.incoming(
            local=ROOM, peer=PEER, first=first, tree=tree, outbox=self, legs=Air().leg, observer=self.owner,
            isfocus=True,
        )  # fmt: skip

    async def talk(self) -> Call:
        """From the first word until the session has been accepted, by whomever it was."""
        await self.begin()
        if not self.is_called:
            self.session.ring()
            self.session.accept()
        last = Action.SESSION_ACCEPT if self.is_called else Action.SESSION_INITIATE
        said: Jingle | JingleMessage | None = None
        while (self.is_called or self.knows_messages) and not (isinstance(said, Jingle) and said.action is last):
            if self.is_called and self.says[0].tag == "iq":
                await self.until_sent(Action.SESSION_INITIATE)
            said = self.next()
        await self.owner.until("accepted")
        return self

    async def until_sent(self, action: Action) -> Jingle:
        """The first such action that it was sent."""
        await self.sent.until(lambda entry: isinstance(entry[1], Jingle) and entry[1].action is action)
        return self.actions(action)[0]

    def actions(self, action: Action) -> list[Jingle]:
        return [each for _, each in self.entries if isinstance(each, Jingle) and each.action is action]

    @property
    def entries(self) -> list[tuple[JID, Element]]:
        return [entry for entry in self.sent.entries if isinstance(entry, tuple)]

    @property
    def words(self) -> list[str]:
        """What it was sent, by name or action."""
        return [str(each.action) if isinstance(each, Jingle) else str(each.__xml_tag__) for _, each in self.entries]

    @property
    def first(self) -> Jingle:
        """Our session-initiate, or session-accept."""
        return self.actions(Action.SESSION_INITIATE if self.is_called else Action.SESSION_ACCEPT)[0]

    @property
    def leg(self) -> FakeLeg:
        assert isinstance(self.session.leg, FakeLeg)
        return self.session.leg


def parts(call: Call, tag: str) -> list[ET.Element]:
    """Every element of that name which it was sent."""
    return [found for _, each in call.entries for found in each.to_element().iter(tag)]


async def rings(name: str) -> Call:
    call = await Call(name).begin()
    call.session.ring()
    return call


@pytest.mark.parametrize("name", CALLERS[:-1])
async def test_rule_4_a_propose_is_answered_with_proceed_to_the_device(name: str) -> None:
    call = await Call(name).begin()
    call.session.accept()
    assert call.entries == [(PEER, Proceed(id="s1"))], "accept in its place is not heard by Conversations and Monal"
    assert call.entries[0][1].to_element().tag == f"{{{JMI_0}}}proceed"


@pytest.mark.parametrize("name", CALLERS[:-1])
async def test_rule_5_it_rings_at_once(name: str) -> None:
    call = await rings(name)
    assert call.entries == [(PEER, Ringing(id="s1"))]


@pytest.mark.parametrize("name", CALLERS[:-1])
async def test_rule_6_a_no_goes_to_the_device_and_a_retraction_is_heard_at_any_time(name: str) -> None:
    refused = await rings(name)
    refused.session.reject(Reason.of("busy"))
    assert await refused.owner.until_ended() == ("busy", False)
    assert refused.entries[1:] == [(PEER, Reject(id="s1", reason=Reason.of("busy")))]
    for taken in (False, True):
        call = await rings(name)
        if taken:
            call.session.accept()
        call.session.receive_message(PEER, Retract(id="s1"))
        assert await call.owner.until_ended() == ("cancel", True)
        assert call.words[:1] == ["ringing"]
        assert "session-terminate" not in call.words
        call.session.receive_message(PEER, Finish(id="s1"))


@EVERYBODY
async def test_rule_7_a_call_is_known_by_its_id_and_the_device(name: str) -> None:
    call = await Call(name).talk()
    table = SessionTable()
    table.add(call.session)
    assert {each.sid for _, each in call.entries if isinstance(each, Jingle)} == {"s1"}
    assert {each.id for _, each in call.entries if isinstance(each, JingleMessage)} <= {"s1"}
    assert table.for_jingle(ROOM, PEER, "s1") is call.session
    assert table.for_jingle(ROOM, PEER.bare.with_resource("tablet"), "s1") is None
    assert table.for_jingle(ROOM, PEER, "s2") is None


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("dino-calls", ["audio"]),
        ("conversations-calls", ["audio", "video"]),
        ("monal-calls", ["audio"]),
        ("movim-calls", ["audio", "video"]),
        ("stanza-calls", ["audio"]),
        *((name, ["audio"]) for name in CALLED),
    ],
)
async def test_rule_8_the_media_are_those_that_the_client_means_to_hear_of(name: str, media: list[str]) -> None:
    call = await Call(name).talk()
    assert [each.description and each.description.media for each in call.first.contents] == media
    assert {each.senders for each in call.first.contents[1:]} <= {"none"}
    proposed = [each for _, each in call.entries if isinstance(each, Propose)]
    assert [one.media for each in proposed for one in each.descriptions] == media * len(proposed)


@EVERYBODY
async def test_rule_9_names_and_creators_are_the_ones_that_were_given(name: str) -> None:
    call = await Call(name).talk()
    assert {each.creator for each in call.first.contents} == {"initiator"}
    expected = {"dino-calls": ["audio"], "conversations-calls": ["0", "1"], "movim-calls": ["0", "1"]}
    assert [each.name for each in call.first.contents] == expected.get(name, ["audio"] if call.is_called else ["0"])
    assert (call.first.group is not None) is (name in BUNDLING)
    if call.first.group is not None:
        assert [each.name for each in call.first.group.contents] == [each.name for each in call.first.contents]


@EVERYBODY
async def test_rule_10_payload_types_and_candidates_have_all_attributes_that_somebody_needs(name: str) -> None:
    call = await Call(name).talk()
    types = parts(call, f"{RTP}payload-type")
    opus = [each for each in types if each.get("name") == "opus"]
    assert {(each.get("id"), each.get("channels"), each.get("clockrate")) for each in opus} == {("111", "2", "48000")}
    assert types[0] in opus
    candidates = parts(call, f"{ICE}candidate")
    assert candidates
    needed = {"component", "foundation", "generation", "ip", "port", "priority", "protocol", "type"}
    assert all(needed <= each.attrib.keys() for each in candidates)


@EVERYBODY
async def test_rule_11_one_fingerprint_which_leaves_nothing_open_in_an_answer(name: str) -> None:
    call = await Call(name).talk()
    for transport in parts(call, f"{ICE}transport"):
        assert [(each.get("hash"), each.get("setup")) for each in transport.iter(f"{DTLS}fingerprint")] == [
            ("sha-256", "actpass" if call.is_called else "active")
        ]
    assert call.leg.role == ("passive" if call.is_called else "active")
    assert not parts(call, f"{RTP}encryption")


@EVERYBODY
async def test_rule_12_candidates_are_written_for_the_strictest_and_read_from_the_loosest(name: str) -> None:
    call = await Call(name).talk()
    local = call.leg.local_transport
    for transport in parts(call, f"{ICE}transport"):
        assert (transport.get("ufrag"), transport.get("pwd")) == (local.ufrag, local.pwd)
    for each in parts(call, f"{ICE}candidate"):
        assert (each.get("component"), each.get("protocol")) == ("1", "udp")
        assert 1 <= len(each.get("foundation", "")) <= 32
        assert ":" not in each.get("ip", "")
        assert not each.get("ip", "").endswith(".local")
    for stanza in list(call.says):
        if b"transport-info" in ET.tostring(stanza):
            call.next()
        else:
            break
    call.session.send_info(Active())
    await call.sent.until(lambda entry: isinstance(entry[1], Jingle) and entry[1].active is not None)
    assert {(each.ip, each.port) for each in call.leg.candidates if usable(each)} == {("192.0.2.7", 4711)}
    assert "transport-info" not in call.words, "all of ours have been said"


@EVERYBODY
async def test_rule_13_nobody_is_promised_a_verified_device(name: str) -> None:
    call = await Call(name).talk()
    assert not [
        each for _, sent in call.entries for each in sent.to_element().iter() if local_name(each.tag) == "device"
    ]


@EVERYBODY
async def test_rule_14_a_request_is_acknowledged_before_anything_comes_of_it(name: str) -> None:
    call = await Call(name).talk()
    while call.says:
        before = len(call.entries)
        with suppress(StanzaError):
            call.next()
        assert len(call.entries) == before, "it was acknowledged only after this"


@pytest.mark.parametrize(("sid", "ours_stands"), [("zz", True), ("aa", False)])
async def test_rule_15_of_two_calls_at_once_the_lower_id_stands(sid: str, ours_stands: bool) -> None:
    call = await Call("conversations-is-called").begin()
    table = SessionTable()
    table.add(call.session)
    assert table.contest(ROOM, PEER, sid, proposed=True) is not ours_stands
    assert call.session.ended is not ours_stands
    call.session.hangup(Reason.of("gone"))


@EVERYBODY
async def test_rule_16_however_often_a_client_says_goodbye_it_has_gone_once(name: str) -> None:
    call = await Call(name).talk()
    goodbye = next(each for each in call.says if b"session-terminate" in ET.tostring(each))
    call.says = call.says[call.says.index(goodbye) :]
    call.next()
    for stanza in list(call.says):
        if stanza.tag == "message":
            call.next()
    reason = "decline" if name == "movim-is-called" else "success"
    assert await call.owner.until_ended() == (reason, True)
    assert call.words.count("finish") == call.knows_messages
    assert "session-terminate" not in call.words
