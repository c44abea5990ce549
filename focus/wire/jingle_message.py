"""Jingle Message Initiation (XEP-0353) in both dialects, `urn:xmpp:jingle-message:0` and `:1` (of v0.4 and v0.5).

The two differ in namespace and in how a call is taken: `<proceed/>` in `:0`, `<accept/>` in `:1`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, TypeVar
from xml.etree import ElementTree as ET

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Element, Flag, Name, namespace_of
from focus.wire.jingle import Reason
from focus.wire.rtp import Description
from focus.wire.shim import Shim

JMI_0: Final = "urn:xmpp:jingle-message:0"
JMI_1: Final = "urn:xmpp:jingle-message:1"
Dialect = Literal["urn:xmpp:jingle-message:0", "urn:xmpp:jingle-message:1"]

HINTS = "urn:xmpp:hints"


class JingleMessage(Element):
    """One message of an invitation. `id` is the sid of the session that follows."""

    dialect: ClassVar[Dialect] = JMI_0

    id: Name = attr()
    headers: Shim | None = None


M = TypeVar("M", bound=JingleMessage)


class Migrated(Element, tag="migrated"):
    """The session goes on under another id (section 4.2)."""

    to: Name = attr()


class Propose(JingleMessage, tag="propose", ns="", nsmap={"": JMI_0}):
    descriptions: Annotated[tuple[Description, ...], Field(max_length=16)] = element(tag="description", default=())


class Ringing(JingleMessage, tag="ringing", ns="", nsmap={"": JMI_0}):
    pass


class Proceed(JingleMessage, tag="proceed", ns="", nsmap={"": JMI_0}):
    pass


class Accept(JingleMessage, tag="accept", ns="", nsmap={"": JMI_0}):
    pass


class Reject(JingleMessage, tag="reject", ns="", nsmap={"": JMI_0}):
    reason: Reason | None = None
    tie_break: Flag | None = element(tag="tie-break", default=None)


class Retract(JingleMessage, tag="retract", ns="", nsmap={"": JMI_0}):
    reason: Reason | None = None
    tie_break: Flag | None = element(tag="tie-break", default=None)


class Finish(JingleMessage, tag="finish", ns="", nsmap={"": JMI_0}):
    reason: Reason | None = None
    migrated: Migrated | None = None


class Propose1(Propose, tag="propose", ns="", nsmap={"": JMI_1}):
    dialect: ClassVar[Dialect] = JMI_1


class Ringing1(Ringing, tag="ringing", ns="", nsmap={"": JMI_1}):
    dialect: ClassVar[Dialect] = JMI_1


class Proceed1(Proceed, tag="proceed", ns="", nsmap={"": JMI_1}):
    dialect: ClassVar[Dialect] = JMI_1


class Accept1(Accept, tag="accept", ns="", nsmap={"": JMI_1}):
    dialect: ClassVar[Dialect] = JMI_1


class Reject1(Reject, tag="reject", ns="", nsmap={"": JMI_1}):
    dialect: ClassVar[Dialect] = JMI_1


class Retract1(Retract, tag="retract", ns="", nsmap={"": JMI_1}):
    dialect: ClassVar[Dialect] = JMI_1


class Finish1(Finish, tag="finish", ns="", nsmap={"": JMI_1}):
    dialect: ClassVar[Dialect] = JMI_1


_MESSAGES: tuple[type[JingleMessage], ...] = (
    Propose, Ringing, Proceed, Accept, Reject, Retract, Finish,
    Propose1, Ringing1, Proceed1, Accept1, Reject1, Retract1, Finish1,
)  # fmt: skip
BY_TAG: dict[str, type[JingleMessage]] = {kind.qualified_tag(): kind for kind in _MESSAGES}


def in_dialect(kind: type[M], dialect: Dialect) -> type[M]:
    """`kind` in the namespace of `dialect`."""
    found = BY_TAG[f"{{{dialect}}}{kind.__xml_tag__}"]
    assert issubclass(found, kind)
    return found


def parse_message(stanza: ET.Element) -> JingleMessage | None:
    """The invitation message in a `<message/>`, or None. Raises `BadRequest` for a malformed one."""
    for child in stanza:
        if namespace_of(child.tag) in (JMI_0, JMI_1) and (kind := BY_TAG.get(child.tag)):
            message = kind.parse(child)
            headers = stanza.find(Shim.qualified_tag())
            return message if headers is None else message.model_copy(update={"headers": Shim.parse(headers)})
    return None


def message_payload(element: Element) -> list[ET.Element]:
    """The children of the `<message/>` that carries `element`: headers are beside it (XEP-0131 section 4)."""
    tree = element.to_element()
    headers = tree.findall(Shim.qualified_tag())
    for each in headers:
        tree.remove(each)
    return [tree, *headers]
