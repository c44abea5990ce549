"""Being called into rooms: by mediated and direct invitation (XEP-0045 section 7.8, XEP-0249), and by the conference
request of Jitsi's clients.

Who may not, or asks in vain, is told why: through the room by a decline (section 7.8.2), by a message, or by the error
of the IQ. Nobody is told so more often than `REFUSALS`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from secrets import token_hex
from typing import Protocol
from xml.etree import ElementTree as ET

from focus.conference.room import RoomError
from focus.conference.summoning import Pace, Summoning
from focus.rayo.addresses import Addresses
from focus.wire.conditions import BadRequest, NotAllowed, NotAuthorized, ResourceConstraint, StanzaError
from focus.wire.jid import JID
from focus.wire.stanzas import CLIENT, MESSAGE, error_named, stanza
from focus.wire.summons import ConferenceRequest, Decline, Direct, Mediated, Property
from focus.xmpp.connection import Connection

log = logging.getLogger(__name__)

#: How often one account, or the occupants of one room, may summon us: (times, seconds).
SUMMONS = (10, 60.0)
#: How often somebody of one domain is told that we do not come.
REFUSALS = (10, 60.0)

#: What the errors of a room that cannot be entered mean to the one who wants us there.
_WHY = {
    "conflict": "the room has somebody of my name already",
    "forbidden": "I am banned from the room",
    "gone": "the room is gone",
    "item-not-found": "the room is not open yet",
    "not-acceptable": "calls to this room would not come to it",
    "not-allowed": "I am not allowed to make the room, or to enter it",
    "not-authorized": "the room has a password, and I was given none or a wrong one",
    "registration-required": "only members may enter the room, and I am none",
    "remote-server-not-found": "there is no such chat service",
    "service-unavailable": "the room is full",
    "timeout": "the room does not answer",
}
#: Those after which asking again may help; Jitsi's clients do.
_FOR_NOW = ("timeout", "remote-server-timeout")

#: What Jitsi's clients ask of a focus: there is no login here besides XMPP's, no telephone, and nobody only looks on.
_PROPERTIES = tuple(
    Property(name=name, value="false")
    for name in ("authentication", "externalAuth", "sipGatewayEnabled", "visitors-supported")
)


class Summoner(Protocol):
    """Who goes where we are summoned."""

    async def summon(self, room: JID, password: str = "", by: JID | None = None) -> None:
        """Enter `room`, and stay as long as somebody is in it, which `by` wants. Raises `RoomError`, and `StanzaError`
        where there are too many such rooms."""


@dataclass(frozen=True, slots=True)
class _Invitation:
    """`to` is the address of ours that was invited; `is_mediated`: by the room itself, for an occupant."""

    room: JID
    inviter: JID
    to: JID
    password: str
    is_mediated: bool
    thread: str | None = None


class Summons:
    """Takes invitations and conference requests."""

    def __init__(self, connection: Connection, summoner: Summoner, addresses: Addresses, policy: Summoning) -> None:
        self._connection = connection
        self._summoner = summoner
        self._addresses = addresses
        self._policy = policy
        self._pace, self._refusals = Pace(*SUMMONS), Pace(*REFUSALS)

    # invitations

    def handle_message(self, tree: ET.Element) -> bool:
        """Whether the message was an invitation to a room, or the answer to one."""
        if tree.get("type") in ("error", "groupchat"):
            return False
        try:
            invitation = _read(tree)
        except (ValueError, StanzaError) as error:
            log.info("an invitation from %.100r cannot be read: %s", tree.get("from"), error)
            return True
        if isinstance(invitation, _Invitation):
            self._connection.spawn(self._follow(invitation), f"invitation to {invitation.room}")
        return invitation is not None

    async def _follow(self, invitation: _Invitation) -> None:
        room, inviter = invitation.room, invitation.inviter
        try:
            await self._summoned(room, room if invitation.is_mediated else inviter, invitation.password, inviter)
        except RoomError as error:
            log.warning("not in the room that %s has called us to: %s", inviter, error)
            self._decline(invitation, _why(error), f"I am not in {room}: {_why(error)}")
        except StanzaError as error:
            log.info("the invitation of %s to %s is refused: %s", inviter, room, error)
            self._decline(invitation, error.text)

    async def _summoned(self, room: JID, who: JID, password: str, inviter: JID) -> None:
        """`who` answers for it: the room does for an `inviter` in it. Raises `RoomError` and `StanzaError`."""
        if not self._policy.serves(room):
            raise NotAllowed(f"I do not come to {room}; whoever runs {self._addresses.domain} can allow it")
        if not self._policy.may_summon(who, room):
            raise NotAuthorized(
                "I do not come when you ask me to; somebody who is in the room can invite me through it, "
                f"and whoever runs {self._addresses.domain} can allow you to"
            )
        if not self._pace.allows(who.bare, asyncio.get_running_loop().time()):
            raise ResourceConstraint("you ask too often; wait a minute")
        # An occupant's address says nothing of whose it is: then the limit of an account does not hold.
        await self._summoner.summon(room, password, inviter if inviter.bare != room else None)

    def _decline(self, invitation: _Invitation, why: str, words: str | None = None) -> None:
        """Through the room, as XEP-0045 has it; XEP-0249 has no word for it, so that the inviter is simply told, in
        `words` that name the room."""
        room, inviter, us = invitation.room, invitation.inviter, invitation.to
        told = room if invitation.is_mediated else inviter
        if not self._refusals.allows(JID("", told.domain), asyncio.get_running_loop().time()):
            return
        if invitation.is_mediated:
            if us.bare == self._addresses.occupant("").bare:
                us = JID("", self._addresses.domain)  # COMPAT ejabberd: a room drops what its owner declines
            declined = Mediated(decline=Decline(to=str(inviter), reason=why))
            self._connection.send(stanza(MESSAGE, us, room, None, declined.to_element(), id=token_hex(8)))
            return
        body = ET.Element(f"{{{CLIENT}}}body")
        body.text = f"{words or why}."
        thread = None
        if invitation.thread:
            thread = ET.Element(f"{{{CLIENT}}}thread")
            thread.text = invitation.thread
        self._connection.send(stanza(MESSAGE, us, inviter, "chat", body, thread, id=token_hex(8)))

    # conference requests

    def answers(self, payload: ET.Element) -> bool:
        """Whether a set with this child is for `answer`."""
        return payload.tag == ConferenceRequest.qualified_tag()

    async def answer(self, sender: JID, payload: ET.Element) -> ET.Element:
        """The child of the result, sent when we are in the room. Raises `StanzaError`."""
        request = ConferenceRequest.parse(payload)
        try:
            room = JID.parse(request.room).bare
        except ValueError as error:
            raise BadRequest(str(error)) from None
        ready = True
        try:
            await self._summoned(room, sender, "", sender)
        except RoomError as error:
            log.warning("not in the room that %s has asked for: %s", sender, error)
            if error.condition not in _FOR_NOW:
                raise error_named(error.condition)(_why(error)) from None
            ready = False
        focus = str(self._addresses.occupant("").bare)
        return ConferenceRequest(room=str(room), ready=ready, focusjid=focus, properties=_PROPERTIES).to_element()


def _read(tree: ET.Element) -> _Invitation | bool | None:
    """The invitation in a message; True for somebody's declining, None where there is neither.

    COMPAT: rooms add a direct invitation to what they mediate; then theirs counts. Raises ValueError and `BadRequest`.
    """
    mediated = tree.find(Mediated.qualified_tag())
    if mediated is not None:
        said = Mediated.parse(mediated)
        if said.invite is not None:
            room = JID.parse(tree.get("from", ""))
            if room.resource:
                raise ValueError("an occupant is no room")
            inviter = JID.parse(said.invite.from_) if said.invite.from_ else room
            return _Invitation(room, inviter, JID.parse(tree.get("to", "")), said.password or "", True)
        if said.decline is not None:
            return True
    direct = tree.find(Direct.qualified_tag())
    if direct is None:
        return None
    asked = Direct.parse(direct)
    return _Invitation(
        JID.parse(asked.jid).bare,
        JID.parse(tree.get("from", "")),
        JID.parse(tree.get("to", "")),
        asked.password or "",
        False,
        tree.findtext(f"{{{CLIENT}}}thread"),
    )


def _why(error: RoomError) -> str:
    return _WHY.get(error.condition, f"the room cannot be entered ({error.condition})")
