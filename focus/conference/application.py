"""All conferences: which one a call belongs to, and when one begins and ends."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterable

from focus.conference.conference import Conference
from focus.conference.documents import Documents
from focus.conference.policy import Rights, occupant_of, rights_of
from focus.conference.room import RoomError
from focus.conference.subscription import Document
from focus.conference.surroundings import Surroundings
from focus.wire import context
from focus.wire.call_invites import Answer
from focus.wire.conditions import ItemNotFound, ResourceConstraint
from focus.wire.conference_info import ConferenceInfo
from focus.wire.jid import JID

log = logging.getLogger(__name__)


class ConferenceApplication:
    """Opens a conference for the first call to a room (`focus.rayo.surroundings.Application`)."""

    def __init__(self, surroundings: Surroundings, *, summoned: int = 100, summoned_of_account: int = 10) -> None:
        """`summoned`: rooms at once that we are called to and nobody calls, overall and by one account."""
        self._surroundings = surroundings
        self._summoned = summoned
        self._summoned_of_account = summoned_of_account
        self._server = surroundings.server
        self._conferences: dict[str, tuple[Conference, asyncio.Task[None]]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._stop = asyncio.Event()

    @property
    def conferences(self) -> tuple[Conference, ...]:
        return tuple(conference for conference, _ in self._conferences.values())

    async def run(self) -> None:
        """Until `stop`; then every conference leaves its room."""
        async with asyncio.TaskGroup() as self._tasks:
            await self._stop.wait()
            present = list(self._conferences.values())
            await asyncio.gather(*(conference.leave() for conference, _ in present), return_exceptions=True)
            for _, task in present:
                task.cancel()

    def stop(self) -> None:
        self._stop.set()

    def controllers(self, called: JID, mixer: str) -> Iterable[JID]:
        return [self._open(mixer).client]

    def mixer_opened(self, name: str) -> None:
        self._open(name)

    def nick(self, mixer: str, peer: JID) -> str:
        known = self._conferences.get(mixer)
        occupant = occupant_of(peer, known[0].roster.occupants) if known is not None else None
        return occupant.nick if occupant is not None else ""

    async def summon(self, room: JID, password: str = "", by: JID | None = None) -> None:
        """Enter `room` and stay while somebody is in it; `by` is whoever wants that, as far as it is known.

        Raises `RoomError`, and `ResourceConstraint` where that would be one room too many.
        """
        name = self._name(room)
        if name is None:
            raise RoomError(room, "not-acceptable", "nobody could call this room")
        if self._tasks is None or self._stop.is_set():
            raise RoomError(room, "remote-server-timeout", "the service is not running")
        account = self._account(by)
        if name not in self._conferences:
            self._check_summons(account, self._server.addresses.mixer(name))
        await self._open(name).summon(password, account)

    def _account(self, who: JID | None) -> JID | None:
        """All guests are one: they may have as many addresses as they like."""
        if who is not None and who.domain == self._surroundings.guests:
            return JID("", who.domain)
        return who.bare if who is not None else None

    def _check_summons(self, account: JID | None, instead: JID) -> None:
        """Raises `ResourceConstraint`."""
        waiting = [conference for conference in self.conferences if conference.only_waits]
        what_to_do = f"call {instead} instead, or try again later"
        if len(waiting) >= self._summoned:
            raise ResourceConstraint(f"I wait in {self._summoned} rooms already; {what_to_do}")
        theirs = [conference for conference in waiting if conference.summoner == account]
        if account is not None and len(theirs) >= self._summoned_of_account:
            raise ResourceConstraint(f"I wait in {self._summoned_of_account} rooms for you already; {what_to_do}")

    def stay(self, rooms: Iterable[JID]) -> None:
        """Be in `rooms` from now on."""
        for room in rooms:
            if (name := self._name(room)) is not None:
                self._open(name).stay()
            else:
                log.error("nobody could call the room %s: it is left alone", room)

    def _name(self, room: JID) -> str | None:
        """The name by which `room` is called; None where it has none, or such calls go elsewhere."""
        name = self._server.addresses.room_name(room)
        return name if name and self._server.room_called(self._server.addresses.mixer(name)) == name else None

    def conference_for(self, address: JID, client: JID) -> tuple[Conference, Rights]:
        """The conference at `address`, and what `client` may do there.

        Raises `ItemNotFound` where we are in no such room.
        """
        known = self._conferences.get(self._server.room_called(address))
        if known is None:
            raise ItemNotFound("there is no conference here now; call it, or invite me into the room")
        conference, _ = known
        roster, controls = conference.roster, self._server.may_command(client)
        peers = {call: one.peer for call, one in roster.participants.items()}
        return conference, rights_of(client, roster.occupants, peers, controls=controls)

    def refusal(self, name: str, caller: JID) -> str:
        """Why a call of `caller` to the room with that name would be refused, as far as it can be seen now: where there
        is no conference, nothing can."""
        room = self._server.addresses.room(name)
        if not self._surroundings.summoning.serves(room):
            return f"calls to {room} are not taken here"
        known = self._conferences.get(name)
        return known[0].admission.refusal(caller) if known is not None else ""

    def call_invite_answered(self, address: JID, device: JID, said: Answer) -> None:
        """What `device` says of an invite (XEP-0482) that came from `address`."""
        known = self._conferences.get(self._server.room_called(address))
        if known is not None:
            known[0].callout.answered(device, said)

    def document_for(self, focus: JID, peer: JID, sid: str) -> Document | None:
        """The full document for the session `sid` of `peer` with `focus`, or None."""
        documents = self._documents(focus, peer, sid)
        return documents.full_for(peer, sid) if documents is not None else None

    def document_from(self, focus: JID, peer: JID, document: ConferenceInfo) -> None:
        """What a participant that mixes a conference itself tells of that one. Raises `StanzaError`."""
        documents = self._documents(focus, peer, document.sid)
        if documents is None:
            raise ItemNotFound("no session with you is in a conference here")
        documents.read(peer, document)

    def _documents(self, focus: JID, peer: JID, sid: str | None) -> Documents | None:
        """Of the conference at `focus`, or else of that to which the session of `peer` with `focus` has been taken."""
        here = self._server.room_called(focus)
        for conference in sorted(self.conferences, key=lambda each: each.name != here):
            local = conference.documents.address(peer, sid)
            if local is not None and (conference.name == here or local.bare == focus.bare):
                return conference.documents
        return None

    def _open(self, name: str) -> Conference:
        if (known := self._conferences.get(name)) is not None:
            return known[0]
        assert self._tasks is not None
        conference = Conference(name, self._surroundings)
        self._server.register(conference.client, conference)
        scope = contextvars.copy_context()
        scope.run(context.room.set, name)
        scope.run(context.call.set, "")
        task = self._tasks.create_task(self._supervise(conference), name=f"conference {name}", context=scope)
        self._conferences[name] = (conference, task)
        return conference

    async def _supervise(self, conference: Conference) -> None:
        log.info("the conference begins")
        try:
            await conference.run(lambda: self._retire(conference))
        except Exception:
            log.exception("the conference crashed")
            await conference.give_up()
        log.info("the conference is over")

    def _retire(self, conference: Conference) -> None:
        self._server.unregister(conference.client)
        del self._conferences[conference.name]
