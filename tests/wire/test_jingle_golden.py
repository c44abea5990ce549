"""The listings of the Jingle specifications, read and written back."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.wire.base import Element
from focus.wire.dtls import Fingerprint
from focus.wire.ice import Transport
from focus.wire.jingle import Content, Group, Jingle
from focus.wire.jingle_message import BY_TAG
from focus.wire.rtp import Description, PayloadType, Source

GOLDEN = Path(__file__).parents[1] / "golden"
XEPS = ("0166", "0167", "0176", "0181", "0293", "0294", "0320", "0338", "0339", "0353", "0353-v0.4.0")
LISTINGS = sorted(path for xep in XEPS for path in (GOLDEN / f"xep-{xep}").glob("*.xml"))

MODELS: dict[str, type[Element]] = BY_TAG | {
    kind.qualified_tag(): kind
    for kind in (Jingle, Content, Description, PayloadType, Transport, Fingerprint, Group, Source)
}

RTP, ICE = "{urn:xmpp:jingle:apps:rtp:1}", "{urn:xmpp:jingle:transports:ice-udp:1}"
FEEDBACK = "{urn:xmpp:jingle:apps:rtp:rtcp-fb:0}"

#: What is not ours and is dropped, as (parent, child): other applications and transports, SDES, feedback for video,
#: advice.
DROPPED = {
    ("{urn:xmpp:jingle:1}content", "{urn:xmpp:jingle:apps:stub:0}description"),
    ("{urn:xmpp:jingle:1}content", "{urn:xmpp:jingle:transports:stub:0}transport"),
    ("{urn:xmpp:jingle:1}content", "{urn:xmpp:jingle:transports:raw-udp:1}transport"),
    ("{urn:xmpp:jingle:1}content", "{urn:xmpp:jingle:security:stub:0}security"),
    ("{urn:xmpp:jingle:1}content", "{urn:xmpp:jingle:security:xtls:0}security"),
    ("{urn:xmpp:jingle:1}reason", "{urn:xmpp:jingle:apps:rtp:errors:1}invalid-crypto"),
    (f"{RTP}description", f"{RTP}encryption"),
    (f"{RTP}description", f"{RTP}bandwidth"),
    (f"{RTP}description", f"{FEEDBACK}rtcp-fb"),
    (f"{RTP}description", f"{FEEDBACK}rtcp-fb-trr-int"),
    (f"{RTP}payload-type", f"{FEEDBACK}rtcp-fb-trr-int"),
    (f"{RTP}description", "{urn:xmpp:jingle:apps:rtp:rtp-hdrext:0}extmap-allow-mixed"),
    ("{urn:xmpp:jingle:1}content", "{urn:xmpp:jingle:transports:ice-udp:0}transport"),
    ("{urn:xmpp:jingle:1}jingle", "{urn:xmpp:jingle:apps:rtp:1:info}ringing"),  # an older name, in XEP-0166 only
    (f"{ICE}transport", f"{ICE}remote-candidate"),
    (f"{RTP}description", "{urn:xmpp:jingle:apps:rtp:ssma:0}ssrc-group"),
}  # fmt: skip

#: What is written though it was not there, as (attribute, value): the defaults of the specifications.
DEFAULTS = {("senders", "both"), ("creator", "initiator"), ("generation", "0")}


def payloads(tree: ET.Element) -> list[ET.Element]:
    """The elements of ours in a listing, however deep they are wrapped."""
    if tree.tag in MODELS:
        return [tree]
    return [found for child in tree for found in payloads(child)]


def compare(original: ET.Element, written: ET.Element, seen: set[tuple[str, str]]) -> None:
    """Fail unless `written` says all that `original` says, and nothing else; note what was dropped in `seen`."""
    assert written.tag == original.tag
    assert (written.text or "").strip() == (original.text or "").strip()
    assert original.attrib.items() <= written.attrib.items()
    assert written.attrib.items() - original.attrib.items() <= DEFAULTS
    by_tag: dict[str, list[ET.Element]] = {}
    for child in written:
        by_tag.setdefault(child.tag, []).append(child)
    for child in original:
        if (original.tag, child.tag) in DROPPED and not by_tag.get(child.tag):
            seen.add((original.tag, child.tag))
        else:
            compare(child, by_tag[child.tag].pop(0), seen)
    assert not any(by_tag.values())


@pytest.mark.parametrize("path", LISTINGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_listing_is_read_and_written_back(path: Path) -> None:
    found = payloads(ET.parse(path).getroot())
    assert found
    for tree in found:
        element = MODELS[tree.tag].parse(tree)
        written = ET.fromstring(element.to_string())
        compare(tree, written, set())
        assert MODELS[tree.tag].parse(written) == element


def test_each_thing_that_is_dropped_occurs_in_a_listing() -> None:
    seen: set[tuple[str, str]] = set()
    for path in LISTINGS:
        for tree in payloads(ET.parse(path).getroot()):
            compare(tree, MODELS[tree.tag].parse(tree).to_element(), seen)
    assert seen == DROPPED


def test_every_element_occurs_in_a_listing() -> None:
    tags = {element.tag for path in LISTINGS for element in ET.parse(path).getroot().iter()}
    listed_nowhere = {
        "{urn:xmpp:jingle-message:0}accept",  # to be heard from older clients only
        "{urn:xmpp:jingle-message:1}ringing",
        "{urn:xmpp:jingle-message:1}proceed",
    }
    assert {kind.qualified_tag() for kind in MODELS.values()} - tags == listed_nowhere
