"""Why and how a session ends, and what it means when nobody says why (XEP-0166 section 7.4)."""

from __future__ import annotations

from typing import NamedTuple

from focus.jingle.session import Party
from focus.wire.conditions import StanzaError
from focus.wire.jingle import Reason


class Ending(NamedTuple):
    """`terminate`: whether the peer is to be told by a session-terminate."""

    reason: Reason
    by_peer: bool
    terminate: bool
    tie_break: bool = False
    migrated_to: str | None = None


#: What a peer means by refusing our session-initiate or session-accept (section 6.3.2).
_REFUSALS = {
    "conflict": "expired",
    "feature-not-implemented": "unsupported-applications",
    "item-not-found": "gone",
    "gone": "gone",
    "recipient-unavailable": "gone",
    "remote-server-not-found": "gone",
    "remote-server-timeout": "timeout",
    "resource-constraint": "busy",
    "service-unavailable": "gone",
    "not-allowed": "decline",
    "forbidden": "decline",
}


def of_refusal(error: StanzaError) -> Reason:
    """The reason that the stanza error of a peer stands for."""
    return Reason.of(_REFUSALS.get(error.condition, "general-error"), error.text or error.condition)


def unexplained(role: Party, *, settled: bool) -> Reason:
    """What the peer means by a session-terminate without a reason, seen from the side `role`."""
    if settled:
        return Reason.of("success")
    return Reason.of("decline" if role is Party.INITIATOR else "cancel")
