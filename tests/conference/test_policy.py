"""Who may take part."""

from dataclasses import replace

import pytest

from focus.conference.policy import Policy, Verdict, may_control, occupant_of
from focus.conference.room import Occupant
from focus.wire.jid import JID


def occupant(nick: str, real_jid: str | None) -> Occupant:
    real = JID.parse(real_jid) if real_jid else None
    return Occupant(nick, JID.parse(f"tea@rooms.example.org/{nick}"), real, "none", "participant")


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
    ("strangers", "participants", "peer", "verdict"),
    [
        (False, 0, "alice@x.org/desk", Verdict.ADMIT),
        (False, 0, "bob@x.org/desk", Verdict.WAIT),
        (True, 0, "bob@x.org/desk", Verdict.ADMIT),
        (True, 2, "bob@x.org/desk", Verdict.FULL),
        (False, 3, "alice@x.org/desk", Verdict.FULL),
    ],
)
def test_verdicts(strangers: bool, participants: int, peer: str, verdict: Verdict) -> None:
    assert Policy(strangers=strangers, maximum=2).judge(JID.parse(peer), [DESK], participants) is verdict


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
def test_who_has_a_say_in_the_room_may_control_it_from_any_device(rank: dict[str, str], has_a_say: bool) -> None:
    room = [replace(DESK, **rank), replace(HIDDEN, **rank)]
    assert may_control(JID.parse("alice@x.org/rayo"), room) is has_a_say
    assert may_control(JID.parse("alice@x.org"), room) is has_a_say
    assert not may_control(JID.parse("bob@x.org/desk"), room)
    assert not may_control(HIDDEN.jid, room)
