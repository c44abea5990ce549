"""The keys that DTLS gives (RFC 5764), against aiortc's handshake and libsrtp, in every profile."""

from __future__ import annotations

import struct

import pytest
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    SRTPProtectionProfile,
)

from focus.media.plane import MediaPlane
from focus.media.tones import SAMPLE_RATE, Tone
from mixer_ext import Opus, rtp_build

from .peers import OPUS, Observer, OrtcPeer, closing, until

SHORT_TAG = SRTPProtectionProfile(
    libsrtp_profile=2, openssl_profile=b"SRTP_AES128_CM_SHA1_32", key_length=16, salt_length=14
)
ALL = [SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_256_GCM, SRTP_AEAD_AES_128_GCM]


class Listener(OrtcPeer):
    """A peer that knows these profiles and keeps the RTP and RTCP that libsrtp has opened for it."""

    def __init__(self, profiles: list[SRTPProtectionProfile], *, client: bool = True) -> None:
        super().__init__(controlling=True, client=client)
        self.dtls._srtp_profiles = profiles
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.dtls._handle_rtp_data = self._keep_rtp  # type: ignore[method-assign]
        self.dtls._handle_rtcp_data = self._keep_rtcp  # type: ignore[method-assign]

    async def _keep_rtp(self, data: bytes, arrival_time_ms: int) -> None:
        self.rtp.append(data)

    async def _keep_rtcp(self, data: bytes) -> None:
        self.rtcp.append(data)


@pytest.mark.parametrize("client", [True, False], ids=["we are the server", "we are the client"])
@pytest.mark.parametrize(
    ("theirs", "agreed"),
    [([profile], profile) for profile in ALL] + [([SHORT_TAG, SRTP_AES128_CM_SHA1_80], SRTP_AES128_CM_SHA1_80)],
    ids=lambda value: value.openssl_profile.decode() if isinstance(value, SRTPProtectionProfile) else str(len(value)),
)
async def test_sound_and_reports_are_sealed_under_the_profile_that_both_know(
    plane: MediaPlane, theirs: list[SRTPProtectionProfile], agreed: SRTPProtectionProfile, client: bool
) -> None:
    peer, observer = Listener(theirs, client=client), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        leg.set_codec(OPUS, level_extension=None)
        leg.play(Tone(440).samples(60 * SAMPLE_RATE))
        await leg.connect(await peer.transport(), dtls_role="passive" if client else "active")
        await peer.connect(leg.local_transport)
        await observer.connected()
        assert peer.dtls._ssl is not None
        assert peer.dtls._ssl.get_selected_srtp_profile() == agreed.openssl_profile
        sound = Opus().encode(Tone(660).samples(960))
        await peer.dtls._send_rtp(rtp_build(payload_type=96, sequence=1, timestamp=1, ssrc=7, payload=sound))
        block = struct.pack("!IIIIII", leg.ssrc, 64 << 24, 0, 0, 0, 0)
        await peer.dtls._send_rtp(struct.pack("!BBHI", 0x81, 201, 7, 7) + block)
        await until(lambda: leg.stats()["received"] == 1 and leg.stats()["remote_fraction_lost"] == 0.25)
        await until(lambda: bool(peer.rtp) and bool(peer.rtcp))
        assert struct.unpack_from("!I", peer.rtp[0], 8) == struct.unpack_from("!I", peer.rtcp[0], 4) == (leg.ssrc,)
        assert leg.cname.encode() in peer.rtcp[0]
        assert leg.stats()["dropped_auth"] == 0


@pytest.mark.parametrize("we_are_the_server", [True, False])
async def test_of_several_profiles_the_server_takes_the_one_that_it_likes_best(
    plane: MediaPlane, we_are_the_server: bool
) -> None:
    peer, observer = Listener(ALL, client=we_are_the_server), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        await leg.connect(await peer.transport(), dtls_role="passive" if we_are_the_server else "active")
        await peer.connect(leg.local_transport)
        await observer.connected()
        best = SRTP_AEAD_AES_128_GCM if we_are_the_server else SRTP_AES128_CM_SHA1_80
        assert peer.dtls._ssl is not None
        assert peer.dtls._ssl.get_selected_srtp_profile() == best.openssl_profile


async def test_without_a_profile_that_both_know_there_is_no_call(plane: MediaPlane) -> None:
    peer, observer = Listener([SHORT_TAG]), Observer()
    leg = plane.create_leg(controlling=False, observer=observer)
    async with closing(peer, leg):
        await leg.connect(await peer.transport(), dtls_role="passive")
        await peer.connect(leg.local_transport)
        assert await observer.last(1) == "failed: the peer knows no SRTP protection profile that we know"
        assert leg.stats()["sent"] == 0
