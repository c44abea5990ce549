"""Documents changed a little, in their elements and attributes where they are XML, and now and then in their letters.

What is put in comes from all documents there are, and from what is known to be difficult.
"""

from __future__ import annotations

import copy
import random
from xml.etree import ElementTree as ET

from fuzz.documents import INPUTS

SRGS, SSML = "http://www.w3.org/2001/06/grammar", "http://www.w3.org/2001/10/synthesis"
VALUES = (
    "", "0", "1", "2-", "0-1", "0-", "1-3", "3-1", "0-500", "499", "501-", "0.5", "1e9", "99999999999", "-1", "NULL",
    "VOID", "GARBAGE", "#r", "#", "#nowhere", "builtin:dtmf/digits?length=2", "builtin:dtmf/date", "http://[x", "dtmf",
    "voice", "1.0", "r", "semantics/1.0-literals", "semantics/1.0", "public", "private", "en-US", "\u0663", "\u00a8",
    "-999999999dB", "+999999999.999999999%", "silent", "x-fast", "-50%", "999999999s", "digits", "a" * 5000,
)  # fmt: skip
TEXTS = (
    "1", "2", "12", "*", "#", "star", '"1 2"', '"', "one", "New York", "well", "\u00a8", "\u00df", "\ufb01", "\u200b",
    "]]>", "<", "&amp;", " ", "\n", "\x85", "a" * 3000, "yes", "no", "\U0001d7d9", "e\u0301",
)  # fmt: skip
NAMES = (
    "item",
    "one-of",
    "rule",
    "ruleref",
    "token",
    "tag",
    "example",
    "audio",
    "p",
    "s",
    "sub",
    "break",
    "speak",
    "prosody",
    "say-as",
)
ATTRIBUTES = (
    "repeat", "repeat-prob", "weight", "uri", "special", "id", "scope", "root", "mode", "version", "tag-format", "src",
    "alias", "type", "confidence", "rate", "volume", "time", "strength", "interpret-as", "{http://www.w3.org/XML/1998/namespace}lang",
)  # fmt: skip


class Mutation:
    """`documents` are whole inputs of the target."""

    def __init__(self, choice: random.Random, documents: list[bytes]) -> None:
        self._choice = choice
        self._documents = documents
        ET.register_namespace("", SRGS)

    def changed(self, data: bytes) -> bytes:
        document, separator, inputs = data.partition(INPUTS)
        for _ in range(self._choice.choice((1, 1, 2, 4))):
            if separator and self._choice.random() < 0.3:
                inputs = self._inputs(inputs)
            elif self._choice.random() < 0.15:
                document = self._letters(document)
            else:
                document = self._elements(document)
        return (document + separator + inputs)[:20_000]

    def _inputs(self, inputs: bytes) -> bytes:
        lines = inputs.split(b"\n")
        words = [word for line in lines for word in line.partition(b"|")[0].split()]
        words += [text.encode() for text in self._choice.sample(TEXTS, 4)]
        line = b" ".join(self._choice.choice(words) for _ in range(self._choice.choice((1, 1, 2, 3, 5, 40))))
        return b"\n".join([*lines[:6], line])

    def _letters(self, document: bytes) -> bytes:
        begin = self._choice.randint(0, len(document))
        end = min(len(document), begin + self._choice.choice((0, 1, 5, 40)))
        other = self._choice.choice(self._documents)
        at = self._choice.randint(0, len(other))
        put = self._choice.choice(
            (
                b"",
                document[begin:end] * 2,
                self._choice.choice(TEXTS).encode(),
                self._choice.choice(VALUES).encode(),
                other[at : at + 40],
                bytes([self._choice.randrange(256)]),
            )
        )
        return document[:begin] + put + document[end:]

    def _elements(self, document: bytes) -> bytes:
        try:
            root = ET.fromstring(document.strip())
        except (ET.ParseError, ValueError, LookupError):
            return self._letters(document)
        places = [(parent, at) for parent in root.iter() for at in range(len(parent))]
        elements = list(root.iter())
        one = self._choice.choice(elements)
        namespace = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
        match self._choice.randrange(9):
            case 0 if places:
                parent, at = self._choice.choice(places)
                del parent[at]
            case 1 if places:
                parent, at = self._choice.choice(places)
                one.append(copy.deepcopy(parent[at]))
            case 2 if places:  # in an element of its own
                parent, at = self._choice.choice(places)
                around = ET.Element(namespace + self._choice.choice(NAMES), self._attributes())
                around.append(parent[at])
                parent[at] = around
            case 3:
                one.insert(
                    self._choice.randint(0, len(one)),
                    ET.Element(namespace + self._choice.choice(NAMES), self._attributes()),
                )
            case 4:
                one.attrib |= self._attributes()
            case 5 if one.attrib:
                name = self._choice.choice(list(one.attrib))
                values = [value for each in elements for value in each.attrib.values()]
                one.attrib[name] = self._choice.choice((*VALUES, *values))
            case 6 if one.attrib:
                del one.attrib[self._choice.choice(list(one.attrib))]
            case 7:
                one.text = self._choice.choice(TEXTS)
            case _:
                one.tail = self._choice.choice(TEXTS)
        if len(elements) > 400:
            return document
        return ET.tostring(root, encoding="utf-8") if self._is_xml(root) else document

    def _attributes(self) -> dict[str, str]:
        return {self._choice.choice(ATTRIBUTES): self._choice.choice(VALUES) for _ in range(self._choice.randrange(3))}

    @staticmethod
    def _is_xml(root: ET.Element) -> bool:
        """Deep ones would be written recursively."""
        depth, deepest = 0, [root]
        while deepest and depth < 100:
            deepest = [child for parent in deepest for child in parent]
            depth += 1
        return depth < 100
