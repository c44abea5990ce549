"""The component's stream to the XMPP server (XEP-0114): slixmpp reads and writes it, nothing else of slixmpp is used.

Its handlers, roster and send queue stay out of the way on purpose: the roster answers presence probes with
`unsubscribed`, unknown stanzas are bounced (into rooms, too, which get the occupant kicked), what is sent while
there is no session is kept for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Protocol
from xml.etree import ElementTree as ET

from slixmpp import Iq, Message, Presence
from slixmpp.componentxmpp import ComponentXMPP
from slixmpp.xmlstream import StanzaBase, tostring

log = logging.getLogger(__name__)

#: Characters that are written at once, so that the server has something to do while we make more of them.
MAX_BATCH = 16 * 1024


class Owner(Protocol):
    """Who has a stream, and is told what happens to it."""

    def received(self, tree: ET.Element) -> None:
        """A stanza has arrived. Never raises."""

    def connection_lost(self, exception: BaseException | None) -> None: ...


class Stream(ComponentXMPP):
    """slixmpp's component, cut down to the stream: what arrives goes to its owner, what is sent goes at once."""

    def __init__(self, jid: str, secret: str, owner: Owner) -> None:
        super().__init__(jid, secret)  # type: ignore[no-untyped-call]
        self._owner = owner
        self._batch: list[str] = []
        self._batched = 0
        for known in (Message, Iq, Presence):
            self.remove_stanza(known)

    def connection_made(self, transport: asyncio.BaseTransport, send_event: bool = True) -> None:
        _notice_a_dead_peer(transport.get_extra_info("socket"))
        super().connection_made(transport, send_event)

    def connection_lost(self, exception: BaseException | None) -> None:
        self._batch.clear()
        super().connection_lost(exception)
        self._owner.connection_lost(exception)

    def send_raw(self, data: str | bytes) -> None:
        """Together with all else that is sent before the loop goes round: a write takes longer than making a stanza."""
        if not self._batch:
            self._batched = 0
            asyncio.get_running_loop().call_soon(self._flush)
        text = data if isinstance(data, str) else data.decode()
        self._batch.append(text)
        self._batched += len(text)
        if self._batched >= MAX_BATCH:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if batch and self.transport is not None:
            super().send_raw("".join(batch))

    def send(self, data: StanzaBase | str, use_filters: bool = True) -> None:
        text = data if isinstance(data, str) else tostring(data.xml, xmlns=self.default_ns, stream=self, top_level=True)
        self.send_raw(text)

    def disconnect(
        self, wait: float = 2.0, reason: str | None = None, ignore_send_queue: bool = False
    ) -> asyncio.Future[None]:
        """slixmpp's way out of XML that it cannot read: there is nothing to wait for then."""
        log.error("what the XMPP server sends cannot be read")
        self.abort()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def recv_stanza(self, stanza: StanzaBase) -> None:
        self._owner.received(stanza.xml)

    def unsent(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0


def _notice_a_dead_peer(peer: socket.socket) -> None:
    """A server that vanished without a word is noticed after half a minute."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 20),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 30_000),
    ):
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
