# What each node of the join graph has and hears in a tick.
from libc.stdint cimport int16_t, int32_t, uint32_t

from mixer_ext.graph cimport Graph, Node, Tap

cdef void taps_feed(Tap* tap, const int16_t* frame) noexcept nogil
cdef bint node_plays(Node* node) noexcept nogil
cdef bint node_play(Node* node, int16_t* frame) noexcept nogil
cdef void graph_mix(Graph* graph) noexcept nogil
cdef bint graph_hear(Node* leg, int32_t* total, bint fading) noexcept nogil
cdef bint graph_feeds_leg(Node* leg) noexcept nogil
cdef bint graph_in_own_mix(Node* leg) noexcept nogil
cdef bint graph_hears_fading(Node* leg) noexcept nogil
cdef int graph_named(Node* leg, Node** named) noexcept nogil
