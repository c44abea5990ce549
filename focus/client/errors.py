"""What goes wrong between a Rayo client and its service."""

from __future__ import annotations

from focus.wire.conditions import StanzaError
from focus.wire.rayo import End


class RayoError(Exception):
    """A refusal of the service, or one of those below: `condition` and `type` of the stanza error (XEP-0327 section
    6.5), and a `text` for people, which may be empty."""

    def __init__(self, condition: str, type: str, text: str = "") -> None:
        super().__init__(f"{text} ({condition})" if text else condition)
        self.condition = condition
        self.type = type
        self.text = text

    @classmethod
    def of(cls, error: StanzaError) -> RayoError:
        return RayoError(error.condition, error.type, error.text)


class NoAnswer(RayoError):
    """Nobody has answered a command in time: it may have been carried out, or not."""

    def __init__(self, text: str) -> None:
        super().__init__("remote-server-timeout", "wait", text)


class NoService(RayoError):
    """There is no Rayo service at that address."""

    def __init__(self, text: str, condition: str = "service-unavailable", type: str = "cancel") -> None:
        super().__init__(condition, type, text)


class SessionLost(RayoError):
    """The session with the XMPP server, or the service itself, is gone; so the client is over."""

    def __init__(self, text: str) -> None:
        super().__init__("remote-server-timeout", "wait", text)


class EventsLost(RayoError):
    """More events came than were read: some are missing here. Who reads on gets those that have come since."""

    def __init__(self, text: str) -> None:
        super().__init__("resource-constraint", "wait", text)


class CallEnded(RayoError):
    """The call is over; `end` says why."""

    def __init__(self, uri: str, end: End) -> None:
        super().__init__("item-not-found", "cancel", f"the call {uri} has ended: {end.reason}")
        self.end = end
