"""Listings of invitations, of whatever kind, and of ad-hoc commands: read, and written back."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.wire.base import Element
from focus.wire.call_invites import BY_TAG
from focus.wire.commands import AdHoc
from focus.wire.summons import ConferenceRequest, Direct, Mediated

GOLDEN = Path(__file__).parents[1] / "golden"
LISTINGS = sorted(
    path for name in ("xep-0045", "xep-0050", "xep-0249", "xep-0482", "jitsi") for path in (GOLDEN / name).glob("*.xml")
)
MODELS: dict[str, type[Element]] = {
    **BY_TAG,
    **{kind.qualified_tag(): kind for kind in (AdHoc, ConferenceRequest, Direct, Mediated)},
}


def canonical(tree: ET.Element) -> str:
    return ET.canonicalize(ET.tostring(tree, "unicode"), strip_text=True)


@pytest.mark.parametrize("path", LISTINGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_listing_is_read_and_written_back(path: Path) -> None:
    (payload,) = ET.parse(path).getroot()
    element = MODELS[payload.tag].parse(payload)
    assert canonical(ET.fromstring(element.to_string())) == canonical(payload)


def test_every_element_occurs_in_a_listing() -> None:
    assert {ET.parse(path).getroot()[0].tag for path in LISTINGS} == MODELS.keys()
