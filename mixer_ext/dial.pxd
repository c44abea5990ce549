# Keys that are pressed for a peer: telephone events (RFC 4733) instead of sound.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    DIALLED = 64        # keys that wait
    DIAL_PAYLOAD = 4    # bytes

cdef enum Dialling:
    DIAL_SOUND          # no key is pressed in this tick
    DIAL_EVENT          # a packet about one is sent
    DIAL_REST           # nothing is sent

cdef struct DialKey:
    uint8_t code
    int duration        # samples, whole frames
    int gap             # samples after it, whole frames, two at least

# Python puts keys at the head, the plane's thread takes them from the tail.
cdef struct Dial:
    uint64_t head
    uint64_t tail
    DialKey keys[DIALLED]
    Dialling now        # in this tick
    bint returns        # from a key, to sound, in this tick
    int elapsed         # samples of the key at the tail, and of the gap after it
    int told            # packets about it
    int ends            # of them that say that it is over
    uint32_t timestamp  # of its segment
    int before          # units of RTP time before this segment
    bint done           # all that was dialled has been sent, and Python has not been told
    uint64_t sent       # keys
    uint64_t dropped

cdef Dialling dial_advance(Dial* dial, bint possible) noexcept nogil
cdef void dial_interrupt(Dial* dial) noexcept nogil
cdef bint dial_packet(
    Dial* dial, uint32_t now, int rate, int clock, uint32_t* timestamp, uint8_t* payload
) noexcept nogil
cdef int dial_keys(Dial* dial, str digits, int duration_ms, int gap_ms) except -1
cdef int dial_pending(Dial* dial) noexcept nogil
cdef object dial_tones(str digits, int duration_ms, int gap_ms)
