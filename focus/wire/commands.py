"""Ad-hoc commands (XEP-0050) and the data forms (XEP-0004) that they ask for their parameters with."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field as Limited
from pydantic_xml import attr, element

from focus.wire.base import Element, Flag, Name, Text, Token
from focus.wire.conditions import BadRequest

COMMANDS: Final = "http://jabber.org/protocol/commands"
DATA_FORM: Final = "jabber:x:data"

MAX_VALUES = 1000


class Option(Element, tag="option", ns="", nsmap={"": DATA_FORM}):
    label: Text | None = attr(default=None)
    value: Text = element(tag="value", default="")


class Field(Element, tag="field", ns="", nsmap={"": DATA_FORM}):
    var: Name | None = attr(default=None)
    type: Name | None = attr(default=None)
    label: Text | None = attr(default=None)
    desc: Text | None = element(tag="desc", default=None)
    required: Flag | None = element(tag="required", default=None)
    values: Annotated[tuple[Text, ...], Limited(max_length=MAX_VALUES)] = element(tag="value", default=())
    options: Annotated[tuple[Option, ...], Limited(max_length=MAX_VALUES)] = element(tag="option", default=())


class Form(Element, tag="x", ns="", nsmap={"": DATA_FORM}):
    type: Literal["form", "submit", "cancel", "result"] = attr()
    title: Text | None = element(tag="title", default=None)
    instructions: Text | None = element(tag="instructions", default=None)
    fields: Annotated[tuple[Field, ...], Limited(max_length=100)] = element(tag="field", default=())

    def values(self, var: str) -> tuple[str, ...]:
        """Those of the field `var`, but for empty ones."""
        found = (value.strip() for field in self.fields if field.var == var for value in field.values)
        return tuple(value for value in found if value)


class Actions(Element, tag="actions", ns="", nsmap={"": COMMANDS}):
    execute: Name | None = attr(default=None)
    complete: Flag | None = element(tag="complete", default=None)


class Note(Element, tag="note", ns="", nsmap={"": COMMANDS}):
    type: Literal["info", "warn", "error"] = attr(default="info")
    text: Text = ""


class AdHoc(Element, tag="command", ns="", nsmap={"": COMMANDS}):
    """A step of a command, asked for by `action` and answered with a `status`."""

    node: Name = attr()
    sessionid: Token | None = attr(default=None)
    action: Token | None = attr(default=None)
    status: Literal["executing", "completed", "canceled"] | None = attr(default=None)
    actions: Actions | None = None
    notes: Annotated[tuple[Note, ...], Limited(max_length=100)] = element(tag="note", default=())
    form: Form | None = None


class MalformedAction(BadRequest):
    """An action that there is not (section 4.6)."""

    application = (COMMANDS, "malformed-action")


class BadAction(BadRequest):
    """An action that has no place here."""

    application = (COMMANDS, "bad-action")


class BadPayload(BadRequest):
    """A form that says nothing sensible."""

    application = (COMMANDS, "bad-payload")
