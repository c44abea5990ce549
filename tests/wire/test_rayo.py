"""The listings of XEP-0327's call control, read and written back; what is refused; any element survives the wire."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.wire.conditions import BadRequest, StanzaError
from focus.wire.rayo import COMMANDS, EVENTS, End, Hangup, Ref
from focus.wire.shim import MAX_HEADERS

from .strategies import elements

TESTS = Path(__file__).parents[1]
GOLDEN = sorted((TESTS / "golden" / "xep-0327").glob("*.xml"))
REFUSED = sorted((TESTS / "refused" / "xep-0327").glob("*.xml"))
MODELS = COMMANDS | EVENTS | {Ref.qualified_tag(): Ref}

#: What is written though it was not there: the defaults of section 7.
DEFAULTS = {("direction", "duplex"), ("media", "bridge"), ("timeout", "-1")}


def payloads(tree: ET.Element) -> list[ET.Element]:
    if tree.tag in MODELS:
        return [tree]
    return [found for child in tree for found in payloads(child)]


def compare(read: ET.Element, written: ET.Element) -> None:
    assert written.tag == read.tag
    assert (written.text or "").strip() == (read.text or "").strip()
    assert read.attrib.items() <= written.attrib.items()
    assert written.attrib.items() - read.attrib.items() <= DEFAULTS
    assert sorted(child.tag for child in written) == sorted(child.tag for child in read)
    for child in read:
        index = [each for each in read if each.tag == child.tag].index(child)
        compare(child, [each for each in written if each.tag == child.tag][index])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_listing_is_read_and_written_back(path: Path) -> None:
    for tree in payloads(ET.parse(path).getroot()):
        compare(tree, MODELS[tree.tag].parse(tree).to_element())


def test_every_element_occurs_in_a_listing() -> None:
    seen = {tree.tag for path in GOLDEN for tree in payloads(ET.parse(path).getroot())}
    assert seen == MODELS.keys()


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_a_bad_element_is_refused_with_its_condition_and_a_reason(path: Path) -> None:
    text = path.read_text()
    condition = text.removeprefix("<!--").partition("-->")[0].strip()
    tree = ET.fromstring(text)
    with pytest.raises(StanzaError) as refused:
        MODELS[tree.tag].parse(tree)
    assert refused.value.condition == condition
    assert 0 < len(refused.value.text) < 500


def test_more_headers_than_are_handed_on_are_refused_and_it_is_said_how_many_may_be() -> None:
    header = '<header name="x" value="1"/>'

    def hangup(number: int) -> Hangup:
        return Hangup.parse(ET.fromstring(f"<hangup xmlns='urn:xmpp:rayo:1'>{header * number}</hangup>"))

    assert len(hangup(MAX_HEADERS).headers) == MAX_HEADERS
    with pytest.raises(BadRequest, match=f"<hangup/> headers: .* {MAX_HEADERS} "):
        hangup(MAX_HEADERS + 1)


def _is_valid(kind: type) -> bool:
    """Whether elements can be made without knowing its rules about several fields."""
    return kind.__name__ not in ("Join", "Unjoin", "Joined", "Unjoined", "Reject", "Dial")


@given(st.one_of([elements(kind) for kind in MODELS.values() if _is_valid(kind)]))
def test_any_element_survives_the_wire(element: object) -> None:
    kind = type(element)
    assert kind.parse(ET.fromstring(element.to_string())) == element  # type: ignore[attr-defined]


@pytest.mark.parametrize("reason", ["hungup", "hangup-command", "timeout", "busy", "rejected", "error"])
def test_an_end_says_its_reason(reason: str) -> None:
    end = End.parse(ET.fromstring(End.of(reason, "486").to_string()))
    assert end.reason == reason


@pytest.mark.parametrize("reason", ["headers", "boredom", ""])
def test_there_are_no_other_reasons(reason: str) -> None:
    with pytest.raises(KeyError):
        End.of(reason)
