"""`<receivefax/>` and `<sendfax/>`: pages over the sound of a call (XEP-0342).

Who wants to hear of each page says so, in a namespace of ours: the XEP knows no events between.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_xml import attr, element

from focus.wire.base import Integer, Name, StrictElement, Token
from focus.wire.rayo import Command, Event
from focus.wire.rayo_component import Execution, Metadata, Reason

FAX: Final = "urn:xmpp:rayo:fax:1"
FAX_COMPLETE: Final = "urn:xmpp:rayo:fax:complete:1"
#: Ours.
FAX_PAGES: Final = "urn:focus-conference:fax:0"

#: What a fax machine can say of itself (T.30 section 5.3.6.2.4), and what fits over a page.
MAX_IDENTITY, MAX_HEADER = 20, 50
#: The last page that a range may name.
MAX_PAGE = 9999

_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


def telephone_number(value: str) -> str:
    """What a fax machine can be known by. Raises ValueError."""
    if not re.fullmatch(rf"\+?[0-9 ]{{1,{MAX_IDENTITY}}}", value) or len(value) > MAX_IDENTITY:
        raise ValueError(f"a telephone number is needed: +, digits and spaces, {MAX_IDENTITY} characters at most")
    return value


def _header(value: str) -> str:
    if not 0 < len(value) <= MAX_HEADER or not value.isprintable():
        raise ValueError(f"one line of 1 to {MAX_HEADER} characters is needed, and {len(value)} are there")
    return value


def _ranges(value: str) -> tuple[tuple[int, int], ...]:
    """First and last page of each range. ValueError for what is none, and for one with nothing in it."""
    found = []
    for each in value.split(","):
        parts = _RANGE.fullmatch(each.strip())
        if parts is None:
            raise ValueError(f"{each.strip()[:40]!r} is no page, and no range of pages such as 2-4")
        first, last = int(parts[1][:9]), int((parts[2] or parts[1])[:9])
        if not 1 <= first <= last <= MAX_PAGE:
            raise ValueError(f"there are no pages {each.strip()[:40]}: they are counted from 1 to {MAX_PAGE}, upwards")
        found.append((first, last))
    return tuple(found)


def _pages(value: str) -> str:
    _ranges(value)
    return value


class FaxDocument(StrictElement, tag="document", ns="", nsmap={"": FAX}):
    """What to send (section 3.4): which pages of it, one-based, all if not said; as whom, and under which line."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=8_192)] = attr()
    identity: Annotated[str, AfterValidator(telephone_number)] | None = attr(default=None)
    header: Annotated[str, AfterValidator(_header)] | None = attr(default=None)
    pages: Annotated[str, StringConstraints(max_length=1023), AfterValidator(_pages)] | None = attr(default=None)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...] | None:
        """First and last page of each range; None: all that there are."""
        return None if self.pages is None else _ranges(self.pages)


class ReportPages(StrictElement, tag="report-pages", ns="", nsmap={"": FAX_PAGES}):
    """In a command: tell of each `FaxPage`."""


class ReceiveFax(Execution, tag="receivefax", ns="", nsmap={"": FAX}):
    """Be a fax machine that is called (section 3.1)."""

    report_pages: ReportPages | None = element(tag="report-pages", default=None)


class SendFax(Execution, tag="sendfax", ns="", nsmap={"": FAX}):
    """Be a fax machine that calls. Section 3.2 says that this is empty, while listing 3 has the document in it, which
    there is no other place for: one is needed, and several are sent one after another."""

    documents: Annotated[tuple[FaxDocument, ...], Field(min_length=1, max_length=64)] = element(tag="document")
    report_pages: ReportPages | None = element(tag="report-pages", default=None)


class FaxPage(Event, tag="page", ns="", nsmap={"": FAX_PAGES}):
    """Page `number` is there, of `pages` where that is known."""

    number: Annotated[Integer, Field(ge=1)] = attr()
    pages: Annotated[Integer, Field(ge=1)] | None = attr(default=None)


class FaxFinish(Reason, tag="finish", ns="", nsmap={"": FAX_COMPLETE}):
    """All of it has been sent, or received (section 3.6)."""


class Fax(Metadata, tag="fax", ns="", nsmap={"": FAX_COMPLETE}):
    """A fax that has been received (section 3.3): `resolution` is the first page's in pixels, `size` in bytes."""

    url: Name = attr()
    resolution: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}x[0-9]{1,9}$")] = attr()
    size: Annotated[Integer, Field(gt=0)] = attr()
    pages: Annotated[Integer, Field(ge=1)] = attr()


class FaxMetadata(Metadata, tag="metadata", ns="", nsmap={"": FAX_COMPLETE}):
    """One thing that is known of how it went (section 3.5)."""

    name: Name = attr()
    value: Token = attr()


FAX_COMMANDS: tuple[type[Command], ...] = (ReceiveFax, SendFax)
