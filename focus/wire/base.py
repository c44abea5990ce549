"""What every element on the wire has in common: one way in, one way out, one way to be refused."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import Annotated, Any, ClassVar, Protocol, Self
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

# Stanzas come from slixmpp as standard-library trees; pydantic-xml would take lxml where it happens to be installed.
os.environ.setdefault("FORCE_STD_XML", "true")

from pydantic import BeforeValidator, ConfigDict, StringConstraints, ValidationError
from pydantic_xml import BaseXmlModel
from pydantic_xml.errors import ParsingError

from focus.wire.conditions import BadRequest, OptionNotSupported

#: An attribute or short text. Longer ones are nobody's identifier.
Token = Annotated[str, StringConstraints(max_length=1023)]
#: An attribute that names something: never empty.
Name = Annotated[str, StringConstraints(min_length=1, max_length=1023)]
#: A JID, or an `xmpp:` URI of one: each of its three parts may have 1023 bytes (RFC 7622 section 3.1).
Address = Annotated[str, StringConstraints(min_length=1, max_length=3200)]
#: Text for people.
Text = Annotated[str, StringConstraints(max_length=8192)]


def _lexical(pattern: str, what: str) -> BeforeValidator:
    """XML Schema's way of writing a value: pydantic reads more than that, such as `yes`, `1_000` and `1.0`."""
    written = re.compile(pattern)

    def check(value: object) -> object:
        if not isinstance(value, str):
            return value
        if not written.fullmatch(value.strip(" \t\r\n")):
            raise ValueError(f"{what} is needed")
        return value.strip(" \t\r\n")

    return BeforeValidator(check)


Boolean = Annotated[bool, _lexical("true|false|1|0", "true, false, 1 or 0")]
Integer = Annotated[int, _lexical("[+-]?[0-9]+", "a whole number")]
Decimal = Annotated[float, _lexical(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", "a decimal number")]

#: What an attribute or a text cannot have as it is; looked for first, as nearly none has any of it.
_MARKUP = re.compile("[&<>\"'\t\r\n]")

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class Element(BaseXmlModel, search_mode="unordered"):
    """One element of a protocol, immutable and valid by construction.

    Unknown attributes and children are dropped, as XMPP's rule of extensibility asks; `StrictElement` refuses them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    strict_children: ClassVar[bool] = False

    @classmethod
    def parse(cls, tree: ET.Element) -> Self:
        """Read `tree`.

        Raises `BadRequest` (or `OptionNotSupported`, where an unknown part must not be ignored), saying what is
        wrong and where in a text fit for the stanza error.
        """
        try:
            element = cls.from_xml_tree(tree)
        except ParsingError as error:
            raise BadRequest(f"<{local_name(tree.tag)}/>: {_first_line(error)}") from None
        except ValidationError as error:
            raise _refusal(tree, error) from None
        if cls.strict_children and (unknown := _unread(tree, element.to_element())):
            raise OptionNotSupported(f"unknown element <{unknown}/> in <{local_name(tree.tag)}/>")
        return element

    def to_element(self) -> ET.Element:
        """The same as a standard-library tree, absent parts left out."""
        tree: ET.Element = self.to_xml_tree(exclude_none=True)
        return tree

    def to_string(self) -> str:
        """As XMPP writes it: default namespaces, no prefixes."""
        return serialize(self.to_element())

    @classmethod
    def qualified_tag(cls) -> str:
        """`{namespace}name`, as ElementTree writes it."""
        namespace = (cls.__xml_nsmap__ or {}).get(cls.__xml_ns__ or "", "")
        return f"{{{namespace}}}{cls.__xml_tag__}"


class Payload(Protocol):
    """What can be put into a stanza: an element, or what is written otherwise."""

    def to_element(self) -> ET.Element: ...


class StrictElement(Element):
    """An element whose unknown attributes and children are refused ("MUST NOT silently ignore", XEP-0327 section 6)."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    strict_children: ClassVar[bool] = True


class Flag(Element, tag="flag"):
    """An empty element whose presence is its meaning; the field that holds it gives tag and namespace."""


class StrictFlag(StrictElement, tag="flag"):
    """The same, where nothing in it may be ignored."""


class Written(ET.Element):
    """An element whose content is text already, in the element's own namespace; has no children as a tree.

    What many are sent is written once.
    """

    def __init__(self, tag: str, attributes: dict[str, str], content: str) -> None:
        super().__init__(tag, attributes)
        self.content = content


def local_name(tag: str) -> str:
    """`name` of `{namespace}name`."""
    return tag.rpartition("}")[2]


def namespace_of(tag: str) -> str:
    """`namespace` of `{namespace}name`, or an empty string."""
    return tag[1:].partition("}")[0] if tag.startswith("{") else ""


def serialize(tree: ET.Element, namespace: str = "") -> str:
    """`tree` as text inside the default namespace `namespace`, without prefixes: some clients compare names as text.

    Raises ValueError for an attribute in a namespace, which cannot be written without prefixes.
    """
    parts: list[str] = []
    _write(tree, namespace, parts)
    return "".join(parts)


def _write(tree: ET.Element, namespace: str, parts: list[str]) -> None:
    tag = tree.tag
    own, _, name = tag[1:].partition("}") if tag.startswith("{") else ("", "", tag)
    parts.append(f"<{name}" if own == namespace else f"<{name} xmlns={_quoted(own)}")
    for key, value in tree.attrib.items():
        if key.startswith("{"):
            if key != XML_LANG:
                raise ValueError(f"attribute {key} of <{name}/> has a namespace")
            key = "xml:lang"
        parts.append(f" {key}={_quoted(value)}")
    if isinstance(tree, Written):
        parts.append(f">{tree.content}</{name}>")
        return
    text = tree.text
    if not text and not len(tree):
        parts.append("/>")
        return
    parts.append(">")
    if text:
        parts.append(_escaped(text))
    for child in tree:
        _write(child, own, parts)
        if child.tail:
            parts.append(_escaped(child.tail))
    parts.append(f"</{name}>")


def _quoted(value: str) -> str:
    return quoteattr(value) if _MARKUP.search(value) else f'"{value}"'


def _escaped(text: str) -> str:
    return escape(text) if _MARKUP.search(text) else text


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _refusal(tree: ET.Element, error: ValidationError) -> BadRequest | OptionNotSupported:
    first: Any = error.errors()[0]
    where = "/".join(str(part) for part in first["loc"]) or local_name(tree.tag)
    what = str(first.get("ctx", {}).get("orig", first["msg"])).removeprefix("Input ")
    if first["type"] == "missing":
        what = "must be given"
    if first["type"] == "extra_forbidden":
        return OptionNotSupported(f"unknown {where} in <{local_name(tree.tag)}/>")
    return BadRequest(f"<{local_name(tree.tag)}/> {where}: {what}")


def _unread(received: ET.Element, understood: ET.Element) -> str:
    """The name of the first element of `received` that did not make it into `understood`, or an empty string."""
    missing = Counter(child.tag for child in received) - Counter(child.tag for child in understood)
    if missing:
        return local_name(next(iter(missing)))
    remaining = list(understood)
    for child in received:
        twin = next(other for other in remaining if other.tag == child.tag)
        remaining.remove(twin)
        if deeper := _unread(child, twin):
            return deeper
    return ""
