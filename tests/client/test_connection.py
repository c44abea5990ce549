"""A client's session with the real Prosody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.client.connection import (
    Account,
    Connection,
    ConnectionFailed,
    LoginRefused,
    Unreachable,
    Untrusted,
)
from focus.service.prosody import Prosody
from focus.wire.conditions import ItemNotFound, ServiceUnavailable, StanzaError
from focus.wire.jid import JID
from focus.wire.stanzas import MESSAGE, PRESENCE, Disconnected, stanza
from tests.client.sessions import Recorder, online

pytestmark = pytest.mark.interop

ALICE = JID.parse("alice@localhost/desk")
BOB = JID.parse("bob@localhost/desk")


@pytest.fixture
async def accounts(prosody: Prosody) -> Prosody:
    await prosody.add_user("alice@localhost", "wonderland")
    await prosody.add_user("bob@localhost", "builder")
    return prosody


def alice(server: Prosody) -> Account:
    return Account(ALICE, "wonderland", server.c2s, insecure=True)


def bob(server: Prosody) -> Account:
    return Account(BOB, "builder", server.c2s, insecure=True)


async def test_the_session_has_the_resource_that_was_asked_for(accounts: Prosody) -> None:
    async with online(alice(accounts), Recorder()) as connection:
        assert connection.jid == ALICE
        assert connection.connected


async def test_without_a_password_the_login_is_anonymous(prosody: Prosody) -> None:
    account = Account(JID.parse(prosody.guests), server=prosody.c2s, insecure=True)
    async with online(account, Recorder()) as connection:
        assert connection.jid.domain == prosody.guests
        assert connection.jid.local
        assert connection.jid.resource


async def test_stanzas_travel_as_they_were_sent(accounts: Prosody) -> None:
    heard = Recorder()
    async with online(alice(accounts), Recorder()) as sender, online(bob(accounts), heard):
        body = ET.Element("{urn:example:0}note", {"kind": "<&'\">"})
        ET.SubElement(body, "{urn:example:0}line").text = "üñ & <b>"
        sender.send(stanza(MESSAGE, None, BOB, "chat", body, id="one"))
        received = await asyncio.wait_for(heard.messages.get(), 60)
        assert (received.get("from"), received.get("id"), received.get("type")) == (str(ALICE), "one", "chat")
        note = received.find("{urn:example:0}note")
        assert note is not None
        assert note.get("kind") == "<&'\">"
        assert note.findtext("{urn:example:0}line") == "üñ & <b>"


async def test_what_xml_cannot_say_does_not_end_the_stream(accounts: Prosody) -> None:
    heard = Recorder()
    async with online(alice(accounts), Recorder()) as sender, online(bob(accounts), heard):
        body = ET.Element("{jabber:client}body")
        body.text = "a\x1b\x00b\ud800c"
        sender.send(stanza(MESSAGE, None, BOB, "chat", body))
        received = await asyncio.wait_for(heard.messages.get(), 60)
        assert received.findtext("{jabber:client}body") == "a\ufffd\ufffdb\ufffdc"
        assert sender.connected


async def test_what_we_could_not_write_ourselves_is_read_at_every_level_of_logs(
    accounts: Prosody, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Recorder()
    caplog.set_level(logging.DEBUG, "focus.client")
    async with online(alice(accounts), Recorder()) as sender, online(bob(accounts), heard):
        assert sender._stream is not None
        sender._stream.send_raw(
            f"<message to='{BOB}' type='chat'><note xmlns='urn:example:0' xmlns:e='urn:example:1' e:a='x'/></message>"
        )
        received = await asyncio.wait_for(heard.messages.get(), 60)
        assert received[0].get("{urn:example:1}a") == "x"


async def test_a_question_gets_its_answer_or_its_error(accounts: Prosody) -> None:
    asked: list[str | None] = []

    def answer(request: ET.Element) -> ET.Element | None:
        asked.append(request[0].get("n"))
        if request[0].tag == "{urn:example:0}what":
            return ET.Element("{urn:example:0}that")
        raise ItemNotFound("there is none")

    async with online(alice(accounts), Recorder()) as connection, online(bob(accounts), Recorder(answer)):
        result = await connection.iq(BOB, "get", ET.Element("{urn:example:0}what", n="1"))
        assert result[0].tag == "{urn:example:0}that"
        with pytest.raises(ItemNotFound, match="there is none"):
            await connection.iq(BOB, "set", ET.Element("{urn:example:0}else", n="2"))
        with pytest.raises(ServiceUnavailable):
            await connection.iq(JID.parse("bob@localhost/elsewhere"), "get", ET.Element("{urn:example:0}what"))
    assert asked == ["1", "2"]


async def test_conditions_that_have_no_class_keep_their_name(accounts: Prosody) -> None:
    class Gone(StanzaError):
        condition, type = "gone", "modify"

    def answer(_: ET.Element) -> ET.Element | None:
        raise Gone("moved away")

    async with online(alice(accounts), Recorder()) as connection, online(bob(accounts), Recorder(answer)):
        with pytest.raises(StanzaError, match="moved away") as raised:
            await connection.iq(BOB, "get", ET.Element("{urn:example:0}what"))
    assert (raised.value.condition, raised.value.type) == ("gone", "modify")


async def test_a_handler_that_breaks_costs_one_answer(accounts: Prosody, caplog: pytest.LogCaptureFixture) -> None:
    def answer(_: ET.Element) -> ET.Element | None:
        raise ZeroDivisionError

    async with online(alice(accounts), Recorder()) as connection, online(bob(accounts), Recorder(answer)):
        for _ in range(2):
            with pytest.raises(StanzaError) as raised:
                await connection.iq(BOB, "get", ET.Element("{urn:example:0}what"))
            assert raised.value.condition == "internal-server-error"
    assert "could not be handled" in caplog.text


async def test_presence_reaches_the_handler_and_slixmpp_answers_none(accounts: Prosody) -> None:
    heard = Recorder()
    async with online(alice(accounts), Recorder()) as connection, online(bob(accounts), heard) as other:
        other.send(ET.Element(PRESENCE))
        assert (await asyncio.wait_for(heard.presences.get(), 60)).get("from") == str(BOB)
        connection.send(stanza(PRESENCE, None, BOB.bare, "subscribe"))
        request = await asyncio.wait_for(heard.presences.get(), 60)
        assert (request.get("type"), request.get("from")) == ("subscribe", str(ALICE.bare))
        other.send(stanza(MESSAGE, None, ALICE, "chat", id="after"))
        assert heard.presences.empty()


async def test_a_certificate_of_ours_is_trusted_when_it_is_given(accounts: Prosody) -> None:
    certificate = accounts.state / "certificates" / "localhost.crt"
    async with online(Account(ALICE, "wonderland", accounts.c2s, ca_file=certificate), Recorder()) as connection:
        assert connection.connected


async def test_a_certificate_that_nobody_signed_is_not_trusted(accounts: Prosody) -> None:
    with pytest.raises(Untrusted, match="self-signed"):
        await Connection(Account(ALICE, "wonderland", accounts.c2s), Recorder()).connect()


async def test_a_wrong_password_is_refused(accounts: Prosody) -> None:
    with pytest.raises(LoginRefused, match="alice@localhost"):
        await Connection(Account(ALICE, "looking-glass", accounts.c2s, insecure=True), Recorder()).connect()


async def test_an_anonymous_login_where_there_is_none_is_refused(prosody: Prosody) -> None:
    with pytest.raises(LoginRefused, match="no anonymous login"):
        await Connection(Account(JID.parse("localhost"), server=prosody.c2s, insecure=True), Recorder()).connect()


async def test_a_domain_that_the_server_does_not_have_is_named(prosody: Prosody) -> None:
    with pytest.raises(ConnectionFailed, match="host-unknown"):
        await Connection(
            Account(JID.parse("a@elsewhere.invalid"), "x", server=prosody.c2s, insecure=True), Recorder()
        ).connect()


async def test_nobody_listening_is_told_at_once(free_tcp_port: Callable[[], int]) -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        await Connection(Account(ALICE, "x", ("127.0.0.1", free_tcp_port())), Recorder()).connect()


async def test_a_server_that_closes_without_a_word_is_unreachable() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        with pytest.raises(Unreachable):
            await Connection(Account(ALICE, "x", server.sockets[0].getsockname()[:2]), Recorder()).connect()


async def test_a_server_that_breaks_off_tls_has_shown_no_certificate() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b">")
        writer.write(
            b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
            b"from='localhost' id='1'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
            b"</stream:features>"
        )
        await reader.readuntil(b"<starttls")
        await reader.readuntil(b">")
        writer.write(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await reader.readuntil(b"\x16\x03")  # its hello
        writer.write(b"\x15\x03\x03\x00\x02\x02\x28")  # handshake_failure
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        with pytest.raises(Untrusted, match=r"^TLS with 127\.0\.0\.1 port \d+ has failed: .*ALERT_HANDSHAKE_FAILURE"):
            await Connection(Account(ALICE, "x", server.sockets[0].getsockname()[:2]), Recorder()).connect()


@pytest.mark.parametrize("insecure", [False, True])
async def test_no_password_is_shown_to_a_server_without_encryption(insecure: bool) -> None:
    seen = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b">")
        writer.write(
            b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
            b"from='localhost' id='1'><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
            b"<mechanism>PLAIN</mechanism></mechanisms></stream:features>"
        )
        seen.extend(await reader.read())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        account = Account(ALICE, "wonderland", server.sockets[0].getsockname()[:2], insecure=insecure)
        with pytest.raises(LoginRefused, match="safe"):
            await Connection(account, Recorder()).connect()
    assert b"auth" not in seen


class EagerServer:
    """Lets guests in, and sends them `first` between the result of their binding and that of their session."""

    def __init__(self, first: str) -> None:
        self._first = first.encode()
        self.answers = asyncio.Queue[bytes]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def open_stream(features: bytes) -> None:
            await reader.readuntil(b"<stream:stream ")
            await reader.readuntil(b">")
            writer.write(
                b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
                b"from='localhost' id='1'><stream:features>" + features + b"</stream:features>"
            )

        async def grant(result: bytes) -> None:
            request = await reader.readuntil(b"</iq>")
            identifier = request.partition(b'id="')[2].partition(b'"')[0]
            writer.write(b"<iq type='result' id='" + identifier + b"'>" + result + b"</iq>")

        sasl, bind = b"xmlns='urn:ietf:params:xml:ns:xmpp-sasl'", b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'"
        await open_stream(b"<mechanisms " + sasl + b"><mechanism>ANONYMOUS</mechanism></mechanisms>")
        await reader.readuntil(b"<auth")
        writer.write(b"<success " + sasl + b"/>")
        await open_stream(bind + b"/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>")
        await grant(bind + b"><jid>guest@localhost/1</jid></bind>")
        writer.write(self._first)
        await grant(b"")
        while True:
            await self.answers.put(await reader.readuntil(b">"))


async def test_what_comes_before_the_login_is_through_waits_for_it() -> None:
    """slixmpp would say that it knows no such thing, and that a stranger may subscribe."""
    eager = EagerServer(
        "<iq type='set' from='bob@localhost/x' to='guest@localhost/1' id='early'><x xmlns='urn:example:0'/></iq>"
        "<presence type='subscribe' from='bob@localhost' to='guest@localhost'/>"
        "<message type='chat' from='bob@localhost/x' to='guest@localhost/1' id='later'/>"
    )
    handler = Recorder(lambda request: ET.Element("{urn:example:0}fine"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await eager.serve(reader, writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        account = Account(JID.parse("localhost"), server=server.sockets[0].getsockname()[:2], insecure=True)
        async with online(account, handler) as connection:
            assert str(connection.jid) == "guest@localhost/1"
            assert (await asyncio.wait_for(handler.presences.get(), 60)).get("type") == "subscribe"
            assert (await asyncio.wait_for(handler.messages.get(), 60)).get("id") == "later"
            answer = await asyncio.wait_for(eager.answers.get(), 60)
            assert b'type="result"' in answer
            assert b'id="early"' in answer


async def test_a_server_that_goes_is_noticed_and_ends_every_question(accounts: Prosody) -> None:
    def answer(_: ET.Element) -> ET.Element | None:
        accounts.kill()
        return None

    handler = Recorder()
    async with online(alice(accounts), handler) as connection, online(bob(accounts), Recorder(answer)):
        with pytest.raises(Disconnected):
            await connection.iq(BOB, "get", ET.Element("{urn:example:0}what"))
        assert await asyncio.wait_for(handler.lost, 60)
        assert not connection.connected
        with pytest.raises(Disconnected):
            await connection.iq(BOB, "get", ET.Element("{urn:example:0}what"))
        with pytest.raises(Disconnected):
            connection.send(stanza(MESSAGE, None, BOB, "chat"))


async def test_a_session_taken_over_by_another_is_told_why(accounts: Prosody) -> None:
    handler = Recorder()
    async with online(alice(accounts), handler), online(alice(accounts), Recorder()) as second:
        assert second.connected
        assert "conflict" in await asyncio.wait_for(handler.lost, 60)


async def test_closing_is_no_loss(accounts: Prosody) -> None:
    handler = Recorder()
    connection = Connection(alice(accounts), handler)
    await connection.connect()
    await connection.close()
    await connection.close()
    assert not connection.connected
    assert not handler.lost.done()


async def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(Untrusted, match=r"empty\.pem"):
        await Connection(Account(ALICE, "x", ("127.0.0.1", 1), ca_file=empty), Recorder()).connect()
