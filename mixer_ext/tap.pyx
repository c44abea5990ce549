"""Taps as Python holds them: what the plane's thread writes to a ring is read here."""
from libc.stdint cimport int16_t
from libc.stdlib cimport calloc, free

from mixer_ext.ring cimport ring_free, ring_new, ring_pending, ring_read

import numpy


cdef class TapHandle:
    """A tap, which is freed with it unless it has been given up."""

    def __dealloc__(self):
        tap_free(self.tap)

    cdef object read(self):
        """All samples since the last call."""
        cdef uint32_t count = ring_pending(self.tap.ring)
        samples = numpy.empty(count, numpy.int16)
        cdef int16_t[::1] view = samples
        if count:
            ring_read(self.tap.ring, &view[0], count)
        return samples

    cdef uint64_t overruns(self):
        """Samples that it was given while it was full."""
        return self.tap.ring.overruns

    cdef Tap* given_up(self):
        """Its tap, which is somebody else's to free from now on."""
        cdef Tap* tap = self.tap
        self.tap = NULL
        return tap


cdef TapHandle tap_new(uint32_t capacity, bint out):
    cdef TapHandle handle = TapHandle.__new__(TapHandle)
    handle.tap = <Tap*>calloc(1, sizeof(Tap))
    if handle.tap == NULL:
        raise MemoryError
    handle.tap.out = out
    handle.tap.ring = ring_new(capacity)
    if handle.tap.ring == NULL:
        raise MemoryError
    return handle


cdef void tap_free(Tap* tap):
    if tap != NULL:
        ring_free(tap.ring)
        free(tap)
