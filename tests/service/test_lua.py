"""Lua strings."""

from __future__ import annotations

from focus.service.lua import quoted


def test_a_lua_string_can_hold_anything() -> None:
    assert quoted('a"b\\c\n]]é') == '"a\\034b\\092c\\010]]\\195\\169"'
