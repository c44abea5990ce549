"""What a fax engine offers, whichever does the work: an end of a T.30 call, fed with the sound of a line (XEP-0342).

Who sends and who calls are two things. T.30 names its ends for how the call came about; a document goes from the
calling terminal to the answering one, unless it is *polled* for. But what counts on the line is who waits for whom: the
calling terminal sends CNG and waits, the answering one sends CED and what it is capable of. So a terminal that sends is
`Role.CALLING` and one that receives is `Role.ANSWERING` as a rule, whoever has dialled: somebody who calls us and
presses "receive" has an answering terminal, and somebody whom we call and who presses "send" a calling one. The roles
the other way round are polling, where the receiver asks for a document that lies ready.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

#: Samples per second of everything that a terminal takes or gives: that of a telephone line.
SAMPLE_RATE = 8000

#: For so many seconds after a terminal is over, the line should still be clocked: the last that it gave has to be
#: played, and the other end has to say its last, too.
LINGER = 2.0

#: The code of a result where none of the engine's says what is wrong.
FAILED = -1

#: T.30 section 5.3.6.2.4: an identification has this many characters.
MAX_IDENTITY = 20
MAX_HEADER = 50

#: A range in a list of pages has this many digits at most, so that no number is a surprise.
_RANGE = re.compile(r"\s*([0-9]{1,6})\s*(?:-\s*([0-9]{1,6})\s*)?")
MAX_RANGES = 1000

#: Letters that do not come apart into an ASCII letter and its marks.
_LETTERS = str.maketrans(
    {
        "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D",
        "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "\u0131": "i",
        "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"',
        "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-",
    }
)  # fmt: skip

Samples = npt.NDArray[np.int16]


class FaxError(Exception):
    """It cannot be faxed; the message says why."""


class EngineMissing(FaxError):
    """The engine, or what documents are read with, is not installed."""


class BadIdentity(FaxError):
    """No identity of a terminal: T.30 has no room for it."""


class BadHeader(FaxError):
    """No header of a page: there is no room for it."""


class DocumentError(FaxError):
    """A document that cannot be sent; the message names it, and the page where it is one page's fault."""


class BadPages(DocumentError):
    """A list of pages that is none, or that names pages which the document does not have."""


class Role(enum.Enum):
    """What T.30 calls an end of the call."""

    CALLING = "calling"
    ANSWERING = "answering"


@dataclass(frozen=True, slots=True)
class FaxResult:
    """What became of a call, or has until now.

    `code` and `text` are the engine's, 0 for all that was asked for; for a call that is still going on, `code` is None.
    `pages` were acknowledged; `total_pages` were to be sent, None where that is not known, as with everything received.
    `bad_rows` are those of received pages that came damaged, of all pages together. `transfer_rate` is in bit/s,
    `resolution` in dots per inch, `image_size` the last page's in pixels, both across and down, and (0, 0) before a
    page. `remote_identity` is as the other end says.
    """

    code: int | None
    text: str
    pages: int
    total_pages: int | None
    bad_rows: int
    transfer_rate: int
    ecm: bool
    resolution: tuple[int, int]
    image_size: tuple[int, int]
    local_identity: str
    remote_identity: str

    @property
    def is_success(self) -> bool:
        """Whether the whole document went over."""
        return self.code == 0


class FaxTerminal(Protocol):
    """One end of a T.30 call. Each method may be called from any thread; they wait for each other.

    Time is what is exchanged: T.30's timers stand still while nothing is. Where packets of the line are lost, the last
    20 ms are to be repeated in their place (`focus.engines.fax.Concealment`): a modem survives that far more often than
    silence, and nothing at all would be a slip of its clock.
    """

    def exchange(self, received: Samples) -> Samples:
        """Hear `received`, int16 mono samples at 8 kHz, and say as many.

        Goes on to work when the call is over, and is silent then. It may read or write a page of a file, which takes
        some 10 ms: not for an event loop. Raises ValueError after `close`.
        """

    @property
    def is_over(self) -> bool:
        """Whether this end is done, for better or worse. The other one may not be: see `LINGER`."""

    @property
    def pages(self) -> int:
        """How many pages were acknowledged until now."""

    def terminate(self) -> None:
        """End now, whatever the other end does: the call has gone, or is to end. Nothing more is sent.

        Where all pages are acknowledged and only the farewell is missing, that is still a success.
        """

    def result(self) -> FaxResult:
        """What became of it. May be asked for at any time, also after `close`."""

    def close(self) -> None:
        """Give back what it holds; terminates it, and only then is a received file whole. May be called twice."""


class FaxEngine(Protocol):
    """Makes terminals."""

    def receive(self, path: Path, *, identity: str = "", role: Role = Role.ANSWERING) -> FaxTerminal:
        """A terminal that writes what it receives to `path`, a TIFF, as soon as there is a page.

        `identity` is sent to the other end. Raises `FaxError`, before anything is sent.
        """

    def send(
        self, path: Path, *, identity: str = "", headers: Sequence[str] = (), role: Role = Role.CALLING
    ) -> FaxTerminal:
        """A terminal that sends all pages of `path`, a TIFF made by `focus.engines.documents`.

        `headers` has an entry for each page, "" where it is to have none, or is empty. A header is a line above the
        page, with the time, the identity and the page's number. Raises `FaxError`, before anything is sent.
        """


class Concealment:
    """What a terminal is to hear in place of packets that were lost: the last frame that came, again.

    Of all that was tried, modems survive this best.
    """

    def __init__(self) -> None:
        self._last: Samples = np.zeros(0, np.int16)

    def arrived(self, frame: Samples) -> Samples:
        """`frame` came."""
        self._last = frame
        return frame

    def lost(self, length: int) -> Samples:
        """`length` samples did not come; what is to be heard instead, as many."""
        if not len(self._last):
            return np.zeros(length, np.int16)
        return np.resize(self._last, length)


@dataclass(frozen=True, slots=True)
class Document:
    """A document to be sent: a file, what to call it in messages, and which of its pages.

    `pages` is as in XEP-0342, one-based: "1-2,5"; None is all of them. It is a set: pages are sent in the document's
    order, each once.
    """

    path: Path
    name: str
    pages: str | None = None
    header: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Documents that were made into one TIFF that can be sent: what `FaxEngine.send` takes.

    `headers` has an entry for each page.
    """

    path: Path
    headers: tuple[str, ...]

    @property
    def pages(self) -> int:
        return len(self.headers)


def identity_of(text: str) -> str:
    """`text` as an identity that can be sent, in ASCII. Raises `BadIdentity`."""
    identity = folded(text)
    if len(identity) > MAX_IDENTITY:
        raise BadIdentity(f"an identity of {len(identity)} characters, where {MAX_IDENTITY} is the most")
    return identity


def header_of(text: str) -> str:
    """`text` as the header of a page, in ASCII. Raises `BadHeader`."""
    header = folded(text)
    if len(header) > MAX_HEADER:
        raise BadHeader(f"a header of {len(header)} characters, where {MAX_HEADER} is the most")
    return header


def folded(text: str) -> str:
    """`text` in printable ASCII: letters without their marks, and a question mark for what has no such letter."""
    apart = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    plain = (character for character in apart if not unicodedata.combining(character))
    return "".join(" " if each.isspace() else each if " " <= each <= "~" else "?" for each in plain).strip()


def page_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """The ranges of a list of pages ("1-2,5"), one-based, each with its last page. Raises `BadPages`."""
    if text.count(",") >= MAX_RANGES:
        raise BadPages(f"more than {MAX_RANGES} ranges of pages")
    ranges = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise BadPages(f"{part[:40]!r} is no page and no range of pages")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first:
            raise BadPages("pages are counted from 1")
        if last < first:
            raise BadPages(f"{part.strip()!r} is an empty range of pages")
        ranges.append((first, last))
    return tuple(ranges)
