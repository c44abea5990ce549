"""XMPP clients by the hundred: a bare socket each, just enough of RFC 6120 to log in, ask and be asked.

Without TLS, which the server does not demand on loopback. The time that a stanza takes here is the generator's, so
there is no more to it than expat and a dictionary.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from functools import cache
from typing import ClassVar, Self, cast
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from focus.wire.conditions import StanzaError
from focus.wire.stanzas import error_of, to_text

CLIENT = "{jabber:client}"
IQ, PRESENCE = f"{CLIENT}iq", f"{CLIENT}presence"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
PING = "<ping xmlns='urn:xmpp:ping'/>"
#: Seconds for an answer. Nothing here is late because of a wait, only because of what is before it.
PATIENCE = 60.0


class Refused(Exception):
    """An IQ was answered with an error, which the text is."""


class Client(asyncio.Protocol):
    """One session. `handler` gets what is no answer; what it returns for a get or set is the answer's child."""

    #: Stanzas that all clients together have sent and been sent.
    stanzas: ClassVar[int] = 0

    def __init__(self, handler: Callable[[ET.Element], str | None] = lambda stanza: None) -> None:
        self.handler = handler
        self.jid = ""
        self._transport: asyncio.Transport | None = None
        self._pending: dict[str, asyncio.Future[ET.Element]] = {}
        self._number = 0
        self._negotiating: asyncio.Queue[ET.Element] | None = asyncio.Queue()

    @classmethod
    async def connect(
        cls,
        server: tuple[str, int],
        domain: str,
        *,
        account: tuple[str, str] | None = None,
        resource: str = "bench",
        handler: Callable[[ET.Element], str | None] = lambda stanza: None,
    ) -> Self:
        """Log in with (name, password), anonymously without; no presence is sent."""
        self = cls(handler)
        await asyncio.get_running_loop().create_connection(lambda: self, *server)
        async with asyncio.timeout(PATIENCE):
            self._open(domain)
            await self._next("features")
            if account is None:
                self.send(f"<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>")
            else:
                await self._scram(*account)
            await self._next("success")
            self._open(domain)
            await self._next("features")
        self._negotiating = None
        bind = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>"
        bound = await self.ask("", "set", bind)
        self.jid = bound[0][0].text or ""
        return self

    async def _scram(self, name: str, password: str) -> None:
        """SCRAM-SHA-1 (RFC 5802), without channel binding."""
        first = f"n={name},r={secrets.token_urlsafe(12)}"
        encoded = base64.b64encode(f"n,,{first}".encode()).decode()
        self.send(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{encoded}</auth>")
        challenge = base64.b64decode((await self._next("challenge")).text or "").decode()
        values = dict(part.split("=", 1) for part in challenge.split(","))
        salted = _salted(password, base64.b64decode(values["s"]), int(values["i"]))
        last = f"c=biws,r={values['r']}"
        key = hmac.digest(salted, b"Client Key", "sha1")
        signed = hmac.digest(hashlib.sha1(key).digest(), f"{first},{challenge},{last}".encode(), "sha1")
        proof = base64.b64encode(bytes(one ^ two for one, two in zip(key, signed, strict=True))).decode()
        response = base64.b64encode(f"{last},p={proof}".encode()).decode()
        self.send(f"<response xmlns='{SASL}'>{response}</response>")

    def send(self, text: str) -> None:
        assert self._transport is not None
        Client.stanzas += 1
        self._transport.write(text.encode())

    def ask(self, to: str, type: str, child: str) -> asyncio.Future[ET.Element]:
        """The result, or `Refused`."""
        self._number += 1
        identifier = str(self._number)
        answer = self._pending[identifier] = asyncio.get_running_loop().create_future()
        self.send(f"<iq type='{type}' id='{identifier}'{f' to={quoteattr(to)}' if to else ''}>{child}</iq>")
        return answer

    async def close(self) -> None:
        """End the stream and the connection."""
        if self._transport is not None and not self._transport.is_closing():
            self.send("</stream:stream>")
            self._transport.close()

    # what the socket tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        parser.feed(data)
        for event, element in cast(Iterator[tuple[str, ET.Element]], parser.read_events()):
            if event == "start":
                self._depth += 1
                if self._depth == 1:
                    self._root = element
                continue
            self._depth -= 1
            if self._depth == 1:
                self._root.clear()
                self._take(element)
                if parser is not self._parser:
                    return  # a new stream begins

    def connection_lost(self, error: Exception | None) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(ConnectionError(f"{self.jid} has lost its connection"))

    def _open(self, domain: str) -> None:
        self._parser: ET.XMLPullParser[ET.Element] = ET.XMLPullParser(("start", "end"))
        self._depth = 0
        self.send(
            f"<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>"
        )

    async def _next(self, name: str) -> ET.Element:
        assert self._negotiating is not None
        element = await self._negotiating.get()
        if element.tag.rpartition("}")[2] != name:
            raise ConnectionError(f"the server says {ET.tostring(element, 'unicode')[:500]}, not <{name}/>")
        return element

    def _take(self, element: ET.Element) -> None:
        Client.stanzas += 1
        if self._negotiating is not None:
            self._negotiating.put_nowait(element)
        elif element.tag != IQ:
            self.handler(element)
        elif element.get("type") in ("result", "error"):
            answer = self._pending.pop(element.get("id", ""), None)
            if answer is None or answer.done():
                return
            if element.get("type") == "error":
                answer.set_exception(Refused(ET.tostring(element, "unicode")[:500]))
            else:
                answer.set_result(element)
        else:
            try:
                child = self.handler(element) or ""
            except StanzaError as error:
                self.send(to_text(error_of(element, error)))
                return
            to, identifier = quoteattr(element.get("from", "")), quoteattr(element.get("id", ""))
            self.send(f"<iq type='result' to={to} id={identifier}>{child}</iq>")


@cache
def _salted(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha1", password.encode(), salt, iterations)
