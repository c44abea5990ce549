"""What a grammar is made of: rules and rule expansions (SRGS 1.0, sections 2 and 3), whoever wrote them down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from focus.engines.markup import Place


class Mode(Enum):
    """What the tokens of a grammar are: words, or keys of a telephone."""

    DTMF = "dtmf"
    VOICE = "voice"


@dataclass(frozen=True, slots=True)
class Words:
    """Tokens, one after another, normalised."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """Expansions, one after another; none of them is what NULL is."""

    parts: tuple[Expansion, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Alternatives, and their weights if any of them has one."""

    alternatives: tuple[Expansion, ...]
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """`what`, at least so often and at most so often (None: as often as one likes); `probability` of once more."""

    what: Expansion
    least: int
    most: int | None
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class RuleRef:
    """Another rule: "#id", or a URI with or without it."""

    uri: str
    place: Place


class Special(Enum):
    """Matches nothing spoken; matches never; matches anything."""

    NULL = "NULL"
    VOID = "VOID"
    GARBAGE = "GARBAGE"


@dataclass(frozen=True, slots=True)
class Tag:
    """A string literal (SISR 1.0)."""

    literal: str


Expansion = Words | Series | OneOf | Repeat | RuleRef | Special | Tag


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; `value`, where there is one, says what its tokens mean, in place of tags."""

    id: str
    is_public: bool
    expansion: Expansion
    place: Place
    value: Callable[[Sequence[str]], str] | None = None


@dataclass(frozen=True)
class Document:
    """One grammar document. `references` are those to other documents, resolved. `remarks` are for who wrote it."""

    uri: str
    base: str
    mode: Mode
    language: str | None
    root: str | None
    rules: Mapping[str, Rule]
    references: tuple[RuleRef, ...]
    has_values: bool
    place: Place
    remarks: tuple[str, ...] = ()
