"""What each node of the join graph has and hears in a tick.

Sums are 32 bits wide and made to fit by the listener only. Two passes over the mixers, children to parents and back, make
every total, however mixers are joined. A leg hears the totals that are joined towards it without what it says itself.

What begins or ends to pass over a join does so with a ramp, and what is left out for where it came from is left out with
the same.
"""
from libc.string cimport memcpy, memset

from mixer_ext.codec cimport FRAME
from mixer_ext.gain cimport gain_advance, gain_apply, gain_set
from mixer_ext.graph cimport (
    HEARD,
    Edge,
    graph_add,
    graph_arrange,
    graph_free,
    graph_join,
    graph_settle,
    graph_unjoin,
    node_free,
    node_new,
)
from mixer_ext.limiter cimport volume_apply, volume_rest
from mixer_ext.link cimport link_give, link_take
from mixer_ext.mix cimport (
    RAMP,
    mix_add,
    mix_add_all,
    mix_add_total,
    mix_clear,
    mix_ramp,
    mix_ramp_total,
    mix_subtract,
    mix_subtract_total,
)
from mixer_ext.ring cimport ring_pending, ring_read, ring_write

import numpy

cdef enum:
    DEEPEST = 64        # mixers in a row that a name travels


cdef void taps_feed(Tap* tap, const int16_t* frame) noexcept nogil:
    """Give a frame to all taps in a row; NULL is silence."""
    cdef int16_t[FRAME] silence
    if tap != NULL and frame == NULL:
        memset(silence, 0, sizeof(silence))
        frame = silence
    while tap != NULL:
        ring_write(tap.ring, frame, FRAME)
        tap = tap.next


cdef bint node_plays(Node* node) noexcept nogil:
    """Whether something is played at a node in this tick."""
    return node.last != 0 or (node.play != NULL and ring_pending(node.play) > 0)


cdef bint node_play(Node* node, int16_t* frame) noexcept nogil:
    """What is played at a node in this tick, faded in where it begins; after its end the last sample dies away, in the
    next tick if need be. Whether there is anything.
    """
    cdef int i
    cdef int got = 0
    cdef int32_t ramped[FRAME]
    cdef int32_t last
    if not node_plays(node):
        node.playing = False
        return False
    got = ring_read(node.play, frame, FRAME)
    memset(frame + got, 0, (FRAME - got) * sizeof(int16_t))
    last = frame[got - 1] if got else 0
    for i in range(got, min(got + RAMP, FRAME)):
        frame[i] = _dying(last, i - got)
    if not node.playing or got == 0:
        mix_ramp(frame, ramped, 0, 1)
        for i in range(RAMP):
            frame[i] = <int16_t>ramped[i] + _dying(node.last, i)
    node.playing = got == FRAME
    node.last = frame[FRAME - 1]
    return True


cdef inline int16_t _dying(int32_t last, int i) noexcept nogil:
    return <int16_t>(last * (RAMP - 1 - i) // RAMP)


cdef void _pass(int32_t* into, const int32_t* what, bint was, bint now) noexcept nogil:
    """Add what passes over a direction of a join."""
    cdef int32_t ramped[FRAME]
    if was and now:
        mix_add_total(into, what)
    elif was or now:
        mix_ramp_total(what, ramped, was, now)
        mix_add_total(into, ramped)


cdef void _pass_frame(int32_t* into, const int16_t* what, bint was, bint now) noexcept nogil:
    cdef int32_t ramped[FRAME]
    if was and now:
        mix_add(into, what)
    elif was or now:
        mix_ramp(what, ramped, was, now)
        mix_add_total(into, ramped)


cdef void _leave_out(int32_t* total, const int32_t* what, bint was, bint now) noexcept nogil:
    """Take away what _pass added."""
    cdef int32_t ramped[FRAME]
    if was and now:
        mix_subtract_total(total, what)
    elif was or now:
        mix_ramp_total(what, ramped, was, now)
        mix_subtract_total(total, ramped)


cdef void _leave_out_frame(int32_t* total, const int16_t* what, bint was, bint now) noexcept nogil:
    cdef int32_t ramped[FRAME]
    if was and now:
        mix_subtract(total, what)
    elif was or now:
        mix_ramp(what, ramped, was, now)
        mix_subtract_total(total, ramped)


cdef inline void _begin(Node* mixer) noexcept nogil:
    """Something is about to be added to what a mixer has of its own."""
    if not mixer.sounds_up:
        mix_clear(mixer.up)
        mixer.sounds_up = True


cdef void _gather(Node* mixer) noexcept nogil:
    """What a mixer has of its own: what is played into it, comes by its link, and the legs that it hears. Where there is
    nothing, nothing is done.
    """
    cdef int i
    cdef int few = 0
    cdef Edge* edge
    cdef int16_t samples[FRAME]
    cdef const int16_t* frames[4]
    mixer.sounds_up = False
    mixer.heard_count = 0
    if not node_play(mixer, samples):
        volume_rest(&mixer.volume, mixer.gain)
    elif volume_apply(&mixer.volume, mixer.gain, samples):
        _begin(mixer)
        mix_add(mixer.up, samples)
    if mixer.link != NULL and link_take(mixer.link):
        _begin(mixer)
        mix_add_total(mixer.up, mixer.link.heard)
    for i in range(mixer.mixers, mixer.count):
        edge = &mixer.edges[i]
        if not edge.peer.sounds or not (edge.hears or edge.heard):
            continue
        _begin(mixer)
        if edge.hears and edge.heard:
            frames[few] = edge.peer.frame
            few += 1
            if few == 4:
                mix_add_all(mixer.up, frames, few)
                few = 0
        else:
            _pass_frame(mixer.up, edge.peer.frame, edge.heard, edge.hears)
    mix_add_all(mixer.up, frames, few)


cdef void _announce(Node* mixer, Node* leg, Node* came_from, int depth) noexcept nogil:
    """Note that this leg is heard in this mixer and, by way of it, in those that it feeds, DEEPEST at most: it recurs.
    """
    cdef int i
    cdef Node* peer
    if mixer.heard_count < HEARD:
        mixer.heard[mixer.heard_count] = leg
        mixer.heard_count += 1
    if depth == DEEPEST:
        return
    for i in range(mixer.mixers):
        peer = mixer.edges[i].peer
        if mixer.edges[i].feeds and peer != came_from:
            _announce(peer, leg, mixer, depth + 1)


cdef void _give_parent(Node* mixer) noexcept nogil:
    if mixer.parent != NULL and mixer.sounds_up and (mixer.to.feeds or mixer.to.fed):
        _begin(mixer.parent)
        _pass(mixer.parent.up, mixer.up, mixer.to.fed, mixer.to.feeds)


cdef void _total(Node* mixer) noexcept nogil:
    """All that a mixer has, after its parent's."""
    cdef int32_t others[FRAME]
    cdef Node* parent = mixer.parent
    cdef Edge* to = &mixer.to
    cdef bint from_parent = parent != NULL and parent.sounds and (to.hears or to.heard)
    cdef bint steady = to.hears == to.heard and to.feeds == to.fed
    mixer.sounds = mixer.sounds_up or from_parent
    if not from_parent:
        mixer.total = mixer.up
    elif steady and (not mixer.sounds_up or to.feeds):      # the parent's has this one's in it
        mixer.total = parent.total
    else:
        memcpy(others, parent.total, FRAME * sizeof(int32_t))
        if mixer.sounds_up:
            _leave_out(others, mixer.up, to.fed, to.feeds)
            memcpy(mixer.sum, mixer.up, FRAME * sizeof(int32_t))
        else:
            mix_clear(mixer.sum)
        _pass(mixer.sum, others, to.heard, to.hears)
        mixer.total = mixer.sum


cdef void graph_mix(Graph* graph) noexcept nogil:
    """Make every live mixer's total of this tick, and who is heard in it, from the legs' frames."""
    cdef int i, k
    cdef Node* node
    if graph.dirty:
        graph_arrange(graph)
    for i in range(graph.live_mixers):
        _gather(graph.live_order[i])
    for i in range(graph.live_mixers - 1, -1, -1):
        _give_parent(graph.live_order[i])
    for i in range(graph.live_mixers):
        node = graph.live_order[i]
        _total(node)
        if node.link != NULL:
            link_give(node.link, node.total if node.sounds else NULL)
    for i in range(graph.live_count):
        node = graph.live[i]
        if not node.is_mixer and node.audible:
            for k in range(node.count):
                if node.edges[k].feeds and node.edges[k].peer.is_mixer:
                    _announce(node.edges[k].peer, node, NULL, 0)


cdef bint graph_hear(Node* leg, int32_t* total, bint fading) noexcept nogil:
    """The sum of what is joined towards a leg, without what it says itself; whether any of it may sound. After
    graph_mix. fading: with what begins and ends in this tick as it does; else as it will be in the next, which is for
    those alone who say nothing that they could hear.
    """
    cdef int i
    cdef Edge* edge
    cdef bint was
    cdef bint sounds = False
    cdef int32_t others[FRAME]
    mix_clear(total)
    for i in range(leg.count):
        edge = &leg.edges[i]
        was = edge.heard if fading else edge.hears
        if not (edge.hears or was) or not edge.peer.sounds:
            continue
        sounds = True
        if not edge.peer.is_mixer:
            _pass_frame(total, edge.peer.frame, was, edge.hears)
        elif was and edge.hears:
            mix_add_total(total, edge.peer.total)
            if leg.sounds:
                _leave_out_frame(total, leg.frame, edge.fed, edge.feeds)
        else:
            memcpy(others, edge.peer.total, FRAME * sizeof(int32_t))
            if leg.sounds:
                _leave_out_frame(others, leg.frame, edge.fed, edge.feeds)
            _pass(total, others, was, edge.hears)
    return sounds


cdef bint graph_feeds_leg(Node* leg) noexcept nogil:
    """Whether what a leg says goes straight to another one."""
    cdef int i
    for i in range(leg.count):
        if leg.edges[i].feeds and not leg.edges[i].peer.is_mixer:
            return True
    return False


cdef bint graph_in_own_mix(Node* leg) noexcept nogil:
    """Whether what a leg says in this tick is in a mix that it hears, where it is to be left out for it."""
    cdef int i
    cdef Edge* edge
    if leg.sounds:
        for i in range(leg.count):
            edge = &leg.edges[i]
            if edge.peer.is_mixer and (edge.hears or edge.heard) and (edge.feeds or edge.fed):
                return True
    return False


cdef bint graph_hears_fading(Node* leg) noexcept nogil:
    """Whether something of what it hears begins or ends in this tick, and sounds."""
    cdef int i
    if leg.fading:
        for i in range(leg.count):
            if leg.edges[i].hears != leg.edges[i].heard and leg.edges[i].peer.sounds:
                return True
    return False


cdef int _name(Node* source, Node** named, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if named[i].csrc == source.csrc:
            return count
    if count < HEARD:
        named[count] = source
        count += 1
    return count


cdef int graph_named(Node* leg, Node** named) noexcept nogil:
    """HEARD legs at most that are audible to this one, each CSRC once, and itself where it is in a mix that it hears;
    how many. After graph_mix.
    """
    cdef int i, k
    cdef int count = 0
    cdef Node* peer
    for i in range(leg.count):
        peer = leg.edges[i].peer
        if not leg.edges[i].hears:
            continue
        if peer.is_mixer:
            for k in range(peer.heard_count):
                count = _name(peer.heard[k], named, count)
        elif peer.audible:
            count = _name(peer, named, count)
    return count


cdef class JoinGraph:
    """The graph alone, for tests: say what each leg says in a tick, and see what each hears. It does not look for
    loops.
    """

    cdef Graph graph
    cdef dict nodes

    def __cinit__(self):
        self.nodes = {}

    def __dealloc__(self):
        cdef int i
        for i in range(self.graph.count):
            node_free(self.graph.nodes[i])
        graph_free(&self.graph)

    cdef Node* _node(self, int id) except NULL:
        return self.graph.nodes[self.nodes[id]]

    def add(self, bint mixer, uint32_t csrc=0):
        """Add a mixer or a leg; its id."""
        cdef int id = len(self.nodes)
        cdef Node* node = node_new(id, mixer)
        if node == NULL or not graph_add(&self.graph, node):
            node_free(node)
            raise MemoryError
        node.csrc = csrc
        self.nodes[id] = node.index     # none is ever removed
        return id

    def join(self, int a, int b, bint a_to_b=True, bint b_to_a=True):
        graph_join(&self.graph, self._node(a), self._node(b), a_to_b, b_to_a)

    def unjoin(self, int a, int b):
        graph_unjoin(&self.graph, self._node(a), self._node(b))

    def set_gain(self, int listener, int source, float gain):
        gain_set(&self.graph, self._node(listener), self._node(source), gain)

    def tick(self, frames):
        """frames: for each leg's id 960 samples of int16. Returns for each the 960 it hears, as int32, and the CSRCs in
        it.
        """
        cdef const int16_t[::1] view
        cdef int32_t[::1] out
        cdef Node* named[HEARD]
        cdef Node* node
        for id, samples in frames.items():
            view = samples
            node = self._node(id)
            memcpy(node.frame, &view[0], FRAME * sizeof(int16_t))
            node.sounds = node.audible = bool(samples.any())
        graph_mix(&self.graph)
        result = {}
        for id in frames:
            node = self._node(id)
            heard = numpy.empty(FRAME, numpy.int32)
            out = heard
            graph_hear(node, &out[0], True)
            gain_advance(node)
            gain_apply(node, &out[0])
            count = graph_named(node, named)
            names = [named[i].csrc for i in range(count) if named[i] != node]
            result[id] = (heard, set(names[: HEARD - 1]))
        graph_settle(&self.graph)
        return result
