"""The call invite of a conference in its room (XEP-0482): said when it begins, withdrawn when it is over.

It names the mixer, which calls whoever accepts from the address and in the session that the invite tells, and the page
and the telephone number where there are any.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable
from secrets import token_hex
from typing import Protocol

from focus.conference.people import Failure
from focus.conference.policy import occupant_of
from focus.conference.roster import Roster
from focus.rayo.server import Server
from focus.wire.base import Element
from focus.wire.call_invites import STANZA_ID, Accept, CallInvite, Invite, JingleMethod, Left, Retract
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.rayo import End, Event, Hangup, Join, Ref
from focus.wire.session import Initiate

log = logging.getLogger(__name__)


class Owner(Protocol):
    """The conference, as far as its room is told of it."""

    name: str
    client: JID
    roster: Roster

    def errand(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` beside all else, until the conference ends."""

    async def objection(self, person: JID) -> Failure | None:
        """Why `person` is not to be called now."""

    def calling(self, call: JID, peer: JID) -> None:
        """`call` is being made, to `peer`."""

    def say(self, identifier: str, element: Element, body: str | None = None) -> None:
        """Say `element` in the room, in a message with this id, and `body` for people whose clients do not know it."""


class RoomInvite:
    """The invite of one conference."""

    def __init__(
        self, owner: Owner, server: Server, features: Callable[[JID], Awaitable[frozenset[str]]], *, enabled: bool
    ) -> None:
        self._owner = owner
        self._server = server
        self._features = features
        self._enabled = enabled
        self._is_on = False  # somebody takes part
        #: The method that is on offer, and the id of the message that offers it, when the room has given it one.
        self._method: JingleMethod | None = None
        self._id = ""
        #: The ids of invites that the room has not been heard to withdraw.
        self._withdrawn: set[str] = set()
        self._called: dict[JID, JID | None] = {}  # devices that have accepted, and the calls to them

    def look(self) -> None:
        """Somebody may have come or gone."""
        is_on = any(one.session.accepted for one in self._owner.roster.participants.values())
        if self._is_on == is_on:
            return
        self._is_on = is_on
        if self._is_on and self._enabled:
            self._owner.errand(self._invite)
        elif not self._is_on:
            self._withdraw()

    async def _invite(self) -> None:
        """Only where the room gives messages ids (section 3.1)."""
        if STANZA_ID not in await self._features(self._owner.roster.room):
            log.debug("the room gives messages no ids, so that nobody is invited there")
            return
        if not self._is_on or self._method is not None:
            return
        roster = self._owner.roster
        line = self._server.addresses.line(self._owner.name)
        self._method, self._id = JingleMethod(sid=str(uuid.uuid4()), jid=str(line)), ""
        where = roster.page or roster.focus.uri
        self._owner.say(token_hex(8), roster.invite(self._method), f"A call has begun in this room: {where}")

    def _withdraw(self) -> None:
        """Where its id is not known yet, as soon as it is."""
        if self._id:
            self._withdrawn.add(self._id)
            self._say_withdrawn()
            self._method, self._id = None, ""

    def _say_withdrawn(self) -> None:
        for identifier in tuple(self._withdrawn):
            self._owner.say(token_hex(8), Retract(id=identifier), "The call in this room is over.")

    def rejoined(self) -> None:
        """We were out of the room: what was said meanwhile has been lost, or we have not heard it."""
        self._say_withdrawn()
        if not self._id:
            self._method = None
            if self._is_on and self._enabled:
                self._owner.errand(self._invite)

    def heard(self, device: JID | None, identifier: str, said: CallInvite) -> None:
        """What is said of invites in the room, by the occupant whose device is that, or by ourselves: then it is None.
        `identifier` is the room's for the message."""
        match said:
            case Invite() if device is None:
                if self._method is not None and said.jingle == (self._method,):
                    self._id = identifier
                    if not self._is_on:
                        self._withdraw()
            case Retract(id=of) if device is None:
                self._withdrawn.discard(of)
            case Accept(id=of, jingle=JingleMethod(sid=sid)) if self._is_ours(of) and device is not None:
                if self._method is not None and sid == self._method.sid:
                    self._owner.errand(lambda: self._call_occupant(device, sid))
            case Left(id=of) if self._is_ours(of) and device is not None:
                self.hang_up(device)

    def _is_ours(self, identifier: str) -> bool:
        return bool(self._id) and identifier == self._id

    def call(self, device: JID, sid: str) -> None:
        """`device` has accepted, and waits for the session `sid`."""
        self._owner.errand(lambda: self._call(device, sid))

    def hang_up(self, device: JID) -> None:
        """`device` says that it has left."""
        for call, one in self._owner.roster.participants.items():
            if one.peer == device:
                self._owner.errand(lambda call=call: self._hang_up(call))  # type: ignore[misc]

    async def _call_occupant(self, device: JID, sid: str) -> None:
        """Only as long as they are in the room."""
        if self._is_here(device):
            await self._call(device, sid)
        call = self._called.get(device)
        if call is not None and not self._is_here(device):
            await self._hang_up(call)

    def _is_here(self, device: JID) -> bool:
        return occupant_of(device, self._owner.roster.occupants) is not None

    async def _call(self, device: JID, sid: str) -> None:
        """Section 2.3: the session begins from us."""
        if device in self._called or any(one.peer == device for one in self._owner.roster.participants.values()):
            return
        self._called[device] = None
        call = await self._initiate(device, sid) if await self._has_place_for(device) else None
        if call is None:
            del self._called[device]
        else:
            self._called[device] = call
            self._owner.calling(call, device)

    async def _has_place_for(self, device: JID) -> bool:
        """As a rule for whoever takes part with another device, which ends if only one is allowed."""
        accounts = {one.peer.bare for one in self._owner.roster.participants.values()}
        return device.bare in accounts or await self._owner.objection(device) is None

    async def _initiate(self, device: JID, sid: str) -> JID | None:
        joins = (Join(mixer_name=self._owner.name),)
        command = Initiate(to=device.uri, from_=self._owner.roster.focus.uri, sid=sid, joins=joins)
        try:
            made = await self._server.command(self._owner.client, self._server.addresses.service, command)
        except StanzaError as error:
            log.info("%s has accepted, and cannot be called: %s", device, error)
            return None
        assert isinstance(made, Ref)
        return JID.from_uri(made.uri)

    def deliver(self, call: JID, event: Event) -> None:
        """Whose call is over may accept again."""
        if isinstance(event, End):
            self._called = {device: made for device, made in self._called.items() if made != call}

    async def _hang_up(self, call: JID) -> None:
        with contextlib.suppress(StanzaError):
            await self._server.command(self._owner.client, call, Hangup())
