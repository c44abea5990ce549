"""RTP packets: RFC 3550 section 5.1, RFC 8285, RFC 6464, RFC 6465."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer_ext import rtp_audio_level, rtp_build, rtp_mixed_levels, rtp_parse

HEADER = struct.pack("!BBHII", 0x80, 111, 7, 960, 0xCAFEBABE)


def with_first(byte: int, rest: bytes = b"") -> bytes:
    return bytes([byte]) + HEADER[1:] + rest


@given(
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=300),
    marker=st.booleans(),
    csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15),
    level_extension=st.integers(0, 255).filter(lambda identifier: identifier != 15),
    level=st.integers(0, 127),
    voice=st.booleans(),
)
def test_what_is_built_is_parsed(level_extension: int, level: int, voice: bool, **values: object) -> None:
    data = rtp_build(**values, level_extension=level_extension, level=level, voice=voice)  # type: ignore[arg-type]
    packet = rtp_parse(data)
    for name, value in values.items():
        assert getattr(packet, name) == (tuple(value) if isinstance(value, list) else value)
    assert rtp_audio_level(data, level_extension) == ((level, voice) if level_extension else None)


IDENTIFIERS = st.integers(0, 255).filter(lambda identifier: identifier != 15)


@given(
    csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15),
    identifiers=st.tuples(IDENTIFIERS, IDENTIFIERS).filter(lambda pair: pair[0] != pair[1] or pair[0] == 0),
    data=st.data(),
)
def test_a_level_for_each_source_goes_beside_that_of_the_packet(
    csrcs: list[int], identifiers: tuple[int, int], data: st.DataObject
) -> None:
    levels = data.draw(st.lists(st.integers(0, 127), min_size=len(csrcs), max_size=len(csrcs)))
    own, mixed = identifiers
    packet = rtp_build(
        payload_type=111, sequence=1, timestamp=2, ssrc=3, payload=b"sound", csrcs=csrcs,
        level_extension=own, level=9, voice=True, mixed_extension=mixed, mixed_levels=levels if mixed else (),
    )  # fmt: skip
    parsed = rtp_parse(packet)
    assert (parsed.payload, parsed.csrcs) == (b"sound", tuple(csrcs))
    assert rtp_audio_level(packet, own) == ((9, True) if own else None)
    assert rtp_mixed_levels(packet, mixed) == (tuple(levels) if mixed and csrcs else None)
    assert not mixed or bytes(levels) in parsed.extension  # the highest bit of each is 0
    if own or (mixed and csrcs):
        assert parsed.extension_profile == (0xBEDE if own < 15 and mixed < 15 else 0x1000)
    else:
        assert parsed.extension_profile is None
    assert len(packet) <= 12 + 60 + 24 + 5


def test_levels_that_are_not_one_for_each_source_are_refused() -> None:
    with pytest.raises(ValueError, match="each source"):
        rtp_build(
            payload_type=1, sequence=1, timestamp=1, ssrc=1, payload=b"", csrcs=[5], mixed_extension=2, mixed_levels=[]
        )


@given(st.binary(max_size=120))
def test_anything_is_parsed_within_its_bounds_or_refused(data: bytes) -> None:
    try:
        packet = rtp_parse(data)
    except ValueError:
        return
    assert len(packet.extension) + len(packet.payload) + 4 * len(packet.csrcs) + 12 <= len(data)
    assert packet.payload in data


@given(st.binary(max_size=40), st.integers(1, 255), st.sampled_from([0xBEDE, 0x1000, 0x100F, 0x1010, 0xABCD]))
def test_any_extension_is_searched_within_its_bounds(body: bytes, identifier: int, profile: int) -> None:
    body += bytes(-len(body) % 4)
    data = with_first(0x90, struct.pack("!HH", profile, len(body) // 4) + body + b"payload")
    assert rtp_parse(data).payload == b"payload"
    found = rtp_audio_level(data, identifier)
    assert found is None or 0 <= found[0] <= 127
    levels = rtp_mixed_levels(data, identifier)
    assert levels is None or len(levels) <= len(body)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "shorter"),
        (HEADER[:11], "shorter"),
        (with_first(0x40), "version"),
        (with_first(0x8F, bytes(59)), "shorter"),
        (with_first(0x90, b"\xbe\xde\x00"), "extension"),
        (with_first(0x90, b"\xbe\xde\x00\x01"), "extension"),
        (with_first(0x90, b"\xbe\xde\xff\xff" + bytes(100)), "extension"),
        (with_first(0xA0), "padding"),
        (with_first(0xA0, b"\x00"), "padding"),
        (with_first(0xA0, b"abc\x05"), "padding"),
    ],
)
def test_a_packet_that_promises_more_than_it_has_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        rtp_parse(data)


def test_padding_is_not_payload() -> None:
    assert rtp_parse(with_first(0xA0, b"sound\x00\x00\x03")).payload == b"sound"


def test_a_level_is_found_among_other_extensions_in_both_forms() -> None:
    short = bytes([0x32]) + b"abc" + bytes([0, 0, 0x50, 0x80 | 33])
    long = bytes([3, 3]) + b"abc" + bytes([0, 5, 1, 33])
    for profile, body in ((0xBEDE, short), (0x1000, long), (0x100F, long)):
        body += bytes(-len(body) % 4)
        data = with_first(0x90, struct.pack("!HH", profile, len(body) // 4) + body + b"x")
        assert rtp_audio_level(data, 5) == (33, profile == 0xBEDE)
        assert rtp_audio_level(data, 4) is None


def test_the_extension_that_ends_the_one_byte_form_ends_the_search() -> None:
    body = bytes([0xF0, 0, 0x50, 33])
    assert rtp_audio_level(with_first(0x90, b"\xbe\xde\x00\x01" + body), 5) is None


def test_padding_that_has_a_length_ends_the_search() -> None:
    """RFC 8285 section 4.2."""
    for body, found in (
        (bytes([0x01, 7, 8, 0x50, 33, 0, 0, 0]), None),
        (bytes([0, 0, 0, 0x50, 33, 0, 0, 0]), (33, False)),
    ):
        assert rtp_audio_level(with_first(0x90, b"\xbe\xde\x00\x02" + body + b"x"), 5) == found
