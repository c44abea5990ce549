# What goes to a peer: what it hears, its packets out.
from libc.stdint cimport int64_t, uint64_t

from mixer_ext.audience cimport Audiences
from mixer_ext.codec cimport Coding
from mixer_ext.leg cimport Leg
from mixer_ext.net cimport Outbox

cdef enum:
    ALIVE = 250         # ticks without sound between frames of comfort

cdef Coding leg_coding(Leg* leg) noexcept nogil
cdef void leg_attend(Leg* leg, Audiences* audiences) noexcept nogil
cdef void leg_speak(Leg* leg, Audiences* audiences, Outbox* outbox) noexcept nogil
cdef void leg_hurry(Leg* leg, Outbox* outbox) noexcept nogil
cdef void leg_comfort(Leg* leg, Outbox* outbox) noexcept nogil
cdef void leg_report(Leg* leg, Outbox* outbox, int64_t now, uint64_t ntp, double random, bint bye) noexcept nogil


cdef inline bint leg_is_due(const Leg* leg, int64_t now, uint64_t time) noexcept nogil:
    """Whether there may be a report to be sent, or a frame of comfort."""
    return leg.fd >= 0 and (now >= leg.rtcp_due or time - leg.sent_at >= ALIVE)
