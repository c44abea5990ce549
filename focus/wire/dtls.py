"""Use of DTLS-SRTP in Jingle sessions (XEP-0320)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints
from pydantic_xml import attr

from focus.wire.base import Element, Token

DTLS = "urn:xmpp:jingle:apps:dtls:0"

Setup = Literal["active", "passive", "actpass", "holdconn"]
HexDigest = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){15,63}$")
]


class Fingerprint(Element, tag="fingerprint", ns="", nsmap={"": DTLS}):
    """The hash of the certificate that a side will show, and who opens the handshake (XEP-0320 section 2)."""

    hash: Token = attr()
    setup: Setup | None = attr(default=None)
    required: bool | None = attr(default=None)
    value: HexDigest
