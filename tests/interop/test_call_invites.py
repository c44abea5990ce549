"""Call invites (XEP-0482) on a real server: the room is told, who accepts is called and heard, and we are invited."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from focus.service.prosody import Prosody
from focus.wire.call_invites import CALL_INVITES, STANZA_ID
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE
from tests.interop.callers import AiortcCallee, CallerFactory, assert_hears
from tests.interop.running import ClientFactory, RunningFocus, StanzaClient, eventually, serve, settings_for

pytestmark = pytest.mark.interop

MUC = "http://jabber.org/protocol/muc"


async def enter(client: StanzaClient, room: JID) -> None:
    client.send(f"<presence to='{room}/{client.jid.local}'><x xmlns='{MUC}'/></presence>")
    await client.expect("oneself", lambda stanza: stanza.get("from") == f"{room}/{client.jid.local}")


def in_room(stanza: ET.Element, room: JID) -> str:
    """The id that the room has given a message."""
    (identifier,) = [one for one in stanza.findall(f"{{{STANZA_ID}}}stanza-id") if one.get("by") == str(room)]
    return identifier.get("id", "")


async def test_who_accepts_in_the_room_is_called_and_heard_until_all_is_over(
    focus: RunningFocus, client: ClientFactory, caller: CallerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, room = await client("bob"), focus.room("tea")
    await bob.ask(
        JID("", focus.prosody.focus), "set", f"<conference xmlns='http://jitsi.org/protocol/focus' room='{room}'/>"
    )
    await enter(bob, room)
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("tea"))

    told = await bob.expect_child(f"{{{CALL_INVITES}}}invite")
    assert told.get("type") == "groupchat"
    invite = told.find(f"{{{CALL_INVITES}}}invite")
    assert invite is not None
    (method,) = invite
    assert method.get("jid") == f"tea@{focus.prosody.focus}/focus"
    assert str(focus.mixer("tea")) in told.findtext("{jabber:client}body", "")
    identifier = in_room(told, room)

    callee = AiortcCallee(bob, 440)
    callee.sid, callee.device = method.get("sid", ""), focus.mixer("tea").with_resource("focus")
    bob.send(
        f"<message type='groupchat' to='{room}'><accept xmlns='{CALL_INVITES}' id='{identifier}'>"
        f"<jingle sid='{callee.sid}' jid='{method.get('jid')}'/></accept></message>"
    )
    await callee.takes()
    await assert_hears(alice, [440], 300)
    await callee.close()
    bob.send(f"<message type='groupchat' to='{room}'><left xmlns='{CALL_INVITES}' id='{identifier}'/></message>")
    ended = await bob.expect_child(f"{{{JINGLE}}}jingle", action="session-terminate", sid=callee.sid)
    assert ended is not None
    await alice.document_of("alice")
    await alice.hang_up()
    await bob.expect_child(f"{{{CALL_INVITES}}}retract", id=identifier)


async def test_the_focus_accepts_an_invite_and_is_called(focus: RunningFocus, caller: CallerFactory) -> None:
    alice, room = await caller("alice", 300), focus.mixer("tea")
    alice.client.send(
        f"<message type='chat' id='i1' to='{room}'><invite xmlns='{CALL_INVITES}'><jingle sid='{alice.sid}'/></invite>"
        "</message>"
    )
    accepted = await alice.client.expect_child(f"{{{CALL_INVITES}}}accept", id="i1")
    assert accepted.get("from") == f"{room}/focus"
    assert accepted[0][0].get("sid") == alice.sid
    await alice.call(room, dialect=None)
    await eventually(lambda: focus.service.participants() == 1)


async def test_an_invite_through_the_room_is_answered_through_it(focus: RunningFocus, client: ClientFactory) -> None:
    bob, room = await client("bob"), focus.room("tea")
    await bob.ask(
        JID("", focus.prosody.focus), "set", f"<conference xmlns='http://jitsi.org/protocol/focus' room='{room}'/>"
    )
    await enter(bob, room)
    us = room.with_resource("focus")
    bob.send(
        f"<message type='chat' id='i1' to='{us}'><invite xmlns='{CALL_INVITES}'><jingle sid='s1'/></invite></message>"
    )
    accepted = await bob.expect_child(f"{{{CALL_INVITES}}}accept", id="i1")
    assert accepted.get("from") == str(us)


async def test_who_would_be_refused_is_told_so_at_once(prosody: Prosody, client: ClientFactory) -> None:
    bob, carol = await client("bob"), await client("carol")
    async with serve(prosody, settings_for(prosody, strangers=False)) as focus:
        room = focus.room("tea")
        await bob.ask(
            JID("", prosody.focus), "set", f"<conference xmlns='http://jitsi.org/protocol/focus' room='{room}'/>"
        )
        await enter(bob, room)
        carol.send(
            f"<message type='chat' id='i1' to='{focus.mixer('tea')}'><invite xmlns='{CALL_INVITES}'>"
            "<jingle sid='s1'/></invite></message>"
        )
        rejected = await carol.expect_child(f"{{{CALL_INVITES}}}reject", id="i1")
    assert f"enter the room {room} first" in rejected.findtext("{jabber:client}body", "")
