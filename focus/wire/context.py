"""Which room and which call a piece of work belongs to, for the logs; inherited by the tasks it starts."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

room: Final[ContextVar[str]] = ContextVar("room", default="")
call: Final[ContextVar[str]] = ContextVar("call", default="")
