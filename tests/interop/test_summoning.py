"""The focus is called into rooms of a real Prosody in each way that there is, and goes when nobody is there."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from focus.service.prosody import Prosody
from focus.service.sections.conference import SummoningSettings
from focus.wire.conditions import NotAllowed, NotAuthorized
from focus.wire.jid import JID
from focus.wire.summons import CONFERENCE_REQUEST, DIRECT, MUC_USER
from tests.interop.running import ClientFactory, RunningFocus, StanzaClient, eventually, serve, settings_for

pytestmark = pytest.mark.interop

MUC = "http://jabber.org/protocol/muc"


def request(room: JID) -> str:
    return f"<conference xmlns='{CONFERENCE_REQUEST}' room='{room}'/>"


async def enter(client: StanzaClient, room: JID) -> ET.Element:
    """Returns the presence of the focus in the room, which is there already."""
    client.send(f"<presence to='{room}/{client.jid.local}'><x xmlns='{MUC}'/></presence>")
    found = await client.expect("the focus", lambda stanza: stanza.get("from") == f"{room}/focus")
    await client.expect("oneself", lambda stanza: stanza.get("from") == f"{room}/{client.jid.local}")
    return found


async def leave(client: StanzaClient, room: JID) -> None:
    client.send(f"<presence type='unavailable' to='{room}/{client.jid.local}'/>")


async def test_a_conference_request_brings_the_focus_before_it_is_answered(
    prosody: Prosody, client: ClientFactory
) -> None:
    async with serve(prosody, settings_for(prosody, linger=0.1)) as focus:
        alice, room = await client("alice"), focus.room("tea")
        answer = await alice.ask(JID("", prosody.focus), "set", request(room))
        assert answer[0].attrib == {"room": str(room), "ready": "true", "focusjid": f"focus@{prosody.focus}"}
        presence = await enter(alice, room)  # which she could not, were the room not there: only the focus makes rooms
        item = presence.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}item")
        assert item is not None
        assert item.get("affiliation") == "owner"
        await leave(alice, room)
        await eventually(lambda: focus.service.conferences() == 0)


async def test_a_direct_invitation_brings_the_focus(focus: RunningFocus, client: ClientFactory) -> None:
    alice, room = await client("alice"), focus.room("tea")
    alice.send(f"<message to='{focus.prosody.focus}'><x xmlns='{DIRECT}' jid='{room}'/></message>")
    await eventually(lambda: focus.service.conferences() == 1)
    await alice.ask(JID("", focus.prosody.focus), "set", request(room))  # it is there when this is answered
    await enter(alice, room)


async def test_a_mediated_invitation_brings_the_focus(prosody: Prosody, client: ClientFactory) -> None:
    alice = await client("alice")
    async with serve(prosody, settings_for(prosody)) as focus:
        room = focus.room("tea")
        await alice.ask(JID("", prosody.focus), "set", request(room))
        await enter(alice, room)
    await alice.expect("it leaves", lambda stanza: stanza.get("from") == f"{room}/focus")
    async with serve(prosody, settings_for(prosody)) as focus:
        alice.send(
            f"<message to='{room}'><x xmlns='{MUC_USER}'><invite to='{prosody.focus}'/></x></message>",
        )
        presence = await alice.expect("it comes", lambda stanza: stanza.get("from") == f"{room}/focus")
        assert presence.get("type") is None
        assert focus.service.conferences() == 1


async def test_who_may_not_have_the_focus_is_told_so(prosody: Prosody, client: ClientFactory) -> None:
    settings = settings_for(prosody).model_copy(update={"summoning": SummoningSettings(users=("elsewhere.example",))})
    alice, service = await client("alice"), JID("", prosody.focus)
    async with serve(prosody, settings) as focus:
        with pytest.raises(NotAuthorized):
            await alice.ask(service, "set", request(focus.room("tea")))
        alice.send(f"<message to='{service}'><x xmlns='{DIRECT}' jid='{focus.room('tea')}'/></message>")
        answer = await alice.expect_child("{jabber:client}body")
        assert "I do not come when you ask me to" in answer[0].text  # type: ignore[operator]
    async with serve(prosody, settings_for(prosody)) as focus:
        with pytest.raises(NotAllowed):
            await alice.ask(service, "set", request(JID("tea", "elsewhere.example")))
        assert focus.service.conferences() == 0


@pytest.mark.parametrize("local", ["", "focus"])
async def test_a_room_in_vain_is_declined_through_the_room(prosody: Prosody, client: ClientFactory, local: str) -> None:
    alice, called = await client("alice"), JID(local, prosody.focus)
    async with serve(prosody, settings_for(prosody)) as focus:
        room = focus.room("tea")
        await alice.ask(JID("", prosody.focus), "set", request(room))
        await enter(alice, room)
    # another service, which has its rooms elsewhere
    settings = settings_for(prosody)
    elsewhere = settings.xmpp.model_copy(update={"muc": "elsewhere.example"})
    async with serve(prosody, settings.model_copy(update={"xmpp": elsewhere})):
        alice.send(
            f"<message to='{room}'><x xmlns='{MUC_USER}'><invite to='{called}'/></x></message>",
        )
        told = await alice.expect(
            "a decline",
            lambda stanza: stanza.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}decline") is not None,
        )
        decline = told.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}decline")
        assert decline is not None
        assert decline.get("from") == prosody.focus
        assert f"I do not come to {room}" in decline.findtext(f"{{{MUC_USER}}}reason", "")
