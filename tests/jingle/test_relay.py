"""Two sessions whose peers have their media with each other, as long as both are there; what becomes of them else is in
`tests/rayo/test_direct.py`."""

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.jingle.relay import MAX_BACKLOG, Relay, check_offer
from focus.jingle.surroundings import Timeouts
from focus.wire.base import local_name
from focus.wire.conditions import FeatureNotImplemented, ResourceConstraint
from focus.wire.ice import Transport
from focus.wire.jingle import JINGLE, Action, Content, Jingle, Reason, foreign_parts
from focus.wire.jingle_message import JMI_0

from .pair import Air, End, Owner, Wire, candidate

CONVERSATIONS = Path(__file__).parents[1] / "golden" / "conversations"


@pytest.fixture
def us(wire: Wire, air: Air) -> End:
    us = End(wire, "focus@example.net/focus", air.leg, timeouts=Timeouts(ping=0.02, goodbye=0.05))
    us.answering = lambda session: None
    return us


async def connected(us: End, alice: End, bob: End) -> tuple[Owner, Owner]:
    """Who owns our session with alice, who calls, and that with bob, whom we call."""
    calling, caller = alice.call(us.jid, None)
    await calling.start()
    await us.heard.until(lambda each: isinstance(each, Jingle))
    relay = Relay(us.sessions[0])
    callee, _ = us.call(bob.jid, None)
    relay.attach(callee)
    await callee.start()
    await caller.until("connected")
    await bob.owners[0].until("connected")
    return us.owners[0], us.owners[1]


async def test_who_was_asked_for_its_offer_waits_as_long_as_others(us: End, alice: End) -> None:
    us.timeouts = Timeouts(offer=0.02, initiate=60, goodbye=0.05)
    us.answering = lambda session: session.take()
    calling, caller = alice.call(us.jid.bare, JMI_0)
    await calling.start()
    assert await caller.until_ended() == ("timeout", True)
    assert caller.reason is not None
    assert caller.reason.text == "nobody took the call"


def is_ping(each: object) -> bool:
    return isinstance(each, Jingle) and each.action is Action.SESSION_INFO and each.info is None


async def test_a_peer_that_is_not_there_any_more_is_missed(us: End, alice: End, bob: End) -> None:
    """Its media does not show that."""
    with_alice, with_bob = await connected(us, alice, bob)
    for peer in (alice, bob):
        await peer.heard.until(is_ping)
    del us.wire.ends[bob.jid]
    assert await with_bob.until_ended() == ("gone", True)
    await with_alice.until("accepted")
    assert with_alice.reason is None
    us.wire.ends[bob.jid] = bob


async def test_a_peer_that_answers_nothing_any_more_is_not_there(us: End, alice: End, bob: End) -> None:
    """Its stream may be stuck: the server takes it for there."""
    _, with_bob = await connected(us, alice, bob)
    await bob.heard.until(is_ping)
    bob.deaf = True
    us.patience = 0.01
    assert await with_bob.until_ended() == ("timeout", True)


async def test_a_session_that_a_peer_knows_nothing_of_is_over(us: End, alice: End, bob: End) -> None:
    _, with_bob = await connected(us, alice, bob)
    bob.table.discard(bob.sessions[0])
    assert await with_bob.until_ended() == ("gone", True)


async def test_a_peer_that_does_not_know_the_question_is_there(us: End, alice: End, bob: End) -> None:
    bob.refusing = lambda jingle: FeatureNotImplemented("what?") if is_ping(jingle) else None
    _, with_bob = await connected(us, alice, bob)
    await bob.heard.until(lambda _: sum(map(is_ping, bob.heard.entries)) > 2)
    assert with_bob.reason is None


async def test_who_says_more_than_the_other_takes_is_told_so(us: End, alice: End, bob: End) -> None:
    with_alice, _ = await connected(us, alice, bob)
    bob.deaf = True
    session = alice.sessions[0]
    contents = (Content(name="audio", transport=Transport(candidates=(candidate(1),))),)
    news = Jingle(action=Action.TRANSPORT_INFO, sid=session.sid, contents=contents)
    while us.sessions[1].backlog < MAX_BACKLOG:
        await alice.iq_set(alice.jid, us.jid, news)
    with pytest.raises(ResourceConstraint):
        await alice.iq_set(alice.jid, us.jid, news)
    session.hangup(Reason.of("success"))
    assert await with_alice.until_ended() == ("success", True)


#: Keys of SDES, which are for the one that they were sent to, and hints of what a side can do.
NOT_PASSED_ON = {"encryption", "crypto", "extmap-allow-mixed", "trickle", "renomination"}


def parts(tree: ET.Element) -> Counter[str]:
    """Elements and attributes, by name; without those that are not passed on."""
    names: Counter[str] = Counter()
    for each in tree.iter():
        if (name := local_name(each.tag)) not in NOT_PASSED_ON:
            names.update([name, *(f"{name} {attribute}" for attribute in each.attrib)])
    return names


@pytest.mark.parametrize("path", sorted(CONVERSATIONS.glob("*-calls.xml")), ids=lambda path: path.stem)
def test_what_clients_of_the_field_offer_is_passed_on(path: Path) -> None:
    tree = next(each for each in ET.parse(path).iter(f"{{{JINGLE}}}jingle") if each.get("action") == "session-initiate")
    for each in tree.iter():  # what is left open there
        if local_name(each.tag) == "fingerprint":
            each.text = ":".join(["AB"] * 32)
        each.attrib.update({name: "4000" for name in ("port", "ssrc") if name in each.attrib})
    offer = Jingle.parse(tree)
    check_offer(offer, foreign_parts(tree))
    assert parts(ET.fromstring(offer.to_string())) == parts(tree)
