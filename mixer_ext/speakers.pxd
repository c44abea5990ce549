# Who speaks: the dominant speaker of a mixer.
from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum:
    N1 = 13             # steps of loudness
    N2 = 5              # frames of the medium interval, 100 ms
    N3 = 10             # of those in the long one, 1 s
    HISTORY = N2 * N3
    DECIDED = 15        # ticks between decisions

# The loudness of one speaker in the last second, 0 for silence to 127.
cdef struct Speaker:
    uint8_t[HISTORY] levels
    int newest
    uint8_t least       # his quietest, 0: none is known
    uint8_t estimate    # quietest since `least` was last looked at, 0: none
    int since           # frames with a level since then

cdef struct Scores:
    double immediate
    double medium
    double long_term

# One decision.
cdef struct Contest:
    Scores reigning
    double best
    int64_t winner      # 0: nobody is more dominant

cdef enum:
    TAKEN = 8           # speakers that a mixer mixes, if it is not told otherwise
    MOST_TAKEN = 64

# What a mixer knows of a speaker when it chooses whom it mixes.
cdef struct Talker:
    bint wants          # it may be speech
    bint known          # how loud it is, whether it is decoded or not
    double loudness     # dBov, falling slowly
    bint taken          # in this tick, by a mixer
    bint left           # in this tick, by a mixer
    bint heard          # in the last tick
    int stay            # ticks that it is taken before others
    int sampled         # ticks that it is decoded for, to know how loud it is, and not mixed
    uint64_t sampled_at

cdef void speaker_push(Speaker* speaker, double level) noexcept nogil
cdef void speaker_pass(Speaker* speaker, uint64_t ticks) noexcept nogil
cdef void contest_begin(Contest* contest, const Speaker* reigning) noexcept nogil
cdef void contest_enter(Contest* contest, const Speaker* speaker, int64_t id) noexcept nogil
