"""What the service says when it is up, and by what it is told to stop."""

from __future__ import annotations

import asyncio
import signal

import pytest

from focus.service.ready import ServiceReady, told_to_stop
from tests.rayo.scene import settled


def test_it_is_written_for_people() -> None:
    ready = ServiceReady((("192.0.2.1", 10000), ("::1", 10000)), ("127.0.0.1", 8080), None)
    assert str(ready) == "audio on 192.0.2.1:10000, [::1]:10000; page on 127.0.0.1:8080"


@pytest.mark.parametrize("is_ignored", [False, True])
def test_the_end_of_a_terminal_stops_it_unless_that_is_ignored_as_under_nohup(is_ignored: bool) -> None:
    async def is_stopped() -> bool:
        stop = told_to_stop()
        signal.raise_signal(signal.SIGHUP)
        await settled()  # the loop has read of it
        return stop.is_set()

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
    try:
        assert asyncio.run(is_stopped()) is not is_ignored
    finally:
        signal.signal(signal.SIGHUP, before)
