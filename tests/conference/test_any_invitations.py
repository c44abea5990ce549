"""A conference under whatever several devices of several people say to it, by XEP-0353 and Jingle, in any order.

The stanzas and the clock are the test's; all else is the service.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from focus.wire.base import Element
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import Action, Jingle, Reason
from focus.wire.jingle_message import (
    BY_TAG,
    JMI_0,
    JMI_1,
    Accept,
    Dialect,
    Finish,
    JingleMessage,
    Proceed,
    Propose,
    Reject,
    Retract,
    Ringing,
    in_dialect,
)
from focus.wire.rayo import Dial, Hangup, Join
from focus.wire.rtp import Description
from tests.jingle.pair import FakeLeg
from tests.jingle.test_negotiation import audio, their_accept
from tests.jingle.test_peer_any_order import Complaints
from tests.rayo.scene import DOMAIN

from .conftest import EAGER
from .scene import Meeting

TEA = JID("tea", DOMAIN)
ACCOUNTS = ("alice@example.org", "zoe@example.org")
DEVICES = [f"{account}/{device}" for account in ACCOUNTS for device in ("desk", "kitchen", "garden")]
KINDS = [Propose, Propose, Ringing, Proceed, Accept, Reject, Retract, Finish]

devices = st.sampled_from(DEVICES)
ids = st.sampled_from(["a", "b", "m", "y", "theirs", "theirs"])
dialects = st.sampled_from([JMI_0, JMI_1])
addresses = st.sampled_from([TEA, TEA, TEA.with_resource("focus"), JID("milk", DOMAIN), JID("", DOMAIN)])


class Clock(asyncio.SelectorEventLoop):
    """On which time passes when there is nothing else to do."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__()

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class Device:
    """Says what it is told to, and remembers what it hears."""

    deaf = False

    def __init__(self, meeting: Meeting, jid: str) -> None:
        self.meeting = meeting
        self.jid = JID.parse(jid)
        self.heard: list[tuple[JID, Element]] = []
        meeting.net.ends[self.jid] = self  # type: ignore[assignment]
        meeting.features[self.jid] = frozenset()

    def take_message(self, sender: JID, text: str) -> None:
        tree = ET.fromstring(text)
        self.heard.append((sender, BY_TAG[tree.tag].parse(tree)))

    def take_iq(self, sender: JID, text: str) -> None:
        self.heard.append((sender, Jingle.parse(ET.fromstring(text))))

    async def say(self, to: JID, message: JingleMessage) -> None:
        self.meeting.focus.take_message(self.jid, to, message.to_string())

    async def act(self, to: JID, jingle: Jingle) -> None:
        with contextlib.suppress(StanzaError):
            self.meeting.focus.take_iq(self.jid, to, jingle.to_string())

    def messages(self, kind: type[JingleMessage], id: str) -> list[JingleMessage]:
        """Of the room that we look at."""
        return [each for at, each in self.heard if at.bare == TEA and isinstance(each, kind) and each.id == id]

    async def close(self) -> None:
        """It has nothing to close."""


class AnyInvitations(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=Clock)
        self.complaints = Complaints()
        logging.getLogger("focus").addHandler(self.complaints)
        self.runner.run(self._begin())
        self.proposed: set[tuple[str, str]] = set()  # by devices: who, and what
        self.given_up: set[tuple[str, str]] = set()
        self.begun: set[tuple[str, str]] = set()  # without a proposal

    async def _begin(self) -> None:
        self.meeting = Meeting(replace(EAGER, entry_wait=15.0, linger=15.0))
        await self.meeting.start()
        self.devices = {jid: Device(self.meeting, jid) for jid in DEVICES}

    def run(self, step: Awaitable[object]) -> None:
        """`step`, and all that follows from it at once."""

        async def whole() -> None:
            await step
            for _ in range(60):
                await asyncio.sleep(0)

        self.runner.run(whole())

    def _id(self, device: Device, id: str) -> str:
        """`theirs`: of the last proposal that came there."""
        proposals = [each.id for _, each in device.heard if isinstance(each, Propose)]
        return proposals[-1] if id == "theirs" and proposals else id

    # what devices do

    @rule(jid=devices, kind=st.sampled_from(KINDS), id=ids, dialect=dialects, to=addresses)
    def say(self, jid: str, kind: type[JingleMessage], id: str, dialect: Dialect, to: JID) -> None:
        device = self.devices[jid]
        id = self._id(device, id)
        described: dict[str, Any] = {"descriptions": (Description(media="audio"),)} if kind is Propose else {}
        is_ours = any(isinstance(each, Propose) and each.id == id for _, each in device.heard)
        if kind is Propose and to.local == "tea" and (jid, id) not in self.begun and not is_ours:
            self.proposed.add((jid, id))
        if kind in (Retract, Finish):
            self.given_up.add((jid, id))
        self.run(device.say(to, in_dialect(kind, dialect)(id=id, **described)))

    @rule(jid=devices, id=ids, to=addresses)
    def initiate(self, jid: str, id: str, to: JID) -> None:
        device = self.devices[jid]
        id = self._id(device, id)
        jingle = Jingle(action=Action.SESSION_INITIATE, sid=id, contents=(audio(),))
        if (jid, id) not in self.begun:
            self.begun.add((jid, id))
            self.run(device.act(to, jingle))

    @rule(jid=devices, dialect=dialects, arrives=st.booleans())
    def call(self, jid: str, dialect: Dialect, arrives: bool) -> None:
        """As it should be."""
        device, id = self.devices[jid], f"call-{len(self.proposed)}"
        self.proposed.add((jid, id))
        propose = in_dialect(Propose, dialect)(id=id, descriptions=(Description(media="audio"),))
        self.run(device.say(TEA, propose))
        self.run(device.act(TEA, Jingle(action=Action.SESSION_INITIATE, sid=id, contents=(audio(),))))
        if arrives:
            self.connect(-1, True)

    @rule(jid=devices)
    def accept(self, jid: str) -> None:
        device = self.devices[jid]
        for sender, each in list(device.heard):
            if isinstance(each, Jingle) and each.action is Action.SESSION_INITIATE:
                accept = Jingle(action=Action.SESSION_ACCEPT, sid=each.sid, contents=(their_accept(),))
                self.run(device.act(sender, accept))

    @rule(jid=devices, id=ids)
    def terminate(self, jid: str, id: str) -> None:
        device = self.devices[jid]
        sid = self._id(device, id)
        self.given_up.add((jid, sid))
        self.run(device.act(TEA, Jingle(action=Action.SESSION_TERMINATE, sid=sid, reason=Reason.of("success"))))

    @rule(jid=devices)
    def go_offline(self, jid: str) -> None:

        async def go() -> None:
            self.meeting.focus.server.peer_unavailable(JID.parse(jid))

        self.run(go())

    # what happens to them

    @rule(number=st.integers(0, 9), works=st.sampled_from([True, True, True, False]))
    def connect(self, number: int, works: bool) -> None:
        waiting = [leg for leg in self._legs() if leg.remote is not None and not leg.connected]

        async def connect(leg: FakeLeg) -> None:
            leg.connected = works
            if works:
                leg.observer.leg_connected()
            else:
                leg.observer.leg_failed("no path")

        if waiting:
            self.run(connect(waiting[number % len(waiting)]))

    def _legs(self) -> list[FakeLeg]:
        return [leg for leg in self.meeting.plane.air.legs.values() if not leg.closed]

    @rule(account=st.sampled_from(ACCOUNTS))
    def dial(self, account: str) -> None:
        call = Dial(to=f"xmpp:{account}", from_=TEA.uri, joins=(Join(mixer_name="tea"),))
        self.run(self.meeting.admin.dial(call))

    @rule(number=st.integers(0, 9))
    def hang_up(self, number: int) -> None:
        calls = [call for call in self.meeting.focus.server.directory.calls() if not call.is_over]
        if calls:
            self.run(self.meeting.admin.command(calls[number % len(calls)].address, Hangup()))

    @rule(seconds=st.sampled_from([0.5, 3.0, 31.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    # what must always be so

    @invariant()
    def nobody_who_proposes_takes_part_twice(self) -> None:
        for conference in self.meeting.application.conferences:
            here = [one.session for one in conference.roster.participants.values() if one.session.connected]
            accounts = Counter(JID.parse(each.peer).bare for each in here if each.proposed)
            assert not [account for account, count in accounts.items() if count > 1]
            places = Counter(each.peer for each in here if each.joining_method == "dialed-in")
            assert not [peer for peer, count in places.items() if count > 1]

    @invariant()
    def nothing_is_said_twice(self) -> None:
        """But that nobody can be called at an address."""
        for device in self.devices.values():
            said = Counter(
                (sender.bare, type(each).__xml_tag__, each.id)
                for sender, each in device.heard
                if isinstance(each, JingleMessage) and sender.local and not _is_too_late(each)
            )
            assert not [what for what, count in said.items() if count > 1]
            actions = Counter((each.action, each.sid, at.bare) for at, each in device.heard if isinstance(each, Jingle))
            once = (Action.SESSION_INITIATE, Action.SESSION_ACCEPT, Action.SESSION_TERMINATE)
            assert not [what for what, count in actions.items() if count > 1 and what[0] in once]

    @invariant()
    def nothing_crashed(self) -> None:
        assert [record.getMessage() for record in self.complaints.records] == []

    def teardown(self) -> None:
        """Whatever came of it: what has media goes on until somebody ends it, and all else ends by itself."""
        self.run(asyncio.sleep(400.0))
        calls = [call for call in self.meeting.focus.server.directory.calls() if not call.is_over]
        assert all(call.leg is not None and call._connected for call in calls)
        for call in calls:
            self.run(self.meeting.admin.command(call.address, Hangup()))
        self.run(asyncio.sleep(30.0))
        assert self.meeting.has_no_calls()
        assert not len(self.meeting.focus.server._sessions)
        for jid, id in self.proposed:
            device = self.devices[jid]
            taken = device.messages(Proceed, id) + device.messages(Accept, id)
            finished, rejected = device.messages(Finish, id), device.messages(Reject, id)
            assert rejected or finished or (jid, id) in self.given_up, "every proposal comes to an end"
            assert finished or not taken, "and whoever was answered hears of it"
        self.nothing_is_said_twice()
        self.nothing_crashed()
        self.runner.run(self.meeting.stop())
        logging.getLogger("focus").removeHandler(self.complaints)
        self.runner.close()


def _is_too_late(message: JingleMessage) -> bool:
    """An answer to a device that takes what is over, as often as it does."""
    return isinstance(message, Retract) and message.reason is not None and message.reason.text == "this call is over"


TestAnyInvitations = AnyInvitations.TestCase
TestAnyInvitations.settings = settings(
    deadline=None, max_examples=50, stateful_step_count=30, suppress_health_check=list(HealthCheck)
)
