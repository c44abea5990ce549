"""The addresses of calls, mixers and their sessions below one component domain (XEP-0327 section 5.2)."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from focus.wire.jid import JID, escape_node, unescape_node
from focus.wire.nodeprep import prepared

#: The resource that calls are answered from: presence comes from it, so that clients show a call button.
RESOURCE = "focus"

#: The local part that our occupants have, which therefore is no room's.
OCCUPANT = "focus"

#: The local parts that clients may choose for their calls: so random that no room has that name.
_CALL_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{20,64}")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Below `domain`: calls and mixers share its local parts, as the default of section 5.2 has it.

    `rooms` is the MUC service whose rooms go by their bare name; rooms of other services are written out, escaped.
    """

    domain: str
    rooms: str

    @property
    def service(self) -> JID:
        return JID("", self.domain)

    def new_call(self) -> JID:
        """An address that nobody can guess: knowing it is not enough to command the call, but nobody need know it."""
        return JID(secrets.token_hex(16), self.domain)

    def new_component(self, target: JID) -> JID:
        """Of a component of the call or mixer `target`."""
        return target.with_resource(secrets.token_hex(8))

    def mixer(self, name: str) -> JID:
        return JID(name, self.domain)

    def line(self, mixer: str) -> JID:
        """The full JID that sessions with the room `mixer` are held from."""
        return JID(mixer, self.domain, RESOURCE)

    def occupant(self, mixer: str) -> JID:
        """The real JID of our occupant in the room: one bare JID for all rooms."""
        return JID(OCCUPANT, self.domain, mixer)

    def room(self, mixer: str) -> JID:
        """The MUC room that the mixer `mixer` is bound to."""
        plain = unescape_node(mixer)
        local, at, domain = plain.rpartition("@")
        return JID(local, domain) if at and local and domain else JID(mixer, self.rooms)

    def account(self, peer: JID) -> JID:
        """Whose calls those of `peer` are: the bare JID's, unless that is many people's, as a room of ours is to its
        occupants, and a gateway to its users."""
        return peer if not peer.local or peer.domain == self.rooms else peer.bare

    def room_name(self, room: JID) -> str | None:
        """The name of the mixer that the MUC room `room` is bound to; None where no mixer can have it."""
        name = room.local if room.domain == self.rooms else escape_node(str(room.bare))
        return name if is_mixer_name(name) and self.room(name) == room.bare else None

    def mixer_of(self, called: JID) -> str | None:
        """The mixer that `called` stands for: `ROOM@domain`, or our occupant's own JID; None where that is no mixer's
        address."""
        name = called.resource if called.local == OCCUPANT else called.local
        return name if called.domain == self.domain and is_mixer_name(name) else None


def is_call_name(name: str) -> bool:
    """Whether a client may have its call at this local part: rooms have theirs here, too."""
    return _CALL_NAME.fullmatch(name) is not None


def mixer_name(text: str) -> str:
    """The local part of the address of the mixer that somebody calls `text`. Raises ValueError where there is none."""
    name = prepared(text)
    if name in (OCCUPANT, ".", ".."):
        raise ValueError(f"not a name for a mixer: {name!r}")
    return name


def is_mixer_name(name: str) -> bool:
    """Whether a mixer can have `name` as the local part of its address: as it is, without any preparation."""
    try:
        return mixer_name(name) == name
    except ValueError:
        return False
