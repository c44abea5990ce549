"""UDP in batches: recvmmsg with the kernel's arrival times, sendmmsg, and addresses as 24 plain bytes."""
import socket

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.time cimport timespec

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        pass
    struct sockaddr_storage:
        unsigned short ss_family
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        int cmsg_level
        int cmsg_type
    cmsghdr* CMSG_FIRSTHDR(msghdr*)
    cmsghdr* CMSG_NXTHDR(msghdr*, cmsghdr*)
    unsigned char* CMSG_DATA(cmsghdr*)
    int recvmmsg(int, mmsghdr*, unsigned int, int, timespec*)
    int sendmmsg(int, mmsghdr*, unsigned int, int)
    ssize_t sendto(int, const void*, size_t, int, const sockaddr*, socklen_t)
    int AF_INET, AF_INET6, SOL_SOCKET, MSG_DONTWAIT, MSG_TRUNC, MSG_NOSIGNAL
    enum: SO_TIMESTAMPNS

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        pass
    struct in6_addr:
        pass
    struct sockaddr_in:
        unsigned short sin_family
        uint16_t sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        unsigned short sin6_family
        uint16_t sin6_port
        in6_addr sin6_addr
        uint32_t sin6_scope_id
    uint16_t htons(uint16_t)
    uint16_t ntohs(uint16_t)

cdef extern from *:
    """
    #if defined(__SANITIZE_ADDRESS__)
    #define MIXER_SANITIZED 1
    #elif defined(__has_feature)
    #if __has_feature(address_sanitizer)
    #define MIXER_SANITIZED 1
    #endif
    #endif
    #ifdef MIXER_SANITIZED
    #include <sanitizer/asan_interface.h>
    #else
    #define ASAN_POISON_MEMORY_REGION(start, size)
    #define ASAN_UNPOISON_MEMORY_REGION(start, size)
    #endif
    """
    void forbid "ASAN_POISON_MEMORY_REGION"(void* start, size_t size) noexcept nogil
    void permit "ASAN_UNPOISON_MEMORY_REGION"(void* start, size_t size) noexcept nogil

cdef enum:
    CONTROL = 64
    STRIDE = DATAGRAM + 64      # no power of two: the first lines of a batch must not fight for the same cache sets
    RECEIVE_BUFFER = 8 << 20
    SO_RCVBUFFORCE = 33         # Linux's; the socket module does not name it

# Of both, all that is the same in every call is written once.
cdef struct Inbox:
    int used                    # headers that the last call has changed
    mmsghdr headers[BATCH]
    iovec vectors[BATCH]
    sockaddr_storage names[BATCH]
    uint8_t control[BATCH * CONTROL]
    uint8_t data[BATCH * STRIDE]

cdef struct Packets:
    int fd                      # that they are for
    int count
    int end                     # of those that are queued, in data
    mmsghdr headers[BATCH]
    iovec vectors[BATCH]
    sockaddr_storage names[BATCH]
    uint8_t data[BATCH * DATAGRAM]


cdef object open_socket(str host, int port):
    """A bound non-blocking UDP socket with a receive buffer for what comes in a tick."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        try:
            opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            pass        # then it is as large as the system's limit allows
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        opened.setblocking(False)
        opened.bind((host, port))
    except BaseException:
        opened.close()
        raise
    return opened


cdef int address_from(object pair, Address* address) except -1:
    """(ip, port) as numbers only, no names are looked up. ValueError for anything else. ("", 0) is no address."""
    memset(address, 0, sizeof(Address))
    host, port = pair[0], pair[1]
    if not 0 <= port <= 65535:
        raise ValueError(f"port out of range: {port}")
    if host == "" and port == 0:
        return 0
    host, _, scope = host.partition("%")
    cdef bytes packed
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
        address.scope = 0 if not scope else int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
    except OSError as error:
        raise ValueError(f"not an IP address: {pair[0]}") from error
    address.family = AF_INET6 if ":" in host else AF_INET
    address.port = port
    memcpy(address.ip, <const uint8_t*>packed, len(packed))
    return 0


cdef tuple address_to(Address* address):
    cdef bytes packed
    if address.family == AF_INET6:
        packed = (<const char*>address.ip)[:16]
        host = socket.inet_ntop(socket.AF_INET6, packed)
        return (f"{host}%{address.scope}" if address.scope else host, address.port)
    packed = (<const char*>address.ip)[:4]
    return (socket.inet_ntop(socket.AF_INET, packed), address.port)


cdef void _from_name(sockaddr_storage* name, Address* address) noexcept nogil:
    cdef sockaddr_in* four = <sockaddr_in*>name
    cdef sockaddr_in6* six = <sockaddr_in6*>name
    memset(address, 0, sizeof(Address))
    address.family = name.ss_family
    if name.ss_family == AF_INET:
        address.port = ntohs(four.sin_port)
        memcpy(address.ip, &four.sin_addr, 4)
    else:
        address.port = ntohs(six.sin6_port)
        address.scope = six.sin6_scope_id
        memcpy(address.ip, &six.sin6_addr, 16)


cdef socklen_t _to_name(Address* address, sockaddr_storage* name) noexcept nogil:
    cdef sockaddr_in* four = <sockaddr_in*>name
    cdef sockaddr_in6* six = <sockaddr_in6*>name
    if address.family == AF_INET:
        memset(name, 0, sizeof(sockaddr_in))
        four.sin_family = AF_INET
        four.sin_port = htons(address.port)
        memcpy(&four.sin_addr, address.ip, 4)
        return sizeof(sockaddr_in)
    memset(name, 0, sizeof(sockaddr_in6))
    six.sin6_family = AF_INET6
    six.sin6_port = htons(address.port)
    six.sin6_scope_id = address.scope
    memcpy(&six.sin6_addr, address.ip, 16)
    return sizeof(sockaddr_in6)


cdef Inbox* inbox_new() noexcept nogil:
    cdef int i
    cdef Inbox* inbox = <Inbox*>calloc(1, sizeof(Inbox))
    if inbox == NULL:
        return NULL
    for i in range(BATCH):
        inbox.vectors[i].iov_base = inbox.data + i * STRIDE
        inbox.vectors[i].iov_len = DATAGRAM
        inbox.headers[i].msg_hdr.msg_name = &inbox.names[i]
        inbox.headers[i].msg_hdr.msg_iov = &inbox.vectors[i]
        inbox.headers[i].msg_hdr.msg_iovlen = 1
        inbox.headers[i].msg_hdr.msg_control = inbox.control + i * CONTROL
    inbox.used = BATCH
    return inbox


cdef void inbox_free(Inbox* inbox) noexcept nogil:
    free(inbox)


cdef int inbox_receive(Inbox* inbox, int fd, Received* received) noexcept nogil:
    """Up to BATCH datagrams of a socket without waiting; those that are too long come with length -1."""
    cdef int i, count, length
    cdef timespec stamp
    cdef cmsghdr* control
    permit(inbox.data, sizeof(inbox.data))
    for i in range(inbox.used):
        inbox.headers[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage)
        inbox.headers[i].msg_hdr.msg_controllen = CONTROL
        inbox.headers[i].msg_hdr.msg_flags = 0
    count = recvmmsg(fd, inbox.headers, BATCH, MSG_DONTWAIT, NULL)
    inbox.used = min(BATCH, max(0, count) + 1)      # and the one that it may have begun
    for i in range(count):
        length = -1 if inbox.headers[i].msg_hdr.msg_flags & MSG_TRUNC else <int>inbox.headers[i].msg_len
        received[i].data = inbox.data + i * STRIDE
        received[i].length = length
        forbid(received[i].data + max(0, length), STRIDE - max(0, length))     # for the sanitizer, where it watches
        received[i].stamp = 0
        _from_name(&inbox.names[i], &received[i].address)
        control = CMSG_FIRSTHDR(&inbox.headers[i].msg_hdr)
        while control != NULL:
            if control.cmsg_level == SOL_SOCKET and control.cmsg_type == SO_TIMESTAMPNS:
                memcpy(&stamp, CMSG_DATA(control), sizeof(timespec))
                received[i].stamp = <int64_t>stamp.tv_sec * 1000000000 + stamp.tv_nsec
            control = CMSG_NXTHDR(&inbox.headers[i].msg_hdr, control)
    return count


cdef Packets* _packets_new() noexcept nogil:
    cdef int i
    cdef Packets* packets = <Packets*>calloc(1, sizeof(Packets))
    if packets == NULL:
        return NULL
    for i in range(BATCH):
        packets.headers[i].msg_hdr.msg_name = &packets.names[i]
        packets.headers[i].msg_hdr.msg_iov = &packets.vectors[i]
        packets.headers[i].msg_hdr.msg_iovlen = 1
    return packets


cdef Outbox* outbox_new(int sockets) noexcept nogil:
    cdef int i
    cdef Outbox* outbox = <Outbox*>calloc(1, sizeof(Outbox))
    if outbox == NULL:
        return NULL
    outbox.packets = <Packets**>calloc(sockets, sizeof(Packets*))
    if outbox.packets == NULL:
        free(outbox)
        return NULL
    outbox.sockets = sockets
    for i in range(sockets):
        outbox.packets[i] = _packets_new()
        if outbox.packets[i] == NULL:
            outbox_free(outbox)
            return NULL
    return outbox


cdef void outbox_free(Outbox* outbox) noexcept nogil:
    cdef int i
    if outbox != NULL:
        for i in range(outbox.sockets):
            free(outbox.packets[i])
        free(outbox.packets)
        free(outbox)


cdef uint8_t* outbox_room(Outbox* outbox, int local) noexcept nogil:
    """Where the next packet of a socket may be written: DATAGRAM bytes, of which the last SLACK are for SRTP."""
    cdef Packets* packets = outbox.packets[local]
    if packets.count == BATCH or packets.end > (BATCH - 1) * DATAGRAM:
        _flush(packets, &outbox.failed)
    return packets.data + packets.end


cdef void outbox_put(Outbox* outbox, int local, int fd, Address* address, int length) noexcept nogil:
    """Queue the packet that was written at outbox_room()."""
    cdef Packets* packets = outbox.packets[local]
    cdef int i = packets.count
    packets.fd = fd
    packets.vectors[i].iov_base = packets.data + packets.end
    packets.vectors[i].iov_len = length
    packets.headers[i].msg_hdr.msg_namelen = _to_name(address, &packets.names[i])
    packets.end += (length + 63) & ~63      # close together, each in cache lines of its own
    packets.count += 1


cdef void _flush(Packets* packets, uint64_t* failed) noexcept nogil:
    cdef int done = 0
    cdef int sent
    while done < packets.count:
        sent = sendmmsg(packets.fd, packets.headers + done, packets.count - done, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent <= 0:
            failed[0] += 1
            sent = 1
        done += sent
    packets.count = packets.end = 0


cdef void outbox_flush(Outbox* outbox) noexcept nogil:
    """Send what is queued. A packet that the kernel refuses is counted and skipped; there is no second try for sound.
    """
    cdef int i
    for i in range(outbox.sockets):
        if outbox.packets[i].count:
            _flush(outbox.packets[i], &outbox.failed)


cdef int send_now(int fd, Address* address, const uint8_t* data, int length) noexcept nogil:
    cdef sockaddr_storage name
    cdef socklen_t size = _to_name(address, &name)
    return <int>sendto(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, <sockaddr*>&name, size)
