"""Debian's own Dino, as it is, calls and is called, and people hear each other. Only with --desktop.

It is in a network of its own, where its XMPP server has the port that clients expect.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from focus.service.prosody import Prosody
from focus.service.sections.media import MediaSettings
from focus.wire.jid import JID
from tests.interop import networks
from tests.interop.callers import AiortcCaller, CallerFactory
from tests.interop.desktop import dino as desktop
from tests.interop.desktop.dino import PAUSE, SYLLABLE, Dino
from tests.interop.networks import Network
from tests.interop.running import PASSWORD, PATIENCE, ClientFactory, RunningFocus, eventually, serve, settings_for
from tests.interop.test_dial import RAYO, dial, event
from tests.media.peers import level

WHY_NOT = networks.missing() or desktop.missing()
pytestmark = [
    pytest.mark.interop,
    pytest.mark.desktop,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-"),
]


@pytest.fixture
async def prosody(state_dir: Path) -> AsyncIterator[Prosody]:
    with ExitStack() as closing:
        here, outside = Network(), Network()
        closing.callback(here.close)
        closing.callback(outside.close)
        here.link(outside, "192.0.2.1/24", "192.0.2.2/24")
        here.run("ip route add default via 192.0.2.2")  # else GLib says that there is no network
        closing.enter_context(here.entered())
        server = Prosody(state_dir / "prosody", c2s=("127.0.0.1", 5222))
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


@pytest.fixture
async def focus(prosody: Prosody) -> AsyncIterator[RunningFocus]:
    # Dino does not use loopback, and aiortc nothing else
    media = MediaSettings(addresses=("192.0.2.1", "127.0.0.1"), port=0)
    async with serve(prosody, settings_for(prosody).model_copy(update={"media": media})) as running:
        yield running


@pytest.fixture
async def dina(focus: RunningFocus, client: ClientFactory, state_dir: Path) -> AsyncIterator[Dino]:
    """Dino is online, as dina, whose contact the room `tea` is."""
    elsewhere, room = await client("dina/elsewhere"), focus.mixer("tea")
    elsewhere.send(f"<presence type='subscribe' to='{room}'/>")
    await elsewhere.expect("the room's presence", lambda stanza: stanza.get("from") == f"{room}/focus")
    elsewhere.send(f"<presence type='subscribed' to='{room}'/>")
    certificate = focus.prosody.state / "certificates" / "localhost.crt"
    dino = Dino(state_dir / "dino", certificate.read_bytes())
    try:
        await dino.start(elsewhere.jid.bare, PASSWORD, 440)
        await elsewhere.expect("Dino's presence", lambda stanza: stanza.get("from") == "dina@localhost/dino")
        await elsewhere.close()
        yield dino
    finally:
        await dino.close()


@pytest.fixture
async def alice(focus: RunningFocus, caller: CallerFactory) -> AsyncIterator[AiortcCaller]:
    """She talks to the room, where she is alone: a steady tone would be silence where Dino asks for DTX."""
    alice = await caller("alice", 300)

    async def syllables() -> None:
        while True:
            alice.connection.track.quiet = not alice.connection.track.quiet
            await asyncio.sleep(PAUSE if alice.connection.track.quiet else SYLLABLE)

    talking = asyncio.create_task(syllables())
    await alice.call(focus.mixer("tea"))
    yield alice
    talking.cancel()
    with suppress(asyncio.CancelledError):
        await talking


async def assert_hear_each_other(alice: AiortcCaller, dina: Dino) -> None:
    await dina.hears(300, without=440)
    levels: list[float] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while not desktop.there(levels):
                heard = await alice.connection.ear.next(0.5)
                levels = [level(heard, each) for each in (440, 300)]
    except TimeoutError:
        raise AssertionError(f"alice should hear Dino; there are {levels}") from None


async def until_shown_as(alice: AiortcCaller, direction: str) -> None:
    """Return when she is told that Dino's sound goes this way."""
    while True:
        document = await alice.document()
        assert document.users is not None
        (dina,) = [user for user in document.users.users if user.display_text == "dina"]
        if dina.endpoints[0].media[0].status == direction:
            return


async def until_silent(alice: AiortcCaller, frequency: float) -> None:
    """Return when she has not heard this for so long that there would have been a syllable."""
    async with asyncio.timeout(PATIENCE):
        while level(await alice.connection.ear.next(SYLLABLE + PAUSE), frequency) > -60:
            pass


async def test_dino_is_called_and_talks(
    focus: RunningFocus, client: ClientFactory, dina: Dino, alice: AiortcCaller
) -> None:
    controller = await client("controller")
    result = await controller.ask(JID("", focus.prosody.focus), "set", dial("dina@localhost", focus.mixer("tea")))
    call = JID.from_uri(result[0].get("uri", ""))
    await dina.rings()
    await dina.takes_the_call()
    await controller.expect("answered", event("answered", call))
    await alice.document_of("alice", "dina")
    await assert_hear_each_other(alice, dina)

    await controller.ask(call, "set", "<hangup xmlns='urn:xmpp:rayo:1'/>")
    await dina.sees_the_end()
    await alice.document_of("alice")


async def test_dino_calls_a_room_talks_and_mutes_itself(focus: RunningFocus, dina: Dino, alice: AiortcCaller) -> None:
    await dina.calls(focus.mixer("tea"))
    await alice.document_of("alice", "dina")
    await assert_hear_each_other(alice, dina)

    await dina.mutes_itself()
    await until_shown_as(alice, "recvonly")
    await until_silent(alice, 440)
    await dina.mutes_itself()
    await until_shown_as(alice, "sendrecv")
    await assert_hear_each_other(alice, dina)

    await dina.hangs_up()
    await alice.document_of("alice")
    await eventually(lambda: focus.service.calls() == 1)


async def test_dino_offers_video_and_talks(focus: RunningFocus, dina: Dino, alice: AiortcCaller) -> None:
    await dina.calls(focus.mixer("tea"), video=True)
    await alice.document_of("alice", "dina")
    await assert_hear_each_other(alice, dina)


async def test_dino_declines(focus: RunningFocus, client: ClientFactory, dina: Dino) -> None:
    controller = await client("controller")
    result = await controller.ask(JID("", focus.prosody.focus), "set", dial("dina@localhost", focus.mixer("tea")))
    call = JID.from_uri(result[0].get("uri", ""))
    await dina.rings()
    await dina.declines_the_call()
    end = await controller.expect("the end", event("end", call))
    assert end.find(f"{{{RAYO}}}end/{{{RAYO}}}rejected") is not None
    await eventually(lambda: focus.service.calls() == 0)
