"""Keys of a telephone that are told by session-info (XEP-0181)."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from focus.wire.base import Element
from focus.wire.conditions import BadRequest, FeatureNotImplemented, OtherWayAgreed, StanzaError
from focus.wire.dtmf import Dtmf
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle

from .pair import Air, End, Owner, Wire
from .test_peer import connected_call
from .test_relay import connected
from .test_relay import us as us


class Plain(End):
    """A client whose sound comes without telephone events."""

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        tree = element.to_element()
        for described in tree.iter("{urn:xmpp:jingle:apps:rtp:1}description"):
            for payload in [each for each in described if each.get("name") == "telephone-event"]:
                described.remove(payload)
        await super().iq_set(sender, to, Jingle.parse(tree))


@pytest.fixture
def plain(wire: Wire, air: Air) -> Plain:
    return Plain(wire, "alice@example.org/desk", air.leg)


def key(sid: str, attributes: str) -> str:
    dtmf = f'<dtmf xmlns="urn:xmpp:jingle:dtmf:0" {attributes}/>'
    return f'<jingle xmlns="urn:xmpp:jingle:1" action="session-info" sid="{sid}">{dtmf}</jingle>'


def pressed(owner: Owner) -> list[object]:
    return [entry[1:] for entry in owner.entries if isinstance(entry, tuple) and entry[0] == "pressed"]


async def test_each_key_is_told_once_and_in_order(plain: Plain, bob: End) -> None:
    session, _, owner = await connected_call(plain, bob)
    for attributes in (
        'code="1"',
        'code="2" duration="400" volume="42"',
        'code="3" duration="0"',
        'code="A" action="button-down"',
        'code="A" action="button-up"',
        'code="*"',
        'code="1"',
    ):
        bob.take_iq(plain.jid, key(session.sid, attributes))
    bob.take_iq(plain.jid, key(session.sid, 'code="#"'))
    await owner.until(("pressed", "#", 0.1))
    assert pressed(owner) == [("1", 0.1), ("2", 0.4), ("A", 0.1), ("*", 0.1), ("1", 0.1), ("#", 0.1)]


@pytest.mark.parametrize(
    ("attributes", "refusal", "type"),
    [
        ('code="12"', FeatureNotImplemented, "cancel"),
        ('code="x"', FeatureNotImplemented, "cancel"),
        ('code=""', FeatureNotImplemented, "cancel"),
        ('digit="1"', BadRequest, "modify"),
    ],
)
async def test_what_is_no_key_is_refused(
    plain: Plain, bob: End, attributes: str, refusal: type[StanzaError], type: str
) -> None:
    session, _, owner = await connected_call(plain, bob)
    with pytest.raises(refusal) as refused:
        bob.take_iq(plain.jid, key(session.sid, attributes))
    assert refused.value.type == type
    bob.take_iq(plain.jid, key(session.sid, 'code="5"'))
    await owner.until(("pressed", "5", 0.1))
    assert len(pressed(owner)) == 1


async def test_where_keys_come_with_the_sound_they_are_not_taken_otherwise(alice: End, bob: End) -> None:
    session, _, owner = await connected_call(alice, bob)
    with pytest.raises(OtherWayAgreed) as refused:
        bob.take_iq(alice.jid, key(session.sid, 'code="1"'))
    assert (refused.value.condition, refused.value.type) == ("not-acceptable", "cancel")
    assert not session.ended
    assert pressed(owner) == []


async def test_elsewhere_than_in_a_session_info_it_says_nothing(plain: Plain, bob: End) -> None:
    session, _, owner = await connected_call(plain, bob)
    info = Jingle.parse(ET.fromstring(key(session.sid, 'code="1"')))
    (content,) = next(each for each in bob.said if isinstance(each, Jingle) and each.contents).contents
    advice = info.model_copy(update={"action": Action.DESCRIPTION_INFO, "contents": (content,)})
    bob.take_iq(plain.jid, advice.to_string())
    bob.take_iq(plain.jid, key(session.sid, 'code="2"'))
    await owner.until(("pressed", "2", 0.1))
    assert pressed(owner) == [("2", 0.1)]


async def test_who_is_connected_with_another_peer_tells_it_that_one_too(us: End, alice: End, bob: End) -> None:
    await connected(us, alice, bob)
    bob.refusing = lambda jingle: OtherWayAgreed("by RTP, please") if jingle.dtmf else None
    us.take_iq(alice.jid, key(us.sessions[0].sid, 'code="7"'))
    await us.owners[0].until(("pressed", "7", 0.1))
    await bob.heard.until(lambda each: isinstance(each, Jingle) and each.dtmf == Dtmf(code="7"))
    assert not us.sessions[0].ended
