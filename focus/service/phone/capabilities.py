"""What a phone says that it is and can do (XEP-0030, XEP-0115)."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from focus.wire.conditions import ItemNotFound
from focus.wire.dtmf import DTMF
from focus.xmpp.discovery import CAPS, DISCO_INFO, INFO_QUERY, verification_string

#: Names our software in caps (XEP-0115 section 4).
NODE = "urn:focus-conference:phone"

FEATURES = (
    CAPS,
    DISCO_INFO,
    "urn:xmpp:jingle:1",
    "urn:xmpp:jingle:apps:dtls:0",
    "urn:xmpp:jingle:apps:rtp:1",
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0",
    "urn:xmpp:jingle:apps:rtp:ssma:0",
    DTMF,
    "urn:xmpp:jingle:transports:ice-udp:1",
    "urn:xmpp:jingle-message:0",
    "urn:xmpp:jingle-message:1",
    "urn:xmpp:ping",
)


class Capabilities:
    """The identity of a phone with `features`, which other clients ask for."""

    def __init__(self, features: Sequence[str]) -> None:
        self._info = _information(features)
        self._version = verification_string(self._info, "sha-1")

    def answer(self, query: ET.Element) -> ET.Element:
        """Raises `ItemNotFound` for a node that is none of ours."""
        node = query.get("node") or None
        if node not in (None, f"{NODE}#{self._version}"):
            raise ItemNotFound(f"there is no node {node!r} here")
        answer = ET.Element(INFO_QUERY, {} if node is None else {"node": node})
        answer.extend(self._info)
        return answer

    def caps(self) -> ET.Element:
        """What goes with presence."""
        return ET.Element(f"{{{CAPS}}}c", {"hash": "sha-1", "node": NODE, "ver": self._version})


def _information(features: Sequence[str]) -> ET.Element:
    query = ET.Element(INFO_QUERY)
    identity = {"category": "client", "type": "console", "name": "focus phone"}
    ET.SubElement(query, f"{{{DISCO_INFO}}}identity", identity)
    for feature in sorted(features):
        ET.SubElement(query, f"{{{DISCO_INFO}}}feature", {"var": feature})
    return query
