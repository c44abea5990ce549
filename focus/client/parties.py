"""How a program names what it calls and joins, and how Rayo does: `xmpp:` URIs and names of mixers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol, TypedDict

from focus.wire.jid import JID
from focus.wire.nodeprep import prepared, prepared_domain
from focus.wire.rayo import Header, JoinDirection

#: Names and values, in order; a name may be there several times.
HeaderPairs = Mapping[str, str] | Iterable[tuple[str, str]]

#: The direction as the other party sees it.
OPPOSITE: dict[JoinDirection, JoinDirection] = {"duplex": "duplex", "send": "recv", "recv": "send"}

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Addressed(Protocol):
    """A call."""

    @property
    def uri(self) -> str: ...


class Named(Protocol):
    """A mixer."""

    @property
    def name(self) -> str: ...


class PartyName(TypedDict, total=False):
    """One of the two, or neither."""

    call_uri: str
    mixer_name: str


def party_name(call: Addressed | JID | str | None, mixer: Named | str | None) -> PartyName:
    """Raises ValueError where both are given, or what is given is no address."""
    if call is not None and mixer is not None:
        raise ValueError("a join is with a call or with a mixer, not with both")
    if call is not None:
        return {"call_uri": uri_of(call)}
    if mixer is not None:
        return {"mixer_name": mixer if isinstance(mixer, str) else mixer.name}
    return {}


def one_party(call: Addressed | JID | str | None, mixer: Named | str | None) -> PartyName:
    """The same, where neither will not do either."""
    name = party_name(call, mixer)
    if not name:
        raise ValueError("a join is with a call or with a mixer: say which")
    return name


def uri_of(party: Addressed | JID | str) -> str:
    """Of a call, a JID, or a URI of any scheme, which is left as it is. Raises ValueError."""
    if isinstance(party, str):
        scheme = _SCHEME.match(party)
        return party if scheme and "@" not in scheme[0] else JID.parse(party).uri
    return party.uri


def address_of(party: Addressed | JID | str) -> JID:
    """The same as a JID, and as servers write it: what they send can be compared with that. Raises ValueError."""
    jid = party if isinstance(party, JID) else JID.from_uri(uri_of(party))
    return JID(prepared(jid.local) if jid.local else "", prepared_domain(jid.domain), jid.resource)


def headers_of(pairs: HeaderPairs) -> tuple[Header, ...]:
    """Raises ValueError."""
    found = pairs.items() if isinstance(pairs, Mapping) else pairs
    return tuple(Header(name=name, value=value) for name, value in found)
