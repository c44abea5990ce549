"""`<prompt/>`: something is rendered, and answered by input (XEP-0327 sections 6.5.5 and 7.19.5).

What the prompt and its parts say to each other has a namespace of our own: no client is ever sent it, or understood.
"""

from __future__ import annotations

from typing import Final, Self
from xml.etree import ElementTree as ET

from pydantic_xml import attr, element

from focus.wire.base import Boolean
from focus.wire.rayo import Command, Event
from focus.wire.rayo_component import Execution
from focus.wire.rayo_input import INPUT, Input
from focus.wire.rayo_output import Output

PROMPT: Final = "urn:xmpp:rayo:prompt:1"
WITHIN: Final = "urn:focus-conference:prompt:0"


class Prompt(Execution, tag="prompt", ns="", nsmap={"": PROMPT}):
    """Render `output` and gather `input`, which may interrupt it if `barge_in`."""

    barge_in: Boolean = attr(name="barge-in", default=True)
    output: Output = element(tag="output")
    input: Input = element(tag="input")

    @classmethod
    def parse(cls, tree: ET.Element) -> Self:
        """Grammars may be written as XML in the input of a prompt as well.

        Raises `BadRequest` and `OptionNotSupported`.
        """
        copy = ET.Element(tree.tag, tree.attrib)
        copy.text = tree.text
        copy.extend(Input.as_text(child) if child.tag == Input.qualified_tag() else child for child in tree)
        return super().parse(copy)


class InputTimersStarted(Event, tag="input-timers-started", ns="", nsmap={"": PROMPT}):
    """Nothing is rendered any more; the time for an answer runs."""


class PromptedInput(Input, tag="input", ns="", nsmap={"": INPUT}):
    """An input whose timers run only when it is told so, and which tells when it has begun."""

    @property
    def variant(self) -> str:
        return ""


class StartTimers(Command, tag="start-timers", ns="", nsmap={"": WITHIN}):
    """To a prompted input."""


class InputStarted(Event, tag="input-started", ns="", nsmap={"": WITHIN}):
    """By a prompted input, once: something has been put in."""


PROMPT_COMMANDS: tuple[type[Command], ...] = (Prompt,)
