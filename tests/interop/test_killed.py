"""The service dies under its calls, without a word, and is started again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from focus.client import RayoClient, RayoError, SessionLost
from focus.service.prosody import Prosody
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from tests.client.conftest import RayoFactory, rayo
from tests.interop.callers import CallerFactory, assert_hears
from tests.interop.running import PATIENCE, ClientFactory, StanzaClient

__all__ = ["rayo"]

pytestmark = pytest.mark.interop

MUC = "http://jabber.org/protocol/muc"


@asynccontextmanager
async def served(config: Path, health: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`focus serve` from when it takes calls, for as long as it lives."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "focus.service.cli", "serve", "--config", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            while not await is_ready(health):
                assert process.returncode is None
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def is_ready(health: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{health}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def is_over(client: RayoClient) -> None:
    with pytest.raises(SessionLost, match=r"is not there any more|does not know us any more"):
        async with asyncio.timeout(PATIENCE):
            await anext(client.offers)


async def occupants(client: StanzaClient, room: JID) -> list[str]:
    """Who is in the room when `client` enters it, which is told in this order (XEP-0045 section 7.2.3)."""
    client.send(f"<presence to='{room}/{client.jid.local}'><x xmlns='{MUC}'/></presence>")
    found = []
    while True:
        stanza = await client.expect("an occupant", lambda stanza: stanza.get("from", "").startswith(f"{room}/"))
        found.append(stanza.get("from", ""))
        if stanza.find(".//{*}status[@code='110']") is not None:
            return sorted(found)


async def test_whoever_had_to_do_with_a_service_that_was_killed_can_go_on_with_the_next(
    prosody: Prosody,
    tmp_path: Path,
    free_tcp_port: Callable[[], int],
    client: ClientFactory,
    caller: CallerFactory,
    rayo: RayoFactory,
) -> None:
    tea, room = JID("tea", prosody.focus), JID("tea", prosody.rooms)
    health = f"127.0.0.1:{free_tcp_port()}"
    config = tmp_path / "focus.toml"
    config.write_text(
        f"[xmpp]\njid = '{prosody.focus}'\nmuc = '{prosody.rooms}'\nsecret = '{prosody.secret}'\n"
        f"port = {prosody.component[1]}\n"
        "[media]\naddresses = ['127.0.0.1']\nport = 0\n[http]\nenabled = false\n"
        f"[metrics]\nlisten = '{health}'\n[conference]\nstrangers = true\n"
        f"[rayo]\nclients = ['juliet@{prosody.domain}']\ncontrollers = ['controller@{prosody.domain}']\n"
        f"[[routes]]\nmatch = 'desk'\nclients = ['juliet@{prosody.domain}']\ntimeout = 60\n"
    )
    owner = await client("owner")
    alice, bob = await caller("alice", 300), await caller("bob", 440)
    async with AsyncExitStack() as lives:
        first = await lives.enter_async_context(served(config, health))
        for one in (alice, bob):
            await one.call(tea)
        await assert_hears(alice, [440], 300)
        assert await occupants(owner, room) == [f"{room}/focus", f"{room}/owner"]
        juliet = await rayo("juliet", check_every=0.5)
        controller = await rayo("controller/often", ready=None, check_every=0.5)  # commands only, and is in no list
        seldom = [await rayo(f"{name}/seldom", ready=None, check_every=3600) for name in ("juliet", "controller")]
        calls = [controller.call(one.address) for one in await controller.calls()]
        assert len(calls) == 2
        for call in calls:
            await call.join(mixer="tea")

        first.kill()
        assert await first.wait() == -9
        owner.received.clear()
        async with served(config, health):
            # who controls learns that nothing holds any more, whether it had registered or not; also who has not
            # looked while the service was not there
            for program in (juliet, controller):
                await is_over(program)
            for program in seldom:
                assert not await program._session._is_known()
            with pytest.raises(SessionLost):
                await calls[0].ended()
            # a new client finds what there is: nothing
            after = await rayo("controller/after")
            assert await after.calls() == await after.mixers() == []
            with pytest.raises(RayoError) as refused:
                await after.call(calls[0].address).hangup()
            assert refused.value.condition == "item-not-found"
            # who was in a call learns that it is gone as soon as it says anything in it
            with pytest.raises(StanzaError) as unknown:
                await alice.jingle("session-info", "<active xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>")
            assert unknown.value.condition == "item-not-found"
            # and calls again; the room sees one focus, under the name that it had
            carol, dave = await caller("carol", 500), await caller("dave", 700)
            for one in (carol, dave):
                await one.call(tea)
            await assert_hears(carol, [700], 500)
            await owner.expect(
                "the focus", lambda stanza: stanza.get("from") == f"{room}/focus" and stanza.get("type") is None
            )
            assert len(await after.calls()) == 2
            visitor = await client("visitor")
            assert await occupants(visitor, room) == [f"{room}/{nick}" for nick in ("focus", "owner", "visitor")]
