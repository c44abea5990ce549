"""What the service says when it is up, how it says that it cannot come up, and by what it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class ExitCode(IntEnum):
    """Exit codes of the command line (sysexits.h)."""

    OK = 0
    FAILURE = 1
    USAGE = 64
    DATA = 65
    NO_INPUT = 66
    UNAVAILABLE = 69
    #: EX_TEMPFAIL: a call was not taken. EX_PROTOCOL: it failed, or the service refuses. EX_NOPERM: we may not do that.
    NOT_TAKEN = 75
    FAILED = 76
    NOT_ALLOWED = 77
    CONFIGURATION = 78


@dataclass(frozen=True)
class ServiceReady:
    """Where the running service listens; the addresses are as bound, so a port is never 0."""

    media: tuple[tuple[str, int], ...]
    http: tuple[str, int] | None
    metrics: tuple[str, int] | None

    def __str__(self) -> str:
        """For a person."""
        audio = ", ".join(_written(address) for address in self.media)
        others = {"page": self.http, "health": self.metrics}
        parts = [f"{name} on {_written(address)}" for name, address in others.items() if address is not None]
        return "; ".join([f"audio on {audio}", *parts])


def _written(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class ServiceError(Exception):
    """The service cannot start or go on: one line for a person, and the exit code that belongs to it."""

    def __init__(self, message: str, exit_code: int = ExitCode.UNAVAILABLE) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = int(exit_code)


class Runnable(Protocol):
    """The service, as the command line sees it."""

    async def run(self, stop: asyncio.Event, ready: Callable[[ServiceReady], None]) -> None:
        """Run until `stop` is set; call `ready` once when calls can be taken. Raises ServiceError."""


def told_to_stop() -> asyncio.Event:
    """Set by SIGTERM, SIGINT and SIGHUP, the last unless it is ignored, as nohup has it."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told
