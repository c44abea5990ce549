"""The join graph (Rayo's joins). What each hears in it is in mixer_ext.hearing.

Nodes are legs and mixers, edges are joins with a direction. A leg passes nothing on; a mixer passes to each neighbour
its total without what came from there, so mixers are a forest, which whoever joins them has to see to.

A direction of a join that begins or ends does so within the next tick: what passes there passes with a ramp. So that this
can be, a join that ends stays for that tick. Where old and new joins together would let sound arrive by two ways, all
changes of that tick are made at once instead; who is moved between mixers that are joined goes on being heard anyway.
"""
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from mixer_ext.codec cimport FRAME
from mixer_ext.gain cimport gain_forget
from mixer_ext.group cimport group_all
from mixer_ext.limiter cimport volume_init
from mixer_ext.speakers cimport TAKEN


cdef Node* node_new(int64_t id, bint is_mixer) noexcept nogil:
    cdef Node* node = <Node*>calloc(1, sizeof(Node))
    if node == NULL:
        return NULL
    node.id = id
    node.is_mixer = is_mixer
    node.gain = node.limit = 1
    volume_init(&node.volume)
    if is_mixer:
        node.up = <int32_t*>calloc(FRAME, sizeof(int32_t))
        node.sum = <int32_t*>calloc(FRAME, sizeof(int32_t))
        node.total = node.up
        node.loudest = TAKEN
        node.heard = <Node**>calloc(HEARD, sizeof(Node*))
    else:
        node.frame = <int16_t*>calloc(FRAME, sizeof(int16_t))
    if node.frame != NULL or (node.up != NULL and node.sum != NULL and node.heard != NULL):
        return node
    node_free(node)
    return NULL


cdef void node_free(Node* node) noexcept nogil:
    if node != NULL:
        free(node.edges)
        free(node.gains)
        free(node.up)
        free(node.sum)
        free(node.heard)
        free(node.frame)
        free(node)


cdef Edge* _edge(Node* node, Node* peer) noexcept nogil:
    cdef int i
    for i in range(node.count):
        if node.edges[i].peer == peer:
            return &node.edges[i]
    return NULL


cdef Edge* _edge_made(Node* node, Node* peer) noexcept nogil:
    cdef Edge* edge = _edge(node, peer)
    cdef Edge* grown
    if edge != NULL:
        return edge
    if node.count == node.room:
        grown = <Edge*>realloc(node.edges, (node.room * 2 + 4) * sizeof(Edge))
        if grown == NULL:
            return NULL
        node.edges = grown
        node.room = node.room * 2 + 4
    edge = &node.edges[node.count]
    node.count += 1
    edge.peer = peer
    edge.hears = edge.feeds = edge.heard = edge.fed = False
    return edge


cdef void _edge_gone(Node* node, Node* peer) noexcept nogil:
    cdef Edge* edge = _edge(node, peer)
    if edge != NULL:
        node.count -= 1
        edge[0] = node.edges[node.count]


cdef bint _grown(Graph* graph, int room) noexcept nogil:
    cdef Node*** lists[6]
    cdef Node** grown
    cdef Group* groups = <Group*>realloc(graph.groups, room * sizeof(Group))
    cdef int i
    if groups == NULL:
        return False
    graph.groups = groups
    lists[0], lists[1], lists[2] = &graph.nodes, &graph.order, &graph.grouped
    lists[3], lists[4], lists[5] = &graph.grouped_order, &graph.live, &graph.live_order
    for i in range(6):
        grown = <Node**>realloc(lists[i][0], room * sizeof(Node*))
        if grown == NULL:
            return False
        lists[i][0] = grown
    graph.room = room
    return True


cdef bint graph_add(Graph* graph, Node* node) noexcept nogil:
    """False when there is no memory."""
    if graph.count == graph.room and not _grown(graph, graph.room * 2 + 16):
        return False
    node.index = graph.count
    graph.nodes[graph.count] = node
    graph.count += 1
    graph.dirty = True
    return True


cdef void _fade(Graph* graph, Node* node) noexcept nogil:
    node.fading = node.rejoined = graph.fading = graph.dirty = True


cdef void graph_leave(Graph* graph, Node* node) noexcept nogil:
    """End all joins of a node; after the next tick it is to be removed."""
    cdef int i
    cdef Node* peer
    node.leaving = True
    for i in range(node.count - 1, -1, -1):     # from the end: a join that had not begun goes at once
        peer = node.edges[i].peer
        graph_unjoin(graph, node, peer)


cdef void graph_remove(Graph* graph, Node* node) noexcept nogil:
    """Take the node out with all its joins; it is not freed. One that could not be added has joins only."""
    cdef int i
    gain_forget(graph, node)
    for i in range(node.count):
        node.edges[i].peer.rejoined = True
        _edge_gone(node.edges[i].peer, node)
    node.count = 0
    graph.dirty = True
    if node.index >= graph.count or graph.nodes[node.index] != node:
        return
    graph.count -= 1
    graph.nodes[node.index] = graph.nodes[graph.count]
    graph.nodes[node.index].index = node.index


cdef bint graph_join(Graph* graph, Node* a, Node* b, bint a_to_b, bint b_to_a) noexcept nogil:
    """Join, or change the direction of a join. False when there is no memory."""
    cdef Edge* there = _edge_made(a, b)
    cdef Edge* back = _edge_made(b, a)
    _fade(graph, a)
    _fade(graph, b)
    if there == NULL or back == NULL:
        _edge_gone(a, b)
        _edge_gone(b, a)
        return False
    there.feeds = back.hears = a_to_b
    there.hears = back.feeds = b_to_a
    return True


cdef void graph_unjoin(Graph* graph, Node* a, Node* b) noexcept nogil:
    """The join stays for the next tick if there was anything to end."""
    cdef Edge* there = _edge(a, b)
    cdef Edge* back = _edge(b, a)
    _fade(graph, a)
    _fade(graph, b)
    if there == NULL or back == NULL or not (there.heard or there.fed):
        _edge_gone(a, b)
        _edge_gone(b, a)
        return
    there.feeds = back.hears = there.hears = back.feeds = False


cdef void graph_settle(Graph* graph) noexcept nogil:
    """After a tick: what began has begun, what ended is gone."""
    cdef int i, k
    cdef Node* node
    cdef Edge* edge
    if not graph.fading:
        return
    graph.fading = False
    for i in range(graph.count):
        node = graph.nodes[i]
        if not node.fading:
            continue
        node.fading = False
        for k in range(node.count - 1, -1, -1):
            edge = &node.edges[k]
            edge.heard, edge.fed = edge.hears, edge.feeds
            if edge.peer == node.parent:
                node.to = edge[0]
            if not edge.hears and not edge.feeds:
                graph.dirty = True
                node.count -= 1
                edge[0] = node.edges[node.count]


cdef void _mixers_first(Node* node) noexcept nogil:
    """Order the joins of a node so that those with mixers come first."""
    cdef int i
    cdef Edge other
    node.mixers = 0
    for i in range(node.count):
        if node.edges[i].peer.is_mixer:
            other = node.edges[node.mixers]
            node.edges[node.mixers] = node.edges[i]
            node.edges[i] = other
            node.mixers += 1


cdef bint _arranged(Graph* graph) noexcept nogil:
    """Order the mixers so that parents come before children; which of a tree is its root does not matter. False if
    they are no trees, or if a leg is joined to one twice.
    """
    cdef int i, k
    cdef int done = 0
    cdef bint fine = True
    cdef Node* node
    cdef Node* child
    graph.mixers = 0
    for i in range(graph.count):
        graph.nodes[i].root = NULL
        if graph.nodes[i].is_mixer:
            _mixers_first(graph.nodes[i])
    for i in range(graph.count):
        node = graph.nodes[i]
        if not node.is_mixer or node.root != NULL:
            continue
        node.root = node
        node.parent = NULL
        graph.order[graph.mixers] = node
        graph.mixers += 1
        while done < graph.mixers:
            node = graph.order[done]
            done += 1
            for k in range(node.mixers):
                child = node.edges[k].peer
                if child == node.parent:
                    continue
                if child.root != NULL:
                    fine = False
                    continue
                child.root = node.root
                child.parent = node
                child.to = _edge(child, node)[0]
                graph.order[graph.mixers] = child
                graph.mixers += 1
    if graph.fading:
        for i in range(graph.count):
            fine = fine and (graph.nodes[i].is_mixer or _joins_trees(graph.nodes[i]))
    return fine


cdef bint _joins_trees(Node* leg) noexcept nogil:
    """Whether a leg is joined to one mixer at most of each tree."""
    cdef int i, k
    for i in range(leg.count):
        for k in range(i):
            if leg.edges[i].peer.is_mixer and leg.edges[i].peer.root == leg.edges[k].peer.root:
                return False
    return True


cdef void graph_arrange(Graph* graph) noexcept nogil:
    """After changes: put the mixers in order, and find the groups; all are live then."""
    if not _arranged(graph) and graph.fading:
        graph_settle(graph)
        _arranged(graph)
    group_all(graph)
    graph.dirty = False


cdef void graph_free(Graph* graph) noexcept nogil:
    free(graph.nodes)
    free(graph.order)
    free(graph.groups)
    free(graph.grouped)
    free(graph.grouped_order)
    free(graph.live)
    free(graph.live_order)
    memset(graph, 0, sizeof(Graph))
