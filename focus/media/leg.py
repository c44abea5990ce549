"""A leg: the ICE, DTLS and RTP of one peer (XEP-0176, XEP-0320 and XEP-0167 seen from the media side)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from focus.media.dtls import IDENTITY, DtlsRole, KeyedDtls, fingerprint_of, verifiable
from focus.media.libraries import cancel
from focus.media.totals import Totals
from focus.media.transport import Address, PlaneConnection, TransportError, local_candidates, new_ufrag
from focus.wire import dtls, ice, rtp

if TYPE_CHECKING:  # a leg is given its plane; focus.media.plane is the one place that makes one
    from mixer_ext import LegStatistics, Plane

logger = logging.getLogger(__name__)

#: Bits per second of Opus sent to a peer, and what one that wants less may ask for (RFC 7587 section 6.1).
BITRATE, BITRATES = 32000, range(6000, 510001)
#: Milliseconds of sound in a packet as a rule, and those that there can be instead.
PTIME, PTIMES = 20, (10, 20, 40, 60)

#: What Opus needs to carry the tones of a modem, and for how long, in ms, each packet of a modem is kept: what comes
#: later is lost to it.
MODEM_BITRATE, MODEM_DELAY = 128_000, 200


class LegObserver(Protocol):
    """Who is told what happens to a leg: on the event loop, in order, and nothing once `Leg.close` was called."""

    def leg_connected(self) -> None:
        """ICE has completed and DTLS has given the keys: audio flows."""

    def leg_failed(self, reason: str) -> None:
        """It did not connect, or the peer stopped answering. Once; nothing follows."""

    def leg_closed(self) -> None:
        """The peer ended the association (close_notify). Once; nothing follows."""

    def leg_speaking(self, speaking: bool) -> None:
        """The peer started or stopped speaking."""

    def leg_pressed(self, key: str, duration: float) -> None:
        """The peer has pressed a key of its telephone (RFC 4733) for so many seconds: 0 to 9, *, #, A to D, or "!", a
        flash of the hook. Once, when it is over.
        """


def bitrate_for(payload: rtp.PayloadType, most: int = BITRATE) -> int:
    """What to send: no more than the peer asks for, if that makes sense (RFC 7587 section 6.1)."""
    wish = payload.parameter("maxaveragebitrate") or ""
    if not wish.isdecimal() or len(wish) > len(str(BITRATES[-1])) or int(wish) not in BITRATES:
        return most
    return min(int(wish), most)


def ptime_for(payload: rtp.PayloadType) -> int:
    """Milliseconds of sound in each packet that is sent: as many as the peer would like (XEP-0167 section 4, RFC 7587
    section 6.1) and can take, of those that the plane knows; 20 where it says nothing.
    """
    least = payload.parameter("minptime") or ""
    wanted = max(payload.ptime or PTIME, int(least) if least.isdecimal() and len(least) < 4 else 0)
    most = min(wanted, payload.maxptime or wanted)
    return max((each for each in PTIMES if each <= most), default=PTIMES[0])


class SourceIds:
    """The SSRCs and CSRCs in use: no two sources in one plane may be mistaken for each other (RFC 3550 section 8)."""

    def __init__(self) -> None:
        self._used: set[int] = set()

    def new(self) -> int:
        """A random one that nobody has."""
        while not self.claim(ssrc := secrets.randbits(32)):
            pass
        return ssrc

    def claim(self, ssrc: int) -> bool:
        """Take `ssrc` if it is free. Zero never is: it reads as "none" in too many places."""
        if ssrc in self._used or not 0 < ssrc < 2**32:
            return False
        self._used.add(ssrc)
        return True

    def release(self, ssrc: int) -> None:
        self._used.discard(ssrc)


class Tap:
    """What is heard at a node, from now on: of a leg what its peer says or (`sent`) is sent, of a mixer all of it."""

    def __init__(self, plane: Plane, node: int, *, sent: bool = False) -> None:
        self._plane = plane
        self._tap: int | None = plane.tap(node, direction="out" if sent else "in")

    def read(self) -> NDArray[np.int16]:
        """All samples since the last read, int16 mono at 48 kHz; 10 s are kept. Nothing once closed."""
        return np.zeros(0, np.int16) if self._tap is None else self._plane.tap_read(self._tap)

    @property
    def overruns(self) -> int:
        """Samples that were not kept, since nobody had read for 10 s. Nothing once closed."""
        return 0 if self._tap is None else self._plane.tap_overruns(self._tap)

    def close(self) -> None:
        if self._tap is not None:
            self._plane.tap_close(self._tap)
            self._tap = None


class _Path:
    """The way of a leg's ICE agent into the plane."""

    def __init__(self, plane: Plane, leg: Leg) -> None:
        self._plane = plane
        self._leg = leg

    def send(self, local: int, address: Address, data: bytes) -> None:
        self._plane.send(local, address, data)

    def allow(self, local: int, address: Address) -> None:
        if not self._leg.closing:
            self._plane.allow(self._leg.node, local, address)

    def set_remote(self, local: int, address: Address) -> None:
        if not self._leg.over:
            self._plane.set_remote(self._leg.node, local, address)

    def forget_remote(self) -> None:
        if not self._leg.over:
            self._plane.forget_remote(self._leg.node)


class Leg:
    """One peer's audio in a plane. Made by `MediaPlane.create_leg`; ended by `close`, whatever happened before.

    `entered` is called when the leg has its `node`, `left` when it has it no more.

    `node` is the leg in the plane, `ssrc` what we send to the peer and `cname` its name there, `source_id` the CSRC by
    which the others hear it, `local_transport` what to signal: credentials, all candidates, and a fingerprint whose
    `setup` is left to who negotiates. Once closed, what concerns its node raises ValueError.
    """

    def __init__(
        self,
        plane: Plane,
        sources: SourceIds,
        *,
        controlling: bool,
        observer: LegObserver,
        public_addresses: Sequence[str],
        connect_timeout: float,
        entered: Callable[[Leg], None],
        left: Callable[[Leg], None],
        totals: Totals,
        agc: bool = False,
    ) -> None:
        self._plane = plane
        self._sources = sources
        self._observer = observer
        self._connect_timeout = connect_timeout
        self._entered = entered
        self._left = left
        self._totals = totals
        self._agc = agc
        self._is_modem = False
        self._encode: Callable[[], None] | None = None  # as the peer wants it
        self._task: asyncio.Task[None] | None = None
        self._restart_task: asyncio.Task[None] | None = None
        self._lost = "the peer stopped answering"  # what to say when ICE is closed
        self._close_task: asyncio.Task[None] | None = None
        self._ended = False  # the observer knows
        self._gain = 1.0
        self._muted = self._silenced = False
        self._hears: WeakKeyDictionary[Leg, float] = (
            WeakKeyDictionary()
        )  # how loud, those who are heard otherwise than by all

        certificate = IDENTITY.certificate()
        self._ice = PlaneConnection(_Path(plane, self), plane.addresses, ufrag=new_ufrag(), controlling=controlling)
        self._dtls = KeyedDtls(self._ice, certificate)
        self.local_transport = ice.Transport(
            ufrag=self._ice.local_username,
            pwd=self._ice.local_password,
            fingerprints=(fingerprint_of(certificate),),
            candidates=local_candidates(plane.addresses, public_addresses),
        )
        self.ssrc = sources.new()
        self.source_id = sources.new()
        self.cname = secrets.token_urlsafe(12)  # RFC 7022 section 4.2: 96 bits that nobody can guess, for this leg only
        self._enter()

    def _enter(self) -> None:
        self.node = self._plane.add_leg(self._ice.local_username, ssrc=self.ssrc, csrc=self.source_id, cname=self.cname)
        self._plane.set_agc(self.node, self._agc)
        self._entered(self)

    def _leave(self) -> None:
        self._totals.left(self.stats())
        self._plane.remove_leg(self.node)
        self._left(self)

    @property
    def closing(self) -> bool:
        """`close` was called."""
        return self._close_task is not None

    @property
    def over(self) -> bool:
        """Nothing is told any more, nor sent: `close` was called, or the observer knows that it failed or closed."""
        return self.closing or self._ended

    # --- signalling ---

    def prefer_source_id(self, ssrc: int) -> None:
        """Be heard under `ssrc`, which the peer announced for what it sends, if nobody in the plane has it.

        Before `connect` and before the leg is joined: `node` changes.
        """
        if self._task is not None or self.closing:
            raise RuntimeError("the leg is connecting already, or closed")
        if not self._sources.claim(ssrc):
            return
        self._sources.release(self.source_id)
        self.source_id = ssrc
        self._leave()
        self._enter()
        self._ice.repeat_passed()  # their checks may have overtaken their answer

    async def connect(self, remote: ice.Transport, *, dtls_role: DtlsRole) -> None:
        """Start ICE and DTLS with the peer of `remote`; the observer hears how it went.

        `dtls_role` is ours: active opens the handshake. Raises ValueError if `remote` lacks credentials or a
        fingerprint that can be verified, RuntimeError on a second call and after `close`.
        """
        if not remote.ufrag or not remote.pwd:
            raise ValueError("a transport without ufrag and pwd cannot be connected to")
        fingerprints = verifiable(remote.fingerprints)
        if not fingerprints:
            raise ValueError("a transport without a known kind of fingerprint cannot be trusted")
        if self._task is not None or self.closing:
            raise RuntimeError("a leg connects once")
        self._ice.remote_username = remote.ufrag
        self._ice.remote_password = remote.pwd
        self._task = asyncio.create_task(self._run(dtls_role, fingerprints), name=f"leg {self.node}")
        await self.add_remote_candidates(remote.candidates)

    async def restart(self, remote: ice.Transport) -> ice.Transport | None:
        """Find the peer anew, who has other credentials now (XEP-0176 section 5.9); returns what to signal, and is
        `local_transport` from now on. Audio takes the path that it has until there is a new one; the DTLS association
        and its keys stay. The leg fails where no path is found in time. None: it is over, and nobody is looked for.

        Raises ValueError if `remote` lacks credentials, RuntimeError before `connect`.
        """
        if not remote.ufrag or not remote.pwd:
            raise ValueError("a transport without ufrag and pwd cannot be connected to")
        if self._task is None:
            raise RuntimeError("the leg has not begun to connect")
        if self.over or self._ice.lost:
            return None
        ufrag = new_ufrag()
        self._plane.set_ufrag(self.node, ufrag)
        connect_again = self._ice.restart(ufrag, remote.ufrag, remote.pwd)
        candidates = tuple(
            each.model_copy(update={"generation": each.generation + 1}) for each in self.local_transport.candidates
        )
        self.local_transport = self.local_transport.model_copy(
            update={"ufrag": ufrag, "pwd": self._ice.local_password, "candidates": candidates}
        )
        if connect_again:
            self._restart_task = asyncio.create_task(self._reconnect(), name=f"leg {self.node} restarting")
        await self.add_remote_candidates(remote.candidates)
        return self.local_transport

    async def add_remote_candidates(self, candidates: Sequence[ice.Candidate]) -> None:
        """Learn where the peer may be reached, at any time; those that we cannot use are ignored."""
        await self._ice.add_candidates(candidates)

    # --- media ---

    def set_codec(
        self,
        payload: rtp.PayloadType,
        *,
        level_extension: int | None,
        mixed_extension: int | None = None,
        telephone_events: Sequence[rtp.PayloadType] = (),
    ) -> None:
        """Send and receive `payload`, as the peer describes what it wants to get (RFC 7587 section 6.1).

        `level_extension`, `mixed_extension`: the numbers negotiated for RFC 6464 and RFC 6465, if any;
        `telephone_events`: what RFC 4733 goes by, at 8000 or 48000 Hz. Raises ValueError for an unknown codec.
        """
        self._encode = partial(
            self._set_codec,
            payload,
            level_extension=level_extension or 0,
            mixed_extension=mixed_extension or 0,
            telephone_events={each.id: each.clockrate or 8000 for each in telephone_events},
        )
        self._encode()

    def _set_codec(
        self,
        payload: rtp.PayloadType,
        *,
        level_extension: int,
        mixed_extension: int,
        telephone_events: Mapping[int, int],
    ) -> None:
        self._plane.set_codec(
            self.node,
            payload_type=payload.id,
            name=(payload.name or "").lower(),
            bitrate=bitrate_for(payload, MODEM_BITRATE if self._is_modem else BITRATE),
            ptime=ptime_for(payload),
            fec=payload.parameter("useinbandfec") == "1" and not self._is_modem,
            dtx=payload.parameter("usedtx") == "1" and not self._is_modem,
            level_extension=level_extension,
            mixed_extension=mixed_extension,
            telephone_events=telephone_events,
        )

    def set_modem(self, enabled: bool) -> None:
        """Carry what a modem says and hears, or again what people do. A modem's tones are neither stretched nor brought
        to a volume nor made up in words, they come at a fixed delay, whoever else may hear them, and Opus is given as
        much room for them as the peer allows.
        """
        self._is_modem = enabled
        self._plane.set_delay(self.node, MODEM_DELAY if enabled else None)
        self._plane.set_agc(self.node, self._agc and not enabled)
        self._plane.set_gain(self.node, 1.0 if enabled else self._gain)
        self._set_mute()
        if self._encode is not None:
            self._encode()

    def set_mute(self, muted: bool) -> None:
        """Keep what the peer says from everybody else."""
        self._muted = muted
        self._set_mute()

    def silence(self, silenced: bool) -> None:
        """The same, whatever `set_mute` says: at the peer's wish."""
        self._silenced = silenced
        self._set_mute()

    def _set_mute(self) -> None:
        self._plane.set_mute(self.node, (self._muted or self._silenced) and not self._is_modem)

    def set_gain(self, gain: float) -> None:
        """Make what the peer says 0 to 4 times as loud for everybody. Raises ValueError outside."""
        self._plane.set_gain(self.node, gain)
        self._gain = gain
        if self._is_modem:
            self._plane.set_gain(self.node, 1.0)

    def set_agc(self, enabled: bool) -> None:
        """Bring what the peer says slowly to how loud all should speak, or leave it as it is."""
        self._agc = enabled
        self._plane.set_agc(self.node, enabled and not self._is_modem)

    def set_listener_gain(self, source: Leg, gain: float) -> None:
        """Make what the peer of `source` says 0 to 4 times as loud for this leg's peer alone, until either is closed.
        Raises ValueError outside, and where they are in different shards (`MediaPlane`).
        """
        if source._plane is not self._plane:
            raise ValueError(f"{self.node} and {source.node} are in different shards")
        self._plane.set_listener_gain(self.node, source.node, gain)
        self._hears[source] = gain
        if gain == 1:
            del self._hears[source]

    def take_volumes(self, other: Leg, legs: Iterable[Leg]) -> None:
        """Be heard as loud as `other` is, by everybody and by each of `legs`, and hear these so. Who is muted is so by
        what its own peer says, here and there."""
        self.set_gain(other._gain)
        for leg in legs:
            with contextlib.suppress(ValueError):  # it is closed, or the new one is in another shard
                if leg in other._hears:
                    self.set_listener_gain(leg, other._hears[leg])
                if other in leg._hears:
                    leg.set_listener_gain(self, leg._hears[other])

    def set_send(self, enabled: bool) -> None:
        """Send audio to the peer, or nothing (hold)."""
        self._plane.set_send(self.node, enabled)

    def play(self, samples: NDArray[np.int16]) -> int:
        """Queue `samples` (int16 mono, 48 kHz) for the peer alone; returns how many fitted (10 s do)."""
        return self._plane.play(self.node, samples)

    def play_pending(self) -> int:
        """How many samples are still to be played."""
        return self._plane.play_pending(self.node)

    def press(self, keys: str, *, duration: float = 0.1, gap: float = 0.06, in_band: bool = False) -> None:
        """Press keys of a telephone (0 to 9, *, #, A to D) for the peer, behind those that wait, each for `duration`
        seconds: as telephone events (RFC 4733), or, `in_band`, as sound. Raises ValueError where the peer takes
        no events, for what is no key, and when more than 64 would wait.
        """
        self._plane.send_dtmf(
            self.node, keys, duration_ms=round(duration * 1000), gap_ms=round(gap * 1000), in_band=in_band
        )

    def keys_pending(self) -> int:
        """How many keys are still to be sent as events."""
        return self._plane.dtmf_pending(self.node)

    def tap(self, *, sent: bool = False) -> Tap:
        """Listen to what the peer says, or is sent."""
        return Tap(self._plane, self.node, sent=sent)

    def stats(self) -> LegStatistics:
        """Counters and levels."""
        return self._plane.stats(self.node)

    # --- from the plane ---

    def stun_received(self, local: int, address: Address, data: bytes) -> None:
        self._ice.stun_received(local, address, data)

    def dtls_received(self, data: bytes) -> None:
        self._ice.data_received(data)

    def speaking_changed(self, speaking: bool) -> None:
        self._tell(self._observer.leg_speaking, speaking)

    def key_pressed(self, key: str, duration: float) -> None:
        self._tell(self._observer.leg_pressed, key, duration)

    # --- life ---

    async def _run(self, role: DtlsRole, fingerprints: Sequence[dtls.Fingerprint]) -> None:
        reason = None
        try:
            await self._key(role, fingerprints)
            self._tell(self._observer.leg_connected)
            await self._dtls.over()
            if self._ice.lost:
                reason = self._lost
        except TransportError as error:
            reason = str(error)
        except Exception:
            logger.exception("leg %s broke", self.node)
            reason = "internal error"
        self._plane.forget_remote(self.node)  # RFC 7675 section 5.1: without consent nothing is sent
        self._plane.set_consent(self.node, b"", controlling=False)  # nor is the peer told that all is well
        if reason is None:
            self._tell(self._observer.leg_closed)
        else:
            self._tell(self._observer.leg_failed, reason)
        self._ended = True

    async def _key(self, role: DtlsRole, fingerprints: Sequence[dtls.Fingerprint]) -> None:
        """Find the peer, shake hands, and give the keys to the plane. Raises `TransportError`."""
        late = "ICE found no path to the peer"
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._ice.connect()
                late = "the peer did not complete the DTLS handshake"
                keys = await self._dtls.handshake(role, fingerprints)
        except TimeoutError:
            raise TransportError(f"{late} in {self._connect_timeout:g} s") from None
        self._plane.set_srtp(self.node, keys.profile, keys.receive, keys.send)
        self._answer_consent()

    async def _reconnect(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._ice.connect()
        except TimeoutError:
            self._lost = f"ICE found no new path to the peer in {self._connect_timeout:g} s"
            await self._ice.close()  # `_run` notices
        except TransportError:
            return  # it has been closed
        else:
            self._answer_consent()

    def _answer_consent(self) -> None:
        self._plane.set_consent(self.node, self._ice.local_password.encode(), controlling=self._ice.ice_controlling)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        if self.over:
            return
        try:
            callback(*arguments)
        except Exception:
            logger.exception("leg %s: its observer broke", self.node)

    async def close(self) -> None:
        """Leave the plane and say goodbye to the peer (RTCP BYE, close_notify). Returns when nothing is left of it."""
        if self._close_task is None:
            self._close_task = asyncio.create_task(self._close(), name=f"leg {self.node} closing")
        await asyncio.shield(self._close_task)

    async def _close(self) -> None:
        try:
            for task in (self._restart_task, self._task):
                if task is not None:
                    await cancel(task)
            self._leave()
            await self._dtls.stop()
            await self._ice.close()
        finally:
            self._sources.release(self.ssrc)
            self._sources.release(self.source_id)
