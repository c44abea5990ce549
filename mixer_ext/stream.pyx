"""From packets of 2.5 to 120 ms to frames of 20 ms: jitter buffer, decoder, FEC, concealment, and a ring of samples
between.
"""
from libc.stdint cimport int32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memmove, memset

from mixer_ext.codec cimport (
    FRAME,
    LONGEST,
    OPUS,
    codec_conceal,
    codec_decode,
    codec_forget,
    codec_free,
    codec_has_fec,
    codec_new,
    codec_recover,
    codec_samples,
)
from mixer_ext.jitter cimport (
    PUSH_DUPLICATE,
    PUSH_LATE,
    PUSH_STORED,
    STEP_CONCEAL,
    STEP_DISCARD,
    STEP_PLAY,
    STEP_RECOVER,
    STEP_STARVED,
    STEP_WAIT,
    Jitter,
    Pushed,
    Slot,
    Step,
    jitter_depth,
    jitter_init,
    jitter_next,
    jitter_push,
    jitter_release,
    jitter_reset,
    jitter_take_out,
)
from mixer_ext.mix cimport mix_fade_out, mix_level
from mixer_ext.rtp cimport NO_LEVEL

import numpy

cdef enum:
    TARGET = 2 * FRAME
    CONCEALED = 5 * FRAME       # so long the decoder is asked for what may have been, then it is faded out
    AWAKE = 15                  # ticks
    PROBE = 150                 # ticks between probes, at least
    BLEND = 240                 # 5 ms
    QUIET = -50                 # dBov


cdef void stream_init(Stream* stream) noexcept nogil:
    memset(stream, 0, sizeof(Stream))
    jitter_init(&stream.jitter, TARGET)
    stream.level = NO_LEVEL


cdef void _forget_kept(Stream* stream) noexcept nogil:
    cdef int i
    for i in range(stream.keeps):
        free(stream.kept[i].data)
    stream.keeps = 0


cdef void stream_reset(Stream* stream, Codec* codec) noexcept nogil:
    """Another source follows, or none."""
    jitter_reset(&stream.jitter)
    _forget_kept(stream)
    if codec != NULL:
        codec_forget(codec)
    stream.held = stream.run = stream.blend = stream.starved = 0
    stream.sounded = stream.ended = stream.asleep = False
    stream.awake = stream.probe = 0
    stream.level = NO_LEVEL


cdef void stream_rouse(Stream* stream) noexcept nogil:
    """What comes now matters, and for a while after it has been played."""
    stream.awake = AWAKE + (jitter_depth(&stream.jitter) + FRAME - 1) // FRAME


cdef void stream_pass(Stream* stream, uint64_t ticks) noexcept nogil:
    """So many ticks passed in which nothing was taken, since there was nothing."""
    if stream.jitter.count == 0:
        stream.jitter.position += <uint32_t>(ticks * FRAME)


cdef bint stream_rests(const Stream* stream) noexcept nogil:
    """Whether there will be nothing in any frame before a packet comes."""
    return stream.jitter.count == 0 and not _imagines(stream)


cdef bint _imagines(const Stream* stream) noexcept nogil:
    """Whether something is made up for packets that do not come."""
    return stream.sounded and not stream.ended and not stream.asleep and stream.run < CONCEALED + FRAME


cdef void stream_free(Stream* stream) noexcept nogil:
    jitter_reset(&stream.jitter)
    _forget_kept(stream)


cdef void _append(Stream* stream, const int16_t* samples, int count) noexcept nogil:
    """Put samples behind those held; blend from what was discarded before them."""
    cdef int i, weight
    cdef int16_t* target = stream.samples + stream.held
    memcpy(target, samples, count * sizeof(int16_t))
    if stream.blend:
        for i in range(min(BLEND, count)):
            weight = i * 256 // BLEND
            target[i] = <int16_t>((<int32_t>samples[i] * weight + <int32_t>stream.over[i] * (256 - weight)) >> 8)
        stream.blend = 0
    stream.held += count


cdef bint _conceal(Stream* stream, Codec* codec, int count) noexcept nogil:
    """Something in place of count samples: what the decoder thinks, for so long; a fade; then nothing. Whether it was
    something.
    """
    cdef int16_t samples[LONGEST]
    cdef int i, got
    cdef bint fade
    cdef bint something = True
    if stream.jitter.silent:        # it is known that there is nothing to be made up for
        stream.run = max(stream.run, <int>CONCEALED)
    fade = stream.run >= CONCEALED
    if _imagines(stream):
        got = codec_conceal(codec, samples, count)
        stream.runs += 1
        if got != count:
            memset(samples, 0, count * sizeof(int16_t))
        elif fade:
            for i in range(count):
                samples[i] = <int16_t>(<int32_t>samples[i] * (count - i) // count)
        stream.run += count
    else:
        memset(samples, 0, count * sizeof(int16_t))
        something = False
    stream.level = NO_LEVEL
    _append(stream, samples, count)
    return something


cdef void _decode(Stream* stream, Codec* codec, Slot* slot, bint discard) noexcept nogil:
    cdef int16_t samples[LONGEST]
    cdef int count = codec_decode(codec, slot.data, slot.length, samples)
    stream.runs += 1
    if count <= 0:
        stream.undecodable += 1
        stream.concealed += _conceal(stream, codec, slot.samples)
        return
    stream.decoded += 1
    stream.sounded = True
    stream.level = slot.level
    if discard and count >= BLEND:
        memcpy(stream.over, samples, BLEND * sizeof(int16_t))
        stream.blend = BLEND
    elif not discard:
        stream.run = 0
        _append(stream, samples, count)


cdef void _keep(Stream* stream, Slot* slot, bint discard) noexcept nogil:
    """In place of _decode while the stream is asleep; the slot is released."""
    cdef int16_t samples[LONGEST]
    if stream.keeps == PREROLL:
        free(stream.kept[0].data)
        memmove(&stream.kept[0], &stream.kept[1], (PREROLL - 1) * sizeof(Slot))
        stream.keeps -= 1
    stream.spared += 1
    stream.level = slot.level
    if not discard:
        memset(samples, 0, slot.samples * sizeof(int16_t))
        _append(stream, samples, slot.samples)
    stream.kept[stream.keeps] = jitter_take_out(&stream.jitter, slot)
    stream.keeps += 1


cdef void _wake(Stream* stream, Codec* codec) noexcept nogil:
    """Bring the decoder to where the packets are; what comes next is faded in."""
    cdef int16_t samples[LONGEST]
    cdef int i
    for i in range(stream.keeps):
        codec_decode(codec, stream.kept[i].data, stream.kept[i].length, samples)
        stream.runs += 1
        stream.sounded = True
    _forget_kept(stream)
    stream.asleep = False
    stream.run = 0
    memset(stream.over, 0, sizeof(stream.over))
    stream.blend = BLEND


cdef void _recover(Stream* stream, Codec* codec, Slot* slot, int count) noexcept nogil:
    cdef int16_t samples[LONGEST]
    cdef int got = 0
    if stream.sounded and not stream.asleep and codec_has_fec(slot.data, slot.length):
        stream.runs += 1
        got = codec_recover(codec, slot.data, slot.length, samples, count)
    if got != count:
        stream.concealed += _conceal(stream, codec, count)
        return
    stream.recovered += 1
    stream.run = 0
    _append(stream, samples, count)


cdef void _fill(Stream* stream, Codec* codec) noexcept nogil:
    """Hold a frame, whatever the network did."""
    cdef Slot* slot = NULL
    cdef int count = 0
    cdef Step step
    while stream.held < FRAME:
        step = jitter_next(&stream.jitter, stream.quiet, &slot, &count)
        if step == STEP_PLAY or step == STEP_DISCARD:
            if stream.jitter.paused:
                stream.comfort += stream.starved
            else:
                stream.concealed += stream.starved
            stream.starved = 0
            if stream.asleep:
                _keep(stream, slot, step == STEP_DISCARD)
            else:
                _decode(stream, codec, slot, step == STEP_DISCARD)
                jitter_release(&stream.jitter, slot)
        elif step == STEP_RECOVER:
            _recover(stream, codec, slot, count)
        elif step == STEP_CONCEAL:
            stream.concealed += _conceal(stream, codec, count)
        elif step == STEP_WAIT:
            stream.comfort += _conceal(stream, codec, count)
        else:
            stream.starved += _conceal(stream, codec, count)


cdef bint _probes(Stream* stream) noexcept nogil:
    """Whether a sleeping stream is to be listened to for a moment, at first and then every few seconds, not all streams in
    the same tick: what grows slowly, a codec may not call voice.
    """
    stream.probe = max(0, stream.probe - 1)
    if stream.probe or stream.level != NO_LEVEL or stream.keeps < PREROLL:
        return False
    stream.probe = PROBE + <int>((<size_t>stream >> 6) % PROBE)
    return True


cdef void _fall_asleep(Stream* stream) noexcept nogil:
    memset(stream.samples, 0, stream.held * sizeof(int16_t))
    stream.asleep = stream.quiet = True


cdef bint stream_take(Stream* stream, Codec* codec, int16_t* frame) noexcept nogil:
    """The frame of this tick; whether anything is in it. It always is a whole frame, whatever the network did. It falls
    asleep, where it may, when for a while there has been nothing that is voice or loud.
    """
    cdef double level
    cdef bint tired = stream.sparing and stream.awake == 0
    cdef bint probes = stream.asleep and tired and _probes(stream)
    stream.awake = max(0, stream.awake - 1)
    if stream.asleep and (probes or not tired):
        _wake(stream, codec)
    _fill(stream, codec)
    memcpy(frame, stream.samples, FRAME * sizeof(int16_t))
    stream.held -= FRAME
    memmove(stream.samples, stream.samples + FRAME, stream.held * sizeof(int16_t))
    if stream.asleep:
        return False
    level = mix_level(frame, FRAME)
    stream.quiet = level < QUIET
    if tired and not stream.quiet and stream.level == NO_LEVEL:
        stream_rouse(stream)        # what is loud is heard, voice or not: music, a tone
    elif tired:
        if probes:
            memset(frame, 0, FRAME * sizeof(int16_t))
        else:
            mix_fade_out(frame)
        _fall_asleep(stream)
        return not probes and level > -127.0
    return level > -127.0


cdef class JitterBuffer:
    """The receiving side of a leg for tests: packets in, one frame of 960 samples out with each pull, in any order, on
    nobody's clock.
    """

    cdef Stream stream
    cdef Codec* codec

    def __cinit__(self):
        stream_init(&self.stream)
        self.codec = codec_new(OPUS)

    def __dealloc__(self):
        stream_free(&self.stream)
        codec_free(self.codec)

    def push(self, int sequence, uint32_t timestamp, bytes payload not None):
        """Give an Opus packet; "stored", "late", "duplicate" or "stray". ValueError for garbage."""
        cdef int samples = codec_samples(payload, len(payload))
        if not samples:
            raise ValueError("not an Opus packet")
        cdef Jitter* jitter = &self.stream.jitter
        cdef Pushed pushed = jitter_push(
            jitter, sequence & 0xFFFF, timestamp, samples, NO_LEVEL, payload, len(payload)
        )
        return {PUSH_STORED: "stored", PUSH_LATE: "late", PUSH_DUPLICATE: "duplicate"}.get(pushed, "stray")

    def pull(self):
        """The next 20 ms as int16."""
        frame = numpy.empty(FRAME, numpy.int16)
        cdef int16_t[::1] view = frame
        stream_take(&self.stream, self.codec, &view[0])
        return frame

    @property
    def depth(self):
        """Samples that are held, decoded or not."""
        return jitter_depth(&self.stream.jitter) + self.stream.held

    @property
    def counters(self):
        return {
            "decoded": self.stream.decoded,
            "concealed": self.stream.concealed,
            "recovered": self.stream.recovered,
            "comfort": self.stream.comfort,
            "undecodable": self.stream.undecodable,
            "late": self.stream.jitter.late,
            "duplicates": self.stream.jitter.duplicates,
            "missing": self.stream.jitter.missing,
            "dropped": self.stream.jitter.dropped,
            "resets": self.stream.jitter.resets,
        }
