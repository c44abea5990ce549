"""The plane without Python: commands between ticks, demultiplexing (RFC 7983), the tick, the thread.

One thread owns everything in Core but the ends of the rings and stacks that Python holds. Python hands commands over on a lock-free stack and gets
them back, carrying what they replaced, on another; so neither ever waits for the other, and nothing here touches a Python object.
"""
from libc.stdint cimport int16_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset
from posix.time cimport (
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    clock_gettime,
    itimerspec,
    timespec,
)
from posix.unistd cimport close, read, write

from mixer_ext.codec cimport FRAME
from mixer_ext.graph cimport (
    graph_add,
    graph_free,
    graph_join,
    graph_mix,
    graph_remove,
    graph_unjoin,
)
from mixer_ext.leg cimport (
    leg_listen,
    leg_receive,
    leg_receive_rtcp,
    leg_report,
    leg_speak,
)
from mixer_ext.mix cimport mix_saturate
from mixer_ext.net cimport (
    BATCH,
    Received,
    inbox_free,
    inbox_new,
    inbox_receive,
    outbox_flush,
    outbox_free,
    outbox_new,
)
from mixer_ext.ring cimport (
    EVENT_DTLS,
    EVENT_STUN,
    Event,
    EventKind,
    events_free,
    events_init,
    events_put,
    exchange_pointer,
    load,
    load_pointer,
    replace_pointer,
    ring_write,
)
from mixer_ext.route cimport (
    PENDING,
    STUN_BAD,
    STUN_REQUEST,
    AddressKey,
    Pending,
    Route,
    StunClass,
    pending_free,
    source_admits,
    stun_read,
    stun_split,
    table_find,
    table_forget,
    table_free,
    table_init,
    table_put,
    transaction_find,
    transaction_forget,
    transaction_put,
)

cdef extern from "<sys/timerfd.h>" nogil:
    int timerfd_create(int, int)
    int timerfd_settime(int, int, const itimerspec*, itimerspec*)
    enum: TFD_TIMER_ABSTIME, TFD_NONBLOCK, TFD_CLOEXEC

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int, int)
    enum: EFD_NONBLOCK, EFD_CLOEXEC

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd*, unsigned long, int)
    enum: POLLIN

cdef enum:
    EVENT_BYTES = 1 << 20
    DRAINED = 64                # batches of a socket in one go, so that a flood does not keep the tick waiting
    SIGNALLING_RATE = 200       # STUN and DTLS datagrams a second of one source
    SIGNALLING_BURST = 200
    SEEN = 64                   # addresses of a leg that are remembered before they are allowed
    TO_NTP = 2208988800         # seconds from 1900 to 1970


cdef int64_t _clock(int which) noexcept nogil:
    cdef timespec now
    clock_gettime(which, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef int64_t core_now() noexcept nogil:
    return _clock(CLOCK_MONOTONIC)


cdef bint core_init(Core* core, int sockets, uint64_t random) noexcept nogil:
    """False when something cannot be had; core_free then tidies up."""
    memset(core, 0, sizeof(Core))
    core.sockets = sockets
    core.random = random | 1
    core.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
    core.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
    core.fds = <int*>calloc(sockets, sizeof(int))
    core.bound = <Address*>calloc(sockets, sizeof(Address))
    core.inbox = inbox_new()
    core.outbox = outbox_new()
    core.transactions = <Transactions*>calloc(1, sizeof(Transactions))
    core.sources = <Sources*>calloc(1, sizeof(Sources))
    if core.fds == NULL or core.bound == NULL or core.inbox == NULL or core.outbox == NULL or core.transactions == NULL or core.sources == NULL:
        return False
    core.transactions.seed = core.sources.seed = random
    core.wall_offset = _clock(CLOCK_REALTIME) - _clock(CLOCK_MONOTONIC)
    return (
        core.event_fd >= 0
        and core.wake_fd >= 0
        and events_init(&core.events, EVENT_BYTES)
        and table_init(&core.addresses, random)
        and table_init(&core.ufrags, random)
        and table_init(&core.ssrcs, random)
    )


cdef void core_free(Core* core) noexcept nogil:
    """Free what Core owns; nodes, taps and commands are the caller's."""
    if core.event_fd >= 0:
        close(core.event_fd)
    if core.wake_fd >= 0:
        close(core.wake_fd)
    table_free(&core.addresses)
    table_free(&core.ufrags)
    table_free(&core.ssrcs)
    events_free(&core.events)
    graph_free(&core.graph)
    inbox_free(core.inbox)
    outbox_free(core.outbox)
    free(core.transactions)
    free(core.sources)
    free(core.fds)
    free(core.bound)


cdef void _stack(void** stack, Command* command) noexcept nogil:
    cdef void* head = load_pointer(stack)
    while True:
        command.next = <Command*>head
        if replace_pointer(stack, &head, command):
            return


cdef void core_push(Core* core, Command* command) noexcept nogil:
    """Give a command to the plane; it is applied before the next datagram or tick."""
    _stack(&core.commands, command)
    core_wake(core)


cdef void core_wake(Core* core) noexcept nogil:
    cdef uint64_t one = 1
    write(core.wake_fd, &one, sizeof(one))


cdef void core_notify(Core* core) noexcept nogil:
    """Make event_fd readable if there is something that Python has not been told of."""
    cdef uint64_t one = 1
    if core.events.head != core.notified:
        core.notified = core.events.head
        write(core.event_fd, &one, sizeof(one))


cdef double _random(Core* core) noexcept nogil:
    """0 to 1, for timers only."""
    core.random ^= core.random << 13
    core.random ^= core.random >> 7
    core.random ^= core.random << 17
    return <double>(core.random >> 11) / 9007199254740992.0


cdef int64_t _wall(Core* core, int64_t now) noexcept nogil:
    """NTP time in 2^-32 s."""
    cdef int64_t wall = now + core.wall_offset
    cdef uint64_t seconds = <uint64_t>(wall // 1000000000 + TO_NTP)
    return <int64_t>((seconds << 32) | ((<uint64_t>(wall % 1000000000) << 32) // 1000000000))


cdef void _hand_up(Core* core, EventKind kind, Leg* leg, int local, Address* address, const uint8_t* data, int length) noexcept nogil:
    cdef Event event
    memset(&event, 0, sizeof(event))
    event.kind = kind
    event.leg = leg.id
    event.local = local
    event.address = address[0]
    event.length = length
    events_put(&core.events, &event, data)


# commands

cdef void _add(Core* core, Command* command) noexcept nogil:
    if not graph_add(&core.graph, command.a):
        return      # out of memory: the node exists for Python and does nothing
    if command.leg != NULL:
        table_put(&core.ufrags, command.key, command.key_length, command.leg)
        core.unkeyed += 1


cdef bint _keyed(Leg* leg) noexcept nogil:
    return leg.plain or leg.inbound != NULL


cdef void _remove(Core* core, Command* command, int64_t now) noexcept nogil:
    cdef Tap* tap = command.a.taps
    cdef Leg* leg = command.leg
    if leg != NULL:
        leg_report(leg, core.outbox, now, _wall(core, now), 0.0, True)
        outbox_flush(core.outbox)
        core.unkeyed -= 0 if _keyed(leg) else 1
        table_forget(&core.addresses, leg)
        table_forget(&core.ufrags, leg)
        table_forget(&core.ssrcs, leg)
        transaction_forget(core.transactions, leg)
    while tap != NULL:
        tap.node = NULL
        tap = tap.next
    command.a.taps = NULL
    if command.a.index < core.graph.count and core.graph.nodes[command.a.index] == command.a:
        graph_remove(&core.graph, command.a)


cdef void _set_format(Command* command) noexcept nogil:
    cdef Format old = command.leg.format
    command.leg.format = command.format
    command.leg.restart = False
    command.format = old


cdef void _set_keys(Core* core, Command* command) noexcept nogil:
    cdef Leg* leg = command.leg
    cdef Secure* inbound = leg.inbound
    cdef Secure* outbound = leg.outbound
    core.unkeyed -= 0 if _keyed(leg) else 1
    leg.inbound = command.inbound
    leg.outbound = command.outbound
    leg.plain = False
    command.inbound = inbound
    command.outbound = outbound


cdef Route* _allow(Core* core, Leg* leg, int local, Address* address) noexcept nogil:
    cdef AddressKey key
    cdef Route* route
    key.local = local
    key.address = address[0]
    route = table_put(&core.addresses, &key, sizeof(key), leg)
    if route != NULL:
        route.allowed = True
    return route


cdef void _allow_and_release(Core* core, Command* command) noexcept nogil:
    cdef Route* route = _allow(core, command.leg, command.local, &command.address)
    cdef Pending* pending
    if route != NULL:
        pending = route.pending
        while pending != NULL:
            _hand_up(core, EVENT_DTLS, command.leg, command.local, &command.address, pending.data, pending.length)
            pending = pending.next
        pending_free(route)


cdef void _set_remote(Core* core, Leg* leg, int local, Address* address) noexcept nogil:
    leg.local = local
    leg.remote = address[0]
    leg.fd = core.fds[local]


cdef void _set_plain(Core* core, Command* command) noexcept nogil:
    cdef Leg* leg = command.leg
    cdef int i
    core.unkeyed -= 0 if _keyed(leg) else 1
    leg.plain = True
    leg.expects = command.expects
    leg.expected = command.ssrc
    if command.expects:
        table_put(&core.ssrcs, &command.ssrc, sizeof(uint32_t), leg)
    if command.address.family:
        for i in range(core.sockets - 1, -1, -1):
            if core.bound[i].family == command.address.family:
                _allow(core, leg, i, &command.address)
                _set_remote(core, leg, i, &command.address)


cdef void _close_tap(Command* command) noexcept nogil:
    cdef Tap** link
    if command.tap.node != NULL:
        link = &command.tap.node.taps
        while link[0] != NULL and link[0] != command.tap:
            link = &link[0].next
        if link[0] != NULL:
            link[0] = command.tap.next


cdef void _apply(Core* core, Command* command, int64_t now) noexcept nogil:
    cdef int kind = command.kind
    if kind == ADD_NODE:
        _add(core, command)
    elif kind == REMOVE_NODE:
        _remove(core, command, now)
    elif kind == JOIN:
        graph_join(&core.graph, command.a, command.b, command.a_to_b, command.b_to_a)
    elif kind == UNJOIN:
        graph_unjoin(&core.graph, command.a, command.b)
    elif kind == SET_FORMAT:
        _set_format(command)
    elif kind == SET_KEYS:
        _set_keys(core, command)
    elif kind == SET_PLAIN:
        _set_plain(core, command)
    elif kind == SET_REMOTE:
        _set_remote(core, command.leg, command.local, &command.address)
    elif kind == ALLOW:
        _allow_and_release(core, command)
    elif kind == SET_MUTE:
        command.leg.muted = command.a_to_b
    elif kind == SET_SEND:
        command.leg.sends = command.a_to_b
    elif kind == SET_PLAY:
        command.a.play = command.ring
    elif kind == OPEN_TAP:
        command.tap.node = command.a
        command.tap.next = command.a.taps
        command.a.taps = command.tap
    elif kind == CLOSE_TAP:
        _close_tap(command)
    elif kind == EXPECT_RESPONSE:
        transaction_put(core.transactions, command.key, command.leg)


cdef void core_apply(Core* core, int64_t now) noexcept nogil:
    """Apply what has been pushed, in order."""
    cdef Command* command = <Command*>exchange_pointer(&core.commands, NULL)
    cdef Command* ordered = NULL
    cdef Command* following
    while command != NULL:
        following = command.next
        command.next = ordered
        ordered = command
        command = following
    while ordered != NULL:
        following = ordered.next
        _apply(core, ordered, now)
        _stack(&core.done, ordered)
        ordered = following


# datagrams

cdef void _stun(Core* core, int local, Received* received, AddressKey* key, int64_t now) noexcept nogil:
    cdef const uint8_t* username
    cdef int length, colon
    cdef Route* route
    cdef Route* seen
    cdef void* leg = NULL
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
    else:
        leg = transaction_find(core.transactions, received.data + 8)
        if leg == NULL and seen != NULL:
            leg = seen.leg
    if leg == NULL:
        core.dropped_stun += 1
        return
    if not source_admits(core.sources, key, now, SIGNALLING_RATE, SIGNALLING_BURST):
        core.dropped_flood += 1
        return
    if seen == NULL and kind == STUN_REQUEST and (<Leg*>leg).seen < SEEN:
        (<Leg*>leg).seen += 1
        table_put(&core.addresses, key, sizeof(AddressKey), leg)
    _hand_up(core, EVENT_STUN, <Leg*>leg, local, &received.address, received.data, received.length)


cdef void _hold(Route* route, Received* received) noexcept nogil:
    """Keep a DTLS datagram from an address that is about to be allowed: the peer may be quicker than the check of its check."""
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
        _hand_up(core, EVENT_DTLS, <Leg*>route.leg, local, &received.address, received.data, received.length)
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
        _set_remote(core, leg, local, address)
        key.local = local
        key.address = address[0]
        if table_find(&core.addresses, &key, sizeof(key)) == NULL:
            _allow(core, leg, local, address)
        return leg
    return leg if leg.local == local and memcmp(&leg.remote, address, sizeof(Address)) == 0 else NULL


cdef void _media(Core* core, int local, Received* received, AddressKey* key, int64_t now) noexcept nogil:
    cdef Route* route = table_find(&core.addresses, key, sizeof(AddressKey))
    cdef Leg* leg = <Leg*>route.leg if route != NULL and route.allowed else NULL
    cdef uint8_t* data = received.data
    cdef bint rtcp
    cdef int64_t stamp
    cdef uint32_t ssrc
    if received.length < 8:
        core.dropped_malformed += 1
        return
    rtcp = 192 <= data[1] <= 223     # RFC 5761 section 4
    if core.ssrcs.count and (leg == NULL or (leg.plain and leg.expects)) and (rtcp or received.length >= 12):
        data = received.data + (4 if rtcp else 8)
        ssrc = (<uint32_t>data[0] << 24) | (<uint32_t>data[1] << 16) | (<uint32_t>data[2] << 8) | data[3]
        if leg == NULL or leg.expected != ssrc:
            leg = _plain_leg(core, local, &received.address, ssrc)
    if leg == NULL:
        core.dropped_unknown += 1
        if route != NULL:
            (<Leg*>route.leg).dropped_unknown += 1
    elif rtcp:
        leg_receive_rtcp(leg, received.data, received.length, now, _wall(core, now))
    else:
        stamp = now + core.wall_offset if core.manual or received.stamp == 0 else received.stamp
        leg_receive(leg, received.data, received.length, now, stamp, &core.events)


cdef void core_drain(Core* core, int64_t now) noexcept nogil:
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
                first = received[i].data[0]
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


# the tick

cdef void _feed_taps(Node* mixer) noexcept nogil:
    cdef int16_t frame[FRAME]
    cdef Tap* tap = mixer.taps
    if tap != NULL:
        mix_saturate(mixer.total, frame)
    while tap != NULL:
        ring_write(tap.ring, frame, FRAME)
        tap = tap.next


cdef void core_tick(Core* core, int64_t now, int skipped) noexcept nogil:
    """20 ms of everything: each leg says its frame, the mixes are made, each leg is sent what it hears."""
    cdef int i
    cdef Node* node
    cdef int64_t wall = _wall(core, now)
    core.ticks += 1
    for i in range(core.graph.count):
        node = core.graph.nodes[i]
        if not node.is_mixer:
            leg_listen(<Leg*>node.owner, &core.events)
    graph_mix(&core.graph)
    for i in range(core.graph.count):
        node = core.graph.nodes[i]
        if node.is_mixer:
            _feed_taps(node)
        else:
            leg_speak(<Leg*>node.owner, core.outbox, skipped)
            leg_report(<Leg*>node.owner, core.outbox, now, wall, _random(core), False)
    outbox_flush(core.outbox)


cdef void core_goodbye(Core* core, int64_t now) noexcept nogil:
    """Tell every peer that this is the end; nothing is sent after it."""
    cdef int i
    cdef Leg* leg
    for i in range(core.graph.count):
        if not core.graph.nodes[i].is_mixer:
            leg = <Leg*>core.graph.nodes[i].owner
            leg_report(leg, core.outbox, now, _wall(core, now), 0.0, True)
            leg.fd = -1
    outbox_flush(core.outbox)
    for i in range(core.sockets):
        core.fds[i] = -1


cdef void _catch_up(Core* core, uint64_t due, int64_t scheduled, int64_t now) noexcept nogil:
    """Do the ticks that are due. Of those that were missed at most CAUGHT_UP are made up, the rest is left out of everybody's time."""
    cdef uint64_t ticks = min(due, <uint64_t>(CAUGHT_UP + 1))
    cdef int skipped = <int>min(due - ticks, <uint64_t>1000000)
    cdef uint64_t i
    core.missed_ticks += due - 1
    core.skipped_ticks += due - ticks
    core.late_max = max(core.late_max, now - scheduled)
    for i in range(ticks):
        core_tick(core, now, skipped if i == 0 else 0)


cdef void core_run(Core* core) noexcept nogil:
    """The thread: until stopping is set. It sleeps through a tick and then takes what has come at once; only while legs wait for their keys does it
    wake for datagrams too."""
    cdef pollfd* fds = <pollfd*>calloc(core.sockets + 2, sizeof(pollfd))
    cdef int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
    cdef itimerspec spec
    cdef int64_t now = core_now()
    cdef int64_t start = now + TICK
    cdef uint64_t due, woken
    cdef uint64_t past = 0
    cdef int i
    if fds == NULL or timer < 0:
        free(fds)
        if timer >= 0:
            close(timer)
        return
    spec.it_value.tv_sec = start // 1000000000
    spec.it_value.tv_nsec = start % 1000000000
    spec.it_interval.tv_sec = 0
    spec.it_interval.tv_nsec = TICK
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL)
    fds[0].fd = timer
    fds[1].fd = core.wake_fd
    for i in range(core.sockets):
        fds[i + 2].fd = core.fds[i]
    for i in range(core.sockets + 2):
        fds[i].events = POLLIN
    while not load(&core.stopping):
        poll(fds, 2 + (core.sockets if core.unkeyed else 0), -1)
        now = core_now()
        read(core.wake_fd, &woken, sizeof(woken))
        core_apply(core, now)
        core_drain(core, now)
        if read(timer, &due, sizeof(due)) == sizeof(due) and due:
            past += due
            _catch_up(core, due, start + <int64_t>(past - due) * TICK, now)
        core_notify(core)
    core_apply(core, now)
    close(timer)
    free(fds)
