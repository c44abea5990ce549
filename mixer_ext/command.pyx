"""Commands: changes that Python asks for and the plane makes between two ticks, in order.

They are handed over on a lock-free stack, and come back on another carrying what they replaced, for Python to free;
neither side ever waits.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from posix.unistd cimport write

from mixer_ext.audience cimport audience_leave
from mixer_ext.consent cimport consent_set
from mixer_ext.gain cimport gain_set
from mixer_ext.graph cimport graph_add, graph_join, graph_leave, graph_remove, graph_unjoin
from mixer_ext.group cimport group_rouse
from mixer_ext.leg cimport leg_pass
from mixer_ext.net cimport outbox_flush
from mixer_ext.ring cimport EVENT_DTLS, exchange_pointer, load_pointer, replace_pointer
from mixer_ext.route cimport (
    AddressKey,
    Pending,
    Route,
    pending_free,
    table_find,
    table_forget,
    table_put,
    transaction_forget,
    transaction_put,
)
from mixer_ext.sender cimport leg_hurry, leg_report
from mixer_ext.state cimport hand_up, wall
from mixer_ext.stream cimport stream_pin, stream_reset


cdef void _stack(void** stack, Command* command) noexcept nogil:
    cdef void* head = load_pointer(stack)
    while True:
        command.next = <Command*>head
        if replace_pointer(stack, &head, command):
            return


cdef void command_push(Core* core, Command* command) noexcept nogil:
    """Give a command to the plane; it is applied before the next datagram or tick."""
    _stack(&core.commands, command)
    wake(core)


cdef void wake(Core* core) noexcept nogil:
    cdef uint64_t one = 1
    write(core.wake_fd, &one, sizeof(one))


cdef void _add(Core* core, Command* command) noexcept nogil:
    if not graph_add(&core.graph, command.a):
        return      # out of memory: the node exists for Python and does nothing
    if command.leg != NULL:
        table_put(&core.ufrags, command.key, command.key_length, command.leg)
        core.unkeyed += 1
        core.legs += 1
        command.leg.time = command.leg.sent_at = core.time


cdef bint _keyed(Leg* leg) noexcept nogil:
    return leg.plain or leg.inbound != NULL


cdef void _orphan(Tap** row) noexcept nogil:
    cdef Tap* tap = row[0]
    while tap != NULL:
        tap.node = NULL
        tap = tap.next
    row[0] = NULL


cdef void _remove(Core* core, Command* command, int64_t now) noexcept nogil:
    cdef Leg* leg = command.leg
    if leg != NULL:
        core.legs -= 1
        leg_pass(leg, core.time)
        leg_report(leg, core.outbox, now, wall(core, now), 0.0, True)
        outbox_flush(core.outbox)
        core.unkeyed -= 0 if _keyed(leg) else 1
        table_forget(&core.addresses, leg)
        table_forget(&core.ufrags, leg)
        table_forget(&core.ssrcs, leg)
        transaction_forget(core.transactions, leg)
        audience_leave(&core.audiences, &leg.listener)
        leg.fd = -1
    _orphan(&command.a.taps)
    _orphan(&command.a.out_taps)
    graph_leave(&core.graph, command.a)


cdef void commands_bury(Core* core) noexcept nogil:
    """Take out the nodes that had one more tick to fade in."""
    cdef Command* command = core.leaving
    cdef Command* following
    core.leaving = NULL
    while command != NULL:
        following = command.next
        graph_remove(&core.graph, command.a)
        _stack(&core.done, command)
        command = following


cdef void _set_format(Core* core, Command* command) noexcept nogil:
    """What waits to be a whole packet is sent; the decoder stays, if it is one for this codec, as it knows what was before."""
    cdef Leg* leg = command.leg
    cdef Format old = leg.format
    leg_hurry(leg, core.outbox)
    leg.format = command.format
    command.format = old
    if old.codec == NULL:
        return
    if old.coding.kind == leg.format.coding.kind:
        command.format.codec = leg.format.codec
        leg.format.codec = old.codec
    else:
        stream_reset(&leg.stream, leg.format.codec)     # what waits is for the other decoder


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


cdef Route* allow(Core* core, Leg* leg, int local, Address* address) noexcept nogil:
    cdef AddressKey key
    cdef Route* route
    key.local = local
    key.address = address[0]
    route = table_find(&core.addresses, &key, sizeof(key))
    if route != NULL and route.leg != leg:
        pending_free(route)     # it was for somebody else
    route = table_put(&core.addresses, &key, sizeof(key), leg)
    if route != NULL:
        route.allowed = True
    return route


cdef void _allow_and_release(Core* core, Command* command) noexcept nogil:
    cdef Route* route = allow(core, command.leg, command.local, &command.address)
    cdef Pending* pending
    if route != NULL:
        pending = route.pending
        while pending != NULL:
            hand_up(core, EVENT_DTLS, command.leg, command.local, &command.address, pending.data, pending.length)
            pending = pending.next
        pending_free(route)


cdef void set_remote(Core* core, Leg* leg, int local, Address* address) noexcept nogil:
    leg.local = local
    leg.remote = address[0]
    leg.fd = core.fds[local]
    group_rouse(&core.graph, leg.node)


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
                allow(core, leg, i, &command.address)
                set_remote(core, leg, i, &command.address)


cdef Tap** _taps(Tap* tap) noexcept nogil:
    """The row that it is in, or belongs in."""
    return &tap.node.out_taps if tap.out else &tap.node.taps


cdef void _open_tap(Command* command) noexcept nogil:
    cdef Tap** row
    command.tap.node = command.a
    row = _taps(command.tap)
    command.tap.next = row[0]
    row[0] = command.tap


cdef void _close_tap(Command* command) noexcept nogil:
    cdef Tap** link
    if command.tap.node != NULL:
        link = _taps(command.tap)
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
        _set_format(core, command)
    elif kind == SET_KEYS:
        _set_keys(core, command)
    elif kind == SET_PLAIN:
        _set_plain(core, command)
    elif kind == SET_REMOTE:
        if command.local < 0:
            command.leg.fd = -1
            memset(&command.leg.remote, 0, sizeof(Address))
        else:
            set_remote(core, command.leg, command.local, &command.address)
    elif kind == ALLOW:
        _allow_and_release(core, command)
    elif kind == SET_MUTE:
        command.leg.muted = command.a_to_b
    elif kind == SET_AGC:
        command.leg.agc.enabled = command.a_to_b
    elif kind == SET_SEND:
        command.leg.sends = command.a_to_b
    elif kind == SET_GAIN:
        command.a.gain = command.gain
    elif kind == SET_LISTENER_GAIN:
        gain_set(&core.graph, command.a, command.b, command.gain)
    elif kind == SET_DELAY:
        stream_pin(&command.leg.stream, command.delay)
    elif kind == SET_LOUDEST:
        command.a.loudest = command.local
    elif kind == SET_PLAY:
        command.a.play = command.ring
    elif kind == OPEN_TAP:
        _open_tap(command)
    elif kind == CLOSE_TAP:
        _close_tap(command)
    elif kind == SET_CONSENT:
        consent_set(&command.leg.consent, command.key, command.key_length, command.a_to_b)
    elif kind == SET_UFRAG:
        if command.a_to_b:
            table_forget(&core.ufrags, command.leg)
        table_put(&core.ufrags, command.key, command.key_length, command.leg)
    elif kind == EXPECT_RESPONSE:
        transaction_put(core.transactions, command.key, command.leg)
        return
    if command.leg != NULL:
        group_rouse(&core.graph, command.leg.node)
    elif command.a != NULL:
        group_rouse(&core.graph, command.a)


cdef void commands_apply(Core* core, int64_t now) noexcept nogil:
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
        if ordered.kind == REMOVE_NODE:
            ordered.next = core.leaving
            core.leaving = ordered
        else:
            _stack(&core.done, ordered)
        ordered = following
