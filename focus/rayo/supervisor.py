"""Who runs the actors: each in a task of one owner, and none costs another anything."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from focus.rayo.actor import Actor
from focus.rayo.call import Call
from focus.rayo.component import Component
from focus.wire import context
from focus.wire.jingle import Reason

log = logging.getLogger(__name__)


class Supervisor:
    """Owns the tasks of the actors while it is `running`. What is done for an actor names it in its log lines."""

    def __init__(self) -> None:
        self.tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Until all tasks are done, which is at the end."""
        async with asyncio.TaskGroup() as self.tasks:
            yield

    def start(self, actor: Actor, mixer: str) -> None:
        """Run `actor`, on behalf of the room `mixer`."""
        self.spawn(actor, mixer, actor.run)

    def spawn(self, actor: Actor, mixer: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do `work` of `actor`: its crash costs the actor, not the service."""
        assert self.tasks is not None
        task = _supervise(actor, work)
        return self.tasks.create_task(task, name=f"rayo {actor.address}", context=scope(actor, mixer))


async def _supervise(actor: Actor, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:
        log.exception("%s crashed", actor.address)
        if isinstance(actor, Call):
            actor.end_session(Reason.of("general-error"))


def scope(actor: Actor, mixer: str) -> contextvars.Context:
    """For what is done for `actor` in the room `mixer`, so that its log lines name both."""
    found = contextvars.copy_context()
    target = actor.target if isinstance(actor, Component) else actor
    found.run(context.call.set, target.address.local if isinstance(target, Call) else "")
    found.run(context.room.set, mixer)
    return found
