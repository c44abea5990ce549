"""`<output/>`: render documents to a call, or into a mixer (XEP-0327 sections 6.5.3 and 7.19.3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import aclosing

from focus.engines.synthesizer import SAMPLE_RATE
from focus.media.player import Player
from focus.media.tempo import Tempo
from focus.rayo.actor import Outcome, on
from focus.rayo.component import Component, ComponentError, registry
from focus.rayo.documents import Documents
from focus.rayo.rendering import Place, Programme, RenderingError, Source
from focus.wire.jid import JID
from focus.wire.rayo_component import Metadata, Reason
from focus.wire.rayo_output import (
    OUTPUT,
    Finish,
    MaxTime,
    Output,
    Pause,
    Resume,
    Seek,
    SpeedDown,
    SpeedUp,
    VolumeDown,
    VolumeUp,
)

log = logging.getLogger(__name__)

#: A unit of speed and of volume (3 dB), and how far they go.
FASTER, SPEEDS = 1.25, (0.5, 2.5)
LOUDER, VOLUMES = 10 ** (3 / 20), (10 ** (-24 / 20), 10 ** (12 / 20))


@registry.component(Output, OUTPUT)
class Renderer(Component[Output]):
    """Plays one document after another. Where it is, is what has been heard, not what has been given to the plane."""

    async def prepare(self) -> None:
        command = self.command
        self._running = asyncio.Event()
        if not command.start_paused:
            self._running.set()
        #: Something else is to be rendered than what is on its way.
        self._changed = asyncio.Event()
        self._player: Player | None = None
        self._volume = 1.0
        self._speed = self._wanted_speed = 1.0
        #: What the moves that are wanted come to, as each ends at the beginning at the latest: one back, and one forth.
        self._back = self._forth = 0
        #: Where it goes on, and how much the player had been given when it began there.
        self._place = Place(0, command.start_offset * SAMPLE_RATE // 1000)
        self._given = 0
        self._sounds: list[Source] = []
        documents = Documents(self._facilities, renderer=command.renderer, voice=command.voice, into=self._sounds)
        await documents.take(command.documents)
        interval = command.repeat_interval * SAMPLE_RATE // 1000
        self._programme = Programme(self._sounds, times=command.repeat_times, interval=interval)

    async def work(self) -> Reason:
        try:
            player = self._player = Player(self._plane, self.node)
        except ValueError:
            raise ComponentError("its media has ended") from None
        player.set_volume(self._volume)
        log.log(self._level, "%s plays to %s, sounds: %d", self.creator, self.target.address, len(self._sounds))
        loop = asyncio.get_running_loop()
        left = self.command.max_time / 1000 if self.command.max_time >= 0 else None
        while True:
            await self._running.wait()
            self._changed.clear()
            for move in (-self._back, self._forth):
                self._place = self._programme.moved(self._place, move)
            self._back = self._forth = 0
            self._speed = self._wanted_speed
            began = loop.time()
            feeding = asyncio.create_task(self._feed(player))
            changing = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait((feeding, changing), timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if feeding.done():
                    feeding.result()
                    return Finish()
                if not changing.done():
                    return MaxTime()
            except RenderingError as error:
                raise ComponentError(str(error)) from None
            finally:
                feeding.cancel()
                changing.cancel()
                await asyncio.gather(feeding, changing, return_exceptions=True)
            heard = player.given - player.take_back() - self._given
            self._place = self._programme.moved(self._place, round(heard * self._speed))
            if left is not None:
                left = max(left - (loop.time() - began), 0.0)

    async def _feed(self, player: Player) -> None:
        """All from `_place` on, until it has been heard."""
        self._given = player.given
        tempo = Tempo(self._speed)
        async with aclosing(self._programme.blocks(self._place)) as blocks:
            async for block in blocks:
                for each in tempo.changed(block):
                    await player.play(each)
        for each in tempo.rest():
            await player.play(each)
        await player.played()

    @property
    def _level(self) -> int:
        """What the house itself plays, at every key that somebody presses, is no news."""
        return logging.DEBUG if self.creator.domain == self.target.address.domain else logging.INFO

    async def wind_up(self, reason: Reason) -> Iterable[Metadata]:
        if self._player is not None:
            what, why = f"what {self.creator} plays to {self.target.address}", type(reason).__xml_tag__
            log.log(self._level, "%s has ended (%s): %.1f s", what, why, self._player.heard / SAMPLE_RATE)
            self._player.close()
        for sound in self._sounds:
            await sound.close()
        return ()

    # commands: they take effect where the ear is, 40 ms later

    @on(Pause)
    async def pause(self, sender: JID, command: Pause) -> Outcome:
        self._running.clear()
        self._changed.set()
        return None

    @on(Resume)
    async def resume(self, sender: JID, command: Resume) -> Outcome:
        self._running.set()
        return None

    @on(Seek)
    async def seek(self, sender: JID, command: Seek) -> Outcome:
        amount = command.amount * SAMPLE_RATE // 1000
        self._forth += amount if command.direction == "forward" else -amount
        if self._forth < 0:
            self._back, self._forth = self._back - self._forth, 0
        self._changed.set()
        return None

    @on(SpeedUp)
    async def speed_up(self, sender: JID, command: SpeedUp) -> Outcome:
        self._hurry(FASTER)
        return None

    @on(SpeedDown)
    async def speed_down(self, sender: JID, command: SpeedDown) -> Outcome:
        self._hurry(1 / FASTER)
        return None

    def _hurry(self, factor: float) -> None:
        self._wanted_speed = _within(SPEEDS, self._wanted_speed * factor)
        self._changed.set()

    @on(VolumeUp)
    async def volume_up(self, sender: JID, command: VolumeUp) -> Outcome:
        self._raise(LOUDER)
        return None

    @on(VolumeDown)
    async def volume_down(self, sender: JID, command: VolumeDown) -> Outcome:
        self._raise(1 / LOUDER)
        return None

    def _raise(self, factor: float) -> None:
        self._volume = _within(VOLUMES, self._volume * factor)
        if self._player is not None:
            self._player.set_volume(self._volume)


def _within(range_: tuple[float, float], value: float) -> float:
    return min(max(value, range_[0]), range_[1])
