"""The mark of a focus (XEP-0298 section 5) and the names under which clients say that they read conference-info."""

from __future__ import annotations

from pydantic_xml import attr

from focus.wire.base import Element

COIN = "urn:xmpp:coin:1"

#: Disco features seen in the field: the XEP's, Jitsi's and SylkServer's, Dino's.
COIN_FEATURES = frozenset({COIN, "urn:xmpp:coin", "urn:xmpp:jingle:coin:1"})


class FocusMark(Element, tag="conference-info", ns="", nsmap={"": COIN}):
    """`<conference-info isfocus='true'/>` in a Jingle action: who sends this mixes a conference."""

    isfocus: bool = attr()
