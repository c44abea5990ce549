# Where in the 20 ms the ticks are best.

cdef enum:
    PHASES = 20         # of a tick, 1 ms each

cdef struct Phase:
    float waits[PHASES]     # packets that waited so many ms for their tick, those of long ago counted less
    int ticks               # since the last decision
    bint moving

cdef void phase_note(Phase* phase, int wait) noexcept nogil
cdef int phase_step(Phase* phase, int ticks) noexcept nogil
