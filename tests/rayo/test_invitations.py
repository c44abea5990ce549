"""Proposals that come again, and answers that come too late (XEP-0353 sections 3.3, 4.1 and 5)."""

from __future__ import annotations

import pytest

from focus.wire.conditions import UnknownSession
from focus.wire.jid import JID
from focus.wire.jingle import Jingle, Reason
from focus.wire.jingle_message import (
    JMI_0,
    JMI_1,
    Accept,
    Dialect,
    Finish,
    JingleMessage,
    Proceed,
    Propose,
    Reject,
    Retract,
    in_dialect,
)
from focus.wire.rayo import Answer, Dial, Hangup, Offer
from tests.jingle.pair import End as Caller

from .calling import answered
from .scene import DOMAIN, Client, FakePlane, Focus, eventually, settled

DIALECTS = pytest.mark.parametrize("dialect", [JMI_0, JMI_1])
TEA = JID("tea", DOMAIN)


@pytest.fixture
def plane() -> FakePlane:
    return FakePlane()


def heard(end: Caller, kind: type[JingleMessage]) -> list[object]:
    return [each for each in end.heard.entries if isinstance(each, kind)]


@DIALECTS
async def test_a_proposal_that_comes_again_is_no_new_call(
    focus: Focus, alice: Caller, owner: Client, dialect: Dialect
) -> None:
    session, its_owner = alice.call(TEA, dialect)
    await session.start()
    (propose,) = alice.said
    alice.message(alice.jid, TEA, propose)
    await owner.command(await owner.offered(), Answer())
    await its_owner.until("connected")
    alice.message(alice.jid, TEA, propose)
    session.hangup(Reason.of("success"))
    await eventually(lambda: not list(focus.server.directory.calls()))
    alice.message(alice.jid, TEA, propose)
    begin = next(each for each in alice.said if isinstance(each, Jingle))
    with pytest.raises(UnknownSession):
        await alice.iq_set(alice.jid, TEA.with_resource("focus"), begin)
    await settled()
    assert len([event for event in owner.events() if isinstance(event, Offer)]) == 1
    assert len(heard(alice, Proceed) + heard(alice, Accept)) == 1
    assert not heard(alice, Reject)


@DIALECTS
async def test_a_device_that_takes_what_was_withdrawn_is_told_so(
    focus: Focus, alice: Caller, admin: Client, dialect: Dialect
) -> None:
    focus.dialect = lambda _: _always(dialect)
    alice.answering = lambda session: None
    call = await admin.dial(Dial(to=f"xmpp:{alice.jid.bare}", from_=TEA.uri))
    await eventually(lambda: bool(alice.sessions))
    propose = next(each for each in alice.heard.entries if isinstance(each, Propose))
    await admin.command(call, Hangup())
    await eventually(lambda: not list(focus.server.directory.calls()))
    kitchen = Caller(focus.net, "alice@example.org/kitchen", alice.legs)
    taking: type[JingleMessage] = Proceed if dialect == JMI_0 else Accept
    kitchen.message(kitchen.jid, TEA.with_resource("focus"), in_dialect(taking, dialect)(id=propose.id))
    await eventually(lambda: bool(heard(kitchen, Retract)))
    (retract,) = heard(kitchen, Retract)
    assert isinstance(retract, Retract)
    assert (retract.id, retract.dialect) == (propose.id, dialect)
    assert retract.reason is not None
    assert retract.reason.condition == "expired"
    kitchen.message(kitchen.jid, TEA, in_dialect(taking, dialect)(id="unknown"))
    await settled()
    assert len(heard(kitchen, Retract)) == 1


async def _always(dialect: Dialect) -> Dialect:
    return dialect


@pytest.mark.parametrize("theirs_stands", [True, False])
async def test_of_two_proposals_with_one_id_that_of_the_lower_jid_stands(
    focus: Focus, alice: Caller, owner: Client, admin: Client, theirs_stands: bool
) -> None:
    name = "alice" if theirs_stands else "zoe"
    device = Caller(focus.net, f"{name}@example.org/x", alice.legs)
    device.answering = lambda session: None
    await admin.dial(Dial(to=f"xmpp:{device.jid.bare}", from_=TEA.uri))
    await eventually(lambda: bool(device.sessions))
    propose = next(each for each in device.heard.entries if isinstance(each, Propose))
    theirs = Propose(id=propose.id, descriptions=propose.descriptions)
    device.message(device.jid, device.sessions[0].peer, theirs)
    await settled()
    rejects = heard(device, Reject)
    assert [each.tie_break is not None for each in rejects if isinstance(each, Reject)] == [True] * (not theirs_stands)
    assert not heard(device, Retract)
    assert not heard(device, Finish)
    assert await answered(focus, alice, owner, 2 if theirs_stands else 1)
