"""RTP packets (RFC 3550 section 5.1), header extensions (RFC 8285), levels in them (RFC 6464, RFC 6465), reception
statistics (RFC 3550 appendix A).

Everything is read from packets that anybody may have sent: each length is checked before it is used.
"""
from typing import NamedTuple

from libc.string cimport memcpy, memset

from mixer_ext.octets cimport get16, get32, put16, put32


cdef int rtp_read(const uint8_t* data, int length, Rtp* rtp, bint encrypted) noexcept nogil:
    """Fill rtp; RTP_OK or the RtpFault. While the payload is encrypted its padding count cannot be read and is left in.
    """
    cdef int at, padding
    if length < RTP_HEADER:
        return RTP_SHORT
    if data[0] >> 6 != 2:
        return RTP_VERSION
    rtp.csrc_count = data[0] & 15
    rtp.marker = data[1] >> 7
    rtp.payload_type = data[1] & 127
    rtp.sequence = get16(data + 2)
    rtp.timestamp = get32(data + 4)
    rtp.ssrc = get32(data + 8)
    rtp.extension_profile = -1
    rtp.extension_offset = rtp.extension_length = 0
    at = RTP_HEADER + 4 * rtp.csrc_count
    if at > length:
        return RTP_SHORT
    if data[0] & 16:
        if at + 4 > length:
            return RTP_EXTENSION
        rtp.extension_profile = get16(data + at)
        rtp.extension_length = 4 * get16(data + at + 2)
        at += 4
        rtp.extension_offset = at
        if rtp.extension_length > length - at:
            return RTP_EXTENSION
        at += rtp.extension_length
    rtp.payload_offset = at
    rtp.payload_length = length - at
    if data[0] & 32 and not encrypted:
        padding = data[length - 1] if rtp.payload_length else 0
        if padding == 0 or padding > rtp.payload_length:
            return RTP_PADDING
        rtp.payload_length -= padding
    return RTP_OK


cdef int _find_extension(const uint8_t* data, Rtp* rtp, int identifier, int* size) noexcept nogil:
    """Offset of the extension element, -1 when it is not there (RFC 8285 sections 4.2 and 4.3); a broken element ends
    the search.
    """
    cdef int at = rtp.extension_offset
    cdef int end = at + rtp.extension_length
    cdef int found, length
    cdef bint short_form = rtp.extension_profile == 0xBEDE
    if not short_form and rtp.extension_profile >> 4 != 0x100:
        return -1
    while at < end:
        if data[at] == 0:           # padding
            at += 1
            continue
        if short_form:
            found = data[at] >> 4
            length = (data[at] & 15) + 1
            if found == 0 or found == 15:
                return -1       # padding that has a length, or what is reserved: nothing behind it counts
            at += 1
        else:
            if at + 2 > end:
                return -1
            found = data[at]
            length = data[at + 1]
            at += 2
        if length > end - at:
            return -1
        if found == identifier:
            size[0] = length
            return at
        at += length
    return -1


cdef uint8_t rtp_level(const uint8_t* data, Rtp* rtp, int identifier, bint* voice) noexcept nogil:
    """The level of RFC 6464 in -dBov (0 loudest, 127 silence), NO_LEVEL when the packet has none under this identifier.
    """
    cdef int size = 0
    cdef int at
    if identifier <= 0 or rtp.extension_profile < 0:
        return NO_LEVEL
    at = _find_extension(data, rtp, identifier, &size)
    if at < 0 or size < 1:
        return NO_LEVEL
    voice[0] = data[at] >> 7
    return data[at] & 127


cdef inline int _element(uint8_t* data, int identifier, int size, bint short_form) noexcept nogil:
    """The header of an extension element; its length."""
    if short_form:
        data[0] = identifier << 4 | (size - 1)
        return 1
    data[0] = identifier
    data[1] = size
    return 2


cdef int rtp_write(uint8_t* data, const Heading* heading) noexcept nogil:
    """Write the header, with the levels that have an identifier; returns its length. data has room for MAX_HEADER bytes.
    """
    cdef const Rtp* rtp = &heading.rtp
    cdef const Levels* levels = &heading.levels
    cdef int i, start
    cdef int at = RTP_HEADER
    cdef bint mixed = levels.mixed_identifier != 0 and rtp.csrc_count > 0
    # One form for all packets of a stream: RFC 8285 section 4.1.2 wants leave to mix them.
    cdef bint short_form = levels.identifier < 15 and levels.mixed_identifier < 15
    data[0] = 0x80 | rtp.csrc_count
    data[1] = (<uint8_t>rtp.marker << 7) | rtp.payload_type
    put16(data + 2, rtp.sequence)
    put32(data + 4, rtp.timestamp)
    put32(data + 8, rtp.ssrc)
    for i in range(rtp.csrc_count):
        put32(data + at, heading.csrcs[i])
        at += 4
    if not levels.identifier and not mixed:
        return at
    data[0] |= 16
    put16(data + at, 0xBEDE if short_form else 0x1000)
    start = at + 4
    at = start
    if levels.identifier:
        at += _element(data + at, levels.identifier, 1, short_form)
        data[at] = (<uint8_t>levels.voice << 7) | levels.level
        at += 1
    if mixed:
        at += _element(data + at, levels.mixed_identifier, rtp.csrc_count, short_form)
        memcpy(data + at, levels.mixed, rtp.csrc_count)
        at += rtp.csrc_count
    while (at - start) & 3:
        data[at] = 0
        at += 1
    put16(data + start - 2, (at - start) // 4)
    return at


cdef void reception_count(Reception* reception, uint16_t sequence) noexcept nogil:
    """Count a packet (appendix A.1, without probation: the source is authenticated)."""
    cdef uint16_t ahead = <uint16_t>(sequence - reception.newest)
    if not reception.started or (ahead >= 3000 and ahead <= 65536 - 100):
        # a first packet, or a jump after which nothing can be said about what was lost
        memset(reception, 0, sizeof(Reception))
        reception.started = True
        reception.base = reception.newest = sequence
        reception.received = 1
        return
    if ahead < 3000:
        if sequence < reception.newest:
            reception.cycles += 65536
        reception.newest = sequence
    reception.received += 1


cdef void reception_update(
    Reception* reception, uint16_t sequence, uint32_t timestamp, int64_t arrival_ns, int rate
) noexcept nogil:
    """Count a packet that is sent at the time that its timestamp says, and with it the interarrival jitter (appendix A.8).
    """
    cdef int64_t difference
    # seconds and the rest apart: nanoseconds since 1970 times the rate do not fit into 64 bits
    cdef int64_t arrival = arrival_ns // 1000000000 * rate + arrival_ns % 1000000000 * rate // 1000000000
    cdef int64_t transit = arrival - timestamp
    reception_count(reception, sequence)
    if reception.timed:
        difference = <int32_t>(<uint32_t>(transit - reception.transit))   # both wrap with the 32-bit timestamp
        if difference < 0:
            difference = -difference
        if difference < rate:       # a pause or a new clock is not jitter
            reception.jitter += (difference - reception.jitter) / 16.0
    reception.timed = True
    reception.transit = transit


cdef uint32_t reception_highest(Reception* reception) noexcept nogil:
    return reception.cycles + reception.newest


cdef int64_t reception_expected(Reception* reception) noexcept nogil:
    return <int64_t>reception_highest(reception) - reception.base + 1 if reception.started else 0


cdef uint8_t reception_fraction(Reception* reception) noexcept nogil:
    """The fraction lost since the last call, in 1/256 (appendix A.3)."""
    cdef int64_t expected = reception_expected(reception)
    cdef int64_t due = expected - <int64_t>reception.expected_prior
    cdef int64_t lost = due - <int64_t>(reception.received - reception.received_prior)
    reception.expected_prior = expected
    reception.received_prior = reception.received
    if due <= 0 or lost <= 0:
        return 0
    return <uint8_t>min(255, lost * 256 // due)


class RtpPacket(NamedTuple):
    """An RTP packet as parsed; payload without padding."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    csrcs: tuple
    extension_profile: object
    extension: bytes
    payload: bytes


_FAULTS = {
    RTP_SHORT: "shorter than its header",
    RTP_VERSION: "not RTP version 2",
    RTP_EXTENSION: "extension longer than the packet",
    RTP_PADDING: "padding longer than the payload",
}


def rtp_parse(const uint8_t[::1] data not None):
    """Parse a plain RTP packet as the plane does; ValueError for one that the plane would drop."""
    cdef Rtp rtp
    cdef int fault = rtp_read(&data[0], <int>data.shape[0], &rtp, False) if data.shape[0] else RTP_SHORT
    if fault:
        raise ValueError(_FAULTS[fault])
    cdef int i
    raw = bytes(data)
    return RtpPacket(
        rtp.payload_type,
        bool(rtp.marker),
        rtp.sequence,
        rtp.timestamp,
        rtp.ssrc,
        tuple([get32(&data[RTP_HEADER + 4 * i]) for i in range(rtp.csrc_count)]),
        None if rtp.extension_profile < 0 else rtp.extension_profile,
        raw[rtp.extension_offset : rtp.extension_offset + rtp.extension_length],
        raw[rtp.payload_offset : rtp.payload_offset + rtp.payload_length],
    )


def rtp_audio_level(const uint8_t[::1] data not None, int identifier):
    """(level in -dBov, voice activity) of RFC 6464 in a packet, None without; ValueError as rtp_parse."""
    cdef Rtp rtp
    cdef bint voice = False
    cdef int fault = rtp_read(&data[0], <int>data.shape[0], &rtp, False) if data.shape[0] else RTP_SHORT
    if fault:
        raise ValueError(_FAULTS[fault])
    cdef uint8_t level = rtp_level(&data[0], &rtp, identifier, &voice)
    return None if level == NO_LEVEL else (level, bool(voice))


def rtp_mixed_levels(const uint8_t[::1] data not None, int identifier):
    """The levels of RFC 6465 in a packet, in -dBov, one for each CSRC; None without, ValueError as rtp_parse."""
    cdef Rtp rtp
    cdef int fault = rtp_read(&data[0], <int>data.shape[0], &rtp, False) if data.shape[0] else RTP_SHORT
    if fault:
        raise ValueError(_FAULTS[fault])
    cdef int size = 0
    cdef int at = -1
    cdef int i
    if identifier > 0 and rtp.extension_profile >= 0:
        at = _find_extension(&data[0], &rtp, identifier, &size)
    return None if at < 0 else tuple([data[at + i] & 127 for i in range(size)])


def rtp_build(
    *,
    int payload_type,
    int sequence,
    uint32_t timestamp,
    uint32_t ssrc,
    bytes payload not None,
    bint marker=False,
    csrcs=(),
    int level_extension=0,
    int level=127,
    bint voice=False,
    int mixed_extension=0,
    mixed_levels=(),
):
    """The packet as the plane writes it. ValueError for more than 15 CSRCs, not one of mixed_levels for each of them, or
    a payload that does not fit in a datagram.
    """
    cdef uint8_t buffer[2048]
    cdef Heading heading
    cdef Rtp* rtp = &heading.rtp
    cdef Levels* levels = &heading.levels
    cdef int i, length
    if len(csrcs) > MAX_CSRC or len(payload) > 1900:
        raise ValueError("too long")
    if not 0 <= payload_type <= 127 or not 0 <= level <= 127 or not all([0 <= each <= 127 for each in mixed_levels]):
        raise ValueError("out of range")
    if not 0 <= level_extension <= 255 or not 0 <= mixed_extension <= 255:
        raise ValueError("out of range")
    if mixed_extension and len(mixed_levels) != len(csrcs):
        raise ValueError("not a level for each source")
    memset(&heading, 0, sizeof(heading))
    rtp.payload_type = payload_type
    rtp.marker = marker
    rtp.sequence = sequence & 0xFFFF
    rtp.timestamp = timestamp
    rtp.ssrc = ssrc
    rtp.csrc_count = len(csrcs)
    levels.identifier, levels.level, levels.voice = level_extension, level, voice
    levels.mixed_identifier = mixed_extension
    for i in range(rtp.csrc_count):
        heading.csrcs[i] = csrcs[i]
        if mixed_extension:
            levels.mixed[i] = mixed_levels[i]
    length = rtp_write(buffer, &heading)
    memcpy(buffer + length, <const uint8_t*>payload, len(payload))
    return (<const char*>buffer)[: length + len(payload)]
