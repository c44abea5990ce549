"""`<input/>`: what is gathered from a call or a mixer, and what it must match (XEP-0327 sections 6.5.4 and 7.19.4)."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from xml.etree import ElementTree as ET

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Decimal, Name, serialize
from focus.wire.rayo import Command
from focus.wire.rayo_component import Body, DocumentElement, Execution, Reason, Timeout

INPUT: Final = "urn:xmpp:rayo:input:1"
INPUT_COMPLETE: Final = "urn:xmpp:rayo:input:complete:1"

InputMode = Literal["any", "dtmf", "voice", "cpa"]

_Part = Annotated[Decimal, Field(ge=0, le=1)]


class Grammar(DocumentElement, tag="grammar", ns="", nsmap={"": INPUT}):
    """What may be put in: here, with its type, or at a URL."""


class Input(Execution, tag="input", ns="", nsmap={"": INPUT}):
    """Gather input until it matches a grammar, or cannot any more; times are in milliseconds."""

    mode: InputMode = attr(default="any")
    terminator: Name | None = attr(default=None)
    recognizer: Name | None = attr(default=None)
    language: Name | None = attr(default=None)
    initial_timeout: Timeout = attr(name="initial-timeout", default=-1)
    inter_digit_timeout: Timeout = attr(name="inter-digit-timeout", default=-1)
    recognition_timeout: Timeout = attr(name="recognition-timeout", default=-1)
    sensitivity: _Part = attr(default=0.5)
    min_confidence: _Part = attr(name="min-confidence", default=0)
    max_silence: Timeout = attr(name="max-silence", default=-1)
    match_content_type: Name = attr(name="match-content-type", default="application/nlsml+xml")
    grammars: Annotated[tuple[Grammar, ...], Field(min_length=1, max_length=64)] = element(tag="grammar")

    @property
    def variant(self) -> str:
        """What is listened for signals is another component than what gathers input (XEP-0341)."""
        return "cpa" if self.mode == "cpa" else ""

    @classmethod
    def parse(cls, tree: ET.Element) -> Self:
        """A grammar may be written as XML, too, and not as text; it is text afterwards.

        Raises `BadRequest` and `OptionNotSupported`.
        """
        return super().parse(cls.as_text(tree))

    @staticmethod
    def as_text(tree: ET.Element) -> ET.Element:
        """`tree` with the grammars in it as text."""
        copy = ET.Element(tree.tag, tree.attrib)
        copy.text = tree.text
        for child in tree:
            if child.tag == Grammar.qualified_tag() and len(child) == 1:
                written = ET.SubElement(copy, child.tag, child.attrib)
                written.text = (child.text or "") + serialize(child[0]) + (child[0].tail or "")
            else:
                copy.append(child)
        return copy


class Match(Reason, tag="match", ns="", nsmap={"": INPUT_COMPLETE}):
    """A grammar has matched; `result` is a document of type `content_type`."""

    content_type: Name = attr(name="content-type", default="application/nlsml+xml")
    result: Body = ""


class NoInput(Reason, tag="noinput", ns="", nsmap={"": INPUT_COMPLETE}):
    """Nothing has come in time."""


class NoMatch(Reason, tag="nomatch", ns="", nsmap={"": INPUT_COMPLETE}):
    """What has come matches no grammar."""


INPUT_COMMANDS: tuple[type[Command], ...] = (Input,)
