"""XML that strangers wrote, read whole into a small tree that knows where everything stands.

A document is refused, with its place, if it is not well-formed, is too large, nests too deeply, or brings declarations
of its own: no entity is ever expanded, and nothing is read but the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_ELEMENTS = 50_000

#: Characters of what is wrong: names are as long as strangers like, and errors go back in stanzas and into logs.
MAX_FAULT = 500

_XML = "http://www.w3.org/XML/1998/namespace"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: lines and columns count from 1."""

    source: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source[:200]}:{self.line}:{self.column}"


class DocumentError(ValueError):
    """What is wrong with a document, and where; as text it is one line, and not a long one."""

    def __init__(self, what: str, place: Place) -> None:
        what = what if len(what) <= MAX_FAULT else f"{what[:MAX_FAULT]}..."
        super().__init__(" ".join(f"{place}: {what}".split()))
        self.what = what
        self.place = place


@dataclass(slots=True)
class Text:
    """Character data, and where its parts begin, of which none goes on after the end of a line."""

    pieces: list[tuple[str, Place]] = field(default_factory=list)

    def __str__(self) -> str:
        return "".join(text for text, _ in self.pieces)

    def place_of(self, offset: int) -> Place:
        """The place of the character at `offset` of the whole."""
        for text, place in self.pieces:
            if offset < len(text):
                return Place(place.source, place.line, place.column + offset)
            offset -= len(text)
        return self.pieces[-1][1]


@dataclass(slots=True)
class Element:
    """An element; `attributes` by local name, as "xml:lang", or as "{namespace}name"."""

    namespace: str
    name: str
    attributes: dict[str, str]
    place: Place
    children: list[Element | Text] = field(default_factory=list)

    @property
    def elements(self) -> Iterator[Element]:
        return (child for child in self.children if isinstance(child, Element))

    def text(self) -> Text:
        """The character data directly in it."""
        pieces = [piece for child in self.children if isinstance(child, Text) for piece in child.pieces]
        return Text(pieces or [("", self.place)])

    def fault(self, what: str) -> DocumentError:
        return DocumentError(f"<{self.name}>: {what}", self.place)


def read(document: str | bytes, source: str) -> Element:
    """The root element. White space before an XML declaration is tolerated, as XEP-0327's own listings have it.

    `source` names the document in places. Raises `DocumentError`.
    """
    return _Reader(source).read(document)


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.root: Element | None = None
        self.open: list[Element] = []
        self.elements = 0
        self.line, self.column = 0, 1
        self.parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = False  # so that the place of each piece of text is known
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        parser.StartDoctypeDeclHandler = self.doctype
        parser.SkippedEntityHandler = self.skipped

    def read(self, document: str | bytes) -> Element:
        if len(document) > MAX_BYTES:
            raise DocumentError(f"longer than {MAX_BYTES} bytes", Place(self.source, 1, 1))
        if isinstance(document, str):
            body: str | bytes = document.lstrip("\ufeff \t\r\n")
            skipped = document[: len(document) - len(body)].removeprefix("\ufeff")
        else:
            body = document.lstrip(b" \t\r\n")
            skipped = document[: len(document) - len(body)].decode("ascii")
        self.line = skipped.count("\n")
        self.column = len(skipped) - skipped.rfind("\n")
        try:
            self.parser.Parse(body, True)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code) or "not XML"
            inside = f" in <{self.open[-1].name}>" if self.open else ""
            raise DocumentError(f"not well-formed: {what}{inside}", self.at(error.lineno, error.offset)) from None
        except DocumentError:
            raise
        except (ValueError, LookupError) as error:  # a str that is not Unicode, or an encoding that nobody knows
            raise DocumentError(f"cannot be decoded: {error}", self.here()) from None
        assert self.root is not None  # else expat would have said "no element found"
        return self.root

    def at(self, line: int, column: int) -> Place:
        return Place(self.source, line + self.line, column + (self.column if line == 1 else 1))

    def here(self) -> Place:
        return self.at(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        element = Element(namespace, local, {_attribute(key): value for key, value in attributes.items()}, self.here())
        self.elements += 1
        if len(self.open) >= MAX_DEPTH:
            raise element.fault(f"nested more than {MAX_DEPTH} deep")
        if self.elements > MAX_ELEMENTS:
            raise element.fault(f"more than {MAX_ELEMENTS} elements")
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, name: str) -> None:
        self.open.pop()

    def characters(self, text: str) -> None:
        children = self.open[-1].children
        if not children or not isinstance(children[-1], Text):
            children.append(Text())
        last = children[-1]
        assert isinstance(last, Text)
        last.pieces.append((text, self.here()))

    def doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        if internal:
            raise DocumentError("<!DOCTYPE>: declarations inside of a document are not read", self.here())

    def skipped(self, name: str, is_parameter: bool) -> None:
        raise DocumentError(f"&{name};: there are no entities but XML's own", self.here())


def _attribute(name: str) -> str:
    namespace, _, local = name.rpartition(" ")
    if not namespace:
        return local
    return f"xml:{local}" if namespace == _XML else f"{{{namespace}}}{local}"
