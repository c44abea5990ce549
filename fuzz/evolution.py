"""Looks for documents that a target does not survive: those that reach something new are kept, and changed again.

What is reached are steps from line to line of the code that reads documents, counted by Python itself. So nothing has
to be built, and the number of lines tells whether something takes longer than it may, however busy the machine is.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import focus
from fuzz.documents import TARGETS
from fuzz.inputs import CORPUS
from fuzz.mutation import Mutation
from fuzz.seeds import DOCUMENTS

READERS = tuple(str(Path(focus.__file__).parent / name) for name in ("engines", "client/interpretation"))
KEPT = 24_000  # bytes of a target's inputs in fuzz/corpus


class TooMuch(Exception):
    """More was done than there was to do."""


class Reach:
    """Which steps from line to line are taken, and how many, while it is entered."""

    def __init__(self) -> None:
        self.steps: set[tuple[str, int, int]] = set()
        self.lines = 0

    def __enter__(self) -> Reach:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(READERS):
            return None
        before = 0

        def line(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal before
            if event == "line":
                self.lines += 1
                self.steps.add((name, before, frame.f_lineno))
                before = frame.f_lineno
            return line

        return line


def once(target: str, data: bytes) -> Reach:
    """Raises whatever is wrong."""
    with Reach() as reach:
        allowed = TARGETS[target](data)
    if reach.lines > allowed:
        raise TooMuch(f"{reach.lines} lines of Python where {allowed} would do")
    return reach


def fuzz(target: str, seconds: float, found: Path, findings: Path) -> bool:
    """Whether nothing was found in that time. What reaches something new is put into `found`, for the next run."""
    choice = random.Random()
    known: set[tuple[str, int, int]] = set()
    inputs = list(dict.fromkeys([*DOCUMENTS[target](), *_read(CORPUS / target), *_read(found)]))
    alive = list(inputs)
    mutation = Mutation(choice, alive)
    until, runs, well, waiting = time.monotonic() + seconds, 0, True, list(inputs)
    wrong: set[str] = set()
    while waiting or time.monotonic() < until:
        is_changed = not waiting
        data = mutation.changed(choice.choice(alive)) if is_changed else waiting.pop()
        runs += 1
        try:
            reach = once(target, data)
        except Exception as error:
            well = False
            kind = "".join(traceback.format_exception(error)[-2:])
            if kind not in wrong:
                wrong.add(kind)
                path = findings / f"{target}-{_name(data)}"
                path.write_bytes(data)
                print(f"{path}:\n{traceback.format_exc()}", flush=True)
            continue
        if is_changed and not reach.steps <= known:
            alive.append(data)
            (found / _name(data)).write_bytes(data)
        known |= reach.steps
    print(f"{target}: {runs} runs, {len(known)} steps, {len(alive)} inputs", flush=True)
    return well


def keep(target: str, found: Path) -> None:
    """Into fuzz/corpus those that are enough to reach all that is reached, short ones first."""
    kept = CORPUS / target
    kept.mkdir(parents=True, exist_ok=True)
    named = [path for path in kept.iterdir() if len(path.name) != 12]
    known: set[tuple[str, int, int]] = set()
    for data in [*DOCUMENTS[target](), *_read(kept, named)]:
        known |= once(target, data).steps
    enough: list[bytes] = []
    for data in sorted({*_read(kept), *_read(found)}, key=lambda data: (len(data), data)):
        steps = once(target, data).steps
        if not steps <= known and sum(map(len, enough)) + len(data) <= KEPT:
            enough.append(data)
            known |= steps
    for path in set(kept.iterdir()) - set(named):
        path.unlink()
    for data in enough:
        (kept / _name(data)).write_bytes(data)
    print(f"{target}: {len(enough)} files, {sum(map(len, enough))} bytes")


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _read(folder: Path, paths: Iterable[Path] | None = None) -> list[bytes]:
    if not folder.is_dir():
        return []
    return [path.read_bytes() for path in sorted(folder.iterdir() if paths is None else paths)]
