"""Repeated elements keep their order, wherever others stand between them."""

from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_xml.element import element as library

from focus.wire import document_order
from focus.wire.rtp import Description

from .test_jingle_golden import GOLDEN

KINDS = {
    "payload-type": "<payload-type xmlns='urn:xmpp:jingle:apps:rtp:1' id='{}'/>",
    "rtp-hdrext": "<rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='{}' uri='urn:x'/>",
    "source": "<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='{}'/>",
    "rtcp-mux": "<rtcp-mux xmlns='urn:xmpp:jingle:apps:rtp:1'/>",
    "other": "<other xmlns='urn:x' id='{}'/>",
}


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=20))
def test_the_order_of_the_document_is_the_order_in_the_model(kinds: list[str]) -> None:
    children = "".join(KINDS[kind].format(number) for number, kind in enumerate(kinds, 1))
    text = f"<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>{children}</description>"
    description = Description.parse(ET.fromstring(text))
    places = {kind: [number for number, each in enumerate(kinds, 1) if each == kind] for kind in KINDS}
    assert [each.id for each in description.payload_types] == places["payload-type"]
    assert [each.id for each in description.header_extensions] == places["rtp-hdrext"]
    assert [each.ssrc for each in description.sources] == places["source"]
    assert (description.rtcp_mux is not None) == bool(places["rtcp-mux"])


def test_the_listing_that_showed_it() -> None:
    tree = ET.parse(GOLDEN / "xep-0294" / "initiator-sends-description-inside-session-initiate.xml").getroot()
    names = [each.uri.rpartition(":")[2] for each in Description.parse(tree).header_extensions]
    assert names == ["toffset", "ntp-64", "ntp-56"]


def test_what_was_just_found_is_found_again_when_looking_behind() -> None:
    elements = [SimpleNamespace(tag=tag) for tag in "abac"]
    state = SimpleNamespace(elements=list(elements), next_element_idx=0)
    assert document_order.search(state, "a") is elements[0]
    assert document_order.search(state, "a", look_behind=True) is elements[0]
    assert document_order.search(state, "a", step_forward=False) is elements[2]
    assert document_order.search(state, "c", look_behind=True) is elements[3]
    assert document_order.search(state, "d") is None


def test_a_library_that_searches_in_another_way_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "unordered_search", lambda state, tag: None)
    with pytest.raises(ImportError, match="pydantic_xml"):
        document_order.install()
    monkeypatch.delattr(library, "unordered_search")
    with pytest.raises(ImportError, match="pydantic_xml"):
        document_order.install()
