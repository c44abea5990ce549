"""Our own extension: how a call is carried."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from focus.wire.conditions import StanzaError
from focus.wire.session import SESSION, Move, Session, Watch

from .strategies import elements


@given(elements(Session))
def test_any_session_survives_the_wire(session: Session) -> None:
    assert Session.parse(ET.fromstring(session.to_string())) == session


def test_a_watch_is_empty() -> None:
    move = f'<move xmlns="{SESSION}" call-uri="xmpp:id@focus.example.org"/>'
    assert Move(call_uri="xmpp:id@focus.example.org").to_string() == move
    assert Watch().to_string() == f'<watch xmlns="{SESSION}"/>'
    with pytest.raises(StanzaError):
        Watch.parse(ET.fromstring(f"<watch xmlns='{SESSION}' closely='true'/>"))
