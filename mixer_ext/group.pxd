# Where nothing happens nothing is done.
from libc.stdint cimport uint64_t

from mixer_ext.graph cimport Graph, Node

cdef void group_all(Graph* graph) noexcept nogil
cdef void group_rouse(Graph* graph, Node* node) noexcept nogil
cdef void group_rest(Graph* graph, uint64_t time, bint (*rests)(Node*) noexcept nogil) noexcept nogil
