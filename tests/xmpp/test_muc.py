"""The focus in rooms of a real Prosody, with ordinary clients beside it."""

from __future__ import annotations

import asyncio
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from focus.conference.room import Cause, Departure, Occupant, RoomError, Rules
from focus.wire import context
from focus.wire.call_invites import Accept, CallInvite, External, Invite, JingleMethod, Retract
from focus.wire.jid import JID
from focus.wire.stanzas import presence
from focus.xmpp.connection import Connection
from focus.xmpp.muc import MucRooms
from focus.xmpp.muc_queries import RoomQueries
from focus.xmpp.muc_room import MucRoom
from tests.interop.servers import Server, only_prosody

from .conftest import Client, Inbox, Login, Party, found

ROOM = JID.parse("tea@rooms.localhost")
MUC = "http://jabber.org/protocol/muc"
US = JID.parse("focus@focus.localhost")


class Observer:
    """Keeps what it is told: (method, arguments...)."""

    def __init__(self) -> None:
        self.told = Inbox[tuple[Any, ...]]()
        self.about: list[str] = []  # the rooms that log lines would name meanwhile

    def occupant_joined(self, occupant: Occupant) -> None:
        self.told.put(("joined", occupant))

    def occupant_changed(self, occupant: Occupant) -> None:
        self.told.put(("changed", occupant))

    def occupant_renamed(self, old_nick: str, occupant: Occupant) -> None:
        self.told.put(("renamed", old_nick, occupant))

    def occupant_left(self, occupant: Occupant, departure: Departure, cause: Cause) -> None:
        self.about.append(context.room.get())
        self.told.put(("left", occupant, departure, cause))

    def subject_changed(self, subject: str) -> None:
        self.told.put(("subject", subject))

    def anonymity_changed(self, real_jids_are_public: bool) -> None:
        self.told.put(("public", real_jids_are_public))

    def rules_changed(self, rules: Rules) -> None:
        self.told.put(("rules", rules))

    def sight_changed(self, sees_real_jids: bool) -> None:
        self.told.put(("sight", sees_real_jids))

    def room_lost(self, departure: Departure, cause: Cause) -> None:
        self.told.put(("lost", departure, cause))

    def call_invited(self, occupant: Occupant | None, identifier: str, said: CallInvite) -> None:
        self.told.put(("invite", occupant, identifier, said))

    def room_rejoined(self) -> None:
        self.told.put(("rejoined",))

    async def hears(self, what: str) -> tuple[Any, ...]:
        return await self.told.get(lambda item: item[0] == what)


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
async def rooms(component: Connection, party: Party) -> MucRooms:
    rooms = MucRooms(component, US, "rooms.localhost")
    party.on_presence, party.on_message = rooms.handle_presence, rooms.handle_message
    party.on_connected, party.on_disconnected = rooms.connected, rooms.disconnected
    return rooms


async def enter(client: Client, nick: str, room: JID = ROOM) -> None:
    """Join as any client does, and wait for one's own presence."""
    client.say(f"<presence to='{room}/{nick}'><x xmlns='{MUC}'/></presence>")
    await client.hears("presence", f"{room}/{nick}", "available")


async def set_in_room(
    client: Client, item: str, room: JID = ROOM, namespace: str = f"{MUC}#admin", id: str = "admin"
) -> None:
    answer = await client.asks(str(room), f"<query xmlns='{namespace}'>{item}</query>", "set", id)
    assert answer.get("type") == "result", ET.tostring(answer)


@pytest.fixture
def prosody_admins() -> tuple[str, ...]:
    return ()


async def make_owner(component: Connection, who: str, room: JID = ROOM, affiliation: str = "owner") -> None:
    query = ET.fromstring(f"<query xmlns='{MUC}#admin'><item affiliation='{affiliation}' jid='{who}'/></query>")
    await component.iq(US.with_resource(room.local), room, "set", query)


async def test_what_is_done_for_a_room_is_named_so_in_the_log(
    component: Connection, party: Party, observer: Observer, login: Login
) -> None:
    rooms = MucRooms(component, US, "rooms.example.net")  # so this one is of another service
    party.on_presence = rooms.handle_presence
    await rooms.join(ROOM, observer)
    alice = await login("alice")
    await enter(alice, "Alice")
    await observer.hears("joined")
    alice.say(f"<presence to='{ROOM}/Alice' type='unavailable'/>")
    await observer.hears("left")
    assert observer.about == ["tea\\40rooms.localhost"]
    assert context.room.get() == ""


async def test_a_room_that_does_not_exist_is_made_and_others_can_enter_it(
    rooms: MucRooms, observer: Observer, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    assert (room.jid, room.nick, room.occupants) == (ROOM, "focus", {})
    alice = await login("alice")
    await enter(alice, "Alice")
    _, occupant = await observer.hears("joined")
    assert occupant == Occupant("Alice", ROOM.with_resource("Alice"), alice.jid, "none", "participant")
    assert room.occupants == {"Alice": occupant}


async def test_who_is_in_the_room_already_is_known_when_join_returns(
    rooms: MucRooms, observer: Observer, login: Login
) -> None:
    first = await rooms.join(ROOM, observer)
    alice, guest = await login("alice"), await login()
    await enter(alice, "Alice")
    await enter(guest, "Guest")
    await first.leave()
    late = Observer()
    room = await rooms.join(ROOM, late)
    assert {item[1].nick: item[1].real_jid for item in late.told.items if item[0] == "joined"} == {
        "Alice": alice.jid,
        "Guest": guest.jid,
    }
    assert set(room.occupants) == {"Alice", "Guest"}


async def test_the_focus_sees_real_jids_where_others_do_not(rooms: MucRooms, observer: Observer, login: Login) -> None:
    room = await rooms.join(ROOM, observer)
    alice, bob = await login("alice"), await login("bob")
    await enter(alice, "Alice")
    await enter(bob, "Bob")
    seen = await alice.hears("presence", f"{ROOM}/Bob", "available")
    assert found(seen, f".//{{{MUC}#user}}item").get("jid") is None
    await observer.hears("joined")
    assert (await observer.hears("joined"))[1].real_jid == bob.jid
    assert not room.real_jids_are_public


async def test_leaving_is_seen(rooms: MucRooms, observer: Observer, login: Login) -> None:
    room = await rooms.join(ROOM, observer)
    alice = await login("alice")
    await enter(alice, "Alice")
    _, occupant = await observer.hears("joined")
    alice.say(f"<presence type='unavailable' to='{ROOM}/Alice'/>")
    assert await observer.hears("left") == ("left", occupant, Departure.LEFT, Cause())
    assert room.occupants == {}


async def test_a_new_nick_is_a_rename_and_neither_a_departure_nor_an_arrival(
    rooms: MucRooms, observer: Observer, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    alice = await login("alice")
    await enter(alice, "Alice")
    await observer.hears("joined")
    alice.say(f"<presence to='{ROOM}/Alicia'/>")
    _, old, occupant = await observer.hears("renamed")
    assert (old, occupant) == (
        "Alice",
        Occupant("Alicia", ROOM.with_resource("Alicia"), alice.jid, "none", "participant"),
    )
    alice.say(f"<presence type='unavailable' to='{ROOM}/Alicia'/>")
    assert (await observer.hears("left"))[1] == occupant
    assert not [item for item in observer.told.items if item[0] in ("joined", "left")]
    assert room.occupants == {}


async def test_kick_ban_and_removal_are_told_apart(
    component: Connection, rooms: MucRooms, observer: Observer, login: Login
) -> None:
    await rooms.join(ROOM, observer)
    owner = await login("owner")
    await make_owner(component, "owner@localhost")
    await enter(owner, "Owner")
    for name in ("Alice", "Bob", "Carol"):
        await enter(await login(name.lower()), name)
    await set_in_room(owner, "<item nick='Alice' role='none'><reason>noise</reason></item>", id="kick")
    _, occupant, departure, cause = await observer.hears("left")
    assert (occupant.nick, departure, cause) == ("Alice", Departure.KICKED, Cause("noise", by="Owner"))
    await set_in_room(owner, "<item jid='bob@localhost' affiliation='outcast'/>", id="ban")
    _, occupant, departure, cause = await observer.hears("left")
    assert (occupant.nick, departure, cause) == ("Bob", Departure.BANNED, Cause(by="Owner"))
    await set_in_room(owner, "<item jid='carol@localhost' affiliation='member'/>", id="member")
    await configure(owner, **{"muc#roomconfig_membersonly": "1"})
    await set_in_room(owner, "<item jid='carol@localhost' affiliation='none'/>", id="remove")
    _, occupant, departure, _ = await observer.hears("left")
    assert (occupant.nick, departure) == ("Carol", Departure.REMOVED)


#: What ejabberd wants to be told as well, for which others have no field.
IMPLIED = {
    "muc#roomconfig_roomsecret": {"muc#roomconfig_passwordprotectedroom": "1"},
    "muc#roomconfig_moderatedroom": {"members_by_default": "0"},
}


async def configure(owner: Client, **fields: str) -> None:
    for field in tuple(fields):
        fields |= IMPLIED.get(field, {})
    form = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
    kind = "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
    await set_in_room(
        owner, f"<x xmlns='jabber:x:data' type='submit'>{kind}{form}</x>", namespace=f"{MUC}#owner", id="config"
    )


async def test_roles_and_affiliations_are_followed(
    component: Connection, rooms: MucRooms, observer: Observer, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    alice = await login("alice")
    await enter(alice, "Alice")
    await observer.hears("joined")
    await make_owner(component, "alice@localhost", affiliation="admin")
    _, occupant = await observer.hears("changed")
    assert (occupant.affiliation, occupant.role, occupant.real_jid) == ("admin", "moderator", alice.jid)
    assert room.occupants["Alice"] == occupant


async def test_the_subject_is_followed(
    rooms: MucRooms, observer: Observer, login: Login, component: Connection
) -> None:
    room = await rooms.join(ROOM, observer)
    alice = await login("alice")
    await make_owner(component, "alice@localhost")
    await enter(alice, "Alice")
    alice.say(f"<message type='groupchat' to='{ROOM}'><subject>Tea at five</subject></message>")
    assert await observer.hears("subject") == ("subject", "Tea at five")
    alice.say(f"<message type='groupchat' to='{ROOM}'><subject>not this</subject><body>text</body></message>")
    alice.say(f"<message type='groupchat' to='{ROOM}'><subject/></message>")
    assert await observer.hears("subject") == ("subject", "")
    assert room.subject == ""
    late = Observer()
    alice.say(f"<message type='groupchat' to='{ROOM}'><subject>Coffee</subject></message>")
    await observer.hears("subject")
    await room.leave()
    await rooms.join(ROOM, late)
    assert await late.hears("subject") == ("subject", "Coffee")


async def test_it_is_known_whether_real_jids_are_public(
    component: Connection, rooms: MucRooms, observer: Observer, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    owner = await login("owner")
    await make_owner(component, "owner@localhost")
    await enter(owner, "Owner")
    await configure(owner, **{"muc#roomconfig_whois": "anyone"})
    assert await observer.hears("public") == ("public", True)
    assert room.real_jids_are_public
    await room.leave()
    late = Observer()
    again = await rooms.join(ROOM, late)
    assert again.real_jids_are_public
    assert await late.hears("public") == ("public", True)
    await configure(owner, **{"muc#roomconfig_whois": "moderators"})
    assert await late.hears("public") == ("public", False)


async def test_the_rules_of_the_room_are_followed(
    component: Connection, rooms: MucRooms, observer: Observer, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    assert room.rules == Rules()
    owner = await login("owner")
    await make_owner(component, "owner@localhost")
    await enter(owner, "Owner")
    await configure(owner, **{"muc#roomconfig_moderatedroom": "1", "muc#roomconfig_roomdesc": "Tea, daily"})
    assert await observer.hears("rules") == ("rules", Rules(moderated=True, description="Tea, daily"))
    await configure(owner, **{"muc#roomconfig_membersonly": "1", "muc#roomconfig_roomsecret": "milk"})
    assert await observer.hears("rules") == ("rules", room.rules)
    assert room.rules == Rules(True, members_only=True, password_protected=True, description="Tea, daily")
    await room.leave()
    again = await rooms.join(ROOM, Observer())
    assert again.rules == room.rules, "the focus owns the room, and finds out its password"


async def test_a_password_that_we_may_not_know_keeps_us_out(
    component: Connection, rooms: MucRooms, party: Party, observer: Observer, login: Login
) -> None:
    await rooms.join(ROOM, observer)
    owner = await login("owner")
    await make_owner(component, "owner@localhost")
    await enter(owner, "Owner")
    await configure(owner, **{"muc#roomconfig_roomsecret": "milk"})
    others = MucRooms(component, JID.parse("other@focus.localhost"), "rooms.localhost", nick="other")
    party.on_presence = others.handle_presence
    with pytest.raises(RoomError) as refused:
        await others.join(ROOM, Observer())
    assert refused.value.condition == "not-authorized"


async def test_who_is_banned_is_known_to_an_owner(
    component: Connection, rooms: MucRooms, observer: Observer, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    assert await room.outcasts() == frozenset()
    await make_owner(component, "tybalt@localhost", affiliation="outcast")
    assert await room.outcasts() == {JID.parse("tybalt@localhost")}


async def test_a_focus_that_becomes_a_moderator_learns_who_is_who(
    ordinary: tuple[Client, Observer], caplog: pytest.LogCaptureFixture
) -> None:
    owner, observer = ordinary
    assert await observer.hears("sight") == ("sight", False)
    assert any(
        "must make other@focus.localhost a moderator" in each.getMessage() for each in caplog.get_records("setup")
    )
    await set_in_room(owner, "<item nick='other' role='moderator'/>")
    await observer.told.get(lambda item: item[0] == "changed" and item[1].real_jid == owner.jid)
    assert await observer.hears("sight") == ("sight", True)
    await set_in_room(owner, "<item nick='other' role='participant'/>", id="participant")
    assert await observer.hears("sight") == ("sight", False)


async def test_a_destroyed_room_is_lost_with_its_reason(
    component: Connection, rooms: MucRooms, observer: Observer, login: Login
) -> None:
    await rooms.join(ROOM, observer)
    owner = await login("owner")
    await make_owner(component, "owner@localhost")
    await enter(owner, "Owner")
    destroy = "<destroy jid='bar@rooms.localhost'><reason>closing time</reason></destroy>"
    await set_in_room(owner, destroy, namespace=f"{MUC}#owner")
    cause = Cause("closing time", venue=JID.parse("bar@rooms.localhost"))
    assert await observer.hears("lost") == ("lost", Departure.DESTROYED, cause)
    again = await rooms.join(ROOM, Observer())
    assert again.occupants == {}


async def test_a_taken_nick_gets_a_number(rooms: MucRooms, observer: Observer, login: Login) -> None:
    first = await rooms.join(ROOM, Observer())
    await enter(await login("bob"), "Bob")
    await first.leave()
    await enter(await login("alice"), "focus")
    room = await rooms.join(ROOM, observer)
    assert room.nick == "focus-2"
    assert set(room.occupants) == {"focus", "Bob"}


async def test_a_room_that_cannot_be_entered_says_why(
    prosody: Server, component: Connection, observer: Observer, party: Party
) -> None:
    """From an address that the service does not know as its admin: rooms are made by admins alone."""
    stranger = MucRooms(component, JID.parse("nobody@focus.localhost"), "rooms.localhost")
    party.on_presence = stranger.handle_presence
    with pytest.raises(RoomError) as refused:
        await stranger.join(ROOM, observer)
    assert refused.value.condition in ("not-allowed", "forbidden")  # which ejabberd says
    with pytest.raises(RoomError) as refused:
        await stranger.join(JID.parse("tea@nowhere.example"), observer)
    assert refused.value.condition in ("remote-server-not-found", "service-unavailable", "not-allowed")


async def test_a_service_that_does_not_answer_is_a_timeout(
    component: Connection, observer: Observer, party: Party, login: Login
) -> None:
    silent = await login("silent")
    rooms = MucRooms(component, US, "rooms.localhost", timeout=0.3)
    party.on_presence = rooms.handle_presence
    with pytest.raises(RoomError) as refused:
        await rooms.join(silent.jid.bare, observer)
    assert refused.value.condition == "timeout"


async def test_a_room_of_another_service_is_escaped_in_our_occupants_address(rooms: MucRooms) -> None:
    assert str(rooms.occupant_jid(ROOM)) == "focus@focus.localhost/tea"
    assert str(rooms.occupant_jid(JID.parse("tea@muc.example.org"))) == "focus@focus.localhost/tea\\40muc.example.org"


async def test_a_room_is_joined_once(rooms: MucRooms, observer: Observer) -> None:
    await rooms.join(ROOM, observer)
    with pytest.raises(RoomError) as refused:
        await rooms.join(ROOM, Observer())
    assert refused.value.condition == "conflict"


async def test_of_two_who_wait_for_us_to_leave_one_comes_in(rooms: MucRooms, observer: Observer, login: Login) -> None:
    room = await rooms.join(ROOM, observer)
    await enter(await login("alice"), "Alice")
    leaving = asyncio.create_task(room.leave())
    await asyncio.sleep(0)
    assert room.is_leaving
    first, second = await asyncio.gather(
        rooms.join(ROOM, Observer()), rooms.join(ROOM, Observer()), return_exceptions=True
    )
    await leaving
    assert isinstance(first, MucRoom)
    assert set(first.occupants) == {"Alice"}
    assert isinstance(second, RoomError)
    assert second.condition == "conflict"


async def test_others_see_the_focus_come_and_go(
    component: Connection, observer: Observer, party: Party, login: Login
) -> None:
    extension = ET.Element("{urn:example}caps")
    rooms = MucRooms(component, US, "rooms.localhost", extensions=lambda: (extension,))
    party.on_presence, party.on_message = rooms.handle_presence, rooms.handle_message
    room = await rooms.join(ROOM, observer)
    alice = await login("alice")
    await enter(alice, "Alice")
    seen = await alice.hears("presence", f"{ROOM}/focus", "available")
    assert seen.find("{urn:example}caps") is not None
    await room.leave()
    await alice.hears("presence", f"{ROOM}/focus", "unavailable")
    await room.leave()


async def test_after_the_server_came_back_the_room_is_there_again_and_those_missing_are_reported(
    prosody: Server, rooms: MucRooms, observer: Observer, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    await enter(await login("alice"), "Alice")
    await observer.hears("joined")
    prosody.kill()
    await prosody.wait()
    await prosody.start()
    await observer.hears("rejoined")
    _, occupant, departure, _ = await observer.hears("left")
    assert (occupant.nick, departure) == ("Alice", Departure.LOST)
    assert room.occupants == {}
    bob = await login("bob")
    await enter(bob, "Bob")
    assert (await observer.hears("joined"))[1].real_jid == bob.jid


async def test_after_our_connection_came_back_only_differences_are_reported(
    component: Connection, rooms: MucRooms, observer: Observer, party: Party, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    alice, bob = await login("alice"), await login("bob")
    await enter(alice, "Alice")
    await enter(bob, "Bob")
    for _ in "ab":
        await observer.hears("joined")
    drop_connection(component)
    await party.states.get(lambda state: state == "disconnected")
    await observer.hears("rejoined")
    assert [item for item in observer.told.items if item[0] in ("joined", "left", "changed")] == []
    assert set(room.occupants) == {"Alice", "Bob"}
    alice.say(f"<presence type='unavailable' to='{ROOM}/Alice'/>")
    assert (await observer.hears("left"))[2] == Departure.LEFT


def drop_connection(component: Connection) -> None:
    """As the network does it."""
    assert component._stream is not None
    assert component._stream.transport is not None
    component._stream.transport.abort()


async def test_a_room_left_without_a_connection_is_left_when_there_is_one(
    component: Connection, rooms: MucRooms, observer: Observer, party: Party, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    alice = await login("alice")
    await enter(alice, "Alice")
    await alice.hears("presence", f"{ROOM}/focus", "available")
    drop_connection(component)
    await party.states.get(lambda state: state == "disconnected")
    await room.leave()
    await alice.hears("presence", f"{ROOM}/focus", "unavailable")
    assert not [item for item in observer.told.items if item[0] == "rejoined"]


async def test_a_join_fails_when_the_connection_does(
    component: Connection, observer: Observer, party: Party, login: Login
) -> None:
    silent = await login("silent")
    rooms = MucRooms(component, US, "rooms.localhost")
    party.on_presence, party.on_disconnected = rooms.handle_presence, rooms.disconnected
    joining = asyncio.create_task(rooms.join(silent.jid.bare, observer))
    await silent.hears("presence", type="available")
    drop_connection(component)
    with pytest.raises(RoomError) as refused:
        await joining
    assert refused.value.condition == "remote-server-timeout"


async def test_a_kicked_focus_comes_back(
    component: Connection,
    rooms: MucRooms,
    observer: Observer,
    login: Login,
    server_name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    only_prosody(server_name, "nobody can send away the service's own admins")
    await rooms.join(ROOM, observer)
    owner = await login("owner")
    await make_owner(component, "owner@localhost")
    await enter(owner, "Owner")
    await observer.hears("joined")
    await set_in_room(owner, "<item nick='focus' role='none'/>", id="kick")
    await owner.hears("presence", f"{ROOM}/focus", "unavailable")
    await observer.hears("rejoined")
    assert not [item for item in observer.told.items if item[0] in ("joined", "left")]
    assert f"no longer in the room {ROOM}: kicked by Owner" in caplog.messages


@pytest.fixture
async def ordinary(component: Connection, rooms: MucRooms, party: Party, login: Login) -> tuple[Client, Observer]:
    """A room, its owner's client, and our occupant in it as one of those who can be sent away."""
    await rooms.join(ROOM, Observer())
    owner = await login("owner")
    await make_owner(component, "owner@localhost")
    await enter(owner, "Owner")
    others = MucRooms(component, JID.parse("other@focus.localhost"), "rooms.localhost", nick="other")
    party.on_presence = lambda stanza: rooms.handle_presence(stanza) or others.handle_presence(stanza)
    observer = Observer()
    await others.join(ROOM, observer)
    await observer.hears("joined")
    return owner, observer


async def test_a_banned_focus_has_lost_the_room(ordinary: tuple[Client, Observer]) -> None:
    owner, observer = ordinary
    await set_in_room(owner, "<item jid='other@focus.localhost' affiliation='outcast'><reason>enough</reason></item>")
    assert await observer.hears("lost") == ("lost", Departure.BANNED, Cause("enough", by="Owner"))


async def test_a_focus_that_is_no_member_of_a_members_room_has_lost_it(ordinary: tuple[Client, Observer]) -> None:
    owner, observer = ordinary
    await configure(owner, **{"muc#roomconfig_membersonly": "1"})
    assert await observer.hears("lost") == ("lost", Departure.REMOVED, Cause())


class PlayedRoom:
    """A room played by a client: what it says to us comes from ROOM/focus."""

    def __init__(self, client: Client, us: JID) -> None:
        self.client, self.us = client, us

    async def is_entered(self) -> None:
        asked = await self.client.hears("presence", str(self.us), "available")
        assert found(asked, f"{{{MUC}}}x/{{{MUC}}}history").get("maxstanzas") == "0"

    def admits(self) -> None:
        item = "<item affiliation='owner'/><status code='110'/>"
        self.client.say(f"<presence to='{self.us}'><x xmlns='{MUC}#user'>{item}</x></presence>")

    def refuses(self, condition: str) -> None:
        error = f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        self.client.say(f"<presence to='{self.us}' type='error'><error type='cancel'>{error}</error></presence>")

    def shuts_down(self) -> None:
        codes = "<item/><status code='110'/><status code='332'/>"
        self.client.say(f"<presence to='{self.us}' type='unavailable'><x xmlns='{MUC}#user'>{codes}</x></presence>")


@pytest.fixture
async def played(rooms: MucRooms, login: Login, observer: Observer) -> tuple[PlayedRoom, MucRoom]:
    """We are in a played room that shuts down."""
    client = await login("player", "focus")
    played = PlayedRoom(client, rooms.occupant_jid(client.jid.bare))
    joining = asyncio.create_task(rooms.join(client.jid.bare, observer))
    await played.is_entered()
    played.admits()
    room = await joining
    played.shuts_down()
    await played.is_entered()
    return played, room


async def test_a_room_that_is_not_up_yet_is_tried_again(played: tuple[PlayedRoom, MucRoom], observer: Observer) -> None:
    host, room = played
    host.refuses("remote-server-not-found")
    await host.is_entered()
    host.admits()
    await observer.hears("rejoined")
    assert room.nick == "focus"


@pytest.mark.parametrize(
    ("condition", "departure"),
    [("forbidden", Departure.BANNED), ("registration-required", Departure.REMOVED), ("gone", Departure.DESTROYED)],
)
async def test_a_room_that_does_not_let_us_back_is_lost(
    played: tuple[PlayedRoom, MucRoom], observer: Observer, condition: str, departure: Departure
) -> None:
    host, _ = played
    host.refuses(condition)
    assert (await observer.hears("lost"))[1] == departure


async def test_a_room_that_has_lost_us_without_a_word_is_entered_again(
    component: Connection, party: Party, observer: Observer, login: Login
) -> None:
    rooms = MucRooms(component, US, "rooms.localhost", silence=0.1)
    party.on_presence = rooms.handle_presence
    client = await login("player", "focus")  # who says at first that it does not know the question
    played = PlayedRoom(client, rooms.occupant_jid(client.jid.bare))
    joining = asyncio.create_task(rooms.join(client.jid.bare, observer))
    await played.is_entered()
    played.admits()
    room = await joining
    await client.hears("iq", str(played.us), "get")
    client.ignore_requests()
    await client.hears("iq", str(played.us), "get")
    asked = await client.hears("iq", str(played.us), "get")
    assert asked[0].tag == "{urn:xmpp:ping}ping"
    error = "<not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    client.say(f"<iq to='{played.us}' type='error' id='{asked.get('id')}'><error type='cancel'>{error}</error></iq>")
    await played.is_entered()
    played.admits()
    await observer.hears("rejoined")
    assert room.nick == "focus"


async def test_a_room_says_whether_we_are_in_it(
    component: Connection, rooms: MucRooms, observer: Observer, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    queries = RoomQueries(component, room.us, ROOM, 10.0)
    assert await queries.knows("focus")
    await enter(await login("alice"), "Alice")
    await room.leave()
    assert not await queries.knows("focus")
    nowhere = RoomQueries(component, room.us, JID.parse("nowhere@rooms.localhost"), 10.0)
    assert not await nowhere.knows("focus")


async def test_a_room_that_is_left_while_it_is_down_is_not_entered_again(
    played: tuple[PlayedRoom, MucRoom], observer: Observer
) -> None:
    host, room = played
    await room.leave()
    await host.client.hears("presence", str(host.us), "unavailable")
    assert [item for item in observer.told.items if item[0] in ("lost", "rejoined")] == []


async def test_an_error_that_kicked_us_out_does_not_keep_us_out(
    component: Connection, rooms: MucRooms, observer: Observer, login: Login
) -> None:
    """XEP-0045 section 18.1: an occupant whose stanzas come back as errors is removed with status 333."""
    await rooms.join(ROOM, observer)
    alice = await login("alice")
    await enter(alice, "Alice")
    bounce = presence(US.with_resource("tea"), ROOM.with_resource("Alice"), "error")
    bounce.append(
        ET.fromstring(
            "<error xmlns='jabber:client' type='cancel'>"
            "<recipient-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        )
    )
    component.send(bounce)
    await observer.hears("rejoined")
    await alice.hears("presence", f"{ROOM}/focus", "unavailable")


async def test_what_is_said_in_private_is_left_to_others(
    rooms: MucRooms, observer: Observer, party: Party, login: Login
) -> None:
    await rooms.join(ROOM, observer)
    alice = await login("alice")
    await enter(alice, "Alice")
    alice.say(f"<message type='groupchat' to='{ROOM}'><body>to all</body></message>")
    alice.say(f"<message type='chat' to='{ROOM}/focus'><body>to you</body></message>")
    private = await party.messages.get(lambda tree: True)
    assert private.findtext("{jabber:client}body") == "to you"
    assert private.get("from") == f"{ROOM}/Alice"


async def test_an_observer_that_crashes_does_not_confuse_the_room(
    rooms: MucRooms, login: Login, caplog: pytest.LogCaptureFixture
) -> None:
    class Crashing(Observer):
        def occupant_joined(self, occupant: Occupant) -> None:
            super().occupant_joined(occupant)
            raise RuntimeError("on purpose")

    crashing = Crashing()
    room = await rooms.join(ROOM, crashing)
    await enter(await login("alice"), "Alice")
    await enter(await login("bob"), "Bob")
    await crashing.hears("joined")
    await crashing.hears("joined")
    assert set(room.occupants) == {"Alice", "Bob"}
    assert "on purpose" in caplog.text


async def test_a_room_with_a_password_is_entered_with_it_and_again_after_a_kick(
    component: Connection, rooms: MucRooms, party: Party, login: Login
) -> None:
    await rooms.join(ROOM, Observer())
    owner = await login("owner")
    await make_owner(component, "owner@localhost")
    await enter(owner, "Owner")
    await configure(owner, **{"muc#roomconfig_roomsecret": "cyclamen"})
    others = MucRooms(component, JID.parse("other@focus.localhost"), "rooms.localhost", nick="other")
    party.on_presence = lambda stanza: rooms.handle_presence(stanza) or others.handle_presence(stanza)
    for password in ("", "wrong"):
        with pytest.raises(RoomError) as refusal:
            await others.join(ROOM, Observer(), password)
        assert refusal.value.condition == "not-authorized"
    observer = Observer()
    await others.join(ROOM, observer, "cyclamen")
    await set_in_room(owner, "<item nick='other' role='none'/>", id="kick")
    await observer.hears("rejoined")


async def test_a_focus_that_is_kicked_out_of_a_room_elsewhere_stays_out(
    component: Connection, party: Party, login: Login, server_name: str
) -> None:
    only_prosody(server_name, "nobody can send away the service's own admins")
    rooms = MucRooms(component, US, "rooms.example.net")
    party.on_presence, party.on_message = rooms.handle_presence, rooms.handle_message
    observer = Observer()
    room = await rooms.join(ROOM, observer)
    owner = await login("owner")
    query = ET.fromstring(f"<query xmlns='{MUC}#admin'><item affiliation='owner' jid='owner@localhost'/></query>")
    await component.iq(room.us, ROOM, "set", query)
    await enter(owner, "Owner")
    await set_in_room(owner, "<item nick='focus' role='none'><reason>Go</reason></item>", id="kick")
    assert await observer.hears("lost") == ("lost", Departure.KICKED, Cause("Go", by="Owner"))


async def test_what_is_said_of_invites_to_calls_has_the_id_of_the_room(
    rooms: MucRooms, observer: Observer, login: Login
) -> None:
    room = await rooms.join(ROOM, observer)
    alice = await login("alice")
    await enter(alice, "Alice")
    invite = Invite(jingle=(JingleMethod(sid="s1"),), external=(External(uri="https://meet.example.org/tea"),))
    room.say("ours", invite, "A call has begun")
    _, occupant, identifier, said = await observer.hears("invite")
    assert (occupant, said) == (None, invite)
    heard = await alice.hears("message", f"{ROOM}/focus", id="ours")
    assert heard.findtext("{jabber:client}body") == "A call has begun"
    ids = {one.get("id") for one in heard.findall("{urn:xmpp:sid:0}stanza-id") if one.get("by") == str(ROOM)}
    assert ids == {identifier}

    accept = f"<accept xmlns='urn:xmpp:call-invites:0' id='{identifier}'><jingle sid='s1'/></accept>"
    for content in ("<accept xmlns='urn:xmpp:call-invites:0'/>", accept):
        alice.say(f"<message type='groupchat' to='{ROOM}'>{content}</message>")
    _, occupant, _, said = await observer.hears("invite")
    assert occupant is not None
    assert occupant.real_jid == alice.jid
    assert said == Accept(id=identifier, jingle=JingleMethod(sid="s1"))
    room.say("later", Retract(id=identifier))
    assert (await alice.hears("message", id="later")).find(Retract.qualified_tag()) is not None
