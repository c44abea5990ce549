"""Whatever is lost, doubled, overtaken, refused or unanswered: the peer has in the end what the sender has."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from focus.conference.brevity import MAX_DOCUMENT
from focus.conference.subscription import PATIENCE, Document, Edition, Subscription
from focus.wire.base import serialize
from focus.wire.conference_info import ConferenceDescription, ConferenceInfo, ConferenceState, User, Users

from .documents import DOCUMENTS, following
from .receiver import Receiver, canonical


@dataclass
class Question:
    """A document on its way; `number` is the id of the IQ, None in the answer to a get."""

    number: int | None
    tree: ET.Element


@dataclass
class Answer:
    number: int
    is_error: bool


class Delivery(RuleBasedStateMachine):
    """A sender, a receiver who goes by the RFC, and a network that does as it likes."""

    @initialize(document=DOCUMENTS, tells_gaps=st.booleans())
    def begin(self, document: ConferenceInfo, tells_gaps: bool) -> None:
        """`tells_gaps`: whether what does not follow is answered with an error, or thrown away and acknowledged."""
        self.subscription = Subscription("s1")
        self.edition = Edition(1, document)
        self.receiver = Receiver()
        self.tells_gaps = tells_gaps
        self.questions: list[Question] = []
        self.answers: list[Answer] = []
        self.in_flight: tuple[int, Document] | None = None
        self.sent = 0
        self.has_read = False
        #: What each version means: the sender must never say one thing and mean another.
        self.meant: dict[int, object] = {}
        #: The newest edition was refused for good, or nothing was ever answered: only what follows must be told.
        self.excused = False

    # the sender

    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        news = data.draw(DOCUMENTS | following(self.edition.document))
        self.edition.close()
        self.edition = Edition(self.edition.number + 1, news)
        self.excused = False

    def is_due(self) -> bool:
        return self.in_flight is None and self.subscription.wants(self.edition)

    @precondition(is_due)
    @rule()
    def send(self) -> None:
        document = self.subscription.next(self.edition)
        self.sent += 1
        self.in_flight = self.sent, document
        self.questions.append(Question(self.sent, self.written(document)))

    @precondition(is_due)
    @rule()
    def fail_to_send(self) -> None:
        self.subscription.next(self.edition)
        self.subscription.unsent()

    @precondition(lambda self: self.in_flight is not None)
    @rule(is_interrupted=st.booleans())
    def wait_in_vain(self, is_interrupted: bool) -> None:
        self.in_flight = None
        if is_interrupted:
            self.subscription.lost()
        else:
            self.excused |= not self.subscription.acknowledged
            self.subscription.unanswered()

    @precondition(lambda self: self.in_flight is not None)
    @rule()
    def be_refused(self) -> None:
        """By the receiver or by a server on the way, before it was read."""
        assert self.in_flight is not None
        self.questions = [question for question in self.questions if question.number != self.in_flight[0]]
        self.refuse()

    def refuse(self) -> None:
        assert self.in_flight is not None
        self.excused |= self.in_flight[1].told.state == "full"
        self.in_flight = None
        self.subscription.refused()

    @rule()
    def repeat(self) -> None:
        self.subscription.repeat()

    @rule()
    def be_asked(self) -> None:
        self.questions.append(Question(None, self.written(self.subscription.answer(self.edition))))

    def written(self, document: Document) -> ET.Element:
        tree = ET.fromstring(serialize(document.to_element()))
        meaning = canonical(self.edition.document.to_element())
        assert self.meant.setdefault(document.version, meaning) == meaning
        assert tree.get("sid") == "s1"
        assert ConferenceInfo.parse(tree).state in ("full", "partial")
        return tree

    # the network and the receiver

    @precondition(lambda self: self.questions)
    @rule(data=st.data(), is_doubled=st.booleans())
    def deliver(self, data: st.DataObject, is_doubled: bool) -> None:
        at = data.draw(st.integers(0, len(self.questions) - 1))
        question = self.questions[at] if is_doubled else self.questions.pop(at)
        outcome = self.receiver.read(question.tree)
        if question.number is not None:
            self.answers.append(Answer(question.number, outcome == "gap" and self.tells_gaps))

    @precondition(lambda self: self.questions)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.questions.pop(data.draw(st.integers(0, len(self.questions) - 1)))

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        answer = self.answers.pop(data.draw(st.integers(0, len(self.answers) - 1)))
        if self.in_flight is None or self.in_flight[0] != answer.number:
            return
        if answer.is_error:
            self.refuse()
        else:
            self.in_flight = None
            self.subscription.arrived()

    # what must always be so

    @invariant()
    def what_was_read_is_what_was_meant(self) -> None:
        if hasattr(self, "receiver") and self.receiver.version is not None:
            assert self.receiver.says() == self.meant[self.receiver.version]

    def teardown(self) -> None:
        """From now on nothing is lost, and what was late comes."""
        if not hasattr(self, "receiver"):
            return
        if self.in_flight is not None:
            self.wait_in_vain(is_interrupted=False)
        if self.excused:
            self.edition = Edition(self.edition.number + 1, self.edition.document)
        late, self.questions = self.questions, []
        for _ in range(5):
            if self.is_due():
                self.send()
                question = self.questions.pop()
                self.answers = [Answer(self.sent, self.receiver.read(question.tree) == "gap" and self.tells_gaps)]
                number, self.in_flight = self.in_flight, None
                assert number is not None
                self.subscription.refused() if self.answers[0].is_error else self.subscription.arrived()
        assert not self.is_due()
        assert self.receiver.says() == canonical(self.edition.document.to_element())
        for question in late:
            self.receiver.read(question.tree)
        assert self.receiver.says() == canonical(self.edition.document.to_element())


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=40)


# --- the same, by example ---


def edition(number: int, subject: str = "") -> Edition:
    users = tuple(User(entity=f"xmpp:{name}", state="full", display_text=subject + name) for name in "abc")
    return Edition(
        number,
        ConferenceInfo(
            entity="xmpp:tea@focus.example.org",
            state="full",
            description=ConferenceDescription(subject=subject or None),
            conference_state=ConferenceState(user_count=number),
            users=Users(state="full", users=users),
        ),
    )


ONE, TWO, THREE = (edition(number) for number in (1, 2, 3))


def told(document: Document) -> tuple[int, str | None]:
    return document.version, document.told.state


def begun() -> Subscription:
    subscription = Subscription("s1")
    assert told(subscription.next(ONE)) == (1, "full")
    subscription.arrived()
    return subscription


def test_what_follows_something_acknowledged_is_partial() -> None:
    subscription = begun()
    assert not subscription.wants(ONE)
    assert told(subscription.next(TWO)) == (2, "partial")
    subscription.arrived()
    assert told(subscription.next(THREE)) == (3, "partial")


def test_what_follows_an_error_a_timeout_or_an_interruption_is_full() -> None:
    for name in ("refused", "unanswered", "lost"):
        subscription = begun()
        subscription.next(TWO)
        getattr(subscription, name)()
        assert subscription.wants(TWO)
        assert told(subscription.next(TWO)) == (3, "full")
        subscription.arrived()
        assert told(subscription.next(THREE)) == (4, "partial")


def test_what_did_not_leave_has_no_version() -> None:
    subscription = begun()
    subscription.next(TWO)
    subscription.unsent()
    assert told(subscription.next(THREE)) == (2, "partial")


def test_who_does_not_answer_gets_full_documents_until_they_do() -> None:
    subscription = Subscription("s1")
    for version, each in enumerate((ONE, TWO, THREE), 1):
        assert subscription.wants(each)
        assert told(subscription.next(each)) == (version, "full")
        subscription.unanswered()
        assert subscription.silent
        assert not subscription.wants(each)
    four = edition(4)
    subscription.next(four)
    subscription.arrived()
    assert not subscription.silent
    assert told(subscription.next(edition(5))) == (5, "partial")


def test_who_refuses_partial_documents_one_after_another_gets_full_ones() -> None:
    subscription, number = begun(), 1
    for _ in range(PATIENCE):
        number += 1
        assert subscription.next(edition(number)).told.state == "partial"
        subscription.refused()
        assert subscription.next(edition(number)).told.state == "full"
        subscription.arrived()
    assert subscription.next(edition(number + 1)).told.state == "full"


def test_a_full_document_that_was_refused_waits_for_a_change() -> None:
    subscription = Subscription("s1")
    subscription.next(ONE)
    subscription.refused()
    assert not subscription.wants(ONE)
    assert subscription.wants(TWO)


def test_after_an_answer_to_who_asked_the_next_is_full() -> None:
    subscription = begun()
    assert told(subscription.answer(TWO)) == (2, "full")
    assert told(subscription.next(THREE)) == (3, "full")


def test_who_asks_while_a_document_is_in_flight_is_not_taken_to_have_that_one() -> None:
    subscription = begun()
    subscription.next(TWO)
    assert told(subscription.answer(THREE)) == (3, "full")
    subscription.arrived()
    assert told(subscription.next(THREE)) == (4, "full")


def test_documents_for_all_who_have_the_same_are_written_once() -> None:
    new = edition(4)
    documents = []
    for sid in ("s1", "s2"):
        subscription = Subscription(sid)
        subscription.next(THREE)
        subscription.arrived()
        documents.append(subscription.next(new))
    first, second = documents
    assert first.written is second.written
    assert first.told is second.told
    assert [serialize(each.to_element()) for each in documents] == [
        each.told.model_copy(update={"version": each.version, "sid": each.sid}).to_string() for each in documents
    ]


def test_a_partial_document_that_is_too_large_is_told_as_a_full_one() -> None:
    """Many have gone, and all who stay have changed: to say both takes more than to say who is there."""
    gone = tuple(User(entity=f"xmpp:{n}{'g' * 500}@example.org", state="full") for n in range(199))

    def stay(size: int) -> tuple[User, ...]:
        return tuple(User(entity=f"xmpp:{n}@example.org", state="full", display_text="s" * size) for n in range(200))

    def edition(number: int, *users: User) -> Edition:
        return Edition(
            number, ConferenceInfo(entity="xmpp:tea@example.org", state="full", users=Users(state="full", users=users))
        )

    for size, state in ((100, "partial"), (1000, "full")):
        told, written = edition(2, *stay(size)).since(edition(1, *stay(1), *gone))
        assert told.state == state
        assert len(written.encode()) < MAX_DOCUMENT
