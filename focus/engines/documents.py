"""Documents made into what a fax engine sends: one TIFF, black and white, of 1728 columns (XEP-0342 section 2.2, T.4).

It is done by a process of its own, `focus.engines.rasterizing`, as documents come from strangers.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from focus.engines import rasterizing
from focus.engines.fax import (
    BadPages,
    Document,
    DocumentError,
    EngineMissing,
    FaxError,
    Prepared,
    header_of,
    page_ranges,
)

log = logging.getLogger(__name__)

_MAX_LINE = 1 << 16
_MAX_COMPLAINT = 1 << 16
_FAULTS = {rasterizing.PAGES: BadPages, rasterizing.INSTALLATION: EngineMissing, rasterizing.ROOM: FaxError}


@dataclass(frozen=True, slots=True)
class Limits:
    """What it may take: bytes of address space, seconds of CPU, bytes of the TIFF, pages, and pixels of a page."""

    memory: int = 1 << 30
    cpu: int = 60
    size: int = 100_000_000
    pages: int = 500
    pixels: int = 80_000_000


class Preparation:
    """Makes documents into faxes, `at_once` at a time.

    `timeout` is how long one may take, in seconds, once it has begun.
    """

    def __init__(self, limits: Limits | None = None, *, timeout: float = 120.0, at_once: int = 2) -> None:
        self._limits = limits or Limits()
        self._timeout = timeout
        self._turn = asyncio.Semaphore(at_once)

    async def prepare(self, documents: Sequence[Document], path: Path) -> Prepared:
        """Write the pages of `documents` that are wanted, one after the other, to `path`.

        TIFF, PDF, PNG and JPEG are read. Pages keep their size, where they have one, and what is too wide becomes
        smaller. All are of 204 by 196 dots per inch, but where each is a fax of 204 by 98 already: these are not
        changed, as are those of 204 by 196.

        Raises `DocumentError`, or `BadPages`, which names the document and what is wrong with it, `BadHeader`,
        `EngineMissing`, or `FaxError` where there is no room for the fax. Then there is nothing at `path`.
        """
        if importlib.util.find_spec("PIL") is None:
            raise EngineMissing(
                "documents cannot be read: Pillow is not installed (`pip install focus-conference[fax]`)"
            )
        if not documents:
            raise DocumentError("there is no document to send")
        headers = [header_of(document.header) for document in documents]
        wanted = [_wanted(document) for document in documents]
        question = {"documents": wanted, "output": str(path), "limits": asdict(self._limits)}
        try:
            async with self._turn:
                answer = await self._ask(question, documents)
        except BaseException:
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - no more than this
            raise
        pages = zip(headers, answer["pages"], strict=True)
        return Prepared(path, tuple(header for header, count in pages for _ in range(count)))

    async def _ask(self, question: dict[str, Any], documents: Sequence[Document]) -> dict[str, Any]:
        pipe = asyncio.subprocess.PIPE
        # In the same environment as this one, and from the same place.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", rasterizing.__name__),
            stdin=pipe, stdout=pipe, stderr=pipe, limit=_MAX_LINE, start_new_session=True,
        )  # fmt: skip
        answer: dict[str, Any] = {}
        place = documents[0].name
        try:
            async with asyncio.timeout(self._timeout):
                assert process.stdin is not None
                assert process.stdout is not None
                assert process.stderr is not None
                with contextlib.suppress(ConnectionError):  # it has ended: there is no answer
                    process.stdin.write(json.dumps(question).encode() + b"\n")
                    await process.stdin.drain()
                async for line in process.stdout:
                    answer = dict(json.loads(line))
                    if "document" not in answer:
                        break
                    place = documents[answer["document"]].name
                    if answer["page"] is not None:
                        place += f", page {answer['page']}"
                complaint = b""
                while len(complaint) < _MAX_COMPLAINT and (more := await process.stderr.read(_MAX_COMPLAINT)):
                    complaint += more
                await process.wait()
            if "error" in answer:
                fault = _FAULTS.get(str(answer["of"]), DocumentError)
                words = str(answer["error"])
            elif "pages" in answer:
                self._check(answer["pages"], len(documents))
        except TimeoutError:
            raise DocumentError(f"{place}: reading it takes too long") from None
        except (ValueError, LookupError, TypeError, RecursionError):
            raise DocumentError(f"{place}: it cannot be read: the reader makes no sense any more") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                # Reads what is left as well: a pipe that nobody reads to its end stays open.
                await asyncio.shield(process.communicate())
        if "error" in answer:
            raise fault(f"{place}: {words}")
        if "pages" not in answer or process.returncode:
            said = complaint[-1000:].decode(errors="replace").strip()
            log.error("what reads documents has ended with %s: %s", process.returncode, said)
            raise DocumentError(f"{place}: {_ended(process.returncode)}")
        return answer

    def _check(self, counts: Any, documents: int) -> None:
        """Raises ValueError where these cannot be the pages of so many documents."""
        if not isinstance(counts, list) or len(counts) != documents:
            raise ValueError("there are other documents")
        if not all(isinstance(count, int) and count >= 0 for count in counts) or sum(counts) > self._limits.pages:
            raise ValueError("there are no such pages")


def _wanted(document: Document) -> dict[str, Any]:
    try:
        ranges = None if document.pages is None else page_ranges(document.pages)
    except BadPages as error:
        raise BadPages(f"{document.name}: {error}") from None
    return {"path": str(document.path), "name": document.name, "ranges": ranges}


def _ended(code: int | None) -> str:
    """Why there is no answer."""
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "reading it takes too long"
    if code == -signal.SIGXFSZ:
        return "it is too large"
    return f"it cannot be read: the reader has ended with {code}"
