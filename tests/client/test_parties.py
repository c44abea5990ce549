"""How programs name what they call and join."""

from __future__ import annotations

import pytest

from focus.client import JID
from focus.client.parties import headers_of, one_party, party_name, uri_of
from focus.wire.rayo import Header


@pytest.mark.parametrize(
    ("party", "uri"),
    [
        ("bob@localhost", "xmpp:bob@localhost"),
        ("bob@localhost/a:b", "xmpp:bob@localhost/a:b"),
        ("bob@localhost/a b", "xmpp:bob@localhost/a%20b"),
        ("xmpp:bob@localhost", "xmpp:bob@localhost"),
        ("tel:+49123", "tel:+49123"),
        (JID("bob", "localhost"), "xmpp:bob@localhost"),
    ],
)
def test_addresses_become_uris_and_uris_stay(party: JID | str, uri: str) -> None:
    assert uri_of(party) == uri
    assert party_name(party, None) == {"call_uri": uri}


def test_headers_keep_their_order_and_may_repeat() -> None:
    pairs = [("b", "1"), ("a", "2"), ("b", "3")]
    assert [(header.name, header.value) for header in headers_of(pairs)] == pairs
    assert headers_of({"a": "1"}) == (Header(name="a", value="1"),)


def test_a_join_has_one_party() -> None:
    assert one_party(None, "tea") == {"mixer_name": "tea"}
    assert party_name(None, None) == {}
    for call, mixer in ((None, None), ("bob@localhost", "tea")):
        with pytest.raises(ValueError, match="a join is with a call or with a mixer"):
            one_party(call, mixer)
