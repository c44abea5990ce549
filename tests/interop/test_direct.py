"""A program connects who has called with who is called so that they send to each other, not to us (XEP-0327 sections
6.2.1.2 and 6.3, `media='direct'`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

import pytest

from focus.service.prosody import Prosody
from focus.service.sections.rayo import RouteSettings
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE
from focus.wire.rtp import RTP_INFO
from tests.interop.callers import AiortcCallee, AiortcCaller, CallerFactory, assert_hears
from tests.interop.running import PATIENCE, ClientFactory, PhoneFactory, RunningFocus, serve, settings_for
from tests.interop.test_joins import RAYO, Program
from tests.service.phones import hears

pytestmark = [pytest.mark.interop, pytest.mark.any_server]


@pytest.fixture
async def focus(prosody: Prosody) -> AsyncIterator[RunningFocus]:
    """Calls to the desk are the program's."""
    route = RouteSettings(match="desk", clients=(f"controller@{prosody.domain}",), timeout=60)
    async with serve(prosody, settings_for(prosody).model_copy(update={"routes": (route,)})) as running:
        yield running


@pytest.fixture
async def program(focus: RunningFocus, client: ClientFactory) -> Program:
    program = Program(focus, await client("controller"))
    program.client.send(f"<presence to='{program.service}'><show>chat</show></presence>")
    await program.client.ask(program.service, "get", "<ping xmlns='urn:xmpp:ping'/>")
    return program


@pytest.fixture
async def bob(client: ClientFactory, caller: CallerFactory) -> AsyncIterator[AiortcCallee]:
    callee = AiortcCallee(await client("bob"), 440)
    yield callee
    await callee.close()


async def offered(program: Program) -> JID:
    """The call that comes in."""
    return JID.parse((await program.client.expect_child(f"{{{RAYO}}}offer")).get("from", ""))


async def dial_directly(program: Program, whom: str, call: JID, device: str = "") -> JID:
    join = f"<join call-uri='{call.uri}' media='direct'/>"
    result = await program.do(program.service, f"<dial to='xmpp:{whom}@{program.domain}{device}'>{join}</dial>")
    return JID.from_uri(result[0].get("uri", ""))


def legs(focus: RunningFocus) -> float:
    """That our media plane has."""
    return focus.service.plane()["legs"]


async def heard_by(peer: AiortcCaller | AiortcCallee, info: str) -> ET.Element:
    def is_told(stanza: ET.Element) -> bool:
        jingle = stanza.find(f"{{{JINGLE}}}jingle")
        return jingle is not None and jingle.get("sid") == peer.sid and jingle.find(f"{{{RTP_INFO}}}{info}") is not None

    return await peer.client.expect(info, is_told)


async def test_who_calls_and_who_is_called_send_to_each_other(
    focus: RunningFocus, program: Program, caller: CallerFactory, bob: AiortcCallee
) -> None:
    alice = await caller("alice", 300)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as doing:
        doing.create_task(alice.call(focus.mixer("desk")))
        first = await offered(program)
        await program.do(first, "<accept/>")
        second = await dial_directly(program, "bob", first)
        await bob.rings()
        await program.told(second, "ringing")
        await bob.answers()
    await program.told(second, "answered")
    for call, other in ((first, second), (second, first)):
        await program.told(call, "joined", **{"call-uri": other.uri})
    await assert_hears(alice, [440], 300)
    await assert_hears(bob, [300], 440)
    here, there = alice.connection.path
    assert (there, here) == bob.connection.path
    assert there not in focus.ready.media
    assert legs(focus) == 0

    # what they say of it is passed on, and known here
    await alice.jingle("session-info", f"<hold xmlns='{RTP_INFO}'/>")
    await heard_by(bob, "hold")
    for command in (
        f"<unjoin call-uri='{second.uri}'/>",
        "<unjoin/>",
        "<join mixer-name='tea'/>",
        f"<join call-uri='{second.uri}'/>",
    ):
        with pytest.raises(StanzaError) as refused:
            await program.do(first, command)
        assert (refused.value.condition, refused.value.type) == ("feature-not-implemented", "modify")
    await program.do(first, f"<join call-uri='{second.uri}' media='direct'/>")  # as they are

    await alice.hang_up()
    goodbye = await bob.client.expect_child(f"{{{JINGLE}}}jingle", action="session-terminate", sid=bob.sid)
    assert goodbye[0].find(f"{{{JINGLE}}}reason/{{{JINGLE}}}success") is not None
    for call, other in ((first, second), (second, first)):
        await program.told(call, "end")
        party = {"call-uri": other.uri}
        assert program.story(call)[-3:] == [("joined", party), ("unjoined", party), ("end", {})]


async def test_a_caller_who_is_not_taken_is_connected_with_somebody_else(
    focus: RunningFocus, program: Program, caller: CallerFactory, listening: PhoneFactory
) -> None:
    """Without an invitation, to a phone that is busy; and again, to one that is not."""
    alice = await caller("alice", 300)
    await listening("carol", 600, reject="busy")
    phone = await listening("bob", 440)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as doing:
        doing.create_task(alice.call(focus.mixer("desk"), dialect=None))
        first = await offered(program)
        second = await dial_directly(program, "carol", first)
        await program.told(second, "end")
        second = await dial_directly(program, "bob", first, "/phone")
    await program.told(first, "joined", **{"call-uri": second.uri})
    await assert_hears(alice, [440], 300)
    await hears(phone, 300)
    assert legs(focus) == 0
    await program.do(second, "<hangup/>")
    await alice.client.expect_child(f"{{{JINGLE}}}jingle", action="session-terminate", sid=alice.sid)
    assert (await phone.wait_for("ended"))["reason"] == "success"
    await program.told(first, "end")
