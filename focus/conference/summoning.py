"""Who may call the focus into which rooms, and how often: pure decisions."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass

from focus.wire.jid import JID

#: Accounts or domains of which it is remembered how often they have asked.
MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Summoning:
    """`rooms`: those that are served, each by its address, or all of a chat service by its domain. `users`: accounts
    and domains whose people may summon; None is everybody."""

    rooms: frozenset[JID]
    users: frozenset[JID] | None = None

    def serves(self, room: JID) -> bool:
        return is_among(room, self.rooms)

    def may_summon(self, who: JID, room: JID) -> bool:
        """Whether `who` may call us into `room`: one of `users`, an occupant of that very room, or the room itself, as
        it speaks for its occupants only."""
        return self.users is None or who.bare == room.bare or is_among(who, self.users)


def is_among(jid: JID, entries: Collection[JID]) -> bool:
    """Whether the account of `jid` is one of `entries`, or its domain is."""
    return jid.bare in entries or JID("", jid.domain) in entries


class Pace:
    """Holds each of many to `number` times in any `seconds`."""

    def __init__(self, number: int, seconds: float) -> None:
        self._number, self._seconds = number, seconds
        self._times: OrderedDict[JID, deque[float]] = OrderedDict()

    def allows(self, who: JID, now: float) -> bool:
        """Whether `who` may once more; if so, it counts."""
        is_allowed = self.would_allow(who, now)
        times = self._times.setdefault(who, deque())
        self._times.move_to_end(who)
        if len(self._times) > MAX_REMEMBERED:
            self._times.popitem(last=False)
        if is_allowed:
            times.append(now)
        return is_allowed

    def would_allow(self, who: JID, now: float) -> bool:
        """Whether `who` may once more."""
        times = self._times.get(who, deque())
        while times and times[0] <= now - self._seconds:
            times.popleft()
        return len(times) < self._number
