# Opus through libopus, mono at 48 kHz.
from libc.stdint cimport int16_t, uint8_t

cdef enum:
    RATE = 48000
    FRAME = 960         # samples of a tick
    STEP = 120          # Opus works in steps of 2.5 ms
    LONGEST = 5760      # 120 ms, the longest packet there can be
    MAX_PAYLOAD = 1275

cdef struct Codec       # opaque: an encoder, a decoder

cdef Codec* codec_new(int bitrate, bint fec, bint dtx) except NULL
cdef void codec_free(Codec* codec) noexcept nogil
cdef int codec_encode(Codec* codec, const int16_t* frame, uint8_t* payload, int room) noexcept nogil
cdef void codec_restart(Codec* codec) noexcept nogil
cdef int codec_samples(const uint8_t* payload, int length) noexcept nogil
cdef bint codec_has_fec(const uint8_t* payload, int length) noexcept nogil
cdef int codec_decode(Codec* codec, const uint8_t* payload, int length, int16_t* samples) noexcept nogil
cdef int codec_recover(Codec* codec, const uint8_t* payload, int length, int16_t* samples, int count) noexcept nogil
cdef int codec_conceal(Codec* codec, int16_t* samples, int count) noexcept nogil
cdef void codec_forget(Codec* codec) noexcept nogil
