"""SSML: what is to be spoken, and what is to be played between (W3C Speech Synthesis Markup Language 1.1).

A synthesizer speaks markup; of `<audio/>` it knows only what is to be said instead. So a document is cut there: each
piece is a whole document, with all elements around the cut. A `<break/>` with which a piece would begin, as between two
sounds, is not left to the synthesizer, as espeak-ng makes no pause before its first word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias
from xml.sax.saxutils import escape, quoteattr

from focus.engines import say_as
from focus.engines.markup import DocumentError, Element, Text, read

SSML = "http://www.w3.org/2001/10/synthesis"
#: What speaks and is not to be read aloud.
_SILENT = frozenset({"lexicon", "meta", "metadata", "desc", "lookup"})
#: Seconds of a break by its strength, and how its time is written.
_BREAKS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2}
_TIME = re.compile(r"\+?(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(ms|s)")

MAX_PIECES = 500
#: Characters of all pieces together, in each of which the elements around it are written again.
MAX_WRITTEN = 4 << 20


@dataclass(frozen=True, slots=True)
class Spoken:
    """A whole SSML document without `<audio/>`, and the same without markup."""

    markup: str
    text: str


@dataclass(frozen=True, slots=True)
class Played:
    """Sound at `src`; `instead` of which the pieces are there where it cannot be had."""

    src: str
    instead: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Paused:
    """So many seconds of silence."""

    seconds: float


Piece: TypeAlias = Spoken | Played | Paused


@dataclass(frozen=True, slots=True)
class Speech:
    """`language` is that of the whole, "" where it says none."""

    language: str
    pieces: tuple[Piece, ...]


def parse(document: str, source: str = "SSML", *, language: str = "") -> Speech:
    """`language`: a tag of what is spoken where the document does not tell, "" where that is not known.

    Raises `DocumentError`, which says where.
    """
    root = read(document, source)
    if root.name != "speak" or root.namespace not in (SSML, ""):
        raise root.fault(f"not <speak/> of {SSML}")
    pieces = tuple(_Cutter(root, [], _Allowance(), language).pieces())
    return Speech(root.attributes.get("xml:lang", ""), pieces)


@dataclass(slots=True)
class _Allowance:
    """What there may still be."""

    pieces: int = MAX_PIECES
    characters: int = MAX_WRITTEN

    def piece(self, element: Element) -> None:
        self.pieces -= 1
        if self.pieces < 0:
            raise element.fault(f"more than {MAX_PIECES} pieces")

    def write(self, element: Element, text: str) -> str:
        self.characters -= len(text)
        if self.characters < 0:
            raise element.fault(f"more than {MAX_WRITTEN} characters, with what is around each piece")
        return text


class _Cutter:
    """Walks through a document, writing it down until there is something to be played."""

    def __init__(self, root: Element, around: list[Element], left: _Allowance, language: str) -> None:
        """`around`: what is open already."""
        self._root = root
        self._language = language
        self._around = list(around)
        self._left = left
        self._begin()

    def pieces(self) -> Iterator[Piece]:
        yield from self._walk(self._root)
        yield from self._cut()

    def _walk(self, element: Element) -> Iterator[Piece]:
        if element.name in _SILENT or element.namespace != self._root.namespace:
            return
        if element.name == "audio":
            yield from self._cut()
            yield self._played(element)
            return
        if element.name == "break" and not self._says:
            if seconds := break_seconds(element.attributes):
                self._left.piece(element)
                yield Paused(seconds)
            return
        if element.name == "say-as":
            element = self._rewritten(element)
        self._markup.append(self._left.write(element, _opening(element)))
        self._around.append(element)
        for child in element.children:
            if isinstance(child, Element):
                yield from self._walk(child)
            else:
                self._say(str(child))
        self._around.pop()
        self._markup.append(f"</{element.name}>")

    def _rewritten(self, element: Element) -> Element:
        """A `<say-as/>` as synthesizers know it; of a kind that only they may know, as it is."""
        known = say_as.kind_of(element.attributes.get("interpret-as", ""), element.attributes.get("format", ""))
        if known is None:
            return element
        kind, form = known
        around = (each.attributes.get("xml:lang") for each in reversed(self._around))
        language = next(filter(None, around), self._language)
        attributes = element.attributes | {"interpret-as": say_as.SPELT.get(kind, kind)}
        children = element.children
        if not any(element.elements):
            text = say_as.said(str(element.text()), kind, form, language)
            children = [Text([(text, element.place)])]
        return replace(element, attributes=attributes, children=children)

    def _say(self, text: str) -> None:
        parent = self._around[-1]
        self._markup.append(self._left.write(parent, escape(text)))
        self._text.append(parent.attributes.get("alias", text) if parent.name == "sub" else text)
        self._says |= bool(text.strip())

    def _played(self, element: Element) -> Played:
        src = element.attributes.get("src", "").strip()
        if not src:
            raise element.fault("src is needed")
        self._left.piece(element)
        inner = _Cutter(self._root, self._around, self._left, self._language)
        instead: list[Piece] = []
        for child in element.children:
            if isinstance(child, Element):
                instead += inner._walk(child)
            else:
                inner._say(str(child))
        instead += inner._cut()
        return Played(src, tuple(instead))

    def _cut(self) -> Iterator[Piece]:
        """What has been written until now, as a whole; the elements around are open again afterwards."""
        if self._says:
            self._left.piece(self._root)
            closing = "".join(f"</{element.name}>" for element in reversed(self._around))
            yield Spoken("".join(self._markup) + closing, " ".join("".join(self._text).split()))
        self._begin()

    def _begin(self) -> None:
        self._markup = [self._left.write(element, _opening(element)) for element in self._around]
        self._text: list[str] = []
        self._says = False


def break_seconds(attributes: Mapping[str, str]) -> float:
    """How long the pause of a `<break/>` is (section 3.2.3)."""
    if match := _TIME.fullmatch(attributes.get("time", "").strip()):
        return float(match[1]) / (1000 if match[2] == "ms" else 1)
    return _BREAKS.get(attributes.get("strength", "medium"), _BREAKS["medium"])


def _opening(element: Element) -> str:
    written = [f" {name}={quoteattr(value)}" for name, value in element.attributes.items() if not name.startswith("{")]
    return f"<{element.name}{''.join(written)}>"


__all__ = ["DocumentError", "Paused", "Piece", "Played", "Speech", "Spoken", "break_seconds", "parse"]
