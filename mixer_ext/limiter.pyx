"""The limiter: what is too loud for 16 bits is turned down, where clipping would add sounds that nobody made.

A frame is taken in blocks of 1 ms. The gain that a block wants is that which brings its peak down to nine tenths of full
scale; the gain follows straight lines between blocks and is never above what either neighbour wants, so that it is down
before a peak comes, and goes up again within about 100 ms. Before a frame's first block nothing could be known of it:
there the gain falls as fast as it must for no sample to exceed full scale. Nothing is delayed, and while nothing is too
loud nothing is changed.

A volume is a gain that goes to what is wanted of it within 5 ms; what it makes louder than full scale is limited too.
"""
from libc.math cimport lrintf
from libc.stdlib cimport abs
from libc.string cimport memset

from mixer_ext.codec cimport FRAME
from mixer_ext.mix cimport (
    BLOCK,
    BLOCKS,
    mix_limited,
    mix_peaks,
    mix_ramp,
    mix_saturate,
)

import numpy

cdef float FULL = 32760        # less what floats may round to beyond it, with sums of a thousand
cdef float THRESHOLD = 29490
cdef float WANTED = 29490.3
cdef float RELEASE = 0.01       # a block, of the way to RELEASED
cdef float RELEASED = 1.02      # beyond 1, so that 1 is reached
cdef float ONE = 1
cdef float ZERO = 0

cdef enum:
    RECOVERY = 25               # frames after which any gain is back at 1


cdef inline float _released(float gain) noexcept nogil:
    return min(ONE, gain + (RELEASED - gain) * RELEASE)


cdef void _attack(const int32_t* total, int16_t* frame, float gain, float to) noexcept nogil:
    """A block that begins with too much gain: down to what it wants, as slowly as no sample exceeds full scale."""
    cdef int i
    cdef float size, now
    cdef float step = (gain - to) / <float>BLOCK
    size = <float>abs(total[0])
    if gain * size > FULL:
        gain = FULL / size
    for i in range(1, BLOCK):
        size = <float>abs(total[i])
        if gain * size > FULL:
            step = max(step, (gain - FULL / size) / <float>i)
    for i in range(BLOCK):
        frame[i] = <int16_t>lrintf(<float>total[i] * max(to, gain - step * <float>i))


cdef bint limit(float* gain, const int32_t* total, int16_t* frame) noexcept nogil:
    """The frame that fits for a sum; whether anything but zeros is in it."""
    cdef int32_t peaks[BLOCKS]
    cdef float wanted[BLOCKS + 1]
    cdef int32_t peak = 0
    cdef int block
    cdef float to
    cdef float now = gain[0]
    mix_peaks(total, peaks)
    for block in range(BLOCKS):
        peak = max(peak, peaks[block])
        wanted[block] = ONE if peaks[block] <= THRESHOLD else WANTED / <float>peaks[block]
    if now == ONE and peak <= THRESHOLD:
        mix_saturate(total, frame)
        return peak != 0
    wanted[BLOCKS] = ONE
    for block in range(BLOCKS):
        to = min(_released(now), min(wanted[block], wanted[block + 1]))
        if block == 0 and now * <float>peaks[0] > FULL:
            _attack(total, frame, now, to)
        else:
            mix_limited(total + block * BLOCK, frame + block * BLOCK, now, to)
        now = to
    gain[0] = now
    return peak != 0


cdef void limiter_rest(float* gain, uint64_t frames) noexcept nogil:
    """So many frames of silence have passed."""
    cdef int block
    if gain[0] < ONE:
        for block in range(<int>min(frames, <uint64_t>RECOVERY) * BLOCKS):
            gain[0] = _released(gain[0])


cdef void volume_init(Volume* volume) noexcept nogil:
    volume.gain = volume.limit = ONE


cdef bint volume_apply(Volume* volume, float wanted, int16_t* frame) noexcept nogil:
    """Bring a frame to the wanted gain, 0 to 16, by a ramp from where it was; whether anything is left."""
    cdef int32_t ramped[FRAME]
    cdef float gain = volume.gain
    volume.gain = wanted
    if gain == ONE and wanted == ONE and volume.limit == ONE:
        return True
    if gain == ZERO and wanted == ZERO:
        memset(frame, 0, FRAME * sizeof(int16_t))
        limiter_rest(&volume.limit, 1)
        return False
    mix_ramp(frame, ramped, gain, wanted)
    if max(gain, wanted) > ONE or volume.limit < ONE:
        limit(&volume.limit, ramped, frame)
    else:
        mix_saturate(ramped, frame)
    return True


cdef void volume_rest(Volume* volume, float wanted) noexcept nogil:
    """A frame of silence has passed, in which the gain needed no ramp."""
    volume.gain = wanted
    limiter_rest(&volume.limit, 1)


cdef class Limiter:
    """One limiter, for tests: 960 samples of int32 in, as many of int16 out."""

    cdef readonly float gain

    def __cinit__(self):
        self.gain = 1

    def limit(self, const int32_t[::1] total not None):
        frame = numpy.empty(FRAME, numpy.int16)
        cdef int16_t[::1] out = frame
        limit(&self.gain, &total[0], &out[0])
        return frame

    def rest(self, int frames):
        limiter_rest(&self.gain, frames)


cdef class Loudness:
    """What a leg says brought to its volume, for tests: 960 samples of int16 in and out."""

    cdef Volume volume

    def __cinit__(self):
        volume_init(&self.volume)

    def apply(self, const int16_t[::1] samples not None, float wanted):
        frame = numpy.array(samples, numpy.int16)
        cdef int16_t[::1] out = frame
        volume_apply(&self.volume, wanted, &out[0])
        return frame
