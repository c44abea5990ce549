from collections.abc import Iterator

import pytest

from tests.mixer_ext.peers import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()
