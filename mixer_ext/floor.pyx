"""Who has the floor in a mixer: the dominant speaker of the legs that it hears itself, not by way of other mixers."""
from mixer_ext.graph cimport Edge
from mixer_ext.leg cimport Leg
from mixer_ext.speakers cimport (
    DECIDED,
    Contest,
    Speaker,
    contest_begin,
    contest_enter,
)


cdef inline Speaker* _speaker(Edge* edge) noexcept nogil:
    return &(<Leg*>edge.peer.owner).speaker


cdef Edge* _dominant(Node* mixer) noexcept nogil:
    cdef int i
    for i in range(mixer.mixers, mixer.count):
        if mixer.edges[i].hears and mixer.edges[i].peer.id == mixer.dominant:
            return &mixer.edges[i]
    return NULL


cdef void floor_decide(Node* mixer, uint64_t time) noexcept nogil:
    """Once a tick, when all legs have said theirs: let mixer.dominant be right, by a decision if one is due."""
    cdef Contest contest
    cdef Edge* edge
    cdef int i
    if mixer.rejoined:
        mixer.rejoined = False
        if _dominant(mixer) == NULL:
            mixer.dominant = 0
    if (time + <uint64_t>mixer.id) % DECIDED:   # not all mixers in the same tick
        return
    edge = _dominant(mixer) if mixer.dominant else NULL
    contest_begin(&contest, _speaker(edge) if edge != NULL else NULL)
    for i in range(mixer.mixers, mixer.count):
        edge = &mixer.edges[i]
        if edge.hears and edge.peer.id != mixer.dominant:
            contest_enter(&contest, _speaker(edge), edge.peer.id)
    if contest.winner:
        mixer.dominant = contest.winner
