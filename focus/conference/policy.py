"""Who may take part, and until when: pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from focus.conference.room import Departure, Occupant, Rules
from focus.wire.jid import JID


class Verdict(Enum):
    """What becomes of a caller."""

    ADMIT = auto()
    WAIT = auto()
    """Not now, but as soon as they enter the room."""
    FULL = auto()
    STRANGER = auto()
    """At once, unless they are banned from the room."""
    UNSEEN = auto()
    """Never: it cannot be seen whether they are in the room."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`strangers`: may somebody call who is not in the room. `maximum`: participants in one conference.
    `several_devices`: may somebody take part from more than one at once.

    `entry_wait`: seconds that a stranger is given to enter the room. `linger`: seconds that the focus stays when the
    last call has ended. `coalesce`: seconds in which changes are gathered into one document. `farewell`: seconds for
    which documents still have who has gone. `reentry`: seconds after which a room that we stay in is entered again.
    `announce`: is the room told that a conference has begun.
    """

    strangers: bool = False
    maximum: int = 100
    entry_wait: float = 15.0
    linger: float = 15.0
    coalesce: float = 0.2
    farewell: float = 2.0
    reentry: float = 30.0
    announce: bool = True
    several_devices: bool = False

    def judge(
        self,
        caller: JID,
        occupants: Iterable[Occupant],
        participants: int,
        rules: Rules,
        *,
        sees_real_jids: bool,
    ) -> Verdict:
        """What becomes of `caller` in a room with `occupants` and so many `participants` in the call already.

        Who has to be a member, or to know a password, shows that by being in the room.
        """
        if participants >= self.maximum:
            return Verdict.FULL
        if occupant_of(caller, occupants) is not None:
            return Verdict.ADMIT
        if self.strangers and not (rules.members_only or rules.password_protected):
            return Verdict.STRANGER
        return Verdict.WAIT if sees_real_jids else Verdict.UNSEEN

    def continues(self, caller: JID, peer: JID, *, proposed: bool, room: JID) -> bool:
        """Whether a call of `caller` takes the place of one with `peer`: their device calls anew, or another one of
        theirs has `proposed` to (XEP-0353 section 4.2). Who calls through the `room` has only the one in it."""
        if not caller.local:
            return False  # a gateway, for whomever
        if caller == peer:
            return True
        return proposed and not self.several_devices and caller.bare == peer.bare != room


def is_banned(person: JID, outcasts: frozenset[JID]) -> bool:
    """Whether `person`, or their server, is on the room's list of `outcasts` (XEP-0045 section 9.2)."""
    return not outcasts.isdisjoint((person, person.bare, JID("", person.domain)))


#: From least to most.
_ROLES = ("none", "visitor", "participant", "moderator")


class Occupants:
    """Finds the occupant that somebody is: by its real full JID, else by its occupant JID, else by its bare JID.

    Of several with one bare JID the one with most rights is meant.
    """

    def __init__(self, occupants: Iterable[Occupant]) -> None:
        self._by_address: dict[JID, Occupant] = {}
        self._by_account: dict[JID, Occupant] = {}
        for occupant in occupants:
            self._by_address.setdefault(occupant.jid, occupant)
            if occupant.real_jid is not None:
                self._by_address.setdefault(occupant.real_jid, occupant)
                account = occupant.real_jid.bare
                self._by_account[account] = max(self._by_account.get(account, occupant), occupant, key=_standing)

    def find(self, peer: JID) -> Occupant | None:
        return self._by_address.get(peer) or self._by_account.get(peer.bare)


def _standing(occupant: Occupant) -> tuple[int, str]:
    return _ROLES.index(occupant.role) if occupant.role in _ROLES else 0, occupant.nick


def may_speak(occupant: Occupant) -> bool:
    """Whether somebody has voice (XEP-0045 section 5.1): visitors of a moderated room have none."""
    return occupant.role in ("participant", "moderator")


def occupant_of(peer: JID, occupants: Iterable[Occupant]) -> Occupant | None:
    """The occupant that `peer` is, as `Occupants` finds it."""
    return Occupants(occupants).find(peer)


def has_say(occupant: Occupant) -> bool:
    """Whether somebody is a moderator of the room (XEP-0045 section 5.1), or could be one."""
    return occupant.affiliation in ("owner", "admin") or occupant.role == "moderator"


@dataclass(frozen=True, slots=True)
class Rights:
    """Of a client in a conference. `moderates`: whether it has a say there, and `seat` by which address in the room, if
    it is there. `calls`: by which it takes part."""

    moderates: bool = False
    seat: str | None = None
    calls: tuple[JID, ...] = ()


def rights_of(client: JID, occupants: Sequence[Occupant], participants: Mapping[JID, JID], *, controls: bool) -> Rights:
    """`participants`: calls, and with whom they are. `controls`: whether `client` has a say everywhere.

    A client may ask through the room, and by another device than it takes part with.
    """
    own = [one for one in occupants if one.jid == client or one.real_jid in (client, client.bare)]
    own = own or [one for one in occupants if one.real_jid is not None and one.real_jid.bare == client.bare]
    seat = next(filter(has_say, own), None)
    devices = {client, *(one.jid for one in own), *(one.real_jid for one in own if one.jid == client)}
    calls = [call for call, peer in participants.items() if peer in devices]
    if not calls:
        accounts = {client.bare, *(one.real_jid.bare for one in own if one.real_jid is not None)}
        accounts -= {one.jid.bare for one in occupants}  # whoever is in the room
        calls = [call for call, peer in participants.items() if peer.bare in accounts and peer.local]
    return Rights(seat is not None or controls, seat.jid.uri if seat is not None else None, tuple(calls))


def may_control(client: JID, occupants: Iterable[Occupant]) -> bool:
    """Whether the Rayo client `client` belongs to somebody who has a say in the room, on whatever device."""
    return any(
        occupant.real_jid is not None and occupant.real_jid.bare == client.bare and has_say(occupant)
        for occupant in occupants
    )


def goes_with(peer: JID, occupant: Occupant, departure: Departure, others: Occupants) -> bool:
    """Whether the call of `peer` ends with the occupant: that very device; all devices, when somebody is thrown out who
    is in the room under no other name. `others` are those who stay."""
    if peer in (occupant.real_jid, occupant.jid):
        return True
    is_theirs = occupant.real_jid is not None and peer.bare == occupant.real_jid.bare
    return departure is not Departure.LEFT and is_theirs and others.find(peer) is None


def is_back(peer: JID | None, left: Occupant, occupants: Iterable[Occupant]) -> bool:
    """Whether the device that `left` is in the room again; `peer`, if it has called by its nick, under that nick."""
    by_nick = peer == left.jid
    return left.real_jid is not None and any(
        one.real_jid == left.real_jid and not (by_nick and one.jid != left.jid) for one in occupants
    )
