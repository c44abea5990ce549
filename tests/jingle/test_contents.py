"""What becomes of contents before and after they are agreed on."""

from xml.etree import ElementTree as ET

import pytest

from focus.jingle.contents import Contents, rejection
from focus.jingle.negotiation import Local, answer
from focus.wire.jingle import Action, Content, Jingle
from focus.wire.rtp import Description, Senders

from .test_negotiation import REMOTE, audio, video

OFFER = Jingle(action=Action.SESSION_INITIATE, sid="s", contents=(audio(name="a"), video(name="v")))


@pytest.fixture
def offered() -> Contents:
    contents = Contents()
    contents.offer_received(OFFER, OFFER.to_element())
    return contents


@pytest.mark.parametrize("senders", ["both", "initiator", "responder", "none"])
def test_an_offer_that_is_modified_is_the_same_but_for_its_senders(offered: Contents, senders: Senders) -> None:
    offered.modify([Content(name="a", senders=senders), Content(name="unknown")])
    assert offered.offer is not None
    first, second = offered.offer.contents
    assert first == audio(name="a").model_copy(update={"senders": senders})
    assert second == video(name="v")


def test_an_offer_without_contents_is_void(offered: Contents) -> None:
    assert not offered.remove([Content(name="v"), Content(name="unknown")], None)
    assert offered.offer is not None
    assert [content.name for content in offered.offer.contents] == ["a"]
    assert offered.remove([Content(name="a")], None)


def test_what_we_offered_is_void_when_all_of_it_is_removed() -> None:
    contents = Contents()
    contents.offer_made((audio(name="a"), audio(name="b")))
    assert contents.names == {"a", "b"}
    assert not contents.remove([Content(name="a")], None)
    assert contents.remove([Content(name="a"), Content(name="b")], None)
    contents.modify([Content(name="a", senders="none")])
    assert contents.offered == (audio(name="a"), audio(name="b"))


def test_after_the_answer_it_is_the_settled_content_that_counts(offered: Contents) -> None:
    local = Local(transport=REMOTE, ssrc=1, cname="c")
    settled = answer(OFFER, local).settled
    assert settled.name == "a"
    assert not offered.remove([Content(name="v")], settled)
    assert offered.remove([Content(name="a")], settled)


def test_foreign_parts_of_an_offer_are_remembered() -> None:
    contents = Contents()
    text = '<jingle xmlns="urn:xmpp:jingle:1" action="session-initiate" sid="s"><content name="a" creator="initiator">'
    tree = ET.fromstring(f'{text}<description xmlns="urn:x"/><transport xmlns="urn:y"/></content></jingle>')
    contents.offer_received(Jingle.parse(tree), tree)
    assert contents.foreign == {"description", "transport"}


@pytest.mark.parametrize(
    ("media", "condition"),
    [("video", "unsupported-applications"), ("audio", "decline"), (None, "unsupported-applications")],
)
def test_an_added_content_is_rejected_by_its_name_alone(media: str | None, condition: str) -> None:
    added = Content(creator="responder", name="x", description=Description(media=media), transport=REMOTE)
    answered = rejection(Jingle(action=Action.CONTENT_ADD, sid="s", contents=(added,)))
    assert answered.action is Action.CONTENT_REJECT
    assert answered.contents == (Content(creator="responder", name="x"),)
    assert answered.reason is not None
    assert answered.reason.condition == condition


@pytest.mark.parametrize(
    ("media", "condition"), [("audio", "unsupported-transports"), ("video", "unsupported-applications")]
)
def test_what_is_rejected_for_its_transport_says_so(media: str, condition: str) -> None:
    added = Content(creator="responder", name="x", description=Description(media=media))
    question = Jingle(action=Action.CONTENT_ADD, sid="s", contents=(added,))
    answered = rejection(question, frozenset({"transport"}))
    assert answered.reason is not None
    assert answered.reason.condition == condition


def test_another_transport_is_rejected_without_its_candidates() -> None:
    replacing = Content(name="a", description=Description(media="audio"), transport=REMOTE)
    answered = rejection(Jingle(action=Action.TRANSPORT_REPLACE, sid="s", contents=(replacing,)))
    assert answered.action is Action.TRANSPORT_REJECT
    (content,) = answered.contents
    assert content.description is None
    assert content.transport is not None
    assert (content.transport.candidates, content.transport.fingerprints) == ((), ())
