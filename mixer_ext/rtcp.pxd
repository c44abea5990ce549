# RTCP (RFC 3550 section 6): what we report and what we are told.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mixer_ext.rtp cimport Reception

cdef enum:
    CNAME = 24

# What a peer's compound packet says that concerns us.
cdef struct Report:
    uint32_t sender
    bint has_sender     # an SR was in it
    uint64_t ntp
    bint has_block      # a report about what we send
    uint8_t fraction
    int32_t lost
    uint32_t jitter
    uint32_t last_report
    uint32_t delay
    bint bye            # of the SSRC that we receive

cdef struct Sender:
    uint32_t ssrc
    bint sending        # an SR, else an RR
    uint64_t ntp
    uint32_t timestamp
    uint32_t packets
    uint32_t octets
    char cname[CNAME]
    uint32_t peer       # SSRC that the block is about
    uint32_t last_report
    uint32_t delay

cdef bint rtcp_read(const uint8_t* data, int length, uint32_t ours, uint32_t theirs, Report* report) noexcept nogil
cdef int rtcp_write(uint8_t* data, Sender* sender, Reception* reception, bint bye) noexcept nogil
