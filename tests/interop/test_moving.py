"""A participant goes on from another device, or calls anew from the same one (XEP-0353 section 4.2)."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from focus.wire.conference_info import CONFERENCE_INFO, ConferenceInfo, Endpoint
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE
from tests.interop.callers import AiortcCallee, AiortcCaller, CallerFactory, assert_hears, listed, until_gone
from tests.interop.running import ClientFactory, RunningFocus, eventually

pytestmark = pytest.mark.interop

RAYO = "urn:xmpp:rayo:1"
CARBONS = "urn:xmpp:carbons:2"
INVITATIONS = "urn:xmpp:jingle-message:{dialect}"


def endpoints(document: ConferenceInfo, name: str) -> tuple[Endpoint, ...]:
    assert document.users is not None
    (user,) = [user for user in document.users.users if user.display_text == name]
    return user.endpoints


def source(document: ConferenceInfo, name: str) -> list[str | None]:
    """By what somebody is heard in the RTP."""
    return [media.src_id for endpoint in endpoints(document, name) for media in endpoint.media]


async def until_heard_by(bob: AiortcCaller, name: str, known: list[str | None]) -> ConferenceInfo:
    """Bob's document when `name` is heard by another source than the `known`; in all before it both are there, with one
    endpoint each."""
    while True:
        document = await bob.document()
        assert listed(document) == ["alice", "bob"]
        assert document.conference_state is not None
        assert document.conference_state.user_count == 2
        assert [endpoint.status for endpoint in endpoints(document, name)] != ["disconnected"]
        assert len(endpoints(document, name)) == 1
        if source(document, name) != known:
            return document


@pytest.mark.parametrize("dialect", [0, 1])
async def test_who_goes_on_from_another_device_is_missed_by_nobody(
    focus: RunningFocus, caller: CallerFactory, dialect: int
) -> None:
    room = focus.mixer("tea")
    desk, bob, tablet = [
        await caller(name, tone) for name, tone in (("alice/desk", 300), ("bob", 440), ("alice/tablet", 660))
    ]
    await desk.call(room, dialect=dialect)
    await bob.call(room)
    known = source(await bob.document_of("alice", "bob"), "alice")
    await assert_hears(bob, [300], 440)

    accept = await tablet.reach(room)
    await assert_hears(bob, [300], 440)
    assert focus.service.calls() == 3, "the desk goes only when the tablet is there"
    await tablet.connect(accept)
    await until_heard_by(bob, "alice", known)
    terminated = await desk.client.expect_child(f"{{{JINGLE}}}jingle", action="session-terminate", sid=desk.sid)
    assert terminated.find(f".//{{{JINGLE}}}expired") is not None
    finish = f"{{{INVITATIONS.format(dialect=dialect)}}}finish"
    finished = await desk.client.expect_child(finish, id=desk.sid)
    await until_gone(bob, 300)
    await assert_hears(bob, [660], 440)

    assert (finished.get("to"), finished.get("from")) == (str(desk.client.jid), str(room.with_resource("focus")))
    migrated = finished.find(f"{finish}/{{{INVITATIONS.format(dialect=dialect)}}}migrated")
    assert migrated is not None
    assert migrated.get("to") == tablet.sid
    assert finished.find(f"{finish}/{{{JINGLE}}}reason/{{{JINGLE}}}expired") is not None
    await assert_hears(tablet, [440], 660)
    assert focus.service.calls() == 2
    for one in (bob, tablet):
        await one.hang_up()
    await eventually(lambda: focus.service.calls() == 0)
    finishes = [stanza.find(finish) for stanza in tablet.client.received]
    leftover = [each.get("id") for each in finishes if each is not None]
    assert not leftover or leftover == [tablet.sid]


@pytest.mark.any_server
async def test_who_was_muted_is_so_on_the_other_device(
    focus: RunningFocus, caller: CallerFactory, client: ClientFactory
) -> None:
    room, controller = focus.mixer("tea"), await client("controller")
    desk, bob, tablet = [
        await caller(name, tone) for name, tone in (("alice/desk", 300), ("bob", 440), ("alice/tablet", 660))
    ]
    await desk.call(room)
    await bob.call(room)
    await bob.document_of("alice", "bob")

    def address(one: AiortcCaller) -> JID:
        calls = focus.service._server.directory.calls()
        return next(call.address for call in calls if call.session is not None and call.session.sid == one.sid)

    async def until_status(status: str) -> ConferenceInfo:
        while True:
            document = await bob.document()
            if [each.status for each in endpoints(document, "alice")] == [status]:
                return document

    await controller.ask(address(desk), "set", f"<join xmlns='{RAYO}' mixer-name='tea' direction='recv'/>")
    known = source(await until_status("muted-via-focus"), "alice")
    await until_gone(bob, 300)
    await tablet.call(room)
    moved = await until_heard_by(bob, "alice", known)
    assert [(each.status, each.media[0].status) for each in endpoints(moved, "alice")] == [
        ("muted-via-focus", "recvonly")
    ]
    await assert_hears(tablet, [440], 660)
    await until_gone(bob, 660)
    await controller.ask(address(tablet), "set", f"<join xmlns='{RAYO}' mixer-name='tea'/>")
    await until_status("connected")
    await assert_hears(bob, [660], 440)


@pytest.mark.parametrize("dialect", [0, None])
@pytest.mark.any_server
async def test_who_lost_the_call_and_calls_anew_is_there_once(
    focus: RunningFocus, caller: CallerFactory, dialect: int | None
) -> None:
    room = focus.mixer("tea")
    before, bob = await caller("alice", 300), await caller("bob", 440)
    await before.call(room)
    await bob.call(room)
    known = source(await bob.document_of("alice", "bob"), "alice")
    anew = AiortcCaller(before.client, 660)
    try:
        await anew.call(room, dialect=dialect)
        await until_heard_by(bob, "alice", known)
        await until_gone(bob, 300)
        await assert_hears(bob, [660], 440)
        await assert_hears(anew, [440], 660)
        assert focus.service.calls() == 2
        assert not any(
            "deleted" in (user.state for user in ConferenceInfo.parse(each[0]).users.users)  # type: ignore[union-attr]
            for each in bob.client.received
            if each.tag.endswith("iq") and each[0].tag == f"{{{CONFERENCE_INFO}}}conference-info"
        )
    finally:
        await anew.close()


async def test_all_devices_ring_and_hear_from_their_server_who_has_taken_the_call(
    focus: RunningFocus, caller: CallerFactory, client: ClientFactory
) -> None:
    """Section 3.4: carbons (XEP-0280) tell them; what is withdrawn is withdrawn from all."""
    bob, controller = await caller("bob", 440), await client("controller")
    desk, kitchen = AiortcCallee(await client("alice/desk"), 660), await client("alice/kitchen")
    await kitchen.ask(kitchen.jid.bare, "set", f"<enable xmlns='{CARBONS}'/>")
    room = focus.mixer("tea")
    dial = f"<dial xmlns='{RAYO}' to='xmpp:alice@localhost' from='{room.uri}'><join mixer-name='{room.local}'/></dial>"
    names = INVITATIONS.format(dialect=0)
    await bob.call(room)
    try:
        result = await controller.ask(JID("", focus.prosody.focus), "set", dial)
        await desk.rings()
        await kitchen.expect_child(f"{{{names}}}propose", id=desk.sid)
        await controller.ask(JID.from_uri(result[0].get("uri", "")), "set", f"<hangup xmlns='{RAYO}'/>")
        for device in (desk.client, kitchen):
            await device.expect_child(f"{{{names}}}retract", id=desk.sid)

        await controller.ask(JID("", focus.prosody.focus), "set", dial)
        await desk.rings()
        await kitchen.expect_child(f"{{{names}}}propose", id=desk.sid)
        await desk.answers()

        def is_taken(stanza: ET.Element) -> bool:
            carbon = stanza.find(f"{{{CARBONS}}}sent")
            return carbon is not None and carbon.find(f".//{{{names}}}proceed[@id='{desk.sid}']") is not None

        await kitchen.expect("carbon of the proceed", is_taken)
        await assert_hears(bob, [660], 440)
    finally:
        await desk.close()
