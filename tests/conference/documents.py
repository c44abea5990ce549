"""Any full document that a conference might have, and any that it might have next."""

from __future__ import annotations

from hypothesis import strategies as st

from focus.wire.conference_info import (
    AvailableMedia,
    CallInfo,
    ConferenceDescription,
    ConferenceInfo,
    ConferenceState,
    Endpoint,
    Execution,
    HostInfo,
    JingleSession,
    Media,
    Medium,
    Roles,
    Uri,
    Uris,
    User,
    Users,
)

WORDS = st.sampled_from(["one", "two", "<&>"])
MAYBE = st.none() | WORDS
FULL = st.just("full")
ADDRESSES = st.sampled_from(["xmpp:a@example.org", "xmpp:b@example.org", "tel:+123"])


def several(kind: st.SearchStrategy, key: str, *, least: int = 0) -> st.SearchStrategy:
    return st.lists(kind, unique_by=lambda part: getattr(part, key), min_size=least, max_size=4).map(tuple)


URIS = st.none() | st.builds(
    Uris,
    state=FULL,
    entries=several(st.builds(Uri, uri=ADDRESSES, display_text=MAYBE, purpose=MAYBE), "uri", least=1),
)
EXECUTIONS = st.none() | st.builds(
    Execution, when=st.sampled_from([None, "2026-01-31T20:00:00Z"]), reason=MAYBE, by=st.none() | ADDRESSES
)
MEDIA = st.builds(
    Media,
    id=st.sampled_from("123"),
    display_text=MAYBE,
    type=st.just("audio"),
    label=MAYBE,
    src_id=MAYBE,
    status=st.sampled_from([None, "sendrecv", "inactive"]),
)
ENDPOINTS = st.builds(
    Endpoint,
    entity=st.sampled_from(["xmpp:a@example.org/1", "xmpp:a@example.org/2", "xmpp:a@example.org/1#x"]),
    state=FULL,
    display_text=MAYBE,
    status=st.sampled_from([None, "connected", "on-hold"]),
    joining_method=st.sampled_from([None, "dialed-in"]),
    joining_info=EXECUTIONS,
    disconnection_method=st.sampled_from([None, "booted"]),
    disconnection_info=EXECUTIONS,
    media=several(MEDIA, "id"),
    call_info=st.none() | st.builds(CallInfo, jingle=st.builds(JingleSession, sid=WORDS)),
)
USERS = st.builds(
    User,
    entity=st.sampled_from([f"xmpp:{name}@example.org" for name in "abcde"]),
    state=FULL,
    display_text=MAYBE,
    associated_aors=URIS,
    roles=st.none() | st.builds(Roles, entries=st.sampled_from([("owner",), ("participant", "moderator")])),
    cascaded_focus=st.none() | ADDRESSES,
    endpoints=several(ENDPOINTS, "entity"),
)
DOCUMENTS = st.builds(
    ConferenceInfo,
    entity=st.just("xmpp:tea@focus.example.org"),
    state=FULL,
    description=st.none()
    | st.builds(
        ConferenceDescription,
        display_text=MAYBE,
        subject=MAYBE,
        conf_uris=URIS,
        available_media=st.none()
        | st.just(AvailableMedia(entries=(Medium(label="audio", type="audio", status="sendrecv"),))),
    ),
    host_info=st.none() | st.builds(HostInfo, display_text=MAYBE, uris=URIS),
    conference_state=st.none() | st.builds(ConferenceState, user_count=st.integers(0, 3), active=st.booleans()),
    users=st.none() | st.builds(Users, state=FULL, users=several(USERS, "entity")),
)


@st.composite
def following(draw: st.DrawFn, document: ConferenceInfo) -> ConferenceInfo:
    """`document`, of which some is as in another: most changes are small."""
    other = draw(DOCUMENTS)
    parts = draw(
        st.sets(st.sampled_from(["description", "host_info", "conference_state", "some", "users"]), max_size=2)
    )
    changed = {part: getattr(other, part) for part in parts - {"some"}}
    if "some" in parts and "users" not in parts and document.users and other.users:
        news = {user.entity: user for user in other.users.users[:1]}
        kept = {user.entity: user for user in document.users.users}
        for entity, user in news.items():
            if entity in kept and draw(st.booleans()):
                known = kept[entity]
                part = draw(st.sampled_from(["display_text", "associated_aors", "roles", "endpoints"]))
                user = known.model_copy(update={part: getattr(user, part)})
            kept[entity] = user
        changed["users"] = Users(state="full", users=tuple(kept.values()))
    return document.model_copy(update=changed)
