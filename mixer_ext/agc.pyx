"""Slow gain control: who is too quiet is made louder and who is too loud quieter, by 12 dB at most.

Measured are syllables: what lies between two dips of the level, and is not too long. What does not dip is no speech,
whatever else takes it for that: steady noise, a tone, music on hold for the most part. A syllable's loudness is the mean
of its frames' power, each weighted with itself, so that the quiet ones at its ends count little.

The gain moves while somebody speaks, for as many frames as syllables were measured, 3 dB in a second of them. In pauses,
and in noise that never was speech, it stays. In a frame it follows a straight line.
"""
from libc.math cimport log10, pow
from libc.stdint cimport int32_t

from mixer_ext.codec cimport FRAME
from mixer_ext.limiter cimport limit, limiter_rest
from mixer_ext.mix cimport mix_glide, mix_level, mix_saturate

import numpy

cdef enum:
    TARGET = -20        # dBov
    MOST = 12           # dB, either way
    LEAST = -50         # dBov, of what is taken for speech
    DIP = 9             # dB, between syllables
    STEADY = 75         # frames without a dip that are no syllable
    MEMORY = 100        # frames of syllables
    OWED = 50           # frames in which the gain moves after the last syllable

cdef double STEP = 0.06         # dB a frame
cdef float ONE = 1


cdef void agc_init(Agc* agc) noexcept nogil:
    agc.limit = ONE
    _begin_syllable(agc)


cdef void _begin_syllable(Agc* agc) noexcept nogil:
    agc.frames = 0
    agc.peak = -127.0
    agc.power = agc.squared = 0


cdef void _end_syllable(Agc* agc) noexcept nogil:
    cdef double loudness
    if agc.frames and agc.frames <= STEADY:
        loudness = agc.squared / agc.power
        if 10.0 * log10(loudness) > LEAST:
            if agc.loudness == 0:
                agc.loudness = loudness
            agc.loudness += (loudness - agc.loudness) * agc.frames / (agc.frames + MEMORY)
            agc.due = min(agc.due + agc.frames, <int>OWED)
    _begin_syllable(agc)


cdef void _measure(Agc* agc, double level, bint speech) noexcept nogil:
    cdef double power
    if not speech or level == -127.0:
        _begin_syllable(agc)
        return
    if level < agc.peak - DIP:
        _end_syllable(agc)
    power = pow(10.0, level / 10.0)
    agc.frames += 1
    agc.peak = max(agc.peak, level)
    agc.power += power
    agc.squared += power * power
    if agc.frames > STEADY:
        agc.due = 0


cdef double _moved(Agc* agc, bint speech) noexcept nogil:
    """The gain at the end of this frame."""
    cdef double wanted = 0
    if agc.enabled:
        if not speech or agc.due == 0:
            return agc.gain
        agc.due -= 1
        wanted = max(<double>-MOST, min(<double>MOST, TARGET - 10.0 * log10(agc.loudness)))
    return max(agc.gain - STEP, min(agc.gain + STEP, wanted))


cdef void agc_apply(Agc* agc, int16_t* frame, bint speech) noexcept nogil:
    """Bring a frame of what somebody says nearer to how loud it should be. speech: whether he speaks."""
    cdef int32_t glided[FRAME]
    cdef double before = agc.gain
    cdef float gain, to
    if agc.enabled:
        _measure(agc, mix_level(frame, FRAME), speech)
    agc.gain = _moved(agc, speech)
    if before == 0 and agc.gain == 0 and agc.limit == ONE:
        return
    gain = <float>pow(10.0, before / 20.0)
    to = <float>pow(10.0, agc.gain / 20.0)
    mix_glide(frame, glided, gain, to)
    if max(gain, to) > ONE or agc.limit < ONE:
        limit(&agc.limit, glided, frame)
    else:
        mix_saturate(glided, frame)


cdef void agc_rest(Agc* agc) noexcept nogil:
    """A frame of silence has passed."""
    _begin_syllable(agc)
    limiter_rest(&agc.limit, 1)


cdef class GainControl:
    """The gain control of one speaker, for tests: 960 samples of int16 in and out."""

    cdef Agc agc

    def __cinit__(self):
        agc_init(&self.agc)
        self.agc.enabled = True

    def hear(self, const int16_t[::1] samples not None, bint speech):
        frame = numpy.array(samples, numpy.int16)
        cdef int16_t[::1] out = frame
        agc_apply(&self.agc, &out[0], speech)
        return frame

    def rest(self):
        agc_rest(&self.agc)

    @property
    def gain(self):
        """dB, at the end of the last frame."""
        return self.agc.gain

    @property
    def enabled(self):
        return self.agc.enabled

    @enabled.setter
    def enabled(self, bint enabled):
        self.agc.enabled = enabled
