"""COMPAT (pydantic-xml): its "unordered" search swaps elements, and so loses the order of repeated ones.

Order has a meaning: the first payload type is the preferred one (XEP-0167 section 4). Here the search moves what it
finds instead. Installed when `focus.wire` is imported; an ImportError says that the library is no longer what it was.
"""

from __future__ import annotations

import inspect
from typing import Any

from pydantic_xml.element import element as library

_PARAMETERS = ["state", "tag", "look_behind", "step_forward"]


def search(state: Any, tag: str, look_behind: bool = False, step_forward: bool = True) -> Any:
    """The next child of `state` that is a `tag`, taken out of its place and put before those that were not read yet."""
    elements, start = state.elements, state.next_element_idx
    if look_behind and start and elements[start - 1].tag == tag:
        return elements[start - 1]
    for index in range(start, len(elements)):
        if elements[index].tag == tag:
            elements.insert(start, elements.pop(index))
            state.next_element_idx += step_forward
            return elements[start]
    return None


def install() -> None:
    found = getattr(library, "unordered_search", None)
    if found is not search and (found is None or list(inspect.signature(found).parameters) != _PARAMETERS):
        raise ImportError("pydantic_xml searches in another way than focus.wire.document_order knows")
    library.unordered_search = search


install()
