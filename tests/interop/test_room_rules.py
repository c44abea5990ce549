"""The rules of a room on a real server are those of its conference, as callers hear and see them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from focus.wire.conditions import StanzaError
from focus.wire.conference_info import ConferenceInfo, Endpoint
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Jingle, Reason
from tests.interop.callers import JMI, AiortcCaller, CallerFactory, assert_hears, until_gone
from tests.interop.mucs import MUC, MucRoom, refused
from tests.interop.running import ClientFactory, PhoneFactory, RunningFocus, eventually

pytestmark = pytest.mark.interop

JITSI = "http://jitsi.org/protocol/focus"
RAYO = "urn:xmpp:rayo:1"
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"


@pytest.fixture
async def room(focus: RunningFocus, client: ClientFactory) -> MucRoom:
    """The focus makes it, and its owner one of somebody else."""
    room = MucRoom(focus.room("tea"), await client("owner"))
    await room.owner.ask(JID("", focus.prosody.focus), "set", f"<conference xmlns='{JITSI}' room='{room.jid}'/>")
    item = ET.fromstring(f"<query xmlns='{MUC}#admin'><item affiliation='owner' jid='owner@localhost'/></query>")
    ours = JID("focus", focus.prosody.focus, "tea")
    await focus.service._connection.iq(ours, room.jid, "set", item)
    await room.enter(room.owner, "Owner")
    return room


async def ended(caller: AiortcCaller) -> Reason:
    """Why the focus has ended the session."""
    stanza = await caller.client.expect_child(f"{{{JINGLE}}}jingle", action="session-terminate", sid=caller.sid)
    reason = Jingle.parse(stanza[0]).reason
    assert reason is not None
    return reason


async def shown(one: AiortcCaller, name: str, status: str) -> Endpoint:
    """What is shown of somebody, as soon as it is of that status, which it may be already."""
    document = one.conference.document or await one.document()
    while (endpoint := endpoint_of(document, name)) is None or endpoint.status != status:
        document = await one.document()
    return endpoint


def endpoint_of(document: ConferenceInfo, name: str) -> Endpoint | None:
    assert document.users is not None
    found = [user.endpoints[0] for user in document.users.users if user.display_text == name and user.endpoints]
    return found[0] if found else None


async def test_visitors_of_a_moderated_room_are_heard_when_they_are_given_voice(
    focus: RunningFocus, room: MucRoom, caller: CallerFactory
) -> None:
    await room.configure(moderatedroom="1", x_members_by_default="0", roomdesc="Tea, daily")
    alice, bob = await caller("alice", 300), await caller("bob", 440)
    stranger = await caller("carol", 660)
    await room.enter(alice.client, "Alice")
    await room.administrate(nick="Alice", role="participant")
    await room.enter(bob.client, "Bob")
    for one in (alice, bob, stranger):
        await one.call(focus.mixer("tea"))

    document = await alice.document_of("Alice", "Bob", "carol")
    assert (await shown(alice, "Bob", "muted-via-focus")).media[0].status == "recvonly"
    assert document.description is not None
    assert document.description.free_text == "Tea, daily"
    await assert_hears(bob, [300], 440)
    await until_gone(alice, 440)
    await until_gone(alice, 660)  # who is not even in the room

    await room.administrate(nick="Bob", role="participant")
    await assert_hears(alice, [440], 300)
    await shown(alice, "Bob", "connected")
    bob.client.send(f"<presence to='{room.jid}/Robert'/>")
    await alice.document_of("Alice", "Robert", "carol")
    await room.administrate(nick="Robert", role="visitor")
    await until_gone(alice, 440)
    await shown(alice, "Robert", "muted-via-focus")

    await room.configure(moderatedroom="0")
    await assert_hears(alice, [660], 300)


async def test_who_is_kicked_or_banned_is_out_of_the_call(
    focus: RunningFocus, room: MucRoom, caller: CallerFactory
) -> None:
    alice, bob, again = await caller("alice", 300), await caller("bob", 440), await caller("bob/again", 440)
    for one, nick in ((alice, "Alice"), (bob, "Bob")):
        await room.enter(one.client, nick)
        await one.call(focus.mixer("tea"))
    await alice.document_of("Alice", "Bob")

    await room.administrate("noise", nick="Bob", role="none")
    reason = await ended(bob)
    assert (reason.condition, reason.text) == ("gone", "you have been kicked out of the room by Owner: noise")
    gone = await shown(alice, "bob", "disconnected")
    assert gone.disconnection_method == "booted"
    assert gone.disconnection_info is not None
    assert (gone.disconnection_info.reason, gone.disconnection_info.by) == ("noise", f"{room.jid.uri}/Owner")
    await until_gone(alice, 440)

    await room.administrate("enough", jid="bob@localhost", affiliation="outcast")
    reason = await refused(again, focus.mixer("tea"))
    assert (reason.condition, reason.text) == ("decline", f"you are banned from the room {room.jid}")

    await room.administrate("you, too", jid="alice@localhost", affiliation="outcast")
    assert (await ended(alice)).text == "you have been banned from the room by Owner: you, too"


async def test_a_room_for_members_with_a_password_is_a_conference_for_those_in_it(
    focus: RunningFocus, room: MucRoom, caller: CallerFactory
) -> None:
    """Callers from elsewhere are allowed here (`strangers`), but not by this room."""
    alice, bob = await caller("alice", 300), await caller("bob", 440)
    await alice.call(focus.mixer("tea"))
    await room.configure(membersonly="1", roomsecret="milk")
    reason = await ended(alice)
    assert (reason.condition, reason.text) == ("gone", "the room is for members only now")

    await room.administrate(jid="bob@localhost", affiliation="member")
    bob.client.send(
        f"<message type='chat' to='{focus.mixer('tea')}'><propose xmlns='{JMI.format(dialect=0)}' id='first'>"
        "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose></message>"
    )
    await bob.client.expect_child(f"{{{JMI.format(dialect=0)}}}ringing", id="first")
    await room.enter(bob.client, "Bob", password="milk")
    await bob.client.expect_child(f"{{{JMI.format(dialect=0)}}}proceed", id="first")
    await bob.call(focus.mixer("tea"))
    await room.administrate("resigned", jid="bob@localhost", affiliation="none")
    assert (await ended(bob)).text == "you may not be in the room any more by Owner: resigned"


async def test_a_destroyed_room_sends_its_callers_on(focus: RunningFocus, room: MucRoom, caller: CallerFactory) -> None:
    alice = await caller("alice", 300)
    await room.enter(alice.client, "Alice")
    await alice.call(focus.mixer("tea"))
    await room.destroy(JID("bar", focus.prosody.rooms), "closing time")
    reason = await ended(alice)
    assert reason.condition == "gone"
    assert reason.text == "the room has been destroyed: closing time; it goes on in bar@rooms.localhost"
    assert reason.redirect == focus.mixer("bar").uri


async def test_a_destroyed_room_rings_nobody_and_is_not_made_again(
    focus: RunningFocus, room: MucRoom, client: ClientFactory
) -> None:
    bob = await client("bob")
    (conference,) = focus.service._application.conferences
    conference.callout.call([bob.jid.bare])  # by its owner, who takes no part
    proposed = await bob.expect_child(f"{{{JMI.format(dialect=0)}}}propose")
    await room.destroy(JID("bar", focus.prosody.rooms), "closing time")
    await bob.expect_child(f"{{{JMI.format(dialect=0)}}}retract", id=proposed[0].get("id", ""))
    await eventually(lambda: not conference.callout.is_active)
    rooms = await room.owner.ask(JID("", focus.prosody.rooms), "get", f"<query xmlns='{DISCO_ITEMS}'/>")
    assert str(room.jid) not in [item.get("jid") for item in rooms[0]]


async def test_who_is_banned_is_not_called_in(
    focus: RunningFocus, room: MucRoom, caller: CallerFactory, listening: PhoneFactory
) -> None:
    await listening("bob", 440)
    await room.administrate("noise", jid="bob@localhost", affiliation="outcast")
    alice = await caller("alice", 300)
    await room.enter(alice.client, "Alice")
    await alice.call(focus.mixer("tea"))
    (conference,) = focus.service._application.conferences
    conference.callout.call([JID("bob", "localhost")])
    info = (await shown(alice, "bob", "disconnected")).disconnection_info
    assert info is not None
    assert info.reason == "banned from the room"
    await alice.hang_up()


async def test_a_moderator_commands_the_conference_as_long_as_they_are_one(
    focus: RunningFocus, room: MucRoom, caller: CallerFactory, client: ClientFactory
) -> None:
    alice, bob, carol = await caller("alice", 300), await caller("bob", 440), await client("carol")
    for one, nick in ((alice, "Alice"), (bob, "Bob")):
        await room.enter(one.client, nick)
        await one.call(focus.mixer("tea"))
    await room.enter(carol, "Carol")
    await alice.document_of("Alice", "Bob")
    query = f"<query xmlns='{DISCO_ITEMS}'/>"

    await room.administrate(nick="Carol", role="moderator")
    await carol.expect("rank", lambda stanza: stanza.find(f".//{{{MUC}#user}}item[@role='moderator']") is not None)
    for item in (await carol.ask(focus.mixer("tea"), "get", query)).iter(f"{{{DISCO_ITEMS}}}item"):
        call = JID.parse(item.get("jid", ""))
        await carol.ask(call, "set", f"<join xmlns='{RAYO}' mixer-name='tea' direction='recv'/>")
    await until_gone(alice, 440)
    await until_gone(bob, 300)

    await room.administrate(nick="Carol", role="participant")
    with pytest.raises(StanzaError) as refusal:
        await carol.ask(call, "set", f"<join xmlns='{RAYO}' mixer-name='tea'/>")
    assert refusal.value.condition == "conflict"
    await room.administrate(jid="carol@localhost", affiliation="owner")
    await carol.ask(call, "set", f"<hangup xmlns='{RAYO}'/>")
