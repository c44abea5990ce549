"""`<output/>`: render documents to a call, or into a mixer (XEP-0327 sections 6.5.3 and 7.19.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from focus.engines.synthesizer import Samples, SynthesisError, Synthesizer
from focus.media.player import Player
from focus.rayo.actor import Outcome, on
from focus.rayo.component import Component, ComponentError, registry
from focus.wire.conditions import OptionNotSupported
from focus.wire.jid import JID
from focus.wire.rayo_component import Metadata, Reason
from focus.wire.rayo_output import OUTPUT, Document, Finish, Output, Pause, Resume


@registry.component(Output, OUTPUT)
class Renderer(Component[Output]):
    """Plays one document after another."""

    _player: Player | None = None

    async def prepare(self) -> None:
        self._running = asyncio.Event()
        if not self.command.start_paused:
            self._running.set()
        self._synthesizer = self._choose()
        self._blocks: list[Samples] = []
        self._at = 0
        for document in self.command.documents:
            await self._speak(document)

    def _choose(self) -> Synthesizer:
        engines = self._facilities.synthesizers
        name = self.command.renderer or next(iter(engines), "")
        if name not in engines:
            raise OptionNotSupported(f"there is no renderer {name!r} here; there is {', '.join(engines) or 'none'}")
        return engines[name]

    async def _speak(self, document: Document) -> None:
        if document.content_type != "text/plain":
            raise OptionNotSupported(f"{document.content_type or document.url} cannot be rendered here")
        try:
            async for block in self._synthesizer.synthesize(document.body or "", voice=self.command.voice):
                self._blocks.append(block)
        except SynthesisError as error:
            raise OptionNotSupported(str(error)) from None

    async def work(self) -> Reason:
        try:
            self._player = Player(self._plane, self.node)
        except ValueError:
            raise ComponentError("its media has ended") from None
        for block in self._blocks:
            await self._running.wait()
            await self._player.play(block)
        await self._player.played()
        return Finish()

    async def wind_up(self, reason: Reason) -> Iterable[Metadata]:
        if self._player is not None:
            self._player.close()
        return ()

    @on(Pause)
    async def pause(self, sender: JID, command: Pause) -> Outcome:
        self._running.clear()
        return None

    @on(Resume)
    async def resume(self, sender: JID, command: Resume) -> Outcome:
        self._running.set()
        return None
