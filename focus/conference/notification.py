"""Conference documents on their way to one participant (XEP-0298 section 6, RFC 4575 section 4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from focus.wire.base import Element
from focus.wire.coin import COIN_FEATURES
from focus.wire.conditions import FeatureNotImplemented, ServiceUnavailable, StanzaError
from focus.wire.conference_info import ConferenceInfo
from focus.wire.jid import JID

log = logging.getLogger(__name__)

#: Seconds between two documents to a peer that does not answer them.
SILENT_INTERVAL = 1.0
#: Seconds between two attempts to reach a peer that is offline, at most.
LONGEST_DELAY = 8.0
#: Seconds that an answer is waited for.
ANSWER_TIMEOUT = 10.0


class DocumentOutbox(Protocol):
    """The way to a participant."""

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        """Returns at the result.

        Raises `StanzaError` of the peer, TimeoutError, ConnectionError at once when offline, and ConnectionAbortedError
        when the connection ended before the answer.
        """


class Notification:
    """The documents of one session: versions count by one, one is in flight, the newest follows.

    Peers that do not say that they read them get none: a spec-conforming document blanks a real client's call window.
    """

    def __init__(
        self,
        *,
        sid: str,
        local: JID,
        peer: JID,
        outbox: DocumentOutbox,
        features: Callable[[JID], Awaitable[frozenset[str]]],
        document: Callable[[], ConferenceInfo],
        coalesce: float,
    ) -> None:
        self._sid = sid
        self._local = local
        self._peer = peer
        self._outbox = outbox
        self._features = features
        self._document = document
        self._coalesce = coalesce
        self._version = 0
        self._changed = asyncio.Event()
        self._last: ConferenceInfo | None = None
        self._forced = False
        self._silent = False
        self._acknowledged = False

    def changed(self, *, force: bool = False) -> None:
        """The conference has changed; with `force` a document is sent even if it says the same as the last."""
        self._forced |= force
        self._changed.set()

    async def run(self) -> None:
        """Send until cancelled, or until the peer says that it wants none."""
        if not COIN_FEATURES & await self._features(self._peer):
            return
        delay = self._coalesce
        while True:
            await self._changed.wait()
            await asyncio.sleep(delay)
            self._changed.clear()
            document = self._document()
            forced, self._forced = self._forced, False
            if document == self._last and not forced:
                continue
            try:
                async with asyncio.timeout(SILENT_INTERVAL if self._silent else ANSWER_TIMEOUT):
                    await self._outbox.iq_set(self._local, self._peer, self._next(document))
            except (ServiceUnavailable, FeatureNotImplemented) as error:
                if not self._acknowledged or isinstance(error, FeatureNotImplemented):
                    log.info("%s does not take conference documents", self._peer)
                    return
                delay = self._try_again(delay)  # it has taken some: it is offline, and may come back
                continue
            except StanzaError as error:
                log.info("%s refused a conference document: %s", self._peer, error)
            except ConnectionError as error:
                if not isinstance(error, ConnectionAbortedError):
                    self._version -= 1  # it has not left; the other kind may have arrived, and with its version
                delay = self._try_again(delay)
                continue
            except TimeoutError:
                self._silent = True
                if self._acknowledged:  # it has answered before: this one may have been lost on the way
                    delay = self._try_again(delay)
                    continue
            else:
                self._silent, self._acknowledged = False, True
            self._last = document
            delay = SILENT_INTERVAL if self._silent else self._coalesce

    def _try_again(self, delay: float) -> float:
        """What could not be delivered is sent again, after twice the time."""
        self.changed(force=True)
        return min(max(2 * delay, 0.5), LONGEST_DELAY)

    def full(self) -> ConferenceInfo:
        """The document now, for a peer that asks for it."""
        return self._next(self._document())

    def _next(self, document: ConferenceInfo) -> ConferenceInfo:
        self._version += 1
        return document.model_copy(update={"version": self._version, "sid": self._sid})
