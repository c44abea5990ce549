"""Two sessions of ours whose peers send their media to each other, not to us (third party call control).

One peer has called us, the other is called by us. The caller's session-initiate becomes ours to the callee, the
callee's session-accept ours to the caller, and what either says of contents and transports from then on is passed on
(XEP-0166 section 7.2, XEP-0176 section 5.6). Nothing of it is translated: for the callee we are the initiator that the
caller is, for the caller the responder that the callee is, so names, creators and senders mean the same to both.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

from focus.jingle.contents import QUESTIONS, rejection
from focus.jingle.negotiation import EncryptionRequired, NegotiationError
from focus.wire.conditions import ResourceConstraint, StanzaError
from focus.wire.jingle import Action, Jingle

if TYPE_CHECKING:
    from focus.jingle.peer import PeerSession

#: What waits to be acknowledged by one peer of what the other says.
MAX_BACKLOG = 256


#: What changes what has been offered.
_OF_THE_OFFER = frozenset({Action.CONTENT_MODIFY, Action.CONTENT_REMOVE, Action.TRANSPORT_INFO})


class Progress(IntEnum):
    """How far it has come. ASKED: the callee waits for the caller's session-initiate; OFFERED: it has it; ACCEPTED: the
    caller has the callee's session-accept."""

    IDLE = 0
    ASKED = 1
    OFFERED = 2
    ACCEPTED = 3


class Relay:
    """Passes on what `caller` (our session with who has called) and `callee` (our session with who is called, as soon
    as there is one) are told, from `begin` until one of them ends. Before that each is a session like any other."""

    def __init__(self, caller: PeerSession) -> None:
        """Raises `NegotiationError` where the caller has offered already what cannot be passed on."""
        if caller.offer is not None:
            check_offer(caller.offer, caller.foreign)
        self.caller = caller
        self.callee: PeerSession | None = None
        self._progress = Progress.IDLE
        self._contents: set[str] = set()
        caller.relay = self

    def attach(self, callee: PeerSession) -> None:
        """There is a session with who is called. Nothing must have been offered in it."""
        self.callee = callee
        callee.relay = self

    def cut(self) -> None:
        """Each session is on its own again; only before `begin`, or where one of them ends."""
        self.caller.relay = None
        if self.callee is not None:
            self.callee.relay = None

    def binds(self, session: PeerSession | None) -> bool:
        """Whether `session` has been promised the other's media, and can have no other: the callee from `begin` on, the
        caller when it is accepted."""
        return self._progress >= (Progress.ACCEPTED if session is self.caller else Progress.ASKED)

    @property
    def is_begun(self) -> bool:
        return self._progress is not Progress.IDLE

    @property
    def is_accepted(self) -> bool:
        return self._progress is Progress.ACCEPTED

    def begin(self) -> None:
        """The callee is to be offered what the caller offers, which is asked for if it has only proposed so far."""
        self._progress = Progress.ASKED
        if self.caller.offer is not None:
            self.offer()
        else:
            self.caller.take()

    def offer(self) -> None:
        """The caller's session-initiate is there."""
        callee, offer = self.callee, self.caller.offer
        assert callee is not None
        assert offer is not None
        if callee.ended:
            return
        try:
            check_offer(offer, self.caller.foreign)
        except NegotiationError as error:
            callee.fail(error)
            return
        self._progress = Progress.OFFERED
        self._contents = {content.name for content in offer.contents}
        callee.send_offer(self.caller.with_candidates(offer.contents), offer.group, offer.focus)

    def accept(self, accept: Jingle) -> None:
        """The callee's session-accept."""
        callee = self.callee
        assert callee is not None
        try:
            _check(accept)
            if not {content.name for content in accept.contents} <= self._contents:
                raise NegotiationError("incompatible-parameters", "what was accepted has not been offered")
        except NegotiationError as error:
            callee.fail(error)
            return
        self._progress = Progress.ACCEPTED
        self._contents = {content.name for content in accept.contents}
        callee.accepted()
        self.caller.accept_for(callee.with_candidates(accept.contents), accept.group, accept.focus)

    def check(self, session: PeerSession) -> None:
        """Raises `ResourceConstraint` where the other peer does not keep up with what this one says."""
        other = self.callee if session is self.caller else self.caller
        if other is not None and other.backlog >= MAX_BACKLOG:
            raise ResourceConstraint("the other end does not keep up")

    def takes(self, session: PeerSession, jingle: Jingle) -> bool:
        """What a peer does, after it has been acknowledged. Returns whether it is no affair of our own: of a caller who
        is not accepted yet we keep what it offers, as there may be another callee, or we may answer."""
        if not self._passes(session):
            return False
        if jingle.action is Action.SESSION_INFO:
            if jingle.ringing is None:
                self._pass_on(session, jingle)
            return False  # our owner wants to know as well
        if jingle.action is Action.CONTENT_REMOVE:
            self._contents -= {content.name for content in jingle.contents}
            if not self._contents:
                session.void()
                return True
        elif jingle.action is Action.CONTENT_ACCEPT:
            self._contents |= {content.name for content in jingle.contents}
        self._pass_on(session, jingle)
        return self.is_accepted or jingle.action not in _OF_THE_OFFER

    def _passes(self, session: PeerSession) -> bool:
        """What the callee says before its session-accept goes with that."""
        return self._progress >= (Progress.OFFERED if session is self.caller else Progress.ACCEPTED)

    def _pass_on(self, session: PeerSession, jingle: Jingle) -> None:
        """What the other does not know it refuses by an error, which is nothing to who has been acknowledged, unless it
        waits for an answer."""
        other = self.callee if session is self.caller else self.caller
        assert other is not None
        refused: Callable[[StanzaError], None] | None = None
        if jingle.action in QUESTIONS:
            refused = partial(_reject, session, jingle)
        other.say_for(jingle, refused)


def check_offer(offer: Jingle, foreign: frozenset[str]) -> None:
    """Raises `NegotiationError` where `offer` has something that we cannot pass on, because we do not read it."""
    if "security" in foreign:
        raise NegotiationError("security-error", "security preconditions are not supported")
    if "description" in foreign:
        raise NegotiationError("unsupported-applications", "only RTP is passed on")
    _check(offer)


def _check(jingle: Jingle) -> None:
    for content in jingle.contents:
        if content.description is None:
            raise NegotiationError("unsupported-applications", "only RTP is passed on")
        if content.transport is None:
            raise NegotiationError("unsupported-transports", "only ICE-UDP is passed on")
    encrypted = [content for content in jingle.contents if content.transport and content.transport.fingerprints]
    if not encrypted or (jingle.group is None and len(encrypted) < len(jingle.contents)):
        raise EncryptionRequired


def _reject(asker: PeerSession, question: Jingle, error: StanzaError) -> None:
    asker.say_for(rejection(question))
