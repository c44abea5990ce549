"""The listings of XEP-0341, read and written back; what is refused; what grammars of signals mean."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from focus.wire.base import Element
from focus.wire.conditions import BadRequest, OptionNotSupported, StanzaError
from focus.wire.rayo_component import Complete
from focus.wire.rayo_cpa import NAMES, Signal, Wanted
from focus.wire.rayo_input import Grammar, Input

from .strategies import elements

TESTS = Path(__file__).parents[1]
GOLDEN = sorted((TESTS / "golden" / "xep-0341").glob("*.xml"))
REFUSED = sorted((TESTS / "refused" / "xep-0341").glob("*.xml"))
MODELS: dict[str, type[Element]] = {kind.qualified_tag(): kind for kind in (Input, Signal, Complete)}
#: Written though they were not there.
DEFAULTS = {name: str(field.default) for name, field in Input.model_fields.items() if name != "grammars"}
DEFAULTS["min_confidence"] = "0.0"


def of_ours(path: Path) -> list[ET.Element]:
    return [tree for stanza in ET.parse(path).getroot() for tree in stanza if tree.tag in MODELS]


def canonical(tree: ET.Element) -> str:
    for name, value in DEFAULTS.items():
        if tree.get(name.replace("_", "-")) == value:
            del tree.attrib[name.replace("_", "-")]
    return ET.canonicalize(ET.tostring(tree), strip_text=True, rewrite_prefixes=True)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_listing_is_read_and_written_back(path: Path) -> None:
    assert of_ours(path)
    for tree in of_ours(path):
        assert canonical(MODELS[tree.tag].parse(tree).to_element()) == canonical(tree)


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_a_bad_element_is_refused_with_its_condition_and_a_reason(path: Path) -> None:
    text = path.read_text()
    tree = ET.fromstring(text)
    with pytest.raises(StanzaError) as refused:
        MODELS[tree.tag].parse(tree)
    assert refused.value.condition == text.removeprefix("<!--").partition("-->")[0].strip()
    assert 0 < len(refused.value.text) < 500


@given(elements(Signal))
def test_any_signal_survives_the_wire(signal: Signal) -> None:
    assert Signal.parse(ET.fromstring(signal.to_string())) == signal
    ended = Complete(reason=signal)
    assert Complete.parse(ET.fromstring(ended.to_string())) == ended


def test_the_signals_are_those_of_the_text() -> None:
    assert len(NAMES) == 12
    for name in NAMES:
        assert Wanted.read(Grammar(url=f"urn:xmpp:rayo:cpa:{name}:1")) == Wanted(name)
        assert Signal(type=Wanted(name).type).type == f"urn:xmpp:rayo:cpa:{name}:1"


@pytest.mark.parametrize(
    ("query", "terminate", "parameters"),
    [
        ("", False, {}),
        ("?", False, {}),
        ("?terminate=true", True, {}),
        ("?terminate=false;maxTime=4000", False, {"maxTime": "4000"}),
        ("?maxTime=4000&terminate=TRUE", True, {"maxTime": "4000"}),
        ("?max%54ime=40%300", False, {"maxTime": "4000"}),
    ],
)
def test_parameters_follow_the_signal(query: str, terminate: bool, parameters: dict[str, str]) -> None:
    wanted = Wanted.read(Grammar(url=f"urn:xmpp:rayo:cpa:speech:1{query}"))
    assert (wanted.terminate, wanted.parameters) == (terminate, parameters)


@pytest.mark.parametrize(
    ("grammar", "refusal"),
    [
        (Grammar(content_type="application/srgs+xml", body="<grammar/>"), BadRequest),
        (Grammar(url="https://a.example/pin.grxml"), BadRequest),
        (Grammar(url="builtin:dtmf/digits"), BadRequest),
        (Grammar(url="urn:xmpp:rayo:cpa:beep"), BadRequest),
        (Grammar(url="urn:xmpp:rayo:cpa:yawn:1"), OptionNotSupported),
        (Grammar(url="urn:xmpp:rayo:cpa:beep:2"), OptionNotSupported),
        (Grammar(url="urn:xmpp:rayo:cpa:beep:1?terminate"), BadRequest),
        (Grammar(url="urn:xmpp:rayo:cpa:beep:1?terminate=perhaps"), BadRequest),
        (Grammar(url="urn:xmpp:rayo:cpa:beep:1?a=1;a=2"), BadRequest),
        (Grammar(url="urn:xmpp:rayo:cpa:beep:1?=2"), BadRequest),
    ],
)
def test_what_is_no_signal_is_refused(grammar: Grammar, refusal: type[StanzaError]) -> None:
    with pytest.raises(refusal) as refused:
        Wanted.read(grammar)
    assert refused.value.text
