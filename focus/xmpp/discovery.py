"""What we are and can, and what others can (XEP-0012, XEP-0030, XEP-0059, XEP-0115, XEP-0128, XEP-0199).

Verification strings are made here and not by slixmpp, whose plugin for them wants a stream, three other plugins and
stanza objects of its own; the tests hold both against each other.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Generic, NamedTuple, TypeVar
from xml.etree import ElementTree as ET

from focus.wire.base import XML_LANG, local_name
from focus.wire.conditions import FeatureNotImplemented, ItemNotFound, StanzaError
from focus.wire.dtmf import DTMF
from focus.wire.jid import JID
from focus.wire.rayo_component import EXT
from focus.xmpp.connection import Connection
from focus.xmpp.paging import RSM, SET, add_page

log = logging.getLogger(__name__)

DISCO_INFO = "http://jabber.org/protocol/disco#info"
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"
CAPS = "http://jabber.org/protocol/caps"
PING = "urn:xmpp:ping"
LAST = "jabber:iq:last"
DATA_FORM = "jabber:x:data"
MUC_USER = "http://jabber.org/protocol/muc#user"

INFO_QUERY = f"{{{DISCO_INFO}}}query"
ITEMS_QUERY = f"{{{DISCO_ITEMS}}}query"
PING_QUERY = f"{{{PING}}}ping"
LAST_QUERY = f"{{{LAST}}}query"

#: What clients look for before they show a call button or send a stanza. No `apps:rtp:video`: it would offer video
#: calls that nobody takes here.
FEATURES = (
    CAPS,
    DISCO_INFO,
    DISCO_ITEMS,
    LAST,
    PING,
    RSM,
    "http://jabber.org/protocol/commands",
    "http://jitsi.org/protocol/focus",
    "jabber:x:conference",
    "urn:ietf:rfc:5576",
    "urn:ietf:rfc:5888",
    "urn:xmpp:call-invites:0",
    "urn:xmpp:coin",
    "urn:xmpp:coin:1",
    "urn:xmpp:jingle-message:0",
    "urn:xmpp:jingle-message:1",
    "urn:xmpp:jingle:1",
    "urn:xmpp:jingle:apps:dtls:0",
    "urn:xmpp:jingle:apps:grouping:0",
    "urn:xmpp:jingle:apps:rtp:1",
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:rtcp-fb:0",
    "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0",
    "urn:xmpp:jingle:apps:rtp:ssma:0",
    "urn:xmpp:jingle:coin:1",
    DTMF,
    "urn:xmpp:jingle:transports:ice-udp:1",
    "urn:xmpp:rayo:1",
    "urn:xmpp:receipts",
)

#: The nodes of Rayo's calls and mixers (XEP-0327 sections 6.2.2 and 6.4).
CALL: Final = "urn:xmpp:rayo:call:1"
MIXER: Final = "urn:xmpp:rayo:mixer:1"
#: The node in a Rayo client's caps, and its feature (section 6.1).
RAYO_CLIENT: Final = "urn:xmpp:rayo:client:1"
#: Of the form that says how far a call has come (XEP-0128).
CALL_FORM: Final = "urn:focus-conference:call"
JOINS_FORM: Final = "urn:focus-conference:joins"
#: What the service lists.
_LISTS = frozenset({CALL, MIXER, RAYO_CLIENT})


class Kind(NamedTuple):
    """What one sort of our entities says of itself."""

    category: str
    type: str
    name: str
    features: tuple[str, ...]


_RTP = ("urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:apps:rtp:audio")
_ALWAYS = (CAPS, DISCO_INFO, DISCO_ITEMS, PING, RSM, "urn:xmpp:rayo:1")
KINDS = {
    CALL: Kind(
        "client", "phone", "Call",
        (*_ALWAYS, CALL, *_RTP, "urn:xmpp:jingle:apps:dtls:0", DTMF, "urn:xmpp:jingle:transports:ice-udp:1"),
    ),
    MIXER: Kind("conference", "audio", "Mixer", (*_ALWAYS, MIXER, *_RTP)),
}  # fmt: skip

#: Names our software in caps (XEP-0115 section 4 asks for a URI).
NODE = "urn:focus-conference"
HASHES = {"sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}

ASK_TIMEOUT = 5.0
#: Seconds for which an answer without a usable verification string is believed.
FORGET_AFTER = 300.0
MAX_VERSIONS = 2_000
MAX_PEERS = 20_000

Key = TypeVar("Key")
Value = TypeVar("Value")


class _Recent(OrderedDict[Key, Value], Generic[Key, Value]):
    """A dict that forgets its oldest entries."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self._size:
            self.popitem(last=False)


class Caps(NamedTuple):
    """What a presence says about the sender's software (XEP-0115 section 4)."""

    node: str
    ver: str
    hash: str

    @classmethod
    def read(cls, element: ET.Element | None) -> Caps | None:
        """None where there is none, or it is of the legacy kind, or made with a hash that we do not know."""
        if element is None:
            return None
        caps = cls(*(element.get(name, "") for name in cls._fields))
        return caps if caps.node and caps.ver and caps.hash in HASHES else None


class Discovery:
    """Answers service discovery for every address of the component, and remembers what peers can do."""

    def __init__(
        self,
        connection: Connection,
        rooms: Callable[[], Iterable[tuple[JID, str]]],
        *,
        features: Iterable[str] = FEATURES,
        components: Iterable[str] = (),
        name: str = "Conference focus",
        kind: Callable[[JID, JID], str | None] = lambda client, address: None,
        items: Callable[[JID, JID, str], Iterable[tuple[JID, str]]] = lambda client, address, node: (),
        state: Callable[[JID, JID], str] = lambda client, address: "",
        nick: Callable[[JID, JID], str] = lambda client, address: "",
        directions: Callable[[JID, JID], Mapping[str, Iterable[str]]] = lambda client, address: {},
    ) -> None:
        """`rooms` gives the callable addresses with their names, for the domain's disco#items.

        `components` are the features of Rayo's components, which the service has and its calls and mixers too.
        `kind` says which of `KINDS` lives, for a client, at an address of ours. `items` gives what a client may know of
        at an address: of the domain's nodes `CALL`, `MIXER` and `RAYO_CLIENT`, or joined with what lives there (with an
        empty node), or at work there (`EXT`). `state` says how far the call at an address has come; nothing to who may
        not know. `nick` says what its peer is called in the room that it is in.
        `directions` gives the URIs with which something is joined one way only, by that way.
        """
        self._connection = connection
        self._rooms = rooms
        self._kind = kind
        self._listed = items
        self._state = state
        self._nick = nick
        self._directions = directions
        self._began = time.clock_gettime(time.CLOCK_BOOTTIME)  # which goes on while the machine sleeps
        kinds = {NODE: Kind("conference", "audio-focus", name, tuple(features)), **KINDS}
        self._nodes = {node: one._replace(features=(*one.features, *components)) for node, one in kinds.items()}
        self._ver = {node: verification_string(_information(one), "sha-1") for node, one in self._nodes.items()}
        self._caps: _Recent[JID, Caps] = _Recent(MAX_PEERS)
        self._by_version: _Recent[Caps, frozenset[str]] = _Recent(MAX_VERSIONS)
        self._by_peer: _Recent[tuple[JID, Caps | None], tuple[float, frozenset[str]]] = _Recent(MAX_PEERS)
        self._asking: dict[tuple[JID, Caps | None], asyncio.Future[frozenset[str]]] = {}

    # --- about us -----------------------------------------------------------------------------------------------------

    def answers(self, payload: ET.Element) -> bool:
        """Whether a get or set with this child is for `answer`."""
        return payload.tag in (INFO_QUERY, ITEMS_QUERY, PING_QUERY, LAST_QUERY)

    def answer(self, stanza: ET.Element) -> ET.Element | None:
        """The child of the result for the IQ `stanza`. Raises `StanzaError`.

        A disco#info, disco#items, ping, or question for how long we have been here (XEP-0012 section 5), from which
        those that we list nowhere learn that we have begun anew.
        """
        query = stanza[0]
        if stanza.get("type") != "get":
            raise FeatureNotImplemented(f"<{local_name(query.tag)}/> can only be asked for")
        if query.tag == PING_QUERY:
            return None
        if query.tag == LAST_QUERY:
            return ET.Element(LAST_QUERY, {"seconds": str(int(time.clock_gettime(time.CLOCK_BOOTTIME) - self._began))})
        node = query.get("node") or None
        if query.tag == ITEMS_QUERY:
            return self._items(stanza, node)
        if node is None:
            return self._about(stanza.get("from", ""), stanza.get("to", ""))
        for name, ver in self._ver.items():
            if node == f"{name}#{ver}":
                return _information(self._nodes[name], node)
        raise ItemNotFound(f"there is no node {node[:100]!r} here")

    def caps_element(self, node: str = NODE) -> ET.Element:
        """For every available presence of ours; of a call or mixer, with its `node`."""
        return ET.Element(f"{{{CAPS}}}c", {"hash": "sha-1", "node": node, "ver": self._ver[node]})

    def _about(self, client: str, address: str) -> ET.Element:
        """What lives there; of a call also how far it has come, and of calls and mixers what they are joined with one
        way only. That is no part of their capabilities, which have a node of their own."""
        kind = self._at(client, address)
        about = _information(kind)
        try:
            places = JID.parse(client), JID.parse(address)
        except ValueError:
            return about
        if kind is self._nodes[CALL] and (state := self._state(*places)):
            nick = self._nick(*places)
            _add_form(about, CALL_FORM, {"state": [state]} | ({"nick": [nick]} if nick else {}))
        if directions := self._directions(*places):
            _add_form(about, JOINS_FORM, directions)
        return about

    def _at(self, client: str, address: str) -> Kind:
        """The same for domain, rooms and occupants, as clients take the verification string for all of them; a room
        whose mixer is alive can what mixers can as well."""
        focus = self._nodes[NODE]
        try:
            kind = self._kind(JID.parse(client), JID.parse(address))
        except ValueError:
            return focus
        if kind == MIXER:
            return focus._replace(features=tuple({*focus.features, *KINDS[MIXER].features}))
        return self._nodes.get(kind or NODE, focus)

    def _items(self, stanza: ET.Element, node: str | None) -> ET.Element:
        is_service = stanza.get("to") == str(self._connection.jid)
        if node is not None and not (node in _LISTS if is_service else node == EXT):
            raise ItemNotFound(f"there is no node {node[:100]!r} here")
        query = ET.Element(ITEMS_QUERY, {} if node is None else {"node": node})
        if is_service and node is None:
            items = self._rooms()
        else:
            try:
                items = self._listed(JID.parse(stanza.get("from", "")), JID.parse(stanza.get("to", "")), node or "")
            except ValueError:
                items = ()
        found = sorted((str(jid), name) for jid, name in items)

        def item(index: int) -> ET.Element:
            jid, name = found[index]
            return ET.Element(f"{{{DISCO_ITEMS}}}item", {"jid": jid} | ({"name": name} if name else {}))

        add_page(query, [jid for jid, _ in found], item, stanza[0].find(SET))
        return query

    # --- about others -------------------------------------------------------------------------------------------------

    def observe(self, presence: ET.Element, *, from_room: bool) -> None:
        """Remember the caps of whoever sends a presence, `from_room` under the real JID that it tells as well.

        Anybody can write somebody else's JID into a presence: only rooms that can be believed are `from_room`.
        """
        if presence.get("type") not in (None, "unavailable"):
            return
        item = presence.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}item") if from_room else None
        caps = Caps.read(presence.find(f"{{{CAPS}}}c"))
        for text in (presence.get("from", ""), "" if item is None else item.get("jid", "")):
            with suppress(ValueError):
                jid = JID.parse(text)
                if presence.get("type") is not None:
                    self._caps.pop(jid, None)
                    for key in [key for key in self._asking if key[0] == jid]:
                        del self._asking[key]  # who comes there next is another program
                elif caps is not None:
                    self._caps[jid] = caps

    async def features(
        self, jid: JID, presence_caps: ET.Element | None = None, *, sender: JID | None = None
    ) -> frozenset[str]:
        """The features of `jid`, from memory where its caps (`<c/>`, given or observed) are known, else by asking.

        Asks as `sender` (the component's domain by default), once for all who want to know at the same time. Empty
        where the peer does not answer within 5 s, or not with a list.
        """
        caps = Caps.read(presence_caps) or self._caps.get(jid)
        if caps is not None and (known := self._by_version.get(caps)) is not None:
            return known
        key = (jid, caps)
        expires, answered = self._by_peer.get(key, (0.0, frozenset[str]()))
        if expires > asyncio.get_running_loop().time():
            return answered
        if (asking := self._asking.get(key)) is None:
            if not self._connection.connected:
                return frozenset()
            asking = self._asking[key] = asyncio.get_running_loop().create_future()
            self._connection.spawn(self._ask(jid, caps, sender or self._connection.jid, asking), f"disco {jid}")
        return await asyncio.shield(asking)

    async def _ask(self, jid: JID, caps: Caps | None, sender: JID, asking: asyncio.Future[frozenset[str]]) -> None:
        found: frozenset[str] = frozenset()
        node = {} if caps is None else {"node": f"{caps.node}#{caps.ver}"}
        try:
            result = await self._connection.iq(sender, jid, "get", ET.Element(INFO_QUERY, node), ASK_TIMEOUT)
            query = result.find(INFO_QUERY)
            if query is None:
                return
            found = frozenset(_values(query.findall(f"{{{DISCO_INFO}}}feature"), "var"))
            if caps is not None and verification_string(query, caps.hash) == caps.ver:
                self._by_version[caps] = found
            else:
                self._by_peer[jid, caps] = (asyncio.get_running_loop().time() + FORGET_AFTER, found)
        except (StanzaError, TimeoutError) as error:
            log.info("no service discovery of %s: %s", jid, error or "no answer")
        finally:
            if self._asking.get((jid, caps)) is asking:
                del self._asking[jid, caps]
            if not asking.done():
                asking.set_result(found)


def _add_form(about: ET.Element, name: str, fields: Mapping[str, Iterable[str]]) -> None:
    """More of what is there (XEP-0128)."""
    form = ET.SubElement(about, f"{{{DATA_FORM}}}x", {"type": "result"})
    for key, values in {"FORM_TYPE": (name,), **fields}.items():
        field = ET.SubElement(form, f"{{{DATA_FORM}}}field", {"var": key})
        if key == "FORM_TYPE":
            field.set("type", "hidden")
        for value in values:
            ET.SubElement(field, f"{{{DATA_FORM}}}value").text = value


def _information(kind: Kind, node: str | None = None) -> ET.Element:
    query = ET.Element(INFO_QUERY, {} if node is None else {"node": node})
    identity = {"category": kind.category, "type": kind.type, "name": kind.name}
    ET.SubElement(query, f"{{{DISCO_INFO}}}identity", identity)
    for feature in sorted(set(kind.features)):
        ET.SubElement(query, f"{{{DISCO_INFO}}}feature", {"var": feature})
    return query


def verification_string(query: ET.Element, hash: str) -> str:
    """The `ver` of a disco#info answer (XEP-0115 section 5.1); empty where it is ill-formed (section 5.4), or where the
    text that is hashed could be that of another answer, see `_is_ambiguous`."""
    identities = [
        (one.get("category", ""), one.get("type", ""), one.get(XML_LANG, ""), one.get("name", ""))
        for one in query.findall(f"{{{DISCO_INFO}}}identity")
    ]
    features = _sorted(_values(query.findall(f"{{{DISCO_INFO}}}feature"), "var"))
    forms = [form for form in map(_read_form, query.findall(f"{{{DATA_FORM}}}x")) if form is not None]
    form_types = [form.type for form in forms]
    if any(len(set(names)) != len(names) for names in (identities, features, form_types)) or "" in form_types:
        return ""
    of_forms = [
        part for form in sorted(forms, key=lambda form: form.type.encode()) for part in (form.type, *form.parts)
    ]
    if _is_ambiguous(identities, features, of_forms):
        return ""
    parts = [*_sorted("/".join(identity) for identity in identities), *features, *of_forms]
    text = "".join(f"{part}<" for part in parts)
    return base64.b64encode(hashlib.new(HASHES[hash], text.encode()).digest()).decode()


#: What the registry has as categories and types of identities. Features are longer, or URIs.
_REGISTERED = re.compile(r"[a-z0-9_-]+")


def _is_ambiguous(identities: Iterable[Sequence[str]], features: Sequence[str], of_forms: Sequence[str]) -> bool:
    """Whether the same text could have been made of an answer that has parts of this one's identities and forms among
    its features. Whoever sends such an answer wants all who have that software to lose these features."""
    readable_as_features = bool(of_forms) and [*features, *of_forms] == _sorted((*features, *of_forms))
    return (
        readable_as_features
        or any("<" in part for part in (*features, *of_forms, *(part for identity in identities for part in identity)))
        or not all(_REGISTERED.fullmatch(name) for category, type, *_ in identities for name in (category, type))
    )


class _Form(NamedTuple):
    """An extension (XEP-0128) as it is hashed. `type` is empty for a form of several types, which is ill-formed."""

    type: str
    parts: tuple[str, ...]


def _read_form(form: ET.Element) -> _Form | None:
    """FORM_TYPE, then each field's name and values in order; None for a form that does not count."""
    fields = {field.get("var", ""): field for field in form.findall(f"{{{DATA_FORM}}}field")}
    kind = fields.pop("FORM_TYPE", None)
    if kind is None or kind.get("type") != "hidden" or not (types := set(_field_values(kind))):
        return None
    parts: list[str] = []
    for name in _sorted(fields):
        parts.extend((name, *_sorted(_field_values(fields[name]))))
    return _Form(types.pop() if len(types) == 1 else "", tuple(parts))


def _field_values(field: ET.Element) -> list[str]:
    return [value.text or "" for value in field.findall(f"{{{DATA_FORM}}}value")]


def _values(elements: Sequence[ET.Element], attribute: str) -> list[str]:
    return [element.get(attribute, "") for element in elements]


def _sorted(texts: Iterable[str]) -> list[str]:
    """In the order of i;octet (RFC 4790 section 9.3)."""
    return sorted(texts, key=str.encode)
