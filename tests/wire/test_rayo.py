"""The listings of XEP-0327, read and written back; what is refused; any element survives the wire."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.wire.base import StrictElement, local_name, namespace_of
from focus.wire.conditions import BadRequest, OptionNotSupported, StanzaError
from focus.wire.rayo import COMMANDS, EVENTS, RAYO, End, Hangup, Ref
from focus.wire.rayo_component import Complete, Outcome, Stop
from focus.wire.rayo_input import INPUT_COMMANDS
from focus.wire.rayo_output import OUTPUT_COMMANDS
from focus.wire.rayo_prompt import PROMPT_COMMANDS, InputTimersStarted
from focus.wire.rayo_record import RECORD_COMMANDS
from focus.wire.shim import MAX_HEADERS

from .strategies import elements

TESTS = Path(__file__).parents[1]
GOLDEN = sorted((TESTS / "golden" / "xep-0327").glob("*.xml"))
REFUSED = sorted((TESTS / "refused" / "xep-0327").glob("*.xml"))
PROMPTS: tuple[type[StrictElement], ...] = (*INPUT_COMMANDS, *PROMPT_COMMANDS, InputTimersStarted)
COMPONENTS: tuple[type[StrictElement], ...] = (Stop, Complete, *OUTPUT_COMMANDS, *PROMPTS, *RECORD_COMMANDS)
MODELS: dict[str, type[StrictElement]] = {
    **COMMANDS, **EVENTS, Ref.qualified_tag(): Ref, **{kind.qualified_tag(): kind for kind in COMPONENTS}
}  # fmt: skip
#: What is in a `<complete/>` of these.
PARTS = tuple(f"urn:xmpp:rayo:{part}:" for part in ("ext", "output", "input", "record"))
PARTS += ("urn:focus-conference:record:",)
OUTCOMES = {tag for tag in Outcome.kinds if namespace_of(tag).startswith(PARTS)}

#: What is written though it was not there: the defaults of section 7.
DEFAULTS = {("direction", "duplex"), ("media", "bridge"), ("timeout", "-1")}
DEFAULTS |= {("start-offset", "0"), ("start-paused", "false"), ("repeat-interval", "0"), ("repeat-times", "1")}
DEFAULTS |= {("format", "wav"), ("start-beep", "false"), ("stop-beep", "false"), ("mix", "false"), ("max-time", "-1")}
DEFAULTS |= {("max-duration", "-1"), ("initial-timeout", "-1"), ("final-timeout", "-1")}
DEFAULTS |= {("mode", "any"), ("inter-digit-timeout", "-1"), ("recognition-timeout", "-1"), ("max-silence", "-1")}
DEFAULTS |= {("sensitivity", "0.5"), ("min-confidence", "0.0"), ("match-content-type", "application/nlsml+xml")}
DEFAULTS |= {("barge-in", "true"), ("content-type", "application/nlsml+xml")}
#: XML Schema has two ways to write them.
SAME = {"1": "true", "0": "false"}
BOOLEAN = {"start-paused", "start-beep", "stop-beep", "mix", "barge-in"}


def payloads(tree: ET.Element) -> list[ET.Element]:
    if tree.tag in MODELS:
        return [tree]
    return [found for child in tree for found in payloads(child)]


def compare(read: ET.Element, written: ET.Element) -> None:
    assert written.tag == read.tag
    assert (written.text or "").strip() == (read.text or "").strip()
    there = {name: SAME.get(value, value) if name in BOOLEAN else value for name, value in read.attrib.items()}
    assert there.items() <= written.attrib.items()
    assert written.attrib.items() - there.items() <= DEFAULTS
    assert sorted(child.tag for child in written) == sorted(child.tag for child in read)
    for child in read:
        index = [each for each in read if each.tag == child.tag].index(child)
        compare(child, [each for each in written if each.tag == child.tag][index])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_listing_is_read_and_written_back(path: Path) -> None:
    for tree in payloads(ET.parse(path).getroot()):
        compare(tree, MODELS[tree.tag].parse(tree).to_element())


def test_every_element_occurs_in_a_listing() -> None:
    found = [tree for path in GOLDEN for tree in payloads(ET.parse(path).getroot())]
    assert {tree.tag for tree in found} == MODELS.keys()
    assert {child.tag for tree in found if tree.tag == Complete.qualified_tag() for child in tree} >= OUTCOMES


#: Sections 7.1 to 7.18, written out once more: an element's attributes with their inclusion ("1" for REQUIRED, "?" for
#: OPTIONAL, or that and the default), and its children ("1" for one of them, "*" for any number). `call-uri` and
#: `mixer-name` exclude each other; "1of" is "REQUIRED unless the other is set".
HEADERS = {"header": "*"}
PARTY = {"call-uri": "1of", "mixer-name": "1of"}
END_REASONS = dict.fromkeys(("hungup", "hangup-command", "timeout", "busy", "rejected", "error"), "1")
REJECT_REASONS = dict.fromkeys(("decline", "busy", "error"), "1")
TEXT: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "header": ({"name": "1", "value": "1"}, {}),
    "offer": ({"to": "1", "from": "?"}, HEADERS),
    "ringing": ({}, HEADERS),
    "answered": ({}, HEADERS),
    "end": ({}, HEADERS | END_REASONS),
    **{reason: ({"platform-code": "?"}, {}) for reason in END_REASONS},
    "accept": ({}, HEADERS),
    "answer": ({}, HEADERS),
    "redirect": ({"to": "1"}, HEADERS),
    "reject": ({}, HEADERS | REJECT_REASONS),
    "hangup": ({}, HEADERS),
    "dial": ({"to": "1", "from": "?", "uri": "?", "timeout": "? -1"}, HEADERS | {"join": "*"}),
    "join": (PARTY | {"direction": "? duplex", "media": "? bridge"}, {}),
    "unjoin": ({"call-uri": "? of", "mixer-name": "? of"}, {}),
    "joined": (PARTY, {}),
    "unjoined": (PARTY, {}),
    "started-speaking": ({"call-uri": "1"}, {}),
    "stopped-speaking": ({"call-uri": "1"}, {}),
    "ref": ({"uri": "1"}, {}),
}
VALUES = {"timeout": "30000", "direction": "recv", "media": "direct", "name": "x-a", "value": "1", "mixer-name": "tea"}


def written(name: str, *, leave_out: str = "", **more: str) -> ET.Element:
    """An element with one of everything that is in it, but for what excludes each other."""
    attributes, children = TEXT[name]
    tree = ET.Element(f"{{urn:xmpp:rayo:1}}{name}")
    for attribute in attributes:
        if attribute != leave_out and not (attribute == "mixer-name" and "call-uri" in tree.attrib):
            tree.set(attribute, VALUES.get(attribute, "xmpp:a@focus.example"))
    for key, value in more.items():
        tree.set(key.replace("_", "-"), value)
    is_there = False
    for child, number in children.items():
        if number == "*" or not is_there:
            tree.append(ET.Element(f"{{{RAYO}}}{child}") if number == "1" else written(child))
        is_there = is_there or number == "1"
    return tree


def read(tree: ET.Element) -> ET.Element:
    """`tree` read and written back; what is only part of another is read as part of that. Raises `StanzaError`."""
    name = local_name(tree.tag)
    outer = "end" if name in END_REASONS else "hangup" if name == "header" else name
    if outer == name:
        return MODELS[tree.tag].parse(tree).to_element()
    whole = ET.Element(f"{{{RAYO}}}{outer}")
    whole.append(tree)
    return MODELS[whole.tag].parse(whole).to_element()[0]


@pytest.mark.parametrize("name", TEXT)
def test_the_attributes_of_an_element_are_those_of_the_text(name: str) -> None:
    attributes, _ = TEXT[name]
    tree = written(name)
    assert read(tree).attrib == tree.attrib
    for attribute, inclusion in attributes.items():
        without = written(name, leave_out=attribute)
        if inclusion == "1":
            with pytest.raises(BadRequest, match=attribute.replace("-", "_")):
                read(without)
        elif inclusion.startswith("?"):
            default = inclusion.removeprefix("?").strip()
            assert read(without).get(attribute) == (default if default not in ("", "of") else None)
    if "mixer-name" in attributes:
        assert read(written(name, leave_out="call-uri")).get("mixer-name") == "tea"
        with pytest.raises(BadRequest, match="call-uri and mixer-name"):
            read(written(name, mixer_name="tea"))
        neither = written(name, leave_out="call-uri")
        del neither.attrib["mixer-name"]
        if attributes["mixer-name"] == "1of":
            with pytest.raises(BadRequest, match="call-uri and mixer-name"):
                read(neither)
        else:
            assert "mixer-name" not in read(neither).attrib
    with pytest.raises(OptionNotSupported, match="loudness"):
        read(written(name, loudness="9"))


@pytest.mark.parametrize("name", TEXT)
def test_the_children_of_an_element_are_those_of_the_text(name: str) -> None:
    _, children = TEXT[name]
    tree = written(name)
    assert sorted(child.tag for child in read(tree)) == sorted(child.tag for child in tree)
    for child, number in children.items():
        one = [each for each in tree if local_name(each.tag) == child]
        twice = written(name)
        twice.extend(written(child) if number == "*" else each for each in one)
        if number == "*":
            assert len(read(twice)) == len(tree) + 1
        elif one:
            with pytest.raises(StanzaError):
                read(twice)
    for unknown in (f"{{{RAYO}}}whistle", "{urn:x}header"):
        more = written(name)
        more.append(ET.Element(unknown))
        with pytest.raises(OptionNotSupported, match=local_name(unknown)):
            read(more)
    spoken = written(name)
    spoken.text = "please"
    with pytest.raises(OptionNotSupported):
        read(spoken)


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
    rules = "Join Unjoin Joined Unjoined Reject Dial Output Input Prompt Complete"
    return kind.__name__ not in rules.split()


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
