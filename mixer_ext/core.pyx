"""The plane without Python: its life, its tick, its thread.

One thread owns everything in Core but the ends of the rings and stacks that Python holds, and nothing here touches a
Python object.
"""
from libc.stdint cimport int16_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.time cimport (
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    clock_gettime,
    itimerspec,
    timespec,
)
from posix.unistd cimport close, read, write

from mixer_ext.codec cimport FRAME
from mixer_ext.command cimport commands_apply, commands_bury
from mixer_ext.demux cimport demux_drain
from mixer_ext.effort cimport effort_begin, effort_made, effort_note, effort_rest
from mixer_ext.floor cimport floor_choose, floor_decide
from mixer_ext.graph cimport Graph, Node, graph_arrange, graph_free, graph_settle
from mixer_ext.group cimport group_rest
from mixer_ext.hearing cimport graph_mix, node_plays, taps_feed
from mixer_ext.leg cimport Leg, leg_pass, leg_rests
from mixer_ext.limiter cimport limit, limiter_rest
from mixer_ext.net cimport (
    Address,
    inbox_free,
    inbox_new,
    outbox_flush,
    outbox_free,
    outbox_new,
)
from mixer_ext.phase cimport TICK, phase_at, phase_move, phase_note, phase_passed, phase_step
from mixer_ext.receiver cimport leg_listen, leg_offer
from mixer_ext.ring cimport (
    EVENT_DOMINANT,
    EVENT_PLAYED,
    Event,
    events_free,
    events_init,
    events_put,
    load,
    ring_pending,
)
from mixer_ext.route cimport Sources, Transactions, table_free, table_init
from mixer_ext.sender cimport leg_attend, leg_comfort, leg_is_due, leg_report, leg_speak
from mixer_ext.state cimport wall

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
    CAUGHT_UP = 5       # missed ticks that are made up
    REST = 2            # ms
    UPKEEP = 12         # ticks


cdef int64_t _clock(int which) noexcept nogil:
    cdef timespec now
    clock_gettime(which, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef int64_t core_now() noexcept nogil:
    return _clock(CLOCK_MONOTONIC)


cdef bint core_init(Core* core, int sockets, uint64_t random, double relief) noexcept nogil:
    """False when something cannot be had; core_free then tidies up."""
    memset(core, 0, sizeof(Core))
    core.sockets = sockets
    core.random = random | 1
    effort_begin(&core.effort, relief)
    core.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
    core.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
    core.fds = <int*>calloc(sockets, sizeof(int))
    core.bound = <Address*>calloc(sockets, sizeof(Address))
    core.inbox = inbox_new()
    core.outbox = outbox_new(sockets)
    core.transactions = <Transactions*>calloc(1, sizeof(Transactions))
    core.sources = <Sources*>calloc(1, sizeof(Sources))
    if core.fds == NULL or core.bound == NULL or core.inbox == NULL or core.outbox == NULL:
        return False
    if core.transactions == NULL or core.sources == NULL:
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


cdef void _feed_taps(Node* mixer) noexcept nogil:
    cdef int16_t frame[FRAME]
    if mixer.taps != NULL and mixer.sounds:
        limit(&mixer.limit, mixer.total, frame)
        taps_feed(mixer.taps, frame)
    else:
        limiter_rest(&mixer.limit, 1)
        taps_feed(mixer.taps, NULL)


cdef void _tell_played(Core* core, Node* node) noexcept nogil:
    """Python is told when all that it gave to be played has been."""
    cdef Event event
    if node.play.tail != node.played and ring_pending(node.play) == 0 and not node.leaving:
        memset(&event, 0, sizeof(event))
        event.kind = EVENT_PLAYED
        event.leg = node.id
        if events_put(&core.events, &event, NULL):
            node.played = node.play.tail


cdef void _tell_dominant(Core* core, Node* mixer) noexcept nogil:
    cdef Event event
    if mixer.dominant != mixer.told and not mixer.leaving:
        memset(&event, 0, sizeof(event))
        event.kind = EVENT_DOMINANT
        event.leg = mixer.id
        event.value = mixer.dominant
        if events_put(&core.events, &event, NULL):
            mixer.told = mixer.dominant


cdef bint _rests(Node* node) noexcept nogil:
    """After a tick: whether there is nothing to do for a node until something comes."""
    if node.taps != NULL or node.out_taps != NULL or node.link != NULL or node.sounds:
        return False
    if node_plays(node) or (node.play != NULL and node.play.tail != node.played):
        return False
    if node.is_mixer:
        return node.dominant == node.told
    return leg_rests(<Leg*>node.owner)


cdef void _keep_up(Core* core, int64_t now) noexcept nogil:
    """What each leg needs now and then, whether it rests or not: in each tick for some of them, for all in UPKEEP."""
    cdef uint64_t ntp = wall(core, now)
    cdef uint64_t tick
    cdef uint64_t count = core.graph.count
    cdef Leg* leg
    cdef uint64_t i
    for tick in range(max(core.upkept + 1, core.time - min(core.time, <uint64_t>(UPKEEP - 1))), core.time + 1):
        for i in range(count * (tick % UPKEEP) // UPKEEP, count * (tick % UPKEEP + 1) // UPKEEP):
            if core.graph.nodes[i].is_mixer:
                continue
            leg = <Leg*>core.graph.nodes[i].owner
            if leg_is_due(leg, now, core.time):
                leg_pass(leg, core.time)
                leg_report(leg, core.outbox, now, ntp, _random(core), False)
                leg_comfort(leg, core.outbox)
    core.upkept = core.time


cdef void core_tick(Core* core, int64_t now) noexcept nogil:
    """20 ms of everything that lives: each leg says its frame, the mixes are made, each leg is sent what it hears: those
    who talk first, and all that hear something that few hear, before the many that only listen.
    """
    cdef int i, turn
    cdef Node* node
    cdef Leg* leg
    cdef Graph* graph = &core.graph
    core.ticks += 1
    core.time += 1
    core.audiences.tick = core.ticks
    core.audiences.complexity = core.effort.complexity
    if graph.dirty:
        graph_arrange(graph)
    for i in range(graph.live_count):
        node = graph.live[i]
        if not node.is_mixer:
            leg_pass(<Leg*>node.owner, core.time - 1)
            leg_offer(<Leg*>node.owner)
    for i in range(graph.live_mixers):
        floor_choose(graph.live_order[i], core.time)
    for i in range(graph.live_count):
        node = graph.live[i]
        if not node.is_mixer:
            leg = <Leg*>node.owner
            core.decodes += leg_listen(leg, &core.events, now)
            if node.sounds and leg.stream.waited >= 0:
                phase_note(&core.phase, leg.stream.waited)
    for i in range(graph.live_mixers):
        floor_decide(graph.live_order[i], core.time)
        _tell_dominant(core, graph.live_order[i])
    graph_mix(graph)
    for i in range(graph.live_count):
        node = graph.live[i]
        if not node.is_mixer:
            leg_attend(<Leg*>node.owner, &core.audiences)
    for turn in range(2):
        for i in range(graph.live_count):
            node = graph.live[i]
            if node.is_mixer:
                if turn:
                    _feed_taps(node)
                    if node.play != NULL:
                        _tell_played(core, node)
            elif node.waits == (turn == 1):
                leg_speak(<Leg*>node.owner, &core.audiences, core.outbox)
                if node.play != NULL:
                    _tell_played(core, node)
        if turn:
            _keep_up(core, now)
        outbox_flush(core.outbox)
    graph_settle(graph)
    commands_bury(core)
    group_rest(graph, core.time, _rests)
    effort_note(&core.effort, core.time - core.skipped_ticks)


cdef void core_goodbye(Core* core, int64_t now) noexcept nogil:
    """Tell every peer that this is the end; nothing is sent after it."""
    cdef int i
    cdef Leg* leg
    for i in range(core.graph.count):
        if not core.graph.nodes[i].is_mixer:
            leg = <Leg*>core.graph.nodes[i].owner
            leg_pass(leg, core.time)
            leg_report(leg, core.outbox, now, wall(core, now), 0.0, True)
            leg.fd = -1
    outbox_flush(core.outbox)
    for i in range(core.sockets):
        core.fds[i] = -1


cdef void _note_lateness(Core* core, int64_t late) noexcept nogil:
    """A tick is made `late` ns after it was due."""
    cdef int64_t* within = [1000000, 2000000, 5000000, 10000000, 20000000]
    cdef int i
    core.late_max = max(core.late_max, late)
    core.late_sum += late
    core.late_count += 1
    for i in range(5):
        core.late_within[i] += late <= within[i]


cdef void _catch_up(Core* core, uint64_t due, int64_t now) noexcept nogil:
    """Make the ticks that are due. Of those that were missed at most CAUGHT_UP are made up, the rest is left out of
    everybody's time.
    """
    cdef uint64_t ticks = min(due, <uint64_t>(CAUGHT_UP + 1))
    cdef uint64_t i
    cdef int64_t first
    core.missed_ticks += due - 1
    core.skipped_ticks += due - ticks
    core.time += due - ticks
    first = phase_at(&core.phase, core.time + 1)
    for i in range(ticks):
        core_tick(core, now)
    effort_made(&core.effort, first, core_now())


cdef void _set_timer(int timer, int64_t first, uint64_t every) noexcept nogil:
    """To this time, ns, and then to one tick of so many; 0: never."""
    cdef itimerspec spec
    cdef int64_t interval = <int64_t>every * TICK
    memset(&spec, 0, sizeof(spec))
    if every:
        spec.it_value.tv_sec = first // 1000000000
        spec.it_value.tv_nsec = first % 1000000000
        spec.it_interval.tv_sec = interval // 1000000000
        spec.it_interval.tv_nsec = interval % 1000000000
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL)


cdef uint64_t _pace(Core* core, bint came) noexcept nogil:
    """Ticks from one that is to be made to the next; 0: there is nothing to make one for."""
    if came or core.graph.dirty or core.graph.live_count:
        return 1
    return UPKEEP if core.legs else 0


cdef bint _may_shift(Core* core) noexcept nogil:
    """Not while another plane is linked, whose ticks must stay where they are to ours, or a leg is pinned to a delay."""
    cdef Node* node
    cdef int i
    for i in range(core.graph.count):
        node = core.graph.nodes[i]
        if node.link != NULL or (not node.is_mixer and (<Leg*>node.owner).stream.jitter.pinned):
            return False
    return True


cdef bint core_shift(Core* core, uint64_t ticks) noexcept nogil:
    """After so many ticks: whether those to come are at other times than they were to be."""
    cdef int later = phase_step(&core.phase, <int>min(ticks, <uint64_t>CAUGHT_UP))
    if later == 0 or not _may_shift(core):
        return False
    phase_move(&core.phase, later)
    return True


cdef void core_run(Core* core) noexcept nogil:
    """The thread: until stopping is set. It sleeps through a tick and then takes what has come at once; while legs wait
    for their keys it wakes for datagrams too, and then rests, lest the others' sound wake it for each packet. While all
    rests there are only those ticks that reports need, or none; then it wakes for the first datagram as well.
    """
    cdef pollfd* fds = <pollfd*>calloc(core.sockets + 2, sizeof(pollfd))
    cdef int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
    cdef int64_t now = core_now()
    cdef uint64_t due, woken, passed, wanted
    cdef uint64_t pace = 0
    cdef int i
    cdef bint came, ticked, waiting, shifted
    cdef bint resting = False
    if fds == NULL or timer < 0:
        free(fds)
        if timer >= 0:
            close(timer)
        return
    core.phase.start = now - <int64_t>core.time * TICK      # of tick 0, that is none
    fds[0].fd = timer
    fds[1].fd = core.wake_fd
    for i in range(core.sockets):
        fds[i + 2].fd = core.fds[i]
    for i in range(core.sockets + 2):
        fds[i].events = POLLIN
    while not load(&core.stopping):
        waiting = not resting and (pace != 1 or core.unkeyed)
        for i in range(core.sockets + 2):
            fds[i].revents = 0
        poll(fds, 2 + (core.sockets if waiting else 0), REST if resting else -1)
        came = pace != 1 and (fds[1].revents != 0 or _readable(fds + 2, core.sockets))
        resting = not resting and core.unkeyed != 0
        shifted = False
        now = core_now()
        core.wall_offset = _clock(CLOCK_REALTIME) - now     # which may be set anew at any time
        read(core.wake_fd, &woken, sizeof(woken))
        ticked = read(timer, &due, sizeof(due)) == sizeof(due)
        passed = phase_passed(&core.phase, now)
        if pace != 1:
            # Nothing was to be done in the ticks that have passed; in this one something may.
            core.time = max(core.time, passed - (1 if ticked else 0))
        commands_apply(core, now)
        demux_drain(core, now)
        core_notify(core)
        if ticked and passed > core.time:
            _note_lateness(core, now - phase_at(&core.phase, core.time + 1))
            due = passed - core.time
            _catch_up(core, due, now)
            shifted = core_shift(core, due)
        wanted = _pace(core, came)
        if wanted != pace or shifted:
            pace = wanted
            if pace == 0:
                effort_rest(&core.effort, core.time - core.skipped_ticks)
            due = core.time + 1 if pace == 1 else (core.time // UPKEEP + 1) * UPKEEP
            _set_timer(timer, phase_at(&core.phase, due), pace)
        core_notify(core)
    commands_apply(core, now)
    close(timer)
    free(fds)


cdef bint _readable(const pollfd* fds, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if fds[i].revents:
            return True
    return False
