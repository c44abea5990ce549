"""What makes a Jingle action malformed, whatever one thinks of its content (XEP-0166 sections 6.3.2 and 7)."""

from __future__ import annotations

from collections.abc import Collection
from xml.etree import ElementTree as ET

from focus.jingle.negotiation import Settled
from focus.wire.base import local_name
from focus.wire.conditions import BadRequest, FeatureNotImplemented, OtherWayAgreed, UnsupportedInfo
from focus.wire.dtmf import KEYS
from focus.wire.jingle import JINGLE, Action, Jingle, foreign_parts, unknown_info

#: Actions that define contents: each with a description and a transport.
_DEFINING = frozenset({Action.SESSION_INITIATE, Action.SESSION_ACCEPT, Action.CONTENT_ADD})

#: Actions about contents that were spoken of before.
_REFERRING = frozenset(
    {
        Action.CONTENT_MODIFY,
        Action.CONTENT_REMOVE,
        Action.DESCRIPTION_INFO,
        Action.TRANSPORT_INFO,
        Action.TRANSPORT_REPLACE,
    }
)

#: Actions that inform of contents (section 6.8).
_INFORMING = frozenset({Action.DESCRIPTION_INFO, Action.TRANSPORT_INFO})


def check(jingle: Jingle, tree: ET.Element, names: Collection[str]) -> None:
    """Raise the `StanzaError` that `jingle`, read from `tree`, is answered with; `names` are the contents known."""
    action = jingle.action
    if action in _DEFINING | _REFERRING and not jingle.contents:
        raise BadRequest(f"{action} without a content")
    if action in _DEFINING:
        for content in tree.iter(f"{{{JINGLE}}}content"):
            parts = {local_name(part.tag) for part in content}
            if missing := {"description", "transport"} - parts:
                raise BadRequest(f"{action}: the content {content.get('name')!r} has no {min(missing)}")
    elif action in _REFERRING:
        for each in jingle.contents:
            if each.name not in names:
                raise BadRequest(f"{action}: there is no content {each.name!r}")
    if action is Action.SESSION_INITIATE:
        dispositions = {content.disposition or "session" for content in jingle.contents}
        if "session" not in dispositions:
            raise BadRequest("no content has the disposition 'session'")
    elif action is Action.SESSION_INFO and unknown_info(tree):
        raise UnsupportedInfo("unknown payload of a session-info")
    elif action in _INFORMING and foreign_parts(tree):
        raise UnsupportedInfo(f"unknown payload of a {action}")
    elif action is Action.SECURITY_INFO:
        raise UnsupportedInfo("there are no security preconditions here")


def check_key(jingle: Jingle, settled: Settled | None) -> None:
    """Raise what a key is answered with that cannot be taken, or that was to come as `settled` (XEP-0181 section 2)."""
    if jingle.action is not Action.SESSION_INFO or jingle.dtmf is None:
        return
    if jingle.dtmf.code not in KEYS:
        raise FeatureNotImplemented(f"{jingle.dtmf.code[:20]!r} is no key of a telephone")
    if settled is not None and settled.telephone_events:
        raise OtherWayAgreed("telephone-event is what keys were agreed to come by")
