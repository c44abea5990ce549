"""Whatever clients, callers and applications do, in whatever order: what is announced is true, and nothing is left."""

import asyncio
import contextlib
from collections import defaultdict

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from focus.rayo.call import Call
from focus.rayo.joinable import Joinable
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.jingle_message import JMI_0, JMI_1
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
    Reject,
    Ringing,
    Unjoin,
    Unjoined,
)
from tests.jingle.pair import End as Caller

from .conftest import QUICK
from .scene import DOMAIN, FakePlane, Focus, Net, eventually, settled

MIXERS = st.sampled_from(["tea", "Milk", "mylk"])
CALLS = st.integers(0, 4)
DIRECTIONS = st.sampled_from(["duplex", "send", "recv"])
STEPS = st.one_of(
    st.tuples(st.just("call"), st.integers(0, 1), st.sampled_from([JMI_0, JMI_1, None])),
    st.tuples(st.just("dial"), st.integers(0, 1), st.lists(MIXERS, max_size=2)),
    st.tuples(st.just("accept"), CALLS),
    st.tuples(st.just("answer"), CALLS),
    st.tuples(st.just("reject"), CALLS),
    st.tuples(st.just("hang up"), CALLS),
    st.tuples(st.just("join mixer"), CALLS, MIXERS, DIRECTIONS),
    st.tuples(st.just("join call"), CALLS, CALLS, DIRECTIONS),
    st.tuples(st.just("unjoin"), CALLS),
    st.tuples(st.just("unjoin mixer"), CALLS, MIXERS),
    st.tuples(st.just("caller ends"), CALLS),
    st.tuples(st.just("caller vanishes"), st.integers(0, 1)),
    st.tuples(st.just("media fails"), CALLS),
    st.tuples(st.just("bind"), MIXERS),
    st.tuples(st.just("release"), MIXERS),
)


def has_media(party: Joinable) -> bool:
    return party.node is not None and not (isinstance(party, Call) and party.leg is not None and party.leg.closed)  # type: ignore[attr-defined]


Step = tuple[tuple[object, ...], bool]

#: Most of what can go wrong needs calls that are up.
BEGINNING: list[Step] = [
    (("call", 0, JMI_0), True),
    (("answer", 0), True),
    (("join mixer", 0, "tea", "duplex"), True),
    (("call", 1, JMI_1), True),
]


class Play:
    """One run of the machine."""

    def __init__(self) -> None:
        self.net = Net()
        self.plane = FakePlane()
        self.admin_jid = JID.parse("admin@example.org/rayo")
        self.focus = Focus(self.net, self.plane, controllers=frozenset({self.admin_jid}))
        self.client = self.focus.client(str(self.admin_jid))
        self.focus.takers.parties = [self.client.jid]
        self.callers = [
            Caller(self.net, f"{name}@example.org/desk", self.plane.create_leg, timeouts=QUICK) for name in ("a", "b")
        ]
        self.callers[1].answering = lambda session: session.ring()

    async def run(self, steps: list[Step]) -> None:
        await self.focus.start()
        pending = []
        for step, is_patient in [*BEGINNING, *steps]:
            pending.append(asyncio.create_task(self._do(*step)))
            await asyncio.sleep(0)
            if is_patient:
                await settled(100)
        await asyncio.gather(*pending)
        await settled()
        self.check_truth()
        for end in self.callers:
            await end.close()
        for mixer in list(self.focus.server.directory.mixers()):
            for owner in list(mixer.owners):
                mixer.release(owner)
        await self.focus.stop()
        await eventually(self.focus.is_empty)
        self.check_story()
        await self.net.cut()

    async def _do(self, kind: str, *arguments: object) -> None:
        with contextlib.suppress(StanzaError):  # a refusal is an answer
            await self._try(kind, *arguments)

    async def _try(self, kind: str, *arguments: object) -> None:
        server = self.focus.server
        addresses = sorted((call.address for call in server.directory.calls()), key=str) or [JID("nobody", DOMAIN)]

        def address(number: object) -> JID:
            assert isinstance(number, int)
            return addresses[number % len(addresses)]

        commands: dict[str, Command] = {
            "accept": Accept(),
            "answer": Answer(),
            "reject": Reject.model_validate({"busy": {}}),
            "hang up": Hangup(),
            "unjoin": Unjoin(),
        }
        match kind, arguments:
            case "call", (int(who), dialect):
                session, _ = self.callers[who].call(JID("tea", DOMAIN, "" if dialect else "focus"), dialect)  # type: ignore[arg-type]
                await session.start()
            case "dial", (int(who), list(mixers)):
                joins = tuple(Join(mixer_name=name) for name in mixers)
                await self.client.dial(Dial(to=f"xmpp:{self.callers[who].jid.bare}", joins=joins))
            case (("accept" | "answer" | "reject" | "hang up" | "unjoin"), (number,)):
                await self.client.command(address(number), commands[kind])
            case "join mixer", (number, str(name), direction):
                await self.client.command(
                    address(number), Join.model_validate({"mixer_name": name, "direction": direction})
                )
            case "join call", (number, other, direction):
                await self.client.command(
                    address(number), Join.model_validate({"call_uri": address(other).uri, "direction": direction})
                )
            case "unjoin mixer", (number, str(name)):
                await self.client.command(address(number), Unjoin(mixer_name=name))
            case "caller ends", (int(number),):
                sessions = [session for caller in self.callers for session in caller.sessions]
                if sessions:
                    sessions[number % len(sessions)].hangup(Reason.of("success"))
            case "caller vanishes", (int(who),):
                server.peer_unavailable(self.callers[who].jid)
            case "media fails", (number,):
                call = server.directory.call(address(number))
                if call is not None and call.session is not None and call.session.leg is not None:
                    call.session.leg_failed("no more packets")
            case "bind", (str(name),):
                server.bind_mixer(name, JID("focus", DOMAIN, name.lower()))
            case "release", (str(name),):
                server.release_mixer(name.lower(), JID("focus", DOMAIN, name.lower()))

    def check_truth(self) -> None:
        """What the actors believe is what the plane does."""
        for call in self.focus.server.directory.calls():
            for other, direction in call.joins.items():
                assert call in other.joins
                if has_media(call) and has_media(other):
                    assert call.node is not None
                    assert other.node is not None
                    assert self.plane.direction(call.node, other.node) is direction
        for mixer in self.focus.server.directory.mixers():
            assert mixer.joins or mixer.owners

    def check_story(self) -> None:
        """Per actor: joined and unjoined alternate for each party, nothing follows the end, and there is one end."""
        stories: dict[JID, list[Event]] = defaultdict(list)
        for sender, _, event in self.focus.outside.entries:  # type: ignore[misc]
            stories[sender].append(event)
        for events in stories.values():
            joined: set[str] = set()
            for position, event in enumerate(events):
                if isinstance(event, End):
                    assert position == len(events) - 1
                elif isinstance(event, Joined | Unjoined):
                    party = event.call_uri or event.mixer_name or ""
                    assert (party in joined) is isinstance(event, Unjoined)
                    joined ^= {party}
            if any(isinstance(event, End | Ringing) for event in events):
                assert isinstance(events[-1], End)
                assert not joined


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=20))
def test_whatever_happens_nothing_is_left(steps: list[Step]) -> None:
    async def play() -> None:
        await Play().run(steps)

    asyncio.run(play())
