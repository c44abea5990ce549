# What a peer says: its packets in order, decoded, one frame a tick.
from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t, uint64_t

from mixer_ext.codec cimport Codec
from mixer_ext.jitter cimport Jitter, Pushed, Slot

cdef enum:
    PREROLL = 3         # packets
    HELD = 9 * 960      # a frame and what is added to it or taken from it, and the longest packet on top
    BLOCKS = 4
    BLEND = 240         # samples: 5 ms
    QUIET = -50         # dBov

# What was seen in some ticks, to judge the delay by.
cdef struct Block:
    int least           # samples that packets were there too early: the least, and the most
    int most
    int spare           # least samples that were left after a tick, decoded or not
    int decoded         # and of them decoded

# A stream in which nobody speaks can sleep: its packets are kept for a while and not decoded. When it wakes up, the
# decoder is given those first, so that it is in step when what matters comes.
cdef struct Stream:
    Jitter jitter
    int held            # samples decoded and not yet taken
    int run             # samples concealed in a row
    int starved         # samples concealed since a packet came; the next one says whether that was loss
    bint sounded        # something has been decoded since the last reset
    bint ended          # the peer said BYE
    bint quiet          # so was the last frame
    int surplus         # samples to be got rid of; negative: to be gained
    bint hasty          # it is not worth a cut where it is heard
    int patience        # ticks that a good place to do so has been looked for
    int ticks           # in blocks[0]
    Block blocks[BLOCKS]        # the newest first
    int blend           # samples of `over` that are left to blend from
    bint sparing        # it may sleep
    bint barred         # it has to
    int awake           # ticks that it does not sleep yet
    bint asleep
    bint fresh          # a packet was played in the last tick
    int probe           # ticks until it is listened to for a moment
    Slot kept[PREROLL]  # the last packets that were not decoded, the oldest first
    int keeps
    uint64_t spared     # packets that were not decoded
    uint64_t runs       # times that the decoder ran, for whatever
    uint64_t decoded    # packets
    uint64_t concealed  # samples that were lost, and made up by the decoder
    uint64_t recovered  # packets, from FEC
    uint64_t comfort    # samples made up in the peer's pauses
    uint64_t undecodable
    uint64_t shortened  # samples
    uint64_t lengthened
    int waited          # samples that the packet decoded for this tick has waited, -1: none was
    int level           # RFC 6464 level of what was played last, NO_LEVEL: none
    int16_t samples[HELD]
    int16_t over[960]
    int16_t last[960]   # decoded of a pinned stream, to be repeated

cdef void stream_init(Stream* stream) noexcept nogil
cdef void stream_reset(Stream* stream, Codec* codec) noexcept nogil
cdef void stream_rouse(Stream* stream) noexcept nogil
cdef void stream_pass(Stream* stream, uint64_t ticks) noexcept nogil
cdef bint stream_rests(const Stream* stream) noexcept nogil
cdef void stream_free(Stream* stream) noexcept nogil
cdef Pushed stream_push(Stream* stream, Codec* codec, Slot* packet, const uint8_t* data) noexcept nogil
cdef bint stream_take(Stream* stream, Codec* codec, int64_t now, int16_t* frame) noexcept nogil
cdef void stream_pin(Stream* stream, int delay) noexcept nogil
cdef uint64_t stream_concealed(Stream* stream) noexcept nogil
cdef int64_t stream_time(int64_t ns) noexcept nogil
