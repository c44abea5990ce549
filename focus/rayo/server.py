"""The Rayo server: makes calls from what Jingle brings and from `<dial/>`, and knows who may command (XEP-0327)."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol
from xml.etree import ElementTree as ET

from focus.jingle.invitation import refuse_tie
from focus.jingle.peer import Outbox, PeerSession, Timeouts
from focus.jingle.table import SessionTable
from focus.media.plane import Direction, MediaPlane
from focus.rayo.actor import Actor, Outcome, on
from focus.rayo.addresses import Addresses
from focus.rayo.call import Call
from focus.rayo.directory import Directory
from focus.rayo.mixer import Mixer
from focus.wire import context
from focus.wire.conditions import (
    BadRequest,
    Conflict,
    ItemNotFound,
    NotAuthorized,
    OptionNotSupported,
    ResourceConstraint,
    ServiceUnavailable,
    TieBreak,
    UnknownSession,
)
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle, Reason
from focus.wire.jingle_message import Dialect, JingleMessage, Propose
from focus.wire.rayo import Command, Dial, Event, Offer, Ref

log = logging.getLogger(__name__)


class Client(Protocol):
    """A Rayo client in the same process."""

    def deliver(self, sender: JID, event: Event) -> None: ...


class EventOutbox(Protocol):
    """The way to the Rayo clients outside."""

    def event(self, sender: JID, to: JID, event: Event) -> None: ...


class Application(Protocol):
    """Who takes the calls that come in, and the mixers that others make."""

    def controllers(self, called: JID, mixer: str) -> Iterable[JID]:
        """The potential controlling parties of a call to the mixer `mixer`; none refuses the caller."""

    def mixer_opened(self, name: str) -> None:
        """A join has made the mixer `name`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`calls`: at once, overall. `dial_timeout`: seconds to wait for an answer where `<dial/>` sets no limit."""

    calls: int = 1000
    dial_timeout: float = 60.0


class Server(Actor):
    """The actor at the component's own domain; owner of all calls and mixers."""

    def __init__(
        self,
        addresses: Addresses,
        plane: MediaPlane,
        *,
        outbox: Outbox,
        events: EventOutbox,
        dialect: Callable[[JID], Awaitable[Dialect | None]],
        controllers: frozenset[JID] = frozenset(),
        limits: Limits | None = None,
    ) -> None:
        super().__init__(addresses.service)
        self.addresses = addresses
        self.directory = Directory()
        self.application: Application | None = None
        self._plane = plane
        self._outbox = outbox
        self._events = events
        self._dialect = dialect
        self._controllers = controllers
        self._limits = limits or Limits()
        self._clients: dict[JID, Client] = {}
        self._sessions = SessionTable()
        self._tasks: asyncio.TaskGroup | None = None

    # life

    async def run(self) -> None:
        """Serve until `close`; then end every call and wait for the goodbyes."""
        async with asyncio.TaskGroup() as self._tasks:
            await super().run()
            for call in self.directory.calls():
                call.end_session(Reason.of("gone", "the service is shutting down"))
            for call in list(self.directory.calls()):
                await call.ended.wait()

    def register(self, address: JID, client: Client) -> None:
        """Events for `address` go to `client` from now on."""
        self._clients[address] = client

    def unregister(self, address: JID) -> None:
        self._clients.pop(address, None)

    # commands and events

    async def command(self, sender: JID, to: JID, command: Command) -> Outcome:
        """Carry out `command` at the actor `to`; what clients here and clients outside use alike.

        Raises `StanzaError`.
        """
        actor = self if to.bare == self.address else self.directory.get(to)
        if actor is None:
            raise ItemNotFound(f"nothing lives at {to}")
        return await actor.submit(sender, command)

    def emit(self, sender: JID, to: JID, event: Event) -> None:
        client = self._clients.get(to)
        if client is not None:
            client.deliver(sender, event)
        else:
            self._events.event(sender, to, event)

    def may_command(self, sender: JID) -> bool:
        """Whether `sender` is one of the configured controllers."""
        return sender.bare in self._controllers or sender in self._controllers

    def authorize(self, sender: JID, command: Command) -> None:
        if sender not in self._clients and not self.may_command(sender):
            raise NotAuthorized(f"{sender.bare} may not command this service")

    @on(Dial)
    async def dial(self, sender: JID, command: Dial) -> Outcome:
        """Make a call to an `xmpp:` address and answer with its `<ref/>` (XEP-0327 section 6.2.1)."""
        try:
            to = JID.from_uri(command.to)
            caller = JID.from_uri(command.from_) if command.from_ else self.address
            address = JID.from_uri(command.uri).bare if command.uri else self.addresses.new_call()
        except ValueError as error:
            raise BadRequest(str(error)) from None
        if caller.domain != self.addresses.domain:
            raise OptionNotSupported(f"calls can only be made from addresses at {self.addresses.domain}")
        if address.domain != self.addresses.domain or not address.local:
            raise BadRequest(f"uri must be an address at {self.addresses.domain}")
        if address in self.directory:
            raise Conflict(f"{address} is taken")
        if any(join.media == "direct" for join in command.joins):
            raise OptionNotSupported("media='direct' is not supported here; use 'bridge'")
        self._check_room_for_calls()
        call = self._new_call(address, method="dialed-out")
        call.controller = sender
        try:
            for join in command.joins:
                party = self.open_mixer(join.mixer_name) if join.mixer_name else self.find_call(str(join.call_uri))
                call.join(party, Direction(join.direction))
        except ServiceUnavailable:
            call.unjoin_all()
            self.directory.discard(call)
            raise
        timeout = command.timeout / 1000 if command.timeout >= 0 else self._limits.dial_timeout
        mixer = next((join.mixer_name for join in command.joins if join.mixer_name), caller.local)
        self._start(call, self._place(call, to, mixer, timeout))
        return Ref(uri=address.uri)

    async def _place(self, call: Call, to: JID, mixer: str, answer_within: float) -> None:
        dialect = await self._dialect(to)
        local = self.addresses.line(mixer) if mixer else self.address.with_resource("focus")
        call.session = PeerSession.outgoing(
            local=local,
            to=to,
            outbox=self._outbox,
            legs=call.make_leg,
            observer=call,
            isfocus=bool(mixer),
            dialect=dialect,
            timeouts=Timeouts(answer=answer_within),
            tasks=self._tasks,
        )
        self._sessions.add(call.session)
        await call.session.start()

    # what a call asks of its server (`focus.rayo.call.Calls`)

    def find_call(self, uri: str) -> Call:
        """Raises `ServiceUnavailable` where there is no such call (XEP-0327 section 6.3.1)."""
        try:
            call = self.directory.call(JID.from_uri(uri))
        except ValueError:
            call = None
        if call is None:
            raise ServiceUnavailable(f"there is no call {uri}")
        return call

    def open_mixer(self, name: str) -> Mixer:
        """The mixer `name`, made if need be."""
        try:
            address = JID.parse(f"{name}@{self.addresses.domain}")
        except ValueError as error:
            raise BadRequest(str(error)) from None
        if address.local != name or name == "focus":
            raise BadRequest(f"not a name for a mixer: {name!r}")
        if (mixer := self.directory.mixer(address)) is not None:
            return mixer
        mixer = Mixer(address, self._plane, self, on_unused=self._close_mixer)
        try:
            self.directory.add(mixer)
        except Conflict:
            mixer.destroy()
            raise
        self._start(mixer)
        if self.application is not None:
            self.application.mixer_opened(name)
        return mixer

    def _close_mixer(self, mixer: Mixer) -> None:
        mixer.destroy()
        self.directory.discard(mixer)

    def call_ended(self, call: Call) -> None:
        self.directory.discard(call)
        if call.session is not None:
            self._sessions.discard(call.session)

    # what Jingle brings

    def message(self, sender: JID, to: JID, message: JingleMessage) -> None:
        """An invitation message (XEP-0353). Raises `StanzaError` where nothing can be made of it."""
        session = self._sessions.for_message(to, sender, message.id)
        if session is not None:
            session.receive_message(sender, message)
        elif isinstance(message, Propose):
            self._take_in(sender, to, message)
        else:
            log.info("<%s/> from %s for no invitation of ours", type(message).__xml_tag__, sender)

    def jingle(self, sender: JID, to: JID, jingle: Jingle, tree: ET.Element) -> None:
        """A Jingle action; returning acknowledges it. Raises `StanzaError` to refuse it (XEP-0166 section 10)."""
        session = self._sessions.for_jingle(to, sender, jingle.sid)
        if session is not None:
            session.receive(sender, jingle, tree)
        elif jingle.action is Action.SESSION_INITIATE:
            self._take_in(sender, to, jingle, tree)
        else:
            raise UnknownSession(f"no session {jingle.sid} with you")

    def peer_unavailable(self, peer: JID) -> None:
        """`peer` (a full JID) has gone offline: its calls end now, not when consent expires."""
        for call in self.directory.calls():
            if call.session is not None and call.session.peer == peer:
                call.end_session(Reason.of("gone"))

    def _take_in(self, sender: JID, to: JID, first: Propose | Jingle, tree: ET.Element | None = None) -> None:
        mixer = self.addresses.mixer_of(to)
        if mixer is None or self.directory.call(to) is not None:
            raise ServiceUnavailable("nobody can be called at this address; call ROOM@" + self.addresses.domain)
        sid = first.id if isinstance(first, Propose) else first.sid
        local = to if to.resource else self.addresses.line(mixer)
        if not self._sessions.contest(local, sender, sid):
            if isinstance(first, Jingle):
                raise TieBreak("we are calling you at this moment")
            refusal = refuse_tie(sender, first)
            self._outbox.message(local, refusal.to, refusal.message)
            return
        self._check_room_for_calls()
        parties = list(self.application.controllers(to, mixer)) if self.application else []
        call = self._new_call(self.addresses.new_call(), method="dialed-in", parties=parties)
        try:
            call.session = PeerSession.incoming(
                local=local,
                peer=sender,
                first=first,
                tree=tree,
                outbox=self._outbox,
                legs=call.make_leg,
                observer=call,
                isfocus=True,
                tasks=self._tasks,
            )
        except Exception:
            self.directory.discard(call)
            raise
        self._sessions.add(call.session)
        self._start(call)
        if not parties:
            call.session.reject(Reason.of("decline"))
            return
        call.emit(Offer(to=self.addresses.mixer(mixer).uri, from_=sender.uri))

    def _check_room_for_calls(self) -> None:
        if sum(1 for _ in self.directory.calls()) >= self._limits.calls:
            raise ResourceConstraint(f"all {self._limits.calls} lines are in use")

    # owning

    def _new_call(self, address: JID, *, method: str, parties: Iterable[JID] = ()) -> Call:
        call = Call(
            address,
            self,
            self._plane,
            method="dialed-in" if method == "dialed-in" else "dialed-out",
            parties=parties,
        )
        self.directory.add(call)
        return call

    def _start(self, actor: Actor, first: Awaitable[None] | None = None) -> None:
        """Run `actor` in a task of ours: its crash costs the actor, not the service."""
        assert self._tasks is not None
        scope = contextvars.copy_context()
        scope.run(context.call.set, actor.address.local)
        self._tasks.create_task(self._supervise(actor, first), name=f"rayo {actor.address}", context=scope)

    async def _supervise(self, actor: Actor, first: Awaitable[None] | None) -> None:
        try:
            if first is not None:
                await first
            await actor.run()
        except Exception:
            log.exception("%s crashed", actor.address)
            if isinstance(actor, Call):
                if actor.session is None:
                    actor.peer_ended(Reason.of("general-error"), False)
                actor.end_session(Reason.of("general-error"))

    # rooms

    def bind_mixer(self, name: str, owner: JID) -> None:
        """Bind the mixer `name` to a room: `owner` hears of all that happens in it and keeps it alive."""
        self.open_mixer(name).bind(owner)

    def release_mixer(self, name: str, owner: JID) -> None:
        mixer = self.directory.mixer(self.addresses.mixer(name))
        if mixer is not None:
            mixer.release(owner)

    def mixer_in_use(self, name: str) -> bool:
        """Whether anything is joined, or about to be, with the mixer `name`."""
        mixer = self.directory.mixer(self.addresses.mixer(name))
        return mixer is not None and bool(mixer.joins)
