# The plane's state, and the commands that change it between ticks.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from mixer_ext.audience cimport Audiences
from mixer_ext.effort cimport Effort
from mixer_ext.format cimport Format
from mixer_ext.graph cimport Graph, Node, Tap
from mixer_ext.leg cimport Leg
from mixer_ext.net cimport Address, Inbox, Outbox
from mixer_ext.phase cimport Phase
from mixer_ext.ring cimport Event, EventKind, EventRing, SampleRing, events_put
from mixer_ext.route cimport KEY, RouteTable, Sources, Transactions
from mixer_ext.srtp cimport Secure

cdef enum:
    TO_NTP = 2208988800         # seconds from 1900 to 1970

cdef enum CommandKind:
    ADD_NODE
    REMOVE_NODE
    JOIN
    UNJOIN
    SET_FORMAT
    SET_KEYS
    SET_PLAIN
    SET_REMOTE
    ALLOW
    SET_MUTE
    SET_SEND
    SET_AGC
    SET_GAIN
    SET_LISTENER_GAIN
    SET_DELAY
    SET_PLAY
    ROUSE
    SET_LOUDEST
    OPEN_TAP
    CLOSE_TAP
    EXPECT_RESPONSE
    SET_CONSENT
    SET_UFRAG

# What a command puts in place it brings; what it replaces or removes it carries away, to be freed by Python.
cdef struct Command:
    Command* next
    int kind
    Node* a
    Node* b
    bint a_to_b         # and the value of switches
    bint b_to_a
    float gain
    Leg* leg
    int local
    int delay           # samples
    Address address
    bint expects
    uint32_t ssrc
    Format format
    Secure* inbound
    Secure* outbound
    SampleRing* ring
    Tap* tap
    int key_length
    uint8_t key[KEY]

cdef struct Core:
    void* commands      # stack of those to be applied
    void* done          # stack of those that have been
    Command* leaving    # REMOVE_NODEs whose nodes have one more tick
    EventRing events
    uint64_t notified   # events.head that Python has been told of
    int event_fd
    int wake_fd
    int* fds
    Address* bound
    int sockets
    Inbox* inbox
    Outbox* outbox
    RouteTable addresses
    RouteTable ufrags
    RouteTable ssrcs
    Transactions* transactions
    Sources* sources
    Graph graph
    Audiences audiences
    uint64_t decodes    # times that a codec ran
    uint64_t stopping
    uint64_t random
    int64_t wall_offset # of CLOCK_REALTIME to the clock of the ticks
    bint manual         # somebody else's clock: the kernel's stamps mean nothing
    Phase phase
    Effort effort
    int legs
    int unkeyed         # legs that wait for their keys: STUN and DTLS are urgent
    uint64_t time       # ticks of the clock, whether there was something to do in them or not
    uint64_t upkept     # the last of them up to which all legs have been looked after
    uint64_t ticks      # those that were made
    uint64_t missed_ticks
    uint64_t skipped_ticks
    int64_t late_max    # of ticks that were due, ns: the most, the sum, how many were within 1, 2, 5, 10 and 20 ms
    int64_t late_sum
    uint64_t late_within[5]
    uint64_t late_count
    uint64_t dropped_unknown
    uint64_t dropped_malformed
    uint64_t dropped_stun
    uint64_t dropped_flood

cdef inline uint64_t wall(Core* core, int64_t now) noexcept nogil:
    """NTP time in 2^-32 s."""
    cdef int64_t utc = now + core.wall_offset
    cdef uint64_t seconds = <uint64_t>(utc // 1000000000 + TO_NTP)
    return (seconds << 32) | ((<uint64_t>(utc % 1000000000) << 32) // 1000000000)


cdef inline void hand_up(
    Core* core, EventKind kind, Leg* leg, int local, Address* address, const uint8_t* data, int length
) noexcept nogil:
    """Give a datagram to Python."""
    cdef Event event
    memset(&event, 0, sizeof(event))
    event.kind = kind
    event.leg = leg.id
    event.local = local
    event.address = address[0]
    event.length = length
    events_put(&core.events, &event, data)
