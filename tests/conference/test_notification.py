"""The documents of one session: in order, one at a time, and only as long as they are wanted."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from focus.conference.notification import Notification
from focus.wire.base import Element
from focus.wire.coin import COIN_FEATURES
from focus.wire.conditions import BadRequest, FeatureNotImplemented, ServiceUnavailable, StanzaError
from focus.wire.conference_info import ConferenceDescription, ConferenceInfo
from focus.wire.jid import JID
from focus.xmpp.binding import Interrupted, NotSent
from tests.rayo.scene import eventually, settled

FOCUS, PEER = JID.parse("tea@focus.example.org/focus"), JID.parse("alice@example.org/desk")


class Peer:
    """Takes documents; `answer` is what becomes of the next ones."""

    def __init__(self) -> None:
        self.heard: list[ConferenceInfo] = []
        self.answers: list[Callable[[], None]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        assert (sender, to) == (FOCUS, PEER)
        assert isinstance(element, ConferenceInfo)
        answer = self.answers.pop(0) if self.answers else lambda: None
        if answer is not_sent:
            raise NotSent
        self.heard.append(element)
        await self.gate.wait()
        answer()

    def subjects(self) -> list[str]:
        return [document.description.subject or "" for document in self.heard if document.description]

    def versions(self) -> list[int | None]:
        return [document.version for document in self.heard]


def not_sent() -> None: ...


def raising(error: BaseException) -> Callable[[], None]:
    def answer() -> None:
        raise error

    return answer


class Scene:
    def __init__(self) -> None:
        self.peer = Peer()
        self.subject = "first"
        self.features: frozenset[str] = frozenset(COIN_FEATURES)
        self.notification = Notification(
            sid="s1",
            local=FOCUS,
            peer=PEER,
            outbox=self.peer,
            features=self._features,
            document=self._document,
            coalesce=0.0,
        )
        self.task = asyncio.create_task(self.notification.run())

    async def _features(self, peer: JID) -> frozenset[str]:
        assert peer == PEER
        return self.features

    def _document(self) -> ConferenceInfo:
        return ConferenceInfo(
            entity="xmpp:tea@focus.example.org", state="full", description=ConferenceDescription(subject=self.subject)
        )

    def say(self, subject: str, *, force: bool = False) -> None:
        self.subject = subject
        self.notification.changed(force=force)

    async def hears(self, *subjects: str) -> None:
        await eventually(lambda: self.peer.subjects() == list(subjects))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)


async def test_each_change_is_a_version(scene: Scene) -> None:
    scene.say("first")
    await scene.hears("first")
    scene.say("second")
    await scene.hears("first", "second")
    assert scene.peer.versions() == [1, 2]
    assert {document.sid for document in scene.peer.heard} == {"s1"}


async def test_changes_at_once_are_one_document(scene: Scene) -> None:
    for number in range(10):
        scene.say(str(number))
    await scene.hears("9")


async def test_what_is_the_same_is_not_said_again_unless_it_must_be(scene: Scene) -> None:
    scene.say("first")
    await scene.hears("first")
    scene.say("first")
    await settled()
    assert scene.peer.versions() == [1]
    scene.say("first", force=True)
    await scene.hears("first", "first")
    assert scene.peer.versions() == [1, 2]


async def test_one_document_is_in_flight_and_the_newest_follows(scene: Scene) -> None:
    scene.peer.gate.clear()
    scene.say("first")
    await scene.hears("first")
    for subject in ("second", "third"):
        scene.say(subject)
        await settled()
    assert scene.peer.subjects() == ["first"]
    scene.peer.gate.set()
    await scene.hears("first", "third")


async def test_what_must_be_said_again_is_not_forgotten_while_another_is_in_flight(scene: Scene) -> None:
    scene.peer.gate.clear()
    scene.say("first")
    await scene.hears("first")
    scene.say("first", force=True)
    await settled()
    scene.peer.gate.set()
    await scene.hears("first", "first")


@pytest.mark.parametrize("feature", sorted(COIN_FEATURES))
async def test_any_of_the_features_seen_in_the_field_will_do(feature: str) -> None:
    scene = Scene()
    scene.features = frozenset({feature})
    scene.say("first")
    await scene.hears("first")
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)


async def test_who_does_not_read_documents_gets_none() -> None:
    scene = Scene()
    scene.features = frozenset({"urn:xmpp:jingle:1"})
    scene.say("first")
    await scene.task
    assert scene.peer.heard == []


@pytest.mark.parametrize("refusal", [ServiceUnavailable(), FeatureNotImplemented()])
async def test_who_refuses_the_first_gets_no_more(scene: Scene, refusal: StanzaError) -> None:
    scene.peer.answers = [raising(refusal)]
    scene.say("first")
    await scene.task
    scene.say("second")
    assert scene.peer.subjects() == ["first"]


async def test_one_that_was_refused_for_itself_is_followed_by_others(scene: Scene) -> None:
    scene.peer.answers = [raising(BadRequest())]
    scene.say("first")
    await scene.hears("first")
    scene.say("second")
    await scene.hears("first", "second")
    assert scene.peer.versions() == [1, 2]


async def test_a_participant_who_was_offline_for_a_while_is_told_when_back(scene: Scene) -> None:
    scene.say("first")
    await scene.hears("first")
    scene.peer.answers = [raising(ServiceUnavailable())]
    scene.say("second")
    await scene.hears("first", "second", "second")
    assert scene.peer.versions() == [1, 2, 3]


async def test_what_must_be_said_again_is_said_until_it_arrives(scene: Scene) -> None:
    """As after a restart of the server, when we are back before the participant is."""
    scene.say("first")
    await scene.hears("first")
    scene.peer.answers = [not_sent, raising(ServiceUnavailable())]
    scene.say("first", force=True)
    await scene.hears("first", "first", "first")


async def test_what_did_not_leave_has_no_version(scene: Scene) -> None:
    scene.peer.answers = [not_sent]
    scene.say("first")
    await scene.hears("first")
    assert scene.peer.versions() == [1]


async def test_what_may_have_arrived_keeps_its_version(scene: Scene) -> None:
    """Two documents with one version would leave the participant with the older (RFC 4575 section 5.1)."""
    scene.peer.answers = [raising(Interrupted())]
    scene.say("first")
    await scene.hears("first", "first")
    assert scene.peer.versions() == [1, 2]


async def test_who_never_answers_is_told_all_the_same(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.peer.answers = [raising(TimeoutError()), raising(TimeoutError())]
    scene.say("first")
    await scene.hears("first")
    scene.say("second")
    await scene.hears("first", "second")
    assert not scene.task.done()
