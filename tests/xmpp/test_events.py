"""Events as presence, and what becomes of them while there is no connection."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from typing_extensions import override

from focus.wire.base import serialize
from focus.wire.jid import JID
from focus.wire.rayo import Answered, End, Event, Joined, Offer, Ringing, StartedSpeaking, StoppedSpeaking, Unjoined
from focus.xmpp.binding import Outbox
from focus.xmpp.connection import Connection
from focus.xmpp.discovery import CAPS
from focus.xmpp.events import CLIENTS_KEPT, event_stanza

from .conftest import Party

CALL = JID.parse("9f00061@focus.example.org")
MIXER = JID.parse("tea@focus.example.org")
JULIET, ROMEO = JID.parse("juliet@capulet.lit/balcony"), JID.parse("romeo@montague.lit/orchard")


class Line(Connection):
    """Keeps what is sent."""

    def __init__(self, connected: bool = True) -> None:
        super().__init__("focus.example.org", "secret", "127.0.0.1", 1, Party())
        self.connected = connected
        self.is_full = False  # the server does not read, so the session is about to end
        self.sent: list[ET.Element] = []

    @override
    def send(self, element_tree: ET.Element) -> bool:
        if self.connected and not self.is_full:
            self.sent.append(ET.fromstring(serialize(element_tree)))
        return self.connected and not self.is_full

    def texts(self, to: JID) -> list[str]:
        """What each stanza for `to` is about."""
        mine = [tree for tree in self.sent if tree.get("to") == str(to)]
        return ["error" if tree.get("type") == "error" else tree[0].get("mixer-name", "") for tree in mine]


def outbox(events: int, line: Line) -> Outbox:
    made = Outbox(events=events)
    made.connection = line
    return made


def caps(node: str) -> ET.Element:
    return ET.Element(f"{{{CAPS}}}c", {"node": node})


@pytest.mark.parametrize("event", [Offer(to="xmpp:a@b"), Ringing(), Answered()])
def test_what_is_first_heard_of_a_call_has_its_capabilities(event: Event) -> None:
    tree = event_stanza(CALL, JULIET, event, caps, call_ids=False)
    assert [child.tag.rpartition("}")[2] for child in tree] == ["c", type(event).__xml_tag__, "delay"]
    assert tree[0].get("node") == "urn:xmpp:rayo:call:1"
    assert tree.get("type") is None


@pytest.mark.parametrize("event", [Joined(mixer_name="tea"), End.of("hungup")])
def test_later_ones_have_none(event: Event) -> None:
    tree = event_stanza(CALL, JULIET, event, caps, call_ids=False)
    assert [child.tag.rpartition("}")[2] for child in tree] == [type(event).__xml_tag__, "delay"]
    assert tree.get("type") == ("unavailable" if isinstance(event, End) else None)


@pytest.mark.parametrize("kind", [StartedSpeaking, StoppedSpeaking])
@pytest.mark.parametrize("call_ids", [True, False])
def test_who_speaks_is_named_in_the_old_way_where_that_is_wanted(
    kind: type[StartedSpeaking | StoppedSpeaking], call_ids: bool
) -> None:
    element = event_stanza(MIXER, JULIET, kind(call_uri=CALL.uri), caps, call_ids=call_ids)[0]
    assert element.get("call-uri") == CALL.uri
    assert element.get("call-id") == ("9f00061" if call_ids else None)
    assert kind.parse(element).call_uri == CALL.uri


def test_events_wait_for_their_client_in_order_with_the_time_of_their_origin() -> None:
    line = Line(connected=False)
    kept = outbox(10, line)
    for name in "abc":
        kept.event(CALL, JULIET, Joined(mixer_name=name))
        kept.event(CALL, ROMEO, Joined(mixer_name=name))
    assert line.sent == []
    kept.release(JULIET)
    assert line.sent == []
    line.connected = True
    kept.release(JULIET)
    assert line.texts(JULIET) == ["a", "b", "c"]
    assert line.texts(ROMEO) == []
    kept.event(CALL, ROMEO, Joined(mixer_name="d"))  # nobody knows yet whether he is there
    kept.event(CALL, JULIET, Joined(mixer_name="d"))
    assert line.texts(JULIET) == ["a", "b", "c", "d"]
    assert kept.kept.clients() == {ROMEO}
    kept.release(ROMEO)
    assert line.texts(ROMEO) == ["a", "b", "c", "d"]
    stamps = [tree[1].get("stamp", "") for tree in line.sent if tree.get("to") == str(JULIET)]
    assert stamps == sorted(stamps)
    kept.release(ROMEO)
    assert len(line.sent) == 8


def test_who_has_missed_events_is_told_so_and_costs_nobody_else() -> None:
    line = Line(connected=False)
    kept = outbox(2, line)
    lost: list[JID] = []
    kept.kept.lost = lost.append
    for name in "abcde":
        kept.event(CALL, JULIET, Joined(mixer_name=name))
    kept.event(CALL, ROMEO, Joined(mixer_name="a"))
    assert lost == [JULIET]
    assert kept.kept.forgotten == 5
    line.connected = True
    assert kept.kept.clients() == {JULIET, ROMEO}
    for client in (JULIET, ROMEO):
        kept.release(client)
    assert (line.texts(JULIET), line.texts(ROMEO)) == (["error"], ["a"])
    error = next(tree for tree in line.sent if tree.get("type") == "error")
    assert error.get("from") == "focus.example.org"
    assert error.find(".//{*}resource-constraint") is not None

    line.connected = False
    kept.event(CALL, JULIET, Joined(mixer_name="f"))
    line.connected = True
    kept.release(JULIET)
    assert line.texts(JULIET) == ["error", "f"]


def test_what_cannot_be_sent_any_more_is_kept_too() -> None:
    line = Line()
    kept = outbox(10, line)
    line.is_full = True
    kept.event(CALL, JULIET, Joined(mixer_name="a"))
    line.is_full = False
    kept.event(CALL, JULIET, Joined(mixer_name="b"))
    line.is_full = True
    kept.release(JULIET)
    assert line.sent == []
    line.is_full = False
    kept.release(JULIET)
    assert line.texts(JULIET) == ["a", "b"]


def test_who_does_not_come_is_given_up() -> None:
    line = Line(connected=False)
    kept = outbox(10, line)
    lost: list[JID] = []
    kept.kept.lost = lost.append
    kept.event(CALL, JULIET, Joined(mixer_name="a"))
    for _ in range(2):
        kept.kept.give_up(line.jid, JULIET)
        kept.kept.give_up(line.jid, ROMEO)
    kept.event(CALL, JULIET, Joined(mixer_name="b"))
    assert lost == [JULIET]
    assert kept.kept.forgotten == 2
    line.connected = True
    kept.release(JULIET)
    assert line.texts(JULIET) == ["error"]


def test_all_clients_together_are_bounded_too() -> None:
    line = Line(connected=False)
    kept = outbox(2, line)
    lost: list[JID] = []
    kept.kept.lost = lost.append
    others = [JULIET.with_resource(str(number)) for number in range(2 * CLIENTS_KEPT - 2)]
    for to in (ROMEO, ROMEO, *others):
        kept.event(CALL, to, Joined(mixer_name="a"))
    assert lost == []
    kept.event(CALL, JULIET, Joined(mixer_name="a"))
    assert lost == [ROMEO]
    line.connected = True
    for client in kept.kept.clients():
        kept.release(client)
    assert len(line.sent) == len(others) + 2
    assert kept.kept.clients() == set()


def test_who_is_told_the_same_is_told_it_in_a_stanza_of_his_own() -> None:
    event = Joined(mixer_name="tea")
    one, other = (event_stanza(CALL, to, event, caps, call_ids=False) for to in (JULIET, ROMEO))
    assert (one.get("to"), other.get("to")) == (str(JULIET), str(ROMEO))
    assert serialize(one[0]) == serialize(other[0]) == event.to_string()
    unjoined = event_stanza(CALL, JULIET, Unjoined(mixer_name="tea"), caps, call_ids=False)
    assert serialize(unjoined[0]) == Unjoined(mixer_name="tea").to_string()
