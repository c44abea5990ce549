"""How hard the encoders work, by how much of a core the plane's thread takes.

Most of that is Opus, which at complexity 0 takes half of what it takes at 5. A thread that needs more than there is makes
its ticks late for all, and, having real-time priority, leaves nothing to the rest of the service. So where it takes more
than a share of its core, it encodes cheaper by one step each WINDOW, and, once it has taken much less for a while, better
by one step again.

Of a core that others want, too, other planes among them, it may be given less than it needs. That is seen by the clock:
the load of a window is the share in which ticks were due and not made yet, waiting for the core included. It is told, and
acted upon, as what it was for the last second or so, as a machine may stall; what the thread itself takes, at once.
"""
from posix.time cimport clock_gettime, timespec

from mixer_ext.phase cimport TICK

cdef extern from "<time.h>" nogil:
    enum: CLOCK_THREAD_CPUTIME_ID

cdef enum:
    WINDOW = 10         # ticks
    CALM = 50           # windows

cdef double EASE = 0.6  # of relief: below that it is calm
cdef double RECENT = 0.2    # of the load is what it was in the last window


cdef void _step(Effort* effort, double taken, double behind) noexcept nogil:
    """At the end of a window, of which the thread took and was behind with ticks for these shares, or more than there was
    where it is late.
    """
    cdef double load
    effort.load += RECENT * (min(max(taken, behind), 1.0) - effort.load)
    load = max(taken, effort.load)
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
    effort.behind = 0


cdef void effort_begin(Effort* effort, double relief) noexcept nogil:
    effort.relief = relief
    effort.complexity = COMPLEXITY


cdef void effort_note(Effort* effort, uint64_t time) noexcept nogil:
    """After each tick. time: ticks that there have been, but for those that were left out."""
    cdef int64_t before = effort.spent
    cdef int64_t behind = effort.behind
    cdef uint64_t ticks = time - effort.since
    cdef double window = <double>(<int64_t>ticks * TICK)
    if ticks >= WINDOW:
        _open(effort, time)
        if before:
            _step(effort, (effort.spent - before) / window, behind / window)


cdef void effort_made(Effort* effort, int64_t due, int64_t now) noexcept nogil:
    """All ticks have been made by now, ns; the first of them was due then."""
    effort.behind += now - max(due, effort.made)
    effort.made = now


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

    def step(self, double taken, double behind=0):
        """A window has passed of which the thread took this share of a core, and was behind with its ticks for that one:
        Opus' complexity from now on.
        """
        _step(&self.effort, taken, behind)
        return self.effort.complexity

    @property
    def load(self):
        return self.effort.load
