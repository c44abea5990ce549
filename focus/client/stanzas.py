"""Stanzas as plain trees in `jabber:client`: building them, answering them, reading errors (RFC 6120 section 8)."""

from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree as ET

from focus.wire import conditions
from focus.wire.base import local_name, namespace_of, serialize
from focus.wire.conditions import STANZAS, StanzaError
from focus.wire.jid import JID

CLIENT = "jabber:client"

IQ = f"{{{CLIENT}}}iq"
MESSAGE = f"{{{CLIENT}}}message"
PRESENCE = f"{{{CLIENT}}}presence"
ERROR = f"{{{CLIENT}}}error"

# XML 1.0 section 2.2: everything else ends the whole stream, not only our stanza.
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Disconnected(StanzaError):
    """There is no stream to the server, or it ended before the answer came."""

    condition, type = "remote-server-timeout", "wait"


def stanza(
    tag: str, to: JID | None, type: str | None, *children: ET.Element | None, id: str | None = None
) -> ET.Element:
    """A stanza `tag` (one of `IQ`, `MESSAGE`, `PRESENCE`) with those of `children` that are there."""
    attributes = {"to": to and str(to), "type": type, "id": id}
    tree = ET.Element(tag, {name: value for name, value in attributes.items() if value})
    tree.extend(child for child in children if child is not None)
    return tree


def to_text(tree: ET.Element) -> str:
    """The stanza as it is written on a client's stream, what XML cannot say replaced."""
    return _NO_CHARACTER.sub("\ufffd", serialize(tree, CLIENT))


def result_of(request: ET.Element, child: ET.Element | None) -> ET.Element:
    """The result that answers the IQ `request`."""
    answer = _answer(request, "result")
    if child is not None:
        answer.append(child)
    return answer


def error_of(request: ET.Element, error: StanzaError) -> ET.Element:
    """The error that answers the IQ `request`."""
    answer = _answer(request, "error")
    element = ET.SubElement(answer, ERROR, {"type": error.type})
    ET.SubElement(element, f"{{{STANZAS}}}{error.condition}")
    if error.text:
        ET.SubElement(element, f"{{{STANZAS}}}text").text = error.text
    if error.application is not None:
        namespace, name = error.application
        ET.SubElement(element, f"{{{namespace}}}{name}")
    return answer


def read_error(tree: ET.Element) -> StanzaError:
    """The exception that a stanza of type error stands for: of the class whose condition it is.

    A condition without a class in `focus.wire.conditions` gets one of its own.
    """
    condition, text, application = StanzaError.condition, "", None
    error = tree.find(ERROR)
    for child in error if error is not None else ():
        if namespace_of(child.tag) != STANZAS:
            application = (namespace_of(child.tag), local_name(child.tag))
        elif local_name(child.tag) == "text":
            text = child.text or ""
        else:
            condition = local_name(child.tag)
    kind = error.get("type", "cancel") if error is not None else "cancel"
    known = _known_errors()
    found = known.get((condition, application)) or known.get((condition, None)) or _new_error(condition, kind)
    return found(text)


def _answer(request: ET.Element, type: str) -> ET.Element:
    answer = ET.Element(IQ, {"type": type})
    for ours, theirs in (("id", "id"), ("to", "from")):
        if (value := request.get(theirs)) is not None:
            answer.set(ours, value)
    return answer


@cache
def _known_errors() -> dict[tuple[str, tuple[str, str] | None], type[StanzaError]]:
    known: dict[tuple[str, tuple[str, str] | None], type[StanzaError]] = {}
    for error in vars(conditions).values():
        if isinstance(error, type) and issubclass(error, StanzaError):
            known.setdefault((error.condition, error.application), error)
    return known


def _new_error(condition: str, kind: str) -> type[StanzaError]:
    name = "".join(word.capitalize() for word in condition.split("-"))
    return type(name, (StanzaError,), {"condition": condition, "type": kind})
