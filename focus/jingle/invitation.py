"""Jingle Message Initiation (XEP-0353) in both dialects and both roles: what is asked by message before a session.

The caller proposes to a bare JID, any device of the other side answers, and the session begins between two full JIDs.
Nothing here answers with an error: a message that has no place is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from focus.jingle.session import Party
from focus.wire.base import Flag
from focus.wire.conditions import OutOfOrder
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.jingle_message import (
    JMI_0,
    Accept,
    Dialect,
    Finish,
    JingleMessage,
    Migrated,
    Proceed,
    Propose,
    Reject,
    Retract,
    Ringing,
    in_dialect,
)
from focus.wire.rtp import Description


class State(StrEnum):
    """Where an invitation stands. FINISHED was taken and is over, WITHDRAWN was never taken."""

    NEW = "new"
    PROPOSED = "proposed"
    RINGING = "ringing"
    TAKEN = "taken"
    FINISHED = "finished"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """What a side may do; TAKE is `<proceed/>` or `<accept/>`."""

    PROPOSE = "propose"
    RING = "ringing"
    TAKE = "take"
    REJECT = "reject"
    RETRACT = "retract"
    FINISH = "finish"


TRANSITIONS: dict[State, dict[Step, State]] = {
    State.NEW: {
        Step.PROPOSE: State.PROPOSED,
    },
    State.PROPOSED: {
        Step.RING: State.RINGING,
        Step.TAKE: State.TAKEN,
        Step.REJECT: State.WITHDRAWN,
        Step.RETRACT: State.WITHDRAWN,
        Step.FINISH: State.WITHDRAWN,
    },
    State.RINGING: {
        Step.RING: State.RINGING,
        Step.TAKE: State.TAKEN,
        Step.REJECT: State.WITHDRAWN,
        Step.RETRACT: State.WITHDRAWN,
        Step.FINISH: State.WITHDRAWN,
    },
    State.TAKEN: {
        Step.REJECT: State.FINISHED,
        Step.RETRACT: State.FINISHED,
        Step.FINISH: State.FINISHED,
    },
    State.FINISHED: {
        Step.FINISH: State.FINISHED,
    },
    State.WITHDRAWN: {},
}

#: Steps that belong to one side. The caller is the initiator of the session that follows.
RESERVED: dict[Step, Party] = {
    Step.PROPOSE: Party.INITIATOR,
    Step.RING: Party.RESPONDER,
    Step.TAKE: Party.RESPONDER,
    Step.REJECT: Party.RESPONDER,
    Step.RETRACT: Party.INITIATOR,
}

_STEPS: tuple[tuple[type[JingleMessage], Step], ...] = (
    (Propose, Step.PROPOSE),
    (Ringing, Step.RING),
    (Proceed, Step.TAKE),
    (Accept, Step.TAKE),
    (Reject, Step.REJECT),
    (Retract, Step.RETRACT),
    (Finish, Step.FINISH),
)


class Outgoing(NamedTuple):
    """A message to send."""

    to: JID
    message: JingleMessage


class Rang(NamedTuple):
    """A device of theirs rings."""


class Taken(NamedTuple):
    """`device` takes the call: the session goes there."""

    device: JID


class Over(NamedTuple):
    """They withdrew, rejected or finished."""

    reason: Reason


Outcome = Rang | Taken | Over


@dataclass
class Invitation:
    """One invitation. `role` is ours, `peer` the other side: full as soon as it is known which device it is."""

    role: Party
    peer: JID
    sid: str
    dialect: Dialect
    state: State = State.NEW
    _finished: set[Party] = field(default_factory=set)

    @classmethod
    def received(cls, sender: JID, propose: Propose) -> Invitation:
        """We are called."""
        invitation = cls(Party.RESPONDER, sender, propose.id, propose.dialect)
        invitation._step(Step.PROPOSE, Party.INITIATOR)
        return invitation

    @classmethod
    def outgoing(cls, to: JID, sid: str, dialect: Dialect) -> Invitation:
        """We call; `propose` says so."""
        return cls(Party.INITIATOR, to, sid, dialect)

    @property
    def open(self) -> bool:
        """Whether it can still lead to a session, or has led to one that goes on."""
        return self.state not in (State.FINISHED, State.WITHDRAWN)

    @property
    def is_waiting(self) -> bool:
        """Whether it is proposed, and nobody has taken or ended it."""
        return self.state in (State.PROPOSED, State.RINGING)

    def propose(self, media: Sequence[str] = ("audio",)) -> Outgoing:
        """Section 3.1: to the bare JID, that is to all their devices."""
        self._step(Step.PROPOSE, self.role)
        descriptions = tuple(Description(media=kind) for kind in media)
        return Outgoing(self.peer, in_dialect(Propose, self.dialect)(id=self.sid, descriptions=descriptions))

    def ring(self) -> Outgoing:
        """Section 3.2."""
        self._step(Step.RING, self.role)
        return Outgoing(self.peer, in_dialect(Ringing, self.dialect)(id=self.sid))

    def take(self) -> Outgoing:
        """Section 3.4: `<proceed/>`, or `<accept/>` in `:1`.

        COMPAT (Dino, Conversations): to the full JID of the propose in both dialects; v0.4 wrote the bare JID.
        """
        self._step(Step.TAKE, self.role)
        kind: type[JingleMessage] = Proceed if self.dialect == JMI_0 else Accept
        return Outgoing(self.peer, in_dialect(kind, self.dialect)(id=self.sid))

    def overtaken(self) -> None:
        """The session began before we took the invitation: it counts as taken, and nothing needs saying."""
        if self.is_waiting:
            self._step(Step.TAKE, Party.RESPONDER)

    def withdraw(self, reason: Reason, *, tie_break: bool = False, migrated_to: str | None = None) -> list[Outgoing]:
        """We no longer want what has not become a session: retract or reject, whichever is ours (sections 3.3, 3.5).

        COMPAT (Dino, Conversations): they know no `<finish/>`, so this is also said where we had taken it already.
        """
        if not self.open or self.state is State.NEW:
            return []
        taken = self.state is State.TAKEN
        mark = Flag() if tie_break else None
        message: JingleMessage
        if self.role is Party.INITIATOR:
            self._step(Step.RETRACT, self.role)
            message = in_dialect(Retract, self.dialect)(id=self.sid, reason=reason, tie_break=mark)
        else:
            self._step(Step.REJECT, self.role)
            message = in_dialect(Reject, self.dialect)(id=self.sid, reason=reason, tie_break=mark)
        return [Outgoing(self.peer, message), *(self.finish(reason, migrated_to=migrated_to) if taken else [])]

    def finish(self, reason: Reason, *, migrated_to: str | None = None) -> list[Outgoing]:
        """The session is over, whoever ended it; said once, and only of an invitation that was taken (section 3.7)."""
        if self.state not in (State.TAKEN, State.FINISHED) or self.role in self._finished:
            return []
        self._step(Step.FINISH, self.role)
        self._finished.add(self.role)
        migrated = Migrated(to=migrated_to) if migrated_to else None
        message = in_dialect(Finish, self.dialect)(id=self.sid, reason=reason, migrated=migrated)
        return [Outgoing(self.peer, message)]

    def receive(self, sender: JID, message: JingleMessage) -> Outcome | None:
        """What `message` changes, or None where it has no place: another device, another id, too late."""
        step = next(step for kind, step in _STEPS if isinstance(message, kind))
        if message.id != self.sid or not self._concerns(sender):
            return None
        was_open = self.open
        try:
            self._step(step, self.role.other)
        except OutOfOrder:
            return None
        match step:
            case Step.RING:
                return Rang()
            case Step.TAKE:
                self.peer = sender
                return Taken(sender)
            case Step.FINISH:
                self._finished.add(self.role.other)
        reason = getattr(message, "reason", None)
        return Over(reason or _default_reason(step)) if was_open else None

    def returned(self, sender: JID) -> bool:
        """Our proposal has come back from `sender`; whether that ends it, so that nothing more need be said. One device
        of several does not speak for all, and where it rings somewhere it has arrived."""
        if self.role is not Party.INITIATOR or self.state is not State.PROPOSED or sender != self.peer:
            return False
        self._step(Step.REJECT, self.role.other)
        return True

    def _concerns(self, sender: JID) -> bool:
        """Until a device has taken the call, each of them may speak; afterwards it alone."""
        if self.peer.resource:
            return sender == self.peer
        return sender.bare == self.peer

    def _step(self, step: Step, by: Party) -> None:
        following = TRANSITIONS[self.state].get(step)
        if following is None or RESERVED.get(step, by) is not by:
            raise OutOfOrder(f"{step} by the {by} of an invitation that is {self.state}")
        self.state = following


def refuse_tie(sender: JID, propose: Propose) -> Outgoing:
    """The answer to a proposal that came while one of ours, which stands, was on its way (section 4.1)."""
    reason = Reason.of("expired", "Tie-Break")
    return Outgoing(sender, in_dialect(Reject, propose.dialect)(id=propose.id, reason=reason, tie_break=Flag()))


def too_late(sender: JID, message: JingleMessage) -> Outgoing:
    """The answer to a device that takes an invitation of ours which is over: it has not heard of that."""
    reason = Reason.of("expired", "this call is over")
    return Outgoing(sender, in_dialect(Retract, message.dialect)(id=message.id, reason=reason))


def _default_reason(step: Step) -> Reason:
    """What a missing `<reason/>` means: the default of each message."""
    return Reason.of({Step.REJECT: "decline", Step.RETRACT: "cancel"}.get(step, "success"))
