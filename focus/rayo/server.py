"""The Rayo server: makes calls from what Jingle brings and from `<dial/>`, and knows who may command (XEP-0327)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal
from xml.etree import ElementTree as ET

from pydantic import ValidationError

from focus.jingle.codecs import Codec, for_modems, usual
from focus.jingle.invitation import refuse_tie, too_late
from focus.jingle.peer import Outbox, PeerSession, Timeouts
from focus.jingle.table import SessionTable
from focus.media.plane import Direction, MediaPlane
from focus.media.tracks import Speaker
from focus.rayo.actor import Actor, Later, Outcome, on
from focus.rayo.addresses import OCCUPANT, RESOURCE, Addresses, is_call_name
from focus.rayo.call import Call
from focus.rayo.component import Component, Facilities
from focus.rayo.components import registry
from focus.rayo.dialling import dialled
from focus.rayo.directory import Directory
from focus.rayo.headers import from_shim, to_shim
from focus.rayo.in_band import InBandKeys
from focus.rayo.joinable import Joinable
from focus.rayo.limits import Limits, Quotas
from focus.rayo.mixer import HOUSE, Mixer
from focus.rayo.mixers import Mixers
from focus.rayo.offering import NOBODY_THERE, Offering
from focus.rayo.registration import Registrations, Security
from focus.rayo.routing import TO_ITS_ROOM, Route, is_of_faxes, may_call_from, route_of
from focus.rayo.speakers import speakers
from focus.rayo.supervisor import Supervisor, scope
from focus.rayo.surroundings import Application, Client, EventOutbox
from focus.wire import context
from focus.wire.conditions import (
    AddressTaken,
    BadRequest,
    ItemNotFound,
    NotAuthorized,
    OptionNotSupported,
    ResourceConstraint,
    ServiceUnavailable,
    StanzaError,
    TieBreak,
    UnknownSession,
)
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle, Reason
from focus.wire.jingle_message import Accept, Dialect, Finish, JingleMessage, Proceed, Propose
from focus.wire.message import CallMessage
from focus.wire.rayo import Command, Dial, Event, Join, Offer, Ref
from focus.wire.rayo_component import Execution
from focus.wire.session import Initiate
from focus.wire.shim import Shim

log = logging.getLogger(__name__)


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
        codecs: Sequence[Codec] | None = None,
        security: Security | None = None,
        routes: Sequence[Route] = (),
        limits: Limits | None = None,
        facilities: Facilities | None = None,
    ) -> None:
        super().__init__(addresses.service)
        self.addresses = addresses
        self.directory = Directory()
        self.application: Application | None = None
        self._plane = plane
        self._facilities = facilities or Facilities(plane)
        self._outbox = outbox
        self._events = events
        self._dialect = dialect
        self._codecs = codecs
        self._limits = limits or Limits()
        self._quotas = Quotas(
            self._limits, self.directory, plane, lambda client: client in self._clients, addresses.account
        )
        self._routes = tuple(routes)
        #: The clients outside that are there.
        self.registrations = Registrations(
            security or Security(),
            maximum=self._limits.registrations,
            maximum_of_one=self._limits.registrations_of_client,
        )
        self.registrations.came = self._client_came
        self.registrations.lost = self._client_lost
        self._clients: dict[JID, Client] = {}
        #: By their elements' names, for figures.
        self.components_started: Counter[str] = Counter()
        self.mixers = Mixers(
            self.addresses,
            self.directory,
            zone=self._zone,
            make=self._new_mixer,
            opened=self._mixer_opened,
            subscriptions=self._limits.subscriptions,
            subscriptions_of_one=self._limits.subscriptions_of_client,
        )
        self.mixers.clients_of = self.registrations.of
        self.registrations.changed = self.mixers.clients_changed
        self._sessions = SessionTable(addresses.account)
        self._placing: dict[Call, asyncio.Task[None]] = {}
        self._offerings: set[Offering] = set()
        self._supervisor = Supervisor()
        self._in_band = InBandKeys(plane)

    # life

    async def run(self) -> None:
        """Serve until `close`; then end every call and wait for the goodbyes. Bound mixers end too."""
        async with self._supervisor.running():
            await super().run()
            calls = list(self.directory.calls())
            for call in calls:
                call.end_session(Reason.of("gone", "the service is shutting down"))
            for call in calls:
                await call.ended.wait()
            for mixer in self.directory.mixers():
                mixer.close()
                mixer.hang_up_components()

    def register(self, address: JID, client: Client) -> None:
        """Events for `address` go to `client` from now on."""
        self._clients[address] = client

    def unregister(self, address: JID) -> None:
        self._clients.pop(address, None)

    def is_there(self, client: JID) -> bool:
        return client in self._clients or client in self.registrations

    # commands and events

    async def command(self, sender: JID, to: JID, command: Command) -> Outcome:
        """Carry out `command` at the actor `to`; what clients here and clients outside use alike.

        Raises `StanzaError`.
        """
        outcome = await self.actor_at(to, sender).submit(sender, command)
        if isinstance(command, Execution) and isinstance(outcome, Ref):
            component = self.directory.get(JID.from_uri(outcome.uri))
            if isinstance(component, Component):  # whoever waits here sends the answer before the loop goes round
                asyncio.get_running_loop().call_soon(component.begin)
        return outcome

    def actor_at(self, address: JID, client: JID) -> Actor:
        """What lives at `address` for `client`.

        Raises `ItemNotFound` where nothing does, or no more (XEP-0327 section 6.6.4).
        """
        actor = self if address == self.address else self.mixers.find(client, address) or self.directory.get(address)
        if actor is None:
            raise ItemNotFound(f"nothing lives at {address}")
        return actor

    def emit(self, sender: JID, to: JID, event: Event) -> None:
        """Never raises: what a client makes of an event is not the actor's affair."""
        client = self._clients.get(to)
        try:
            if client is not None:
                client.deliver(sender, event)
            elif to.domain != self.addresses.domain:  # an application of ours that is gone hears nothing
                self._events.event(sender, to, event)
        except Exception:
            log.exception("<%s/> for %s was lost", type(event).__xml_tag__, to)

    def show(self, sender: JID, to: JID, *, available: bool) -> None:
        """Applications of ours need no presence to know what there is."""
        if to.domain != self.addresses.domain:
            self._events.mixer_presence(sender, to, available=available)

    def hand_on(self, sender: JID, to: JID, message: CallMessage) -> None:
        self._events.hand_on(sender, to, message)

    def may_command(self, sender: JID) -> bool:
        """Whether `sender` is one of the configured controllers."""
        return self.registrations.security.may_control(sender)

    def authorize(self, sender: JID, command: Command) -> None:
        if sender not in self._clients:
            self.registrations.check(sender)

    def _client_came(self, client: JID) -> None:
        for offering in list(self._offerings):
            offering.client_came(client)

    def _client_lost(self, client: JID) -> None:
        for call in self.directory.calls():
            self._withdraw(call, client, is_gone=client not in self.registrations)

    def client_gone(self, client: JID) -> None:
        """`client` has missed events, so it does not know any more what it controls. It may have commanded without
        having registered."""
        if client in self.registrations:
            self.registrations.remove(client)
        else:
            self._client_lost(client)

    def unreachable(self, client: JID, address: JID) -> None:
        """What the call at `address` has told `client` has come back."""
        call = self.directory.call(address)
        if call is not None:
            self._withdraw(call, client, is_gone=True)

    def _withdraw(self, call: Call, client: JID, *, is_gone: bool) -> None:
        call.withdraw(client, is_gone=is_gone)
        if is_gone and call.is_waiting_for(client) and call.session is not None:
            call.session.reject(NOBODY_THERE)

    @on(Dial)
    async def dial(self, sender: JID, command: Dial) -> Outcome:
        """Make a call to an `xmpp:` address and answer with its `<ref/>` (XEP-0327 section 6.2.1)."""
        to, caller, address = dialled(command, self.addresses)
        if self._zone(sender) != HOUSE:
            if caller.local and not may_call_from(sender, caller.local, self._routes):
                raise NotAuthorized(f"calls to {caller.bare} would not come to you")
            if not is_call_name(address.local):
                raise BadRequest(f"uri must be xmpp:UUID@{self.addresses.domain}: other names can be rooms")
        to_ourselves = to.domain == self.addresses.domain
        if to_ourselves and all(join.media != "direct" for join in command.joins):
            self.check_ports()
        is_room = self.directory.mixer(address, HOUSE) is not None
        if address in self.directory or is_room or self.mixers.find(sender, address) is not None:
            raise AddressTaken(f"{address} is taken")
        self._quotas.check_dial(sender)
        call = self._new_call(address, method="dialed-out")
        call.controller = sender
        call.is_with_ourselves = to_ourselves
        offered = [other for other in self.directory.calls() if other.controller is None] if command.joins else []
        call.is_named_by_client = bool(command.uri) and self._zone(sender) != HOUSE
        try:
            for join in command.joins:
                self._join_dialled(call, join, sender)
            self._begin(call, command, caller, to, sender)
        except BaseException:  # whatever it was: nobody else would undo it
            call.unjoin_all()
            call.close()
            self.directory.discard(call)
            for other in offered:
                other.give_back(sender)
            raise
        return Ref(uri=address.uri)

    @on(Initiate)
    async def initiate(self, sender: JID, command: Initiate) -> Outcome | Later:
        return await self.dial(sender, command)

    def _join_dialled(self, call: Call, join: Join, sender: JID) -> None:
        self.check_join(sender, join.mixer_name)
        party: Joinable
        if join.mixer_name:
            party = self.open_mixer(sender, join.mixer_name)
        else:
            party = self.find_call(sender, str(join.call_uri))
        call.join(party, Direction(join.direction), sender, join.media)

    def _begin(self, call: Call, command: Dial, caller: JID, to: JID, sender: JID) -> None:
        timeout = command.timeout / 1000 if command.timeout >= 0 else self._limits.dial_timeout
        room = next(
            (party.address.local for party in call.joins if isinstance(party, Mixer) and party.zone == HOUSE), ""
        )
        local = caller.bare.with_resource(RESOURCE) if caller.local else self.addresses.line(room)
        scope(call, room).run(log.info, "a call to %s, for %s", to, sender)
        self._supervisor.start(call, room)
        place = partial(
            self._place,
            call,
            local,
            to,
            isfocus=bool(room),
            within=timeout,
            headers=to_shim(command.headers),
            sid=command.sid if isinstance(command, Initiate) else None,
            codecs=self._codecs_for(is_fax=is_of_faxes(self._routes, caller.local, to.local)),
        )
        self._placing[call] = self._supervisor.spawn(call, room, place)

    def _codecs_for(self, *, is_fax: bool) -> Sequence[Codec] | None:
        return for_modems(self._codecs or usual()) if is_fax else self._codecs

    async def _place(
        self,
        call: Call,
        local: JID,
        to: JID,
        *,
        isfocus: bool,
        within: float,
        headers: Shim | None,
        sid: str | None,
        codecs: Sequence[Codec] | None,
    ) -> None:
        """Call `to` from `local`; `isfocus`: into a room, whose conference tells of itself. With a `sid`, a device that
        waits for that session."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + within
        waiting = asyncio.timeout_at(give_up)
        try:
            async with waiting:
                dialect = await self._dialect(to) if sid is None else None
        except TimeoutError:
            if not waiting.expired():
                raise
            del self._placing[call]  # it is not to be cancelled: this is its end
            call.end_session(Reason.of("timeout", "nobody knows yet how to call there"))
            return
        call.session = PeerSession.outgoing(
            local=local,
            to=to,
            outbox=self._outbox,
            legs=call.make_leg,
            observer=call,
            isfocus=isfocus,
            dialect=dialect,
            headers=headers,
            sid=sid,
            codecs=codecs,
            timeouts=Timeouts(answer=max(give_up - loop.time(), 0)),
            tasks=self._supervisor.tasks,
        )
        if call.relay is not None:
            call.relay.attach(call.session)
        self._sessions.add(call.session)
        del self._placing[call]  # from here on the session is ended, not the placing
        await call.session.start()

    # what a call asks of its server (`focus.rayo.call.Calls`)

    def check_ports(self) -> None:
        have = self._plane.calls_with_itself
        if sum(call.is_with_ourselves and call.relay is None for call in self.directory.calls()) >= have:
            text = (
                f"each call of focus with itself takes two ports for audio ([media] shards), and there are {have} pairs"
            )
            raise ResourceConstraint(text) if have else OptionNotSupported(f"{text}: try shards = 2")

    def check_join(self, sender: JID, mixer_name: str | None) -> None:
        self._quotas.check_join(sender, new_mixer=mixer_name is not None and not self.find_mixer(sender, mixer_name))

    def find_call(self, sender: JID, uri: str) -> Call:
        """Raises `ServiceUnavailable` where there is no such call, `BadRequest` where `uri` is none, and `NotAllowed`
        where the call is in another security zone (XEP-0327 section 6.3.1)."""
        try:
            call = self.directory.call(JID.from_uri(uri))
        except ValueError as error:
            raise BadRequest(str(error)) from None
        if call is None or call.is_over:
            raise ServiceUnavailable(f"there is no call {uri}")
        call.check_partner(sender)
        return call

    def mixer_address(self, name: str) -> JID:
        return self.mixers.address(name)

    def find_mixer(self, sender: JID, name: str) -> Mixer | None:
        return self.mixers.find(sender, self.mixers.address(name))

    def open_mixer(self, sender: JID, name: str) -> Mixer:
        return self.mixers.open(sender, name)

    def _new_mixer(self, address: JID, name: str, zone: str) -> Mixer:
        return Mixer(address, name, self._plane, self, zone=zone)

    def _mixer_opened(self, mixer: Mixer) -> None:
        self._supervisor.start(mixer, mixer.address.local)
        if mixer.zone == HOUSE and self.application is not None:
            self.application.mixer_opened(mixer.address.local)

    # what a mixer asks of its server (`focus.rayo.mixer.Neighbourhood`)

    def may_use(self, client: JID, mixer: Mixer) -> bool:
        return self.mixers.may_use(client, mixer)

    def subscribers(self, mixer: Mixer, known: Iterable[JID]) -> Iterable[JID]:
        return self.mixers.subscribers(mixer, known)

    def is_ours(self, party: Joinable) -> bool:
        if isinstance(party, Mixer):
            return party.zone == HOUSE
        return all(self._zone(client) == HOUSE for client in party.audience())

    def people(self, mixer: Mixer, client: JID) -> Iterable[Speaker]:
        return speakers(mixer, client, self.nick, self.addresses.account)

    def nick(self, room: str, peer: JID) -> str:
        """What `peer` is called in `room`; nothing where that is not known."""
        return self.application.nick(room, peer) if self.application is not None else ""

    def mixer_unused(self, mixer: Mixer) -> None:
        mixer.destroy()
        self.directory.discard(mixer)

    def _zone(self, client: JID) -> str:
        """The security zone of `client` (see `focus.rayo.mixers`)."""
        return HOUSE if client in self._clients or self.may_command(client) else str(client.bare)

    def execute(self, target: Joinable, sender: JID, command: Execution) -> Component[Any]:
        """Start the component that `command` asks for on `target` (section 6.5). Raises `StanzaError`."""
        kind = registry.of(command)
        self._quotas.check_component(sender, target)
        component = kind(
            self.addresses.new_component(target.address),
            command,
            creator=sender,
            target=target,
            stage=self,
            facilities=self._facilities,
        )
        self.directory.add(component)
        self.components_started[type(command).__xml_tag__ or ""] += 1
        self._supervisor.start(component, _room_of(target))
        if component.wants_keys:
            self._in_band.listen_for(component, self._supervisor.tasks)
        return component

    def name_in_logs(self, address: JID) -> None:
        """Have the log lines of the present task name the call and the room that `address` is of."""
        call = self.directory.call(address.bare)
        is_occupant = address.bare == self.addresses.occupant("").bare
        room = address.resource if is_occupant else address.local
        context.call.set(call.address.local if call is not None else "")
        context.room.set(_room_of(call) if call is not None else room)

    def component_ended(self, component: Component[Any]) -> None:
        self._in_band.forget(component)
        self.directory.discard(component)

    def call_ended(self, call: Call) -> None:
        self.directory.discard(call)
        if (placing := self._placing.pop(call, None)) is not None:
            placing.cancel()
        if call.session is not None:
            self._sessions.discard(call.session)

    # what Jingle brings

    def message(self, sender: JID, to: JID, message: JingleMessage) -> None:
        """An invitation message (XEP-0353). Raises `StanzaError` where nothing can be made of it."""
        session = self._sessions.for_message(to, sender, message.id)
        is_proposal = isinstance(message, Propose)
        if session is not None and not (is_proposal and session.unanswered):
            session.receive_message(sender, message)
        elif isinstance(message, Propose):
            if not self._sessions.is_spent(to, sender, message.id):
                self._take_in(sender, to, message)
        elif isinstance(message, Proceed | Accept) and self._sessions.is_withdrawn(to, sender, message.id):
            answer = too_late(sender, message)
            self._outbox.message(to if to.resource else to.with_resource(RESOURCE), answer.to, answer.message)
        else:
            # A finish is the echo of ours: it comes after the end of most calls.
            level = logging.DEBUG if isinstance(message, Finish) else logging.INFO
            log.log(level, "<%s/> from %s for no invitation of ours", type(message).__xml_tag__, sender)

    def undelivered(self, sender: JID, to: JID, id: str, error: StanzaError) -> None:
        """What `to` has sent `sender` has come back; `id`, where it was a proposal, is the proposal's."""
        session = self._sessions.for_message(to, sender, id)
        if session is not None:
            session.undelivered(sender, error)

    def jingle(self, sender: JID, to: JID, jingle: Jingle, tree: ET.Element) -> None:
        """A Jingle action; returning acknowledges it. Raises `StanzaError` to refuse it (XEP-0166 section 10)."""
        session = self._sessions.for_jingle(to, sender, jingle.sid)
        if session is not None:
            session.receive(sender, jingle, tree)
        elif jingle.action is Action.SESSION_INITIATE and not self._sessions.is_spent(to, sender, jingle.sid):
            self._take_in(sender, to, jingle, tree)
        else:
            raise UnknownSession(f"no session {jingle.sid} with you")

    def peer_unavailable(self, peer: JID) -> None:
        """`peer` (a full JID) has gone offline: its calls end now, not when consent expires."""
        for call in self.directory.calls():
            if call.session is not None and call.session.peer == peer:
                call.peer_unavailable()

    def _take_in(self, sender: JID, to: JID, first: Propose | Jingle, tree: ET.Element | None = None) -> None:
        if self._closed:
            raise ServiceUnavailable("the service is shutting down")
        route, mixer = self._route(to)
        sid = first.id if isinstance(first, Propose) else first.sid
        local = to if to.resource else to.with_resource(RESOURCE)
        if not self._sessions.contest(local, sender, sid, proposed=isinstance(first, Propose)):
            if isinstance(first, Jingle):
                raise TieBreak("we are calling you at this moment")
            self._sessions.refuse(local, sender, sid)
            refusal = refuse_tie(sender, first)
            self._outbox.message(local, refusal.to, refusal.message)
            return
        room = str(self.addresses.mixer(mixer)) if mixer else None
        self._quotas.check_call(room)
        self._quotas.check_caller(sender)
        called = self.addresses.mixer(mixer) if mixer else to.bare
        try:
            offer = Offer(to=called.uri, from_=sender.uri, headers=from_shim(first.headers))
        except ValidationError as error:
            raise BadRequest(f"you cannot be offered: {error.errors()[0]['msg']}") from None
        call = self._new_call(self.addresses.new_call(), method="dialed-in", room=room)
        call.other_end = self._sessions.for_message(sender, to, sid)
        try:
            session = call.session = scope(call, mixer).run(
                lambda: PeerSession.incoming(
                    local=local,
                    peer=sender,
                    first=first,
                    tree=tree,
                    outbox=self._outbox,
                    legs=call.make_leg,
                    observer=call,
                    isfocus=bool(mixer),
                    codecs=self._codecs_for(is_fax=route.fax),
                    tasks=self._supervisor.tasks,
                )
            )
        except Exception:
            self.directory.discard(call)
            raise
        self._sessions.add(session)
        scope(call, mixer).run(log.info, "%s calls", sender)
        self._supervisor.start(call, mixer)
        if session.ended:
            return  # there is no audio in it
        if mixer:
            self._offer_to_conference(call, to, mixer, offer)
        else:
            offering = Offering(call, offer, route, self.registrations)
            self._offerings.add(offering)
            task = self._supervisor.spawn(call, mixer, offering.run)
            task.add_done_callback(lambda _: self._offerings.discard(offering))

    def room_called(self, address: JID) -> str:
        """The room that calls to `address` come to, or an empty string."""
        try:
            return self._route(address)[1]
        except ServiceUnavailable:
            return ""

    def _route(self, to: JID) -> tuple[Route, str]:
        """Where a call to `to` goes, and the room's name if that is a room.

        Raises `ServiceUnavailable` where nobody can be called there.
        """
        route = route_of(to.local, self._routes) if to.local != OCCUPANT else TO_ITS_ROOM
        if self.directory.is_free_for_room(to.bare):
            if route.clients:
                return route, ""
            mixer = route.conference or self.addresses.mixer_of(to)
            if mixer is not None and self.directory.is_free_for_room(self.addresses.mixer(mixer)):
                return route, mixer
        raise ServiceUnavailable("nobody can be called at this address; call ROOM@" + self.addresses.domain)

    def _offer_to_conference(self, call: Call, to: JID, mixer: str, offer: Offer) -> None:
        parties: Iterable[JID] = ()
        try:
            parties = self.application.controllers(to, mixer) if self.application else ()
        except Exception:
            log.exception("nobody can be found to take a call to %s", mixer)
        call.offer(parties, offer)
        if not call.parties and call.session is not None:
            call.session.reject(NOBODY_THERE)

    # owning

    def _new_call(self, address: JID, *, method: Literal["dialed-in", "dialed-out"], room: str | None = None) -> Call:
        call = Call(address, self, self._plane, method=method, room=room)
        self.directory.add(call)
        return call


def _room_of(target: Joinable) -> str:
    """The mixer that this is, or that the call is in, by its name."""
    mixers = (party for party in (target, *target.joins) if party.is_mixer)
    return next((mixer.address.local for mixer in mixers), "")
