"""Stanzas as plain trees in `jabber:client`: building them, reading their errors (RFC 6120 section 8)."""

from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree as ET

from focus.wire import conditions
from focus.wire.base import local_name, namespace_of, serialize
from focus.wire.conditions import STANZAS, BadRequest, StanzaError
from focus.wire.jid import JID

CLIENT = "jabber:client"
COMPONENT = "jabber:component:accept"

IQ = f"{{{CLIENT}}}iq"
MESSAGE = f"{{{CLIENT}}}message"
PRESENCE = f"{{{CLIENT}}}presence"
ERROR = f"{{{CLIENT}}}error"

#: What a stanza that reaches us may have. Nothing we know comes near; pydantic-xml works by recursion.
MAX_ELEMENTS = 10_000
MAX_DEPTH = 100
MAX_ERROR_TEXT = 1000

# XML 1.0 section 2.2: everything else ends the whole stream, not only our stanza.
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Disconnected(StanzaError):
    """There is no stream to the server, or it ended before the answer came."""

    condition, type = "remote-server-timeout", "wait"


def stanza(
    tag: str,
    sender: JID | None,
    to: JID | None,
    type: str | None,
    *children: ET.Element | None,
    id: str | None = None,
) -> ET.Element:
    """A stanza `tag` (one of `IQ`, `MESSAGE`, `PRESENCE`) with those of `children` that are there.

    `sender` None leaves it to a client's server, `to` None asks that server itself.
    """
    attributes = {"from": sender and str(sender), "to": to and str(to), "type": type, "id": id}
    tree = ET.Element(tag, {name: value for name, value in attributes.items() if value})
    tree.extend(child for child in children if child is not None)
    return tree


def presence(sender: JID, to: JID, type: str | None = None, *children: ET.Element) -> ET.Element:
    """A directed presence; type None is `available`."""
    return stanza(PRESENCE, sender, to, type, *children)


def to_client_namespace(tree: ET.Element) -> None:
    """Rename, in place, what a component's stream calls `jabber:component:accept`.

    Servers mix both (the stanza in one, its `<error/>` in the other). Raises `BadRequest` for a tree that is larger
    or deeper than any stanza that we could have a use for; its top has been renamed even then.
    """
    count, level = 0, [tree]
    prefix = f"{{{COMPONENT}}}"
    for _ in range(MAX_DEPTH):
        following: list[ET.Element] = []
        for element in level:
            if element.tag.startswith(prefix):
                element.tag = f"{{{CLIENT}}}{element.tag[len(prefix) :]}"
            following.extend(element)
        count += len(level)
        if count > MAX_ELEMENTS:
            raise BadRequest(f"the stanza has more than {MAX_ELEMENTS} elements")
        if not following:
            return
        level = following
    raise BadRequest(f"the stanza is nested deeper than {MAX_DEPTH} elements")


def to_text(tree: ET.Element) -> str:
    """The stanza as it is written on a stream.

    The top takes the stream's namespace, by not naming its own. Raises ValueError for an attribute in a namespace,
    which cannot be written without prefixes.
    """
    return _NO_CHARACTER.sub("\ufffd", serialize(tree, CLIENT))


def result_of(request: ET.Element, child: ET.Element | None = None) -> ET.Element:
    """The result that answers the IQ `request`."""
    answer = _answer(request, "result")
    if child is not None:
        answer.append(child)
    return answer


def error_of(request: ET.Element, error: StanzaError) -> ET.Element:
    """The error that answers `request`: an IQ, or a message from somebody who is not in a room."""
    answer = _answer(request, "error")
    element = ET.SubElement(answer, ERROR, {"type": error.type})
    ET.SubElement(element, f"{{{STANZAS}}}{error.condition}")
    if error.text:
        ET.SubElement(element, f"{{{STANZAS}}}text").text = error.text[:MAX_ERROR_TEXT]
    if error.application is not None:
        namespace, name = error.application
        ET.SubElement(element, f"{{{namespace}}}{name}")
    return answer


def read_error(tree: ET.Element) -> StanzaError:
    """The exception that the stanza `tree` of type error stands for: the class whose condition it is.

    A condition that no class of `focus.wire.conditions` has gets one of its own; whatever is unreadable is
    `undefined-condition`.
    """
    element = tree.find(ERROR)
    if element is None:
        return StanzaError("an error without <error/>")
    condition, text, application = StanzaError.condition, "", None
    for child in element:
        if namespace_of(child.tag) != STANZAS:
            application = (namespace_of(child.tag), local_name(child.tag))
        elif local_name(child.tag) == "text":
            text = (child.text or "")[:MAX_ERROR_TEXT]
        else:
            condition = local_name(child.tag)[:64]
    return _error_class(condition, element.get("type", "cancel")[:16], application)(text)


def error_named(condition: str) -> type[StanzaError]:
    """The class of the errors with this `condition`."""
    return _error_class(condition, StanzaError.type, None)


def _answer(request: ET.Element, type: str) -> ET.Element:
    answer = ET.Element(request.tag, {"type": type})
    for ours, theirs in (("id", "id"), ("from", "to"), ("to", "from")):
        if (value := request.get(theirs)) is not None:
            answer.set(ours, value)
    return answer


def _error_class(condition: str, type: str, application: tuple[str, str] | None) -> type[StanzaError]:
    known = _known()
    for key in ((condition, application), (condition, type), condition):
        if key in known:
            return known[key]
    return _new_class(condition, type)


@cache
def _known() -> dict[object, type[StanzaError]]:
    """The classes of `focus.wire.conditions` by (condition, application), (condition, type) and condition."""
    known: dict[object, type[StanzaError]] = {}
    for error in vars(conditions).values():
        if not (isinstance(error, type) and issubclass(error, StanzaError)):
            continue
        if error.application is not None:
            known.setdefault((error.condition, error.application), error)
        else:
            known.setdefault((error.condition, error.type), error)
            known.setdefault(error.condition, error)
    return known


def _new_class(condition: str, kind: str) -> type[StanzaError]:
    name = "".join(word.capitalize() for word in condition.split("-"))
    return type(name, (StanzaError,), {"condition": condition, "type": kind})
