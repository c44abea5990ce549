"""However many take part, there is a document for who comes next."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from focus.conference.brevity import MAX_DOCUMENT, ROOM_FOR_MORE, Brevity
from focus.conference.notification import Notification, Publication, Reading
from focus.conference.people import Leaving
from focus.conference.room import Occupant
from focus.conference.roster import Roster
from focus.wire.base import Payload, serialize
from focus.wire.coin import COIN_FEATURES
from focus.wire.conference_info import CONFERENCE_INFO, ConferenceInfo, User
from focus.wire.jid import JID
from focus.wire.session import Session
from focus.xmpp.connection import MAX_STANZA
from tests.rayo.scene import eventually

from .scene import as_read, validate

FOCUS, ROOM = JID("tea", "focus.example.org"), JID("tea", "rooms.example.org")


def crowd(participants: int) -> Roster:
    """So many people from the room, which shows who they are."""
    peers = [JID(f"somebody{n}", "example.org", "desk") for n in range(participants)]
    occupants = tuple(
        Occupant(f"Nick {n}", ROOM.with_resource(f"Nick {n}"), peer, "member", "participant")
        for n, peer in enumerate(peers)
    )
    roster = Roster(focus=FOCUS, room=ROOM, real_jids_are_public=True, occupants=occupants)
    for n, peer in enumerate(peers):
        roster = with_call(roster, n, peer)
    return roster


def with_call(roster: Roster, n: int, peer: JID, **changes: object) -> Roster:
    values = {"sid": f"session-{n}", "source_id": n + 1, "accepted": True, "connected": True}
    session = Session.model_validate({"peer": str(peer), "local": f"{FOCUS}/focus", **values, **changes})
    return roster.with_session(JID(f"call{n}", FOCUS.domain), session, datetime(2026, 1, 1, tzinfo=UTC))


def users(document: ConferenceInfo) -> tuple[User, ...]:
    assert document.users is not None
    return document.users.users


def essentials(people: Iterable[User]) -> list[object]:
    return [
        (
            user.entity,
            user.display_text,
            user.roles,
            [(each.entity, each.status, each.media) for each in user.endpoints],
        )
        for user in people
    ]


def size(document: ConferenceInfo) -> int:
    return len(serialize(document.to_element(), CONFERENCE_INFO).encode())


def test_a_stanza_has_place_for_a_document_and_the_longest_addresses() -> None:
    assert MAX_DOCUMENT + 4 * 3200 < MAX_STANZA


def test_a_conference_that_fits_is_told_whole() -> None:
    document = crowd(300).document()
    assert Brevity().fitted(document) is document


def test_of_many_all_are_told_who_they_are(caplog: pytest.LogCaptureFixture) -> None:
    roster, brevity = crowd(400), Brevity()
    whole = roster.document()
    assert size(whole) > MAX_DOCUMENT
    told = brevity.fitted(whole)
    assert size(told) <= MAX_DOCUMENT
    validate(told)
    assert essentials(users(told)) == essentials(users(whole))
    assert not any(endpoint.joining_info for user in users(told) for endpoint in user.endpoints)
    assert brevity.fitted(replace(roster, subject="another").document()).users == told.users
    assert [(record.levelno, record.getMessage()[:3]) for record in caplog.records] == [(logging.WARNING, "400")]


def test_where_that_is_too_much_all_are_counted_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    roster, brevity = crowd(1000), Brevity()
    for _ in range(2):
        told = brevity.fitted(roster.document())
        validate(told)
        assert told.users is None
        assert told.conference_state is not None
        assert told.conference_state.user_count == 1000
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_passing_change_does_not_change_how_much_is_told() -> None:
    roster = crowd(10)
    calls = list(roster.participants)
    ending, fewer = roster, roster
    for call in calls:
        ending = ending.with_leaving(call, Leaving("departed"))
    for call in calls[:2]:
        fewer = fewer.without(call)
    at_most = (size(ending.document()) + size(roster.document())) // 2
    assert size(ending.document()) > at_most > size(roster.document()) > at_most * ROOM_FOR_MORE
    assert size(fewer.document()) < at_most * ROOM_FOR_MORE
    brevity = Brevity(at_most)
    is_whole = [brevity.fitted(each.document()) == each.document() for each in (roster, ending, roster, fewer, roster)]
    assert is_whole == [True, False, False, True, True]


async def test_who_comes_as_one_of_many_is_told_and_so_are_changes() -> None:
    roster, heard = crowd(400), list[ConferenceInfo]()

    class Peer:
        async def iq_set(self, sender: JID, to: JID, element: Payload) -> None:
            assert len(serialize(element.to_element()).encode()) <= MAX_DOCUMENT
            heard.append(as_read(element))

    async def features(peer: JID) -> frozenset[str]:
        return COIN_FEATURES

    publication = Publication(lambda: roster.document(), 0.0)
    peer = JID.parse("somebody399@example.org/desk")
    local = FOCUS.with_resource("focus")
    told = Notification(
        Reading("session-399"), local=local, peer=peer, outbox=Peer(), features=features, publication=publication
    )
    tasks = [asyncio.create_task(told.run()), asyncio.create_task(publication.run())]
    try:
        await eventually(lambda: len(heard) == 1)
        assert (heard[0].state, len(users(heard[0]))) == ("full", 400)
        roster = with_call(roster, 7, JID.parse("somebody7@example.org/desk"), muted=True)
        publication.changed()
        await eventually(lambda: len(heard) == 2)
        assert (heard[1].state, [user.entity for user in users(heard[1])]) == (
            "partial",
            ["xmpp:somebody7@example.org"],
        )
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
