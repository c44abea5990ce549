"""How audio gets from people to the focus when something lies between: a firewall, a NAT at each end, IPv6."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from focus.service.config import MediaSettings
from focus.service.prosody import Prosody
from tests.interop import networks
from tests.interop.browser import chromium, hears, join, open_page
from tests.interop.networks import Network
from tests.interop.relay import PORT, SECRET, relay
from tests.interop.running import RunningFocus, serve, settings_for

pytestmark = [
    pytest.mark.interop,
    pytest.mark.browser,
    pytest.mark.skipif(bool(networks.missing()), reason=networks.missing() or "-"),
]

NetworkFactory = Callable[[], Network]


@pytest.fixture
def network() -> Iterator[NetworkFactory]:
    """Makes networks."""
    with ExitStack() as closing:

        def make() -> Network:
            made = Network()
            closing.callback(made.close)
            return made

        yield make


class Meeting:
    """The focus and its XMPP server in one network, and people with their browser in another."""

    def __init__(self, focus: RunningFocus, browser: Browser, url: str) -> None:
        self.focus = focus
        self._browser = browser
        self._url = url

    async def talk(self) -> tuple[Page, Page]:
        """Two people meet, and hear each other."""
        anna = await open_page(self._browser, self._url, 300)
        await join(anna, "Anna")
        bert = await open_page(self._browser, self._url, 440)
        await join(bert, "Bert")
        await hears(anna, 440, not_=300)
        await hears(bert, 300, not_=440)
        return anna, bert


MeetingFactory = Callable[..., Awaitable[Meeting]]


@pytest.fixture
async def meeting(state_dir: Path) -> AsyncIterator[MeetingFactory]:
    """Makes one: `await meeting(far, near, media)`. `server` is what the XMPP server has besides."""
    async with AsyncExitStack() as closing:

        async def make(far: Network, near: Network, media: MediaSettings, **server: Any) -> Meeting:
            closing.enter_context(far.entered())
            prosody = Prosody(state_dir / "prosody", **server)
            closing.push_async_callback(prosody.stop)
            await prosody.start()
            settings = settings_for(prosody).model_copy(update={"media": media})
            focus = await closing.enter_async_context(serve(prosody, settings))
            assert focus.ready.http is not None
            port = await closing.enter_async_context(near.passing_on(focus.ready.http[1], far))
            with near.entered():
                browser = await closing.enter_async_context(chromium())
            return Meeting(focus, browser, f"http://127.0.0.1:{port}/tea")

        yield make


async def way_of(page: Page) -> tuple[dict[str, object], dict[str, object]]:
    """The candidates, ours and theirs, between which the page's audio flows."""
    local, remote = await page.evaluate(
        """async () => {
          const stats = await connections.at(-1).getStats();
          const { selectedCandidatePairId } = [...stats.values()].find(({ type }) => type === 'transport');
          const pair = stats.get(selectedCandidatePairId);
          return [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
        }"""
    )
    return local, remote


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_page_behind_a_firewall_talks_through_the_relay_that_its_server_names(
    network: NetworkFactory, meeting: MeetingFactory, state_dir: Path, transport: str
) -> None:
    far, between, near = network(), network(), network()
    near.link(between, "198.51.100.1/24", "198.51.100.2/24")
    between.link(far, "203.0.113.2/24", "203.0.113.1/24")
    near.run("ip route add default via 198.51.100.2")
    between.forward(False)
    options = f'''
      external_service_host = "198.51.100.2"; external_service_port = {PORT}; external_service_secret = "{SECRET}"
      external_services = {{
        {{ type = "stun"; transport = "{transport}" }};
        {{ type = "turn"; transport = "{transport}"; secret = true; ttl = 600 }};
      }}
    '''
    async with relay(between, "198.51.100.2", "203.0.113.2", state_dir):
        if transport == "tcp":
            between.filter("chain in { type filter hook input priority 0; ip saddr 198.51.100.1 udp dport 3478 drop; }")
        media = MediaSettings(addresses=("203.0.113.1",), port=0)
        talking = await meeting(far, near, media, modules=["external_services"], options=options)
        for page in await talking.talk():
            local, remote = await way_of(page)
            assert (local["candidateType"], local["relayProtocol"]) == ("relay", transport)
            assert local["address"] == "203.0.113.2"
            assert remote["address"] == "203.0.113.1"
