"""The jitter buffer: a ring of packets by sequence number, played by their timestamps.

It never waits for a packet. One that is not there when its time comes is passed over when later ones are there (lost:
recovered or concealed), and waited for with concealment when nothing is there at all (starved): should it come after
all it is played, and the delay has grown. A timestamp that jumps while the sequence does not is a pause of the sender
(DTX), no loss, and ends when the packet behind it has waited for as long as is wanted now. Nor are sequence numbers
lost that went to packets of another kind.

What is wanted is for `delay` to say; to get there while somebody speaks is for `stream`. Here packets are only given
up when there are more than LIMIT too many. A pinned delay is kept to the sample instead: what comes late is lost, and
only when everything does, or HELD is passed, playout begins anew at that delay. Where this machine has had no time to
play anything for a while all of what has come is played, later, as a modem minds a delay less than a gap.
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from mixer_ext.codec cimport FRAME, LONGEST, RATE, STEP
from mixer_ext.delay cimport delay_init, delay_note, delay_of, delay_restart, delay_wanted

cdef enum:
    MOST = 9 * FRAME            # is waited for at most; with the packet itself 200 ms
    LIMIT = 11 * FRAME          # what is held beyond the wanted delay, at most
    HELD = 50 * FRAME           # the same of a pinned delay: 1 s, as answers that T.30 waits for 3 s for go both ways
    SETTLING = 3                # packets given up that are decoded still, so that the decoder is in step again
    JUMP = RATE // 2            # a packet due later than this has a new clock
    DROPOUT = 3000              # RFC 3550 appendix A.1: further ahead is another sequence
    MISORDER = 1000
    OVERTAKEN = 16              # a packet that is older by less has come late, whoever came before it
    OVERDUE = 10                # packets


cdef void jitter_init(Jitter* jitter) noexcept nogil:
    memset(jitter, 0, sizeof(Jitter))
    delay_init(&jitter.delay)
    jitter.packet = FRAME


cdef Slot jitter_take_out(Jitter* jitter, Slot* slot) noexcept nogil:
    """The packet in a slot, which is free then; its data is the caller's to free."""
    cdef Slot taken = slot[0]
    slot.data = NULL
    jitter.count -= 1
    jitter.depth -= slot.samples
    return taken


cdef void jitter_release(Jitter* jitter, Slot* slot) noexcept nogil:
    if slot.data != NULL:
        free(jitter_take_out(jitter, slot).data)


cdef void jitter_reset(Jitter* jitter) noexcept nogil:
    """Forget what is held; the next packet starts anew. Counters stay, and what is known of the path."""
    cdef int i
    for i in range(SLOTS):
        jitter_release(jitter, &jitter.slots[i])
        jitter.slots[i].passed = False
        jitter.slots[i].samples = 0
    if jitter.started:
        jitter.resets += 1
    jitter.started = jitter.played = jitter.anchored = False
    jitter.strays = jitter.overdue = 0
    delay_restart(&jitter.delay)


cdef void jitter_pin(Jitter* jitter, int delay) noexcept nogil:
    """Keep the delay at so many samples, the packet that plays included; 0: as small as will do again."""
    if delay and delay != jitter.pinned:
        jitter.anchored = False
    jitter.pinned = delay
    jitter.overdue = 0


cdef void _begin(Jitter* jitter, Slot* packet) noexcept nogil:
    jitter.started = True
    jitter.played = jitter.anchored = False
    jitter.sequence = packet.sequence
    jitter.newest = packet.sequence - 1
    jitter.packet = packet.samples
    jitter.expected = jitter.position = packet.timestamp
    jitter.strays = 0
    jitter.silent = False


cdef void _skip_passed(Jitter* jitter) noexcept nogil:
    cdef Slot* slot = &jitter.slots[jitter.sequence % SLOTS]
    while slot.passed and slot.data == NULL and slot.sequence == jitter.sequence:
        slot.passed = False
        jitter.sequence += 1
        slot = &jitter.slots[jitter.sequence % SLOTS]


cdef void _note_newest(Jitter* jitter, uint16_t sequence) noexcept nogil:
    if <int16_t>(<uint16_t>(sequence - jitter.newest)) > 0:
        jitter.newest = sequence


cdef void jitter_pass(Jitter* jitter, uint16_t sequence) noexcept nogil:
    """There will be no packet with this number: it has gone to one that is no sound."""
    cdef Slot* slot = &jitter.slots[sequence % SLOTS]
    cdef int ahead = <int16_t>(<uint16_t>(sequence - jitter.sequence))
    if not jitter.started or ahead < 0 or (ahead >= SLOTS and jitter.count):
        return
    if jitter.count == 0:
        jitter.silent = True
    _note_newest(jitter, sequence)
    if ahead >= SLOTS:
        jitter.sequence = sequence + 1      # what was lost before it is not waited for
    elif slot.data == NULL:
        slot.sequence = sequence
        slot.passed = True
        _skip_passed(jitter)


cdef bint _was_taken(Jitter* jitter, Slot* packet) noexcept nogil:
    """Whether this very packet was the last one in its slot."""
    cdef Slot* slot = &jitter.slots[packet.sequence % SLOTS]
    return slot.samples and slot.sequence == packet.sequence and slot.timestamp == packet.timestamp


cdef bint jitter_follows_gap(Jitter* jitter, uint16_t sequence) noexcept nogil:
    """Whether the packet before this one, which has just come, has not."""
    cdef int ahead = <int16_t>(<uint16_t>(sequence - jitter.newest))
    return jitter.started and 1 < ahead < SLOTS


cdef Pushed jitter_push(Jitter* jitter, Slot* packet, const uint8_t* data, bint carries) noexcept nogil:
    """Take a packet; its bytes are copied. packet: all of it but data and late. carries: it has the packet before it in
    it, which is missing.
    """
    cdef int ahead
    cdef Slot* slot
    if not jitter.started:
        _begin(jitter, packet)
    ahead = <int16_t>(<uint16_t>(packet.sequence - jitter.sequence))
    if ahead < 0 and not jitter.played and ahead > -8:
        # the first packets of all came in disorder
        jitter.sequence = packet.sequence
        jitter.position = jitter.expected = packet.timestamp
        ahead = 0
    if ahead < 0 and _was_taken(jitter, packet):
        jitter.duplicates += 1
        return PUSH_DUPLICATE
    if ahead < 0 or ahead >= SLOTS:
        jitter.strays = jitter.strays + 1 if packet.sequence == jitter.stray else 1
        jitter.stray = packet.sequence + 1
        if -MISORDER <= ahead < 0:
            # A sender that began again a little lower is told from latecomers by coming in order while nothing else does.
            # So may come what has been overtaken, but it is not as old.
            if ahead > -OVERTAKEN or jitter.strays < 4 or jitter.count:
                jitter.late += 1
                delay_note(&jitter.delay, delay_of(&jitter.delay, packet.timestamp, packet.arrival), 0)
                return PUSH_LATE
        elif ahead < 0 or ahead >= DROPOUT:
            if jitter.strays < 2:
                return PUSH_STRAY
        jitter_reset(jitter)
        _begin(jitter, packet)
    slot = &jitter.slots[packet.sequence % SLOTS]
    if slot.data != NULL:
        jitter.duplicates += 1
        return PUSH_DUPLICATE
    packet.data = <uint8_t*>malloc(packet.length)
    if packet.data == NULL:
        return PUSH_STRAY
    memcpy(packet.data, data, packet.length)
    packet.late = delay_of(&jitter.delay, packet.timestamp, packet.arrival)
    delay_note(&jitter.delay, packet.late, 0)
    if carries:
        # The one before it need not be lost: to him who waits for so long it is there.
        delay_note(&jitter.delay, packet.late, packet.samples)
    packet.passed = jitter.silent = False
    jitter.strays = 0
    slot[0] = packet[0]
    jitter.count += 1
    jitter.depth += packet.samples
    _note_newest(jitter, packet.sequence)
    return PUSH_STORED


cdef int jitter_wanted(Jitter* jitter) noexcept nogil:
    """Samples that a quick packet should wait before it is played."""
    if jitter.pinned:
        return jitter.pinned - FRAME
    return min(delay_wanted(&jitter.delay), <int>MOST)


cdef bint jitter_ready(Jitter* jitter) noexcept nogil:
    """Whether the packet that comes next is there and follows without a pause."""
    cdef Slot* slot
    _skip_passed(jitter)
    slot = &jitter.slots[jitter.sequence % SLOTS]
    return jitter.anchored and slot.data != NULL and -JUMP <= <int32_t>(slot.timestamp - jitter.position) < STEP


cdef Slot* _first(Jitter* jitter, int* missing) noexcept nogil:
    """The packet that comes next of those held (count > 0), and how many are missing before it."""
    cdef int i
    cdef Slot* slot
    _skip_passed(jitter)
    missing[0] = 0
    for i in range(SLOTS):
        slot = &jitter.slots[<uint16_t>(jitter.sequence + i) % SLOTS]
        if slot.data != NULL:
            return slot
        missing[0] += not (slot.passed and slot.sequence == <uint16_t>(jitter.sequence + i))
    return NULL


cdef inline int _lag(Slot* slot, int64_t now) noexcept nogil:
    return <int>max(0, min(now - slot.arrival, 10 * RATE)) + slot.late


cdef Slot* _give_up(Jitter* jitter, Slot* slot, int* missing) noexcept nogil:
    """Pass over this packet and those missing before it; the one behind it (there is one)."""
    jitter.missing += missing[0]
    jitter.sequence = slot.sequence + 1
    jitter.expected = slot.timestamp + slot.samples
    jitter.dropped += 1
    jitter.played = True
    jitter_release(jitter, slot)
    return _first(jitter, missing)


cdef Step _play(Jitter* jitter, Slot* slot, int64_t now) noexcept nogil:
    jitter.paused = slot.sequence == jitter.sequence and <int32_t>(slot.timestamp - jitter.expected) > 0
    jitter.lag = _lag(slot, now)
    jitter.expected = jitter.position = slot.timestamp + slot.samples
    jitter.sequence = slot.sequence + 1
    jitter.packet = slot.samples
    jitter.played = jitter.anchored = True
    jitter.overdue = 0
    if not jitter.pinned and jitter.depth - slot.samples > jitter_wanted(jitter) + LIMIT - FRAME:
        jitter.dropped += 1
        return STEP_DISCARD
    return STEP_PLAY


cdef Step jitter_next(Jitter* jitter, int64_t now, int room, Slot** slot, int* samples) noexcept nogil:
    """What to play next, now (samples of our clock). PLAY, DISCARD: all of the slot, to be released then. RECOVER: so
    many samples before the slot, which stays. CONCEAL: so many samples of something in its place. STARVED, WAIT: room
    samples, which is what is missing to a whole frame.
    """
    cdef int missing = 0
    cdef int ahead, each, wanted
    cdef Slot* found = NULL
    samples[0] = room
    if jitter.started and jitter.count:
        found = _first(jitter, &missing)
    wanted = jitter_wanted(jitter)
    if found != NULL and jitter.pinned and jitter.anchored:
        if jitter.depth > jitter.pinned + HELD:
            jitter.anchored = False
        while found != NULL and jitter.anchored and <int32_t>(found.timestamp - jitter.position) <= -STEP:
            if <int32_t>(found.timestamp - jitter.position) < -JUMP:
                break
            jitter.overdue += 1
            if jitter.overdue >= OVERDUE:
                # The path has become longer than the delay, or our clock is the quicker one.
                jitter.anchored = False
                delay_restart(&jitter.delay)
                found.late = 0
                found.arrival = now
                break
            jitter.late += 1
            jitter.missing += missing
            jitter.sequence = found.sequence + 1
            jitter_release(jitter, found)
            found = _first(jitter, &missing)
    if found == NULL:
        jitter.position += room
        return STEP_STARVED
    ahead = <int32_t>(found.timestamp - jitter.position)
    if ahead > JUMP or ahead < -JUMP or (missing == 0 and ahead >= STEP and not jitter.pinned):
        jitter.anchored = False
    if not jitter.anchored:
        while jitter.pinned and jitter.count > 1 and _lag(found, now) >= wanted + FRAME:
            found = _give_up(jitter, found, &missing)
        if _lag(found, now) < wanted and jitter.depth <= wanted + LIMIT:
            jitter.position += room
            return STEP_WAIT
        slot[0] = found
        jitter.missing += missing
        return _play(jitter, found, now)
    while not jitter.pinned and jitter.depth > wanted + LIMIT + SETTLING * jitter.packet:
        found = _give_up(jitter, found, &missing)
        ahead = 0
    slot[0] = found
    if ahead < STEP:
        jitter.missing += missing
        return _play(jitter, found, now)
    if missing == 0:
        samples[0] = min(ahead, room)
        jitter.position += samples[0]
        return STEP_WAIT
    # The packets before the one found are lost. The time of the first of them may have passed without anything there;
    # that of the others is shared out evenly, and the last may be in the FEC of the one found.
    while missing > 1 and ahead <= (missing - 1) * jitter.packet:
        jitter.sequence += 1
        _skip_passed(jitter)
        jitter.missing += 1
        missing -= 1
    each = ahead // missing
    if each < STEP or each > LONGEST:
        each = jitter.packet
    samples[0] = min(each, ahead)
    jitter.sequence += 1
    jitter.position += samples[0]
    jitter.expected = found.timestamp
    jitter.missing += 1
    return STEP_RECOVER if missing == 1 else STEP_CONCEAL
