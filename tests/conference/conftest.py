"""A meeting for each test, which ends cleanly."""

from collections.abc import AsyncIterator, Callable

import pytest

from focus.conference.policy import Policy
from focus.conference.ringing import Ringing
from tests.haste import Pace, new_loop

from .scene import Meeting

EAGER = Policy(strangers=True, linger=3600.0, entry_wait=3600.0, coalesce=0.0, farewell=0.0)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], object]]:
    return {"pace": new_loop}


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a meeting is made of is in memory, and needs no time."""
    monkeypatch.setattr(Pace, "is_hasty", True)


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
