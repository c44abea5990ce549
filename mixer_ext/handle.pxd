# What Python keeps of a node.
from libc.stdint cimport int64_t

from mixer_ext.graph cimport Node
from mixer_ext.leg cimport Leg
from mixer_ext.ring cimport SampleRing

cdef enum:
    LINKED = -1

cdef class Handle:
    cdef Node* node
    cdef Leg* leg           # NULL: a mixer
    cdef int64_t id
    cdef list ufrags        # that in use, behind the one before it
    cdef dict joined        # id: Handle; LINKED: the other end of a link, in another plane
    cdef SampleRing* ring   # of play(), NULL: nothing was played yet
    cdef bint dials         # telephone events have been negotiated

cdef bint closes_loop(Handle a, Handle b)
