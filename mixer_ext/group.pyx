"""Where nothing happens nothing is done.

Nodes that are joined, directly or through others, are a group: a room with all who are in it, or a call. A group in
which nothing comes in, nothing sounds and nothing need be sent rests: no tick touches it, and when all do there is none.
The first packet or command for one of its nodes makes it live again, and so does every change of the graph, for all.
"""
from libc.string cimport memcpy, memset

from mixer_ext.graph cimport Group

cdef enum:
    LOOK = 12           # ticks between looks at a group


cdef void _append(Graph* graph, Group* group) noexcept nogil:
    """Make a group's nodes live ones."""
    memcpy(graph.live + graph.live_count, graph.grouped + group.first, group.count * sizeof(Node*))
    memcpy(graph.live_order + graph.live_mixers, graph.grouped_order + group.mixer, group.mixers * sizeof(Node*))
    graph.live_count += group.count
    graph.live_mixers += group.mixers


cdef void _gather(Graph* graph, Node* node) noexcept nogil:
    """A group of its own for a node and all that is joined to it."""
    cdef Group* group = &graph.groups[graph.group_count]
    cdef Node* peer
    cdef int i
    cdef int done = graph.live_count
    memset(group, 0, sizeof(Group))
    group.first = done
    node.group = graph.group_count
    graph.live[graph.live_count] = node
    graph.live_count += 1
    while done < graph.live_count:
        node = graph.live[done]
        done += 1
        group.mixers += node.is_mixer
        for i in range(node.count):
            peer = node.edges[i].peer
            if peer.group < 0:
                peer.group = graph.group_count
                graph.live[graph.live_count] = peer
                graph.live_count += 1
    group.count = done - group.first
    graph.group_count += 1


cdef void group_all(Graph* graph) noexcept nogil:
    """Find the groups, when the mixers are in order; all are live."""
    cdef int i
    cdef Group* group
    graph.group_count = graph.live_count = graph.live_mixers = 0
    for i in range(graph.count):
        graph.nodes[i].group = -1
    for i in range(graph.count):
        if graph.nodes[i].group < 0:
            _gather(graph, graph.nodes[i])
    for i in range(graph.group_count):
        group = &graph.groups[i]
        group.mixer = graph.live_mixers
        graph.live_mixers += group.mixers
        group.mixers = 0
    for i in range(graph.mixers):
        group = &graph.groups[graph.order[i].group]
        graph.grouped_order[group.mixer + group.mixers] = graph.order[i]
        group.mixers += 1
    memcpy(graph.grouped, graph.live, graph.live_count * sizeof(Node*))
    memcpy(graph.live_order, graph.grouped_order, graph.live_mixers * sizeof(Node*))


cdef void group_rouse(Graph* graph, Node* node) noexcept nogil:
    """Something has come for a node. While the graph is about to be arranged anew nothing need be done."""
    cdef Group* group
    if graph.dirty:
        return
    group = &graph.groups[node.group]
    if group.rests:
        group.rests = False
        _append(graph, group)


cdef void group_rest(Graph* graph, uint64_t time, bint (*rests)(Node*) noexcept nogil) noexcept nogil:
    """At the end of a tick: let groups rest of which each node does. Each is looked at once in LOOK ticks."""
    cdef int i
    cdef int at = 0
    cdef bint changed = False
    cdef Group* group
    if graph.dirty:
        return
    while at < graph.live_count:
        group = &graph.groups[graph.live[at].group]
        if (time + graph.live[at].group) % LOOK == 0:
            i = at
            while i < at + group.count and rests(graph.live[i]):
                i += 1
            group.rests = i == at + group.count
            changed = changed or group.rests
        at += group.count
    if not changed:
        return
    # What stays is moved down over what rests; the groups are in the same order in both lists.
    cdef int count = graph.live_count
    graph.live_count = graph.live_mixers = at = 0
    while at < count:
        group = &graph.groups[graph.live[at].group]
        at += group.count
        if not group.rests:
            _append(graph, group)
