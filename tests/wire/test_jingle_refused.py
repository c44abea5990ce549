"""Jingle elements that are refused, each with its condition in its first line."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.wire.conditions import StanzaError
from focus.wire.jingle import Jingle
from focus.wire.jingle_message import BY_TAG

REFUSED = Path(__file__).parents[1] / "refused"
XEPS = ("0166", "0167", "0176", "0181", "0293", "0294", "0320", "0338", "0339", "0353")
FILES = sorted(path for xep in XEPS for path in (REFUSED / f"xep-{xep}").glob("*.xml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_bad_element_is_refused_with_its_condition_and_a_reason(path: Path) -> None:
    text = path.read_text()
    condition = text.removeprefix("<!--").partition("-->")[0].strip()
    tree = ET.fromstring(text)
    model = BY_TAG.get(tree.tag, Jingle)
    with pytest.raises(StanzaError) as refused:
        model.parse(tree)
    assert refused.value.condition == condition
    assert len(refused.value.text) < 500


def test_there_are_bad_elements_of_every_specification() -> None:
    assert {path.parent.name for path in FILES} == {f"xep-{xep}" for xep in XEPS}
