"""Who has the floor in a mixer: the dominant speaker of the legs that it hears itself, not by way of other mixers, and the
loudest, who alone are mixed where many speak at once.

A leg that no mixer takes sleeps as if it were silent, so that its decoder rests and its end and its beginning are faded;
one that any takes is heard by all that hear it. How loud a sleeping leg is, its packets say (RFC 6464). Of those that do
not, some are decoded in turn without being mixed, to know. Legs that are joined to another leg, or are recorded, are
always heard.
"""
from mixer_ext.graph cimport Edge
from mixer_ext.leg cimport Leg
from mixer_ext.speakers cimport (
    DECIDED,
    MOST_TAKEN,
    Contest,
    Speaker,
    contest_begin,
    contest_enter,
)


cdef enum:
    KEPT = 3            # dB that another has to be louder
    STAY = 15           # ticks
    SAMPLES = 3         # legs
    SAMPLED = 15        # ticks

cdef double FALL = 0.1  # dB a tick, so that one who pauses between two words is not less loud than before


cdef inline Talker* _talker(Edge* edge) noexcept nogil:
    return &(<Leg*>edge.peer.owner).talker


cdef double _rank(const Talker* talker, bint dominant) noexcept nogil:
    return talker.loudness + KEPT * talker.heard + (500.0 if talker.heard and talker.stay else 0.0) + 1000.0 * dominant


cdef void floor_choose(Node* mixer, uint64_t time) noexcept nogil:
    """Once a tick, before anything is decoded: take the loudest of those that want to be heard."""
    cdef Talker* best[MOST_TAKEN]
    cdef double ranks[MOST_TAKEN]
    cdef int i, at
    cdef int count = 0
    cdef int wanting = 0
    cdef double rank
    cdef Talker* talker
    for i in range(mixer.mixers, mixer.count):
        wanting += mixer.edges[i].hears and _talker(&mixer.edges[i]).wants
    for i in range(mixer.mixers, mixer.count):
        talker = _talker(&mixer.edges[i])
        if not mixer.edges[i].hears or not talker.wants:
            continue
        if wanting <= mixer.loudest or mixer.loudest == 0:
            talker.taken = True
            continue
        talker.left = True
        rank = _rank(talker, mixer.edges[i].peer.id == mixer.dominant)
        if count == mixer.loudest and rank <= ranks[count - 1]:
            continue
        at = min(count, mixer.loudest - 1)
        while at > 0 and ranks[at - 1] < rank:
            best[at], ranks[at] = best[at - 1], ranks[at - 1]
            at -= 1
        best[at], ranks[at] = talker, rank
        count = min(count + 1, mixer.loudest)
    for i in range(count):
        best[i].taken = True
    if count:
        _sample(mixer, time)


cdef void _sample(Node* mixer, uint64_t time) noexcept nogil:
    """Let some be decoded of those that are left and of which nothing is known, who has waited longest first."""
    cdef Talker* talker
    cdef Talker* longest = NULL
    cdef int i
    cdef int sampled = 0
    for i in range(mixer.mixers, mixer.count):
        talker = _talker(&mixer.edges[i])
        if not mixer.edges[i].hears or not talker.wants or talker.taken or talker.known:
            continue
        if talker.sampled:
            sampled += 1
        elif longest == NULL or talker.sampled_at < longest.sampled_at:
            longest = talker
    if longest != NULL and sampled < SAMPLES:
        longest.sampled = SAMPLED
        longest.sampled_at = time


cdef bint floor_bars(const Talker* talker) noexcept nogil:
    """Whether it is not to be heard in this tick."""
    return talker.left and not talker.taken


cdef void floor_heard(Talker* talker, double level, bint measured) noexcept nogil:
    """After it has been listened to; measured: level is that of this tick, dBov, and not that of nothing."""
    if measured or not talker.wants:
        talker.loudness = max(level, max(-127.0, talker.loudness - FALL))
    talker.stay = 0 if floor_bars(talker) or not talker.wants else max(0, talker.stay - 1) if talker.heard else STAY
    talker.heard = talker.wants and not floor_bars(talker)
    talker.sampled = max(0, talker.sampled - 1) if floor_bars(talker) else 0


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
