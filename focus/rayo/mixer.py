"""A mixer: what calls are joined to that shall all hear each other (XEP-0327 section 6.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from focus.media.plane import MediaPlane
from focus.rayo.joinable import Emitter, Joinable, PartyName
from focus.wire.jid import JID
from focus.wire.rayo import Joined


class Mixer(Joinable):
    """Lives from its first join (or from being bound to a room) to the end of its last join and binding."""

    def __init__(
        self, address: JID, name: str, plane: MediaPlane, emitter: Emitter, *, on_unused: Callable[[Mixer], None]
    ) -> None:
        """`name` is how its maker wrote it, which its events repeat; the address has no capitals."""
        super().__init__(address, plane, emitter)
        self.name = name
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
        """`owner` hears of everything here, also of those who are here already, and keeps the mixer alive, as a room
        does."""
        knew = owner in self.audience()
        self.owners.add(owner)
        if not knew:
            for party in sorted(self._announced, key=lambda one: str(one.address)):
                self._tell([owner], Joined(**party.party))

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
