"""How much later than the quickest the packets of a stream come, and how long it is worth to wait for them.

A packet's delay is relative: to the quickest packet of the last second or two, so that neither the length of the path
nor a clock that drifts is part of it. Delays are kept in a histogram that forgets (NetEq's delay manager does the
same), and the wait that is wanted is what 97 of 100 packets need. When the quickest of late are slower than those of
before, be it that the path has become longer, the delays since then are counted anew.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memset

cdef enum:
    WINDOW = 48000              # samples
    SLOWER = DELAY_BUCKET       # by so much the quickest must have become slower before it matters
    JUMP = 24000                # a packet this much later than the others has a new clock
    EXPECTED = 5                # ms, what is assumed before anything is known; the wait for the tick is on top
    ASSUMED = 10                # packets that the assumption counts for

cdef double LATE = 0.03         # of all packets may come too late
cdef double FORGET = 0.998      # a packet: the memory is some ten seconds of packets of 20 ms
cdef double HEAVY = 1e9


cdef void delay_init(Delay* delay) noexcept nogil:
    memset(delay, 0, sizeof(Delay))
    delay.weight = 1.0
    delay.weights[EXPECTED] = delay.total = ASSUMED
    delay.quantile = EXPECTED


cdef void delay_restart(Delay* delay) noexcept nogil:
    """Another clock follows on the same path."""
    delay.started = False
    delay.noted = 0


cdef inline int _bucket(int64_t late) noexcept nogil:
    return <int>max(0, min(late // DELAY_BUCKET, DELAY_BUCKETS - 1))


cdef void _find_quantile(Delay* delay) noexcept nogil:
    while delay.above > LATE * delay.total and delay.quantile < DELAY_BUCKETS - 1:
        delay.quantile += 1
        delay.above -= delay.weights[delay.quantile]
    while delay.quantile > 0 and delay.above + delay.weights[delay.quantile] <= LATE * delay.total:
        delay.above += delay.weights[delay.quantile]
        delay.quantile -= 1


cdef void _sum_up(Delay* delay, double scale) noexcept nogil:
    """Multiply all weights, and add them up afresh."""
    cdef int i
    delay.total = delay.above = 0.0
    for i in range(DELAY_BUCKETS):
        delay.weights[i] = max(0.0, delay.weights[i] * scale)
        delay.total += delay.weights[i]
        if i > delay.quantile:
            delay.above += delay.weights[i]
    delay.weight *= scale
    _find_quantile(delay)


cdef void _count_anew(Delay* delay, int64_t least) noexcept nogil:
    """Count the last delays again, from another quickest packet."""
    cdef int age, i
    cdef double weight = delay.weight
    for age in range(1, min(delay.noted, <int>DELAY_RECENT) + 1):
        i = (delay.noted - age) % DELAY_RECENT
        weight *= FORGET
        delay.weights[delay.recent[i]] -= weight
        delay.recent[i] = <uint8_t>_bucket(delay.transits[i] - least)
        delay.weights[delay.recent[i]] += weight
    _sum_up(delay, 1.0)


cdef int delay_of(Delay* delay, uint32_t timestamp, int64_t arrival) noexcept nogil:
    """By how many samples this packet came later than the quickest. arrival: samples of our clock."""
    cdef int64_t transit, late, before
    if not delay.started:
        delay.unwrapped = timestamp
    else:
        delay.unwrapped += <int>(timestamp - delay.timestamp)
    delay.timestamp = timestamp
    transit = arrival - delay.unwrapped
    late = transit - min(delay.least, delay.least_before)
    if not delay.started or late > JUMP or late < -JUMP:
        delay.started = True
        delay.least = delay.least_before = transit
        delay.window = arrival
        return 0
    if arrival - delay.window > WINDOW:
        before = min(delay.least, delay.least_before)
        delay.least_before = transit if arrival - delay.window > 2 * WINDOW else delay.least
        delay.least = transit
        delay.window = arrival
        if min(transit, delay.least_before) > before + SLOWER:
            _count_anew(delay, min(transit, delay.least_before))
    delay.least = min(delay.least, transit)
    return <int>max(0, transit - min(delay.least, delay.least_before))


cdef void delay_note(Delay* delay, int late, int waited) noexcept nogil:
    """Count the packet that delay_of was asked for last: it came so many samples late; or, waited for so much longer,
    the one before it would not have been lost.
    """
    cdef int bucket = _bucket(late + waited)
    cdef int i = delay.noted % DELAY_RECENT
    delay.recent[i] = <uint8_t>bucket
    delay.transits[i] = min(delay.least, delay.least_before) + late + waited
    delay.noted += 1
    if delay.noted == 1 << 30:
        delay.noted = DELAY_RECENT
    delay.weights[bucket] += delay.weight
    delay.total += delay.weight
    if bucket > delay.quantile:
        delay.above += delay.weight
    delay.weight /= FORGET
    if delay.weight > HEAVY:
        _sum_up(delay, 1.0 / delay.weight)
    else:
        _find_quantile(delay)


cdef int delay_wanted(Delay* delay) noexcept nogil:
    """Samples that a packet as quick as the quickest should wait, so that 97 of 100 are there when they are played."""
    return delay.quantile * DELAY_BUCKET


cdef class DelayEstimate:
    """The estimate alone, for tests."""

    cdef Delay delay

    def __cinit__(self):
        delay_init(&self.delay)

    def arrive(self, uint32_t timestamp, int64_t arrival):
        """A packet came; both in samples. How much later it came than the quickest."""
        cdef int late = delay_of(&self.delay, timestamp, arrival)
        delay_note(&self.delay, late, 0)
        return late

    @property
    def wanted(self):
        return delay_wanted(&self.delay)
