"""What comes in: datagrams told apart (RFC 7983, RFC 5761) and brought to their legs; STUN and DTLS go up to Python,
within limits per source.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memcmp, memcpy

from mixer_ext.command cimport allow, set_remote
from mixer_ext.group cimport group_rouse
from mixer_ext.consent cimport ANSWER, consent_affords, consent_answer
from mixer_ext.leg cimport Leg, leg_pass
from mixer_ext.net cimport BATCH, Address, Received, inbox_receive, send_now
from mixer_ext.octets cimport get32
from mixer_ext.receiver cimport leg_receive, leg_receive_rtcp
from mixer_ext.ring cimport EVENT_DTLS, EVENT_STUN
from mixer_ext.route cimport (
    KEY,
    PENDING,
    STUN_BAD,
    STUN_REQUEST,
    AddressKey,
    Pending,
    Route,
    StunClass,
    source_admits,
    stun_read,
    stun_split,
    table_find,
    table_put,
    transaction_take,
)
from mixer_ext.state cimport hand_up, wall

cdef enum:
    DRAINED = 64                # batches of a socket in one go, so that a flood does not keep the tick waiting
    SIGNALLING_RATE = 200       # STUN and DTLS datagrams a second of one source
    SIGNALLING_BURST = 200
    OLDEST = 1000000000         # ns that a datagram may have waited
    SEEN = 64                   # addresses of a leg that are remembered before they are allowed


cdef bint _consents(Core* core, int local, Received* received, Leg* leg, int64_t now) noexcept nogil:
    """Answer a check on the pair that media takes, if that can be done here."""
    cdef uint8_t[ANSWER] answer
    cdef int length
    if leg.local != local or memcmp(&leg.remote, &received.address, sizeof(Address)) != 0:
        return False
    length = consent_answer(&leg.consent, received.data, received.length, &received.address, answer)
    if length == 0:
        return False
    if consent_affords(&leg.consent, received.data, now):
        leg.consents += 1
        send_now(core.fds[local], &received.address, answer, length)
    else:
        leg.dropped_flood += 1
    return True


cdef void _stun(Core* core, int local, Received* received, AddressKey* key, int64_t now) noexcept nogil:
    """What nobody else can have made, a check with the right integrity or the answer to one of ours, comes through however
    much is sent in the name of its source.
    """
    cdef const uint8_t* username
    cdef int length, colon
    cdef Route* route
    cdef Route* seen
    cdef void* leg = NULL
    cdef bint asked_for = False
    cdef StunClass kind = stun_read(received.data, received.length, &username, &length)
    if kind == STUN_BAD:
        core.dropped_malformed += 1
        return
    seen = table_find(&core.addresses, key, sizeof(AddressKey))
    if kind == STUN_REQUEST:
        colon = stun_split(username, length)
        route = table_find(&core.ufrags, username, colon) if colon > 0 and colon <= KEY else NULL
        if route != NULL:
            leg = route.leg
            if _consents(core, local, received, <Leg*>leg, now):
                return
    else:
        leg = transaction_take(core.transactions, received.data + 8)
        asked_for = leg != NULL
        if leg == NULL and seen != NULL:
            leg = seen.leg
    if leg == NULL:
        core.dropped_stun += 1
        return
    if not asked_for and not source_admits(core.sources, key, now, SIGNALLING_RATE, SIGNALLING_BURST):
        core.dropped_flood += 1
        return
    if seen == NULL and kind == STUN_REQUEST and (<Leg*>leg).seen < SEEN:
        (<Leg*>leg).seen += 1
        table_put(&core.addresses, key, sizeof(AddressKey), leg)
    hand_up(core, EVENT_STUN, <Leg*>leg, local, &received.address, received.data, received.length)


cdef void _hold(Route* route, Received* received) noexcept nogil:
    """Keep a DTLS datagram from an address that is about to be allowed: the peer may be quicker than the check of its
    check.
    """
    cdef int held = 0
    cdef Pending** link = &route.pending
    cdef Pending* pending
    while link[0] != NULL:
        held += 1
        link = &link[0].next
    if held == PENDING:
        return
    pending = <Pending*>malloc(sizeof(Pending))
    if pending != NULL:
        pending.next = NULL
        pending.length = received.length
        memcpy(pending.data, received.data, received.length)
        link[0] = pending


cdef void _dtls(Core* core, int local, Received* received, AddressKey* key, int64_t now) noexcept nogil:
    cdef Route* route = table_find(&core.addresses, key, sizeof(AddressKey))
    if route == NULL:
        core.dropped_unknown += 1
    elif not source_admits(core.sources, key, now, SIGNALLING_RATE, SIGNALLING_BURST):
        core.dropped_flood += 1
    elif route.allowed:
        hand_up(core, EVENT_DTLS, <Leg*>route.leg, local, &received.address, received.data, received.length)
    else:
        _hold(route, received)


cdef Leg* _plain_leg(Core* core, int local, Address* address, uint32_t ssrc) noexcept nogil:
    """A leg without ICE that is known by its SSRC; the first packet says where it is."""
    cdef Route* route = table_find(&core.ssrcs, &ssrc, sizeof(ssrc))
    cdef AddressKey key
    cdef Leg* leg
    if route == NULL:
        return NULL
    leg = <Leg*>route.leg
    if leg.remote.family == 0:
        set_remote(core, leg, local, address)
        key.local = local
        key.address = address[0]
        if table_find(&core.addresses, &key, sizeof(key)) == NULL:
            allow(core, leg, local, address)
        return leg
    return leg if leg.local == local and memcmp(&leg.remote, address, sizeof(Address)) == 0 else NULL


cdef void _media(Core* core, int local, Received* received, AddressKey* key, int64_t now) noexcept nogil:
    cdef Route* route = table_find(&core.addresses, key, sizeof(AddressKey))
    cdef Leg* leg = <Leg*>route.leg if route != NULL and route.allowed else NULL
    cdef bint rtcp
    cdef int64_t stamp
    cdef uint32_t ssrc
    cdef uint64_t taken
    if received.length < 8:
        core.dropped_malformed += 1
        return
    rtcp = 192 <= received.data[1] <= 223     # RFC 5761 section 4
    if core.ssrcs.count and (leg == NULL or (leg.plain and leg.expects)) and (rtcp or received.length >= 12):
        ssrc = get32(received.data + (4 if rtcp else 8))
        if leg == NULL or leg.expected != ssrc:
            leg = _plain_leg(core, local, &received.address, ssrc)
    if leg == NULL:
        core.dropped_unknown += 1
        if route != NULL:
            (<Leg*>route.leg).dropped_unknown += 1
    elif rtcp:
        leg_receive_rtcp(leg, received.data, received.length, now, wall(core, now))
    else:
        stamp = now
        if not core.manual and received.stamp:
            # The kernel's stamps are of the time of day, which may have been set since.
            stamp = max(now - OLDEST, min(now, received.stamp - core.wall_offset))
        taken = leg.received
        leg_pass(leg, core.time)
        leg_receive(leg, received.data, received.length, now, stamp)
        if leg.received != taken:
            group_rouse(&core.graph, leg.node)


cdef void demux_drain(Core* core, int64_t now) noexcept nogil:
    """Take everything that the sockets hold, in bounds."""
    cdef Received received[BATCH]
    cdef AddressKey key
    cdef int local, batch, count, i
    cdef uint8_t first
    for local in range(core.sockets):
        for batch in range(DRAINED):
            count = inbox_receive(core.inbox, core.fds[local], received)
            for i in range(count):
                key.local = local
                key.address = received[i].address
                first = received[i].data[0] if received[i].length > 0 else 0
                if received[i].length < 1:
                    core.dropped_malformed += 1
                elif first < 4:
                    _stun(core, local, &received[i], &key, now)
                elif 20 <= first <= 63:
                    _dtls(core, local, &received[i], &key, now)
                elif 128 <= first <= 191:
                    _media(core, local, &received[i], &key, now)
                else:
                    core.dropped_unknown += 1
            if count < BATCH:
                break
