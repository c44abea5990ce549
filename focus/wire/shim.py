"""Headers of stanzas (XEP-0131, SHIM): what Rayo's headers are to Jingle (XEP-0327 sections 6.2.1 and 6.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Self

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Element, Name, Token

SHIM: Final = "http://jabber.org/protocol/shim"


class ShimHeader(Element, tag="header", ns="", nsmap={"": SHIM}):
    name: Name = attr()
    value: Token = ""


class Shim(Element, tag="headers", ns="", nsmap={"": SHIM}):
    """Names and values, in order; names may be there several times."""

    entries: Annotated[tuple[ShimHeader, ...], Field(max_length=64)] = element(tag="header", default=())

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self | None:
        """None where there are no `pairs` of name and value."""
        entries = tuple(ShimHeader(name=name, value=value) for name, value in pairs)
        return cls(entries=entries) if entries else None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(each.name, each.value) for each in self.entries]
