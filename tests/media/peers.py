"""The other ends that the media tests talk to, and ears for what they hear."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import aioice
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCCertificate,
    RTCConfiguration,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket
from aiortc.sdp import SessionDescription, candidate_to_sdp

from focus.media.leg import Leg
from focus.media.tones import SAMPLE_RATE, Tone
from focus.wire import dtls, ice, rtp

PCMU = rtp.PayloadType(id=0, name="PCMU", clockrate=8000)
OPUS = rtp.PayloadType(
    id=96,
    name="opus",
    clockrate=48000,
    channels=2,
    parameters=(rtp.Parameter(name="useinbandfec", value="1"),),
)


#: Seconds for anything to happen; only a failing test waits so long.
PATIENCE = 60.0


async def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds, TimeoutError if it never does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other threads and in other libraries
            await asyncio.sleep(0.02)


class Observer:
    """Writes down what a leg tells."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.speaking: list[bool] = []
        self.keys: list[tuple[str, float]] = []

    def leg_connected(self) -> None:
        self.events.append("connected")

    def leg_failed(self, reason: str) -> None:
        self.events.append(f"failed: {reason}")

    def leg_closed(self) -> None:
        self.events.append("closed")

    def leg_speaking(self, speaking: bool) -> None:
        self.speaking.append(speaking)

    def leg_pressed(self, key: str, duration: float) -> None:
        self.keys.append((key, duration))

    async def connected(self) -> None:
        await until(lambda: bool(self.events))
        assert self.events == ["connected"]

    async def last(self, count: int) -> str:
        """The event number `count`, which has to be the last."""
        await until(lambda: len(self.events) >= count)
        assert len(self.events) == count
        return self.events[-1]


# --- ears ---


def level(samples: np.ndarray, frequency: float) -> float:
    """How loud `frequency` is in `samples`, in dB below a full-scale sine."""
    window = np.blackman(len(samples))
    spectrum = np.abs(np.fft.rfft(samples * window)) / (window.sum() / 2 * 32767)
    at = round(frequency * len(samples) / SAMPLE_RATE)
    return float(20 * np.log10(spectrum[max(0, at - 4) : at + 5].max() + 1e-9))


class Ear:
    """Collects what `read` gives, called again and again."""

    def __init__(self, read: Callable[[], np.ndarray]) -> None:
        self._read = read
        self._heard: list[np.ndarray] = []

    async def next(self, seconds: float) -> np.ndarray:
        """The next `seconds` of it, from now on."""
        self._read()
        heard: list[np.ndarray] = []
        await until(lambda: heard.append(self._read()) or sum(map(len, heard)) >= seconds * SAMPLE_RATE)  # type: ignore[func-returns-value]
        return np.concatenate(heard)[: int(seconds * SAMPLE_RATE)]

    def since(self) -> np.ndarray:
        """What has come since it was listened for the last time."""
        return self._read()

    async def within(self, seconds: float) -> np.ndarray:
        """What comes of it in `seconds`: less, or nothing at all, where it is silent, as long silence is not sent."""
        self._read()
        await asyncio.sleep(seconds)
        return self._read()

    async def until_heard(self, *frequencies: float) -> None:
        """Return when all of `frequencies` are there."""
        async with asyncio.timeout(PATIENCE):
            while not all(level(heard, f) > -40 for heard in [await self.next(0.2)] for f in frequencies):
                pass

    async def until_only(self, *frequencies: float, without: Iterable[float]) -> None:
        """Return when half a second holds all of `frequencies`, and `without` 40 dB below them.

        A busy machine loses packets, and a gap in one tone splashes over all frequencies; a tone that does leak is
        there in every half second.
        """
        levels: dict[float, float] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    heard = await self.next(0.5)
                    levels = {f: level(heard, f) for f in (*frequencies, *without)}
                    least = min(levels[f] for f in frequencies)
                    if least > -30 and all(levels[f] < least - 40 for f in without):
                        return
        except TimeoutError:
            raise AssertionError(f"heard {levels}, not {frequencies} without {without}") from None


# --- an aiortc peer with media ---


class ToneTrack(MediaStreamTrack):
    kind = "audio"

    def __init__(self, frequency: float) -> None:
        super().__init__()
        #: Whether it is silence, for now.
        self.quiet = False
        self.frequency = frequency
        self._tone = Tone(frequency)
        self._sent = 0
        self._start: float | None = None

    @property
    def said(self) -> float:
        """How much of it, in seconds."""
        return self._sent / SAMPLE_RATE

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        self._start = self._start or loop.time()
        await asyncio.sleep(self._start + self._sent / SAMPLE_RATE - loop.time())
        samples = self._tone.samples(960)
        if self.quiet:
            samples = np.zeros_like(samples)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, fractions.Fraction(1, SAMPLE_RATE), self._sent
        self._sent += 960
        return frame


class _Successor(aioice.Connection):
    """An ICE agent in the place of another, whose end aiortc waits for."""

    def __init__(self, former: aioice.Connection) -> None:
        super().__init__(ice_controlling=former.ice_controlling)
        self._former = former

    async def close(self) -> None:
        await super().close()
        await self._former.close()


class PeerConnection:
    """A plain aiortc RTCPeerConnection that plays a tone, and hears; speaks only `codec` if that is not Opus."""

    def __init__(self, frequency: float, codec: rtp.PayloadType = OPUS) -> None:
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.track = ToneTrack(frequency)
        self._connection.addTrack(self.track)
        self._codec = codec
        if codec is not OPUS:
            known = RTCRtpSender.getCapabilities("audio").codecs
            only = [each for each in known if each.mimeType == f"audio/{codec.name}"]
            self._connection.getTransceivers()[0].setCodecPreferences(only)
        self._connection.on("track", self._listen)
        self._heard: list[np.ndarray] = []
        self._task: asyncio.Task[None] | None = None
        self._agent: _Successor | None = None  # of ICE, if it was restarted
        self.ear = Ear(self._take)
        self.contributing: set[int] = set()  # the CSRCs of the last packet
        self.ssrc = 0  # under which it sends, when it has offered or answered

    def _listen(self, track: MediaStreamTrack) -> None:
        self._watch_sources()
        self._task = asyncio.create_task(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        to_ours = av.AudioResampler("s16", "mono", SAMPLE_RATE)
        with contextlib.suppress(MediaStreamError):  # the other end has hung up
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                if frame.sample_rate == SAMPLE_RATE:
                    self._heard.append(frame.to_ndarray()[0][::2])  # left
                else:
                    self._heard += [each.to_ndarray()[0] for each in to_ours.resample(frame)]

    def _take(self) -> np.ndarray:
        heard, self._heard = self._heard, []
        return np.concatenate([np.zeros(0, np.int16), *heard])

    async def offer(self) -> tuple[ice.Transport, rtp.PayloadType, int]:
        """Our side: transport, codec, and the number of the level extension."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return self._described()

    async def answer(
        self, leg: Leg, payload: rtp.PayloadType = OPUS, extension: int = 1
    ) -> tuple[ice.Transport, rtp.PayloadType, int]:
        offered = sdp(leg, payload, extension, "actpass")
        await self._connection.setRemoteDescription(RTCSessionDescription(offered, "offer"))
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return self._described()

    async def accept(self, leg: Leg, payload: rtp.PayloadType, extension: int, setup: str) -> None:
        await self._connection.setRemoteDescription(
            RTCSessionDescription(sdp(leg, payload, extension, setup), "answer")
        )

    def _described(self) -> tuple[ice.Transport, rtp.PayloadType, int]:
        media = SessionDescription.parse(self._connection.localDescription.sdp).media[0]
        spoken = next(codec for codec in media.rtp.codecs if codec.name == self._codec.name)
        extension = next(e.id for e in media.rtp.headerExtensions if e.uri == rtp.AUDIO_LEVEL)
        assert media.ice is not None
        assert media.dtls is not None
        transport = wire_transport(media.ice, media.dtls, media.ice_candidates)
        self.ssrc = media.ssrc[0].ssrc
        return transport, self._codec.model_copy(update={"id": spoken.payloadType}), extension

    @property
    def path(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Its own address and the other end's: the pair that ICE has chosen."""
        pair = self._connection.getReceivers()[0].transport.transport._connection._nominated[1]
        return pair.local_addr, pair.remote_addr

    def _watch_sources(self) -> None:
        """Remember the CSRCs, which aiortc reads and drops."""
        receiver = self._connection.getReceivers()[0]
        handle = receiver._handle_rtp_packet

        async def watch(packet: RtpPacket, arrival_time_ms: int) -> None:
            self.contributing = set(packet.csrc)
            await handle(packet, arrival_time_ms)

        receiver._handle_rtp_packet = watch  # type: ignore[method-assign]

    async def restart(self, generation: int = 1) -> ice.Transport:
        """Other credentials and other sockets, for `restarted`. aiortc has no ICE restart, so its agent is replaced."""
        former = self._ice._connection
        self._agent = agent = _Successor(former)
        await agent.gather_candidates()
        candidates = tuple(
            ice.Candidate(
                component=each.component,
                foundation=each.foundation[:30],
                generation=generation,
                ip=each.host,
                port=each.port,
                priority=each.priority,
                protocol=each.transport,
                type="host",
            )
            for each in agent.local_candidates
        )
        return ice.Transport(ufrag=agent.local_username, pwd=agent.local_password, candidates=candidates)

    async def restarted(self, remote: ice.Transport) -> None:
        """Go on by the new path to `remote`, and read nothing any more of what comes by the old one."""
        agent = self._agent
        assert agent is not None
        agent.remote_username, agent.remote_password = remote.ufrag, remote.pwd
        for each in remote.candidates:
            await agent.add_remote_candidate(
                aioice.Candidate(each.foundation, each.component, "udp", each.priority, each.ip, each.port, each.type)
            )
        await agent.add_remote_candidate(None)
        await agent.connect()
        former, self._ice._connection = self._ice._connection, agent
        self._ice._recv, self._ice._send = agent.recv, agent.send
        former._queue.put_nowait((b"\0", 1))  # who waits there looks up

    @property
    def _ice(self) -> RTCIceTransport:
        return self._connection.getTransceivers()[0].sender.transport.transport

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._connection.close()
        if self._agent is not None:
            await self._agent.close()


def sdp(leg: Leg, payload: rtp.PayloadType, extension: int, setup: str) -> str:
    """What `leg` signals, as SDP."""
    transport = leg.local_transport
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=msid-semantic:WMS *",
        f"m=audio 9 UDP/TLS/RTP/SAVPF {payload.id}",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        f"a=rtpmap:{payload.id} {payload.name}/{payload.clockrate}" + ("/2" if payload.channels == 2 else ""),
        f"a=extmap:{extension} {rtp.AUDIO_LEVEL}",
        f"a=ssrc:{leg.ssrc} cname:focus",
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.pwd}",
        *(f"a=fingerprint:{f.hash} {f.value}" for f in transport.fingerprints),
        f"a=setup:{setup}",
        *(f"a=candidate:{candidate_to_sdp(c)}" for c in aiortc_candidates(transport.candidates)),
        "a=end-of-candidates",
    ]
    return "".join(f"{line}\r\n" for line in lines)


def aiortc_candidates(candidates: Iterable[ice.Candidate]) -> list[RTCIceCandidate]:
    return [
        RTCIceCandidate(c.component, c.foundation, c.ip, c.port, c.priority, c.protocol, c.type) for c in candidates
    ]


def wire_transport(
    credentials: RTCIceParameters, identity: RTCDtlsParameters, candidates: Iterable[RTCIceCandidate]
) -> ice.Transport:
    return ice.Transport(
        ufrag=credentials.usernameFragment,
        pwd=credentials.password,
        fingerprints=tuple(dtls.Fingerprint(hash=f.algorithm, value=f.value) for f in identity.fingerprints),
        candidates=tuple(
            ice.Candidate.model_validate(
                {
                    "component": c.component,
                    "foundation": c.foundation[:30],
                    "ip": c.ip,
                    "port": c.port,
                    "priority": c.priority,
                    "protocol": c.protocol,
                    "type": c.type,
                }
            )
            for c in candidates
        ),
    )


# --- an aiortc peer without media ---


class OrtcPeer:
    """The ICE and DTLS of aiortc with sockets of its own, and nothing above them."""

    def __init__(self, *, controlling: bool, client: bool = True) -> None:
        self.gatherer = RTCIceGatherer(iceServers=[])
        self.ice = RTCIceTransport(self.gatherer)
        self.connection = self.ice._connection
        self.connection.ice_controlling = controlling
        self.dtls = RTCDtlsTransport(self.ice, [RTCCertificate.generateCertificate()])
        self.dtls._set_role("client" if client else "server")

    async def transport(self) -> ice.Transport:
        await self.gatherer.gather()
        return wire_transport(
            self.gatherer.getLocalParameters(), self.dtls.getLocalParameters(), self.gatherer.getLocalCandidates()
        )

    async def connect(self, remote: ice.Transport, *, candidates: bool = True) -> None:
        if candidates:
            for candidate in aiortc_candidates(remote.candidates):
                await self.ice.addRemoteCandidate(candidate)
            await self.ice.addRemoteCandidate(None)
        await self.ice.start(RTCIceParameters(remote.ufrag, remote.pwd))
        if self.ice.state == "completed":
            await self.dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(f.hash, f.value) for f in remote.fingerprints]))

    async def close(self) -> None:
        await self.dtls.stop()
        await self.ice.stop()


@contextlib.asynccontextmanager
async def closing(*things: OrtcPeer | PeerConnection | Leg) -> AsyncIterator[None]:
    """Close `things` at the end, whatever happens."""
    try:
        yield
    finally:
        closers: list[Awaitable[None]] = [thing.close() for thing in things]
        await asyncio.gather(*closers)
