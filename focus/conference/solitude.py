"""What somebody hears who is alone in a conference."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from focus.conference.comfort import Comfort, sounds
from focus.conference.executions import Executions
from focus.conference.roster import Roster
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.rayo_component import Failed
from focus.wire.rayo_output import Output, VolumeDown, VolumeUp

log = logging.getLogger(__name__)

#: How the music ends: by so many units of volume (3 dB each), one after so many seconds.
FADE, PACE = 8, 0.05
#: By how many it is quieter while something is said.
DUCK = 5


class Owner(Protocol):
    """The conference, as far as somebody may be alone in it."""

    roster: Roster

    def spawn(self, call: JID | None, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do `work` beside all else, until the conference ends."""


class Solitude:
    """Plays to whoever is alone, for as long as they are."""

    def __init__(self, owner: Owner, executions: Executions, comfort: Comfort) -> None:
        self._owner = owner
        self._executions = executions
        self._comfort = comfort
        self._alone: JID | None = None
        self._music: JID | None = None
        self._said = 0
        self._over = asyncio.Event()

    def look(self) -> None:
        """Somebody has come, perhaps, or gone."""
        alone = self._who()
        if alone == self._alone or not self._comfort.music:
            return
        self._alone, self._music = alone, None
        self._over.set()
        self._over = asyncio.Event()
        if alone is not None:
            self._owner.spawn(alone, partial(self._entertain, alone, self._over))

    def said(self, begins: bool) -> None:
        """Something is said, to all or to one of them, or not any more."""
        self._said += 1 if begins else -1
        if self._said == int(begins):
            self._turn(VolumeDown() if begins else VolumeUp())

    def _turn(self, command: VolumeDown | VolumeUp) -> None:
        if self._music is not None:
            self._owner.spawn(self._alone, partial(self._tell, self._music, command))

    async def _tell(self, music: JID, command: VolumeDown | VolumeUp) -> None:
        for _ in range(DUCK):
            await self._executions.tell(music, command)

    def _who(self) -> JID | None:
        """Whoever is joined with a mixer elsewhere may have company there."""
        roster = self._owner.roster
        if len(roster.participants) != 1 or roster.mixers:
            return None
        (one,) = roster.participants.values()
        return one.call if one.session.connected and one.cascaded is None and one.leaving is None else None

    async def _entertain(self, call: JID, over: asyncio.Event) -> None:
        ending = asyncio.create_task(over.wait())
        try:
            await asyncio.wait((ending,), timeout=self._comfort.music_after)
            if ending.done():
                return
            output = Output(documents=(sounds(*self._comfort.music),), repeat_times=0)
            component, end = await self._executions.begin(call, output)
            if not over.is_set():
                self._music = component
                if self._said:
                    self._turn(VolumeDown())
            await asyncio.wait((ending, end), return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                if isinstance(reason := end.result(), Failed):
                    log.warning("who is alone hears nothing: %s", reason.text)
                return
            for _ in range(FADE):
                if call not in self._owner.roster.participants:
                    break
                await self._executions.tell(component, VolumeDown())
                await asyncio.sleep(PACE)
            await self._executions.stop(component)
        except StanzaError as error:
            log.warning("who is alone hears nothing: %s", error)
        finally:
            ending.cancel()
