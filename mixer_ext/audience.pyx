"""One encoding for all who hear the same.

What is expensive in a conference is to encode. Legs that hear the same nodes, in the same format, are an audience: one
mix, one encoder, one payload in the packets of all of them. Who says something hears something else, the mix without
himself, and for that needs an encoder of his own.

A peer's decoder follows its encoder's state, so that going from one to the other is not free. Who goes takes a copy of
the audience's encoder along, as it stood before this tick, and the decoder does not notice. Who comes back does so
after a second in which both encoders were given the same, in a quiet moment if there is one soon, and for one frame
the audience's encoder does without prediction; those who wait come back together. Who comes from another audience
hears another mix anyway and has that frame at once.

In each tick first every leg attends, then every leg is served: a copy is taken before anything is encoded.
"""
from libc.stdlib cimport calloc, free, malloc
from libc.stdint cimport int32_t
from libc.string cimport memcpy

from mixer_ext.codec cimport (
    coding_equal,
    encoder_adapted,
    encoder_copy,
    encoder_free,
    encoder_new,
    encoder_payload,
    encoder_rests,
    encoder_strive,
)
from mixer_ext.hearing cimport graph_hear, graph_hears_fading, graph_named
from mixer_ext.limiter cimport limit, limiter_rest
from mixer_ext.mix cimport mix_level

cdef enum:
    TOGETHER = 50       # ticks of the same before a leg comes back
    PATIENCE = 100      # frames that are encoded for those who wait for a quiet one, and then no more
    RETURNS = 50        # ticks between returns to an audience
    QUIET = -50         # dBov


cdef uint64_t _hash(Node* leg, const Coding* coding) noexcept nogil:
    """The same for the same nodes in any order."""
    cdef uint64_t total = (
        <uint64_t>coding.bitrate * 64
        + coding.halves * 32
        + coding.kind * 8
        + coding.steady * 4
        + coding.fec * 2
        + coding.dtx
    )
    cdef uint64_t each
    cdef int i
    for i in range(leg.count):
        if leg.edges[i].hears:
            each = <uint64_t>leg.edges[i].peer.id * <uint64_t>0x9E3779B97F4A7C15
            total += each ^ (each >> 29)
    return total * <uint64_t>0xBF58476D1CE4E5B9 >> 8


cdef int _heard(Node* leg) noexcept nogil:
    cdef int i
    cdef int count = 0
    for i in range(leg.count):
        count += leg.edges[i].hears
    return count


cdef bint _is_of(Audience* audience, Node* leg) noexcept nogil:
    cdef int i, k
    if audience.count != _heard(leg):
        return False
    for i in range(leg.count):
        if leg.edges[i].hears:
            k = 0
            while k < audience.count and audience.heard[k] != leg.edges[i].peer.id:
                k += 1
            if k == audience.count:
                return False
    return True


cdef Audience* _audience(Audiences* audiences, Node* leg, const Coding* coding) noexcept nogil:
    """The one that a leg belongs to; NULL when there is no memory."""
    cdef uint64_t hash = _hash(leg, coding)
    cdef Audience** bucket = &audiences.buckets[hash % BUCKETS]
    cdef Audience* audience = bucket[0]
    cdef int i
    while audience != NULL:
        if audience.hash == hash and coding_equal(&audience.coding, coding) and _is_of(audience, leg):
            return audience
        audience = audience.next
    audience = <Audience*>calloc(1, sizeof(Audience))
    if audience == NULL:
        return NULL
    audience.heard = <int64_t*>malloc((_heard(leg) + 1) * sizeof(int64_t))
    if audience.heard == NULL:
        free(audience)
        return NULL
    for i in range(leg.count):
        if leg.edges[i].hears:
            audience.heard[audience.count] = leg.edges[i].peer.id
            audience.count += 1
    audience.hash = hash
    audience.coding = coding[0]
    audience.limit = 1
    audience.next = bucket[0]
    bucket[0] = audience
    return audience


cdef void _dissolve(Audiences* audiences, Audience* audience) noexcept nogil:
    cdef Audience** link = &audiences.buckets[audience.hash % BUCKETS]
    while link[0] != audience:
        link = &link[0].next
    link[0] = audience.next
    encoder_free(audience.encoder)
    free(audience.heard)
    free(audience)


cdef Encoder* _taken(Audience* audience) noexcept nogil:
    """What a member who shares no longer takes along: the encoder's state, or all of it if nobody is left."""
    cdef Encoder* encoder
    audience.sharing -= 1
    if audience.sharing:
        return encoder_copy(audience.encoder)
    encoder = audience.encoder
    audience.encoder = NULL
    return encoder


cdef void _share(Audience* audience, Listener* listener, Encoder* encoder) noexcept nogil:
    """From this tick on; by what this encoder has encoded where there is no other."""
    if audience.encoder == NULL:
        audience.encoder = encoder
    else:
        encoder_free(encoder)
    audience.sharing += 1
    listener.encoder = NULL


cdef void _gone(Audience* audience) noexcept nogil:
    """A member that shares no longer."""
    audience.sharing -= 1
    if audience.sharing == 0:
        encoder_free(audience.encoder)
        audience.encoder = NULL


cdef void audience_leave(Audiences* audiences, Listener* listener) noexcept nogil:
    """Nothing is sent to it any more."""
    cdef Audience* audience = listener.audience
    if audience == NULL:
        return
    if listener.encoder == NULL:
        _gone(audience)
    encoder_free(listener.encoder)
    listener.encoder = NULL
    listener.audience = NULL
    listener.apart = listener.passing = False
    audience.members -= 1
    if audience.members == 0:
        _dissolve(audiences, audience)


cdef float _limit_before(Audiences* audiences, Audience* audience) noexcept nogil:
    """The gain of an audience's limiter before this tick."""
    cdef float gain = audience.limit
    if audience.mixed == audiences.tick:
        return audience.limit_before
    limiter_rest(&gain, audiences.tick - 1 - audience.mixed)
    return gain


cdef void _change(
    Audiences* audiences, Listener* listener, Audience* audience, bint apart, bint begins
) noexcept nogil:
    """From its audience, or none, to this one. Out of memory it has none then."""
    cdef Audience* old = listener.audience
    cdef Encoder* encoder = listener.encoder
    cdef bint alone = encoder != NULL and not listener.passing
    audience.members += 1       # it may be the only one, and all that keeps the audience
    if old == NULL:
        if audience.encoder == NULL:
            encoder = encoder_new(&audience.coding)
    elif encoder == NULL and (apart or audience.encoder == NULL):
        encoder = _taken(old)
        alone = apart           # it hears something else at once: its encoder is not this audience's for a moment
    elif encoder == NULL:
        _gone(old)
    if old != NULL:
        if not listener.apart:
            listener.limit = _limit_before(audiences, old)
            listener.apart = True
        if encoder != NULL:
            encoder = encoder_adapted(encoder, &audience.coding)
        old.members -= 1
        if old.members == 0:
            _dissolve(audiences, old)
    listener.audience = audience
    listener.together = 0
    if encoder == NULL and (alone or audience.encoder == NULL):
        listener.audience = NULL
        audience.members -= 1
        if audience.members == 0:
            _dissolve(audiences, audience)
    elif alone:
        listener.encoder = encoder
    else:
        if audience.encoder != NULL and not begins:
            audience.joined = audiences.tick
        _share(audience, listener, encoder)


cdef bint _limits_as(Audiences* audiences, Audience* audience, Listener* listener) noexcept nogil:
    """Whether a leg that was apart may hear its audience's limiter again: one that nobody has heard takes over its
    gain, one that is joined to others' sound anyway takes over theirs.
    """
    if audience.sharing == (listener.encoder == NULL) and audience.mixed + 1 < audiences.tick:
        audience.limit = listener.limit
        audience.mixed = audiences.tick - 1
        return True
    return listener.encoder == NULL or listener.limit == _limit_before(audiences, audience)


cdef void _consider_return(Audiences* audiences, Listener* listener, Node* leg) noexcept nogil:
    """Let those who may come back to this audience do so in this tick, if it is a good one."""
    cdef Audience* audience = listener.audience
    audience.waited += 1
    if audiences.tick - audience.returned < RETURNS:
        return
    if audience.waited > PATIENCE or audience_mix(audiences, audience, leg).level < QUIET:
        audience.returned = audiences.tick
        audience.waited = 0


cdef void audience_attend(
    Audiences* audiences, Listener* listener, Node* leg, const Coding* coding, bint apart, bint begins
) noexcept nogil:
    """First half of a tick, after graph_mix: to which audience a leg belongs now, and whether it shares what that is
    sent. apart: in this tick it hears something else. begins: nothing has ever been sent to it.
    """
    cdef Audience* audience = listener.audience
    cdef bint stays = audience != NULL and coding_equal(&audience.coding, coding)
    if stays and not begins and graph_hears_fading(leg):
        apart = True
        listener.passing = listener.passing or listener.encoder == NULL
    elif not stays or leg.rejoined:
        listener.passing = listener.passing and not apart
        audience = _audience(audiences, leg, coding)
        if audience == NULL:
            audience_leave(audiences, listener)
            return
        if audience != listener.audience:
            _change(audiences, listener, audience, apart, begins)
            if listener.audience == NULL:
                return
        leg.rejoined = listener.passing = False
    if listener.apart and not apart:
        apart = not _limits_as(audiences, audience, listener)
    elif apart and not listener.apart:
        listener.limit = _limit_before(audiences, audience)
    listener.apart = apart
    listener.together = 0 if apart else listener.together + 1
    if apart:
        if listener.encoder == NULL:
            listener.encoder = _taken(audience)
            if listener.encoder == NULL:
                audience.sharing += 1
                audience_leave(audiences, listener)
    elif listener.encoder != NULL:
        if audience.encoder == NULL:
            _share(audience, listener, listener.encoder)
        elif listener.together > TOGETHER:
            _consider_return(audiences, listener, leg)


cdef bint audience_rests(const Listener* listener) noexcept nogil:
    """Whether nothing is sent to it for as long as it hears silence."""
    if listener.audience == NULL:
        return False
    return encoder_rests(listener.encoder if listener.encoder != NULL else listener.audience.encoder)


cdef void audience_missed(Audiences* audiences, Listener* listener) noexcept nogil:
    """After audience_attend: for a while until this tick a leg was sent something else than its sound, and its decoder is
    not where the encoder is.
    """
    listener.missed = audiences.tick
    if listener.audience != NULL and listener.encoder == NULL:
        listener.audience.joined = audiences.tick


cdef Audience* audience_mix(Audiences* audiences, Audience* audience, Node* leg) noexcept nogil:
    """The audience with its frame, level and names of this tick. leg: one of its members that is not apart."""
    cdef int32_t total[FRAME]
    cdef bint sounds
    if audience.mixed != audiences.tick:
        audience.limit = audience.limit_before = _limit_before(audiences, audience)
        audience.mixed = audiences.tick
        audiences.mixes += 1
        sounds = graph_hear(leg, total, False)
        audience.sounds = limit(&audience.limit, total, audience.frame) and sounds
        audience.level = mix_level(audience.frame, FRAME) if audience.sounds else -127.0
        audience.names = graph_named(leg, audience.named) if audience.sounds else 0
    return audience


cdef int audience_first(const Listener* listener) noexcept nogil:
    """How many bytes of the payload of this tick, after audience_payload, are of its first 10 ms."""
    return (listener.encoder if listener.encoder != NULL else listener.audience.encoder).first


cdef int audience_payload(
    Audiences* audiences, Listener* listener, const int16_t* frame, bint sounds, uint8_t* payload
) noexcept nogil:
    """Second half of a tick: what a leg is sent for its frame; how many bytes, 0 for nothing. The frame is its
    audience's unless it is apart.
    """
    cdef Audience* audience = listener.audience
    cdef bint afresh
    cdef int length
    if (
        listener.encoder != NULL
        and listener.together > TOGETHER
        and audience.returned == audiences.tick
        and audience.encoder != NULL
    ):
        _share(audience, listener, listener.encoder)
    if listener.encoder != NULL:
        afresh = listener.missed == audiences.tick
        encoder_strive(listener.encoder, audiences.complexity)
        length = encoder_payload(listener.encoder, &audience.coding, frame, sounds, afresh, payload)
        audiences.encodes += not listener.encoder.restart
        return length
    if audience.encoded != audiences.tick:
        audience.encoded = audiences.tick
        encoder_strive(audience.encoder, audiences.complexity)
        audience.length = encoder_payload(
            audience.encoder,
            &audience.coding,
            frame,
            sounds,
            audience.returned == audiences.tick or audience.joined == audiences.tick,
            audience.payload,
        )
        audiences.encodes += not audience.encoder.restart
    memcpy(payload, audience.payload, audience.length)
    return audience.length
