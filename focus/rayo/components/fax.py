"""`<receivefax/>` and `<sendfax/>`: pages over the sound of a call (XEP-0342).

A fax has its call for itself: no other component is at work there, nor is it joined with anybody. The call's leg then
carries tones of a modem, and T.30 runs in a thread that is clocked by the samples which come.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from focus.engines.fax import (
    FAILED,
    BadHeader,
    BadIdentity,
    Document,
    DocumentError,
    EngineMissing,
    FaxError,
    FaxResult,
    FaxTerminal,
    Prepared,
    Samples,
)
from focus.engines.fetching import FetchError
from focus.media.line import LegGone, Line
from focus.media.recordings import FAX as TIFF
from focus.media.recordings import Recordings, RecordingsError
from focus.media.threads import in_thread
from focus.rayo.component import Component, ComponentError, Facilities, Stage, Target, registry
from focus.rayo.faxes import FaxMachine, Received, Workplace, bring_in, part_of
from focus.wire.conditions import BadRequest, FeatureNotImplemented, OptionNotSupported, ResourceConstraint
from focus.wire.jid import JID
from focus.wire.rayo_component import Failed, HungUp, Metadata, Reason
from focus.wire.rayo_fax import FAX, FAX_PAGES, Fax, FaxFinish, FaxMetadata, FaxPage, ReceiveFax, SendFax

log = logging.getLogger(__name__)

#: Documents of one fax that are fetched at the same time.
FETCHED_AT_ONCE = 8

E = TypeVar("E", bound=ReceiveFax | SendFax)


class FaxComponent(Component[E]):
    """One end of a T.30 call."""

    is_alone = True

    def __init__(
        self, address: JID, command: E, *, creator: JID, target: Target, stage: Stage, facilities: Facilities
    ) -> None:
        super().__init__(address, command, creator=creator, target=target, stage=stage, facilities=facilities)
        self._terminal: FaxTerminal | None = None
        self._clocking: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._is_modem = False
        self._seen = (0, False)  # pages, and whether it is over: as the line's thread has told last
        self._paged = 0  # pages that have been told
        self._done = asyncio.Event()  # the terminal is
        self._left = asyncio.Event()  # the call has gone

    async def prepare(self) -> None:
        if self.target.is_mixer:
            raise FeatureNotImplemented("a fax goes over the line of one call, and a mixer has none")
        if self._facilities.fax is None:
            raise FeatureNotImplemented(
                "there is no fax engine that works here: the service's log says why (Debian: libspandsp2)"
            )
        self._machine: FaxMachine = self._facilities.fax
        self.target.check_alone(self)
        try:
            await self._make_terminal()
        except EngineMissing as error:
            raise FeatureNotImplemented(str(error)) from None
        except (DocumentError, BadIdentity, BadHeader) as error:
            raise BadRequest(str(error)) from None
        except FaxError as error:
            raise ResourceConstraint(str(error)) from None
        except OSError as error:
            raise ResourceConstraint(f"nothing can be prepared for a fax: {error.strerror or error}") from None

    @abstractmethod
    async def _make_terminal(self) -> None:
        """Raises `StanzaError`, and `FaxError`."""

    def _take(self, make: Callable[[], FaxTerminal]) -> None:
        """In a thread, which goes on where nobody waits for it any more."""
        self._terminal = make()

    async def work(self) -> Reason:
        try:
            self.target.set_modem(True)
            self._is_modem = True
            line = Line(self._plane, self.node, self._exchange)
        except ValueError:
            raise ComponentError("its media has ended") from None
        log.info("%s begins a fax on %s", self.creator, self.target.address)
        self._clocking = asyncio.create_task(line.run(), name=f"line of {self.address}")
        await self._until(self._done, within=self._machine.longest)
        is_late = not (self._done.is_set() or self._left.is_set() or self._clocking.done())
        is_gone = self._left.is_set()
        if self._clocking.done():
            try:
                self._clocking.result()
            except LegGone:
                is_gone = True  # the call is about to end
        result = await in_thread(self._end)
        if line.gaps and not result.is_success:
            log.warning("%s: this machine had no time for its line, %d times", self.address, line.gaps)
        if is_late and not result.is_success:
            raise ComponentError(f"the fax takes longer than {self._machine.longest:g} s")
        return reason_of(result, is_gone=is_gone)

    def hang_up(self) -> None:
        """Whoever hangs up may have sent everything: that is for the terminal to say."""
        self._left.set()
        if self._clocking is None:
            super().hang_up()

    async def _until(self, event: asyncio.Event, *, within: float | None = None) -> None:
        """Return when `event` is set, or the call has gone, or its line, or so many seconds."""
        assert self._clocking is not None
        waits = [asyncio.ensure_future(each.wait()) for each in (event, self._left)]
        try:
            await asyncio.wait((*waits, self._clocking), timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def _end(self) -> FaxResult:
        assert self._terminal is not None
        self._terminal.terminate()
        return self._terminal.result()

    def _close(self) -> FaxResult:
        assert self._terminal is not None
        self._terminal.close()
        return self._terminal.result()

    # in the line's thread

    def _exchange(self, heard: Samples) -> Samples:
        assert self._terminal is not None
        said = self._terminal.exchange(heard)
        seen = (self._terminal.pages, self._terminal.is_over)
        if seen != self._seen:
            self._seen = seen
            self._loop.call_soon_threadsafe(self._progressed, *seen)
        return said

    # and back

    def _progressed(self, pages: int, is_over: bool) -> None:
        if self.command.report_pages is not None and not self.over.is_set():
            for number in range(self._paged + 1, pages + 1):
                self.emit(FaxPage(number=number, pages=self._total))
        self._paged = max(self._paged, pages)
        if is_over:
            self._done.set()

    @property
    def _total(self) -> int | None:
        """How many pages there will be, where that is known."""
        return None

    async def wind_up(self, reason: Reason) -> Iterable[Metadata]:
        try:
            if self._clocking is not None:
                if self._done.is_set():  # what was said last has to be heard there
                    await self._until(asyncio.Event(), within=self._machine.linger)
                self._clocking.cancel()
                await asyncio.wait((self._clocking,))
            if self._terminal is None:
                return ()
            result = await in_thread(self._close)
            brought = await self._bring_in(result)
            if not self._begun.is_set():
                return ()
            log.info("the fax on %s has ended: %s, %d pages", self.target.address, result.text, result.pages)
            self._check_brought(brought, result, reason)
            return (*brought, *described(result))
        finally:
            if self._is_modem:
                with contextlib.suppress(ValueError):  # its leg is closed
                    self.target.set_modem(False)

    async def _bring_in(self, result: FaxResult) -> tuple[Fax, ...]:
        """What has come, when the terminal is closed; tidy up."""
        return ()

    def _check_brought(self, brought: tuple[Fax, ...], result: FaxResult, reason: Reason) -> None:
        """Raises `ComponentError` where more pages have receipts than are there."""


@registry.component(ReceiveFax, FAX, FAX_PAGES)
class FaxReceiver(FaxComponent[ReceiveFax]):
    """Waits for whoever sends; what has come is a file among the recordings."""

    _path: Path | None = None

    async def _make_terminal(self) -> None:
        if self._facilities.recordings is None:
            raise OptionNotSupported("nothing is received here: no folder is configured for it, see [recordings]")
        self._recordings: Recordings = self._facilities.recordings
        try:
            self._path = await in_thread(self._recordings.new, TIFF)
        except RecordingsError as error:
            raise ResourceConstraint(str(error)) from None
        receive, identity = self._machine.engine.receive, self._machine.identity
        await in_thread(self._take, partial(receive, part_of(self._path), identity=identity))

    async def _bring_in(self, result: FaxResult) -> tuple[Fax, ...]:
        assert self._path is not None
        try:
            received = await in_thread(bring_in, self._recordings, self._path, result.pages)
        except OSError as error:
            self._recordings.failed(self._path)
            raise ComponentError(f"the fax could not be kept: {error.strerror}") from None
        if received is None:
            return ()
        self._recordings.finished(received.path)
        return (self._described(received),)

    def _check_brought(self, brought: tuple[Fax, ...], result: FaxResult, reason: Reason) -> None:
        pages = sum(fax.pages for fax in brought)
        if pages < result.pages:
            assert self._path is not None
            self._recordings.failed(self._path)
            if not isinstance(reason, Failed):
                raise ComponentError(
                    f"{result.pages} pages have come, of which {pages} could be kept",
                    metadata=(*brought, *described(replace(result, code=FAILED, pages=pages))),
                )

    def _described(self, received: Received) -> Fax:
        width, length = received.resolution
        return Fax(
            url=self._recordings.uri(received.path),
            resolution=f"{width}x{length}",
            size=received.size,
            pages=received.pages,
        )


@registry.component(SendFax, FAX)
class FaxSender(FaxComponent[SendFax]):
    """Fetches the documents, makes one fax of them, and sends that to whoever answers."""

    _folder: Workplace | None = None
    _pages: int | None = None
    _fetched = 0  # bytes of documents

    async def _make_terminal(self) -> None:
        identities = {each.identity for each in self.command.documents if each.identity is not None}
        if len(identities) > 1:
            raise OptionNotSupported(f"a fax is sent by one machine, not by {' and '.join(sorted(identities))}")
        await in_thread(self._make_folder)
        assert self._folder is not None
        try:
            async with asyncio.timeout(self._machine.patience):
                prepared = await self._prepared(self._folder.path)
        except TimeoutError:
            words = f"the documents were not there and prepared in {self._machine.patience:g} s"
            raise ResourceConstraint(words) from None
        self._pages = prepared.pages
        identity = next(iter(identities), self._machine.identity)
        send = partial(self._machine.engine.send, prepared.path, identity=identity, headers=prepared.headers)
        await in_thread(self._take, send)

    def _make_folder(self) -> None:
        """In a thread, as `_take`."""
        self._folder = Workplace()

    async def _prepared(self, folder: Path) -> Prepared:
        """Fetched, some of them at once, and made into one."""
        documents = [
            Document(folder / f"document-{number}", name=each.url[:200], pages=each.pages, header=each.header or "")
            for number, each in enumerate(self.command.documents)
        ]
        turn = asyncio.Semaphore(FETCHED_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as fetching:
                for each, document in zip(self.command.documents, documents, strict=True):
                    fetching.create_task(self._fetch(each.url.strip(), document.path, turn))
        except ExceptionGroup as group:  # not except*: Python 3.11.2, Debian's, wraps what is raised in it
            raise group.exceptions[0] from None
        return await self._machine.documents.prepare(documents, folder / "fax.tiff")

    async def _fetch(self, uri: str, path: Path, turn: asyncio.Semaphore) -> None:
        if self._facilities.fetch is None:
            raise OptionNotSupported("nothing is fetched here")
        async with turn:
            try:
                fetched = await self._facilities.fetch(uri)
            except FetchError as error:  # as a document that is there and is none
                raise (ResourceConstraint if error.temporary else BadRequest)(str(error)) from None
            with contextlib.closing(fetched.file) as file:
                await self._copy(file, path)

    async def _copy(self, file: BinaryIO, path: Path) -> None:
        with await in_thread(path.open, "wb") as into:
            while chunk := await in_thread(file.read, 1 << 20):
                self._fetched += len(chunk)
                if self._fetched > self._machine.most:
                    raise ResourceConstraint("the documents are too large, all together")
                await in_thread(into.write, chunk)

    @property
    def _total(self) -> int | None:
        return self._pages

    async def wind_up(self, reason: Reason) -> Iterable[Metadata]:
        try:
            return await super().wind_up(reason)
        finally:
            if self._folder is not None:
                await in_thread(self._folder.remove)


def reason_of(result: FaxResult, *, is_gone: bool) -> Reason:
    """Why a fax that nobody has stopped is over. `is_gone`: so is its call."""
    if result.is_success:
        return FaxFinish()
    return HungUp() if is_gone else Failed(text=f"the fax has failed: {result.text}")


def described(result: FaxResult) -> tuple[FaxMetadata, ...]:
    """How it went, under the names that FreeSWITCH has for it, which are spelt as in the listings of the XEP."""
    across, down = result.resolution
    width, length = result.image_size
    known = {
        "success": int(result.is_success),
        "result-code": result.code,
        "result-text": result.text,
        "document-transferred-pages": result.pages,
        "document-total-pages": result.total_pages,
        "image-resolution": f"{across}x{down}" if across and down else None,
        "image-pixel-size": f"{width}x{length}" if width and length else None,
        "bad-rows": result.bad_rows,
        "transfer-rate": result.transfer_rate or None,
        "ecm-used": "on" if result.ecm else "off",
        "local-station-id": result.local_identity or None,
        "remote-station-id": result.remote_identity or None,
    }
    return tuple(
        FaxMetadata(name=f"fax-{name}", value=str(value)) for name, value in known.items() if value is not None
    )
