"""What is said to those whose calls end because of what happened in the room; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from focus.conference.room import Cause, Departure
from focus.rayo.headers import REASON_HEADER, REDIRECT_HEADER, TEXT_HEADER
from focus.wire.conference_info import DisconnectionMethod
from focus.wire.jid import JID
from focus.wire.rayo import Header

#: Characters of a header's value (`focus.wire.rayo`).
MAX_VALUE = 1023

_WORDS = {
    Departure.LEFT: "you have left the room",
    Departure.KICKED: "you have been kicked out of the room",
    Departure.BANNED: "you have been banned from the room",
    Departure.REMOVED: "you may not be in the room any more",
    Departure.DESTROYED: "the room has been destroyed",
    Departure.LOST: "the room cannot be reached any more",
}


@dataclass(frozen=True, slots=True)
class Goodbye:
    """`text` for people, `instead` the address to call now, `method` and `cause` for those who stay (RFC 4575 sections
    5.7.6 and 5.7.7)."""

    text: str
    instead: str = ""
    method: DisconnectionMethod = "booted"
    cause: Cause = field(default_factory=Cause)

    @classmethod
    def of(cls, departure: Departure, cause: Cause) -> Self:
        """To an occupant who is one no more."""
        by = f" by {cause.by}" if cause.by else ""
        method: DisconnectionMethod = "departed" if departure is Departure.LEFT else "booted"
        return cls(_with_reason(f"{_WORDS[departure]}{by}", cause), method=method, cause=cause)

    @classmethod
    def of_room(cls, departure: Departure, cause: Cause, call: JID | None) -> Self:
        """To everybody, as the focus has lost the room; `call` is what to call for the one in its place."""
        if departure is not Departure.DESTROYED:
            return cls(_with_reason("the focus may not be in the room any more", cause), cause=cause)
        where = f"; it goes on in {cause.venue}" if cause.venue is not None else ""
        text = _with_reason(_WORDS[departure], cause) + where
        return cls(text, call.uri if call is not None else "", cause=cause)

    def headers(self) -> tuple[Header, ...]:
        """Of a `<hangup/>`."""
        instead = self.instead if len(self.instead) <= MAX_VALUE else ""
        pairs = ((REASON_HEADER, "gone"), (REDIRECT_HEADER, instead))
        return (*saying(self.text), *(Header(name=name, value=value) for name, value in pairs if value))


def saying(text: str) -> tuple[Header, ...]:
    """Headers that give the peer a text for people."""
    return (Header(name=TEXT_HEADER, value=text[:MAX_VALUE]),)


def _with_reason(words: str, cause: Cause) -> str:
    return f"{words}: {cause.reason}" if cause.reason else words
