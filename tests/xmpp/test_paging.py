"""Lists in pages (XEP-0059)."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.wire.base import serialize
from focus.wire.conditions import StanzaError
from focus.xmpp.paging import MAX_PAGE, RSM, SET, add_page

NAMES = st.lists(st.text("abc", min_size=1, max_size=3), unique=True, max_size=12).map(sorted)


def page(uids: list[str], asked: str | None = None, *, name: str = "") -> tuple[list[str], dict[str, str], ET.Element]:
    """The items, what is told about them, and the whole answer."""
    answer = ET.Element("answer")
    request = None if asked is None else ET.fromstring(f"<set xmlns='{RSM}'>{asked}</set>")
    add_page(answer, uids, lambda index: ET.Element("item", {"uid": uids[index], "name": name}), request)
    about = answer.find(SET)
    told = {} if about is None else {child.tag.removeprefix(f"{{{RSM}}}"): child.text or "" for child in about}
    return [item.get("uid", "") for item in answer.findall("item")], told, answer


def test_a_short_list_is_told_whole_and_without_a_word_about_pages() -> None:
    assert page(["a", "b"])[:2] == (["a", "b"], {})
    assert page([])[:2] == ([], {})


def test_who_asks_for_pages_is_told_what_they_are_of() -> None:
    uids = list("abcde")
    found, told, answer = page(uids, "<max>2</max><after>b</after>")
    assert (found, told) == (["c", "d"], {"first": "c", "last": "d", "count": "5"})
    first = answer.find(f"{SET}/{{{RSM}}}first")
    assert first is not None
    assert first.get("index") == "2"
    assert page(uids, "")[:2] == (uids, {"first": "a", "last": "e", "count": "5"})
    assert page(uids, "<max>0</max>")[:2] == ([], {"count": "5"})
    assert page(uids, "<max>2</max><before/>")[0] == ["d", "e"]
    assert page(uids, "<max>2</max><before>d</before>")[0] == ["b", "c"]
    assert page(uids, "<after>e</after>")[:2] == ([], {"count": "5"})
    assert page(uids, "<after>d</after><before>b</before>")[0] == []


def test_what_comes_after_something_that_has_gone_is_found() -> None:
    assert page(list("abde"), "<after>c</after>")[0] == ["d", "e"]
    assert page(list("abde"), "<before>c</before>")[0] == ["a", "b"]


@given(NAMES, st.integers(1, 5))
def test_pages_add_up_to_the_list(uids: list[str], number: int) -> None:
    forwards: list[str] = []
    limit = f"<max>{number}</max>"
    found = page(uids, limit)[0]
    while found:
        forwards += found
        found = page(uids, f"{limit}<after>{found[-1]}</after>")[0]
    backwards: list[str] = []
    found = page(uids, f"{limit}<before/>")[0]
    while found:
        backwards = found + backwards
        found = page(uids, f"{limit}<before>{found[0]}</before>")[0]
    assert forwards == backwards == uids


@pytest.mark.parametrize("asked", [None, "", "<max>100000</max>", "<before/>"])
def test_a_page_is_never_too_long_for_a_stanza(asked: str | None) -> None:
    uids = [f"{number:05}" for number in range(3000)]
    found, told, answer = page(uids, asked, name="'" * 3000)
    assert 0 < len(found) < len(uids)
    assert len(serialize(answer).encode()) < 2 * MAX_PAGE
    assert told == {"first": found[0], "last": found[-1], "count": "3000"}


@pytest.mark.parametrize(
    ("asked", "condition"),
    [
        ("<max>many</max>", "bad-request"),
        ("<max>-1</max>", "bad-request"),
        ("<max/>", "bad-request"),
        ("<max>1</max><index>7</index>", "feature-not-implemented"),
    ],
)
def test_what_cannot_be_asked_for(asked: str, condition: str) -> None:
    with pytest.raises(StanzaError) as caught:
        page(["a"], asked)
    assert (caught.value.condition, caught.value.type) == (condition, "modify")
