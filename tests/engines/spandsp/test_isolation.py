"""Fax terminals in processes of their own: what they do is test_fax.py's, here is what a process adds to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from focus.engines import tiff
from focus.engines.fax import FAILED, LINGER, BadHeader, BadIdentity, DocumentError, EngineMissing, FaxError, Role
from focus.engines.spandsp import isolation
from focus.engines.spandsp.fax import SpandspFax
from focus.engines.spandsp.isolation import IsolatedFax, IsolatedTerminal, check_isolation
from focus.rayo.component import WIND_UP
from focus.rayo.components.fax import described
from tests.engines.faxes import FRAME, Line, page, pages_of, same, write

ENGINE = IsolatedFax()
SILENCE = np.zeros(FRAME, np.int16)


def pid(terminal: IsolatedTerminal) -> int:
    assert terminal._process is not None
    return terminal._process.pid


def test_pages_come_as_they_were_sent(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1), page(2)])
    with (
        closing(ENGINE.send(document, identity="+49 30 100", headers=["", "x"])) as sender,
        closing(ENGINE.receive(tmp_path / "received.tiff", identity="+49 30 200")) as receiver,
    ):
        line = Line(sender, receiver)
        line.run(lambda: sender.pages == 1)
        assert sender.result().code is None
        assert not sender.is_over
        line.run()
        assert sender.result().is_success
    for result in (sender.result(), receiver.result()):
        assert (result.code, result.pages, result.total_pages, result.ecm) == (0, 2, 2, True)
        assert (result.resolution, result.transfer_rate) == ((204, 196), 14400)
    assert receiver.result().image_size == (1728, 732)
    assert (receiver.result().local_identity, receiver.result().remote_identity) == ("+49 30 200", "+49 30 100")
    assert [image.height for image in pages_of(tmp_path / "received.tiff")] == [700, 732]
    assert same(pages_of(tmp_path / "received.tiff")[0], page(1))
    assert (tmp_path / "received.tiff").stat().st_mode & 0o777 == 0o600


def test_roles_errors_and_ends_are_as_without_a_process(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1)])
    with pytest.raises(BadIdentity, match="21 characters, where 20 is the most"):
        ENGINE.receive(tmp_path / "received.tiff", identity="1" * 21)
    with pytest.raises(BadHeader, match="51 characters, where 50 is the most"):
        ENGINE.send(document, headers=["x" * 51])
    (tmp_path / "junk.tiff").write_bytes(b"junk")
    with pytest.raises(DocumentError, match="no TIFF"):
        ENGINE.send(tmp_path / "junk.tiff")
    sender = ENGINE.send(document, role=Role.ANSWERING)
    said = np.concatenate([sender.exchange(SILENCE) for _ in range(50)])
    assert abs(said).max() > 1000  # CED, where a calling terminal would wait for 3 s in between
    sender.terminate()
    assert sender.is_over
    sender.close()
    sender.close()
    sender.terminate()
    assert (sender.result().code, sender.result().total_pages) == (49, 1)
    with pytest.raises(ValueError, match="closed"):
        sender.exchange(SILENCE)


def test_a_process_that_dies_ends_the_fax_and_leaves_its_whole_pages(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    document = write(tmp_path / "sent.tiff", [page(1), page(2)])
    received = tmp_path / "received.tiff"
    with closing(SpandspFax().send(document)) as sender, closing(ENGINE.receive(received, identity="+49")) as receiver:
        line = Line(sender, receiver)
        line.run(lambda: sender.pages == 1)
        os.kill(pid(receiver), signal.SIGSEGV)
        line.run(lambda: receiver.is_over)
        assert not receiver.exchange(SILENCE).any()
        receiver.terminate()
    result = receiver.result()
    assert (result.code, result.text, result.pages) == (FAILED, "the fax engine has failed", 1)
    assert result.local_identity == "+49"
    assert f"a fax terminal has failed, with {-signal.SIGSEGV}" in caplog.text
    assert len(tiff.recover(received)) == 1
    assert same(pages_of(received)[0], page(1))


@pytest.mark.parametrize(("size", "pages"), [(10_000, 0), (20_000, 1)])
def test_a_page_that_cannot_be_written_has_no_receipt(tmp_path: Path, size: int, pages: int) -> None:
    """As where the disk is full; a page has 15 kB, and the last one counts as the others do."""
    document = write(tmp_path / "sent.tiff", [page(1), page(2)])
    received = tmp_path / "received.tiff"
    full = IsolatedFax()
    full._options["size"] = size
    with closing(SpandspFax().send(document)) as sender, closing(full.receive(received)) as receiver:
        Line(sender, receiver).run()
        assert not sender.result().is_success
    assert sender.result().pages == pages
    result = receiver.result()
    assert (result.code, result.text, result.pages) == (FAILED, "a page that came could not be written", pages)
    assert len(tiff.recover(received)) == pages
    assert not pages or same(pages_of(received)[0], page(1))


def test_a_process_that_says_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = ENGINE.receive(tmp_path / "received.tiff")
    monkeypatch.setattr(isolation, "DISK", 0.2)
    stopped = pid(receiver)
    os.kill(stopped, signal.SIGSTOP)
    assert not receiver.exchange(SILENCE).any()
    assert receiver.is_over
    assert not Path(f"/proc/{stopped}").exists()
    receiver.close()
    assert receiver.result().code == FAILED


def test_a_process_whose_parent_is_gone_ends_and_its_file_is_whole(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [page(1), page(2)])
    received = tmp_path / "received.tiff"
    with closing(SpandspFax().send(document)) as sender, closing(ENGINE.receive(received)) as receiver:
        Line(sender, receiver).run(lambda: sender.pages == 1)
        process, receiver._process = receiver._process, None
        assert process is not None
        process.communicate()
        assert process.returncode == 0
        assert same(pages_of(received)[0], page(1))


def test_an_engine_that_does_not_start_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FaxError, match="does not start"):
        IsolatedFax(timeout=0.001).receive(tmp_path / "received.tiff")
    narrow = IsolatedFax()
    narrow._options["memory"] = 1 << 70
    with pytest.raises(FaxError, match="does not start"):
        narrow.receive(tmp_path / "received.tiff")
    assert "OverflowError" in caplog.text


def test_what_would_keep_each_fax_from_beginning_is_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    check = check_isolation.__wrapped__
    check()
    monkeypatch.setattr(isolation, "MEMORY", 64 << 20)
    with pytest.raises(FaxError, match=r"does not start: \S") as refused:
        check()
    assert not isinstance(refused.value, EngineMissing)
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(FaxError, match="No such file"):
        check()


def test_a_terminal_that_hangs_is_given_up_before_its_component_is() -> None:
    """What it has received could not be brought in else."""
    assert LINGER + isolation.SILENCE + 1 < WIND_UP
    assert isolation.DISK + 1 < WIND_UP


def test_a_machine_with_many_cores_has_room_for_a_fax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where NumPy is told to use them, too: it would have as many threads, and address space for each."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "64")
    with closing(ENGINE.receive(tmp_path / "received.tiff")) as receiver:
        assert len(os.listdir(f"/proc/{pid(receiver)}/task")) == 1


def test_processes_and_their_pipes_are_given_back(tmp_path: Path) -> None:
    def pipes() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = pipes()
    terminals = [ENGINE.receive(tmp_path / f"{number}.tiff") for number in range(2)]
    running = [pid(terminal) for terminal in terminals]
    assert pipes() > before
    for terminal in terminals:
        terminal.close()
    assert pipes() == before
    assert not any(Path(f"/proc/{each}").exists() for each in running)


#: A process that a modem has taken over: what it says of pages, how many bytes it promises, and what comes.
TAKEN_OVER = """#!{python}
import struct, sys
requests, answers = sys.stdin.buffer, sys.stdout.buffer
requests.readline()
answers.write(b"{{}}\\n")
answers.flush()
while len(head := requests.read(5)) == 5:
    kind, length = struct.unpack("<cI", head)
    data = requests.read(length)
    pages, promised, said = {answer}
    answers.write(struct.pack("<I?I", pages, False, promised) + said)
    answers.flush()
"""
#: Of each, whether it is known at once.
NONSENSE = {
    "more pages than there are": ("4_000_000_000, length, data", True),
    "another length of sound": ("0, length - 1, data[1:]", True),
    "more than there is room for": ("0, 1 << 30, data", True),
    "no result": ("(0, length, data) if kind == b'x' else (0, 4, b'junk')", False),
    "another result": ("(0, length, data) if kind == b'x' else (0, 3, b'[1]')", False),
}
#: A result, of which one value is another one.
RESULT = {
    "code": 0, "text": "OK", "pages": 1, "total_pages": 1, "bad_rows": 0, "transfer_rate": 14400, "ecm": True,
    "resolution": [204, 196], "image_size": [1728, 700], "local_identity": "+1", "remote_identity": "+2",
}  # fmt: skip


def taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    run_instead(tmp_path, monkeypatch, TAKEN_OVER.format(python=sys.executable, answer=answer))


def run_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))


@pytest.mark.parametrize(("answer", "at_once"), NONSENSE.values(), ids=NONSENSE)
def test_a_process_that_makes_no_sense_any_more_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, at_once: bool
) -> None:
    taken_over(tmp_path, monkeypatch, answer)
    terminal = ENGINE.receive(tmp_path / "received.tiff", identity="+49")
    process = pid(terminal)
    assert len(terminal.exchange(SILENCE)) == FRAME
    assert terminal.is_over is at_once
    terminal.close()
    assert terminal.is_over
    assert not Path(f"/proc/{process}").exists()
    result = terminal.result()
    assert (result.code, result.pages, result.local_identity) == (FAILED, 0, "+49")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code", "0"),
        ("code", -2),
        ("text", 7),
        ("total_pages", "1\0"),
        ("bad_rows", [1]),
        ("transfer_rate", "1\0"),
        ("transfer_rate", 10**30),
        ("resolution", ["\2", 1]),
        ("image_size", [1728, 700, 1]),
        ("remote_identity", None),
    ],
)
def test_what_cannot_be_so_is_not_believed_of_a_fax(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    said = json.dumps({**RESULT, name: value}).encode()
    taken_over(tmp_path, monkeypatch, f"(1, {len(said)}, {said!r})")
    with closing(ENGINE.receive(tmp_path / "received.tiff", identity="+49")) as terminal:
        assert (terminal.result().code, terminal.result().local_identity) == (FAILED, "+49")
        assert terminal.is_over


def test_what_a_process_says_of_a_fax_can_be_told_to_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.dumps({**RESULT, "text": "O\0K", "local_identity": "\0", "remote_identity": "\2" + "é" * 99}).encode()
    taken_over(tmp_path, monkeypatch, f"(1, {len(said)}, {said!r})")
    with closing(ENGINE.receive(tmp_path / "received.tiff", identity="+49")) as terminal:
        result = terminal.result()
    assert (result.text, result.pages, result.remote_identity) == ("O?K", 1, "?" + "e" * 19)
    assert (result.local_identity, result.image_size) == ("+49", (1728, 700))
    assert all(each.value.isascii() and each.value.isprintable() for each in described(result))


def test_a_process_that_says_a_byte_now_and_then_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take minutes for these."""
    slowly = "[each for each in range(length) if answers.write(b'!') and not (answers.flush() or sleep(0.1))]"
    program = TAKEN_OVER.format(python=sys.executable, answer="0, length, data")
    program = program.replace("import struct", "from time import sleep\nimport struct")
    program = program.replace("pages, False, promised) + said)", f"pages, False, promised))\n    {slowly}")
    run_instead(tmp_path, monkeypatch, program)
    with closing(ENGINE.receive(tmp_path / "received.tiff")) as terminal:
        monkeypatch.setattr(isolation, "DISK", 1.0)
        assert not terminal.exchange(np.zeros(8000, np.int16)).any()
        assert terminal.is_over


def test_a_page_may_wait_for_its_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For longer than all else, where one may come."""
    program = TAKEN_OVER.format(python=sys.executable, answer="0, length, data")
    program = program.replace("    data = ", "    __import__('time').sleep(0.5)\n    data = ")
    run_instead(tmp_path, monkeypatch, program)
    monkeypatch.setattr(isolation, "DISK", 60.0)
    monkeypatch.setattr(isolation, "SILENCE", 0.1)
    with closing(ENGINE.receive(tmp_path / "received.tiff")) as terminal:
        assert len(terminal.exchange(SILENCE)) == FRAME
        assert not terminal.is_over


@pytest.mark.parametrize("line", ["hello", "1", "[" * 50_000, "", "\\0"])
def test_a_process_that_begins_otherwise_does_not_start_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    run_instead(
        tmp_path, monkeypatch, f"#!{sys.executable}\nimport time\nprint('{line}', flush=True)\ntime.sleep(60)\n"
    )
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(FaxError, match="does not start: its process begins with"):
        ENGINE.receive(tmp_path / "received.tiff")
    assert started[0].poll() is not None
