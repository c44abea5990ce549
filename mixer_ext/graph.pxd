# The join graph.
from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t, uint64_t

from mixer_ext.limiter cimport Volume
from mixer_ext.link cimport Link
from mixer_ext.ring cimport SampleRing

cdef enum:
    HEARD = 16          # one more than the CSRCs of a packet: the listener is left out

cdef struct Tap:
    Tap* next
    SampleRing* ring
    Node* node          # NULL: its node is gone
    bint out            # it hears what its leg is sent

cdef struct Edge:
    Node* peer
    bint hears          # peer to this node
    bint feeds          # this node to peer
    bint heard          # the same in the last tick: what begins or ends does so by a ramp
    bint fed

# How loud a leg hears another.
cdef struct Gain:
    Node* source
    float was           # at the end of the last tick
    float now           # at the end of this one
    float wanted

cdef struct Node:
    int64_t id
    bint is_mixer
    void* owner         # a leg's Leg
    int index           # in Graph.nodes
    int group           # in Graph.groups
    Edge* edges
    int count
    int room
    bint rejoined       # its joins have changed
    bint fading         # some of them begin or end in this tick
    bint leaving        # it is taken out after this tick
    SampleRing* play
    uint64_t played     # samples of it of whose end Python has been told
    Volume volume       # of what it says; of a mixer: of what is played into it
    float gain          # that set_gain asks for
    bint playing        # the last tick was full of it
    int16_t last        # sample that was played in it
    Tap* taps
    bint sounds         # there is something in frame, or in total
    # a leg
    Gain* gains         # for others
    int gain_count
    int gain_room
    int minded          # gains of others for it
    Tap* out_taps
    uint32_t csrc
    bint audible        # named in the mixes that it is in
    bint waits          # in this tick it is sent what it hears after those who talk
    int16_t* frame      # what it says in this tick
    # a mixer
    int loudest         # speakers that are mixed at once, 0: all
    int64_t dominant    # id of the leg that is the dominant speaker, 0: none
    int64_t told        # and of whom Python has been told
    Link* link          # it is an end of a link, NULL: it is not
    int mixers          # the first of its edges are with mixers
    Node* parent
    Edge to             # its parent
    Node* root          # of its tree
    bint sounds_up      # there is something in up
    int32_t* up         # all but what comes from the parent
    int32_t* sum
    int32_t* total      # up, sum or the parent's
    float limit         # of what its taps hear
    Node** heard        # HEARD legs
    int heard_count

# Nodes that are joined, directly or through others.
cdef struct Group:
    int first           # in Graph.grouped
    int count
    int mixer           # in Graph.grouped_order
    int mixers
    bint rests

cdef struct Graph:
    Node** nodes
    int count
    int room
    Node** order        # mixers, parents before children
    int mixers
    bint dirty
    Group* groups
    int group_count
    Node** grouped      # nodes, and the order of mixers, group by group
    Node** grouped_order
    Node** live         # of these, those of groups that do not rest: they alone are mixed
    int live_count
    Node** live_order
    int live_mixers
    bint fading         # joins of some node do

cdef Node* node_new(int64_t id, bint is_mixer) noexcept nogil
cdef void node_free(Node* node) noexcept nogil
cdef bint graph_add(Graph* graph, Node* node) noexcept nogil
cdef void graph_leave(Graph* graph, Node* node) noexcept nogil
cdef void graph_remove(Graph* graph, Node* node) noexcept nogil
cdef bint graph_join(Graph* graph, Node* a, Node* b, bint a_to_b, bint b_to_a) noexcept nogil
cdef void graph_unjoin(Graph* graph, Node* a, Node* b) noexcept nogil
cdef void graph_arrange(Graph* graph) noexcept nogil
cdef void graph_settle(Graph* graph) noexcept nogil
cdef void graph_free(Graph* graph) noexcept nogil
