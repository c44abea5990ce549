"""The documents of one conference (XEP-0298): what its participants are told, and what they tell of their own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Protocol

from focus.conference.notification import DocumentOutbox, Notification, Publication, Readings
from focus.conference.partial import Outcome, Reader
from focus.conference.roster import Roster
from focus.conference.subscription import Document
from focus.wire.conditions import WrongState
from focus.wire.conference_info import ConferenceInfo
from focus.wire.jid import JID
from focus.wire.session import Session

#: An address that a document can name (RFC 3986).
_URI = re.compile(r"""[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20"<>\\^`{|}\x7f]+""")


class Owner(Protocol):
    """The conference, as far as it is told."""

    roster: Roster

    def update(self, roster: Roster) -> None:
        """This is who is there now."""

    def spawn(self, call: JID, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do `work` on behalf of `call` beside all else, until the conference ends."""


class Documents:
    """The documents of one conference, to each participant and from those who are a focus themselves."""

    def __init__(
        self,
        owner: Owner,
        outbox: DocumentOutbox,
        features: Callable[[JID], Awaitable[frozenset[str]]],
        readings: Readings,
        *,
        coalesce: float,
    ) -> None:
        self._owner = owner
        self._outbox = outbox
        self._features = features
        self._readings = readings
        self._publication = Publication(lambda: owner.roster.document(), coalesce)
        self._notifications: dict[JID, tuple[Notification, asyncio.Task[None]]] = {}
        self._readers: dict[JID, Reader] = {}  # of the documents of those who are a focus themselves

    async def run(self) -> None:
        """Publish until cancelled."""
        await self._publication.run()

    def changed(self) -> None:
        """The conference has changed, perhaps."""
        self._publication.changed()

    def begin(self, call: JID, session: Session) -> None:
        """`call` takes part by `session`; nothing happens where that is known."""
        if call in self._notifications:
            return
        notification = Notification(
            self._readings.of(call, session.sid),
            local=JID.parse(session.local),
            peer=JID.parse(session.peer),
            outbox=self._outbox,
            features=self._features,
            publication=self._publication,
        )
        self._notifications[call] = (notification, self._owner.spawn(call, notification.run))

    def end(self, call: JID) -> None:
        """`call` takes part no more."""
        if (known := self._notifications.pop(call, None)) is not None:
            known[1].cancel()
        self._readers.pop(call, None)

    def forget(self, call: JID) -> None:
        """`call` has ended."""
        self._readings.forget(call)

    def repeat(self) -> None:
        """Send full documents even to those who should have them, and ask anew who could not be asked whether they read
        any while there was no session."""
        for call, (notification, telling) in self._notifications.items():
            notification.repeat()
            if telling.done():
                self._notifications[call] = (notification, self._owner.spawn(call, notification.run))

    def address(self, peer: JID, sid: str | None) -> JID | None:
        """Ours in the session of a participant, which is another room's where the call has come from there; or None."""
        call = self._call_of(peer, sid)
        return JID.parse(self._owner.roster.participants[call].session.local) if call is not None else None

    def full_for(self, peer: JID, sid: str) -> Document | None:
        """The full document for the participant whose session this is, or None."""
        call = self._call_of(peer, sid)
        return self._notifications[call][0].full() if call in self._notifications else None

    def read(self, peer: JID, document: ConferenceInfo) -> None:
        """What a participant that is a focus tells of its own conference: of that one, others are told the address.

        Raises `WrongState` where a document before is missing.
        """
        call = self._call_of(peer, document.sid)
        assert call is not None
        outcome = self._readers.setdefault(call, Reader()).read(document)
        if outcome is Outcome.GAP:
            raise WrongState("a document before this one is missing")
        if outcome is Outcome.APPLIED and _URI.fullmatch(document.entity):
            self._owner.update(self._owner.roster.with_cascaded(call, document.entity))

    def _call_of(self, peer: JID, sid: str | None) -> JID | None:
        for call, participant in self._owner.roster.participants.items():
            if participant.peer == peer and sid in (None, participant.session.sid):
                return call
        return None
