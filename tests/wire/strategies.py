"""Any element of a model, made from the model's own declaration."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

from hypothesis import strategies as st
from pydantic import StringConstraints
from pydantic.fields import FieldInfo

from focus.wire.base import Element

#: Whatever XML 1.0 can carry.
CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn"), include_characters="\t\n")


@functools.cache  # what it is made of is looked at once, and not for each example
def elements(model: type[Element], depth: int = 4) -> st.SearchStrategy[Any]:
    """Valid elements of `model`; below `depth` what may be absent is."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        strategy = _values(
            Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation, depth
        )
        fields[name] = strategy
    return st.fixed_dictionaries(fields).map(model.model_validate)


def _values(annotation: Any, depth: int) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _constrained(arguments[0], list(_flat(arguments[1:])), depth)
    if origin in (typing.Union, types.UnionType):
        kinds = [each for each in arguments if each is not type(None)]
        some = st.one_of([_values(each, depth) for each in kinds])
        if len(kinds) == len(arguments):
            return some
        # an empty child element and an absent one read the same
        return st.none() | some.filter(lambda value: value != "")
    if origin is tuple:
        return _constrained(annotation, [], depth)
    if origin is Literal:
        return st.sampled_from(arguments)
    return _constrained(annotation, [], depth)


def _flat(metadata: typing.Iterable[Any]) -> typing.Iterator[Any]:
    for each in metadata:
        if isinstance(each, FieldInfo):
            yield from each.metadata
        else:
            yield each


def _limit(metadata: list[Any], name: str, default: Any) -> Any:
    found = [getattr(each, name, None) for each in metadata]
    return next((each for each in found if each is not None), default)


def _constrained(kind: Any, metadata: list[Any], depth: int) -> st.SearchStrategy[Any]:
    if get_origin(kind) is Annotated:
        return _constrained(get_args(kind)[0], [*metadata, *_flat(get_args(kind)[1:])], depth)
    if get_origin(kind) is tuple:
        most = min(_limit(metadata, "max_length", 3), 3) if depth > 0 else 0
        return st.lists(_values(get_args(kind)[0], depth - 1), max_size=most).map(tuple)
    if get_origin(kind) is not None:
        return _values(kind, depth)
    assert inspect.isclass(kind), kind
    if issubclass(kind, Element):
        return elements(kind, depth - 1)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(_limit(metadata, "ge", -(2**63)), _limit(metadata, "le", 2**63))
    assert kind is str, kind
    pattern = _limit([each for each in metadata if isinstance(each, StringConstraints)], "pattern", None)
    if pattern is not None:
        return st.from_regex(re.compile(pattern.removesuffix("$") + r"\Z", re.ASCII))
    least, most = _limit(metadata, "min_length", 0), _limit(metadata, "max_length", 1000)
    return st.text(CHARACTERS, min_size=least, max_size=min(most, 12))
