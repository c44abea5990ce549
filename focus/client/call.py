"""A call as a Rayo client has it: commands, events, and how it ended (XEP-0327 sections 6.2, 6.3, 6.6 and 6.8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from focus.client.component import C, FaxComponent, Workplace
from focus.client.errors import CallEnded, RayoError
from focus.client.feed import Feed
from focus.client.parties import HeaderPairs, headers_of, one_party, party_name, uri_of
from focus.wire.base import StrictFlag
from focus.wire.jid import JID
from focus.wire.message import CallMessage
from focus.wire.rayo import (
    Accept,
    Answer,
    Answered,
    Command,
    End,
    Event,
    Hangup,
    Join,
    JoinDirection,
    JoinMedia,
    Offer,
    Redirect,
    Ref,
    Reject,
    Unjoin,
)
from focus.wire.rayo_component import Execution
from focus.wire.rayo_fax import FaxDocument, ReceiveFax, ReportPages, SendFax

if TYPE_CHECKING:
    from focus.client.mixer import Mixer
    from focus.client.rayo import RayoClient

#: Seconds in which the documents of a fax are there and prepared.
PREPARED_WITHIN = 300.0


class Call(Workplace):
    """One call, from its offer or `dial` to its end. Commands return when they have been acknowledged.

    All of them but `hangup` raise `CallEnded` after the end; `RayoError` where the service refuses, `NoAnswer` where it
    is silent, `SessionLost` when nobody can be asked any more, and ValueError for what cannot be said in Rayo.
    """

    def __init__(self, client: RayoClient, address: JID, backlog: int) -> None:
        self.address = address
        #: Who calls whom, with headers; None for calls that were not offered to us.
        self.offer: Offer | None = None
        #: Whether its peer has answered it, or we have.
        self.is_answered = False
        #: Why it ended; None as long as it has not.
        self.end: End | None = None
        #: All that happens, in order; `End` is the last.
        self.events: Feed[Event] = Feed(backlog, owner=self)
        self._client = client
        self._lost: RayoError | None = None
        self._news = asyncio.Event()

    @property
    def uri(self) -> str:
        """How commands and events name it."""
        return self.address.uri

    @property
    def caller(self) -> str:
        """Who calls, as a URI; empty where nobody said so, or the call was not offered to us."""
        return (self.offer.from_ or "") if self.offer is not None else ""

    # a call that came in

    async def accept(self, *, headers: HeaderPairs = ()) -> None:
        """Take control, and let the caller hear that it rings."""
        await self.command(Accept(headers=headers_of(headers)))

    async def answer(self, *, headers: HeaderPairs = ()) -> None:
        """Take the call. That media flows is told by the joins."""
        await self.command(Answer(headers=headers_of(headers)))
        self.is_answered = True
        self._news.set()

    async def reject(
        self, reason: Literal["decline", "busy", "error"] = "decline", *, headers: HeaderPairs = ()
    ) -> None:
        """Refuse it, before the answer."""
        if reason not in ("decline", "busy", "error"):
            raise ValueError(f"a call is rejected with decline, busy or error, not with {reason!r}")
        await self.command(Reject.model_validate({reason: StrictFlag(), "headers": headers_of(headers)}))

    async def redirect(self, to: JID | str, *, headers: HeaderPairs = ()) -> None:
        """Tell the caller to call `to`, a JID or a URI, before the answer."""
        await self.command(Redirect(to=uri_of(to), headers=headers_of(headers)))

    # any call

    async def hangup(self, *, headers: HeaderPairs = ()) -> None:
        """End it, unless it has ended. The header `jingle-reason` chooses the reason that the peer is given."""
        with suppress(CallEnded):
            await self.command(Hangup(headers=headers_of(headers)))

    async def join(
        self,
        *,
        call: Call | JID | str | None = None,
        mixer: Mixer | str | None = None,
        direction: JoinDirection = "duplex",
        media: JoinMedia = "bridge",
    ) -> None:
        """Join it with a call or a mixer; again, to change the direction. `send` is: this call is heard."""
        command = Join(**one_party(call, mixer), direction=direction, media=media)
        reference = await self.command(command)
        if command.mixer_name is not None and reference is not None:
            self._client._mixer_is_at(command.mixer_name, reference)

    async def unjoin(self, *, call: Call | JID | str | None = None, mixer: Mixer | str | None = None) -> None:
        """Undo the join with that call or mixer, or all joins."""
        await self.command(Unjoin(**party_name(call, mixer)))

    async def send_message(self, body: str, *, subject: str | None = None) -> None:
        """Write to the peer. Whether it arrives is not told."""
        self._check()
        self._client._write(self.address, CallMessage(body=body, subject=subject))

    async def receive_fax(self, *, report_pages: bool = False) -> FaxComponent:
        """Be a fax machine for whoever sends. Returns when it begins; `report_pages`: each page is told in `events`."""
        command = ReceiveFax(report_pages=ReportPages() if report_pages else None)
        return await self.start(command, FaxComponent)

    async def send_fax(
        self,
        url: str | None = None,
        *,
        identity: str | None = None,
        header: str | None = None,
        pages: str | None = None,
        documents: Iterable[FaxDocument] = (),
        report_pages: bool = False,
        within: float = PREPARED_WITHIN,
    ) -> FaxComponent:
        """Send `documents`, and behind them what is at `url`: `pages` of it ("1-2,5"), as `identity`, a telephone
        number, with `header` above each. Returns when it begins, which is when the documents have been fetched and made
        into a fax: `within` so many seconds. `report_pages`: each page is told in `events`. Raises ValueError where
        there is nothing to send, and for what no fax can have.
        """
        wanted = [*documents]
        if url is not None:
            wanted.append(FaxDocument(url=url, identity=identity, header=header, pages=pages))
        command = SendFax(documents=tuple(wanted), report_pages=ReportPages() if report_pages else None)
        with self._commanding():
            return await self._client._start(self.address, command, FaxComponent, within=within)

    async def command(self, command: Command) -> Ref | None:
        """Any other command of Rayo."""
        with self._commanding():
            return await self._client.command(self.address, command)

    async def start(self, command: Execution, kind: type[C]) -> C:
        with self._commanding():
            return await self._client._start(self.address, command, kind)

    @contextmanager
    def _commanding(self) -> Iterator[None]:
        self._check()
        try:
            yield
        except RayoError as error:
            if error.condition == "item-not-found":
                self._check()  # the end has come before this
            raise
        self._client._hold(self)

    async def answered(self) -> None:
        """Return when the call has been answered. Raises `CallEnded` where it has ended without."""
        await self._until(lambda: self.is_answered)

    async def ended(self) -> End:
        """Return when the call is over, and why. Raises `SessionLost` where we cannot learn it any more."""
        await self._until(lambda: self.end is not None)
        assert self.end is not None
        return self.end

    def __repr__(self) -> str:
        return f"<Call {self.address}>"

    # what is told

    def _told(self, event: Event, at: datetime) -> None:
        match event:
            case Offer():
                self.offer = self.offer or event
            case Answered():
                self.is_answered = True
            case End():
                self.end = event
        self.events.put(event, at)
        if self.end is not None:
            self.events.end()
        self._news.set()

    def _lose(self, error: RayoError, *, closed: bool) -> None:
        self._lost = error
        self.events.end(None if closed else error)
        self._news.set()

    def _check(self) -> None:
        if self.end is not None:
            raise CallEnded(self.uri, self.end)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._check()
            if self._lost is not None:
                raise self._lost.with_traceback(None)
            self._news.clear()
            await self._news.wait()
