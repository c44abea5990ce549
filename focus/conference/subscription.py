"""What one participant has been told of the conference, by the counting of RFC 4575; no clock and no network.

XEP-0298 has no subscription. Here it is the session: what the peer acknowledges is the base of the next partial
document, one document is in flight, and whatever may have gone wrong is followed by a full one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from focus.conference.brevity import MAX_DOCUMENT
from focus.conference.partial import difference
from focus.wire.base import Written, serialize
from focus.wire.conference_info import CONFERENCE_INFO, ConferenceInfo

#: Partial documents that a peer may refuse in a row; then it gets full ones only.
PATIENCE = 2


@dataclass(frozen=True, slots=True)
class Document:
    """One document for one participant: `told` in the writing that all share who are told the same."""

    told: ConferenceInfo
    written: str
    version: int
    sid: str

    def to_element(self) -> ET.Element:
        attributes = {
            "entity": self.told.entity,
            "state": self.told.state or "full",
            "version": str(self.version),
            "sid": self.sid,
        }
        return Written(f"{{{CONFERENCE_INFO}}}conference-info", attributes, self.written)


@dataclass(slots=True)
class Edition:
    """The full document of a conference as it was published, and how it is told to those who have an older one."""

    number: int
    document: ConferenceInfo
    _written: dict[int, tuple[ConferenceInfo, str]] = field(default_factory=dict)

    def since(self, base: Edition | None) -> tuple[ConferenceInfo, str]:
        """What to tell who has `base`, and how it is written, which is done once for each base."""
        number = 0 if base is None else base.number
        if number not in self._written:
            told = self.document if base is None else difference(base.document, self.document)
            written = "" if told is self.document and base is not None else _written(told)
            if base is not None and (not written or _is_too_large(written)):
                told, written = self.since(None)
            self._written[number] = told, written
        return self._written[number]

    def close(self) -> None:
        """Nobody is told this edition any more."""
        self._written.clear()


def _written(document: ConferenceInfo) -> str:
    return "".join(serialize(part, CONFERENCE_INFO) for part in document.to_element())


def _is_too_large(written: str) -> bool:
    """Whether a partial document has more than a full one may: many have gone, and all others have changed."""
    return 4 * len(written) > MAX_DOCUMENT and len(written.encode()) > MAX_DOCUMENT


class Subscription:
    """The documents of the session `sid`, one after another: `next`, then one of `arrived` to `unsent`."""

    def __init__(self, sid: str) -> None:
        self._sid = sid
        self._version = 0
        #: What the peer has said that it has; its version is ours when nothing is in flight.
        self._base: Edition | None = None
        #: The newest that need not be told again.
        self._told: Edition | None = None
        self._in_flight: tuple[Edition, bool] | None = None
        #: Something else than the document in flight was sent meanwhile.
        self._overtaken = False
        self._refusals = 0
        #: The peer does not answer; it gets full documents only, until it does.
        self.silent = False
        #: The peer has answered once.
        self.acknowledged = False
        #: The peer wants no documents.
        self.is_over = False

    def wants(self, edition: Edition) -> bool:
        """Whether `edition` is news."""
        return self._told is None or self._told.number != edition.number

    def repeat(self) -> None:
        """The peer may have lost what it had: the next document is a full one, and is due."""
        self._told = self._base = None
        self._overtaken = self._in_flight is not None

    def next(self, edition: Edition) -> Document:
        """The document that tells `edition`, which is then in flight."""
        assert self._in_flight is None
        base = None if self.silent or self._refusals >= PATIENCE else self._base
        document = self._document(edition, base)
        self._in_flight = edition, document.told.state == "partial"
        self._overtaken = False
        return document

    def answer(self, edition: Edition) -> Document:
        """The full document for a peer that asks. Nobody knows whether it arrives, so that a full one follows."""
        self._base = None
        self._overtaken = True
        return self._document(edition, None)

    def arrived(self) -> None:
        """The peer has it."""
        edition, was_partial = self._landed()
        if not self._overtaken:
            self._base = self._told = edition
        if was_partial:
            self._refusals = 0
        self.silent, self.acknowledged = False, True

    def refused(self) -> None:
        """The peer does not take it: a partial one is followed by a full one, a full one by that of the next change."""
        edition, was_partial = self._landed()
        self._base = None
        if was_partial:
            self._refusals += 1
        self._told = None if was_partial or self._overtaken else edition

    def unanswered(self) -> None:
        """A peer that has answered before is told again; one that never has gets the next change."""
        edition, _ = self._landed()
        self._base = None
        self._told = None if self.acknowledged or self._overtaken else edition
        self.silent = True

    def lost(self) -> None:
        """It may have arrived or not, through no fault of the peer: its version is spent, and a full one is due."""
        self._landed()
        self._base = self._told = None

    def unsent(self) -> None:
        """It has not left, and has no version."""
        self._landed()
        if not self._overtaken:
            self._version -= 1

    def part(self) -> None:
        """The session is told nothing more of this conference. If it is of another, or again, that begins with a full
        document, and the versions go on."""
        self._in_flight = self._base = self._told = None

    def _landed(self) -> tuple[Edition, bool]:
        assert self._in_flight is not None
        landed, self._in_flight = self._in_flight, None
        return landed

    def _document(self, edition: Edition, base: Edition | None) -> Document:
        self._version += 1
        told, written = edition.since(base)
        return Document(told, written, self._version, self._sid)
