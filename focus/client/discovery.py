"""What a Rayo client says of itself (XEP-0030, XEP-0115), and what it finds out about a service (and XEP-0012)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree as ET

from focus.wire.conditions import ItemNotFound
from focus.wire.jid import JID
from focus.wire.rayo import JoinDirection

DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"
RSM: Final = "http://jabber.org/protocol/rsm"
CAPS: Final = "http://jabber.org/protocol/caps"

INFO_QUERY: Final = f"{{{DISCO_INFO}}}query"
ITEMS_QUERY: Final = f"{{{DISCO_ITEMS}}}query"
PING_QUERY: Final = "{urn:xmpp:ping}ping"
LAST: Final = "jabber:iq:last"
LAST_QUERY: Final = f"{{{LAST}}}query"

#: The nodes of Rayo's clients, calls and mixers (XEP-0327 section 8), which are features, too.
CLIENT_NODE: Final = "urn:xmpp:rayo:client:1"
CALL_NODE: Final = "urn:xmpp:rayo:call:1"
MIXER_NODE: Final = "urn:xmpp:rayo:mixer:1"
#: Of the form in which focus says how far a call has come (XEP-0128).
CALL_FORM: Final = "urn:focus-conference:call"
#: Of the form in which it says what is joined one way only.
JOINS_FORM: Final = "urn:focus-conference:joins"

_FIELD = "{jabber:x:data}field"
_VALUE = "{jabber:x:data}value"

_IDENTITY = {"category": "client", "type": "bot", "name": "Rayo client"}
_FEATURES = sorted((CAPS, DISCO_INFO, "urn:xmpp:ping", CLIENT_NODE))


def _verification_string() -> str:
    """XEP-0115 section 5.1, of what never changes."""
    text = "".join(f"{part}<" for part in ("{category}/{type}//{name}".format(**_IDENTITY), *_FEATURES))
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()


VERSION: Final = _verification_string()


def caps() -> ET.Element:
    """For the presence that registers the client (XEP-0327 section 6.1)."""
    return ET.Element(f"{{{CAPS}}}c", {"hash": "sha-1", "node": CLIENT_NODE, "ver": VERSION})


def information(query: ET.Element) -> ET.Element:
    """The answer to a disco#info `query` to the client. Raises `ItemNotFound`."""
    node = query.get("node")
    if node not in (None, f"{CLIENT_NODE}#{VERSION}"):
        raise ItemNotFound(f"there is no node {node!r} here")
    answer = ET.Element(INFO_QUERY, {} if node is None else {"node": node})
    ET.SubElement(answer, f"{{{DISCO_INFO}}}identity", _IDENTITY)
    for feature in _FEATURES:
        ET.SubElement(answer, f"{{{DISCO_INFO}}}feature", {"var": feature})
    return answer


def features(result: ET.Element) -> set[str]:
    """Those that a disco#info result names."""
    return {feature.get("var", "") for feature in result.iterfind(f"{INFO_QUERY}/{{{DISCO_INFO}}}feature")}


@dataclass(frozen=True)
class About:
    """What the service tells of a call or mixer; what it does not tell, and all of what it does not let us know, is
    empty."""

    #: How far a call has come: `offered` or `accepted` (it came in), `dialled` or `ringing` (it was made), then
    #: `answered` and `ending`.
    state: str = ""
    #: What the peer of a call is called in the room that it is in.
    nick: str = ""
    #: The URIs of those whom it only sends to (`send`), or only hears (`recv`); the others that it is joined with are
    #: not in it.
    directions: Mapping[str, JoinDirection] = field(default_factory=dict)


def about(result: ET.Element) -> About:
    """What a disco#info result says."""
    of_call, of_joins = _form(result, CALL_FORM), _form(result, JOINS_FORM)
    ways: tuple[JoinDirection, ...] = ("send", "recv")
    return About(
        state=next(iter(of_call.get("state", [])), ""),
        nick=next(iter(of_call.get("nick", [])), ""),
        directions={uri: way for way in ways for uri in of_joins.get(way, [])},
    )


def _form(result: ET.Element, name: str) -> dict[str, list[str]]:
    for form in result.iterfind(f"{INFO_QUERY}/{{jabber:x:data}}x"):
        said = {
            field.get("var", ""): [value.text or "" for value in field.iterfind(_VALUE)]
            for field in form.iterfind(_FIELD)
        }
        if said.get("FORM_TYPE") == [name]:
            return said
    return {}


def seconds(result: ET.Element) -> int | None:
    """For how long the service has been there (XEP-0012 section 5); None where it does not tell."""
    query = result.find(LAST_QUERY)
    text = query.get("seconds", "") if query is not None else ""
    return int(text) if re.fullmatch("[0-9]{1,12}", text) else None


def items_query(node: str | None, after: str | None = None) -> ET.Element:
    """For the items of a node, or of the address itself; the page `after` what `last` has found (XEP-0059)."""
    query = ET.Element(ITEMS_QUERY, {} if node is None else {"node": node})
    if after is not None:
        ET.SubElement(ET.SubElement(query, f"{{{RSM}}}set"), f"{{{RSM}}}after").text = after
    return query


def last(result: ET.Element) -> str | None:
    """What the next page comes after; None where this one is the last, or all there is."""
    about = result.find(f"{ITEMS_QUERY}/{{{RSM}}}set")
    if about is None:
        return None
    first, count = about.find(f"{{{RSM}}}first"), about.findtext(f"{{{RSM}}}count")
    try:
        before = int(first.get("index", "") if first is not None else "")
        is_all = before + len(result.findall(f"{ITEMS_QUERY}/{{{DISCO_ITEMS}}}item")) >= int(count or "")
    except ValueError:
        is_all = False  # they need not tell
    return None if is_all else about.findtext(f"{{{RSM}}}last")


def items(result: ET.Element) -> Iterator[tuple[JID, str]]:
    """What a disco#items result lists, with its name; what is no JID is left out."""
    for item in result.iterfind(f"{ITEMS_QUERY}/{{{DISCO_ITEMS}}}item"):
        try:
            yield JID.parse(item.get("jid", "")), item.get("name", "")
        except ValueError:
            continue
