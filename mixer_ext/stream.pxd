# What a peer says: its packets in order, decoded, one frame a tick.
from libc.stdint cimport int16_t, uint8_t, uint32_t, uint64_t

from mixer_ext.codec cimport Codec
from mixer_ext.jitter cimport Jitter, Slot

cdef enum:
    PREROLL = 3         # packets
    HELD = 8 * 960      # a frame that is being filled, and the longest packet on top

# A stream in which nobody speaks can sleep: its packets are kept for a while and not decoded. When it wakes up, the
# decoder is given those first, so that it is in step when what matters comes.
cdef struct Stream:
    Jitter jitter
    int held            # samples decoded and not yet taken
    int run             # samples concealed in a row
    int starved         # frames concealed since a packet came; the next one says whether that was loss
    bint sounded        # something has been decoded since the last reset
    bint ended          # the peer said BYE
    bint quiet
    int blend           # samples of `over` that are left to blend from
    bint sparing        # it may sleep
    int awake           # ticks that it does not sleep yet
    bint asleep
    int probe           # ticks until it is listened to for a moment
    Slot kept[PREROLL]  # the last packets that were not decoded, the oldest first
    int keeps
    uint64_t spared     # packets that were not decoded
    uint64_t runs       # times that the decoder ran, for whatever
    uint64_t decoded    # packets
    uint64_t concealed  # losses: times that the decoder was asked for something else
    uint64_t recovered  # from FEC
    uint64_t comfort    # frames in the peer's pauses
    uint64_t undecodable
    int level           # RFC 6464 level of what was played last, NO_LEVEL: none
    int16_t samples[HELD]
    int16_t over[960]

cdef void stream_init(Stream* stream) noexcept nogil
cdef void stream_reset(Stream* stream, Codec* codec) noexcept nogil
cdef void stream_rouse(Stream* stream) noexcept nogil
cdef void stream_pass(Stream* stream, uint64_t ticks) noexcept nogil
cdef bint stream_rests(const Stream* stream) noexcept nogil
cdef void stream_free(Stream* stream) noexcept nogil
cdef bint stream_take(Stream* stream, Codec* codec, int16_t* frame) noexcept nogil
