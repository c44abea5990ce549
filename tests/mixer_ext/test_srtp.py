"""SRTP and SRTCP against RFC 3711 and RFC 7714 as written down once more here on the primitives of `cryptography`."""

import hmac
import os
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mixer_ext import Srtp, rtp_build

SSRC = 0xCAFEBABE
LENGTHS = {"AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44, "AES_CM_128_HMAC_SHA1_80": 30}


def counter_mode(key: bytes, block: int, length: int) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(length))


def derive(key: bytes, salt: bytes, label: int, length: int) -> bytes:
    """RFC 3711 section 4.3, key derivation rate 0; a GCM salt is 96 bits long (RFC 7714 section 11)."""
    base = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ (label << 48)
    return counter_mode(key, base << 16, length)


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def gcm(key: bytes, salt: bytes, packet: bytes, roll_over: int = 0) -> bytes:
    """RFC 7714 section 8."""
    nonce = bytes(2) + packet[8:12] + struct.pack("!I", roll_over) + packet[2:4]
    session_salt = derive(key, salt, 2, 12)
    sealed = AESGCM(derive(key, salt, 0, len(key))).encrypt(xor(nonce, session_salt), packet[12:], packet[:12])
    return packet[:12] + sealed


def gcm_rtcp(key: bytes, salt: bytes, packet: bytes, index: int) -> bytes:
    """RFC 7714 section 9."""
    nonce = bytes(2) + packet[4:8] + bytes(2) + struct.pack("!I", index)
    trailer = struct.pack("!I", 0x80000000 | index)
    session = AESGCM(derive(key, salt, 3, len(key)))
    return (
        packet[:8] + session.encrypt(xor(nonce, derive(key, salt, 5, 12)), packet[8:], packet[:8] + trailer) + trailer
    )


def counter(key: bytes, salt: bytes, packet: bytes, roll_over: int = 0) -> bytes:
    """RFC 3711 sections 4.1.1 and 4.2."""
    index = roll_over << 16 | int.from_bytes(packet[2:4], "big")
    block = int.from_bytes(derive(key, salt, 2, 14), "big") << 16
    block ^= int.from_bytes(packet[8:12], "big") << 64 ^ index << 16
    payload = xor(packet[12:], counter_mode(derive(key, salt, 0, 16), block, len(packet) - 12))
    tag = hmac.digest(derive(key, salt, 1, 20), packet[:12] + payload + struct.pack("!I", roll_over), "sha1")[:10]
    return packet[:12] + payload + tag


def ends(profile: str) -> tuple[Srtp, Srtp]:
    key = os.urandom(LENGTHS[profile])
    return Srtp(profile, key, SSRC), Srtp(profile, key)


def packet(sequence: int) -> bytes:
    return rtp_build(
        payload_type=111, sequence=sequence, timestamp=sequence * 960, ssrc=SSRC, payload=b"a little sound"
    )


REPORT = struct.pack("!BBHI", 0x80, 201, 1, SSRC)


def test_keys_are_derived_as_in_appendix_b3() -> None:
    key, salt = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139"), bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    assert derive(key, salt, 0, 16).hex() == "c61e7a93744f39ee10734afe3ff7a087"
    assert derive(key, salt, 1, 20).hex() == "cebe321f6ff7716b6fd4ab49af256a156d38baa4"
    assert derive(key, salt, 2, 14).hex() == "30cbbc08863d8c85d49db34a9ae1"


def test_counter_mode_is_rfc_3711() -> None:
    key, salt = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139"), bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    plain = bytes.fromhex("800f1234decafbadcafebabe") + b"\xab" * 16
    sealed = Srtp("AES_CM_128_HMAC_SHA1_80", key + salt, SSRC).protect(plain)
    assert sealed == counter(key, salt, plain)
    assert sealed.hex() == "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"


@pytest.mark.parametrize("profile", ["AEAD_AES_128_GCM", "AEAD_AES_256_GCM"])
def test_gcm_is_rfc_7714(profile: str) -> None:
    secret = os.urandom(LENGTHS[profile])
    key, salt = secret[:-12], secret[-12:]
    end = Srtp(profile, secret, SSRC)
    assert end.protect(packet(65535)) == gcm(key, salt, packet(65535))
    assert end.protect(packet(0)) == gcm(key, salt, packet(0), roll_over=1)
    body = REPORT[:3] + b"\x02" + REPORT[4:] + b"abcd"
    assert end.protect_rtcp(body) == gcm_rtcp(key, salt, body, 1)


@pytest.mark.parametrize("profile", LENGTHS)
def test_what_one_end_protects_the_other_unprotects(profile: str) -> None:
    here, there = ends(profile)
    for sequence in (65533, 65534, 65535, 0, 1):
        sealed = here.protect(packet(sequence))
        assert b"sound" not in sealed
        assert there.unprotect(sealed) == packet(sequence)
    assert there.unprotect_rtcp(here.protect_rtcp(REPORT)) == REPORT


@pytest.mark.parametrize("profile", LENGTHS)
def test_a_changed_packet_is_not_authentic(profile: str) -> None:
    here, there = ends(profile)
    sealed = here.protect(packet(1))
    report = here.protect_rtcp(REPORT)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(ValueError, match="not authentic"):
            there.unprotect(bytes(changed))
    for at in range(4, len(report)):
        changed = bytearray(report)
        changed[at] ^= 1
        with pytest.raises(ValueError, match="not authentic"):
            there.unprotect_rtcp(bytes(changed))
    assert there.unprotect(sealed) == packet(1)


@pytest.mark.parametrize("profile", LENGTHS)
def test_a_packet_counts_once(profile: str) -> None:
    here, there = ends(profile)
    sealed = [here.protect(packet(sequence)) for sequence in range(2000)]
    for data in (sealed[5], sealed[3], sealed[1500]):
        there.unprotect(data)
        with pytest.raises(ValueError, match="replayed"):
            there.unprotect(data)
    with pytest.raises(ValueError, match="replayed"):
        there.unprotect(sealed[100])  # older than the window of 1024
    report = here.protect_rtcp(REPORT)
    there.unprotect_rtcp(report)
    with pytest.raises(ValueError, match="replayed"):
        there.unprotect_rtcp(report)


def test_another_key_opens_nothing() -> None:
    here, _ = ends("AEAD_AES_128_GCM")
    _, stranger = ends("AEAD_AES_128_GCM")
    with pytest.raises(ValueError, match="not authentic"):
        stranger.unprotect(here.protect(packet(1)))


def test_the_sources_of_one_end_are_bounded() -> None:
    key = os.urandom(28)
    there = Srtp("AEAD_AES_128_GCM", key)
    accepted = 0
    for ssrc in range(100):
        data = rtp_build(payload_type=111, sequence=1, timestamp=1, ssrc=ssrc, payload=b"x")
        try:
            there.unprotect(Srtp("AEAD_AES_128_GCM", key, ssrc).protect(data))
            accepted += 1
        except ValueError:
            assert accepted == 32
    assert accepted == 32


@pytest.mark.parametrize(
    ("profile", "length"), [("AEAD_AES_128_GCM", 27), ("AES_CM_128_HMAC_SHA1_80", 28), ("NULL", 30)]
)
def test_unknown_profiles_and_short_keys_are_refused(profile: str, length: int) -> None:
    with pytest.raises(ValueError, match=r"profile|key and salt"):
        Srtp(profile, bytes(length))
