"""A client's stream to its XMPP server (RFC 6120): slixmpp encrypts, logs in and binds, and is used for nothing more.

Everything after that is plain trees in `jabber:client`. slixmpp's roster, which answers subscriptions, and its
handlers, which answer what nobody knows, never see a stanza.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import ssl
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from xml.etree import ElementTree as ET

import slixmpp
from slixmpp.clientxmpp import ClientXMPP
from slixmpp.stanza import StreamError
from slixmpp.util.sasl.client import SASLCancelled
from slixmpp.util.sasl.mechanisms import SCRAM
from slixmpp.xmlstream import StanzaBase, tostring

from focus.wire.base import local_name
from focus.wire.conditions import BadRequest, InternalServerError, StanzaError
from focus.wire.jid import JID
from focus.wire.stanzas import IQ, MESSAGE, PRESENCE, Disconnected, error_of, read_error, result_of, stanza, to_text

log = logging.getLogger(__name__)

DEFAULT_PORT = 5222
CONNECT_TIMEOUT = 20.0
IQ_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
#: Stanzas that are kept until the login is through.
MAX_EARLY = 1000
#: Of what salts a password; some seconds of a processor.
MAX_ITERATIONS = 10_000_000


def _salted(mechanism: SCRAM, password: bytes, salt: bytes, iterations: int) -> bytes:
    """Hi() of RFC 5802. slixmpp's own keeps the event loop for 50 ms where the server asks for 10,000 iterations."""
    assert mechanism.hash is not None  # it has been set up
    if not 0 < iterations <= MAX_ITERATIONS:
        raise SASLCancelled(f"the server asks for {iterations} iterations")  # type: ignore[no-untyped-call]
    return hashlib.pbkdf2_hmac(mechanism.hash().name, password, salt, iterations)


SCRAM.Hi = _salted  # type: ignore[assignment, method-assign]


class ConnectionFailed(Exception):
    """There is no session with the server; the message says why."""


class Unreachable(ConnectionFailed):
    """Nothing answers there, or what answers is no XMPP server."""


class Untrusted(ConnectionFailed):
    """The server shows a certificate that is not to be trusted, or offers no encryption."""


class LoginRefused(ConnectionFailed):
    """The server knows no such account with this password, or no login that can be used here."""


@dataclass(frozen=True)
class Account:
    """Who connects, and where to.

    `jid` may ask for a resource; without a local part, or without a `password`, the login is anonymous. `server` is
    (host, port), by default what DNS says of the domain. `ca_file` holds certificates (PEM) to be trusted in place of
    the machine's; `insecure` takes any certificate, and none.
    """

    jid: JID
    password: str | None = None
    server: tuple[str, int] | None = None
    ca_file: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError where `jid` is none."""
        try:
            slixmpp.JID(str(self.jid))
        except slixmpp.InvalidJID as error:
            raise ValueError(f"{str(self.jid)[:80]!r} is no address: {error}") from None

    @property
    def anonymous(self) -> bool:
        return not self.jid.local or self.password is None


class StreamHandler(Protocol):
    """Gets every stanza of a session, as a tree in `jabber:client`, on the event loop, in the order of arrival."""

    def message(self, stanza: ET.Element) -> None: ...

    def presence(self, stanza: ET.Element) -> None: ...

    def iq(self, stanza: ET.Element) -> ET.Element | None:
        """Do what the get or set asks for; returns the result's child, raises `StanzaError`."""

    def disconnected(self, reason: str) -> None:
        """The session ended without `Connection.close`. Once."""


class _Stream(ClientXMPP):
    """slixmpp's client, cut down to the stream: after the login, what arrives goes to the connection."""

    def __init__(self, account: Account, context: ssl.SSLContext, owner: Connection) -> None:
        jid = JID("" if account.anonymous else account.jid.local, account.jid.domain, account.jid.resource)
        super().__init__(
            str(jid),
            account.password or "",
            plugin_config={"feature_mechanisms": {"unencrypted_scram": account.insecure}},
            sasl_mech="ANONYMOUS" if account.anonymous else None,
            ssl_context=context,
        )
        self._owner = owner
        self.enable_direct_tls = False
        self.add_filter("in", self._take)
        self.add_event_handler("session_start", owner._session_began)
        self.add_event_handler("failed_auth", owner._login_failed)
        self.add_event_handler("failed_all_auth", owner._no_login)
        self.add_event_handler("ssl_invalid_chain", owner._certificate_refused)
        self.add_event_handler("stream_error", owner._stream_error)
        self.init_plugins()  # type: ignore[no-untyped-call]

    def send(self, data: StanzaBase | str, use_filters: bool = True) -> None:
        # At once: slixmpp's queue needs a task that nobody ends.
        text = data if isinstance(data, str) else tostring(data.xml, xmlns=self.default_ns, stream=self, top_level=True)
        self.send_raw(text)

    def connection_lost(self, exception: BaseException | None) -> None:
        super().connection_lost(exception)
        self._owner._connection_lost(exception)

    def _take(self, received: StanzaBase) -> StanzaBase | None:
        tree = received.xml
        if tree.tag not in (IQ, MESSAGE, PRESENCE):
            return received
        if self._owner.connected:
            self._owner._received(tree)
        elif tree.tag == IQ and tree.get("type") in ("result", "error"):
            return received  # what the login has asked for
        else:
            self._owner._early.append(tree)
        return None


class Connection:
    """One session with an XMPP server, from `connect` to `close`. A connection is used once."""

    def __init__(self, account: Account, handler: StreamHandler) -> None:
        self.account = account
        self.connected = False
        #: The full JID that the server bound.
        self.jid = account.jid
        self._handler = handler
        self._stream: _Stream | None = None
        self._ready: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[str] | None = None
        self._closing = False
        self._stream_error_text = ""
        self._pending: dict[str, asyncio.Future[ET.Element]] = {}
        # A server delivers as soon as the resource is bound, and that is not the end of the login.
        self._early: deque[ET.Element] = deque(maxlen=MAX_EARLY)

    async def connect(self) -> JID:
        """Log in, and return the JID that the server gave us.

        Raises `ConnectionFailed`: `Unreachable`, `Untrusted` or `LoginRefused`.
        """
        if self._stream is not None:
            raise RuntimeError("a connection connects once")
        loop = asyncio.get_running_loop()
        self._ready, self._lost = loop.create_future(), loop.create_future()
        stream = self._stream = _Stream(self.account, self._context(), self)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._open(stream)
                await asyncio.wait((self._ready, self._lost), return_when=asyncio.FIRST_COMPLETED)
                if not self._ready.done():
                    raise Unreachable(f"{self._where}: {self._lost.result()}")
                self._ready.result()
        except TimeoutError:
            raise Unreachable(f"{self._where} did not answer within {CONNECT_TIMEOUT:g} s") from None
        finally:
            if not self.connected:
                self._closing = True
                await self._end(stream)
        log.info("connected as %s", self.jid)
        return self.jid

    def _deliver_early(self) -> None:
        while self._early:
            self._received(self._early.popleft())

    async def close(self) -> None:
        """End the session, after what has been sent. Idempotent; nothing is told to the handler any more."""
        self._closing = True
        if self._stream is not None:
            await self._end(self._stream)

    def send(self, tree: ET.Element) -> None:
        """Send the stanza. Raises `Disconnected` without a session."""
        if not self.connected or self._stream is None:
            raise Disconnected("there is no session with the XMPP server")
        text = to_text(tree)
        log.debug("sent: %s", text)
        self._stream.send_raw(text)

    async def iq(self, to: JID | None, type: Literal["get", "set"], child: ET.Element) -> ET.Element:
        """Ask, and return the whole result stanza; `to` None asks the account's own server.

        Raises the `StanzaError` that comes back, `Disconnected` when there is no session or it ends, TimeoutError
        after `IQ_TIMEOUT` seconds.
        """
        async with asyncio.timeout(IQ_TIMEOUT):
            return await self.ask(to, type, child)

    def ask(self, to: JID | None, type: Literal["get", "set"], child: ET.Element) -> Coroutine[Any, Any, ET.Element]:
        """The same, for who has a time limit of their own: sent at once; what is returned waits for the answer."""
        identifier = secrets.token_hex(12)
        answer: asyncio.Future[ET.Element] = asyncio.get_running_loop().create_future()
        self.send(stanza(IQ, None, to, type, child, id=identifier))
        self._pending[identifier] = answer
        return self._response(identifier, answer)

    async def _response(self, identifier: str, answer: asyncio.Future[ET.Element]) -> ET.Element:
        try:
            response = await answer
        finally:
            del self._pending[identifier]
        if response.get("type") == "error":
            raise read_error(response)
        return response

    # --- connecting and ending ----------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        if self.account.server is None:
            return self.account.jid.domain
        host, port = self.account.server
        return f"{host} port {port}"

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.account.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Untrusted(f"{self.account.ca_file} cannot be read as certificates: {error}") from None
        if self.account.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def _open(self, stream: _Stream) -> None:
        """A TCP connection to the first of the server's addresses that answers."""
        if self.account.server is not None:
            addresses = [self.account.server]
        else:
            records = await stream.get_dns_records(self.account.jid.domain, DEFAULT_PORT)
            addresses = [(address, port) for _, _, address, port in records]
        problem = "DNS knows no XMPP server there"
        for host, port in addresses:
            try:
                await asyncio.get_running_loop().create_connection(lambda: stream, host, port)
                return
            except OSError as error:
                problem = error.strerror or str(error)
        raise Unreachable(f"{self._where} cannot be reached: {problem}")

    async def _end(self, stream: _Stream) -> None:
        assert self._lost is not None
        if not stream.is_connected():
            return
        if self.connected:
            self.connected = False
            stream.send_raw(stream.stream_footer)
            await asyncio.wait((self._lost,), timeout=CLOSE_TIMEOUT)
        if not self._lost.done():
            stream.abort()
            await asyncio.wait((self._lost,))

    # --- what slixmpp tells -------------------------------------------------------------------------------------------

    def _session_began(self, _: object) -> None:
        assert self._stream is not None
        if "starttls" not in self._stream.features and not self.account.insecure:
            self._refuse(Untrusted(f"{self._where} offers no encryption"))
            return
        self.jid = JID.parse(str(self._stream.boundjid))
        self.connected = True
        self._refuse(None)
        self._deliver_early()

    def _login_failed(self, failure: StanzaBase) -> None:
        condition = next((local_name(child.tag) for child in failure.xml if local_name(child.tag) != "text"), "")
        self._stream_error_text = condition

    def _no_login(self, _: object) -> None:
        if self._stream_error_text:
            why = f"refuses the login of {self.account.jid}: {self._stream_error_text}"
        elif self.account.anonymous:
            why = f"has no anonymous login for {self.account.jid.domain}"
        else:
            why = f"has no login for {self.account.jid} that would be safe here"
        self._refuse(LoginRefused(f"{self._where} {why}"))

    def _certificate_refused(self, error: ssl.SSLError) -> None:
        if isinstance(error, ssl.SSLCertVerificationError):
            self._refuse(Untrusted(f"the certificate of {self._where} is not trusted: {error.verify_message}"))
        else:
            self._refuse(Untrusted(f"TLS with {self._where} has failed: {error}"))

    def _stream_error(self, error: StreamError) -> None:
        self._stream_error_text = f"{error['condition']} {error['text']}".strip()
        if self._ready is not None and not self._ready.done():
            self._refuse(Unreachable(f"{self._where}: {self._stream_error_text}"))

    def _refuse(self, error: ConnectionFailed | None) -> None:
        """How connecting went: None is well."""
        assert self._ready is not None
        if self._ready.done():
            return
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)

    def _connection_lost(self, exception: BaseException | None) -> None:
        was_connected, self.connected = self.connected, False
        reason = self._stream_error_text or (str(exception) if exception else "the server closed the stream")
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(Disconnected("the session with the XMPP server ended"))
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)
        if was_connected and not self._closing:
            self._handler.disconnected(reason)

    def _received(self, tree: ET.Element) -> None:
        """Never raises: the stream goes on whatever a stanza does to us."""
        try:
            if log.isEnabledFor(logging.DEBUG):
                log.debug("received: %s", ET.tostring(tree, "unicode"))
            if tree.tag == MESSAGE:
                self._handler.message(tree)
            elif tree.tag == PRESENCE:
                self._handler.presence(tree)
            elif tree.get("type") in ("result", "error"):
                answer = self._pending.get(tree.get("id", ""))
                if answer is not None and not answer.done():
                    answer.set_result(tree)
            else:
                self._answer(tree)
        except Exception:
            log.exception("a stanza from %s could not be handled", tree.get("from"))

    def _answer(self, tree: ET.Element) -> None:
        try:
            if tree.get("type") not in ("get", "set") or len(tree) != 1:
                raise BadRequest("an IQ is get or set and has one child")
            response = result_of(tree, self._handler.iq(tree))
        except StanzaError as error:
            log.info("refused from %s: %s", tree.get("from"), error)
            response = error_of(tree, error)
        except Exception:
            log.exception("<%s/> from %s could not be handled", local_name(tree[0].tag), tree.get("from"))
            response = error_of(tree, InternalServerError())
        self.send(response)
