# Who has the floor in a mixer.
from libc.stdint cimport uint64_t

from mixer_ext.graph cimport Node

cdef void floor_decide(Node* mixer, uint64_t time) noexcept nogil
