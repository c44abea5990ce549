"""Where in the 20 ms the ticks are best: what is said waits for the next one, 10 ms on average if nobody cares.

The ticks are brought, a millisecond at a time, to where those who are heard now wait least: soon after their packets
have come, but not so soon that one that is a little late misses its tick. Where they come at all times there is nothing
to gain and nothing moves. They stay within 10 ms of where they were at first, so that nobody's clock drives ours.
"""
from libc.stdint cimport int64_t, uint64_t

from mixer_ext.codec cimport FRAME

cdef enum:
    MS = 1000000        # ns
    EVERY = 10          # ticks between decisions, of each of which 1 ms is the most: a clock that is 0.5 % fast or slow
    ENOUGH = 5          # packets, to decide by
    GUARD = 4           # ms that a packet is better early: the network's jitter
    BEGIN = 4           # ms that must be gained on average for the ticks to begin to move
    CEASE = 1           # and to go on moving
    FARTHEST = 10       # ms from where they were at first, either way: so all phases can be had

cdef float KEPT = 0.9   # of what was seen at the last decision: 2 s


cdef void phase_note(Phase* phase, int wait) noexcept nogil:
    """A packet of somebody who is heard waited so many samples for its tick, whatever frames it waited besides."""
    phase.waits[wait % FRAME * PHASES // FRAME] += 1


cdef float _cost(const Phase* phase, int earlier) noexcept nogil:
    """ms that all would wait altogether, above GUARD, were the ticks so many ms earlier."""
    cdef int i
    cdef float cost = 0
    for i in range(PHASES):
        cost += phase.waits[i] * ((i - earlier - GUARD + 2 * PHASES) % PHASES)
    return cost


cdef int _decided(Phase* phase) noexcept nogil:
    """ms by which the ticks shall be later: -1, 0 or 1."""
    cdef float now = _cost(phase, 0)
    cdef float least = now
    cdef float total = 0
    cdef float cost
    cdef int best = 0
    cdef int i
    for i in range(PHASES):
        total += phase.waits[i]
        cost = _cost(phase, i)
        if cost < least:
            least = cost
            best = i
    phase.moving = total >= ENOUGH and now - least >= total * (CEASE if phase.moving else BEGIN)
    if not phase.moving:
        return 0
    return -1 if phase.shifted - best >= -FARTHEST else 1


cdef void phase_move(Phase* phase, int later) noexcept nogil:
    """Let the ticks be so many ms later, and what has been seen be as if they had been there already."""
    cdef float[PHASES] waits = phase.waits
    cdef int i
    phase.start += later * MS
    phase.shifted += later
    for i in range(PHASES):
        phase.waits[(i + later + PHASES) % PHASES] = waits[i]


cdef int phase_step(Phase* phase, int ticks) noexcept nogil:
    """After so many ticks: by how many ms the next ones should be later; that is for phase_move."""
    cdef int later, i
    phase.ticks += ticks
    if phase.ticks < EVERY:
        return 0
    phase.ticks = 0
    later = _decided(phase)
    for i in range(PHASES):
        phase.waits[i] *= KEPT
    return later


cdef class TickPhase:
    """When the ticks are, for tests; tick 0 is at 0 at first."""

    cdef Phase phase

    def note(self, int wait):
        """A packet of somebody who is heard waited so many samples (at 48 kHz) for its tick. ValueError below 0."""
        if wait < 0:
            raise ValueError("a packet cannot come after its tick")
        phase_note(&self.phase, wait)

    def step(self):
        """A tick has been made: by how many ms the next ones are later now, -1, 0 or 1."""
        cdef int later = phase_step(&self.phase, 1)
        phase_move(&self.phase, later)
        return later

    def at(self, uint64_t tick):
        """When a tick is due, ms."""
        return phase_at(&self.phase, tick) / 1e6

    def passed(self, double now):
        """How many ticks should have been made by now, ms."""
        return phase_passed(&self.phase, <int64_t>(now * 1e6))
