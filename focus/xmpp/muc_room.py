"""A room that the focus is in (XEP-0045): entering, who is there, how they went, coming back.

Only presence and groupchat messages are read here, and nothing in a room is ever answered with an error: that would
get the focus kicked out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from focus.conference.room import Cause, Departure, Occupant, RoomError, RoomObserver, Rules
from focus.wire.base import Element
from focus.wire.call_invites import message_id, parse_call_invite
from focus.wire.conditions import BadRequest
from focus.wire.jid import JID
from focus.wire.stanzas import CLIENT, presence, read_error
from focus.xmpp.connection import Backoff
from focus.xmpp.messages import kept_message
from focus.xmpp.muc_queries import MUC, MUC_USER, RoomQueries

if TYPE_CHECKING:  # a room is given the others; focus.xmpp.muc makes rooms
    from focus.xmpp.muc import MucRooms

log = logging.getLogger(__name__)

DELAY = "urn:xmpp:delay"

LEAVE_TIMEOUT = 3.0
NICK_ATTEMPTS = 5
#: Somebody who was in the room as long as this is not being thrown out again and again.
SETTLED_AFTER = 30.0
#: Characters of what somebody gives as reason for throwing somebody out.
MAX_REASON = 500

#: Conditions of a refused entry after which trying again is of no use (XEP-0045 section 7.2).
_FOR_GOOD = {
    "forbidden": Departure.BANNED,
    "registration-required": Departure.REMOVED,
    "not-authorized": Departure.REMOVED,
    "not-allowed": Departure.REMOVED,
    "gone": Departure.DESTROYED,
    "conflict": Departure.REMOVED,
}


class MucRoom:
    """A room that we are in, or are on the way back to; made by `MucRooms.join`. Implements `conference.room.Room`."""

    def __init__(self, rooms: MucRooms, jid: JID, us: JID, observer: RoomObserver, password: str) -> None:
        self.jid = jid
        self.occupants: dict[str, Occupant] = {}
        self.subject = ""
        self.real_jids_are_public = False
        self.rules = Rules()
        self.nick = ""
        self._us = us
        self._password = password
        self._rooms = rooms
        self._connection = rooms.connection
        self._observer = observer
        self._backoff = Backoff()
        self._queries = RoomQueries(rooms.connection, us, jid, rooms.timeout)
        self._learning, self._rules_are_due = asyncio.Lock(), False
        self._is_moderator, self._was_heard = False, False
        self._saw: bool | None = None  # what the observer has been told of the former
        self._entering: asyncio.Future[bool] | None = None
        self._entering_as = ""
        self._arrived: dict[str, Occupant] = {}
        self._inside_since: float | None = None
        self._returning: asyncio.Task[None] | None = None
        self._left: asyncio.Future[None] | None = None
        self._is_over = False

    @property
    def us(self) -> JID:
        """The full JID that our occupant's presence comes from."""
        return self._us

    @property
    def name(self) -> str:
        """What the conference of this room is called here."""
        return self._us.resource

    @property
    def seat(self) -> JID:
        """Our occupant, or the one that we last tried to be."""
        return self.jid.with_resource(self.nick or self._entering_as)

    @property
    def sees_real_jids(self) -> bool:
        return self.real_jids_are_public or self._is_moderator

    async def outcasts(self) -> frozenset[JID]:
        """See `conference.room.Room`."""
        return await self._queries.outcasts()

    # --- entering -----------------------------------------------------------------------------------------------------

    async def enter(self) -> None:
        """One attempt to be inside, with other nicks where ours is taken, and with a password where one is wanted that
        an owner may know. Raises `RoomError`."""
        attempt, knows_password = 1, False
        while True:
            try:
                is_new = await self._enter_as(self._rooms.nick_of(attempt))
            except RoomError as error:
                if error.condition == "conflict" and attempt < NICK_ATTEMPTS:
                    attempt += 1
                elif error.condition == "not-authorized" and not knows_password:
                    knows_password, found = True, await self._queries.password()
                    if found in ("", self._password):
                        raise
                    self._password = found
                else:
                    raise
            else:
                break
        if is_new:
            await self._queries.configure()
        await self._learn_rules()

    async def _enter_as(self, nick: str) -> bool:
        """Whether the room has been created by this. Raises `RoomError`."""
        if not self._connection.connected:
            raise RoomError(self.jid, "remote-server-timeout", "no session with the XMPP server")
        entering: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._entering, self._entering_as, self._arrived = entering, nick, {}
        join = ET.Element(f"{{{MUC}}}x")
        ET.SubElement(join, f"{{{MUC}}}history", {"maxstanzas": "0"})
        if self._password:
            ET.SubElement(join, f"{{{MUC}}}password").text = self._password
        self._send(nick, None, join, *self._rooms.presence_extensions())
        try:
            async with asyncio.timeout(self._rooms.timeout):
                return await entering
        except TimeoutError:
            raise RoomError(self.jid, "timeout", f"no answer in {self._rooms.timeout:g} s") from None
        finally:
            self._entering = None
            if not entering.done() or entering.cancelled():
                self._send(nick, "unavailable")

    async def _learn_rules(self) -> None:
        """One question after the other, so that the newest answer stands; one for all who wait meanwhile."""
        self._rules_are_due = True
        async with self._learning:
            if not self._rules_are_due:
                return
            self._rules_are_due = False
            rules = await self._queries.rules()
        if rules is not None and rules != self.rules:
            self.rules = rules
            self._tell(self._observer.rules_changed, rules)

    def _send(self, nick: str, type: str | None, *children: ET.Element) -> None:
        self._connection.send(presence(self._us, self.jid.with_resource(nick), type, *children))

    # --- staying ------------------------------------------------------------------------------------------------------

    def come_back(self, at_once: bool) -> None:
        """Enter again, as often as it takes."""
        self._inside_since = None
        if self._returning is None and not self._is_over and self._left is None:
            self._returning = self._connection.spawn(self._come_back(at_once), f"return to {self.jid}")

    async def _come_back(self, at_once: bool) -> None:
        try:
            while True:
                if not at_once:
                    await asyncio.sleep(self._backoff.next())
                at_once = False
                try:
                    await self.enter()
                except RoomError as error:
                    if error.condition in _FOR_GOOD:
                        self._lost(_FOR_GOOD[error.condition], Cause(str(error)))
                        return
                    log.warning("not back in the room yet: %s", error)
                else:
                    break
        finally:
            self._returning = None
        self._tell(self._observer.room_rejoined)

    def look(self) -> None:
        """Ask, where nothing has been heard since the last look, whether the room has lost us without a word, as one
        does whose server fails (XEP-0410)."""
        if self._inside_since is not None and not self._was_heard:
            self._connection.spawn(self._make_sure(self._inside_since), f"ping {self.jid}")
        self._was_heard = False

    async def _make_sure(self, since: float) -> None:
        if not await self._queries.knows(self.nick) and self._inside_since == since:
            log.warning("the room %s does not know us any more", self.jid)
            self.come_back(at_once=True)

    def cut_off(self) -> None:
        """The session with the server ended."""
        self._inside_since = None
        if self._returning is not None:
            self._returning.cancel()
            self._returning = None
        if self._entering is not None and not self._entering.done():
            self._entering.set_exception(RoomError(self.jid, "remote-server-timeout", "the session ended"))
        if self._left is not None and not self._left.done():
            self._left.set_result(None)

    async def leave(self) -> None:
        """Go, and return when the room has seen it. Idempotent."""
        if self._is_over:
            return
        if self._left is not None:
            await asyncio.shield(self._left)
            return
        self._left = asyncio.get_running_loop().create_future()
        if self._returning is not None:
            self._returning.cancel()
        try:
            if self._connection.connected and self._inside_since is not None:
                self._send(self.nick, "unavailable")
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(self._left), LEAVE_TIMEOUT)
        finally:
            self._over()
            if not self._left.done():
                self._left.set_result(None)

    @property
    def is_leaving(self) -> bool:
        return self._left is not None

    def abandon(self) -> None:
        """Give up what never became a room that somebody has."""
        if self._inside_since is not None:
            self._send(self.nick, "unavailable")
        self._over()

    def _over(self) -> None:
        self._is_over = True
        self._rooms.forget(self)

    def _lost(self, departure: Departure, cause: Cause) -> None:
        self._over()
        self._tell(self._observer.room_lost, departure, cause)

    # --- what the room tells ------------------------------------------------------------------------------------------

    def presence(self, nick: str, stanza: ET.Element) -> None:
        """A presence of the occupant `nick`, or of the room itself where it is empty."""
        self._was_heard = True
        kind = stanza.get("type")
        if kind == "error":
            self._refused(stanza)
            return
        extension = _child(stanza, f"{{{MUC_USER}}}x")
        codes = {status.get("code", "") for status in extension.findall(f"{{{MUC_USER}}}status")}
        if kind is None and nick:
            self._present(nick, extension, codes)
        elif kind == "unavailable":
            self._absent(nick, extension, codes)

    def message(self, nick: str, stanza: ET.Element) -> None:
        """A groupchat message: subjects (section 8.1), changes of configuration (section 10.2.1) and invites to calls
        (XEP-0482) matter."""
        self._was_heard = True
        subject = stanza.find(f"{{{CLIENT}}}subject")
        if subject is not None and stanza.find(f"{{{CLIENT}}}body") is None:
            text = subject.text or ""
            if text != self.subject:
                self.subject = text
                self._tell(self._observer.subject_changed, text)
        if nick and stanza.find(f"{{{DELAY}}}delay") is None:
            self._call_invite(nick, stanza)
        if not nick:
            extension = _child(stanza, f"{{{MUC_USER}}}x")
            codes = {status.get("code") for status in extension.findall(f"{{{MUC_USER}}}status")}
            if codes & {"100", "172"}:
                self._public(True)
            elif "173" in codes:
                self._public(False)
            if "104" in codes:
                self._connection.spawn(self._learn_rules(), f"rules of {self.jid}")

    def _call_invite(self, nick: str, tree: ET.Element) -> None:
        try:
            said = parse_call_invite(tree)
        except BadRequest as error:
            log.info("%s in the room %s: %s", nick, self.jid, error)
            return
        occupant = self.occupants.get(nick)
        if said is not None and (occupant is not None or nick == self.nick):
            self._tell(self._observer.call_invited, occupant, message_id(tree, self.jid), said)

    def say(self, identifier: str, element: Element, body: str | None = None) -> None:
        """See `conference.room.Room`. The hint has the room give the message an id (XEP-0482 section 3.1)."""
        said = kept_message(self.us, self.jid, "groupchat", element.to_element(), body=body, id=identifier)
        self._connection.send(said)

    def _refused(self, stanza: ET.Element) -> None:
        error = read_error(stanza)
        if self._entering is not None and not self._entering.done():
            self._entering.set_exception(RoomError(self.jid, error.condition, error.text))
        else:
            log.info("the room %s reports %s: %s", self.jid, error.condition, error.text)

    def _present(self, nick: str, extension: ET.Element, codes: set[str]) -> None:
        known = self.occupants.get(nick) if self._inside_since is not None else None
        occupant = self._read(nick, _child(extension, f"{{{MUC_USER}}}item"), known)
        if self._entering is not None and not self._entering.done():
            if "110" in codes or nick == self._entering_as:
                self._inside(nick, occupant, codes)
            else:
                self._arrived[nick] = occupant
        elif self._inside_since is not None:
            if "110" in codes or nick == self.nick:
                self.nick = nick
                self._ranked(occupant)
            else:
                self._update(occupant)

    def _inside(self, nick: str, ours: Occupant, codes: set[str]) -> None:
        """Our own presence ends the list of those who are there (section 7.2.2)."""
        assert self._entering is not None
        self.nick = nick
        self._inside_since = asyncio.get_running_loop().time()
        log.info("in the room %s as %s (%s, %s)", self.jid, nick, ours.affiliation, ours.role)
        self._is_moderator = ours.role == "moderator"
        self._public("100" in codes)
        self._sight()
        arrived, self._arrived = self._arrived, {}
        for known in list(self.occupants.values()):
            now = arrived.get(known.nick)
            if now is None or _somebody_else(known, now):
                del self.occupants[known.nick]
                self._tell(self._observer.occupant_left, known, Departure.LOST, Cause())
        for occupant in arrived.values():
            self._update(occupant)
        self._entering.set_result("201" in codes)

    def _ranked(self, ours: Occupant) -> None:
        """Our own role or affiliation may have changed."""
        self._is_moderator = ours.role == "moderator"
        if self._is_moderator and not self._saw:
            self._connection.spawn(self._learn_identities(), f"who is who in {self.jid}")
        else:
            self._sight()

    async def _learn_identities(self) -> None:
        """We have become a moderator, and the room does not say again who is there (section 9.6)."""
        for nick, real_jid in (await self._queries.identities()).items():
            known = self.occupants.get(nick)
            if known is not None and known.real_jid is None:  # else the nick may have passed to somebody else meanwhile
                self._update(replace(known, real_jid=real_jid))
        self._sight()

    def _sight(self) -> None:
        """Tell that we see who is who, or do not any more, where that is news."""
        if self._saw != self.sees_real_jids:
            self._saw = self.sees_real_jids
            if not self.sees_real_jids:
                log.warning(
                    "in the room %s, real JIDs are shown to moderators only, and %s is none: who calls from an address "
                    "of their own cannot be found in the room, and is refused. An owner of the room, or the "
                    "configuration of its server, must make %s a moderator.",
                    self.jid, self.nick, self._us.bare,
                )  # fmt: skip
            self._tell(self._observer.sight_changed, self.sees_real_jids)

    def _update(self, occupant: Occupant) -> None:
        known = self.occupants.get(occupant.nick)
        self.occupants[occupant.nick] = occupant
        if known is None:
            self._tell(self._observer.occupant_joined, occupant)
        elif known != occupant:
            self._tell(self._observer.occupant_changed, occupant)

    def _absent(self, nick: str, extension: ET.Element, codes: set[str]) -> None:
        item = _child(extension, f"{{{MUC_USER}}}item")
        destroyed = extension.find(f"{{{MUC_USER}}}destroy")
        is_us = "110" in codes or (nick == self.nick and self._inside_since is not None)
        if "303" in codes and item.get("nick"):
            if is_us:
                self.nick = item.get("nick", "")
            else:
                self._renamed(nick, item)
        elif is_us or (destroyed is not None and not nick):
            self._gone(_departure(codes, destroyed), _cause(item, destroyed))
        else:
            self._arrived.pop(nick, None)
            if self._inside_since is not None and (occupant := self.occupants.pop(nick, None)) is not None:
                departure, cause = _departure(codes, destroyed), _cause(item, destroyed)
                self._tell(self._observer.occupant_left, occupant, departure, cause)

    def _renamed(self, nick: str, item: ET.Element) -> None:
        known = self.occupants.pop(nick, None) if self._inside_since is not None else self._arrived.pop(nick, None)
        if known is None:
            return
        renamed = self._read(item.get("nick", ""), item, known)
        if self._inside_since is None:
            self._arrived[renamed.nick] = renamed
        else:
            self.occupants[renamed.nick] = renamed
            self._tell(self._observer.occupant_renamed, nick, renamed)

    def _gone(self, departure: Departure, cause: Cause) -> None:
        """We are no longer inside."""
        if self._left is not None:
            if not self._left.done():
                self._left.set_result(None)
        elif self._entering is not None:
            if not self._entering.done():
                condition = {
                    Departure.BANNED: "forbidden",
                    Departure.REMOVED: "registration-required",
                    Departure.DESTROYED: "gone",
                }.get(departure)
                self._entering.set_exception(RoomError(self.jid, condition or "recipient-unavailable", cause.reason))
        elif departure in (Departure.BANNED, Departure.REMOVED, Departure.DESTROYED) or (
            departure is Departure.KICKED and not self._rooms.is_ours(self.jid)
        ):
            self._lost(departure, cause)
        else:
            by, why = f" by {cause.by}" if cause.by else "", f": {cause.reason}" if cause.reason else ""
            log.warning("no longer in the room %s: %s%s%s", self.jid, departure, by, why)
            now, since = asyncio.get_running_loop().time(), self._inside_since
            settled = since is not None and now - since >= SETTLED_AFTER
            if settled:
                self._backoff.reset()
            self.come_back(at_once=settled)

    def _public(self, public: bool) -> None:
        if public != self.real_jids_are_public:
            self.real_jids_are_public = public
            self._tell(self._observer.anonymity_changed, public)
            if self._saw is not None:
                self._sight()

    def _read(self, nick: str, item: ET.Element, known: Occupant | None) -> Occupant:
        """The occupant as `item` describes it, what it leaves out as it is `known`."""
        real_jid = known.real_jid if known is not None else None
        with suppress(ValueError):
            real_jid = JID.parse(item.get("jid", ""))
        occupant = Occupant(nick, self.jid.with_resource(nick), real_jid, "none", "none")
        if known is not None:
            occupant = replace(occupant, affiliation=known.affiliation, role=known.role)
        return replace(
            occupant,
            affiliation=item.get("affiliation", occupant.affiliation),
            role=item.get("role", occupant.role),
        )

    def _tell(self, method: Callable[..., None], *arguments: Any) -> None:
        """The room stays right even where its observer does not."""
        try:
            method(*arguments)
        except Exception:
            log.exception("%s of the room %s", getattr(method, "__name__", method), self.jid)


def _child(tree: ET.Element, tag: str) -> ET.Element:
    """The child, or an empty one."""
    found = tree.find(tag)
    return ET.Element(tag) if found is None else found


def _somebody_else(before: Occupant, now: Occupant) -> bool:
    """Whether the nick has passed to another person while we were away."""
    both = before.real_jid, now.real_jid
    return both[0] is not None and both[1] is not None and both[0].bare != both[1].bare


def _departure(codes: set[str], destroyed: ET.Element | None) -> Departure:
    """The first that applies: a server adds `kicked` where the reason is an error (333) of the occupant's."""
    if destroyed is not None:
        return Departure.DESTROYED
    if "301" in codes:
        return Departure.BANNED
    if codes & {"332", "333"}:
        return Departure.LOST
    if codes & {"321", "322"}:
        return Departure.REMOVED
    return Departure.KICKED if "307" in codes else Departure.LEFT


def _cause(item: ET.Element, destroyed: ET.Element | None) -> Cause:
    parent = item if destroyed is None else destroyed
    venue = None
    with suppress(ValueError):
        venue = JID.parse(parent.get("jid", "")).bare if destroyed is not None else None
    return Cause(
        reason=parent.findtext(f"{{{MUC_USER}}}reason", "").strip()[:MAX_REASON],
        by=_child(item, f"{{{MUC_USER}}}actor").get("nick", ""),
        venue=venue,
    )
