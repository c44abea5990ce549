# Telephone events (RFC 4733): keys that a peer presses, and those that are pressed for it.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    EVENT_RATES = 2     # clock rates that events may have: 8 and 48 kHz
    FINISHED = 16       # events that wait to be told
    PACKED = 8          # reports that are read of one packet (section 2.5.1.5)
    RECENT = 2 * PACKED # so that none of a packet's is news when it comes again
    FLASH = 16

# An event that is over.
cdef struct Key:
    uint8_t code
    uint32_t duration   # ms

# What a peer sends.
cdef struct DtmfReceiver:
    bint known          # what follows is of an event
    bint open           # it is not over yet
    uint8_t code
    uint16_t sequence   # of the newest packet
    uint32_t timestamp  # when its last segment began
    uint32_t duration   # of this segment, in units of RTP time
    int64_t before      # of the segments before it
    int rate            # units a second
    int64_t at          # ns of the last packet about it
    uint32_t recent[RECENT]     # timestamps of those that are over: their last packets may still come
    uint64_t over       # events; the last of them are the recent ones
    Key finished[FINISHED]
    int first           # of those that wait
    int waiting
    uint64_t received   # events
    uint64_t unknown    # reports of events that are not taken
    uint64_t dropped    # events that found no room

cdef int dtmf_rate(int which) noexcept nogil
cdef bint dtmf_receive(
    DtmfReceiver* receiver,
    uint16_t sequence,
    uint32_t timestamp,
    bint marker,
    int rate,
    int clock,
    const uint8_t* payload,
    int length,
    int64_t now,
) noexcept nogil
cdef void dtmf_expire(DtmfReceiver* receiver, int64_t now) noexcept nogil
cdef void dtmf_restart(DtmfReceiver* receiver) noexcept nogil
cdef bint dtmf_next(DtmfReceiver* receiver, Key* key) noexcept nogil
cdef void dtmf_told(DtmfReceiver* receiver) noexcept nogil
cdef str dtmf_digit(int code)
cdef int dtmf_code(str digit) except -1
