"""Documents of RFC 4575: XEP-0298's listings, every element, and the schema."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from hypothesis import given

from focus.wire.conditions import BadRequest
from focus.wire.conference_info import CONFERENCE_INFO, ConferenceInfo
from focus.wire.jingle import Jingle

from .strategies import elements

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden" / "xep-0298"
SCHEMA = xmlschema.XMLSchema(TESTS / "data" / "xep-0298" / "conference-info.xsd")
TAG = f"{{{CONFERENCE_INFO}}}conference-info"


def document(name: str) -> ET.Element:
    root = ET.parse(GOLDEN / f"{name}.xml").getroot()
    found = root if root.tag == TAG else root.find(TAG)
    assert found is not None
    return found


def canonical(tree: ET.Element) -> str:
    return ET.canonicalize(ET.tostring(tree, "unicode"), strip_text=True)


@pytest.mark.parametrize("name", ["a-mixer-tells-the-state-of-the-call", "every-element"])
def test_a_document_is_read_and_written_back_in_the_order_of_the_schema(name: str) -> None:
    tree = document(name)
    written = ConferenceInfo.parse(tree).to_element()
    assert canonical(written) == canonical(tree)
    written.attrib.pop("sid", None)  # ours and Jitsi's; the schema has no such attribute
    SCHEMA.validate(written)


def test_the_mark_of_a_focus_is_read_in_a_session_initiate() -> None:
    root = ET.parse(GOLDEN / "a-mixer-initiates-a-conference-call.xml").getroot()
    jingle = Jingle.parse(root[0])
    assert jingle.focus is not None
    assert jingle.focus.isfocus
    assert Jingle.parse(jingle.to_element()) == jingle


@given(elements(ConferenceInfo))
def test_any_document_survives_the_wire(info: ConferenceInfo) -> None:
    assert ConferenceInfo.parse(ET.fromstring(info.to_string())) == info


@pytest.mark.parametrize(
    "attributes",
    [
        "",
        "entity=''",
        "entity='xmpp:a@b' version='-1'",
        "entity='xmpp:a@b' version='4294967296'",
        "entity='xmpp:a@b' state='half'",
    ],
)
def test_what_is_no_document_is_refused(attributes: str) -> None:
    with pytest.raises(BadRequest):
        ConferenceInfo.parse(ET.fromstring(f"<conference-info xmlns='{CONFERENCE_INFO}' {attributes}/>"))
