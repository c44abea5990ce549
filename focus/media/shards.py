"""Several planes as one: where nodes are placed, and joins between nodes of different planes.

A shard is a plane, with a thread and a port of its own. A room lives in one, with all who call it, as far as that is
known when they do. Two nodes of different shards are joined by a link (`mixer_ext.Plane.link`): a mixer has an end of
one in each shard where somebody is joined with it, and they are joined with that; a leg has one for each leg elsewhere
that it is joined with, since it passes nothing on. Who speaks beyond a link is heard but not named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mixer_ext import Plane

#: A node and another one, in either order.
Both = frozenset[int]


@dataclass
class _Link:
    """`near` is an end in the shard of the node that it stands for, `far` the one that others are joined with."""

    near: int
    far: int
    users: set[Both] = field(default_factory=set)


class Shards:
    """All planes of a process. Node n is in plane (n - 1) modulo their number, which their ids are made for."""

    def __init__(self, planes: Sequence[Plane]) -> None:
        self.planes = tuple(planes)
        self._legs: set[int] = set()
        self._ends: set[int] = set()  # legs whose peers are others of them
        self._mixers: set[int] = set()
        self._rooms: dict[str, dict[int, None]] = {}  # the nodes of each, in the order in which they came
        self._room_of: dict[int, str] = {}
        self._images: dict[tuple[int, int], _Link] = {}  # by mixer and shard
        self._crossings: dict[Both, tuple[_Link, int, int]] = {}  # link, and the join that stands for this one

    def of(self, node: int) -> Plane:
        """The plane of a node."""
        return self.planes[self._shard(node)]

    def _shard(self, node: int) -> int:
        return (node - 1) % len(self.planes)

    # --- where nodes go ---

    def place(self, *, room: str | None = None, near: int | None = None, end: int | None = None) -> Plane:
        """Where a new node goes: to the node `near`, to the first of its `room`, or else where the fewest legs are and,
        of several such, the fewest mixers: their legs are still to come.

        `end`, 0 or 1, which comes before all these: of a call of the service with itself, which cannot be told from its
        other end in the same shard, by one port, nor from other such ends. One shard has no other side: there it goes
        where others do, and will not connect.
        """
        if end is not None and (sides := range(end, len(self.planes), 2)):
            ends = Counter(self._shard(node) for node in self._ends)
            free = [shard for shard in sides if not ends[shard]]
            return self.planes[self._emptiest(free or sides)]
        if near is not None:
            return self.of(near)
        if room is not None and room in self._rooms:
            return self.of(next(iter(self._rooms[room])))
        return self.planes[self._emptiest(range(len(self.planes)))]

    def _emptiest(self, shards: Iterable[int]) -> int:
        legs, mixers = (Counter(self._shard(node) for node in nodes) for nodes in (self._legs, self._mixers))
        return min(shards, key=lambda shard: (legs[shard], mixers[shard]))

    def leg_entered(self, leg: int, room: str | None, *, is_end: bool = False) -> None:
        """A leg has come into being; for others of its `room` to follow it. `is_end`: see `place`."""
        self._legs.add(leg)
        if is_end:
            self._ends.add(leg)
        self._remember(leg, room)

    def leg_left(self, leg: int) -> None:
        """A leg is no more. Links that were for it go with it, and its room if nobody else is there."""
        self._legs.discard(leg)
        self._ends.discard(leg)
        self._forget(leg)

    def add_mixer(self, *, room: str | None = None, near: int | None = None) -> int:
        mixer = self.place(room=room, near=near).add_mixer()
        self._mixers.add(mixer)
        self._remember(mixer, room)
        return mixer

    def remove_mixer(self, mixer: int) -> None:
        """Idempotent. Links that were for it go with it, and its room if nobody else is there."""
        self.of(mixer).remove_mixer(mixer)
        self._mixers.discard(mixer)
        self._forget(mixer)

    def _remember(self, node: int, room: str | None) -> None:
        if room is not None:
            self._rooms.setdefault(room, {})[node] = None
            self._room_of[node] = room

    def _forget(self, node: int) -> None:
        room = self._room_of.pop(node, None)
        if room is not None:
            del self._rooms[room][node]
            if not self._rooms[room]:
                del self._rooms[room]
        for both in [both for both in self._crossings if node in both]:
            link, _, _ = self._crossings.pop(both)
            link.users.discard(both)
            self._release(link)

    # --- joins ---

    def join(self, a: int, b: int, *, a_to_b: bool, b_to_a: bool) -> None:
        """As `mixer_ext.Plane.join`, wherever the two are."""
        if self._shard(a) == self._shard(b):
            self.of(a).join(a, b, a_to_b=a_to_b, b_to_a=b_to_a)
            return
        if a not in self._mixers and b in self._mixers:
            a, b, a_to_b, b_to_a = b, a, b_to_a, a_to_b
        both = frozenset((a, b))
        if both in self._crossings:
            _, far, user = self._crossings[both]
            if user == a:
                a_to_b, b_to_a = b_to_a, a_to_b
            self.of(user).join(far, user, a_to_b=a_to_b, b_to_a=b_to_a)
            return
        link = self._link(a, b)
        try:
            self.of(b).join(link.far, b, a_to_b=a_to_b, b_to_a=b_to_a)
        except ValueError:
            self._release(link)
            raise
        link.users.add(both)
        self._crossings[both] = link, link.far, b

    def unjoin(self, a: int, b: int) -> None:
        """As `mixer_ext.Plane.unjoin`."""
        if self._shard(a) == self._shard(b):
            self.of(a).unjoin(a, b)
            return
        crossing = self._crossings.pop(frozenset((a, b)), None)
        if crossing is None:
            return
        link, far, user = crossing
        link.users.discard(frozenset((a, b)))
        try:
            self.of(user).unjoin(far, user)
        finally:
            self._release(link)

    def set_listener_gain(self, listener: int, source: int, gain: float) -> None:
        """As `mixer_ext.Plane.set_listener_gain`. What crosses a link is a sum, of which none can be told apart."""
        if self._shard(listener) != self._shard(source):
            raise ValueError(f"{listener} and {source} are in different shards")
        self.of(listener).set_listener_gain(listener, source, gain)

    def _link(self, node: int, other: int) -> _Link:
        """A link from `node` into the shard of `other`: that which a mixer has there already, or a new one."""
        key = node, self._shard(other)
        if key in self._images:
            return self._images[key]
        link = _Link(*self.of(node).link(self.of(other)))
        try:
            self.of(node).join(node, link.near)
        except ValueError:
            self._release(link)
            raise
        if node in self._mixers:
            self._images[key] = link
        return link

    def _release(self, link: _Link) -> None:
        """Take a link away that nobody uses."""
        if not link.users:
            self.of(link.near).remove_mixer(link.near)
            self.of(link.far).remove_mixer(link.far)
            self._images = {key: image for key, image in self._images.items() if image is not link}
