"""Addresses: splitting, joining and XEP-0106 escaping. The server has prepared them; here they are only taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

#: What an `xmpp:` URI has to spell in percents.
_NOT_IN_URI = re.compile(r"""[\x00-\x20"#%<>?\[\\\]^`{|}\x7f]""")

_ESCAPES = {
    " ": "\\20",
    '"': "\\22",
    "&": "\\26",
    "'": "\\27",
    "/": "\\2f",
    ":": "\\3a",
    "<": "\\3c",
    ">": "\\3e",
    "@": "\\40",
}
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()} | {"\\5c": "\\"}


@dataclass(frozen=True, slots=True)
class JID:
    """`local@domain/resource`; local and resource may be empty."""

    local: str
    domain: str
    resource: str = ""

    @classmethod
    def parse(cls, text: str) -> JID:
        """Raises ValueError where there is no domain, or a part has more than 1023 bytes (RFC 7622 section 3.1)."""
        bare, _, resource = text.partition("/")
        local, at, domain = bare.rpartition("@")
        jid = cls(local, domain, resource)
        if not domain or (at and not local) or (text.endswith("/") and not resource):
            raise ValueError(f"not a JID: {text[:80]!r}")
        if any(len(part.encode()) > 1023 for part in (local, domain, resource)):
            raise ValueError("a part of the JID is longer than 1023 bytes")
        return jid

    @property
    def bare(self) -> JID:
        return JID(self.local, self.domain)

    def is_of(self, account: JID) -> bool:
        """Whether this is `account`, a bare JID, or one of its full JIDs."""
        return self.local == account.local and self.domain == account.domain

    def with_resource(self, resource: str) -> JID:
        return JID(self.local, self.domain, resource)

    @property
    def uri(self) -> str:
        """As an `xmpp:` URI (RFC 5122 section 2.3, letters beyond ASCII as they are): how Rayo and RFC 4575 name
        entities."""
        return "xmpp:" + _NOT_IN_URI.sub(lambda found: f"%{ord(found[0]):02X}", str(self))

    @classmethod
    def from_uri(cls, uri: str) -> JID:
        """Raises ValueError for anything but an `xmpp:` URI of one entity (or a plain JID)."""
        scheme, colon, rest = uri.partition(":")
        if colon and scheme.lower() == "xmpp":
            return cls.parse(unquote(re.split("[?#]", rest, maxsplit=1)[0], errors="strict"))
        if colon and "@" not in scheme and "." not in scheme and "/" not in scheme:
            raise ValueError(f"not an xmpp: URI: {uri[:80]!r}")
        return cls.parse(uri)

    def __str__(self) -> str:
        text = f"{self.local}@{self.domain}" if self.local else self.domain
        return f"{text}/{self.resource}" if self.resource else text


def escape_node(text: str) -> str:
    """`text` as the local part of a JID (XEP-0106 section 4)."""
    escaped = []
    for position, character in enumerate(text):
        if character == "\\" and text[position : position + 3] in _UNESCAPES:
            escaped.append("\\5c")
        else:
            escaped.append(_ESCAPES.get(character, character))
    return "".join(escaped)


def unescape_node(node: str) -> str:
    """What `escape_node` had been given (XEP-0106 section 4)."""
    plain, position = [], 0
    while position < len(node):
        sequence = node[position : position + 3]
        plain.append(_UNESCAPES.get(sequence, node[position]))
        position += 3 if sequence in _UNESCAPES else 1
    return "".join(plain)
