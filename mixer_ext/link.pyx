"""A link: a mixer in each of two planes, and what either has but for what came from there.

The planes' threads tick alike but not together. Between them are two rings, into which each writes a frame in its tick
and from which the other takes one. A frame that is not there in time is silence, and makes the delay a tick longer; what
has been left over all the time for a second is taken back, but for one frame. So the delay is less than one tick until
a tick is late for the first time, and then less than three, but for two seconds after a stall; one tick of it stays,
however steady the ticks are, so that the next late one costs nothing. Both a missing frame and one taken back are cuts
from one sample to the next, without a ramp. Sums cross as they are, 32 bits wide: that somebody is left out of what he
hears is as exact as within a plane. Names of who is heard do not cross.
"""
from libc.stdint cimport int16_t, uint32_t
from libc.string cimport memset

from mixer_ext.ring cimport ring_free, ring_new, ring_pending, ring_read, ring_write

cdef enum:
    SIZE = FRAME * 2        # a frame as ring samples
    CAPACITY = 16 * SIZE    # more than a plane makes up of missed ticks
    SPARE = 1               # frames that may be left, so that a tick may come late
    WATCHED = 50            # reads


cdef bint link_take(Link* link) noexcept nogil:
    """The other's frame of this tick; whether there is something in it."""
    cdef int i, left
    link.sounds = False
    if ring_pending(link.inbound) < SIZE:
        link.underruns += link.flows
        link.reads = 0
        return False
    link.flows = True
    ring_read(link.inbound, <int16_t*>link.heard, SIZE)
    for i in range(FRAME):
        if link.heard[i]:
            link.sounds = True
            break
    left = <int>(ring_pending(link.inbound) // SIZE)
    link.least = left if link.reads == 0 else min(link.least, left)
    link.reads += 1
    if link.reads == WATCHED:
        link.reads = 0
        _skip(link, link.least - SPARE)
    return link.sounds


cdef void _skip(Link* link, int frames) noexcept nogil:
    cdef int32_t[FRAME] frame
    cdef int i
    for i in range(frames):
        ring_read(link.inbound, <int16_t*>frame, SIZE)
        link.dropped += 1


cdef void link_give(Link* link, const int32_t* total) noexcept nogil:
    """What this plane has in this tick, NULL for nothing; what came from the other one is left out."""
    cdef int32_t[FRAME] frame
    cdef int i
    if total == NULL:
        memset(frame, 0, sizeof(frame))
        total = frame
    elif link.sounds:
        for i in range(FRAME):
            frame[i] = total[i] - link.heard[i]
        total = frame
    if ring_pending(link.outbound) > CAPACITY - SIZE:
        link.outbound.overruns += 1     # in frames; the other plane has stopped
    else:
        ring_write(link.outbound, <const int16_t*>total, SIZE)


cdef class Pair:
    """The memory of a link, which has to outlast both of its ends."""

    def __cinit__(self):
        cdef int i
        for i in range(2):
            self.rings[i] = ring_new(<uint32_t>CAPACITY)
            if self.rings[i] == NULL:
                raise MemoryError
        for i in range(2):
            self.ends[i].inbound = self.rings[i]
            self.ends[i].outbound = self.rings[1 - i]

    def __dealloc__(self):
        ring_free(self.rings[0])
        ring_free(self.rings[1])
