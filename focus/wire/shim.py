"""Headers of stanzas (XEP-0131, SHIM): what Rayo's headers are to Jingle (XEP-0327 sections 6.2.1 and 6.7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Self

from pydantic import field_validator
from pydantic_xml import attr, element

from focus.wire.base import Element, Name, Token

SHIM: Final = "http://jabber.org/protocol/shim"

#: How many headers are handed on.
MAX_HEADERS = 64


class ShimHeader(Element, tag="header", ns="", nsmap={"": SHIM}):
    name: Name = attr()
    value: Token = ""


class Shim(Element, tag="headers", ns="", nsmap={"": SHIM}):
    """Names and values, in order; names may be there several times.

    Of more than `MAX_HEADERS` the first are taken: a peer's call, or its end, does not fail for what it says besides.
    """

    entries: tuple[ShimHeader, ...] = element(tag="header", default=())

    @field_validator("entries", mode="before")
    @classmethod
    def _first(cls, entries: Sequence[object]) -> Sequence[object]:
        return entries[:MAX_HEADERS]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self | None:
        """None where there are no `pairs` of name and value."""
        entries = tuple(ShimHeader(name=name, value=value) for name, value in pairs)
        return cls(entries=entries) if entries else None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(each.name, each.value) for each in self.entries]
