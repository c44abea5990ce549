# Packets of several ticks: what has been encoded waits until there is as much of it as the peer wants at once.
from libc.stdint cimport uint8_t

from mixer_ext.codec cimport PAYLOAD, Kind
from mixer_ext.rtp cimport Heading

cdef enum:
    MOST_FRAMES = 3         # 60 ms

cdef struct Packing:
    void* repacketizer      # of libopus, NULL for G.711
    int wanted              # frames of 20 ms in a packet
    int count               # frames that wait
    int lengths[MOST_FRAMES]
    uint8_t frames[MOST_FRAMES][PAYLOAD]
    Heading heading         # of the packet, which is that of its first frame

cdef Packing* packing_new(Kind kind, int wanted) except NULL
cdef void packing_free(Packing* packing) noexcept nogil
cdef uint8_t* packing_room(Packing* packing) noexcept nogil
cdef bint packing_fits(const Packing* packing, int length) noexcept nogil
cdef void packing_add(Packing* packing, int length, const Heading* heading) noexcept nogil
cdef int packing_take(Packing* packing, uint8_t* payload) noexcept nogil
cdef void packing_forget(Packing* packing) noexcept nogil
