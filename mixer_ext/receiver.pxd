# What comes from a peer: its packets in, its frame.
from libc.stdint cimport int64_t, uint8_t, uint64_t

from mixer_ext.leg cimport Leg
from mixer_ext.ring cimport EventRing

cdef void leg_receive(Leg* leg, uint8_t* data, int length, int64_t now, int64_t stamp) noexcept nogil
cdef void leg_receive_rtcp(Leg* leg, uint8_t* data, int length, int64_t now, uint64_t ntp) noexcept nogil
cdef void leg_offer(Leg* leg) noexcept nogil
cdef uint64_t leg_listen(Leg* leg, EventRing* events, int64_t now) noexcept nogil
