"""A fax terminal in a process of its own: `python -m focus.engines.spandsp.terminals`, which is clocked on stdin.

What a stranger's modem says ends up in much C, which should not meet it in the process that has everybody's calls.
`focus.engines.spandsp.isolation` asks. First comes a line of JSON, what `SpandspFax` is to be asked for; the answer is
a line of JSON, `{}` or `{"error": its class, "text": what it says}`. Then come messages, a head of `HEAD` and as many
bytes as that says, each answered by another one, of `STATE`:

    EXCHANGE    16-bit samples; as many are the answer
    TERMINATE   nothing; nothing
    RESULT      nothing; JSON, a `FaxResult`
    CLOSE       the same, once the file is whole; then the process ends

It ends as well, with a file that is whole, when nobody asks any more.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from focus.engines.fax import FaxError, FaxTerminal, Role
from focus.engines.spandsp.fax import SpandspFax

#: What is asked for, and how many bytes follow.
HEAD = struct.Struct("<cI")
#: Pages until now, whether it is over, and how many bytes follow.
STATE = struct.Struct("<I?I")

EXCHANGE, TERMINATE, RESULT, CLOSE = b"x", b"t", b"r", b"c"


def _made(question: dict[str, Any]) -> FaxTerminal:
    engine = SpandspFax(timezone=question["timezone"], ecm=question["ecm"])
    path, identity, role = Path(question["path"]), question["identity"], Role(question["role"])
    if question["headers"] is None:
        return engine.receive(path, identity=identity, role=role)
    return engine.send(path, identity=identity, headers=question["headers"], role=role)


def _answer(terminal: FaxTerminal, kind: bytes, data: bytes) -> bytes:
    if kind == EXCHANGE:
        return terminal.exchange(np.frombuffer(data, np.int16)).tobytes()
    if kind == TERMINATE:
        terminal.terminate()
        return b""
    if kind == CLOSE:
        terminal.close()
    return json.dumps(asdict(terminal.result())).encode()


def _serve(terminal: FaxTerminal, requests: BinaryIO, answers: BinaryIO) -> None:
    kind = b""
    while kind != CLOSE:
        head = requests.read(HEAD.size)
        if len(head) < HEAD.size:
            return
        kind, length = HEAD.unpack(head)
        answer = _answer(terminal, kind, requests.read(length))
        answers.write(STATE.pack(terminal.pages, terminal.is_over, len(answer)) + answer)
        answers.flush()


def _refuse(answers: BinaryIO, error: str, text: str) -> None:
    answers.write(json.dumps({"error": error, "text": text}).encode() + b"\n")
    answers.flush()


def main() -> None:
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    question = json.loads(requests.readline())
    os.umask(0o077)  # faxes are for our own user only, also while they come
    os.set_blocking(sys.stderr.fileno(), False)  # it is read when this has ended
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, question["memory"]),
        (resource.RLIMIT_FSIZE, question["size"]),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (most, most))
    try:
        terminal = _made(question)
    except (FaxError, ValueError) as error:
        _refuse(answers, type(error).__name__, str(error))
        return
    except (ImportError, MemoryError, OSError) as error:
        _refuse(answers, FaxError.__name__, f"the fax engine does not start: {error}")
        raise
    answers.write(b"{}\n")
    answers.flush()
    with closing(terminal):
        _serve(terminal, requests, answers)


if __name__ == "__main__":
    main()
