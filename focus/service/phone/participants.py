"""Who is in the conference, as its documents tell (RFC 4575 sections 4.4 to 4.6)."""

from __future__ import annotations

from typing import Any

from focus.wire.conference_info import ConferenceInfo, Endpoint, User


class Participants:
    """The users of the last full document and of the partial ones since."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._version: int | None = None

    def update(self, document: ConferenceInfo) -> bool:
        """Take the news in. False, and nothing is changed, for a document older than what is known."""
        state, version = document.state or "full", document.version
        if state != "full" and self._version is not None and version is not None and version <= self._version:
            return False
        if version is not None:
            self._version = version
        users = document.users
        if state == "full" or (users is not None and users.state == "full"):
            self._users = {}
        for position, user in enumerate(users.users if users is not None else ()):
            key = user.entity or f"#{position}"
            if user.state == "deleted":
                self._users.pop(key, None)
            elif user.state == "partial" and key in self._users:
                self._users[key] = _merged(self._users[key], user)
            else:
                self._users[key] = user
        return True

    def described(self) -> list[dict[str, Any]]:
        """For JSON: entity, display text, roles, and of each endpoint its status and streams."""
        return [
            {
                "entity": user.entity,
                "display": user.display_text,
                "roles": list(user.roles.entries) if user.roles is not None else [],
                "endpoints": [_described(endpoint) for endpoint in user.endpoints],
            }
            for user in self._users.values()
        ]


def _merged(known: User, news: User) -> User:
    """Section 4.6: what is there replaces what was there, endpoint by endpoint."""
    endpoints = {endpoint.entity: endpoint for endpoint in known.endpoints}
    for endpoint in news.endpoints:
        before = endpoints.get(endpoint.entity)
        if endpoint.state == "deleted":
            endpoints.pop(endpoint.entity, None)
        elif endpoint.state == "partial" and before is not None:
            media = {stream.id: stream for stream in (*before.media, *endpoint.media)}
            endpoints[endpoint.entity] = before.model_copy(update={**_said(endpoint), "media": tuple(media.values())})
        else:
            endpoints[endpoint.entity] = endpoint
    return known.model_copy(update={**_said(news), "endpoints": tuple(endpoints.values())})


def _said(part: User | Endpoint) -> dict[str, Any]:
    """The fields that are there."""
    fields = {name: getattr(part, name) for name in type(part).model_fields}
    return {name: value for name, value in fields.items() if value is not None and value != ()}


def _described(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "entity": endpoint.entity,
        "status": endpoint.status,
        "joined": endpoint.joining_method,
        "media": [
            {"id": stream.id, "type": stream.type, "status": stream.status, "source": stream.src_id}
            for stream in endpoint.media
        ],
    }
