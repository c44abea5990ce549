# Addresses, and datagrams in and out in batches.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    DATAGRAM = 2048     # the longest datagram taken; longer ones are truncated by the kernel and dropped
    BATCH = 64
    SLACK = 160         # room behind an outgoing packet for what SRTP appends

# No padding inside: it is compared and hashed as bytes.
cdef struct Address:
    uint16_t family     # AF_INET or AF_INET6, 0: none
    uint16_t port       # host order
    uint32_t scope
    uint8_t ip[16]

cdef struct Received:
    uint8_t* data
    int length
    Address address
    int64_t stamp       # of the kernel, ns of CLOCK_REALTIME, 0: none

cdef struct Inbox       # opaque: recvmmsg's structures
cdef struct Packets     # opaque: sendmmsg's structures, of a socket

cdef struct Outbox:
    Packets** packets   # by socket
    int sockets
    uint64_t failed     # packets that the kernel refused

cdef object open_socket(str host, int port)
cdef int address_from(object pair, Address* address) except -1
cdef tuple address_to(Address* address)

cdef Inbox* inbox_new() noexcept nogil
cdef void inbox_free(Inbox* inbox) noexcept nogil
cdef int inbox_receive(Inbox* inbox, int fd, Received* received) noexcept nogil

cdef Outbox* outbox_new(int sockets) noexcept nogil
cdef void outbox_free(Outbox* outbox) noexcept nogil
cdef uint8_t* outbox_room(Outbox* outbox, int local) noexcept nogil
cdef void outbox_put(Outbox* outbox, int local, int fd, Address* address, int length) noexcept nogil
cdef void outbox_flush(Outbox* outbox) noexcept nogil
cdef int send_now(int fd, Address* address, const uint8_t* data, int length) noexcept nogil
