"""A caller that shares no code with the focus: a plain RTCPeerConnection of aiortc, signalled with written stanzas."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from uuid import uuid4
from xml.etree import ElementTree as ET

from focus.conference.partial import Outcome, Reader
from focus.wire.conference_info import CONFERENCE_INFO, ConferenceInfo
from focus.wire.ice import Transport
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Jingle
from focus.wire.rtp import AUDIO_LEVEL, SSMA, PayloadType
from tests.interop.running import PATIENCE, StanzaClient
from tests.media.peers import PeerConnection, level

JMI = "urn:xmpp:jingle-message:{dialect}"
DISCO_INFO = "http://jabber.org/protocol/disco#info"


class AiortcCaller:
    """Calls a room in one of the dialects of XEP-0353, or straight away; reads conference documents if `coin`."""

    def __init__(self, client: StanzaClient, frequency: float, *, coin: bool = True) -> None:
        self.client = client
        self.connection = PeerConnection(frequency)
        self.sid = str(uuid4())
        self.focus: JID | None = None
        self.conference = Reader()
        self.told: ConferenceInfo | None = None
        features = "<feature var='urn:xmpp:jingle:1'/>" + ("<feature var='urn:xmpp:coin:1'/>" if coin else "")
        client.answers[f"{{{DISCO_INFO}}}query"] = lambda _: ET.fromstring(
            f"<query xmlns='{DISCO_INFO}'>{features}</query>"
        )

    async def call(self, room: JID, *, dialect: int | None = 0, trickle: bool = False) -> Jingle:
        """Until the session-accept, which is returned."""
        accept = await self.reach(room, dialect=dialect, trickle=trickle)
        await self.connect(accept)
        return accept

    async def reach(self, room: JID, *, dialect: int | None = 0, trickle: bool = False) -> Jingle:
        """Until the session-accept, which is returned; there is no media before `connect`."""
        device = room.with_resource("focus")
        if dialect is not None:
            namespace = JMI.format(dialect=dialect)
            self.client.send(
                f"<message type='chat' to='{room}'><propose xmlns='{namespace}' id='{self.sid}'>"
                "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>"
                "<store xmlns='urn:xmpp:hints'/></message>"
            )
            await self.client.expect_child(f"{{{namespace}}}ringing", id=self.sid)
            taken = await self.client.expect_child(
                f"{{{namespace}}}{'proceed' if dialect == 0 else 'accept'}", id=self.sid
            )
            device = JID.parse(taken.get("from", ""))
        self.focus = device
        transport, payload, extension = await self.connection.offer()
        first = transport.model_copy(update={"candidates": ()}) if trickle else transport
        await self.jingle(
            "session-initiate",
            "<content creator='initiator' name='a0' senders='both'>"
            f"{_described(payload, extension, self.connection.ssrc)}{_with_setup(first, 'actpass')}</content>",
        )
        if trickle:
            for candidate in transport.candidates:
                one = Transport(ufrag=transport.ufrag, pwd=transport.pwd, candidates=(candidate,))
                await self.jingle(
                    "transport-info", f"<content creator='initiator' name='a0'>{one.to_string()}</content>"
                )
        accepted = await self.client.expect_child(f"{{{JINGLE}}}jingle", action="session-accept", sid=self.sid)
        self._offered = payload, extension
        return Jingle.parse(accepted[0])

    async def connect(self, accept: Jingle) -> None:
        """Find whoever has accepted, and talk."""
        (content,) = accept.contents
        assert content.transport is not None
        assert content.description is not None
        setup = content.transport.fingerprints[0].setup
        remote = SimpleNamespace(local_transport=content.transport, ssrc=content.description.sources[0].ssrc)
        await self.connection.accept(remote, *self._offered, str(setup))  # type: ignore[arg-type]

    async def jingle(self, action: str, content: str) -> None:
        """Send an action of this session; returns when it was acknowledged, raises its `StanzaError`."""
        assert self.focus is not None
        await self.client.ask(
            self.focus,
            "set",
            f"<jingle xmlns='{JINGLE}' action='{action}' initiator='{self.client.jid}' sid='{self.sid}'>"
            f"{content}</jingle>",
        )

    async def hang_up(self) -> None:
        await self.jingle("session-terminate", "<reason><success/></reason>")

    async def document(self) -> ConferenceInfo:
        """The conference after the next document, which may have told only a part of it."""
        stanza = await self.client.expect_child(f"{{{CONFERENCE_INFO}}}conference-info", sid=self.sid)
        self.told = ConferenceInfo.parse(stanza[0])
        assert self.conference.read(self.told) is Outcome.APPLIED
        assert self.conference.document is not None
        return self.conference.document

    async def document_of(self, *names: str) -> ConferenceInfo:
        """The conference as soon as just these people are in it."""
        while True:
            document = await self.document()
            if listed(document) == sorted(names):
                return document

    async def close(self) -> None:
        await self.connection.close()


class AiortcCallee:
    """Is called, and takes the call when it is told to."""

    def __init__(self, client: StanzaClient, frequency: float) -> None:
        self.client = client
        self.connection = PeerConnection(frequency)
        self.sid = ""
        self.device: JID | None = None

    async def rings(self) -> ET.Element:
        """Let the caller hear that it rings; returns the stanza with the proposal."""
        proposal = await self.client.expect_child(f"{{{JMI.format(dialect=0)}}}propose")
        self.device = JID.parse(proposal.get("from", ""))
        self.sid = proposal[0].get("id", "")
        self._say("ringing")
        return proposal

    async def answers(self) -> None:
        """Take the call."""
        self._say("proceed")
        await self.takes()

    async def takes(self) -> None:
        """Take the session that comes."""
        stanza = await self.client.expect_child(f"{{{JINGLE}}}jingle", action="session-initiate", sid=self.sid)
        (content,) = Jingle.parse(stanza[0]).contents
        assert content.transport is not None
        assert content.description is not None
        spoken = next(payload for payload in content.description.payload_types if payload.name == "opus")
        level = next(each.id for each in content.description.header_extensions if each.uri == AUDIO_LEVEL)
        remote = SimpleNamespace(local_transport=content.transport, ssrc=content.description.sources[0].ssrc)
        transport, payload, extension = await self.connection.answer(remote, spoken, level)  # type: ignore[arg-type]
        assert self.device is not None
        described = _described(payload, extension, self.connection.ssrc)
        await self.client.ask(
            self.device,
            "set",
            f"<jingle xmlns='{JINGLE}' action='session-accept' responder='{self.client.jid}' sid='{self.sid}'>"
            f"<content creator='initiator' name='{content.name}' senders='both'>"
            f"{described}{_with_setup(transport, 'active')}</content></jingle>",
        )

    async def close(self) -> None:
        await self.connection.close()

    def _say(self, kind: str) -> None:
        child = f"<{kind} xmlns='{JMI.format(dialect=0)}' id='{self.sid}'/>"
        self.client.send(f"<message type='chat' to='{self.device}'>{child}</message>")


def listed(document: ConferenceInfo) -> list[str]:
    """The people in a document, by name."""
    return sorted(user.display_text or "" for user in document.users.users) if document.users else []


def _described(payload: PayloadType, extension: int, ssrc: int) -> str:
    return (
        f"<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>{payload.to_string()}<rtcp-mux/>"
        f"<rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='{extension}' uri='{AUDIO_LEVEL}'/>"
        f"<source xmlns='{SSMA}' ssrc='{ssrc}'/></description>"
    )


def _with_setup(transport: Transport, setup: str) -> str:
    fingerprints = tuple(one.model_copy(update={"setup": setup}) for one in transport.fingerprints[:1])
    return transport.model_copy(update={"fingerprints": fingerprints}).to_string()


CallerFactory = Callable[[str, float], Awaitable[AiortcCaller]]


async def assert_hears(one: AiortcCaller | AiortcCallee, others: list[float], *absent: float) -> None:
    """It hears all of the others, and nothing of what is `absent`, of which its own tone is one: that is at least 40 dB
    below each of theirs.

    For half a second at once; there may be bad ones before it, as a busy machine makes the senders stumble.
    """
    levels: dict[float, float] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                heard = await one.connection.ear.next(0.5)
                levels = {each: level(heard, each) for each in (*others, *absent)}
                least = min((levels[each] for each in others), default=-5.0)
                if least > -25 and all(levels[each] < least - 40 for each in absent):
                    return
    except TimeoutError:
        raise AssertionError(f"{others} should be heard without {absent}; there are {levels}") from None


async def until_gone(one: AiortcCaller, frequency: float) -> None:
    """Return when the tone is no longer heard."""
    async with asyncio.timeout(PATIENCE):
        while level(await one.connection.ear.next(0.2), frequency) > -60:
            pass
