"""Every cell of the tables of calls and joins."""

import pytest

from focus.rayo.stages import CALLS, JOINS, Link, News, Stage, Step, Turn, following, turned
from focus.wire.conditions import NotAllowed, ServiceUnavailable, StanzaError, WrongState

OF, AC, DI, RI, TA, AN, EI, ED = Stage
NO = WrongState
NA = NotAllowed

#: What becomes of a call, written out once more as XEP-0327 reads.
EXPECTED: dict[Step, tuple[Stage | type[StanzaError], ...]] = {
    # in stage:          OFFERED ACCEPTED DIALLED RINGING ANSWERED CONNECTED ENDING ENDED
    Step.ACCEPT: (AC, AC, NO, NO, TA, NO, NO, NO),
    Step.ANSWER: (TA, TA, NO, NO, TA, NO, NO, NO),
    Step.REDIRECT: (EI, EI, NO, NO, NO, NO, NO, NO),
    Step.REJECT: (EI, EI, NO, NO, NA, NA, NO, NO),
    Step.HANGUP: (EI, EI, EI, EI, EI, EI, EI, NO),
    Step.JOIN: (OF, AC, DI, RI, TA, AN, NO, NO),
    Step.MESSAGE: (OF, AC, NO, RI, TA, AN, NO, NO),
    Step.PEER_RINGS: (NO, NO, RI, RI, NO, NO, NO, NO),
    Step.PEER_ANSWERS: (NO, NO, AN, AN, NO, NO, NO, NO),
    Step.END: (ED, ED, ED, ED, ED, ED, ED, NO),
}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("stage", Stage)
def test_every_step_at_every_stage_of_a_call(stage: Stage, step: Step) -> None:
    expected = EXPECTED[step][list(Stage).index(stage)]
    if isinstance(expected, Stage):
        assert following(stage, step) is expected
    else:
        with pytest.raises(expected):
            following(stage, step)


def test_the_conditions_are_the_ones_of_the_text() -> None:
    with pytest.raises(StanzaError) as rejected:
        following(Stage.ANSWERED, Step.REJECT)
    assert (rejected.value.condition, rejected.value.type) == ("not-allowed", "cancel")  # section 6.6.2
    with pytest.raises(StanzaError) as redirected:
        following(Stage.ANSWERED, Step.REDIRECT)
    assert (redirected.value.condition, redirected.value.type) == ("unexpected-request", "wait")  # section 6.6.1
    with pytest.raises(StanzaError) as parted:
        turned(Link.ABSENT, Turn.PART)
    assert (parted.value.condition, parted.value.type) == ("service-unavailable", "cancel")  # section 6.3.2.1


def test_every_stage_but_the_last_leads_to_the_end() -> None:
    assert all(CALLS[stage][Step.END] is Stage.ENDED for stage in Stage if stage is not Stage.ENDED)


EXPECTED_LINKS: dict[tuple[Link, Turn], tuple[Link, News | None] | None] = {
    (Link.ABSENT, Turn.AGREE): (Link.WAITING, None),
    (Link.ABSENT, Turn.FLOW): None,
    (Link.ABSENT, Turn.FAIL): None,
    (Link.ABSENT, Turn.PART): None,
    (Link.WAITING, Turn.AGREE): (Link.WAITING, None),
    (Link.WAITING, Turn.FLOW): (Link.FLOWING, News.JOINED),
    (Link.WAITING, Turn.FAIL): (Link.ABSENT, News.UNJOINED),
    (Link.WAITING, Turn.PART): (Link.ABSENT, None),
    (Link.FLOWING, Turn.AGREE): (Link.FLOWING, None),
    (Link.FLOWING, Turn.FLOW): (Link.FLOWING, None),
    (Link.FLOWING, Turn.FAIL): None,
    (Link.FLOWING, Turn.PART): (Link.ABSENT, News.UNJOINED),
}


@pytest.mark.parametrize("turn", Turn)
@pytest.mark.parametrize("link", Link)
def test_every_turn_of_every_join(link: Link, turn: Turn) -> None:
    expected = EXPECTED_LINKS[link, turn]
    if expected is None:
        with pytest.raises(ServiceUnavailable):
            turned(link, turn)
    else:
        assert turned(link, turn) == expected


@pytest.mark.parametrize("turns", [[Turn.AGREE, Turn.FLOW, Turn.AGREE, Turn.FLOW, Turn.PART]])
def test_joined_and_unjoined_are_announced_once_each(turns: list[Turn]) -> None:
    link, told = Link.ABSENT, []
    for turn in turns:
        link, news = turned(link, turn)
        told += [news] if news else []
    assert told == [News.JOINED, News.UNJOINED]
    assert set(JOINS) == set(Link)
