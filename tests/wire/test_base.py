"""One way in, one way out, one way to be refused."""

from xml.etree import ElementTree as ET

import pytest
from pydantic_xml import attr, element

from focus.wire.base import XML_LANG, Element, Flag, Name, StrictElement, local_name, namespace_of, serialize
from focus.wire.conditions import BadRequest, OptionNotSupported


class Cup(Element, tag="cup", ns="", nsmap={"": "urn:tea"}):
    size: int = attr()
    name: Name | None = attr(default=None)
    milk: Flag | None = element(tag="milk", default=None)
    sugar: tuple[str, ...] = element(tag="sugar", default=())


class StrictCup(StrictElement, tag="cup", ns="", nsmap={"": "urn:tea"}):
    size: int = attr()
    milk: Flag | None = element(tag="milk", default=None)


class Tray(StrictElement, tag="tray", ns="", nsmap={"": "urn:tea"}):
    cups: tuple[StrictCup, ...] = element(tag="cup", default=())


def parse(kind: type[Element], text: str) -> Element:
    return kind.parse(ET.fromstring(text))


def test_what_others_add_is_dropped() -> None:
    cup = parse(Cup, "<cup xmlns='urn:tea' size='3' shape='round'><milk/><biscuit xmlns='urn:x'/><spoon/></cup>")
    assert cup == Cup(size=3, milk=Flag())
    assert cup.to_string() == '<cup xmlns="urn:tea" size="3"><milk/></cup>'


@pytest.mark.parametrize(
    "text",
    [
        "<cup xmlns='urn:tea'/>",
        "<cup xmlns='urn:tea' size='large'/>",
        "<cup xmlns='urn:tea' size=''/>",
        "<cup xmlns='urn:tea' size='1' name=''/>",
        f"<cup xmlns='urn:tea' size='1' name='{'x' * 1024}'/>",
        "<cup xmlns='urn:coffee' size='1'/>",
        "<mug xmlns='urn:tea' size='1'/>",
    ],
)
def test_what_is_wrong_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(Cup, text)
    assert 0 < len(refused.value.text) < 300


def test_what_is_wrong_is_told_in_words_for_people() -> None:
    for size, why in (("", "must be given"), (" size='large'", "should be a valid integer")):
        with pytest.raises(BadRequest) as refused:
            parse(Cup, f"<cup xmlns='urn:tea'{size}/>")
        assert refused.value.text.startswith(f"<cup/> size: {why}")


@pytest.mark.parametrize(
    ("kind", "text", "named"),
    [
        (StrictCup, "<cup xmlns='urn:tea' size='1' shape='round'/>", "shape"),
        (StrictCup, "<cup xmlns='urn:tea' size='1'><spoon/></cup>", "spoon"),
        (StrictCup, "<cup xmlns='urn:tea' size='1'><milk xmlns='urn:oat'/></cup>", "milk"),
        (StrictCup, "<cup xmlns='urn:tea' size='1'><milk/><milk/></cup>", "milk"),
        (Tray, "<tray xmlns='urn:tea'><cup size='1'/><cup size='2' shape='round'/></tray>", "shape"),
        (Tray, "<tray xmlns='urn:tea'><cup size='1'/><cup size='2'><spoon/></cup></tray>", "spoon"),
    ],
)
def test_a_strict_element_ignores_nothing(kind: type[Element], text: str, named: str) -> None:
    with pytest.raises(OptionNotSupported) as refused:
        parse(kind, text)
    assert named in refused.value.text


def test_what_a_flag_carries_is_not_read_by_those_who_ignore() -> None:
    assert parse(Cup, "<cup xmlns='urn:tea' size='1'><milk fat='much'>cold</milk></cup>") == Cup(size=1, milk=Flag())


def test_elements_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Cup(size=1).size = 2  # type: ignore[misc]


def test_names() -> None:
    assert Cup.qualified_tag() == "{urn:tea}cup"
    assert (local_name("{urn:tea}cup"), namespace_of("{urn:tea}cup")) == ("cup", "urn:tea")
    assert (local_name("cup"), namespace_of("cup")) == ("cup", "")


def test_xml_is_written_without_prefixes() -> None:
    tree = ET.fromstring(
        "<a:tray xmlns:a='urn:tea' xmlns:b='urn:x' label='&lt;&amp;&quot;' xml:lang='en'>one &lt; two"
        "<a:cup/>and<b:spoon><a:cup/></b:spoon></a:tray>"
    )
    assert tree.get(XML_LANG) == "en"
    written = serialize(tree)
    assert written == (
        '<tray xmlns="urn:tea" label=\'&lt;&amp;"\' xml:lang="en">one &lt; two'
        '<cup/>and<spoon xmlns="urn:x"><cup xmlns="urn:tea"/></spoon></tray>'
    )
    assert ET.canonicalize(written) == ET.canonicalize(serialize(ET.fromstring(written)))


def test_what_markup_cannot_be_is_spelt_out() -> None:
    tree = ET.Element("cup", {"label": "a\tb\nc\r'\"<&>"})
    tree.text = "'\"\t<&>"
    ET.SubElement(tree, "spoon").tail = "<tail>"
    written = ET.fromstring(serialize(tree))
    assert (written.get("label"), written.text, written[0].tail) == (tree.get("label"), tree.text, "<tail>")


def test_an_attribute_in_a_namespace_cannot_be_written() -> None:
    with pytest.raises(ValueError, match=r"\{urn:x\}size of <spoon/>"):
        serialize(ET.fromstring("<cup xmlns='urn:tea'><spoon xmlns:x='urn:x' x:size='1'/></cup>"))
