"""The component's stream, on a real Prosody; a small server of our own where Prosody is too well-behaved."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from xml.etree import ElementTree as ET

import pytest

from focus.service.prosody import free_port
from focus.wire.conditions import FeatureNotImplemented, ItemNotFound, ServiceUnavailable, UnknownSession
from focus.wire.jid import JID
from focus.wire.stanzas import ERROR, MESSAGE, Disconnected, presence, read_error, stanza
from focus.xmpp.connection import MAX_STANZA, MAX_WAITING, Backoff, Connection, ConnectionRefused
from focus.xmpp.stream import MAX_BATCH
from tests.interop.servers import Server, only_prosody

from .conftest import Login, Party, running

FOCUS = JID.parse("focus.localhost")
ROOM = JID.parse("room@focus.localhost")
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"


def conditions(tree: ET.Element) -> list[str]:
    error = tree.find(ERROR)
    return [] if error is None else [child.tag for child in error]


def connection_to(
    prosody: Server, party: Party, *, secret: str | None = None, first_timeout: float = 15.0
) -> Connection:
    host, port = prosody.component
    return Connection(
        prosody.focus, secret or prosody.secret, host, port, party, first_timeout=first_timeout,
        backoff=Backoff(0.05, 0.2),
    )  # fmt: skip


async def test_a_wrong_secret_is_refused_at_once(prosody: Server, party: Party) -> None:
    with pytest.raises(ConnectionRefused, match=r"refuses the secret of focus\.localhost: not-authorized"):
        await connection_to(prosody, party, secret="wrong").run()


async def test_an_unreachable_server_is_given_up_after_the_first_timeout(party: Party) -> None:
    connection = Connection("focus.localhost", "x", "127.0.0.1", free_port(), party, first_timeout=0.3)
    with pytest.raises(ConnectionRefused, match=r"within 0\.3 s: Connection refused"):
        await connection.run()


async def test_a_second_component_of_the_same_name_hears_of_the_conflict(
    prosody: Server, component: Connection, server_name: str
) -> None:
    only_prosody(server_name, "it takes both, and gives each a part of what comes")
    second = connection_to(prosody, Party(), first_timeout=2)
    with pytest.raises(ConnectionRefused, match=r"conflict \(Component already connected\)"):
        await second.run()
    assert component.connected


async def test_a_domain_that_the_server_does_not_have_is_named(prosody: Server, party: Party) -> None:
    host, port = prosody.component
    connection = Connection("other.localhost", "x", host, port, party, first_timeout=2)
    with pytest.raises(ConnectionRefused, match=r"host-unknown|refuses the secret of other\.localhost"):
        await connection.run()


async def test_stop_ends_a_connection_that_waits_for_its_next_attempt(party: Party) -> None:
    connection = Connection("focus.localhost", "x", "127.0.0.1", free_port(), party, first_timeout=60)
    run = asyncio.create_task(connection.run())
    connection.stop()
    async with asyncio.timeout(60):
        await run


async def test_it_is_back_after_the_server_was_stopped_and_started(
    prosody: Server, component: Connection, party: Party
) -> None:
    await prosody.stop()
    await party.states.get(lambda state: state == "disconnected")
    assert not component.connected
    assert not component.send(presence(FOCUS, JID.parse("alice@localhost")))
    assert component.dropped == 1
    with pytest.raises(Disconnected):
        await component.iq(FOCUS, JID.parse("localhost"), "get", ET.Element("{urn:xmpp:ping}ping"))
    await prosody.start()
    await party.states.get(lambda state: state == "connected")
    await component.iq(FOCUS, JID.parse("localhost"), "get", ET.Element("{urn:xmpp:ping}ping"))
    assert component.reconnections == 1


async def test_a_question_that_waits_fails_when_the_session_ends(
    prosody: Server, component: Connection, login: Login
) -> None:
    alice = await login("alice")
    alice.ignore_requests()
    question = asyncio.create_task(component.iq(FOCUS, alice.jid, "get", ET.Element("{urn:example}never")))
    await alice.hears("iq", str(FOCUS))
    prosody.kill()
    with pytest.raises(Disconnected):
        await question


async def test_an_answer_is_known_by_its_sender(component: Connection, login: Login) -> None:
    """Another client that guessed the id cannot answer for the one that was asked."""
    alice, mallory = await login("alice"), await login("mallory")
    alice.ignore_requests()
    question = asyncio.create_task(component.iq(ROOM, alice.jid, "get", ET.Element("{urn:example}who")))
    asked = await alice.hears("iq", str(ROOM))
    mallory.say(f"<iq type='result' to='{ROOM}' id='{asked.get('id')}'><liar xmlns='urn:example'/></iq>")
    mallory.say(f"<message to='{ROOM}' type='chat'><body>done</body></message>")
    alice.say(f"<iq type='result' to='{ROOM}' id='{asked.get('id')}'><alice xmlns='urn:example'/></iq>")
    answer = await question
    assert [child.tag for child in answer] == ["{urn:example}alice"]
    assert answer.get("from") == str(alice.jid)


async def test_the_error_of_a_peer_becomes_its_exception(component: Connection, login: Login) -> None:
    alice = await login("alice")
    with pytest.raises(FeatureNotImplemented):
        await component.iq(ROOM, alice.jid, "get", ET.Element("{urn:example}unknown"))
    with pytest.raises(ServiceUnavailable):
        await component.iq(ROOM, JID.parse("localhost"), "get", ET.Element("{urn:example}unknown"))


async def test_a_silent_peer_is_a_timeout(component: Connection, login: Login) -> None:
    alice = await login("alice")
    alice.ignore_requests()
    with pytest.raises(TimeoutError):
        await component.iq(ROOM, alice.jid, "get", ET.Element("{urn:example}unknown"), 0.2)


async def test_stanzas_arrive_and_leave_in_the_client_namespace(
    component: Connection, party: Party, login: Login
) -> None:
    alice = await login("alice")
    alice.say(f"<message to='{ROOM}' type='chat' id='m1'><body>hello</body></message>")
    message = await party.messages.get(lambda tree: tree.get("id") == "m1")
    assert message.tag == "{jabber:client}message"
    assert message.findtext("{jabber:client}body") == "hello"
    assert (message.get("from"), message.get("to")) == (str(alice.jid), str(ROOM))
    component.send(
        ET.fromstring(f"<message xmlns='jabber:client' from='{ROOM}' to='{alice.jid}'><body>x</body></message>")
    )
    reply = await alice.hears("message", str(ROOM))
    assert reply.findtext("{jabber:client}body") == "x"


async def test_a_stanza_error_is_answered_with_its_condition_and_a_crash_with_internal_server_error(
    component: Connection, party: Party, login: Login, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(stanza: ET.Element) -> ET.Element | None:
        match stanza[0].tag:
            case "{urn:example}unknown-session":
                raise UnknownSession("no such session")
            case "{urn:example}crash":
                raise RuntimeError("on purpose")
        return ET.Element("{urn:example}fine")

    party.on_iq = answer
    caplog.set_level(logging.INFO, "focus.xmpp.connection")
    alice = await login("alice")
    error = await alice.asks(str(ROOM), "<unknown-session xmlns='urn:example'/>", "set", "e1")
    assert conditions(error) == [
        f"{STANZAS}item-not-found",
        f"{STANZAS}text",
        "{urn:xmpp:jingle:errors:1}unknown-session",
    ]
    assert f"refused from {alice.jid} to {ROOM}: unknown-session: no such session" in caplog.messages
    with caplog.at_level(logging.ERROR):
        error = await alice.asks(str(ROOM), "<crash xmlns='urn:example'/>", "set", "e2")
    assert conditions(error) == [f"{STANZAS}internal-server-error"]
    assert "on purpose" in caplog.text
    fine = await alice.asks(str(ROOM), "<ok xmlns='urn:example'/>", "set", "e3")
    assert (fine.get("type"), fine.get("from")) == ("result", str(ROOM))
    assert [child.tag for child in fine] == ["{urn:example}fine"]


async def test_requests_of_one_pair_are_handled_in_order_and_a_slow_one_keeps_nobody_else_waiting(
    component: Connection, party: Party, login: Login
) -> None:
    release = asyncio.Event()
    order: list[str | None] = []

    async def answer(stanza: ET.Element) -> None:
        if stanza[0].get("slow"):
            await release.wait()
        order.append(stanza.get("id"))

    party.on_iq = answer
    alice, bob = await login("alice"), await login("bob")
    alice.say(f"<iq type='set' to='{ROOM}' id='a1'><x xmlns='urn:example' slow='1'/></iq>")
    alice.say(f"<iq type='set' to='{ROOM}' id='a2'><x xmlns='urn:example'/></iq>")
    await party.iqs.get(lambda tree: tree.get("id") == "a1")
    await bob.asks(str(ROOM), "<x xmlns='urn:example'/>", "set", "b1")
    await alice.asks("other@focus.localhost", "<x xmlns='urn:example'/>", "set", "a3")
    assert order == ["b1", "a3"]
    release.set()
    await alice.hears("iq", id="a2")
    assert order == ["b1", "a3", "a1", "a2"]


async def test_too_many_waiting_requests_are_refused(component: Connection, party: Party, login: Login) -> None:
    release = asyncio.Event()

    async def answer(stanza: ET.Element) -> None:
        await release.wait()

    party.on_iq = answer
    alice = await login("alice")
    total = MAX_WAITING + 2
    for number in range(total):
        alice.say(f"<iq type='set' to='{ROOM}' id='n{number}'><x xmlns='urn:example'/></iq>")
    error = await alice.hears("iq", type="error")
    assert error.get("id") == f"n{total - 1}"
    assert conditions(error)[0] == f"{STANZAS}resource-constraint"
    release.set()
    for number in range(total - 1):
        assert (await alice.hears("iq", id=f"n{number}")).get("type") == "result"


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "<a xmlns='urn:example'/><b xmlns='urn:example'/>",
        "<a xmlns='urn:example'>" + "<b>" * 150 + "</b>" * 150 + "</a>",
        "<a xmlns='urn:example'>" + "<b/>" * 10_001 + "</a>",
    ],
    ids=["no child", "two children", "too deep", "too many elements"],
)
async def test_a_malformed_request_is_refused_and_the_next_one_answered(
    component: Connection, party: Party, login: Login, payload: str
) -> None:
    alice = await login("alice")
    error = await alice.asks(str(ROOM), payload, "set", "bad")
    assert error.get("type") == "error"
    assert conditions(error)[0] == f"{STANZAS}bad-request"
    assert (await alice.asks(str(ROOM), "<x xmlns='urn:example'/>", "set", "good")).get("type") == "result"
    assert party.iqs.items[-1].get("id") == "good"


async def test_nothing_but_a_request_is_ever_answered(component: Connection, party: Party, login: Login) -> None:
    """Errors, results that nobody waits for, messages of any kind: an answer could start a loop, or a kick."""
    alice = await login("alice")
    alice.inbox.items.clear()
    gone = f"<error type='cancel'><gone xmlns='{STANZAS[1:-1]}'/></error>"
    for text in (
        f"<iq type='result' to='{ROOM}' id='r1'/>",
        f"<iq type='error' to='{ROOM}' id='r2'>{gone}</iq>",
        f"<message type='error' to='{ROOM}' id='r3'>{gone}</message>",
        f"<message to='{ROOM}' id='r4'>" + "<b>" * 150 + "</b>" * 150 + "</message>",
        f"<presence type='error' to='{ROOM}' id='r5'/>",
    ):
        alice.say(text)
    await alice.asks(str(ROOM), "<x xmlns='urn:example'/>", "set", "last")
    assert [tree for tree in alice.inbox.items if tree.get("from") == str(ROOM)] == []


async def test_a_handler_that_crashes_costs_one_stanza(
    component: Connection, party: Party, login: Login, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(stanza: ET.Element) -> bool:
        raise RuntimeError("on purpose")

    party.on_message = crash
    alice = await login("alice")
    alice.say(f"<message to='{ROOM}' type='chat'><body>x</body></message>")
    await alice.asks(str(ROOM), "<x xmlns='urn:example'/>", "set", "after")
    assert "on purpose" in caplog.text
    assert component.connected


async def test_what_cannot_be_written_is_dropped_and_the_stream_goes_on(component: Connection, login: Login) -> None:
    alice = await login("alice")
    huge, foreign, control = (
        ET.Element("{jabber:client}message", {"from": str(ROOM), "to": str(alice.jid)}) for _ in "abc"
    )
    ET.SubElement(huge, "{jabber:client}body").text = "x" * MAX_STANZA
    ET.SubElement(foreign, "{urn:example}x", {"{urn:other}attribute": "1"})
    ET.SubElement(control, "{jabber:client}body").text = "a\x00b\ud800c"
    for tree in (huge, foreign, control):
        assert component.send(tree)  # it could not be said in another session either
    message = await alice.hears("message", str(ROOM))
    assert message.findtext("{jabber:client}body") == "a\ufffdb\ufffdc"
    assert component.dropped == 2


async def test_a_result_that_is_too_large_is_an_error_and_not_silence(
    component: Connection, party: Party, login: Login
) -> None:
    async def answer(stanza: ET.Element) -> ET.Element:
        return ET.Element("{urn:example}x", {"text": "x" * MAX_STANZA})

    party.on_iq = answer
    alice = await login("alice")
    error = await alice.asks(str(ROOM), "<x xmlns='urn:example'/>")
    assert conditions(error)[0] == f"{STANZAS}internal-server-error"


async def test_a_crashed_task_is_logged_and_costs_nobody_else(
    component: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash() -> None:
        raise RuntimeError("on purpose")

    await component.spawn(crash(), "victim")
    assert "victim crashed" in caplog.text
    await component.iq(FOCUS, JID.parse("localhost"), "get", ET.Element("{urn:xmpp:ping}ping"))


async def never() -> None:
    await asyncio.Event().wait()


async def test_tasks_end_with_the_connection(prosody: Server, party: Party) -> None:
    connection = connection_to(prosody, party)
    async with running(connection, party):
        task = connection.spawn(never(), "waits for ever")
    assert task.cancelled()
    with pytest.raises(RuntimeError):
        connection.spawn(never(), "too late")


async def test_what_was_sent_before_stop_arrives(prosody: Server, party: Party, login: Login) -> None:
    alice = await login("alice")
    connection = connection_to(prosody, party)
    async with running(connection, party):
        for number in range(50):
            connection.send(stanza(MESSAGE, ROOM, alice.jid, "chat", id=f"m{number}"))
        connection.stop()
    await alice.hears("message", id="m49")


async def test_what_is_sent_at_once_arrives_in_its_order(component: Connection, login: Login) -> None:
    """In more than one write, as it is more than is written at once."""
    alice = await login("alice")
    for number in range(300):
        message = stanza(MESSAGE, ROOM, alice.jid, "chat", id=f"m{number}")
        ET.SubElement(message, "{jabber:client}body").text = "x" * (MAX_BATCH // 100)
        component.send(message)
    heard = [await alice.hears("message") for _ in range(300)]
    assert [message.get("id") for message in heard] == [f"m{number}" for number in range(300)]


class RudeServer:
    """Takes any handshake, or none, then sends each connection what its turn in `says` is."""

    def __init__(self, *says: bytes, answers: bool = True) -> None:
        self.says = list(says)
        self.answers = answers
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RudeServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if not self.answers:
                await reader.read()
            await reader.readuntil(b">")
            writer.write(b"<stream:stream xmlns='jabber:component:accept' id='1' from='focus.localhost'")
            writer.write(b" xmlns:stream='http://etherx.jabber.org/streams'>")
            await reader.readuntil(b"</handshake>")
            writer.write(b"<handshake/>")
            if self.says:
                writer.write(self.says.pop(0))
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_broken_stream_is_replaced_by_a_new_one(party: Party) -> None:
    async with RudeServer(b"<presence><oops></presence>", b"</stream:stream>", b"<unknown xmlns='urn:x'/>") as server:
        connection = Connection("focus.localhost", "x", "127.0.0.1", server.port, party, backoff=Backoff(0.02, 0.1))
        async with running(connection, party):
            for _ in range(2):
                await party.states.get(lambda state: state == "disconnected")
                await party.states.get(lambda state: state == "connected")
            assert connection.connected


async def test_sessions_that_are_taken_away_at_once_are_asked_for_less_and_less_often(party: Party) -> None:
    class Counting(Backoff):
        delays: list[float]

        def next(self) -> float:
            self.delays.append(super().next())
            return self.delays[-1]

    backoff = Counting(0.02, 1.5)
    backoff.delays = []
    conflict = b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    async with RudeServer(*[conflict] * 4) as server:
        connection = Connection("focus.localhost", "x", "127.0.0.1", server.port, party, backoff=backoff)
        async with running(connection, party):
            for _ in range(4):
                await party.states.get(lambda state: state == "disconnected")
                await party.states.get(lambda state: state == "connected")
    assert [delay >= 0.02 * 2**number for number, delay in enumerate(backoff.delays)] == [True] * 4


async def test_a_server_that_says_nothing_is_not_waited_for_longer_than_allowed(party: Party) -> None:
    async with RudeServer(answers=False) as server:
        connection = Connection("focus.localhost", "x", "127.0.0.1", server.port, party, first_timeout=0.3)
        with pytest.raises(ConnectionRefused, match="no answer in time"):
            await connection.run()


def test_the_waiting_time_grows_within_its_bounds_and_begins_anew_after_a_reset() -> None:
    backoff = Backoff()
    delays = [backoff.next() for _ in range(50)]
    assert all(0.5 <= delay <= 15.0 for delay in delays)
    assert delays[0] <= 0.75
    assert all(delay >= 10.0 for delay in delays[10:])
    assert len(set(delays[10:])) > 1
    backoff.reset()
    assert backoff.next() <= 0.75


def test_an_error_without_a_class_of_its_own_keeps_its_condition() -> None:
    tree = ET.fromstring(
        f"<iq xmlns='jabber:client' type='error'><error type='auth'><subscription-required xmlns='{STANZAS[1:-1]}'/>"
        f"<text xmlns='{STANZAS[1:-1]}'>no</text></error></iq>"
    )
    error = read_error(tree)
    assert (error.condition, error.type, error.text) == ("subscription-required", "auth", "no")
    assert isinstance(read_error(ET.fromstring("<iq xmlns='jabber:client' type='error'/>")), Exception)
    gone = ET.fromstring(
        f"<iq xmlns='jabber:client'><error type='cancel'><item-not-found xmlns='{STANZAS[1:-1]}'/></error></iq>"
    )
    assert type(read_error(gone)) is ItemNotFound
