"""Stanzas become commands and sessions, events and documents become stanzas; what is bad is refused, never echoed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pytest
from typing_extensions import override

from focus.rayo.addresses import Addresses
from focus.rayo.limits import Limits
from focus.rayo.registration import Availability, Security
from focus.rayo.routing import Route
from focus.rayo.server import Server
from focus.wire.base import local_name, serialize
from focus.wire.conditions import (
    BadRequest,
    FeatureNotImplemented,
    ItemNotFound,
    NotAuthorized,
    NotTheOwner,
    OptionNotSupported,
    ServiceUnavailable,
    StanzaError,
    UnknownSession,
    WrongState,
)
from focus.wire.conference_info import CONFERENCE_INFO, ConferenceInfo
from focus.wire.jid import JID
from focus.wire.jingle import Jingle
from focus.wire.jingle_message import JMI_0, JMI_1, Dialect
from focus.wire.rayo import End, Joined, Offer
from focus.wire.stanzas import Disconnected
from focus.xmpp.binding import Binding, Interrupted, NotSent, Outbox
from focus.xmpp.connection import Connection
from focus.xmpp.discovery import CAPS, DISCO_INFO, INFO_QUERY, RAYO_CLIENT, Discovery
from focus.xmpp.registration import RegistrationDesk
from tests.rayo.scene import DOMAIN, ROOMS, FakePlane, Takers, eventually, settled

from .conftest import Party

ALICE = "alice@example.org/desk"
OWNER = JID.parse("juliet@example.org/balcony")
ADMIN = "admin@example.org/rayo"


class FakeConnection(Connection):
    """Keeps what is sent, and answers what is asked."""

    def __init__(self) -> None:
        super().__init__(DOMAIN, "secret", "127.0.0.1", 1, Party())
        self.connected = True
        self.sent: list[ET.Element] = []
        self.answer: Exception | None = None
        self.asked: list[ET.Element] = []
        self.features: list[str] = []  # of everybody who is asked for them

    @override
    def send(self, element_tree: ET.Element) -> bool:
        if self.connected:
            self.sent.append(ET.fromstring(serialize(element_tree)))
        return self.connected

    @override
    async def iq(
        self, sender: JID, to: JID, type: Literal["get", "set"], child: ET.Element | None, timeout: float = 10.0
    ) -> ET.Element:
        assert child is not None
        self.asked.append(ET.fromstring(serialize(child)))
        if self.answer is not None:
            raise self.answer
        result = ET.Element("iq")
        if child.tag == INFO_QUERY and self.features:
            query = ET.SubElement(result, INFO_QUERY)
            for feature in self.features:
                ET.SubElement(query, f"{{{DISCO_INFO}}}feature", {"var": feature})
        return result

    @override
    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def idle(self) -> None:
        await asyncio.gather(*self._tasks)


class Scene:
    def __init__(self, limits: Limits | None = None, *, routes: Sequence[Route] = (), events: int = 1000) -> None:
        self.connection = FakeConnection()
        self.outbox = Outbox(events=events)
        self.outbox.connection = self.connection
        self.takers = Takers()
        self.takers.parties = [OWNER]
        self.server = Server(
            Addresses(DOMAIN, ROOMS),
            FakePlane(),
            outbox=self.outbox,
            events=self.outbox,
            dialect=self._dialect,
            security=Security(controllers=frozenset({JID.parse(ADMIN).bare})),
            limits=limits,
            routes=routes,
        )
        self.server.application = self.takers
        self.binding = Binding(self.server, self.outbox, grace=0.0)
        self._task = asyncio.create_task(self.server.run())

    async def _dialect(self, peer: JID) -> Dialect | None:
        return JMI_0

    async def stop(self) -> None:
        self.server.close()
        await self._task
        await self.connection.idle()

    def message(self, child: str, *, to: str = f"tea@{DOMAIN}", sender: str = ALICE, type: str = "chat") -> None:
        self.binding.message(
            ET.fromstring(
                f"<message xmlns='jabber:client' from='{sender}' to='{to}' type='{type}' id='m1'>{child}</message>"
            )
        )

    def propose(self, id: str = "s1", *, dialect: str = JMI_0, more: str = "", **addresses: str) -> None:
        self.message(
            f"<propose xmlns='{dialect}' id='{id}'>"
            f"<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>{more}",
            **addresses,
        )

    async def iq(
        self, child: str, *, to: str = f"tea@{DOMAIN}/focus", sender: str = ALICE, type: str = "set"
    ) -> ET.Element | None:
        return await self.binding.iq(
            ET.fromstring(f"<iq xmlns='jabber:client' from='{sender}' to='{to}' type='{type}' id='i1'>{child}</iq>")
        )

    def presence(self, type: str, *, to: str, sender: str) -> None:
        self.binding.presence(
            ET.fromstring(f"<presence xmlns='jabber:client' from='{sender}' to='{to}' type='{type}'/>")
        )

    def texts(self) -> list[str]:
        return [ET.tostring(tree, "unicode") for tree in self.connection.sent]

    def offered(self) -> JID:
        (call,) = self.server.directory.calls()
        return call.address


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await asyncio.sleep(0)
    yield scene
    await scene.stop()


# --- invitations ---


async def test_a_proposal_is_offered_as_an_event(scene: Scene) -> None:
    scene.propose()
    (presence,) = scene.connection.sent
    assert presence.get("from") == str(scene.offered())
    assert presence.get("to") == str(OWNER)
    assert presence.get("type") is None
    offer, delay = presence
    assert Offer.parse(offer) == Offer(to=f"xmpp:tea@{DOMAIN}", from_=f"xmpp:{ALICE}")
    assert delay.tag == "{urn:xmpp:delay}delay"
    assert (delay.get("stamp") or "").endswith("Z")


async def test_a_receipt_is_given_for_what_was_received(scene: Scene) -> None:
    scene.propose(more="<request xmlns='urn:xmpp:receipts'/>")
    receipt = scene.connection.sent[0]
    assert (receipt.get("from"), receipt.get("to")) == (f"tea@{DOMAIN}/focus", ALICE)
    assert receipt[0].attrib == {"id": "m1"}


@pytest.mark.parametrize("dialect", [JMI_0, JMI_1])
async def test_who_cannot_be_called_says_so_in_the_dialect_of_the_caller(scene: Scene, dialect: str) -> None:
    scene.propose(to=f"{DOMAIN}/focus", dialect=dialect)
    (message,) = scene.connection.sent
    assert (message.get("type"), message[0].tag) == ("chat", f"{{{dialect}}}reject")


@pytest.mark.parametrize("limits", [Limits(calls=0), Limits(load=-1)], ids=["lines", "load"])
async def test_no_line_is_busy(limits: Limits) -> None:
    scene = Scene(limits)
    await asyncio.sleep(0)
    scene.propose()
    (text,) = scene.texts()
    assert "busy" in text
    await scene.stop()


@pytest.mark.parametrize(
    "child",
    [
        f"<propose xmlns='{JMI_0}'/>",
        f"<propose xmlns='{JMI_0}' id=''/>",
        f"<proceed xmlns='{JMI_1}' id='{'x' * 2000}'/>",
    ],
)
async def test_a_bad_invitation_is_refused_and_one_from_a_room_is_not_answered(scene: Scene, child: str) -> None:
    scene.message(child)
    (error,) = scene.connection.sent
    assert error.get("type") == "error"
    assert error.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}bad-request") is not None
    scene.message(child, sender=f"tea@{ROOMS}/romeo", to=f"focus@{DOMAIN}/tea")
    assert len(scene.connection.sent) == 1


@pytest.mark.parametrize("type", ["error", "groupchat"])
async def test_errors_and_what_is_said_in_rooms_are_no_invitations(scene: Scene, type: str) -> None:
    scene.propose(type=type)
    assert scene.connection.sent == []
    assert not list(scene.server.directory.calls())


REFUSALS = [
    ("cancel", "service-unavailable", "error", "gone"),
    ("cancel", "item-not-found", "error", "gone"),
    ("cancel", "remote-server-not-found", "error", "gone"),
    ("wait", "remote-server-timeout", "timeout", "timeout"),
    ("cancel", "not-allowed", "rejected", "decline"),
    ("modify", "jid-malformed", "error", "general-error"),
]


@pytest.mark.parametrize(("type", "condition", "reason", "code"), REFUSALS)
async def test_a_proposal_of_ours_that_comes_back_ends_the_call(
    scene: Scene, caplog: pytest.LogCaptureFixture, type: str, condition: str, reason: str, code: str
) -> None:
    caplog.set_level("INFO", "focus.rayo.call")
    await scene.iq("<dial xmlns='urn:xmpp:rayo:1' to='xmpp:nobody@example.org'/>", to=DOMAIN, sender=ADMIN)
    await eventually(lambda: bool(scene.connection.sent))
    (propose,) = scene.connection.sent
    assert propose.get("id") == propose[0].get("id")
    text = "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no such person</text>"
    for id, kind in (("another", type), (propose.get("id"), "continue"), (propose.get("id"), type)):
        assert len(scene.connection.sent) == 1
        scene.binding.message(
            ET.fromstring(
                f"<message xmlns='jabber:client' from='nobody@example.org' to='{propose.get('from')}' type='error' "
                f"id='{id}'><error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{text}"
                f"</error></message>"
            )
        )
        await settled()
    await eventually(lambda: not list(scene.server.directory.calls()))
    (told,) = scene.connection.sent[1:]  # and nothing to where nobody is
    end = End.parse(told[0])
    assert end == End.of(reason, platform_code=code)
    assert "no such person" in caplog.text


async def test_a_message_without_invitation_is_nobodys(scene: Scene) -> None:
    scene.message("<body>hello</body>")
    scene.message("", to="")
    assert scene.connection.sent == []


@pytest.mark.parametrize("dialect", [JMI_0, JMI_1])
async def test_a_proposal_that_was_kept_on_its_way_for_long_is_rejected(scene: Scene, dialect: Dialect) -> None:
    def propose(id: str, seconds: float, zone: str = "Z") -> None:
        stamp = (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
        scene.message(
            f"<propose xmlns='{dialect}' id='{id}'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/>"
            f"</propose><delay xmlns='urn:xmpp:delay' stamp='{stamp}{zone}' from='example.org'/>"
        )

    propose("old", 90)
    (reject,) = scene.connection.sent
    (child, hint) = reject
    assert (reject.get("to"), reject.get("type")) == (ALICE, "chat")
    assert (child.tag, child.get("id")) == (f"{{{dialect}}}reject", "old")
    assert [each.tag for each in child[0]] == ["{urn:xmpp:jingle:1}expired", "{urn:xmpp:jingle:1}text"]
    assert hint.tag == "{urn:xmpp:hints}store"
    assert not list(scene.server.directory.calls())
    for id, seconds, zone in (("young", 20, "Z"), ("unclear", 90, ""), ("from the future", -90, "Z")):
        propose(id, seconds, zone)
    assert len(list(scene.server.directory.calls())) == 3


async def test_what_is_forwarded_is_not_from_whom_it_says(scene: Scene) -> None:
    """Carbons (XEP-0280 section 11) and what archives bring are for the owner of an account; we have none."""
    description = "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/>"
    proposal = f"<propose xmlns='{JMI_0}' id='s1'>{description}</propose>"
    for kind in ("sent", "received"):
        scene.message(
            f"<{kind} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
            f"<message xmlns='jabber:client' from='bob@example.org/phone' to='tea@{DOMAIN}'>{proposal}</message>"
            f"</forwarded></{kind}>"
        )
    assert scene.connection.sent == []
    assert not list(scene.server.directory.calls())


async def test_an_invitation_that_nobody_knows_is_dropped(scene: Scene) -> None:
    for name in ("ringing", "proceed", "reject", "retract", "finish"):
        scene.message(f"<{name} xmlns='{JMI_0}' id='unknown'/>")
    assert scene.connection.sent == []


# --- IQs ---


async def test_sessions_that_nobody_knows_are_unknown(scene: Scene) -> None:
    with pytest.raises(UnknownSession):
        await scene.iq("<jingle xmlns='urn:xmpp:jingle:1' action='session-terminate' sid='x'/>")


@pytest.mark.parametrize(
    ("child", "refusal"),
    [
        ("<jingle xmlns='urn:xmpp:jingle:1' action='dance' sid='x'/>", BadRequest),
        ("<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate'/>", BadRequest),
        ("<x xmlns='urn:x'/>", ServiceUnavailable),
        ("<answer xmlns='urn:xmpp:rayo:1'/>", ItemNotFound),
        ("<teleport xmlns='urn:xmpp:rayo:1'/>", ItemNotFound),
        ("<output xmlns='urn:xmpp:rayo:output:1'/>", ItemNotFound),
        ("<watch xmlns='urn:focus-conference:session:0'/>", ServiceUnavailable),
        ("", BadRequest),
        ("<a xmlns='urn:x'/><b xmlns='urn:x'/>", BadRequest),
    ],
)
async def test_what_is_refused(scene: Scene, child: str, refusal: type[StanzaError]) -> None:
    with pytest.raises(refusal):
        await scene.iq(child)


@pytest.mark.parametrize(
    ("child", "refusal", "named"),
    [
        ("<teleport xmlns='urn:xmpp:rayo:1'/>", FeatureNotImplemented, "teleport"),
        ("<output xmlns='urn:xmpp:rayo:output:1'/>", BadRequest, "document"),
        ("<output xmlns='urn:xmpp:rayo:output:2'/>", FeatureNotImplemented, "output"),
        ("<stop xmlns='urn:xmpp:rayo:ext:1'/>", FeatureNotImplemented, "stop"),
        ("<answer xmlns='urn:xmpp:rayo:1' quickly='true'/>", OptionNotSupported, "quickly"),
        ("<answer xmlns='urn:xmpp:rayo:1'><gently/></answer>", OptionNotSupported, "gently"),
        ("<join xmlns='urn:xmpp:rayo:1'/>", BadRequest, "call-uri"),
        ("<join xmlns='urn:xmpp:rayo:1' mixer-name='tea' direction='up'/>", BadRequest, "direction"),
        ("<dial xmlns='urn:xmpp:rayo:1' to='xmpp:a@b'/>", FeatureNotImplemented, "dial"),
    ],
)
async def test_what_a_call_refuses_says_which_part(
    scene: Scene, child: str, refusal: type[StanzaError], named: str
) -> None:
    scene.propose()
    with pytest.raises(refusal) as refused:
        await scene.iq(child, to=str(scene.offered()), sender=str(OWNER))
    assert (refused.value.condition, refused.value.type) == (refusal.condition, refusal.type)
    assert named in refused.value.text


async def test_a_component_that_does_not_exist_is_not_found(scene: Scene) -> None:
    scene.propose()
    for address in (f"{scene.offered()}/eh3u28", f"{DOMAIN}/eh3u28"):
        with pytest.raises(ItemNotFound):
            await scene.iq("<stop xmlns='urn:xmpp:rayo:ext:1'/>", to=address, sender=str(OWNER))


async def test_what_is_refused_is_counted_by_its_condition(scene: Scene) -> None:
    refusals: list[str] = []
    scene.binding.refused = refusals.append
    with pytest.raises(UnknownSession):
        await scene.iq("<jingle xmlns='urn:xmpp:jingle:1' action='session-terminate' sid='x'/>")
    scene.message(f"<propose xmlns='{JMI_0}'/>")
    scene.propose(to=f"{DOMAIN}/focus")
    assert refusals == ["item-not-found", "bad-request", "service-unavailable"]


async def test_a_get_commands_nothing(scene: Scene) -> None:
    for child in (
        "<jingle xmlns='urn:xmpp:jingle:1' action='session-info' sid='x'/>",
        "<dial xmlns='urn:xmpp:rayo:1'/>",
    ):
        with pytest.raises(ServiceUnavailable):
            await scene.iq(child, type="get", sender=ADMIN, to=DOMAIN)


async def test_a_dial_is_answered_with_a_reference(scene: Scene) -> None:
    dial = "<dial xmlns='urn:xmpp:rayo:1' to='xmpp:alice@example.org'/>"
    with pytest.raises(NotAuthorized):
        await scene.iq(dial, to=DOMAIN)
    reference = await scene.iq(dial, to=DOMAIN, sender=ADMIN)
    assert reference is not None
    assert reference.get("uri") == scene.offered().uri
    await eventually(lambda: bool(scene.connection.sent))
    (propose,) = scene.connection.sent
    assert propose.get("type") == "chat"
    assert propose.get("to") == "alice@example.org"
    assert propose.get("id")
    assert [child.tag for child in propose] == [f"{{{JMI_0}}}propose", "{urn:xmpp:hints}store"]


async def test_commands_and_the_end_of_a_call(scene: Scene) -> None:
    scene.propose()
    call = str(scene.offered())
    with pytest.raises(NotTheOwner):
        await scene.iq("<answer xmlns='urn:xmpp:rayo:1'/>", to=call)
    assert await scene.iq("<answer xmlns='urn:xmpp:rayo:1'/>", to=call, sender=str(OWNER)) is None
    assert await scene.iq("<hangup xmlns='urn:xmpp:rayo:1'/>", to=call, sender=str(OWNER)) is None
    await eventually(lambda: not list(scene.server.directory.calls()))
    end = next(tree for tree in scene.connection.sent if tree.find(End.qualified_tag()) is not None)
    assert end.get("type") == "unavailable"  # XEP-0327 section 6.6.4


async def test_an_event_of_an_ordinary_kind_is_available_presence(scene: Scene) -> None:
    scene.outbox.event(JID("call", DOMAIN), OWNER, Joined(mixer_name="tea"))
    assert scene.connection.sent[0].get("type") is None


class Archive:
    def __init__(self) -> None:
        self.read: list[tuple[JID, JID, ConferenceInfo]] = []

    def document_from(self, focus: JID, peer: JID, document: ConferenceInfo) -> None:
        self.read.append((focus, peer, document))
        if document.sid == "s2":
            raise WrongState("a document before this one is missing")

    def document_for(self, focus: JID, peer: JID, sid: str) -> ConferenceInfo | None:
        known = (str(focus), str(peer), sid) == (f"tea@{DOMAIN}/focus", ALICE, "s1")
        return ConferenceInfo(entity=f"xmpp:tea@{DOMAIN}", version=3, sid=sid) if known else None


async def test_a_document_of_another_focus_is_read(scene: Scene) -> None:
    document = (
        f"<conference-info xmlns='{CONFERENCE_INFO}' entity='xmpp:milk@elsewhere.example' version='1' sid='{{}}'/>"
    )
    with pytest.raises(ServiceUnavailable):
        await scene.iq(document.format("s1"))
    scene.binding.documents = archive = Archive()
    assert await scene.iq(document.format("s1")) is None
    ((_, peer, read),) = archive.read
    assert (str(peer), read.entity) == (ALICE, "xmpp:milk@elsewhere.example")
    with pytest.raises(WrongState):
        await scene.iq(document.format("s2"))
    with pytest.raises(BadRequest):
        await scene.iq(f"<conference-info xmlns='{CONFERENCE_INFO}' entity=''/>")


async def test_a_document_is_given_to_who_asks(scene: Scene) -> None:
    question = f"<conference-info xmlns='{CONFERENCE_INFO}' entity='xmpp:tea@{DOMAIN}' sid='{{}}'/>"
    with pytest.raises(ItemNotFound):
        await scene.iq(question.format("s1"), type="get")
    scene.binding.documents = Archive()
    answer = await scene.iq(question.format("s1"), type="get")
    assert answer is not None
    assert answer.get("version") == "3"
    with pytest.raises(ItemNotFound):
        await scene.iq(question.format("s2"), type="get")


# --- the connection ---


async def test_what_cannot_be_asked_and_what_was_cut_off_differ(scene: Scene) -> None:
    jingle = Jingle.parse(ET.fromstring("<jingle xmlns='urn:xmpp:jingle:1' action='session-info' sid='s'/>"))
    ours, theirs = JID("tea", DOMAIN, "focus"), JID.parse(ALICE)
    scene.connection.answer = Disconnected("the session ended")
    with pytest.raises(Interrupted) as interrupted:
        await scene.outbox.iq_set(ours, theirs, jingle)
    scene.connection.connected = False
    with pytest.raises(NotSent) as not_sent:
        await scene.outbox.iq_set(ours, theirs, jingle)
    assert len(scene.connection.asked) == 1
    for error in (interrupted.value, not_sent.value):  # what a session waits for, and what a document waits for
        assert isinstance(error, TimeoutError)
        assert isinstance(error, ConnectionError)
    assert isinstance(interrupted.value, ConnectionAbortedError)
    assert not isinstance(not_sent.value, ConnectionAbortedError)


async def test_without_a_connection_nothing_is_sent() -> None:
    outbox = Outbox()
    outbox.event(JID("call", DOMAIN), OWNER, Joined(mixer_name="tea"))
    with pytest.raises(NotSent):
        await outbox.iq_set(OWNER, OWNER, Joined(mixer_name="tea"))


async def test_who_goes_offline_is_hung_up_unless_it_is_the_server_that_goes(
    scene: Scene,
) -> None:
    unavailable = ET.fromstring(
        f"<presence xmlns='jabber:client' from='{ALICE}' to='tea@{DOMAIN}' type='unavailable'/>"
    )
    scene.propose()
    scene.binding.presence(unavailable)
    scene.binding.disconnected()
    await scene.connection.idle()
    await settled()
    assert len(list(scene.server.directory.calls())) == 1
    scene.binding.connected()
    assert scene.binding.first_connection.is_set()
    scene.binding.presence(unavailable)
    await eventually(lambda: not list(scene.server.directory.calls()))


async def test_who_is_back_online_at_once_is_not_hung_up(scene: Scene) -> None:
    """A server that has lost somebody's stream says so when they come with the next one."""
    scene.propose()
    for kind in ("type='unavailable'", "", "type='unavailable'", ""):
        text = f"<presence xmlns='jabber:client' from='{ALICE}' to='tea@{DOMAIN}' {kind}/>"
        scene.binding.presence(ET.fromstring(text))
    await scene.connection.idle()
    await settled()
    assert len(list(scene.server.directory.calls())) == 1


async def test_who_goes_again_after_the_connection_was_lost_is_hung_up(scene: Scene) -> None:
    scene.propose()
    gone = ET.fromstring(f"<presence xmlns='jabber:client' from='{ALICE}' to='tea@{DOMAIN}' type='unavailable'/>")
    scene.binding.presence(gone)
    scene.binding.interruptions += 1  # what was said before counts no more
    scene.binding.presence(gone)
    await scene.connection.idle()
    await settled()
    assert not list(scene.server.directory.calls())


async def test_who_an_offer_does_not_reach_is_not_waited_for(scene: Scene) -> None:
    scene.propose()
    call = scene.offered()
    scene.presence("error", to=str(call), sender=str(OWNER))
    assert OWNER not in scene.server.directory.call(call).parties  # type: ignore[union-attr]


@pytest.mark.parametrize("answers", [True, False])
async def test_whom_an_event_does_not_reach_is_no_longer_registered_unless_it_answers(
    scene: Scene, answers: bool
) -> None:
    client, line = JID.parse(ADMIN), scene.connection
    scene.server.registrations.update(client, Availability.READY)
    scene.binding.desk = RegistrationDesk(
        line,
        Discovery(line, tuple),
        scene.server.registrations,
        scene.outbox.kept,
        scene.outbox.release,
        patience=60,
    )
    line.answer = None if answers else ServiceUnavailable()
    scene.presence("error", to=f"9f00061@{DOMAIN}", sender=ADMIN)
    await line.idle()
    assert (client in scene.server.registrations) is answers


async def test_who_misses_events_is_waited_for_no_longer_registered_or_not(scene: Scene) -> None:
    """Here a party that has never registered, and has accepted a call."""
    line = scene.connection
    desk = RegistrationDesk(
        line,
        Discovery(line, tuple),
        scene.server.registrations,
        scene.outbox.kept,
        scene.outbox.release,
        patience=0.0,
    )
    scene.propose()
    first = scene.offered()
    await scene.iq("<accept xmlns='urn:xmpp:rayo:1'/>", to=str(first), sender=str(OWNER))
    await settled()
    line.connected = False
    scene.propose("s2")
    line.connected, line.answer = True, ServiceUnavailable()
    desk.connected()
    await line.idle()
    await eventually(lambda: scene.server.directory.call(first) is None)
    assert any("resource-constraint" in text for text in scene.texts())
    assert scene.outbox.kept.forgotten == 1


@pytest.mark.parametrize("is_known_by_caps", [True, False])
async def test_who_comes_back_by_itself_after_missing_events_is_told_so_before_it_is_offered_calls(
    is_known_by_caps: bool,
) -> None:
    """Nothing would bring these offers again: it has registered, and a call is offered once for each time."""
    accounts = (JID.parse(ADMIN).bare, OWNER.bare)
    scene = Scene(routes=[Route("*", clients=accounts)], events=1)
    await asyncio.sleep(0)
    line, clients = scene.connection, scene.server.registrations
    line.features = [RAYO_CLIENT]
    clients.security = Security(clients=frozenset(accounts))
    scene.binding.desk = desk = RegistrationDesk(
        line,
        Discovery(line, tuple),
        clients,
        scene.outbox.kept,
        scene.outbox.release,
        patience=60,
    )
    clients.update(OWNER, Availability.READY)
    line.connected = False
    for name in "ab":
        scene.outbox.event(JID("call", DOMAIN), JID.parse(ADMIN), Joined(mixer_name=name))
    line.connected = True
    scene.propose()
    await settled()
    line.sent.clear()
    node = RAYO_CLIENT if is_known_by_caps else "urn:chat"
    caps = f"<c xmlns='{CAPS}' hash='sha-1' node='{node}' ver='x'/>"
    desk.handle_presence(
        ET.fromstring(f"<presence xmlns='jabber:client' from='{ADMIN}' to='{DOMAIN}'>{caps}</presence>")
    )
    await line.idle()
    await settled()
    mine = [tree for tree in line.sent if tree.get("to") == ADMIN and tree.tag == "{jabber:client}presence"]
    assert [tree.get("type") or local_name(tree[0].tag) for tree in mine] == ["error", "offer"]
    assert JID.parse(ADMIN) in clients
    await scene.stop()


# --- mixers ---


async def test_a_mixer_is_present_with_its_capabilities_before_its_events(scene: Scene) -> None:
    scene.outbox.caps = lambda node: ET.Element("{http://jabber.org/protocol/caps}c", {"node": node})
    account = JID.parse(ADMIN).bare
    scene.presence("subscribe", to=f"tea@{DOMAIN}", sender=str(account))
    scene.server.mixers.bind("tea", JID("focus", DOMAIN, "tea"))
    scene.presence("unsubscribe", to=f"tea@{DOMAIN}", sender=str(account))
    there, gone = scene.connection.sent
    assert (there.get("from"), there.get("to"), there.get("type")) == (f"tea@{DOMAIN}", str(account), None)
    assert there[0].get("node") == "urn:xmpp:rayo:mixer:1"
    assert (gone.get("from"), gone.get("to"), gone.get("type")) == (f"tea@{DOMAIN}", str(account), "unavailable")
    assert len(gone) == 0
    scene.server.mixers.release("tea", JID("focus", DOMAIN, "tea"))


async def test_a_probe_of_a_mixer_is_answered_each_time(scene: Scene) -> None:
    scene.server.mixers.bind("tea", JID("focus", DOMAIN, "tea"))
    scene.server.registrations.update(JID.parse(ADMIN), Availability.READY)
    for _ in range(2):
        scene.presence("probe", to=f"tea@{DOMAIN}", sender=ADMIN)
    answers = [(tree.get("from"), tree.get("to"), tree.get("type")) for tree in scene.connection.sent]
    assert answers == [(f"tea@{DOMAIN}", ADMIN, None)] * 2
    scene.server.mixers.release("tea", JID("focus", DOMAIN, "tea"))


async def test_subscriptions_to_others_concern_no_mixer(scene: Scene) -> None:
    for to in (DOMAIN, f"focus@{DOMAIN}/tea"):
        scene.presence("subscribe", to=to, sender=ADMIN)
    assert not scene.server.mixers._watched


async def test_subscriptions_of_strangers_are_not_remembered(scene: Scene) -> None:
    """Nothing would ever be told to them, and anybody can send any number."""
    for type in ("subscribe", "probe"):
        scene.presence(type, to=f"tea@{DOMAIN}", sender="mallory@evil.example")
    assert not scene.server.mixers._watched


# --- messages to calls ---


async def test_a_message_to_a_call_reaches_its_peer(scene: Scene) -> None:
    scene.propose()
    call = str(scene.offered())
    await scene.iq("<accept xmlns='urn:xmpp:rayo:1'/>", to=call, sender=str(OWNER))
    await settled()
    scene.connection.sent.clear()
    more = "<x xmlns='jabber:x:oob'/><thread>t1</thread>"
    scene.message(f"<body>Art thou not Romeo?</body>{more}", to=call, sender=str(OWNER), type="normal")
    await scene.connection.idle()
    (message,) = scene.connection.sent
    assert (message.get("from"), message.get("to"), message.get("type")) == (f"tea@{DOMAIN}/focus", ALICE, "normal")
    assert [(local_name(child.tag), child.text) for child in message] == [
        ("body", "Art thou not Romeo?"),
        ("thread", "t1"),
    ]


@pytest.mark.parametrize(
    ("kind", "child", "type"),
    [
        ("chat", "<body>hello</body>", "modify"),
        ("groupchat", "<body>hello</body>", "modify"),
        ("headline", "<body>hello</body>", "modify"),
        ("normal", "<x xmlns='jabber:x:oob'/>", "cancel"),
    ],
)
async def test_a_message_that_cannot_be_handed_on_is_refused(scene: Scene, kind: str, child: str, type: str) -> None:
    scene.propose()
    call = str(scene.offered())
    await scene.iq("<accept xmlns='urn:xmpp:rayo:1'/>", to=call, sender=str(OWNER))
    await settled()
    scene.connection.sent.clear()
    scene.message(child, to=call, sender=str(OWNER), type=kind)
    await scene.connection.idle()
    (refusal,) = scene.connection.sent
    (error,) = refusal.iter("{jabber:client}error")
    assert (refusal.get("type"), error.get("type")) == ("error", type)
    assert error[0].tag == "{urn:ietf:params:xml:ns:xmpp-stanzas}feature-not-implemented"


async def test_an_error_about_a_message_is_not_answered(scene: Scene) -> None:
    scene.propose()
    call = str(scene.offered())
    scene.connection.sent.clear()
    scene.message("<body>hello</body>", to=call, sender=str(OWNER), type="error")
    await scene.connection.idle()
    assert not scene.connection.sent


# --- headers ---


async def test_headers_of_a_message_are_beside_the_invitation(scene: Scene) -> None:
    """XEP-0131 section 4."""
    scene.propose(
        more="<headers xmlns='http://jabber.org/protocol/shim'><header name='x-skill'>agent</header></headers>"
    )
    offer = Offer.parse(scene.connection.sent[0][0])
    assert [(header.name, header.value) for header in offer.headers] == [("x-skill", "agent")]
    scene.connection.sent.clear()
    await scene.iq(
        "<accept xmlns='urn:xmpp:rayo:1'><header name='a' value='1'/></accept>",
        to=str(scene.offered()),
        sender=str(OWNER),
    )
    (ringing,) = scene.connection.sent
    assert [child.tag for child in ringing] == [
        "{urn:xmpp:jingle-message:0}ringing",
        "{http://jabber.org/protocol/shim}headers",
        "{urn:xmpp:hints}store",
    ]
    assert len(ringing[0]) == 0
    assert (ringing[1][0].get("name"), ringing[1][0].text) == ("a", "1")


# --- the answer and what follows ---


async def test_the_answer_to_a_command_comes_before_what_it_brings_about(scene: Scene) -> None:
    """As the listings of XEP-0327 sections 6.3.4 and 6.4 have it; nobody else has to wait."""
    scene.outbox.caps = lambda node: ET.Element("{http://jabber.org/protocol/caps}c", {"node": node})
    admin = JID.parse(ADMIN)
    sent = scene.connection.sent
    with scene.outbox.answering(admin), scene.outbox.answering(admin):
        scene.outbox.mixer_presence(JID("tea", DOMAIN), admin, available=True)
        scene.outbox.event(JID("call", DOMAIN), admin, Joined(mixer_name="tea"))
        scene.outbox.mixer_presence(JID("milk", DOMAIN), admin, available=True)
        scene.outbox.mixer_presence(JID("tea", DOMAIN), admin, available=False)
        scene.outbox.event(JID("call", DOMAIN), OWNER, Joined(mixer_name="tea"))
    sent.append(ET.Element("answer"))
    await settled()
    story = [(tree.get("from", tree.tag), tree.get("to") == ADMIN, tree.get("type")) for tree in sent]
    assert story == [
        (f"tea@{DOMAIN}", True, None),
        (f"call@{DOMAIN}", False, None),
        ("answer", False, None),
        (f"call@{DOMAIN}", True, None),
        (f"milk@{DOMAIN}", True, None),
        (f"tea@{DOMAIN}", True, "unavailable"),
    ]
    scene.outbox.event(JID("call", DOMAIN), admin, Joined(mixer_name="tea"))
    assert len(sent) == 7


async def test_each_of_several_commands_is_answered_before_what_it_brings_about(scene: Scene) -> None:
    admin, sent = JID.parse(ADMIN), scene.connection.sent
    with scene.outbox.answering(admin):
        with scene.outbox.answering(admin):
            scene.outbox.event(JID("one", DOMAIN), admin, Joined(mixer_name="tea"))
        sent.append(ET.Element("second"))
        await settled()
        assert [tree.tag for tree in sent] == ["second"]  # it may be what the first has brought about
        later = scene.outbox.answering(admin)
        later.__enter__()
        scene.outbox.event(JID("two", DOMAIN), admin, Joined(mixer_name="tea"))
    sent.append(ET.Element("first"))
    await settled()
    assert [tree.get("from", tree.tag) for tree in sent] == ["second", "first", f"one@{DOMAIN}"]
    later.__exit__(None, None, None)
    sent.append(ET.Element("third"))
    await settled()
    assert [tree.get("from", tree.tag) for tree in sent[3:]] == ["third", f"two@{DOMAIN}"]
