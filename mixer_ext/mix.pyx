"""The arithmetic of the mix: 32-bit sums, saturated once at the very end, so that a sum minus a part is exactly the
rest.
"""
from libc.math cimport log10
from libc.stdint cimport int64_t
from libc.string cimport memset

from mixer_ext.codec cimport FRAME

import numpy


cdef void mix_clear(int32_t* total) noexcept nogil:
    memset(total, 0, FRAME * sizeof(int32_t))


cdef void mix_add(int32_t* total, const int16_t* frame) noexcept nogil:
    cdef int i
    for i in range(FRAME):
        total[i] += frame[i]


cdef void mix_subtract(int32_t* total, const int16_t* frame) noexcept nogil:
    cdef int i
    for i in range(FRAME):
        total[i] -= frame[i]


cdef void mix_add_total(int32_t* total, const int32_t* other) noexcept nogil:
    cdef int i
    for i in range(FRAME):
        total[i] += other[i]


cdef void mix_fade_out(int16_t* frame) noexcept nogil:
    """The beginning of a frame, to zero in RAMP samples."""
    cdef int i
    for i in range(RAMP):
        frame[i] = <int16_t>(<int32_t>frame[i] * (RAMP - i) // (RAMP + 1))
    memset(frame + RAMP, 0, (FRAME - RAMP) * sizeof(int16_t))


cdef bint mix_saturate(const int32_t* total, int16_t* frame) noexcept nogil:
    """Clip to 16 bits; whether anything but zeros was there."""
    cdef int i
    cdef int32_t value
    cdef int32_t seen = 0
    for i in range(FRAME):
        value = total[i]
        seen |= value
        value = 32767 if value > 32767 else value
        value = -32768 if value < -32768 else value
        frame[i] = <int16_t>value
    return seen != 0


cdef double mix_level(const int16_t* frame, int count) noexcept nogil:
    """RMS in dBov (RFC 6464): 0 for a full-scale square wave, -127 for silence."""
    cdef int i
    cdef int64_t energy = 0
    for i in range(count):
        energy += <int32_t>frame[i] * <int32_t>frame[i]
    if energy == 0:
        return -127.0
    return max(-127.0, 10.0 * log10(<double>energy / count / 1073741824.0))


def mix_minus(const int16_t[:, ::1] frames not None):
    """For each of n frames of 960 samples the sum of all the others, saturated: n x 960."""
    cdef Py_ssize_t n = frames.shape[0]
    cdef Py_ssize_t i
    cdef int32_t total[FRAME]
    cdef int32_t rest[FRAME]
    if frames.shape[1] != FRAME:
        raise ValueError("a frame is 960 samples")
    result = numpy.zeros((n, FRAME), numpy.int16)
    cdef int16_t[:, ::1] out = result
    with nogil:
        mix_clear(total)
        for i in range(n):
            mix_add(total, &frames[i, 0])
        for i in range(n):
            mix_clear(rest)
            mix_add_total(rest, total)
            mix_subtract(rest, &frames[i, 0])
            mix_saturate(rest, &out[i, 0])
    return result


def level(const int16_t[::1] samples not None):
    """RMS of samples in dBov, -127 for silence or for none."""
    return mix_level(&samples[0], <int>samples.shape[0]) if samples.shape[0] else -127.0
