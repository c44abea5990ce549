"""Messages that archives keep (XEP-0334), with words for those whose clients do not know what they carry."""

from __future__ import annotations

from secrets import token_hex
from typing import Literal
from xml.etree import ElementTree as ET

from focus.wire.jid import JID
from focus.wire.jingle_message import HINTS
from focus.wire.stanzas import CLIENT, MESSAGE, stanza


def kept_message(
    sender: JID,
    to: JID,
    type: Literal["chat", "groupchat"],
    *payload: ET.Element,
    body: str | None = None,
    id: str | None = None,
) -> ET.Element:
    """A message with `payload`, and `body` in words; without an `id` it has one that nobody need know."""
    words = None
    if body is not None:
        words = ET.Element(f"{{{CLIENT}}}body")
        words.text = body
    hint = ET.Element(f"{{{HINTS}}}store")
    return stanza(MESSAGE, sender, to, type, words, *payload, hint, id=id or token_hex(8))
