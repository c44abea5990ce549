"""A call that goes on as another one (XEP-0353 section 4.2): what is told, and what refuses it."""

from __future__ import annotations

import pytest

from focus.media.plane import Direction
from focus.wire.base import Element
from focus.wire.conditions import BadRequest, Conflict, ServiceUnavailable, WrongState
from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0
from focus.wire.rayo import Answer, End, Hangup, Join, Joined, Unjoin, Unjoined
from focus.wire.session import Move, Session, Watch
from tests.jingle.pair import End as Caller

from .calling import answered, call_in
from .conftest import QUICK
from .scene import DOMAIN, Client, FakePlane, Focus


async def test_the_joins_of_a_call_are_made_there_before_they_end_here(
    focus: Focus, far_planes: list[FakePlane], alice: Caller, bob: Caller, owner: Client
) -> None:
    first, second = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    third = Caller(focus.net, "carol@example.org/phone", far_planes[2].create_leg, timeouts=QUICK)
    friend = await answered(focus, third, owner, 3)
    await owner.command(first, Join(mixer_name="tea", direction="recv"))
    await owner.command(first, Join(call_uri=friend.uri))
    mixer = focus.mixer("tea")
    assert mixer is not None
    before = len(owner.events(mixer.address))
    await owner.command(first, Move(call_uri=second.uri))
    old, new, far = (focus.call(each) for each in (first, second, friend))
    assert new.joins == {mixer: Direction.RECV, far: Direction.DUPLEX}
    assert not old.joins
    assert owner.events(mixer.address)[before:] == [Joined(call_uri=second.uri), Unjoined(call_uri=first.uri)]
    _, end = await owner.event(End, first)
    assert isinstance(end, End)
    assert (end.reason, end.error) == ("hangup-command", None)
    assert await alice.owners[-1].until_ended() == ("expired", True)


async def test_a_call_that_nobody_has_taken_can_go_on_as_another(
    focus: Focus, alice: Caller, bob: Caller, owner: Client
) -> None:
    waiting, taken = await call_in(focus, alice, owner), await answered(focus, bob, owner, 2)
    await owner.command(waiting, Move(call_uri=taken.uri))
    assert await alice.owners[-1].until_ended() == ("expired", True)
    assert alice.names_said() == ["propose"]


async def test_a_call_goes_on_as_another_with_all_its_joins_or_not_at_all(
    focus: Focus, alice: Caller, bob: Caller, owner: Client
) -> None:
    first, second = await answered(focus, alice, owner), await answered(focus, bob, owner, 2)
    await owner.command(first, Join(mixer_name="tea"))
    await owner.command(first, Join(mixer_name="milk"))
    await owner.command(second, Join(mixer_name="sugar"))
    await owner.command(focus.addresses.mixer("sugar"), Join(mixer_name="milk"))
    with pytest.raises(Conflict):  # it is in milk already, by way of sugar
        await owner.command(first, Move(call_uri=second.uri))
    tea, milk, sugar = (focus.mixer(name) for name in ("tea", "milk", "sugar"))
    assert set(focus.call(first).joins) == {tea, milk}
    assert set(focus.call(second).joins) == {sugar}
    await owner.command(second, Unjoin())
    await owner.command(first, Move(call_uri=second.uri))
    assert set(focus.call(second).joins) == {tea, milk}


async def test_a_call_goes_on_as_one_that_has_media(focus: Focus, alice: Caller, bob: Caller, owner: Client) -> None:
    first, second = await answered(focus, alice, owner), await call_in(focus, bob, owner, number=2)
    for uri, refusal in (
        (first.uri, WrongState),
        (second.uri, WrongState),
        (f"xmpp:nobody@{DOMAIN}", ServiceUnavailable),
        ("tel:1", BadRequest),
    ):
        with pytest.raises(refusal):
            await owner.command(first, Move(call_uri=uri))
    await owner.command(second, Answer())
    await bob.owners[-1].until("connected")
    await owner.command(first, Hangup())
    with pytest.raises(WrongState):
        await owner.command(first, Move(call_uri=second.uri))


@pytest.mark.parametrize("dialect", [JMI_0, None])
async def test_it_is_told_how_somebody_has_called(
    focus: Focus, alice: Caller, owner: Client, dialect: str | None
) -> None:
    session, _ = alice.call(JID("tea", DOMAIN).with_resource("focus" if dialect is None else ""), dialect)  # type: ignore[arg-type]
    await session.start()
    described: Element | None = await owner.command(await owner.offered(), Watch())
    assert isinstance(described, Session)
    assert described.proposed is (dialect is not None)
