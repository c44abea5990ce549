"""What calls and mixers share: a node in the media plane, and joins with a direction (XEP-0327 section 6.3)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Protocol, TypedDict

from focus.media.plane import Direction, MediaPlane
from focus.rayo.actor import Actor
from focus.wire.conditions import ServiceUnavailable
from focus.wire.jid import JID
from focus.wire.rayo import Event, Joined, Unjoined

_OPPOSITE = {Direction.DUPLEX: Direction.DUPLEX, Direction.SEND: Direction.RECV, Direction.RECV: Direction.SEND}


class Emitter(Protocol):
    """Where events go, for local clients and remote ones alike."""

    def emit(self, sender: JID, to: JID, event: Event) -> None: ...


class PartyName(TypedDict, total=False):
    """How a party is named in `<joined/>` and `<unjoined/>`."""

    call_uri: str
    mixer_name: str


class Joinable(Actor):
    """A call or a mixer. A join is kept by both parties, each with the direction as it sees it.

    A party that has no media yet keeps its joins; they take effect, and are announced, when `connect` is called.
    """

    def __init__(self, address: JID, plane: MediaPlane, emitter: Emitter) -> None:
        super().__init__(address)
        self._plane = plane
        self._emitter = emitter
        self.node: int | None = None
        self.joins: dict[Joinable, Direction] = {}
        self._linked: set[Joinable] = set()

    @property
    @abstractmethod
    def party(self) -> PartyName:
        """How this is named to others."""

    @abstractmethod
    def audience(self) -> Iterable[JID]:
        """Who is told what happens here, each once."""

    def emit(self, event: Event) -> None:
        """Tell everybody in the audience."""
        for listener in self.audience():
            self._emitter.emit(self.address, listener, event)

    def join(self, other: Joinable, direction: Direction) -> None:
        """Join with `other`, or change the direction of the join there is (which announces nothing, section 6.3.4).

        Raises `ServiceUnavailable` where the join would close a loop.
        """
        if self.node is not None and other.node is not None:
            self._link(other, direction)
        self.joins[other] = direction
        other.joins[self] = _OPPOSITE[direction]
        self.joins_changed()
        other.joins_changed()

    def connect(self, node: int) -> None:
        """Our media has come into being as `node` of the plane: make the joins that have waited for it."""
        self.node = node
        for other, direction in list(self.joins.items()):
            if other.node is not None and other not in self._linked:
                self._link(other, direction)

    def unjoin(self, other: Joinable) -> None:
        """Undo the join with `other`, which there must be."""
        del self.joins[other]
        del other.joins[self]
        if other in self._linked:
            self._linked.discard(other)
            other._linked.discard(self)
            if self.node is not None and other.node is not None:
                self._plane.unjoin(self.node, other.node)
            self.emit(Unjoined(**other.party))
            other.emit(Unjoined(**self.party))
        self.joins_changed()
        other.joins_changed()

    def unjoin_all(self) -> None:
        for other in list(self.joins):
            self.unjoin(other)

    def joins_changed(self) -> None:
        """Called after each change of `joins`."""

    def _link(self, other: Joinable, direction: Direction) -> None:
        assert self.node is not None
        assert other.node is not None
        try:
            self._plane.join(self.node, other.node, direction)
        except ValueError as error:
            raise ServiceUnavailable(f"cannot join {self.address} and {other.address}: {error}") from error
        if other not in self._linked:
            self._linked.add(other)
            other._linked.add(self)
            self.emit(Joined(**other.party))
            other.emit(Joined(**self.party))
