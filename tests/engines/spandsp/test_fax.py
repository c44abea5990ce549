"""libspandsp's T.30 with itself, faster than a line; with another implementation: test_efax.py."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from focus.engines import tiff
from focus.engines.fax import (
    FAILED,
    BadHeader,
    BadIdentity,
    DocumentError,
    EngineMissing,
    FaxError,
    FaxResult,
    FaxTerminal,
    Role,
)
from focus.engines.spandsp import fax as spandsp_fax
from focus.engines.spandsp import library
from focus.engines.spandsp.fax import SpandspFax
from focus.engines.spandsp.library import load
from tests.engines.faxes import FINE, FRAME, STANDARD, Line, page, pages_of, same, write

ENGINE = SpandspFax()


def fax(document: Path, received: Path, *, loss: float = 0.0, seed: int = 0, **sending: object) -> list[FaxResult]:
    """Send it, over a line: what the sender says of it, and what the receiver does."""
    with (
        closing(ENGINE.send(document, **sending)) as sender,  # type: ignore[arg-type]
        closing(ENGINE.receive(received, identity="+49 30 200")) as receiver,
    ):
        Line(sender, receiver, loss, seed).run()
    return [sender.result(), receiver.result()]


@pytest.mark.parametrize("resolution", [FINE, STANDARD])
@pytest.mark.parametrize("count", [1, 3])
def test_pages_come_as_they_were_sent(tmp_path: Path, count: int, resolution: tuple[int, int]) -> None:
    pages = [page(number) for number in range(1, count + 1)]
    sent, received = fax(write(tmp_path / "sent.tiff", pages, resolution), tmp_path / "received.tiff")
    assert sent.is_success
    assert received.is_success
    assert (sent.pages, sent.total_pages, received.pages, received.total_pages) == (count,) * 4
    assert [same(*pair) for pair in zip(pages_of(tmp_path / "received.tiff"), pages, strict=True)] == [True] * count
    assert tiff.read(tmp_path / "received.tiff") == (tiff.Page((1728, 700), resolution),) * count
    for result in (sent, received):
        assert (result.resolution, result.image_size) == (resolution, (1728, 700))
        assert (result.transfer_rate, result.ecm, result.bad_rows, result.text) == (14400, True, 0, "OK")


def test_each_end_says_who_it_is(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1)])
    sent, received = fax(document, tmp_path / "received.tiff", identity="+49 30 100")
    assert (sent.local_identity, sent.remote_identity) == ("+49 30 100", "+49 30 200")
    assert (received.local_identity, received.remote_identity) == ("+49 30 200", "+49 30 100")


def test_each_page_has_the_header_it_is_to_have(tmp_path: Path) -> None:
    pages = [page(number) for number in range(1, 5)]
    headers = ["", "Letter", "", "Bill"]
    fax(write(tmp_path / "sent.tiff", pages), tmp_path / "received.tiff", headers=headers)
    received = pages_of(tmp_path / "received.tiff")
    assert [image.height for image in received] == [700, 732, 700, 732]
    # Below the header is the page; the headers are different ones.
    below = [image.crop((0, image.height - 700, 1728, image.height)) for image in received]
    assert [same(*pair) for pair in zip(below, pages, strict=True)] == [True] * 4
    lines = [received[index].crop((0, 0, 1728, 32)) for index in (1, 3)]
    assert not same(*(line.crop((350, 0, 900, 32)) for line in lines))
    assert all(np.asarray(line).min() == 0 for line in lines)


def test_the_time_above_a_page_is_that_of_the_zone(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1)])
    clocks = []
    for zone in ("UTC0", "AAA-5:07"):
        with (
            closing(SpandspFax(timezone=zone).send(document, headers=["x"])) as sender,
            closing(ENGINE.receive(tmp_path / "received.tiff")) as receiver,
        ):
            Line(sender, receiver).run()
        clocks.append(pages_of(tmp_path / "received.tiff")[0].crop((200, 0, 330, 32)))
    assert not same(*clocks)  # 5 h 7 min apart, whatever the time is


def test_a_document_can_be_asked_for(tmp_path: Path) -> None:
    """Polling: the answering terminal has it, the calling one wants it."""
    document = write(tmp_path / "sent.tiff", [page(1)])
    with (
        closing(ENGINE.send(document, role=Role.ANSWERING)) as sender,
        closing(ENGINE.receive(tmp_path / "received.tiff", role=Role.CALLING)) as receiver,
    ):
        Line(receiver, sender).run()
    assert sender.result().is_success
    assert receiver.result().is_success
    assert same(pages_of(tmp_path / "received.tiff")[0], page(1))


def test_without_error_correction_it_is_said(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1)])
    plain = SpandspFax(ecm=False)
    with closing(plain.send(document)) as sender, closing(ENGINE.receive(tmp_path / "received.tiff")) as receiver:
        Line(sender, receiver).run()
    assert sender.result().is_success
    assert not sender.result().ecm
    assert not receiver.result().ecm
    assert same(pages_of(tmp_path / "received.tiff")[0], page(1))


def test_lost_packets_are_survived(tmp_path: Path) -> None:
    """One in 200, concealed: what is damaged is sent again."""
    document = write(tmp_path / "sent.tiff", [page(1)])
    sent, received = fax(document, tmp_path / "received.tiff", loss=0.005, seed=2)
    assert sent.is_success
    assert received.is_success
    assert same(pages_of(tmp_path / "received.tiff")[0], page(1))


def test_damaged_rows_are_counted(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1, height=1400)])
    plain = SpandspFax(ecm=False)
    with closing(plain.send(document)) as sender, closing(plain.receive(tmp_path / "received.tiff")) as receiver:
        Line(sender, receiver, loss=0.01, seed=3).run()
    assert receiver.result().pages == 1
    assert receiver.result().bad_rows > 0


# --- how it ends ------------------------------------------------------------------------------------------------------


def test_nobody_who_answers(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1)])
    with closing(ENGINE.send(document)) as sender:
        line = Line(sender, None)
        line.run()
    result = sender.result()
    assert (result.code, result.text) == (2, "Timed out waiting for initial communication")
    assert 55 < line.seconds < 65
    assert (result.pages, result.total_pages, result.remote_identity) == (0, 1, "")


def test_nobody_who_calls(tmp_path: Path) -> None:
    with closing(ENGINE.receive(tmp_path / "received.tiff")) as receiver:
        Line(None, receiver).run()
    result = receiver.result()
    assert (result.code, result.text) == (48, "Disconnected after permitted retries")
    assert (result.pages, result.total_pages, result.image_size) == (0, None, (0, 0))
    assert not (tmp_path / "received.tiff").exists()


def test_a_document_that_is_gone_is_an_error(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1)])
    with closing(ENGINE.send(document)) as sender, closing(ENGINE.receive(tmp_path / "received.tiff")) as receiver:
        document.unlink()
        Line(sender, receiver).run()
    assert (sender.result().code, sender.result().text) == (41, "TIFF/F file cannot be opened")
    assert not receiver.result().is_success


def test_every_end_has_a_text() -> None:
    """They are 0 to 61, as in spandsp's header."""
    with closing(ENGINE.receive(Path("/tmp/unused.tiff"))) as terminal:
        texts = [terminal._text(code) for code in range(62)]
        assert terminal._text(62) == "???"
    assert texts[0] == "OK"
    assert len({*texts}) == 62
    assert "???" not in texts


@contextmanager
def call(tmp_path: Path, count: int = 3) -> Iterator[tuple[FaxTerminal, FaxTerminal, Line]]:
    document = write(tmp_path / "sent.tiff", [page(number) for number in range(1, count + 1)])
    with (
        closing(ENGINE.send(document)) as sender,
        closing(ENGINE.receive(tmp_path / "received.tiff")) as receiver,
    ):
        yield sender, receiver, Line(sender, receiver)


def test_a_caller_who_goes_in_the_middle_leaves_the_pages_that_were_whole(tmp_path: Path) -> None:
    with call(tmp_path) as (sender, receiver, line):
        line.run(lambda: sender.pages == 1)
        line.wait(3)
        line.calling = None
        line.run(lambda: receiver.is_over)
    result = receiver.result()
    assert not result.is_success
    assert result.code not in (0, 49)  # it is T.30 that has given up
    assert (result.pages, result.total_pages, result.image_size) == (1, None, (1728, 700))
    assert len(tiff.read(tmp_path / "received.tiff")) == 1
    assert same(pages_of(tmp_path / "received.tiff")[0], page(1))


def test_an_answerer_who_goes_in_the_middle_is_an_error_to_who_sends(tmp_path: Path) -> None:
    with call(tmp_path) as (sender, _, line):
        line.run(lambda: sender.pages == 1)
        line.answering = None
        line.run(lambda: sender.is_over)
    result = sender.result()
    assert not result.is_success
    assert (result.pages, result.total_pages) == (1, 3)


#: Seconds into a call.
PHASES = {"call": 1, "identification": 5, "training": 8, "page": 14}


def ended(sender: FaxTerminal, receiver: FaxTerminal) -> None:
    assert sender.result().code is None
    assert sender.result().text == "still going on"
    for terminal in (sender, receiver):
        terminal.terminate()
        assert terminal.is_over
        assert (terminal.result().code, terminal.result().text) == (49, "The call dropped prematurely")
        said = np.concatenate([terminal.exchange(np.zeros(FRAME, np.int16)) for _ in range(10)])
        assert not said.any()


@pytest.mark.parametrize("seconds", PHASES.values(), ids=PHASES)
def test_either_end_can_be_ended_in_any_phase(tmp_path: Path, seconds: float) -> None:
    with call(tmp_path) as (sender, receiver, line):
        line.wait(seconds)
        ended(sender, receiver)
        assert (sender.pages, receiver.pages) == (0, 0)
    assert not (tmp_path / "received.tiff").exists()


def test_either_end_can_be_ended_while_there_is_a_receipt_under_way(tmp_path: Path) -> None:
    with call(tmp_path) as (sender, receiver, line):
        line.run(lambda: receiver.pages == 1)
        ended(sender, receiver)
        assert (sender.pages, receiver.pages) == (0, 1)
    assert sender.result().pages == 0
    assert receiver.result().pages == receiver.pages == 1
    assert len(tiff.read(tmp_path / "received.tiff")) == 1


@pytest.mark.parametrize("is_sender", [True, False])
def test_a_farewell_that_never_comes_changes_nothing(tmp_path: Path, is_sender: bool) -> None:
    """Every page has a receipt: then it does not matter how the call ends."""
    with call(tmp_path, 1) as (sender, receiver, line):
        terminal = sender if is_sender else receiver
        if is_sender:
            line.run(lambda: sender.pages == 1)
            sender.terminate()
        else:
            line.run(lambda: sender.pages == 1)
            line.calling = None
            line.run(lambda: receiver.is_over)
    assert terminal.result().is_success
    assert terminal.result().total_pages == 1


def test_a_receipt_that_was_not_sent_is_none(tmp_path: Path) -> None:
    """The page is there, but who sent it does not know."""
    with call(tmp_path, 1) as (sender, receiver, line):
        line.run(lambda: receiver.pages == 1)
        line.answering = None
        line.run(lambda: sender.is_over)
    assert not sender.result().is_success
    assert sender.result().pages == 0


def test_a_crash_leaves_the_pages_that_were_whole(tmp_path: Path) -> None:
    """What is in the file in the middle of a call is what a crash leaves of it."""
    left = tmp_path / "left.tiff"
    with call(tmp_path) as (_, receiver, line):
        line.run(lambda: receiver.pages == 2)
        line.wait(4)
        shutil.copy(tmp_path / "received.tiff", left)
    with left.open("ab") as file:
        file.write(b"half a page")
    assert len(tiff.recover(left)) == 2
    assert [same(*pair) for pair in zip(pages_of(left), [page(1), page(2)], strict=True)] == [True, True]


def test_a_page_is_on_the_disk_before_it_has_a_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, int, int]] = []
    with call(tmp_path, 2) as (sender, receiver, line):

        def fsync(descriptor: int) -> None:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            synced.append((path, len(tiff.read(tmp_path / "received.tiff")), sender.pages))

        monkeypatch.setattr("os.fsync", fsync)
        line.run()
    received = str(tmp_path / "received.tiff")
    assert synced == [(received, 1, 0), (str(tmp_path), 1, 0), (received, 2, 1)]
    assert receiver.result().pages == 2


def test_a_page_that_the_disk_does_not_take_has_no_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.fsync", fsync)
    with call(tmp_path, 1) as (sender, receiver, line):
        line.run()
    assert (receiver.result().code, receiver.result().pages) == (FAILED, 0)
    assert receiver.result().text == "a page that came could not be written"
    assert (sender.result().is_success, sender.result().pages) == (False, 0)


# --- what is refused before -------------------------------------------------------------------------------------------


def test_an_identity_that_is_too_long_is_refused(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1)])
    with pytest.raises(BadIdentity, match="21 characters, where 20 is the most"):
        ENGINE.send(document, identity="+" + "1" * 20)
    with pytest.raises(BadIdentity):
        ENGINE.receive(tmp_path / "received.tiff", identity="1" * 21)


def test_a_header_that_is_too_long_is_refused(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1)])
    with pytest.raises(BadHeader, match="51 characters, where 50 is the most"):
        ENGINE.send(document, headers=["x" * 51])
    with pytest.raises(ValueError, match="2 headers for 1 page"):
        ENGINE.send(document, headers=["x", "x"])


def test_a_document_that_is_none_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "sent.tiff"
    document.write_bytes(b"junk")
    with pytest.raises(DocumentError, match="no TIFF"):
        ENGINE.send(document)


def test_a_file_that_could_not_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FaxError, match="cannot be written to"):
        ENGINE.receive(tmp_path / "nowhere" / "received.tiff")
    with pytest.raises(FaxError, match="255 is the most"):
        ENGINE.receive(tmp_path / ("x" * 255))


def test_without_the_library_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(declarations: str) -> library.Library:
        return library.load_from("libnowhere.so.9", declarations)

    monkeypatch.setattr(spandsp_fax, "load", missing)
    with pytest.raises(EngineMissing, match="libspandsp2"):
        ENGINE.receive(tmp_path / "received.tiff")


# --- what it holds ----------------------------------------------------------------------------------------------------


def resident() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


def test_terminals_give_back_what_they_hold(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1)])

    def use(times: int) -> None:
        for _ in range(times):
            for terminal in (ENGINE.send(document, headers=["x"]), ENGINE.receive(tmp_path / "received.tiff")):
                for _ in range(5):
                    terminal.exchange(np.zeros(FRAME, np.int16))
                terminal.close()
                terminal.close()

    use(50)
    before = resident()
    use(200)
    assert resident() - before < 4_000_000  # one of them has 100 kB
    assert not spandsp_fax._callbacks(spandsp_fax._library())._terminals


def test_a_closed_terminal_is_told_so(tmp_path: Path) -> None:
    receiver = ENGINE.receive(tmp_path / "received.tiff")
    receiver.close()
    assert receiver.result().code == 49
    receiver.terminate()
    with pytest.raises(ValueError, match="closed"):
        receiver.exchange(np.zeros(FRAME, np.int16))


def test_a_library_that_is_loaded_anew_calls_back_as_the_first_one(tmp_path: Path) -> None:
    SpandspFax().receive(tmp_path / "one.tiff").close()
    load.cache_clear()
    SpandspFax().receive(tmp_path / "other.tiff").close()
