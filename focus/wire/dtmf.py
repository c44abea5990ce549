"""`<dtmf/>`: a key of a telephone that is told, and not heard (XEP-0181 section 2)."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field
from pydantic_xml import attr

from focus.wire.base import Element, Token

DTMF: Final = "urn:xmpp:jingle:dtmf:0"
#: What `code` may be.
KEYS: Final = frozenset("0123456789*#ABCD")


class Dtmf(Element, tag="dtmf", ns="", nsmap={"": DTMF}):
    """One key, for `duration` milliseconds; nothing where that is 0."""

    code: Token = attr()
    duration: Annotated[int, Field(ge=0, le=2**31 - 1)] = attr(default=100)
    volume: Annotated[int, Field(ge=0, le=63)] | None = attr(default=None)
    #: COMPAT (versions 0.3 to 0.9 of the XEP): when a key is let go is told as well, as "button-up".
    action: Token | None = attr(default=None)

    @property
    def is_pressed(self) -> bool:
        """Whether this is a key to be counted, which is when it goes down."""
        return self.duration > 0 and self.action != "button-up"
