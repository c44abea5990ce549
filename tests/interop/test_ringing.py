"""People who are absent are called into a conference: real phones that ring, refuse, and come after all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from focus.service.phone import Answering
from focus.service.prosody import Prosody
from focus.service.sections.conference import RingingSettings, RoomSettings
from focus.wire.commands import COMMANDS
from focus.wire.conditions import Forbidden
from focus.wire.jid import JID
from focus.xmpp.commands import CALL_IN, CALL_OFF, LOWER_HAND, LOWER_HANDS, RAISE_HAND
from focus.xmpp.discovery import DISCO_ITEMS
from tests.interop.callers import AiortcCaller, CallerFactory, assert_hears
from tests.interop.running import PhoneFactory, RunningFocus, eventually, serve, settings_for
from tests.service.phones import hears

pytestmark = pytest.mark.interop

BOB = "bob@localhost"


@pytest.fixture
async def focus(prosody: Prosody) -> AsyncIterator[RunningFocus]:
    """Which calls Bob into every conference, again after a second, and Carol into that of one room."""
    settings = settings_for(prosody, invite=(BOB,)).model_copy(
        update={
            "ringing": RingingSettings(pauses=(1.0,) * 20),
            "rooms": (
                RoomSettings(name="milk", invite=("carol@localhost",)),
                RoomSettings(name="honey", invite=("nobody@localhost",)),
            ),
        }
    )
    async with serve(prosody, settings) as running:
        yield running


async def endpoint(one: AiortcCaller, name: str, **wanted: Any) -> None:
    """Until a document says so of somebody."""
    while True:
        document = await one.document()
        found = [user.endpoints[0] for user in document.users.users if user.display_text == name]  # type: ignore[union-attr]
        if found and all(getattr(found[0], key) == value for key, value in wanted.items()):
            return


async def test_who_is_absent_is_rung_refuses_is_rung_again_and_is_heard(
    focus: RunningFocus, caller: CallerFactory, listening: PhoneFactory
) -> None:
    bob = await listening("bob", 440, "busy")
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("tea"))
    ended = await bob.wait_for("ended")
    assert ended["reason"] == "busy"
    await endpoint(alice, "bob", status="disconnected", disconnection_method="busy")
    bob.listen(Answering())  # now he has time
    await bob.wait_for("connected", since=ended)
    await endpoint(alice, "bob", status="connected", joining_method="dialed-out")
    await assert_hears(alice, [440], 300)
    await hears(bob, 300)
    await alice.hang_up()


async def test_who_declines_is_left_alone(focus: RunningFocus, caller: CallerFactory, listening: PhoneFactory) -> None:
    bob = await listening("bob", 440, "decline")
    carol = await listening("carol", 660)
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("milk"))
    await bob.wait_for("ended")
    await carol.wait_for("connected")
    await endpoint(alice, "bob", status="disconnected", disconnection_method="failed")
    await alice.document_of("alice", "carol")
    (conference,) = focus.service._application.conferences
    await eventually(lambda: not conference.callout.is_active)


async def test_who_does_not_exist_is_shown_as_not_reached_at_once(focus: RunningFocus, caller: CallerFactory) -> None:
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("honey"))
    await endpoint(alice, "nobody", status="disconnected", disconnection_method="failed")  # sooner than nobody answers
    await alice.hang_up()


async def test_a_moderator_has_somebody_called_by_a_command_through_the_room(
    prosody: Prosody, caller: CallerFactory, listening: PhoneFactory, focus: RunningFocus
) -> None:
    carol = await listening("carol", 660)
    room, us = focus.room("tea"), JID("tea", prosody.rooms, "focus")
    alice = await caller("alice", 300)
    await alice.call(focus.mixer("tea"))
    muc = "http://jabber.org/protocol/muc"
    alice.client.send(f"<presence to='{room}/Alice'><x xmlns='{muc}'/></presence>")
    await alice.client.expect("herself", lambda stanza: stanza.get("from") == f"{room}/Alice")
    form = "<x xmlns='jabber:x:data' type='submit'><field var='jids'><value>carol@localhost</value></field></x>"
    command = f"<command xmlns='{COMMANDS}' node='{CALL_IN}' action='complete'>{form}</command>"
    with pytest.raises(Forbidden):
        await alice.client.ask(us, "set", command)
    (conference,) = focus.service._application.conferences
    grant = f"<query xmlns='{muc}#admin'><item nick='Alice' role='moderator'/></query>"
    await focus.service._connection.iq(conference.client, room, "set", ET.fromstring(grant))
    await eventually(lambda: any(one.role == "moderator" for one in conference.roster.occupants))
    listed = await alice.client.ask(us, "get", f"<query xmlns='{DISCO_ITEMS}' node='{COMMANDS}'/>")
    assert [item.get("node") for item in listed[0]] == [CALL_IN, CALL_OFF, LOWER_HANDS, RAISE_HAND, LOWER_HAND]
    answer = await alice.client.ask(us, "set", command)
    assert answer[0].get("status") == "completed"
    await carol.wait_for("connected")
    await assert_hears(alice, [660], 300)
