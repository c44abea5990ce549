"""Each message of XEP-0353 in each situation of a session, in both roles and dialects: what becomes of the session, and
what is said. One table."""

import asyncio
import itertools
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import pytest

from focus.jingle.peer import PeerSession, Timeouts
from focus.jingle.session import Party
from focus.wire.jingle import Action, Jingle, Reason
from focus.wire.jingle_message import (
    JMI_0,
    JMI_1,
    Accept,
    Dialect,
    Finish,
    JingleMessage,
    Proceed,
    Propose,
    Reject,
    Retract,
    Ringing,
    in_dialect,
)
from focus.wire.rtp import Description

from .pair import Air, Owner, Surroundings
from .test_negotiation import audio, their_accept
from .test_peer_any_order import PEER, US, Outbox

KINDS: dict[str, type[JingleMessage]] = {
    "propose": Propose,
    "ringing": Ringing,
    "proceed": Proceed,
    "accept": Accept,
    "reject": Reject,
    "retract": Retract,
    "finish": Finish,
}


class Situation(StrEnum):
    PROPOSED = "proposed"
    RINGING = "ringing"
    TAKEN = "taken"
    BEGUN = "begun"
    """The session is accepted."""
    ENDED = "ended"


class Cell(NamedTuple):
    """`told`: what the owner hears; `said`: what the peer does."""

    told: tuple[object, ...] = ()
    said: tuple[str, ...] = ()


def over(condition: str, *said: str) -> Cell:
    return Cell((("ended", condition, True),), said)


RINGS, TAKES = Cell(("ringing",)), Cell((), ("session-initiate",))
#: What is not here changes nothing, and is not answered.
TABLE: dict[Party, dict[Situation, dict[str, Cell]]] = {
    Party.RESPONDER: {
        Situation.PROPOSED: {"retract": over("cancel"), "finish": over("success")},
        Situation.RINGING: {"retract": over("cancel"), "finish": over("success")},
        Situation.TAKEN: {"retract": over("cancel", "finish"), "finish": over("success", "finish")},
        Situation.BEGUN: {
            "retract": over("cancel", "session-terminate", "finish"),
            "finish": over("success", "session-terminate", "finish"),
        },
        Situation.ENDED: {},
    },
    Party.INITIATOR: {
        Situation.PROPOSED: {
            "ringing": RINGS,
            "proceed": TAKES,
            "accept": TAKES,
            "reject": over("decline"),
            "finish": over("success"),
        },
        Situation.RINGING: {
            "ringing": RINGS,
            "proceed": TAKES,
            "accept": TAKES,
            "reject": over("decline"),
            "finish": over("success"),
        },
        Situation.TAKEN: {
            "reject": over("decline", "session-terminate", "finish"),
            "finish": over("success", "session-terminate", "finish"),
        },
        Situation.BEGUN: {
            "reject": over("decline", "session-terminate", "finish"),
            "finish": over("success", "session-terminate", "finish"),
        },
        Situation.ENDED: {},
    },
}
CELLS = list(itertools.product(Party, Situation, KINDS))


async def settle() -> None:
    for _ in range(40):
        await asyncio.sleep(0)


async def in_situation(
    role: Party, situation: Situation, dialect: Dialect, owner: Owner, outbox: Outbox
) -> PeerSession:
    """A session that has got so far."""

    def hear(kind: type[JingleMessage]) -> None:
        session.receive_message(PEER, in_dialect(kind, dialect)(id="s"))

    def act(action: Action, content: object) -> None:
        jingle = Jingle.model_validate({"action": action, "sid": "s", "contents": (content,)})
        session.receive(PEER, jingle, jingle.to_element())

    surroundings: Surroundings = {
        "local": US, "outbox": outbox, "legs": Air().leg, "observer": owner, "isfocus": True,
        "timeouts": Timeouts(goodbye=0.001),
    }  # fmt: skip
    far = list(Situation).index(situation)
    steps: list[Callable[[], object]]
    if role is Party.RESPONDER:
        propose = in_dialect(Propose, dialect)(id="s", descriptions=(Description(media="audio"),))
        session = PeerSession.incoming(peer=PEER, first=propose, **surroundings)
        steps = [session.ring, session.accept, lambda: act(Action.SESSION_INITIATE, audio())]
    else:
        session = PeerSession.outgoing(to=PEER.bare, dialect=dialect, sid="s", **surroundings)
        await session.start()
        taking: type[JingleMessage] = Proceed if dialect == JMI_0 else Accept
        steps = [lambda: hear(Ringing), lambda: hear(taking), lambda: act(Action.SESSION_ACCEPT, their_accept())]
    steps.append(lambda: session.hangup(Reason.of("success")))
    for step in steps[:far]:
        step()
        await settle()
    if situation is Situation.ENDED:
        await session.closed()
    return session


@pytest.mark.parametrize("dialect", [JMI_0, JMI_1])
@pytest.mark.parametrize(("role", "situation", "name"), CELLS)
async def test_every_message_in_every_situation(role: Party, situation: Situation, name: str, dialect: Dialect) -> None:
    owner, outbox = Owner(), Outbox()
    session = await in_situation(role, situation, dialect, owner, outbox)
    told, said = len(owner.entries), len(outbox.sent)
    session.receive_message(PEER, in_dialect(KINDS[name], dialect)(id="s"))
    await settle()
    cell = TABLE[role][situation].get(name, Cell())
    names = [str(each.action) if isinstance(each, Jingle) else str(each.__xml_tag__) for each in outbox.sent]
    assert (tuple(owner.entries[told:]), tuple(names[said:])) == (cell.told, cell.said)
    assert session.ended is (situation is Situation.ENDED or any(isinstance(each, tuple) for each in cell.told))
    spoken = [each for each in outbox.sent if isinstance(each, JingleMessage)]
    assert {each.dialect for each in spoken} <= {dialect}
    session.hangup(Reason.of("gone"))
    await session.closed()
    finishes = sum(isinstance(each, Finish) for each in outbox.sent)
    assert finishes == (situation in (Situation.TAKEN, Situation.BEGUN, Situation.ENDED) or cell is TAKES)
