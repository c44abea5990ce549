"""A meeting for each test, which ends cleanly."""

from collections.abc import AsyncIterator

import pytest

from focus.conference.policy import Policy
from focus.conference.ringing import Ringing

from .scene import Meeting

EAGER = Policy(strangers=True, linger=3600.0, entry_wait=3600.0, coalesce=0.0, farewell=0.0)


@pytest.fixture
def policy(request: pytest.FixtureRequest) -> Policy:
    """`@pytest.mark.parametrize("policy", [...])` changes it."""
    return EAGER


@pytest.fixture
def ringing() -> Ringing:
    """A module may have its own."""
    return Ringing()


@pytest.fixture
async def meeting(policy: Policy, ringing: Ringing) -> AsyncIterator[Meeting]:
    meeting = Meeting(policy, ringing)
    await meeting.start()
    yield meeting
    await meeting.stop()
