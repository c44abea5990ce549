"""Faxes with libspandsp, each terminal in a process of its own (`focus.engines.spandsp.terminals`)."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from focus.engines import fax, tiff
from focus.engines.fax import FAILED, MAX_IDENTITY, FaxError, FaxResult, Role, Samples, folded, header_of, identity_of
from focus.engines.spandsp import terminals
from focus.engines.spandsp.fax import check_engine
from focus.engines.spandsp.terminals import CLOSE, EXCHANGE, HEAD, RESULT, STATE, TERMINATE

log = logging.getLogger(__name__)

#: What a terminal's process may have: bytes of address space, and of the file that it writes. Half an hour of a call
#: at 14400 bit/s is 26 MB.
MEMORY = 512 << 20
SIZE = 256 << 20
#: What to look for where one does not start.
NEEDS = f"a fax takes a process with {MEMORY >> 20} MB of address space, and a folder for temporary files"

#: In so many seconds a terminal's process must have answered. Who waits for its end does not wait for much longer.
SILENCE = 4.0
#: The same where a page may come: its receipt waits for the disk, which may be busy with the recordings of others. Who
#: sends asks for a receipt for some ten seconds.
DISK = 8.0

#: Bytes of an answer that is no sound. What a stranger's modem has taken over may say anything.
LONGEST = 1 << 16

#: For so many seconds the first process of all may take to start, on a machine that has just started itself.
FIRST = 60.0

#: NumPy's library for matrices would have a thread for each core, with 40 MB of address space.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class _Silent(Exception):
    """The process has ended, or does not answer, or makes no sense; what of it, where the process does not say."""


@cache
def check_isolation() -> None:
    """Start a terminal's process, with all of its limits, and end it: what would keep each fax from beginning is known
    before there is one. Where that works once, it is taken for granted afterwards.

    Raises `EngineMissing` where there is no libspandsp, and `FaxError` for everything else; blocks.
    """
    check_engine()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="focus-trial-") as folder,
            closing(IsolatedFax(timeout=FIRST).receive(Path(folder) / "fax.tiff")) as terminal,
        ):
            terminal.exchange(np.zeros(160, np.int16))
    except OSError as error:  # no folder, or no process
        raise FaxError(f"the fax engine does not start: {error}") from None
    if terminal.result().code == FAILED:
        raise FaxError(terminal.result().text)


class IsolatedFax:
    """The FaxEngine that uses libspandsp where nothing else is; see `SpandspFax` for what it is given.

    `timeout`: so many seconds a terminal's process may take to start. It does so in a fifth of a second, and answers
    within milliseconds then.
    """

    def __init__(self, *, timezone: str = "", ecm: bool = True, timeout: float = 15.0) -> None:
        self._timeout = timeout
        self._options = {"timezone": timezone, "ecm": ecm, "memory": MEMORY, "size": SIZE}

    def receive(self, path: Path, *, identity: str = "", role: Role = Role.ANSWERING) -> IsolatedTerminal:
        """See `FaxEngine.receive`. Starts a process, and waits until it is ready."""
        return self._made(path, identity_of(identity), None, role)

    def send(
        self, path: Path, *, identity: str = "", headers: Sequence[str] = (), role: Role = Role.CALLING
    ) -> IsolatedTerminal:
        """See `FaxEngine.send`. Starts a process, and waits until it is ready."""
        return self._made(path, identity_of(identity), [header_of(header) for header in headers], role)

    def _made(self, path: Path, identity: str, headers: list[str] | None, role: Role) -> IsolatedTerminal:
        question = {"path": str(path), "identity": identity, "headers": headers, "role": role.value, **self._options}
        return IsolatedTerminal(question, self._timeout)


class IsolatedTerminal:
    """See `FaxTerminal`. Where its process ends by itself it is over, with `FAILED`; what it has received stays."""

    def __init__(self, question: dict[str, Any], timeout: float) -> None:
        self._lock = threading.Lock()
        self._deadline = time.monotonic() + timeout
        self._receives = question["headers"] is None
        self._pages = 0
        self._is_over = False
        self._is_closed = False
        self._result = _failed(question["identity"])
        # In the same environment as this one, and from the same place.
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            (sys.executable, "-m", terminals.__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, **_ONE_THREAD},
        )
        try:
            self._write(json.dumps(question).encode() + b"\n")
            answer = self._first_answer()
        except _Silent as error:
            raise FaxError(f"the fax engine does not start: {self._fail(str(error))}") from None
        if "error" in answer:
            self._end()
            raise getattr(fax, answer["error"], ValueError)(answer["text"])

    def exchange(self, received: Samples) -> Samples:
        """See `FaxTerminal.exchange`."""
        heard = np.ascontiguousarray(received, np.int16)
        with self._lock:
            if self._is_closed:
                raise ValueError("the terminal is closed")
            said = self._ask(EXCHANGE, heard.tobytes())
        return np.zeros(len(heard), np.int16) if said is None else np.frombuffer(said, np.int16)

    @property
    def is_over(self) -> bool:
        """See `FaxTerminal.is_over`."""
        return self._is_over

    @property
    def pages(self) -> int:
        """See `FaxTerminal.pages`."""
        return self._pages

    def terminate(self) -> None:
        """See `FaxTerminal.terminate`."""
        with self._lock:
            self._ask(TERMINATE)

    def result(self) -> FaxResult:
        """See `FaxTerminal.result`."""
        with self._lock:
            return self._asked_result(RESULT)

    def close(self) -> None:
        """See `FaxTerminal.close`."""
        with self._lock:
            self._is_closed = True
            try:
                self._result = self._asked_result(CLOSE)
            finally:
                self._end()

    def _asked_result(self, kind: bytes) -> FaxResult:
        answer = self._ask(kind)
        if answer is None:
            return replace(self._result, pages=self._pages)
        try:
            return _result_of(json.loads(answer), self._pages, self._result.local_identity)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            self._is_over = True
            self._fail("what it says of the fax makes no sense")
            return replace(self._result, pages=self._pages)

    def _ask(self, kind: bytes, data: bytes = b"") -> bytes | None:
        """The answer; None where there is no process any more."""
        if self._process is None:
            return None
        is_sound = kind == EXCHANGE
        is_patient = is_sound and self._receives and not self._is_over
        self._deadline = time.monotonic() + (DISK if is_patient else SILENCE)
        try:
            self._write(HEAD.pack(kind, len(data)) + data)
            pages, is_over, length = STATE.unpack(self._read(STATE.size))
            if not self._pages <= pages <= tiff.MAX_PAGES or (length != len(data) if is_sound else length > LONGEST):
                raise _Silent("its answer makes no sense")
            answer = self._read(length)
            self._pages, self._is_over = pages, is_over
            return answer
        except _Silent as error:
            self._is_over = True
            self._fail(str(error))
            return None

    def _write(self, data: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        try:
            while data:
                self._await(pipe, select.POLLOUT)
                data = data[os.write(pipe, data[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            raise _Silent from None

    def _read(self, length: int) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        parts = []
        while length:
            self._await(pipe, select.POLLIN)
            part = os.read(pipe, length)
            if not part:
                raise _Silent
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _await(self, pipe: int, what: int) -> None:
        """One deadline is for all pieces of an answer: who says a byte now and then would not be silent ever."""
        poll = select.poll()
        poll.register(pipe, what)
        if not poll.poll(max(0.0, self._deadline - time.monotonic()) * 1000):
            raise _Silent("it has not answered in time (a slow disk may be why)")

    def _first_answer(self) -> dict[str, str]:
        line = b""
        while not line.endswith(b"\n") and len(line) < LONGEST:
            line += self._read(1)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise _Silent(f"its process begins with {folded(line.decode(errors='replace'))[:80]!r}")
        return answer

    def _fail(self, why: str) -> str:
        """The process has ended by itself, or does not answer; `why`, else the last that it has said, else how it has
        ended."""
        assert self._process is not None
        process, complaint = self._process, self._end()
        said = complaint[-1000:].decode(errors="replace").strip()
        log.error("a fax terminal has failed, with %s: %s", process.returncode, "; ".join(filter(None, (why, said))))
        return why or said.rpartition("\n")[2] or f"its process has ended with {process.returncode}"

    def _end(self) -> bytes:
        """See that the process is no more; what it has complained of. It has closed its file where it was asked to, or
        is beyond that."""
        process, self._process = self._process, None
        if process is None:
            return b""
        process.kill()
        return process.communicate()[1]


def _result_of(values: Any, pages: int, identity: str) -> FaxResult:
    """What a process says of its fax, of which nothing is believed that could not be so: it is told to clients.

    Raises whatever Python does about something else: ValueError, LookupError, TypeError, AttributeError.
    """
    across, down = values["resolution"]
    width, length = values["image_size"]
    code, total = values["code"], values["total_pages"]
    return FaxResult(
        code=None if code is None else _number(code, FAILED),
        text=folded(values["text"])[:200],
        pages=pages,
        total_pages=None if total is None else _number(total),
        bad_rows=_number(values["bad_rows"]),
        transfer_rate=_number(values["transfer_rate"]),
        ecm=values["ecm"] is True,
        resolution=(_number(across), _number(down)),
        image_size=(_number(width), _number(length)),
        local_identity=identity,
        remote_identity=folded(values["remote_identity"])[:MAX_IDENTITY],
    )


def _number(value: object, least: int = 0) -> int:
    if type(value) is not int or not least <= value < 1 << 31:
        raise ValueError("it is no such number")
    return value


def _failed(identity: str) -> FaxResult:
    return FaxResult(
        code=FAILED,
        text="the fax engine has failed",
        pages=0,
        total_pages=None,
        bad_rows=0,
        transfer_rate=0,
        ecm=False,
        resolution=(0, 0),
        image_size=(0, 0),
        local_identity=identity,
        remote_identity="",
    )
