"""Who is in the conference, as its documents tell (RFC 4575 sections 4.4 to 4.6)."""

from __future__ import annotations

from typing import Any

from focus.conference.partial import Outcome, Reader
from focus.wire.conditions import WrongState
from focus.wire.conference_info import ConferenceInfo, Endpoint


class Participants:
    """The users of the last full document and of the partial ones since."""

    def __init__(self) -> None:
        self._reader = Reader()

    def update(self, document: ConferenceInfo) -> bool:
        """Take the news in. False, and nothing is changed, for a document not newer than what is known.

        Raises `WrongState` for one that does not follow: its sender owes a full one then.
        """
        outcome = self._reader.read(document)
        if outcome is Outcome.GAP:
            raise WrongState("a document before this one is missing")
        return outcome is not Outcome.STALE

    def described(self) -> list[dict[str, Any]]:
        """For JSON: entity, display text, roles, and of each endpoint its status, since when its hand is raised, and
        streams."""
        known = self._reader.document
        return [
            {
                "entity": user.entity,
                "display": user.display_text,
                "roles": list(user.roles.entries) if user.roles is not None else [],
                "endpoints": [_described(endpoint) for endpoint in user.endpoints],
            }
            for user in (known.users.users if known is not None and known.users is not None else ())
        ]


def _described(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "entity": endpoint.entity,
        "status": endpoint.status,
        "hand": endpoint.hand.since if endpoint.hand is not None else None,
        "joined": endpoint.joining_method,
        "media": [
            {"id": stream.id, "type": stream.type, "status": stream.status, "source": stream.src_id}
            for stream in endpoint.media
        ],
    }
