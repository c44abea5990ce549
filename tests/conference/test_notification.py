"""The documents of one session: in order, one at a time, and only as long as they are wanted."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from focus.conference import notification
from focus.conference.notification import Notification, Publication, Reading
from focus.wire.base import Payload
from focus.wire.coin import COIN_FEATURES
from focus.wire.conditions import BadRequest, FeatureNotImplemented, ResourceConstraint, ServiceUnavailable, StanzaError
from focus.wire.conference_info import ConferenceDescription, ConferenceInfo, Users
from focus.wire.jid import JID
from focus.xmpp.binding import Interrupted, NotSent
from tests.rayo.scene import eventually, settled

from .scene import as_read

FOCUS, PEER = JID.parse("tea@focus.example.org/focus"), JID.parse("alice@example.org/desk")


class Peer:
    """Takes documents; `answer` is what becomes of the next ones."""

    def __init__(self) -> None:
        self.heard: list[ConferenceInfo] = []
        self.answers: list[Callable[[], None]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def iq_set(self, sender: JID, to: JID, element: Payload) -> None:
        assert (sender, to) == (FOCUS, PEER)
        answer = self.answers.pop(0) if self.answers else lambda: None
        if answer is not_sent:
            raise NotSent
        self.heard.append(as_read(element))
        await self.gate.wait()
        answer()

    def subjects(self) -> list[str]:
        return [document.description.subject or "" for document in self.heard if document.description]

    def versions(self) -> list[int | None]:
        return [document.version for document in self.heard]

    def states(self) -> list[str | None]:
        return [document.state for document in self.heard]


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
        self.publication = Publication(self._document, 0.0)
        self.notification = Notification(
            Reading("s1"),
            local=FOCUS,
            peer=PEER,
            outbox=self.peer,
            features=self._features,
            publication=self.publication,
        )
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def task(self) -> asyncio.Task[None]:
        """Of the session."""
        return self.tasks[0]

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert not self.publication.readers

    async def _features(self, peer: JID) -> frozenset[str]:
        assert peer == PEER
        return self.features

    def _document(self) -> ConferenceInfo:
        return ConferenceInfo(
            entity="xmpp:tea@focus.example.org",
            state="full",
            description=ConferenceDescription(subject=self.subject),
            users=Users(state="full"),
        )

    def say(self, subject: str) -> None:
        """The first is where the session begins."""
        self.subject = subject
        self.publication.changed()
        if not self.tasks:
            self.tasks = [asyncio.create_task(work.run()) for work in (self.notification, self.publication)]

    async def hears(self, *subjects: str) -> None:
        await eventually(lambda: self.peer.subjects() == list(subjects))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.close()


async def test_each_change_is_a_version(scene: Scene) -> None:
    scene.say("first")
    await scene.hears("first")
    scene.say("second")
    await scene.hears("first", "second")
    assert scene.peer.versions() == [1, 2]
    assert scene.peer.states() == ["full", "partial"]
    assert {document.sid for document in scene.peer.heard} == {"s1"}


async def test_changes_at_once_are_one_document(scene: Scene) -> None:
    scene.say("first")
    await scene.hears("first")
    for number in range(10):
        scene.say(str(number))
    await scene.hears("first", "9")


async def test_what_is_the_same_is_not_said_again_unless_it_must_be(scene: Scene) -> None:
    scene.say("first")
    await scene.hears("first")
    scene.say("first")
    await settled()
    assert scene.peer.versions() == [1]
    scene.notification.repeat()
    await scene.hears("first", "first")
    assert scene.peer.versions() == [1, 2]
    assert scene.peer.states() == ["full", "full"]


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
    scene.notification.repeat()
    await settled()
    scene.peer.gate.set()
    await scene.hears("first", "first")


@pytest.mark.parametrize("feature", sorted(COIN_FEATURES))
async def test_any_of_the_features_seen_in_the_field_will_do(feature: str) -> None:
    scene = Scene()
    scene.features = frozenset({feature})
    scene.say("first")
    await scene.hears("first")
    await scene.close()


async def test_who_does_not_read_documents_gets_none() -> None:
    scene = Scene()
    scene.features = frozenset({"urn:xmpp:jingle:1"})
    scene.say("first")
    await scene.task
    assert scene.peer.heard == []
    await scene.close()


@pytest.mark.parametrize("refusal", [ServiceUnavailable(), FeatureNotImplemented()])
async def test_who_refuses_the_first_gets_no_more(scene: Scene, refusal: StanzaError) -> None:
    scene.peer.answers = [raising(refusal)]
    scene.say("first")
    await scene.task
    scene.say("second")
    assert scene.peer.subjects() == ["first"]


async def test_who_has_had_some_and_says_that_they_read_none_gets_no_more(scene: Scene) -> None:
    scene.say("first")
    await scene.hears("first")
    scene.peer.answers = [raising(FeatureNotImplemented())]
    scene.say("second")
    await scene.task
    assert scene.peer.subjects() == ["first", "second"]


async def test_who_stays_offline_gets_no_more(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification, "FIRST_DELAY", 0.0)
    scene.say("first")
    await scene.hears("first")
    scene.peer.answers = [raising(ServiceUnavailable())] * 100
    scene.say("second")
    await scene.task
    assert len(scene.peer.heard) == 1 + 1 + notification.ATTEMPTS


async def test_a_partial_document_that_was_refused_is_followed_by_a_full_one(scene: Scene) -> None:
    scene.say("first")
    await scene.hears("first")
    scene.peer.answers = [raising(BadRequest())]
    scene.say("second")
    await scene.hears("first", "second", "second")
    assert scene.peer.states() == ["full", "partial", "full"]


async def test_a_document_that_was_refused_for_now_is_sent_again(scene: Scene) -> None:
    scene.peer.answers = [raising(ResourceConstraint())]
    scene.say("first")
    await scene.hears("first", "first")
    assert scene.peer.versions() == [1, 2]


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
    scene.notification.repeat()
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


async def test_who_never_answers_is_told_all_the_same_but_once_a_second(scene: Scene) -> None:
    scene.peer.answers = [raising(TimeoutError()), raising(TimeoutError())]
    scene.say("first")
    await scene.hears("first")
    before = asyncio.get_running_loop().time()
    for subject in ("second", "third"):
        scene.say(subject)
        await settled()
    assert scene.peer.subjects() == ["first"]
    await scene.hears("first", "third")
    assert asyncio.get_running_loop().time() - before > 0.9 * notification.SILENT_INTERVAL
    assert scene.peer.states() == ["full", "full"]
    assert not scene.task.done()


async def test_who_is_asked_gives_the_full_document_with_the_next_version(scene: Scene) -> None:
    scene.say("first")
    await scene.hears("first")
    answer = as_read(scene.notification.full())
    assert (answer.version, answer.state, answer.sid) == (2, "full", "s1")
    scene.say("second")
    await scene.hears("first", "second")
    assert scene.peer.versions() == [1, 3]
    assert scene.peer.states() == ["full", "full"]


async def test_a_fault_in_one_document_does_not_end_the_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene.say("first")
    await scene.hears("first")
    monkeypatch.setattr(scene, "subject", 5j)  # nothing that a document could have
    scene.publication.changed()
    await eventually(lambda: "after a fault" in caplog.text)
    scene.say("second")
    await scene.hears("first", "second")
