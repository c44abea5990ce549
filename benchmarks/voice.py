"""How soon a role is heard: from the stanza with which a room gives voice, or takes it, to the change in the plane."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from pydantic import SecretStr

from benchmarks.rayo_phones import Phones
from benchmarks.result import Benchmark, Cell, Column, Result, Unavailable
from benchmarks.workbench import Workbench, percentile
from benchmarks.xmpp_client import Client
from focus.media.plane import Direction
from focus.service.config import Settings
from focus.service.prosody import Prosody
from focus.service.ready import ServiceError
from focus.service.sections.conference import ConferenceSettings
from focus.service.sections.http import HttpSettings
from focus.service.sections.media import MediaSettings
from focus.service.sections.monitoring import MetricsSettings
from focus.service.sections.xmpp import XmppSettings
from focus.service.wiring import Service
from focus.wire.jid import JID
from focus.wire.rayo import Dial, Join

PATIENCE = 60.0  # s
MUC = "http://jabber.org/protocol/muc"
SIZES = (2, 20)
QUICK = (2,)
PASSWORD = "benchmark"


@dataclass
class Watched:
    """The service in this process, with a clock at its two ends: presences of the room, and joins in the plane."""

    service: Service
    role_seen: float = 0.0
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    joined_at: float = 0.0

    def __post_init__(self) -> None:
        self._presence, self._join = self.service._binding.presence, self.service._plane.join
        self.service._binding.presence = self.presence  # type: ignore[method-assign]
        self.service._plane.join = self.join  # type: ignore[method-assign]

    def presence(self, stanza: ET.Element) -> None:
        self.role_seen = time.monotonic()
        self._presence(stanza)

    def join(self, a: int, b: int, direction: Direction = Direction.DUPLEX) -> None:
        self._join(a, b, direction)
        self.joined_at = time.monotonic()
        self.joined.set()


@asynccontextmanager
async def _serving(prosody: Prosody) -> AsyncIterator[Watched]:
    host, port = prosody.component
    service = Service(
        Settings(
            xmpp=XmppSettings(
                jid=prosody.focus, secret=SecretStr(prosody.secret), host=host, port=port, muc=prosody.rooms
            ),
            media=MediaSettings(addresses=("127.0.0.1",), port=0),
            http=HttpSettings(enabled=False),
            metrics=MetricsSettings(enabled=False),
            conference=ConferenceSettings(maximum_participants=max(SIZES)),
        )
    )
    watched = Watched(service)
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(service.run(stop, lambda _: ready.set()))
    try:
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
        yield watched
    finally:
        stop.set()
        await running


async def _measure(prosody: Prosody, participants: int, changes: int) -> list[tuple[float, float]]:
    """Of each change the ms from the moderator's stanza, and from the room's, to the change in the plane."""
    room = JID("tea", prosody.rooms)
    async with AsyncExitStack() as stack:
        watched = await stack.enter_async_context(_serving(prosody))
        owner = await Client.connect(prosody.c2s, prosody.domain, account=("owner", PASSWORD))
        stack.push_async_callback(owner.close)
        owner.send(f"<presence to='{room}/Owner'><x xmlns='{MUC}'/></presence>")
        moderated = "<field var='muc#roomconfig_moderatedroom'><value>1</value></field>"
        kind = f"<field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>"
        form = f"<x xmlns='jabber:x:data' type='submit'>{kind}{moderated}</x>"
        await owner.ask(str(room), "set", f"<query xmlns='{MUC}#owner'>{form}</query>")

        phones = await stack.enter_async_context(
            Phones.several(prosody.c2s, prosody.guests, participants, calls=participants)
        )
        server = watched.service._server
        server.application.mixer_opened(room.local)  # type: ignore[union-attr]
        conference = next(iter(watched.service._application.conferences))
        for number, client in enumerate(phones.clients):
            client.send(f"<presence to='{room}/guest{number}'><x xmlns='{MUC}'/></presence>")
            dial = Dial(to=JID.parse(client.jid).uri, joins=(Join(mixer_name=room.local),))
            await server.command(conference.client, server.addresses.service, dial)
        async with asyncio.timeout(PATIENCE):
            await phones.until_connected(participants)
            while not _are_silenced(watched, participants):  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.05)

        measured = []
        for number in range(changes):
            role = "visitor" if number // participants % 2 else "participant"
            watched.joined.clear()
            began = time.monotonic()
            item = f"<item nick='guest{number % participants}' role='{role}'/>"
            await owner.ask(str(room), "set", f"<query xmlns='{MUC}#admin'>{item}</query>")
            async with asyncio.timeout(PATIENCE):
                await watched.joined.wait()
            measured.append(((watched.joined_at - began) * 1e3, (watched.joined_at - watched.role_seen) * 1e3))
        return measured


def _are_silenced(watched: Watched, participants: int) -> bool:
    (conference,) = watched.service._application.conferences
    here = conference.roster.participants.values()
    return len(here) == participants and all(one.session.direction == "recv" for one in here)


async def _on_prosody(bench: Workbench, participants: int, changes: int) -> list[tuple[float, float]]:
    prosody = Prosody(bench.directory / "prosody", admins=("owner@localhost",))
    try:
        await prosody.add_user(f"owner@{prosody.domain}", PASSWORD)
        await prosody.start()
    except ServiceError as error:
        raise Unavailable(error.message) from None
    try:
        return await _measure(prosody, participants, changes)
    finally:
        with suppress(ProcessLookupError):
            await prosody.stop()


def _voice(bench: Workbench) -> Result:
    rows: list[list[Cell]] = []
    raw = []
    for participants in QUICK if bench.quick else SIZES:
        changes = 4 if bench.quick else 200
        bench.say(f"voice: {participants} participants, {changes} changes")
        measured = asyncio.run(_on_prosody(bench, participants, changes))
        rows.append([participants, len(measured)])
        for times in zip(*measured, strict=True):
            rows[-1] += [percentile(times, 0.5), percentile(times, 0.95), max(times)]
        raw.append(measured)
    return Result("voice", "From a role to the plane", COLUMNS, rows, [LEGEND], raw)


COLUMNS = (
    Column("participants"),
    Column("changes"),
    Column("IQ p50", ".1f"),
    Column("IQ p95", ".1f"),
    Column("IQ max", ".1f"),
    Column("presence p50", ".1f"),
    Column("presence p95", ".1f"),
    Column("presence max", ".1f"),
)
LEGEND = (
    "IQ, presence: ms from the stanza with which a moderator gives a visitor voice, or takes it, and that with which "
    "the room tells the focus so, to the command in the plane, which takes effect with its next tick, 20 ms later at "
    "most. To be reached are 200 ms."
)
VOICE = Benchmark("voice", "how soon a role in the room is heard", _voice)
