"""What all components of Rayo have in common on the wire (XEP-0327 sections 6.5 and 7.19).

A command starts a component, `<stop/>` ends it, `<complete/>` says how it ended: a reason, and what it has brought.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Self
from xml.etree import ElementTree as ET

from pydantic import Field, SerializeAsAny, StringConstraints, model_validator
from pydantic_xml import attr

from focus.wire.base import Integer, Name, StrictElement, Text, local_name
from focus.wire.conditions import BadRequest
from focus.wire.rayo import Command, Event

EXT: Final = "urn:xmpp:rayo:ext:1"
EXT_COMPLETE: Final = "urn:xmpp:rayo:ext:complete:1"

#: As the wire has them; `Timeout` -1 means none.
Milliseconds = Annotated[Integer, Field(ge=0, le=2**31 - 1)]
Timeout = Annotated[Integer, Field(ge=-1, le=2**31 - 1)]
#: A document as it is written in a stanza.
Body = Annotated[str, StringConstraints(max_length=200_000)]


class Execution(Command):
    """A command to a call or a mixer that starts a component there."""

    @property
    def variant(self) -> str:
        """Which one, where an element starts several kinds of components."""
        return ""


class DocumentElement(StrictElement):
    """A document for a component: in the element, with its type, or at a URL (sections 7.19.3.1.1 and 7.19.4.1.1)."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=8_192)] | None = attr(default=None)
    content_type: Name | None = attr(name="content-type", default=None)
    body: Body | None = None

    @model_validator(mode="after")
    def _here_or_there(self) -> Self:
        is_here = self.content_type is not None and bool((self.body or "").strip())
        if self.url is None and not is_here:
            raise ValueError("a url is needed, or a content-type and a body")
        if self.url is not None and (self.content_type is not None or (self.body or "").strip()):
            raise ValueError("url excludes content-type and body")
        return self


class Stop(Command, tag="stop", ns="", nsmap={"": EXT}):
    """End the component before it ends by itself (section 7.19.1)."""


class Outcome(StrictElement):
    """What can be in a `<complete/>`. Every kind is known by its element's name."""

    kinds: ClassVar[dict[str, type[Outcome]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__xml_tag__:
            cls.kinds[cls.qualified_tag()] = cls


class Reason(Outcome):
    """Why a component has come to its end (section 7.19.2.1)."""


class Metadata(Outcome):
    """What a component has brought, beside the reason."""


class Stopped(Reason, tag="stop", ns="", nsmap={"": EXT_COMPLETE}):
    """It was told to stop."""


class HungUp(Reason, tag="hangup", ns="", nsmap={"": EXT_COMPLETE}):
    """The call has ended, or the mixer."""


class Failed(Reason, tag="error", ns="", nsmap={"": EXT_COMPLETE}):
    """It came upon an error; `text` says which, to people."""

    text: Text = ""


class Complete(Event, tag="complete", ns="", nsmap={"": EXT}):
    """The component is no more (section 7.19.2)."""

    reason: SerializeAsAny[Reason]
    metadata: tuple[SerializeAsAny[Metadata], ...] = ()

    @classmethod
    def parse(cls, tree: ET.Element) -> Self:
        """Raises `BadRequest` without exactly one reason, for what is not known, and for what is wrong."""
        found: list[Outcome] = []
        for child in tree:
            kind = Outcome.kinds.get(child.tag)
            if kind is None:
                raise BadRequest(f"<complete/>: <{local_name(child.tag)}/> is not known")
            found.append(kind.parse(child))
        reasons = [each for each in found if isinstance(each, Reason)]
        if len(reasons) != 1 or tree.attrib:
            raise BadRequest("<complete/> has no attributes and exactly one reason")
        return cls(reason=reasons[0], metadata=tuple(each for each in found if isinstance(each, Metadata)))

    def to_element(self) -> ET.Element:
        tree = ET.Element(self.qualified_tag())
        tree.extend(each.to_element() for each in (self.reason, *self.metadata))
        return tree
