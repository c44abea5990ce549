"""What the conference needs of a MUC room; `focus.xmpp.muc` provides it (XEP-0045)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from focus.wire.base import Element
from focus.wire.call_invites import CallInvite
from focus.wire.jid import JID

#: Seconds between somebody's going, from a room or offline, and the end of their call: a server that goes down takes
#: everybody's presence with it first, and that must not end the calls.
GRACE = 0.7


class Departure(StrEnum):
    """How an occupant went (XEP-0045 sections 7.14, 8.2, 9.1, 9.3 to 9.7, 10.9, 17.3)."""

    LEFT = "left"
    KICKED = "kicked"
    BANNED = "banned"
    REMOVED = "removed"
    DESTROYED = "destroyed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Occupant:
    """Somebody in the room: `jid` is the occupant JID, `real_jid` is None where the room does not tell us."""

    nick: str
    jid: JID
    real_jid: JID | None
    affiliation: str
    role: str


@dataclass(frozen=True, slots=True)
class Cause:
    """What a room says of a departure: `reason` in its words, `by` the nick of who did it (XEP-0045 section 8.2), and
    `venue` the room that takes the place of a destroyed one (section 10.9)."""

    reason: str = ""
    by: str = ""
    venue: JID | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How a room is configured (XEP-0045 sections 4.2 and 6.4), as far as it concerns calls to it.

    `moderated`: who comes has no voice until it is given.
    """

    moderated: bool = False
    members_only: bool = False
    password_protected: bool = False
    description: str = ""


class RoomObserver(Protocol):
    """Told what happens in a room, in the order of the presences, on the event loop. Our own occupant is left out."""

    def occupant_joined(self, occupant: Occupant) -> None: ...

    def occupant_changed(self, occupant: Occupant) -> None:
        """Role, affiliation or real JID changed."""

    def occupant_renamed(self, old_nick: str, occupant: Occupant) -> None: ...

    def occupant_left(self, occupant: Occupant, departure: Departure, cause: Cause) -> None: ...

    def subject_changed(self, subject: str) -> None: ...

    def anonymity_changed(self, real_jids_are_public: bool) -> None:
        """Whether everybody (not only moderators) may see real JIDs (status codes 172 and 173, `muc_nonanonymous`)."""

    def rules_changed(self, rules: Rules) -> None:
        """The room has another configuration."""

    def sight_changed(self, sees_real_jids: bool) -> None:
        """Whether we are told who is who: everybody's real JID is public, or we are a moderator."""

    def call_invited(self, occupant: Occupant | None, identifier: str, said: CallInvite) -> None:
        """Somebody has said something about an invite to a call (XEP-0482); None is ourselves. `identifier` is what the
        room calls the message by."""

    def room_lost(self, departure: Departure, cause: Cause) -> None:
        """We are no longer in the room for good: destroyed, banned or removed. A lost connection is not this."""

    def room_rejoined(self) -> None:
        """After a reconnection; the occupants have been reported anew (differences only) before this."""


class Room(Protocol):
    """A room that we are in."""

    jid: JID
    occupants: dict[str, Occupant]
    subject: str
    real_jids_are_public: bool
    rules: Rules

    @property
    def sees_real_jids(self) -> bool: ...

    async def outcasts(self) -> frozenset[JID]:
        """The accounts and domains that are banned; none where we may not know."""

    def say(self, identifier: str, element: Element, body: str | None = None) -> None:
        """Say `element` to all, in a message with this id, and `body` for those whose clients do not know it."""

    async def leave(self) -> None: ...


class RoomError(Exception):
    """A room could not be joined; `condition` is the stanza error's, or `timeout`."""

    def __init__(self, room: JID, condition: str, text: str = "") -> None:
        super().__init__(f"{room}: {condition}{f' ({text})' if text else ''}")
        self.condition = condition


class Rooms(Protocol):
    """Where rooms are joined."""

    async def join(self, room: JID, observer: RoomObserver, password: str = "") -> Room:
        """Enter `room` as our occupant, with its `password` if it has one, creating it if it does not exist.

        The occupants that are already there are reported before this returns. Raises `RoomError`.
        """
