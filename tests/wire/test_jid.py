"""Addresses: taken apart, put together, escaped (XEP-0106), and as URIs (RFC 5122)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.wire.jid import JID, escape_node, unescape_node

PARTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
LOCALS = PARTS.filter(lambda text: not set(text) & set("@/"))
DOMAINS = st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5})?", fullmatch=True)
JIDS = st.builds(JID, st.one_of(st.just(""), LOCALS), DOMAINS, st.one_of(st.just(""), PARTS))


@given(JIDS)
def test_a_jid_is_read_as_it_was_written(jid: JID) -> None:
    assert JID.parse(str(jid)) == jid


@given(JIDS)
def test_a_jid_survives_its_uri(jid: JID) -> None:
    assert JID.from_uri(jid.uri) == jid
    assert JID.from_uri(f"{jid.uri}?join") == jid


@pytest.mark.parametrize("text", ["", "@", "a@", "@b", "/c", "a@b/", "a@/c", f"{'a' * 1024}@b", f"a@b/{'c' * 1024}"])
def test_what_is_no_jid(text: str) -> None:
    with pytest.raises(ValueError, match="JID"):
        JID.parse(text)


@pytest.mark.parametrize(
    "uri", ["tel:+13055195825", "sip:a@b.example", "foo:bar", "xmpp:", "xmpp:?join", "xmpp:%FF@b.example", ":", ""]
)
def test_what_is_no_uri_of_ours(uri: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some come of the decoder
        JID.from_uri(uri)


def test_a_uri_spells_what_a_uri_cannot_carry() -> None:
    """The example of RFC 5122 section 2.3 (of a local part that XEP-0106 has no part in)."""
    jid = JID("nasty!#$%()*+,-.;=?[\\]^_`{|}~node", "example.com")
    assert jid.uri == "xmpp:nasty!%23$%25()*+,-.;=%3F%5B%5C%5D%5E_%60%7B%7C%7D~node@example.com"


@given(PARTS)
def test_a_name_survives_escaping(text: str) -> None:
    assert unescape_node(escape_node(text)) == text
    assert not set(escape_node(text)) & set(" \"&'/:<>@")


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        ("space cadet", "space\\20cadet"),
        ('call me "ishmael"', "call\\20me\\20\\22ishmael\\22"),
        ("at&t guy", "at\\26t\\20guy"),
        ("d'artagnan", "d\\27artagnan"),
        ("/.fanboy", "\\2f.fanboy"),
        ("::foo::", "\\3a\\3afoo\\3a\\3a"),
        ("<foo>", "\\3cfoo\\3e"),
        ("user@host", "user\\40host"),
        ("c:\\net", "c\\3a\\net"),
        ("c:\\cool stuff", "c\\3a\\cool\\20stuff"),
        ("c:\\5commas", "c\\3a\\5c5commas"),
    ],
)
def test_the_examples_of_xep_0106(plain: str, escaped: str) -> None:
    assert escape_node(plain) == escaped
    assert unescape_node(escaped) == plain


@pytest.mark.parametrize(
    ("text", "is_of"),
    [("a@b", True), ("a@b/c", True), ("x@b/c", False), ("a@x/c", False), ("b", False), ("b/c", False)],
)
def test_whose_address_it_is(text: str, is_of: bool) -> None:
    assert JID.parse(text).is_of(JID("a", "b")) is is_of
    assert is_of is (JID.parse(text).bare == JID("a", "b"))
