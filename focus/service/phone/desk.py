"""A phone on the command line: shows what happens, hangs up when it is time, and says what it came to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from rich.console import Console
from rich.text import Text

from focus.client.connection import ConnectionFailed
from focus.service.phone.description import describe, style
from focus.service.phone.events import Event
from focus.service.phone.phone import Phone, Settings
from focus.service.ready import ExitCode, ServiceError

NOT_TAKEN_REASONS = frozenset({"busy", "cancel", "decline", "expired", "gone", "timeout"})


def exit_code(ended: Event) -> int:
    """What the end of a call means to whoever waits for the command."""
    reason, connected = ended["reason"], ended["connected"]
    if connected and reason == "success":
        return ExitCode.OK
    return ExitCode.NOT_TAKEN if not connected and reason in NOT_TAKEN_REASONS else ExitCode.FAILED


class Desk:
    """Gets the events of one phone. `over` is set when there is nothing left to do; `code` is then the exit code.

    `seconds`: how long a call may last. `once`: the end of the first call is the end.
    """

    def __init__(self, seconds: float | None, *, json: bool, once: bool) -> None:
        self.over = asyncio.Event()
        self.code: int = ExitCode.OK
        self._seconds = seconds
        self._once = once
        self._json = json
        self._console = Console(highlight=False, soft_wrap=True)
        self._hang_up: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def serve(self, phone: Phone) -> None:
        """Hang this one up when it is time."""
        self._hang_up = phone.hangup

    def happened(self, event: Event) -> None:
        self._show(event)
        if event.name == "connected" and self._seconds is not None and self._hang_up is not None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._hang_up)
        elif event.name == "ended":
            if self._timer is not None:
                self._timer.cancel()
            if self._once:
                self._finish(exit_code(event))
        elif event.name == "lost":
            self._finish(ExitCode.UNAVAILABLE)

    def stop(self) -> None:
        """The user has had enough."""
        self._finish(ExitCode.OK)

    def _finish(self, code: int) -> None:
        if not self.over.is_set():
            self.code = code
            self.over.set()

    def _show(self, event: Event) -> None:
        if self._json:
            print(event.json(), flush=True)
        elif text := describe(event):
            self._console.print(Text(f"{event.at.astimezone():%H:%M:%S}  ", "dim"), Text(text, style(event)), sep="")


async def run(settings: Settings, begin: Callable[[Phone], Awaitable[None]], desk: Desk) -> int:
    """Connect, `begin`, and wait until it is over; the exit code.

    SIGINT and SIGTERM hang up; the second one does not wait for that. Raises `ServiceError` without a connection.
    """
    loop = asyncio.get_running_loop()
    phone = Phone(settings, desk.happened)
    desk.serve(phone)

    def stop() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        desk.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    connecting = asyncio.create_task(phone.connect())
    stopping = asyncio.create_task(desk.over.wait())
    try:
        await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            await connecting
            await begin(phone)
            await stopping
    except ConnectionFailed as error:
        raise ServiceError(str(error), ExitCode.UNAVAILABLE) from None
    except OSError as error:
        raise ServiceError(f"no port for audio: {error.strerror or error}", ExitCode.UNAVAILABLE) from None
    finally:
        for task in (connecting, stopping):
            task.cancel()
        await asyncio.gather(connecting, stopping, return_exceptions=True)
        await phone.close()
    return desk.code
