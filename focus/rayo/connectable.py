"""Joins with media='direct': a call that came in and one that is made are one media session between their peers, of
which we carry the words alone (XEP-0327 sections 6.2.1.2 and 6.3; `focus.jingle.relay`)."""

from __future__ import annotations

from abc import abstractmethod

from focus.jingle.negotiation import NegotiationError
from focus.jingle.peer import PeerSession
from focus.jingle.relay import Relay
from focus.media.plane import Direction, MediaPlane
from focus.rayo.joinable import Joinable, Parties
from focus.wire.conditions import OptionNotSupported, WrongState
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.rayo import JoinMedia


class Connectable(Joinable):
    """A party with a session, whose peer can be connected with another one's. It has no other join then."""

    def __init__(self, address: JID, plane: MediaPlane, parties: Parties) -> None:
        super().__init__(address, plane, parties)
        self.session: PeerSession | None = None
        #: By which the peers are connected, or will be.
        self.relay: Relay | None = None
        self._accepted = False  # our session, by whichever side it was

    @property
    @abstractmethod
    def came_in(self) -> bool:
        """Whether the peer has called us."""

    @property
    @abstractmethod
    def has_media_here(self) -> bool:
        """Whether the peer has been offered media of ours, or will be when its session-initiate comes."""

    @abstractmethod
    def end_with(self, other: Connectable, reason: Reason, *, by_peer: bool) -> None:
        """`other` has ended, and so has the media session that was both's: for the same reason."""

    @property
    def bound(self) -> Connectable | None:
        """Which party ends with this one, as the two have one media session."""
        if self.relay is None:
            return None
        return next((other for other in self._partners() if self.relay.binds(other.session)), None)

    def connect_directly(self) -> None:
        """Our session is accepted, without media of ours: the peers are connected when both are."""
        other = self.bound
        if other is not None and self._accepted and other._accepted:
            self.flow(other)

    # what can be joined, and parted

    def check_media(self, other: Joinable, direction: Direction, media: JoinMedia) -> None:
        others = [party for party in self.joins if party is not other]
        if self.relay is not None and (others or (media == "bridge" and self.relay.is_begun)):
            raise OptionNotSupported(self._where)
        if media == "bridge":
            return
        if others:
            raise OptionNotSupported(f"other joins of {self.address} need its media here; use media='bridge'")
        if direction is not Direction.DUPLEX:
            raise OptionNotSupported("peers that send to each other do so both ways; use direction='duplex'")
        if self.relay is None and self.has_media_here:
            raise OptionNotSupported(
                f"the media of {self.address} is here already, and no client lets it be moved: calls are joined "
                "directly before they are answered, else with media='bridge'"
            )

    def choose_media(self, other: Joinable, media: JoinMedia) -> None:
        if media == "bridge":
            self._disconnect()
        elif self.relay is None:
            assert isinstance(other, Connectable)
            _connect(self, other)

    def check_unjoining(self) -> None:
        if self.relay is not None and self.relay.is_begun:
            raise OptionNotSupported(f"{self._where}, and cannot be told to send here instead")

    def check_executing(self) -> None:
        if self.relay is not None:
            raise WrongState(self._where)
        super().check_executing()

    def check_answering(self) -> None:
        """Raises `WrongState` where another peer is to answer."""
        if self.relay is not None and not self.relay.is_accepted:
            raise WrongState("it is answered when the one answers with whom it is joined directly")

    def parting(self, other: Joinable) -> None:
        self._disconnect()

    @property
    def _where(self) -> str:
        return f"the peer of {self.address} sends to another peer, and nothing here"

    def _disconnect(self) -> None:
        if self.relay is not None:
            self.relay.cut()
            for each in (self, *self._partners()):
                each.relay = None

    def _partners(self) -> list[Connectable]:
        return [other for other in self.joins if isinstance(other, Connectable)]


def _connect(one: Connectable, other: Connectable) -> None:
    caller, callee = (one, other) if one.came_in else (other, one)
    if not caller.came_in or callee.came_in:
        raise OptionNotSupported("one of the two must have called, and the other be called; use media='bridge'")
    assert caller.session is not None
    if callee.session is not None and callee.session.proposed and callee.session.media != caller.session.media:
        raise OptionNotSupported(
            f"{callee.address} has been proposed {' and '.join(callee.session.media)} alone, which cannot become what "
            f"{caller.address} offers; join them directly by <dial/>"
        )
    try:
        relay = Relay(caller.session)
    except NegotiationError as error:
        raise OptionNotSupported(f"what {caller.address} offers cannot be passed on: {error}") from error
    if callee.session is not None:
        relay.attach(callee.session)
    caller.relay = callee.relay = relay
