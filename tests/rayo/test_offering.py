"""Inbound calls that routes give to clients: who is offered them, who gets them, and what callers are told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from focus.rayo.limits import Limits
from focus.rayo.registration import Availability
from focus.rayo.routing import Route
from focus.wire.conditions import (
    AddressTaken,
    BadRequest,
    NotAuthorized,
    NotTheOwner,
    RegistrationRequired,
    ServiceUnavailable,
)
from focus.wire.jid import JID
from focus.wire.jingle import Jingle, Reason
from focus.wire.jingle_message import JMI_0
from focus.wire.message import CallMessage
from focus.wire.rayo import Accept, Answer, Dial, End, Hangup, Join, Offer, Ref
from tests.jingle.pair import End as Caller
from tests.jingle.pair import Owner

from .scene import DOMAIN, Client, FakePlane, Focus, Net, eventually, settled

JULIET, ROMEO = "juliet@capulet.lit/balcony", "romeo@montague.lit/orchard"
OPERATOR = "admin@example.org/rayo"
ACCOUNTS = tuple(JID.parse(jid).bare for jid in (JULIET, ROMEO))
OFFER = Offer(to=f"xmpp:desk@{DOMAIN}", from_="xmpp:alice@example.org/desk")
LONG = 60.0

Serving = Callable[..., Awaitable[Focus]]


@pytest.fixture
def plane() -> FakePlane:
    return FakePlane()


@pytest.fixture
async def serving(net: Net, plane: FakePlane) -> AsyncIterator[Serving]:
    """Starts the server with routes; at the end it has nothing left."""
    async with AsyncExitStack() as closing:

        async def start(*routes: Route, limits: Limits | None = None) -> Focus:
            focus = Focus(
                net,
                plane,
                controllers=frozenset({JID.parse(OPERATOR).bare}),
                clients=frozenset(ACCOUNTS),
                routes=routes,
                limits=limits,
            )
            await focus.start()
            closing.push_async_callback(focus.stop)
            return focus

        yield start
    assert plane.snapshot() == {"legs": 0, "mixers": 0}


def register(focus: Focus, jid: str, availability: Availability = Availability.READY) -> Client:
    client = focus.clients.get(JID.parse(jid)) or focus.client(jid)
    focus.server.registrations.update(client.jid, availability)
    return client


async def call(caller: Caller, to: str = "desk") -> Owner:
    session, owner = caller.call(JID.parse(f"{to}@{DOMAIN}" if to else DOMAIN), JMI_0)
    await session.start()
    return owner


async def test_all_who_are_ready_are_offered_a_call_and_the_first_gets_it(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO)
    busy = register(focus, "juliet@capulet.lit/tomb", Availability.BUSY)
    caller = await call(alice)
    address = await juliet.offered()
    assert await romeo.offered() == address
    assert juliet.events() == romeo.events() == [OFFER]

    await romeo.command(address, Accept())
    await caller.until("ringing")
    with pytest.raises(NotTheOwner):
        await juliet.command(address, Answer())
    await romeo.command(address, Answer())
    await caller.until("connected")
    assert ("focus", True) not in caller.entries  # it is no conference
    await eventually(lambda: focus.call(address)._connected)
    await romeo.command(address, Join(mixer_name="tea"))

    focus.server.registrations.remove(romeo.jid)  # who controls a call need not stay
    await settled()
    focus.call(address).session.hangup(Reason.of("success"))  # type: ignore[union-attr]
    for client in (juliet, romeo):
        await client.event(End, address)
    assert busy.events() == []


async def test_nobody_there_is_told_to_the_caller(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    busy = register(focus, JULIET, Availability.BUSY)
    assert (await (await call(alice)).until_ended())[0] == "gone"
    await eventually(focus.is_empty)
    assert busy.events() == []


@pytest.mark.parametrize("leaves", ["goes", "is busy"])
async def test_who_leaves_drops_out_and_with_the_last_the_call_is_refused(
    serving: Serving, alice: Caller, leaves: str
) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO)

    def leave(client: Client) -> None:
        if leaves == "goes":
            focus.server.registrations.remove(client.jid)
        else:
            register(focus, str(client.jid), Availability.BUSY)

    caller = await call(alice)
    address = await juliet.offered()
    leave(juliet)
    await settled()
    assert not focus.is_empty()
    leave(romeo)
    assert (await caller.until_ended())[0] == "gone"
    for client in (juliet, romeo):  # to all to whom an offer was sent (section 6.6.4)
        _, end = await client.event(End, address)
        assert isinstance(end, End)
        assert end.error is not None  # the caller has not hung up
        assert end.error.platform_code == "gone"


async def test_who_has_become_busy_may_still_take_what_it_was_offered(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet, _ = register(focus, JULIET), register(focus, ROMEO)
    caller = await call(alice)
    address = await juliet.offered()
    register(focus, JULIET, Availability.BUSY)
    await juliet.command(address, Answer())
    await caller.until("connected")


@pytest.mark.parametrize("taking", ["accept", "join", "join from another call"])
async def test_a_controller_that_is_offered_a_call_takes_it_like_anybody(
    serving: Serving, alice: Caller, taking: str
) -> None:
    """It may command the call without that, but then others could take it over, and nobody would have taken it."""
    focus = await serving(Route("desk", clients=(JID.parse(OPERATOR).bare, *ACCOUNTS), timeout=0.05))
    operator, romeo = register(focus, OPERATOR), register(focus, ROMEO)
    await call(alice)
    address = await operator.offered()
    match taking:
        case "accept":
            await operator.command(address, Accept())
        case "join":
            await operator.command(address, Join(mixer_name="tea"))
        case _:
            own = await operator.dial(Dial(to="xmpp:bob@example.org"))
            await operator.command(own, Join(call_uri=address.uri))
    assert focus.call(address).controller == operator.jid
    assert focus.call(address).is_decided
    for command in (Answer(), Join(mixer_name="romeos")):
        with pytest.raises(NotTheOwner):
            await romeo.command(address, command)


async def test_what_is_said_to_the_caller_takes_no_call(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO)
    caller = await call(alice)
    address = await juliet.offered()
    for message in (CallMessage(), CallMessage(body="one moment, please")):
        with pytest.raises(NotTheOwner):
            await juliet.command(address, message)
    await romeo.command(address, Answer())
    await caller.until("connected")


async def test_a_dial_that_is_refused_takes_no_call(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO)
    caller = await call(alice)
    address = await juliet.offered()
    joins = (Join(call_uri=address.uri), Join(call_uri=f"xmpp:nobody@{DOMAIN}"))
    with pytest.raises(ServiceUnavailable):
        await juliet.dial(Dial(to="xmpp:bob@example.org", joins=joins))
    await romeo.command(address, Answer())
    await caller.until("connected")


@pytest.mark.parametrize("leaves", ["goes", "is busy and goes", "cannot be reached"])
async def test_a_caller_does_not_ring_for_who_has_accepted_and_gone(
    serving: Serving, alice: Caller, leaves: str
) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet, _ = register(focus, JULIET), register(focus, ROMEO)
    caller = await call(alice)
    address = await juliet.offered()
    await juliet.command(address, Accept())
    await caller.until("ringing")
    if leaves == "cannot be reached":
        focus.server.unreachable(juliet.jid, address)
    else:
        if leaves == "is busy and goes":
            register(focus, JULIET, Availability.BUSY)
            await settled()
            assert not focus.call(address).is_over
        focus.server.registrations.remove(juliet.jid)
    assert (await caller.until_ended())[0] == "gone"


async def test_a_call_that_nobody_takes_is_a_timeout(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=0.05))
    juliet = register(focus, JULIET)
    assert (await (await call(alice)).until_ended())[0] == "timeout"
    _, end = await juliet.event(End)
    assert isinstance(end, End)
    assert end.reason == "timeout"


async def test_stages_come_one_after_the_other_and_the_earlier_may_still_take_it(
    serving: Serving, alice: Caller
) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, staged=True, timeout=0.3))
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO)
    caller = await call(alice)
    address = await juliet.offered()
    assert romeo.events() == []
    assert await romeo.offered() == address
    await juliet.command(address, Answer())
    await caller.until("connected")
    assert juliet.events() == [OFFER]


async def test_a_stage_ends_when_everybody_in_it_has_gone(serving: Serving, alice: Caller) -> None:
    focus = await serving(
        Route("desk", clients=(JID.parse("nobody@capulet.lit"), *ACCOUNTS), staged=True, timeout=LONG)
    )
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO)
    await call(alice)
    await juliet.offered()
    assert romeo.events() == []
    focus.server.registrations.remove(juliet.jid)
    await romeo.offered()


async def test_who_becomes_ready_while_a_call_waits_is_offered_it(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, staged=True, timeout=LONG))
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO, Availability.BUSY)
    tomb = register(focus, "juliet@capulet.lit/tomb", Availability.BUSY)
    caller = await call(alice)
    address = await juliet.offered()
    register(focus, str(tomb.jid))
    crypt = register(focus, "juliet@capulet.lit/crypt")
    register(focus, ROMEO)
    for late in (tomb, crypt):
        assert await late.offered() == address
    assert romeo.events() == []  # it is not his turn
    for client in (juliet, tomb):
        focus.server.registrations.remove(client.jid)
    await settled()
    assert romeo.events() == []
    await crypt.command(address, Answer())
    await caller.until("connected")
    late = register(focus, "juliet@capulet.lit/gate")
    await settled()
    assert late.events() == []


async def test_who_was_busy_for_a_while_is_waited_for_again(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO)
    caller = await call(alice)
    address = await juliet.offered()
    register(focus, JULIET, Availability.BUSY)
    register(focus, JULIET)
    focus.server.registrations.remove(romeo.jid)
    await settled()
    assert juliet.events() == [OFFER]  # which it has had all the time
    await juliet.command(address, Answer())
    await caller.until("connected")


async def test_who_has_been_away_is_offered_a_call_once_more(serving: Serving, alice: Caller) -> None:
    """It may be another program, and has heard nothing meanwhile."""
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO)
    caller = await call(alice)
    address = await juliet.offered()
    focus.server.registrations.remove(juliet.jid)
    register(focus, JULIET)
    assert await juliet.offered(2) == address
    register(focus, JULIET, Availability.BUSY)
    register(focus, JULIET)
    focus.server.registrations.remove(romeo.jid)
    await settled()
    assert juliet.events() == [OFFER, OFFER]
    await juliet.command(address, Answer())
    await caller.until("connected")


async def test_whom_an_offer_does_not_reach_is_offered_nothing_more_before_it_registers_again(
    serving: Serving, alice: Caller
) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet, _ = register(focus, JULIET), register(focus, ROMEO)
    await call(alice)
    address = await juliet.offered()
    focus.server.unreachable(juliet.jid, address)
    register(focus, "juliet@capulet.lit/tomb")
    await settled()
    assert juliet.events() == [OFFER]
    focus.server.registrations.remove(juliet.jid)
    register(focus, JULIET)
    await juliet.offered(2)


async def test_a_stage_does_not_wait_for_those_of_earlier_ones_but_the_last_does(
    serving: Serving, alice: Caller
) -> None:
    garden = JID.parse("juliet@capulet.lit/garden")
    stages = (JID.parse(JULIET), garden, ACCOUNTS[1])
    focus = await serving(Route("desk", clients=stages, staged=True, timeout=LONG))
    first, second, third = (register(focus, str(jid)) for jid in (JULIET, garden, ROMEO))
    caller = await call(alice)
    address = await first.offered()
    register(focus, JULIET, Availability.BUSY)
    await second.offered()
    register(focus, JULIET)
    await settled()
    assert third.events() == []
    focus.server.registrations.remove(garden)
    await third.offered()
    focus.server.registrations.remove(third.jid)
    await settled()
    await first.command(address, Answer())
    await caller.until("connected")


async def test_a_caller_that_gives_up_ends_the_offer(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG))
    juliet = register(focus, JULIET)
    session, _ = alice.call(JID.parse(f"desk@{DOMAIN}"), JMI_0)
    await session.start()
    await juliet.offered()
    session.hangup(Reason.of("success"))
    await juliet.event(End)
    await eventually(focus.is_empty)
    register(focus, JULIET, Availability.BUSY)


async def test_calls_to_rooms_are_the_conferences(serving: Serving, alice: Caller) -> None:
    """Also where a route sends them to a room of another name, or exempts them from a later one."""
    focus = await serving(Route("room-*"), Route("help", conference="tea"), Route("*", clients=ACCOUNTS, timeout=LONG))
    owner = focus.client("conference@example.org/x")
    focus.takers.parties = [owner.jid]
    juliet = register(focus, JULIET)
    for to in ("room-1", "help"):
        await call(alice, to)
    await owner.offered(2)
    assert [event.to for event in owner.events() if isinstance(event, Offer)] == [
        f"xmpp:room-1@{DOMAIN}",
        f"xmpp:tea@{DOMAIN}",
    ]
    assert focus.server.room_called(JID("help", DOMAIN, "focus")) == "tea"
    assert focus.server.room_called(JID("desk", DOMAIN)) == ""
    assert juliet.events() == []
    await call(alice, "")
    await juliet.offered()


async def test_what_is_wrong_with_a_route_is_not_taken_for_an_address_without_a_room(serving: Serving) -> None:
    focus = await serving(Route(match=None))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        focus.server.room_called(JID("tea", DOMAIN))


async def test_a_registered_client_may_dial(serving: Serving, alice: Caller) -> None:
    focus = await serving()
    juliet = focus.client(JULIET)
    dial = Dial(to="xmpp:alice@example.org")
    with pytest.raises(RegistrationRequired):
        await juliet.dial(dial)
    register(focus, JULIET, Availability.BUSY)
    await juliet.dial(dial)


async def test_clients_call_from_addresses_that_come_to_them_and_at_addresses_that_are_no_rooms(
    serving: Serving,
) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS[:1], timeout=LONG))
    juliet, romeo = register(focus, JULIET), register(focus, ROMEO)
    dial = Dial(to="xmpp:alice@example.org", from_=f"xmpp:desk@{DOMAIN}")
    await juliet.dial(dial)
    for client, address in ((romeo, "desk"), (juliet, "tea"), (juliet, "focus")):
        with pytest.raises((NotAuthorized, BadRequest)):
            await client.dial(dial.model_copy(update={"from_": f"xmpp:{address}@{DOMAIN}"}))

    identifier = str(uuid4())
    mine = Dial(to="xmpp:alice@example.org", uri=f"xmpp:{identifier}@{DOMAIN}")
    assert await romeo.dial(mine) == JID(identifier, DOMAIN)
    for name in ("tea", "desk", "focus", identifier[:-1]):
        with pytest.raises(BadRequest):
            await romeo.dial(mine.model_copy(update={"uri": f"xmpp:{name}@{DOMAIN}"}))


@pytest.mark.parametrize(
    ("caller", "route", "codecs"),
    [
        ("desk", "elsewhere", ["opus", "PCMU", "PCMA"]),
        ("fax", "elsewhere", ["PCMU", "PCMA", "opus"]),
        ("desk", "alic?", ["PCMU", "PCMA", "opus"]),
    ],
)
async def test_calls_from_and_to_fax_machines_are_offered_the_sound_of_telephones_first(
    serving: Serving, alice: Caller, caller: str, route: str, codecs: list[str]
) -> None:
    """As routes know them: ours by the address that clients call from, others by the one that they call."""
    ours = (Route("fax", clients=ACCOUNTS, fax=True), Route("desk", clients=ACCOUNTS))
    focus = await serving(*ours, Route(route, fax=True))
    juliet = register(focus, JULIET, Availability.BUSY)
    await juliet.dial(Dial(to="xmpp:alice@example.org", from_=f"xmpp:{caller}@{DOMAIN}"))
    await eventually(lambda: bool(alice.sessions))
    await alice.owners[0].until("connected")
    (offer,) = [each for each in alice.heard.entries if isinstance(each, Jingle) and each.action == "session-initiate"]
    description = offer.contents[0].description
    assert description is not None
    payloads = [each for each in description.payload_types if each.name in codecs]
    assert [each.name for each in payloads] == codecs
    (opus,) = [each for each in payloads if each.name == "opus"]
    assert opus.parameter("usedtx") == ("1" if codecs[0] == "opus" else "0")


async def test_no_client_takes_the_name_of_a_room(serving: Serving, alice: Caller) -> None:
    """Rooms are called like calls, too."""
    focus = await serving()
    juliet, name = register(focus, JULIET), str(uuid4())
    room = focus.client(f"focus@{DOMAIN}/{name}", local=True)
    focus.takers.parties = [room.jid]
    dial = Dial(to="xmpp:bob@example.org", uri=f"xmpp:{name}@{DOMAIN}")
    made = await juliet.dial(dial)
    await call(alice, name)
    address = await room.offered()
    focus.server.mixers.bind(name, room.jid)
    assert await room.command(address, Join(mixer_name=name)) == Ref(uri=made.uri)
    await juliet.command(made, Hangup())  # it is the client's call all the same
    await eventually(lambda: focus.server.directory.call(made) is None)
    with pytest.raises(AddressTaken):
        await juliet.dial(dial)
    focus.server.mixers.release(name, room.jid)


async def test_a_thousand_offers_are_one_for_each_client(serving: Serving, alice: Caller) -> None:
    focus = await serving(Route("desk", clients=ACCOUNTS, timeout=LONG), limits=Limits(registrations=1000))
    clients = [register(focus, f"juliet@capulet.lit/{number}") for number in range(1000)]
    await call(alice)
    for client in clients:
        await client.offered()
        assert client.events() == [OFFER]
