"""The delay of a stream, brought to what its jitter buffer wants by what is done to the samples.

A block of ticks that was too early or too late throughout says by how much. Where it is quiet, or asleep, that much is
cut out or put in at once; in speech one pitch period a tick, and only what has been too much for all of BLOCKS. It is
worth it for whole frames only: a packet is needed in this tick or in the next, whenever in between it comes.
"""
from libc.stdint cimport INT32_MAX, INT32_MIN

from mixer_ext.codec cimport FRAME
from mixer_ext.jitter cimport jitter_wanted
from mixer_ext.mix cimport mix_level
from mixer_ext.stream cimport BLEND, BLOCKS, QUIET, Block
from mixer_ext.stretch cimport COMPARED, FARTHEST, OVERLAP, SHORTEST, stretch_cut, stretch_lag, stretch_repeat

cdef enum:
    BLOCK = 5                   # ticks: 100 ms
    TOLERANCE = 240             # samples too early that are worth no change, lest it is taken back soon
    MARGIN = 96                 # samples too early that packets should be: a slower clock is seen a little late
    IMPATIENT = 50              # ticks after which any place will do

cdef double ALIKE = 0.9         # what is left out must be like what stays
cdef double SAME = 0.9995       # where it gains less than a frame, hence nothing yet


cdef void stream_look_anew(Stream* stream) noexcept nogil:
    """What was seen until now says nothing of what comes."""
    cdef int i
    for i in range(BLOCKS):
        stream.blocks[i].least = INT32_MAX
        stream.blocks[i].most = INT32_MIN
        stream.blocks[i].spare = stream.blocks[i].decoded = 0
    stream.blocks[0].spare = stream.blocks[0].decoded = INT32_MAX
    stream.ticks = stream.surplus = stream.patience = 0


cdef bint _cuts_are_free(Stream* stream) noexcept nogil:
    return stream.asleep or mix_level(stream.samples, stream.held) < QUIET


cdef double _threshold(Stream* stream) noexcept nogil:
    """How like each other two pieces must be by now."""
    return ALIKE * (IMPATIENT - stream.patience) / IMPATIENT


cdef void _changed(Stream* stream, int by) noexcept nogil:
    """The samples held have become by more."""
    stream.surplus += by
    stream.patience = 0
    if by < 0:
        stream.shortened -= by
    else:
        stream.lengthened += by


cdef void _shorten(Stream* stream) noexcept nogil:
    """Take something of the surplus away, at the beginning of what is held."""
    cdef int most = min(stream_excess(stream), stream.held - FRAME)
    cdef int lag
    cdef double alike = 0.0
    if most < min(stream.surplus, <int>SHORTEST):
        stream.patience += 1
    elif _cuts_are_free(stream):
        stream.held = stretch_cut(stream.samples, stream.held, most, BLEND)
        _changed(stream, -most)
    elif stream.hasty:
        stream.surplus = 0
    elif most >= SHORTEST:
        most = min(most, <int>FARTHEST)
        lag = stretch_lag(stream.samples, stream.held, SHORTEST, most, &alike)
        if stream.surplus < FRAME and alike < SAME:
            stream.surplus = 0      # the rest can wait until it is quiet
            return
        if alike < _threshold(stream):
            stream.patience += 1
            return
        stream.held = stretch_cut(
            stream.samples, stream.held, lag, min(lag, min(stream.held - lag, <int>OVERLAP))
        )
        _changed(stream, -lag)


cdef void _lengthen(Stream* stream) noexcept nogil:
    """Put something of what is missing in, at the beginning of what is held."""
    cdef int most = min(<int>FARTHEST, stream.held - COMPARED)
    cdef int enough = max(<int>SHORTEST, min(most, -stream.surplus))
    cdef int lag
    cdef int longer
    cdef double alike = 0.0
    cdef double more_alike = 0.0
    if _cuts_are_free(stream):
        lag = enough
    else:
        lag = stretch_lag(stream.samples, stream.held, SHORTEST, enough, &alike)
        longer = stretch_lag(stream.samples, stream.held, SHORTEST, most, &more_alike)
        if 1.0 - alike > 2.0 * (1.0 - more_alike):      # a little more than is needed is better than a piece of a period
            lag = longer
            alike = more_alike
        if alike < _threshold(stream):
            stream.patience += 1
            return
    stream.held = stretch_repeat(stream.samples, stream.held, lag)
    _changed(stream, lag)


cdef int stream_excess(const Stream* stream) noexcept nogil:
    """Samples that may be taken away in this tick, of what is held beyond a frame."""
    return max(0, min(stream.surplus, <int>FRAME))


cdef void stream_adapt(Stream* stream) noexcept nogil:
    """Change the delay a little if it has to be; there is a whole frame before and after."""
    if stream.surplus > 0:
        _shorten(stream)
        if stream.surplus < SHORTEST or stream.patience > IMPATIENT:
            stream_look_anew(stream)
    else:
        _lengthen(stream)
        if stream.surplus >= 0:
            stream_look_anew(stream)


cdef int _too_much(Block* block, int spare, int decoded) noexcept nogil:
    """Samples of delay that can be spared by what was seen in a block."""
    cdef int frames = 0
    if block.least == INT32_MAX:
        return 0
    if block.least >= FRAME + TOLERANCE:
        frames = (block.least - TOLERANCE) // FRAME
    return max(0, min(frames * FRAME + decoded, spare))


cdef void _judge(Stream* stream) noexcept nogil:
    """At the end of a block: is the delay what it should be?"""
    cdef Block* newest = &stream.blocks[0]
    cdef Block all = newest[0]
    cdef int i, surplus
    for i in range(1, BLOCKS):
        all.least = min(all.least, stream.blocks[i].least)
        all.spare = min(all.spare, stream.blocks[i].spare)
        all.decoded = min(all.decoded, stream.blocks[i].decoded)
    if newest.most < MARGIN and newest.most != INT32_MIN:
        stream.surplus = min(0, newest.decoded - (FRAME - 1 + MARGIN - newest.most) // FRAME * FRAME)
    else:
        surplus = _too_much(&all, all.spare, all.decoded)
        stream.hasty = surplus < SHORTEST and stream.quiet
        if stream.hasty:
            surplus = _too_much(newest, newest.spare, newest.decoded)
        stream.surplus = surplus if stream.hasty or surplus >= SHORTEST else 0
    for i in range(BLOCKS - 1, 0, -1):
        stream.blocks[i] = stream.blocks[i - 1]
    newest.least = newest.spare = newest.decoded = INT32_MAX
    newest.most = INT32_MIN
    stream.ticks = stream.patience = 0


cdef void stream_watch(Stream* stream, uint64_t played) noexcept nogil:
    """After each tick. played: packets before it."""
    cdef Block* newest = &stream.blocks[0]
    cdef int early
    if stream.decoded + stream.spared != played:
        early = stream.jitter.lag - jitter_wanted(&stream.jitter)
        newest.least = min(newest.least, early)
        newest.most = max(newest.most, early)
        if early < 0:
            stream.surplus = min(stream.surplus, 0)
    newest.spare = min(newest.spare, stream.jitter.depth + stream.held)
    newest.decoded = min(newest.decoded, stream.held)
    stream.ticks += 1
    if stream.ticks >= BLOCK and stream.surplus == 0:
        _judge(stream)
