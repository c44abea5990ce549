"""Partial documents: what has changed, and how it is put together again (RFC 4575 sections 4.4 to 4.6); pure.

Users and endpoints are known by `entity`, media by `id`, addresses by `uri`. Only what has a state of its own can be
told in part: whatever else is in a document is told whole, and when something of it is gone, so is what it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from enum import Enum, auto
from typing import TypeVar

from focus.wire.conference_info import (
    ConferenceDescription,
    ConferenceInfo,
    Endpoint,
    Uris,
    User,
    Users,
)

Part = TypeVar("Part", User, Endpoint)
Element = TypeVar("Element", ConferenceInfo, User, Endpoint)


# --- what has changed ---


def difference(base: ConferenceInfo, new: ConferenceInfo) -> ConferenceInfo:
    """What to tell who has `base`: a partial document, or all of `new` where less would not do or not be less.

    Both are full documents, in which no two users have one entity, and no two endpoints of a user.
    """
    singles = ("description", "host_info", "conference_state", "users")
    if _lacks(base, new, singles) or base.users is None or new.users is None:
        return new
    changes = _keyed(base.users.users, new.users.users, _user, _user_gone)
    if sum(user.state != "partial" for user in changes) >= max(len(new.users.users), 1):
        return new
    return _only_news(base, new, singles).model_copy(update={"users": Users(state="partial", users=changes)})


def _user(base: User, new: User) -> User:
    singles = ("display_text", "associated_aors", "roles", "cascaded_focus")
    if _lacks(base, new, singles):
        return new
    endpoints = _keyed(base.endpoints, new.endpoints, _endpoint, _endpoint_gone)
    news = _only_news(base, new, singles).model_copy(update={"endpoints": endpoints})
    if news.associated_aors is not None and base.associated_aors is not None:
        return news.model_copy(update={"associated_aors": _uris(base.associated_aors, news.associated_aors)})
    return news


def _endpoint(base: Endpoint, new: Endpoint) -> Endpoint:
    singles = (
        "display_text",
        "status",
        "joining_method",
        "joining_info",
        "disconnection_method",
        "disconnection_info",
        "call_info",
        "hand",
    )
    before = {media.id: media for media in base.media}
    if _lacks(base, new, singles) or not before.keys() <= {media.id for media in new.media}:
        return new
    media = tuple(media for media in new.media if media != before.get(media.id))
    return _only_news(base, new, singles).model_copy(update={"media": media})


def _uris(base: Uris, new: Uris) -> Uris:
    before = {entry.uri: entry for entry in base.entries}
    if not before.keys() <= {entry.uri for entry in new.entries}:
        return new
    return Uris(state="partial", entries=tuple(entry for entry in new.entries if entry != before.get(entry.uri)))


def _lacks(base: Element, new: Element, names: Iterable[str]) -> bool:
    """Whether something that cannot be told to be gone is gone."""
    return any(getattr(base, name) is not None and getattr(new, name) is None for name in names)


def _only_news(base: Element, new: Element, names: Iterable[str]) -> Element:
    """`new` as partial, without those of its parts that `base` has, too."""
    same = {name: None for name in names if getattr(new, name) == getattr(base, name)}
    return new.model_copy(update={"state": "partial", **same})


def _keyed(
    base: tuple[Part, ...], new: tuple[Part, ...], change: Callable[[Part, Part], Part], gone: Callable[[Part], Part]
) -> tuple[Part, ...]:
    before = {part.entity: part for part in base}
    news: list[Part] = []
    for part in new:
        known = before.pop(part.entity, None)
        if known is None:
            news.append(part)
        elif known is not part and known != part:
            news.append(change(known, part))
    return tuple([gone(part) for part in before.values()] + news)


def _user_gone(user: User) -> User:
    return User(entity=user.entity, state="deleted")


def _endpoint_gone(endpoint: Endpoint) -> Endpoint:
    return Endpoint(entity=endpoint.entity, state="deleted")


# --- how it is put together ---


class Outcome(Enum):
    """What became of a document that was read."""

    APPLIED = auto()
    STALE = auto()
    """Not newer than what is known: nothing is changed."""
    GAP = auto()
    """Something before it is missing: nothing is changed, and the full document must be asked for."""
    ENDED = auto()
    """The conference is over."""


class Reader:
    """The conference as one subscriber sees it: `document` is a full one, None before the first and after the end."""

    def __init__(self) -> None:
        self.document: ConferenceInfo | None = None
        self.version: int | None = None

    def read(self, news: ConferenceInfo) -> Outcome:
        """Take `news` in (section 4.6). A full document may come without a version: no partial one can follow it."""
        version = news.version
        if self.version is not None and version is not None and version <= self.version:
            return Outcome.STALE
        if news.state == "deleted":
            self.document, self.version = None, version
            return Outcome.ENDED
        if news.state != "partial":
            self.document, self.version = _settled(news), version
            return Outcome.APPLIED
        if self.document is None or self.version is None or version != self.version + 1:
            return Outcome.GAP
        self.document, self.version = _with_news(self.document, news), version
        return Outcome.APPLIED


def _settled(news: ConferenceInfo) -> ConferenceInfo:
    users = None if news.users is None else _settled_users(news.users)
    description = None if news.description is None else _description(None, news.description)
    return news.model_copy(update={"state": "full", "users": users, "description": description})


def _settled_users(users: Users) -> Users | None:
    if users.state == "deleted":
        return None
    return Users(state="full", users=_taken((), users.users, _user_with_news, _settled_user))


def _settled_user(user: User) -> User:
    endpoints = _taken((), user.endpoints, _endpoint_with_news, _settled_endpoint)
    aors = _list(None, user.associated_aors)
    return user.model_copy(update={"state": "full", "endpoints": endpoints, "associated_aors": aors})


def _settled_endpoint(endpoint: Endpoint) -> Endpoint:
    media = _by_key((), endpoint.media, lambda media: media.id)
    return endpoint.model_copy(update={"state": "full", "media": media})


def _with_news(known: ConferenceInfo, news: ConferenceInfo) -> ConferenceInfo:
    said = _said(news, ("host_info", "conference_state"))
    if news.description is not None:
        said["description"] = _description(known.description, news.description)
    if news.users is not None:
        if news.users.state == "partial" and known.users is not None:
            users = _taken(known.users.users, news.users.users, _user_with_news, _settled_user)
            said["users"] = Users(state="full", users=users)
        else:
            said["users"] = _settled_users(news.users)
    return known.model_copy(update={"version": news.version, **said})


def _description(known: ConferenceDescription | None, news: ConferenceDescription) -> ConferenceDescription:
    """It has no state and replaces the one before; the lists in it have, and may add to those before."""
    return news.model_copy(
        update={
            "conf_uris": _list(known.conf_uris if known is not None else None, news.conf_uris),
            "service_uris": _list(known.service_uris if known is not None else None, news.service_uris),
        }
    )


def _user_with_news(known: User, news: User) -> User:
    said = _said(news, ("display_text", "roles", "cascaded_focus"))
    if news.associated_aors is not None:
        said["associated_aors"] = _list(known.associated_aors, news.associated_aors)
    said["endpoints"] = _taken(known.endpoints, news.endpoints, _endpoint_with_news, _settled_endpoint)
    return known.model_copy(update=said)


def _endpoint_with_news(known: Endpoint, news: Endpoint) -> Endpoint:
    names = set(Endpoint.model_fields) - {"entity", "state", "media"}
    media = _by_key(known.media, news.media, lambda media: media.id)
    return known.model_copy(update={**_said(news, names), "media": media})


def _list(known: Uris | None, news: Uris | None) -> Uris | None:
    if news is None or news.state == "deleted":
        return None
    before = known.entries if known is not None and news.state == "partial" else ()
    return Uris(state="full", entries=_by_key(before, news.entries, lambda entry: entry.uri))


def _said(news: Element, names: Iterable[str]) -> dict[str, object]:
    return {name: value for name in names if (value := getattr(news, name)) is not None}


def _taken(
    known: tuple[Part, ...], news: tuple[Part, ...], merge: Callable[[Part, Part], Part], settle: Callable[[Part], Part]
) -> tuple[Part, ...]:
    """Each of `news` by its own state; what has no key cannot be told apart and is left out."""
    parts = {part.entity: part for part in known}
    for part in news:
        if part.entity is None:
            continue
        if part.state == "deleted":
            parts.pop(part.entity, None)
        elif part.state == "partial" and part.entity in parts:
            parts[part.entity] = merge(parts[part.entity], part)
        else:
            parts[part.entity] = settle(part)
    return tuple(parts.values())


Keyed = TypeVar("Keyed")


def _by_key(known: Iterable[Keyed], news: Iterable[Keyed], key: Callable[[Keyed], Hashable]) -> tuple[Keyed, ...]:
    return tuple({key(part): part for part in (*known, *news)}.values())
