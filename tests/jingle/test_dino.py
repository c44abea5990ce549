"""Calls as a real Dino 0.4.2 made them: it gets what it needs."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.jingle.peer import PeerSession, Timeouts
from focus.wire.base import Element
from focus.wire.conditions import FeatureNotImplemented
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Action, Jingle, Reason
from focus.wire.jingle_message import JMI_0, Finish, Proceed, Propose, Reject, Retract, parse_message
from focus.wire.rtp import Mute, Unmute

from .pair import Air, Diary, FakeLeg, Owner

CAPTURE = ET.parse(Path(__file__).parents[1] / "data" / "dino-0.4.2.xml").getroot()
ROOM, DINO = JID.parse("room@focus.localhost/focus"), JID.parse("alice@localhost/dino.probe")


class Dino:
    """Its side of one captured call. Answers like it: knows no content-reject, and acknowledges the rest."""

    def __init__(self, call: str) -> None:
        found = CAPTURE.find(f"call[@name='{call}']")
        assert found is not None
        self.stanzas = list(found)
        self.got: list[tuple[JID, Element]] = []
        self.actions = Diary()  # Jingle actions, as they came
        self.owner = Owner()
        self.air = Air()
        self.session: PeerSession | None = None

    def message(self, sender: JID, to: JID, element: Element) -> None:
        assert sender == ROOM
        self.got.append((to, element))

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        assert (sender, to) == (ROOM, DINO)
        assert isinstance(element, Jingle)
        self.got.append((to, element))
        self.actions.write(element)
        if element.action is Action.CONTENT_REJECT:
            raise FeatureNotImplemented

    async def action(self, action: Action) -> Jingle:
        """The first `action` it got, now or soon."""
        await self.actions.until(lambda each: isinstance(each, Jingle) and each.action is action)
        return next(each for each in self.actions.entries if isinstance(each, Jingle) and each.action is action)

    def next(self, *, sid: str | None = None) -> None:
        """Let it send its next stanza; `sid` replaces the one of the capture."""
        stanza = self.stanzas.pop(0)
        sender = JID.parse(stanza.attrib["from"])
        if stanza.tag == "message":
            message = parse_message(stanza)
            assert message is not None
            if isinstance(message, Propose):
                self.session = PeerSession.incoming(
                    local=ROOM, peer=sender, first=message, outbox=self, legs=self.air.leg, observer=self.owner,
                    isfocus=True,
                )  # fmt: skip
            else:
                assert self.session is not None
                self.session.receive_message(sender, message.model_copy(update={"id": sid or message.id}))
            return
        tree = stanza.find(f"{{{JINGLE}}}jingle")
        assert tree is not None
        if sid is not None:
            tree.set("sid", sid)
        assert self.session is not None
        self.session.receive(sender, Jingle.parse(tree), tree)

    async def leg(self) -> FakeLeg:
        """Ours, once it is connecting."""
        await self.owner.until("accepted")
        assert self.session is not None
        assert isinstance(self.session.leg, FakeLeg)
        assert self.session.leg.remote is not None
        return self.session.leg


@pytest.mark.parametrize("call", ["audio", "video"])
async def test_it_calls_talks_and_hangs_up(call: str) -> None:
    dino = Dino(call)
    dino.next()
    assert dino.session is not None
    dino.session.accept()
    assert dino.got == [(DINO, Proceed(id=dino.session.sid))]

    dino.next()
    leg = await dino.leg()
    accept = await dino.action(Action.SESSION_ACCEPT)
    assert dino.actions.entries == [accept]
    assert accept.responder == str(ROOM)
    assert accept.group is None
    assert accept.focus is not None
    (content,) = accept.contents  # no video, not even declined
    assert (content.name, content.creator, content.senders) == ("audio", "initiator", "both")
    assert content.description is not None
    assert [(each.id, each.name, each.channels) for each in content.description.payload_types] == [(111, "opus", 2)]
    assert content.description.rtcp_mux is not None
    assert content.transport is not None
    assert [(each.hash, each.setup) for each in content.transport.fingerprints] == [("sha-256", "active")]
    assert "encryption" not in accept.to_string()
    assert "omemo" not in accept.to_string()
    assert leg.role == "active"
    assert leg.controlling is False
    assert [each.component for each in leg.candidates] == [1]
    leg.observer.leg_connected()
    await dino.owner.until("connected")

    dino.next()
    assert await dino.owner.until_ended() == ("success", True)
    assert [element for _, element in dino.got[2:]] == [Finish(id=dino.session.sid, reason=Reason.of("success"))]
    assert dino.stanzas == []


async def test_it_is_called_mutes_adds_video_and_hangs_up() -> None:
    dino = Dino("called")
    dino.session = PeerSession.outgoing(
        local=ROOM, to=DINO.bare, outbox=dino, legs=dino.air.leg, observer=dino.owner, isfocus=True, dialect=JMI_0
    )
    sid = dino.session.sid
    await dino.session.start()
    assert [(to, type(each)) for to, each in dino.got] == [(DINO.bare, Propose)]

    dino.next(sid=sid)  # proceed
    assert dino.session.peer == DINO
    initiate = await dino.action(Action.SESSION_INITIATE)
    assert initiate.initiator == str(ROOM)
    # Dino keeps the payload number it was offered in the capture; ours is another
    accept = dino.stanzas[0].find(f"{{{JINGLE}}}jingle")
    assert accept is not None
    for payload in accept.iter("{urn:xmpp:jingle:apps:rtp:1}payload-type"):
        assert payload.get("id") == "96"
        payload.set("id", "111")
    dino.next(sid=sid)
    leg = await dino.leg()
    assert leg.role == "passive"
    assert leg.controlling is True

    dino.next(sid=sid)
    await dino.owner.until(Mute(name="audio", creator="initiator"))
    dino.next(sid=sid)
    await dino.owner.until(Unmute(name="audio", creator="initiator"))
    dino.next(sid=sid)  # content-add
    await dino.action(Action.CONTENT_REJECT)
    assert not dino.session.ended

    dino.next(sid=sid)
    assert await dino.owner.until_ended() == ("success", True)
    assert dino.stanzas == []


async def test_it_is_told_no() -> None:
    dino = Dino("rejected")
    dino.next()
    assert dino.session is not None
    dino.session.reject(Reason.of("busy"))
    assert await dino.owner.until_ended() == ("busy", False)
    assert dino.got == [(DINO, Reject(id=dino.session.sid, reason=Reason.of("busy")))]


async def test_it_gives_up() -> None:
    dino = Dino("retracted")
    dino.next()
    assert dino.session is not None
    dino.session.ring()
    dino.next()
    assert await dino.owner.until_ended() == ("cancel", True)
    assert not any(isinstance(element, Finish | Reject | Retract) for _, element in dino.got)


async def test_it_waits_for_ever_but_we_do_not() -> None:
    dino = Dino("audio")
    propose = parse_message(dino.stanzas[0])
    assert isinstance(propose, Propose)
    session = PeerSession.incoming(
        local=ROOM, peer=DINO, first=propose, outbox=dino, legs=dino.air.leg, observer=dino.owner, isfocus=True,
        timeouts=Timeouts(initiate=0.01),
    )  # fmt: skip
    session.accept()
    assert await dino.owner.until_ended() == ("timeout", False)
    # <finish/> it does not know; <reject/> it does
    assert [type(element) for _, element in dino.got] == [Proceed, Reject, Finish]
