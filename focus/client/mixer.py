"""A mixer as a Rayo client has it (XEP-0327 section 6.4)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from focus.client.component import C, Workplace
from focus.client.errors import RayoError
from focus.client.feed import Feed
from focus.client.parties import OPPOSITE, one_party, party_name
from focus.wire.jid import JID
from focus.wire.rayo import (
    Event,
    Join,
    JoinDirection,
    Joined,
    JoinMedia,
    StartedSpeaking,
    StoppedSpeaking,
    Unjoin,
    Unjoined,
)
from focus.wire.rayo_component import Execution

if TYPE_CHECKING:
    from focus.client.call import Call
    from focus.client.rayo import RayoClient


class Mixer(Workplace):
    """The mixer of a name: it is there from its first join to its last, and may come again.

    We are told of it while a call of ours is in it, or after `subscribe`. Commands raise what those of calls do, and
    `RayoError` `item-not-found` where the mixer is not there.
    """

    def __init__(self, client: RayoClient, name: str, address: JID, backlog: int) -> None:
        self.name = name
        self.address = address
        #: Whether it is there, as far as we are told.
        self.is_there = False
        #: The URIs of the calls in it, and of those who speak now.
        self.calls: frozenset[str] = frozenset()
        self.speaking: frozenset[str] = frozenset()
        #: What happens in it, in order: all from the first reading on, and the latest of what was before.
        self.events: Feed[Event] = Feed(backlog, owner=self, begins_late=True)
        self._client = client
        self._is_subscribed = False

    @property
    def uri(self) -> str:
        return self.address.uri

    async def join(
        self,
        *,
        call: Call | JID | str | None = None,
        mixer: Mixer | str | None = None,
        direction: JoinDirection = "duplex",
        media: JoinMedia = "bridge",
    ) -> None:
        """Join it with a call, which makes it if it is not there, or with a mixer. `send` is: this mixer is heard."""
        party = one_party(call, mixer)
        if "call_uri" in party:  # to the call, as a mixer that is not there yet takes no commands
            target = JID.from_uri(party["call_uri"])
            await self._client.call(target).join(mixer=self, direction=OPPOSITE[direction], media=media)
        else:
            await self._client.command(self.address, Join(**party, direction=direction, media=media))

    async def unjoin(self, *, call: Call | JID | str | None = None, mixer: Mixer | str | None = None) -> None:
        """Undo the join with that call or mixer, or all joins."""
        await self._client.command(self.address, Unjoin(**party_name(call, mixer)))

    async def start(self, command: Execution, kind: type[C]) -> C:
        return await self._client._start(self.address, command, kind)

    async def subscribe(self) -> bool:
        """Be told of what happens in it, now and later, without a call in it: those who are there come as `Joined`.

        This is a presence subscription, and stays with the account. Returns whether it is new. Another client of the
        account may cancel it; then it is made again.
        """
        self._is_subscribed = True
        return await self._client._subscribe(self.address)

    async def unsubscribe(self) -> None:
        """Cancel that."""
        self._is_subscribed = False
        await self._client._unsubscribe(self.address)

    def __repr__(self) -> str:
        return f"<Mixer {self.name!r} at {self.address}>"

    # what is told

    def _told(self, event: Event, at: datetime) -> None:
        match event:
            case Joined(call_uri=str(uri)):
                self.calls |= {uri}
            case Unjoined(call_uri=str(uri)):
                self.calls -= {uri}
                self.speaking -= {uri}
            case StartedSpeaking(call_uri=uri):
                self.speaking |= {uri}
            case StoppedSpeaking(call_uri=uri):
                self.speaking -= {uri}
        self.events.put(event, at)

    def _shown(self, *, available: bool) -> None:
        self.is_there = available
        if not available:
            self.calls = self.speaking = frozenset()
            if self._is_subscribed:  # it may have gone, or is not shown to us any more
                self._client._keep_subscribed(self.address)

    def _lose(self, error: RayoError, *, closed: bool) -> None:
        self.events.end(None if closed else error)
