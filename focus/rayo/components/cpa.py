"""`<input mode='cpa'/>`: signals in what is said on a call, or in a mixer (XEP-0341).

Keys count however they come: as telephone events, by Jingle, or as sound. All else is heard in what is said, by a
thread, and in nothing that is played.
"""

from __future__ import annotations

import asyncio
from contextlib import closing

from focus.engines.analysis import UnknownParameter, detector
from focus.engines.signals import Detector, DetectorMissing, Heard, Narrowing
from focus.engines.synthesizer import Samples
from focus.media.ear import Ear
from focus.media.threads import in_thread
from focus.rayo.component import Component, ComponentError, registry
from focus.wire.conditions import BadRequest, OptionNotSupported
from focus.wire.dtmf import KEYS
from focus.wire.rayo_component import Reason
from focus.wire.rayo_cpa import CPA, Signal, Wanted
from focus.wire.rayo_input import Grammar, Input, NoInput

KEY = "dtmf"
#: Options of an input that have a meaning for signals; the others must be as they are where nobody says anything.
MEANT = frozenset({"mode", "grammars", "initial_timeout"})


@registry.component(Input, CPA, variant="cpa")
class Analyser(Component[Input]):
    """Tells each signal, or ends with the first one that is to end it; with `<noinput/>` where there is none before
    `initial-timeout` is over."""

    async def prepare(self) -> None:
        for name, option in type(self.command).model_fields.items():
            if name not in MEANT and getattr(self.command, name) != option.default:
                raise OptionNotSupported(f"{name.replace('_', '-')} means nothing where signals are listened for")
        self._wanted: dict[str, Wanted] = {}
        self._detectors: list[Detector] = []
        for grammar in self.command.grammars:
            self._want(grammar)
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        self._narrowing = Narrowing()

    def _want(self, grammar: Grammar) -> None:
        """Raises `StanzaError`."""
        wanted = Wanted.read(grammar)
        if wanted.name in self._wanted:
            raise BadRequest(f"{wanted.name} is asked for twice")
        self._wanted[wanted.name] = wanted
        if wanted.name == KEY:
            if wanted.parameters:
                raise OptionNotSupported(f"{KEY} has no parameters but terminate")
            return
        try:
            self._detectors.append(detector(wanted.name, wanted.parameters))
        except (UnknownParameter, DetectorMissing) as error:
            raise OptionNotSupported(str(error)) from None
        except ValueError as error:
            raise BadRequest(str(error)) from None

    @property
    def wants_keys(self) -> bool:
        return any(f":{KEY}:" in (grammar.url or "") for grammar in self.command.grammars)

    def key_pressed(self, key: str, duration: float = 0.0) -> None:
        if self._begun.is_set() and KEY in self._wanted and key in KEYS:
            self._heard.put_nowait(Heard(KEY, duration, key))

    async def work(self) -> Reason:
        listening = asyncio.create_task(self._listen())
        limit = self.command.initial_timeout
        try:
            async with asyncio.timeout(limit / 1000 if limit >= 0 else None):
                heard = await self._next(listening)
            while not self._wanted[heard.name].terminate:
                self.emit(self._signal(heard))
                heard = await self._next(listening)
            return self._signal(heard)
        except TimeoutError:
            return NoInput()
        finally:
            listening.cancel()
            await asyncio.wait((listening,))

    async def _next(self, listening: asyncio.Task[None]) -> Heard:
        """The next signal. Raises what the detectors raise."""
        coming = asyncio.create_task(self._heard.get())
        try:
            await asyncio.wait((coming, listening), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                await listening
            return coming.result()
        finally:
            coming.cancel()

    async def _listen(self) -> None:
        """Put each signal in the sound into the queue, until cancelled."""
        if not self._detectors:
            await asyncio.Event().wait()
        try:
            ear = Ear(self._plane, self.node, lambda: self.target.speakers)
        except ValueError:
            raise ComponentError("its media has ended") from None
        with closing(ear):
            async for block in ear:
                for heard in await in_thread(self._detect, block):
                    self._heard.put_nowait(heard)

    def _detect(self, block: Samples) -> list[Heard]:
        sound = self._narrowing.feed(block)
        return [heard for each in self._detectors for heard in each.feed(sound)]

    def _signal(self, heard: Heard) -> Signal:
        duration = round(heard.duration * 1000) if heard.duration is not None else None
        return Signal(type=self._wanted[heard.name].type, duration=duration, value=heard.value)
