"""Conference documents on their way to the participants (XEP-0298 section 6, RFC 4575 section 4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from focus.conference.brevity import Brevity
from focus.conference.subscription import Document, Edition, Subscription
from focus.wire.base import Payload
from focus.wire.coin import COIN_FEATURES
from focus.wire.conditions import FeatureNotImplemented, ServiceUnavailable, StanzaError
from focus.wire.conference_info import ConferenceInfo
from focus.wire.jid import JID

log = logging.getLogger(__name__)

#: Seconds between two documents to a peer that does not answer them.
SILENT_INTERVAL = 1.0
#: Seconds between two attempts to reach a peer that is offline: the first, and the longest.
FIRST_DELAY, LONGEST_DELAY = 0.5, 8.0
#: Attempts in a row to reach a peer that has taken documents before: for about a minute.
ATTEMPTS = 11
#: Seconds that an answer is waited for.
ANSWER_TIMEOUT = 10.0
#: Participants who are told before the event loop goes round; a document takes about 0.1 ms.
STRIDE = 20
#: Calls of which it is known what they have been told; those that nobody has seen end are forgotten first.
MAX_CALLS = 10_000


class DocumentOutbox(Protocol):
    """The way to a participant."""

    async def iq_set(self, sender: JID, to: JID, element: Payload) -> None:
        """Returns at the result.

        Raises `StanzaError` of the peer, TimeoutError, ConnectionError at once when offline, and ConnectionAbortedError
        when the connection ended before the answer.
        """


class Publication:
    """The newest edition of a conference's document. Changes within `coalesce` seconds are one edition."""

    def __init__(self, document: Callable[[], ConferenceInfo], coalesce: float) -> None:
        """`document`: makes the full document, without version and sid."""
        self.coalesce = coalesce
        #: Of each participant; set when there is another edition.
        self.readers: set[asyncio.Event] = set()
        self._document = document
        self._brevity = Brevity()
        self._edition: Edition | None = None
        self._changed = asyncio.Event()

    @property
    def edition(self) -> Edition:
        if self._edition is None:
            self._edition = Edition(1, self._brevity.fitted(self._document()))
        return self._edition

    def changed(self) -> None:
        """The conference has changed, perhaps."""
        self._changed.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(self.coalesce)
            self._changed.clear()
            try:
                is_news = self._publish(self._brevity.fitted(self._document()))
            except Exception:
                log.exception("the conference goes on after a fault")
                continue
            for number, reader in enumerate(tuple(self.readers) if is_news else ()):
                if number % STRIDE == STRIDE - 1:
                    await asyncio.sleep(0)
                reader.set()

    def _publish(self, document: ConferenceInfo) -> bool:
        """Whether there is another edition."""
        if self._edition is not None and document == self._edition.document:
            return False
        number = 1
        if self._edition is not None:
            number = self._edition.number + 1
            self._edition.close()
        self._edition = Edition(number, document)
        return True


class Reading:
    """What one session is told. To its peer all is one row of documents, whichever conferences the session is in: of
    several the one that it came to first has the `turn`, until it leaves that."""

    def __init__(self, sid: str) -> None:
        self.subscription = Subscription(sid)
        self.turn = asyncio.Lock()


class Readings:
    """Those of all calls, which can be taken out of one conference and put into another, or back."""

    def __init__(self) -> None:
        self._readings: dict[JID, Reading] = {}

    def of(self, call: JID, sid: str) -> Reading:
        """That of `call`, which is carried by the session `sid`."""
        known = self._readings.pop(call, None)
        reading = self._readings[call] = Reading(sid) if known is None else known
        if len(self._readings) > MAX_CALLS:
            del self._readings[next(iter(self._readings))]
        return reading

    def forget(self, call: JID) -> None:
        """`call` has ended."""
        self._readings.pop(call, None)


class Notification:
    """The documents of one conference to one session: one is in flight, and the newest edition follows.

    Peers that do not say that they read them get none: a spec-conforming document blanks a real client's call window.
    """

    def __init__(
        self,
        reading: Reading,
        *,
        local: JID,
        peer: JID,
        outbox: DocumentOutbox,
        features: Callable[[JID], Awaitable[frozenset[str]]],
        publication: Publication,
    ) -> None:
        self._local = local
        self._peer = peer
        self._outbox = outbox
        self._features = features
        self._publication = publication
        self._subscription = reading.subscription
        self._turn = reading.turn
        self._due = asyncio.Event()
        self._failures = 0

    def repeat(self) -> None:
        """Send a full document even if the peer should have it."""
        self._subscription.repeat()
        self._due.set()

    def full(self) -> Document:
        """The full document for a peer that asks for it."""
        return self._subscription.answer(self._publication.edition)

    async def run(self) -> None:
        """Send until cancelled, or until the peer says that it wants none."""
        if not COIN_FEATURES & await self._features(self._peer):
            return
        async with self._turn:
            if not self._subscription.is_over:
                await self._tell_all()

    async def _tell_all(self) -> None:
        self._publication.readers.add(self._due)
        try:
            pause: float | None = self._publication.coalesce  # what is new at once is told at once
            while pause is not None:
                await asyncio.sleep(pause)
                while not self._subscription.wants(self._publication.edition):
                    self._due.clear()
                    await self._due.wait()
                pause = await self._tell()
        finally:
            self._publication.readers.discard(self._due)
            self._subscription.part()

    async def _tell(self) -> float | None:
        """Send one document; returns the seconds to wait before another, or None when none is wanted."""
        subscription, loop = self._subscription, asyncio.get_running_loop()
        document, began = subscription.next(self._publication.edition), loop.time()
        try:
            async with asyncio.timeout(SILENT_INTERVAL if subscription.silent else ANSWER_TIMEOUT):
                await self._outbox.iq_set(self._local, self._peer, document)
        except (ServiceUnavailable, FeatureNotImplemented) as error:
            # Who has taken some is offline, as its server says, and may come back.
            is_offline = subscription.acknowledged and not isinstance(error, FeatureNotImplemented)
            subscription.lost()
            if not is_offline or self._failures >= ATTEMPTS:
                log.info("%s does not take conference documents", self._peer)
                subscription.is_over = True
                return None
            return self._after_failure()
        except StanzaError as error:
            log.info("%s refused a conference document: %s", self._peer, error)
            if error.type == "wait" and document.told.state == "full" and self._failures < ATTEMPTS:
                subscription.lost()
                return self._after_failure()
            subscription.refused()
            pause = self._publication.coalesce
        except ConnectionAbortedError:
            subscription.lost()
            return self._after_failure()
        except ConnectionError:
            subscription.unsent()
            return self._after_failure()
        except TimeoutError:
            subscription.unanswered()
            pause = max(0.0, began + SILENT_INTERVAL - loop.time())
        else:
            subscription.arrived()
            pause = 0.0
        self._failures = 0
        return pause

    def _after_failure(self) -> float:
        """What could not be delivered is sent again, each time after twice the time."""
        pause: float = min(FIRST_DELAY * 2**self._failures, LONGEST_DELAY)
        self._failures += 1
        return pause
