# Sound between two planes.
from libc.stdint cimport int32_t, uint64_t

from mixer_ext.codec cimport FRAME
from mixer_ext.ring cimport SampleRing

# One end of a link: a mixer in its plane.
cdef struct Link:
    SampleRing* inbound     # sums, 32 bits each
    SampleRing* outbound
    bint sounds             # there is something in heard
    int32_t heard[FRAME]    # what has come from the other end for this tick
    bint flows              # something has come already
    int least               # frames that were left in any of the last reads
    int reads
    uint64_t underruns      # frames that were not there in time
    uint64_t dropped        # frames that were too many

cdef class Pair:
    cdef Link ends[2]
    cdef SampleRing* rings[2]

cdef bint link_take(Link* link) noexcept nogil
cdef void link_give(Link* link, const int32_t* total) noexcept nogil
