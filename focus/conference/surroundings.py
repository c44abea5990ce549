"""What conferences need besides rooms and people, from whoever runs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from focus.conference.comfort import Comfort
from focus.conference.notification import DocumentOutbox, Readings
from focus.conference.policy import Policy
from focus.conference.ringing import Ringing
from focus.conference.room import Rooms
from focus.conference.roster import Host
from focus.conference.summoning import Summoning
from focus.rayo.server import Server
from focus.wire.base import Element
from focus.wire.jid import JID


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all conferences share."""

    server: Server
    rooms: Rooms
    policy: Policy
    summoning: Summoning
    ringing: Ringing
    outbox: DocumentOutbox
    features: Callable[[JID], Awaitable[frozenset[str]]]
    #: Sends a message: from, to, its id, what it says, and that in words. Whether there was a session to send it in.
    tell: Callable[[JID, JID, str, Element, str | None], bool]
    #: Counts the interruptions of the XMPP connection.
    interruptions: Callable[[], int]
    guests: str
    host: Host
    #: What is done for the ears of those in a room, if anything.
    comfort: Callable[[JID], Comfort | None] = lambda room: None
    #: What their participants have been told.
    readings: Readings = field(default_factory=Readings)
