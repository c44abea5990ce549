"""A fax on a call, with an engine that does as it is told: what is refused, how it ends, what it has to itself."""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from PIL import Image, ImageSequence

from focus.engines.fax import EngineMissing, FaxError, FaxResult, Role, Samples
from focus.engines.fetching import Fetch, Fetched, FetchError
from focus.engines.spandsp.fax import SpandspFax
from focus.media.plane import MediaPlane
from focus.media.recordings import Recordings
from focus.media.writer import PART
from focus.rayo.component import Facilities
from focus.rayo.components.fax import described, reason_of
from focus.rayo.faxes import FaxMachine, Workplace, bring_in, clear_workplaces, mend
from focus.wire.base import Element
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.rayo import Dial, Hangup, Join, Ref
from focus.wire.rayo import End as Ended
from focus.wire.rayo_component import Complete, Failed, HungUp, Stop, Stopped
from focus.wire.rayo_fax import Fax, FaxDocument, FaxFinish, FaxMetadata, FaxPage, ReceiveFax, ReportPages, SendFax
from focus.wire.rayo_record import Record
from focus.wire.session import Move
from tests.jingle.pair import End as Caller

from .calling import answered
from .conftest import ADMIN, QUICK
from .scene import Client, Focus, Net, eventually


def a_page(rows: int = 40) -> Image.Image:
    """Black lines, some of them across."""
    pixels = np.ones((rows, 1728), bool)
    pixels[::7, 100:1500] = pixels[:, 300:310] = False
    return Image.fromarray(pixels)


def tiff(pages: int = 1) -> bytes:
    file = io.BytesIO()
    first, *others = [a_page(40 + n) for n in range(pages)]
    first.save(file, "TIFF", compression="group4", dpi=(204, 196), save_all=True, append_images=others)
    return file.getvalue()


@dataclass
class Terminal:
    """One end of a fax whose other end is the test; what it received is written when it is closed."""

    path: Path | None
    identity: str = ""
    pages: int = 0
    is_over: bool = False
    code: int | None = None
    kept: int = 0  # pages that it writes
    headers: Sequence[str] = ()
    acknowledged: bool = False  # all of them
    heard: int = 0
    threads: set[int] = field(default_factory=set)
    fault: Exception | None = None
    is_closed: bool = False
    said: str = "as it was told"

    def exchange(self, received: Samples) -> Samples:
        self.threads.add(threading.get_ident())
        self.heard += len(received)
        if self.fault is not None:
            raise self.fault
        return np.full(len(received), 1000, np.int16)

    def terminate(self) -> None:
        if self.code is None:
            self.code = 0 if self.acknowledged else 49

    def result(self) -> FaxResult:
        return FaxResult(
            code=self.code, text=self.said, pages=self.pages, total_pages=None, bad_rows=2, transfer_rate=9600,
            ecm=False, resolution=(204, 98), image_size=(1728, 1145), local_identity=self.identity,
            remote_identity="+1",
        )  # fmt: skip

    def close(self) -> None:
        if not self.is_closed and self.kept and self.path is not None:
            self.path.write_bytes(tiff(self.kept))
        self.is_closed = True

    def ends(self, code: int, *, said: str = "as it was told") -> None:
        self.said = said
        self.code = code
        self.is_over = True


class Engine:
    """Makes terminals for the test."""

    def __init__(self) -> None:
        self.made: list[Terminal] = []
        self.error: FaxError | None = None
        self.sent: list[list[tuple[int, int]]] = []  # sizes of the pages of each fax

    def receive(self, path: Path, *, identity: str = "", role: Role = Role.ANSWERING) -> Terminal:
        return self._made(Terminal(path, identity))

    def send(
        self, path: Path, *, identity: str = "", headers: Sequence[str] = (), role: Role = Role.CALLING
    ) -> Terminal:
        with Image.open(path) as image:
            self.sent.append([frame.size for frame in ImageSequence.Iterator(image)])
        return self._made(Terminal(None, identity, headers=headers))

    def _made(self, terminal: Terminal) -> Terminal:
        if self.error is not None:
            raise self.error
        self.made.append(terminal)
        return terminal


@dataclass
class Scene:
    """An answered call, and who controls it."""

    focus: Focus
    owner: Client
    call: JID
    caller: Caller
    engine: Engine
    documents: dict[str, bytes]
    folder: Path

    async def begins(self, command: ReceiveFax | SendFax) -> tuple[JID, Terminal]:
        """Begun, and at work."""
        reference = await self.owner.command(self.call, command)
        assert isinstance(reference, Ref)
        terminal = self.engine.made[-1]
        await eventually(lambda: terminal.heard > 0)
        return JID.from_uri(reference.uri), terminal

    async def refused(self, command: Element, *, to: JID | None = None) -> StanzaError:
        with pytest.raises(StanzaError) as refusal:
            await self.owner.command(to or self.call, command)  # type: ignore[arg-type]
        return refusal.value

    async def complete(self, component: JID) -> Complete:
        _, complete = await self.owner.event(Complete, component)
        assert isinstance(complete, Complete)
        await eventually(lambda: component not in self.focus.server.directory)
        return complete

    @property
    def is_free(self) -> bool:
        """Whether the line carries speech again."""
        leg = self.focus.call(self.call).leg
        assert leg is not None
        return leg.stats()["target_ms"] != 200


async def a_scene(tmp_path: Path, net: Net, planes: list[MediaPlane], engine: Engine) -> Scene:
    documents: dict[str, bytes] = {}

    async def fetch(uri: str) -> Fetched:
        if uri not in documents:
            raise FetchError(f"{uri} is not there", temporary=uri.endswith("later"))
        return Fetched(uri, "image/tiff", "", cast(BinaryIO, io.BytesIO(documents[uri])))

    focus = Focus(net, planes[0], controllers=frozenset({JID.parse(ADMIN)}))  # type: ignore[arg-type]
    focus.server._facilities = Facilities(
        planes[0],
        fetch=fetch,
        recordings=Recordings(tmp_path / "faxes", base="https://focus.example.org/recordings/"),
        fax=FaxMachine(engine, identity="+39045", linger=0.1),
    )
    await focus.start()
    owner = focus.client("juliet@example.org/balcony")
    focus.takers.parties = [owner.jid]
    caller = Caller(net, "alice@example.org/desk", planes[1].create_leg, timeouts=QUICK)
    call = await answered(focus, caller, owner)
    return Scene(focus, owner, call, caller, engine, documents, tmp_path / "faxes")


@pytest.fixture
async def planes() -> AsyncIterator[list[MediaPlane]]:
    planes = [MediaPlane([("127.0.0.1", 0)]) for _ in range(2)]
    for plane in planes:
        await plane.start()
    yield planes
    for plane in planes:
        await plane.stop()


@pytest.fixture
async def scene(tmp_path: Path, net: Net, planes: list[MediaPlane]) -> AsyncIterator[Scene]:
    scene = await a_scene(tmp_path, net, planes, Engine())
    yield scene
    await scene.focus.stop()
    assert all(terminal.is_closed for terminal in scene.engine.made)
    assert not list(scene.folder.glob(f"*{PART}"))


def document(url: str = "https://a.example/letter.tiff", **options: str) -> FaxDocument:
    return FaxDocument.model_validate({"url": url, **options})


def sending(*documents: FaxDocument, **options: ReportPages) -> SendFax:
    return SendFax(documents=documents or (document(),), **options)


def told(complete: Complete) -> dict[str, str]:
    return {each.name: each.value for each in complete.metadata if isinstance(each, FaxMetadata)}


def faxes(complete: Complete) -> list[Fax]:
    return [each for each in complete.metadata if isinstance(each, Fax)]


# --- receiving --------------------------------------------------------------------------------------------------------


async def test_a_fax_that_has_come_is_a_file_that_can_be_fetched(scene: Scene) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    assert terminal.identity == "+39045"
    terminal.kept = terminal.pages = 2
    terminal.ends(0)
    complete = await scene.complete(component)
    assert complete.reason == FaxFinish()
    (fax,) = faxes(complete)
    path = scene.folder / Path(unquote(urlparse(fax.url).path)).name
    assert fax.url == f"https://focus.example.org/recordings/{path.name}"
    assert (fax.resolution, fax.pages, fax.size) == ("1728x40", 2, path.stat().st_size)
    assert path.stat().st_mode & 0o777 == 0o600
    assert told(complete) == {
        "fax-success": "1", "fax-result-code": "0", "fax-result-text": "as it was told",
        "fax-document-transferred-pages": "2", "fax-image-resolution": "204x98", "fax-image-pixel-size": "1728x1145",
        "fax-bad-rows": "2", "fax-transfer-rate": "9600", "fax-ecm-used": "off", "fax-local-station-id": "+39045",
        "fax-remote-station-id": "+1",
    }  # fmt: skip


@pytest.mark.parametrize("code", [1, 2, 13, 20, 41, 48, 49, 60])
async def test_what_goes_wrong_is_an_error_that_says_what(scene: Scene, code: int) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    terminal.ends(code, said=f"reason number {code}")
    complete = await scene.complete(component)
    assert complete.reason == Failed(text=f"the fax has failed: reason number {code}")
    assert (told(complete)["fax-result-code"], told(complete)["fax-success"]) == (str(code), "0")
    assert not faxes(complete)
    assert not list(scene.folder.iterdir())


#: Those of spandsp (t30.h).
COMPLETION_CODES = range(62)


def test_each_way_that_a_fax_can_end_has_its_reason(tmp_path: Path) -> None:
    terminal = SpandspFax().receive(tmp_path / "fax.tiff")
    terminal.close()
    result, texts = terminal.result(), set()
    for code in COMPLETION_CODES:
        ended = replace(result, code=code, text=terminal._text(code))
        texts.add(ended.text)
        told = {each.name: each.value for each in described(ended)}
        assert (told["fax-result-code"], told["fax-result-text"]) == (str(code), ended.text)
        assert told["fax-success"] == ("1" if code == 0 else "0")
        for is_gone in (False, True):
            failed = HungUp() if is_gone else Failed(text=f"the fax has failed: {ended.text}")
            assert reason_of(ended, is_gone=is_gone) == (FaxFinish() if code == 0 else failed)
    assert len(texts) == len(COMPLETION_CODES)
    assert terminal._text(COMPLETION_CODES.stop) not in texts


async def test_the_pages_that_came_before_it_went_wrong_are_there(scene: Scene) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    terminal.kept = terminal.pages = 1
    terminal.ends(49)
    complete = await scene.complete(component)
    assert isinstance(complete.reason, Failed)
    assert [fax.pages for fax in faxes(complete)] == [1]


@pytest.mark.parametrize("kept", [0, 1])
async def test_pages_that_are_not_there_are_an_error_whatever_the_engine_says(
    scene: Scene, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    terminal.pages, terminal.kept = 2, kept
    terminal.ends(0)
    complete = await scene.complete(component)
    assert complete.reason == Failed(text=f"2 pages have come, of which {kept} could be kept")
    assert (told(complete)["fax-success"], told(complete)["fax-document-transferred-pages"]) == ("0", str(kept))
    assert [fax.pages for fax in faxes(complete)] == [1] * kept
    recordings = scene.focus.server._facilities.recordings
    assert recordings is not None
    assert recordings.counted["lost"] == 1
    assert "is lost, or a part of it" in caplog.text
    caplog.clear()


async def test_a_terminal_is_clocked_in_a_thread_of_its_own_until_the_end_has_been_heard(scene: Scene) -> None:
    plane = scene.focus.server._facilities.plane
    scene.focus.server._facilities = Facilities(
        plane, recordings=Recordings(scene.folder), fax=FaxMachine(scene.engine, linger=2.0)
    )
    component, terminal = await scene.begins(ReceiveFax())
    terminal.ends(0)
    heard = terminal.heard
    await scene.complete(component)
    assert terminal.heard >= heard + 8000
    assert len(terminal.threads) == 1
    assert threading.get_ident() not in terminal.threads


async def test_a_fault_of_the_engine_ends_the_fax_and_not_the_call(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    terminal.fault = RuntimeError("the engine broke")
    complete = await scene.complete(component)
    assert complete.reason == Failed(text="internal error")
    assert "the engine broke" in caplog.text
    assert not scene.focus.call(scene.call).is_over
    caplog.clear()


async def test_a_fax_does_not_take_for_ever(scene: Scene) -> None:
    facilities = scene.focus.server._facilities
    scene.focus.server._facilities = replace(facilities, fax=FaxMachine(scene.engine, linger=0.1, longest=0.2))
    reference = await scene.owner.command(scene.call, ReceiveFax())
    assert isinstance(reference, Ref)
    complete = await scene.complete(JID.from_uri(reference.uri))
    assert complete.reason == Failed(text="the fax takes longer than 0.2 s")
    assert told(complete)["fax-result-code"] == "49"


# --- sending ----------------------------------------------------------------------------------------------------------


async def test_documents_are_sent_in_order_and_those_pages_that_are_wanted(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scene.documents |= {"https://a.example/1": tiff(3), "https://a.example/2": tiff(2)}
    command = sending(
        document("https://a.example/1", pages="2-3", header="From Verona", identity="+39 1"),
        document("https://a.example/2", pages="1"),
    )
    component, terminal = await scene.begins(command)
    assert scene.engine.sent == [[(1728, 41), (1728, 42), (1728, 40)]]
    assert (terminal.identity, list(terminal.headers)) == ("+39 1", ["From Verona", "From Verona", ""])
    terminal.pages = 3
    assert list(tmp_path.glob("focus-fax-*"))
    terminal.ends(0)
    complete = await scene.complete(component)
    assert not list(tmp_path.glob("focus-fax-*"))
    assert complete.reason == FaxFinish()
    assert not faxes(complete)
    assert told(complete)["fax-document-transferred-pages"] == "3"


@pytest.mark.parametrize(
    ("documents", "condition", "why"),
    [
        ([document("https://a.example/none.tiff")], "bad-request", "is not there"),
        ([document("https://a.example/later")], "resource-constraint", "is not there"),
        ([document("https://a.example/junk")], "bad-request", "https://a.example/junk"),
        ([document("https://a.example/empty")], "bad-request", "https://a.example/empty"),
        ([document(), document("https://a.example/junk")], "bad-request", "https://a.example/junk"),
        ([document(pages="2")], "bad-request", "page"),
        ([document(identity="+1"), document(identity="+2")], "feature-not-implemented", r"\+1 and \+2"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_the_ref_and_it_is_said_why(
    scene: Scene, documents: list[FaxDocument], condition: str, why: str
) -> None:
    scene.documents |= {
        "https://a.example/letter.tiff": tiff(),
        "https://a.example/junk": b"no picture" * 100,
        "https://a.example/empty": b"",
    }
    refusal = await scene.refused(sending(*documents))
    assert refusal.condition == condition
    assert re.search(why, refusal.text)
    await eventually(lambda: not scene.focus.call(scene.call).components)
    assert not scene.engine.made


def with_fetch(scene: Scene, fetch: Fetch, patience: float = 240.0) -> None:
    plane = scene.focus.server._facilities.plane
    scene.focus.server._facilities = Facilities(plane, fetch=fetch, fax=FaxMachine(scene.engine, patience=patience))


async def test_documents_are_fetched_at_once_and_sent_in_order(scene: Scene) -> None:
    """None of them comes before all have been asked for."""
    asked = asyncio.Barrier(3)

    async def together(uri: str) -> Fetched:
        await asked.wait()
        return Fetched(uri, "image/tiff", "", io.BytesIO(tiff(int(uri[-1]))))

    with_fetch(scene, together)
    await scene.begins(sending(*(document(f"https://a.example/{number}") for number in (3, 1, 2))))
    assert scene.engine.sent == [[(1728, 40 + n) for n in (0, 1, 2, 0, 0, 1)]]


async def test_a_document_that_takes_too_long_is_a_refusal(scene: Scene) -> None:
    async def never(uri: str) -> Fetched:
        await asyncio.Event().wait()
        raise AssertionError

    with_fetch(scene, never, patience=0.05)
    refusal = await scene.refused(sending())
    assert refusal.condition == "resource-constraint"
    assert "0.05 s" in refusal.text
    assert not scene.engine.made


async def test_a_document_that_is_missing_gives_up_the_others(scene: Scene) -> None:
    others = asyncio.Event()

    async def some(uri: str) -> Fetched:
        if uri.endswith("none"):
            await others.wait()
            raise FetchError("it is not there")
        others.set()
        await asyncio.Event().wait()
        raise AssertionError

    with_fetch(scene, some)
    refusal = await scene.refused(sending(document("https://a.example/1"), document("https://a.example/none")))
    assert (refusal.condition, refusal.text) == ("bad-request", "it is not there")


async def test_documents_for_which_there_is_no_room_are_not_at_fault(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.documents["https://a.example/letter.tiff"] = letter = tiff()
    facilities = scene.focus.server._facilities
    fax = FaxMachine(scene.engine, linger=0.1, most=2 * len(letter))
    scene.focus.server._facilities = replace(facilities, fax=fax)
    refusal = await scene.refused(sending(document(), document(), document()))
    assert (refusal.condition, refusal.text) == ("resource-constraint", "the documents are too large, all together")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    refusal = await scene.refused(sending())
    assert refusal.condition == "resource-constraint"
    assert "No such file or directory" in refusal.text
    monkeypatch.undo()
    component, terminal = await scene.begins(sending(document(), document()))
    terminal.ends(0)
    await scene.complete(component)


async def test_an_engine_that_does_not_want_to_is_a_refusal(scene: Scene) -> None:
    scene.engine.error = FaxError("no memory for a fax terminal")
    refusal = await scene.refused(ReceiveFax())
    assert (refusal.condition, refusal.text) == ("resource-constraint", "no memory for a fax terminal")
    scene.engine.error = EngineMissing("libspandsp is not there")
    refusal = await scene.refused(ReceiveFax())
    assert (refusal.condition, refusal.text) == ("feature-not-implemented", "libspandsp is not there")


# --- pages ------------------------------------------------------------------------------------------------------------


async def test_each_page_is_told_to_whom_wants_to_know(scene: Scene) -> None:
    scene.documents["https://a.example/letter.tiff"] = tiff(3)
    component, terminal = await scene.begins(sending(report_pages=ReportPages()))
    for number in (1, 2, 3):
        terminal.pages = number
        await scene.owner.until(lambda entry, number=number: entry == (component, FaxPage(number=number, pages=3)))
    terminal.ends(0)
    await scene.complete(component)
    pages = [event for event in scene.owner.events(component) if isinstance(event, FaxPage)]
    assert [page.number for page in pages] == [1, 2, 3]


async def test_nobody_is_told_of_pages_who_has_not_asked(scene: Scene) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    terminal.pages = 2
    terminal.ends(0)
    complete = await scene.complete(component)
    assert scene.owner.events(component) == [complete]


# --- the end from outside ---------------------------------------------------------------------------------------------


async def test_a_fax_that_is_stopped_is_terminated_and_what_has_come_is_kept(scene: Scene) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    terminal.kept = terminal.pages = 1
    await scene.owner.command(component, Stop())
    complete = await scene.complete(component)
    assert complete.reason == Stopped()
    assert terminal.is_closed
    assert [fax.pages for fax in faxes(complete)] == [1]


@pytest.mark.parametrize("acknowledged", [False, True])
async def test_who_hangs_up_has_sent_all_or_not(scene: Scene, acknowledged: bool) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    terminal.kept = terminal.pages = 1
    terminal.acknowledged = acknowledged
    scene.caller.sessions[-1].hangup(Reason.of("success"))
    _, complete = await scene.owner.event(Complete, component)
    assert isinstance(complete, Complete)
    assert complete.reason == (FaxFinish() if acknowledged else HungUp())
    assert [fax.pages for fax in faxes(complete)] == [1]
    await scene.owner.event(Ended, scene.call)


async def test_a_call_that_we_hang_up_ends_its_fax_first(scene: Scene) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    await scene.owner.command(scene.call, Hangup())
    await scene.owner.event(Ended, scene.call)
    kinds = [type(event) for event in scene.owner.events() if isinstance(event, Complete | Ended)]
    assert kinds == [Complete, Ended]
    (complete,) = [event for event in scene.owner.events(component) if isinstance(event, Complete)]
    assert complete.reason == HungUp()
    assert terminal.is_closed


async def test_a_document_that_is_waited_for_is_given_up_with_the_call(scene: Scene) -> None:
    waiting = asyncio.Event()

    async def never(uri: str) -> Fetched:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError

    scene.focus.server._facilities = Facilities(
        scene.focus.server._facilities.plane, fetch=never, fax=FaxMachine(scene.engine)
    )
    command = asyncio.create_task(scene.refused(sending()))
    await waiting.wait()
    await scene.owner.command(scene.call, Hangup())
    assert (await command).condition == "item-not-found"


# --- the line ---------------------------------------------------------------------------------------------------------


async def test_a_fax_has_its_call_for_itself(scene: Scene) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    assert not scene.is_free
    join = Join.model_validate({"mixer_name": "tea"})
    for command in (ReceiveFax(), sending(), Record(), join):
        refusal = await scene.refused(command)
        assert (refusal.condition, refusal.type) == ("unexpected-request", "wait")
        assert "fax" in refusal.text
    assert scene.focus.mixer("tea") is None
    terminal.ends(0)
    await scene.complete(component)
    await eventually(lambda: scene.is_free)
    await scene.owner.command(scene.call, join)
    refusal = await scene.refused(ReceiveFax())
    assert (refusal.condition, refusal.type) == ("unexpected-request", "wait")
    assert "unjoin" in refusal.text


async def test_a_call_cannot_be_dialled_to_be_joined_with_one_that_faxes(scene: Scene) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    dial = Dial(to="xmpp:bob@example.org", joins=(Join.model_validate({"call_uri": scene.call.uri}),))
    admin = scene.focus.client(f"{ADMIN}/desk")
    with pytest.raises(StanzaError) as refusal:
        await admin.command(scene.focus.addresses.service, dial)
    assert (refusal.value.condition, refusal.value.type) == ("unexpected-request", "wait")
    assert "fax" in refusal.value.text
    assert [call.address for call in scene.focus.server.directory.calls()] == [scene.call]
    assert not scene.focus.call(scene.call).joins
    terminal.ends(0)
    assert (await scene.complete(component)).reason == FaxFinish()


async def other_device(scene: Scene, planes: list[MediaPlane]) -> JID:
    """Another call of who has called."""
    device = Caller(scene.focus.net, "alice@example.org/phone", planes[1].create_leg, timeouts=QUICK)
    return await answered(scene.focus, device, scene.owner, 2)


async def test_a_call_that_goes_on_elsewhere_leaves_its_fax_with_what_has_come(
    scene: Scene, planes: list[MediaPlane]
) -> None:
    """T.30 knows of no other device."""
    component, terminal = await scene.begins(ReceiveFax())
    terminal.kept = terminal.pages = 1
    other = await other_device(scene, planes)
    await scene.owner.command(scene.call, Move(call_uri=other.uri))
    complete = await scene.complete(component)
    assert complete.reason == HungUp()
    assert [fax.pages for fax in faxes(complete)] == [1]
    await scene.owner.event(Ended, scene.call)
    assert not scene.focus.call(other).is_taken


async def test_what_is_joined_does_not_go_on_as_a_call_that_faxes(scene: Scene, planes: list[MediaPlane]) -> None:
    component, terminal = await scene.begins(ReceiveFax())
    other = await other_device(scene, planes)
    await scene.owner.command(other, Join.model_validate({"mixer_name": "tea"}))
    refusal = await scene.refused(Move(call_uri=scene.call.uri), to=other)
    assert (refusal.condition, refusal.type) == ("unexpected-request", "wait")
    assert [party.address for party in scene.focus.call(other).joins] == [scene.focus.addresses.mixer("tea")]
    terminal.ends(0)
    assert (await scene.complete(component)).reason == FaxFinish()


async def test_a_fax_does_not_begin_beside_other_components(scene: Scene) -> None:
    await scene.owner.command(scene.call, Record())
    refusal = await scene.refused(ReceiveFax())
    assert (refusal.condition, refusal.type) == ("unexpected-request", "wait")


async def test_a_mixer_has_no_line(scene: Scene) -> None:
    reference = await scene.owner.command(scene.call, Join.model_validate({"mixer_name": "tea"}))
    assert isinstance(reference, Ref)
    for command in (ReceiveFax(), sending()):
        refusal = await scene.refused(command, to=JID.from_uri(reference.uri))
        assert (refusal.condition, refusal.type) == ("feature-not-implemented", "cancel")
        assert "mixer" in refusal.text


async def test_where_there_is_no_engine_or_no_folder_there_is_no_fax(scene: Scene) -> None:
    plane = scene.focus.server._facilities.plane
    scene.focus.server._facilities = Facilities(plane)
    assert "engine" in (await scene.refused(ReceiveFax())).text
    scene.focus.server._facilities = Facilities(plane, fax=FaxMachine(scene.engine))
    assert "folder" in (await scene.refused(ReceiveFax())).text
    assert "fetched" in (await scene.refused(sending())).text


# --- what a crash has left --------------------------------------------------------------------------------------------


def test_a_fax_that_a_crash_has_cut_short_keeps_its_whole_pages(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, mend={"tiff": mend})
    path = recordings.new("tiff")
    whole = tiff(3)
    part = path.with_name(path.name + PART)
    part.write_bytes(whole[:-20])
    part.chmod(0o644)
    assert recordings.recover() == [path]
    assert path.stat().st_mode & 0o777 == 0o600
    with Image.open(path) as image:
        assert 0 < image.n_frames < 3  # type: ignore[attr-defined]


def test_documents_that_a_crash_has_left_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("focus-fax-left", "another"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "document-0").touch()
    used = Workplace()
    clear_workplaces()
    assert {path.name for path in tmp_path.iterdir()} == {"another", used.path.name}
    used.remove()
    assert not used.path.exists()


def test_a_workplace_that_a_service_removes_which_begins_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make, made = tempfile.mkdtemp, []

    def mkdtemp(**options: str) -> str:
        made.append(make(**options))
        if len(made) == 1:
            clear_workplaces()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    used = Workplace()
    assert len(made) == 2
    assert [*tmp_path.iterdir()] == [used.path]
    used.remove()


def test_what_should_be_a_fax_is_kept_where_no_page_can_be_read(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    path = recordings.new("tiff")
    part = path.with_name(path.name + PART)
    part.write_bytes(b"II*\0\0\0\0\0")
    assert bring_in(recordings, path, 1) is None
    assert part.exists()
    assert bring_in(recordings, path, 0) is None
    assert not part.exists()


def test_of_a_fax_without_a_page_nothing_is_recovered(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, mend={"tiff": mend})
    part = recordings.new("tiff").with_suffix(f".tiff{PART}")
    part.write_bytes(b"II*\0\0\0\0\0")
    assert recordings.recover() == []
    assert [path.name for path in tmp_path.iterdir()] == [f"{part.name}.lost"]
