"""Calling absent people into a conference: again, after longer and longer pauses, until they come or do not want to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Protocol

from focus.conference.call_invites import RoomInvite
from focus.conference.doorbells import Doorbells
from focus.conference.people import Failure, Invited
from focus.conference.policy import Occupants
from focus.conference.roster import Roster
from focus.conference.summoning import Pace, is_among
from focus.rayo.headers import REASON_HEADER
from focus.rayo.server import Server
from focus.wire.base import Element
from focus.wire.call_invites import Accept, Answer, JingleMethod, Left, Reject, Retract
from focus.wire.conditions import ResourceConstraint, StanzaError
from focus.wire.conference_info import DisconnectionMethod
from focus.wire.jid import JID
from focus.wire.rayo import Answered, Dial, End, Event, Hangup, Header, Join, Ref
from focus.wire.rayo import Ringing as Rings

log = logging.getLogger(__name__)

#: People who are called into one conference at the same time.
MAX_PEOPLE = 100

#: Reasons of Jingle (XEP-0166 section 7.4) after which the same device would fail again.
_IN_VAIN = frozenset(
    {"failed-application", "incompatible-parameters", "security-error", "unsupported-applications",
     "unsupported-transports"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ringing:
    """How people are called: `patience` seconds each time, with `pauses` (seconds) between the times.

    `users`: the accounts, and domains of accounts, that moderators may have called; None is everybody.
    `call_invites`: are they also sent an invite (XEP-0482), with the page and whatever else leads there.
    `invite` are called into every conference as soon as it has its first participant, `invite_to` into one room's.
    """

    invite: tuple[JID, ...] = ()
    invite_to: Mapping[JID, tuple[JID, ...]] = field(default_factory=dict)
    patience: float = 45.0
    pauses: tuple[float, ...] = (60.0, 180.0, 600.0)
    users: frozenset[JID] | None = None
    call_invites: bool = False
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep
    doorbells: Doorbells = field(default_factory=Doorbells)

    def callees(self, room: JID) -> tuple[JID, ...]:
        return tuple(dict.fromkeys((*self.invite, *self.invite_to.get(room, ()))))


class Owner(Protocol):
    """The conference, as far as people are called into it."""

    name: str
    client: JID
    roster: Roster

    def errand(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` beside all else, until the conference ends."""

    async def objection(self, person: JID) -> Failure | None:
        """Why `person` is not to be called now."""

    def calling(self, call: JID, peer: JID) -> None:
        """`call` is being made, to `peer`."""

    def people_changed(self, invited: dict[JID, Invited]) -> None:
        """These are being called now, or were in vain a moment ago."""

    def tell(self, person: JID, identifier: str, element: Element, body: str | None = None) -> bool:
        """Send `person` a message with this id, with `body` for those whose clients do not know `element`. Whether
        there was a session to send it in."""

    @property
    def invite(self) -> RoomInvite:
        """By which devices are called that have accepted an invite."""


class _Callee:
    """One person, and the call to them that there is now. `by` is the address of whoever wants that, and `pace` that at
    which they may be rung."""

    def __init__(self, by: str | None, pace: Pace) -> None:
        self.by, self.pace = by, pace
        self.call: JID | None = None
        self.is_invited = False  # by message
        self.ended: asyncio.Future[End | None] = asyncio.get_running_loop().create_future()
        self.unwanted = asyncio.Event()
        self.rests = False  # there will be no attempt for a while, or none at all
        self.successor: _Callee | None = None

    @property
    def is_wanted(self) -> bool:
        return not self.unwanted.is_set() or self.successor is not None

    @property
    def is_being_called(self) -> bool:
        """Now, or as soon as what there was is over."""
        return self.is_wanted and (not self.rests or self.successor is not None)


@dataclass(slots=True)
class _Sent:
    """The invite that one person was sent (XEP-0482): the id of its message, and the session that it offers."""

    id: str
    sid: str
    is_accepted: bool = False


class Callout:
    """Calls people into one conference; it is a Rayo client that dials, as any other would."""

    def __init__(self, owner: Owner, server: Server, ringing: Ringing, *, linger: float, farewell: float) -> None:
        """A conference that has been empty for less than `linger` seconds goes on with those who come; it has not begun
        anew. `farewell`: seconds for which who does not come is still shown."""
        self._owner = owner
        self._server = server
        self._ringing = ringing
        self._linger, self._farewell = linger, farewell
        self._callees: dict[JID, _Callee] = {}
        self._sent: dict[JID, _Sent] = {}
        self._unsent: list[tuple[JID, str, Element, str | None]] = []  # what there was no session for
        self._present: frozenset[JID] = frozenset()
        self._empty_since = -float("inf")

    @property
    def people(self) -> tuple[JID, ...]:
        """Those who are being called."""
        return tuple(person for person, callee in self._callees.items() if callee.is_wanted)

    @property
    def is_active(self) -> bool:
        return bool(self._callees)

    # what is wanted

    def may_call(self, person: JID) -> bool:
        """Whether a moderator may have `person` called, who is no room of ours."""
        is_elsewhere = person.domain != self._server.addresses.domain
        return is_elsewhere and (self._ringing.users is None or is_among(person, self._ringing.users))

    def call(self, people: Iterable[JID], by: str | None = None) -> list[JID]:
        """Call those of `people` (bare JIDs) who are not in the conference, and not being called; returns them. Whose
        next attempt is due after a pause is called now. `by` is the address of whoever wants that. Raises
        `ResourceConstraint`."""
        wanted = self._absent(people)
        new = [person for person in wanted if person not in self._callees]
        if len(new) > self._places:
            raise ResourceConstraint(f"no more than {MAX_PEOPLE} people can be called into a conference at once")
        for person in wanted:
            self._call(person, _Callee(by, self._ringing.doorbells.wanted))
        return wanted

    def refusal(self, person: JID) -> Failure | None:
        """Why moderators cannot have `person` called now, who may be called as such."""
        bells = self._ringing.doorbells
        failure = bells.refusal(person, bells.wanted, asyncio.get_running_loop().time())
        return failure if failure is not None and failure.is_final else None

    def _call(self, person: JID, callee: _Callee) -> None:
        if (known := self._callees.get(person)) is None:
            self._begin(person, callee)
        else:
            known.successor = callee
            known.unwanted.set()

    def _absent(self, people: Iterable[JID]) -> list[JID]:
        """Those who are neither here nor being called."""
        known = self._callees
        return [
            person
            for person in dict.fromkeys(people)
            if person not in self._present and not (person in known and known[person].is_being_called)
        ]

    @property
    def _places(self) -> int:
        return MAX_PEOPLE - len(self._callees)

    def _begin(self, person: JID, callee: _Callee) -> None:
        self._callees[person] = callee
        self._show(person, Invited(person, datetime.now(UTC), by=callee.by))
        self._owner.errand(lambda: self._ring(person, callee))

    def call_off(self, people: Iterable[JID] | None = None) -> list[JID]:
        """Call `people`, or all, no longer; returns those who were being called."""
        called = self.people
        unwanted = [person for person in (called if people is None else people) if person in called]
        for person in unwanted:
            self._callees[person].unwanted.set()
            self._callees[person].successor = None
        return unwanted

    def look(self) -> None:
        """Somebody may have come or gone: the first brings others, who is here need not be called, and with the last
        the reason to call anybody has gone."""
        before = self._present
        self._present = self._accounts()
        if self._present == before:
            return
        now = asyncio.get_running_loop().time()
        self.call_off(self._present)
        if not self._present:
            self._empty_since = now
            self.call_off()
            for person in [person for person in self._sent if person not in self._callees]:
                self._withdraw_invite(person)  # it has been accepted, and is over now
        elif not before and now - self._empty_since >= self._linger:
            self._call_configured()

    def _call_configured(self) -> None:
        wanted = self._absent(self._ringing.callees(self._owner.roster.room))
        if len(wanted) > self._places:
            left_out = wanted[self._places :]
            wanted = wanted[: self._places]
            log.warning(
                "%d of those who are to be called into each conference are not called, because no more than %d can be "
                "at once: %s",
                len(left_out), MAX_PEOPLE, ", ".join(map(str, left_out)),
            )  # fmt: skip
        for person in wanted:
            self._call(person, _Callee(None, self._ringing.doorbells.configured))

    def _accounts(self) -> frozenset[JID]:
        """Whose calls have been accepted; of those who call through the room it knows who they are."""
        roster = self._owner.roster
        peers = {one.peer for one in roster.participants.values() if one.session.accepted}
        through_room = {peer for peer in peers if peer.bare == roster.room}
        occupants = Occupants(roster.occupants if through_room else ())
        found = {occupants.find(peer) for peer in through_room}
        theirs = {one.real_jid.bare for one in found if one is not None and one.real_jid is not None}
        return frozenset(theirs | {peer.bare for peer in peers})

    # invites by message (XEP-0482)

    def _send_invite(self, person: JID) -> None:
        roster = self._owner.roster
        sent = self._sent[person] = _Sent(token_hex(8), str(uuid.uuid4()))
        line = self._server.addresses.line(self._owner.name)
        where = roster.page or roster.focus.uri
        invite = roster.invite(JingleMethod(sid=sent.sid, jid=str(line)))
        self._tell(person, sent.id, invite, f"You are called to a conference: {where}")

    def _withdraw_invite(self, person: JID) -> None:
        sent = self._sent.pop(person, None)
        if sent is None:
            return
        if any(identifier == sent.id for _, identifier, _, _ in self._unsent):
            self._unsent = [message for message in self._unsent if message[1] != sent.id]
        else:
            self._tell(person, token_hex(8), Retract(id=sent.id))

    def _tell(self, person: JID, identifier: str, element: Element, body: str | None = None) -> None:
        if not self._owner.tell(person, identifier, element, body):
            self._unsent.append((person, identifier, element, body))

    def rejoined(self) -> None:
        """There is a session again."""
        unsent, self._unsent = self._unsent, []
        for message in unsent:
            self._tell(*message)

    def answered(self, device: JID, said: Answer) -> None:
        """What `device` says of the invite that its owner was sent."""
        sent = self._sent.get(device.bare)
        if sent is None or said.id != sent.id:
            return
        match said:
            case Accept():  # perhaps not for the first time: the session may have failed
                sent.is_accepted = True
                self.call_off([device.bare])
                if said.jingle is not None and said.jingle.sid == sent.sid and device.resource:
                    self._owner.invite.call(device, sent.sid)
            case Reject():
                log.info("%s does not want to come", device)
                self._ringing.doorbells.declined(device.bare, asyncio.get_running_loop().time())
                self.call_off([device.bare])
            case Left():
                self._owner.invite.hang_up(device)

    # what happens

    def deliver(self, call: JID, event: Event) -> None:
        """Of a call to somebody; events of others make no difference."""
        found = next((item for item in self._callees.items() if item[1].call == call), None)
        if found is None:
            return
        person, callee = found
        match event:
            case Rings():
                self._show(person, replace(self._owner.roster.invited[person], rings=True))
            case Answered() if not callee.ended.done():
                callee.ended.set_result(None)
            case End() if not callee.ended.done():
                callee.ended.set_result(event)

    async def _ring(self, person: JID, callee: _Callee) -> None:
        try:
            await self._call_again_and_again(person, callee)
        finally:
            del self._callees[person]
            # One that was accepted must be known when that device says that it has left.
            if person in self._sent and not self._sent[person].is_accepted:
                self._withdraw_invite(person)
            self._show(person, None)
        if callee.successor is not None:
            self._begin(person, callee.successor)

    async def _call_again_and_again(self, person: JID, callee: _Callee) -> None:
        for pause in (*self._ringing.pauses, None):
            failure = await self._attempt(person, callee)
            if failure is None or callee.unwanted.is_set():
                return
            shown = self._owner.roster.invited[person]
            self._show(person, replace(shown, rings=False, failure=failure))
            again = "" if pause is None or failure.is_final else f"; again in {pause:g} s"
            log.info("%s does not come: %s%s", person, failure.reason, again)
            callee.rests = True
            if pause is None or failure.is_final:
                break
            if not await _unless(callee.unwanted, self._ringing.sleep(pause)):
                return
            callee.rests = False
            self._show(person, replace(shown, rings=False, failure=None))
        await _unless(callee.unwanted, self._ringing.sleep(self._farewell))

    async def _attempt(self, person: JID, callee: _Callee) -> Failure | None:
        """Call once, if they may come and are not rung too often. None where they have come, or are wanted no more."""
        objection = await self._owner.objection(person)
        if objection is not None or callee.unwanted.is_set():
            return objection
        bells, now = self._ringing.doorbells, asyncio.get_running_loop().time()
        if (failure := bells.refusal(person, callee.pace, now)) is not None:
            return failure
        with bells.ring(person, callee.pace, now):
            return await self._dial(person, callee)

    async def _dial(self, person: JID, callee: _Callee) -> Failure | None:
        if self._ringing.call_invites and not callee.is_invited:
            callee.is_invited = True
            self._send_invite(person)
        callee.ended = asyncio.get_running_loop().create_future()
        dial = Dial(
            to=person.uri,
            from_=self._owner.roster.focus.uri,
            timeout=int(self._ringing.patience * 1000),
            joins=(Join(mixer_name=self._owner.name),),
        )
        try:
            made = await self._server.command(self._owner.client, self._server.addresses.service, dial)
        except StanzaError as error:
            return Failure(datetime.now(UTC), "failed", error.text or error.condition)
        assert isinstance(made, Ref)
        callee.call = JID.from_uri(made.uri)
        self._owner.calling(callee.call, person)
        try:
            if not await _unless(callee.unwanted, callee.ended):
                with contextlib.suppress(StanzaError):
                    headers = (Header(name=REASON_HEADER, value="cancel"),)
                    await self._server.command(self._owner.client, callee.call, Hangup(headers=headers))
                return None
        finally:
            callee.call = None
        end = callee.ended.result()
        if end is not None and end.reason == "rejected":
            self._ringing.doorbells.declined(person, asyncio.get_running_loop().time())
        return None if end is None else _failure(end)

    def _show(self, person: JID, invited: Invited | None) -> None:
        others = {key: one for key, one in self._owner.roster.invited.items() if key != person}
        self._owner.people_changed(others if invited is None else {**others, person: invited})


def _failure(end: End) -> Failure:
    """What the end of a call that was not answered means (RFC 4575 section 5.7.6)."""
    code = end.platform_code or end.reason
    method: DisconnectionMethod = "busy" if end.reason == "busy" else "failed"
    return Failure(datetime.now(UTC), method, code, is_final=end.reason == "rejected" or code in _IN_VAIN)


async def _unless(stop: asyncio.Event, work: Awaitable[Any]) -> bool:
    """Whether `work` was done before there was `stop`; then it is given up."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return not stop.is_set()
    finally:
        working.cancel()
        stopping.cancel()
