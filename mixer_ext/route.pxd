# Where a datagram belongs: tables from ufrags, addresses, SSRCs and STUN transactions to legs; limits per source.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from mixer_ext.net cimport Address

cdef enum:
    KEY = 256           # the longest ufrag (RFC 8839 section 5.4)
    PENDING = 4
    TRANSACTIONS = 8192
    SOURCES = 4096

cdef struct Pending:
    Pending* next
    int length
    uint8_t data[2048]

cdef struct Route:
    Route* next
    uint64_t hash
    void* leg
    bint allowed
    Pending* pending    # DTLS that came before the address was allowed
    int length
    uint8_t key[KEY]

cdef struct RouteTable:
    uint64_t seed
    Route** buckets
    uint32_t mask
    uint32_t count

cdef struct AddressKey:
    int32_t local
    Address address

cdef struct Transaction:
    void* leg
    uint8_t id[12]

cdef struct Transactions:
    uint64_t seed
    Transaction entries[TRANSACTIONS]

cdef struct Source:
    uint64_t hash
    int64_t last
    double tokens

cdef struct Sources:
    uint64_t seed
    Source entries[SOURCES]

cdef bint table_init(RouteTable* table, uint64_t seed) noexcept nogil
cdef void table_free(RouteTable* table) noexcept nogil
cdef Route* table_find(RouteTable* table, const void* key, int length) noexcept nogil
cdef Route* table_put(RouteTable* table, const void* key, int length, void* leg) noexcept nogil
cdef void table_forget(RouteTable* table, void* leg) noexcept nogil
cdef void pending_free(Route* route) noexcept nogil

cdef void transaction_put(Transactions* table, const uint8_t* id, void* leg) noexcept nogil
cdef void* transaction_take(Transactions* table, const uint8_t* id) noexcept nogil
cdef void transaction_forget(Transactions* table, void* leg) noexcept nogil

cdef bint source_admits(Sources* sources, AddressKey* key, int64_t now, double rate, double burst) noexcept nogil

cdef enum StunClass:
    STUN_BAD
    STUN_REQUEST
    STUN_OTHER

cdef StunClass stun_read(const uint8_t* data, int length, const uint8_t** username, int* name_length) noexcept nogil
cdef int stun_split(const uint8_t* username, int length) noexcept nogil
