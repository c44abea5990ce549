"""Opus (RFC 6716) through libopus, mono at 48 kHz; stereo is mixed down by the decoder. What is G.711 instead is handed
on to that.

Encoders and decoders are apart: those who hear the same share an encoder.
"""
from libc.stdlib cimport calloc, free, malloc
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from mixer_ext.effort cimport COMPLEXITY
from mixer_ext.g711 cimport (
    A_LAW,
    G711,
    G711_FRAME,
    MU_LAW,
    UNIT,
    Compressor,
    Law,
    g711_compress,
    g711_conceal,
    g711_decode,
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
    int opus_encoder_get_size(int channels)
    int opus_encoder_init(OpusEncoder*, int32_t rate, int channels, int application)
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
        OPUS_SET_PREDICTION_DISABLED_REQUEST
        OPUS_RESET_STATE

cdef enum:
    EXPECTED_LOSS = 10  # percent that in-band FEC is tuned for
    ENCODED_SILENCE = 10        # frames of silence that are encoded before comfort frames follow: the codec's tail
    COMFORT_EVERY = 20          # frames between comfort frames with DTX
    HEADER = (sizeof(Encoder) + 15) // 16 * 16

# Nothing in Opus: CELT, full band, mono; 20 ms, and twice 10 ms.
cdef uint8_t[3] COMFORT = [0xF8, 0xFF, 0xFE]
cdef uint8_t[6] COMFORT_HALVES = [0xF0, 0xFF, 0xFE, 0xF0, 0xFF, 0xFE]

cdef struct Codec:
    OpusDecoder* decoder
    G711* g711      # instead


cdef bint coding_check(Coding* coding) except False:
    """ValueError for a bitrate that Opus does not have (6000 to 510000 bit/s). What means nothing is made the same."""
    if coding.kind != OPUS:
        coding.bitrate = 0
        coding.fec = coding.dtx = coding.halves = False
    elif not 6000 <= coding.bitrate <= 510000:
        raise ValueError(f"no bitrate of Opus: {coding.bitrate}")
    return True


cdef bint coding_equal(const Coding* a, const Coding* b) noexcept nogil:
    return (
        a.kind == b.kind
        and a.bitrate == b.bitrate
        and a.fec == b.fec
        and a.dtx == b.dtx
        and a.steady == b.steady
        and a.halves == b.halves
    )


cdef inline OpusEncoder* _opus(Encoder* encoder) noexcept nogil:
    return <OpusEncoder*>(<char*>encoder + HEADER)


cdef inline Compressor* _compressor(Encoder* encoder) noexcept nogil:
    return <Compressor*>(<char*>encoder + HEADER)


cdef Law _law(Kind kind) noexcept nogil:
    return MU_LAW if kind == PCMU else A_LAW


cdef size_t _size(Kind kind) noexcept nogil:
    return HEADER + (<size_t>opus_encoder_get_size(1) if kind == OPUS else sizeof(Compressor))


cdef Encoder* encoder_new(const Coding* coding) noexcept nogil:
    """NULL when there is no memory."""
    cdef Encoder* encoder = <Encoder*>malloc(_size(coding.kind))
    if encoder == NULL:
        return NULL
    memset(encoder, 0, _size(coding.kind))
    encoder.kind = coding.kind
    if coding.kind == OPUS:
        opus_encoder_init(_opus(encoder), RATE, 1, OPUS_APPLICATION_VOIP)
        encoder_strive(encoder, COMPLEXITY)
        _set(encoder, coding)
    return encoder


cdef Encoder* encoder_copy(const Encoder* encoder) noexcept nogil:
    """Another one in the same state: what it encodes next follows on what this one has encoded. NULL when there is no
    memory.
    """
    # opus.h: the state is "continuous in memory and only a shallow copy is sufficient".
    cdef Encoder* copy = <Encoder*>malloc(_size(encoder.kind))
    if copy != NULL:
        memcpy(copy, encoder, _size(encoder.kind))
    return copy


cdef void _set(Encoder* encoder, const Coding* coding) noexcept nogil:
    cdef OpusEncoder* opus = _opus(encoder)
    encoder.halves = coding.halves
    opus_encoder_ctl(opus, OPUS_SET_BITRATE_REQUEST, coding.bitrate)
    opus_encoder_ctl(opus, OPUS_SET_INBAND_FEC_REQUEST, <int>coding.fec)
    opus_encoder_ctl(opus, OPUS_SET_PACKET_LOSS_PERC_REQUEST, <int>(EXPECTED_LOSS if coding.fec else 0))
    opus_encoder_ctl(opus, OPUS_SET_DTX_REQUEST, <int>coding.dtx)


cdef Encoder* encoder_adapted(Encoder* encoder, const Coding* coding) noexcept nogil:
    """From here on like this: the same encoder with other settings, or, for another codec, a new one instead. NULL when
    there is no memory.
    """
    if encoder.kind == coding.kind:
        if coding.kind == OPUS:
            _set(encoder, coding)
        return encoder
    encoder_free(encoder)
    return encoder_new(coding)


cdef void encoder_free(Encoder* encoder) noexcept nogil:
    free(encoder)


cdef void encoder_strive(Encoder* encoder, int complexity) noexcept nogil:
    """From here on with this complexity."""
    if encoder.kind == OPUS and encoder.complexity != complexity:
        encoder.complexity = complexity
        opus_encoder_ctl(_opus(encoder), OPUS_SET_COMPLEXITY_REQUEST, complexity)


cdef bint encoder_rests(const Encoder* encoder) noexcept nogil:
    """Whether it makes nothing of the silence that it has been given for long."""
    return encoder.silence == STILL


cdef int comfort_payload(const Coding* coding, uint8_t* payload) noexcept nogil:
    """A frame of silence, whatever was sent before; its length. Its halves are of the same length."""
    if coding.kind != OPUS:
        g711_silence(_law(coding.kind), payload)
        return G711_FRAME
    if coding.halves:
        memcpy(payload, COMFORT_HALVES, sizeof(COMFORT_HALVES))
        return sizeof(COMFORT_HALVES)
    memcpy(payload, COMFORT, sizeof(COMFORT))
    return sizeof(COMFORT)


cdef int _half(Encoder* encoder, const int16_t* frame, uint8_t* payload, int room) noexcept nogil:
    """10 ms; 0 where they need not be sent."""
    cdef int length = opus_encode(_opus(encoder), frame, FRAME // 2, payload, room)
    return length if length > 2 else 0


cdef int encoder_encode(Encoder* encoder, const int16_t* frame, bint afresh, uint8_t* payload) noexcept nogil:
    """Encode FRAME samples into at most PAYLOAD bytes; how many, 2 or less when DTX says that it need not be sent,
    negative when Opus fails. afresh: in a way that a decoder which has heard something else takes up quickly (without
    prediction from what was before). encoder.first: how many of them are of the first 10 ms, where these are encoded
    apart, or, of G.711, can be.
    """
    cdef int length
    if encoder.kind != OPUS:
        g711_compress(_compressor(encoder), _law(encoder.kind), frame, payload)
        encoder.first = G711_FRAME // 2
        return G711_FRAME
    if afresh:
        opus_encoder_ctl(_opus(encoder), OPUS_SET_PREDICTION_DISABLED_REQUEST, <int>1)
    if encoder.halves:
        encoder.first = _half(encoder, frame, payload, PAYLOAD)
        length = encoder.first + _half(encoder, frame + FRAME // 2, payload + encoder.first, PAYLOAD - encoder.first)
    else:
        length = opus_encode(_opus(encoder), frame, FRAME, payload, PAYLOAD)
    if afresh:
        opus_encoder_ctl(_opus(encoder), OPUS_SET_PREDICTION_DISABLED_REQUEST, <int>0)
    return length


cdef int encoder_payload(
    Encoder* encoder, const Coding* coding, const int16_t* frame, bint sounds, bint afresh, uint8_t* payload
) noexcept nogil:
    """What is sent for this frame; 0 for nothing. Silence is a few encoded frames, then for a while one that costs
    nothing, then none, unless the coding is steady.
    """
    cdef int length
    encoder.silence = 0 if sounds or coding.steady else min(encoder.silence + 1, STILL)
    if encoder.silence > ENCODED_SILENCE:
        encoder.restart = True
        if encoder_rests(encoder) or (coding.dtx and encoder.silence % COMFORT_EVERY):
            return 0
        length = comfort_payload(coding, payload)
        encoder.first = length // 2
        return length
    if encoder.restart and encoder.kind == OPUS:
        # The peer's decoder begins anew after CELT, so must the encoder.
        opus_encoder_ctl(_opus(encoder), OPUS_RESET_STATE)
    encoder.restart = False
    length = encoder_encode(encoder, frame, afresh, payload)
    return 0 if coding.dtx and length <= 2 else max(0, length)


cdef Codec* codec_new(Kind kind) except NULL:
    cdef int error = 0
    cdef Codec* codec = <Codec*>calloc(1, sizeof(Codec))
    if codec == NULL:
        raise MemoryError
    if kind == OPUS:
        codec.decoder = opus_decoder_create(RATE, 1, &error)
    else:
        codec.g711 = g711_new(_law(kind))
    if codec.decoder == NULL and codec.g711 == NULL:
        free(codec)
        raise MemoryError
    return codec


cdef int codec_unit(const Codec* codec) noexcept nogil:
    """How many of our samples a unit of RTP time is."""
    return UNIT if codec != NULL and codec.g711 != NULL else 1


cdef int codec_measure(const Codec* codec, const uint8_t* payload, int length) noexcept nogil:
    """How many samples a payload is; 0 for what this codec has not made."""
    return codec_samples(payload, length) if codec.g711 == NULL else g711_samples(length)


cdef void codec_free(Codec* codec) noexcept nogil:
    if codec != NULL:
        g711_free(codec.g711)
        if codec.decoder != NULL:
            opus_decoder_destroy(codec.decoder)
        free(codec)


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


cdef bint codec_voiced(const Codec* codec, const uint8_t* payload, int length) noexcept nogil:
    """Whether a packet (that codec_measure has a length for) may be speech, as far as can be seen without decoding it.
    SILK says so in its first bits, one for each of its frames and channels (RFC 6716 section 4.2.3); of CELT and G.711
    nothing is known but that very short packets are none.
    """
    cdef unsigned char toc
    cdef const unsigned char* frames[48]
    cdef short sizes[48]
    cdef int i, offset, count, per_frame, silk, said
    if codec.g711 != NULL:
        return length > 1
    if length <= 3 and (length <= 2 or payload[0] & 0x80):
        return False
    if payload[0] & 0x80:
        return True
    per_frame = opus_packet_get_samples_per_frame(payload, RATE)
    silk = per_frame // FRAME if per_frame > FRAME else 1
    said = 0xFF & ~(0xFF >> silk)
    if opus_packet_get_nb_channels(payload) == 2:
        said |= said >> (silk + 1)      # between them is the flag of FEC
    count = opus_packet_parse(payload, length, &toc, frames, sizes, &offset)
    for i in range(count):
        if sizes[i] > 0 and frames[i][0] & said:
            return True
    return False


cdef int codec_fec(const uint8_t* payload, int length) noexcept nogil:
    """How many samples before it an Opus packet carries again, 0: none (RFC 6716 section 4.2.3 and 4.2.4: the flag
    follows the SILK frames' VAD bits).
    """
    cdef unsigned char toc
    cdef const unsigned char* frames[48]
    cdef short sizes[48]
    cdef int offset, per_frame, silk
    if length < 2 or payload[0] & 0x80:     # CELT only
        return 0
    per_frame = opus_packet_get_samples_per_frame(payload, RATE)
    silk = per_frame // FRAME if per_frame > FRAME else 1
    if opus_packet_parse(payload, length, &toc, frames, sizes, &offset) <= 0 or sizes[0] < 1:
        return 0
    if (frames[0][0] >> (7 - silk)) & 1:
        return per_frame
    if opus_packet_get_nb_channels(payload) == 2 and (frames[0][0] >> (6 - 2 * silk)) & 1:
        return per_frame
    return 0


cdef int codec_decode(Codec* codec, const uint8_t* payload, int length, int16_t* samples) noexcept nogil:
    """Decode a packet into at most LONGEST samples; how many, or negative for garbage."""
    if codec.g711 != NULL:
        return g711_decode(codec.g711, payload, length, samples)
    return opus_decode(codec.decoder, payload, length, samples, LONGEST, 0)


cdef bint codec_recover(Codec* codec, const uint8_t* payload, int length, int16_t* samples, int count) noexcept nogil:
    """The count samples before this packet, which is as many as it carries (codec_fec). Whether it worked."""
    return codec.decoder != NULL and opus_decode(codec.decoder, payload, length, samples, count, 1) == count


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
    cdef Encoder* encoder
    cdef Coding coding

    def __cinit__(self, int bitrate=32000, bint fec=False, bint dtx=False):
        self.coding.kind = OPUS
        self.coding.bitrate, self.coding.fec, self.coding.dtx = bitrate, fec, dtx
        coding_check(&self.coding)
        self.codec = codec_new(OPUS)
        self.encoder = encoder_new(&self.coding)
        if self.encoder == NULL:
            raise MemoryError

    def __dealloc__(self):
        codec_free(self.codec)
        encoder_free(self.encoder)

    def copy_encoder(self, Opus other not None):
        """Go on encoding where another stands."""
        cdef Encoder* copy = encoder_copy(other.encoder)
        if copy == NULL:
            raise MemoryError
        encoder_free(self.encoder)
        self.encoder = copy
        encoder_adapted(copy, &self.coding)

    def encode(self, const int16_t[::1] frame not None, *, bint afresh=False):
        """The payload for 960 samples. afresh: so that a decoder which has heard something else takes it up quickly."""
        cdef uint8_t payload[PAYLOAD]
        if frame.shape[0] != FRAME:
            raise ValueError("a frame is 960 samples")
        cdef int length = encoder_encode(self.encoder, &frame[0], afresh, payload)
        if length < 0:
            raise RuntimeError(f"Opus error {length}")
        return (<const char*>payload)[:length]

    def payload(self, const int16_t[::1] frame not None, *, bint afresh=False):
        """What a leg is sent for 960 samples: silence is comfort frames, and b"" is nothing at all."""
        cdef uint8_t payload[PAYLOAD]
        cdef int i
        cdef int16_t seen = 0
        if frame.shape[0] != FRAME:
            raise ValueError("a frame is 960 samples")
        for i in range(FRAME):
            seen |= frame[i]
        cdef int length = encoder_payload(self.encoder, &self.coding, &frame[0], seen != 0, afresh, payload)
        return (<const char*>payload)[:length]

    def voiced(self, bytes payload not None):
        """Whether a payload may be speech, as far as can be seen; ValueError for garbage."""
        if not codec_samples(payload, len(payload)):
            raise ValueError("not an Opus packet")
        return codec_voiced(self.codec, payload, len(payload))

    def decode(self, bytes payload not None):
        """The samples in a payload, as bytes of int16; ValueError for garbage."""
        cdef int16_t samples[LONGEST]
        cdef int count = -1
        if codec_samples(payload, len(payload)):
            count = codec_decode(self.codec, payload, len(payload), samples)
        if count < 0:
            raise ValueError("not an Opus packet")
        return (<const char*>samples)[: count * 2]
