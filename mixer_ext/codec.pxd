# What a leg's payloads are made with: Opus through libopus, or G.711. Mono at 48 kHz.
from libc.stdint cimport int16_t, uint8_t

cdef enum:
    RATE = 48000
    FRAME = 960         # samples of a tick
    STEP = 120          # Opus works in steps of 2.5 ms
    LONGEST = 5760      # 120 ms, the longest packet there can be
    MAX_PAYLOAD = 1275
    PAYLOAD = 1200      # the longest that is sent, so that it fits a packet
    STILL = 250         # frames of silence after which nothing at all is sent for them

cdef enum Kind:
    OPUS
    PCMU
    PCMA

# How what is sent is encoded; those to whom the same applies can be sent the same.
cdef struct Coding:
    Kind kind
    int bitrate
    bint fec
    bint dtx
    bint steady         # silence is encoded and sent as all else is
    bint halves         # two packets of 10 ms; of G.711 each payload can be halved

# An encoder, its codec's state behind it in the same block of memory.
cdef struct Encoder:
    Kind kind
    int silence         # frames of digital silence in a row, none of them counted beyond STILL
    bint restart        # the codec has not seen what was sent last
    int complexity      # Opus'
    bint halves
    int first           # bytes of the first half of what was encoded last

cdef bint coding_check(Coding* coding) except False
cdef bint coding_equal(const Coding* a, const Coding* b) noexcept nogil
cdef Encoder* encoder_new(const Coding* coding) noexcept nogil
cdef Encoder* encoder_copy(const Encoder* encoder) noexcept nogil
cdef Encoder* encoder_adapted(Encoder* encoder, const Coding* coding) noexcept nogil
cdef void encoder_free(Encoder* encoder) noexcept nogil
cdef bint encoder_rests(const Encoder* encoder) noexcept nogil
cdef void encoder_strive(Encoder* encoder, int complexity) noexcept nogil
cdef int encoder_encode(Encoder* encoder, const int16_t* frame, bint afresh, uint8_t* payload) noexcept nogil
cdef int encoder_payload(
    Encoder* encoder, const Coding* coding, const int16_t* frame, bint sounds, bint afresh, uint8_t* payload
) noexcept nogil
cdef int comfort_payload(const Coding* coding, uint8_t* payload) noexcept nogil

cdef struct Codec       # opaque: a decoder

cdef Codec* codec_new(Kind kind) except NULL
cdef int codec_unit(const Codec* codec) noexcept nogil
cdef int codec_measure(const Codec* codec, const uint8_t* payload, int length) noexcept nogil
cdef void codec_free(Codec* codec) noexcept nogil
cdef int codec_samples(const uint8_t* payload, int length) noexcept nogil
cdef bint codec_voiced(const Codec* codec, const uint8_t* payload, int length) noexcept nogil
cdef int codec_fec(const uint8_t* payload, int length) noexcept nogil
cdef int codec_decode(Codec* codec, const uint8_t* payload, int length, int16_t* samples) noexcept nogil
cdef bint codec_recover(Codec* codec, const uint8_t* payload, int length, int16_t* samples, int count) noexcept nogil
cdef int codec_conceal(Codec* codec, int16_t* samples, int count) noexcept nogil
cdef void codec_forget(Codec* codec) noexcept nogil
