"""From packets of 2.5 to 120 ms to frames of 20 ms: jitter buffer, decoder, FEC, concealment, and a ring of samples
between.

Its delay is kept by mixer_ext.adapt.
"""
from libc.stdint cimport int32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memmove, memset

from mixer_ext.adapt cimport stream_adapt, stream_excess, stream_look_anew, stream_watch
from mixer_ext.codec cimport (
    FRAME,
    LONGEST,
    OPUS,
    PCMU,
    RATE,
    STEP,
    codec_conceal,
    codec_decode,
    codec_fec,
    codec_forget,
    codec_free,
    codec_measure,
    codec_new,
    codec_recover,
    codec_unit,
)
from mixer_ext.jitter cimport (
    PUSH_DUPLICATE,
    PUSH_LATE,
    PUSH_STORED,
    STEP_CONCEAL,
    STEP_DISCARD,
    STEP_PLAY,
    STEP_RECOVER,
    STEP_WAIT,
    Step,
    jitter_follows_gap,
    jitter_init,
    jitter_next,
    jitter_pin,
    jitter_push,
    jitter_ready,
    jitter_release,
    jitter_reset,
    jitter_take_out,
    jitter_wanted,
)
from mixer_ext.mix cimport mix_fade_out, mix_level
from mixer_ext.rtp cimport NO_LEVEL

import numpy

cdef enum:
    CONCEALED = 5 * FRAME       # so long the decoder is asked for what may have been, then it is faded out
    AWAKE = 15                  # ticks
    PROBE = 150                 # ticks between probes, at least


cdef int64_t stream_time(int64_t ns) noexcept nogil:
    """Samples of a clock that is given in ns."""
    return ns // 125 * 6 // 1000


cdef void stream_init(Stream* stream) noexcept nogil:
    memset(stream, 0, sizeof(Stream))
    jitter_init(&stream.jitter)
    stream.level = NO_LEVEL
    stream.asleep = stream.quiet = True
    stream_look_anew(stream)


cdef void _forget_kept(Stream* stream) noexcept nogil:
    cdef int i
    for i in range(stream.keeps):
        free(stream.kept[i].data)
    stream.keeps = 0


cdef void _fall_asleep(Stream* stream) noexcept nogil:
    """From here on all samples are 0, and need not be touched."""
    if not stream.asleep:
        memset(stream.samples, 0, sizeof(stream.samples))
    stream.blend = 0
    stream.asleep = stream.quiet = True


cdef void stream_reset(Stream* stream, Codec* codec) noexcept nogil:
    """Another source follows, or none."""
    jitter_reset(&stream.jitter)
    _forget_kept(stream)
    if codec != NULL:
        codec_forget(codec)
    stream.run = stream.starved = 0
    stream.sounded = stream.ended = False
    _fall_asleep(stream)
    stream.held = 0
    stream.awake = stream.probe = 0
    stream.level = NO_LEVEL
    stream_look_anew(stream)


cdef void stream_rouse(Stream* stream) noexcept nogil:
    """What comes now matters, and for a while after it has been played."""
    stream.awake = AWAKE + (stream.jitter.depth + FRAME - 1) // FRAME


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


cdef void stream_pin(Stream* stream, int delay) noexcept nogil:
    """Play at a delay of so many samples and never stretch what is played, and repeat the last frame where one is lost;
    0: as seems best again.
    """
    if delay and not stream.jitter.pinned:
        memset(stream.last, 0, sizeof(stream.last))
    jitter_pin(&stream.jitter, delay)
    stream_look_anew(stream)


cdef Pushed stream_push(Stream* stream, Codec* codec, Slot* packet, const uint8_t* data) noexcept nogil:
    """Take a packet of which all but data and late is filled in."""
    cdef bint carries = (
        jitter_follows_gap(&stream.jitter, packet.sequence)
        and codec_unit(codec) == 1      # what is not Opus has no FEC
        and codec_fec(data, packet.length) > 0
    )
    return jitter_push(&stream.jitter, packet, data, carries)


cdef uint64_t _frames(uint64_t samples) noexcept nogil:
    return (samples + FRAME - 1) // FRAME


cdef uint64_t stream_concealed(Stream* stream) noexcept nogil:
    """Frames that were lost, and for which the decoder was asked for something else."""
    return _frames(stream.concealed)


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


cdef void _remember(Stream* stream, const int16_t* samples, int count) noexcept nogil:
    """The last frame of what has been decoded."""
    if count >= FRAME:
        memcpy(stream.last, samples + count - FRAME, FRAME * sizeof(int16_t))
    else:
        memmove(stream.last, stream.last + count, (FRAME - count) * sizeof(int16_t))
        memcpy(stream.last + FRAME - count, samples, count * sizeof(int16_t))


cdef bint _invent(Stream* stream, Codec* codec, int16_t* samples, int count) noexcept nogil:
    """What may have been in count samples. A pinned stream is a modem's: to that a codec's idea of how a voice goes on is
    noise, while of its own last frame again it makes out most.
    """
    cdef int i
    if not stream.jitter.pinned:
        return codec_conceal(codec, samples, count) == count
    for i in range(count):
        samples[i] = stream.last[(stream.run + i) % FRAME]
    return True


cdef int _conceal(Stream* stream, Codec* codec, int count) noexcept nogil:
    """Something in place of count samples: what the decoder thinks, for so long; a fade; then nothing. How much of
    it was something.
    """
    cdef int16_t samples[LONGEST]
    cdef int i, left
    cdef int whole = min((count + STEP - 1) // STEP * STEP, LONGEST)
    stream.level = NO_LEVEL
    if stream.asleep:
        stream.held += count
        return 0
    if stream.jitter.silent:        # it is known that there is nothing to be made up for
        stream.run = max(stream.run, <int>CONCEALED)
    if not _imagines(stream):
        memset(samples, 0, count * sizeof(int16_t))
        _append(stream, samples, count)
        if stream.sounded:      # what comes next is faded in
            memset(stream.over, 0, sizeof(stream.over))
            stream.blend = BLEND
        return 0
    stream.runs += 1
    if not _invent(stream, codec, samples, whole):
        memset(samples, 0, count * sizeof(int16_t))
    if stream.run + count > CONCEALED:
        for i in range(count):
            left = CONCEALED + FRAME - stream.run - i
            samples[i] = <int16_t>(<int32_t>samples[i] * max(0, min(left, FRAME)) // FRAME)
    stream.run += count
    _append(stream, samples, count)
    return count


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
        if stream.jitter.pinned:
            _remember(stream, samples, count)


cdef void _keep(Stream* stream, Slot* slot, bint discard) noexcept nogil:
    """In place of _decode while the stream is asleep; the slot is released."""
    if stream.keeps == PREROLL:
        free(stream.kept[0].data)
        memmove(&stream.kept[0], &stream.kept[1], (PREROLL - 1) * sizeof(Slot))
        stream.keeps -= 1
    stream.spared += 1
    stream.level = slot.level
    if not discard:
        stream.held += slot.samples
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
    # Of what was said long ago nothing is made up.
    stream.run = 0 if stream.fresh or stream.jitter.count else CONCEALED + FRAME
    if stream.sounded:
        memset(stream.over, 0, sizeof(stream.over))
        stream.blend = BLEND


cdef void _recover(Stream* stream, Codec* codec, Slot* slot, int count) noexcept nogil:
    """The count samples before this packet, as far as it carries them."""
    cdef int16_t samples[LONGEST]
    cdef int carried = 0
    if stream.sounded and not stream.asleep and codec_unit(codec) == 1:
        carried = codec_fec(slot.data, slot.length)
    if carried == 0:
        stream.concealed += _conceal(stream, codec, count)
        return
    if count > carried:
        stream.concealed += _conceal(stream, codec, count - carried)
        count = carried
    if count < carried and stream.run and not stream.blend:
        # Its beginning has been concealed already.
        stream.runs += 1
        stream.blend = BLEND if codec_conceal(codec, stream.over, BLEND) == BLEND else 0
    stream.runs += 1
    if not codec_recover(codec, slot.data, slot.length, samples, carried):
        stream.concealed += _conceal(stream, codec, count)
        return
    stream.recovered += 1
    stream.run = 0
    _append(stream, samples + carried - count, count)


cdef void _step(Stream* stream, Codec* codec, int64_t now) noexcept nogil:
    """Put some samples behind those held."""
    cdef Slot* slot = NULL
    cdef int count = 0
    cdef Step step = jitter_next(&stream.jitter, now, max(0, FRAME - stream.held), &slot, &count)
    if step == STEP_PLAY or step == STEP_DISCARD:
        if stream.jitter.paused:
            stream.comfort += stream.starved
        else:
            stream.concealed += stream.starved
        stream.starved = 0
        if stream.asleep:
            _keep(stream, slot, step == STEP_DISCARD)
        else:
            stream.waited = <int>min(max(0, now - slot.arrival), <int64_t>RATE)
            _decode(stream, codec, slot, step == STEP_DISCARD)
            jitter_release(&stream.jitter, slot)
    elif step == STEP_RECOVER:
        _recover(stream, codec, slot, count)
    elif step == STEP_CONCEAL:
        stream.concealed += _conceal(stream, codec, count)
    elif step == STEP_WAIT or stream.jitter.silent:
        stream.comfort += _conceal(stream, codec, count)
    else:
        stream.starved += _conceal(stream, codec, count)


cdef void _fill(Stream* stream, Codec* codec, int64_t now) noexcept nogil:
    """Hold a frame, whatever the network did, and change the delay a little if it has to be."""
    while stream.held < FRAME:
        _step(stream, codec, now)
    if stream.surplus and stream.starved == 0:
        while stream.held < FRAME + stream_excess(stream) and jitter_ready(&stream.jitter):
            _step(stream, codec, now)
        stream_adapt(stream)


cdef bint _stirs(Stream* stream, Codec* codec) noexcept nogil:
    """Whether a sleeping stream has become loud. For that one packet is decoded, at first and then every few seconds, not
    of all streams in the same tick: what grows slowly, a codec may not call voice.
    """
    cdef int16_t samples[LONGEST]
    cdef Slot* newest
    cdef int count
    stream.probe = max(0, stream.probe - 1)
    if stream.probe or not stream.fresh or stream.keeps < PREROLL:
        return False
    newest = &stream.kept[PREROLL - 1]
    if newest.level != NO_LEVEL:
        return False
    stream.probe = PROBE + newest.timestamp // FRAME % PROBE
    stream.runs += 1
    count = codec_decode(codec, newest.data, newest.length, samples)
    return count > 0 and mix_level(samples, count) >= QUIET


cdef bint stream_take(Stream* stream, Codec* codec, int64_t now, int16_t* frame) noexcept nogil:
    """The frame of this tick, at now (samples of the clock that packets arrive by); whether anything is in it: if not,
    it need not have been written. It always is a whole frame, whatever the network did. The stream falls asleep, where it
    may, when for a while there has been nothing that is voice or loud.
    """
    cdef uint64_t played = stream.decoded + stream.spared
    cdef double level
    cdef bint may = stream.sparing and not stream.jitter.pinned
    cdef bint barred = may and stream.barred
    cdef bint tired = barred or (may and stream.awake == 0)
    stream.waited = -1
    stream.awake = max(0, stream.awake - 1)
    if stream.asleep and tired and not barred and _stirs(stream, codec):
        stream_rouse(stream)
        tired = False
    if stream.asleep and not tired:
        _wake(stream, codec)
    _fill(stream, codec, now)
    stream.fresh = stream.decoded + stream.spared != played
    stream.held -= FRAME
    if not stream.asleep:
        memcpy(frame, stream.samples, FRAME * sizeof(int16_t))
        memmove(stream.samples, stream.samples + FRAME, stream.held * sizeof(int16_t))
    if not stream.jitter.pinned:
        stream_watch(stream, played)
    if stream.asleep:
        return False
    level = mix_level(frame, FRAME)
    stream.quiet = level < QUIET
    if tired and not barred and not stream.quiet and stream.level == NO_LEVEL:
        stream_rouse(stream)        # what is loud is heard, voice or not: music, a tone
    elif tired:
        mix_fade_out(frame)
        _fall_asleep(stream)
    return level > -127.0


cdef class JitterBuffer:
    """The receiving side of a leg for tests: packets in, one frame of 960 samples out with each pull, in any order.

    Its clock is 20 ms further with each pull. Where no time of arrival is given it is that of the next pull.
    """

    cdef Stream stream
    cdef Codec* codec
    cdef int64_t now

    def __cinit__(self, str codec not None="opus"):
        if codec not in ("opus", "pcmu"):
            raise ValueError(f"no codec for this: {codec}")
        stream_init(&self.stream)
        self.codec = codec_new(OPUS if codec == "opus" else PCMU)

    def __dealloc__(self):
        stream_free(&self.stream)
        codec_free(self.codec)

    def push(self, int sequence, uint32_t timestamp, bytes payload not None, arrival=None, level=None):
        """Give a packet (its timestamp in our samples) that arrived at a time in ms, and has come with a level of RFC
        6464; "stored", "late", "duplicate" or "stray". ValueError for garbage.
        """
        cdef Slot packet
        packet.samples = codec_measure(self.codec, payload, len(payload))
        if not packet.samples:
            raise ValueError("not an Opus packet" if codec_unit(self.codec) == 1 else "no G.711")
        packet.sequence = sequence & 0xFFFF
        packet.timestamp = timestamp
        packet.length = len(payload)
        packet.level = NO_LEVEL if level is None else level
        packet.arrival = self.now if arrival is None else stream_time(round(arrival * 1e6))
        cdef Pushed pushed = stream_push(&self.stream, self.codec, &packet, payload)
        return {PUSH_STORED: "stored", PUSH_LATE: "late", PUSH_DUPLICATE: "duplicate"}.get(pushed, "stray")

    def pull(self):
        """The next 20 ms as int16."""
        frame = numpy.zeros(FRAME, numpy.int16)
        cdef int16_t[::1] view = frame
        stream_take(&self.stream, self.codec, self.now, &view[0])
        self.now += FRAME
        return frame

    def pin(self, milliseconds):
        """Keep the delay at this; 0: let it be what seems best again."""
        stream_pin(&self.stream, <int>(milliseconds * 48))

    def spare(self, bint sparing):
        """Whether it may sleep."""
        self.stream.sparing = sparing

    def rouse(self):
        """What has just been given is voice."""
        stream_rouse(&self.stream)

    @property
    def depth(self):
        """Samples that are held, decoded or not."""
        return self.stream.jitter.depth + self.stream.held

    @property
    def target(self):
        """Samples that should be held when a packet is played, itself included."""
        return jitter_wanted(&self.stream.jitter) + FRAME

    @property
    def counters(self):
        return {
            "decoded": self.stream.decoded,
            "concealed": stream_concealed(&self.stream),
            "recovered": self.stream.recovered,
            "comfort": _frames(self.stream.comfort),
            "undecodable": self.stream.undecodable,
            "spared": self.stream.spared,
            "shortened": self.stream.shortened,
            "lengthened": self.stream.lengthened,
            "late": self.stream.jitter.late,
            "duplicates": self.stream.jitter.duplicates,
            "missing": self.stream.jitter.missing,
            "dropped": self.stream.jitter.dropped,
            "resets": self.stream.jitter.resets,
        }
