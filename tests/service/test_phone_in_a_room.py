"""Phones in a room of the running service: what they hear, and whom they see there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from focus.client.connection import Account
from focus.service.phone import Phone, Settings
from focus.service.phone.call import Sound
from focus.service.phone.events import Event
from focus.service.phone.sound import tone
from focus.service.prosody import Prosody
from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0, JMI_1, Dialect
from tests.interop.running import RunningFocus, eventually, serve, settings_for
from tests.service.phones import hears, listened

pytestmark = pytest.mark.interop

TONES = {"alice": 300, "bob": 440, "carol": 660}


@pytest.fixture
async def focus(prosody: Prosody) -> AsyncIterator[RunningFocus]:
    async with serve(prosody, settings_for(prosody)) as running:
        yield running


async def guest(focus: RunningFocus, room: str, nick: str, **others: Any) -> Phone:
    account = Account(JID.parse(focus.prosody.guests), server=focus.prosody.c2s, insecure=True)
    sound = Sound(tone(TONES[nick]))
    occupant = focus.room(room).with_resource(nick)
    phone = Phone(Settings(account=account, sound=sound, media=["127.0.0.1"], join=occupant, **others))
    await phone.connect()
    return phone


def shows(*names: str) -> Any:
    """Whether a document lists exactly these."""
    return lambda event: sorted(user["display"] for user in event["users"]) == sorted(names)


def connected(*names: str) -> Any:
    """Whether a document lists exactly these, and nobody of them is still on the way."""

    def check(event: Event) -> bool:
        states = {endpoint["status"] for user in event["users"] for endpoint in user["endpoints"]}
        return bool(shows(*names)(event)) and states == {"connected"}

    return check


def stream(event: Event, name: str) -> dict[str, Any]:
    (user,) = [user for user in event["users"] if user["display"] == name]
    (endpoint,) = user["endpoints"]
    assert endpoint["status"] == "connected"
    (media,) = endpoint["media"]
    return dict(media)


async def test_three_phones_meet(focus: RunningFocus) -> None:
    async with AsyncExitStack() as closing:
        phones: dict[str, Phone] = {}
        room = focus.mixer("tea")
        ways: tuple[tuple[str, Dialect | None, bool], ...] = (
            ("alice", JMI_0, False), ("bob", JMI_1, True), ("carol", None, False),
        )  # fmt: skip
        for nick, dialect, trickle in ways:
            phone = phones[nick] = await guest(focus, "tea", nick, trickle=trickle)
            closing.push_async_callback(phone.close)
            await phone.call(room if dialect else room.with_resource("focus"), dialect=dialect)
            await phone.wait_for("connected")
            await phone.wait_for("focus", isfocus=True)
            assert (await phone.wait_for("joined"))["nick"] == nick

        seen = {nick: await phone.wait_for("coin", where=connected(*TONES)) for nick, phone in phones.items()}
        sources = {nick: {stream(event, nick)["source"] for event in seen.values()} for nick in TONES}
        assert all(len(each) == 1 for each in sources.values())
        assert len(set.union(*sources.values())) == 3
        for nick, phone in phones.items():
            others = [frequency for name, frequency in TONES.items() if name != nick]
            await hears(phone, *others, without=[TONES[nick]])

        phones["bob"].mute()
        for nick in ("alice", "carol"):
            await phones[nick].wait_for(
                "coin", since=seen[nick], where=lambda event: stream(event, "bob")["status"] == "recvonly"
            )
        phones["carol"].hangup()
        assert (await phones["carol"].wait_for("ended"))["reason"] == "success"
        await phones["alice"].wait_for("coin", since=seen["alice"], where=shows("alice", "bob"))
        await hears(phones["bob"], TONES["alice"], without=[TONES["carol"]])
    await eventually(lambda: focus.service.calls() == 0)


async def test_a_phone_without_coin_gets_no_documents(focus: RunningFocus) -> None:
    async with AsyncExitStack() as closing:
        reading, blind = await guest(focus, "tea", "alice"), await guest(focus, "tea", "bob", coin=False)
        for phone in (reading, blind):
            closing.push_async_callback(phone.close)
            await phone.call(focus.mixer("tea"))
            await phone.wait_for("connected")
        await reading.wait_for("coin", where=shows("alice", "bob"))
        await listened(blind)
        assert not [event for event in blind.events.history if event.name == "coin"]


async def test_a_room_is_entered_as_soon_as_it_is_there(focus: RunningFocus) -> None:
    async with AsyncExitStack() as closing:
        phone = await guest(focus, "tea", "alice")
        closing.push_async_callback(phone.close)
        refused = await phone.wait_for("not-joined")
        assert refused["condition"] == "not-allowed"
        await phone.call(focus.mixer("tea"))
        joined = await phone.wait_for("joined")
        assert (joined["room"], joined["nick"]) == (str(focus.room("tea")), "alice")
        early = await guest(focus, "tea", "bob")
        closing.push_async_callback(early.close)
        await early.wait_for("joined")
        taken = await guest(focus, "tea", "bob")
        closing.push_async_callback(taken.close)
        assert (await taken.wait_for("not-joined"))["condition"] == "conflict"
