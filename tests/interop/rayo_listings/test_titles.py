"""No listing is forgotten."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.interop.rayo_listings.titles import TITLES


def test_each_listing_is_shown_by_one_conversation() -> None:
    found: list[int] = []
    for path in Path(__file__).parent.glob("test_*.py"):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for mark in getattr(getattr(module, "test_listing", None), "pytestmark", []):
            if mark.name == "parametrize":
                found += [one.values[0] for one in mark.args[1]]
    assert sorted(found) == sorted(TITLES) == [*range(1, 45), *range(79, 95)]
