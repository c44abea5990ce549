"""ICE (RFC 8445) over sockets that the media plane owns.

aioice is the full ICE agent of a leg and never has a socket: STUN and DTLS datagrams come up from the plane and go down
through it. SRTP and RTCP never get here. What is taken for granted about aioice's private parts is checked in
libraries.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, cast

import aioice.ice
import aioice.stun
from aioice.candidate import candidate_priority
from aioice.utils import random_string

from focus.wire import ice

Address = tuple[str, int]

#: Addresses of one peer, signalled or learned, that are looked at. More is a flood.
MAX_REMOTE_CANDIDATES = 100
#: DTLS datagrams kept until the handshake takes them: several times the longest flight.
MAX_PENDING_DATAGRAMS = 64


class TransportError(Exception):
    """ICE or DTLS did not come up, or broke. The text says why, for people."""


class Path(Protocol):
    """What the ICE agent of one leg needs of the plane. `local` is the index of one of the plane's addresses."""

    def send(self, local: int, address: Address, data: bytes) -> None:
        """Send a STUN or DTLS datagram."""

    def allow(self, local: int, address: Address) -> None:
        """The peer proved with a connectivity check that it is at `address`."""

    def set_remote(self, local: int, address: Address) -> None:
        """The pair that was nominated: media goes there."""

    def forget_remote(self) -> None:
        """The peer has not said for too long that it wants media there."""


class PlaneTransport(asyncio.DatagramTransport):
    """What aioice takes for the socket of one of the plane's addresses."""

    def __init__(self, path: Path, local: int) -> None:
        super().__init__()
        self._path = path
        self._local = local
        self._protocol: PlaneProtocol | None = None

    def attach(self, protocol: PlaneProtocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def sendto(self, data: Any, addr: Any = None) -> None:
        self._path.send(self._local, addr, bytes(data))

    def close(self) -> None:
        if self._protocol is not None:
            self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return False


class PlaneProtocol(aioice.ice.StunProtocol):
    """The STUN endpoint of one leg at one of the plane's addresses."""

    def __init__(self, receiver: PlaneConnection, local: int) -> None:
        super().__init__(receiver)
        self.local = local

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        try:
            super().datagram_received(data, addr)
        except struct.error:
            return  # COMPAT aioice: an attribute of the wrong length is no ValueError there, and is no STUN here

    def send_stun(self, message: aioice.stun.Message, addr: Address) -> None:
        # aioice says success to a request when, and only when, its USERNAME and MESSAGE-INTEGRITY were right.
        if message.message_class is aioice.stun.Class.RESPONSE:
            cast(PlaneConnection, self.receiver).passed(self.local, addr)
        super().send_stun(message, addr)


class ConsentCheck:
    """A check that was sent to a peer's address; its protocol gives it the answers that have its transaction. It is one
    of `checks` until one of them counts: whoever repeats that one gains no time by it.
    """

    def __init__(
        self, checks: dict[bytes, Any], address: Address, password: bytes, at: float, answered: Callable[[], None]
    ) -> None:
        self.at = at
        self._checks = checks
        self._address = address
        self._password = password
        self._answered = answered

    def response_received(self, message: aioice.stun.Message, address: Address) -> None:
        yes = message.message_class is aioice.stun.Class.RESPONSE
        if yes and address == self._address and message.check_message_integrity(self._password):
            del self._checks[message.transaction_id]
            self._answered()


class PlaneConnection(aioice.ice.Connection):
    """The ICE agent of one leg, with one host candidate for each address of the plane.

    It never signals the end of the peer's candidates: a peer may have none to signal and be learned from its checks,
    so who waits for `connect` sets the time limit.
    """

    def __init__(self, path: Path, addresses: Sequence[Address], *, ufrag: str, controlling: bool) -> None:
        super().__init__(ice_controlling=controlling, local_username=ufrag, local_password=random_string(24))
        self._path = path
        self._passed: set[tuple[int, Address]] = set()
        self._selected: tuple[int, Address] | None = None
        self._checking = True  # until `connect` returns, and from `restart` on again
        self._consented = 0.0  # when the peer last said that it wants to be sent to
        self._expiry: asyncio.TimerHandle | None = None  # of that, while a restart finds no new pair
        for local, (host, port) in enumerate(addresses):
            protocol = PlaneProtocol(self, local)
            PlaneTransport(path, local).attach(protocol)
            protocol.local_candidate = aioice.Candidate(
                foundation=str(local + 1),
                component=1,
                transport="udp",
                priority=host_priority(local),
                host=host,
                port=port,
                type="host",
            )
            self._protocols.append(protocol)
            self._local_candidates.append(protocol.local_candidate)
        self._local_candidates_start = self._local_candidates_end = True  # nothing to gather: the plane is bound

    async def add_candidates(self, candidates: Iterable[ice.Candidate]) -> None:
        """Learn of the peer's candidates; those that cannot be used are dropped, and so is a flood of them."""
        for candidate in candidates:
            if len(self._remote_candidates) >= MAX_REMOTE_CANDIDATES:
                return
            if (remote := usable(candidate)) is not None:
                await self.add_remote_candidate(remote)

    def stun_received(self, local: int, address: Address, data: bytes) -> None:
        """A STUN datagram that the plane took to be of this leg."""
        if not self._closing:
            self._protocols[local].datagram_received(data, address)

    def data_received(self, data: bytes, component: int = 1) -> None:
        """A DTLS datagram. What is not one is dropped, and so is a flood of them."""
        if data and 20 <= data[0] <= 63 and self._queue.qsize() < MAX_PENDING_DATAGRAMS:
            super().data_received(data, component)

    def request_received(self, message: aioice.stun.Message, addr: Address, protocol: aioice.ice.StunProtocol) -> None:
        if "PRIORITY" not in message.attributes:
            return  # RFC 8445 section 7.2.2 has it in each check; aioice would stumble
        known = any(c._network_host == addr[0] and c.port == addr[1] for c in self._remote_candidates)
        if known or len(self._remote_candidates) < MAX_REMOTE_CANDIDATES:
            super().request_received(message, addr, protocol)

    def passed(self, local: int, address: Address) -> None:
        """A check between our address and theirs had the right MESSAGE-INTEGRITY."""
        if (local, address) not in self._passed and len(self._passed) < MAX_REMOTE_CANDIDATES:
            self._passed.add((local, address))
            self._path.allow(local, address)

    def repeat_passed(self) -> None:
        """Say again what `passed` has said so far."""
        for local, address in self._passed:
            self._path.allow(local, address)

    def check_complete(self, pair: aioice.ice.CandidatePair) -> None:
        super().check_complete(pair)
        if pair.state is aioice.ice.CandidatePair.State.SUCCEEDED:
            self.passed(cast(PlaneProtocol, pair.protocol).local, pair.remote_addr)
        selected = self._nominated.get(1)
        if selected is not None:
            there = (cast(PlaneProtocol, selected.protocol).local, selected.remote_addr)
            if there != self._selected:
                self._selected = there
                self._path.set_remote(*there)

    async def query_consent(self) -> None:
        """Ask every 5 s whether the peer still wants to be sent to, and close 30 s after its last answer (RFC 7675).
        aioice waits for each answer for half a second; on a slow path all of them come later.
        """
        loop = asyncio.get_running_loop()
        interval, lifetime = aioice.ice.CONSENT_INTERVAL, _consent_lifetime()
        self._consented = loop.time()
        password = cast(str, self.remote_password).encode()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(lifetime) as consent:

                def answered() -> None:
                    if not consent.expired():
                        self._consented = loop.time()
                        consent.reschedule(self._consented + lifetime)

                while True:
                    await asyncio.sleep(interval * random.uniform(0.8, 1.2))
                    for pair in self._nominated.values():
                        checks = cast(dict[bytes, Any], pair.protocol.transactions)
                        for transaction, check in list(checks.items()):
                            if isinstance(check, ConsentCheck) and check.at < loop.time() - lifetime:
                                del checks[transaction]
                        request = self.build_request(pair, nominate=False)
                        request.add_message_integrity(password)
                        check = ConsentCheck(checks, pair.remote_addr, password, loop.time(), answered)
                        checks[request.transaction_id] = check
                        pair.protocol.send_stun(request, pair.remote_addr)
        self._query_consent_task = None
        await self.close()

    async def connect(self) -> None:
        """Check pairs until one is nominated; again after `restart`. Raises `TransportError` if the agent is closed
        meanwhile."""
        try:
            await super().connect()
        except ConnectionError as error:
            raise TransportError(str(error)) from None
        finally:
            self._checking = False
            self._stop_expiry()
        if not self.ice_controlling:
            # aioice leaves the pairs whose checks it cancels here "in progress" for ever; a peer that nominates one of
            # them later could not be followed.
            cancelled = {pair: pair.task for pair in self._check_list if pair.task is not None}
            if cancelled:
                await asyncio.wait(cancelled.values())
            for pair in cancelled:
                pair.task = None
                pair.state = aioice.ice.CandidatePair.State.FROZEN

    def restart(self, ufrag: str, remote_username: str, remote_password: str) -> bool:
        """Begin anew, `ufrag` being ours, with other credentials on both sides (RFC 8445 section 9). What has been
        nominated is used until there is something better, or the peer's consent for it has run out.

        Returns whether `connect` has to be called again, which otherwise is still at work.
        """
        for pair in self._check_list:
            if pair.task is not None:
                pair.task.cancel()
        for gone in (self._check_list, self._remote_candidates, self._nominated, self._nominating, self._early_checks):
            gone.clear()
        self._passed.clear()
        self._check_list_done = False
        while not self._check_list_state.empty():
            self._check_list_state.get_nowait()
        self._local_username, self._local_password = ufrag, random_string(24)
        self.remote_username, self.remote_password = remote_username, remote_password
        if self._query_consent_task is not None:
            self._query_consent_task.cancel()
            self._query_consent_task = None
            self._expiry = asyncio.get_running_loop().call_at(self._consented + _consent_lifetime(), self._expire)
        connect_again, self._checking = not self._checking, True
        return connect_again

    def _expire(self) -> None:
        self._selected = self._expiry = None
        self._path.forget_remote()

    def _stop_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    async def recvfrom(self) -> tuple[bytes, int]:
        """The next DTLS datagram; while a restart has nominated nothing, too, which is where aioice gives up."""
        received = None if self._closing else await self._queue.get()
        if received is None:
            raise ConnectionError("the connection is closed")
        return received

    async def sendto(self, data: bytes, component: int) -> None:
        """Send a DTLS datagram to where media goes. What goes nowhere at the moment is lost."""
        if self._closing:
            raise ConnectionError("the connection is closed")
        if self._selected is not None:
            self._path.send(*self._selected, data)

    async def close(self) -> None:
        self._stop_expiry()
        await super().close()

    @property
    def lost(self) -> bool:
        """Closed, by us or because consent (RFC 7675) ran out."""
        return self._closing


def _consent_lifetime() -> float:
    return aioice.ice.CONSENT_INTERVAL * aioice.ice.CONSENT_FAILURES


def new_ufrag() -> str:
    """A user fragment long enough to be alone in a plane (RFC 8445 section 5.3 asks for 4)."""
    return random_string(12)


def host_priority(index: int) -> int:
    """The priority of the host candidate number `index`: earlier is better (RFC 8445 section 5.1.2.1)."""
    return candidate_priority(1, "host", 65535 - index)


def local_candidates(addresses: Sequence[Address], public_addresses: Sequence[str]) -> tuple[ice.Candidate, ...]:
    """Every way to reach the plane, to be signalled.

    `public_addresses` are those by which a 1:1 NAT shows the plane: server reflexive candidates (RFC 8445 section
    5.1.1.2) that no STUN server had to tell us, with the plane's first address of their family for a base. They have no
    socket and so exist in signalling only: the peer's check arrives at one of the plane's addresses.
    """
    base_of: dict[int, Address] = {}
    for address in addresses:
        base_of.setdefault(ipaddress.ip_address(address[0]).version, address)
    hosts = [host for host, _ in addresses]
    offered = [_signalled(index, "host", *address) for index, address in enumerate(addresses)]
    for host in dict.fromkeys(public_addresses):
        base = base_of.get(ipaddress.ip_address(host).version)
        if base is not None and host not in hosts:
            offered.append(_signalled(len(offered), "srflx", host, base[1], base))
    return tuple(offered)


def _signalled(
    index: int, kind: Literal["host", "srflx"], host: str, port: int, base: Address | None = None
) -> ice.Candidate:
    """The candidate number `index`, in the words of XEP-0176."""
    return ice.Candidate(
        component=1,
        foundation=str(index + 1),
        generation=0,
        id=random_string(10),
        ip=host,
        network=0,
        port=port,
        priority=candidate_priority(1, kind, 65535 - index),
        protocol="udp",
        type=kind,
        rel_addr=None if base is None else base[0],
        rel_port=None if base is None else base[1],
    )


def usable(candidate: ice.Candidate) -> aioice.Candidate | None:
    """`candidate` for aioice, or None for what cannot be used here.

    That is: RTCP's component (we multiplex), TCP, names (mDNS: nobody waits for a resolver), link-local addresses,
    which have no scope here, and addresses or ports that nothing can be sent to.
    """
    if candidate.component != 1 or candidate.protocol.lower() != "udp" or candidate.type == "prflx":
        return None
    try:
        address = ipaddress.ip_address(candidate.ip)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and (
        address.is_link_local or address.ipv4_mapped is not None or address.scope_id is not None
    ):
        return None
    if isinstance(address, ipaddress.IPv4Address) and address.is_reserved:  # the broadcast address among them
        return None
    if address.is_multicast or address.is_unspecified or candidate.port == 0:
        return None
    return aioice.Candidate(
        foundation=candidate.foundation,
        component=1,
        transport="udp",
        priority=candidate.priority,
        host=str(address),
        port=candidate.port,
        type=candidate.type,
    )
