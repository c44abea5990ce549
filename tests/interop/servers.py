"""The XMPP servers that tests talk to; each can do what the others can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from focus.service.prosody import Prosody
from tests.interop.ejabberd import Ejabberd

NAMES = ("prosody", "ejabberd")

#: Both have `.domain .rooms .focus .guests .secret`, `.c2s` and `.component` as (host, port), `.websocket` as URL,
#: `await .add_user(jid, password)`, `await .stop()` and `.start()` (on the same ports), `.kill()` as a crash, `.pid`.
Server = Prosody | Ejabberd


def only_prosody(name: str, why: str) -> None:
    """Skip a test of what ejabberd is not like."""
    if name != "prosody":
        pytest.skip(f"{name}: {why}")


@asynccontextmanager
async def running_server(name: str, state: Path, ejabberd: Ejabberd) -> AsyncIterator[Server]:
    """A running server without accounts and rooms: a Prosody of its own with its files in `state`, or `ejabberd`, which
    takes two seconds to start and so goes from test to test."""
    if name == "prosody":
        prosody = Prosody(state)
        await prosody.start()
        try:
            yield prosody
        finally:
            await prosody.stop()
    else:
        await ejabberd.start()
        yield ejabberd
        await ejabberd.start()  # as it may have been stopped
        await ejabberd.clear()
