"""How a phone's sessions send: invitations as messages that can come back, Jingle as IQs, candidates as asked."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Literal
from xml.etree import ElementTree as ET

from focus.service.phone.trickle import trickled
from focus.wire.base import Element
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import Jingle
from focus.wire.jingle_message import HINTS, Propose
from focus.wire.stanzas import MESSAGE, Disconnected, stanza

log = logging.getLogger(__name__)

#: XEP-0334: an invitation is worth keeping for whoever is offline.
STORE = f"{{{HINTS}}}store"
#: Invitations that may still come back.
MAX_PROPOSED = 100

Send = Callable[[ET.Element], None]
Ask = Callable[[JID, Literal["get", "set"], ET.Element], Awaitable[ET.Element]]


class PhoneOutbox:
    """The `Outbox` of `focus.jingle.peer` over a client's stream; `trickle`: send candidates one by one."""

    def __init__(self, send: Send, ask: Ask, *, trickle: bool) -> None:
        self._send = send
        self._ask = ask
        self._trickle = trickle
        self._proposed: dict[str, tuple[JID, str]] = {}

    def message(self, sender: JID, to: JID, element: Element) -> None:
        identifier = secrets.token_hex(12)
        if isinstance(element, Propose):
            self._proposed[identifier] = (to, element.id)
            while len(self._proposed) > MAX_PROPOSED:
                del self._proposed[next(iter(self._proposed))]
        try:
            self._send(stanza(MESSAGE, None, to, "chat", element.to_element(), ET.Element(STORE), id=identifier))
        except Disconnected as error:
            log.info("not sent to %s: %s", to, error)

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        first, *news = trickled(element) if isinstance(element, Jingle) and self._trickle else [element]
        await self._ask(to, "set", first.to_element())
        for candidate in news:
            try:
                await self._ask(to, "set", candidate.to_element())
            except (StanzaError, TimeoutError) as error:
                log.info("a candidate was not taken by %s: %s", to, error or "no answer")

    def returned(self, message: ET.Element) -> tuple[JID, str] | None:
        """Whom we had proposed which session to, by the message of type error that came of it."""
        return self._proposed.pop(message.get("id", ""), None)
