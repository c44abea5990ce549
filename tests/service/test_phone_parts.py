"""The parts of a phone that need no other: its memory of events, its view of a conference, its words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import cast
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from focus.media.files import read_audio
from focus.media.leg import Tap
from focus.media.tones import SAMPLE_RATE
from focus.service.phone.description import describe
from focus.service.phone.desk import exit_code
from focus.service.phone.events import REMEMBERED, CallOver, Event, Events
from focus.service.phone.participants import Participants
from focus.service.phone.sound import Ear
from focus.service.phone.trickle import trickled
from focus.wire.conditions import WrongState
from focus.wire.conference_info import ConferenceInfo
from focus.wire.dtls import Fingerprint
from focus.wire.ice import Candidate, Transport
from focus.wire.jingle import Action, Content, Jingle
from focus.wire.rtp import Description


def document(users: str, version: int = 1, state: str = "full") -> ConferenceInfo:
    return ConferenceInfo.parse(
        ET.fromstring(
            "<conference-info xmlns='urn:ietf:params:xml:ns:conference-info' entity='xmpp:tea@localhost' "
            f"state='{state}' version='{version}'><users state='{state}'>{users}</users></conference-info>"
        )
    )


ALICE = """
<user entity='xmpp:alice@localhost'><display-text>Alice</display-text>
  <endpoint entity='xmpp:alice@localhost/x'><status>connected</status>
    <media id='1'><type>audio</type><src-id>11</src-id><status>sendrecv</status></media></endpoint>
</user>"""
BOB = "<user entity='xmpp:bob@localhost'><display-text>Bob</display-text></user>"


def names(participants: Participants) -> list[str]:
    return [user["display"] for user in participants.described()]


# --- participants -----------------------------------------------------------------------------------------------------


def test_a_full_document_replaces_what_was_known() -> None:
    participants = Participants()
    participants.update(document(ALICE + BOB))
    assert names(participants) == ["Alice", "Bob"]
    participants.update(document(BOB, 2))
    assert names(participants) == ["Bob"]


def test_partial_documents_change_what_they_speak_of() -> None:
    participants = Participants()
    participants.update(document(ALICE))
    assert participants.update(document(BOB, 2, "partial"))
    muted = """<user entity='xmpp:alice@localhost' state='partial'>
      <endpoint entity='xmpp:alice@localhost/x' state='partial'>
        <media id='1'><type>audio</type><src-id>11</src-id><status>recvonly</status></media></endpoint></user>"""
    participants.update(document(muted, 3, "partial"))
    alice, bob = participants.described()
    assert (alice["display"], bob["display"]) == ("Alice", "Bob")
    (endpoint,) = alice["endpoints"]
    assert endpoint["status"] == "connected"
    assert endpoint["media"] == [{"id": "1", "type": "audio", "status": "recvonly", "source": "11"}]
    participants.update(document("<user entity='xmpp:alice@localhost' state='deleted'/>", 4, "partial"))
    assert names(participants) == ["Bob"]


def test_an_endpoint_can_go_and_another_come() -> None:
    participants = Participants()
    participants.update(document(ALICE))
    news = """<user entity='xmpp:alice@localhost' state='partial'>
      <endpoint entity='xmpp:alice@localhost/x' state='deleted'/>
      <endpoint entity='xmpp:alice@localhost/y'><status>on-hold</status></endpoint></user>"""
    participants.update(document(news, 2, "partial"))
    (alice,) = participants.described()
    assert [(endpoint["entity"], endpoint["status"]) for endpoint in alice["endpoints"]] == [
        ("xmpp:alice@localhost/y", "on-hold")
    ]


def test_old_news_are_none() -> None:
    participants = Participants()
    participants.update(document(ALICE, 5))
    assert not participants.update(document(BOB, 5, "partial"))
    assert not participants.update(document(BOB, 4, "partial"))
    assert names(participants) == ["Alice"]


def test_news_before_which_something_is_missing_are_refused() -> None:
    participants = Participants()
    participants.update(document(ALICE, 5))
    with pytest.raises(WrongState):
        participants.update(document(BOB, 7, "partial"))
    assert names(participants) == ["Alice"]
    assert participants.update(document(BOB, 8))
    assert names(participants) == ["Bob"]


# --- trickle ----------------------------------------------------------------------------------------------------------


def candidate(port: int) -> Candidate:
    return Candidate(component=1, foundation="1", ip="127.0.0.1", port=port, priority=1, protocol="udp", type="host")


def offer(action: Action) -> Jingle:
    fingerprint = Fingerprint(hash="sha-256", setup="actpass", value=":".join(["00"] * 32))
    transport = Transport(
        ufrag="abcd", pwd="p" * 22, fingerprints=(fingerprint,), candidates=(candidate(1), candidate(2))
    )
    content = Content(name="audio", description=Description(media="audio"), transport=transport)
    return Jingle(action=action, sid="s", contents=(content,))


@pytest.mark.parametrize("action", [Action.SESSION_INITIATE, Action.SESSION_ACCEPT])
def test_each_candidate_has_its_own_transport_info(action: Action) -> None:
    first, *following = trickled(offer(action))
    (content,) = first.contents
    assert first.action is action
    assert content.transport is not None
    assert content.transport.candidates == ()
    assert content.transport.fingerprints
    for news, port in zip(following, (1, 2), strict=True):
        assert (news.action, news.sid) == (Action.TRANSPORT_INFO, "s")
        (content,) = news.contents
        assert content.name == "audio"
        assert content.description is None
        assert content.transport is not None
        assert [one.port for one in content.transport.candidates] == [port]
        assert (content.transport.ufrag, content.transport.pwd) == ("abcd", "p" * 22)
        assert content.transport.fingerprints == ()


def test_other_actions_stay_as_they_are() -> None:
    news = offer(Action.TRANSPORT_INFO)
    assert trickled(news) == [news]


# --- ears -------------------------------------------------------------------------------------------------------------


class Heard:
    """A tap that gives what is put in."""

    def __init__(self) -> None:
        self.pending: list[np.ndarray] = []

    def read(self) -> np.ndarray:
        pending, self.pending = self.pending, []
        return np.concatenate([np.zeros(0, np.int16), *pending])

    def close(self) -> None:
        self.pending = []


def test_the_last_seconds_are_kept_and_all_of_it_is_written(tmp_path: Path) -> None:
    tap = Heard()
    ear = Ear(keep=0.5, record=tmp_path / "heard.wav")
    ear.listen_to(cast(Tap, tap))
    said = np.arange(SAMPLE_RATE, dtype=np.int16)
    for piece in np.split(said, 10):
        tap.pending.append(piece)
        ear.take()
    assert np.array_equal(ear.heard(), said[-SAMPLE_RATE // 2 :])
    assert ear.total == len(said)
    ear.close()
    assert np.array_equal(np.concatenate(list(read_audio(tmp_path / "heard.wav"))), said)
    assert np.array_equal(ear.heard(), said[-SAMPLE_RATE // 2 :])


def test_where_nothing_was_heard_nothing_is_written(tmp_path: Path) -> None:
    ear = Ear(keep=0.5, record=tmp_path / "heard.wav")
    assert len(ear.heard()) == 0
    ear.close()
    assert not (tmp_path / "heard.wav").exists()


# --- events -----------------------------------------------------------------------------------------------------------


async def test_what_has_happened_is_found_and_what_will_is_waited_for() -> None:
    told: list[Event] = []
    events = Events(told.append)
    first = events.add("info", info="mute")
    assert await events.wait_for("info") is first
    waiting = asyncio.create_task(events.wait_for("info", since=first, info="mute"))
    await asyncio.sleep(0)
    events.add("info", info="unmute")
    again = events.add("info", info="mute")
    assert await waiting is again
    assert [event.number for event in told] == [1, 2, 3]


async def test_waiting_is_over_with_the_call() -> None:
    events = Events()
    ended = events.add("ended", reason="busy")
    with pytest.raises(CallOver) as raised:
        await events.wait_for("connected")
    assert raised.value.ended is ended
    assert await events.wait_for("ended") is ended


async def test_a_wait_in_vain_tells_what_happened_instead() -> None:
    events = Events()
    events.add("online", jid="alice@localhost/x")
    with pytest.raises(TimeoutError, match="online jid=alice@localhost/x"):
        await events.wait_for("connected", within=0)


async def test_old_events_are_forgotten_and_the_numbers_go_on() -> None:
    events = Events()
    for number in range(REMEMBERED + 5):
        last = events.add("speaking", speaking=bool(number % 2))
    assert len(events.history) == REMEMBERED
    assert (events.history[0].number, last.number) == (6, REMEMBERED + 5)
    assert await events.wait_for("speaking", within=1) == events.history[0]
    assert await events.wait_for("speaking", within=1, since=events.history[10]) == events.history[11]
    waiting = asyncio.create_task(events.wait_for("ringing", within=5, since=last))
    await asyncio.sleep(0)
    rang = events.add("ringing")
    assert await waiting == rang


async def test_events_are_lines_of_json() -> None:
    event = Events().add("coin", users=[{"display": "Zoë\n"}], subject=None)
    line = event.json()
    assert "\n" not in line
    read = json.loads(line)
    assert (read["event"], read["number"], read["users"]) == ("coin", 1, [{"display": "Zoë\n"}])
    assert "subject" not in read


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "connected", "code"),
    [
        ("success", True, 0),
        ("success", False, 76),
        ("busy", False, 75),
        ("decline", False, 75),
        ("gone", False, 75),
        ("gone", True, 76),
        ("timeout", False, 75),
        ("connectivity-error", False, 76),
        ("media-error", True, 76),
    ],
)
async def test_the_end_of_a_call_has_an_exit_code(reason: str, connected: bool, code: int) -> None:
    assert exit_code(Events().add("ended", reason=reason, connected=connected)) == code


async def test_every_event_has_words_and_none_commands_the_terminal() -> None:
    events = Events()
    participants = Participants()
    participants.update(document(ALICE.replace("Alice", "Al\x85ice").replace("sendrecv", "recvonly") + BOB))
    coin = events.add("coin", users=participants.described(), subject="Tea")
    assert describe(coin) == "2 in the conference about Tea: Al\N{REPLACEMENT CHARACTER}ice (muted), Bob"
    hand = "<hand xmlns='urn:focus-conference:hand:0' since='2026-01-01T00:00:00Z'/></endpoint>"
    participants.update(document(ALICE.replace("</endpoint>", hand), 2))
    assert participants.described()[0]["endpoints"][0]["hand"] == "2026-01-01T00:00:00Z"
    raised = events.add("coin", users=participants.described())
    assert describe(raised) == "1 in the conference: Alice (hand raised)"
    later, sooner = (hand.replace(":00Z", f":00.{each}Z") for each in ("750", "250"))
    both = ALICE.replace("</endpoint>", later) + ALICE.replace("</endpoint>", sooner).replace("lice", "ndy")
    participants.update(document(both, 3))
    text = describe(events.add("coin", users=participants.described()))
    assert text.endswith("Andy (hand raised); hands were raised by Andy, then Alice")
    ended = events.add("ended", reason="busy", by="peer", connected=False)
    assert describe(ended) == "ended by the other side: busy"
    assert describe(events.add("something", new="\x1b[2J")) == "something new=\N{REPLACEMENT CHARACTER}[2J"
