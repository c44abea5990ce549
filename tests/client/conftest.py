"""The whole service beside a real Prosody, and Rayo clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from focus.client import RayoClient
from focus.service.config import Settings
from focus.service.sections.components import FetchSettings, RecordingSettings
from focus.service.sections.rayo import RayoSettings, RouteSettings
from tests.interop.conftest import caller, client, listening
from tests.interop.running import PASSWORD, RunningFocus, serve, settings_for
from tests.interop.servers import Server

__all__ = ["caller", "client", "listening"]

RayoFactory = Callable[..., Awaitable[RayoClient]]


@pytest.fixture
def prosody(server: Server) -> Server:
    """The chosen server, by the name of the usual one."""
    return server


@pytest.fixture
def settings(prosody: Server, tmp_path: Path) -> Settings:
    """Calls to desk-… are offered to juliet's and romeo's clients; controller is a controller; all others go to rooms,
    whose owner is alice. Sounds are fetched from `tmp_path`, and recordings put below it."""
    accounts = (f"juliet@{prosody.domain}", f"romeo@{prosody.domain}")
    return settings_for(prosody).model_copy(
        update={
            "rayo": RayoSettings(clients=accounts, controllers=(f"controller@{prosody.domain}",)),
            "routes": (RouteSettings(match="desk-*", clients=accounts, timeout=60),),
            "fetch": FetchSettings(folders=(tmp_path,)),
            "recordings": RecordingSettings(folder=tmp_path / "recordings"),
        }
    )


@pytest.fixture
async def focus(prosody: Server, settings: Settings) -> AsyncIterator[RunningFocus]:
    async with serve(prosody, settings) as running:
        yield running


@pytest.fixture
async def rayo(prosody: Server) -> AsyncIterator[RayoFactory]:
    """Makes Rayo clients: `await rayo("juliet")` is there as juliet@localhost, ready for calls."""
    async with AsyncExitStack() as closing:
        known: set[str] = set()

        async def connect(name: str, **options: object) -> RayoClient:
            local, _, resource = name.partition("/")
            jid = f"{local}@{prosody.domain}"
            if local not in known:
                await prosody.add_user(jid, PASSWORD)
                known.add(local)
            place = {"server": prosody.c2s, "insecure": True, **options}
            made = RayoClient(f"{jid}/{resource or 'rayo'}", PASSWORD, **place)  # type: ignore[arg-type]
            await made.connect()
            closing.push_async_callback(made.close)
            return made

        yield connect
