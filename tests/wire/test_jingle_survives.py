"""Any element survives the wire: written as text, read back, it is the same."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from focus.wire.base import Element
from focus.wire.conditions import StanzaError
from focus.wire.dtls import Fingerprint
from focus.wire.ice import Candidate, Transport
from focus.wire.jingle import Content, Group, Jingle, Reason
from focus.wire.jingle_message import BY_TAG
from focus.wire.rtp import Description, HeaderExtension, PayloadType, Source

from .strategies import elements

MODELS: list[type[Element]] = [
    Jingle, Content, Group, Reason, Description, PayloadType, HeaderExtension, Source, Transport, Candidate,
    Fingerprint, *BY_TAG.values(),
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(data=st.data())
def test_any_element_survives_the_wire(model: type[Element], data: st.DataObject) -> None:
    element = data.draw(elements(model))
    assert model.parse(ET.fromstring(element.to_string())) == element
    assert model.parse(element.to_element()) == element


@pytest.mark.parametrize("model", [Jingle, *BY_TAG.values()], ids=lambda model: model.__name__)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(data=st.data())
def test_a_damaged_element_is_read_or_refused(model: type[Element], data: st.DataObject) -> None:
    """One attribute, text or child is lost, doubled or replaced by nonsense."""
    tree = ET.fromstring(data.draw(elements(model)).to_string())
    victim = data.draw(st.sampled_from(list(tree.iter())))
    damage = data.draw(st.sampled_from(["lose", "replace", "double", "empty", "text"]))
    nonsense = data.draw(st.text(st.characters(codec="ascii", min_codepoint=32), max_size=2000))
    if damage == "lose" and victim.attrib:
        del victim.attrib[data.draw(st.sampled_from(sorted(victim.attrib)))]
    elif damage == "replace" and victim.attrib:
        victim.set(data.draw(st.sampled_from(sorted(victim.attrib))), nonsense)
    elif damage == "double":
        victim.extend(list(victim))
    elif damage == "empty":
        for child in list(victim):
            victim.remove(child)
    else:
        victim.text = nonsense
    try:
        element = model.parse(tree)
    except StanzaError:
        return
    assert model.parse(element.to_element()) == element
