"""Call invites that are sent to the focus itself."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from focus.rayo.addresses import Addresses
from focus.wire.base import serialize
from focus.wire.call_invites import CALL_INVITES, STANZA_ID, Answer
from focus.xmpp.call_invites import ANSWERS, CallInvites
from tests.rayo.scene import DOMAIN, ROOMS
from tests.xmpp.test_binding import FakeConnection

ALICE = "alice@example.org/desk"
JINGLE = "<jingle sid='s1' jid='mixer@example.org/1'/>"


class Scene:
    def __init__(self) -> None:
        self.connection = FakeConnection()
        addresses = Addresses(DOMAIN, ROOMS)
        self.refusals: dict[tuple[str, str], str] = {}
        self.answered: list[tuple[str, str, Answer]] = []
        self.invites = CallInvites(
            self.connection,
            addresses,
            lambda to: to.local,
            lambda room, caller: self.refusals.get((room, str(caller)), ""),
            lambda to, device, said: self.answered.append((str(to), str(device), said)),
        )

    def message(
        self, child: str, *, to: str = f"tea@{DOMAIN}", sender: str = ALICE, kind: str = "chat", id: str = "m1"
    ) -> bool:
        text = f"<message xmlns='jabber:client' from='{sender}' to='{to}' type='{kind}' id='{id}'>{child}</message>"
        return self.invites.handle_message(ET.fromstring(text))

    def invite(self, methods: str = JINGLE, more: str = "", extra: str = "", **attributes: str) -> None:
        assert self.message(f"<invite xmlns='{CALL_INVITES}'{more}>{methods}</invite>{extra}", **attributes)

    @property
    def answer(self) -> tuple[ET.Element, ET.Element]:
        """The stanza, and what it says."""
        (stanza,) = self.connection.sent
        assert stanza.get("to") == ALICE
        assert stanza.get("type") == "chat"
        return stanza, stanza[0]


@pytest.fixture
async def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("to", [f"tea@{DOMAIN}", f"tea@{DOMAIN}/focus"])
async def test_an_invite_is_accepted_with_the_method_in_all_its_parts(scene: Scene, to: str) -> None:
    scene.invite(f"<external uri='https://example.org/x'/>{JINGLE}<muji xmlns='urn:x'/>", to=to)
    stanza, accept = scene.answer
    assert stanza.get("from") == f"tea@{DOMAIN}/focus"
    method = '<jingle sid="s1" jid="mixer@example.org/1"/>'
    assert serialize(accept) == f'<accept xmlns="{CALL_INVITES}" id="m1">{method}</accept>'


async def test_what_was_sent_through_a_room_is_answered_through_it(scene: Scene) -> None:
    """It takes stanzas of its occupants only."""
    scene.invite(to=f"focus@{DOMAIN}/tea", sender=f"tea@{ROOMS}/Alice")
    (stanza,) = scene.connection.sent
    assert (stanza.get("from"), stanza.get("to")) == (f"focus@{DOMAIN}/tea", f"tea@{ROOMS}/Alice")
    assert stanza[0].tag == f"{{{CALL_INVITES}}}accept"


async def test_the_id_of_the_origin_counts_before_that_of_the_stanza(scene: Scene) -> None:
    scene.invite(extra=f"<origin-id xmlns='{STANZA_ID}' id='o1'/>")
    assert scene.answer[1].get("id") == "o1"


@pytest.mark.parametrize(
    ("methods", "more", "to"),
    [
        ("<external uri='https://example.org/x'/>", "", f"tea@{DOMAIN}"),
        ("", "", f"tea@{DOMAIN}"),
        (JINGLE, " audio='false' video='true'", f"tea@{DOMAIN}"),
        (JINGLE, "", DOMAIN),
    ],
)
async def test_what_cannot_be_joined_is_rejected(scene: Scene, methods: str, more: str, to: str) -> None:
    scene.invite(methods, more, to=to)
    assert serialize(scene.answer[1]) == f'<reject xmlns="{CALL_INVITES}" id="m1"/>'


async def test_whose_session_would_be_refused_is_told_why_at_once(scene: Scene) -> None:
    scene.refusals["tea", "mixer@example.org/1"] = "enter the room first"
    scene.invite()
    stanza, body = scene.answer
    assert body.text == "I do not take part in your call: enter the room first."
    assert serialize(stanza[1]) == f'<reject xmlns="{CALL_INVITES}" id="m1"/>'


async def test_without_an_address_it_is_the_senders_session(scene: Scene) -> None:
    scene.refusals["tea", ALICE] = "enter the room first"
    scene.invite("<jingle sid='s1'/>")
    scene.invite("<jingle sid='s1' jid='@'/>")
    assert [len(stanza.findall("{jabber:client}body")) for stanza in scene.connection.sent] == [1, 1]


@pytest.mark.parametrize("kind", ["retract", "accept", "reject", "left"])
async def test_what_is_said_of_an_invite_has_no_answer(scene: Scene, kind: str) -> None:
    assert scene.message(f"<{kind} xmlns='{CALL_INVITES}' id='m1'/>")
    assert scene.connection.sent == []
    ((to, device, said),) = scene.answered
    assert (to, device, said.id, type(said).__name__.lower()) == (f"tea@{DOMAIN}", ALICE, "m1", kind)


async def test_what_cannot_be_read_or_named_has_no_answer(scene: Scene) -> None:
    for child in (f"<accept xmlns='{CALL_INVITES}'/>", f"<invite xmlns='{CALL_INVITES}'><jingle/></invite>"):
        assert scene.message(child)
    scene.invite(id="")
    assert scene.connection.sent == []


@pytest.mark.parametrize("kind", ["error", "groupchat", "headline"])
async def test_other_kinds_of_messages_invite_nobody(scene: Scene, kind: str) -> None:
    assert not scene.message(f"<invite xmlns='{CALL_INVITES}'>{JINGLE}</invite>", kind=kind)


async def test_who_invites_again_and_again_is_not_answered(scene: Scene) -> None:
    for number in range(ANSWERS[0] + 3):
        scene.invite(sender=f"alice@example.org/{number}")
    assert len(scene.connection.sent) == ANSWERS[0]
    scene.invite(sender="bob@example.org/desk")
    assert len(scene.connection.sent) == ANSWERS[0] + 1


async def test_other_messages_are_left_to_others(scene: Scene) -> None:
    assert not scene.message("<body>Hello</body>")
