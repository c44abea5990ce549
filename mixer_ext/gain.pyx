"""How loud one leg hears another: few do so otherwise than all, and those few correct what all hear.

A listener's gain for a source takes what has come from that source out of his sum and puts it back with the gain. What
has come is the source's frame by the one way that there is in each tree of mixers, and by a join of the two, with the
ramps of the joins on each way. While no join on it begins or ends, what is left without the source is exactly the rest.

A listener hears something else than others only in a tick in which the source sounds and there is a way from it to him.
A gain changes by a ramp; at 1 it is no more, and it goes with either leg.
"""
from libc.stdlib cimport realloc
from libc.string cimport memcpy

from mixer_ext.codec cimport FRAME
from mixer_ext.graph cimport Edge, Gain
from mixer_ext.mix cimport mix_add, mix_add_total, mix_clear, mix_ramp_total, mix_subtract_total

cdef enum:
    DEEPEST = 64        # mixers down a tree that a gain reaches

cdef float ONE = 1
cdef float ZERO = 0


cdef Gain* _gain(Node* listener, Node* source) noexcept nogil:
    cdef int i
    for i in range(listener.gain_count):
        if listener.gains[i].source == source:
            return &listener.gains[i]
    return NULL


cdef inline bint _is_in(Graph* graph, Node* node) noexcept nogil:
    return node.index < graph.count and graph.nodes[node.index] == node


cdef bint gain_set(Graph* graph, Node* listener, Node* source, float wanted) noexcept nogil:
    """From the next tick on. False when there is no memory."""
    cdef Gain* gain = _gain(listener, source)
    cdef Gain* grown
    if not _is_in(graph, listener) or not _is_in(graph, source) or source.leaving or listener.leaving:
        return True
    if gain == NULL:
        if wanted == ONE:
            return True
        if listener.gain_count == listener.gain_room:
            grown = <Gain*>realloc(listener.gains, (listener.gain_room * 2 + 4) * sizeof(Gain))
            if grown == NULL:
                return False
            listener.gains = grown
            listener.gain_room = listener.gain_room * 2 + 4
        gain = &listener.gains[listener.gain_count]
        listener.gain_count += 1
        source.minded += 1
        gain.source = source
        gain.was = gain.now = ONE
    gain.wanted = wanted
    return True


cdef void _gone(Node* listener, int i) noexcept nogil:
    listener.gains[i].source.minded -= 1
    listener.gain_count -= 1
    listener.gains[i] = listener.gains[listener.gain_count]


cdef void gain_advance(Node* listener) noexcept nogil:
    """Once a tick: from what was reached in the last one to what is wanted."""
    cdef int i
    cdef Gain* gain
    for i in range(listener.gain_count - 1, -1, -1):
        gain = &listener.gains[i]
        gain.was, gain.now = gain.now, gain.wanted
        if gain.was == ONE and gain.now == ONE:
            _gone(listener, i)


cdef void gain_forget(Graph* graph, Node* node) noexcept nogil:
    """The node is about to be no more: nor are its gains for others, and those of others for it."""
    cdef int i, k
    cdef Node* listener
    for i in range(node.gain_count - 1, -1, -1):
        _gone(node, i)
    for i in range(graph.count):
        if node.minded == 0:
            return
        listener = graph.nodes[i]
        for k in range(listener.gain_count - 1, -1, -1):
            if listener.gains[k].source == node:
                _gone(listener, k)


cdef bint _passes(int32_t* what, bint was, bint now) noexcept nogil:
    """Whether anything passes over a direction of a join; what: is made what passes, if it is not NULL."""
    cdef int32_t before[FRAME]
    if not (was or now):
        return False
    if what != NULL and was != now:
        memcpy(before, what, sizeof(before))
        mix_ramp_total(before, what, was, now)
    return True


cdef int _depth(Node* mixer) noexcept nogil:
    cdef int depth = 0
    while mixer.parent != NULL:
        mixer = mixer.parent
        depth += 1
    return depth


cdef bint _travels(int32_t* what, Node* a, Node* b) noexcept nogil:
    """As _passes, between two mixers of a tree: up from the one, and down to the other."""
    cdef Node* down[DEEPEST]
    cdef int count = 0
    cdef int depth_a = _depth(a)
    cdef int depth_b = _depth(b)
    while a != b:
        if depth_a >= depth_b:
            if not _passes(what, a.to.fed, a.to.feeds):
                return False
            a = a.parent
            depth_a -= 1
        else:
            if count == DEEPEST:
                return False
            down[count] = b
            count += 1
            b = b.parent
            depth_b -= 1
    while count:
        count -= 1
        if not _passes(what, down[count].to.heard, down[count].to.hears):
            return False
    return True


cdef inline void _begin(int32_t* what, Node* source) noexcept nogil:
    if what != NULL:
        mix_clear(what)
        mix_add(what, source.frame)


cdef bint _comes(int32_t* what, Node* source, Edge* to) noexcept nogil:
    """Whether what a source says comes to a listener by this join of his; what: what comes, if it is not NULL."""
    cdef int i
    cdef Edge* edge
    if not (to.hears or to.heard):
        return False
    if to.peer == source:
        _begin(what, source)
        return _passes(what, to.heard, to.hears)
    if not to.peer.is_mixer or to.peer.root == NULL:
        return False
    for i in range(source.count):
        edge = &source.edges[i]
        if edge.peer.is_mixer and edge.peer.root == to.peer.root:
            _begin(what, source)
            if (
                _passes(what, edge.fed, edge.feeds)
                and _travels(what, edge.peer, to.peer)
                and _passes(what, to.heard, to.hears)
            ):
                return True
    return False


cdef bint gain_apart(Node* listener) noexcept nogil:
    """Whether in this tick some source comes to a listener that is louder or softer for him. After gain_advance."""
    cdef int i, k
    for i in range(listener.gain_count):
        if listener.gains[i].source.sounds:
            for k in range(listener.count):
                if _comes(NULL, listener.gains[i].source, &listener.edges[k]):
                    return True
    return False


cdef void gain_apply(Node* listener, int32_t* total) noexcept nogil:
    """Correct what graph_hear has made of this tick."""
    cdef int32_t[FRAME] parts, what
    cdef int i, k
    cdef bint comes
    cdef Gain* gain
    for i in range(listener.gain_count):
        gain = &listener.gains[i]
        if not gain.source.sounds:
            continue
        comes = False
        for k in range(listener.count):
            if _comes(what, gain.source, &listener.edges[k]):
                if not comes:
                    mix_clear(parts)
                comes = True
                mix_add_total(parts, what)
        if comes:
            mix_subtract_total(total, parts)
            mix_ramp_total(parts, what, gain.was, gain.now)
            mix_add_total(total, what)


cdef bint gain_silences(Node* listener, Node* source) noexcept nogil:
    """Whether a listener hears nothing of a source by his own wish."""
    cdef Gain* gain = _gain(listener, source)
    return gain != NULL and gain.now == ZERO
