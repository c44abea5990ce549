"""G.711, mu-law and A-law, between 8 kHz on the wire and 48 kHz here; comfort noise (RFC 3389); concealment.

Resampling is one linear-phase low pass of 192 taps at 48 kHz (Kaiser window, 60 dB, 3.5 to 4.5 kHz), 2 ms each way, by
its six phases. The loops run over samples, not over taps, so that they vectorise without reordering sums.
"""
from libc.math cimport M_PI, lrintf, pow, sin, sqrt
from libc.stdint cimport int32_t, uint32_t
from libc.stdlib cimport abs, calloc, free
from libc.string cimport memcpy, memmove, memset

import numpy

from mixer_ext.codec cimport FRAME, LONGEST

cdef extern from *:
    int __builtin_clz(unsigned int) nogil

cdef enum:
    PAST = 400                  # samples at 8 kHz that concealment draws on
    SHORTEST_PERIOD = 40        # 200 Hz; of a higher voice several periods
    LONGEST_PERIOD = 160
    COMPARED = 160
    CROSSFADE = 40              # 5 ms
    HELD_UP = 80                # 10 ms are concealed at full level, then it fades
    FADED = 480                 # and after 60 ms nothing is left
    BIAS = 132

cdef double CUTOFF = 4000.0
cdef double KAISER = 5.65

cdef struct G711:
    Law law
    float up[PER_PHASE - 1 + 960]       # what has come, with what was before it
    float past[PAST]
    int lost                            # samples concealed in a row
    int period
    float noise                         # amplitude of comfort noise, below 0: it is not what is played
    uint32_t random

cdef float[TAPS] LOW_PASS
cdef int16_t[2][256] EXPANDED


cdef double _bessel(double x) noexcept nogil:
    """I0."""
    cdef double term = 1.0
    cdef double total = 1.0
    cdef int k
    for k in range(1, 40):
        term *= (x / (2 * k)) * (x / (2 * k))
        total += term
    return total


cdef void _design() noexcept nogil:
    """The low pass, each of its phases with a gain of exactly one: a constant stays constant."""
    cdef int i, phase
    cdef double[TAPS] taps
    cdef double at, place, total
    for i in range(TAPS):
        at = i - (TAPS - 1) / 2.0
        place = 2 * at / (TAPS - 1)
        taps[i] = sin(2 * M_PI * CUTOFF / 48000 * at) / (M_PI * at) * _bessel(KAISER * sqrt(1 - place * place))
    for phase in range(UNIT):
        total = 0
        for i in range(PER_PHASE):
            total += taps[phase + i * UNIT]
        for i in range(PER_PHASE):
            LOW_PASS[phase + i * UNIT] = <float>(taps[phase + i * UNIT] / total)


cdef int16_t _expand_mu(uint8_t code) noexcept nogil:
    cdef int32_t value
    code = ~code
    value = ((((code & 0xF) << 3) + BIAS) << ((code >> 4) & 7)) - BIAS
    return <int16_t>(-value if code & 0x80 else value)


cdef int16_t _expand_a(uint8_t code) noexcept nogil:
    cdef int32_t value, segment
    code ^= 0x55
    segment = (code >> 4) & 7
    value = ((code & 0xF) << 4) + 8
    if segment:
        value = (value + 256) << (segment - 1)
    return <int16_t>(value if code & 0x80 else -value)


cdef uint8_t _compress_mu(int32_t sample) noexcept nogil:
    cdef int32_t size = min(abs(sample), 32635) + BIAS
    cdef int segment = 24 - __builtin_clz(size)
    return <uint8_t>~((0x80 if sample < 0 else 0) | (segment << 4) | ((size >> (segment + 3)) & 0xF))


cdef uint8_t _compress_a(int32_t sample) noexcept nogil:
    cdef int32_t size = min(abs(sample), 32767) >> 4
    cdef int segment
    if size >= 32:
        segment = 28 - __builtin_clz(size)
        size = (segment << 4) | ((size >> (segment - 1)) & 0xF)
    return <uint8_t>(((0 if sample < 0 else 0x80) | size) ^ 0x55)


cdef inline uint8_t _compress(Law law, int32_t sample) noexcept nogil:
    return _compress_mu(sample) if law == MU_LAW else _compress_a(sample)


cdef inline int32_t _rounded(float value) noexcept nogil:
    return <int32_t>lrintf(min(<float>32767, max(<float>-32768, value)))


cdef G711* g711_new(Law law) noexcept nogil:
    """NULL when there is no memory."""
    cdef G711* g711 = <G711*>calloc(1, sizeof(G711))
    if g711 != NULL:
        g711.law = law
        g711.noise = -1
        g711.random = 2463534242
    return g711


cdef void g711_free(G711* g711) noexcept nogil:
    free(g711)


cdef int g711_samples(int length) noexcept nogil:
    """How many of our samples a payload is; 0 for what cannot be sound. A single byte is comfort noise."""
    if length == 1:
        return FRAME
    return length * UNIT if SHORTEST_PAYLOAD <= length <= LONGEST_PAYLOAD else 0


cdef void g711_compress(Compressor* compressor, Law law, const int16_t* frame, uint8_t* payload) noexcept nogil:
    """A frame of 960 samples into G711_FRAME bytes."""
    cdef float[G711_FRAME + PER_PHASE] part
    cdef float[G711_FRAME] total
    cdef float tap
    cdef int i, k, phase
    for i in range(FRAME):
        compressor.samples[BEFORE + i] = frame[i]
    memset(total, 0, sizeof(total))
    for phase in range(UNIT):
        for i in range(G711_FRAME + PER_PHASE - 1):
            part[i] = compressor.samples[i * UNIT + phase]
        for k in range(PER_PHASE):
            tap = LOW_PASS[k * UNIT + phase] / UNIT
            for i in range(G711_FRAME):
                total[i] += tap * part[i + k]
    memmove(compressor.samples, compressor.samples + FRAME, BEFORE * sizeof(float))
    for i in range(G711_FRAME):
        payload[i] = _compress(law, _rounded(total[i]))


cdef void g711_silence(Law law, uint8_t* payload) noexcept nogil:
    """What a long silence is encoded as, for nothing."""
    memset(payload, 0xFF if law == MU_LAW else 0xD5, G711_FRAME)


cdef void _raise_rate(G711* g711, int count, int16_t* samples) noexcept nogil:
    """The count samples at 8 kHz that are new in g711.up as UNIT * count at 48 kHz."""
    cdef float[960] total
    cdef float tap
    cdef int i, k, phase
    for phase in range(UNIT):
        memset(total, 0, count * sizeof(float))
        for k in range(PER_PHASE):
            tap = LOW_PASS[phase + (PER_PHASE - 1 - k) * UNIT]
            for i in range(count):
                total[i] += tap * g711.up[i + k]
        for i in range(count):
            samples[i * UNIT + phase] = <int16_t>_rounded(total[i])
    memmove(g711.up, g711.up + count, (PER_PHASE - 1) * sizeof(float))


cdef void _remember(G711* g711, const float* samples, int count) noexcept nogil:
    if count >= PAST:
        memcpy(g711.past, samples + count - PAST, PAST * sizeof(float))
    else:
        memmove(g711.past, g711.past + count, (PAST - count) * sizeof(float))
        memcpy(g711.past + PAST - count, samples, count * sizeof(float))


cdef int _period(G711* g711) noexcept nogil:
    """The lag at which the last samples are most like those before."""
    cdef int lag, i
    cdef int best = LONGEST_PERIOD
    cdef float product, energy, alike
    cdef float most = 0
    cdef const float* last = g711.past + PAST - COMPARED
    for lag in range(SHORTEST_PERIOD, LONGEST_PERIOD + 1):
        product = 0
        energy = 1
        for i in range(COMPARED):
            product += last[i] * last[i - lag]
            energy += last[i - lag] * last[i - lag]
        alike = product * product / energy if product > 0 else 0
        if alike > most:
            most = alike
            best = lag
    return best


cdef float _invented(G711* g711) noexcept nogil:
    """The next sample of what is lost: the last period again and again, softer and softer."""
    cdef float gain = 1
    cdef float sample
    if g711.lost == 0:
        g711.period = _period(g711)
    sample = g711.past[PAST - g711.period + g711.lost % g711.period]
    if g711.lost > HELD_UP:
        gain = max(<float>0, <float>(FADED - g711.lost) / <float>(FADED - HELD_UP))
    g711.lost = min(g711.lost + 1, <int>FADED)
    return sample * gain


cdef float _noise(G711* g711) noexcept nogil:
    """White, of any amplitude: evenly distributed has an RMS of 1/sqrt(3)."""
    g711.random ^= g711.random << 13
    g711.random ^= g711.random >> 17
    g711.random ^= g711.random << 5
    return g711.noise * (<float>(g711.random >> 8) / <float>8388608.0 - <float>1.0)


cdef int g711_decode(G711* g711, const uint8_t* payload, int length, int16_t* samples) noexcept nogil:
    """Sound, or comfort noise where it is one byte (its level in -dBov); how many samples."""
    cdef float* fresh = g711.up + PER_PHASE - 1
    cdef float weight
    cdef int i
    if g711_samples(length) == 0:
        return 0
    if length == 1:
        g711.noise = <float>(32768 * sqrt(3.0) * pow(10.0, -<double>(payload[0] & 0x7F) / 20))
        g711.lost = 0
        g711_conceal(g711, samples, FRAME)
        return FRAME
    for i in range(length):
        fresh[i] = EXPANDED[<int>g711.law][payload[i]]
    if g711.lost:
        for i in range(min(length, <int>CROSSFADE)):
            weight = <float>(i + 1) / (CROSSFADE + 1)
            fresh[i] = fresh[i] * weight + _invented(g711) * (1 - weight)
    g711.lost = 0
    g711.noise = -1
    _remember(g711, fresh, length)
    _raise_rate(g711, length, samples)
    return length * UNIT


cdef void g711_conceal(G711* g711, int16_t* samples, int count) noexcept nogil:
    """What may have been in count samples (whole steps of 2.5 ms, LONGEST at most) that are lost."""
    cdef float* fresh = g711.up + PER_PHASE - 1
    cdef int i
    for i in range(count // UNIT):
        fresh[i] = _noise(g711) if g711.noise >= 0 else _invented(g711)
    _raise_rate(g711, count // UNIT, samples)


cdef void g711_forget(G711* g711) noexcept nogil:
    """Another source: nothing is known of what was before."""
    memset(g711.up, 0, sizeof(g711.up))
    memset(g711.past, 0, sizeof(g711.past))
    g711.lost = 0
    g711.noise = -1


cdef Law _law(str name) except *:
    if name not in ("pcmu", "pcma"):
        raise ValueError(f"no law of G.711: {name}")
    return MU_LAW if name == "pcmu" else A_LAW


def compress(str law not None, const int16_t[::1] samples not None):
    """Each sample as one byte, at the rate that they have."""
    cdef Law which = _law(law)
    cdef Py_ssize_t i
    result = numpy.empty(samples.shape[0], numpy.uint8)
    cdef uint8_t[::1] out = result
    for i in range(samples.shape[0]):
        out[i] = _compress(which, samples[i])
    return result.tobytes()


def expand(str law not None, bytes payload not None):
    """The int16 of each byte, as bytes."""
    cdef Law which = _law(law)
    cdef const uint8_t* data = payload
    result = numpy.empty(len(payload), numpy.int16)
    cdef int16_t[::1] out = result
    cdef Py_ssize_t i
    for i in range(len(payload)):
        out[i] = EXPANDED[<int>which][data[i]]
    return result.tobytes()


cdef class Companded:
    """G.711 in both directions as a leg has it, for tests and load generators."""

    cdef G711* g711
    cdef Compressor compressor
    cdef Law law

    def __cinit__(self, str law not None):
        self.law = _law(law)
        self.g711 = g711_new(self.law)
        if self.g711 == NULL:
            raise MemoryError

    def __dealloc__(self):
        g711_free(self.g711)

    def encode(self, const int16_t[::1] frame not None):
        """160 bytes for 960 samples."""
        cdef uint8_t[G711_FRAME] payload
        if frame.shape[0] != FRAME:
            raise ValueError("a frame is 960 samples")
        g711_compress(&self.compressor, self.law, &frame[0], payload)
        return (<const char*>payload)[:G711_FRAME]

    def decode(self, bytes payload not None):
        """The samples of 5 to 120 ms, or of one byte of comfort noise, as bytes of int16; ValueError for other
        lengths.
        """
        cdef int16_t[LONGEST] samples
        cdef int count = g711_decode(self.g711, payload, len(payload), samples)
        if count == 0:
            raise ValueError("no G.711")
        return (<const char*>samples)[: count * 2]

    def conceal(self, int count):
        """So many samples in place of lost ones, as bytes of int16."""
        cdef int16_t[LONGEST] samples
        if not 0 < count <= LONGEST or count % 120:
            raise ValueError("not whole steps")
        g711_conceal(self.g711, samples, count)
        return (<const char*>samples)[: count * 2]


cdef void _tabulate() noexcept nogil:
    cdef int code
    for code in range(256):
        EXPANDED[<int>MU_LAW][code] = _expand_mu(<uint8_t>code)
        EXPANDED[<int>A_LAW][code] = _expand_a(<uint8_t>code)


_design()
_tabulate()
