"""Who is rung, by whatever conference, and how often: rooms are many and free, people have one pair of ears."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from focus.conference.people import Failure
from focus.conference.summoning import MAX_REMEMBERED, Pace
from focus.wire.jid import JID

#: How often one account is rung because it is configured to be, and because moderators want it: (times, seconds).
CONFIGURED = (12, 3600.0)
WANTED = (10, 600.0)

#: Seconds for which who has declined is left alone.
REST = 300.0


class Doorbells:
    """Shared by all conferences. Seconds are those of the event loop."""

    def __init__(self) -> None:
        self.configured, self.wanted = Pace(*CONFIGURED), Pace(*WANTED)
        self._ringing: set[JID] = set()
        self._declined: OrderedDict[JID, float] = OrderedDict()

    def refusal(self, person: JID, pace: Pace, now: float) -> Failure | None:
        """Why `person` must not be rung now at `pace`, one of ours; it can be tried again unless that is final."""
        if self._declined.get(person, -REST) > now - REST:
            return Failure(datetime.now(UTC), "failed", "they have declined a moment ago", is_final=True)
        if not pace.would_allow(person, now):
            return Failure(datetime.now(UTC), "failed", "they have been called too often", is_final=True)
        if person in self._ringing:
            return Failure(datetime.now(UTC), "busy", "busy")
        return None

    @contextmanager
    def ring(self, person: JID, pace: Pace, now: float) -> Iterator[None]:
        """It rings, as there is no refusal."""
        pace.allows(person, now)
        self._ringing.add(person)
        try:
            yield
        finally:
            self._ringing.discard(person)

    def declined(self, person: JID, now: float) -> None:
        self._declined[person] = now
        self._declined.move_to_end(person)
        if len(self._declined) > MAX_REMEMBERED:
            self._declined.popitem(last=False)
