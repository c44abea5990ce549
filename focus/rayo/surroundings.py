"""What the server needs from the outside: who hears of events, and who takes calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from focus.wire.jid import JID
from focus.wire.message import CallMessage
from focus.wire.rayo import Event


class Client(Protocol):
    """A Rayo client in the same process."""

    def deliver(self, sender: JID, event: Event) -> None: ...


class EventOutbox(Protocol):
    """The way to the Rayo clients outside."""

    def event(self, sender: JID, to: JID, event: Event) -> None: ...

    def mixer_presence(self, sender: JID, to: JID, *, available: bool) -> None:
        """That the mixer `sender` is there, with its capabilities, or no more (XEP-0327 section 6.4)."""

    def hand_on(self, sender: JID, to: JID, message: CallMessage) -> None:
        """Send `message`, which a client has sent to a call, to the call's peer (XEP-0327 section 6.8)."""


class Application(Protocol):
    """Who takes the calls that come in, and the mixers that others make."""

    def controllers(self, called: JID, mixer: str) -> Iterable[JID]:
        """The potential controlling parties of a call to the mixer `mixer`; none refuses the caller."""

    def mixer_opened(self, name: str) -> None:
        """A join has made the mixer `name`, of a room."""

    def nick(self, mixer: str, peer: JID) -> str:
        """What `peer` is called in the room of the mixer `mixer`; nothing where that is not known."""
