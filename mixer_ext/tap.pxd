# Taps as Python holds them.
from libc.stdint cimport uint32_t, uint64_t

from mixer_ext.graph cimport Tap

cdef class TapHandle:
    cdef Tap* tap
    cdef object read(self)
    cdef uint64_t overruns(self)
    cdef Tap* given_up(self)

cdef TapHandle tap_new(uint32_t capacity, bint out)
cdef void tap_free(Tap* tap)
