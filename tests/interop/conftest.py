"""Real XMPP servers, the whole service beside it, and clients and callers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from focus.client.connection import Account
from focus.service.phone import Answering, Phone, Settings
from focus.service.phone.call import Sound
from focus.service.phone.sound import Source, tone
from focus.wire.jid import JID
from tests.interop.callers import AiortcCaller, CallerFactory
from tests.interop.running import PASSWORD, ClientFactory, PhoneFactory, RunningFocus, StanzaClient, serve, settings_for
from tests.interop.servers import Server


@pytest.fixture
def prosody(server: Server) -> Server:
    """Each server in turn, by the name of the first."""
    return server


@pytest.fixture
async def focus(prosody: Server) -> AsyncIterator[RunningFocus]:
    async with serve(prosody, settings_for(prosody)) as running:
        yield running


@pytest.fixture
async def client(prosody: Server) -> AsyncIterator[ClientFactory]:
    """Makes clients: `await client("alice")` is logged in as alice@localhost, with an account made for her."""
    async with AsyncExitStack() as closing:
        known: set[str] = set()

        async def connect(name: str) -> StanzaClient:
            local, _, resource = name.partition("/")
            if local not in known:
                await prosody.add_user(f"{local}@{prosody.domain}", PASSWORD)
                known.add(local)
            jid = JID(local, prosody.domain, resource or "test")
            made = StanzaClient(Account(jid, PASSWORD, prosody.c2s, insecure=True))
            await made.connect()
            closing.push_async_callback(made.close)
            return made

        yield connect


@pytest.fixture
async def caller(client: ClientFactory, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CallerFactory]:
    """Makes callers with accounts of their own. aiortc offers no loopback addresses by itself."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    async with AsyncExitStack() as closing:

        async def make(name: str, frequency: float) -> AiortcCaller:
            made = AiortcCaller(await client(name), frequency)
            closing.push_async_callback(made.close)
            return made

        yield make


@pytest.fixture
async def listening(focus: RunningFocus) -> AsyncIterator[PhoneFactory]:
    """Makes phones that take calls, with accounts of their own."""
    async with AsyncExitStack() as closing:

        async def make(name: str, sound: float | Source, reject: str | None = None) -> Phone:
            jid = JID(name, focus.prosody.domain, "phone")
            await focus.prosody.add_user(str(jid.bare), PASSWORD)
            account = Account(jid, PASSWORD, focus.prosody.c2s, insecure=True)
            source = tone(sound) if isinstance(sound, int | float) else sound
            phone = Phone(Settings(account=account, sound=Sound(source), media=["127.0.0.1"]))
            await phone.connect()
            closing.push_async_callback(phone.close)
            phone.listen(Answering(reject=reject))
            return phone

        yield make
