"""Whatever clients, callers and applications do, in whatever order: what is announced is true, everybody's view is
consistent, and nothing is left."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from focus.rayo.call import Call
from focus.rayo.joinable import Joinable
from focus.rayo.mixer import Mixer
from focus.rayo.registration import Availability, is_among
from focus.rayo.routing import Route
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.jingle_message import JMI_0, JMI_1
from focus.wire.message import CallMessage
from focus.wire.rayo import (
    Accept,
    Answer,
    Command,
    Dial,
    End,
    Event,
    Hangup,
    Join,
    Joined,
    Offer,
    Redirect,
    Reject,
    StartedSpeaking,
    StoppedSpeaking,
    Unjoin,
    Unjoined,
)
from tests.jingle.pair import End as Caller

from .conftest import QUICK
from .distant import Distant
from .scene import DOMAIN, Client, FakePlane, Net, comes_true, eventually, settled
from .test_cells import WORK

NAMES = ["tea", "Milk", "mylk"]
MIXERS = st.sampled_from(NAMES)
#: A room, and what routes leave to those clients who are there, at once or one account after the other.
ROOMS = ["tea", "desk", "line"]
CALLS = st.integers(0, 4)
DIRECTIONS = st.sampled_from(["duplex", "send", "recv"])
#: A controller, two clients of one account, and one of another.
CLIENTS = ["admin@example.org/rayo", "juliet@example.org/balcony", "juliet@example.org/garden", "romeo@example.org/x"]
WHO = st.integers(0, len(CLIENTS) - 1)
COMMANDS: dict[str, Command] = {
    "accept": Accept(),
    "answer": Answer(),
    "reject": Reject.model_validate({"busy": {}}),
    "redirect": Redirect(to="xmpp:other@example.org"),
    "hang up": Hangup(),
    "unjoin": Unjoin(),
    "write": CallMessage(body="hello"),
    "work": WORK,
}
COMINGS_AND_GOINGS = [
    st.tuples(st.just("client comes or goes"), WHO, st.sampled_from(Availability)),
    st.tuples(st.just("client is ready or busy"), WHO, st.sampled_from(Availability)),
    st.tuples(st.just("client vanishes or returns"), WHO),
    st.tuples(st.just("server vanishes or returns")),
]
STEPS = st.one_of(
    st.tuples(st.just("call"), st.integers(0, 1), st.sampled_from([JMI_0, JMI_1, None]), st.sampled_from(ROOMS)),
    st.tuples(st.just("dial"), WHO, st.integers(0, 1), st.lists(MIXERS, max_size=2)),
    st.tuples(st.just("dial directly"), WHO, st.integers(0, 1), CALLS),
    st.tuples(st.just("dial and hang up"), WHO, st.integers(0, 1)),
    st.tuples(st.sampled_from(sorted(COMMANDS)), WHO, CALLS),
    st.tuples(st.just("join mixer"), WHO, CALLS, MIXERS, DIRECTIONS),
    st.tuples(st.just("join call"), WHO, CALLS, CALLS, DIRECTIONS),
    st.tuples(st.just("join directly"), WHO, CALLS, CALLS),
    st.tuples(st.just("unjoin mixer"), WHO, CALLS, MIXERS),
    st.tuples(st.just("join mixers"), WHO, MIXERS, MIXERS, DIRECTIONS),
    st.tuples(st.just("unjoin mixers"), WHO, MIXERS),
    st.tuples(st.just("work in a mixer"), WHO, MIXERS),
    st.tuples(st.just("caller ends"), CALLS),
    st.tuples(st.just("caller vanishes"), st.integers(0, 1)),
    st.tuples(st.just("media fails"), CALLS),
    st.tuples(st.just("speaks"), CALLS, st.booleans()),
    st.tuples(st.just("bind"), MIXERS, st.booleans()),
    st.tuples(st.just("release"), MIXERS),
    st.tuples(st.just("subscribe"), WHO, MIXERS),
    st.tuples(st.just("unsubscribe"), WHO, MIXERS),
    *COMINGS_AND_GOINGS,
)
#: What shows who is told what, while clients and server lose each other.
LOSSES = st.one_of(
    st.tuples(st.just("call"), st.integers(0, 1), st.just(JMI_0), st.sampled_from(ROOMS)),
    st.tuples(st.just("accept"), WHO, CALLS),
    st.tuples(st.sampled_from(["answer", "reject"]), WHO, CALLS),
    st.tuples(st.just("join mixer"), WHO, CALLS, MIXERS, st.just("duplex")),
    *COMINGS_AND_GOINGS,
)
#: What clients do, who are named first. They must be there, and so must the server.
BY_CLIENTS = {
    *COMMANDS,
    "dial",
    "dial directly",
    "dial and hang up",
    "join mixer",
    "join call",
    "join directly",
    "unjoin mixer",
    "join mixers",
    "unjoin mixers",
    "work in a mixer",
    "subscribe",
    "unsubscribe",
    "client comes or goes",
    "client is ready or busy",
}


def has_media(party: Joinable) -> bool:
    return party.node is not None and not (isinstance(party, Call) and party.leg is not None and party.leg.closed)  # type: ignore[attr-defined]


def are_direct(party: Joinable) -> bool:
    """Whether it has its media with the only call that it is joined with, and neither has any here."""
    if not isinstance(party, Call) or party.relay is None:
        return False
    (other,) = party.joins
    assert isinstance(other, Call)
    assert other.relay is party.relay
    assert party.leg is other.leg is None
    return party._accepted and other._accepted


def is_ending(party: Joinable) -> bool:
    """Whether it is out of the plane, and its joins are still to be parted, after its components."""
    return isinstance(party, Call) and party.is_over


#: Callers wait for an answer for longer than it takes to find out that nobody can give it.
PATIENT = replace(QUICK, answer=60)

Step = tuple[tuple[Any, ...], bool]

#: Most of what can go wrong needs calls that are up.
BEGINNING: list[Step] = [
    (("call", 0, JMI_0, "tea"), True),
    (("answer", 1, 0), True),
    (("join mixer", 1, 0, "tea", "duplex"), True),
    (("client comes or goes", 1, Availability.READY), True),
    (("client comes or goes", 3, Availability.READY), True),
    (("call", 1, JMI_1, "desk"), True),
]


class Play:
    """One run of the machine."""

    def __init__(self) -> None:
        self.net = Net()
        self.plane = FakePlane()
        tenants = frozenset(JID.parse(jid).bare for jid in CLIENTS[1:])
        wanted = tuple(sorted(tenants, key=str))
        self.focus = Distant(
            self.net,
            self.plane,
            controllers=frozenset({JID.parse(CLIENTS[0])}),
            clients=tenants,
            routes=[Route("desk", clients=wanted, timeout=60), Route("line", clients=wanted, staged=True, timeout=60)],
        )
        self.clients = [self.focus.client(jid) for jid in CLIENTS]
        self.accounts = [self.focus.client(str(account)) for account in {client.jid.bare for client in self.clients}]
        #: Who has been away or busy at some time, and so may have heard less than others of a call.
        self.left: set[JID] = set()
        #: Who has missed events without having been told by anybody but its own fate.
        self.forlorn: set[JID] = set()
        self.focus.takers.parties = [client.jid for client in self.clients]
        self.callers = [
            Caller(self.net, f"{name}@example.org/desk", self.plane.create_leg, timeouts=PATIENT) for name in ("a", "b")
        ]
        self.callers[1].answering = lambda session: session.ring()
        self.controllers: dict[JID, JID] = {}

    async def run(self, steps: list[Step]) -> None:
        await self.focus.start()
        pending = []
        for step, is_patient in [*BEGINNING, *steps]:
            pending.append(asyncio.create_task(self._do(*step)))
            await asyncio.sleep(0)
            if is_patient:
                await settled(100)
            self._note_controllers()
        await asyncio.gather(*pending)
        self.focus.mend()
        await self.focus.line.idle()
        await settled()
        self._note_controllers()
        await comes_true(self.check_truth)
        for end in self.callers:
            await end.close()
        for mixer in list(self.focus.server.directory.mixers()):
            for owner in list(mixer.owners):
                mixer.release(owner)
        await self.focus.stop()
        await eventually(self.focus.is_empty)
        await self.focus.line.idle()
        for client in self.informed():
            await comes_true(partial(self.check_view, client))
        assert not [task for task in asyncio.all_tasks() if "rayo" in task.get_name()]
        await self.net.cut()

    async def _do(self, kind: str, *arguments: Any) -> None:
        with contextlib.suppress(StanzaError):  # a refusal is an answer
            await self._try(kind, *arguments)

    async def _try(self, kind: str, *arguments: Any) -> None:
        server = self.focus.server
        addresses = sorted((call.address for call in server.directory.calls()), key=str) or [JID("nobody", DOMAIN)]

        def address(number: int) -> JID:
            return addresses[number % len(addresses)]

        def mixer(name: str) -> JID:
            return self.focus.addresses.mixer(name.lower())

        if kind in BY_CLIENTS:
            who = self.clients[arguments[0]].jid
            if not self.focus.line.connected or who in self.focus.line.deaf:
                return
            self.heard_of(who)
        match kind, arguments:
            case "call", (who, dialect, room):
                session, _ = self.callers[who].call(JID(room, DOMAIN, "" if dialect else "focus"), dialect)
                await session.start()
            case "dial", (who, whom, mixers):
                joins = tuple(Join(mixer_name=name) for name in mixers)
                await self.clients[who].dial(Dial(to=f"xmpp:{self.callers[whom].jid.bare}", joins=joins))
            case "dial and hang up", (who, whom):
                call = await self.clients[who].dial(Dial(to=f"xmpp:{self.callers[whom].jid.bare}"))
                await self.clients[who].command(call, Hangup())
            case command, (who, number) if command in COMMANDS:
                await self.clients[who].command(address(number), COMMANDS[command])
            case "join mixer", (who, number, name, direction):
                await self.clients[who].command(address(number), Join(mixer_name=name, direction=direction))
            case "join call", (who, number, other, direction):
                join = Join(call_uri=address(other).uri, direction=direction)
                await self.clients[who].command(address(number), join)
            case "dial directly", (who, whom, number):
                joins = (Join(call_uri=address(number).uri, media="direct"),)
                await self.clients[who].dial(Dial(to=f"xmpp:{self.callers[whom].jid.bare}", joins=joins))
            case "join directly", (who, number, other):
                await self.clients[who].command(address(number), Join(call_uri=address(other).uri, media="direct"))
            case "unjoin mixer", (who, number, name):
                await self.clients[who].command(address(number), Unjoin(mixer_name=name))
            case "join mixers", (who, one, other, direction):
                await self.clients[who].command(mixer(one), Join(mixer_name=other, direction=direction))
            case "unjoin mixers", (who, name):
                await self.clients[who].command(mixer(name), Unjoin())
            case "work in a mixer", (who, name):
                await self.clients[who].command(mixer(name), WORK)
            case "caller ends", (number,):
                sessions = [session for caller in self.callers for session in caller.sessions]
                if sessions:
                    sessions[number % len(sessions)].hangup(Reason.of("success"))
            case "caller vanishes", (who,):
                server.peer_unavailable(self.callers[who].jid)
            case "media fails", (number,):
                call = server.directory.call(address(number))
                if call is not None and call.session is not None and call.session.leg is not None:
                    call.session.leg_failed("no more packets")
            case "speaks", (number, speaking):
                call = server.directory.call(address(number))
                if call is not None and call.session is not None:
                    call.session.leg_speaking(speaking)
            case "bind", (name, is_romeos):
                romeo = self.clients[3].jid.bare
                server.mixers.bind(name, self._room(name), lambda client: is_romeos and client.bare == romeo)
            case "release", (name,):
                server.mixers.release(name.lower(), self._room(name))
            case "subscribe", (who, name):
                server.mixers.subscribe(self.clients[who].jid.bare, mixer(name))
            case "unsubscribe", (who, name):
                server.mixers.unsubscribe(self.clients[who].jid.bare, mixer(name))
            case "client comes or goes", (who, availability):
                client = self.clients[who]
                if client.jid in self.focus.line.registered:
                    self.left.add(client.jid)
                    self.focus.goes(client)
                else:
                    self.focus.comes(client, availability)
            case "client is ready or busy", (who, availability):
                client = self.clients[who]
                self.left.add(client.jid)
                if client.jid in self.focus.line.registered:
                    self.focus.comes(client, availability)
            case "client vanishes or returns", (who,):
                client = self.clients[who]
                self.focus.line.registered.pop(client.jid, None)
                self.left.add(client.jid)
                self.forlorn.add(client.jid)
                self.focus.line.deaf ^= {client.jid}
                self.heard_of(client.jid)
            case "server vanishes or returns", ():
                if self.focus.line.connected:
                    self.focus.cut()
                else:
                    self.focus.mend()
            case _:
                raise AssertionError((kind, arguments))

    def heard_of(self, client: JID) -> None:
        self.focus.unaware.discard(client)
        self.focus.line.unreached.discard(client)

    def _room(self, name: str) -> JID:
        return JID("focus", DOMAIN, name.lower())

    def _note_controllers(self) -> None:
        for call in self.focus.server.directory.calls():
            if call.controller is not None:
                assert self.controllers.setdefault(call.address, call.controller) == call.controller

    def check_truth(self) -> None:
        """What the actors believe is what the plane does, and what clients have been shown is what there is."""
        mixers = list(self.focus.server.directory.mixers())
        for party in [*self.focus.server.directory.calls(), *mixers]:
            for other, direction in party.joins.items():
                assert party in other.joins
                if not (is_ending(party) or is_ending(other)):
                    assert party.is_flowing(other) is (
                        (party.node is not None and other.node is not None) or are_direct(party)
                    )
                if has_media(party) and has_media(other):
                    assert party.node is not None
                    assert other.node is not None
                    assert self.plane.direction(party.node, other.node) is direction
        for mixer in mixers:
            assert any(one.owners or not all(each.is_mixer for each in one.joins) for one in _mixers(mixer.tree()))
            audience = list(mixer.audience())
            assert set(audience) == set(mixer._wanted())
            for client in self.informed():
                if client.jid in audience:
                    joined = self.view(client, mixer.address)
                    assert joined == {other.address for other in mixer.joins if mixer.is_flowing(other)}

        self.check_offers()
        for client in self.clients:
            is_registered = client.jid in self.focus.server.registrations
            knows = client.jid in self.focus.line.registered
            assert is_registered or not knows
            assert knows or not is_registered or client.jid in self.forlorn
            assert not is_registered or client.jid not in self.focus.line.unreached

    def check_offers(self) -> None:
        """Who is ready has been offered each call that waits for somebody like it, once since it registered; nothing
        waits where nobody can come."""
        line, server = self.focus.line, self.focus.server
        for call in server.directory.calls():
            assert call.controller not in self.focus.unaware or not call.is_waiting_for(call.controller)
        for offering in server._offerings:
            call = offering._call
            if call.is_decided:
                continue
            assert call.parties
            stages = list(offering._route.stages)
            begun = len(offering._wanted)
            if begun < len(stages):
                assert any(is_among(party, stages[begun - 1]) for party in call.parties)
            for client in self.clients:
                if client.jid in line.registered and client.jid in server.registrations.ready(offering._wanted):
                    assert client.jid in call.parties
                    heard = client.stream[line.registered[client.jid] :]
                    offers = [event for sender, event in heard if sender == call.address and isinstance(event, Offer)]
                    assert len(offers) == 1

    def informed(self) -> list[Client]:
        """Those who have missed nothing."""
        uninformed = self.forlorn | self.focus.line.missed
        return [client for client in [*self.clients, *self.accounts] if client.jid not in uninformed]

    def view(self, client: Client, mixer: JID) -> set[JID]:
        """Who is in the mixer, as far as the client has been told."""
        joined: set[JID] = set()
        for sender, event in client.stream:
            if sender == mixer and isinstance(event, bool):
                joined = set()
            elif sender == mixer and isinstance(event, Joined):
                joined.add(self._address(event))
            elif sender == mixer and isinstance(event, Unjoined):
                joined.discard(self._address(event))
        return joined

    def _address(self, event: Joined | Unjoined) -> JID:
        if event.mixer_name is not None:
            return self.focus.addresses.mixer(event.mixer_name.lower())
        return JID.from_uri(event.call_uri or "")

    def check_view(self, client: Client) -> None:
        """Each mixer is there when it tells something, and is gone at the end; each call ends once; who is joined was
        not, and who speaks is joined and did not."""
        stories: dict[JID, list[Event | bool]] = defaultdict(list)
        for sender, event in client.stream:
            stories[sender].append(event)
        for sender, events in stories.items():
            if sender.resource:
                assert len(events) == 1, "a component has told its end, once"
                continue
            is_mixer = sender.local in [name.lower() for name in NAMES]
            there, joined, speaking = not is_mixer, set[JID](), set[JID]()
            for position, event in enumerate(events):
                if isinstance(event, bool):
                    assert is_mixer
                    assert there is not event
                    there, joined, speaking = event, set(), set()
                    continue
                assert there
                if isinstance(event, End):
                    assert position == len(events) - 1
                elif isinstance(event, Joined | Unjoined):
                    party = self._address(event)
                    if isinstance(event, Unjoined) and party not in joined and self.plane.refused:
                        continue  # it had to wait, and could not be made then
                    if is_mixer or client.jid not in self.left:  # else it may have missed something of a call
                        assert (party in joined) is isinstance(event, Unjoined)
                    assert party not in speaking
                    joined ^= {party}
                elif isinstance(event, StartedSpeaking | StoppedSpeaking):
                    party = JID.from_uri(event.call_uri)
                    assert party in joined
                    assert (party in speaking) is isinstance(event, StoppedSpeaking)
                    speaking ^= {party}
            if is_mixer:
                assert not there
            else:
                assert isinstance(events[-1], End)
                if self.controllers.get(sender) == client.jid and client.jid not in self.left:
                    assert not joined


class Crashes(logging.Handler):
    """What has gone wrong inside, which costs nobody but the actor that it went wrong in."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


async def play(steps: list[Step]) -> None:
    crashes = Crashes()
    logging.getLogger("focus").addHandler(crashes)
    try:
        await Play().run(steps)
    finally:
        logging.getLogger("focus").removeHandler(crashes)
    assert crashes.messages == []


def _mixers(parties: set[Joinable]) -> list[Mixer]:
    return [party for party in parties if isinstance(party, Mixer)]


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=24))
def test_whatever_happens_nothing_is_left(steps: list[Step]) -> None:
    asyncio.run(play(steps))


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(LOSSES, st.booleans()), min_size=6, max_size=24))
def test_however_clients_and_server_lose_each_other_everybody_knows_what_it_should(steps: list[Step]) -> None:
    asyncio.run(play(steps))
