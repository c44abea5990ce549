"""Event loops in which nobody waits: when all has been done that can be, it is later at once. However long the machine
takes, nothing comes too late in there; processes and sockets have no place in it, and what is for threads is done at
once."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Haste(selectors.DefaultSelector):
    """What lets an event loop wait for nothing: its time, `now` in seconds, goes on at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing will ever happen here any more"
        self.now += timeout
        return super().select(0)


def hasty_loop(haste: Haste | None = None) -> asyncio.AbstractEventLoop:
    """Whose clock is that of `haste`, if it is given."""
    haste = haste or Haste()
    loop = asyncio.SelectorEventLoop(haste)
    loop.time = lambda: haste.now  # type: ignore[method-assign]
    loop.run_in_executor = partial(_at_once, loop)  # type: ignore[method-assign, assignment]
    return loop


def _at_once(
    loop: asyncio.AbstractEventLoop, executor: object, work: Callable[..., T], *arguments: object
) -> asyncio.Future[T]:
    done: asyncio.Future[T] = loop.create_future()
    try:
        done.set_result(work(*arguments))
    except Exception as error:
        done.set_exception(error)
    return done


class Pace:
    """Which loops `new_loop` makes for the tests of a folder."""

    is_hasty = False


def new_loop() -> asyncio.AbstractEventLoop:
    return hasty_loop() if Pace.is_hasty else asyncio.SelectorEventLoop()


def in_haste(test: Callable[P, Coroutine[object, object, None]]) -> Callable[P, None]:
    """Makes a test that waits for nothing."""

    @functools.wraps(test)
    def hasty(*arguments: P.args, **named: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=hasty_loop) as runner:
            runner.run(test(*arguments, **named))

    return hasty
