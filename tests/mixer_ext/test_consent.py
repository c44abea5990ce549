"""A peer's checks of consent are answered as an ICE agent would, to which aioice's own parser holds us; what is not
plain is left to the agent.
"""

import os
import socket
from collections.abc import Iterator

import pytest
from aioice import stun
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mixer_ext.peers import Peer, Stage, tone

PASSWORD = b"a password of twenty-four"


class Checked:
    """A leg with its peer, whose checks are answered."""

    def __init__(self, host: str = "127.0.0.1", *, controlling: bool = False) -> None:
        self.stage = Stage(((host, 0),))
        self.leg = self.stage.plane.add_leg("ufrag", ssrc=1, csrc=2)
        self.peer = Peer(family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.stage.plane.set_remote(self.leg, 0, self.peer.address)
        self.stage.plane.set_consent(self.leg, PASSWORD, controlling=controlling)

    def ask(self, data: bytes, sender: Peer | None = None) -> tuple[list[bytes], int]:
        """What the peer gets for its datagram, and how many events there are."""
        sender = sender or self.peer
        before = len(sender.other)
        sender.send(data, self.stage.address)
        self.stage.tick()
        sender.receive()
        events, self.stage.events = self.stage.events, []
        return sender.other[before:], len(events)

    def close(self) -> None:
        self.peer.close()
        self.stage.close()


@pytest.fixture
def checked() -> Iterator[Checked]:
    checked = Checked()
    yield checked
    checked.close()


def request(password: bytes = PASSWORD, **attributes: object) -> stun.Message:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, transaction_id=os.urandom(12))
    message.attributes["USERNAME"] = "ufrag:theirs"
    message.attributes["PRIORITY"] = 1234
    for name, value in (attributes or {"ICE-CONTROLLING": 7}).items():
        message.attributes[name.replace("_", "-")] = value
    message.add_message_integrity(password)
    return message


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_check_is_answered_and_told_to_nobody(host: str) -> None:
    checked = Checked(host)
    asked = request()
    answers, events = checked.ask(bytes(asked))
    assert events == 0
    (answer,) = [stun.parse_message(data) for data in answers]  # which checks the fingerprint
    assert answer.check_message_integrity(PASSWORD)
    assert answer.message_class is stun.Class.RESPONSE
    assert answer.message_method is stun.Method.BINDING
    assert answer.transaction_id == asked.transaction_id
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == checked.peer.address
    assert set(answer.attributes) == {"XOR-MAPPED-ADDRESS", "MESSAGE-INTEGRITY", "FINGERPRINT"}
    assert checked.stage.plane.stats(checked.leg)["consents"] == 1
    checked.close()


def test_a_nomination_of_the_pair_in_use_changes_nothing(checked: Checked) -> None:
    answers, events = checked.ask(bytes(request(ICE_CONTROLLING=7, USE_CANDIDATE=None)))
    assert (len(answers), events) == (1, 0)


@pytest.mark.parametrize(
    "asked",
    [
        request(b"another password"),
        request(ICE_CONTROLLED=7),  # as we are: a conflict of roles
        request(ICE_CONTROLLING=7, SOFTWARE="x" * 600),  # longer than any check
        request(ICE_CONTROLLING=7, REALM="unknown in a check"),
    ],
    ids=["integrity", "roles", "length", "attribute"],
)
def test_what_is_not_plain_is_left_to_the_agent(checked: Checked, asked: stun.Message) -> None:
    assert checked.ask(bytes(asked)) == ([], 1)
    assert checked.stage.plane.stats(checked.leg)["consents"] == 0


def test_a_check_without_integrity_is_left_to_the_agent(checked: Checked) -> None:
    asked = request()
    del asked.attributes["MESSAGE-INTEGRITY"], asked.attributes["FINGERPRINT"]
    assert checked.ask(bytes(asked)) == ([], 1)


def test_a_check_from_elsewhere_is_left_to_the_agent(checked: Checked) -> None:
    other = Peer()
    assert checked.ask(bytes(request()), other) == ([], 1)
    other.close()


def test_roles_are_seen_from_our_side() -> None:
    checked = Checked(controlling=True)
    assert checked.ask(bytes(request(ICE_CONTROLLING=7))) == ([], 1)
    answers, events = checked.ask(bytes(request(ICE_CONTROLLED=7)))
    assert (len(answers), events) == (1, 0)
    checked.close()


def test_it_ends_when_the_agent_takes_over_again(checked: Checked) -> None:
    checked.stage.plane.set_consent(checked.leg, b"", controlling=False)
    assert checked.ask(bytes(request())) == ([], 1)
    with pytest.raises(ValueError, match="password"):
        checked.stage.plane.set_consent(checked.leg, bytes(65), controlling=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(4, 200), change=st.integers(1, 255), cut=st.integers(0, 40))
def test_what_is_changed_on_the_way_is_not_answered(checked: Checked, at: int, change: int, cut: int) -> None:
    """Up to the integrity; what follows it counts for nothing."""
    asked = request()
    data = bytearray(bytes(asked))
    integrity = data.index(b"\x00\x08\x00\x14")
    data[min(at, integrity + 23)] ^= change
    if cut:
        data = data[: max(20, len(data) - 4 * cut)]
        data[2:4] = (len(data) - 20).to_bytes(2, "big")
    assert checked.ask(bytes(data))[0] == []


def test_a_check_that_another_sends_again_and_again_costs_the_peer_nothing(stage: Stage) -> None:
    """Neither its sound nor the answers to checks of its own."""
    leg, peer = stage.peer()
    stage.plane.set_consent(leg, PASSWORD, controlling=False)

    def check() -> bytes:
        return bytes(request(USERNAME="fragment1:theirs", ICE_CONTROLLING=7))

    overheard = check()
    for tick in range(100):
        for _ in range(30):
            peer.socket.sendto(overheard, stage.address)  # in its name
        peer.say(tone(440, 1, tick), stage.address)
        if tick % 10 == 9:
            peer.send(check(), stage.address)
        stage.tick()
    stats = stage.plane.stats(leg)
    assert stats["received"] == 100
    answered = {stun.parse_message(data).transaction_id for data in peer.other}
    assert len(answered) == 11
    assert 11 <= stats["consents"] == len(peer.other) <= 11 + 20 + 2 * 20
    assert stats["dropped_flood"] == 3000 + 10 - stats["consents"]
