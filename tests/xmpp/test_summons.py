"""Invitations and conference requests, as stanzas: who is followed, and what the others are told."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from focus.conference.room import RoomError
from focus.conference.summoning import Summoning
from focus.rayo.addresses import Addresses
from focus.wire.base import serialize
from focus.wire.conditions import (
    BadRequest,
    Forbidden,
    NotAllowed,
    NotAuthorized,
    RegistrationRequired,
    ResourceConstraint,
    StanzaError,
)
from focus.wire.jid import JID
from focus.wire.summons import CONFERENCE_REQUEST, DIRECT, MUC_USER
from focus.xmpp.summons import REFUSALS, SUMMONS, Summons
from tests.rayo.scene import DOMAIN, ROOMS, eventually
from tests.xmpp.test_binding import FakeConnection

TEA = f"tea@{ROOMS}"
ALICE, STRANGER = "alice@example.org/desk", "mallory@elsewhere.example/x"


class Application:
    """Goes where it is summoned, or fails to with `error`."""

    def __init__(self) -> None:
        self.summoned: list[tuple[str, str]] = []
        self.inviters: list[str | None] = []
        self.error: Exception | None = None

    async def summon(self, room: JID, password: str = "", by: JID | None = None) -> None:
        self.inviters.append(str(by) if by is not None else None)
        self.summoned.append((str(room), password))
        if self.error is not None:
            raise self.error


class Scene:
    def __init__(self) -> None:
        self.connection = FakeConnection()
        self.application = Application()
        policy = Summoning(frozenset({JID("", ROOMS)}), frozenset({JID("", "example.org")}))
        self.summons = Summons(
            self.connection,
            self.application,
            Addresses(DOMAIN, ROOMS),
            policy,
        )

    async def message(self, child: str, sender: str, kind: str = "normal", to: str = DOMAIN) -> bool:
        tree = ET.fromstring(
            f"<message xmlns='jabber:client' from='{sender}' to='{to}' type='{kind}' id='m1'>{child}</message>"
        )
        is_taken = self.summons.handle_message(tree)
        await self.connection.idle()
        return is_taken

    async def mediated(self, inviter: str = ALICE, room: str = TEA, more: str = "") -> None:
        assert await self.message(f"<x xmlns='{MUC_USER}'><invite from='{inviter}'/>{more}</x>", room)

    async def direct(self, inviter: str = ALICE, room: str = TEA, more: str = "", child: str = "") -> None:
        assert await self.message(f"<x xmlns='{DIRECT}' jid='{room}' {more}/>{child}", inviter)

    async def request(self, sender: str = ALICE, room: str = TEA) -> ET.Element:
        child = (
            f"<conference xmlns='{CONFERENCE_REQUEST}' room='{room}' machine-uid='1'><property name='a'/></conference>"
        )
        tree = ET.fromstring(child)
        assert self.summons.answers(tree)
        return await self.summons.answer(JID.parse(sender), tree)

    @property
    def sent(self) -> list[ET.Element]:
        return self.connection.sent


@pytest.fixture
def scene() -> Scene:
    return Scene()


def declined(stanza: ET.Element) -> tuple[str | None, str | None, str | None]:
    """By which address, to whom, and why."""
    decline = stanza.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}decline")
    assert decline is not None, serialize(stanza)
    return stanza.get("to"), decline.get("to"), decline.findtext(f"{{{MUC_USER}}}reason")


# --- who is followed ---


async def test_a_mediated_invitation_is_followed_with_its_password(scene: Scene) -> None:
    await scene.mediated(more="<password>cyclamen</password>")
    assert scene.application.summoned == [(TEA, "cyclamen")]
    assert not scene.sent


async def test_a_direct_invitation_is_followed_with_its_password(scene: Scene) -> None:
    await scene.direct(more="password='cyclamen' reason='Hey Hecate' continue='true' thread='t1'")
    assert scene.application.summoned == [(TEA, "cyclamen")]
    assert not scene.sent


async def test_what_a_room_hands_on_with_both_is_one_invitation(scene: Scene) -> None:
    both = f"<x xmlns='{MUC_USER}'><invite from='{ALICE}'/></x><x xmlns='{DIRECT}' jid='{TEA}'/>"
    assert await scene.message(both, TEA)
    assert len(scene.application.summoned) == 1


@pytest.mark.parametrize("inviter", [f"{TEA}/Mallory", STRANGER])
async def test_who_is_in_the_room_may_have_it_invite_though_he_is_a_stranger(scene: Scene, inviter: str) -> None:
    await scene.mediated(inviter)
    assert scene.application.summoned == [(TEA, "")]


async def test_a_conference_request_is_answered_when_the_focus_is_there(scene: Scene) -> None:
    answer = await scene.request()
    assert scene.application.summoned == [(TEA, "")]
    assert answer.tag == f"{{{CONFERENCE_REQUEST}}}conference"
    assert answer.attrib == {"room": TEA, "ready": "true", "focusjid": f"focus@{DOMAIN}"}
    properties = {each.get("name"): each.get("value") for each in answer}
    assert properties["authentication"] == properties["sipGatewayEnabled"] == "false"


# --- who is not ---


async def test_an_invitation_that_is_not_allowed_is_declined_through_the_room(scene: Scene) -> None:
    lair = "lair@elsewhere.example"
    await scene.mediated(ALICE, lair)
    assert not scene.application.summoned
    (stanza,) = scene.sent
    to, whom, why = declined(stanza)
    assert (to, whom) == (lair, ALICE)
    assert stanza.get("from") == DOMAIN
    assert stanza.get("type") is None
    assert f"I do not come to {lair}" in str(why)


async def test_a_direct_invitation_that_is_not_allowed_is_answered_in_words(scene: Scene) -> None:
    await scene.direct(STRANGER, child="<thread>t1</thread>")
    assert not scene.application.summoned
    (stanza,) = scene.sent
    assert (stanza.get("to"), stanza.get("type")) == (STRANGER, "chat")
    assert (stanza.findtext("{jabber:client}body") or "").startswith("I do not come when you ask me to; ")
    assert stanza.findtext("{jabber:client}thread") == "t1"


@pytest.mark.parametrize(
    ("condition", "says"),
    [("not-authorized", "password"), ("registration-required", "only members"), ("weather", "(weather)")],
)
async def test_whoever_invites_learns_why_a_room_cannot_be_entered(scene: Scene, condition: str, says: str) -> None:
    scene.application.error = RoomError(JID.parse(TEA), condition)
    await scene.mediated()
    await scene.direct()
    through_room, directly = scene.sent
    assert says in str(declined(through_room)[2])
    assert says in str(directly.findtext("{jabber:client}body"))
    assert str(directly.findtext("{jabber:client}body")).startswith(f"I am not in {TEA}: ")


@pytest.mark.parametrize(
    ("sender", "room", "failure", "expected"),
    [
        (STRANGER, TEA, None, NotAuthorized),
        (ALICE, "lair@elsewhere.example", None, NotAllowed),
        (ALICE, "@", None, BadRequest),
        (ALICE, TEA, RoomError(JID.parse(TEA), "forbidden"), Forbidden),
        (ALICE, TEA, RoomError(JID.parse(TEA), "registration-required"), RegistrationRequired),
        (ALICE, TEA, ResourceConstraint("enough"), ResourceConstraint),
    ],
)
async def test_a_request_in_vain_is_refused_with_its_condition(
    scene: Scene, sender: str, room: str, failure: Exception | None, expected: type[StanzaError]
) -> None:
    scene.application.error = failure
    with pytest.raises(expected) as refusal:
        await scene.request(sender, room)
    assert refusal.value.text


async def test_a_room_that_does_not_answer_is_not_ready(scene: Scene) -> None:
    scene.application.error = RoomError(JID.parse(TEA), "timeout")
    assert (await scene.request()).get("ready") == "false"


# --- floods and loops ---


async def test_one_who_asks_again_and_again_is_refused(scene: Scene) -> None:
    for _ in range(SUMMONS[0]):
        await scene.request()
    with pytest.raises(ResourceConstraint):
        await scene.request("alice@example.org/other")
    await scene.request("bob@example.org/desk")
    assert len(scene.application.summoned) == SUMMONS[0] + 1


async def test_strangers_are_told_so_many_times_only(scene: Scene) -> None:
    for number in range(REFUSALS[0] + 5):
        await scene.direct(f"bot{number}@elsewhere.example/x")
    assert len(scene.sent) == REFUSALS[0]
    await scene.direct("bot@another.example/x")
    assert len(scene.sent) == REFUSALS[0] + 1


@pytest.mark.parametrize(
    "child",
    [
        f"<x xmlns='{MUC_USER}'><decline from='{ALICE}'/></x>",
        f"<x xmlns='{DIRECT}'/>",
        f"<x xmlns='{DIRECT}' jid='@'/>",
        f"<x xmlns='{MUC_USER}'><invite from='@'/></x>",
    ],
)
async def test_what_is_declined_or_unreadable_has_no_answer(scene: Scene, child: str) -> None:
    assert await scene.message(child, TEA)
    assert not scene.sent
    assert not scene.application.summoned


async def test_an_occupant_does_not_speak_for_the_room(scene: Scene) -> None:
    assert await scene.message(f"<x xmlns='{MUC_USER}'><invite from='{ALICE}'/></x>", f"{TEA}/Mallory")
    assert not scene.application.summoned
    assert not scene.sent


@pytest.mark.parametrize("kind", ["error", "groupchat"])
async def test_an_invitation_that_comes_back_is_none(scene: Scene, kind: str) -> None:
    assert not await scene.message(f"<x xmlns='{DIRECT}' jid='{TEA}'/>", ALICE, kind)
    assert not scene.application.summoned


async def test_other_messages_are_left_to_others(scene: Scene) -> None:
    assert not await scene.message(f"<body>Hello</body><x xmlns='{MUC_USER}'/>", ALICE)


@pytest.mark.parametrize(("inviter", "account"), [(ALICE, ALICE), (f"{TEA}/Alice", None)])
async def test_who_has_the_room_invite_is_known_where_the_room_tells(
    scene: Scene, inviter: str, account: str | None
) -> None:
    await scene.message(f"<x xmlns='{MUC_USER}'><invite from='{inviter}'/></x>", TEA)
    await eventually(lambda: bool(scene.application.summoned))
    assert scene.application.inviters == [account]
