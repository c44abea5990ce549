"""Who controls a call: the first to command it of those that it is offered to (XEP-0327 sections 6.2.2 and 6.3.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from focus.media.plane import MediaPlane
from focus.rayo.actor import Later, Outcome
from focus.rayo.connectable import Connectable
from focus.rayo.joinable import Parties
from focus.rayo.mixer import Mixer
from focus.wire.conditions import NotAllowed, NotTheOwner
from focus.wire.jid import JID
from focus.wire.message import CallMessage
from focus.wire.rayo import Command, Hangup, Offer
from focus.wire.session import Listen, Move, Silence, Watch


class Authority(Parties, Protocol):
    """What it needs of its server."""

    def may_command(self, sender: JID) -> bool: ...


class Controllable(Connectable):
    """A party that one client controls: the first of those that it is offered to that commands it."""

    def __init__(self, address: JID, plane: MediaPlane, authority: Authority) -> None:
        super().__init__(address, plane, authority)
        self._authority = authority
        #: Potential controlling parties, until the first command makes one of them the definitive one.
        self.parties: set[JID] = set()
        self.controller: JID | None = None
        #: Set when a party takes the call, or one goes, and at the end.
        self.parties_changed = asyncio.Event()
        self._offered: set[JID] = set()
        self._forgetful: set[JID] = set()  # those of them that have gone since
        self._commanders: set[JID] = set()

    def audience(self) -> Iterable[JID]:
        return [self.controller] if self.controller else sorted(self.parties, key=str)

    def offer(self, parties: Iterable[JID], offer: Offer) -> None:
        """Make `parties` potential controlling parties, and tell those to whom that is new."""
        parties = list(parties)
        new = [party for party in parties if party not in self._offered or party in self._forgetful]
        self.parties.update(parties)
        self._offered.update(parties)
        self._forgetful.difference_update(parties)
        self._tell(new, offer)
        self._audience_changed()

    def withdraw(self, party: JID, *, is_gone: bool) -> None:
        """`party` does not want the call any more, or `is_gone`: then it knows nothing of the call if it comes back.
        It is told the end all the same."""
        if is_gone and party in self._offered:
            self._forgetful.add(party)
        if party in self.parties:
            self.parties.discard(party)
            self.parties_changed.set()
            self._audience_changed()

    async def carry_out(self, sender: JID, command: Command) -> Outcome | Later:
        outcome = await super().carry_out(sender, command)
        self.parties_changed.set()
        return outcome

    def authorize(self, sender: JID, command: Command) -> None:
        """A potential controlling party takes control by a command, not by what it says to the caller."""
        if isinstance(command, Watch | Move | Silence | Listen):
            return  # they come from applications of ours only
        takes_it = not isinstance(command, CallMessage) and self._take_control(sender)
        may_command = takes_it or sender == self.controller or self._authority.may_command(sender)
        # Who is thrown out of one room goes on in the other.
        is_from_room = self._is_controlled_by(sender) and not isinstance(command, Hangup)
        if not (may_command or is_from_room or any(room.admits(sender) for room in self._foremost())):
            raise NotTheOwner(f"{self.address} is not controlled by you")
        self._commanders.add(sender)

    def is_for(self, client: JID) -> bool:
        """Whether `client` may know of this call: its account or the call's room commands it, or it may take it."""
        is_own = self.controller is not None and client.bare == self.controller.bare
        return is_own or client in self.audience() or self._authority.may_command(client) or self._is_left_to(client)

    def check_partner(self, sender: JID) -> None:
        """Raises `NotAllowed` where this call is not in the security zone of `sender`, who wants to join something with
        it (section 6.3.1). A potential controlling party takes control by that, as by a command."""
        is_in_zone = self.controller is not None and sender.bare == self.controller.bare
        if not (
            is_in_zone or self._take_control(sender) or self._authority.may_command(sender) or self._is_left_to(sender)
        ):
            raise NotAllowed(f"{self.address} is not yours")

    def _take_control(self, sender: JID) -> bool:
        if self.controller is not None or sender not in self._offered:
            return False
        self.controller = sender
        self.parties_changed.set()
        self._audience_changed()
        return True

    def give_back(self, sender: JID) -> None:
        """What `sender` has taken control by has been refused: others may take the call."""
        if self.controller == sender:
            self.controller = None
            self._audience_changed()

    def _audience_changed(self) -> None:
        """Who hears of this call hears of the mixers that it is in."""
        for party in self.joins:
            party.audience_changed()

    def _is_controlled_by(self, client: JID) -> bool:
        """Rooms of ours control their calls together, for one may have come from one to another."""
        if self.controller is None:
            return False
        return client == self.controller or (
            client.domain == self.address.domain and client.bare == self.controller.bare
        )

    def _is_left_to(self, sender: JID) -> bool:
        """Whether this is a call of rooms, in one that leaves its mixer to `sender`."""
        return any(room.admits(sender) for room in self._rooms())

    def _rooms(self) -> list[Mixer]:
        """Where it is, if it is a call of rooms."""
        mixers = (party for party in self.joins if isinstance(party, Mixer))
        return [mixer for mixer in mixers if any(map(self._is_controlled_by, mixer.owners))]

    def _foremost(self) -> list[Mixer]:
        """Of several rooms the one that it has come to, as long as it is in that."""
        rooms = self._rooms()
        return [room for room in rooms if self.controller in room.owners] or rooms
