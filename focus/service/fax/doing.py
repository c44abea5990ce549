"""What the commands of `focus fax` do, with a client that is there."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from focus.client import (
    Call,
    CallEnded,
    Complete,
    End,
    Failed,
    FaxComponent,
    FaxDocument,
    FaxFinish,
    FaxPage,
    RayoClient,
    RayoError,
    Stopped,
)
from focus.service.fax.checking import check_document, check_service
from focus.service.rayo.doing import in_own_words, interruptible, url_of
from focus.service.rayo.report import Report
from focus.service.ready import ExitCode, ServiceError

#: What a command to a call comes to when the caller has gone, or another client was faster.
GONE = frozenset({"item-not-found", "conflict"})
#: Where T.30 has waited in vain: for the other end to begin, and for whatever it was to answer (spandsp's t30.h).
_NOBODY = frozenset({"2", "48"})
#: What there is only where another machine was heard: what it calls itself, and what both have agreed on.
_HEARD = frozenset({"fax-remote-station-id", "fax-image-resolution"})

#: A fax and its call, or an exit code where there is none.
Begun = tuple[Call, FaxComponent] | int


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
        document = FaxDocument(url=url_of(file), identity=identity, header=header, pages=pages)
    await check_document(file, document)
    await check_service(client)

    async def begin() -> Begun:
        with in_own_words():
            call = await client.dial(to, from_=from_)
        ending.push_async_callback(call.hangup)
        report.say("dialled", f"calling {to} as {call.address.local}", call=call.uri, to=to)
        try:
            await call.answered()
        except CallEnded as ended:
            report.event(ended.end, call.events.at, hint=_nobody_at(to, ended.end), call=call.uri)
            return ExitCode.NOT_TAKEN
        report.say("answered", "answered", call=call.uri)
        try:
            return call, await call.send_fax(documents=[document], report_pages=True)
        except RayoError as error:
            words = f"the service does not send {file}: {error}"
            raise ServiceError(words, ExitCode.FAILED) from None

    with interruptible() as stop:
        async with AsyncExitStack() as ending:
            return await _follow(await _unless(stop, begin(), report, lambda: ExitCode.NOT_TAKEN), report, stop)


async def receive(client: RayoClient, report: Report) -> int:
    """Take the next call that comes and receive its fax; the exit code. Raises `ServiceError` where nothing can be."""
    await check_service(client)
    ours: list[Call] = []

    async def begin() -> Begun:
        await client.register(ready=True)
        report.say("waiting", f"waiting for a call as {client.jid}", jid=str(client.jid))
        async for call in client.offers:
            ours.append(call)
            try:
                await call.answer()
                await client.register(ready=False)
                fax = await call.receive_fax(report_pages=True)
            except RayoError as error:
                if error.condition not in GONE:
                    raise
                ours.remove(call)
                report.say("missed", f"a call of {call.caller} is gone: {error}", call=call.uri)
                await client.register(ready=True)
                continue
            report.say("answered", f"receiving from {call.caller}", call=call.uri, caller=call.caller)
            return call, fax
        return ExitCode.UNAVAILABLE

    def interrupted() -> int:
        return ExitCode.FAILED if ours else ExitCode.OK  # who calls now has their fax refused

    with interruptible() as stop:
        try:
            return await _follow(await _unless(stop, begin(), report, interrupted), report, stop)
        finally:
            for call in ours:
                with contextlib.suppress(RayoError):
                    await call.hangup()


async def _unless(
    stop: asyncio.Event, beginning: Coroutine[Any, Any, Begun], report: Report, interrupted: Callable[[], int]
) -> Begun:
    """What `beginning` comes to; where somebody interrupts it, what `interrupted` says."""
    working, stopping = asyncio.create_task(beginning), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        report.say("interrupted", "interrupted before there was a fax")
        return interrupted()
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _follow(begun: Begun, report: Report, stop: asyncio.Event) -> int:
    """Until it has ended, which an interruption makes it do: what has come until then is there all the same."""
    if isinstance(begun, int):
        return begun
    call, fax = begun
    going, stopping = asyncio.create_task(_completed(call, fax, report)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({going, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not going.done():
            await fax.stop()
        complete = await going
    finally:
        stopping.cancel()
        going.cancel()
        await asyncio.gather(going, stopping, return_exceptions=True)
    is_done = isinstance(complete.reason, FaxFinish)
    there = fax.fax
    count = there.pages if there is not None else fax.details.get("fax-document-transferred-pages", "0")
    where = f": {there.url}" if there is not None else ""
    hint = _advice(complete, fax.details)
    details: dict[str, Any] = {
        name.removeprefix("fax-").replace("-", "_"): value for name, value in fax.details.items()
    }
    report.say(
        "done" if is_done else "failed",
        (
            f"{_how(complete)}, {count} page{'' if int(count) == 1 else 's'}{where}"
            if is_done or int(count)
            else _how(complete)
        )
        + (f" ({hint})" if hint else ""),
        call=call.uri,
        hint=hint,
        url=there.url if there is not None else None,
        pages=int(count),
        **details,
    )
    return ExitCode.OK if is_done else ExitCode.FAILED


async def _completed(call: Call, fax: FaxComponent, report: Report) -> Complete:
    with _Pages(report) as pages:
        async for event in fax.events:
            if isinstance(event, FaxPage):
                pages.are(event.number, event.pages, call.uri)
    return await fax.completed()


def _how(complete: Complete) -> str:
    match complete.reason:
        case FaxFinish():
            return "all of it"
        case Stopped():
            return "stopped"
        case Failed(text=text) if text:
            return text
    return "the call has ended"


def _nobody_at(to: str, end: End) -> str | None:
    """What to do about a call that nobody has taken."""
    if end.reason != "timeout" and end.platform_code != "gone":
        return None
    return (
        f"nobody takes calls to {to} now: see that the address is right, and a fax machine or focus fax receive there"
    )


def _advice(complete: Complete, details: Mapping[str, str]) -> str | None:
    """What to do about a fax that has failed."""
    if not isinstance(complete.reason, Failed) or "fax-result-code" not in details:
        return None
    if details["fax-result-code"] in _NOBODY and not _HEARD & details.keys():
        return "no fax machine was heard at the other end: see that one is there, and try again"
    return "try again; faxes go best over G.711, for which a route with fax = true asks: see docs/rayo.md"


class _Pages:
    """A bar where somebody looks, else a line for each page, or an object."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._bar: Progress | None = None

    def __enter__(self) -> _Pages:
        if sys.stderr.isatty() and not self._report.is_json:
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
            self._bar.update(self._task, completed=number, total=pages, refresh=True)
        else:
            of = f" of {pages}" if pages is not None else ""
            self._report.say("page", f"page {number}{of}", call=call, number=number, pages=pages)
