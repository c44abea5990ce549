"""Conversations in plain stanzas, held against the listings of XEP-0327.

A conversation is an async generator that yields the number of each listing when all that it shows has been said, and
heard: of a command, that it has done what it is for. There is a test for each listing: it lets its conversation go on
as far as that.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from focus.client.connection import Connection
from focus.wire.base import XML_LANG, local_name, namespace_of, serialize
from focus.wire.jid import JID
from focus.wire.stanzas import IQ, PRESENCE
from focus.xmpp.discovery import CAPS, DISCO_INFO, INFO_QUERY, verification_string
from tests.interop.callers import AiortcCallee, AiortcCaller
from tests.interop.rayo_listings.titles import TITLES
from tests.interop.running import PATIENCE, StanzaClient
from tests.media.peers import level

#: How the namespaces of Rayo and of its components begin.
FAMILY = "urn:xmpp:rayo:"
DELAY = "{urn:xmpp:delay}delay"
SHIM = "http://jabber.org/protocol/shim"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
#: XEP-0082, with milliseconds.
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

#: Hz, of those who call and are called.
TONES = {"alice": 300.0, "bob": 440.0, "carol": 600.0}
#: dB: from the first on a tone is there, below the second it is not.
SOUND, SILENCE = -30.0, -40.0
#: Samples of 20 ms.
FRAME = 960


def listings(*numbers: int) -> pytest.MarkDecorator:
    """For a test of each of these, named by its number and title."""
    return pytest.mark.parametrize(
        "listing", [pytest.param(number, id=f"{number}: {TITLES[number]}") for number in numbers]
    )


class Conversation:
    def __init__(self, listings: AsyncIterator[int]) -> None:
        self._listings = listings
        self._shown: set[int] = set()

    async def shows(self, listing: int) -> None:
        """Go on until `listing` has been shown. Fails as the conversation does; and where that has happened before."""
        while listing not in self._shown:
            try:
                self._shown.add(await anext(self._listings))
            except StopAsyncIteration:
                pytest.fail(f"the conversation has ended, or broken off, before listing {listing}")


class _PlainConnection(Connection):
    """Its handler gets the answers as well to what it has asked without this connection's help."""

    def _received(self, tree: ET.Element) -> None:
        if tree.tag == IQ and tree.get("type") in ("result", "error") and tree.get("id") not in self._pending:
            self._handler.message(tree)
        else:
            super()._received(tree)


@dataclass
class Client(StanzaClient):
    """A Rayo client that reads all that the service at `service` and its calls and mixers send it, in order."""

    service: JID = field(kw_only=True)

    def __str__(self) -> str:
        return str(self.jid)

    async def connect(self) -> None:
        self.connection = _PlainConnection(self.account, self)
        await self.connection.connect()
        self.send("<presence />")

    def says(self, stanza: str) -> None:
        self.send(stanza.strip())

    async def hears(self, expected: str) -> ET.Element:
        """The next stanza, which has to be `expected` (where `*` is any value of an attribute) and nothing more.

        Who speaks is told apart from the rest: when somebody does is nobody's decision. Events must have the time of
        their origin (section 5.3), errors may have a text.
        """
        wanted = _tidy(ET.fromstring(expected.strip().replace(" ", " xmlns='jabber:client' ", 1)))
        stanza = await self.expect(serialize(wanted, "jabber:client"), self._next(_is_of_speaking(wanted)))
        heard = _tidy(stanza)
        event = next((child for child in heard if namespace_of(child.tag).startswith(FAMILY)), None)
        if heard.tag == PRESENCE and event is not None:
            delay = heard.find(DELAY)
            assert delay is not None
            assert STAMP.fullmatch(delay.get("stamp", ""))
            heard.remove(delay)
        for error in heard.iter("{jabber:client}error"):
            for text in error.findall(f"{{{STANZAS}}}text"):
                error.remove(text)
        _mask(heard, wanted)
        there, then = (serialize(tree, "jabber:client") for tree in (heard, wanted))
        if there != then:
            raise AssertionError(f"there came\n{there}\nand not\n{then}")
        return stanza

    async def is_refused(self, sender: JID, id: str, type: str, condition: str) -> None:
        """Hears an error instead of the result. The command is not repeated in it (RFC 6120 section 8.3.1: MAY)."""
        await self.hears(f"""
            <iq from='{sender}' to='{self}' type='error' id='{id}'>
              <error type='{type}'><{condition} xmlns='{STANZAS}'/></error>
            </iq>""")

    async def is_answered(self, sender: JID, id: str) -> None:
        """Hears that a command is acknowledged."""
        await self.hears(f"<iq from='{sender}' to='{self}' type='result' id='{id}'/>")

    async def forgets(self) -> None:
        """What it has been told until now is not looked at."""
        await self.ask(self.service, "get", "<ping xmlns='urn:xmpp:ping'/>")
        self.received.clear()

    async def verifies(self, presence: ET.Element) -> None:
        """Whoever has sent `presence` is what its capabilities say: their verification string is that of the features
        to be found there (XEP-0115 section 5.4)."""
        caps = presence.find(f"{{{CAPS}}}c")
        assert caps is not None
        query = f"<query xmlns='{DISCO_INFO}' node='{caps.get('node')}#{caps.get('ver')}'/>"
        about = (await self.ask(JID.parse(presence.get("from", "")), "get", query)).find(INFO_QUERY)
        assert about is not None
        assert verification_string(about, "sha-1") == caps.get("ver")
        assert caps.get("node") in [feature.get("var") for feature in about]

    async def has_heard_all(self) -> None:
        """Nothing is there that it should have been told already: the service's next word is the answer to a ping."""
        self.says(f"<iq to='{self.service}' type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>")
        await self.is_answered(self.service, "ping")

    def _next(self, of_speaking: bool) -> Callable[[ET.Element], bool]:
        def is_next(stanza: ET.Element) -> bool:
            sender = JID.parse(stanza.get("from", str(self.service)))
            return sender.domain == self.service.domain and _is_of_speaking(stanza) is of_speaking

        return is_next


def shim(stanza: ET.Element) -> list[tuple[str | None, str | None]]:
    """The headers of a stanza of Jingle (XEP-0131)."""
    return [(each.get("name"), each.text) for each in stanza.iter(f"{{{SHIM}}}header")]


async def tones(people: Mapping[str, AiortcCaller | AiortcCallee], **hearing: str) -> None:
    """`tones(people, alice="bob carol", bob="")`: Alice hears these two and not herself, Bob hears nobody.

    For half a second at once; there may be others before it.
    """
    await asyncio.gather(*(_hears(people[name], name, others.split()) for name, others in hearing.items()))


async def _hears(one: AiortcCaller | AiortcCallee, name: str, others: list[str]) -> None:
    levels: dict[str, float] = {}
    ear = one.connection.ear
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                heard = await (ear.next(0.5) if others else ear.within(0.5))
                levels = {each: level(heard, frequency) for each, frequency in TONES.items() if len(heard) > FRAME}
                audible = {each for each, loud in levels.items() if loud > SILENCE}
                if audible == set(others) and all(levels[each] > SOUND for each in others):
                    return
    except TimeoutError:
        raise AssertionError(f"{name} should hear {others}; there are {levels}") from None


async def is_spoken_to(one: AiortcCaller | AiortcCallee) -> None:
    """Somebody is heard who is none of those who have tones of their own."""
    ear = one.connection.ear
    async with asyncio.timeout(PATIENCE):
        while True:
            heard = await ear.next(0.2)
            is_loud = np.abs(heard.astype(int)).max() > 1000
            if is_loud and max(level(heard, tone) for tone in TONES.values()) < SOUND:
                return


def _is_of_speaking(stanza: ET.Element) -> bool:
    return any(local_name(child.tag) in ("started-speaking", "stopped-speaking") for child in stanza)


def _tidy(tree: ET.Element) -> ET.Element:
    """A copy without what is only between the elements, and without the language that Prosody gives every stanza."""
    attributes = {name: value for name, value in sorted(tree.attrib.items()) if name != XML_LANG}
    copy = ET.Element(tree.tag, attributes)
    copy.text = (tree.text or "").strip() or None
    copy.extend(_tidy(child) for child in tree)
    return copy


def _mask(heard: ET.Element, wanted: ET.Element) -> None:
    """Write `*` where any value is taken."""
    for name, value in wanted.attrib.items():
        if value == "*" and heard.get(name):
            heard.set(name, "*")
    for one, other in zip(heard, wanted, strict=False):
        _mask(one, other)
