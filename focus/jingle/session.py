"""The state of a Jingle session (XEP-0166 sections 5.1 and 7.2): which action may come when, and from whom.

One table judges both sides: what we do and what the peer does goes through `Session.act` alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from focus.wire.conditions import OutOfOrder
from focus.wire.jid import JID
from focus.wire.jingle import Action


class Party(StrEnum):
    """The two sides of a session, as `creator` and `senders` name them."""

    INITIATOR = "initiator"
    RESPONDER = "responder"

    @property
    def other(self) -> Party:
        return Party.RESPONDER if self is Party.INITIATOR else Party.INITIATOR


class State(StrEnum):
    """XEP-0166 section 5.1; NEW is before the session-initiate."""

    NEW = "new"
    PENDING = "pending"
    ACTIVE = "active"
    ENDED = "ended"


TRANSITIONS: dict[State, dict[Action, State]] = {
    State.NEW: {
        Action.SESSION_INITIATE: State.PENDING,
    },
    State.PENDING: {
        Action.CONTENT_ACCEPT: State.PENDING,
        Action.CONTENT_ADD: State.PENDING,
        Action.CONTENT_MODIFY: State.PENDING,
        Action.CONTENT_REJECT: State.PENDING,
        Action.CONTENT_REMOVE: State.PENDING,
        Action.DESCRIPTION_INFO: State.PENDING,
        Action.SECURITY_INFO: State.PENDING,
        Action.SESSION_ACCEPT: State.ACTIVE,
        Action.SESSION_INFO: State.PENDING,
        Action.SESSION_TERMINATE: State.ENDED,
        Action.TRANSPORT_ACCEPT: State.PENDING,
        Action.TRANSPORT_INFO: State.PENDING,
        Action.TRANSPORT_REJECT: State.PENDING,
        Action.TRANSPORT_REPLACE: State.PENDING,
    },
    State.ACTIVE: {
        Action.CONTENT_ACCEPT: State.ACTIVE,
        Action.CONTENT_ADD: State.ACTIVE,
        Action.CONTENT_MODIFY: State.ACTIVE,
        Action.CONTENT_REJECT: State.ACTIVE,
        Action.CONTENT_REMOVE: State.ACTIVE,
        Action.DESCRIPTION_INFO: State.ACTIVE,
        Action.SECURITY_INFO: State.ACTIVE,
        Action.SESSION_INFO: State.ACTIVE,
        Action.SESSION_TERMINATE: State.ENDED,
        Action.TRANSPORT_ACCEPT: State.ACTIVE,
        Action.TRANSPORT_INFO: State.ACTIVE,
        Action.TRANSPORT_REJECT: State.ACTIVE,
        Action.TRANSPORT_REPLACE: State.ACTIVE,
    },
    State.ENDED: {},
}

#: Actions that belong to one side.
RESERVED: dict[Action, Party] = {
    Action.SESSION_INITIATE: Party.INITIATOR,
    Action.SESSION_ACCEPT: Party.RESPONDER,
}

#: Answers, and what the other side must have asked before.
ANSWERS: dict[Action, Action] = {
    Action.CONTENT_ACCEPT: Action.CONTENT_ADD,
    Action.CONTENT_REJECT: Action.CONTENT_ADD,
    Action.TRANSPORT_ACCEPT: Action.TRANSPORT_REPLACE,
    Action.TRANSPORT_REJECT: Action.TRANSPORT_REPLACE,
}


@dataclass
class Session:
    """Where a session stands."""

    state: State = State.NEW
    _questions: Counter[tuple[Action, Party]] = field(default_factory=Counter)

    def act(self, action: Action, by: Party) -> State:
        """Take `action`, done by `by`. Raises `OutOfOrder`, and stays as it is, where it has no place."""
        following = TRANSITIONS[self.state].get(action)
        if following is None:
            raise OutOfOrder(f"{action} in a session that is {self.state}")
        if RESERVED.get(action, by) is not by:
            raise OutOfOrder(f"{action} is not for the {by}")
        if (question := ANSWERS.get(action)) is not None:
            if not self._questions[question, by.other]:
                raise OutOfOrder(f"{action} without {question}")
            self._questions[question, by.other] -= 1
        elif action in ANSWERS.values():
            self._questions[action, by] += 1
        self.state = following
        return following


def overrules(sid: str, jid: JID, other_sid: str, other_jid: JID) -> bool:
    """Whether the session `sid`, asked for by `jid`, stands against one that the other side asked for at the same
    time: the lower sid does, then the lower JID (section 7.2.16; XEP-0353 section 4.1)."""
    return (sid.encode(), str(jid).encode()) < (other_sid.encode(), str(other_jid).encode())
