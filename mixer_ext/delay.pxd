# How much later than the quickest the packets of a stream come, and how long it is worth to wait for them.
from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef enum:
    DELAY_BUCKET = 48       # samples: 1 ms
    DELAY_BUCKETS = 200
    DELAY_RECENT = 128      # packets; two seconds of 20 ms

cdef struct Delay:
    bint started
    uint32_t timestamp      # of the last packet
    int64_t unwrapped
    int64_t least           # arrival minus timestamp of the quickest packet of this window
    int64_t least_before    # and of the window before
    int64_t window          # when it began
    double weight           # of the next delay, which grows: the older ones count less
    double total
    double above            # of what is in the buckets behind `quantile`
    int quantile
    double weights[DELAY_BUCKETS]
    int noted               # delays in all
    uint8_t recent[DELAY_RECENT]            # buckets of the last ones, a ring
    int64_t transits[DELAY_RECENT]          # and what they were before they were relative

cdef void delay_init(Delay* delay) noexcept nogil
cdef void delay_restart(Delay* delay) noexcept nogil
cdef int delay_of(Delay* delay, uint32_t timestamp, int64_t arrival) noexcept nogil
cdef void delay_note(Delay* delay, int late, int waited) noexcept nogil
cdef int delay_wanted(Delay* delay) noexcept nogil
