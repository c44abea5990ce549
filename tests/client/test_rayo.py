"""A Rayo client and the real service, on a real Prosody, with telephones that make and take calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest

from focus.client import (
    JID,
    Answered,
    Call,
    CallEnded,
    Event,
    Join,
    Joined,
    LoginRefused,
    NoService,
    Offer,
    RayoClient,
    RayoError,
    Ringing,
    SessionLost,
    StartedSpeaking,
    Unjoined,
)
from focus.client.feed import Feed
from focus.service.prosody import Prosody
from tests.client.conftest import RayoFactory
from tests.interop.callers import CallerFactory
from tests.interop.running import (
    PASSWORD,
    PATIENCE,
    ClientFactory,
    PhoneFactory,
    RunningFocus,
    eventually,
    serve,
    settings_for,
)
from tests.interop.servers import only_prosody
from tests.service.phones import hears

pytestmark = pytest.mark.interop


async def read(events: Feed[Event]) -> list[Event]:
    """All of them, to the end."""
    async with asyncio.timeout(PATIENCE):
        return [event async for event in events]


async def heard(events: Feed[Event], kind: type[Event], **details: str) -> Event:
    """The next event of this kind, with these attributes."""
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in details.items()):
                return event
    raise AssertionError(f"it ended without {kind.__name__} {details}")


async def offered(client: RayoClient) -> Call:
    async with asyncio.timeout(PATIENCE):
        return await anext(client.offers)


async def refused(doing: object) -> tuple[str, str]:
    with pytest.raises(RayoError) as caught:
        await doing  # type: ignore[misc]
    assert caught.value.text
    return caught.value.condition, caught.value.type


async def test_a_call_is_made_and_told_of_until_its_end(
    focus: RunningFocus, rayo: RayoFactory, listening: PhoneFactory
) -> None:
    controller, bob = await rayo("controller"), await listening("bob", 440)
    call = await controller.dial(f"bob@{focus.prosody.domain}", joins=[controller.mixer("tea")], timeout=30)
    await call.answered()
    assert call.end is None
    await bob.wait_for("connected")
    await call.hangup()
    end = await call.ended()
    assert end.reason == "hangup-command"
    told = await read(call.events)
    assert told == [Ringing(), Answered(), Joined(mixer_name="tea"), Unjoined(mixer_name="tea"), end]
    assert await read(call.events) == []
    for doing in (call.unjoin(), call.join(mixer="tea"), call.send_message("hello?")):
        with pytest.raises(CallEnded) as caught:
            await doing
        assert caught.value.end is end
    await call.hangup()


async def test_headers_and_the_reason_reach_the_peer(
    focus: RunningFocus, rayo: RayoFactory, listening: PhoneFactory
) -> None:
    controller, bob = await rayo("controller"), await listening("bob", 440)
    call = await controller.dial(f"xmpp:bob@{focus.prosody.domain}")
    await call.answered()
    await call.hangup(headers={"jingle-reason": "decline"})
    assert (await bob.wait_for("ended"))["reason"] == "decline"
    assert (await call.ended()).hangup_command is not None


async def test_who_does_not_answer_is_an_end(focus: RunningFocus, rayo: RayoFactory, listening: PhoneFactory) -> None:
    controller = await rayo("controller")
    await listening("bob", 440, "busy")
    call = await controller.dial(f"bob@{focus.prosody.domain}")
    with pytest.raises(CallEnded, match="busy") as caught:
        async with asyncio.timeout(PATIENCE):
            await call.answered()
    assert caught.value.end.busy is not None


async def test_a_call_is_offered_taken_and_hung_up_by_its_caller(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory
) -> None:
    juliet, romeo, idle = await rayo("juliet"), await rayo("romeo"), await rayo("juliet/idle", ready=False)
    alice = await caller("alice", 300)
    calling = asyncio.create_task(alice.call(focus.mixer("desk-1")))
    call, other = await offered(juliet), await offered(romeo)
    assert call.offer == Offer(to=focus.mixer("desk-1").uri, from_=alice.client.jid.uri)
    assert call.uri == other.uri
    await call.accept()
    assert await refused(other.answer()) == ("conflict", "cancel")
    await call.answer(headers=[("x-skill", "tea"), ("x-skill", "cake")])
    await call.answered()
    async with asyncio.timeout(PATIENCE):
        await calling
    mixer = juliet.mixer("Support")
    await call.join(mixer=mixer)
    assert await heard(call.events, Joined) == Joined(mixer_name="Support")
    assert await heard(mixer.events, Joined) == Joined(call_uri=call.uri)
    assert await heard(mixer.events, StartedSpeaking) == StartedSpeaking(call_uri=call.uri)
    assert (mixer.is_there, mixer.calls, mixer.speaking) == (True, {call.uri}, {call.uri})
    await alice.hang_up()
    assert (await call.ended()).reason == "hungup"
    told = await read(call.events)
    assert told == [Unjoined(mixer_name="Support"), call.end]
    assert (await read(other.events))[-1] == call.end
    await eventually(lambda: not mixer.is_there)
    assert mixer.calls == mixer.speaking == set()
    await idle.close()
    assert [late async for late in idle.offers] == []


async def test_a_call_is_rejected_or_sent_elsewhere(
    focus: RunningFocus, rayo: RayoFactory, listening: PhoneFactory
) -> None:
    juliet = await rayo("juliet")
    alice = await listening("alice", 300)
    refusals: list[tuple[Callable[[Call], Awaitable[None]], str]] = [
        (lambda call: call.reject(), "decline"),
        (lambda call: call.reject("busy"), "busy"),
        (lambda call: call.redirect(f"xmpp:tea@{focus.prosody.focus}"), "decline"),
    ]
    for act, reason in refusals:
        before = alice.events.history[-1]
        await alice.call(focus.mixer("desk-2"))
        call = await offered(juliet)
        await act(call)
        assert (await alice.wait_for("ended", since=before))["reason"] == reason
        assert (await call.ended()).reason == "hangup-command"


async def test_calls_are_joined_and_parted(focus: RunningFocus, rayo: RayoFactory, listening: PhoneFactory) -> None:
    juliet = await rayo("juliet")
    phones = [await listening("alice", 300), await listening("bob", 440)]
    alice = await juliet.dial(f"alice@{focus.prosody.domain}")
    await alice.answered()
    bob = await juliet.dial(f"bob@{focus.prosody.domain}", joins=[alice])
    await bob.answered()
    assert await heard(alice.events, Joined) == Joined(call_uri=bob.uri)
    await hears(phones[0], 440)
    await hears(phones[1], 300)
    await bob.unjoin(call=alice)
    assert await heard(alice.events, Unjoined) == Unjoined(call_uri=bob.uri)

    mixer = juliet.mixer("party")
    await mixer.join(call=alice.uri, direction="recv")
    await mixer.join(call=bob, direction="send")
    await hears(phones[1], 300)
    assert mixer.calls == {alice.uri, bob.uri}
    assert await refused(bob.join(call=bob)) == ("conflict", "cancel")
    await mixer.unjoin(call=alice)
    await mixer.unjoin()
    assert await refused(mixer.unjoin()) == ("item-not-found", "cancel")
    assert await refused(alice.unjoin(mixer=mixer)) == ("service-unavailable", "cancel")


async def test_a_caller_and_who_is_called_are_connected_directly(
    focus: RunningFocus, rayo: RayoFactory, listening: PhoneFactory
) -> None:
    juliet = await rayo("juliet")
    phones = [await listening("alice", 300), await listening("bob", 440)]
    await phones[0].call(focus.mixer("desk-3"))
    alice = await offered(juliet)
    bob = await juliet.dial(f"bob@{focus.prosody.domain}", joins=[Join(call_uri=alice.uri, media="direct")])
    await bob.answered()
    assert await heard(alice.events, Joined) == Joined(call_uri=bob.uri)
    await hears(phones[0], 440)
    await hears(phones[1], 300)
    assert focus.service.plane()["legs"] == 0
    await alice.answer()  # which it has been
    assert await refused(alice.unjoin(call=bob)) == ("feature-not-implemented", "modify")
    assert await refused(bob.join(mixer="party")) == ("feature-not-implemented", "modify")
    await alice.hangup()
    assert [(await call.ended()).reason for call in (alice, bob)] == ["hangup-command"] * 2


async def test_the_client_chooses_the_address_and_how_long_it_rings(
    focus: RunningFocus, rayo: RayoFactory, client: ClientFactory
) -> None:
    juliet, nobody_answers = await rayo("juliet"), (await client("bob")).jid.bare
    mine = JID(str(uuid4()), focus.prosody.focus)
    known = juliet.call(mine)
    call = await juliet.dial(nobody_answers, uri=mine, timeout=0.2)
    assert call is known
    assert call.address == mine
    assert (await call.ended()).reason == "timeout"


@pytest.mark.parametrize("stays", [True, False])
async def test_no_call_is_left_of_dials_that_are_cancelled(
    focus: RunningFocus, rayo: RayoFactory, client: ClientFactory, stays: bool
) -> None:
    """Whenever that is: also while the service has not made the call yet, and if we go at once."""
    juliet, nobody_answers = await rayo("juliet"), (await client("bob")).jid
    for rounds in range(20):
        dialling = asyncio.create_task(juliet.dial(nobody_answers))
        for _ in range(rounds // 5):
            await asyncio.sleep(0)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
    if not stays:
        await juliet.close()
        juliet = await rayo("juliet/again")
    last = await juliet.dial(nobody_answers)  # the service has carried out the others before
    await last.hangup()
    await last.ended()
    await eventually(lambda: focus.service.calls() == 0)


async def test_what_is_refused_says_how_and_why(focus: RunningFocus, rayo: RayoFactory) -> None:
    juliet, nobody = await rayo("juliet"), f"nobody@{focus.prosody.domain}"
    assert await refused(juliet.dial("tel:+123")) == ("feature-not-implemented", "modify")
    assert await refused(juliet.dial("foo:bar")) == ("bad-request", "modify")
    assert await refused(juliet.dial(nobody, from_=focus.mixer("desk-1"), uri=focus.mixer("name"))) == (
        "bad-request",
        "modify",
    )
    assert await refused(juliet.dial(nobody, from_=focus.mixer("tea"))) == ("not-authorized", "auth")
    assert await refused(juliet.dial(nobody, joins=[Join(mixer_name="x", media="direct")])) == (
        "feature-not-implemented",
        "modify",
    )
    assert await refused(juliet.dial(nobody, joins=[juliet.call(focus.mixer("gone"))])) == (
        "service-unavailable",
        "cancel",
    )
    assert await refused(juliet.call(focus.mixer("gone")).hangup()) == ("item-not-found", "cancel")
    assert focus.service.calls() == 0
    for wrong in (
        lambda: juliet.dial("@"),
        lambda: juliet.dial(nobody, timeout=float("inf")),
        lambda: juliet.dial(nobody, timeout=float("nan")),
        lambda: juliet.dial(nobody, timeout=1e12),
        lambda: juliet.dial(nobody, headers={"x": "a" * 2000}),
        lambda: juliet.dial(nobody, headers=[("", "nameless")]),
        lambda: juliet.call(focus.mixer("x")).join(),
        lambda: juliet.call(focus.mixer("x")).join(mixer=juliet.mixer("not a name")),
        lambda: juliet.call(focus.mixer("x")).join(call=nobody, mixer="tea"),
        lambda: juliet.call(focus.mixer("x")).join(mixer="tea", direction="up"),  # type: ignore[arg-type]
        lambda: juliet.call(focus.mixer("x")).reject("never"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
            await wrong()


async def test_what_cannot_be_logged_in_with(focus: RunningFocus, prosody: Prosody, rayo: RayoFactory) -> None:
    await rayo("juliet")
    place = {"server": prosody.c2s, "insecure": True}
    with pytest.raises(LoginRefused, match="juliet@localhost"):
        await RayoClient("juliet@localhost", "guess", **place).connect()  # type: ignore[arg-type]
    for service in ("nowhere.localhost", prosody.rooms):
        with pytest.raises(NoService, match=service):
            await RayoClient("juliet@localhost", PASSWORD, service, **place).connect()  # type: ignore[arg-type]
    await prosody.add_user("mallory@localhost", PASSWORD)
    mallory = RayoClient("mallory@localhost", PASSWORD, **place)  # type: ignore[arg-type]
    assert await refused(mallory.connect()) == ("not-authorized", "auth")


async def test_closing_ends_what_waits_and_leaves_the_calls(
    focus: RunningFocus, rayo: RayoFactory, listening: PhoneFactory
) -> None:
    await listening("bob", 440)
    first = await rayo("juliet/desk")
    call, mixer = await first.dial(f"bob@{focus.prosody.domain}"), first.mixer("x")
    await call.answered()
    ending = asyncio.create_task(call.ended())
    await asyncio.sleep(0)
    await first.close()
    await first.close()
    with pytest.raises(SessionLost, match="closed"):
        await ending
    assert [call async for call in first.offers] == [event async for event in mixer.events] == []
    assert (await read(call.events))[-1] == Answered()
    for doing in (call.hangup(), first.dial("bob@localhost"), mixer.subscribe(), first.calls(), mixer.unjoin()):
        with pytest.raises(SessionLost, match="closed"):
            await doing
    with pytest.raises(SessionLost, match="closed"):
        await call.send_message("hello?")

    again = await rayo("juliet/desk")
    assert [listed.address for listed in await again.calls()] == [call.address]
    taken = again.call(call.address)
    await taken.hangup()
    assert (await taken.ended()).reason == "hangup-command"


async def test_the_loss_of_the_server_ends_everything_and_says_so(
    focus: RunningFocus, prosody: Prosody, rayo: RayoFactory, listening: PhoneFactory
) -> None:
    await listening("bob", 440)
    juliet = await rayo("juliet")
    call, mixer = await juliet.dial(f"bob@{prosody.domain}"), juliet.mixer("x")
    await call.answered()
    waiting = [asyncio.create_task(read(events)) for events in (call.events, mixer.events)]
    waiting.append(asyncio.create_task(call.ended()))  # type: ignore[arg-type]
    waiting.append(asyncio.create_task(anext(juliet.offers)))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    prosody.kill()
    for task in waiting:
        with pytest.raises(SessionLost, match="the session with the XMPP server"):
            await asyncio.wait_for(task, PATIENCE)
    with pytest.raises(SessionLost):
        await call.hangup()
    with pytest.raises(SessionLost):
        await anext(juliet.mixer("new").events)
    with pytest.raises(SessionLost):
        await juliet.call(call.address).ended()
    await prosody.wait()
    await prosody.start()


async def test_the_end_of_the_service_is_told(prosody: Prosody, rayo: RayoFactory) -> None:
    async with serve(prosody, settings_for(prosody)):
        controller = await rayo("controller")
    with pytest.raises(SessionLost, match=f"{prosody.focus} has gone down"):
        await asyncio.wait_for(anext(controller.offers), PATIENCE)


async def test_addresses_may_be_written_with_capitals(
    focus: RunningFocus, prosody: Prosody, rayo: RayoFactory, caller: CallerFactory
) -> None:
    """Servers write them without, and what they send is from there."""
    await rayo("juliet", ready=False)
    place = {"server": prosody.c2s, "insecure": True}
    account, service = f"Juliet@{prosody.domain.upper()}/Desk", prosody.focus.upper()
    async with RayoClient(account, PASSWORD, service, **place) as juliet:  # type: ignore[arg-type]
        calling = asyncio.create_task((await caller("alice", 300)).call(focus.mixer("desk-1")))
        call = await offered(juliet)
        assert juliet.call(f"xmpp:{str(call.address).upper()}") is call
        await call.accept()
        await call.answer()
        async with asyncio.timeout(PATIENCE):
            await calling
        mine = str(uuid4())
        dialled = await juliet.dial(f"alice@{prosody.domain}", uri=f"xmpp:{mine.upper()}@{service}")
        assert dialled.address == JID(mine, prosody.focus)
        await dialled.hangup()
        assert (await dialled.ended()).reason == "hangup-command"
        await call.hangup()


async def test_a_service_that_has_forgotten_us_is_noticed(focus: RunningFocus, rayo: RayoFactory) -> None:
    """As one that was killed and has been started again has: nobody could tell us."""
    other = await rayo("juliet/other")
    juliet = await rayo("juliet", check_every=0.1)
    registrations = focus.service._server.registrations
    assert [client.address for client in await juliet.registered()] == [other.jid, juliet.jid]
    registrations.remove(juliet.jid)
    with pytest.raises(SessionLost, match=f"{focus.prosody.focus} does not know us any more"):
        await offered(juliet)
    assert [client.address for client in await other.registered()] == [other.jid]


async def test_who_may_command_can_list(focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory) -> None:
    controller, juliet, romeo = await rayo("controller"), await rayo("juliet"), await rayo("romeo", ready=False)
    alice, bob = await caller("alice", 300), await caller("bob", 440)
    await alice.call(focus.mixer("tea"))
    calling = asyncio.create_task(bob.call(focus.mixer("desk-1")))
    call = await offered(juliet)
    await call.accept()
    await call.answer()
    async with asyncio.timeout(PATIENCE):
        await calling
    await call.join(mixer=r"Support\20desk")

    every = {listed.name: listed for listed in await controller.calls()}
    assert set(every) == {str(alice.client.jid), str(bob.client.jid)}
    assert [(listed.address, listed.name) for listed in await juliet.calls()] == [(call.address, str(bob.client.jid))]
    assert await romeo.calls() == await romeo.mixers() == []
    assert [(listed.address, listed.name) for listed in await controller.mixers()] == [(focus.mixer("tea"), "tea")]
    support = (await juliet.mixers())[0]
    assert support.name == r"Support\20desk"
    assert juliet.mixer(support.name).address == support.address

    in_tea = await controller.joined(controller.mixer("tea"))
    assert in_tea == [every[str(alice.client.jid)]]
    assert [listed.name for listed in await controller.joined(in_tea[0].address)] == ["tea"]
    assert await juliet.joined(in_tea[0].uri) == await juliet.joined(focus.mixer("tea")) == []
    assert await juliet.joined(call) == [support]
    assert await controller.kind(call.address) == "call"
    assert (await juliet.kind(support.address), await romeo.kind(support.address)) == ("mixer", "")


async def test_who_subscribes_to_a_room_hears_of_it(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory
) -> None:
    controller = await rayo("controller", ready=False)
    room = controller.mixer("tea")
    assert await room.subscribe()
    assert not await room.subscribe()
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("tea"))
    joined = await heard(room.events, Joined)
    assert isinstance(joined, Joined)
    assert joined.call_uri is not None
    await heard(room.events, StartedSpeaking, call_uri=joined.call_uri)

    call = controller.call(joined.call_uri)
    await call.send_message("Lower your voice", subject="you")
    message = await alice.client.expect_child("{jabber:client}body")
    assert message.findtext("{jabber:client}body") == "Lower your voice"
    await room.join(call=call, direction="send")  # muted
    await call.hangup()
    assert (await call.ended()).reason == "hangup-command"
    await heard(room.events, Unjoined, call_uri=joined.call_uri)
    await room.unsubscribe()
    assert await room.subscribe()


async def test_nobody_is_asked_what_a_subscription_is_about(
    focus: RunningFocus, rayo: RayoFactory, client: ClientFactory, server_name: str
) -> None:
    """Rooms ask for the presence of who asks for theirs; a chat program would ask its user."""
    only_prosody(server_name, "nothing is approved before it is asked for (RFC 6121 section 3.4)")
    chat = await client("controller/chat")
    roster = "<query xmlns='jabber:iq:roster'/>"
    await chat.connection.iq(None, "get", ET.fromstring(roster))
    room = (await rayo("controller", ready=False)).mixer("tea")
    await room.subscribe()
    await chat.expect("the room", lambda stanza: stanza.get("from") == f"{room.address}/focus")
    await room.unsubscribe()
    removal = "{*}query/{*}item[@subscription='remove']"
    await chat.expect("the removal", lambda stanza: stanza.find(removal) is not None)
    assert not [stanza for stanza in chat.received if stanza.get("type") == "subscribe"]
    left = await chat.connection.iq(None, "get", ET.fromstring(roster))
    assert len(left[0]) == 0


async def test_one_client_of_an_account_may_cancel_what_another_still_reads(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory
) -> None:
    one, other = await rayo("controller/one", ready=False), await rayo("controller/other", ready=False)
    await (await caller("alice", 300)).call(focus.mixer("tea"))
    rooms = [one.mixer("tea"), other.mixer("Tea")]
    for room in rooms:
        await room.subscribe()
        await heard(room.events, Joined)
    await rooms[0].unsubscribe()
    await heard(rooms[1].events, Joined)  # the same again: it has been shown the room anew
    await (await caller("bob", 440)).call(focus.mixer("tea"))
    await heard(rooms[1].events, Joined)
    assert len(rooms[1].calls) == 2
