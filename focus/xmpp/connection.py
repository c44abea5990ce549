"""The component's session with the XMPP server (XEP-0114): it comes back when it is lost, IQs and their answers find
each other, and what arrives goes to one `StanzaHandler`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
from collections import deque
from collections.abc import Coroutine
from typing import Any, Literal, Protocol
from xml.etree import ElementTree as ET

from slixmpp import JID as PreparedJID
from slixmpp import InvalidJID

from focus.wire.base import local_name
from focus.wire.conditions import (
    BadRequest,
    InternalServerError,
    NotAcceptable,
    ResourceConstraint,
    StanzaError,
)
from focus.wire.jid import JID
from focus.wire.stanzas import (
    IQ,
    MESSAGE,
    PRESENCE,
    Disconnected,
    error_of,
    read_error,
    result_of,
    stanza,
    to_client_namespace,
    to_text,
)
from focus.xmpp.stream import Stream

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
STOP_TIMEOUT = 1.0
#: Seconds after which a session that ends was one. A shorter one may end like that again: somebody else is connected
#: as this component and takes it away, or what we send first is not liked.
STEADY = 2.0
TOO_LATE = "no answer in time"
#: IQs of one sender to one of our addresses that wait for an earlier one of the two.
MAX_WAITING = 200
#: Bytes of a stanza that we send. Prosody ends the stream of a component beyond 512 KiB.
MAX_STANZA = 256 * 1024
#: Bytes that the server has not taken; then it is as good as gone.
MAX_UNSENT = 32 * 1024 * 1024


class ConnectionRefused(Exception):
    """The server does not want us, or was never reached."""


class StanzaHandler(Protocol):
    """Gets every stanza, as a tree in `jabber:client`, on the event loop, in the order of arrival."""

    def connected(self) -> None: ...

    def disconnected(self) -> None: ...

    def message(self, stanza: ET.Element) -> None: ...

    def presence(self, stanza: ET.Element) -> None: ...

    async def iq(self, stanza: ET.Element) -> ET.Element | None:
        """Do what the get or set asks for; returns the result's child, raises `StanzaError`.

        IQs of one sender to one address come one after another, all others meanwhile.
        """


class Backoff:
    """How long to wait before the next attempt: growing from `first` to `longest` seconds, never twice the same."""

    def __init__(self, first: float = 0.5, longest: float = 15.0) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def next(self) -> float:
        delay = self._next * random.uniform(1.0, 1.5)
        self._next = min(self._next * 2, self._longest / 1.5)
        return min(delay, self._longest)

    def reset(self) -> None:
        self._next = self._first


class Connection:
    """An XMPP component that stays connected until it is stopped.

    `jid` is the component's domain. `run` owns every task that is made here, `spawn`'s too.
    """

    def __init__(
        self,
        jid: str,
        secret: str,
        host: str,
        port: int,
        handler: StanzaHandler,
        *,
        first_timeout: float = 15.0,
        backoff: Backoff | None = None,
    ) -> None:
        """`first_timeout`: seconds in which the first session must be there."""
        self.jid = JID.parse(jid)
        self.connected = False
        self.dropped = 0
        self.reconnections = 0
        self._secret, self._host, self._port = secret, host, port
        self._handler = handler
        self._first_timeout = first_timeout
        self._backoff = backoff or Backoff()
        self._stream: Stream | None = None
        self._stopping = asyncio.Event()
        self._ready: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[str] | None = None
        self._stream_error: tuple[str, str] | None = None
        self._pending: dict[tuple[str, str], asyncio.Future[ET.Element]] = {}
        self._waiting: dict[tuple[str, str], deque[ET.Element]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and connect again, until `stop`. Once per object.

        Raises `ConnectionRefused` when the server refuses the secret, or when there is no session within
        `first_timeout` (unreachable, unknown domain, or somebody else is connected as this component).
        """
        refused: ConnectionRefused | None = None
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await self._stay_connected()
            except ConnectionRefused as error:
                refused = error
            finally:
                self._group = None
                for task in self._tasks:
                    task.cancel()
        if refused is not None:
            raise refused

    def stop(self) -> None:
        """End the stream after what has been sent, and let `run` return."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether it is we who end the stream."""
        return self._stopping.is_set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` until it ends or the connection is stopped; its crash is logged and costs nobody else.

        Raises RuntimeError when `run` is not running.
        """
        if self._group is None:
            work.close()
            raise RuntimeError("the connection is not running")
        task = self._group.create_task(_supervised(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        give_up: float | None = loop.time() + self._first_timeout
        why = ""
        while not self._stopping.is_set():
            self._stream_error = None
            began = loop.time()
            had_session, ended = await self._session(give_up)
            why = why if ended == TOO_LATE and why else ended  # a reason that the server gave says more
            if self._stopping.is_set():
                return
            if self._stream_error is not None:
                condition, text = self._stream_error
                why = f"{condition}{f' ({text})' if text else ''}"
                if condition == "not-authorized":
                    raise ConnectionRefused(f"the XMPP server refuses the secret of {self.jid}: {why}")
            if had_session:
                self.reconnections += 1
                give_up = None
                if loop.time() - began >= STEADY:
                    self._backoff.reset()
            delay = self._backoff.next()
            if give_up is not None and loop.time() + delay >= give_up:
                raise ConnectionRefused(
                    f"no session as {self.jid} at {self._host} port {self._port} "
                    f"within {self._first_timeout:g} s: {why}"
                )
            where = f"{self._host} port {self._port}"
            log.warning("no XMPP session as %s at %s: %s; next attempt in %.1f s", self.jid, where, why, delay)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    async def _session(self, give_up: float | None) -> tuple[bool, str]:
        """One connection from its beginning to its end: whether there was a session, and why it ended."""
        loop = asyncio.get_running_loop()
        limit = CONNECT_TIMEOUT if give_up is None else max(0.0, min(CONNECT_TIMEOUT, give_up - loop.time()))
        self._ready, self._lost = loop.create_future(), loop.create_future()
        # A new object each time would read the machine's certificates each time, and needs none.
        stream = self._stream = self._stream or Stream(str(self.jid), self._secret, self)
        stopping = asyncio.ensure_future(self._stopping.wait())
        opening = asyncio.ensure_future(self._open(stream, self._ready, self._lost))
        try:
            await asyncio.wait((opening, stopping), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                return False, TOO_LATE
            if (error := opening.exception()) is not None:
                if isinstance(error, OSError):
                    return False, _words(error)
                raise error
            if self._ready.done():
                await asyncio.wait((self._lost, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not self._lost.done():
                stream.send_raw(stream.stream_footer)
                await asyncio.wait((self._lost,), timeout=STOP_TIMEOUT)
            return self._ready.done(), self._lost.result() if self._lost.done() else "stopped"
        finally:
            stopping.cancel()
            if not opening.done():
                opening.cancel()
                await asyncio.wait((opening,))
            if stream.is_connected():
                stream.abort()
                await asyncio.shield(self._lost)  # the stream is used again only after its end

    async def _open(self, stream: Stream, ready: asyncio.Future[None], lost: asyncio.Future[str]) -> None:
        """Connect, and wait until the server has taken the handshake or ended the stream."""
        await asyncio.get_running_loop().create_connection(lambda: stream, self._host, self._port)
        await asyncio.wait((ready, lost), return_when=asyncio.FIRST_COMPLETED)

    # --- sending ------------------------------------------------------------------------------------------------------

    def send(self, element_tree: ET.Element) -> bool:
        """Send the stanza; without a session, or when it is impossible, it is dropped and counted in `dropped`.

        Whether there was a session.
        """
        try:
            self._write(element_tree)
        except StanzaError as error:
            self.dropped += 1
            log.debug("not sent to %s: %s", element_tree.get("to"), error)
            return not isinstance(error, Disconnected)
        return True

    async def iq(
        self,
        sender: JID,
        to: JID,
        type: Literal["get", "set"],
        child: ET.Element | None,
        timeout: float = 10.0,  # noqa: ASYNC109 - an ordinary question has an ordinary answer time
    ) -> ET.Element:
        """Ask, and return the whole result stanza.

        Raises the `StanzaError` that the peer answers with, `Disconnected` when there is no session or it ends,
        TimeoutError after `timeout` seconds.
        """
        identifier = secrets.token_hex(8)
        request = stanza(IQ, sender, to, type, *(() if child is None else (child,)), id=identifier)
        key = (_prepared(str(to)), identifier)
        answer: asyncio.Future[ET.Element] = asyncio.get_running_loop().create_future()
        self._pending[key] = answer
        try:
            self._write(request)
            async with asyncio.timeout(timeout):
                response = await answer
        finally:
            self._pending.pop(key, None)
        if response.get("type") == "error":
            raise read_error(response)
        return response

    def _write(self, tree: ET.Element) -> None:
        """Raises `StanzaError` where it cannot."""
        stream = self._stream
        if not self.connected or stream is None:
            raise Disconnected("there is no session with the XMPP server")
        try:
            text = to_text(tree)
        except (ValueError, RecursionError) as error:
            log.error("a stanza of ours to %s cannot be written: %s", tree.get("to"), error)
            raise NotAcceptable(str(error)) from None
        if len(text) > MAX_STANZA or len(text.encode()) > MAX_STANZA:
            log.error("a stanza of ours to %s is larger than %d bytes", tree.get("to"), MAX_STANZA)
            raise ResourceConstraint(f"the stanza is larger than {MAX_STANZA} bytes")
        if stream.unsent() > MAX_UNSENT:
            log.error("the XMPP server does not read")
            stream.abort()
            raise Disconnected("the XMPP server does not read")
        stream.send_raw(text)

    # --- what the stream tells ----------------------------------------------------------------------------------------

    def received(self, tree: ET.Element) -> None:
        """Never raises: the stream goes on whatever a stanza does to us."""
        try:
            self._dispatch(tree)
        except Exception:
            log.exception("a stanza from %s could not be handled", tree.get("from"))

    def _dispatch(self, tree: ET.Element) -> None:
        name = local_name(tree.tag)
        if name == "handshake" and self._ready is not None and not self._ready.done():
            self._session_began()
            return
        if name == "error":
            self._stream_error = _read_stream_error(tree)
            return
        try:
            to_client_namespace(tree)
        except BadRequest as error:
            log.info("refused from %s to %s: %s", tree.get("from"), tree.get("to"), error)
            if _is_request(tree):
                self.send(error_of(tree, error))
            return
        if tree.tag == IQ:
            self._iq(tree)
        elif tree.tag == MESSAGE:
            self._handler.message(tree)
        elif tree.tag == PRESENCE:
            self._handler.presence(tree)
        else:
            log.info("unknown element on the stream: %s", tree.tag[:200])

    def _session_began(self) -> None:
        assert self._ready is not None
        self.connected = True
        self._ready.set_result(None)
        log.info("connected to %s port %d as %s", self._host, self._port, self.jid)
        self._handler.connected()

    def connection_lost(self, exception: BaseException | None) -> None:
        was_connected, self.connected = self.connected, False
        pending, self._pending = self._pending, {}
        for answer in pending.values():
            if not answer.done():
                answer.set_exception(Disconnected("the session with the XMPP server ended"))
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(str(exception) if exception else "the server closed the stream")
        if was_connected:
            try:
                self._handler.disconnected()
            except Exception:
                log.exception("after the end of the session")

    # --- IQ -----------------------------------------------------------------------------------------------------------

    def _iq(self, tree: ET.Element) -> None:
        kind = tree.get("type")
        if kind in ("result", "error"):
            self._answered(tree)
            return
        if kind not in ("get", "set"):
            self._refuse(tree, BadRequest("an IQ is get, set, result or error"))
            return
        if len(tree) != 1:
            self._refuse(tree, BadRequest("a get or set has exactly one child"))
            return
        if not _is_request(tree):
            log.info("an IQ without sender or id cannot be answered, from %s", tree.get("from"))
            return
        pair = (tree.get("from", ""), tree.get("to", ""))
        if (waiting := self._waiting.get(pair)) is None:
            self._waiting[pair] = deque((tree,))
            self.spawn(self._answer_all(pair), f"iq {pair[0]}")
        elif len(waiting) < MAX_WAITING:
            waiting.append(tree)
        else:
            self._refuse(tree, ResourceConstraint("too many requests wait already"))

    def _refuse(self, tree: ET.Element, error: StanzaError) -> None:
        log.info("refused from %s to %s: %s", tree.get("from"), tree.get("to"), error)
        if tree.get("from") and tree.get("id") is not None:
            self.send(error_of(tree, error))

    async def _answer_all(self, pair: tuple[str, str]) -> None:
        waiting = self._waiting[pair]
        try:
            while waiting:
                tree = waiting.popleft()
                answer = await self._answer(tree)
                try:
                    self._write(answer)
                except Disconnected:
                    self.dropped += 1
                except StanzaError as error:
                    self.send(error_of(tree, InternalServerError(str(error))))
        finally:
            del self._waiting[pair]

    async def _answer(self, tree: ET.Element) -> ET.Element:
        try:
            return result_of(tree, await self._handler.iq(tree))
        except StanzaError as error:
            name = local_name(tree[0].tag)[:80]
            log.info("refused from %s to %s: %s: %s", tree.get("from"), tree.get("to"), name, error)
            return error_of(tree, error)
        except Exception:
            log.exception("<%s/> from %s could not be handled", local_name(tree[0].tag)[:80], tree.get("from"))
            return error_of(tree, InternalServerError())

    def _answered(self, tree: ET.Element) -> None:
        answer = self._pending.get((_prepared(tree.get("from", "")), tree.get("id", "")))
        if answer is None or answer.done():
            log.debug("an answer that nobody waits for, from %s", tree.get("from"))
            return
        answer.set_result(tree)


async def _supervised(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except Exception:
        log.exception("%s crashed", name)


def _is_request(tree: ET.Element) -> bool:
    """Whether it is a get or set that can be answered."""
    is_iq = local_name(tree.tag) == "iq" and tree.get("type") in ("get", "set")
    return is_iq and bool(tree.get("from")) and tree.get("id") is not None


def _words(error: OSError) -> str:
    """The system's for why there is no connection: asyncio says only which one there is not."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return str(error.strerror or error)
    return os.strerror(error.errno)


def _read_stream_error(tree: ET.Element) -> tuple[str, str]:
    condition, text = "undefined-condition", ""
    for child in tree:
        if local_name(child.tag) == "text":
            text = (child.text or "")[:200]
        else:
            condition = local_name(child.tag)[:64]
    return condition, text


def _prepared(jid: str) -> str:
    """The JID as a server writes it (RFC 7622), to know it again in the answer."""
    try:
        return str(PreparedJID(jid))
    except InvalidJID:
        return jid
