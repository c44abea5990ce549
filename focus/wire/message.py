"""A message to a call, for the person at its other end (XEP-0327 section 6.8)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import ConfigDict, StringConstraints
from pydantic_xml import element

from focus.wire.rayo import Command
from focus.wire.stanzas import CLIENT

_Words = Annotated[str, StringConstraints(max_length=65_536)]


class CallMessage(Command, tag="message", ns="", nsmap={"": CLIENT}):
    """What people read of a message stanza (RFC 6121 section 5.2); all else in it is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    strict_children: ClassVar[bool] = False

    subject: _Words | None = element(tag="subject", default=None)
    body: _Words | None = element(tag="body", default=None)
    thread: _Words | None = element(tag="thread", default=None)
