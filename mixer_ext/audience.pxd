# Who hears the same is sent the same.
from libc.stdint cimport int16_t, int64_t, uint8_t, uint64_t

from mixer_ext.codec cimport FRAME, PAYLOAD, Coding, Encoder
from mixer_ext.graph cimport HEARD, Node

cdef enum:
    BUCKETS = 256

# All legs that hear the same nodes and are encoded for in the same way. What they are sent is mixed and encoded once;
# those who are in the mix themselves, and so hear something else, have an encoder of their own for as long.
cdef struct Audience:
    Audience* next          # in its bucket
    uint64_t hash
    int64_t* heard          # ids of the nodes, in any order
    int count
    Coding coding
    int members
    int sharing             # of the members
    Encoder* encoder        # NULL as long as nobody shares
    uint64_t returned       # tick in which members came back to it
    int waited              # frames encoded since then for members that could have come back
    uint64_t joined         # tick in which a member of another one came to share
    uint64_t mixed          # tick that the next seven are of
    bint sounds
    double level
    float limit_before      # its limiter before that tick, and after it
    float limit
    int names
    Node* named[HEARD]
    int16_t frame[FRAME]
    uint64_t encoded        # tick that the payload is of
    int length
    uint8_t payload[PAYLOAD]

# What a leg has of it.
cdef struct Listener:
    Audience* audience      # NULL: nothing is sent to it
    Encoder* encoder        # NULL: it shares
    bint apart              # in this tick it hears something else than its audience
    bint passing            # it has an encoder only for the end of what it heard before
    float limit             # its limiter's, if it is apart
    int together            # ticks in a row that it has not been apart
    uint64_t missed         # tick before which it was not given some frames

cdef struct Audiences:
    Audience* buckets[BUCKETS]
    uint64_t tick
    int complexity          # with which is encoded in this tick
    uint64_t mixes          # distinct ones that were made
    uint64_t encodes        # times that a codec ran

cdef void audience_attend(
    Audiences* audiences, Listener* listener, Node* leg, const Coding* coding, bint apart, bint begins
) noexcept nogil
cdef void audience_missed(Audiences* audiences, Listener* listener) noexcept nogil
cdef void audience_leave(Audiences* audiences, Listener* listener) noexcept nogil
cdef bint audience_rests(const Listener* listener) noexcept nogil
cdef Audience* audience_mix(Audiences* audiences, Audience* audience, Node* leg) noexcept nogil
cdef int audience_first(const Listener* listener) noexcept nogil
cdef int audience_payload(
    Audiences* audiences, Listener* listener, const int16_t* frame, bint sounds, uint8_t* payload
) noexcept nogil
