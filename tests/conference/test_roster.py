"""Any conference at all is a valid document, tells people apart, and keeps its secrets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.conference.people import Departed, Failure, Invited, Leaving, Participant, Waiting
from focus.conference.room import Occupant
from focus.conference.roster import Host, Roster
from focus.rayo.addresses import Addresses
from focus.wire.call_invites import JingleMethod
from focus.wire.conference_info import ConferenceInfo, DisconnectionMethod, Roles, User, Users
from focus.wire.jid import JID, escape_node
from focus.wire.session import Session

from .scene import ABSENT, statuses, validate

FOCUS, ROOM = JID.parse("tea@focus.example.org"), JID.parse("tea@rooms.example.org")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

#: Accounts whose addresses occur nowhere by accident.
ACCOUNTS = st.sampled_from(
    ["montague.romeo@verona.example", escape_node("juliet@capulet.example") + "@gateway.example", "g1@guests.example"]
)
RESOURCES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn")), min_size=1, max_size=12)
NICKS = st.one_of(st.sampled_from(["Romeo", "J u", "100%", "#1?", "<&>"]), RESOURCES)
SESSIONS = st.builds(
    Session,
    sid=st.sampled_from(["s1", "s2"]),
    peer=st.just("x@example.org/x"),
    local=st.just(f"{FOCUS}/focus"),
    source_id=st.integers(0, 2**32 - 1),
    joining_method=st.sampled_from(["dialed-in", "dialed-out"]),
    ringing=st.booleans(),
    accepted=st.booleans(),
    connected=st.booleans(),
    muted=st.booleans(),
    held=st.booleans(),
    direction=st.sampled_from(["duplex", "send", "recv"]),
    focus=st.booleans(),
)
LATER = NOW + timedelta(seconds=9)


@st.composite
def rosters(draw: st.DrawFn) -> Roster:
    nicks = draw(st.lists(NICKS, unique=True, max_size=4))
    devices = draw(st.lists(st.tuples(ACCOUNTS, RESOURCES), unique=True, min_size=1, max_size=5))
    jids = [JID.parse(f"{account}/{resource}") for account, resource in devices]
    occupants = tuple(
        Occupant(
            nick,
            ROOM.with_resource(nick),
            draw(st.sampled_from([None, *jids])),
            draw(st.sampled_from(["owner", "admin", "member", "none"])),
            draw(st.sampled_from(["moderator", "participant", "visitor", "none"])),
        )
        for nick in nicks
    )
    peers = [*jids, *(occupant.jid for occupant in occupants), ROOM.with_resource("gone")]
    roster = Roster(
        focus=FOCUS,
        room=ROOM,
        guests="guests.example",
        maximum=draw(st.sampled_from([None, 2, 100])),
        host=draw(
            st.sampled_from([Host(), Host("Meeting", FOCUS.domain, "https://meet.example.org", "tel:+49-30-123456")])
        ),
        secret=draw(st.sampled_from(["", "salt"])),
        subject=draw(st.text(max_size=20)) * draw(st.sampled_from([1, 1000])),
        real_jids_are_public=draw(st.booleans()),
        occupants=occupants,
    )
    for number in range(draw(st.integers(0, 6))):
        session = draw(SESSIONS).model_copy(update={"peer": str(draw(st.sampled_from(peers)))})
        call = JID(f"call{number}", FOCUS.domain)
        match draw(st.sampled_from(["waiting", "here", "here", "leaving", "departed"])):
            case "waiting":
                roster = roster.with_waiting(call, JID.parse(session.peer), NOW)
            case "here":
                roster = roster.with_session(call, session, NOW)
            case "leaving":
                roster = roster.with_session(call, session, NOW).with_leaving(call, Leaving("booted"))
            case "departed":
                methods: list[DisconnectionMethod] = ["departed", "failed", "busy"]
                method = draw(st.sampled_from(methods))
                roster = roster.with_session(call, session, NOW).with_departure(call, LATER, method, "timeout")
    people = draw(st.sets(st.sampled_from([jid.bare for jid in jids]), max_size=2)) if jids else ()
    failures = st.sampled_from([None, Failure(LATER, "busy", "busy"), Failure(LATER, "failed", "decline", True)])
    invited = {one: Invited(one, NOW, draw(st.booleans()), draw(failures)) for one in people}
    return replace(roster, invited=invited)


def secrets_of(roster: Roster) -> set[JID]:
    """The addresses that nobody may know of where the room hides them."""
    everybody: list[Participant | Waiting | Departed | Invited] = [
        *roster.participants.values(), *roster.waiting.values(), *roster.departed.values(), *roster.invited.values()
    ]  # fmt: skip
    real = {occupant.real_jid for occupant in roster.occupants if occupant.real_jid is not None}
    return real | {one.peer for one in everybody if one.peer.bare != ROOM}


@given(rosters())
def test_every_document_is_valid_and_survives_the_wire(roster: Roster) -> None:
    document = roster.document()
    if any(character < " " for character in roster.subject):
        return  # such a subject cannot have come by XML
    validate(document)
    assert ConferenceInfo.parse(document.to_element()) == document


@given(rosters())
def test_keys_are_unique(roster: Roster) -> None:
    document = roster.document()
    assert document.users is not None
    users = [user.entity for user in document.users.users]
    assert len(set(users)) == len(users)
    for user in document.users.users:
        endpoints = [endpoint.entity for endpoint in user.endpoints]
        assert len(set(endpoints)) == len(endpoints)
    count = sum(len(user.endpoints) for user in document.users.users)
    absent = roster.invited.keys() - {one.peer.bare for one in roster.participants.values()}
    assert count == len(roster.participants) + len(roster.waiting) + len(roster.departed) + len(absent)
    assert document.conference_state is not None
    here = [user for user in document.users.users if statuses(user) - ABSENT]
    assert document.conference_state.user_count == len(here)
    assert document.conference_state.locked == (len(roster.participants) >= (roster.maximum or 100))


@given(rosters())
def test_no_address_is_in_a_document_of_a_room_that_hides_them(roster: Roster) -> None:
    if roster.real_jids_are_public:
        return
    chosen = {occupant.nick for occupant in roster.occupants}
    text = roster.document().to_string()
    for jid in secrets_of(roster):
        for secret in (str(jid.bare), escape(str(jid.bare)), jid.bare.uri, "juliet@capulet.example"):
            assert secret not in text or any(secret in nick for nick in chosen)


@given(rosters())
def test_the_same_conference_is_the_same_document(roster: Roster) -> None:
    """Also when none of it was made before."""
    assert roster.document() == roster.document() == replace(roster, _made={}).document()


@given(rosters(), rosters())
def test_what_is_kept_of_the_last_document_is_not_in_the_next(roster: Roster, other: Roster) -> None:
    roster.document()
    news = replace(other, secret=roster.secret, _made=roster._made)
    assert news.document() == replace(news, _made={}).document()


def meeting(public: bool, **parts: object) -> Roster:
    """Romeo, who owns the room, is in the call from his desk; nobody else is in the room."""
    romeo = JID.parse("romeo@example.org/desk")
    occupant = Occupant("Romeo", ROOM.with_resource("Romeo"), romeo, "owner", "moderator")
    session = Session.model_validate(
        {"sid": "s1", "peer": str(romeo), "local": f"{FOCUS}/focus", "accepted": True, "connected": True, **parts}
    )
    roster = Roster(
        focus=FOCUS,
        room=ROOM,
        host=Host("Meeting", FOCUS.domain, "https://meet.example.org", "tel:+49-30-123456"),
        occupants=(occupant,),
        real_jids_are_public=public,
    )
    return roster.with_session(CALL, session, NOW)


CALL = JID("c1", FOCUS.domain)


def only_user(roster: Roster) -> User:
    document = roster.document()
    assert document.users is not None
    (user,) = document.users.users
    return user


def test_where_and_how_to_join_is_told() -> None:
    document = meeting(public=True).document()
    assert document.description is not None
    assert document.description.conf_uris is not None
    assert [(uri.uri, uri.purpose) for uri in document.description.conf_uris.entries] == [
        ("xmpp:tea@focus.example.org", "participation"),
        ("xmpp:tea@rooms.example.org?join", "participation"),
        ("https://meet.example.org/tea", "participation"),
        ("tel:+49-30-123456", "participation"),
    ]
    assert document.description.service_uris is not None
    assert [(uri.uri, uri.purpose) for uri in document.description.service_uris.entries] == [
        ("https://meet.example.org/tea", "web-page")
    ]
    assert document.host_info is not None
    assert document.host_info.display_text == "Meeting"
    assert document.host_info.web_page == "https://meet.example.org"


def test_a_conference_in_which_there_is_no_place_is_locked() -> None:
    for maximum, locked in ((1, True), (2, False), (None, False)):
        state = replace(meeting(public=True), maximum=maximum).document().conference_state
        assert state is not None
        assert state.locked is locked


def test_who_somebody_is_in_the_room_is_told_where_everybody_may_know() -> None:
    public, hidden = only_user(meeting(public=True)), only_user(meeting(public=False))
    assert public.entity == "xmpp:romeo@example.org"
    assert public.associated_aors is not None
    assert [uri.uri for uri in public.associated_aors.entries] == [f"{ROOM.uri}/Romeo"]
    assert public.endpoints[0].call_info is not None
    assert hidden.entity == f"{ROOM.uri}/Romeo"
    assert hidden.associated_aors is None
    assert hidden.endpoints[0].call_info is None
    assert public.roles == hidden.roles == Roles(entries=("owner",))


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ({"connected": False, "accepted": False}, "dialing-in"),
        ({"connected": False, "accepted": False, "joining_method": "dialed-out"}, "dialing-out"),
        ({"connected": False, "accepted": False, "joining_method": "dialed-out", "ringing": True}, "alerting"),
        ({}, "connected"),
        ({"held": True}, "on-hold"),
        ({"direction": "recv"}, "muted-via-focus"),
    ],
)
def test_a_call_has_the_status_of_the_schema(parts: dict[str, object], status: str) -> None:
    assert statuses(only_user(meeting(True, **parts))) == {status}


def test_a_call_is_waiting_comes_goes_and_is_gone() -> None:
    here = meeting(public=True)
    peer, session = here.participants[CALL].peer, here.participants[CALL].session
    roster = here.without(CALL).with_waiting(CALL, peer, NOW)
    assert statuses(only_user(roster)) == {"pending"}
    roster = roster.with_session(CALL, session, NOW)
    assert statuses(only_user(roster)) == {"connected"}
    roster = roster.with_leaving(CALL, Leaving("booted"))
    assert statuses(only_user(roster)) == {"disconnecting"}
    roster = roster.with_departure(CALL, LATER)
    (endpoint,) = only_user(roster).endpoints
    assert (endpoint.status, endpoint.disconnection_method) == ("disconnected", "booted")
    assert endpoint.joining_info is not None
    assert endpoint.joining_info.when == "2026-01-02T03:04:05Z"
    assert endpoint.disconnection_info is not None
    assert endpoint.disconnection_info.when == "2026-01-02T03:04:14Z"
    assert roster.without(CALL).document().users == Users(state="full")


def test_who_is_back_is_no_longer_gone() -> None:
    roster = meeting(public=True)
    session = roster.participants[CALL].session
    roster = roster.with_departure(CALL, LATER).with_session(JID("c2", FOCUS.domain), session, LATER)
    (endpoint,) = only_user(roster).endpoints
    assert (endpoint.entity, endpoint.status) == ("xmpp:romeo@example.org/desk", "connected")


def test_why_a_call_was_lost_is_told() -> None:
    (endpoint,) = only_user(meeting(True).with_departure(CALL, LATER, "failed", "connectivity-error")).endpoints
    assert endpoint.disconnection_method == "failed"
    assert endpoint.disconnection_info is not None
    assert endpoint.disconnection_info.reason == "connectivity-error"


def test_a_participant_that_is_a_focus_itself_is_a_cascaded_one() -> None:
    roster = meeting(True, focus=True)
    assert only_user(roster).cascaded_focus == "xmpp:romeo@example.org/desk"
    roster = roster.with_cascaded(CALL, "xmpp:milk@elsewhere.example")
    assert only_user(roster).cascaded_focus == "xmpp:milk@elsewhere.example"
    session = roster.participants[CALL].session
    muted = roster.with_session(CALL, session.model_copy(update={"muted": True}), NOW)
    assert only_user(muted).cascaded_focus == "xmpp:milk@elsewhere.example"
    ordinary = roster.with_session(CALL, session.model_copy(update={"focus": False}), NOW)
    assert only_user(ordinary).cascaded_focus is None


def test_where_people_are_hidden_so_are_their_conferences() -> None:
    roster = meeting(False, focus=True).with_cascaded(CALL, "xmpp:romeo@elsewhere.example")
    assert only_user(roster).cascaded_focus == f"{ROOM.uri}/Romeo"


@pytest.mark.parametrize("public", [True, False])
def test_a_mixer_that_is_joined_with_ours_is_a_cascaded_conference(public: bool) -> None:
    milk = JID("milk", FOCUS.domain)
    roster = meeting(public).with_mixer(milk, NOW)
    document = roster.document()
    validate(document)
    assert document.users is not None
    (conference,) = [user for user in document.users.users if user.display_text == "milk"]
    assert (conference.entity == milk.uri) is public
    assert conference.cascaded_focus == conference.entity
    assert statuses(conference) == {"connected"}
    assert document.conference_state is not None
    assert document.conference_state.user_count == 2
    assert roster.with_mixer(milk, LATER).document() == document
    assert roster.without_mixer(milk).document() == meeting(public).document()


def test_people_in_the_room_are_told_apart_who_call_through_it() -> None:
    """Their JIDs have one bare JID: the room's."""
    roster = Roster(focus=FOCUS, room=ROOM, real_jids_are_public=True)
    session = Session(sid="s", peer=f"{ROOM}/a", local=f"{FOCUS}/focus")
    roster = roster.with_session(JID("c1", FOCUS.domain), session, NOW)
    roster = roster.with_session(JID("c2", FOCUS.domain), session.model_copy(update={"peer": f"{ROOM}/b"}), NOW)
    document = roster.document()
    assert document.users is not None
    assert [user.display_text for user in document.users.users] == ["a", "b"]


def test_a_caller_without_a_place_in_the_room_cannot_be_found_out_by_trying() -> None:
    session = Session(sid="s", peer="romeo@example.org/x", local=f"{FOCUS}/focus")
    documents = [
        Roster(focus=FOCUS, room=ROOM, secret=secret).with_session(JID("c", FOCUS.domain), session, NOW).document()
        for secret in ("one", "two")
    ]
    entities = [document.users.users[0].entity for document in documents if document.users]
    assert len(set(entities)) == 2


def test_a_name_of_the_longest_kind_is_shown() -> None:
    nick = "n" * 1023
    room = JID("r" * 1023, "d" * 1023)
    occupant = Occupant(nick, room.with_resource(nick), JID.parse("romeo@example.org/x"), "none", "participant")
    roster = Roster(focus=FOCUS, room=room, occupants=(occupant,), subject="s" * 100_000)
    session = Session(sid="s" * 1023, peer="romeo@example.org/x", local=f"{FOCUS}/focus")
    validate(roster.with_session(JID("c", FOCUS.domain), session, NOW).document())


def test_the_page_opens_rooms_of_our_own_service_only() -> None:
    """Another room may have the same name elsewhere."""
    host = Host("Meeting", "focus.example.org", "https://meet.example.org")
    addresses = Addresses("focus.example.org", "rooms.example.org")
    pages = {}
    for name in ("tea", "bob\\27s", "tea\\40muc.elsewhere.net"):
        roster = Roster(focus=addresses.mixer(name), room=addresses.room(name), host=host)
        pages[name] = roster.page
        said = roster.document().to_string() + roster.invite(JingleMethod(sid="s")).to_string()
        assert ("https://meet.example.org/" in said) is bool(roster.page)
    assert pages == {
        "tea": "https://meet.example.org/tea",
        "bob\\27s": "https://meet.example.org/bob%27s",
        "tea\\40muc.elsewhere.net": "",
    }
