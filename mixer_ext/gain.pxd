# How loud one leg hears another.
from libc.stdint cimport int32_t

from mixer_ext.graph cimport Graph, Node

cdef bint gain_set(Graph* graph, Node* listener, Node* source, float wanted) noexcept nogil
cdef void gain_advance(Node* listener) noexcept nogil
cdef bint gain_apart(Node* listener) noexcept nogil
cdef void gain_apply(Node* listener, int32_t* total) noexcept nogil
cdef bint gain_silences(Node* listener, Node* source) noexcept nogil
cdef void gain_forget(Graph* graph, Node* node) noexcept nogil
