"""Faxes as files, and what a service faxes with."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from focus.engines import tiff
from focus.engines.documents import Preparation
from focus.engines.fax import LINGER, DocumentError, FaxEngine
from focus.media.recordings import Recordings
from focus.media.writer import PART, finish

log = logging.getLogger(__name__)

_WORKPLACE = "focus-fax-"


@dataclass(frozen=True, slots=True)
class FaxMachine:
    """`identity`: what it says of itself to other machines, where nobody says otherwise. `linger`: for how many seconds
    the line is kept when a fax is over, so that the other end hears the last of it. `patience`: seconds in which the
    documents of a fax must have been fetched and prepared; clients have to wait longer for the answer. `most`: how many
    bytes they may have, all together. `longest`: seconds that a fax may take once it has begun."""

    engine: FaxEngine
    documents: Preparation = field(default_factory=Preparation)
    identity: str = ""
    linger: float = LINGER
    patience: float = 240.0
    most: int = 200_000_000
    longest: float = 7200.0


@dataclass(frozen=True, slots=True)
class Received:
    """A fax that has been brought in: `size` in bytes, `resolution` of its first page in pixels."""

    path: Path
    size: int
    resolution: tuple[int, int]
    pages: int


def part_of(path: Path) -> Path:
    """Where a fax is until it is whole."""
    return path.with_name(path.name + PART)


def bring_in(recordings: Recordings, path: Path, expected: int) -> Received | None:
    """Make the whole pages of a fax, which nobody writes any more, durable at `path`. None where there are none, and no
    file, unless there should be pages in it. Raises OSError; blocks, for the disk."""
    part = part_of(path)
    try:
        pages = tiff.recover(part)
    except (DocumentError, FileNotFoundError):
        pages = ()
    if not pages:
        if not expected:
            part.unlink(missing_ok=True)
        return None
    recordings.make_due(path)
    return Received(path, _finish(part, path), pages[0].size, len(pages))


def _finish(part: Path, whole: Path) -> int:
    part.chmod(0o600)
    return finish(part, whole)


def mend(part: Path) -> Path | None:
    """Make whole what a crash has left of a fax; where it is then, or None where there is no page of it. Raises OSError
    where it is the disk that fails."""
    try:
        if not tiff.recover(part):
            return None
        whole = part.with_name(part.name.removesuffix(PART))
        _finish(part, whole)
    except DocumentError as error:
        log.error("%s cannot be read: %s", part.name, error)
        return None
    return whole


class Workplace:
    """A folder for the documents of a fax, locked while it is used; blocks, for the disk. Raises OSError."""

    def __init__(self) -> None:
        while not self._is_made():
            pass

    def _is_made(self) -> bool:
        """False where another service that begins has taken it for what a crash has left, before it was locked."""
        self.path = Path(tempfile.mkdtemp(prefix=_WORKPLACE))
        try:
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path.stat()
        except (BlockingIOError, FileNotFoundError):
            os.close(self._lock)
            return False
        except OSError:
            self.remove()
            raise
        return True

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def clear_workplaces() -> None:
    """Remove those that a crash has left: letters of clients are in them."""
    for path in Path(tempfile.gettempdir()).glob(f"{_WORKPLACE}*"):
        with contextlib.suppress(OSError):  # it is used, or it is not ours
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.getuid():
                    shutil.rmtree(path)
            finally:
                os.close(lock)
