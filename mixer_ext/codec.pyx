"""Opus (RFC 6716) through libopus: a mono encoder and a mono decoder at 48 kHz for each leg. Stereo is mixed down by
the decoder. A leg that has G.711 instead is handed on to that.
"""
from libc.stdlib cimport calloc, free
from libc.stdint cimport int32_t
from libc.string cimport memcpy

from mixer_ext.g711 cimport (
    G711_FRAME,
    UNIT,
    g711_conceal,
    g711_decode,
    g711_encode,
    g711_forget,
    g711_free,
    g711_new,
    g711_samples,
    g711_silence,
)

cdef extern from "opus.h" nogil:
    struct OpusEncoder:
        pass
    struct OpusDecoder:
        pass
    OpusEncoder* opus_encoder_create(int32_t rate, int channels, int application, int* error)
    void opus_encoder_destroy(OpusEncoder*)
    int opus_encoder_ctl(OpusEncoder*, int request, ...)
    int32_t opus_encode(OpusEncoder*, const int16_t* pcm, int frame_size, unsigned char* data, int32_t max_data_bytes)
    OpusDecoder* opus_decoder_create(int32_t rate, int channels, int* error)
    void opus_decoder_destroy(OpusDecoder*)
    int opus_decoder_ctl(OpusDecoder*, int request, ...)
    int opus_decode(OpusDecoder*, const unsigned char* data, int32_t length, int16_t* pcm, int frame_size, int fec)
    int opus_packet_get_nb_samples(const unsigned char* packet, int32_t length, int32_t rate)
    int opus_packet_get_samples_per_frame(const unsigned char* data, int32_t rate)
    int opus_packet_get_nb_channels(const unsigned char* data)
    int opus_packet_parse(
        const unsigned char* data,
        int32_t length,
        unsigned char* toc,
        const unsigned char** frames,
        short* sizes,
        int* offset,
    )
    enum:
        OPUS_APPLICATION_VOIP
        OPUS_SET_BITRATE_REQUEST
        OPUS_SET_COMPLEXITY_REQUEST
        OPUS_SET_INBAND_FEC_REQUEST
        OPUS_SET_PACKET_LOSS_PERC_REQUEST
        OPUS_SET_DTX_REQUEST
        OPUS_RESET_STATE

cdef enum:
    COMPLEXITY = 5
    EXPECTED_LOSS = 10  # percent that in-band FEC is tuned for

# 20 ms of nothing in Opus: CELT, full band, mono.
cdef uint8_t[3] COMFORT = [0xF8, 0xFF, 0xFE]

cdef struct Codec:
    OpusEncoder* encoder
    OpusDecoder* decoder
    G711* g711      # instead of both


cdef Codec* codec_new(int bitrate, bint fec, bint dtx) except NULL:
    """ValueError for a bitrate that Opus does not have (6000 to 510000 bit/s)."""
    cdef int error = 0
    if not 6000 <= bitrate <= 510000:
        raise ValueError(f"no bitrate of Opus: {bitrate}")
    cdef Codec* codec = <Codec*>calloc(1, sizeof(Codec))
    if codec == NULL:
        raise MemoryError
    codec.encoder = opus_encoder_create(RATE, 1, OPUS_APPLICATION_VOIP, &error)
    codec.decoder = opus_decoder_create(RATE, 1, &error)
    if codec.encoder == NULL or codec.decoder == NULL:
        codec_free(codec)
        raise MemoryError
    opus_encoder_ctl(codec.encoder, OPUS_SET_BITRATE_REQUEST, bitrate)
    opus_encoder_ctl(codec.encoder, OPUS_SET_COMPLEXITY_REQUEST, <int>COMPLEXITY)
    opus_encoder_ctl(codec.encoder, OPUS_SET_INBAND_FEC_REQUEST, <int>fec)
    opus_encoder_ctl(codec.encoder, OPUS_SET_PACKET_LOSS_PERC_REQUEST, <int>(EXPECTED_LOSS if fec else 0))
    opus_encoder_ctl(codec.encoder, OPUS_SET_DTX_REQUEST, <int>dtx)
    return codec


cdef Codec* codec_new_g711(Law law) except NULL:
    cdef Codec* codec = <Codec*>calloc(1, sizeof(Codec))
    if codec == NULL:
        raise MemoryError
    codec.g711 = g711_new(law)
    if codec.g711 == NULL:
        free(codec)
        raise MemoryError
    return codec


cdef int codec_unit(const Codec* codec) noexcept nogil:
    """How many of our samples a unit of RTP time is."""
    return UNIT if codec != NULL and codec.g711 != NULL else 1


cdef int codec_measure(const Codec* codec, const uint8_t* payload, int length) noexcept nogil:
    """How many samples a payload is; 0 for what this codec has not made."""
    return codec_samples(payload, length) if codec.g711 == NULL else g711_samples(length)


cdef int codec_silence(Codec* codec, uint8_t* payload) noexcept nogil:
    """The payload for a long silence, for nothing; its length."""
    if codec.g711 != NULL:
        g711_silence(codec.g711, payload)
        return G711_FRAME
    memcpy(payload, COMFORT, sizeof(COMFORT))
    return sizeof(COMFORT)


cdef void codec_free(Codec* codec) noexcept nogil:
    if codec != NULL:
        g711_free(codec.g711)
        if codec.encoder != NULL:
            opus_encoder_destroy(codec.encoder)
        if codec.decoder != NULL:
            opus_decoder_destroy(codec.decoder)
        free(codec)


cdef int codec_encode(Codec* codec, const int16_t* frame, uint8_t* payload, int room) noexcept nogil:
    """Encode FRAME samples; the length of the payload, 2 or less when DTX says that it need not be sent, negative when
    Opus fails.
    """
    if codec.g711 != NULL:
        g711_encode(codec.g711, frame, payload)
        return G711_FRAME
    return opus_encode(codec.encoder, frame, FRAME, payload, room)


cdef void codec_restart(Codec* codec) noexcept nogil:
    """The encoder forgets what it sent: for when the listener's decoder was given something else meanwhile."""
    if codec.g711 == NULL:
        opus_encoder_ctl(codec.encoder, OPUS_RESET_STATE)


cdef int codec_samples(const uint8_t* payload, int length) noexcept nogil:
    """How many samples a payload is; 0 for what is no Opus packet."""
    cdef unsigned char toc
    cdef const unsigned char* frames[48]
    cdef short sizes[48]
    cdef int offset
    cdef int samples
    if length < 1 or length > MAX_PAYLOAD:
        return 0
    samples = opus_packet_get_nb_samples(payload, length, RATE)
    if samples <= 0 or samples > LONGEST or opus_packet_parse(payload, length, &toc, frames, sizes, &offset) < 0:
        return 0
    return samples


cdef bint codec_has_fec(const uint8_t* payload, int length) noexcept nogil:
    """Whether the packet carries its predecessor again (RFC 6716 section 4.2.3 and 4.2.4: the flag follows the SILK
    frames' VAD bits).
    """
    cdef unsigned char toc
    cdef const unsigned char* frames[48]
    cdef short sizes[48]
    cdef int offset, per_frame, silk
    if length < 2 or payload[0] & 0x80:     # CELT only
        return False
    per_frame = opus_packet_get_samples_per_frame(payload, RATE)
    silk = per_frame // FRAME if per_frame > FRAME else 1
    if opus_packet_parse(payload, length, &toc, frames, sizes, &offset) <= 0 or sizes[0] < 1:
        return False
    if (frames[0][0] >> (7 - silk)) & 1:
        return True
    return opus_packet_get_nb_channels(payload) == 2 and (frames[0][0] >> (6 - 2 * silk)) & 1


cdef int codec_decode(Codec* codec, const uint8_t* payload, int length, int16_t* samples) noexcept nogil:
    """Decode a packet into at most LONGEST samples; how many, or negative for garbage."""
    if codec.g711 != NULL:
        return g711_decode(codec.g711, payload, length, samples)
    return opus_decode(codec.decoder, payload, length, samples, LONGEST, 0)


cdef int codec_recover(Codec* codec, const uint8_t* payload, int length, int16_t* samples, int count) noexcept nogil:
    """The last count samples (whole steps) before this packet, from its FEC; concealed where it has none, 0 where
    the codec has no FEC.
    """
    if codec.g711 != NULL:
        return 0
    return opus_decode(codec.decoder, payload, length, samples, count, 1)


cdef int codec_conceal(Codec* codec, int16_t* samples, int count) noexcept nogil:
    """What may have been in count samples (whole steps) that are lost."""
    if codec.g711 != NULL:
        g711_conceal(codec.g711, samples, count)
        return count
    return opus_decode(codec.decoder, NULL, 0, samples, count, 0)


cdef void codec_forget(Codec* codec) noexcept nogil:
    """The decoder starts afresh: another source."""
    if codec.g711 != NULL:
        g711_forget(codec.g711)
    else:
        opus_decoder_ctl(codec.decoder, OPUS_RESET_STATE)


cdef class Opus:
    """An encoder and a decoder as a leg has them, for tests and load generators."""

    cdef Codec* codec

    def __cinit__(self, int bitrate=32000, bint fec=False, bint dtx=False):
        self.codec = codec_new(bitrate, fec, dtx)

    def __dealloc__(self):
        codec_free(self.codec)

    def encode(self, const int16_t[::1] frame not None):
        """The payload for 960 samples."""
        cdef uint8_t payload[MAX_PAYLOAD]
        if frame.shape[0] != FRAME:
            raise ValueError("a frame is 960 samples")
        cdef int length = codec_encode(self.codec, &frame[0], payload, MAX_PAYLOAD)
        if length < 0:
            raise RuntimeError(f"Opus error {length}")
        return (<const char*>payload)[:length]

    def decode(self, bytes payload not None):
        """The samples in a payload, as bytes of int16; ValueError for garbage."""
        cdef int16_t samples[LONGEST]
        cdef int count = -1
        if codec_samples(payload, len(payload)):
            count = codec_decode(self.codec, payload, len(payload), samples)
        if count < 0:
            raise ValueError("not an Opus packet")
        return (<const char*>samples)[: count * 2]
