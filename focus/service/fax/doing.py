"""What the commands of `focus fax` do, with a client that is there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from focus.client import Call, CallEnded, FaxComponent, FaxDocument, FaxFinish, FaxPage, RayoClient, RayoError
from focus.service.rayo.doing import NOT_TAKEN, REFUSED, in_own_words, interruptible
from focus.service.rayo.report import Report
from focus.service.ready import ExitCode, ServiceError


async def send(
    client: RayoClient,
    report: Report,
    to: str,
    file: str,
    *,
    from_: str | None,
    identity: str | None,
    header: str | None,
    pages: str | None,
) -> int:
    """Call `to`, send it `file`, and hang up; the exit code. Raises `ServiceError` for what cannot be sent."""
    with in_own_words():
        document = FaxDocument(url=_url(file), identity=identity, header=header, pages=pages)

    async def work() -> int:
        with in_own_words():
            call = await client.dial(to, from_=from_)
        report.say("dialled", f"calling {to} as {call.address.local}", call=call.uri, to=to)
        try:
            try:
                await call.answered()
            except CallEnded as ended:
                report.event(ended.end, call.events.at, call=call.uri)
                return NOT_TAKEN
            report.say("answered", "answered", call=call.uri)
            try:
                fax = await call.send_fax(documents=[document], report_pages=True)
            except RayoError as error:
                words = f"the service does not send {file}: {error}{_hint(document.url)}"
                raise ServiceError(words, REFUSED) from None
            return await _follow(call, fax, report)
        finally:
            await call.hangup()

    return await _until_interrupted(work())


async def receive(client: RayoClient, report: Report) -> int:
    """Take the next call that comes and receive its fax; the exit code."""

    async def work() -> int:
        await client.register(ready=True)
        report.say("waiting", f"waiting for a call as {client.jid}", jid=str(client.jid))
        async for call in client.offers:
            try:
                await call.answer()
            except RayoError as error:  # the caller has gone, or another client was faster
                report.say("missed", f"a call of {call.caller} is gone: {error}", call=call.uri)
                continue
            report.say("answered", f"receiving from {call.caller}", call=call.uri, caller=call.caller)
            try:
                return await _follow(call, await call.receive_fax(report_pages=True), report)
            finally:
                await call.hangup()
        return ExitCode.UNAVAILABLE

    return await _until_interrupted(work())


async def _follow(call: Call, fax: FaxComponent, report: Report) -> int:
    """Until it has ended."""
    with _Pages(report) as pages:
        async for event in fax.events:
            if isinstance(event, FaxPage):
                pages.are(event.number, event.pages, call.uri)
        complete = await fax.completed()
    is_done = isinstance(complete.reason, FaxFinish)
    there = fax.fax
    count = there.pages if there is not None else fax.details.get("fax-document-transferred-pages", "0")
    how = "all of it" if is_done else (getattr(complete.reason, "text", "") or "the call has ended")
    where = f": {there.url}" if there is not None else ""
    details: dict[str, Any] = {
        name.removeprefix("fax-").replace("-", "_"): value for name, value in fax.details.items()
    }
    report.say(
        "done" if is_done else "failed",
        f"{how}, {count} pages{where}" if is_done or there is not None else how,
        call=call.uri,
        url=there.url if there is not None else None,
        pages=int(count),
        **details,
    )
    return ExitCode.OK if is_done else REFUSED


class _Pages:
    """A bar where somebody looks, else a line for each page."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._bar: Progress | None = None

    def __enter__(self) -> _Pages:
        if sys.stderr.isatty():
            columns = (SpinnerColumn(), TextColumn("pages"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("pages", total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def are(self, number: int, pages: int | None, call: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=number, total=pages)
        else:
            of = f" of {pages}" if pages is not None else ""
            self._report.say("page", f"page {number}{of}", call=call, number=number, pages=pages)


def _url(file: str) -> str:
    """Of a file on this machine, or as it is. Raises `ServiceError` where there is no such file."""
    if "://" in file or file.startswith("file:"):
        return file
    path = Path(file)
    if not path.is_file():
        raise ServiceError(f"there is no file {file}", ExitCode.USAGE)
    return path.resolve().as_uri()


def _hint(url: str) -> str:
    if not url.startswith("file:"):
        return ""
    return " (the service reads files below its [fetch] folders only; give it an http URL, or put the file there)"


async def _until_interrupted(work: Coroutine[Any, Any, int]) -> int:
    with interruptible() as stop:
        working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            return REFUSED
        finally:
            stopping.cancel()
            working.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)
