"""The media plane as the rest of the focus sees it: the one adapter to `mixer_ext`.

A shard has one UDP port on each of its addresses, and a thread; mostly one is enough, with all legs of all calls on it.
The graph is Rayo's (XEP-0327 section 6.3): nodes are legs and mixers, edges are joins with a direction.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum

import ifaddr
import numpy as np
from numpy.typing import NDArray

from focus.media.leg import Leg, LegObserver, SourceIds, Tap
from focus.media.realtime import favour
from focus.media.shards import Shards
from focus.media.totals import Totals
from focus.media.transport import Address
from mixer_ext import Event, Plane

logger = logging.getLogger(__name__)

#: For how long ICE and DTLS of a leg may take, in seconds.
CONNECT_TIMEOUT = 20.0
#: How often it is looked whether a node that something is played at is still there, in seconds.
LOOK_AGAIN = 1.0
#: The load above which a plane encodes cheaper.
RELIEF = 0.7
#: What of several shards' statistics is no sum: those of the one that is the worst off are told.
WORST: Mapping[str, Callable[[Iterable[float]], float]] = {"late_max_us": max, "load": max, "complexity": min}
#: How often a port that is free on the first address is tried on the others.
PORT_ATTEMPTS = 50


class UnknownName(Exception):
    """A public address was given by a name that leads nowhere. The text says which, and why."""


class Direction(Enum):
    """Which way audio goes in a join, seen from the node named first (XEP-0327 section 6.3)."""

    DUPLEX = "duplex"
    SEND = "send"
    """It is heard, and hears nothing."""
    RECV = "recv"
    """It hears, and is not heard."""


class MediaPlane:
    """All media of a process: starts the planes, brings their events to the legs, and makes legs and mixers.

    `addresses`: (ip, port) to be bound to, one socket each; an unspecified ip (`0.0.0.0`, `::`) means all addresses
    of the machine of that family, port 0 a free one, the same on all addresses that ask for it. `public_addresses`:
    those by which a 1:1 NAT shows this machine to the world, names among them being looked up at the start.
    `shards`: how many planes there are; the n-th one after the first has the n-th port after those given. `realtime`:
    before all other work of the machine, where that is allowed (`focus.media.realtime`). `loudest`: of those who speak
    at once in a mixer so many are heard, 0 for all. `agc`: who is too quiet is slowly made louder, and who is too loud
    quieter.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        public_addresses: Sequence[str] = (),
        connect_timeout: float = CONNECT_TIMEOUT,
        shards: int = 1,
        realtime: bool = False,
        loudest: int = 8,
        agc: bool = False,
    ) -> None:
        if shards < 1 or any(port + shards > 65536 for _, port in addresses):
            raise ValueError(f"no ports for {shards} shards at {addresses}")
        self._wanted = _expanded(addresses)
        self._count = shards
        self._realtime = realtime
        self._loudest = loudest
        self._agc = agc
        self._known_as = tuple(public_addresses)
        self._public_addresses: list[str] = []
        self._connect_timeout = connect_timeout
        self._native: Shards | None = None
        self._legs: dict[int, Leg] = {}
        self._playing: dict[int, asyncio.Event] = {}
        self._dominance: dict[int, Callable[[int | None], None]] = {}
        self._sources = SourceIds()
        self._totals = Totals()

    async def start(self) -> None:
        """Bind and run. Raises OSError with its errno where an address cannot be bound, and `UnknownName`."""
        if self._native is not None:
            return
        self._public_addresses = [address for name in self._known_as for address in await _looked_up(name)]
        with contextlib.ExitStack() as undo:
            planes = []
            for n in range(self._count):
                wanted = [(host, port + n if port else 0) for host, port in self._wanted]
                planes.append(_bind(wanted, first_id=1 + n, step=self._count))
                undo.callback(planes[-1].stop)
            undo.pop_all()
        kept = min(plane.receive_buffer for plane in planes)
        logger.info("the kernel keeps %d KiB of what comes in on each port", kept >> 10)
        self._native = Shards(planes)
        for plane in planes:
            plane.start()
            asyncio.get_running_loop().add_reader(plane.fileno(), self._drain, plane)
        if self._realtime:
            favour([plane.thread_id for plane in planes if plane.thread_id is not None])

    async def stop(self) -> None:
        """Close all legs, and release the port."""
        if self._native is None:
            return
        await asyncio.gather(*(leg.close() for leg in list(self._legs.values())))
        for plane in self._native.planes:
            asyncio.get_running_loop().remove_reader(plane.fileno())
            plane.stop()
        self._native = None
        for ended in self._playing.values():
            ended.set()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """As bound, those of one shard after those of another."""
        return tuple(address for plane in self._shards.planes for address in plane.addresses)

    @property
    def public_addresses(self) -> tuple[str, ...]:
        """The IPs by which a NAT shows this machine, as they were at the start."""
        return tuple(self._public_addresses)

    @property
    def port(self) -> int:
        """Of the first address; of all of the first shard's if they were not given different ones."""
        return self.addresses[0][1]

    @property
    def calls_with_itself(self) -> int:
        """How often two legs can be each other's peers at a time: each of them needs a port of its own."""
        return self._count // 2

    @property
    def _shards(self) -> Shards:
        if self._native is None:
            raise RuntimeError("the media plane is not running")
        return self._native

    # --- the graph ---

    def create_leg(
        self,
        *,
        controlling: bool,
        observer: LegObserver,
        room: str | None = None,
        near: int | None = None,
        with_ourselves: bool = False,
    ) -> Leg:
        """A leg for one peer. `controlling`: our ICE role, ours if we initiate the session (RFC 8445 section 6.1.1).

        `near`: a node that it will be joined with, or `room`: what it calls, so that they are in one shard.
        `with_ourselves`: the peer is another leg of this plane, so that they must not be; see `calls_with_itself`.
        """
        shards = self._shards

        def entered(leg: Leg) -> None:
            self._legs[leg.node] = leg
            shards.leg_entered(leg.node, room, is_end=with_ourselves)

        def left(leg: Leg) -> None:
            del self._legs[leg.node]
            shards.leg_left(leg.node)

        return Leg(
            shards.place(room=room, near=near, end=int(not controlling) if with_ourselves else None),
            self._sources,
            controlling=controlling,
            observer=observer,
            public_addresses=self._public_addresses,
            connect_timeout=self._connect_timeout,
            entered=entered,
            left=left,
            totals=self._totals,
            agc=self._agc,
        )

    def create_mixer(
        self,
        dominant_changed: Callable[[int | None], None] | None = None,
        *,
        room: str | None = None,
        near: int | None = None,
    ) -> int:
        """A new mixer node. `room`, `near`: as for legs. `dominant_changed` is called with the node of the leg that is
        its dominant speaker from now on, of those joined to this mixer itself; None: the one that was has left.
        """
        mixer = self._shards.add_mixer(room=room, near=near)
        self._shards.of(mixer).set_loudest(mixer, self._loudest)
        if dominant_changed is not None:
            self._dominance[mixer] = dominant_changed
        return mixer

    def add_source(self, target: int) -> int:
        """A node of its own to `play` at, which only `target` hears, a leg or a mixer with all who are in it; several
        are mixed. To be ended by `remove_mixer`. ValueError: `target` is gone.
        """
        source = self._shards.add_mixer(near=target)
        try:
            self.join(source, target, Direction.SEND)
        except ValueError:
            self._shards.remove_mixer(source)
            raise
        return source

    def remove_mixer(self, mixer: int) -> None:
        """Take a mixer and its joins away."""
        self._dominance.pop(mixer, None)
        self._shards.remove_mixer(mixer)

    def join(self, a: int, b: int, direction: Direction = Direction.DUPLEX) -> None:
        """Let audio flow between two nodes; again to change the direction. ValueError: unknown node, or a loop."""
        self._shards.join(a, b, a_to_b=direction is not Direction.RECV, b_to_a=direction is not Direction.SEND)

    def unjoin(self, a: int, b: int) -> None:
        """End what `join` began. Idempotent; a node that is gone has no joins."""
        with contextlib.suppress(ValueError):
            self._shards.unjoin(a, b)

    def set_gain(self, node: int, gain: float) -> None:
        """Volume, 0 to 4 times, of what a leg's peer says, or of what is played into a mix; ValueError outside."""
        leg = self._legs.get(node)
        if leg is not None:
            leg.set_gain(gain)
        else:
            self._shards.of(node).set_gain(node, gain)

    def set_listener_gain(self, listener: int, source: int, gain: float) -> None:
        """How loud, 0 to 4 times, one leg hears another, which for all others stays as it is; 1 ends it, as either leg
        does. ValueError outside, for what is no leg, and for legs of different shards.
        """
        if listener in self._legs and source in self._legs:
            self._legs[listener].set_listener_gain(self._legs[source], gain)
        else:
            self._shards.set_listener_gain(listener, source, gain)

    def set_modem(self, leg: int, enabled: bool) -> None:
        """Have a leg carry what a modem says and hears (`Leg.set_modem`). ValueError: it is none, or closed."""
        if leg not in self._legs:
            raise ValueError(f"{leg} is no leg")
        self._legs[leg].set_modem(enabled)

    def succeed(self, leg: int, predecessor: int) -> None:
        """Let the peer of a leg be heard as loud as that of another has been, by everybody and by each, and hear others
        so. ValueError: they are no legs, or closed.
        """
        if leg not in self._legs or predecessor not in self._legs:
            raise ValueError(f"{leg} and {predecessor} are not both legs")
        self._legs[leg].take_volumes(self._legs[predecessor], list(self._legs.values()))

    def play(self, node: int, samples: NDArray[np.int16]) -> int:
        """Queue `samples` (int16 mono, 48 kHz): to a leg's peer, or into a mix. Returns how many fitted (10 s do)."""
        return self._shards.of(node).play(node, samples)

    def play_pending(self, node: int) -> int:
        """How many samples are still to be played at `node`."""
        return self._shards.of(node).play_pending(node)

    def unplay(self, node: int) -> int:
        """Take back what is still to be played at `node`, but for the next 40 ms. Returns how many samples that was."""
        return self._shards.of(node).unplay(node)

    async def played(self, node: int) -> None:
        """Wait until nothing is left to be played at `node`, or the node is gone, or the plane has stopped."""
        try:
            with contextlib.suppress(ValueError):
                while self._native is not None and self.play_pending(node):
                    ended = self._playing.setdefault(node, asyncio.Event())
                    ended.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), LOOK_AGAIN)
        finally:
            self._playing.pop(node, None)

    def tap(self, node: int, *, sent: bool = False) -> Tap:
        """Listen at `node`: what a leg's peer says or (`sent`) is sent, or all of a mix."""
        return Tap(self._shards.of(node), node, sent=sent)

    def load(self, *, room: str | None = None, near: int | None = None) -> float:
        """The share of its time, 0 to 1, in which the shard is at work, or waits for a core, which a leg would be added
        to; see `create_leg`."""
        return self._shards.place(room=room, near=near).load

    def snapshot(self) -> dict[str, int | float]:
        """Counters of all shards together, or those of the worst off (`WORST`), see `mixer_ext.Plane.plane_stats`. And
        what the legs count, those that are gone too (`focus.media.totals.Totals`).
        """
        each = [plane.plane_stats() for plane in self._shards.planes]
        shards = {name: WORST.get(name, sum)(stats[name] for stats in each) for name in each[0]}
        return shards | self._totals.figures(leg.stats() for leg in self._legs.values())

    # --- events ---

    def _drain(self, plane: Plane) -> None:
        for event in plane.poll():
            try:
                self._dispatch(event)
            except Exception:  # what one peer sends must not cost another its events
                logger.exception("event %s of leg %s broke", event[0], event[1])

    def _dispatch(self, event: Event) -> None:
        if event[0] == "played":
            if (ended := self._playing.get(event[1])) is not None:
                ended.set()
            return
        if event[0] == "dominant":
            if (changed := self._dominance.get(event[1])) is not None:
                changed(event[2])
            return
        leg = self._legs.get(event[1])
        if leg is None:
            return  # it was closed after the plane had written this down
        match event:
            case ("stun", _, local, address, data):
                leg.stun_received(local, address, data)
            case ("dtls", _, _, _, data):
                leg.dtls_received(data)
            case ("speaking", _, speaking):
                leg.speaking_changed(speaking)
            case ("dtmf", _, key, milliseconds):
                leg.key_pressed(key, milliseconds / 1000)


# --- addresses ---


def machine_addresses() -> list[str]:
    """Every IP address of this machine that a datagram can be sent from: loopback last, link-local ones not at all."""
    found = []
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            address = ipaddress.ip_address(entry.ip if isinstance(entry.ip, str) else entry.ip[0].partition("%")[0])
            if not (address.is_link_local or address.is_multicast or address.is_unspecified) and _bindable(address):
                found.append(address)
    return [str(address) for address in sorted(dict.fromkeys(found), key=lambda address: address.is_loopback)]


def _bindable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is ours by now: an IPv6 address that is still being checked for duplicates is not."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


async def _looked_up(name: str) -> list[str]:
    """The IPs of a name, or the IP itself."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(name))]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise UnknownName(f"{name} has no address: {getattr(error, 'strerror', None) or error}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _expanded(addresses: Sequence[Address]) -> list[Address]:
    """`addresses` in canonical form, the unspecified ones replaced by the machine's. ValueError if one is no IP."""
    expanded: list[Address] = []
    for host, port in addresses:
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            hosts = [own for own in machine_addresses() if ipaddress.ip_address(own).version == address.version]
        else:
            hosts = [str(address)]
        expanded += [(own, port) for own in hosts if (own, port) not in expanded]
    if not expanded:
        raise ValueError("a media plane needs an address")
    return expanded


def _bind(addresses: Sequence[Address], *, first_id: int, step: int) -> Plane:
    """A plane on `addresses`, with one and the same free port wherever port 0 is asked for."""
    if sum(port == 0 for _, port in addresses) < 2:
        return Plane(addresses, relief=RELIEF, first_id=first_id, step=step)
    first = next(host for host, port in addresses if port == 0)
    for attempt in range(PORT_ATTEMPTS):
        port = _free_port(first)
        try:
            return _bind([(host, wanted or port) for host, wanted in addresses], first_id=first_id, step=step)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
