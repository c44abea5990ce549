"""No listing is forgotten."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from tests.interop.rayo_listings.titles import TITLES

HERE = Path(__file__).parent
TABLE = HERE.parents[2] / "docs" / "conformance" / "xep-0327.md"


def conversations() -> dict[int, str]:
    """In which file each listing is shown; once each."""
    found: dict[int, str] = {}
    for path in HERE.glob("test_*.py"):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for mark in getattr(getattr(module, "test_listing", None), "pytestmark", []):
            if mark.name == "parametrize":
                for number in (one.values[0] for one in mark.args[1]):
                    assert number not in found, f"listing {number} is shown twice"
                    found[number] = path.name
    return found


def documented() -> dict[int, str]:
    """Which file the table of listings names for each."""
    text = TABLE.read_text().split("| Listings |")[1]
    found: dict[int, str] = {}
    for numbers, where in re.findall(r"^\| ([\d, to]+) \| (?:`(test_\w+\.py)`)?", text, re.MULTILINE):
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", numbers):
            for number in range(int(first), int(last or first) + 1):
                assert number not in found, f"listing {number} has two rows"
                found[number] = where
    return found


def test_the_listings_are_those_of_the_text() -> None:
    assert sorted(TITLES) == [*range(1, 95)]
    assert len(set(TITLES.values())) == 94 - 4  # of these there are two each
    assert [number for number in TITLES if list(TITLES.values()).count(TITLES[number]) > 1] == [
        1,
        25,
        26,
        32,
        38,
        71,
        73,
        84,
    ]


def test_each_listing_is_shown_by_one_conversation() -> None:
    assert sorted(conversations()) == sorted(TITLES)


def test_each_listing_has_a_row_that_says_where() -> None:
    assert documented() == conversations()
