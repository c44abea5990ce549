"""XEP-0353 in both dialects and both roles."""

import itertools
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from focus.jingle.invitation import RESERVED, TRANSITIONS, Invitation, Over, Rang, State, Step, Taken, refuse_tie
from focus.jingle.session import Party
from focus.wire.conditions import OutOfOrder
from focus.wire.jid import JID
from focus.wire.jingle import Reason
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

DIALECTS: tuple[Dialect, ...] = (JMI_0, JMI_1)
CALLER = JID.parse("alice@example.org/desk")
ROOM = JID.parse("room@focus.example.org")
PHONE, TABLET = JID.parse("bob@example.org/phone"), JID.parse("bob@example.org/tablet")
SUCCESS = Reason.of("success")

dialects = pytest.mark.parametrize("dialect", DIALECTS)


def called(dialect: Dialect) -> Invitation:
    """We are the callee."""
    propose = in_dialect(Propose, dialect)(id="call-1", descriptions=(Description(media="audio"),))
    return Invitation.received(CALLER, propose)


def calling(dialect: Dialect) -> Invitation:
    """We are the caller, and have proposed."""
    invitation = Invitation.outgoing(PHONE.bare, "call-1", dialect)
    invitation.propose()
    return invitation


def message(kind: type[JingleMessage], dialect: Dialect = JMI_0, id: str = "call-1", **fields: Any) -> JingleMessage:
    return in_dialect(kind, dialect)(id=id, **fields)


@pytest.mark.parametrize(("state", "step", "role"), list(itertools.product(State, Step, Party)))
def test_every_cell_of_the_table(state: State, step: Step, role: Party) -> None:
    invitation = Invitation(role, PHONE, "call-1", JMI_0, state)
    following = TRANSITIONS[state].get(step)
    if following is None or RESERVED.get(step, role) is not role:
        with pytest.raises(OutOfOrder):
            invitation._step(step, role)
        assert invitation.state is state
    else:
        invitation._step(step, role)
        assert invitation.state is following
    assert (state is State.WITHDRAWN) == (TRANSITIONS[state] == {})


@dialects
def test_a_call_is_taken_in_the_dialect_it_came_in_at_the_device_it_came_from(dialect: Dialect) -> None:
    invitation = called(dialect)
    to, ringing = invitation.ring()
    assert to == CALLER
    assert ringing == message(Ringing, dialect)
    to, taken = invitation.take()
    assert to == CALLER
    assert taken == message(Proceed if dialect == JMI_0 else Accept, dialect)


@dialects
def test_a_call_goes_to_all_devices_and_the_one_that_takes_it_is_the_peer(dialect: Dialect) -> None:
    invitation = Invitation.outgoing(PHONE.bare, "call-1", dialect)
    to, propose = invitation.propose()
    assert to == PHONE.bare
    assert propose == message(Propose, dialect, descriptions=(Description(media="audio"),))
    assert invitation.receive(TABLET, message(Ringing, dialect)) == Rang()
    assert invitation.receive(PHONE, message(Ringing, dialect)) == Rang()
    assert invitation.receive(PHONE, message(Proceed if dialect == JMI_0 else Accept, dialect)) == Taken(PHONE)
    assert invitation.peer == PHONE


@pytest.mark.parametrize("kind", [Proceed, Accept])
def test_either_word_takes_a_call_in_the_older_dialect(kind: type[JingleMessage]) -> None:
    assert calling(JMI_0).receive(PHONE, message(kind)) == Taken(PHONE)


def test_the_first_device_to_take_a_call_has_it() -> None:
    invitation = calling(JMI_0)
    invitation.receive(PHONE, message(Proceed))
    assert invitation.receive(TABLET, message(Proceed)) is None
    assert invitation.receive(TABLET, message(Reject)) is None
    assert invitation.peer == PHONE
    assert invitation.open


@dialects
def test_one_device_rejects_for_all(dialect: Dialect) -> None:
    invitation = calling(dialect)
    busy = Reason.of("busy")
    assert invitation.receive(TABLET, message(Reject, dialect, reason=busy)) == Over(busy)
    assert invitation.receive(PHONE, message(Proceed, dialect)) is None
    assert invitation.withdraw(SUCCESS) == []
    assert invitation.finish(SUCCESS) == []


def test_a_rejection_without_a_reason_is_a_decline_and_a_retraction_a_cancellation() -> None:
    assert calling(JMI_0).receive(PHONE, message(Reject)) == Over(Reason.of("decline"))
    assert called(JMI_0).receive(CALLER, message(Retract)) == Over(Reason.of("cancel"))
    assert called(JMI_0).receive(CALLER, message(Finish)) == Over(SUCCESS)


def test_strangers_and_other_calls_change_nothing() -> None:
    invitation = called(JMI_0)
    for sender, id in ((CALLER.with_resource("other"), "call-1"), (CALLER.bare, "call-1"), (CALLER, "call-2")):
        assert invitation.receive(sender, message(Retract, id=id)) is None
    outgoing = calling(JMI_0)
    assert outgoing.receive(CALLER, message(Proceed)) is None
    assert (invitation.state, outgoing.state) == (State.PROPOSED, State.PROPOSED)


def test_nobody_does_what_belongs_to_the_other_side() -> None:
    invitation = called(JMI_0)
    for kind in (Propose, Ringing, Proceed, Accept, Reject):
        assert invitation.receive(CALLER, message(kind)) is None
    assert calling(JMI_0).receive(PHONE, message(Retract)) is None


@dialects
def test_a_retraction_that_crosses_our_proceed_ends_it_and_is_finished(dialect: Dialect) -> None:
    invitation = called(dialect)
    invitation.take()
    assert invitation.receive(CALLER, message(Retract, dialect)) == Over(Reason.of("cancel"))
    assert [each.message for each in invitation.finish(SUCCESS)] == [message(Finish, dialect, reason=SUCCESS)]
    assert invitation.finish(SUCCESS) == []


@dialects
def test_a_proposal_that_comes_back_is_over_and_not_retracted(dialect: Dialect) -> None:
    invitation = calling(dialect)
    assert not invitation.returned(PHONE)  # a device of several
    assert invitation.open
    assert invitation.returned(PHONE.bare)
    assert not invitation.open
    assert invitation.withdraw(SUCCESS) == invitation.finish(SUCCESS) == []
    assert not invitation.returned(PHONE.bare)


def test_a_proposal_that_rings_somewhere_has_arrived() -> None:
    invitation = calling(JMI_0)
    invitation.receive(TABLET, message(Ringing))
    assert not invitation.returned(PHONE.bare)
    assert not called(JMI_0).returned(CALLER)
    assert invitation.open


@dialects
def test_we_withdraw_with_our_own_word(dialect: Dialect) -> None:
    cancel = Reason.of("cancel")
    assert calling(dialect).withdraw(cancel) == [(PHONE.bare, message(Retract, dialect, reason=cancel))]
    busy = Reason.of("busy")
    assert called(dialect).withdraw(busy) == [(CALLER, message(Reject, dialect, reason=busy))]


def test_what_was_taken_is_withdrawn_and_finished() -> None:
    invitation = called(JMI_0)
    invitation.take()
    timeout = Reason.of("timeout")
    assert [each.message for each in invitation.withdraw(timeout)] == [
        message(Reject, reason=timeout),
        message(Finish, reason=timeout),
    ]
    assert invitation.withdraw(timeout) == []


def test_nothing_is_withdrawn_that_was_never_proposed() -> None:
    assert Invitation.outgoing(PHONE.bare, "call-1", JMI_0).withdraw(SUCCESS) == []


@dialects
def test_each_side_finishes_once(dialect: Dialect) -> None:
    invitation = called(dialect)
    invitation.take()
    assert invitation.receive(CALLER, message(Finish, dialect, reason=SUCCESS)) == Over(SUCCESS)
    assert invitation.receive(CALLER, message(Finish, dialect, reason=SUCCESS)) is None
    assert len(invitation.finish(SUCCESS)) == 1
    assert invitation.finish(SUCCESS) == []


def test_a_session_that_goes_on_elsewhere_is_finished_with_its_new_id() -> None:
    invitation = called(JMI_0)
    invitation.take()
    ((to, finish),) = invitation.finish(Reason.of("expired"), migrated_to="call-2")
    assert to == CALLER
    assert isinstance(finish, Finish)
    assert finish.migrated is not None
    assert finish.migrated.to == "call-2"


def test_a_session_that_began_early_counts_as_taken() -> None:
    invitation = called(JMI_0)
    invitation.overtaken()
    assert invitation.state is State.TAKEN
    invitation.overtaken()
    assert invitation.state is State.TAKEN


@dialects
def test_the_loser_of_a_tie_is_told_so(dialect: Dialect) -> None:
    to, reject = refuse_tie(CALLER, in_dialect(Propose, dialect)(id="call-9"))
    assert to == CALLER
    assert isinstance(reject, Reject)
    assert (reject.id, reject.dialect) == ("call-9", dialect)
    assert reject.tie_break is not None
    assert reject.reason is not None
    assert reject.reason.condition == "expired"
    (withdrawn,) = calling(dialect).withdraw(Reason.of("expired"), tie_break=True)
    assert isinstance(withdrawn.message, Retract)
    assert withdrawn.message.tie_break is not None


class AnyMessages(RuleBasedStateMachine):
    """An invitation under whatever anybody says: it is over once, and each of us finishes at most once."""

    def __init__(self) -> None:
        super().__init__()
        self.invitation = calling(JMI_0)
        self.over = 0
        self.sent: list[JingleMessage] = []

    @rule(
        sender=st.sampled_from([PHONE, TABLET, PHONE.bare, CALLER, ROOM]),
        kind=st.sampled_from([Propose, Ringing, Proceed, Accept, Reject, Retract, Finish]),
        dialect=st.sampled_from(DIALECTS),
        id=st.sampled_from(["call-1", "call-2"]),
    )
    def hear(self, sender: JID, kind: type[JingleMessage], dialect: Dialect, id: str) -> None:
        was_open = self.invitation.open
        outcome = self.invitation.receive(sender, message(kind, dialect, id))
        if outcome is not None:
            assert id == "call-1"
            assert sender.bare == PHONE.bare
            assert was_open
        self.over += isinstance(outcome, Over)

    @rule()
    def withdraw(self) -> None:
        was_open = self.invitation.open
        messages = self.invitation.withdraw(SUCCESS)
        self.over += was_open
        self.sent.extend(each.message for each in messages)

    @rule()
    def finish(self) -> None:
        if not self.invitation.open:
            self.sent.extend(each.message for each in self.invitation.finish(SUCCESS))

    @invariant()
    def over_is_final(self) -> None:
        assert self.over == (not self.invitation.open)

    @invariant()
    def we_repeat_nothing(self) -> None:
        assert len({type(each) for each in self.sent}) == len(self.sent)


TestAnyMessages = AnyMessages.TestCase
