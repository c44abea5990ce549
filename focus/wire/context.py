"""Which room and which call the present task works for; log lines carry both.

A task inherits what was set when it was made (contextvars), so each actor sets its own once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

room: ContextVar[str] = ContextVar("room", default="")
call: ContextVar[str] = ContextVar("call", default="")


@contextmanager
def within(name: str) -> Iterator[None]:
    """Work for the room `name` for a moment, and for no call."""
    before = room.set(name), call.set("")
    try:
        yield
    finally:
        room.reset(before[0])
        call.reset(before[1])


@contextmanager
def about(name: str) -> Iterator[None]:
    """Work for the call `name` for a moment."""
    before = call.set(name)
    try:
        yield
    finally:
        call.reset(before)
