"""The rooms that the focus is in (XEP-0045), and what comes from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from xml.etree import ElementTree as ET

from focus.conference.room import RoomError, RoomObserver
from focus.wire import context
from focus.wire.jid import JID, escape_node
from focus.wire.stanzas import PRESENCE, presence
from focus.xmpp.connection import Connection
from focus.xmpp.muc_queries import MUC_USER
from focus.xmpp.muc_room import MucRoom

#: Seconds of silence after which a room is asked whether we are still in it.
SILENCE = 60.0


class MucRooms:
    """Joins rooms as one occupant each. Implements `conference.room.Rooms`.

    `connected` and `disconnected` are to be called when the session begins and ends, `handle_presence` and
    `handle_message` with every presence and message.
    """

    def __init__(
        self,
        connection: Connection,
        occupant: JID,
        service: str,
        *,
        nick: str = "focus",
        timeout: float = 10.0,
        silence: float = SILENCE,
        extensions: Callable[[], tuple[ET.Element, ...]] = tuple,
    ) -> None:
        """`occupant` is the bare JID that every occupant of ours has, its resource is the room; `service` is the
        domain of our own rooms, whose names need no domain in that resource. `extensions` go into our presences."""
        self.connection = connection
        self.timeout = timeout
        self.presence_extensions = extensions
        self._occupant = occupant.bare
        self._service = service
        self._nick = nick
        self._rooms: dict[JID, MucRoom] = {}
        self._not_left: set[tuple[JID, JID]] = set()
        self._silence = silence
        self._looking: asyncio.Task[None] | None = None

    async def join(self, room: JID, observer: RoomObserver, password: str = "") -> MucRoom:
        """See `conference.room.Rooms`; RoomError `conflict` also where we are in that room already."""
        jid = room.bare
        if (present := self._rooms.get(jid)) is not None:
            if not present.is_leaving:
                raise RoomError(jid, "conflict", "we are in this room already")
            await present.leave()
            if self._rooms.get(jid) not in (None, present):  # somebody else has waited for that, too
                raise RoomError(jid, "conflict", "we are in this room already")
        joined = self._rooms[jid] = MucRoom(self, jid, self.occupant_jid(jid), observer, password)
        try:
            if self._looking is None or self._looking.done():
                self._looking = self.connection.spawn(self._look_after_rooms(), "rooms")
            await joined.enter()
        except BaseException:
            joined.abandon()
            raise
        return joined

    async def _look_after_rooms(self) -> None:
        while self._rooms:
            await asyncio.sleep(self._silence)
            for room in list(self._rooms.values()):
                with context.within(room.name):
                    room.look()

    def occupant_jid(self, room: JID) -> JID:
        """Our full JID behind the occupant of `room`; rooms of other services are escaped (XEP-0106)."""
        name = room.local if room.domain == self._service else escape_node(str(room.bare))
        return self._occupant.with_resource(name)

    def is_ours(self, room: JID) -> bool:
        """Whether this is a room of our own service: only there do we belong, whoever throws us out."""
        return room.domain == self._service

    def tells_real_jids(self, address: str) -> bool:
        """Whether this is an occupant of a room of our own service, whose real JIDs can be believed."""
        with suppress(ValueError):
            return self.is_ours(JID.parse(address))
        return False

    def nick_of(self, attempt: int) -> str:
        """The nick that is tried at the `attempt`th time."""
        return self._nick if attempt == 1 else f"{self._nick}-{attempt}"

    def forget(self, room: MucRoom) -> None:
        if self._rooms.get(room.jid) is room:
            del self._rooms[room.jid]
        if not self.connection.connected:
            self._not_left.add((room.us, room.seat))

    # --- the connection -----------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """Leave what was left without a session, and go back to all other rooms."""
        for us, seat in self._not_left:
            if seat.bare not in self._rooms:
                self.connection.send(presence(us, seat, "unavailable"))
        self._not_left.clear()
        for room in list(self._rooms.values()):
            with context.within(room.name):
                room.come_back(at_once=True)

    def disconnected(self) -> None:
        for room in list(self._rooms.values()):
            with context.within(room.name):
                room.cut_off()

    def handle_presence(self, stanza: ET.Element) -> bool:
        """Whether the stanza came from a room to an occupant of ours; then nobody else needs to see it."""
        found = self._addressed(stanza)
        if found is None:
            return False
        sender, room = found
        if room is not None:
            with context.within(room.name):
                room.presence(sender.resource, stanza)
            return True
        return stanza.tag == PRESENCE and stanza.find(f"{{{MUC_USER}}}x") is not None

    def handle_message(self, stanza: ET.Element) -> bool:
        """Whether the stanza was said in a room; private messages of occupants (type chat) are not ours to take."""
        found = self._addressed(stanza)
        if found is None or stanza.get("type") not in ("groupchat", "error"):
            return False
        sender, room = found
        if room is not None and stanza.get("type") == "groupchat":
            with context.within(room.name):
                room.message(sender.resource, stanza)
        return True

    def _addressed(self, stanza: ET.Element) -> tuple[JID, MucRoom | None] | None:
        try:
            sender, to = JID.parse(stanza.get("from", "")), JID.parse(stanza.get("to", ""))
        except ValueError:
            return None
        if to.bare != self._occupant or not to.resource:
            return None
        room = self._rooms.get(sender.bare)
        return sender, room if room is not None and room.us == to else None
