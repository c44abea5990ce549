"""What an input has matched, read from its result: NLSML in the shape of XEP-0327's listing 72 (RFC 6787 section
6.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self
from xml.etree import ElementTree as ET


@dataclass(frozen=True)
class Interpretation:
    """The first interpretation of a result, which is the likeliest."""

    #: What was put in: keys or words, with spaces between them.
    input: str
    #: What that means, where the grammar says so by its tags.
    instance: str | None
    #: "dtmf" or "speech", and empty where the result does not say.
    mode: str
    #: From 0 to 1.
    confidence: float
    #: Where the grammar is from that has matched, if it was at a URI.
    grammar: str | None

    @property
    def meaning(self) -> str:
        """`instance`, or the keys (without spaces) or words themselves."""
        if self.instance is not None:
            return self.instance
        return self.input.replace(" ", "") if self.mode == "dtmf" else self.input

    @classmethod
    def parse(cls, document: str) -> Self:
        """Of NLSML in any namespace, as its versions differ in that. Raises ValueError."""
        result = _read(document)
        interpretation = result.find("{*}interpretation") if _name(result) == "result" else None
        if interpretation is None:
            raise ValueError("there is no interpretation in it")
        put_in, instance = interpretation.find("{*}input"), interpretation.find("{*}instance")
        if put_in is None:
            raise ValueError("it does not say what was put in")
        confidence = put_in.get("confidence") or interpretation.get("confidence") or "100"
        return cls(
            input=_text(put_in),
            instance=_text(instance) if instance is not None else None,
            mode=put_in.get("mode", ""),
            confidence=_part(confidence),
            grammar=interpretation.get("grammar") or result.get("grammar") or None,
        )


class _NoDeclarations(ET.TreeBuilder):
    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        """Which is where entities without end are declared."""
        raise ValueError("it has a document type")


def _read(document: str) -> ET.Element:
    parser = ET.XMLParser(target=_NoDeclarations())
    try:
        parser.feed(document.strip())
        root = parser.close()
    except ET.ParseError as error:
        raise ValueError(str(error)) from None
    assert isinstance(root, ET.Element)
    return root


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _part(written: str) -> float:
    """From 0 to 100, as in XEP-0327's listing, or, with a decimal point, from 0 to 1, as in RFC 6787."""
    value = float(written) if "." in written else float(written) / 100
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"{written} is no confidence")
    return value
