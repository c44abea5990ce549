"""The service put together: every part made once, started in order, ended in the opposite one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from focus.conference.application import ConferenceApplication
from focus.conference.policy import Policy
from focus.conference.ringing import Ringing
from focus.conference.roster import Host
from focus.conference.summoning import Summoning
from focus.conference.surroundings import Surroundings
from focus.engines.espeak import Espeak
from focus.engines.piper import PROGRAM as PIPER
from focus.engines.piper import Piper
from focus.engines.pocketsphinx import Pocketsphinx
from focus.http.fetch import Reach, SafeFetch, networks
from focus.http.health import HealthServer
from focus.http.page import PageConfig, PageServer
from focus.http.recordings import RECORDINGS_PATH
from focus.jingle.codecs import preferred
from focus.media.plane import MediaPlane, UnknownName
from focus.media.recordings import FAX as TIFF
from focus.media.recordings import Recordings, RecordingsError
from focus.media.tempo import Tempo
from focus.rayo.addresses import Addresses
from focus.rayo.component import Facilities
from focus.rayo.components import registry
from focus.rayo.faxes import mend
from focus.rayo.limits import Limits
from focus.rayo.listing import Listing
from focus.rayo.registration import Security
from focus.rayo.routing import Route
from focus.rayo.server import Server
from focus.service.comfort import comforts, sound_files
from focus.service.config import Settings
from focus.service.faxing import fax_machine
from focus.service.metrics import Metrics
from focus.service.ready import ExitCode, ServiceError, ServiceReady
from focus.service.sections.components import FetchSettings
from focus.service.values import Address, is_global
from focus.wire.jid import JID, unescape_node
from focus.wire.jingle_message import JMI_0, JMI_1, Dialect
from focus.wire.rayo_component import EXT
from focus.wire.rayo_fax import FAX, FAX_PAGES
from focus.xmpp.binding import Binding, Outbox
from focus.xmpp.call_invites import CallInvites
from focus.xmpp.commands import AdHocCommands
from focus.xmpp.connection import Connection, ConnectionRefused
from focus.xmpp.delivery import Delivery
from focus.xmpp.discovery import CALL, MIXER, RAYO_CLIENT, Discovery
from focus.xmpp.muc import MucRooms
from focus.xmpp.presence import PresenceResponder
from focus.xmpp.registration import RegistrationDesk
from focus.xmpp.summons import Summons

log = logging.getLogger(__name__)

#: Seconds that pages are given to take note when the service ends.
CLOSING = 0.3
#: Seconds that calls are given then to say goodbye.
GOODBYE = 1.5
#: Seconds that the hook is given for recordings that end with their calls.
HOOK_GOODBYE = 20.0


class Service:
    """A focus: one component, one media plane, the page and the figures. For one `run`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        xmpp, media = settings.xmpp, settings.media
        self._addresses = Addresses(domain=xmpp.jid, rooms=xmpp.muc)
        self._plane = MediaPlane(
            [address for name in media.addresses for address in _bindings(name, media.port)],
            public_addresses=media.public_addresses,
            shards=media.shards,
            realtime=media.realtime,
            loudest=media.loudest,
            agc=media.agc,
        )
        self._outbox = Outbox(events=settings.limits.events, call_ids=settings.rayo.call_ids)
        self._recordings = _recordings(settings)
        piper = settings.piper
        self._piper = Piper(str(piper.program or PIPER), folders=piper.voices, tempo=Tempo)
        self._pocketsphinx = Pocketsphinx(processes=settings.speech.processes, timeout=settings.speech.timeout)
        self._fax = fax_machine(settings.fax)
        self._server = Server(
            self._addresses,
            self._plane,
            outbox=self._outbox,
            events=self._outbox,
            dialect=self._dialect,
            codecs=preferred(media.codecs),
            security=Security(
                clients=frozenset(JID.parse(jid) for jid in settings.rayo.clients),
                controllers=frozenset(JID.parse(jid) for jid in settings.rayo.controllers),
            ),
            routes=[
                Route(
                    match=route.match,
                    conference=route.conference,
                    clients=tuple(JID.parse(jid) for jid in route.clients),
                    staged=route.distribution == "staged",
                    timeout=route.timeout,
                    fax=route.fax,
                )
                for route in settings.routes
            ],
            limits=Limits(
                calls=settings.limits.calls,
                calls_of_one=settings.limits.calls_of_caller,
                calls_of_client=settings.limits.calls_of_client,
                mixers=settings.limits.mixers,
                mixers_of_client=settings.limits.mixers_of_client,
                joins=settings.limits.joins,
                joins_of_client=settings.limits.joins_of_client,
                registrations=settings.limits.registrations,
                registrations_of_client=settings.limits.registrations_of_client,
                subscriptions=settings.limits.subscriptions,
                subscriptions_of_client=settings.limits.subscriptions_of_client,
                dial_timeout=settings.limits.dial_timeout,
                components=settings.limits.components,
                components_of_one=settings.limits.components_of_one,
                load=settings.limits.load,
            ),
            facilities=Facilities(
                self._plane,
                fetch=SafeFetch(_reach(settings.fetch, *sound_files(settings.comfort))),
                recordings=self._recordings,
                synthesizers={"espeak": Espeak(), "piper": self._piper},
                recognizers={"pocketsphinx": self._pocketsphinx} if settings.speech.processes else {},
                fax=self._fax,
            ),
        )
        self._binding = Binding(self._server, self._outbox)
        self._connection = Connection(xmpp.jid, xmpp.secret.get_secret_value(), xmpp.host, xmpp.port, self._binding)
        self._listing = Listing(self._server)
        self._discovery = Discovery(
            self._connection,
            self._rooms,
            components=[each for each in registry.features if self._fax or each not in (FAX, FAX_PAGES)],
            kind=self._kind,
            items=self._items,
            state=self._listing.state,
            nick=self._listing.nick,
            directions=self._listing.directions,
        )
        self._desk = RegistrationDesk(
            self._connection,
            self._discovery,
            self._server.registrations,
            self._outbox.kept,
            self._outbox.release,
            patience=settings.limits.events_timeout,
        )
        self._muc = MucRooms(
            self._connection,
            self._addresses.occupant("").bare,
            xmpp.muc,
            nick=xmpp.nick,
            extensions=lambda: (self._discovery.caps_element(),),
        )
        self._presences = PresenceResponder(self._connection, self._discovery.caps_element)
        summoning = _summoning(settings)
        self._application = ConferenceApplication(
            Surroundings(
                server=self._server,
                rooms=self._muc,
                policy=Policy(
                    strangers=settings.conference.strangers,
                    maximum=settings.conference.maximum_participants,
                    linger=settings.conference.linger,
                    coalesce=settings.conference.coalesce,
                    announce=settings.conference.announce,
                    several_devices=settings.conference.several_devices,
                ),
                summoning=summoning,
                ringing=_ringing(settings),
                outbox=self._outbox,
                features=self._discovery.features,
                tell=self._outbox.tell,
                interruptions=lambda: self._binding.interruptions,
                guests=settings.guests,
                host=Host(
                    title=settings.http.title,
                    domain=xmpp.jid,
                    page=settings.http.url or "",
                    telephone=settings.conference.telephone or "",
                ),
                comfort=comforts(settings.comfort, xmpp.muc),
            ),
            summoned=settings.limits.summoned,
            summoned_of_account=settings.limits.summoned_of_account,
        )
        self._server.application = self._application
        self._outbox.connection = self._connection
        self._outbox.delivery = Delivery(self._connection)
        self._outbox.caps = self._discovery.caps_element
        self._binding.documents = self._application
        self._binding.rooms = self._muc
        self._binding.discovery = self._discovery
        self._binding.presences = self._presences
        self._binding.desk = self._desk
        self._binding.commands = AdHocCommands(self._application)
        self._binding.call_invites = CallInvites(
            self._connection,
            self._addresses,
            self._server.room_called,
            self._application.refusal,
            self._application.call_invite_answered,
        )
        self._binding.summons = Summons(self._connection, self._application, self._addresses, summoning)
        self._metrics = Metrics(self)
        self._binding.refused = self._metrics.error

    async def run(self, stop: asyncio.Event, ready: Callable[[ServiceReady], None]) -> None:
        """Serve until `stop` is set; `ready` is called when calls can come. Raises `ServiceError`."""
        async with AsyncExitStack() as cleanup:
            cleanup.enter_context(self._metrics.counting_faults())
            media = self._settings.media
            if self._recordings is not None:
                try:
                    await asyncio.to_thread(self._recordings.make_folder)
                except RecordingsError as error:
                    words = f"[recordings] folder {self._recordings.folder}: {error}"
                    raise ServiceError(words, ExitCode.UNAVAILABLE) from error
            try:
                await self._plane.start()
            except UnknownName as error:
                raise ServiceError(f"[media] public_addresses: {error}", ExitCode.UNAVAILABLE) from error
            except (OSError, ValueError) as error:
                where = f"[media] addresses {', '.join(media.addresses)}, UDP port {media.port}"
                raise ServiceError(f"cannot take audio on {where}: {_words(error)}") from error
            cleanup.push_async_callback(self._plane.stop)
            cleanup.push_async_callback(self._piper.close)
            cleanup.push_async_callback(self._pocketsphinx.close)
            log.info("audio %s", _ways_in(self._plane.addresses, self._plane.public_addresses))
            page = health = pages = None
            if self._settings.metrics.enabled:
                listener = HealthServer(self._ready, self._metrics.render)
                health = await _listen("[metrics]", listener, self._settings.metrics.listen, cleanup)
            if self._settings.http.enabled:
                pages = self._page()
                page = await _listen("[http]", pages, self._settings.http.listen, cleanup)
            try:
                await self._serve(stop, lambda: ready(ServiceReady(self._plane.addresses, page, health)), pages)
            except ExceptionGroup as group:  # not except*: Python 3.11.2, Debian's, wraps what is raised in it
                refused, others = group.split(ConnectionRefused)
                if refused is None or others is not None:
                    raise
                raise ServiceError(str(refused.exceptions[0]), ExitCode.UNAVAILABLE) from None

    async def _serve(self, stop: asyncio.Event, ready: Callable[[], None], pages: PageServer | None) -> None:
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(stop.wait())
            connection = tasks.create_task(self._connection.run(), name="connection")
            server = tasks.create_task(self._server.run(), name="rayo server")
            application = tasks.create_task(self._application.run(), name="conferences")
            keeping = tasks.create_task(self._recordings.run(), name="recordings") if self._recordings else None
            connected = tasks.create_task(self._binding.first_connection.wait())
            await asyncio.wait((stopping, connected), return_when=asyncio.FIRST_COMPLETED)
            connected.cancel()
            if not stop.is_set():
                self._application.stay(_room(room.name, self._settings) for room in self._settings.rooms if room.stay)
                ready()
            await stopping
            if pages is not None:  # to them it is a lost server, to which they come back; others are told the end
                await asyncio.wait((tasks.create_task(pages.end_websockets()),), timeout=CLOSING)
            self._server.close()
            await asyncio.wait((server,), timeout=GOODBYE)
            self._application.stop()
            await asyncio.wait((application,), timeout=GOODBYE)
            self._desk.withdraw()
            self._presences.withdraw()
            self._connection.stop()
            await asyncio.wait((connection,), timeout=GOODBYE)
            for task in (server, application, connection):
                task.cancel()
            if self._recordings is not None and keeping is not None:
                await asyncio.wait((server,))  # then all recordings are whole
                await self._recordings.handed_over(HOOK_GOODBYE)
                keeping.cancel()

    def _page(self) -> PageServer:
        http = self._settings.http
        return PageServer(
            PageConfig(
                domain=self._settings.domain,
                guests=self._settings.guests,
                rooms=self._settings.xmpp.muc,
                focus=self._settings.xmpp.jid,
                title=http.title,
                origins=http.origins,
                frame_ancestors=http.frame_ancestors,
            ),
            http.websocket,
            recordings=self._settings.recordings.folder,
        )

    def _rooms(self) -> Iterable[tuple[JID, str]]:
        """The addresses that can be called and have a conference now, for disco#items."""
        for conference in self._application.conferences:
            yield self._addresses.mixer(conference.name), unescape_node(conference.name)

    def _kind(self, client: JID, address: JID) -> str | None:
        if self._server.directory.call(address) is not None:
            return CALL
        return MIXER if self._server.mixers.find(client, address) is not None else None

    def _items(self, client: JID, address: JID, node: str) -> Iterable[tuple[JID, str]]:
        if node == CALL:
            return self._listing.calls(client)
        if node == MIXER:
            return self._listing.mixers(client)
        if node == RAYO_CLIENT:
            return self._listing.clients(client)
        if node == EXT:
            return self._listing.components(client, address)
        return self._listing.joined(client, address)

    async def _dialect(self, peer: JID) -> Dialect | None:
        """How to invite `peer`: without an invitation only a device that is known not to take one."""
        features = await self._discovery.features(peer)
        if JMI_0 in features:
            return JMI_0
        if JMI_1 in features:
            return JMI_1
        return None if peer.resource and features else JMI_0

    def _ready(self) -> tuple[bool, str]:
        return (True, "") if self._connection.connected else (False, "not connected to the XMPP server")

    # figures (`focus.service.metrics.Figures`)

    def participants(self) -> int:
        return sum(len(conference.roster.participants) for conference in self._application.conferences)

    def conferences(self) -> int:
        return len(self._application.conferences)

    def calls(self) -> int:
        return sum(1 for _ in self._server.directory.calls())

    def components(self) -> int:
        return sum(1 for _ in self._server.directory.components())

    def components_started(self) -> Mapping[str, int]:
        return self._server.components_started

    def recordings(self) -> Mapping[str, int]:
        return self._recordings.counted if self._recordings is not None else {}

    def clients(self) -> int:
        return len(self._server.registrations)

    def events_lost(self) -> int:
        return self._outbox.kept.forgotten

    def connected(self) -> bool:
        return self._connection.connected

    def plane(self) -> Mapping[str, float]:
        return self._plane.snapshot()


def _summoning(settings: Settings) -> Summoning:
    rooms = [JID("", settings.xmpp.muc), *map(JID.parse, settings.summoning.rooms)]
    return Summoning(
        rooms=frozenset([*rooms, *(_room(room.name, settings) for room in settings.rooms)]),
        users=_accounts(settings.summoning.users, settings.domain, settings.guests),
    )


def _accounts(given: tuple[str, ...] | None, *otherwise: str) -> frozenset[JID] | None:
    """Accounts and domains; None is everybody."""
    named = otherwise if given is None else given
    return None if "*" in named else frozenset(map(JID.parse, named))


def _ringing(settings: Settings) -> Ringing:
    return Ringing(
        invite=tuple(map(JID.parse, settings.conference.invite)),
        invite_to={_room(room.name, settings): tuple(map(JID.parse, room.invite)) for room in settings.rooms},
        patience=settings.ringing.patience,
        pauses=settings.ringing.pauses,
        users=_accounts(settings.ringing.users, settings.domain),
        call_invites=settings.ringing.call_invites,
    )


def _room(name: str, settings: Settings) -> JID:
    return JID.parse(name) if "@" in name else JID(name, settings.xmpp.muc)


def _recordings(settings: Settings) -> Recordings | None:
    wanted = settings.recordings
    if wanted.folder is None:
        return None
    base = f"{settings.http.url.rstrip('/')}{RECORDINGS_PATH}/" if settings.http.url else None
    keep = wanted.days and wanted.days * 86_400
    return Recordings(wanted.folder, base=base, keep=keep, hook=wanted.hook, mend={TIFF: mend})


def _reach(settings: FetchSettings, *files: Path) -> Reach:
    """`files`: that are fetched besides."""
    hosts, allowed = networks(settings.allow)
    return Reach(hosts, allowed, (*settings.folders, *files), settings.max_size, settings.timeout)


def _bindings(name: str, port: int) -> list[tuple[str, int]]:
    return [("0.0.0.0", port), ("::", port)] if name == "auto" else [(name, port)]


def _ways_in(addresses: Sequence[tuple[str, int]], public: Sequence[str]) -> str:
    """Where callers find us, in words."""
    own = "on UDP " + ", ".join(str(Address(*address)) for address in addresses)
    if public:
        return f"{own}, known outside as {', '.join(public)}"
    if not any(is_global(host) for host, _ in addresses):
        return f"{own}: for callers in the same network only, as no [media] public_addresses are given"
    return own


async def _listen(
    section: str, listener: PageServer | HealthServer, address: Address, cleanup: AsyncExitStack
) -> tuple[str, int]:
    try:
        bound = await listener.start(*address)
    except OSError as error:
        raise ServiceError(f"cannot listen on {section} listen {address}: {_words(error)}") from error
    cleanup.push_async_callback(listener.stop)
    return bound


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
