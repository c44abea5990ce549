"""What `focus fax` tells of a fax, of a service that says what it is told to."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from typing_extensions import override

from focus.client import (
    Call,
    CallEnded,
    Complete,
    End,
    Event,
    Failed,
    FaxComponent,
    FaxFinish,
    FaxPage,
    NoAnswer,
    RayoClient,
    RayoError,
)
from focus.client.feed import Feed
from focus.client.parties import HeaderPairs
from focus.service.fax import doing
from focus.service.rayo.report import Report
from focus.service.ready import ServiceError
from focus.wire.jid import JID
from focus.wire.rayo_component import HungUp, Reason
from focus.wire.rayo_fax import FAX, Fax, FaxMetadata

OK = {"fax-success": "1", "fax-result-code": "0", "fax-document-transferred-pages": "3"}


T = TypeVar("T")


class Coming(Feed[T]):
    """Made as it is read."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        super().__init__(1)
        self._items = items

    @override
    async def __anext__(self) -> T:
        return await anext(self._items)


class Component(FaxComponent):
    """A fax of three pages, of which some are told."""

    def __init__(self, reason: Reason, details: dict[str, str], *, told: int = 3, fax: Fax | None = None) -> None:
        super().__init__(RayoClient("me@localhost", "x"), JID("fax", "focus.localhost"), 10)
        now = datetime.now(UTC)
        for number in range(1, told + 1):
            self._told(FaxPage(number=number, pages=3), now)
        brought = [FaxMetadata(name=name, value=value) for name, value in details.items()]
        self._told(Complete(reason=reason, metadata=(*brought, *([fax] if fax is not None else []))), now)

    @override
    async def stop(self) -> None: ...


class Unstoppable(Component):
    """Is interrupted as it begins, and does not end."""

    def __init__(self, reason: Reason, details: dict[str, str]) -> None:
        super().__init__(reason, details)
        self.events = Coming(self._begins())

    async def _begins(self) -> AsyncIterator[Event]:
        await interrupted()
        yield FaxPage(number=1)

    @override
    async def stop(self) -> None:
        raise NoAnswer("no answer to <stop/>")


async def interrupted() -> None:
    """By ctrl-C, of which nobody here waits for the end."""
    signal.raise_signal(signal.SIGINT)
    await asyncio.Event().wait()


class OneCall(Call):
    """A call that is taken."""

    is_interrupted = False

    def __init__(self, fax: Component) -> None:
        super().__init__(RayoClient("me@localhost", "x"), JID("one", "focus.localhost"), 10)
        self._fax = fax
        self.hung_up = 0
        self.refusal: RayoError | None = None
        self.is_gone = False  # as soon as it has been answered

    @property
    @override
    def caller(self) -> str:
        return "alice@localhost"

    @override
    async def answered(self) -> None:
        if self.end is not None:  # before it has been
            raise CallEnded(self.uri, self.end)

    @override
    async def answer(self, *, headers: HeaderPairs = ()) -> None:
        if self.is_interrupted:
            await interrupted()
        if self.refusal is not None:
            raise self.refusal

    @override
    async def send_fax(self, url: str | None = None, **options: object) -> Component:
        return self._fax

    @override
    async def receive_fax(self, *, report_pages: bool = False) -> Component:
        if self.is_gone:
            raise RayoError("item-not-found", "cancel", "there is no such call")
        return self._fax

    @override
    async def hangup(self, *, headers: HeaderPairs = ()) -> None:
        self.hung_up += 1


class Service(RayoClient):
    """Has this call, from us or to us, and perhaps faxes."""

    def __init__(self, call: OneCall, *features: str, then: OneCall | None = None) -> None:
        super().__init__("me@localhost", "x")
        self._call, self._features, self._then = call, {*(features or (FAX,))}, then
        self.registrations: list[bool] = []
        self.offers = Coming(self._come())

    @override
    async def features(self) -> set[str]:
        return self._features

    @override
    async def dial(self, to: JID | str, **options: object) -> Call:
        return self._call

    @override
    async def register(self, *, ready: bool = True) -> None:
        self.registrations.append(ready)

    async def _come(self) -> AsyncIterator[Call]:
        yield self._call
        if self._then is not None and self.registrations[-1]:  # else nobody would give us another one
            yield self._then
        await asyncio.Event().wait()


async def send(fax: Component, *, json: bool = False, end: End | None = None) -> int:
    call = OneCall(fax)
    call.end = end
    try:
        return await doing.send(
            Service(call), Report(json=json), "fax@focus.localhost", "https://a.example/letter.tiff",
            from_=None, identity=None, header=None, pages=None,
        )  # fmt: skip
    finally:
        assert call.hung_up == 1


@pytest.mark.parametrize(
    ("details", "hint"),
    [
        ({"fax-result-code": "2", "fax-document-transferred-pages": "0"}, "see that one is there, and try again"),
        (
            {"fax-result-code": "48", "fax-document-transferred-pages": "0", "fax-image-resolution": "204x196"},
            "a route with fax = true",
        ),
        (
            {"fax-result-code": "48", "fax-document-transferred-pages": "1", "fax-remote-station-id": "+1"},
            "a route with fax = true",
        ),
        ({"fax-result-code": "20", "fax-document-transferred-pages": "0"}, "a route with fax = true"),
    ],
)
async def test_of_a_fax_that_fails_it_is_said_why_and_what_to_do(
    capsys: pytest.CaptureFixture[str], details: dict[str, str], hint: str
) -> None:
    failed = Failed(text="the fax has failed: Received no response to DCS or TCF")
    pages = int(details["fax-document-transferred-pages"])
    assert await send(Component(failed, details, told=pages)) == 76
    last = capsys.readouterr().out.splitlines()[-1]
    assert "the fax has failed: Received no response to DCS or TCF" in last
    assert hint in last
    assert ("1 page " in last) is (pages == 1)
    assert await send(Component(failed, details, told=pages), json=True) == 76
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["event"], said["pages"], said["result-code"]) == ("failed", pages, details["fax-result-code"])
    assert hint in said["hint"]


async def test_of_a_fax_whose_call_has_ended_and_of_one_that_is_done_there_is_no_more_to_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await send(Component(HungUp(), {"fax-document-transferred-pages": "1"}, told=1)) == 76
    assert capsys.readouterr().out.splitlines()[-1].endswith("the call has ended, 1 page")
    assert await send(Component(FaxFinish(), OK), json=True) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["event"], said["pages"], "hint" in said) == ("done", 3, False)


@pytest.mark.parametrize(
    ("end", "is_helped"),
    [
        (End.of("hungup", "gone"), True),
        (End.of("error", "gone"), True),
        (End.of("timeout"), True),
        (End.of("rejected", "decline"), False),
        (End.of("busy"), False),
    ],
)
async def test_who_sends_to_where_nobody_receives_is_told_what_to_look_for(
    capsys: pytest.CaptureFixture[str], end: End, is_helped: bool
) -> None:
    assert await send(Component(FaxFinish(), OK), end=end) == 75
    told = capsys.readouterr().out.splitlines()[-1]
    assert ("(nobody takes calls to fax@focus.localhost now: " in told) is is_helped
    assert await send(Component(FaxFinish(), OK), end=end, json=True) == 75
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["event"], said["reason"], "hint" in said) == ("end", end.reason, is_helped)


@pytest.mark.parametrize("json_", [False, True])
@pytest.mark.parametrize("is_seen", [False, True])
async def test_pages_are_a_bar_where_somebody_looks_and_lines_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, json_: bool, is_seen: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_seen)
    assert await send(Component(FaxFinish(), OK), json=json_) == 0
    output, errors = capsys.readouterr()
    shown = [count for count in ("1/3", "2/3", "3/3") if count in errors]
    if is_seen and not json_:
        assert shown == ["1/3", "2/3", "3/3"]
        assert "page 1" not in output
    else:
        assert errors == ""
        wanted = '"number": 2' if json_ else "page 2 of 3"
        assert sum(wanted in line for line in output.splitlines()) == 1


async def receive(service: Service) -> int:
    return await doing.receive(service, Report(json=True))


async def test_who_receives_takes_one_call_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    there = Fax(url="file:///fax.tiff", resolution="1728x40", size=100, pages=3)
    call = OneCall(Component(FaxFinish(), OK, fax=there))
    service = Service(call)
    assert await receive(service) == 0
    assert service.registrations == [True, False]
    assert call.hung_up == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [said["event"] for said in events] == ["waiting", "answered", "page", "page", "page", "done"]
    assert (events[-1]["url"], events[-1]["pages"]) == (there.url, 3)


async def test_a_call_that_another_client_has_taken_is_left_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    call = OneCall(Component(FaxFinish(), OK))
    call.refusal = RayoError("conflict", "cancel", "it is somebody else's")
    waiting = asyncio.create_task(receive(Service(call)))
    said: list[str] = []
    async with asyncio.timeout(60):
        while '"missed"' not in "".join(said):
            await asyncio.sleep(0.01)
            said.append(capsys.readouterr().out)
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert call.hung_up == 0


async def test_who_has_missed_a_caller_is_there_for_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    gone, call = OneCall(Component(FaxFinish(), OK)), OneCall(Component(FaxFinish(), OK))
    gone.is_gone = True
    service = Service(gone, then=call)
    async with asyncio.timeout(60):
        assert await receive(service) == 0
    assert service.registrations == [True, False, True, False]
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events[:3] == ["waiting", "missed", "answered"]


@pytest.mark.parametrize(("has_called", "code"), [(False, 0), (True, 76)])
async def test_who_ends_to_wait_has_lost_nothing_unless_somebody_has_called(has_called: bool, code: int) -> None:
    call = OneCall(Component(FaxFinish(), OK))
    call.is_interrupted = True
    service = Service(call)
    if not has_called:
        service.offers = Coming(nobody())
    async with asyncio.timeout(60):
        assert await receive(service) == code
    assert call.hung_up == has_called


async def test_who_ends_a_fax_that_cannot_be_stopped_is_told_so_and_its_call_is_hung_up() -> None:
    async with asyncio.timeout(60):
        with pytest.raises(NoAnswer, match="<stop/>"):
            await send(Unstoppable(FaxFinish(), OK))


async def nobody() -> AsyncIterator[Call]:
    await interrupted()
    yield OneCall(Component(FaxFinish(), OK))


async def test_where_nothing_can_be_faxed_no_call_is_waited_for() -> None:
    service = Service(OneCall(Component(FaxFinish(), OK)), "urn:xmpp:rayo:1")
    with pytest.raises(ServiceError, match="libspandsp2"):
        await receive(service)
    assert not service.registrations
