"""The table of XEP-0166 section 5.1, cell by cell, and what always holds of it."""

import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from focus.jingle.session import ANSWERS, RESERVED, TRANSITIONS, Party, Session, State, overrules
from focus.wire.conditions import OutOfOrder
from focus.wire.jid import JID
from focus.wire.jingle import Action

#: The arrows of the diagram in section 5.1, and security-info, which section 9 allows without drawing it.
NEGOTIATION = {
    Action.CONTENT_ACCEPT, Action.CONTENT_ADD, Action.CONTENT_MODIFY, Action.CONTENT_REJECT, Action.CONTENT_REMOVE,
    Action.DESCRIPTION_INFO, Action.SECURITY_INFO, Action.SESSION_INFO, Action.TRANSPORT_ACCEPT, Action.TRANSPORT_INFO,
    Action.TRANSPORT_REJECT, Action.TRANSPORT_REPLACE,
}  # fmt: skip


def expected(state: State, action: Action) -> State | None:
    if state is State.NEW:
        return State.PENDING if action is Action.SESSION_INITIATE else None
    if state is State.ENDED or action is Action.SESSION_INITIATE:
        return None
    if action is Action.SESSION_TERMINATE:
        return State.ENDED
    if action is Action.SESSION_ACCEPT:
        return State.ACTIVE if state is State.PENDING else None
    assert action in NEGOTIATION
    return state


def session_in(state: State) -> Session:
    """A session in `state` in which both sides have asked whatever can be answered."""
    session = Session(State.ACTIVE)
    for question in set(ANSWERS.values()):
        for party in Party:
            session.act(question, party)
    session.state = state
    return session


@pytest.mark.parametrize(("state", "action", "by"), list(itertools.product(State, Action, Party)))
def test_every_cell_of_the_table(state: State, action: Action, by: Party) -> None:
    session = session_in(state)
    following = expected(state, action)
    assert TRANSITIONS[state].get(action) is following
    if following is None or RESERVED.get(action, by) is not by:
        with pytest.raises(OutOfOrder):
            session.act(action, by)
        assert session.state is state
    else:
        assert session.act(action, by) is following
        assert session.state is following


@pytest.mark.parametrize(("answer", "question"), list(ANSWERS.items()))
def test_an_answer_needs_a_question_of_the_other_side_and_answers_it_once(answer: Action, question: Action) -> None:
    session = Session(State.ACTIVE)
    session.act(question, Party.INITIATOR)
    with pytest.raises(OutOfOrder):
        session.act(answer, Party.INITIATOR)
    session.act(answer, Party.RESPONDER)
    with pytest.raises(OutOfOrder):
        session.act(answer, Party.RESPONDER)


def test_the_lower_sid_overrules_in_octet_order_and_then_the_lower_jid() -> None:
    alice, bob = JID.parse("alice@example.org/a"), JID.parse("bob@example.org/b")
    assert overrules("Z", bob, "a", alice)
    assert not overrules("a", alice, "Z", bob)
    assert overrules("same", alice, "same", bob)
    assert not overrules("same", bob, "same", alice)


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.session = Session()
        self.ended = False
        self.initiated = 0

    @rule(action=st.sampled_from(Action), by=st.sampled_from(Party))
    def act(self, action: Action, by: Party) -> None:
        before = self.session.state
        try:
            self.session.act(action, by)
        except OutOfOrder:
            assert self.session.state is before
        else:
            assert not self.ended
            self.initiated += action is Action.SESSION_INITIATE
        self.ended = self.ended or self.session.state is State.ENDED

    @invariant()
    def ended_is_final(self) -> None:
        assert not self.ended or self.session.state is State.ENDED

    @invariant()
    def a_session_begins_once(self) -> None:
        assert self.initiated == (self.session.state is not State.NEW)


TestAnyOrder = AnyOrder.TestCase
