"""Those whom a conference knows: who is in it, waits for admission, has just gone, or is being called; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from focus.wire.conference_info import DisconnectionMethod
from focus.wire.jid import JID
from focus.wire.session import Session


@dataclass(frozen=True, slots=True)
class Leaving:
    """How and why somebody goes, and by which nick in the room it was done."""

    method: DisconnectionMethod
    reason: str | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Participant:
    """One call in the conference: what its session says, and since when. `leaving`: it is being ended by us, and why.

    `cascaded`: the address of the conference that the peer mixes itself, where it is a focus, too. `hand`: since when
    somebody wants to say something.
    """

    call: JID
    session: Session
    since: datetime
    leaving: Leaving | None = None
    cascaded: str | None = None
    hand: datetime | None = None

    @property
    def peer(self) -> JID:
        return JID.parse(self.session.peer)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that is not admitted yet."""

    call: JID
    peer: JID
    since: datetime


@dataclass(frozen=True, slots=True)
class Departed:
    """A call that was in the conference until a moment ago."""

    last: Participant
    when: datetime
    how: Leaving

    @property
    def call(self) -> JID:
        return self.last.call

    @property
    def peer(self) -> JID:
        return self.last.peer

    @property
    def since(self) -> datetime:
        return self.last.since


@dataclass(frozen=True, slots=True)
class Failure:
    """Why somebody who was called has not come (RFC 4575 section 5.7.6), and whether it is of no use to call again."""

    when: datetime
    method: DisconnectionMethod
    reason: str
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Invited:
    """Somebody who is being called into the conference: `peer` is a bare JID, `by` the address of whoever wants that.

    `rings`: a device of theirs does. `failure`: what came of the last attempt, until there is another.
    """

    peer: JID
    since: datetime
    rings: bool = False
    failure: Failure | None = None
    by: str | None = None

    @property
    def call(self) -> JID:
        """There is one, now and then; they are told apart by whom they call."""
        return self.peer


Somebody = Participant | Waiting | Departed | Invited
