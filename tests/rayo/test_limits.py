"""What is too much is refused with `resource-constraint`, and leaves nothing (XEP-0327 sections 6.2.1.1, 6.3.1)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from focus.rayo.limits import Limits
from focus.rayo.registration import Availability
from focus.wire.conditions import ResourceConstraint
from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0, Dialect
from focus.wire.rayo import Dial, Join
from tests.jingle.pair import End

from .conftest import QUICK
from .scene import DOMAIN, ROOMS, Client, FakePlane, Focus, Net

JULIET = JID.parse("juliet@capulet.lit/balcony")
ROMEO = JID.parse("romeo@montague.lit/orchard")
TO = "xmpp:alice@example.org"

Limited = Callable[..., Awaitable[tuple[Focus, Client, Client]]]


@pytest.fixture
async def limited(net: Net) -> AsyncIterator[Limited]:
    """A server with limits, and two registered clients of it."""
    plane = FakePlane()
    async with AsyncExitStack() as closing:

        async def start(limits: Limits) -> tuple[Focus, Client, Client]:
            focus = Focus(net, plane, clients=frozenset({JULIET.bare, ROMEO.bare}), limits=limits)
            await focus.start()
            closing.push_async_callback(focus.stop)
            for client in (JULIET, ROMEO):
                focus.server.registrations.update(client, Availability.READY)
            return focus, focus.client(str(JULIET)), focus.client(str(ROMEO))

        yield start
    assert plane.snapshot() == {"legs": 0, "mixers": 0}


async def refused(client: Client, to: JID, command: Dial | Join) -> None:
    with pytest.raises(ResourceConstraint) as refusal:
        await client.command(to, command)
    assert refusal.value.type == "wait"


async def test_calls_of_all(limited: Limited) -> None:
    focus, juliet, romeo = await limited(Limits(calls=1))
    await juliet.dial(Dial(to=TO))
    await refused(romeo, focus.addresses.service, Dial(to=TO))


async def test_calls_of_one_account(limited: Limited) -> None:
    focus, juliet, romeo = await limited(Limits(calls_of_client=1))
    await juliet.dial(Dial(to=TO))
    await refused(juliet, focus.addresses.service, Dial(to=TO))
    await romeo.dial(Dial(to=TO))


async def test_mixers_of_all(limited: Limited) -> None:
    focus, juliet, romeo = await limited(Limits(mixers=1))
    one, two = await juliet.dial(Dial(to=TO)), await romeo.dial(Dial(to=TO))
    await juliet.command(one, Join(mixer_name="a"))
    await refused(romeo, two, Join(mixer_name="b"))
    await refused(romeo, focus.addresses.service, Dial(to=TO, joins=(Join(mixer_name="c"),)))
    await juliet.command(one, Join(mixer_name="a", direction="recv"))
    assert len(list(focus.server.directory.mixers())) == 1
    assert len(list(focus.server.directory.calls())) == 2


async def test_mixers_of_one_account(limited: Limited) -> None:
    _, juliet, romeo = await limited(Limits(mixers_of_client=1))
    one, two = await juliet.dial(Dial(to=TO)), await juliet.dial(Dial(to=TO))
    await juliet.command(one, Join(mixer_name="a"))
    await juliet.command(two, Join(mixer_name="a"))
    await refused(juliet, one, Join(mixer_name="b"))
    await romeo.command(await romeo.dial(Dial(to=TO)), Join(mixer_name="c"))


@pytest.mark.parametrize("limits", [Limits(joins=2), Limits(joins_of_client=2)])
async def test_joins(limited: Limited, limits: Limits) -> None:
    _, juliet, _ = await limited(limits)
    one, two = await juliet.dial(Dial(to=TO)), await juliet.dial(Dial(to=TO))
    await juliet.command(one, Join(mixer_name="a"))
    await juliet.command(one, Join(mixer_name="b"))
    await refused(juliet, two, Join(call_uri=one.uri))
    await refused(juliet, two, Join(mixer_name="a"))
    await juliet.command(one, Join(mixer_name="b", direction="send"))


async def test_joins_of_mixers_count_as_those_of_calls(limited: Limited) -> None:
    focus, juliet, _ = await limited(Limits(joins_of_client=4))
    for name in "abc":
        await juliet.command(await juliet.dial(Dial(to=TO)), Join(mixer_name=name))
    await juliet.command(focus.addresses.mixer("a"), Join(mixer_name="b"))
    await refused(juliet, focus.addresses.mixer("a"), Join(mixer_name="c"))


async def test_a_join_with_the_mixer_of_a_room_counts_as_one(limited: Limited) -> None:
    focus, juliet, _ = await limited(Limits(joins_of_client=2))
    rooms = [focus.client(f"focus@{DOMAIN}/{name}", local=True) for name in ("tea", "wine")]
    for room in rooms:
        focus.server.mixers.bind(room.jid.resource, room.jid, lambda client: True)
    await juliet.command(await juliet.dial(Dial(to=TO)), Join(mixer_name="a"))
    await juliet.command(focus.addresses.mixer("a"), Join(mixer_name="tea"))
    await refused(juliet, focus.addresses.mixer("a"), Join(mixer_name="wine"))
    for room in rooms:
        focus.server.mixers.release(room.jid.resource, room.jid)


async def test_joins_in_a_dial_are_counted_one_by_one(limited: Limited) -> None:
    focus, juliet, _ = await limited(Limits(joins=1))
    await refused(juliet, focus.addresses.service, Dial(to=TO, joins=(Join(mixer_name="a"), Join(mixer_name="b"))))
    assert focus.is_empty()


async def test_a_limit_of_clients_is_none_for_our_own_applications(limited: Limited) -> None:
    focus, _, _ = await limited(Limits(calls_of_client=0, joins_of_client=0, mixers_of_client=0))
    ours = focus.client(f"focus@{DOMAIN}/tea", local=True)
    await ours.dial(Dial(to=TO, joins=(Join(mixer_name="tea"),)))


async def test_calls_of_one_caller_who_may_be_an_occupant(limited: Limited, net: Net) -> None:
    """Of a room, or the user of a gateway: they are as many people."""
    focus, juliet, _ = await limited(Limits(calls_of_one=1))
    focus.takers.parties = [juliet.jid]
    offered = 0
    for name, is_taken in (
        ("alice@example.org/desk", True),
        ("alice@example.org/phone", False),
        (f"tea@{ROOMS}/alice", True),
        (f"tea@{ROOMS}/bob", True),
        ("sip.example.org/+1", True),
        ("sip.example.org/+2", True),
    ):
        caller = End(net, name, focus.plane.create_leg, timeouts=QUICK)
        session, owner = caller.call(JID("tea", DOMAIN, "focus"), None)
        await session.start()
        if is_taken:
            offered += 1
            await juliet.offered(offered)
        else:
            await owner.until_ended()
    assert len(list(focus.server.directory.calls())) == offered == 5
    await asyncio.gather(*(each.close() for each in net.ends.values()))


@pytest.mark.parametrize("dialect", [None, JMI_0], ids=["Jingle", "invitation"])
async def test_what_is_new_is_refused_where_there_is_too_much_sound(
    net: Net, plane: FakePlane, dialect: Dialect | None
) -> None:
    """What is there goes on; that there is none is more than the limit here."""
    focus = Focus(net, plane, clients=frozenset({JULIET.bare}), limits=Limits(load=-1))
    await focus.start()
    focus.server.registrations.update(JULIET, Availability.READY)
    await refused(focus.client(str(JULIET)), focus.addresses.service, Dial(to=TO))
    caller = End(net, "alice@example.org/desk", plane.create_leg, timeouts=QUICK)
    session, owner = caller.call(JID("tea", DOMAIN, "focus"), dialect)
    await session.start()
    await owner.until_ended()
    assert focus.is_empty()
    await caller.close()
    await focus.stop()
    assert (plane.snapshot()["legs"], plane.snapshot()["mixers"]) == (0, 0)
