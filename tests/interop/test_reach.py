"""How audio gets from people to the focus when something lies between: a firewall, a NAT at each end, IPv6."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
import yaml
from playwright.async_api import Browser, Page

from focus.media.plane import MediaPlane
from focus.service.prosody import Prosody
from focus.service.sections.media import MediaSettings
from tests.interop import networks
from tests.interop.browser import chromium, hears, join, open_page
from tests.interop.ejabberd import Ejabberd
from tests.interop.networks import Network
from tests.interop.relay import SECRET, relay
from tests.interop.running import PATIENCE, RunningFocus, serve, settings_for
from tests.interop.servers import Server
from tests.media.peers import Observer

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
        anna = await open_page(self._browser, self._url, 300, clock=True)
        await join(anna, "Anna")
        bert = await open_page(self._browser, self._url, 440)
        await join(bert, "Bert")
        await hears(anna, 440, not_=300)
        await hears(bert, 300, not_=440)
        return anna, bert


MeetingFactory = Callable[..., Awaitable[Meeting]]


@pytest.fixture
async def meeting(state_dir: Path) -> AsyncIterator[MeetingFactory]:
    """Makes one: `await meeting(far, near, media)`, with a Prosody, or with `server`, which does not run yet."""
    async with AsyncExitStack() as closing:

        async def make(far: Network, near: Network, media: MediaSettings, server: Server | None = None) -> Meeting:
            closing.enter_context(far.entered())
            server = server or Prosody(state_dir / "prosody")
            closing.push_async_callback(server.stop)
            await server.start()
            settings = settings_for(server).model_copy(update={"media": media})
            focus = await closing.enter_async_context(serve(server, settings))
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


async def relays_of(page: Page) -> list[dict[str, object]]:
    """The TURN servers that the page's browser has been given, with their credentials."""
    servers: list[dict[str, object]] = await page.evaluate("connections.at(-1).getConfiguration().iceServers")
    return [server for server in servers if server.get("username") and server.get("credential")]


def documented(line: str, **ours: str) -> str:
    """The lines of docs/install.md that stand together with this one, with our values for some of theirs."""
    text = (Path(__file__).parents[2] / "docs" / "install.md").read_text()
    (block,) = [block for block in text.split("\n\n") if f"\n    {line}\n" in f"\n{block}\n"]
    for theirs, our in {"turn.example.org": "198.51.100.2", **ours}.items():
        assert theirs in block
        block = block.replace(theirs, our)
    return textwrap.dedent(block)


def server_with_relay(name: str, state: Path) -> Server:
    theirs = {"the one of coturn": SECRET}
    if name == "ejabberd":
        return Ejabberd(state, besides=yaml.safe_load(documented("  mod_stun_disco:", **theirs)))
    modules, options = documented('external_service_host = "turn.example.org"', **theirs).split("\n", 1)
    assert modules.startswith('modules_enabled = { "external_services" }')
    return Prosody(state, modules=["external_services"], options=options)


@pytest.mark.parametrize(("told_by", "transport"), [("prosody", "udp"), ("ejabberd", "tcp")])
async def test_a_page_behind_a_firewall_talks_through_the_relay_that_its_server_names(
    network: NetworkFactory, meeting: MeetingFactory, state_dir: Path, told_by: str, transport: str
) -> None:
    far, between, near = network(), network(), network()
    near.link(between, "198.51.100.1/24", "198.51.100.2/24")
    between.link(far, "203.0.113.2/24", "203.0.113.1/24")
    near.run("ip route add default via 198.51.100.2")
    between.forward(False)
    settings = documented("use-auth-secret", **{"the one of the XMPP server": SECRET, "203.0.113.7": "203.0.113.1"})
    async with relay(between, "198.51.100.2", "203.0.113.2", state_dir, settings):
        if transport == "tcp":
            between.filter("chain in { type filter hook input priority 0; ip saddr 198.51.100.1 udp dport 3478 drop; }")
        media = MediaSettings(addresses=("203.0.113.1",), port=0)
        talking = await meeting(far, near, media, server_with_relay(told_by, state_dir / "server"))
        anna, bert = await talking.talk()
        for page in (anna, bert):
            local, remote = await way_of(page)
            assert (local["candidateType"], local["relayProtocol"]) == ("relay", transport)
            assert local["address"] == "203.0.113.2"
            assert remote["address"] == "203.0.113.1"
        first = await relays_of(anna)
        assert len(first) == 3
        await anna.clock.fast_forward("23:00:00")  # of 24 hours
        async with asyncio.timeout(PATIENCE):
            while (second := await relays_of(anna)) == first:  # noqa: ASYNC110 - the page tells nobody
                await asyncio.sleep(0.1)
        assert [relay["urls"] for relay in second] == [relay["urls"] for relay in first]
        await hears(anna, 440, not_=300)


def behind_nats(network: NetworkFactory) -> tuple[Network, Network]:
    """Two networks, each behind a NAT: 203.0.113.10 maps port 20000 to 10.0.0.2, one to one; 203.0.113.20 has another
    port for each way out, and lets nobody in who was not asked.
    """
    far, wall, other_wall, near = network(), network(), network(), network()
    far.link(wall, "10.0.0.2/24", "10.0.0.1/24")
    wall.link(other_wall, "203.0.113.10/24", "203.0.113.20/24")
    other_wall.link(near, "10.1.0.1/24", "10.1.0.2/24")
    far.run("ip route add default via 10.0.0.1")
    near.run("ip route add default via 10.1.0.1")
    for each in (wall, other_wall):
        each.forward(True)
    wall.filter("""
      chain in { type nat hook prerouting priority -100; ip daddr 203.0.113.10 udp dport 20000 dnat to 10.0.0.2; }
      chain out { type nat hook postrouting priority 100; ip saddr 10.0.0.2 snat to 203.0.113.10; }
    """)
    other_wall.filter("""
      chain out { type nat hook postrouting priority 100; ip saddr 10.1.0.0/24 masquerade random; }
      chain through { type filter hook forward priority 0; ip daddr 10.1.0.0/24 ct state new drop; }
    """)
    return far, near


async def test_a_page_behind_a_nat_talks_with_a_focus_behind_another_by_its_public_address(
    network: NetworkFactory, meeting: MeetingFactory
) -> None:
    far, near = behind_nats(network)
    media = MediaSettings(addresses=("auto",), port=20000, public_addresses=("203.0.113.10",))
    talking = await meeting(far, near, media)
    for page in await talking.talk():
        _, remote = await way_of(page)
        assert (remote["address"], remote["port"]) == ("203.0.113.10", 20000)


@pytest.mark.parametrize(
    ("public", "patience", "outcome"),
    [(["203.0.113.10"], 20, "connected"), ([], 2, "failed: ICE found no path to the peer in 2 s")],
)
async def test_only_by_its_public_address_a_focus_behind_a_nat_is_reached(
    network: NetworkFactory, public: list[str], patience: float, outcome: str
) -> None:
    far, near = behind_nats(network)
    legs, observers = [], []
    async with AsyncExitStack() as closing:
        for place, address, names in ((far, ("10.0.0.2", 20000), public), (near, ("10.1.0.2", 0), [])):
            plane = MediaPlane([address], public_addresses=names, connect_timeout=patience)
            with place.entered():
                await plane.start()
            closing.push_async_callback(plane.stop)
            observers.append(Observer())
            legs.append(plane.create_leg(controlling=place is near, observer=observers[-1]))
        await legs[0].connect(legs[1].local_transport, dtls_role="passive")
        await legs[1].connect(legs[0].local_transport, dtls_role="active")
        for observer in observers:
            assert await observer.last(1) == outcome


async def test_a_page_that_has_only_ipv6_talks_with_a_focus_that_has_both(
    network: NetworkFactory, meeting: MeetingFactory
) -> None:
    far, near = network(), network()
    far.link(near, "2001:db8::1/64", "2001:db8::2/64")
    far.run("ip address add 10.0.0.2/24 dev lo")
    talking = await meeting(far, near, MediaSettings(addresses=("auto",), port=20000))
    for page in await talking.talk():
        local, remote = await way_of(page)
        assert local["address"] == "2001:db8::2"
        assert (remote["address"], remote["port"]) == ("2001:db8::1", 20000)
    assert {("10.0.0.2", 20000), ("2001:db8::1", 20000)} < set(talking.focus.ready.media)
