# RTP packets (RFC 3550 section 5), header extensions (RFC 8285), levels in them (RFC 6464, RFC 6465), reception
# statistics.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    RTP_HEADER = 12
    MAX_CSRC = 15
    MAX_HEADER = 12 + 4 * 15 + 24    # with both levels of all CSRCs, in the long form
    DIGITAL_SILENCE = 127   # as a level of RFC 6464
    NO_LEVEL = 255

cdef enum RtpFault:
    RTP_OK = 0
    RTP_SHORT = -1          # shorter than what its header announces
    RTP_VERSION = -2
    RTP_EXTENSION = -3      # the extension reaches beyond the packet
    RTP_PADDING = -4        # padding of 0, or longer than the payload

cdef struct Rtp:
    bint marker
    uint8_t payload_type
    uint8_t csrc_count
    uint16_t sequence
    uint32_t timestamp
    uint32_t ssrc
    int extension_profile   # -1: no extension
    int extension_offset    # of its data
    int extension_length
    int payload_offset
    int payload_length      # without padding

# Levels in a packet that is sent, in -dBov (0 loudest, 127 silence); identifiers as negotiated, 0: none.
cdef struct Levels:
    int identifier          # of RFC 6464
    uint8_t level           # of what is in the packet
    bint voice
    int mixed_identifier    # of RFC 6465
    uint8_t mixed[MAX_CSRC] # of each CSRC, in their order

# What is before the payload of a packet that is sent.
cdef struct Heading:
    Rtp rtp
    uint32_t csrcs[MAX_CSRC]
    Levels levels

cdef int rtp_read(const uint8_t* data, int length, Rtp* rtp, bint encrypted) noexcept nogil
cdef uint8_t rtp_level(const uint8_t* data, Rtp* rtp, int identifier, bint* voice) noexcept nogil
cdef int rtp_write(uint8_t* data, const Heading* heading) noexcept nogil

cdef struct Reception:
    bint started
    uint16_t base
    uint16_t newest
    uint32_t cycles
    uint64_t received
    uint64_t expected_prior
    uint64_t received_prior
    bint timed              # transit is known
    int64_t transit         # arrival minus timestamp, in timestamp units
    double jitter           # in timestamp units

cdef void reception_count(Reception* reception, uint16_t sequence) noexcept nogil
cdef void reception_update(
    Reception* reception, uint16_t sequence, uint32_t timestamp, int64_t arrival_ns, int rate
) noexcept nogil
cdef int64_t reception_expected(Reception* reception) noexcept nogil
cdef uint32_t reception_highest(Reception* reception) noexcept nogil
cdef uint8_t reception_fraction(Reception* reception) noexcept nogil
