"""Jingle ICE-UDP transports (XEP-0176), with the DTLS fingerprint that travels in them (XEP-0320)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic_xml import attr, element

from focus.wire.base import Element, Flag, Token
from focus.wire.dtls import Fingerprint

ICE_UDP = "urn:xmpp:jingle:transports:ice-udp:1"

Port = Annotated[int, Field(ge=0, le=65535)]


class Candidate(Element, tag="candidate", ns="", nsmap={"": ICE_UDP}):
    """One address that may be reached (XEP-0176 section 5.3, table 1).

    `id` and `network` are required by the text and left out by some clients; Monal needs `generation`.
    """

    component: Annotated[int, Field(ge=1, le=256)] = attr()
    foundation: Token = attr()
    generation: Annotated[int, Field(ge=0)] = attr(default=0)
    id: Token | None = attr(default=None)
    ip: Token = attr()
    network: int | None = attr(default=None)
    port: Port = attr()
    priority: Annotated[int, Field(ge=0, le=2**32 - 1)] = attr()
    protocol: Token = attr()
    rel_addr: Token | None = attr(name="rel-addr", default=None)
    rel_port: Port | None = attr(name="rel-port", default=None)
    tcptype: Token | None = attr(default=None)
    type: Literal["host", "srflx", "prflx", "relay"] = attr()


class Transport(Element, tag="transport", ns="", nsmap={"": ICE_UDP}):
    """Credentials and candidates of one side (XEP-0176 sections 5.2 to 5.5)."""

    ufrag: Annotated[str, Field(max_length=256)] | None = attr(default=None)
    pwd: Annotated[str, Field(max_length=256)] | None = attr(default=None)
    fingerprints: Annotated[tuple[Fingerprint, ...], Field(max_length=16)] = element(tag="fingerprint", default=())
    candidates: Annotated[tuple[Candidate, ...], Field(max_length=128)] = element(tag="candidate", default=())
    gathering_complete: Flag | None = element(tag="gathering-complete", default=None)
