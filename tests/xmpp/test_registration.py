"""Presence that registers Rayo clients, as they and their server send it."""

from __future__ import annotations

import asyncio
from typing import Literal
from xml.etree import ElementTree as ET

import pytest

from focus.rayo.registration import Availability, Registrations, Security
from focus.wire.conditions import ServiceUnavailable, StanzaError
from focus.wire.jid import JID
from focus.wire.stanzas import Disconnected
from focus.xmpp.connection import Connection
from focus.xmpp.discovery import CAPS, DISCO_INFO, INFO_QUERY, PING_QUERY, RAYO_CLIENT, Discovery
from focus.xmpp.events import KeptEvents
from focus.xmpp.registration import RegistrationDesk
from tests.rayo.scene import settled

from .conftest import Inbox, Login, Party
from .test_binding import FakeConnection

SERVICE = "focus.localhost"
RAYO_CAPS = f"<c xmlns='{CAPS}' hash='sha-1' node='{RAYO_CLIENT}' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>"
CHAT_CAPS = f"<c xmlns='{CAPS}' hash='sha-1' node='urn:chat' ver='{{ver}}'/>"


class Recorded(Registrations):
    """Says what happened to it."""

    def __init__(self) -> None:
        security = Security(clients=frozenset({JID.parse("juliet@localhost")}))
        super().__init__(security, maximum=10, maximum_of_one=2)
        self.news = Inbox[tuple[str, str]]()

    def update(self, client: JID, availability: Availability) -> None:
        super().update(client, availability)
        self.news.put((client.resource, availability.name))

    def remove(self, client: JID) -> None:
        super().remove(client)
        self.news.put((client.resource, "gone"))

    async def told(self, resource: str, what: str) -> None:
        await self.news.get(lambda entry: entry == (resource, what))


def desk_of(component: Connection, discovery: Discovery, registrations: Recorded) -> RegistrationDesk:
    return RegistrationDesk(component, discovery, registrations, KeptEvents(10), lambda client: None, patience=60)


@pytest.fixture
def registrations(component: Connection, party: Party) -> Recorded:
    registrations = Recorded()
    discovery = Discovery(component, tuple)
    desk = desk_of(component, discovery, registrations)
    party.on_presence, party.on_connected = desk.handle_presence, desk.connected
    return registrations


def show(value: str) -> str:
    return f"<show>{value}</show>" if value else ""


@pytest.mark.parametrize("caps", [RAYO_CAPS, ""])
async def test_a_client_comes_is_busy_and_goes(registrations: Recorded, login: Login, caps: str) -> None:
    """COMPAT (punchblock): without caps as well."""
    juliet = await login("juliet")
    for value, name in (("chat", "READY"), ("dnd", "BUSY"), ("", "READY"), ("xa", "BUSY"), ("chat", "READY")):
        juliet.say(f"<presence to='{SERVICE}'>{caps}{show(value)}</presence>")
        await registrations.told("phone", name)
    juliet.say(f"<presence to='{SERVICE}' type='unavailable'/>")
    await registrations.told("phone", "gone")
    assert len(registrations) == 0


async def test_a_client_whose_connection_ends_is_gone(registrations: Recorded, login: Login) -> None:
    juliet = await login("juliet")
    juliet.say(f"<presence to='{SERVICE}'>{RAYO_CAPS}</presence>")
    await registrations.told("phone", "READY")
    juliet.abort()
    await registrations.told("phone", "gone")


async def test_other_software_of_the_account_is_asked_what_it_is(registrations: Recorded, login: Login) -> None:
    chat, rayo = await login("juliet", "chat"), await login("juliet", "rayo", (RAYO_CLIENT,))
    for client in (chat, rayo):
        client.send_presence(pto=SERVICE)
    await registrations.told("rayo", "READY")
    await chat.hears("iq", SERVICE, "get")  # it has been asked, and is none
    assert [client.resource for client in registrations] == ["rayo"]


async def test_what_came_while_it_was_asked_counts(registrations: Recorded, login: Login) -> None:
    juliet = await login("juliet", "rayo", (RAYO_CLIENT,))
    juliet.send_presence(pto=SERVICE)
    juliet.send_presence(pto=SERVICE, pshow="dnd")
    await registrations.told("rayo", "BUSY")


async def test_who_may_not_register_is_told_if_it_says_that_it_wants_to(registrations: Recorded, login: Login) -> None:
    romeo = await login("romeo")
    romeo.say(f"<presence to='{SERVICE}'/>")
    romeo.say(f"<presence to='{SERVICE}' id='p1'>{RAYO_CAPS}</presence>")
    refused = await romeo.hears("presence", SERVICE, "error")
    assert refused.get("id") == "p1"
    error = refused.find("{jabber:client}error")
    assert error is not None
    assert error.get("type") == "auth"
    assert error.find("{*}not-authorized") is not None
    assert len(registrations) == 0


async def test_too_many_are_told_so(registrations: Recorded, login: Login) -> None:
    for resource in ("a", "b", "c"):
        juliet = await login("juliet", resource)
        juliet.say(f"<presence to='{SERVICE}'/>")
    refused = await juliet.hears("presence", SERVICE, "error")
    assert refused.find("{*}error/{*}resource-constraint") is not None
    assert [client.resource for client in registrations] == ["a", "b"]


async def test_who_went_while_we_were_away_is_found_out(registrations: Recorded, party: Party, login: Login) -> None:
    there, gone = await login("juliet", "there"), await login("juliet", "gone")
    for client in (there, gone):
        client.say(f"<presence to='{SERVICE}'>{RAYO_CAPS}</presence>")
        await registrations.told(client.jid.resource, "READY")
    party.on_presence = lambda stanza: False  # the desk does not hear of it
    gone.abort()
    await party.presences.get(lambda stanza: stanza.get("type") == "unavailable")
    party.connected()
    await registrations.told("gone", "gone")
    await there.hears("iq", SERVICE, "get")
    assert [client.resource for client in registrations] == ["there"]


async def test_presence_for_others_is_left_to_them(registrations: Recorded, party: Party, login: Login) -> None:
    juliet = await login("juliet")
    juliet.say(f"<presence to='tea@{SERVICE}'/>")
    juliet.say(f"<presence to='{SERVICE}' type='probe'/>")
    for _ in range(2):
        await party.presences.get(lambda stanza: stanza.get("from") == str(juliet.jid))
    assert len(registrations) == 0


async def test_at_the_end_clients_are_told(registrations: Recorded, component: Connection, login: Login) -> None:
    juliet = await login("juliet")
    juliet.say(f"<presence to='{SERVICE}'/>")
    await registrations.told("phone", "READY")
    desk_of(component, Discovery(component, tuple), registrations).withdraw()
    await juliet.hears("presence", SERVICE, "unavailable")


class Line(FakeConnection):
    """Clients that answer some questions only."""

    def __init__(self, *known: str) -> None:
        super().__init__()
        self.jid = JID("", SERVICE)
        self._known = known

    async def iq(
        self, sender: JID, to: JID, type: Literal["get", "set"], child: ET.Element | None, timeout: float = 10.0
    ) -> ET.Element:
        assert child is not None
        if child.tag not in self._known:
            raise ServiceUnavailable("")
        return await super().iq(sender, to, type, child)


JULIET = JID.parse("juliet@localhost/phone")


@pytest.mark.parametrize(("known", "stays"), [((PING_QUERY,), True), ((INFO_QUERY,), True), ((), False)])
async def test_who_does_not_know_pings_is_there_all_the_same(known: tuple[str, ...], stays: bool) -> None:
    line, registrations = Line(*known), Recorded()
    desk = desk_of(line, Discovery(line, tuple), registrations)
    registrations.update(JULIET, Availability.READY)
    desk.connected()
    await line.idle()
    assert (JULIET in registrations) is stays
    if not stays:  # it is told, in case that it is there
        (error,) = line.sent
        assert (error.get("from"), error.get("to"), error.get("type")) == (SERVICE, str(JULIET), "error")
        assert error.find("{*}error/{*}registration-required") is not None


class Timeout(StanzaError):
    """What a server answers that cannot reach the client's."""

    condition, type = "remote-server-timeout", "wait"


@pytest.mark.parametrize(("answer", "stays"), [(Timeout(), False), (Disconnected(), True), (None, True)])
async def test_whose_server_cannot_be_reached_is_gone_and_who_cannot_be_asked_is_not(
    answer: StanzaError | None, stays: bool
) -> None:
    line, registrations = Line(PING_QUERY, INFO_QUERY), Recorded()
    line.answer = answer
    desk = desk_of(line, Discovery(line, tuple), registrations)
    registrations.update(JULIET, Availability.READY)
    desk.undelivered(JULIET)
    await line.idle()
    assert (JULIET in registrations) is stays


async def test_who_is_being_looked_for_is_asked_once_at_a_time() -> None:
    answered = asyncio.Event()

    class Slow(Line):
        async def iq(
            self, sender: JID, to: JID, type: Literal["get", "set"], child: ET.Element | None, timeout: float = 10.0
        ) -> ET.Element:
            result = await super().iq(sender, to, type, child)
            await answered.wait()
            return result

    line, registrations = Slow(PING_QUERY), Recorded()
    desk = desk_of(line, Discovery(line, tuple), registrations)
    registrations.update(JULIET, Availability.READY)
    for _ in range(3):
        desk.connected()
        desk.undelivered(JULIET)
        await settled()
    assert len(line.asked) == 1
    answered.set()
    await line.idle()
    desk.connected()
    await line.idle()
    assert len(line.asked) == 2


class Asked(Discovery):
    """Answers when the test wants it to, each question once."""

    def __init__(self, line: Line) -> None:
        super().__init__(line, tuple)
        self.questions: asyncio.Queue[asyncio.Future[frozenset[str]]] = asyncio.Queue()

    async def features(
        self, jid: JID, presence_caps: ET.Element | None = None, *, sender: JID | None = None
    ) -> frozenset[str]:
        answer: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        self.questions.put_nowait(answer)
        return await answer

    async def answers_with(self, *features: str) -> None:
        async with asyncio.timeout(60):
            question = await self.questions.get()
        question.set_result(frozenset(features))


def presence_of(client: JID, more: str, kind: str = "") -> ET.Element:
    return ET.fromstring(f"<presence xmlns='jabber:client' from='{client}' to='{SERVICE}'{kind}>{more}</presence>")


async def test_what_it_says_once_it_is_known_counts_before_what_it_said_when_it_was_asked() -> None:
    line, registrations = Line(), Recorded()
    discovery = Asked(line)
    desk = desk_of(line, discovery, registrations)
    for more in (CHAT_CAPS.format(ver="x"), show("dnd")):
        desk.handle_presence(presence_of(JULIET, more))
    await discovery.answers_with(RAYO_CLIENT)
    await line.idle()
    assert registrations.ready([JULIET]) == []
    assert JULIET in registrations


async def test_who_could_not_be_asked_before_the_session_ended_is_asked_in_the_next() -> None:
    line, registrations = Line(), Recorded()
    discovery = Asked(line)
    desk = desk_of(line, discovery, registrations)
    desk.handle_presence(presence_of(JULIET, CHAT_CAPS.format(ver="x")))
    line.connected = False
    await discovery.answers_with()
    await line.idle()
    line.connected = True
    desk.connected()
    await discovery.answers_with(RAYO_CLIENT)
    await line.idle()
    assert registrations.ready([JULIET]) == [JULIET]
    desk.connected()
    await line.idle()
    assert discovery.questions.empty()


async def test_who_has_gone_is_not_asked_for_who_comes_after_it() -> None:
    questions: list[asyncio.Future[ET.Element]] = []

    class Slow(Line):
        async def iq(
            self, sender: JID, to: JID, type: Literal["get", "set"], child: ET.Element | None, timeout: float = 10.0
        ) -> ET.Element:
            questions.append(asyncio.get_running_loop().create_future())
            return await questions[-1]

    line = Slow()
    discovery = Discovery(line, tuple)
    before, both = [asyncio.create_task(discovery.features(JULIET)) for _ in "ab"]
    await settled()
    discovery.observe(presence_of(JULIET, "", " type='unavailable'"), from_room=False)
    after = asyncio.create_task(discovery.features(JULIET))
    await settled()
    assert len(questions) == 2
    questions[0].set_exception(ServiceUnavailable())
    assert await before == await both == frozenset()
    questions[1].set_result(
        ET.fromstring(f"<iq><query xmlns='{DISCO_INFO}'><feature var='{RAYO_CLIENT}'/></query></iq>")
    )
    assert await after == {RAYO_CLIENT}
    await line.idle()


async def test_who_comes_again_while_it_is_asked_is_another() -> None:
    """The program that was asked has ended and cannot answer."""
    line, registrations = Line(), Recorded()
    discovery = Asked(line)
    desk = desk_of(line, discovery, registrations)
    for more, kind in ((CHAT_CAPS.format(ver="x"), ""), ("", " type='unavailable'"), (CHAT_CAPS.format(ver="y"), "")):
        desk.handle_presence(presence_of(JULIET, more, kind))
    await settled()
    for answer in ((), (RAYO_CLIENT,)):
        await discovery.answers_with(*answer)
        await settled()
    await line.idle()
    assert registrations.ready([JULIET]) == [JULIET]
