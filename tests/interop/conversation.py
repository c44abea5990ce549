"""A client's side of a whole call, as that client speaks, against the real service: `tests/golden/conversations`.

What a client says is written there as it writes it, and what it is told as far as the client minds; `{words}` stand for
what differs each time. Behind it are the ICE, DTLS and RTP of aiortc, with a tone.

    <says>      what it sends; `refused` is the condition with which it is refused, where it is
    <hears>     what it has to be sent: these attributes, these children, no more of a kind than are written, and
                nothing of what `absent` names
    <moves/>    from here on it is somewhere else, and restarts ICE
    <sound/>    who hears whom: `us` the others, or `others` us
    <dialled/>  somebody has it called into the room
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest
from aiortc.sdp import SessionDescription

from focus.wire.base import local_name
from focus.wire.conditions import FeatureNotImplemented, StanzaError
from focus.wire.ice import Transport
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Action, Jingle
from focus.wire.rtp import AUDIO_LEVEL, PayloadType
from tests.interop.callers import AiortcCaller
from tests.interop.running import PATIENCE, StanzaClient
from tests.media.peers import OPUS, PeerConnection, level

GOLDEN = Path(__file__).parents[1] / "golden" / "conversations"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.xml"))

DISCO_INFO = "http://jabber.org/protocol/disco#info"
WORD = re.compile(r"\{(\w+)\}")


class Conversation:
    """One file, played by `client` with the sound of `connection`. `heard` is what it was sent so far."""

    def __init__(self, name: str, client: StanzaClient, connection: PeerConnection, room: JID) -> None:
        self.root = ET.parse(GOLDEN / f"{name}.xml").getroot()
        self.client = client
        self.connection = connection
        self.room = room
        self.heard: list[ET.Element] = []
        self.words = {"me": str(client.jid), "account": str(client.jid.bare), "room": str(room)}
        self.restarts = 0
        features = [f"<feature var='{feature}'/>" for feature in self.root.get("features", "").split()]
        info = f"<query xmlns='{DISCO_INFO}'>{''.join(features)}</query>"
        client.answers[f"{{{DISCO_INFO}}}query"] = lambda _: ET.fromstring(info)
        client.answers[f"{{{JINGLE}}}jingle"] = self._answer

    def _answer(self, stanza: ET.Element) -> None:
        if stanza[0].get("action") in self.root.get("refuses", "").split():
            raise FeatureNotImplemented

    async def play(self, other: AiortcCaller, controller: StanzaClient) -> None:
        """From the first line to the last."""
        if self.root.find("dialled") is None:
            self.words["sid"] = str(uuid4())
            transport, _, _ = await self.connection.offer()
            self._describe(transport)
        for step in self.root:
            match step.tag:
                case "says":
                    await self._say(step)
                case "hears":
                    await self._hear(step)
                case "moves":
                    self.restarts += 1
                    self._place(await self.connection.restart(self.restarts))
                case "sound":
                    await self._sound(step, other)
                case "dialled":
                    await self._dial(controller, step.get("device", ""))
                case _:
                    raise AssertionError(f"<{step.tag}/>")

    async def _say(self, step: ET.Element) -> None:
        (stanza,) = step
        text = WORD.sub(lambda found: self.words[found[1]], ET.tostring(stanza, encoding="unicode"))
        if stanza.tag != "iq":
            self.client.send(text)
            return
        filled = ET.fromstring(text)
        condition = None
        try:
            await self.client.connection.iq(JID.parse(filled.get("to", "")), "set", filled[0])
        except StanzaError as error:
            condition = error.condition
        assert condition == step.get("refused"), text

    async def _hear(self, step: ET.Element) -> None:
        (pattern,) = step
        found: dict[str, str] = {}

        def matches(stanza: ET.Element) -> bool:
            found.clear()
            return self._fits(pattern, stanza, found)

        stanza = await self.client.expect(ET.tostring(pattern, encoding="unicode"), matches)
        present = {local_name(each.tag) for each in stanza.iter()}
        assert present.isdisjoint(step.get("absent", "").split()), ET.tostring(stanza, encoding="unicode")
        self.words.update(found)
        self.heard.append(stanza)
        if (jingle := stanza.find(f"{{{JINGLE}}}jingle")) is not None:
            await self._connect(Jingle.parse(jingle))

    def _fits(self, pattern: ET.Element, stanza: ET.Element, found: dict[str, str]) -> bool:
        """Whether `stanza` is what `pattern` says; the new words are in `found` then."""
        if local_name(stanza.tag) != pattern.tag and stanza.tag != pattern.tag:
            return False
        for name, wanted in pattern.attrib.items():
            value = stanza.get(name)
            word = WORD.fullmatch(wanted)
            if value is None:
                return False
            if word is not None and word[1] not in self.words | found:
                found[word[1]] = value
            elif value != WORD.sub(lambda each: (self.words | found)[each[1]], wanted):
                return False
        for tag in {child.tag for child in pattern}:
            patterns, children = pattern.findall(tag), stanza.findall(tag)
            if len(patterns) != len(children):
                return False
            if not all(self._fits(one, other, found) for one, other in zip(patterns, children, strict=True)):
                return False
        return (pattern.text or "").strip() in ("", (stanza.text or "").strip())

    async def _connect(self, jingle: Jingle) -> None:
        """What `jingle` means to the media."""
        audio = next((each for each in jingle.contents if each.description and each.description.media == "audio"), None)
        if jingle.action is Action.TRANSPORT_INFO:
            (content,) = jingle.contents
            assert content.transport is not None
            await self.connection.restarted(content.transport)
        if audio is None or jingle.action not in (Action.SESSION_INITIATE, Action.SESSION_ACCEPT):
            return
        assert audio.description is not None
        assert audio.transport is not None
        remote = SimpleNamespace(local_transport=audio.transport, ssrc=audio.description.sources[0].ssrc)
        opus = next(each for each in audio.description.payload_types if each.name == "opus")
        payload: PayloadType = OPUS.model_copy(update={"id": opus.id})
        levels = next((each.id for each in audio.description.header_extensions if each.uri == AUDIO_LEVEL), 1)
        if jingle.action is Action.SESSION_INITIATE:
            transport, _, _ = await self.connection.answer(remote, payload, levels)  # type: ignore[arg-type]
            self.words["level"] = str(levels)
            self._describe(transport)
        else:
            setup = str(audio.transport.fingerprints[0].setup)
            await self.connection.accept(remote, payload, levels, setup)  # type: ignore[arg-type]

    def _describe(self, transport: Transport) -> None:
        self._place(transport)
        self.words["fingerprint"] = transport.fingerprints[0].value
        media = SessionDescription.parse(self.connection._connection.localDescription.sdp).media[0]
        self.words["ssrc"] = str(media.ssrc[0].ssrc)

    def _place(self, transport: Transport) -> None:
        assert transport.ufrag
        assert transport.pwd
        (candidate,) = transport.candidates
        self.words |= {"ufrag": transport.ufrag, "pwd": transport.pwd, "ip": candidate.ip, "port": str(candidate.port)}

    async def _sound(self, step: ET.Element, other: AiortcCaller) -> None:
        for ear, frequency, heard in (
            (self.connection.ear, other.connection.track.frequency, step.get("us")),
            (other.connection.ear, self.connection.track.frequency, step.get("others")),
        ):
            try:
                async with asyncio.timeout(PATIENCE):
                    while True:
                        samples = await ear.within(0.3)
                        loud = len(samples) > 4800 and level(samples, frequency) > -40
                        if loud is (heard == "hear"):
                            break
            except TimeoutError:
                pytest.fail(f"{frequency} Hz: not {heard!r} in {ET.tostring(step, encoding='unicode')}")

    async def _dial(self, controller: StanzaClient, device: str) -> None:
        to = self.client.jid if device else self.client.jid.bare
        await controller.ask(
            JID("", self.room.domain),
            "set",
            f"<dial xmlns='urn:xmpp:rayo:1' to='xmpp:{to}' from='{self.room.uri}'>"
            f"<join mixer-name='{self.room.local}'/></dial>",
        )
