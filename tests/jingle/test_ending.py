"""What an end means that nobody explains."""

import pytest

from focus.jingle import ending
from focus.jingle.session import Party
from focus.wire.conditions import (
    BadRequest,
    FeatureNotImplemented,
    ResourceConstraint,
    ServiceUnavailable,
    StanzaError,
    TieBreak,
)


class Redirect(StanzaError):
    """Which is not followed."""

    condition, type = "redirect", "modify"


@pytest.mark.parametrize(
    ("error", "condition"),
    [
        (Redirect(), "general-error"),
        (ServiceUnavailable(), "gone"),
        (ResourceConstraint(), "busy"),
        (TieBreak(), "expired"),
        (FeatureNotImplemented(), "unsupported-applications"),
        (BadRequest(), "general-error"),
    ],
)
def test_a_refusal_has_the_reason_that_it_means(error: StanzaError, condition: str) -> None:
    assert ending.of_refusal(error).condition == condition
    assert ending.of_refusal(error).text == error.condition


def test_the_text_of_a_refusal_is_kept() -> None:
    assert ending.of_refusal(ResourceConstraint("all lines are taken")).text == "all lines are taken"


@pytest.mark.parametrize(
    ("role", "settled", "condition"),
    [
        (Party.INITIATOR, True, "success"),
        (Party.RESPONDER, True, "success"),
        (Party.INITIATOR, False, "decline"),
        (Party.RESPONDER, False, "cancel"),
    ],
)
def test_without_a_reason_it_depends_on_how_far_the_session_had_come(
    role: Party, settled: bool, condition: str
) -> None:
    assert ending.unexplained(role, settled=settled).condition == condition
