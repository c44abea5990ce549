"""What of a conference's document is left out where it would be larger than a stanza may be."""

from __future__ import annotations

import logging
from enum import IntEnum
from functools import cached_property

from focus.wire.base import Element, serialize
from focus.wire.conference_info import CONFERENCE_INFO, ConferenceInfo, Endpoint, User

log = logging.getLogger(__name__)

#: Bytes of a document. A stanza of ours may have 256 KiB (`focus.xmpp.connection`), addresses and all.
MAX_DOCUMENT = 240 * 1024
#: More is told again when it needs no more than so much of that: who mutes himself does not change what all are told.
ROOM_FOR_MORE = 0.9


class Detail(IntEnum):
    """How much is told of those who take part."""

    ALL = 0
    #: Who they are, their roles, how they take part, and how each is named in the RTP; but not since when, by which
    #: session, and by which address in the room.
    BRIEF = 1
    #: How many there are.
    COUNT = 2


class _Measured:
    """A user, and how many bytes it takes to tell of it."""

    def __init__(self, user: User) -> None:
        self.user = user

    @cached_property
    def brief(self) -> User:
        return self.user.model_copy(
            update={"associated_aors": None, "endpoints": tuple(_brief(each) for each in self.user.endpoints)}
        )

    @cached_property
    def size(self) -> int:
        return _size(self.user)

    @cached_property
    def brief_size(self) -> int:
        return _size(self.brief)


class Brevity:
    """Keeps the documents of one conference, one after another, within `limit` bytes."""

    def __init__(self, limit: int = MAX_DOCUMENT) -> None:
        self._limit = limit
        self._detail = self._least = Detail.ALL
        #: The users of the last document, by entity: most of them are as they were.
        self._measured: dict[str | None, _Measured] = {}

    def fitted(self, document: ConferenceInfo) -> ConferenceInfo:
        """The full `document`, or as much of it as fits."""
        if document.users is None:
            return document
        measured = {}
        for user in document.users.users:
            known = self._measured.get(user.entity)
            measured[user.entity] = known if known is not None and known.user is user else _Measured(user)
        self._measured = measured
        rest = _size(document.model_copy(update={"users": document.users.model_copy(update={"users": ()})}))
        if self._fits(Detail.ALL, rest + sum(each.size for each in measured.values())):
            self._detail = Detail.ALL
            return document
        if self._fits(Detail.BRIEF, rest + sum(each.brief_size for each in measured.values())):
            self._leave_out(Detail.BRIEF)
            brief = tuple(each.brief for each in measured.values())
            return document.model_copy(update={"users": document.users.model_copy(update={"users": brief})})
        self._leave_out(Detail.COUNT)
        return document.model_copy(update={"users": None})

    def _fits(self, detail: Detail, size: int) -> bool:
        return size <= self._limit * (ROOM_FOR_MORE if detail < self._detail else 1)

    def _leave_out(self, detail: Detail) -> None:
        """Tell `detail` from now on; says so in the log when that is less than ever before."""
        self._detail = detail
        if detail > self._least:
            self._least = detail
            if detail is Detail.BRIEF:
                log.warning("%d are too many to be told all about: documents are brief now", len(self._measured))
            else:
                log.error("%d are too many to be told of: documents only say how many now", len(self._measured))


def _brief(endpoint: Endpoint) -> Endpoint:
    missed = ("joining_method", "joining_info", "disconnection_info", "call_info")
    return endpoint.model_copy(update=dict.fromkeys(missed))


def _size(element: Element) -> int:
    return len(serialize(element.to_element(), CONFERENCE_INFO).encode())
