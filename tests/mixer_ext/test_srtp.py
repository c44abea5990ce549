"""SRTP and SRTCP against RFC 3711 and RFC 7714 as written down once more here on the primitives of `cryptography`,
which is held to the vectors of both; and against libsrtp.
"""

import hmac
import os
import random
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Error, Policy, Session

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


def seal(key: bytes, salt: bytes, packet: bytes, roll_over: int) -> bytes:
    """RFC 7714 section 8, from session keys; the packet has a header of 12 bytes."""
    nonce = bytes(2) + packet[8:12] + struct.pack("!I", roll_over) + packet[2:4]
    return packet[:12] + AESGCM(key).encrypt(xor(nonce, salt), packet[12:], packet[:12])


def seal_rtcp(key: bytes, salt: bytes, packet: bytes, index: int) -> bytes:
    """RFC 7714 section 9, from session keys."""
    nonce = bytes(2) + packet[4:8] + bytes(2) + struct.pack("!I", index)
    trailer = struct.pack("!I", 0x80000000 | index)
    return packet[:8] + AESGCM(key).encrypt(xor(nonce, salt), packet[8:], packet[:8] + trailer) + trailer


def gcm(key: bytes, salt: bytes, packet: bytes, roll_over: int = 0) -> bytes:
    return seal(derive(key, salt, 0, len(key)), derive(key, salt, 2, 12), packet, roll_over)


def gcm_rtcp(key: bytes, salt: bytes, packet: bytes, index: int) -> bytes:
    return seal_rtcp(derive(key, salt, 3, len(key)), derive(key, salt, 5, 12), packet, index)


def first_block(salt: bytes, ssrc: bytes, index: int) -> int:
    """RFC 3711 section 4.1.1."""
    return int.from_bytes(salt, "big") << 16 ^ int.from_bytes(ssrc, "big") << 64 ^ index << 16


def counter(key: bytes, salt: bytes, packet: bytes, roll_over: int = 0) -> bytes:
    """RFC 3711 sections 4.1.1 and 4.2."""
    index = roll_over << 16 | int.from_bytes(packet[2:4], "big")
    block = first_block(derive(key, salt, 2, 14), packet[8:12], index)
    payload = xor(packet[12:], counter_mode(derive(key, salt, 0, 16), block, len(packet) - 12))
    tag = hmac.digest(derive(key, salt, 1, 20), packet[:12] + payload + struct.pack("!I", roll_over), "sha1")[:10]
    return packet[:12] + payload + tag


def counter_rtcp(key: bytes, salt: bytes, packet: bytes, index: int) -> bytes:
    """RFC 3711 section 3.4."""
    block = first_block(derive(key, salt, 5, 14), packet[4:8], index)
    sealed = packet[:8] + xor(packet[8:], counter_mode(derive(key, salt, 3, 16), block, len(packet) - 8))
    sealed += struct.pack("!I", 0x80000000 | index)
    return sealed + hmac.digest(derive(key, salt, 4, 20), sealed, "sha1")[:10]


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


def test_the_key_stream_is_that_of_appendix_b2() -> None:
    block = first_block(bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"), bytes(4), 0)
    stream = counter_mode(bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"), block, 0xFF02 * 16)
    assert stream[:48].hex().upper() == (
        "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
    )
    assert stream[0xFEFF * 16 : 0xFF02 * 16].hex().upper() == (
        "EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE6A2CC3787889374FBEB4C81B17BA6C44"
    )


VECTOR_SALT = bytes.fromhex("517569642070726f2071756f")


@pytest.mark.parametrize(
    ("size", "sealed"),
    [
        (
            16,
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            32,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ],
)
def test_packets_are_sealed_as_in_rfc_7714_section_16(size: int, sealed: str) -> None:
    plain = bytes.fromhex("8040f17b8041f8d35501a0b2") + b"Gallia est omnis divisa in partes tres"
    assert seal(bytes(range(size)), VECTOR_SALT, plain, 0) == plain[:12] + bytes.fromhex(sealed)


@pytest.mark.parametrize(
    ("size", "sealed"),
    [
        (
            16,
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf872"
            "45d9eade",
        ),
        (
            32,
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6c"
            "b26ac3be",
        ),
    ],
)
def test_reports_are_sealed_as_in_rfc_7714_section_17(size: int, sealed: str) -> None:
    plain = bytes.fromhex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61" + "deadbeef" * 5)
    expected = plain[:8] + bytes.fromhex(sealed + "800005d4")
    assert seal_rtcp(bytes(range(size)), VECTOR_SALT, plain, 0x5D4) == expected


def test_counter_mode_is_rfc_3711() -> None:
    key, salt = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139"), bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    plain = bytes.fromhex("800f1234decafbadcafebabe") + b"\xab" * 16
    sealed = Srtp("AES_CM_128_HMAC_SHA1_80", key + salt, SSRC).protect(plain)
    assert sealed == counter(key, salt, plain)
    assert sealed.hex() == "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"
    end = Srtp("AES_CM_128_HMAC_SHA1_80", key + salt, SSRC)
    for index in range(3):
        assert end.protect_rtcp(REPORT + b"abcd") == counter_rtcp(key, salt, REPORT + b"abcd", index)


@pytest.mark.parametrize("profile", ["AEAD_AES_128_GCM", "AEAD_AES_256_GCM"])
def test_gcm_is_rfc_7714(profile: str) -> None:
    secret = os.urandom(LENGTHS[profile])
    key, salt = secret[:-12], secret[-12:]
    end = Srtp(profile, secret, SSRC)
    assert end.protect(packet(65535)) == gcm(key, salt, packet(65535))
    assert end.protect(packet(0)) == gcm(key, salt, packet(0), roll_over=1)
    body = REPORT[:3] + b"\x02" + REPORT[4:] + b"abcd"
    for index in range(3):
        assert end.protect_rtcp(body) == gcm_rtcp(key, salt, body, index)


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


# --- libsrtp as the other end

PROFILES = {
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


def libsrtp(profile: str, key: bytes, *, sends: bool) -> Session:
    direction = Policy.SSRC_ANY_OUTBOUND if sends else Policy.SSRC_ANY_INBOUND
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=PROFILES[profile])
    policy.window_size = 1024
    return Session(policy=policy)


def varied(sequence: int, chance: random.Random) -> bytes:
    """A packet with CSRCs, a level, or padding, of any length."""
    return rtp_build(
        payload_type=111,
        sequence=sequence & 0xFFFF,
        timestamp=sequence * 960 & 0xFFFFFFFF,
        ssrc=SSRC,
        csrcs=[chance.getrandbits(32) for _ in range(chance.randrange(4))],
        level_extension=chance.choice((0, 3)),
        level=chance.randrange(128),
        payload=chance.randbytes(chance.choice((0, 1, 15, 16, 17, 80, 1200))),
    )


@pytest.mark.parametrize("profile", LENGTHS)
def test_libsrtp_opens_what_we_protect_across_three_roll_overs(profile: str) -> None:
    chance = random.Random(1)
    key = chance.randbytes(LENGTHS[profile])
    here, there = Srtp(profile, key, SSRC), libsrtp(profile, key, sends=False)
    for sequence in [*range(20), *range(20000, 200000, 16411), *range(65526 + 131072, 65550 + 131072)]:
        plain = varied(sequence, chance)
        assert there.unprotect(here.protect(plain)) == plain
    for n in range(50):
        report = REPORT + chance.randbytes(4 * n)
        assert there.unprotect_rtcp(here.protect_rtcp(report)) == report


@pytest.mark.parametrize("profile", LENGTHS)
def test_what_libsrtp_protects_is_opened_in_any_order_and_once(profile: str) -> None:
    chance = random.Random(2)
    key = chance.randbytes(LENGTHS[profile])
    there = libsrtp(profile, key, sends=True)
    here, judge = Srtp(profile, key), libsrtp(profile, key, sends=False)
    plain = [varied(sequence, chance) for sequence in range(64000, 64000 + 140000, 37)]
    sealed = [there.protect(each) for each in plain]
    order = sorted(range(len(sealed)), key=lambda i: i + chance.randrange(40))  # 40 * 37 is more than the window
    order[0], order[order.index(0)] = 0, order[0]
    again = [*order, *order[-50:]]
    opened = 0
    for i in again:
        try:
            expected: bytes | None = judge.unprotect(sealed[i])
        except Error:
            expected = None
        if expected is None:
            with pytest.raises(ValueError, match="replayed"):
                here.unprotect(sealed[i])
        else:
            assert here.unprotect(sealed[i]) == expected == plain[i]
            opened += 1
    assert len(sealed) * 0.7 < opened < len(sealed)
    reports = [there.protect_rtcp(REPORT + struct.pack("!I", n)) for n in range(100)]
    chance.shuffle(reports)
    got = [here.unprotect_rtcp(report) for report in reports]
    assert sorted(got) == [REPORT + struct.pack("!I", n) for n in range(100)]
    with pytest.raises(ValueError, match="replayed"):
        here.unprotect_rtcp(reports[7])


@pytest.mark.parametrize("profile", LENGTHS)
def test_sources_of_one_end_are_told_apart(profile: str) -> None:
    key = os.urandom(LENGTHS[profile])
    there = Srtp(profile, key)
    senders = [Srtp(profile, key, ssrc) for ssrc in range(5)]
    for sequence in (65535, 0, 1):  # each has its own count of roll-overs, of reports too
        for ssrc, sender in enumerate(senders):
            data = rtp_build(payload_type=1, sequence=sequence, timestamp=0, ssrc=ssrc, payload=b"x")
            report = struct.pack("!BBHI", 0x80, 201, 1, ssrc)
            assert there.unprotect(sender.protect(data)) == data
            assert there.unprotect_rtcp(sender.protect_rtcp(report)) == report


@pytest.mark.parametrize("profile", LENGTHS)
def test_nothing_is_encrypted_twice_under_one_index(profile: str) -> None:
    here, _ = ends(profile)
    first = here.protect(packet(7))
    with pytest.raises(ValueError, match="not protected"):
        here.protect(packet(7))
    assert here.protect(packet(8)) != first
    with pytest.raises(ValueError, match="not protected"):
        here.protect(rtp_build(payload_type=111, sequence=9, timestamp=1, ssrc=SSRC + 1, payload=b"of another"))


@pytest.mark.parametrize("profile", LENGTHS)
def test_a_report_that_is_not_encrypted_is_not_taken(profile: str) -> None:
    """Its authentication would hold; but who negotiates that, negotiates UNENCRYPTED_SRTCP (RFC 4568 section 6.3.2)."""
    key = os.urandom(LENGTHS[profile])
    there = Srtp(profile, key)
    if "GCM" in profile:
        master, salt = key[:-12], key[-12:]
        nonce = xor(bytes(2) + REPORT[4:8] + bytes(6), derive(master, salt, 5, 12))
        tag = AESGCM(derive(master, salt, 3, len(master))).encrypt(nonce, b"", REPORT + bytes(4))
        plain = REPORT + tag + bytes(4)
    else:
        tag = hmac.digest(derive(key[:16], key[16:], 4, 20), REPORT + bytes(4), "sha1")[:10]
        plain = REPORT + bytes(4) + tag
    with pytest.raises(ValueError, match="not authentic"):
        there.unprotect_rtcp(plain)


@given(
    profile=st.sampled_from(sorted(LENGTHS)),
    rtcp=st.booleans(),
    cut=st.integers(0, 200),
    flips=st.lists(st.tuples(st.integers(0, 199), st.integers(1, 255)), max_size=5),
    first=st.integers(0, 255),
)
def test_what_is_cut_or_changed_is_refused_and_does_no_harm(
    profile: str, rtcp: bool, cut: int, flips: list[tuple[int, int]], first: int
) -> None:
    """Whatever the first byte says of CSRCs and extensions; and the next packet is opened as if nothing had been."""
    here, there = ends(profile)
    protect, unprotect = (here.protect_rtcp, there.unprotect_rtcp) if rtcp else (here.protect, there.unprotect)
    body = [REPORT + bytes(40), REPORT + bytes(44)] if rtcp else [packet(1), packet(2)]
    sealed = protect(body[0])
    changed = bytearray(sealed[:cut])
    for at, value in flips:
        if at < len(changed):
            changed[at] ^= value
    if changed:
        changed[0] = first
    if bytes(changed) != sealed:
        with pytest.raises(ValueError, match=r"not authentic|too short"):
            unprotect(bytes(changed))
    assert unprotect(sealed) == body[0]
    assert unprotect(protect(body[1])) == body[1]


@given(st.binary(max_size=300), st.sampled_from(sorted(LENGTHS)))
def test_garbage_is_not_authentic(garbage: bytes, profile: str) -> None:
    _, there = ends(profile)
    for unprotect in (there.unprotect, there.unprotect_rtcp):
        with pytest.raises(ValueError, match=r"not authentic|too short"):
            unprotect(garbage)
