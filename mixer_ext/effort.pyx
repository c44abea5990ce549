"""How hard the encoders work, by how much of a core the plane's thread takes.

Most of that is Opus, which at complexity 0 takes half of what it takes at 5. A thread that needs more than there is makes
its ticks late for all, and, having real-time priority, leaves nothing to the rest of the service. So where it takes more
than a share of its core, it encodes cheaper by one step each WINDOW, and, once it has taken much less for a while, better
by one step again.
"""
from posix.time cimport clock_gettime, timespec

from mixer_ext.phase cimport TICK

cdef extern from "<time.h>" nogil:
    enum: CLOCK_THREAD_CPUTIME_ID

cdef enum:
    WINDOW = 10         # ticks
    CALM = 50           # windows

cdef double EASE = 0.6  # of relief: below that it is calm


cdef void _step(Effort* effort, double load) noexcept nogil:
    """At the end of a window in which the thread took this share of a core, or more than there was where it is late."""
    effort.load = min(load, 1.0)
    effort.calm = effort.calm + 1 if load < effort.relief * EASE else 0
    if load > effort.relief:
        effort.complexity = max(0, effort.complexity - 1)
    elif effort.calm >= CALM:
        effort.calm = 0
        effort.complexity = min(<int>COMPLEXITY, effort.complexity + 1)


cdef int64_t _spent() noexcept nogil:
    """CPU time of this thread, which does not grow while others have the core; ns."""
    cdef timespec spent
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent)
    return <int64_t>spent.tv_sec * 1000000000 + spent.tv_nsec


cdef void _open(Effort* effort, uint64_t time) noexcept nogil:
    effort.since = time
    effort.spent = _spent()


cdef void effort_begin(Effort* effort, double relief) noexcept nogil:
    effort.relief = relief
    effort.complexity = COMPLEXITY


cdef void effort_note(Effort* effort, uint64_t time) noexcept nogil:
    """After each tick."""
    cdef int64_t before = effort.spent
    cdef uint64_t ticks = time - effort.since
    if ticks >= WINDOW:
        _open(effort, time)
        if before:
            _step(effort, <double>(effort.spent - before) / <double>(<int64_t>ticks * TICK))


cdef void effort_rest(Effort* effort, uint64_t time) noexcept nogil:
    """There is nothing to make ticks for."""
    effort.load = 0
    effort.calm = 0
    effort.complexity = COMPLEXITY
    _open(effort, time)


cdef class EncodingEffort:
    """What becomes of the complexity, for tests."""

    cdef Effort effort

    def __cinit__(self, double relief):
        effort_begin(&self.effort, relief)

    def step(self, double load):
        """A window has passed in which the thread took this share of a core: Opus' complexity from now on."""
        _step(&self.effort, load)
        return self.effort.complexity
