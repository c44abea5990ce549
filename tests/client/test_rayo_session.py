"""A Rayo client and a service that does what no good one does, on a real Prosody."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from focus.client import (
    JID,
    Answered,
    Call,
    CallEnded,
    End,
    EventsLost,
    Joined,
    NoAnswer,
    Offer,
    RayoClient,
    RayoError,
    Ringing,
    SessionLost,
    StartedSpeaking,
)
from focus.service.prosody import Prosody
from focus.wire.conditions import ItemNotFound, ServiceUnavailable, StanzaError
from focus.wire.stanzas import PRESENCE
from focus.xmpp.connection import Connection
from focus.xmpp.discovery import CALL as CALL_NODE
from focus.xmpp.discovery import CAPS, INFO_QUERY, ITEMS_QUERY, LAST_QUERY, PING_QUERY, Discovery, verification_string
from tests.client.conftest import RayoFactory
from tests.interop.running import PATIENCE, ClientFactory, eventually
from tests.xmpp.conftest import Party, component, found, party

__all__ = ["component", "party"]

pytestmark = pytest.mark.interop

RAYO = "urn:xmpp:rayo:1"
CALL = JID("call", "focus.localhost")


class Service:
    """Says that it is a Rayo service, and answers commands as `carry_out` does."""

    def __init__(self, connection: Connection, party: Party) -> None:
        self.connection = connection
        self.commands: list[ET.Element] = []
        self.commanded = asyncio.Event()
        self.carry_out: Callable[[ET.Element], ET.Element | None] = lambda stanza: None
        self.party = party
        #: How old the service says it is, if it does.
        self.age: int | None = None
        self.asked_for_age = 0
        party.on_iq = self.answer

    async def answer(self, stanza: ET.Element) -> ET.Element | None:
        if stanza[0].tag == INFO_QUERY:
            query = ET.Element(INFO_QUERY)
            for feature in (RAYO, *(["jabber:iq:last"] if self.age is not None else [])):
                ET.SubElement(query, INFO_QUERY.replace("query", "feature"), {"var": feature})
            return query
        if stanza[0].tag == ITEMS_QUERY:
            raise ServiceUnavailable("it lists nothing")
        if stanza[0].tag == LAST_QUERY and self.age is not None:
            self.asked_for_age += 1
            return ET.Element(LAST_QUERY, {"seconds": str(self.age)})
        self.commands.append(stanza)
        self.commanded.set()
        return self.carry_out(stanza)

    def send(
        self, to: JID | str, *children: str, sender: JID | str = "focus.localhost", type: str | None = None
    ) -> None:
        tree = ET.Element(PRESENCE, {"from": str(sender), "to": str(to)} | ({"type": type} if type else {}))
        tree.extend(ET.fromstring(child) for child in children)
        self.connection.send(tree)

    def tell(self, to: JID, sender: JID, event: str, more: str = "<x xmlns='urn:x'/>", type: str | None = None) -> None:
        self.send(to, event.replace(" ", f" xmlns='{RAYO}' ", 1), more, sender=sender, type=type)


@pytest.fixture
async def service(component: Connection, party: Party) -> Service:
    return Service(component, party)


async def test_it_registers_as_a_rayo_client_and_says_what_it_is(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet")
    for ready, show in ((None, "chat"), (False, "dnd"), (True, "chat")):
        if ready is not None:
            await juliet.register(ready=ready)
        presence = await service.party.presences.get(lambda stanza: stanza.get("type") is None)
        assert presence.get("from") == str(juliet.jid)
        assert presence.findtext("{jabber:client}show") == show
        caps = found(presence, f"{{{CAPS}}}c")
        assert caps.get("node") == "urn:xmpp:rayo:client:1"
    ours, theirs = JID.parse("focus.localhost"), juliet.jid
    for node in ({}, {"node": f"{caps.get('node')}#{caps.get('ver')}"}):
        answer = await service.connection.iq(ours, theirs, "get", ET.Element(INFO_QUERY, node))
        assert verification_string(answer[0], "sha-1") == caps.get("ver")
    await service.connection.iq(ours, theirs, "get", ET.Element(PING_QUERY))
    for unknown in (ET.Element(INFO_QUERY, {"node": "x"}), ET.Element("{urn:x}x")):
        with pytest.raises(StanzaError):
            await service.connection.iq(ours, theirs, "get", unknown)
    await juliet.close()
    await service.party.presences.get(lambda stanza: stanza.get("type") == "unavailable")


async def test_who_only_commands_need_not_register(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet", ready=None)
    await juliet.call(CALL).hangup()
    await juliet.close()
    assert service.party.presences.items == []
    other = await rayo("romeo", ready=None)
    await other.register(ready=False)
    presence = await service.party.presences.get(lambda stanza: stanza.get("from") == str(other.jid))
    assert presence.findtext("{jabber:client}show") == "dnd"


async def test_events_that_come_before_the_answer_to_dial_are_not_lost(service: Service, rayo: RayoFactory) -> None:
    """Also where the service has its own mind about the address."""
    juliet = await rayo("juliet")

    def carry_out(stanza: ET.Element) -> ET.Element:
        sender, uri = JID.parse(stanza.get("from", "")), stanza[0].get("uri", "")
        service.tell(sender, JID.from_uri(uri), "<ringing />")
        service.tell(sender, JID.from_uri(uri), "<answered />")
        return ET.Element(f"{{{RAYO}}}ref", {"uri": uri})

    service.carry_out = carry_out
    call = await juliet.dial("bob@localhost")
    async with asyncio.timeout(PATIENCE):
        assert [await anext(call.events), await anext(call.events)] == [Ringing(), Answered()]
        await call.answered()

    def briefly(stanza: ET.Element) -> ET.Element:
        address = JID.from_uri(stanza[0].get("uri", ""))
        service.tell(JID.parse(stanza.get("from", "")), address, "<end ><busy/></end>", type="unavailable")
        return ET.Element(f"{{{RAYO}}}ref", {"uri": address.uri})

    service.carry_out = briefly
    ended = await juliet.dial("bob@localhost")
    assert (await asyncio.wait_for(ended.ended(), PATIENCE)).reason == "busy"


async def test_a_service_may_choose_another_address(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet")
    elsewhere, brief = JID("c1", "focus.localhost"), JID("c2", "focus.localhost")
    service.carry_out = lambda stanza: ET.Element(f"{{{RAYO}}}ref", {"uri": elsewhere.uri})
    call = await juliet.dial("bob@localhost")
    assert call.address == elsewhere
    assert juliet.call(elsewhere) is call

    def carry_out(stanza: ET.Element) -> ET.Element:
        service.tell(juliet.jid, brief, "<ringing />")
        service.tell(juliet.jid, brief, "<end ><busy/></end>", type="unavailable")
        return ET.Element(f"{{{RAYO}}}ref", {"uri": brief.uri})

    service.carry_out = carry_out
    call = await juliet.dial("bob@localhost")
    async with asyncio.timeout(PATIENCE):
        assert [type(event) async for event in call.events] == [Ringing, End]
    assert juliet._held.keys() == {elsewhere}
    assert not juliet._elsewhere

    mixer = juliet.mixer("Tea")
    juliet.call(CALL)
    service.carry_out = lambda stanza: ET.Element(f"{{{RAYO}}}ref", {"uri": "xmpp:tea@focus.localhost"})
    await juliet.call(CALL).join(mixer=mixer)
    assert mixer.address == JID("tea", "focus.localhost")


@pytest.mark.parametrize("patient", [True, False])
async def test_a_call_that_nobody_waits_for_any_more_is_hung_up(
    service: Service, rayo: RayoFactory, patient: bool
) -> None:
    """It may have been made. Who asked for it has had no answer, or has given up before there was one."""
    juliet = await rayo("juliet")
    asked, silence = asyncio.Event(), asyncio.Event()

    async def never(stanza: ET.Element) -> ET.Element | None:
        if stanza[0].tag == f"{{{RAYO}}}dial":
            asked.set()
            await silence.wait()
        return await service.answer(stanza)

    service.party.on_iq = never
    if patient:
        juliet._session._timeout = 2
    dialling = asyncio.create_task(juliet.dial("bob@localhost"))
    await asyncio.wait_for(asked.wait(), PATIENCE)
    if patient:
        with pytest.raises(NoAnswer, match=r"no answer to <dial/> from focus\.localhost within 2 s"):
            await dialling
    else:
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
    silence.set()
    async with asyncio.timeout(PATIENCE):
        while [stanza[0].tag for stanza in service.commands] != [f"{{{RAYO}}}dial", f"{{{RAYO}}}hangup"]:
            service.commanded.clear()
            await service.commanded.wait()
    dial, hangup = service.commands
    assert f"xmpp:{hangup.get('to')}" == dial[0].get("uri")


async def test_a_fax_may_be_prepared_for_longer_than_other_commands_take(service: Service, rayo: RayoFactory) -> None:
    """Another command is given up while this one is still waited for."""
    juliet = await rayo("juliet")
    prepared = asyncio.Event()

    async def at_leisure(stanza: ET.Element) -> ET.Element | None:
        if stanza[0].tag == f"{{{RAYO}}}answer":
            await prepared.wait()
        elif stanza[0].tag == "{urn:xmpp:rayo:fax:1}sendfax":
            await prepared.wait()
            return ET.Element(f"{{{RAYO}}}ref", {"uri": f"{CALL.uri}/fax"})
        return await service.answer(stanza)

    service.party.on_iq = at_leisure
    call = juliet.call(CALL)
    juliet._session._timeout = 1
    sending = asyncio.create_task(call.send_fax("https://a.example/scan.pdf"))
    with pytest.raises(NoAnswer):
        await call.answer()
    assert not sending.done()
    prepared.set()
    fax = await asyncio.wait_for(sending, PATIENCE)
    assert fax.uri == f"{CALL.uri}/fax"


async def offered(client: RayoClient) -> Call:
    async with asyncio.timeout(PATIENCE):
        return await anext(client.offers)


async def test_only_the_service_is_listened_to(service: Service, rayo: RayoFactory, client: ClientFactory) -> None:
    juliet, mallory = await rayo("juliet"), await client("mallory")
    offer = f"<offer xmlns='{RAYO}' to='xmpp:desk-1@focus.localhost' from='xmpp:mallory@localhost'/>"
    mallory.send(f"<presence to='{juliet.jid}'>{offer}</presence>")
    mallory.send(f"<presence to='{juliet.jid}' type='unavailable'/>")
    service.tell(juliet.jid, CALL.with_resource("x"), "<offer to='xmpp:resource@focus.localhost'/>")
    service.tell(juliet.jid, CALL, "<offer to='xmpp:real@focus.localhost'/>")
    service.tell(juliet.jid, CALL, "<offer to='xmpp:again@focus.localhost'/>")
    call = await offered(juliet)
    assert call.offer == Offer(to="xmpp:real@focus.localhost")
    assert call.address == CALL
    await juliet.close()
    assert [other async for other in juliet.offers] == []


async def test_events_carry_the_time_at_which_they_happened(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet")
    stamp = "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T12:00:00.123Z'/>"
    service.tell(juliet.jid, CALL, "<offer to='xmpp:x@focus.localhost'/>", stamp)
    call = await offered(juliet)
    await anext(call.events)
    assert call.events.at == datetime(2026, 11, 21, 12, 0, 0, 123000, UTC)
    before = datetime.now(UTC)
    service.tell(juliet.jid, CALL, "<joined mixer-name='x'/>", stamp.replace("2026-", "once "))
    assert await anext(call.events) == Joined(mixer_name="x")
    assert call.events.at >= before


async def test_what_cannot_be_read_is_left_out_but_an_end_is_an_end(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet")
    service.tell(juliet.jid, CALL, "<offer to='xmpp:x@focus.localhost'/>")
    call = await offered(juliet)
    service.tell(juliet.jid, CALL, "<ringing loudly='yes'/>")
    service.tell(juliet.jid, CALL, "<end ><abducted xmlns='urn:xmpp:rayo:1'/></end>", type="unavailable")
    async with asyncio.timeout(PATIENCE):
        assert [type(event) async for event in call.events] == [Offer, End]
    assert call.end == End.of("error")


async def test_a_command_that_meets_the_end_of_the_call_says_so(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet")

    def carry_out(stanza: ET.Element) -> ET.Element | None:
        service.tell(juliet.jid, CALL, "<end ><hungup/></end>", type="unavailable")
        raise ItemNotFound

    service.carry_out = carry_out
    call = juliet.call(CALL)
    with pytest.raises(CallEnded, match="hungup"):
        await call.answer()
    await juliet.call(CALL).hangup()


async def test_who_does_not_read_learns_that_events_are_missing_but_not_the_end(
    service: Service, rayo: RayoFactory
) -> None:
    juliet = await rayo("juliet", backlog=3)
    service.tell(juliet.jid, CALL, "<offer to='xmpp:x@focus.localhost'/>")
    call = await offered(juliet)
    for name in "abc":
        service.tell(juliet.jid, CALL, f"<joined mixer-name='{name}'/>")
    service.tell(juliet.jid, CALL, "<end ><hungup/></end>", type="unavailable")
    assert (await asyncio.wait_for(call.ended(), PATIENCE)).reason == "hungup"
    for _ in range(3):
        await anext(call.events)
    with pytest.raises(EventsLost):
        await anext(call.events)


async def test_a_mixer_is_known_before_somebody_asks_for_it(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet")
    tea = JID("tea", "focus.localhost")
    caps = f"<c xmlns='{CAPS}' hash='sha-1' node='urn:xmpp:rayo:mixer:1' ver='x'/>"
    service.send(juliet.jid, caps, sender=tea)
    service.tell(juliet.jid, tea, f"<joined call-uri='{CALL.uri}'/>")
    service.tell(juliet.jid, tea, f"<started-speaking call-uri='{CALL.uri}'/>")
    service.tell(juliet.jid, CALL, "<offer to='xmpp:x@focus.localhost'/>")
    await offered(juliet)
    gc.collect()
    mixer = juliet.mixer("Tea")
    assert (mixer.name, mixer.is_there, mixer.calls, mixer.speaking) == ("Tea", True, {CALL.uri}, {CALL.uri})
    assert [await anext(mixer.events), await anext(mixer.events)] == [
        Joined(call_uri=CALL.uri),
        StartedSpeaking(call_uri=CALL.uri),
    ]


async def test_a_mixer_of_which_much_was_told_before_can_be_read(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet", backlog=2)
    tea = JID("tea", "focus.localhost")
    caps = f"<c xmlns='{CAPS}' hash='sha-1' node='urn:xmpp:rayo:mixer:1' ver='x'/>"
    service.send(juliet.jid, caps, sender=tea)

    async def told(*names: str) -> None:
        for name in names:
            service.tell(juliet.jid, tea, f"<joined mixer-name='{name}'/>")
        service.tell(juliet.jid, JID(names[0], "focus.localhost"), "<offer to='xmpp:x@focus.localhost'/>")
        await offered(juliet)

    async def read(count: int) -> list[str | None]:
        events = [await anext(juliet.mixer("tea").events) for _ in range(count)]
        return [event.mixer_name for event in events if isinstance(event, Joined)]

    await told(*"abcd")
    assert await read(2) == ["c", "d"]
    await told(*"efgh")
    assert await read(2) == ["e", "f"]
    with pytest.raises(EventsLost):
        await read(1)
    await told("i")
    assert await read(1) == ["i"]


async def test_only_calls_that_tell_us_something_are_kept(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet")
    for number in range(100):
        juliet.call(f"xmpp:{number}@focus.localhost")
    ours = juliet.call("xmpp:ours@focus.localhost")
    await juliet.call(CALL).accept()
    gc.collect()
    assert set(juliet._calls) == {ours.address, CALL}
    service.tell(juliet.jid, CALL, "<joined mixer-name='x'/>")
    service.tell(juliet.jid, ours.address, "<joined mixer-name='y'/>")
    async with asyncio.timeout(PATIENCE):
        assert await anext(ours.events) == Joined(mixer_name="y")
        assert await anext(juliet.call(CALL).events) == Joined(mixer_name="x")
    service.tell(juliet.jid, CALL, "<end ><hungup/></end>", type="unavailable")
    await eventually(lambda: not juliet._held)


@pytest.mark.parametrize("condition", ["resource-constraint", "registration-required"])
async def test_a_service_that_has_lost_us_ends_the_client(service: Service, rayo: RayoFactory, condition: str) -> None:
    juliet = await rayo("juliet")
    error = (
        f"<error xmlns='jabber:client' type='wait'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    )
    service.send(juliet.jid, error, type="error")
    with pytest.raises(RayoError) as caught:
        await offered(juliet)
    assert caught.value.condition == condition
    with pytest.raises(RayoError, match=condition):
        await juliet.call(CALL).hangup()
    assert service.commands == []


async def lost(client: RayoClient) -> str:
    """Why `client` ends."""
    with pytest.raises(SessionLost) as caught:
        await offered(client)
    return caught.value.text


@pytest.mark.parametrize("ready", [True, None])
async def test_a_service_that_dies_without_a_word_ends_the_client(
    service: Service, rayo: RayoFactory, ready: bool | None
) -> None:
    juliet = await rayo("juliet", ready=ready, check_every=0.1)
    service.connection.stop()
    assert "focus.localhost is not there any more" in await lost(juliet)


async def test_a_service_that_answers_nothing_any_more_is_lost(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet", check_every=0.1)
    juliet._session._timeout = 0.5
    silence = asyncio.Event()

    async def never(stanza: ET.Element) -> ET.Element | None:
        await silence.wait()
        return None

    service.party.on_iq = never
    assert "focus.localhost is not there any more: no answer" in await lost(juliet)
    silence.set()


@pytest.mark.parametrize("ready", [True, None])
async def test_a_service_that_has_begun_anew_is_known_by_its_age(
    service: Service, rayo: RayoFactory, ready: bool | None
) -> None:
    """It cannot say that it has forgotten everything, and whoever has not registered is in no list of it."""
    service.age = 3600
    juliet = await rayo("juliet", ready=ready, check_every=0.1)
    asked = service.asked_for_age
    assert asked == 1
    service.age = 3700  # its clock has been set, or ours has stood still: it is no other one
    await eventually(lambda: service.asked_for_age >= asked + 2)
    service.tell(juliet.jid, CALL, "<offer to='xmpp:x@focus.localhost'/>")
    await offered(juliet)
    service.age = 3
    assert "focus.localhost does not know us any more" in await lost(juliet)


async def test_a_service_is_not_lost_for_one_look_in_vain(service: Service, rayo: RayoFactory) -> None:
    juliet = await rayo("juliet", check_every=0.1)
    looks = 0

    async def every_other_time(stanza: ET.Element) -> ET.Element | None:
        nonlocal looks
        looks += 1
        if looks % 2:
            raise ServiceUnavailable("it is cut off for a moment")
        return await service.answer(stanza)

    service.party.on_iq = every_other_time
    await eventually(lambda: looks >= 5)
    service.tell(juliet.jid, CALL, "<offer to='xmpp:x@focus.localhost'/>")
    await offered(juliet)


async def test_a_session_that_goes_ends_a_command_that_waits(
    service: Service, prosody: Prosody, rayo: RayoFactory
) -> None:
    juliet = await rayo("juliet")

    def carry_out(stanza: ET.Element) -> ET.Element | None:
        prosody.kill()
        raise ServiceUnavailable

    service.carry_out = carry_out
    with pytest.raises(SessionLost):
        await juliet.call(CALL).hangup()
    await prosody.wait()
    await prosody.start()


async def test_before_it_is_connected_nothing_can_be_commanded(prosody: Prosody) -> None:
    juliet = RayoClient("juliet@localhost", "x", server=prosody.c2s, insecure=True)
    with pytest.raises(SessionLost, match="there is no session"):
        await juliet.dial("bob@localhost")
    with pytest.raises(SessionLost, match="there is no session"):
        await juliet.register()


async def test_long_lists_are_read_page_by_page(component: Connection, service: Service, rayo: RayoFactory) -> None:
    calls = {JID(f"call-{number}", "focus.localhost"): f"{'x' * 500}{number}@localhost" for number in range(2000)}
    every = Discovery(component, tuple, items=lambda client, address, node: calls.items() if node == CALL_NODE else ())
    questions = 0

    async def answer(stanza: ET.Element) -> ET.Element | None:
        nonlocal questions
        questions += 1
        return every.answer(stanza)

    service.party.on_iq = answer
    client = await rayo("controller", ready=None)
    questions = 0
    listed = await client.calls()
    assert questions > 10
    assert {each.address: each.name for each in listed} == calls
    assert len(listed) == len(calls)
    questions = 0
    assert await client.mixers() == []
    assert questions == 1
