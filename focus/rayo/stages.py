"""How far a call or a join has come, and what may happen then (XEP-0327 sections 6.2, 6.3 and 6.6); pure tables."""

from __future__ import annotations

from enum import Enum

from focus.wire.conditions import NotAllowed, ServiceUnavailable, WrongState


class Stage(Enum):
    """Of a call. One that comes in begins as OFFERED, one that is made as DIALLED."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DIALLED = "dialled"
    RINGING = "ringing"
    ANSWERED = "answered"
    """It came in, and has been answered here."""
    CONNECTED = "connected"
    """It was made, and has been answered there."""
    ENDING = "ending"
    ENDED = "ended"


class Step(Enum):
    """What a client commands, and what becomes of the peer."""

    ACCEPT = "accept"
    ANSWER = "answer"
    REDIRECT = "redirect"
    REJECT = "reject"
    HANGUP = "hangup"
    JOIN = "join"
    MESSAGE = "message"
    PEER_RINGS = "the peer rings"
    PEER_ANSWERS = "the peer answers"
    END = "the end"


_WAITING = {
    Step.ACCEPT: Stage.ACCEPTED,
    Step.ANSWER: Stage.ANSWERED,
    Step.REDIRECT: Stage.ENDING,
    Step.REJECT: Stage.ENDING,
    Step.HANGUP: Stage.ENDING,
    Step.END: Stage.ENDED,
}
_CALLING = {
    Step.HANGUP: Stage.ENDING,
    Step.PEER_RINGS: Stage.RINGING,
    Step.PEER_ANSWERS: Stage.CONNECTED,
    Step.END: Stage.ENDED,
}

#: What is not here is refused: see `following`.
CALLS: dict[Stage, dict[Step, Stage]] = {
    Stage.OFFERED: {**_WAITING, Step.JOIN: Stage.OFFERED, Step.MESSAGE: Stage.OFFERED},
    Stage.ACCEPTED: {**_WAITING, Step.JOIN: Stage.ACCEPTED, Step.MESSAGE: Stage.ACCEPTED},
    Stage.DIALLED: {**_CALLING, Step.JOIN: Stage.DIALLED},
    Stage.RINGING: {**_CALLING, Step.JOIN: Stage.RINGING, Step.MESSAGE: Stage.RINGING},
    Stage.ANSWERED: {
        Step.ACCEPT: Stage.ANSWERED,
        Step.ANSWER: Stage.ANSWERED,
        Step.HANGUP: Stage.ENDING,
        Step.JOIN: Stage.ANSWERED,
        Step.MESSAGE: Stage.ANSWERED,
        Step.END: Stage.ENDED,
    },
    Stage.CONNECTED: {
        Step.HANGUP: Stage.ENDING,
        Step.JOIN: Stage.CONNECTED,
        Step.MESSAGE: Stage.CONNECTED,
        Step.END: Stage.ENDED,
    },
    Stage.ENDING: {
        Step.HANGUP: Stage.ENDING,
        Step.END: Stage.ENDED,
    },
    Stage.ENDED: {},
}


def following(stage: Stage, step: Step) -> Stage:
    """The stage after `step`.

    Raises `NotAllowed` for a call that can no longer be rejected (section 6.6.2), else `WrongState` (section 6.6.1 asks
    for it; the text is silent about the other commands) where `step` has no place.
    """
    after = CALLS[stage].get(step)
    if after is not None:
        return after
    if step is Step.REJECT and stage in (Stage.ANSWERED, Stage.CONNECTED):
        raise NotAllowed("the call has been answered; hang it up")
    raise WrongState(f"<{step.value}/> in a call that is {stage.value}")


class Link(Enum):
    """Of a join between two parties. It waits while one of them has no media yet."""

    ABSENT = "absent"
    WAITING = "waiting"
    FLOWING = "flowing"


class Turn(Enum):
    """AGREE: it is commanded, FLOW: the media plane does it, FAIL: the media plane cannot do what has waited for media,
    PART: it ends, by command or with a party."""

    AGREE = "agree"
    FLOW = "flow"
    FAIL = "fail"
    PART = "part"


class News(Enum):
    """What both parties announce (sections 6.3 and 6.3.3)."""

    JOINED = "joined"
    UNJOINED = "unjoined"


#: To command a join again changes its direction and announces nothing (section 6.3.4). What was acknowledged and cannot
#: be made is `unjoined` "as the result of an error" (section 6.3.3), although it has never been `joined`.
JOINS: dict[Link, dict[Turn, tuple[Link, News | None]]] = {
    Link.ABSENT: {
        Turn.AGREE: (Link.WAITING, None),
    },
    Link.WAITING: {
        Turn.AGREE: (Link.WAITING, None),
        Turn.FLOW: (Link.FLOWING, News.JOINED),
        Turn.FAIL: (Link.ABSENT, News.UNJOINED),
        Turn.PART: (Link.ABSENT, None),
    },
    Link.FLOWING: {
        Turn.AGREE: (Link.FLOWING, None),
        Turn.FLOW: (Link.FLOWING, None),
        Turn.PART: (Link.ABSENT, News.UNJOINED),
    },
}


def turned(link: Link, turn: Turn) -> tuple[Link, News | None]:
    """The link after `turn`, and what is announced. Raises `ServiceUnavailable` for a join that there is not (section
    6.3.2.1)."""
    after = JOINS[link].get(turn)
    if after is None:
        raise ServiceUnavailable("there is no such join")
    return after
