"""Parts of JIDs as servers write them."""

import stringprep

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from slixmpp import JID as PreparedJID
from slixmpp import InvalidJID

from focus.wire.nodeprep import prepared, prepared_domain


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("myMixer", "mymixer"),
        ("Straße", "strasse"),
        ("\u03a3x\u03a3", "\u03c3x\u03c3"),
        ("Ⅳ", "iv"),
        ("e\u0301", "é"),
        ("soft\u00adly", "softly"),
        ("🎉", "🎉"),  # newer than the tables
        ("\u10a0", "\u10a0"),  # has a small letter since
    ],
)
def test_there_is_one_form_to_compare(text: str, local: str) -> None:
    assert prepared(text) == local


@pytest.mark.parametrize(
    "text", ["", "\u00ad", "a b", "a\u00a0b", "a/b", "a@b", "a\uff20b", "x\ue000", "אa", "א1", "a" * 1024]
)
def test_some_texts_are_no_local_parts(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        prepared(text)


#: Whose normal form Unicode has changed (corrigendum 4), which some follow.
CORRECTED = "\U0002f868\U0002f874\U0002f91f\U0002f95f\U0002f9bf"


@given(st.text(min_size=1, max_size=8))
@example("ª﷽")
def test_it_is_what_another_implementation_makes_of_it(text: str) -> None:
    assume(not any(map(stringprep.in_table_a1, text)))  # the other one wants nothing newer
    assume(not {"/", *CORRECTED} & set(text))
    try:
        expected = PreparedJID(f"{text}@example.org").node
    except InvalidJID:
        with pytest.raises(ValueError, match=r"\S"):
            prepared(text)
    else:
        assert prepared(text) == expected
        assert prepared(expected) == expected


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("Straße.example", "strasse.example"),
        ("BÜCHER.example", "bücher.example"),
        ("focus_1.localhost", "focus_1.localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
    ],
)
def test_domains_have_one_form_too(text: str, domain: str) -> None:
    assert prepared_domain(text) == prepared_domain(domain) == domain
    if not domain.startswith("["):
        assert PreparedJID(text).domain == domain


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", ".a", "a b", "a\u00a0b", "a@b", "a/b", "a:5222", "[a]", "-a", "a-.b", "אa"]
)
def test_some_texts_are_no_domains(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        prepared_domain(text)
