"""Two ends in one process: an honest wire between them, and small honest legs. Nothing here knows the sessions inside.

What is sent is written as XML, carried in order, read at the far end as the binding would, and answered.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict
from xml.etree import ElementTree as ET

from focus.jingle.peer import LegFactory, LegObserver, Outbox, PeerObserver, PeerSession, Timeouts
from focus.jingle.table import SessionTable
from focus.wire.base import Element
from focus.wire.conditions import ServiceUnavailable, StanzaError, TieBreak, UnknownSession
from focus.wire.dtls import Fingerprint
from focus.wire.ice import Candidate, Transport
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle, Reason
from focus.wire.jingle_message import BY_TAG, Dialect, JingleMessage, Propose
from focus.wire.rtp import Info, PayloadType
from focus.wire.shim import Shim

PATIENCE = 60.0


class Diary:
    """Remembers what happened, in order, and lets a test wait for it."""

    def __init__(self) -> None:
        self.entries: list[object] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def write(self, entry: object) -> None:
        self.entries.append(entry)
        task = asyncio.get_running_loop().create_task(self._announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, entry: object) -> None:
        """Until `entry` is there, or something for which `entry` is true."""

        def there() -> bool:
            return any(entry(each) if callable(entry) else each == entry for each in self.entries)

        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(there)

    def count(self, entry: object) -> int:
        return sum(each == entry for each in self.entries)


class Surroundings(TypedDict):
    """What a session is given besides its peer and how it begins."""

    local: JID
    outbox: Outbox
    legs: LegFactory
    observer: PeerObserver
    isfocus: bool
    timeouts: Timeouts


class Owner(Diary):
    """A PeerObserver that writes down what it is told. `reason` is why it ended."""

    reason: Reason | None = None

    def peer_ringing(self) -> None:
        self.write("ringing")

    def peer_accepted(self) -> None:
        self.write("accepted")

    def peer_connected(self) -> None:
        self.write("connected")

    def peer_info(self, info: Info) -> None:
        self.write(info)

    def peer_senders(self, speaks: bool, hears: bool) -> None:
        self.write(("senders", speaks, hears))

    def peer_focus(self, isfocus: bool) -> None:
        self.write(("focus", isfocus))

    def peer_speaking(self, speaking: bool) -> None:
        self.write(("speaking", speaking))

    def peer_pressed(self, key: str, duration: float) -> None:
        self.write(("pressed", key, duration))

    def peer_ended(self, reason: Reason, by_peer: bool) -> None:
        self.reason = reason
        self.write(("ended", reason.condition, by_peer))

    async def until_ended(self) -> tuple[str, bool]:
        """Why, and whether it was the peer."""
        await self.until(_is_end)
        (end,) = [each for each in self.entries if _is_end(each)]
        assert isinstance(end, tuple)
        assert self.entries[-1] is end
        return end[1], end[2]


def _is_end(entry: object) -> bool:
    return isinstance(entry, tuple) and entry[0] == "ended"


_NUMBERS = itertools.count(1)


class Air:
    """What legs meet in: two that know each other's credentials and certificates hear each other."""

    def __init__(self) -> None:
        self.legs: dict[str, FakeLeg] = {}

    def leg(self, *, controlling: bool, observer: LegObserver) -> FakeLeg:
        number = next(_NUMBERS)
        leg = FakeLeg(self, number, controlling, observer)
        self.legs[f"ufrag{number}"] = leg
        return leg


@dataclass
class FakeLeg:
    """A leg without sockets. It connects when both sides have called `connect`, know an address of each other, agree on
    credentials, certificates and roles; it fails where they contradict each other."""

    air: Air
    node: int
    controlling: bool
    observer: LegObserver
    remote: Transport | None = None
    role: str = ""
    candidates: list[Candidate] = field(default_factory=list)
    codec: PayloadType | None = None
    level_extension: int | None = None
    mixed_extension: int | None = None
    telephone_events: Sequence[PayloadType] = ()
    sending: bool = True
    muted: bool = False
    silenced: bool = False
    connected: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        self.ssrc = 1000 + self.node
        self.source_id = 2000 + self.node
        self.cname = f"name{self.node}"
        self.local_transport = Transport(
            ufrag=f"ufrag{self.node}",
            pwd=f"password-of-leg-number-{self.node}",
            fingerprints=(Fingerprint(hash="sha-256", value=":".join([f"{self.node % 256:02X}"] * 32)),),
            candidates=(candidate(4000 + self.node),),
        )

    def prefer_source_id(self, ssrc: int) -> None:
        assert self.remote is None
        if ssrc not in {leg.source_id for leg in self.air.legs.values()}:
            self.source_id = ssrc

    async def connect(self, remote: Transport, *, dtls_role: Literal["active", "passive"]) -> None:
        assert self.remote is None, "a leg connects once"
        assert remote.ufrag
        assert remote.pwd
        assert remote.fingerprints
        self.remote, self.role = remote, dtls_role
        await self.add_remote_candidates(remote.candidates)

    async def restart(self, remote: Transport) -> Transport | None:
        """Found again at once, by whatever credentials; only who is there to be found is looked at."""
        assert self.remote is not None, "a leg that does not connect cannot do so again"
        if self.closed:
            return None
        assert remote.ufrag
        assert remote.pwd
        self.remote = remote
        self.candidates.clear()
        number = next(_NUMBERS)
        again = {"ufrag": f"ufrag{number}", "pwd": f"password-of-leg-number-{number}"}
        generation = self.local_transport.candidates[0].generation + 1
        candidates = [each.model_copy(update={"generation": generation}) for each in self.local_transport.candidates]
        self.local_transport = self.local_transport.model_copy(update={**again, "candidates": tuple(candidates)})
        self.air.legs[again["ufrag"]] = self
        await self.add_remote_candidates(remote.candidates)
        return self.local_transport

    async def add_remote_candidates(self, candidates: Sequence[Candidate]) -> None:
        self.candidates.extend(each for each in candidates if each.component == 1 and each.protocol == "udp")
        self._try()

    def _try(self) -> None:
        if self.remote is None or self.connected or self.closed:
            return
        far = self.air.legs.get(self.remote.ufrag or "")
        if far is None or far.remote is None or far.closed or not (self.candidates and far.candidates):
            return
        far_prints = {each.value for each in far.local_transport.fingerprints}
        prints = {each.value for each in self.local_transport.fingerprints}
        agreed = (
            far.remote.ufrag == self.local_transport.ufrag
            and far.remote.pwd == self.local_transport.pwd
            and self.remote.pwd == far.local_transport.pwd
            and prints & {each.value for each in far.remote.fingerprints}
            and far_prints & {each.value for each in self.remote.fingerprints}
            and {self.role, far.role} == {"active", "passive"}
            and self.controlling is not far.controlling
        )
        for leg in (self, far):
            leg.connected = bool(agreed)
            if agreed:
                leg.observer.leg_connected()
            else:
                leg.observer.leg_failed("the two sides contradict each other")

    def set_codec(
        self,
        payload: PayloadType,
        *,
        level_extension: int | None,
        mixed_extension: int | None,
        telephone_events: Sequence[PayloadType],
    ) -> None:
        self.codec, self.level_extension, self.mixed_extension = payload, level_extension, mixed_extension
        self.telephone_events = telephone_events

    def set_send(self, enabled: bool) -> None:
        self.sending = enabled

    def set_mute(self, muted: bool) -> None:
        self.muted = muted

    def silence(self, silenced: bool) -> None:
        self.silenced = silenced

    async def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        far = self.air.legs.get(self.remote.ufrag or "") if self.remote else None
        if self.connected and far is not None and not far.closed:
            far.observer.leg_closed()
        self.connected = False


def candidate(port: int, **changes: object) -> Candidate:
    values: dict[str, object] = {
        "component": 1,
        "foundation": "1",
        "id": f"c{port}",
        "ip": "192.0.2.1",
        "network": 0,
        "port": port,
        "priority": 2130706431,
        "protocol": "udp",
        "type": "host",
    }
    return Candidate.model_validate(values | changes)


class Wire:
    """Carries stanzas between the ends that are connected to it, one after another, as a server would."""

    def __init__(self) -> None:
        self.ends: dict[JID, End] = {}
        self._stanzas: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
        self._task = asyncio.create_task(self._carry())

    async def _carry(self) -> None:
        while True:
            (await self._stanzas.get())()

    def send(self, deliver: Callable[[], None]) -> None:
        self._stanzas.put_nowait(deliver)

    def at(self, jid: JID) -> list[End]:
        """Who gets what is sent to `jid`: one device, or all of an account."""
        if jid in self.ends:
            return [self.ends[jid]]
        return [] if jid.resource else [end for full, end in self.ends.items() if full.bare == jid]

    async def cut(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class End:
    """A client: its outbox, its sessions, and what it does when somebody calls (`answering`)."""

    def __init__(self, wire: Wire, jid: str, legs: LegFactory, *, timeouts: Timeouts | None = None) -> None:
        self.wire = wire
        self.jid = JID.parse(jid)
        self.legs = legs
        self.timeouts = timeouts
        self.table = SessionTable()
        self.heard = Diary()  # stanzas that came
        self.said: list[Element] = []
        self.owners: list[Owner] = []
        self.sessions: list[PeerSession] = []
        self.answering: Callable[[PeerSession], None] = lambda session: session.accept()
        self.isfocus = False
        self.patience = PATIENCE  # with an answer
        self.deaf = False  # answers nothing at all any more
        #: With what to answer a Jingle action instead of taking it, if with anything.
        self.refusing: Callable[[Jingle], StanzaError | None] = lambda jingle: None
        wire.ends[self.jid] = self

    # An Outbox

    def message(self, sender: JID, to: JID, element: Element) -> None:
        assert sender == self.jid
        self.said.append(element)
        text = element.to_string()

        def deliver() -> None:
            for end in self.wire.at(to):
                end.take_message(sender, text)

        self.wire.send(deliver)

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        assert sender == self.jid
        self.said.append(element)
        text = element.to_string()
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def deliver() -> None:
            ends = self.wire.at(to)
            error: StanzaError | None = None
            if len(ends) != 1:
                error = ServiceUnavailable("nobody there")
            elif ends[0].deaf:
                return
            else:
                try:
                    ends[0].take_iq(sender, text)
                except StanzaError as refusal:
                    error = refusal
            self.wire.send(lambda: resolve(error))

        def resolve(error: StanzaError | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(None)
            else:
                answer.set_exception(error)

        self.wire.send(deliver)
        async with asyncio.timeout(self.patience):
            await answer

    # What comes

    def take_message(self, sender: JID, text: str) -> None:
        tree = ET.fromstring(text)
        element = BY_TAG[tree.tag].parse(tree)
        assert isinstance(element, JingleMessage)
        self.heard.write(element)
        if self.deaf:
            return
        if isinstance(element, Propose):
            if self.table.contest(self.jid, sender, element.id, proposed=True):
                self._called(sender, element, None)
            return
        session = self.table.for_message(self.jid, sender, element.id)
        if session is not None:
            session.receive_message(sender, element)

    def take_iq(self, sender: JID, text: str) -> None:
        tree = ET.fromstring(text)
        jingle = Jingle.parse(tree)
        self.heard.write(jingle)
        if (refusal := self.refusing(jingle)) is not None:
            raise refusal
        session = self.table.for_jingle(self.jid, sender, jingle.sid)
        if session is not None:
            session.receive(sender, jingle, tree)
        elif jingle.action is not Action.SESSION_INITIATE:
            raise UnknownSession(jingle.sid)
        elif not self.table.contest(self.jid, sender, jingle.sid, proposed=False):
            raise TieBreak(jingle.sid)
        else:
            self._called(sender, jingle, tree)

    def _called(self, sender: JID, first: Propose | Jingle, tree: ET.Element | None) -> None:
        owner = Owner()
        session = PeerSession.incoming(
            local=self.jid, peer=sender, first=first, tree=tree, outbox=self, legs=self.legs, observer=owner,
            isfocus=self.isfocus, timeouts=self.timeouts,
        )  # fmt: skip
        self._keep(session, owner)
        self.answering(session)

    # What a test does

    def call(
        self, to: JID, dialect: Dialect | None, *, sid: str | None = None, headers: Shim | None = None
    ) -> tuple[PeerSession, Owner]:
        owner = Owner()
        session = PeerSession.outgoing(
            local=self.jid, to=to, outbox=self, legs=self.legs, observer=owner, isfocus=self.isfocus, dialect=dialect,
            sid=sid, headers=headers, timeouts=self.timeouts,
        )  # fmt: skip
        self._keep(session, owner)
        return session, owner

    def _keep(self, session: PeerSession, owner: Owner) -> None:
        self.table.add(session)
        self.sessions.append(session)
        self.owners.append(owner)

    def names_said(self) -> list[str]:
        """What was sent: the names of messages, the actions of Jingle."""
        return [str(each.action) if isinstance(each, Jingle) else str(each.__xml_tag__) for each in self.said]

    async def close(self) -> None:
        for session in self.sessions:
            session.hangup(Reason.of("gone"))
        await asyncio.gather(*(session.closed() for session in self.sessions))
