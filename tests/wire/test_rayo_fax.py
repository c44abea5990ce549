"""The listings of XEP-0342, read and written back; what is refused; any element survives the wire."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.wire.base import Element, namespace_of
from focus.wire.conditions import BadRequest, StanzaError
from focus.wire.rayo_commands import COMMANDS
from focus.wire.rayo_component import Complete, Outcome
from focus.wire.rayo_fax import FAX_COMMANDS, FAX_COMPLETE, Fax, FaxDocument, FaxFinish, FaxMetadata, FaxPage

from .strategies import elements

TESTS = Path(__file__).parents[1]
GOLDEN = sorted((TESTS / "golden" / "xep-0342").glob("*.xml"))
REFUSED = sorted((TESTS / "refused" / "xep-0342").glob("*.xml"))
KINDS: tuple[type[Element], ...] = (*FAX_COMMANDS, FaxPage, Complete)
MODELS = {kind.qualified_tag(): kind for kind in KINDS}


def document(**attributes: str) -> FaxDocument:
    return FaxDocument.parse(ET.Element(FaxDocument.qualified_tag(), {"url": "https://a.example/b.tiff", **attributes}))


def of_ours(path: Path) -> list[ET.Element]:
    return [tree for stanza in ET.parse(path).getroot() for tree in stanza if tree.tag in MODELS]


def canonical(tree: ET.Element) -> str:
    return ET.canonicalize(ET.tostring(tree), strip_text=True, rewrite_prefixes=True)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_listing_is_read_and_written_back(path: Path) -> None:
    for tree in of_ours(path):
        assert canonical(MODELS[tree.tag].parse(tree).to_element()) == canonical(tree)


def test_every_element_occurs_in_a_listing() -> None:
    found = {tree.tag for path in GOLDEN for whole in of_ours(path) for tree in whole.iter()}
    parts = {tag for tag in Outcome.kinds if namespace_of(tag) == FAX_COMPLETE}
    assert found >= MODELS.keys() | parts
    assert len(parts) == 3


def test_the_commands_are_those_of_rayo() -> None:
    assert all(COMMANDS[kind.qualified_tag()] is kind for kind in FAX_COMMANDS)


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_a_bad_element_is_refused_with_its_condition_and_a_reason(path: Path) -> None:
    text = path.read_text()
    tree = ET.fromstring(text)
    with pytest.raises(StanzaError) as refused:
        MODELS[tree.tag].parse(tree)
    assert refused.value.condition == text.removeprefix("<!--").partition("-->")[0].strip()
    assert 0 < len(refused.value.text) < 500


@pytest.mark.parametrize(
    ("pages", "ranges"),
    [("3", ((3, 3),)), ("2-4", ((2, 4),)), ("1-2, 5,2", ((1, 2), (5, 5), (2, 2))), ("7-7", ((7, 7),))],
)
def test_pages_are_a_list_of_ranges_that_count_from_one(pages: str, ranges: object) -> None:
    assert document(pages=pages).ranges == ranges


def test_a_document_without_pages_is_sent_whole() -> None:
    assert document().ranges is None


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"identity": "+1234567890123456789012"}, "identity: .* 20 characters"),
        ({"header": "x" * 51}, "header: .* 50 characters"),
        ({"pages": "3-1"}, "pages: .* 3-1"),
        ({"pages": "one"}, "pages: .*'one'"),
    ],
)
def test_it_is_said_what_a_document_should_have(attributes: dict[str, str], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        document(**attributes)


@given(st.one_of([elements(kind) for kind in (*FAX_COMMANDS[:1], FaxPage, FaxFinish, FaxMetadata)]))
def test_any_element_survives_the_wire(element: Element) -> None:
    assert type(element).parse(ET.fromstring(element.to_string())) == element


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 2**40), st.integers(1, 9999))
def test_any_fax_survives_the_wire(width: int, height: int, size: int, pages: int) -> None:
    fax = Fax(url="https://a.example/f.tiff", resolution=f"{width % 10**9}x{height % 10**9}", size=size, pages=pages)
    assert Fax.parse(ET.fromstring(fax.to_string())) == fax
