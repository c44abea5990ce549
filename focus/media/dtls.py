"""The keys of DTLS-SRTP (RFC 5764): aiortc does the handshake, by datagrams that go through the ICE agent of the leg.

What is taken for granted about aiortc's private parts is checked in libraries.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, cast

import aiortc.rtcdtlstransport
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, RTCIceTransport

from focus.media.libraries import cancel
from focus.media.transport import PlaneConnection, TransportError
from focus.wire import dtls

DtlsRole = Literal["active", "passive"]


class SrtpKeys(NamedTuple):
    """What DTLS agreed on: the profile by its name in RFC 5764 and RFC 7714, and key + salt of both directions."""

    profile: str
    receive: bytes
    send: bytes


#: Profiles in the order in which we like them. The DTLS server chooses, by its own order.
PROFILES = {
    aiortc.rtcdtlstransport.SRTP_AEAD_AES_128_GCM: "AEAD_AES_128_GCM",
    aiortc.rtcdtlstransport.SRTP_AEAD_AES_256_GCM: "AEAD_AES_256_GCM",
    aiortc.rtcdtlstransport.SRTP_AES128_CM_SHA1_80: "AES_CM_128_HMAC_SHA1_80",
}

_State = aiortc.rtcdtlstransport.State


class _Datagrams:
    """The part of an ICE transport that DTLS reads from and writes to."""

    def __init__(self, connection: PlaneConnection) -> None:
        self._recv = connection.recv
        self._send = connection.send


class KeyedDtls(RTCDtlsTransport):
    """A DTLS-SRTP association that hands out its keys and never reads SRTP itself."""

    def __init__(self, connection: PlaneConnection, certificate: RTCCertificate) -> None:
        super().__init__(cast(RTCIceTransport, _Datagrams(connection)), [certificate])
        self._srtp_profiles = list(PROFILES)
        self._keys: SrtpKeys | None = None
        self._reason = "the DTLS handshake failed"
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handshake(self, role: DtlsRole, fingerprints: Sequence[dtls.Fingerprint]) -> SrtpKeys:
        """Key the association with the peer whose certificate has `fingerprints`. Raises `TransportError`."""
        self._set_role("client" if role == "active" else "server")
        await self.start(RTCDtlsParameters([RTCDtlsFingerprint(f.hash.lower(), f.value.upper()) for f in fingerprints]))
        if self._keys is None:
            raise TransportError(self._reason)
        return self._keys

    async def over(self) -> None:
        """Return when the association has ended: the peer sent close_notify, or ICE is gone."""
        await asyncio.shield(self._over)

    async def stop(self) -> None:
        """Send close_notify where there is somebody to send it to, and end."""
        pump = self._task
        await super().stop()
        if pump is not None:
            await cancel(pump)
            if not pump.cancelled():
                pump.exception()  # aiortc has logged it

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:
        super()._validate_peer_identity(remoteParameters)
        if self._state is _State.FAILED:
            self._reason = "the certificate of the peer is not the one it announced"

    def _setup_srtp(self) -> None:
        assert self._ssl is not None
        chosen = self._ssl.get_selected_srtp_profile()
        profile = next((known for known in PROFILES if known.openssl_profile == chosen), None)
        if profile is None:
            self._reason = "the peer knows no SRTP protection profile that we know"
            self._set_state(_State.FAILED)
            return
        material = self._ssl.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length)
        )
        # RFC 5764 section 4.2: what the client writes with comes first.
        client, server = (profile.get_key_and_salt(material, index) for index in (0, 1))
        receive, send = (client, server) if self._role == "server" else (server, client)
        self._keys = SrtpKeys(PROFILES[profile], receive, send)

    def _set_state(self, state: aiortc.rtcdtlstransport.State) -> None:
        super()._set_state(state)
        if state is _State.CLOSED and not self._over.done():
            self._over.set_result(None)


#: Fingerprint hashes that can be verified.
HASHES = frozenset(aiortc.rtcdtlstransport.X509_DIGEST_ALGORITHMS)


def verifiable(fingerprints: Iterable[dtls.Fingerprint]) -> list[dtls.Fingerprint]:
    """Those whose hash we know. Every one of them must be right."""
    return [fingerprint for fingerprint in fingerprints if fingerprint.hash.lower() in HASHES]


class Identity:
    """The certificate (ECDSA, P-256) that all legs of a process show, renewed long before it expires."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._certificate: RTCCertificate | None = None

    def certificate(self) -> RTCCertificate:
        if self._certificate is None or self._certificate.expires - self._now() < timedelta(days=7):
            self._certificate = RTCCertificate.generateCertificate()
        return self._certificate


def fingerprint_of(certificate: RTCCertificate) -> dtls.Fingerprint:
    """The SHA-256 fingerprint of `certificate`, with no say in who opens the handshake."""
    value = next(f.value for f in certificate.getFingerprints() if f.algorithm == "sha-256")
    return dtls.Fingerprint(hash="sha-256", value=value)


#: One certificate for the whole process: making one for each leg would cost time and bring nothing.
IDENTITY = Identity()
