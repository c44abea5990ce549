"""The arithmetic of the mix: 32-bit sums, made to fit 16 bits once at the very end, so that a sum minus a part is exactly
the rest.

A gain is a float of 32 bits; what it makes of a sample is rounded to the nearest integer, ties to even. Whoever is
added with a gain is subtracted with it, and so is left out exactly.
"""
from libc.math cimport log10
from libc.stdint cimport int64_t
from libc.string cimport memset

from mixer_ext.codec cimport FRAME

import numpy

cdef extern from "kernels.h" nogil:
    struct Kernels "kernels":
        void (*add)(int32_t*, const int16_t**, int) noexcept nogil
        void (*subtract)(int32_t*, const int16_t*) noexcept nogil
        void (*add_total)(int32_t*, const int32_t*) noexcept nogil
        void (*subtract_total)(int32_t*, const int32_t*) noexcept nogil
        void (*minus)(const int32_t*, const int16_t*, int16_t*) noexcept nogil
        void (*saturate)(const int32_t*, int16_t*) noexcept nogil
        int64_t (*energy)(const int16_t*, int) noexcept nogil
        void (*peaks)(const int32_t*, int32_t*) noexcept nogil
        void (*limited)(const int32_t*, int16_t*, float, float) noexcept nogil
        void (*ramp)(const int16_t*, int32_t*, float, float) noexcept nogil
        void (*ramp_total)(const int32_t*, int32_t*, float, float) noexcept nogil
        void (*glide)(const int16_t*, int32_t*, float, float) noexcept nogil
    Kernels kernels
    const char* kernels_choose(int best)


def choose_kernels(bint best=True):
    """Use the kernels made for this processor (as when nothing is said), or those for any: for tests. Which."""
    return kernels_choose(best).decode()


choose_kernels()


cdef void mix_clear(int32_t* total) noexcept nogil:
    memset(total, 0, FRAME * sizeof(int32_t))


cdef void mix_add(int32_t* total, const int16_t* frame) noexcept nogil:
    kernels.add(total, &frame, 1)


cdef void mix_add_all(int32_t* total, const int16_t** frames, int count) noexcept nogil:
    """Four at a time, which spares going over the total."""
    kernels.add(total, frames, count)


cdef void mix_subtract(int32_t* total, const int16_t* frame) noexcept nogil:
    kernels.subtract(total, frame)


cdef void mix_add_total(int32_t* total, const int32_t* other) noexcept nogil:
    kernels.add_total(total, other)


cdef void mix_subtract_total(int32_t* total, const int32_t* other) noexcept nogil:
    kernels.subtract_total(total, other)


cdef void mix_saturate(const int32_t* total, int16_t* frame) noexcept nogil:
    kernels.saturate(total, frame)


cdef void mix_peaks(const int32_t* total, int32_t* peaks) noexcept nogil:
    """The greatest magnitude in each block."""
    kernels.peaks(total, peaks)


cdef void mix_limited(const int32_t* total, int16_t* frame, float gain, float to) noexcept nogil:
    """One block with a gain that goes from here to there."""
    kernels.limited(total, frame, gain, to)


cdef void mix_ramp(const int16_t* frame, int32_t* ramped, float gain, float to) noexcept nogil:
    """A frame with a gain that goes from here to there in RAMP samples, and stays there."""
    kernels.ramp(frame, ramped, gain, to)


cdef void mix_ramp_total(const int32_t* total, int32_t* ramped, float gain, float to) noexcept nogil:
    kernels.ramp_total(total, ramped, gain, to)


cdef void mix_glide(const int16_t* frame, int32_t* glided, float gain, float to) noexcept nogil:
    """A frame with a gain that goes from here to there in all of it."""
    kernels.glide(frame, glided, gain, to)


cdef void mix_fade_out(int16_t* frame) noexcept nogil:
    """The beginning of a frame, to zero in RAMP samples."""
    cdef int32_t ramped[FRAME]
    kernels.ramp(frame, ramped, 1, 0)
    kernels.saturate(ramped, frame)


cdef double mix_level(const int16_t* frame, int count) noexcept nogil:
    """RMS in dBov (RFC 6464): 0 for a full-scale square wave, -127 for silence."""
    cdef int64_t energy = kernels.energy(frame, count)
    if energy == 0:
        return -127.0
    return max(-127.0, 10.0 * log10(<double>energy / count / 1073741824.0))


def mix_minus(const int16_t[:, ::1] frames not None):
    """For each of n frames of 960 samples the sum of all the others, saturated: n x 960."""
    cdef Py_ssize_t n = frames.shape[0]
    cdef Py_ssize_t i
    cdef int k
    cdef int32_t total[FRAME]
    cdef const int16_t* few[4]
    if frames.shape[1] != FRAME:
        raise ValueError("a frame is 960 samples")
    result = numpy.empty((n, FRAME), numpy.int16)
    cdef int16_t[:, ::1] out = result
    with nogil:
        mix_clear(total)
        for i in range(0, n, 4):
            for k in range(min(4, n - i)):
                few[k] = &frames[i + k, 0]
            mix_add_all(total, few, min(4, n - i))
        for i in range(n):
            kernels.minus(total, &frames[i, 0], &out[i, 0])
    return result


def level(const int16_t[::1] samples not None):
    """RMS of samples in dBov, -127 for silence or for none."""
    return mix_level(&samples[0], <int>samples.shape[0]) if samples.shape[0] else -127.0
