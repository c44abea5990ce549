"""What calls and mixers share: a node in the media plane, and joins with a direction (XEP-0327 section 6.3)."""

from __future__ import annotations

import contextlib
import logging
from abc import abstractmethod
from collections.abc import Iterable
from typing import Protocol, TypedDict

from focus.media.plane import Direction, MediaPlane
from focus.rayo.actor import Actor
from focus.wire.conditions import Conflict, ServiceUnavailable
from focus.wire.jid import JID
from focus.wire.rayo import Event, Joined, Unjoined

log = logging.getLogger(__name__)

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
        self._announced: set[Joinable] = set()

    @property
    @abstractmethod
    def party(self) -> PartyName:
        """How this is named to others."""

    @abstractmethod
    def audience(self) -> Iterable[JID]:
        """Who is told what happens here, each once."""

    def emit(self, event: Event) -> None:
        """Tell everybody in the audience."""
        self._tell(list(self.audience()), event)

    def join(self, other: Joinable, direction: Direction) -> None:
        """Join with `other`, or change the direction of the join there is (which announces nothing, section 6.3.4).

        Raises `Conflict` where `other` is this, and `ServiceUnavailable` where the join would close a loop.
        """
        if other is self:
            raise Conflict(f"{self.address} cannot be joined with itself")
        if self.node is not None and other.node is not None:
            try:
                self._link(other, direction)
            except ServiceUnavailable:
                other.joins_changed()  # a mixer that was made for this has no use
                raise
        self.joins[other] = direction
        other.joins[self] = _OPPOSITE[direction]
        self._announce(other)
        self.joins_changed()
        other.joins_changed()

    def connect(self, node: int) -> None:
        """Our media has come into being as `node` of the plane: make the joins that have waited for it.

        Those that cannot be made are given up: nobody waits any more who could be told.
        """
        self.node = node
        for other, direction in list(self.joins.items()):
            if other.node is None:
                continue
            try:
                self._link(other, direction)
            except ServiceUnavailable as error:
                log.warning("a join that had waited for media cannot be made: %s", error)
                self.unjoin(other)
            else:
                self._announce(other)

    def unjoin(self, other: Joinable) -> None:
        """Undo the join with `other`, which there must be."""
        listeners, others_listeners = list(self.audience()), list(other.audience())
        del self.joins[other]
        del other.joins[self]
        if other in self._announced:
            self._announced.discard(other)
            other._announced.discard(self)
            if self.node is not None and other.node is not None:
                with contextlib.suppress(ValueError):  # a leg that has left the plane took its joins along
                    self._plane.unjoin(self.node, other.node)
            self._tell(listeners, Unjoined(**other.party))
            other._tell(others_listeners, Unjoined(**self.party))
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

    def _announce(self, other: Joinable) -> None:
        """Once for each join, when audio can flow."""
        if self.node is not None and other.node is not None and other not in self._announced:
            self._announced.add(other)
            other._announced.add(self)
            self.emit(Joined(**other.party))
            other.emit(Joined(**self.party))

    def _tell(self, listeners: Iterable[JID], event: Event) -> None:
        for listener in listeners:
            self._emitter.emit(self.address, listener, event)
