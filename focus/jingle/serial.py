"""Things done one after another in a task of their own, with a last one that is done whatever happens."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine

logger = logging.getLogger(__name__)

Effect = Callable[[], Awaitable[None]]


class Serial(ABC):
    """The task of one session.

    `do` queues effects, each of which has `step` seconds; `finish` drops those that wait and lets `goodbye` be done.
    A crash of an effect is logged and finishes too, after `crashed`; cancellation of the task finishes after
    `cancelled`. The task belongs to `tasks` where that is given, so that it goes when its owner goes.
    """

    def __init__(self, name: str, *, step: float, tasks: asyncio.TaskGroup | None) -> None:
        self._name = name
        self._step = step
        self._tasks = tasks
        self._effects: asyncio.Queue[Effect | None] = asyncio.Queue()
        self._finishing = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._errands: set[asyncio.Task[None]] = set()

    @abstractmethod
    def _crashed(self) -> None:
        """An effect failed; must call `_finish`."""

    @abstractmethod
    def _cancelled(self) -> None:
        """The owner goes; must call `_finish`, unless it was called."""

    @abstractmethod
    async def _goodbye(self) -> None:
        """The last thing. May be cancelled."""

    @abstractmethod
    def _over(self) -> None:
        """Nothing runs any more; also where the task was cancelled before it ran."""

    def _start(self) -> None:
        """Idempotent."""
        if self._task is None:
            create = self._tasks.create_task if self._tasks is not None else asyncio.create_task
            self._task = create(self._run(), name=self._name)
            self._task.add_done_callback(lambda _: self._over())

    def _do(self, effect: Effect) -> None:
        if not self._finishing:
            self._effects.put_nowait(effect)
            self._start()

    def _finish(self) -> None:
        self._finishing = True
        self._disarm()
        self._effects.put_nowait(None)
        self._start()

    def _arm(self, seconds: float, expire: Callable[[], None]) -> None:
        """Call `expire` unless disarmed, or armed anew, in time."""
        self._disarm()
        if not self._finishing:
            self._timer = asyncio.get_running_loop().call_later(seconds, expire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_off(self, errand: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do `errand` beside the effects; errands begin in the order of their sending and do not outlive the task."""
        task = asyncio.create_task(errand, name=f"{self._name} errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    async def _closed(self) -> None:
        """Until nothing runs any more. At once, where nothing ever ran."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while (effect := await self._effects.get()) is not None and not self._finishing:
                async with asyncio.timeout(self._step):
                    await effect()
        except Exception:
            logger.exception("%s: crashed", self._name)
            self._crashed()
        except asyncio.CancelledError:
            self._cancelled()
            raise
        finally:
            try:
                await self._goodbye()
            except Exception:
                logger.exception("%s: the goodbye failed", self._name)
            finally:
                errands = list(self._errands)
                for errand in errands:
                    errand.cancel()
                await asyncio.gather(*errands, return_exceptions=True)
