"""Who may take part."""

from dataclasses import replace
from typing import Any

import pytest

from focus.conference.policy import Policy, Verdict, may_control, may_speak, occupant_of, rights_of
from focus.conference.room import Occupant, Rules
from focus.wire.jid import JID


def occupant(nick: str, real_jid: str | None) -> Occupant:
    real = JID.parse(real_jid) if real_jid else None
    return Occupant(nick, JID.parse(f"tea@rooms.example.org/{nick}"), real, "none", "participant")


OPEN, CLOSED = Rules(), Rules(members_only=True)
DESK, PHONE, HIDDEN = occupant("a", "alice@x.org/desk"), occupant("b", "alice@x.org/phone"), occupant("c", None)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("alice@x.org/desk", DESK),
        ("alice@x.org/phone", PHONE),
        ("alice@x.org/other", PHONE),
        ("tea@rooms.example.org/c", HIDDEN),
        ("tea@rooms.example.org/a", DESK),
        ("bob@x.org/desk", None),
        ("tea@rooms.example.org/z", None),
    ],
)
def test_an_occupant_is_known_by_device_then_by_occupant_jid_then_by_account(
    peer: str, expected: Occupant | None
) -> None:
    assert occupant_of(JID.parse(peer), [DESK, PHONE, HIDDEN]) == expected


@pytest.mark.parametrize(
    ("strangers", "participants", "peer", "rules", "sees", "verdict"),
    [
        (False, 0, "alice@x.org/desk", OPEN, True, Verdict.ADMIT),
        (False, 0, "alice@x.org/desk", CLOSED, True, Verdict.ADMIT),
        (False, 0, "alice@x.org/desk", OPEN, False, Verdict.ADMIT),
        (False, 0, "bob@x.org/desk", OPEN, True, Verdict.WAIT),
        (False, 0, "bob@x.org/desk", OPEN, False, Verdict.UNSEEN),
        (True, 0, "bob@x.org/desk", OPEN, True, Verdict.STRANGER),
        (True, 0, "bob@x.org/desk", OPEN, False, Verdict.STRANGER),
        (True, 0, "bob@x.org/desk", CLOSED, True, Verdict.WAIT),
        (True, 0, "bob@x.org/desk", Rules(password_protected=True), True, Verdict.WAIT),
        (True, 0, "bob@x.org/desk", CLOSED, False, Verdict.UNSEEN),
        (True, 2, "bob@x.org/desk", OPEN, True, Verdict.FULL),
        (False, 3, "alice@x.org/desk", OPEN, True, Verdict.FULL),
    ],
)
def test_verdicts(strangers: bool, participants: int, peer: str, rules: Rules, sees: bool, verdict: Verdict) -> None:
    policy = Policy(strangers=strangers, maximum=2)
    assert policy.judge(JID.parse(peer), [DESK], participants, rules, sees_real_jids=sees) is verdict


def test_of_several_occupants_of_an_account_the_one_with_most_rights_stands_for_its_other_devices() -> None:
    other = JID.parse("alice@x.org/other")
    for room in ([replace(DESK, role="moderator"), PHONE], [DESK, replace(PHONE, role="visitor")]):
        assert occupant_of(other, room) == room[0]
        assert occupant_of(other, room[::-1]) == room[0]


@pytest.mark.parametrize(
    ("role", "speaks"), [("moderator", True), ("participant", True), ("visitor", False), ("none", False)]
)
def test_visitors_have_no_voice(role: str, speaks: bool) -> None:
    assert may_speak(replace(DESK, role=role)) is speaks


@pytest.mark.parametrize(
    ("rank", "has_a_say"),
    [
        ({"affiliation": "owner"}, True),
        ({"affiliation": "admin"}, True),
        ({"role": "moderator"}, True),
        ({"affiliation": "member"}, False),
        ({"role": "visitor"}, False),
    ],
)
def test_who_has_a_say_in_the_room_may_control_it_from_any_device(rank: dict[str, Any], has_a_say: bool) -> None:
    room = [replace(DESK, **rank), replace(HIDDEN, **rank)]
    assert may_control(JID.parse("alice@x.org/rayo"), room) is has_a_say
    assert may_control(JID.parse("alice@x.org"), room) is has_a_say
    assert not may_control(JID.parse("bob@x.org/desk"), room)
    assert not may_control(HIDDEN.jid, room)


@pytest.mark.parametrize(
    ("client", "calls"),
    [
        ("alice@x.org/desk", ["desk"]),
        ("tea@rooms.example.org/a", ["desk"]),
        ("alice@x.org/other", ["desk", "car"]),
        ("tea@rooms.example.org/b", ["desk", "car"]),
        ("tea@rooms.example.org/c", ["hidden"]),
        ("tea@rooms.example.org/z", []),
        ("bob@x.org/desk", []),
        ("gateway.x.org/3", []),
        ("gateway.x.org/1", ["gateway"]),
    ],
)
def test_a_client_takes_part_by_its_own_call_else_by_all_of_its_account_and_never_by_those_of_others(
    client: str, calls: list[str]
) -> None:
    peers = {
        "desk": "alice@x.org/desk",
        "car": "alice@x.org/car",
        "hidden": "tea@rooms.example.org/c",
        "other": "tea@rooms.example.org/d",
        "gateway": "gateway.x.org/1",
    }
    participants = {JID(call, "focus.x.org"): JID.parse(peer) for call, peer in peers.items()}
    rights = rights_of(JID.parse(client), [DESK, PHONE, HIDDEN], participants, controls=False)
    assert [call.local for call in rights.calls] == calls
    assert not rights.moderates
