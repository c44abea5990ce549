"""What may have been lost with the stream: nothing acknowledges what a component writes (XEP-0114)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from xml.etree import ElementTree as ET

from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.stanzas import Disconnected
from focus.xmpp.connection import Connection
from focus.xmpp.discovery import PING_QUERY

log = logging.getLogger(__name__)

#: Seconds between two questions, while there is something to ask for.
INTERVAL = 1.0
#: Seconds that the server has to answer.
TIMEOUT = 10.0


class Delivery:
    """For whom the server has been sent something that it has not been seen to have read.

    It has read all that was written before a ping (XEP-0199) to ourselves, when that is answered, with whatever answer:
    the server takes stanzas in their order. One is sent as soon as something is written, another one for all that is
    written in the next second.
    """

    def __init__(self, connection: Connection, *, interval: float = INTERVAL) -> None:
        self._connection = connection
        self._interval = interval
        self._written: Counter[JID] = Counter()  # since the last question
        self._asked: Counter[JID] = Counter()  # before it
        self._is_asking = False

    def __contains__(self, client: JID) -> bool:
        return client in self._written or client in self._asked

    def wrote(self, client: JID) -> None:
        """A stanza for `client` has been written."""
        self._written[client] += 1
        if not self._is_asking:
            self._is_asking = True
            self._connection.spawn(self._ask(), "delivery")

    def take_lost(self) -> Counter[JID]:
        """After the end of the stream: how many stanzas of each client may not have arrived."""
        lost, self._written, self._asked = self._asked + self._written, Counter(), Counter()
        return lost

    async def _ask(self) -> None:
        try:
            while self._written or self._asked:
                self._asked += self._written
                self._written.clear()
                await self._question()
                await asyncio.sleep(self._interval)
        except Disconnected:
            log.debug("nobody knows whether what was sent has arrived")  # `take_lost` tells
        finally:
            self._is_asking = False

    async def _question(self) -> None:
        """Raises `Disconnected`."""
        ours = self._connection.jid
        try:
            await self._connection.iq(ours, ours, "get", ET.Element(PING_QUERY), TIMEOUT)
        except TimeoutError:
            return  # a later answer says the same
        except Disconnected:
            raise
        except StanzaError as error:
            log.debug("a ping to ourselves was answered with %s", error.condition)
        self._asked.clear()
