"""Rayo clients register and are offered calls, in plain stanzas (XEP-0327 sections 6.1 and 6.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest

from focus.service.prosody import Prosody
from focus.service.sections.limits import LimitsSettings
from focus.service.sections.rayo import RayoSettings, RouteSettings
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.jingle_message import JMI_0
from focus.xmpp.discovery import CAPS, DISCO_INFO, INFO_QUERY, verification_string
from tests.interop.callers import CallerFactory
from tests.interop.narrow import narrow_way
from tests.interop.running import PATIENCE, ClientFactory, RunningFocus, StanzaClient, eventually, serve, settings_for

pytestmark = pytest.mark.interop

RAYO = "urn:xmpp:rayo:1"
RAYO_CAPS = f"<c xmlns='{CAPS}' hash='sha-1' node='urn:xmpp:rayo:client:1' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>"
MANY = 1000
MINE = str(uuid4())


@pytest.fixture
async def focus(prosody: Prosody) -> AsyncIterator[RunningFocus]:
    """Calls to desk-… go to juliet's and romeo's clients at once, those to line-… to one after the other."""
    accounts = (f"juliet@{prosody.domain}", f"romeo@{prosody.domain}")
    settings = settings_for(prosody).model_copy(
        update={
            "rayo": RayoSettings(clients=accounts, call_ids=True),
            "routes": (
                RouteSettings(match="desk-*", clients=accounts, timeout=60),
                RouteSettings(match="line-*", clients=accounts, distribution="staged", timeout=0.3),
            ),
            "limits": LimitsSettings(calls=MANY, calls_of_caller=MANY, calls_of_client=2, load=1.0),
        }
    )
    async with serve(prosody, settings) as running:
        yield running


def service(focus: RunningFocus) -> JID:
    return JID("", focus.prosody.focus)


async def registered(focus: RunningFocus, client: StanzaClient, show: str = "chat") -> None:
    """Listings 12 and 13. That it was taken shows in the answer to what is sent after it."""
    client.send(f"<presence to='{service(focus)}'>{RAYO_CAPS}<show>{show}</show></presence>")
    await client.ask(service(focus), "get", "<ping xmlns='urn:xmpp:ping'/>")


async def offer(client: StanzaClient) -> ET.Element:
    return await client.expect_child(f"{{{RAYO}}}offer")


def caller_of(stanza: ET.Element) -> JID:
    return JID.parse(stanza.get("from", ""))


async def refused(client: StanzaClient, to: JID, child: str) -> tuple[str, str]:
    with pytest.raises(StanzaError) as caught:
        await client.ask(to, "set", child)
    return caught.value.condition, caught.value.type


async def propose(client: StanzaClient, to: JID, id: str = "p1") -> None:
    client.send(
        f"<message type='chat' to='{to}'><propose xmlns='{JMI_0}' id='{id}'>"
        "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose></message>"
    )


async def give_up(focus: RunningFocus) -> None:
    """As when nobody has taken the calls in time."""
    for call in list(focus.service._server.directory.calls()):
        call.end_session(Reason.of("timeout"))
    await eventually(lambda: focus.service.calls() == 0)


def ended(call: JID) -> Callable[[ET.Element], bool]:
    return lambda stanza: stanza.get("from") == str(call) and stanza.find(f"{{{RAYO}}}end") is not None


async def test_a_call_is_offered_to_all_and_controlled_by_the_first(
    focus: RunningFocus, client: ClientFactory, caller: CallerFactory
) -> None:
    juliet, romeo = await client("juliet/balcony"), await client("romeo/orchard")
    for each in (juliet, romeo):
        await registered(focus, each)
    busy = await client("juliet/tomb")
    await registered(focus, busy, "dnd")
    alice = await caller("alice", 300)
    to = focus.mixer("desk-1")
    calling = asyncio.create_task(alice.call(to))

    offers = [await offer(each) for each in (juliet, romeo)]
    call = caller_of(offers[0])
    assert {caller_of(each) for each in offers} == {call}
    presence = offers[0]
    assert presence.get("type") is None
    element = presence.find(f"{{{RAYO}}}offer")
    assert element is not None
    assert element.attrib == {"to": to.uri, "from": alice.client.jid.uri}
    assert presence.find("{urn:xmpp:delay}delay") is not None
    caps = presence.find(f"{{{CAPS}}}c")
    assert caps is not None
    node = f"{caps.get('node')}#{caps.get('ver')}"
    assert caps.get("node") == "urn:xmpp:rayo:call:1"
    about = (await juliet.ask(call, "get", f"<query xmlns='{DISCO_INFO}' node='{node}'/>")).find(INFO_QUERY)
    assert about is not None
    assert verification_string(about, "sha-1") == caps.get("ver")

    await juliet.ask(call, "set", f"<accept xmlns='{RAYO}'/>")
    assert await refused(romeo, call, f"<accept xmlns='{RAYO}'/>") == ("conflict", "cancel")
    await juliet.ask(call, "set", f"<answer xmlns='{RAYO}'/>")
    async with asyncio.timeout(PATIENCE):
        await calling
    await alice.hang_up()
    for each in (juliet, romeo):
        end = await each.expect("the end", ended(call))
        assert end.get("type") == "unavailable"
        assert end.find(f"{{{RAYO}}}end/{{{RAYO}}}hungup") is not None
    assert await refused(juliet, call, f"<answer xmlns='{RAYO}'/>") == ("item-not-found", "cancel")
    assert not [stanza for stanza in busy.received if stanza.find(f"{{{RAYO}}}offer") is not None]


async def test_a_call_is_refused_when_the_last_party_leaves(focus: RunningFocus, client: ClientFactory) -> None:
    juliet, romeo, alice = await client("juliet"), await client("romeo"), await client("alice")
    await propose(alice, focus.mixer("desk-1"), "nobody")
    reject = await alice.expect_child(f"{{{JMI_0}}}reject", id="nobody")
    assert reject[0].find("{*}reason/{*}gone") is not None

    for each in (juliet, romeo):
        await registered(focus, each)
    await propose(alice, focus.mixer("desk-1"), "somebody")
    call = caller_of(await offer(juliet))
    await registered(focus, juliet, "dnd")
    await romeo.close()
    reject = await alice.expect_child(f"{{{JMI_0}}}reject", id="somebody")
    assert reject[0].find("{*}reason/{*}gone") is not None
    await juliet.expect("the end", ended(call))
    await eventually(lambda: focus.service.calls() == 0)


async def test_who_comes_back_or_is_busy_no_longer_is_offered_a_call_that_waits(
    focus: RunningFocus, client: ClientFactory
) -> None:
    juliet, romeo, alice = await client("juliet/balcony"), await client("romeo"), await client("alice")
    await registered(focus, juliet)
    await registered(focus, romeo, "dnd")
    other = await client("juliet/tomb")
    await registered(focus, other)
    await propose(alice, focus.mixer("desk-1"))
    call = caller_of(await offer(juliet))
    await juliet.close()
    await eventually(lambda: focus.service.clients() == 2)
    again = await client("juliet/balcony")
    for each in (again, romeo):
        await registered(focus, each)
        assert caller_of(await offer(each)) == call
    await again.ask(call, "set", f"<accept xmlns='{RAYO}'/>")
    await alice.expect_child(f"{{{JMI_0}}}ringing", id="p1")


async def test_stages_come_one_after_the_other(focus: RunningFocus, client: ClientFactory) -> None:
    juliet, romeo, alice = await client("juliet"), await client("romeo"), await client("alice")
    for each in (romeo, juliet):
        await registered(focus, each)
    await propose(alice, focus.mixer("line-1"))
    assert caller_of(await offer(juliet)) == caller_of(await offer(romeo))
    reject = await alice.expect_child(f"{{{JMI_0}}}reject", id="p1")
    assert reject[0].find("{*}reason/{*}timeout") is not None


async def test_what_dialling_is_refused_with(focus: RunningFocus, client: ClientFactory) -> None:
    """Listings 15 to 20, and more."""
    juliet, mallory = await client("juliet"), await client("mallory")
    to, dial = service(focus), f"<dial xmlns='{RAYO}' to='xmpp:nobody@nowhere.invalid'/>"
    assert await refused(juliet, to, dial) == ("registration-required", "auth")
    assert await refused(mallory, to, dial) == ("not-authorized", "auth")
    mallory.send(f"<presence to='{to}' id='m1'>{RAYO_CAPS}<show>chat</show></presence>")
    error = await mallory.expect("a refusal", lambda stanza: stanza.get("id") == "m1")
    assert (error.get("type"), error.find(".//{*}not-authorized") is not None) == ("error", True)

    await registered(focus, juliet, "dnd")  # wants no calls, and is known
    assert await refused(juliet, to, dial.replace("'xmpp:", "'foo:")) == ("bad-request", "modify")
    assert await refused(juliet, to, f"<dial xmlns='{RAYO}'/>") == ("bad-request", "modify")
    assert await refused(juliet, to, dial.replace("/>", " speed='9'/>")) == ("feature-not-implemented", "modify")
    assert await refused(juliet, to, f"<teleport xmlns='{RAYO}'/>") == ("feature-not-implemented", "cancel")
    assert await refused(juliet, to, "<dance xmlns='urn:xmpp:rayo:dance:1'/>") == (
        "feature-not-implemented",
        "cancel",
    )
    assert await refused(juliet, to.with_resource("x"), "<stop xmlns='urn:xmpp:rayo:ext:1'/>") == (
        "item-not-found",
        "cancel",
    )

    # at an address of the client's choice: a device that never answers keeps the calls alive
    alice = await client("alice")
    alice.answers[INFO_QUERY] = lambda _: ET.fromstring(f"<query xmlns='{DISCO_INFO}'><feature var='{JMI_0}'/></query>")
    dial = f"<dial xmlns='{RAYO}' to='{alice.jid.uri}' uri='xmpp:{MINE}@{to}'/>"
    reference = await juliet.ask(to, "set", dial)
    assert reference[0].get("uri") == f"xmpp:{MINE}@{to}"
    assert await refused(juliet, to, dial) == ("conflict", "modify")
    await juliet.ask(to, "set", dial.replace(MINE, str(uuid4())))
    assert await refused(juliet, to, dial.replace(MINE, str(uuid4()))) == ("resource-constraint", "wait")


async def test_everybody_can_find_out_that_this_is_a_rayo_server(focus: RunningFocus, client: ClientFactory) -> None:
    juliet = await client("juliet")
    answer = await juliet.ask(service(focus), "get", f"<query xmlns='{DISCO_INFO}'/>")
    features = {feature.get("var") for feature in answer.iter(f"{{{DISCO_INFO}}}feature")}
    assert {RAYO, "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:transports:ice-udp:1"} < features


async def test_other_software_is_asked_whether_it_is_a_rayo_client(focus: RunningFocus, client: ClientFactory) -> None:
    """Listings 93 and 94, with capabilities that name the software."""
    juliet, alice = await client("juliet"), await client("alice")
    juliet.answers[INFO_QUERY] = lambda _: ET.fromstring(
        f"<query xmlns='{DISCO_INFO}'><feature var='urn:xmpp:rayo:client:1'/></query>"
    )
    juliet.send(f"<presence to='{service(focus)}'>{RAYO_CAPS.replace('urn:xmpp:rayo:client:1', 'urn:x')}</presence>")
    await juliet.expect_child(INFO_QUERY)
    await eventually(lambda: focus.service.clients() == 1)
    await propose(alice, focus.mixer("desk-1"))
    await offer(juliet)


@pytest.mark.any_server
async def test_a_client_that_does_not_read_delays_nobody(
    focus: RunningFocus, prosody: Prosody, client: ClientFactory
) -> None:
    juliet, alice = await client("juliet/hears"), await client("alice")
    async with narrow_way(prosody.c2s) as way:
        deaf = StanzaClient(replace(juliet.account, jid=juliet.jid.with_resource("deaf"), server=way.address))
        await deaf.connect()
        for each in (juliet, deaf):
            await registered(focus, each)
        way.open.clear()
        before = way.passed
        for number in range(MANY):
            await propose(alice, focus.mixer(f"desk-{number}"), f"p{number}")
        offered = {caller_of(await offer(juliet)) for _ in range(MANY)}
        assert len(offered) == MANY
        await juliet.ask(min(offered, key=str), "set", f"<accept xmlns='{RAYO}'/>")
        assert focus.service.calls() == MANY
        fitted = way.passed - before + way.under_way()
        way.open.set()
        assert {caller_of(await offer(deaf)) for _ in range(MANY)} == offered
        assert way.passed - before > 1.2 * fitted  # all that the server could not get rid of before
        await deaf.close()


async def test_a_client_is_told_what_it_missed_while_the_server_was_down(
    focus: RunningFocus, prosody: Prosody, client: ClientFactory
) -> None:
    juliet, alice = await client("juliet"), await client("alice")
    await registered(focus, juliet)
    await propose(alice, focus.mixer("desk-1"))
    call = caller_of(await offer(juliet))
    delivery = focus.service._outbox.delivery
    assert delivery is not None
    await eventually(lambda: juliet.jid not in delivery)  # focus knows that it has the offer
    prosody.kill()
    await prosody.wait()
    await give_up(focus)
    gone = datetime.now(UTC)
    await prosody.start()
    await eventually(focus.service.connected)
    await juliet.connect()
    await registered(focus, juliet)
    end = await juliet.expect("the end", ended(call))
    stamp = end.find("{urn:xmpp:delay}delay")
    assert stamp is not None
    assert datetime.fromisoformat(stamp.get("stamp", "")) <= gone


async def test_who_is_away_for_more_than_is_kept_has_to_begin_anew(prosody: Prosody, client: ClientFactory) -> None:
    """The queue of a client has a clear end: it is told so, before anything else, and nobody else is."""
    accounts = (f"juliet@{prosody.domain}", f"romeo@{prosody.domain}")
    settings = settings_for(prosody).model_copy(
        update={
            "rayo": RayoSettings(clients=accounts),
            "routes": (
                RouteSettings(match="juliet", clients=accounts[:1], timeout=60),
                RouteSettings(match="both", clients=accounts, timeout=60),
                RouteSettings(match="desk", clients=accounts, timeout=60),
            ),
            "limits": LimitsSettings(events=3, load=1.0),
        }
    )
    async with serve(prosody, settings) as focus:
        juliet, romeo, alice = await client("juliet"), await client("romeo"), await client("alice")
        for each in (juliet, romeo):
            await registered(focus, each)
        for number, desk in enumerate(["both", *["juliet"] * 3]):
            await propose(alice, focus.mixer(desk), f"p{number}")
        missed = {caller_of(await offer(juliet)) for _ in range(4)}
        heard = caller_of(await offer(romeo))
        delivery = focus.service._outbox.delivery
        assert delivery is not None
        await eventually(lambda: juliet.jid not in delivery and romeo.jid not in delivery)
        prosody.kill()
        await prosody.wait()
        await give_up(focus)  # four ends for juliet, and one for romeo
        await prosody.start()
        await eventually(focus.service.connected)
        for each in (juliet, romeo):
            each.received.clear()
            await each.connect()
            await registered(focus, each)
        assert caller_of(await romeo.expect("the end", ended(heard))) in missed
        error = await juliet.expect("that it has missed something", lambda stanza: stanza.get("type") == "error")
        assert error.get("from") == str(service(focus))
        assert error.find("{*}error/{*}resource-constraint") is not None
        assert not [stanza for stanza in juliet.received if stanza.find(f"{{{RAYO}}}end") is not None]
        assert focus.service.events_lost() == 4
        await registered(focus, juliet)
        await alice.connect()
        await propose(alice, focus.mixer("desk"), "again")
        assert caller_of(await offer(juliet)) == caller_of(await offer(romeo))


async def test_what_a_connection_swallows_is_known_to_be_missed(prosody: Prosody, client: ClientFactory) -> None:
    """The other end still takes what focus writes, and nothing of it arrives."""
    link = Link(prosody.component)
    accounts = (f"juliet@{prosody.domain}", f"romeo@{prosody.domain}")
    async with link:
        settings = settings_for(prosody)
        settings = settings.model_copy(
            update={
                "xmpp": settings.xmpp.model_copy(update={"host": link.address[0], "port": link.address[1]}),
                "rayo": RayoSettings(clients=accounts),
                "routes": (RouteSettings(match="desk-*", clients=accounts, timeout=60),),
            }
        )
        async with serve(prosody, settings) as focus:
            juliet, romeo, alice = await client("juliet"), await client("romeo"), await client("alice")
            for each in (juliet, romeo):
                await registered(focus, each)
            await propose(alice, focus.mixer("desk-1"), "p1")
            call = caller_of(await offer(juliet))
            delivery = focus.service._outbox.delivery
            assert delivery is not None
            await eventually(lambda: juliet.jid not in delivery)
            await juliet.ask(call, "set", f"<accept xmlns='{RAYO}'/>")
            link.swallows = True
            alice.send(
                f"<message type='chat' to='{focus.mixer('desk-1')}'><retract xmlns='{JMI_0}' id='p1'/></message>"
            )
            await eventually(lambda: focus.service.calls() == 0)
            link.cut()
            await eventually(lambda: not focus.service.connected())
            link.swallows = False
            error = await juliet.expect("that it has missed something", lambda stanza: stanza.get("type") == "error")
            assert error.get("from") == str(service(focus))
            assert error.find("{*}error/{*}resource-constraint") is not None
            assert focus.service.events_lost() >= 1
            await registered(focus, juliet)
            await propose(alice, focus.mixer("desk-2"), "p2")
            assert caller_of(await offer(juliet)) != call


class Link:
    """A way to `server` that can take what is written to it and lose it. Where it listens is `address`."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._writers: set[asyncio.StreamWriter] = set()
        self.swallows = False

    async def __aenter__(self) -> Link:
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address: tuple[str, int] = self._listener.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._listener.close()
        self.cut()
        await self._listener.wait_closed()

    def cut(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection(*self._server)
        except OSError:
            writer.close()
            return
        both = {writer, to_server}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._carry(server, writer, both, is_up=False))
                ways.create_task(self._carry(reader, to_server, both, is_up=True))
        finally:
            self._writers -= both

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: set[asyncio.StreamWriter],
        *,
        is_up: bool,
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if not (is_up and self.swallows):
                    writer.write(data)
        for each in both:
            each.close()
