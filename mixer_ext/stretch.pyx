"""Sound made shorter or longer without a change of pitch (WSOLA): a piece that is like the one before it, one or more
pitch periods long, is left out or played twice, and the seam is blended.

The likeness is looked for at a sixth of the rate and then refined at the full one.
"""
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memmove

import numpy

cdef enum:
    DECIMATION = 6
    COARSE = 200            # (FARTHEST + OVERLAP) / DECIMATION
    MOST = 2 * 960 + 5760   # samples that are looked at


cdef double CLOSE = 0.02


cdef double _alike(const int16_t* a, const int16_t* b, int count) noexcept nogil:
    """Correlation of two pieces, -1 to 1; silence is like anything."""
    cdef int i
    cdef int64_t product = 0
    cdef int64_t energy_a = 0
    cdef int64_t energy_b = 0
    for i in range(count):
        product += <int32_t>a[i] * <int32_t>b[i]
        energy_a += <int32_t>a[i] * <int32_t>a[i]
        energy_b += <int32_t>b[i] * <int32_t>b[i]
    if energy_a < count or energy_b < count:
        return 1.0
    return product / sqrt(<double>energy_a * <double>energy_b)


cdef int stretch_lag(const int16_t* samples, int count, int least, int most, double* alike) noexcept nogil:
    """The lag, from least to most samples, at which the sound goes on most like it begins, and how alike that is.
    count is at least most + COMPARED.
    """
    cdef int16_t coarse[COARSE]
    cdef int32_t total
    cdef int compared = min(count - most, OVERLAP)
    cdef int length = min(most + compared, FARTHEST + OVERLAP) // DECIMATION
    cdef int i, k, around, steps
    cdef int window = compared // DECIMATION
    cdef int best = least
    cdef double values[COARSE]
    cdef double value, enough
    cdef double highest = -2.0
    for i in range(length):
        total = 0
        for k in range(DECIMATION):
            total += samples[i * DECIMATION + k]
        coarse[i] = <int16_t>(total // DECIMATION)
    steps = 0
    for i in range((least + DECIMATION - 1) // DECIMATION, min(most // DECIMATION, length - window) + 1):
        value = _alike(coarse, coarse + i, window)
        highest = max(highest, value)
        values[steps] = value
        steps += 1
    # Of the peaks that are as high the best is known at the full rate only: a period is no whole number of samples, but
    # several of them may be.
    enough = highest - CLOSE
    highest = -2.0
    for k in range(steps):
        if values[k] < enough or (k and values[k - 1] > values[k]) or (k + 1 < steps and values[k + 1] > values[k]):
            continue
        around = ((least + DECIMATION - 1) // DECIMATION + k) * DECIMATION
        for i in range(max(least, around - DECIMATION + 1), min(most, around + DECIMATION - 1) + 1):
            value = _alike(samples, samples + i, compared)
            if value > highest:
                highest = value
                best = i
    alike[0] = highest
    return best


cdef inline int16_t _blend(int16_t a, int16_t b, int i, int count) noexcept nogil:
    return <int16_t>((<int32_t>a * (count - i) + <int32_t>b * i) // count)


cdef int stretch_cut(int16_t* samples, int count, int lag, int overlap) noexcept nogil:
    """Leave out lag samples at the beginning, blending over overlap of them; lag + overlap <= count. How many are left.
    """
    cdef int i
    for i in range(overlap):
        samples[i] = _blend(samples[i], samples[lag + i], i, overlap)
    memmove(samples + overlap, samples + lag + overlap, (count - lag - overlap) * sizeof(int16_t))
    return count - lag


cdef int stretch_repeat(int16_t* samples, int count, int lag) noexcept nogil:
    """Play the first lag samples twice; there is room for lag more. How many samples there are."""
    cdef int16_t seam[OVERLAP]
    cdef int i
    cdef int overlap = min(OVERLAP, min(lag, count - lag))
    for i in range(overlap):
        seam[i] = _blend(samples[lag + i], samples[i], i, overlap)
    memmove(samples + lag + overlap, samples + overlap, (count - overlap) * sizeof(int16_t))
    memcpy(samples + lag, seam, overlap * sizeof(int16_t))
    return count + lag


cdef object _checked(samples, int lag):
    copy = numpy.zeros(len(samples) + FARTHEST, numpy.int16)
    copy[: len(samples)] = samples
    if not SHORTEST <= lag <= FARTHEST or len(samples) < lag + COMPARED or len(samples) > MOST:
        raise ValueError("too short for this, or not a lag")
    return copy


def pitch_lag(const int16_t[::1] samples not None, int most=FARTHEST):
    """(lag, likeness) of the beginning of a sound, for tests."""
    cdef double alike = 0
    _checked(numpy.asarray(samples), most)
    cdef int lag = stretch_lag(&samples[0], <int>samples.shape[0], SHORTEST, most, &alike)
    return lag, alike


def shortened(const int16_t[::1] samples not None, int lag):
    """The sound without lag samples, for tests."""
    cdef int16_t[::1] view
    copy = view = _checked(numpy.asarray(samples), lag)
    cdef int count = <int>samples.shape[0]
    return copy[: stretch_cut(&view[0], count, lag, min(lag, min(count - lag, <int>OVERLAP)))]


def lengthened(const int16_t[::1] samples not None, int lag):
    """The sound with lag samples more, for tests."""
    cdef int16_t[::1] view
    copy = view = _checked(numpy.asarray(samples), lag)
    return copy[: stretch_repeat(&view[0], <int>samples.shape[0], lag)]
