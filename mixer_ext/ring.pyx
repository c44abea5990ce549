"""Bounded single-producer single-consumer rings: of samples (play and tap) and of events (STUN, DTLS, speaking, SSRC, DTMF).

One side is Python under the GIL, the other the plane's thread. Head and tail only ever grow; each is written by one
side, so an acquire load and a release store are all the synchronisation there is, and neither side ever waits for the
other.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy


cdef SampleRing* ring_new(uint32_t capacity) noexcept nogil:
    cdef SampleRing* ring = <SampleRing*>calloc(1, sizeof(SampleRing))
    if ring == NULL:
        return NULL
    ring.data = <int16_t*>calloc(capacity, sizeof(int16_t))
    if ring.data == NULL:
        free(ring)
        return NULL
    ring.capacity = capacity
    return ring


cdef void ring_free(SampleRing* ring) noexcept nogil:
    if ring != NULL:
        free(ring.data)
        free(ring)


cdef uint32_t ring_write(SampleRing* ring, const int16_t* samples, uint32_t count) noexcept nogil:
    """Append what fits; returns how many samples that was. What did not fit is counted, not kept: the reader owns the
    old end.
    """
    cdef uint64_t head = ring.head
    cdef uint32_t room = ring.capacity - <uint32_t>(head - load(&ring.tail))
    cdef uint32_t taken = min(count, room)
    cdef uint32_t at = <uint32_t>(head % ring.capacity)
    cdef uint32_t first = min(taken, ring.capacity - at)
    if taken:
        memcpy(ring.data + at, samples, first * sizeof(int16_t))
        memcpy(ring.data, samples + first, (taken - first) * sizeof(int16_t))
        store(&ring.head, head + taken)
    ring.overruns += count - taken
    return taken


cdef uint32_t ring_read(SampleRing* ring, int16_t* samples, uint32_t count) noexcept nogil:
    """Take up to count samples; returns how many there were."""
    cdef uint64_t tail = ring.tail
    cdef uint32_t taken = min(count, ring_pending(ring))
    cdef uint32_t at = <uint32_t>(tail % ring.capacity)
    cdef uint32_t first = min(taken, ring.capacity - at)
    if taken:
        memcpy(samples, ring.data + at, first * sizeof(int16_t))
        memcpy(samples + first, ring.data, (taken - first) * sizeof(int16_t))
        store(&ring.tail, tail + taken)
    return taken


cdef uint32_t ring_pending(SampleRing* ring) noexcept nogil:
    cdef int64_t pending = <int64_t>(load(&ring.head) - load(&ring.tail))
    return <uint32_t>pending if pending > 0 else 0      # for a moment the reader may be past what was taken back


cdef uint32_t ring_take_back(SampleRing* ring, uint32_t keep) noexcept nogil:
    """Of the writer: leave the reader no more than keep samples, and return how many it will not get. The reader must
    not be able to take more than those meanwhile; if it has, it has had them.
    """
    cdef uint64_t head = ring.head
    cdef uint64_t tail = load(&ring.tail)
    cdef uint64_t kept = min(head, tail + keep)
    store(&ring.head, kept)
    tail = load(&ring.tail)
    if tail > kept:
        kept = tail
        store(&ring.head, kept)
    return <uint32_t>(head - kept)


cdef bint events_init(EventRing* ring, uint32_t capacity) noexcept nogil:
    ring.head = ring.tail = ring.overruns = 0
    ring.capacity = capacity
    ring.data = <uint8_t*>calloc(capacity, 1)
    return ring.data != NULL


cdef void events_free(EventRing* ring) noexcept nogil:
    free(ring.data)
    ring.data = NULL


cdef void _copy_in(EventRing* ring, uint64_t where, const uint8_t* source, uint32_t count) noexcept nogil:
    cdef uint32_t at = <uint32_t>(where % ring.capacity)
    cdef uint32_t first = min(count, ring.capacity - at)
    memcpy(ring.data + at, source, first)
    memcpy(ring.data, source + first, count - first)


cdef void _copy_out(EventRing* ring, uint64_t where, uint8_t* target, uint32_t count) noexcept nogil:
    cdef uint32_t at = <uint32_t>(where % ring.capacity)
    cdef uint32_t first = min(count, ring.capacity - at)
    memcpy(target, ring.data + at, first)
    memcpy(target + first, ring.data, count - first)


cdef bint events_put(EventRing* ring, Event* event, const uint8_t* payload) noexcept nogil:
    """Append an event and its payload (event.length bytes); False, and counted, when there is no room."""
    cdef uint64_t head = ring.head
    event.size = (<uint32_t>sizeof(Event) + event.length + 7) & ~<uint32_t>7
    if event.size > ring.capacity - (head - load(&ring.tail)):
        ring.overruns += 1
        return False
    _copy_in(ring, head, <const uint8_t*>event, sizeof(Event))
    if event.length:
        _copy_in(ring, head + sizeof(Event), payload, event.length)
    store(&ring.head, head + event.size)
    return True


cdef bint events_peek(EventRing* ring, Event* event) noexcept nogil:
    if load(&ring.head) == ring.tail:
        return False
    _copy_out(ring, ring.tail, <uint8_t*>event, sizeof(Event))
    return True


cdef void events_payload(EventRing* ring, Event* event, uint8_t* payload) noexcept nogil:
    _copy_out(ring, ring.tail + sizeof(Event), payload, event.length)


cdef void events_drop(EventRing* ring, Event* event) noexcept nogil:
    store(&ring.tail, ring.tail + event.size)
