"""What several tests of a module can share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from focus.service.prosody import Prosody


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_prosody() -> AsyncIterator[Prosody]:
    """One for all tests of a module, which must run in one event loop (`pytest.mark.asyncio(loop_scope="module")`)."""
    folder = Path(tempfile.mkdtemp(prefix="focus-test-"))
    folder.chmod(0o755)
    server = Prosody(folder / "prosody")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder)
