"""The grammars that are always there: `builtin:dtmf/TYPE?PARAMETER=VALUE;...` (VoiceXML 2.0, appendix P).

| type | keys | meaning |
|---|---|---|
| `boolean` | 1 for yes, 2 for no; `y` and `n` say other keys | `true` or `false` |
| `digits` | digits, as many as `minlength`, `maxlength` or `length` say | `1234` |
| `number` | digits, `*` for the decimal point | `12.5` |
| `currency` | digits, `*` for the decimal point, one or two digits | `12.50` |
| `phone` | digits, `*` before an extension | `5551234x22` |
| `date` | year, month and day, eight digits, of a day that there is (29 February in each year) | `20261121` |
| `time` | hour and minute, four digits, of 24 hours | `1830h` |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote

from focus.engines.grammar.expansions import Document, Expansion, Mode, OneOf, Repeat, Rule, Series, Words
from focus.engines.grammar.limits import MAX_TOKENS
from focus.engines.grammar.tokens import keys
from focus.engines.markup import DocumentError, Place

Value = Callable[[Sequence[str]], str]
Parameters = Mapping[str, str]

_DIGIT = OneOf(tuple(Words((digit,)) for digit in "0123456789"))
_POINT = Words(("*",))


def document(uri: str, place: Place) -> Document:
    """The grammar that a `builtin:` URI means; `place` is where it is referred to. Raises `DocumentError`."""
    found = re.fullmatch(r"builtin:dtmf/([a-z]+)(?:\?(.*))?", uri)
    if found is None or found[1] not in _TYPES:
        known = ", ".join(_TYPES)
        raise DocumentError(f"{uri[:80]!r}: there is no such grammar (builtin:dtmf/ and one of {known})", place)
    make, allowed = _TYPES[found[1]]
    try:
        expansion, value = make(_parameters(found[2] or "", allowed))
    except ValueError as error:
        raise DocumentError(f"{uri[:80]!r}: {error}", place) from None
    rule = Rule(found[1], True, expansion, place, value)
    return Document(uri, uri, Mode.DTMF, None, rule.id, {rule.id: rule}, (), True, place)


def _parameters(query: str, allowed: frozenset[str]) -> Parameters:
    parameters: dict[str, str] = {}
    for part in filter(None, re.split("[;&]", query)):
        name, _, value = part.partition("=")
        if name not in allowed:
            raise ValueError(f"has no parameter {name[:40]!r}")
        if name in parameters:
            raise ValueError(f"{name} is there twice")
        parameters[name] = unquote(value)
    return parameters


def _joined(tokens: Sequence[str]) -> str:
    return "".join(tokens)


def _boolean(parameters: Parameters) -> tuple[Expansion, Value]:
    yes, no = keys(parameters.get("y", "1")), keys(parameters.get("n", "2"))
    if len(yes) != 1 or len(no) != 1:
        raise ValueError("y and n must each be one key")
    if yes == no:
        raise ValueError("y and n must be different keys")
    return OneOf((Words(tuple(yes)), Words(tuple(no)))), lambda tokens: "true" if list(tokens) == yes else "false"


def _digits(parameters: Parameters) -> tuple[Expansion, Value]:
    length = {name: _length(name, value) for name, value in parameters.items()}
    if "length" in length and len(length) > 1:
        raise ValueError("length does not go with minlength or maxlength")
    least = length.get("length", length.get("minlength", 1))
    most = length.get("length", length.get("maxlength"))
    if most is not None and most < least:
        raise ValueError("maxlength is less than minlength")
    return Repeat(_DIGIT, least, most), _joined


def _length(name: str, value: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", value) or not 1 <= int(value) <= MAX_TOKENS:
        raise ValueError(f"{name} must be a number from 1 to {MAX_TOKENS}")
    return int(value)


def _number(parameters: Parameters) -> tuple[Expansion, Value]:
    some = Repeat(_DIGIT, 1, None)
    whole = Series((some, Repeat(Series((_POINT, some)), 0, 1)))
    return OneOf((whole, Series((_POINT, some)))), _decimal


def _decimal(tokens: Sequence[str]) -> str:
    whole, point, fraction = "".join(tokens).partition("*")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{fraction}" if point else whole


def _currency(parameters: Parameters) -> tuple[Expansion, Value]:
    cents = Series((_POINT, Repeat(_DIGIT, 1, 2)))
    return OneOf((Series((Repeat(_DIGIT, 1, None), Repeat(cents, 0, 1))), cents)), _amount


def _amount(tokens: Sequence[str]) -> str:
    whole, _, cents = "".join(tokens).partition("*")
    return f"{whole.lstrip('0') or '0'}.{cents:0<2}"


def _phone(parameters: Parameters) -> tuple[Expansion, Value]:
    some = Repeat(_DIGIT, 1, None)
    return Series((some, Repeat(Series((_POINT, some)), 0, 1))), lambda tokens: "".join(tokens).replace("*", "x")


def _date(parameters: Parameters) -> tuple[Expansion, Value]:
    long = OneOf(tuple(_two(month) for month in (1, 3, 5, 7, 8, 10, 12)))
    short = OneOf(tuple(_two(month) for month in (4, 6, 9, 11)))
    days = (
        Series((long, _between(1, 31))),
        Series((short, _between(1, 30))),
        Series((_two(2), _between(1, 29))),
    )
    return Series((Repeat(_DIGIT, 4, 4), OneOf(days))), _joined


def _time(parameters: Parameters) -> tuple[Expansion, Value]:
    return Series((_between(0, 23), _between(0, 59))), lambda tokens: "".join(tokens) + "h"


def _two(number: int) -> Words:
    return Words(tuple(f"{number:02}"))


def _between(first: int, last: int) -> Expansion:
    return OneOf(tuple(_two(number) for number in range(first, last + 1)))


_TYPES: dict[str, tuple[Callable[[Parameters], tuple[Expansion, Value]], frozenset[str]]] = {
    "boolean": (_boolean, frozenset({"y", "n"})),
    "digits": (_digits, frozenset({"minlength", "maxlength", "length"})),
    "number": (_number, frozenset()),
    "currency": (_currency, frozenset()),
    "phone": (_phone, frozenset()),
    "date": (_date, frozenset()),
    "time": (_time, frozenset()),
}
