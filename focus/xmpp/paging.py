"""Lists that do not fit a stanza are told in pages (XEP-0059)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from focus.wire.base import local_name, serialize
from focus.wire.conditions import BadRequest, OptionNotSupported

RSM: Final = "http://jabber.org/protocol/rsm"
SET: Final = f"{{{RSM}}}set"

#: Bytes of a page, but for its last item: servers let others send less than ours lets us.
MAX_PAGE = 64 * 1024


def add_page(
    answer: ET.Element,
    uids: Sequence[str],
    make: Callable[[int], ET.Element],
    request: ET.Element | None,
) -> None:
    """Append to `answer` the items that `request` (a `<set/>`) asks for, or the first ones, as many as fit.

    `uids` names all items, in ascending order, so that a page is known by what is before it even when that has gone
    meanwhile; `make` makes the item of an index. The `<set/>` that tells what this is a page of is there where it was
    asked for, and where it is not everything. Raises `StanzaError`.
    """
    asked = _Asked(request)
    first = bisect_right(uids, asked.after) if asked.after is not None else 0
    end = bisect_left(uids, asked.before) if asked.before else len(uids)
    wanted = range(first, max(first, end))
    items: list[ET.Element] = []
    size = 0
    for index in reversed(wanted) if asked.before is not None else wanted:
        if len(items) == asked.max or size >= MAX_PAGE:
            break
        items.append(make(index))
        size += len(serialize(items[-1]).encode())
    if asked.before is not None:
        items.reverse()
        first = wanted.stop - len(items)
    answer.extend(items)
    if request is not None or len(items) < len(uids):
        answer.append(_set(uids, first, len(items)))


def _set(uids: Sequence[str], first: int, number: int) -> ET.Element:
    told = ET.Element(SET)
    if number:
        ET.SubElement(told, f"{{{RSM}}}first", {"index": str(first)}).text = uids[first]
        ET.SubElement(told, f"{{{RSM}}}last").text = uids[first + number - 1]
    ET.SubElement(told, f"{{{RSM}}}count").text = str(len(uids))
    return told


class _Asked:
    """What a `<set/>` asks for; an empty `before` is the last page (XEP-0059 section 2.5)."""

    def __init__(self, request: ET.Element | None) -> None:
        said = {local_name(child.tag): child.text or "" for child in request} if request is not None else {}
        if "index" in said:
            raise OptionNotSupported("pages are found by what is before or after them, not by their index")
        self.max = _number(said["max"]) if "max" in said else None
        self.after = said.get("after")
        self.before = said.get("before")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise BadRequest(f"<max/> is not a number of items: {text[:20]!r}")
    return int(text)
