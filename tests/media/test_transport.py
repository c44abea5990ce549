"""The agent's own rules; that it carries real ICE is shown by test_leg.py."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import aioice.ice
import aioice.stun
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.media import transport
from focus.media.transport import PlaneConnection, local_candidates, usable
from focus.wire import ice
from tests.haste import Haste, hasty_loop, in_haste

from .peers import until

candidate = functools.partial(
    ice.Candidate, component=1, foundation="1", ip="192.0.2.1", port=4000, priority=1, protocol="udp", type="host"
)


class Wire:
    """A path that leads nowhere and remembers what it was asked."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, transport.Address, bytes]] = []
        self.allowed: list[tuple[int, transport.Address]] = []
        self.remote: list[tuple[int, transport.Address]] = []

    def send(self, local: int, address: transport.Address, data: bytes) -> None:
        self.sent.append((local, address, data))

    def allow(self, local: int, address: transport.Address) -> None:
        self.allowed.append((local, address))

    def set_remote(self, local: int, address: transport.Address) -> None:
        self.remote.append((local, address))

    def forget_remote(self) -> None:
        self.remote.clear()


def request(
    agent: PlaneConnection, *, password: str | None = None, ufrag: str | None = None, **attributes: object
) -> bytes:
    """A connectivity check as a peer would send it."""
    message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    message.attributes = {"USERNAME": f"{ufrag or agent.local_username}:them", "PRIORITY": 1} | attributes
    message.add_message_integrity((password or agent.local_password).encode())
    return bytes(message)


# --- candidates ---


@pytest.mark.parametrize(
    "changes",
    [
        {"component": 2},
        {"protocol": "tcp", "tcptype": "active"},
        {"ip": "fe80::1"},
        {"ip": "fe80::1%eth0"},
        {"ip": "2001:db8::1%eth0"},
        {"ip": "::ffff:192.0.2.1"},
        {"ip": "0c5ce9a2-1a0e-4a2c-b1d3-9b2f1c1f5ac7.local"},
        {"ip": "example.org"},
        {"ip": "192.0.2.256"},
        {"ip": ""},
        {"ip": "0.0.0.0"},
        {"ip": "::"},
        {"ip": "224.0.0.1"},
        {"ip": "255.255.255.255"},
        {"port": 0},
        {"type": "prflx"},
    ],
)
def test_a_candidate_that_cannot_be_used_is_ignored(changes: dict[str, Any]) -> None:
    assert usable(candidate(**changes)) is None


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({}, "192.0.2.1"),
        ({"protocol": "UDP"}, "192.0.2.1"),
        ({"ip": "2001:DB8:0::1", "type": "relay"}, "2001:db8::1"),
        ({"ip": "127.0.0.1"}, "127.0.0.1"),
    ],
)
def test_a_usable_candidate_is_taken_in_canonical_form(changes: dict[str, Any], host: str) -> None:
    taken = usable(candidate(**changes))
    assert taken is not None
    assert (taken.host, taken.port, taken.transport) == (host, 4000, "udp")


def test_every_address_becomes_a_candidate_that_real_clients_take() -> None:
    public = ["203.0.113.7", "192.0.2.1", "2001:db8::7", "203.0.113.7"]
    offered = local_candidates([("192.0.2.1", 10000), ("192.0.2.2", 10000), ("2001:db8::1", 10001)], public)
    assert [(c.ip, c.port, c.type, c.rel_addr, c.rel_port) for c in offered] == [
        ("192.0.2.1", 10000, "host", None, None),
        ("192.0.2.2", 10000, "host", None, None),
        ("2001:db8::1", 10001, "host", None, None),
        ("203.0.113.7", 10000, "srflx", "192.0.2.1", 10000),
        ("2001:db8::7", 10001, "srflx", "2001:db8::1", 10001),
    ]
    assert all(c.component == 1 and c.protocol == "udp" and c.generation == 0 and c.network == 0 for c in offered)
    assert all(1 <= len(c.foundation) <= 32 for c in offered)
    assert len({c.foundation for c in offered}) == len({c.id for c in offered}) == 5
    assert [c.priority for c in offered] == sorted({c.priority for c in offered}, reverse=True)


def test_a_public_address_of_a_family_without_socket_is_not_offered() -> None:
    assert [c.ip for c in local_candidates([("192.0.2.1", 10000)], ["2001:db8::7"])] == ["192.0.2.1"]


async def test_a_flood_of_candidates_is_cut() -> None:
    agent = PlaneConnection(Wire(), [("192.0.2.1", 10000)], ufrag="abcdefgh", controlling=False)
    await agent.add_candidates(candidate(port=port) for port in range(1, 1000))
    assert len(agent.remote_candidates) == transport.MAX_REMOTE_CANDIDATES
    await agent.close()


# --- STUN ---


async def test_only_an_address_whose_check_had_the_right_password_is_allowed() -> None:
    wire = Wire()
    agent = PlaneConnection(wire, [("192.0.2.1", 10000), ("192.0.2.2", 10000)], ufrag="abcdefgh", controlling=False)
    agent.stun_received(0, ("192.0.2.9", 1), request(agent, password="x" * 24))
    agent.stun_received(0, ("192.0.2.9", 2), request(agent, ufrag="abcdefgX"))
    assert wire.allowed == []
    assert [aioice.stun.parse_message(data).error_code for _, _, data in wire.sent] == [401, 401]
    agent.stun_received(1, ("192.0.2.9", 3), request(agent))
    agent.stun_received(1, ("192.0.2.9", 3), request(agent))
    assert wire.allowed == [(1, ("192.0.2.9", 3))]
    await agent.close()


# --- consent ---


PASSWORD = b"p" * 24
PEER = ("192.0.2.9", 1)


class Slow(Wire):
    """A path on which the answer to each check of ours comes when the next one has been sent, if `made` makes any."""

    def __init__(self) -> None:
        super().__init__()
        self.agent: PlaneConnection | None = None
        self.made: Callable[[aioice.stun.Message], bytes] = self.yes
        self.unanswered = b""

    @staticmethod
    def yes(
        check: aioice.stun.Message,
        password: bytes = PASSWORD,
        kind: aioice.stun.Class = aioice.stun.Class.RESPONSE,
    ) -> bytes:
        answer = aioice.stun.Message(check.message_method, kind, check.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.1", 10000)
        answer.add_message_integrity(password)
        return bytes(answer)

    def send(self, local: int, address: transport.Address, data: bytes) -> None:
        super().send(local, address, data)
        asked, self.unanswered = self.unanswered, data
        if asked and self.agent is not None:
            self.agent.stun_received(0, PEER, self.made(aioice.stun.parse_message(asked)))


async def consenting_agent(wire: Wire) -> PlaneConnection:
    """An agent that has found the peer, and does not ask for consent yet."""
    agent = PlaneConnection(wire, [("192.0.2.1", 10000)], ufrag="abcdefgh", controlling=True)
    agent.remote_username, agent.remote_password = "them", PASSWORD.decode()
    await agent.add_candidates([candidate(ip=PEER[0], port=PEER[1])])
    agent._nominated[1] = aioice.ice.CandidatePair(agent._protocols[0], agent.remote_candidates[0])
    return agent


@contextlib.asynccontextmanager
async def consenting() -> AsyncIterator[tuple[PlaneConnection, Slow]]:
    """An agent that asks for consent, and the path to its peer."""
    wire = Slow()
    wire.agent = agent = await consenting_agent(wire)
    agent._query_consent_task = asyncio.create_task(agent.query_consent())
    yield agent, wire
    await agent.close()


@pytest.mark.parametrize("repeated", [False, True], ids=["and nothing more", "again and again"])
def test_consent_is_asked_for_every_five_seconds_and_is_gone_thirty_after_the_last_answer(repeated: bool) -> None:
    """RFC 7675 section 5.1. One answer is consent once: it gains nobody more time that it is `repeated`."""
    haste = Haste()
    asked: list[float] = []
    answered: list[float] = []

    class Timed(Slow):
        """A path to a peer that answers twenty checks."""

        last = b""

        def send(self, local: int, address: transport.Address, data: bytes) -> None:
            asked.append(haste.now)
            super().send(local, address, data)

        def answer(self, check: aioice.stun.Message) -> bytes:
            if len(answered) == 20:
                return self.last if repeated else b""
            answered.append(haste.now)
            self.last = self.yes(check)
            return self.last

    async def live() -> float:
        wire = Timed()
        wire.made = wire.answer
        wire.agent = await consenting_agent(wire)
        await wire.agent.query_consent()
        assert wire.agent.lost
        return haste.now

    with asyncio.Runner(loop_factory=lambda: hasty_loop(haste)) as runner:
        lost = runner.run(live())
    gaps = [after - before for before, after in pairwise([0.0, *asked])]
    assert 3.99 < min(gaps) < 5 < max(gaps) < 6.01
    assert lost == pytest.approx(answered[-1] + 30, abs=0.01)
    assert asked[-1] < lost


async def lost(agent: PlaneConnection) -> None:
    """Until nobody consents any more."""
    async with asyncio.timeout(60):
        while not agent.lost:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(1)


@in_haste
async def test_consent_for_the_former_path_ends_while_a_restart_finds_no_other() -> None:
    """RFC 7675 section 5.1: nothing is sent any more, but the agent goes on looking (RFC 8445 section 9)."""
    async with consenting() as (agent, wire):
        agent.check_complete(agent._nominated[1])
        await asyncio.sleep(20)
        assert len(wire.sent) > 2
        assert wire.remote == [(0, PEER)]
        agent._checking = False  # `connect` has returned
        assert agent.restart("ijklmnop", "they", "q" * 24)
        assert not agent.restart("qrstuvwx", "they", "q" * 24), "connecting has to be begun once"
        asked = len(wire.sent)
        await agent.send(b"\x16 goes where media goes")
        assert wire.sent[asked:] == [(0, PEER, b"\x16 goes where media goes")]
        await asyncio.sleep(31)
        assert not wire.remote
        await agent.send(b"\x16 goes nowhere")
        assert len(wire.sent) == asked + 1, "nor is consent asked for by credentials that are no more"
        assert not agent.lost


@in_haste
async def test_answers_that_come_late_keep_consent_and_none_at_all_end_it() -> None:
    """They are five seconds late; aioice would look at no answer after half a second."""
    async with consenting() as (agent, wire):
        await asyncio.sleep(150)
        assert len(wire.sent) > 24  # of which six are a consent's life
        assert not agent.lost
        assert {(local, where) for local, where, _ in wire.sent} == {(0, PEER)}
        checks = [aioice.stun.parse_message(data) for _, _, data in wire.sent]
        assert all(check.check_message_integrity(PASSWORD) for check in checks)
        assert len({check.transaction_id for check in checks}) == len(checks)
        assert {check.attributes["USERNAME"] for check in checks} == {"them:abcdefgh"}
        assert not any("USE-CANDIDATE" in check.attributes for check in checks)
        assert len(agent._protocols[0].transactions) < 15
        wire.made = lambda check: b""
        await lost(agent)


@pytest.mark.parametrize(
    "made",
    [
        lambda check: Slow.yes(check, b"x" * 24),
        lambda check: Slow.yes(aioice.stun.Message(check.message_method, check.message_class)),
        lambda check: bytes(
            aioice.stun.Message(check.message_method, aioice.stun.Class.RESPONSE, check.transaction_id)
        ),
        lambda check: Slow.yes(check, kind=aioice.stun.Class.ERROR),
    ],
    ids=["another password", "another transaction", "no password", "an error"],
)
@in_haste
async def test_what_is_no_authentic_yes_is_no_consent(made: Callable[[aioice.stun.Message], bytes]) -> None:
    async with consenting() as (agent, wire):
        wire.made = made
        await lost(agent)


@in_haste
async def test_a_yes_from_elsewhere_is_no_consent() -> None:
    async with consenting() as (agent, wire):

        def elsewhere(check: aioice.stun.Message) -> bytes:
            agent.stun_received(0, ("192.0.2.9", 2), Slow.yes(check))
            return b""

        wire.made = elsewhere
        await lost(agent)


# --- checks ---


async def test_a_pair_whose_check_was_cut_short_can_still_be_nominated_later() -> None:
    wire = Wire()
    agent = PlaneConnection(wire, [("192.0.2.1", 10000)], ufrag="abcdefgh", controlling=False)
    agent.remote_username, agent.remote_password = "them", "p" * 24
    first, second = ("192.0.2.9", 1), ("192.0.2.9", 2)
    await agent.add_candidates([candidate(ip=host, port=port) for host, port in (first, second)])

    async def answer(address: transport.Address) -> None:
        """Say yes to the next check that is sent to `address`."""
        await until(lambda: any(where == address and data[:2] == b"\0\1" for _, where, data in wire.sent))
        sent = [data for _, where, data in wire.sent if where == address and data[:2] == b"\0\1"]
        check = aioice.stun.parse_message(sent[-1])
        yes = aioice.stun.Message(check.message_method, aioice.stun.Class.RESPONSE, check.transaction_id)
        yes.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.1", 10000)
        yes.add_message_integrity(b"p" * 24)
        agent.stun_received(0, address, bytes(yes))

    connecting = asyncio.create_task(agent.connect())
    await until(lambda: {where for _, where, _ in wire.sent} == {first, second})
    await answer(second)
    agent.stun_received(0, second, request(agent, **{"USE-CANDIDATE": None}))
    await connecting
    assert wire.remote == [(0, second)]
    wire.sent.clear()
    agent.stun_received(0, first, request(agent, **{"USE-CANDIDATE": None}))
    await answer(first)
    await until(lambda: len(wire.remote) == 2)
    assert wire.remote == [(0, second), (0, first)]
    assert set(wire.allowed) == {(0, first), (0, second)}
    await agent.close()


async def test_a_check_without_priority_is_ignored() -> None:
    wire = Wire()
    agent = PlaneConnection(wire, [("192.0.2.1", 10000)], ufrag="abcdefgh", controlling=False)
    message = aioice.stun.Message(
        aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST, attributes={"USERNAME": "abcdefgh:them"}
    )
    message.add_message_integrity(agent.local_password.encode())
    agent.stun_received(0, ("192.0.2.9", 1), bytes(message))
    assert (wire.sent, wire.allowed) == ([], [])
    await agent.close()


async def test_a_peer_that_checks_from_everywhere_is_allowed_only_so_many_addresses() -> None:
    wire = Wire()
    agent = PlaneConnection(wire, [("192.0.2.1", 10000)], ufrag="abcdefgh", controlling=False)
    for port in range(1, 1000):
        agent.stun_received(0, ("192.0.2.9", port), request(agent))
    assert len(wire.allowed) == transport.MAX_REMOTE_CANDIDATES
    await agent.close()


@given(data=st.data())
def test_no_stun_datagram_breaks_the_agent(data: st.DataObject) -> None:
    """Attributes of any type and length, with or without a good signature."""

    async def receive() -> None:
        wire = Wire()
        agent = PlaneConnection(wire, [("192.0.2.1", 10000)], ufrag="abcdefgh", controlling=data.draw(st.booleans()))
        agent.remote_username, agent.remote_password = "them", "p" * 24
        kinds = st.sampled_from([kind for kind, *_ in aioice.stun.ATTRIBUTES]) | st.integers(0, 0xFFFF)
        body = b""
        for kind, value in data.draw(st.lists(st.tuples(kinds, st.binary(max_size=24)), max_size=4)):
            body += kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
        header = data.draw(st.sampled_from([b"\x00\x01", b"\x01\x01", b"\x01\x11", b"\x00\x11", b"\x00\x03"]))
        packet = header + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + body
        agent.stun_received(0, ("192.0.2.9", 1), packet)
        agent.stun_received(0, ("192.0.2.9", 1), data.draw(st.binary(max_size=60)))
        assert wire.allowed == []
        await agent.close()

    asyncio.run(receive())


# --- datagrams of DTLS ---


async def test_what_is_no_dtls_is_dropped_and_so_is_a_flood() -> None:
    agent = PlaneConnection(Wire(), [("192.0.2.1", 10000)], ufrag="abcdefgh", controlling=False)
    for data in (b"", b"\x80rtp", b"\x00stun"):
        agent.data_received(data)
    assert agent._queue.qsize() == 0
    for _ in range(1000):
        agent.data_received(b"\x16dtls")
    assert agent._queue.qsize() == transport.MAX_PENDING_DATAGRAMS
    await agent.close()
