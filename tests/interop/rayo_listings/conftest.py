"""One server and one service for all listings, and who talks to them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from focus.client.connection import Account
from focus.service.phone import Phone, Settings
from focus.service.phone.call import Sound
from focus.service.phone.sound import tone
from focus.service.prosody import LOOPBACK, free_port
from focus.service.sections.components import FetchSettings, RecordingSettings
from focus.service.sections.limits import LimitsSettings
from focus.service.sections.rayo import RayoSettings, RouteSettings
from focus.service.values import Address
from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0
from tests.interop.callers import AiortcCallee, AiortcCaller
from tests.interop.ejabberd import Ejabberd
from tests.interop.rayo_listings.conversation import SHIM, TONES, Client, Conversation
from tests.interop.running import PASSWORD, PATIENCE, RunningFocus, StanzaClient, serve, settings_for
from tests.interop.servers import Server, running_server

#: Of calls and of joins that one account can have (listings 18 and 31).
CALLS, JOINS = 4, 4
#: Of components, overall and on one call or mixer (listings 50 and 51).
COMPONENTS, COMPONENTS_OF_ONE = 5, 3


class Stage:
    """Where a conversation is held: who takes part is gone after it."""

    def __init__(self, focus: RunningFocus, known: set[str], folder: Path, closing: AsyncExitStack) -> None:
        self.focus = focus
        #: From which file: URIs are fetched.
        self.folder = folder
        self.service = JID("", focus.prosody.focus)
        self._known = known
        self._closing = closing

    def at(self, name: str) -> JID:
        """An address of the service. Calls to juliet-… go to Juliet's clients, to romeo-… to Romeo's, others to
        both's."""
        return self.focus.mixer(name)

    async def rayo_client(self, name: str) -> Client:
        """Logged in, as `juliet/balcony`."""
        client = Client(await self._account(name), service=self.service)
        await self._connect(client)
        return client

    async def registered(self, name: str) -> Client:
        client = await self.rayo_client(name)
        client.says(f"<presence to='{self.service}'><show>chat</show></presence>")
        await client.has_heard_all()
        return client

    async def program(self, name: str) -> StanzaClient:
        """Of somebody who calls or is called, without media."""
        client = StanzaClient(await self._account(name))
        await self._connect(client)
        return client

    async def caller(self, name: str) -> AiortcCaller:
        caller = AiortcCaller(await self.program(name), TONES[name])
        self._closing.push_async_callback(caller.close)
        return caller

    async def phone(self, name: str) -> Phone:
        """Which has keys (RFC 4733)."""
        place = ["127.0.0.1"]
        phone = Phone(Settings(account=await self._account(name), sound=Sound(tone(TONES[name])), media=place))
        await phone.connect()
        self._closing.push_async_callback(phone.close)
        return phone

    async def callee(self, name: str) -> AiortcCallee:
        callee = AiortcCallee(await self.program(name), TONES[name])
        self._closing.push_async_callback(callee.close)
        return callee

    def begins(self, doing: Coroutine[object, object, object]) -> asyncio.Task[object]:
        """Do something meanwhile; not for longer than the conversation."""
        task = asyncio.get_running_loop().create_task(doing)

        async def end() -> None:
            task.cancel()
            await asyncio.wait((task,))

        self._closing.push_async_callback(end)
        return task

    def proposes(self, caller: StanzaClient, to: JID, id: str, headers: Mapping[str, str] | None = None) -> None:
        """Somebody calls, without media and for as long as they are not answered (XEP-0353, XEP-0131)."""
        described = "".join(f"<header name='{name}'>{value}</header>" for name, value in (headers or {}).items())
        caller.send(
            f"<message type='chat' to='{to}'><propose xmlns='{JMI_0}' id='{id}'>"
            "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>"
            f"<headers xmlns='{SHIM}'>{described}</headers></message>"
        )

    async def takes(self, client: Client, caller: AiortcCaller | Phone, to: JID) -> JID:
        """What listings 1 to 5 show, in short: the call of `caller`, answered by `client`."""
        calling = self.begins(caller.call(to))
        offer = await client.expect_child("{urn:xmpp:rayo:1}offer")
        call = JID.parse(offer.get("from", ""))
        for command in ("accept", "answer"):
            await client.ask(call, "set", f"<{command} xmlns='urn:xmpp:rayo:1'/>")
        async with asyncio.timeout(PATIENCE):
            await calling
        return call

    async def starts(self, client: Client, target: JID, command: str) -> JID:
        """The component that `command` starts."""
        reference = (await client.ask(target, "set", command)).find("{urn:xmpp:rayo:1}ref")
        assert reference is not None
        return JID.from_uri(reference.get("uri", ""))

    async def _account(self, name: str) -> Account:
        prosody = self.focus.prosody
        local, _, resource = name.partition("/")
        if local not in self._known:
            await prosody.add_user(f"{local}@{prosody.domain}", PASSWORD)
            self._known.add(local)
        return Account(JID(local, prosody.domain, resource or "phone"), PASSWORD, prosody.c2s, insecure=True)

    async def _connect(self, client: StanzaClient) -> None:
        await client.connect()
        self._closing.push_async_callback(client.close)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def server(server_name: str, ejabberd: Ejabberd) -> AsyncIterator[tuple[Server, set[str]]]:
    """The server, and who has an account there."""
    folder = Path(tempfile.mkdtemp(prefix="focus-test-"))
    folder.chmod(0o755)
    try:
        async with running_server(server_name, folder / "server", ejabberd) as running:
            yield running, set()
    finally:
        shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def stage(server: tuple[Server, set[str]], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    prosody, known = server
    juliet, romeo = (f"{name}@{prosody.domain}" for name in ("juliet", "romeo"))
    folder, usual = tmp_path_factory.mktemp("sounds"), settings_for(prosody)
    page = Address(LOOPBACK, free_port())
    settings = usual.model_copy(
        update={
            "http": usual.http.model_copy(update={"listen": page, "url": f"http://{page.host}:{page.port}"}),
            "fetch": FetchSettings(folders=(folder,)),
            "recordings": RecordingSettings(folder=folder / "recordings"),
            "rayo": RayoSettings(clients=(juliet, romeo)),
            "routes": (
                RouteSettings(match="juliet-*", clients=(juliet,), timeout=60),
                RouteSettings(match="romeo-*", clients=(romeo,), timeout=60),
                RouteSettings(match="*", clients=(juliet, romeo), timeout=60),
            ),
            "limits": LimitsSettings(
                calls_of_client=CALLS,
                joins_of_client=JOINS,
                components=COMPONENTS,
                components_of_one=COMPONENTS_OF_ONE,
                load=1.0,
            ),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        # aiortc offers no loopback addresses by itself
        patch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
        async with serve(prosody, settings) as focus, AsyncExitStack() as closing:
            yield Stage(focus, known, folder, closing)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def conversation(request: pytest.FixtureRequest, stage: Stage) -> AsyncIterator[Conversation]:
    """The one that the module has."""
    listings = request.module.conversation(stage)
    yield Conversation(listings)
    await listings.aclose()
