"""libspandsp as it is installed: what is declared is there, and what is missing is named with what helps."""

from __future__ import annotations

import pytest

from focus.engines.spandsp.library import LibraryMissing, load, load_from

TONES = "enum { CALLING_TONE = 9 }; const char *modem_connect_tone_to_str(int tone);"


def test_each_brings_the_declarations_of_what_it_calls() -> None:
    tones, silence = load(TONES), load("int silence_gen_generated(void *state);")
    assert b"Calling tone" in tones.ffi.string(tones.lib.modem_connect_tone_to_str(tones.lib.CALLING_TONE))
    assert silence.lib.silence_gen_generated
    assert silence is not tones


def test_what_is_declared_once_is_loaded_once() -> None:
    assert load(TONES) is load(TONES)


def test_a_library_that_is_not_there_is_named_with_the_package_that_has_it() -> None:
    with pytest.raises(LibraryMissing, match=r"libno-such\.so cannot be loaded .*; .* package libspandsp2"):
        load_from("libno-such.so", TONES)


def test_another_version_is_known_by_what_it_has_not() -> None:
    with pytest.raises(LibraryMissing, match=r"another version than 0\.0\.6: it has no t30_of_the_future"):
        load(TONES + "int t30_of_the_future(void);")
