"""Call invites that are sent to a room's address for calls (XEP-0482), not into the room.

Somebody who invites the focus to a call wants to talk with the conference: what is accepted is a session, which then
begins from there as any other call, and is judged as one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from xml.etree import ElementTree as ET

from focus.conference.summoning import Pace
from focus.rayo.addresses import Addresses
from focus.wire.base import Element
from focus.wire.call_invites import Accept, Answer, Invite, JingleMethod, Reject, message_id, parse_call_invite
from focus.wire.conditions import BadRequest
from focus.wire.jid import JID
from focus.xmpp.connection import Connection
from focus.xmpp.messages import kept_message

log = logging.getLogger(__name__)

#: How often one account is answered: (times, seconds).
ANSWERS = (20, 60.0)


class CallInvites:
    """Answers invites; of those that others withdraw there is nothing to undo, as no call has begun by then."""

    def __init__(
        self,
        connection: Connection,
        addresses: Addresses,
        room_called: Callable[[JID], str],
        refusal: Callable[[str, JID], str],
        answered: Callable[[JID, JID, Answer], None],
    ) -> None:
        """`room_called` gives the room that calls to an address come to, or an empty string; `refusal` says why a call
        to a room by somebody would be refused, as far as that can be seen. `answered` is told what is said of an invite
        of ours: to which address, by which device, and what."""
        self._connection = connection
        self._addresses = addresses
        self._room_called = room_called
        self._refusal = refusal
        self._answered = answered
        self._pace = Pace(*ANSWERS)

    def handle_message(self, tree: ET.Element) -> bool:
        """Whether the message was about an invite to a call."""
        if tree.get("type") in ("error", "groupchat", "headline"):
            return False
        try:
            said = parse_call_invite(tree)
            sender, to = JID.parse(tree.get("from", "")), JID.parse(tree.get("to", ""))
        except (BadRequest, ValueError) as error:
            log.info("an invite from %.100r cannot be read: %s", tree.get("from"), error)
            return True
        identifier = message_id(tree)
        if isinstance(said, Invite) and identifier:
            if self._pace.allows(sender.bare, asyncio.get_running_loop().time()):
                self._answer(sender, to, identifier, said)
            else:
                log.info("an invite from %s is ignored: there are too many", sender)
        elif isinstance(said, Answer):
            self._answered(to, sender, said)
        return said is not None

    def _answer(self, sender: JID, to: JID, identifier: str, invite: Invite) -> None:
        room = self._room_called(to)
        method = next(iter(invite.jingle), None)
        answer: Element
        words: str | None = None
        if not room or method is None or invite.audio is False:
            log.info("an invite from %s to %s is rejected: there is nobody, or no way to join", sender, to)
            answer = Reject(id=identifier)
        elif why := self._why_not(room, sender, method):
            log.info("an invite from %s to %s is rejected: %s", sender, to, why)
            answer = Reject(id=identifier)
            words = f"I do not take part in your call: {why}."
        else:
            log.info("%s invites the conference %s to a call", sender, room)
            answer = Accept(id=identifier, jingle=method)
        # What came to our occupant came through the room, which takes an answer from there only.
        is_private = to.bare == self._addresses.occupant("").bare
        us = self._addresses.line(room) if room and not is_private else to
        self._connection.send(kept_message(us, sender, "chat", answer.to_element(), body=words))

    def _why_not(self, room: str, sender: JID, method: JingleMethod) -> str:
        """Why the session would be refused; it comes from the address that the method names, as a rule the sender's."""
        try:
            initiator = JID.parse(method.jid) if method.jid else sender
        except ValueError:
            return "the address in your invite is none"
        return self._refusal(room, initiator)
