"""What callers do by the keys of a telephone, and what is said to them: all in memory, by what is shown and said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import fields

import pytest

from focus.conference.attendant import LOUDER
from focus.conference.comfort import NAME, TEXTS, Action, Comfort
from focus.conference.policy import Policy
from focus.conference.room import Departure
from focus.conference.roster import Roster
from focus.rayo.call import MOST_LOUDER
from focus.wire.conditions import FeatureNotImplemented, ItemNotFound
from focus.wire.conference_info import ConferenceInfo, Endpoint
from focus.wire.jid import JID
from focus.wire.rayo import Dial, Join, Unjoin
from focus.wire.rayo_component import Failed
from focus.wire.rayo_fax import ReceiveFax
from focus.wire.rayo_input import Grammar, Input
from focus.wire.session import Recorded
from focus.xmpp.commands import ALL, LOWER_HANDS
from tests.rayo.conftest import QUICK
from tests.rayo.scene import eventually, settled
from tests.rayo.test_in_band import Desk as Plain

from .commanding import Desk
from .hearing import until
from .scene import users
from .test_moving import hold_back_media
from .unheard import Unheard, leg_of, press, until_listened

KEYS = {
    Action.MUTE: "*6", Action.HAND: "*9", Action.QUIETER: "*7", Action.LOUDER: "*8", Action.COUNT: "*2",
    Action.HELP: "*1", Action.LEAVE: "0",
}  # fmt: skip


@pytest.fixture
def comfort(request: pytest.FixtureRequest) -> Comfort | None:
    """`@pytest.mark.parametrize("comfort", [...], indirect=True)` changes it."""
    made: Comfort | None = getattr(request, "param", Comfort(keys=KEYS))
    return made


@pytest.fixture
async def meeting(policy: Policy, comfort: Comfort | None) -> AsyncIterator[Unheard]:
    meeting = Unheard(policy, comfort)
    await meeting.start()
    yield meeting
    await meeting.stop()


async def said(meeting: Unheard, *names: str) -> None:
    """All of it by now, by the names of the texts."""
    await until(lambda: meeting.teller.said == [TEXTS[name] for name in names])


async def shown(meeting: Unheard, name: str, wanted: Callable[[Endpoint], bool]) -> Endpoint:
    """What all are shown of somebody, as bob sees it."""

    def is_shown(document: ConferenceInfo) -> bool:
        return name in users(document) and wanted(users(document)[name].endpoints[0])

    document = await meeting.readers.document(JID.parse("bob@example.org/phone"), is_shown)
    return users(document)[name].endpoints[0]


# --- keys ---


async def test_what_a_moderator_has_muted_keys_do_not_let_speak(meeting: Unheard) -> None:
    alice, _ = await meeting.enters("alice"), await meeting.enters("bob")
    await meeting.admin.command(alice.address, Join(mixer_name="tea", direction="recv"))
    await said(meeting, "muted_by_moderator")
    for times in (2, 3):
        await until(lambda: len(alice.components) == 1)  # what is said to two at once is said once
        press(alice, "*6")
        await said(meeting, *["muted_by_moderator"] * times)
    assert (await shown(meeting, "alice", lambda seen: True)).status == "muted-via-focus"
    assert not alice.describe(meeting.admin_jid).silenced
    await meeting.admin.command(alice.address, Join(mixer_name="tea", direction="duplex"))
    await said(meeting, *["muted_by_moderator"] * 3, "unmuted_by_moderator")
    await shown(meeting, "alice", lambda seen: seen.media[0].status == "sendrecv")


async def test_who_is_muted_by_himself_stays_so_when_a_moderator_lets_him_speak(meeting: Unheard) -> None:
    alice, _ = await meeting.enters("alice"), await meeting.enters("bob")
    press(alice, "*6")
    await shown(meeting, "alice", lambda seen: seen.media[0].status == "recvonly")
    for join, status in (
        (Join(mixer_name="tea", direction="recv"), "muted-via-focus"),
        (Join(mixer_name="tea", direction="duplex"), "connected"),
    ):
        await meeting.admin.command(alice.address, join)
        seen = await shown(meeting, "alice", lambda seen, status=status: seen.status == status)  # type: ignore[misc]
        assert seen.media[0].status == "recvonly"
    assert leg_of(alice).silenced


async def test_who_has_taken_a_volume_back_hears_those_so_who_were_away_meanwhile(meeting: Unheard) -> None:
    alice, bob = await meeting.enters("alice"), await meeting.enters("bob")
    volumes = meeting.sounds.volumes
    assert alice.node is not None
    assert bob.node is not None
    pair = alice.node, bob.node
    press(alice, "*7")
    await until(lambda: volumes.get(pair, 1) < 1)
    await meeting.admin.command(bob.address, Unjoin(mixer_name="tea"))
    press(alice, "*8")
    await until(lambda: alice.volume == 0)
    await meeting.admin.command(bob.address, Join(mixer_name="tea"))
    await until(lambda: volumes[pair] == 1)


async def test_keys_of_who_is_in_two_rooms_are_those_of_the_first(meeting: Unheard) -> None:
    alice = await meeting.enters("alice")

    def keypads() -> int:
        return sum(each.yields_keys and each.is_at_work for each in alice.components)

    await meeting.admin.command(alice.address, Join(mixer_name="milk"))
    await until(lambda: keypads() == 2)
    press(alice, "*8")
    await until(lambda: alice.volume is not None)
    await settled()
    assert alice.volume == LOUDER
    await meeting.admin.command(alice.address, Unjoin(mixer_name="tea"))
    await until(lambda: keypads() == 1)
    press(alice, "*8")
    await until(lambda: alice.volume == 2 * LOUDER)


async def test_a_raised_hand_is_shown_to_all_until_it_is_lowered(meeting: Unheard) -> None:
    alice, _ = await meeting.enters("alice"), await meeting.enters("bob")
    press(alice, "*9")
    hand = (await shown(meeting, "alice", lambda seen: seen.hand is not None)).hand
    assert hand is not None
    assert hand.since.endswith("Z")
    press(alice, "*9")
    await shown(meeting, "alice", lambda seen: seen.hand is None)
    await said(meeting, "hand_raised", "hand_lowered")


async def test_whose_hand_a_moderator_has_lowered_is_told_so(meeting: Unheard) -> None:
    meeting.rooms.room("tea").come("Owner", "owner@example.org/desk", affiliation="owner")
    alice, _ = await meeting.enters("alice"), await meeting.enters("bob")
    press(alice, "*9")
    await said(meeting, "hand_raised")
    Desk(meeting).command("owner@example.org/desk", LOWER_HANDS, hands=ALL)
    await said(meeting, "hand_raised", "hand_lowered")
    await shown(meeting, "alice", lambda seen: seen.hand is None)


async def test_who_asks_is_told_how_many_are_here_and_what_the_keys_are(meeting: Unheard) -> None:
    alice, told = await meeting.enters("alice"), meeting.teller.said
    press(alice, "*2")
    await said(meeting, "alone")
    await meeting.enters("bob")
    press(alice, "*2")
    await until(lambda: told[1:] == ["There are 2 people here."])
    press(alice, "*1")
    await until(lambda: len(told) == 3)
    assert told[2].startswith("To mute yourself, or to be heard again, press star 6. To raise")
    assert told[2].endswith("To leave, press 0.")


async def test_no_command_is_lost_however_fast_they_come_and_a_wrong_key_is_none_of_the_next(meeting: Unheard) -> None:
    alice = await meeting.enters("alice")
    press(alice, "*8" * 4 + "**7" + "*47*7" + "*#*7")
    await until(lambda: alice.volume == 3)
    press(alice, "*7" * 10)
    await until(lambda: alice.volume == -MOST_LOUDER)
    assert meeting.focus.server.components_started["input"] == 1


async def test_what_is_asked_for_next_interrupts_what_is_said(meeting: Unheard) -> None:
    alice, _ = await meeting.enters("alice"), await meeting.enters("bob")
    meeting.teller.repeats = 110
    press(alice, "*1")
    await until(lambda: len(alice.components) == 2)
    meeting.teller.repeats = 1
    press(alice, "*2")
    await until(lambda: len(meeting.teller.said) == 2)
    await until(lambda: len(alice.components) == 1)  # what listens for keys: nothing is said any more


async def test_keys_are_listened_for_again_after_a_fault(meeting: Unheard, caplog: pytest.LogCaptureFixture) -> None:
    alice = await meeting.enters("alice")
    (keypad,) = alice.components
    keypad.end(Failed(text="internal error"))
    await until(lambda: "keys are listened for no more" in caplog.text)
    await until(lambda: keypad not in alice.components)
    await until_listened(alice)
    press(alice, "*6")
    await until(lambda: alice.describe(meeting.admin_jid).silenced)


async def test_the_keys_of_a_call_that_a_client_has_made_are_left_to_it(
    meeting: Unheard, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "focus.conference.attendant")
    meeting.caller("bob@example.org/desk")
    await meeting.admin.dial(Dial(to="xmpp:bob@example.org/desk", joins=(Join(mixer_name="tea"),)))
    await until(lambda: "its keys are left to the Rayo client that has made" in caplog.text)
    await asyncio.sleep(10)
    assert "keys" not in caplog.text.partition("its keys are left")[2].partition("\n")[2]


@pytest.mark.parametrize(
    "comfort",
    [Comfort(keys=KEYS, texts={"welcome": "Good evening."}, notices=False, recordings=False)],
    indirect=True,
)
async def test_who_comes_is_welcomed_and_told_of_nothing_that_is_not_wanted(meeting: Unheard) -> None:
    alice = await meeting.enters("alice")
    await until(lambda: meeting.teller.said == ["Good evening."])
    conference = meeting.conference()
    conference.deliver(conference.roster.focus, Recorded(recorded=True))
    for direction in ("recv", "duplex"):
        await meeting.admin.command(alice.address, Join(mixer_name="tea", direction=direction))
    conference.raise_hands([alice.address])
    Desk(meeting).command(str(meeting.admin_jid), LOWER_HANDS, hands=ALL)
    press(alice, "*2")
    await until(lambda: meeting.teller.said[1:] == [TEXTS["alone"]])


PIN = (
    '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="pin"><rule id="pin">'
    '<item repeat="4"><one-of><item>0</item><item>*</item><item>6</item></one-of></item></rule></grammar>'
)


async def test_while_a_client_waits_for_keys_of_a_call_they_command_nothing_else(meeting: Unheard) -> None:
    alice = await meeting.enters("alice")
    pin = Input(mode="dtmf", grammars=(Grammar(content_type="application/srgs+xml", body=PIN),))
    await meeting.admin.command(alice.address, pin)
    await until(lambda: len(alice.components) == 2 and all(each._begun.is_set() for each in alice.components))
    press(alice, "0*60")
    await until(lambda: len(alice.components) == 1)
    press(alice, "*7")
    await until(lambda: alice.volume == -3)
    assert not alice.describe(meeting.admin_jid).silenced
    assert not alice.is_over


async def test_a_call_that_has_left_is_free_for_a_fax_at_once(meeting: Unheard) -> None:
    alice, _ = await meeting.enters("alice"), await meeting.enters("bob")
    meeting.teller.repeats = 110
    press(alice, "*1")
    await until(lambda: len(alice.components) == 2)
    await meeting.admin.command(alice.address, Unjoin(mixer_name="tea"))
    with pytest.raises(FeatureNotImplemented):  # there is no fax machine here; but not `WrongState`
        await meeting.admin.command(alice.address, ReceiveFax())
    await until(lambda: not alice.components)


async def held_up(meeting: Unheard) -> asyncio.Event:
    """The conference does nothing more until that is set, as while it enters a room."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        entered.set()
        await go_on.wait()

    meeting.conference().do(wait)
    await entered.wait()
    return go_on


async def test_mutes_follow_each_other_though_the_conference_is_busy(meeting: Unheard) -> None:
    alice = await meeting.enters("alice")
    go_on = await held_up(meeting)
    for count in (1, 2):
        press(alice, "*6")
        await said(meeting, *("muted", "unmuted")[:count])
    assert not alice.describe(meeting.admin_jid).silenced
    await meeting.admin.command(alice.address, Unjoin(mixer_name="tea"))
    press(alice, "*6")
    go_on.set()
    await until(lambda: not meeting.conference().roster.participants)
    assert not alice.describe(meeting.admin_jid).silenced
    await said(meeting, "muted", "unmuted")


async def test_who_is_taken_elsewhere_while_goodbye_is_said_stays_there(meeting: Unheard) -> None:
    alice, bob = await meeting.enters("alice"), await meeting.enters("bob")
    meeting.teller.repeats = 110
    press(alice, "0")
    await until(lambda: len(alice.components) == 2)
    await meeting.admin.command(alice.address, Unjoin(mixer_name="tea"))
    await until(lambda: not alice.components)
    await until(lambda: list(meeting.conference().roster.participants) == [bob.address])
    assert not alice.is_over


async def test_who_leaves_by_keys_has_departed(meeting: Unheard) -> None:
    alice, bob = await meeting.enters("alice"), await meeting.enters("bob")
    press(alice, "0")
    owner = meeting.caller_at("alice@example.org/phone").owners[-1]
    assert await owner.until_ended() == ("gone", True)
    assert owner.reason is not None
    assert owner.reason.text == "you have left by your keys"
    await said(meeting, "goodbye")
    await until(lambda: list(meeting.conference().roster.participants) == [bob.address])


async def test_who_is_taken_elsewhere_is_served_no_more_and_heard_again(meeting: Unheard) -> None:
    alice, _ = await meeting.enters("alice"), await meeting.enters("bob")
    press(alice, "*6")
    await shown(meeting, "alice", lambda seen: seen.media[0].status == "recvonly")
    await said(meeting, "muted")
    await meeting.admin.command(alice.address, Unjoin(mixer_name="tea"))
    await until(lambda: not alice.components)
    await until(lambda: not leg_of(alice).silenced)
    await meeting.admin.command(alice.address, Join(mixer_name="tea"))
    await until_listened(alice)
    press(alice, "*6")
    await said(meeting, "muted", "muted")


@pytest.mark.parametrize("comfort", [Comfort(entry=NAME, exit=NAME, keys=KEYS)], indirect=True)
async def test_who_goes_on_from_another_device_does_so_with_hand_volume_and_mute(meeting: Unheard) -> None:
    alice, bob = await meeting.enters("alice"), await meeting.enters("bob")
    press(alice, "*7" * 4 + "*9*6")
    await until(lambda: alice.describe(meeting.admin_jid).silenced)
    desk = await meeting.enters("alice", "desk")
    await until(lambda: set(meeting.conference().roster.participants) == {desk.address, bob.address})
    one = meeting.conference().roster.participants[desk.address]
    assert one.hand is not None
    assert one.session.silenced
    assert leg_of(desk).silenced
    assert meeting.sounds.volumes[leg_of(desk).node, leg_of(bob).node] == pytest.approx(10 ** (-12 / 20))
    press(desk, "*6")
    await until(lambda: not leg_of(desk).silenced)
    await until(lambda: meeting.teller.said[-1] == TEXTS["unmuted"])
    await asyncio.sleep(10)
    assert [text for text in meeting.teller.said if "alice has" in text] == [], "there is no coming and going"


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("comfort", [Comfort(entry=NAME, exit=NAME, keys=KEYS)], indirect=True)
async def test_who_ends_the_earlier_call_while_another_device_connects_has_not_left(
    meeting: Unheard, is_known: bool
) -> None:
    await meeting.enters("alice")
    bob = await meeting.enters("bob")
    press(bob, "*9*6")
    await until(lambda: bob.describe(meeting.admin_jid).silenced)
    gate = hold_back_media(meeting, "bob@example.org/desk")
    desk = meeting.caller_at("bob@example.org/desk")
    await meeting.call(desk)
    await until(lambda: len(list(meeting.focus.server.directory.calls())) == 3)
    await meeting.caller_at("bob@example.org/phone").close()
    await until(lambda: bob.is_over and not (is_known and bob.address in meeting.conference().roster.participants))
    assert (bob.address in meeting.conference().roster.participants) is not is_known
    gate.set()
    await until(lambda: any(one.peer == desk.jid for one in meeting.conference().roster.hands))
    await until(lambda: leg_of(meeting.focus.call(meeting.call_of(desk))).silenced)
    await asyncio.sleep(10)
    assert "bob has left." not in meeting.teller.said
    await desk.close()
    await until(lambda: "bob has left." in meeting.teller.said)


@pytest.mark.parametrize("comfort", [Comfort(exit=NAME)], indirect=True)
async def test_who_does_not_get_there_with_another_device_has_left(meeting: Unheard) -> None:
    await meeting.enters("alice")
    bob = await meeting.enters("bob")
    hold_back_media(meeting, "bob@example.org/desk")
    desk = meeting.caller_at("bob@example.org/desk")
    await meeting.call(desk)
    await until(lambda: len(list(meeting.focus.server.directory.calls())) == 3)
    await meeting.caller_at("bob@example.org/phone").close()
    await until(lambda: bob.address not in meeting.conference().roster.participants)
    assert meeting.teller.said == []
    await desk.close()
    await until(lambda: meeting.teller.said == ["bob has left."])


async def test_without_a_voice_keys_do_what_they_do(meeting: Unheard) -> None:
    meeting.teller.is_mute = True
    alice, _ = await meeting.enters("alice"), await meeting.enters("bob")
    for status in ("recvonly", "sendrecv"):
        press(alice, "*6")
        await shown(meeting, "alice", lambda seen, status=status: seen.media[0].status == status)  # type: ignore[misc]


async def test_who_presses_keys_as_sound_alone_is_told_that_he_cannot_be_muted_by_them(meeting: Unheard) -> None:
    phone = Plain(meeting.net, "alice@example.org/phone", meeting.plane.create_leg, timeouts=QUICK)
    phone.codec = "opus"
    alice = await meeting.enters("alice")
    assert not alice.tells_keys
    for keys, told in (("*6", ["not_muted"]), ("*9", ["not_muted", "hand_raised"])):
        await until(lambda: len(alice.components) == 1)
        for key in keys:
            alice.sounded(key, 0.1)
        await said(meeting, *told)
    assert not alice.describe(meeting.admin_jid).silenced


async def test_who_is_a_conference_has_no_keys_and_is_told_nothing(meeting: Unheard) -> None:
    coffee = meeting.caller("coffee@example.org/focus")
    coffee.isfocus = True
    await meeting.join("coffee@example.org/focus")
    call = meeting.focus.call(meeting.call_of(coffee))
    await until(lambda: meeting.conference().roster.participants[call.address].session.focus)
    bob = await meeting.enters("bob")
    await meeting.admin.command(call.address, Join(mixer_name="tea", direction="recv"))
    press(bob, "*2")
    await until(lambda: meeting.teller.said == ["There are 2 people here."])
    assert not call.components


@pytest.mark.parametrize("comfort", [Comfort()], indirect=True)
async def test_where_nothing_is_wanted_nothing_is_at_work(meeting: Unheard) -> None:
    await meeting.enters("alice")
    await meeting.enters("bob")
    await asyncio.sleep(10)
    assert not meeting.focus.server.components_started


# --- who comes and goes ---


@pytest.mark.parametrize("comfort", [Comfort(entry=NAME, exit=NAME)], indirect=True)
async def test_who_comes_and_goes_is_named_as_all_know_him_also_when_he_is_thrown_out(meeting: Unheard) -> None:
    room = meeting.rooms.room("tea")
    room.come("Bob & Co", "bob.secretname@example.org/phone")
    await meeting.enters("alice")
    await meeting.enters("bob.secretname")
    await until(lambda: meeting.teller.said == ["Bob & Co has joined."])
    room.go("Bob & Co", Departure.KICKED)
    await until(lambda: meeting.teller.said[1:] == ["Bob & Co has left."])


class Unnamed(Roster):
    def names(self, known: Mapping[JID, str]) -> dict[JID, str]:
        raise AssertionError("it takes as long as there are people")


@pytest.mark.parametrize("comfort", [Comfort()], indirect=True)
async def test_nobody_is_looked_for_by_name_where_no_names_are_said(meeting: Unheard) -> None:
    await meeting.enters("alice")
    conference = meeting.conference()
    conference.roster = Unnamed(**{each.name: getattr(conference.roster, each.name) for each in fields(Roster)})
    meeting.rooms.room("tea").come("Bob", "bob@example.org/phone")
    await meeting.enters("bob")
    await eventually(lambda: len(conference.roster.participants) == 2)


@pytest.mark.parametrize("comfort", [None], indirect=True)
async def test_where_nothing_can_be_said_there_is_no_such_command(meeting: Unheard) -> None:
    meeting.rooms.room("tea").come("Owner", "owner@example.org/desk", affiliation="owner")
    await meeting.enters("alice")
    with pytest.raises(ItemNotFound):
        Desk(meeting).announce("owner@example.org/desk", text="Hello")
