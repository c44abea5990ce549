"""A mixer: what calls are joined to that shall all hear each other (XEP-0327 section 6.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from focus.media.plane import MediaPlane
from focus.rayo.joinable import Emitter, Joinable, PartyName
from focus.wire.jid import JID


class Mixer(Joinable):
    """Lives from its first join (or from being bound to a room) to the end of its last join and binding."""

    def __init__(
        self, address: JID, plane: MediaPlane, emitter: Emitter, *, on_unused: Callable[[Mixer], None]
    ) -> None:
        super().__init__(address, plane, emitter)
        self.name = address.local
        self.node = plane.create_mixer()
        self.owners: set[JID] = set()
        self._on_unused = on_unused

    @property
    def party(self) -> PartyName:
        return {"mixer_name": self.name}

    def audience(self) -> Iterable[JID]:
        listeners = dict.fromkeys(sorted(self.owners, key=str))
        for party in self.joins:
            if not isinstance(party, Mixer):
                listeners.update(dict.fromkeys(party.audience()))
        return listeners

    def bind(self, owner: JID) -> None:
        """`owner` hears of everything here and keeps the mixer alive, as a room does."""
        self.owners.add(owner)

    def release(self, owner: JID) -> None:
        self.owners.discard(owner)
        self.joins_changed()

    def joins_changed(self) -> None:
        if not self.joins and not self.owners:
            self._on_unused(self)

    def destroy(self) -> None:
        """Give the node back to the plane. Idempotent."""
        self.close()
        if self.node is not None:
            self._plane.remove_mixer(self.node)
            self.node = None
