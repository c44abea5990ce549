"""What is told in part is the whole when it is put together, by our own reader and by one that knows only the RFC."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focus.conference.partial import Outcome, Reader, difference
from focus.wire.conference_info import (
    ConferenceInfo,
    ConferenceState,
    Endpoint,
    Media,
    Uri,
    Uris,
    User,
    Users,
)

from .documents import DOCUMENTS, following
from .receiver import Receiver, canonical
from .scene import validate

TEA = "xmpp:tea@focus.example.org"


def told(document: ConferenceInfo, version: int) -> ET.Element:
    return ET.fromstring(document.model_copy(update={"version": version}).to_string())


def said(document: ConferenceInfo) -> object:
    return canonical(document.to_element())


@settings(max_examples=50)
@given(DOCUMENTS.flatmap(lambda base: st.tuples(st.just(base), DOCUMENTS | following(base))))
def test_the_base_and_what_has_changed_are_the_new_document(pair: tuple[ConferenceInfo, ConferenceInfo]) -> None:
    base, new = pair
    news = difference(base, new)
    validate(news)
    receiver, reader = Receiver(), Reader()
    for version, document in enumerate((base, news), 1):
        assert receiver.read(told(document, version)) == "applied"
        assert reader.read(ConferenceInfo.parse(told(document, version))) is Outcome.APPLIED
    assert receiver.says() == said(new)
    assert reader.document is not None
    assert said(reader.document) == said(new)


@settings(max_examples=50)
@given(DOCUMENTS.flatmap(lambda base: st.tuples(st.just(base), following(base))))
def test_every_level_says_its_state(pair: tuple[ConferenceInfo, ConferenceInfo]) -> None:
    news = difference(*pair)
    parts: list[object] = [news, news.users, news.description and news.description.conf_uris]
    for user in news.users.users if news.users else ():
        parts += [user, user.associated_aors, *user.endpoints]
    assert all(part is None or part.state for part in parts)  # type: ignore[attr-defined]
    if news.state == "full":
        assert all(part is None or part.state == "full" for part in parts)  # type: ignore[attr-defined]


def endpoint(number: int, **parts: object) -> Endpoint:
    parts = {"status": "connected", "media": (Media(id="1", status="sendrecv"), Media(id="2")), **parts}
    return Endpoint.model_validate({"entity": f"xmpp:ann@example.org/{number}", "state": "full", **parts})


def user(name: str = "ann", **parts: object) -> User:
    aors = Uris(state="full", entries=(Uri(uri="tel:1"), Uri(uri="tel:2")))
    parts = {"display_text": name, "associated_aors": aors, "endpoints": (endpoint(1), endpoint(2)), **parts}
    return User.model_validate({"entity": f"xmpp:{name}@example.org", "state": "full", **parts})


def document(*users: User, **parts: object) -> ConferenceInfo:
    return ConferenceInfo.model_validate(
        {"entity": TEA, "state": "full", "users": Users(state="full", users=users), **parts}
    )


def shape(part: ConferenceInfo | User | Endpoint | Users | None) -> object:
    """What is told: names, states and keys."""
    match part:
        case ConferenceInfo(users=users):
            return part.state, [shape(each) for each in users.users] if users else None
        case User() if part.state == "partial":
            fields = [name for name in ("display_text", "associated_aors", "roles") if getattr(part, name) is not None]
            return part.display_text or "ann", "partial", fields, [shape(each) for each in part.endpoints]
        case Endpoint() if part.state == "partial":
            return part.entity and part.entity[-1], "partial", part.status, [media.id for media in part.media]
        case User() | Endpoint():
            return part.entity and part.entity[5:8] + part.entity[-1], part.state
    return None


OTHERS = tuple(user(name) for name in ("bob", "cid"))
HELD = endpoint(1, status="on-hold")
MUTED = endpoint(1, media=(Media(id="1", status="recvonly"), Media(id="2")))


def ann(*endpoints: Endpoint, **parts: Any) -> tuple[User, ...]:
    """Everybody, with Ann like this."""
    return user(endpoints=endpoints or (endpoint(1), endpoint(2)), **parts), *OTHERS


def only(*endpoints: object) -> object:
    """A document that tells no more than this of Ann."""
    return "partial", [("ann", "partial", [], list(endpoints))]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (ann(), ("partial", [])),
        (ann(HELD, endpoint(2)), only(("1", "partial", "on-hold", []))),
        (ann(MUTED, endpoint(2)), only(("1", "partial", None, ["1"]))),
        (ann(endpoint(1)), only(("ann2", "deleted"))),
        (ann(endpoint(1), endpoint(2), endpoint(3)), only(("ann3", "full"))),
        # what cannot be told to be gone is told by what it was in
        (ann(endpoint(1, status=None), endpoint(2)), only(("ann1", "full"))),
        (ann(endpoint(1, media=()), endpoint(2)), only(("ann1", "full"))),
        (ann(display_text=None), ("partial", [("anng", "full")])),
        ((*OTHERS, user("dan")), ("partial", [("anng", "deleted"), ("dang", "full")])),
        (OTHERS, ("partial", [("anng", "deleted")])),
        # where as much would have to be said as in the whole, the whole is said
        ((user("dan"),), ("full", [("dang", "full")])),
        ((), ("full", [])),
    ],
)
def test_what_has_changed_is_told_by_its_key(change: tuple[User, ...], expected: object) -> None:
    assert shape(difference(document(user(), *OTHERS), document(*change))) == expected


def test_of_addresses_those_that_are_new_are_told_and_all_when_one_is_gone() -> None:
    def news(*uris: str) -> Uris | None:
        aors = Uris(state="full", entries=tuple(Uri(uri=uri) for uri in uris))
        told = difference(document(user(), *OTHERS), document(user(associated_aors=aors), *OTHERS))
        assert told.users is not None
        return told.users.users[0].associated_aors

    assert news("tel:1", "tel:2", "tel:3") == Uris(state="partial", entries=(Uri(uri="tel:3"),))
    assert news("tel:2", "tel:3") == Uris(state="full", entries=(Uri(uri="tel:2"), Uri(uri="tel:3")))


def test_a_part_of_the_conference_that_is_gone_makes_the_document_a_full_one() -> None:
    base = document(*OTHERS, conference_state=ConferenceState(user_count=2))
    assert difference(base, document(*OTHERS)).state == "full"
    news = difference(document(*OTHERS), base)
    assert (news.state, news.conference_state) == ("partial", base.conference_state)


# --- our own reader ---


def numbered(version: int | None, state: str | None, *users: User, users_state: str | None = None) -> ConferenceInfo:
    return ConferenceInfo.model_validate(
        {"entity": TEA, "version": version, "state": state, "users": {"state": users_state, "users": users}}
    )


def people(reader: Reader) -> list[str]:
    users = reader.document.users if reader.document else None
    return [one.display_text or "" for one in users.users] if users else []


def test_versions_are_read_as_the_rfc_says() -> None:
    reader = Reader()
    assert reader.read(numbered(1, "partial", OTHERS[0])) is Outcome.GAP
    assert reader.read(numbered(4, None, user())) is Outcome.APPLIED
    assert reader.read(numbered(4, "full", *OTHERS)) is Outcome.STALE
    assert reader.read(numbered(6, "partial", OTHERS[0], users_state="partial")) is Outcome.GAP
    assert people(reader) == ["ann"]
    assert reader.read(numbered(5, "partial", OTHERS[0], users_state="partial")) is Outcome.APPLIED
    assert people(reader) == ["ann", "bob"]
    assert reader.read(numbered(9, "full", OTHERS[1])) is Outcome.APPLIED
    assert people(reader) == ["cid"]
    assert reader.read(numbered(10, "deleted")) is Outcome.ENDED
    assert people(reader) == []
    assert reader.read(numbered(11, "partial", OTHERS[0])) is Outcome.GAP


def test_nothing_partial_can_follow_a_document_without_a_version() -> None:
    reader = Reader()
    assert reader.read(numbered(None, "full", user())) is Outcome.APPLIED
    assert reader.read(numbered(1, "partial", OTHERS[0])) is Outcome.GAP
    assert reader.read(numbered(1, "full", OTHERS[0])) is Outcome.APPLIED


def test_within_a_full_element_all_is_full() -> None:
    reader = Reader()
    reader.read(numbered(1, "full", user(state="partial"), User(entity="xmpp:x", state="deleted")))
    assert people(reader) == ["ann"]
    reader.read(numbered(2, "partial", OTHERS[0]))
    assert people(reader) == ["bob"]


def test_users_of_whom_nobody_could_tell_who_they_are_are_left_out() -> None:
    reader = Reader()
    reader.read(numbered(1, "full", User(display_text="?"), user()))
    assert people(reader) == ["ann"]
