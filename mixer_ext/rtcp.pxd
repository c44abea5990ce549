# RTCP (RFC 3550 section 6): what we report and what we are told.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mixer_ext.rtp cimport Reception

cdef enum:
    CNAME = 24

# What a peer's compound packet says that concerns us.
cdef struct Report:
    bint has_sender     # an SR of the SSRC that we receive
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

# What becomes of what we send.
cdef struct Loss:
    int64_t at          # ns of the last report, 0: none
    int64_t bad         # since when much of it is lost, 0: it is not
    int64_t good        # since when next to nothing is
    bint heavy          # it has been, for some time

cdef void loss_note(Loss* loss, uint8_t fraction, int64_t now) noexcept nogil
cdef bint rtcp_read(const uint8_t* data, int length, uint32_t ours, uint32_t theirs, Report* report) noexcept nogil
cdef int rtcp_write(uint8_t* data, Sender* sender, Reception* reception, bint bye) noexcept nogil
