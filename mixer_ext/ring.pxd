# Rings and stacks between one Python thread (under the GIL) and the plane's thread (which never has it): no locks.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mixer_ext.net cimport Address

cdef extern from *:
    """
    #define MIXER_LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define MIXER_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define MIXER_EXCHANGE(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
    #define MIXER_REPLACE(p, e, v) __atomic_compare_exchange_n((p), (e), (v), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
    """
    uint64_t load "MIXER_LOAD"(uint64_t* where) noexcept nogil
    void store "MIXER_STORE"(uint64_t* where, uint64_t value) noexcept nogil
    void* load_pointer "MIXER_LOAD"(void** where) noexcept nogil
    void* exchange_pointer "MIXER_EXCHANGE"(void** where, void* value) noexcept nogil
    bint replace_pointer "MIXER_REPLACE"(void** where, void** expected, void* value) noexcept nogil

cdef struct SampleRing:
    uint64_t head       # samples ever written
    uint64_t tail       # samples ever read
    uint64_t overruns   # samples that found no room
    uint32_t capacity
    int16_t* data

cdef SampleRing* ring_new(uint32_t capacity) noexcept nogil
cdef void ring_free(SampleRing* ring) noexcept nogil
cdef uint32_t ring_write(SampleRing* ring, const int16_t* samples, uint32_t count) noexcept nogil
cdef uint32_t ring_read(SampleRing* ring, int16_t* samples, uint32_t count) noexcept nogil
cdef uint32_t ring_pending(SampleRing* ring) noexcept nogil
cdef uint32_t ring_take_back(SampleRing* ring, uint32_t keep) noexcept nogil

cdef enum EventKind:
    EVENT_STUN
    EVENT_DTLS
    EVENT_SPEAKING
    EVENT_SSRC
    EVENT_DTMF
    EVENT_DTMF_SENT
    EVENT_PLAYED
    EVENT_DOMINANT

cdef struct Event:
    uint32_t size       # of this header and the payload after it, rounded up to 8
    int32_t kind
    int64_t leg
    int64_t value       # speaking: 0 or 1; ssrc: the SSRC; DTMF: its code << 32 | ms; dominant: the leg
    int32_t local
    uint32_t length     # of the payload
    Address address

cdef struct EventRing:
    uint64_t head
    uint64_t tail
    uint64_t overruns   # events that found no room
    uint32_t capacity
    uint8_t* data

cdef bint events_init(EventRing* ring, uint32_t capacity) noexcept nogil
cdef void events_free(EventRing* ring) noexcept nogil
cdef bint events_put(EventRing* ring, Event* event, const uint8_t* payload) noexcept nogil
cdef bint events_peek(EventRing* ring, Event* event) noexcept nogil
cdef void events_payload(EventRing* ring, Event* event, uint8_t* payload) noexcept nogil
cdef void events_drop(EventRing* ring, Event* event) noexcept nogil
