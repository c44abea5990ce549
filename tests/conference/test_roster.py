"""Any conference at all is a valid document, tells people apart, and keeps its secrets."""

from datetime import UTC, datetime
from xml.sax.saxutils import escape

from hypothesis import given
from hypothesis import strategies as st

from focus.conference.room import Occupant
from focus.conference.roster import Roster
from focus.wire.conference_info import ConferenceInfo
from focus.wire.jid import JID, escape_node
from focus.wire.session import Session

from .scene import validate

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
)


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
        maximum=draw(st.sampled_from([None, 100])),
        secret=draw(st.sampled_from(["", "salt"])),
        subject=draw(st.text(max_size=20)) * draw(st.sampled_from([1, 1000])),
        real_jids_are_public=draw(st.booleans()),
        occupants=occupants,
    )
    for number in range(draw(st.integers(0, 6))):
        session = draw(SESSIONS).model_copy(update={"peer": str(draw(st.sampled_from(peers)))})
        roster = roster.with_session(JID(f"call{number}", FOCUS.domain), session, NOW)
    return roster


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
    assert count == len(roster.participants)
    assert document.conference_state is not None
    assert document.conference_state.user_count == len(users)


@given(rosters())
def test_no_address_is_in_a_document_of_a_room_that_hides_them(roster: Roster) -> None:
    if roster.real_jids_are_public:
        return
    real = {occupant.real_jid for occupant in roster.occupants} | {
        one.peer for one in roster.participants.values() if one.peer.bare != ROOM
    }
    chosen = {occupant.nick for occupant in roster.occupants}
    text = roster.document().to_string()
    for jid in real - {None}:
        assert jid is not None
        for secret in (str(jid.bare), escape(str(jid.bare)), jid.bare.uri, "juliet@capulet.example"):
            assert secret not in text or any(secret in nick for nick in chosen)


@given(rosters())
def test_the_same_conference_is_the_same_document(roster: Roster) -> None:
    assert roster.document() == roster.document()


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
