# When the ticks are, and where in the 20 ms they are best.
from libc.stdint cimport int64_t, uint64_t

cdef enum:
    TICK = 20000000     # ns
    PHASES = 20         # of a tick, 1 ms each

cdef struct Phase:
    int64_t start           # ns of tick 0
    int shifted             # ms that it is later than it was at first
    float waits[PHASES]     # packets that waited so many ms for their tick, those of long ago counted less
    int ticks               # since the last decision
    bint moving

cdef void phase_note(Phase* phase, int wait) noexcept nogil
cdef int phase_step(Phase* phase, int ticks) noexcept nogil
cdef void phase_move(Phase* phase, int later) noexcept nogil


cdef inline int64_t phase_at(const Phase* phase, uint64_t tick) noexcept nogil:
    """When a tick is due, ns."""
    return phase.start + <int64_t>tick * TICK


cdef inline uint64_t phase_passed(const Phase* phase, int64_t now) noexcept nogil:
    """How many ticks should have been made by now (ns)."""
    return <uint64_t>((now - phase.start) // TICK)
