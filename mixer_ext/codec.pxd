# What a leg's payloads are made with: Opus through libopus, or G.711. Mono at 48 kHz.
from libc.stdint cimport int16_t, uint8_t

from mixer_ext.g711 cimport G711, Law

cdef enum:
    RATE = 48000
    FRAME = 960         # samples of a tick
    STEP = 120          # Opus works in steps of 2.5 ms
    LONGEST = 5760      # 120 ms, the longest packet there can be
    MAX_PAYLOAD = 1275

cdef struct Codec       # opaque: an encoder, a decoder

cdef Codec* codec_new(int bitrate, bint fec, bint dtx) except NULL
cdef Codec* codec_new_g711(Law law) except NULL
cdef int codec_unit(const Codec* codec) noexcept nogil
cdef int codec_measure(const Codec* codec, const uint8_t* payload, int length) noexcept nogil
cdef int codec_silence(Codec* codec, uint8_t* payload) noexcept nogil
cdef void codec_free(Codec* codec) noexcept nogil
cdef int codec_encode(Codec* codec, const int16_t* frame, uint8_t* payload, int room) noexcept nogil
cdef void codec_restart(Codec* codec) noexcept nogil
cdef int codec_samples(const uint8_t* payload, int length) noexcept nogil
cdef bint codec_has_fec(const uint8_t* payload, int length) noexcept nogil
cdef int codec_decode(Codec* codec, const uint8_t* payload, int length, int16_t* samples) noexcept nogil
cdef int codec_recover(Codec* codec, const uint8_t* payload, int length, int16_t* samples, int count) noexcept nogil
cdef int codec_conceal(Codec* codec, int16_t* samples, int count) noexcept nogil
cdef void codec_forget(Codec* codec) noexcept nogil
