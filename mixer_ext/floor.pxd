# Who has the floor in a mixer.
from libc.stdint cimport uint64_t

from mixer_ext.graph cimport Node
from mixer_ext.speakers cimport Talker

cdef void floor_choose(Node* mixer, uint64_t time) noexcept nogil
cdef bint floor_bars(const Talker* talker) noexcept nogil
cdef void floor_heard(Talker* talker, double level, bint measured) noexcept nogil
cdef void floor_decide(Node* mixer, uint64_t time) noexcept nogil
