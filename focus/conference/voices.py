"""Who may be heard in a conference: whom the room gives voice (XEP-0045 section 5.1)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from focus.conference.policy import Occupants, may_speak
from focus.conference.room import Room
from focus.conference.roster import Roster
from focus.wire import context
from focus.wire.jid import JID
from focus.wire.rayo import Command, Join

log = logging.getLogger(__name__)


class Owner(Protocol):
    """The conference, as far as somebody is heard in it."""

    name: str
    room: Room | None
    roster: Roster

    def peer_of(self, call: JID) -> JID | None:
        """Who takes part by `call`, or wants to."""

    def is_stranger(self, call: JID) -> bool:
        """Whether `call` is of somebody who has been let in without being in the room."""

    def do(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` after what is to be done already."""

    async def command(self, address: JID, command: Command) -> bool:
        """Whether the call, or the mixer, at `address` did what it was told."""


class Voices:
    """Lets each call of one conference be heard as long as the room does."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._voices: dict[JID, bool] = {}  # calls, and whether the room lets them be heard
        self._is_due = False

    def joining(self, call: JID) -> Join:
        """How `call` takes part: visitors listen only, which is shown as muted-via-focus."""
        self._voices[call] = self._may_speak(call, Occupants(self._owner.roster.occupants))
        return Join(mixer_name=self._owner.name, direction="duplex" if self._voices[call] else "recv")

    async def brought_in(self, call: JID) -> None:
        """`call` is in the mixer, by somebody else perhaps: then the room has to let it be heard, too."""
        if call not in self._voices:
            self._voices[call] = True
            await self._give()

    def inherit(self, call: JID, earlier: JID) -> None:
        """`call` has taken the place of `earlier`, with its mute, but the device may be another occupant."""
        self._voices[call] = self._voices.get(earlier, True)
        self.look()

    def end(self, call: JID) -> None:
        """`call` takes part no more."""
        self._voices.pop(call, None)

    def look(self) -> None:
        """The room may have changed its mind about somebody."""
        if not self._is_due:
            self._is_due = True
            self._owner.do(self._give)

    async def _give(self) -> None:
        """As soon as the room does. What a Rayo client has commanded meanwhile holds until then."""
        self._is_due = False
        occupants = Occupants(self._owner.roster.occupants)
        for call, had_voice in list(self._voices.items()):
            if self._may_speak(call, occupants) is not had_voice:
                with context.about(call.local):
                    joining = self.joining(call)
                    log.info("has %s voice in the room", "got" if self._voices[call] else "no")
                    await self._owner.command(call, joining)

    def _may_speak(self, call: JID, occupants: Occupants) -> bool:
        """Whether the room lets `call` be heard. Who is not in a moderated room has no voice there; who was, and is not
        any more for a reason that ends no call, keeps what they had."""
        peer = self._owner.peer_of(call)
        occupant = occupants.find(peer) if peer is not None else None
        if occupant is not None:
            return may_speak(occupant)
        if self._owner.is_stranger(call) and self._owner.room is not None:
            return not self._owner.room.rules.moderated
        return self._voices.get(call, True)
