"""Moderators call people into the conference by ad-hoc commands, with any client that has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

import pytest

from focus.conference.ringing import Ringing
from focus.wire.base import serialize
from focus.wire.commands import COMMANDS, DATA_FORM, AdHoc, BadPayload
from focus.wire.conditions import BadRequest, Forbidden, ItemNotFound, NotAllowed, ResourceConstraint, StanzaError
from focus.wire.conference_info import ConferenceInfo
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.jingle_message import Propose, Retract
from focus.xmpp.commands import (
    CALL_IN,
    CALL_OFF,
    LOWER_HAND,
    LOWER_HANDS,
    MAX_PEOPLE,
    RAISE_HAND,
    AdHocCommands,
)
from tests.conference.conftest import EAGER
from tests.conference.scene import Meeting, users
from tests.conference.test_ringing import ring
from tests.jingle.pair import End as Phone
from tests.rayo.scene import DOMAIN, ROOMS, eventually

ALICE, BOB, DAN = "alice@example.org/desk", "bob@example.org/phone", "dan@example.org/laptop"
TEA = JID("tea", DOMAIN)


class Scene:
    """A meeting that Alice is in, who is a moderator of the room."""

    def __init__(self, meeting: Meeting) -> None:
        self.meeting = meeting
        self.commands = AdHocCommands(meeting.application)

    @property
    def people(self) -> tuple[JID, ...]:
        return self.meeting.conference().callout.people

    def ask(self, child: str, sender: str = ALICE, to: JID = TEA) -> ET.Element:
        tree = ET.fromstring(child)
        assert self.commands.answers("set" if tree.tag == AdHoc.qualified_tag() else "get", tree)
        answer = self.commands.answer(JID.parse(sender), to, tree)
        return ET.fromstring(serialize(answer))

    def run(self, node: str, form: str = "", sender: str = ALICE, to: JID = TEA, **attributes: str) -> AdHoc:
        more = "".join(f" {name}='{value}'" for name, value in attributes.items())
        return AdHoc.parse(self.ask(f"<command xmlns='{COMMANDS}' node='{node}'{more}>{form}</command>", sender, to))

    def submit(self, node: str, *jids: str, sender: str = ALICE, action: str = "complete", **attributes: str) -> AdHoc:
        values = "".join(f"<value>{jid}</value>" for jid in jids)
        form = f"<x xmlns='{DATA_FORM}' type='submit'><field var='jids'>{values}</field></x>"
        return self.run(node, form, sender, TEA, action=action, **attributes)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    meeting = Meeting(EAGER, Ringing(users=frozenset({JID("", "example.org")})))
    await meeting.start()
    meeting.rooms.room("tea").come("Alice", ALICE, role="moderator")
    meeting.rooms.room("tea").come("Dan", DAN)
    await meeting.join(ALICE)
    yield Scene(meeting)
    await meeting.stop()


def phone(scene: Scene) -> Phone:
    made = scene.meeting.caller(BOB)
    made.answering = ring
    return made


async def test_a_moderator_calls_somebody_in_by_a_form(scene: Scene) -> None:
    bob = phone(scene)
    first = scene.run(CALL_IN, action="execute")
    assert (first.status, first.node) == ("executing", CALL_IN)
    assert first.actions is not None
    assert first.actions.execute == "complete"
    assert first.form is not None
    assert [(each.var, each.type) for each in first.form.fields] == [("jids", "jid-multi")]
    last = scene.submit(CALL_IN, "bob@example.org", sessionid=str(first.sessionid))
    assert (last.status, last.sessionid) == ("completed", first.sessionid)
    assert last.notes[0].text == "Calling bob@example.org."
    await bob.heard.until(lambda each: isinstance(each, Propose))


async def test_a_moderator_calls_somebody_off(scene: Scene) -> None:
    bob = phone(scene)
    scene.submit(CALL_IN, "BOB@example.org/phone")
    await bob.heard.until(lambda each: isinstance(each, Propose))
    form = scene.run(CALL_OFF).form
    assert form is not None
    assert [option.value for option in form.fields[0].options] == ["@all", "bob@example.org"]
    assert scene.submit(CALL_OFF, "bob@example.org").notes[0].text == "No longer calling bob@example.org."
    await bob.heard.until(lambda each: isinstance(each, Retract))
    await eventually(lambda: not scene.people)


async def test_all_are_called_off_where_that_is_chosen(scene: Scene) -> None:
    scene.submit(CALL_IN, "bob@example.org", "carol@example.org")
    with pytest.raises(BadPayload):
        scene.submit(CALL_OFF)
    assert len(scene.people) == 2
    assert scene.submit(CALL_OFF, "@all").notes[0].text == "No longer calling bob@example.org, carol@example.org."
    await eventually(lambda: not scene.people)
    assert scene.submit(CALL_OFF, "@all").notes[0].text == "None of them was being called."


async def test_who_is_there_is_not_called(scene: Scene) -> None:
    assert scene.submit(CALL_IN, "alice@example.org").notes[0].text == "They are here, or are being called already."
    assert scene.people == ()


async def test_it_is_shown_who_has_somebody_called(scene: Scene) -> None:
    scene.submit(CALL_IN, "bob@example.org")
    assert scene.meeting.conference().roster.invited[JID.parse("bob@example.org")].by == f"xmpp:tea@{ROOMS}/Alice"


# --- hands ---


async def hands(scene: Scene, *wanted: str) -> None:
    """Those whose hands are raised, in their order, as the documents have them."""

    def shown(document: ConferenceInfo) -> bool:
        since = {
            name: [each.hand.since for each in user.endpoints if each.hand] for name, user in users(document).items()
        }
        return sorted(filter(since.get, since), key=since.__getitem__) == list(wanted)

    await scene.meeting.readers.document(JID.parse(ALICE), shown)


async def test_all_who_take_part_raise_and_lower_their_hands_from_wherever_they_ask(scene: Scene) -> None:
    await scene.meeting.join(DAN)
    for sender, node, raised in (
        (DAN, RAISE_HAND, ["dan"]),
        (f"tea@{ROOMS}/Alice", RAISE_HAND, ["dan", "alice"]),
        (f"tea@{ROOMS}/Dan", RAISE_HAND, ["dan", "alice"]),
        ("dan@example.org/other", LOWER_HAND, ["alice"]),
        (ALICE, LOWER_HAND, []),
    ):
        answer = scene.run(node, sender=sender)
        assert (answer.status, answer.form) == ("completed", None)
        assert answer.notes[0].text == f"Your hand is {'raised' if node == RAISE_HAND else 'lowered'}."
        await hands(scene, *(name.title() for name in raised))


async def test_a_moderator_lowers_the_hand_of_one_or_of_all(scene: Scene) -> None:
    await scene.meeting.join(DAN)
    await scene.meeting.join("bob@example.org/phone")
    everybody = f"<x xmlns='{DATA_FORM}' type='submit'><field var='hands'><value>@all</value></field></x>"
    assert scene.run(LOWER_HANDS, everybody).notes[0].text == "None of them had a hand raised."
    for sender in (DAN, ALICE, BOB):
        scene.run(RAISE_HAND, sender=sender)
        await hands(scene, *("Dan", "Alice", "bob")[: (DAN, ALICE, BOB).index(sender) + 1])
    form = scene.run(LOWER_HANDS).form
    assert form is not None
    all_, *options = form.fields[0].options
    assert (all_.label, all_.value) == ("All", "@all")
    assert [option.label for option in options] == ["Dan", "Alice", "bob"]
    chosen = f"<x xmlns='{DATA_FORM}' type='submit'><field var='hands'><value>{options[1].value}</value></field></x>"
    assert scene.run(LOWER_HANDS, chosen).notes[0].text == "Lowered the hands of Alice."
    await hands(scene, "Dan", "bob")
    assert scene.run(LOWER_HANDS, chosen).notes[0].text == "None of them had a hand raised."
    with pytest.raises(BadPayload):
        scene.submit(LOWER_HANDS)
    await hands(scene, "Dan", "bob")
    assert scene.run(LOWER_HANDS, everybody).notes[0].text == "Lowered the hands of Dan, bob."
    await hands(scene)


# --- who may ---


@pytest.mark.parametrize("sender", [ALICE, "alice@example.org/other", f"tea@{ROOMS}/Alice", "admin@example.org/rayo"])
@pytest.mark.parametrize("to", [TEA, TEA.with_resource("focus"), JID("focus", DOMAIN, "tea")])
async def test_moderators_and_controllers_may_from_wherever_they_ask(scene: Scene, sender: str, to: JID) -> None:
    assert scene.run(CALL_IN, sender=sender, to=to).status == "executing"
    items = scene.ask(f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>", sender, to)
    own = [RAISE_HAND, LOWER_HAND] if "admin" not in sender else []
    assert [item.get("node") for item in items] == [CALL_IN, CALL_OFF, LOWER_HANDS, *own]
    assert {item.get("jid") for item in items} == {str(to)}


@pytest.mark.parametrize("sender", [DAN, f"tea@{ROOMS}/Dan", "mallory@elsewhere.example/x", f"milk@{ROOMS}/Alice"])
async def test_others_may_not_and_are_not_told_of_it(scene: Scene, sender: str) -> None:
    for node in (CALL_IN, LOWER_HANDS, RAISE_HAND, LOWER_HAND):
        for attempt in (scene.run, scene.submit):
            with pytest.raises(Forbidden):
                attempt(node, sender=sender)
    items = scene.ask(f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>", sender)
    assert list(items) == []


async def test_where_there_is_no_conference_there_are_no_commands(scene: Scene) -> None:
    for to in (JID("milk", DOMAIN), JID("", DOMAIN)):
        with pytest.raises(ItemNotFound):
            scene.run(CALL_IN, to=to)


@pytest.mark.parametrize("whom", ["bob@elsewhere.example", f"milk@{DOMAIN}"])
async def test_only_those_may_be_called_who_are_allowed(scene: Scene, whom: str) -> None:
    with pytest.raises(NotAllowed) as refusal:
        scene.submit(CALL_IN, "bob@example.org", whom)
    assert whom in refusal.value.text
    assert scene.people == ()


# --- as XEP-0050 has it ---


async def test_a_command_is_cancelled(scene: Scene) -> None:
    first = scene.run(CALL_IN)
    answer = scene.run(CALL_IN, action="cancel", sessionid=str(first.sessionid))
    assert (answer.status, answer.sessionid) == ("canceled", first.sessionid)


@pytest.mark.parametrize(
    ("action", "jids", "condition"),
    [
        ("dance", ["bob@example.org"], "malformed-action"),
        ("prev", ["bob@example.org"], "bad-action"),
        ("complete", [], "bad-payload"),
        ("complete", ["@"], "bad-payload"),
        ("execute", [f"user{number}@example.org" for number in range(MAX_PEOPLE + 1)], "bad-payload"),
    ],
)
async def test_what_is_wrong_has_the_condition_of_the_xep(
    scene: Scene, action: str, jids: list[str], condition: str
) -> None:
    with pytest.raises(BadRequest) as refusal:
        scene.submit(CALL_IN, *jids, action=action)
    assert refusal.value.application == (COMMANDS, condition)
    assert scene.people == ()


async def test_the_second_step_needs_the_form(scene: Scene) -> None:
    with pytest.raises(BadRequest) as refusal:
        scene.run(CALL_IN, action="complete")
    assert refusal.value.application == (COMMANDS, "bad-action")


async def test_an_unknown_command_is_not_found(scene: Scene) -> None:
    with pytest.raises(StanzaError) as refusal:
        scene.run("urn:example:dance")
    assert refusal.value.condition == "item-not-found"


async def test_discovery_describes_list_and_commands(scene: Scene) -> None:
    for node, kind in ((COMMANDS, "command-list"), (CALL_IN, "command-node"), (CALL_OFF, "command-node")):
        info = scene.ask(f"<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>")
        assert info.get("node") == node
        identity = info[0]
        assert (identity.get("category"), identity.get("type")) == ("automation", kind)
        assert {each.get("var") for each in info[1:]} == {COMMANDS, DATA_FORM}


async def test_other_questions_are_left_to_others(scene: Scene) -> None:
    query = ET.fromstring("<query xmlns='http://jabber.org/protocol/disco#items' node='urn:xmpp:rayo:call:1'/>")
    assert not scene.commands.answers("get", query)
    assert not scene.commands.answers("get", ET.fromstring(f"<command xmlns='{COMMANDS}' node='{CALL_IN}'/>"))


async def test_who_has_declined_cannot_be_called_again_at_once(scene: Scene) -> None:
    bob = scene.meeting.caller(BOB)
    bob.answering = lambda session: session.reject(Reason.of("decline"))
    scene.submit(CALL_IN, "bob@example.org")
    await eventually(lambda: not scene.meeting.conference().callout.is_active)
    with pytest.raises(ResourceConstraint, match="they have declined a moment ago"):
        scene.submit(CALL_IN, "bob@example.org")
