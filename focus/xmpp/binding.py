"""Where stanzas become commands and events become stanzas: the one place that knows both (XEP-0327 section 5.3).

Everything else of the XMPP side answers for itself: rooms, discovery, presence. What is left are invitations, sessions,
Rayo, and documents.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from itertools import count
from secrets import token_hex
from typing import Protocol
from xml.etree import ElementTree as ET

from focus.conference.room import GRACE
from focus.rayo.addresses import RESOURCE
from focus.rayo.server import Server
from focus.wire.base import Element, Payload, local_name, namespace_of
from focus.wire.conditions import (
    BadRequest,
    FeatureNotImplemented,
    ItemNotFound,
    OptionNotSupported,
    ResourceConstraint,
    ServiceUnavailable,
    StanzaError,
)
from focus.wire.conference_info import CONFERENCE_INFO, ConferenceInfo
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Jingle, Reason
from focus.wire.jingle_message import Propose, Reject, in_dialect, message_payload, parse_message
from focus.wire.message import CallMessage
from focus.wire.rayo import Event
from focus.wire.rayo_commands import COMMANDS
from focus.wire.rayo_component import Execution
from focus.wire.stanzas import ERROR, MESSAGE, PRESENCE, Disconnected, error_of, read_error, stanza
from focus.xmpp.call_invites import CallInvites
from focus.xmpp.commands import AdHocCommands
from focus.xmpp.connection import Connection
from focus.xmpp.delivery import Delivery
from focus.xmpp.discovery import MIXER, Discovery
from focus.xmpp.events import DELAY_TAG, KeptEvents, event_stanza
from focus.xmpp.messages import kept_message
from focus.xmpp.muc import MucRooms
from focus.xmpp.presence import PresenceResponder
from focus.xmpp.registration import RegistrationDesk
from focus.xmpp.summons import Summons

log = logging.getLogger(__name__)

RECEIPTS = "urn:xmpp:receipts"
#: Rayo itself, and all of its components.
RAYO_FAMILY = "urn:xmpp:rayo:"

#: Seconds on the way after which nobody waits for the answer to a proposal any more (XEP-0353 section 5).
STALE = 60.0


class NotSent(ConnectionError, TimeoutError):
    """There is no connection, so nobody was asked. For who only waits for an answer: there will be none in time."""


class Interrupted(ConnectionAbortedError, TimeoutError):
    """The connection ended before the answer came: nobody knows whether the question arrived."""


class Documents(Protocol):
    """Who has the conference documents, and reads those of others."""

    def document_for(self, focus: JID, peer: JID, sid: str) -> Payload | None: ...

    def document_from(self, focus: JID, peer: JID, document: ConferenceInfo) -> None:
        """A document of the peer's own. Raises `StanzaError`."""


class Outbox:
    """The way out, for sessions, documents and events.

    What cannot be sent is dropped, but for events: they are kept until their client is known to be there again, so that
    none misses how a call went on. Who may have missed some that were sent is told so.
    """

    def __init__(self, *, events: int = 1000, call_ids: bool = False) -> None:
        """`events`: how many are kept for one client; `call_ids`: whether speakers are named in the old way, too."""
        self.connection: Connection | None = None
        self.delivery: Delivery | None = None
        self.caps: Callable[[str], ET.Element] | None = None
        self.kept = KeptEvents(events)
        self._call_ids = call_ids
        # The commands of each client that are being carried out, by number, and what is told after the answers to that
        # one and all before it.
        self._numbers = count()
        self._answering: dict[JID, dict[int, None]] = {}
        self._after_answer: dict[JID, deque[tuple[int, JID, ET.Element]]] = {}

    def release(self, client: JID) -> None:
        """`client` is there: send it the events that were kept for it."""
        if self.connection is not None and self.connection.connected:
            for tree in self.kept.take(client):
                if not self._send_to(client, tree):
                    self.kept.keep(self.connection.jid, client, tree)

    def disconnected(self) -> None:
        """The stream has ended. Where it was not we who did that, the server may not have read the last of it."""
        if self.delivery is None or self.connection is None or self.connection.stopping:
            return
        for client, number in self.delivery.take_lost().items():
            self.kept.may_have_missed(self.connection.jid, client, number)

    def message(self, sender: JID, to: JID, element: Element) -> None:
        """An invitation message: type chat, kept in archives (XEP-0353 section 3). That of a proposal has its id: an
        error that answers it need not repeat more than that (RFC 6120 section 8.3.1)."""
        identifier = element.id if isinstance(element, Propose) else None
        self.send(kept_message(sender, to, "chat", *message_payload(element), id=identifier))

    def tell(self, sender: JID, to: JID, identifier: str, element: Element, body: str | None) -> bool:
        """`element`, and `body` for those whose clients do not know it, in a message like that of an invitation.
        Whether there was a session to send it in."""
        return self.send(kept_message(sender, to, "chat", element.to_element(), body=body, id=identifier))

    async def iq_set(self, sender: JID, to: JID, element: Payload) -> None:
        """Raises `StanzaError` of the peer, or TimeoutError, of which `NotSent` and `Interrupted` are two."""
        if self.connection is None or not self.connection.connected:
            raise NotSent("not connected")
        try:
            await self.connection.iq(sender, to, "set", element.to_element())
        except Disconnected as error:
            raise Interrupted(str(error)) from error

    @contextmanager
    def answering(self, client: JID) -> Iterator[None]:
        """While a command of `client` is carried out: what it brings about is told after the answer, which must leave
        before the loop goes round (so the listings of XEP-0327 sections 6.3.4 and 6.4 have it)."""
        number = next(self._numbers)
        self._answering.setdefault(client, {})[number] = None
        try:
            yield
        finally:
            asyncio.get_running_loop().call_soon(self._answered, client, number)

    def _answered(self, client: JID, number: int) -> None:
        answering, waiting = self._answering[client], self._after_answer.get(client, deque())
        del answering[number]
        oldest = next(iter(answering), None)
        while waiting and (oldest is None or waiting[0][0] < oldest):
            _, sender, tree = waiting.popleft()
            self._send_or_keep(sender, client, tree)
        if not waiting:
            self._after_answer.pop(client, None)
        if not answering:
            del self._answering[client]

    def event(self, sender: JID, to: JID, event: Event) -> None:
        """A Rayo event: now, after an answer that goes before it, or when its client can be reached again."""
        self._tell(sender, to, event_stanza(sender, to, event, self.caps, call_ids=self._call_ids))

    def mixer_presence(self, sender: JID, to: JID, *, available: bool) -> None:
        """Section 6.4: with entity capabilities while it is there; even before the answer that names the mixer."""
        caps = self.caps(MIXER) if available and self.caps else None
        tree = stanza(PRESENCE, sender, to, None if available else "unavailable", caps)
        if available and to not in self._after_answer:
            self._send_or_keep(sender, to, tree)
        else:
            self._tell(sender, to, tree)

    def _tell(self, sender: JID, to: JID, tree: ET.Element) -> None:
        if to in self._answering:
            newest = next(reversed(self._answering[to]))
            self._after_answer.setdefault(to, deque()).append((newest, sender, tree))
        else:
            self._send_or_keep(sender, to, tree)

    def _send_or_keep(self, sender: JID, to: JID, tree: ET.Element) -> None:
        if to in self.kept or not self._send_to(to, tree):
            self.kept.keep(JID("", sender.domain), to, tree)

    def _send_to(self, client: JID, tree: ET.Element) -> bool:
        is_sent = self.send(tree)
        if is_sent and self.delivery is not None:
            self.delivery.wrote(client)
        return is_sent

    def hand_on(self, sender: JID, to: JID, message: CallMessage) -> None:
        """Section 6.8: what a client has said to a call, in the call's own name."""
        self.send(stanza(MESSAGE, sender, to, "normal", *message.to_element(), id=token_hex(8)))

    def send(self, tree: ET.Element) -> bool:
        """Whether there was a session to send it in."""
        return self.connection is not None and self.connection.send(tree)


class Binding:
    """Takes every stanza to whom it concerns (`focus.xmpp.connection.StanzaHandler`)."""

    def __init__(self, server: Server, outbox: Outbox, *, grace: float = GRACE) -> None:
        self._grace = grace
        self._server = server
        self._outbox = outbox
        self.documents: Documents | None = None
        self.rooms: MucRooms | None = None
        self.discovery: Discovery | None = None
        self.presences: PresenceResponder | None = None
        self.desk: RegistrationDesk | None = None
        self.summons: Summons | None = None
        self.commands: AdHocCommands | None = None
        self.call_invites: CallInvites | None = None
        outbox.kept.lost = server.client_gone
        #: Told the condition of every stanza error that a peer is given.
        self.refused: Callable[[str], None] = lambda condition: None
        #: How often the connection has been lost.
        self.interruptions = 0
        #: Who has said so a moment ago, and has not come back since; and which time that was, the last one.
        self._offline: dict[JID, object] = {}
        self.first_connection = asyncio.Event()

    def connected(self) -> None:
        self.first_connection.set()
        if self.desk is not None:
            self.desk.connected()
        if self.presences is not None:
            self.presences.connected()
        if self.rooms is not None:
            self.rooms.connected()

    def disconnected(self) -> None:
        self.interruptions += 1
        self._outbox.disconnected()
        if self.rooms is not None:
            self.rooms.disconnected()

    # messages

    def message(self, stanza: ET.Element) -> None:
        if self.rooms is not None and self.rooms.handle_message(stanza):
            return
        if (addresses := _addresses(stanza)) is None:
            return
        sender, to = addresses
        if stanza.get("type") == "error":
            self._undelivered(stanza, sender, to)
            return
        is_for_call = self._server.directory.call(to) is not None
        if stanza.get("type") == "groupchat" and not is_for_call:
            return
        message = None
        try:
            message = parse_message(stanza)
            if message is None:
                if not is_for_call and self.summons is not None and self.summons.handle_message(stanza):
                    return
                if not is_for_call and self.call_invites is not None and self.call_invites.handle_message(stanza):
                    return
                if is_for_call:
                    self._hand_on(stanza, sender, to)
                return
            if stanza.find(f"{{{RECEIPTS}}}request") is not None and (identifier := stanza.get("id")):
                self._acknowledge(sender, to, identifier)
            if isinstance(message, Propose) and _age(stanza) > STALE:
                log.info("a proposal of %s comes too late", sender)
                self._reject(sender, to, message, Reason.of("expired", "this comes too late"))
            else:
                self._server.message(sender, to, message)
        except StanzaError as error:
            log.info("an invitation from %s is refused: %s", sender, error)
            self.refused(error.condition)
            if isinstance(message, Propose):
                self._decline(sender, to, message, error)
            else:
                self._refuse(stanza, to, error)

    def _undelivered(self, stanza: ET.Element, sender: JID, to: JID) -> None:
        """Something of ours has come back. What is only a warning (`continue`) has arrived all the same."""
        error = stanza.find(ERROR)
        if error is not None and error.get("type") != "continue":
            self._server.undelivered(sender, to, stanza.get("id", ""), read_error(stanza))

    def _hand_on(self, stanza: ET.Element, sender: JID, to: JID) -> None:
        """A message to a call is for its peer (XEP-0327 section 6.8). Raises `StanzaError`."""
        if stanza.get("type") in ("chat", "groupchat", "headline"):
            raise OptionNotSupported("only messages of type normal are handed on")
        command = CallMessage.parse(stanza)

        async def hand_on() -> None:
            try:
                await self._server.command(sender, to, command)
            except StanzaError as error:
                self.refused(error.condition)
                self._refuse(stanza, to, error)

        if self._outbox.connection is not None:
            self._outbox.connection.spawn(hand_on(), name=f"message to {to}")

    def _acknowledge(self, sender: JID, to: JID, identifier: str) -> None:
        """XEP-0184. COMPAT (Conversations): it shows that it rings when the receipt for its propose has come."""
        received = ET.Element(f"{{{RECEIPTS}}}received", {"id": identifier})
        self._outbox.send(stanza(MESSAGE, _answering(to), sender, "chat", received, id=token_hex(8)))

    def _decline(self, sender: JID, to: JID, propose: Propose, error: StanzaError) -> None:
        """Callers understand `<reject/>`; not all of them read errors of messages."""
        condition = "busy" if isinstance(error, ResourceConstraint) else "general-error"
        self._reject(sender, to, propose, Reason.of(condition, error.text or None))

    def _reject(self, sender: JID, to: JID, propose: Propose, reason: Reason) -> None:
        reject = in_dialect(Reject, propose.dialect)
        self._outbox.message(_answering(to), sender, reject(id=propose.id, reason=reason))

    def _refuse(self, refused: ET.Element, to: JID, error: StanzaError) -> None:
        if self._is_occupant(to):
            return  # an error that comes back to a room gets the occupant kicked
        self._outbox.send(error_of(refused, error))

    # presence

    def presence(self, stanza: ET.Element) -> None:
        if self.discovery is not None:
            from_room = self.rooms is not None and self.rooms.tells_real_jids(stanza.get("from", ""))
            self.discovery.observe(stanza, from_room=from_room)
        if self.rooms is not None and self.rooms.handle_presence(stanza):
            return
        if self.presences is not None:
            self.presences.handle_presence(stanza)
        if (
            stanza.get("type") in ("subscribe", "unsubscribe", "probe")
            and (addresses := _addresses(stanza)) is not None
        ):
            kind = stanza.get("type")
            self._subscription(*addresses, wanted=kind != "unsubscribe", is_probe=kind == "probe")
        if self.desk is not None:
            self.desk.handle_presence(stanza)
        if stanza.get("type") == "error" and (addresses := _addresses(stanza)) is not None:
            self._server.unreachable(*addresses)
            if self.desk is not None:
                self.desk.undelivered(addresses[0])
        if stanza.get("type") in (None, "unavailable") and (addresses := _addresses(stanza)) is not None:
            sender, to = addresses
            if stanza.get("type") is None:
                self._offline.pop(sender, None)
            elif sender.resource and not self._is_occupant(to) and self._outbox.connection is not None:
                going = self._offline[sender] = object()
                self._outbox.connection.spawn(
                    self._peer_unavailable(sender, going, self.interruptions), name=f"{sender} is offline"
                )

    def _subscription(self, sender: JID, to: JID, *, wanted: bool, is_probe: bool) -> None:
        """To the mixer that is, or may come to be, at `to` (XEP-0327 section 6.4); a probe shows that there is one.
        Of accounts none of whose clients may register nothing is remembered: they would be told nothing."""
        if to.local and to.bare != self._server.addresses.occupant("").bare:
            if is_probe:
                self._server.mixers.probe(sender, to.bare)
            if wanted and self._server.registrations.security.knows(sender.bare):
                self._server.mixers.subscribe(sender.bare, to.bare)
            elif not wanted:
                self._server.mixers.unsubscribe(sender.bare, to.bare)

    async def _peer_unavailable(self, peer: JID, going: object, before: int) -> None:
        """`before`: how often the connection had been lost when they went. Who comes back at once, as when a stream is
        replaced by the next one, has not gone."""
        await asyncio.sleep(self._grace)
        if self._offline.get(peer) is not going:
            return
        del self._offline[peer]
        if self.interruptions == before:
            self._server.peer_unavailable(peer)

    # IQs

    async def iq(self, stanza: ET.Element) -> ET.Element | None:
        """The result's child; raises `StanzaError`."""
        with suppress(ValueError):
            self._server.name_in_logs(JID.parse(stanza.get("to", "")))
        try:
            return await self._answer(stanza)
        except StanzaError as error:
            self.refused(error.condition)
            raise

    async def _answer(self, stanza: ET.Element) -> ET.Element | None:
        addresses = _addresses(stanza)
        if addresses is None:
            raise BadRequest("from and to must be JIDs")
        sender, to = addresses
        if len(stanza) != 1:
            raise BadRequest("an IQ of type get or set has exactly one child (RFC 6120 section 8.2.3)")
        payload = stanza[0]
        if self.commands is not None and self.commands.answers(stanza.get("type"), payload):
            return self.commands.answer(sender, to, payload)
        if self.discovery is not None and self.discovery.answers(payload):
            return self.discovery.answer(stanza)
        if self.summons is not None and stanza.get("type") == "set" and self.summons.answers(payload):
            return await self.summons.answer(sender, payload)
        match (stanza.get("type"), namespace_of(payload.tag)):
            case ("set", namespace) if namespace == JINGLE:
                self._server.jingle(sender, to, Jingle.parse(payload), payload)
                return None
            case ("set", namespace) if namespace.startswith(RAYO_FAMILY):
                return await self._command(sender, to, payload)
            case ("get", namespace) if namespace == CONFERENCE_INFO:
                return self._document(sender, to, payload)
            case ("set", namespace) if namespace == CONFERENCE_INFO and self.documents is not None:
                self.documents.document_from(to, sender, ConferenceInfo.parse(payload))
                return None
        raise ServiceUnavailable(f"<{local_name(payload.tag)} xmlns='{namespace_of(payload.tag)}'/> is not known here")

    async def _command(self, sender: JID, to: JID, payload: ET.Element) -> ET.Element | None:
        self._server.actor_at(to, sender)
        kind = COMMANDS.get(payload.tag)
        if kind is None:
            raise FeatureNotImplemented(f"<{local_name(payload.tag)}/> is no command here")
        command = kind.parse(payload)
        # What a component does begins after its answer anyway, which may take long: nothing need wait for that.
        with nullcontext() if isinstance(command, Execution) else self._outbox.answering(sender):
            outcome = await self._server.command(sender, to, command)
        return outcome.to_element() if outcome is not None else None

    def _document(self, sender: JID, to: JID, payload: ET.Element) -> ET.Element:
        """The resynchronisation that XEP-0298 lacks: a get with the session's sid brings the full document."""
        document = self.documents.document_for(to, sender, payload.get("sid", "")) if self.documents else None
        if document is None:
            raise ItemNotFound("no session with this sid takes part in a conference here")
        return document.to_element()

    def _is_occupant(self, ours: JID) -> bool:
        """Whether `ours` is the real JID of an occupant of ours: what comes there has come through a room."""
        return bool(ours.resource) and ours.bare == self._server.addresses.occupant("").bare


def _addresses(stanza: ET.Element) -> tuple[JID, JID] | None:
    try:
        return JID.parse(stanza.get("from", "")), JID.parse(stanza.get("to", ""))
    except ValueError:
        log.info("a stanza from %.100r to %.100r has no place", stanza.get("from"), stanza.get("to"))
        return None


def _age(stanza: ET.Element) -> float:
    """Seconds for which a stanza was kept on its way (XEP-0203), as far as is said."""
    age = 0.0
    for stamp in (delay.get("stamp", "") for delay in stanza.iterfind(DELAY_TAG)):
        try:
            age = max(age, (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds())
        except (ValueError, TypeError):  # no date, or one without a zone
            log.debug("a stanza was delayed since %.40r", stamp)
    return age


def _answering(called: JID) -> JID:
    """The full JID that an invitation to `called` is answered from."""
    return called if called.resource else called.with_resource(RESOURCE)
