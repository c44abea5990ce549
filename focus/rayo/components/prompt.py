"""`<prompt/>`: an output, and an input that answers it (XEP-0327 sections 6.5.5 and 7.19.5).

It is a client of both, and knows of them what any client would be told; that the input has begun, and when its timers
are to run, they say to each other besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from focus.rayo.actor import Outcome, on
from focus.rayo.component import Component, ComponentError, registry
from focus.wire.conditions import ItemNotFound, StanzaError, WrongState
from focus.wire.jid import JID
from focus.wire.rayo import Command, Event
from focus.wire.rayo_component import Complete, Execution, Failed, Metadata, Reason, Stopped
from focus.wire.rayo_output import Pause, Resume, Seek, SpeedDown, SpeedUp, VolumeDown, VolumeUp
from focus.wire.rayo_prompt import PROMPT, InputStarted, InputTimersStarted, Prompt, PromptedInput, StartTimers

#: What an output can be told besides to stop.
CONTROLS: tuple[type[Command], ...] = (Pause, Resume, Seek, SpeedDown, SpeedUp, VolumeDown, VolumeUp)


@registry.component(Prompt, PROMPT)
class Prompter(Component[Prompt]):
    """Ends as its input does."""

    async def prepare(self) -> None:
        self._parts: list[Component[Any]] = []
        self._ends: dict[JID, asyncio.Future[Complete]] = {}
        self._put_in = asyncio.Event()
        self._stage.register(self.address, self)
        asked = self.command.input
        self._output = await self._start(self.command.output)
        self._input = await self._start(PromptedInput.model_validate(dict(asked)))

    async def _start(self, command: Execution) -> Component[Any]:
        """Raises `StanzaError`, as the component does."""
        part = self.target.execute(self.address, command)
        self._parts.append(part)
        self._ends[part.address] = asyncio.get_running_loop().create_future()
        await asyncio.shield(part.ready)
        return part

    def deliver(self, sender: JID, event: Event) -> None:
        """What the parts tell (`focus.rayo.surroundings.Client`)."""
        if isinstance(event, InputStarted):
            self._put_in.set()
        elif isinstance(event, Complete) and not self._ends[sender].done():
            self._ends[sender].set_result(event)

    async def work(self) -> Reason:
        output, answer = self._ends[self._output.address], self._ends[self._input.address]
        self._output.begin()
        if self.command.barge_in:
            self._input.begin()
        put_in = asyncio.create_task(self._put_in.wait())
        try:
            await asyncio.wait((output, answer, put_in), return_when=asyncio.FIRST_COMPLETED)
        finally:
            put_in.cancel()
        self._output.end(Stopped())  # where it has been interrupted
        rendered = (await output).reason
        if isinstance(rendered, Failed) and not answer.done():
            raise ComponentError(rendered.text)
        if not self.command.barge_in:
            self._input.begin()
        with suppress(ItemNotFound):  # the answer has come meanwhile
            await self._input.submit(self.address, StartTimers())
            self.emit(InputTimersStarted())
        reason = (await answer).reason
        if isinstance(reason, Failed):
            raise ComponentError(reason.text)
        return reason

    async def wind_up(self, reason: Reason) -> Iterable[Metadata]:
        for part in self._parts:
            part.end(Stopped())
        for part in self._parts:
            await part.over.wait()
        self._stage.unregister(self.address)
        return ()

    @on(*CONTROLS)
    async def control(self, sender: JID, command: Command) -> Outcome:
        """The output, while there is one (section 6.5.5.2)."""
        try:
            return await self._output.submit(self.address, command)
        except StanzaError:
            raise WrongState("nothing is rendered any more") from None
