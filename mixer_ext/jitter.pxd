# The jitter buffer: which packet, or what in its place, comes next.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from mixer_ext.delay cimport Delay

cdef enum:
    SLOTS = 64

cdef enum Pushed:
    PUSH_STORED
    PUSH_LATE           # its time is over
    PUSH_DUPLICATE
    PUSH_STRAY          # far from the sequence; the next one decides

cdef enum Step:
    STEP_PLAY           # decode the slot
    STEP_DISCARD        # decode the slot and blend over it: there is too much delay
    STEP_RECOVER        # lost, but the slot may carry it as FEC
    STEP_CONCEAL        # lost
    STEP_STARVED        # nothing has come; it may be lost, or late, or a pause
    STEP_WAIT           # the slot's time has not come: the sender made a pause, or playout begins

cdef struct Slot:
    uint8_t* data       # owned; NULL: free
    int length
    int samples         # 0: there was none since the last reset
    uint16_t sequence
    uint32_t timestamp
    uint8_t level       # of RFC 6464, NO_LEVEL: none
    bint passed         # under this sequence number there is no sound; nothing is lost
    int late            # samples that it came later than the quickest
    int64_t arrival     # samples of our clock

cdef struct Jitter:
    Slot slots[SLOTS]
    Delay delay
    int pinned          # samples of delay that are not to change, 0: as few as will do
    bint started
    bint anchored       # playout goes on where it is; else it begins when the next packet has waited for long enough
    bint played         # something has been played since the start
    int count           # slots in use
    int depth           # samples in them; their timestamps may jump
    int packet          # samples of the last packet played
    uint16_t sequence   # comes next
    uint16_t newest     # highest that came
    uint32_t position   # timestamp of the next sample to play
    uint32_t expected   # timestamp behind the last packet played
    bint paused         # the packet just played comes after a pause of the sender
    bint silent         # the sender sends something else than sound now
    int lag             # samples that the packet played last had been there, had it been as quick as the quickest
    int overdue         # packets in a row that came too late for a pinned delay
    uint16_t stray      # would continue a stray or a late packet
    int strays          # how many did in a row
    uint64_t late
    uint64_t duplicates
    uint64_t resets
    uint64_t dropped    # packets given up, or blended over, to lower the delay
    uint64_t missing    # packets that were not there in time

cdef void jitter_init(Jitter* jitter) noexcept nogil
cdef void jitter_reset(Jitter* jitter) noexcept nogil
cdef void jitter_pin(Jitter* jitter, int delay) noexcept nogil
cdef Pushed jitter_push(Jitter* jitter, Slot* packet, const uint8_t* data, bint carries) noexcept nogil
cdef bint jitter_follows_gap(Jitter* jitter, uint16_t sequence) noexcept nogil
cdef Step jitter_next(Jitter* jitter, int64_t now, int room, Slot** slot, int* samples) noexcept nogil
cdef void jitter_pass(Jitter* jitter, uint16_t sequence) noexcept nogil
cdef Slot jitter_take_out(Jitter* jitter, Slot* slot) noexcept nogil
cdef void jitter_release(Jitter* jitter, Slot* slot) noexcept nogil
cdef int jitter_wanted(Jitter* jitter) noexcept nogil
cdef bint jitter_ready(Jitter* jitter) noexcept nogil
