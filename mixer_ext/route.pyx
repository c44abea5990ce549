"""Where a datagram belongs.

A STUN request is known by the local ufrag, the first half of its USERNAME (RFC 8445 section 7.2.2); a STUN response by
the transaction that we began; everything else by the address it comes from. Sources that send too much of what costs
Python are limited by a token bucket each.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from mixer_ext.octets cimport get16, get32

cdef uint32_t MAGIC_COOKIE = 0x2112A442       # RFC 8489 section 5


cdef uint64_t _hash(uint64_t seed, const uint8_t* key, int length) noexcept nogil:
    """FNV-1a with a random start and a finish: keys come from strangers."""
    cdef int i
    cdef uint64_t value = seed ^ 0xCBF29CE484222325ULL
    for i in range(length):
        value = (value ^ key[i]) * 0x100000001B3ULL
    value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCDULL
    return value ^ (value >> 33)


cdef bint table_init(RouteTable* table, uint64_t seed) noexcept nogil:
    table.seed = seed
    table.count = 0
    table.mask = 255
    table.buckets = <Route**>calloc(256, sizeof(Route*))
    return table.buckets != NULL


cdef void pending_free(Route* route) noexcept nogil:
    cdef Pending* pending
    while route.pending != NULL:
        pending = route.pending
        route.pending = pending.next
        free(pending)


cdef void table_free(RouteTable* table) noexcept nogil:
    cdef uint32_t i
    cdef Route* route
    if table.buckets == NULL:
        return
    for i in range(table.mask + 1):
        while table.buckets[i] != NULL:
            route = table.buckets[i]
            table.buckets[i] = route.next
            pending_free(route)
            free(route)
    free(table.buckets)
    table.buckets = NULL


cdef Route* table_find(RouteTable* table, const void* key, int length) noexcept nogil:
    cdef uint64_t hash = _hash(table.seed, <const uint8_t*>key, length)
    cdef Route* route = table.buckets[hash & table.mask]
    while route != NULL:
        if route.hash == hash and route.length == length and memcmp(route.key, key, length) == 0:
            return route
        route = route.next
    return NULL


cdef void _grow(RouteTable* table) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t mask = table.mask * 2 + 1
    cdef Route* route
    cdef Route** buckets = <Route**>calloc(<size_t>mask + 1, sizeof(Route*))
    if buckets == NULL:
        return      # longer chains, then
    for i in range(table.mask + 1):
        while table.buckets[i] != NULL:
            route = table.buckets[i]
            table.buckets[i] = route.next
            route.next = buckets[route.hash & mask]
            buckets[route.hash & mask] = route
    free(table.buckets)
    table.buckets = buckets
    table.mask = mask


cdef Route* table_put(RouteTable* table, const void* key, int length, void* leg) noexcept nogil:
    """The route of a key, made if it is new, pointed to this leg; NULL when there is no memory or the key is longer
    than KEY.
    """
    cdef Route* route = table_find(table, key, length)
    if route == NULL:
        if length > KEY:
            return NULL
        if table.count > table.mask:
            _grow(table)
        route = <Route*>calloc(1, sizeof(Route))
        if route == NULL:
            return NULL
        route.hash = _hash(table.seed, <const uint8_t*>key, length)
        route.length = length
        memcpy(route.key, key, length)
        route.next = table.buckets[route.hash & table.mask]
        table.buckets[route.hash & table.mask] = route
        table.count += 1
    route.leg = leg
    return route


cdef void table_forget(RouteTable* table, void* leg) noexcept nogil:
    """Remove every route of a leg."""
    cdef uint32_t i
    cdef Route** link
    cdef Route* route
    for i in range(table.mask + 1):
        link = &table.buckets[i]
        while link[0] != NULL:
            route = link[0]
            if route.leg == leg:
                link[0] = route.next
                pending_free(route)
                free(route)
                table.count -= 1
            else:
                link = &route.next


cdef Transaction* _transaction(Transactions* table, const uint8_t* id) noexcept nogil:
    return &table.entries[_hash(table.seed, id, 12) % TRANSACTIONS]


cdef void transaction_put(Transactions* table, const uint8_t* id, void* leg) noexcept nogil:
    """Remember a STUN request that is going out. One forgotten for another's sake goes without its answer: a check of
    ICE is sent again, and remembered again, and one of consent is followed by others long before consent is gone.
    """
    cdef Transaction* entry = _transaction(table, id)
    memcpy(entry.id, id, 12)
    entry.leg = leg


cdef void* transaction_take(Transactions* table, const uint8_t* id) noexcept nogil:
    """Whose request this answers, once: who has answered can no longer send under this number. NULL: nobody's."""
    cdef Transaction* entry = _transaction(table, id)
    cdef void* leg = entry.leg
    if leg == NULL or memcmp(entry.id, id, 12) != 0:
        return NULL
    entry.leg = NULL
    return leg


cdef void transaction_forget(Transactions* table, void* leg) noexcept nogil:
    cdef int i
    for i in range(TRANSACTIONS):
        if table.entries[i].leg == leg:
            table.entries[i].leg = NULL


cdef bint source_admits(Sources* sources, AddressKey* key, int64_t now, double rate, double burst) noexcept nogil:
    """Whether a source may have one more datagram looked at now: rate a second, burst at once. Two sources that meet in
    one entry only gain.
    """
    cdef uint64_t hash = _hash(sources.seed, <const uint8_t*>key, sizeof(AddressKey))
    cdef Source* source = &sources.entries[hash % SOURCES]
    if source.hash != hash:
        source.hash = hash
        source.tokens = burst
        source.last = now
    source.tokens = min(burst, source.tokens + (now - source.last) * 1e-9 * rate)
    source.last = now
    if source.tokens < 1:
        return False
    source.tokens -= 1
    return True


cdef StunClass stun_read(const uint8_t* data, int length, const uint8_t** username, int* name_length) noexcept nogil:
    """A STUN message's class (RFC 8489 section 5) and its USERNAME, NULL without one. Not authenticated: that is the
    ICE agent's work.
    """
    cdef int at = 20
    cdef int kind, size
    username[0] = NULL
    name_length[0] = 0
    if length < 20 or data[0] >= 4 or get32(data + 4) != MAGIC_COOKIE:
        return STUN_BAD
    if get16(data + 2) != length - 20 or length & 3:
        return STUN_BAD
    while at + 4 <= length:
        kind = get16(data + at)
        size = get16(data + at + 2)
        at += 4
        if size > length - at:
            return STUN_BAD
        if kind == 6 and username[0] == NULL:
            username[0] = data + at
            name_length[0] = size
        at += (size + 3) & ~3
    return STUN_REQUEST if data[0] == 0 and data[1] == 1 else STUN_OTHER


cdef int stun_split(const uint8_t* username, int length) noexcept nogil:
    """Where the colon between the receiver's and the sender's ufrag is; -1 without one."""
    cdef int i
    for i in range(length):
        if username[i] == 58:
            return i
    return -1
