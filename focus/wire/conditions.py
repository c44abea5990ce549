"""Errors that carry the stanza error they become (RFC 6120 section 8.3.3, XEP-0327, XEP-0166 section 10)."""

from __future__ import annotations

from typing import ClassVar

JINGLE_ERRORS = "urn:xmpp:jingle:errors:1"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


class StanzaError(Exception):
    """A refusal with its stanza error `condition` and `type`, and a text that says what was wrong.

    `application` is the application-specific condition, as (namespace, name).
    """

    condition: ClassVar[str] = "undefined-condition"
    type: ClassVar[str] = "cancel"
    application: ClassVar[tuple[str, str] | None] = None

    def __init__(self, text: str = "") -> None:
        super().__init__(text or self.condition)
        self.text = text


class BadRequest(StanzaError):
    condition, type = "bad-request", "modify"


class FeatureNotImplemented(StanzaError):
    """Something asked for that does not exist here."""

    condition, type = "feature-not-implemented", "cancel"


class OptionNotSupported(StanzaError):
    """A known command with an option that cannot be met (XEP-0327 section 6.5)."""

    condition, type = "feature-not-implemented", "modify"


class ItemNotFound(StanzaError):
    condition, type = "item-not-found", "cancel"


class Conflict(StanzaError):
    condition, type = "conflict", "cancel"


class AddressTaken(StanzaError):
    """A call was wanted at an address where something lives already (XEP-0327 section 6.2.1.1)."""

    condition, type = "conflict", "modify"


class NotTheOwner(StanzaError):
    """A command from a client that does not control its target (XEP-0327 section 6.2)."""

    condition, type = "conflict", "cancel"


class NotAllowed(StanzaError):
    condition, type = "not-allowed", "cancel"


class NotAcceptable(StanzaError):
    condition, type = "not-acceptable", "modify"


class OtherWayAgreed(StanzaError):
    """A key is told by Jingle where keys go with the sound (XEP-0181 section 2)."""

    condition, type = "not-acceptable", "cancel"


class Forbidden(StanzaError):
    condition, type = "forbidden", "auth"


class NotAuthorized(StanzaError):
    condition, type = "not-authorized", "auth"


class RegistrationRequired(StanzaError):
    condition, type = "registration-required", "auth"


class ResourceConstraint(StanzaError):
    condition, type = "resource-constraint", "wait"


class ServiceUnavailable(StanzaError):
    condition, type = "service-unavailable", "cancel"


class InternalServerError(StanzaError):
    condition, type = "internal-server-error", "cancel"


class WrongState(StanzaError):
    """Right command, wrong moment."""

    condition, type = "unexpected-request", "wait"


class OutOfOrder(StanzaError):
    """A Jingle action that the session's state does not know (XEP-0166 section 10)."""

    condition, type = "unexpected-request", "wait"
    application = (JINGLE_ERRORS, "out-of-order")


class UnknownSession(StanzaError):
    """No session with this peer and sid (XEP-0166 section 10)."""

    condition, type = "item-not-found", "cancel"
    application = (JINGLE_ERRORS, "unknown-session")


class UnsupportedInfo(StanzaError):
    """A session-info payload that nobody here knows (XEP-0166 section 6.8)."""

    condition, type = "feature-not-implemented", "modify"
    application = (JINGLE_ERRORS, "unsupported-info")


class TieBreak(StanzaError):
    """Both sides did the same at once, and the other side's action stands (XEP-0166 section 7.2.16)."""

    condition, type = "conflict", "cancel"
    application = (JINGLE_ERRORS, "tie-break")
