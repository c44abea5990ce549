"""A plain jitter buffer: a ring of packets by sequence number, played by their timestamps at a small fixed delay.

It never waits for a packet. One that is not there when its time comes is passed over when later ones are there (lost:
recovered or concealed), and waited for with concealment when nothing is there at all (starved): should it come after
all it is played, and the delay has grown. What the delay has grown beyond the target by is taken back a packet at a
time: one a second, sooner while it is quiet, at once above LIMIT. A timestamp that jumps while the sequence does not is
a pause of the sender (DTX), no loss. Nor are sequence numbers that went to packets of another kind.
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from mixer_ext.codec cimport FRAME, LONGEST, RATE, STEP

cdef enum:
    LIMIT = 11 * FRAME          # more than 220 ms is cut down at once
    JUMP = RATE // 2            # a packet due later than this has a new clock
    WINDOW = RATE               # one packet less a second
    QUIET_WINDOW = RATE // 10
    DROPOUT = 3000              # RFC 3550 appendix A.1: further ahead is another sequence
    MISORDER = 1000


cdef void jitter_init(Jitter* jitter, int target) noexcept nogil:
    memset(jitter, 0, sizeof(Jitter))
    jitter.target = target
    jitter.packet = FRAME


cdef void jitter_release(Jitter* jitter, Slot* slot) noexcept nogil:
    if slot.data != NULL:
        free(slot.data)
        slot.data = NULL
        jitter.count -= 1


cdef Slot jitter_take_out(Jitter* jitter, Slot* slot) noexcept nogil:
    """The packet in a slot, which is free then; its data is the caller's to free."""
    cdef Slot taken = slot[0]
    slot.data = NULL
    jitter.count -= 1
    return taken


cdef void jitter_reset(Jitter* jitter) noexcept nogil:
    """Forget what is held; the next packet starts anew. Counters stay."""
    cdef int i
    for i in range(SLOTS):
        jitter_release(jitter, &jitter.slots[i])
        jitter.slots[i].passed = False
    if jitter.started:
        jitter.resets += 1
    jitter.started = jitter.played = False
    jitter.strays = 0


cdef void _begin(Jitter* jitter, uint16_t sequence, uint32_t timestamp) noexcept nogil:
    jitter.started = True
    jitter.played = False
    jitter.sequence = sequence
    jitter.expected = timestamp
    jitter.position = timestamp - <uint32_t>max(0, jitter.target - FRAME)
    jitter.slack = LIMIT
    jitter.since = 0
    jitter.strays = 0
    jitter.silent = False


cdef void _skip_passed(Jitter* jitter) noexcept nogil:
    cdef Slot* slot = &jitter.slots[jitter.sequence % SLOTS]
    while slot.passed and slot.data == NULL and slot.sequence == jitter.sequence:
        slot.passed = False
        jitter.sequence += 1
        slot = &jitter.slots[jitter.sequence % SLOTS]


cdef void jitter_pass(Jitter* jitter, uint16_t sequence) noexcept nogil:
    """There will be no packet with this number: it has gone to one that is no sound."""
    cdef Slot* slot = &jitter.slots[sequence % SLOTS]
    cdef int ahead = <int16_t>(<uint16_t>(sequence - jitter.sequence))
    if not jitter.started or ahead < 0 or (ahead >= SLOTS and jitter.count):
        return
    if jitter.count == 0:
        jitter.silent = True
    if ahead >= SLOTS:
        jitter.sequence = sequence + 1      # what was lost before it is not waited for
    elif slot.data == NULL:
        slot.sequence = sequence
        slot.passed = True
        _skip_passed(jitter)


cdef Pushed jitter_push(Jitter* jitter, uint16_t sequence, uint32_t timestamp, int samples, uint8_t level,
                        const uint8_t* data, int length) noexcept nogil:
    """Take a packet (its bytes are copied)."""
    cdef int ahead
    cdef Slot* slot
    if not jitter.started:
        _begin(jitter, sequence, timestamp)
    ahead = <int16_t>(<uint16_t>(sequence - jitter.sequence))
    if ahead < 0 and not jitter.played and ahead > -8:
        # the first packets of all came in disorder
        jitter.sequence = sequence
        ahead = 0
    if ahead < 0 or ahead >= SLOTS:
        jitter.strays = jitter.strays + 1 if sequence == jitter.stray else 1
        jitter.stray = sequence + 1
        if -MISORDER <= ahead < 0:
            # A sender that began again a little lower is told from latecomers by coming in order while nothing else does.
            if jitter.strays < 4 or jitter.count:
                jitter.late += 1
                return PUSH_LATE
        elif ahead < 0 or ahead >= DROPOUT:
            if jitter.strays < 2:
                return PUSH_STRAY
        jitter_reset(jitter)
        _begin(jitter, sequence, timestamp)
    slot = &jitter.slots[sequence % SLOTS]
    if slot.data != NULL:
        jitter.duplicates += 1
        return PUSH_DUPLICATE
    slot.data = <uint8_t*>malloc(length)
    if slot.data == NULL:
        return PUSH_STRAY
    memcpy(slot.data, data, length)
    slot.length = length
    slot.samples = samples
    slot.sequence = sequence
    slot.timestamp = timestamp
    slot.level = level
    slot.passed = jitter.silent = False
    jitter.count += 1
    return PUSH_STORED


cdef int jitter_depth(Jitter* jitter) noexcept nogil:
    """Samples in the packets held. Counted, not taken from their timestamps: those may jump."""
    return jitter.count * jitter.packet


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


cdef int _whole_steps(int samples) noexcept nogil:
    return max(STEP, min(samples // STEP * STEP, LONGEST))


cdef Step _play(Jitter* jitter, Slot* slot, bint quiet) noexcept nogil:
    """Play this slot now, or discard it where there has been too much behind it for long enough."""
    cdef int slack, enough
    cdef Step step = STEP_PLAY
    jitter.paused = slot.sequence == jitter.sequence and <int32_t>(slot.timestamp - jitter.expected) > 0
    jitter.expected = slot.timestamp + slot.samples
    jitter.sequence = slot.sequence + 1
    jitter.position = slot.timestamp + slot.samples
    jitter.packet = slot.samples
    jitter.played = True
    slack = (jitter.count - 1) * slot.samples
    enough = max(jitter.target, slot.samples + FRAME)
    jitter.slack = min(jitter.slack, slack)
    jitter.since += slot.samples
    if slack > LIMIT:
        step = STEP_DISCARD
    elif jitter.since >= (QUIET_WINDOW if quiet else WINDOW):
        if jitter.slack > enough:
            step = STEP_DISCARD
        if step == STEP_DISCARD or jitter.since >= WINDOW:
            jitter.slack = LIMIT
            jitter.since = 0
    if step == STEP_DISCARD:
        jitter.dropped += 1
    return step


cdef Step jitter_next(Jitter* jitter, bint quiet, Slot** slot, int* samples) noexcept nogil:
    """What to play next. PLAY, DISCARD: all of the slot, to be released then. RECOVER: so many samples before the slot,
    which stays. CONCEAL, STARVED, WAIT: so many samples (whole steps) of something in its place. quiet: what plays
    now is so quiet that a cut is not heard.
    """
    cdef int missing = 0
    cdef int ahead, each
    cdef Slot* found
    if not jitter.started or jitter.count == 0:
        samples[0] = FRAME
        if jitter.started:
            jitter.position += FRAME
        return STEP_STARVED
    found = _first(jitter, &missing)
    slot[0] = found
    ahead = <int32_t>(found.timestamp - jitter.position)
    if ahead > JUMP or ahead < -JUMP:
        jitter.position = found.timestamp - <uint32_t>max(0, jitter.target - FRAME)
        ahead = max(0, jitter.target - FRAME)
    if ahead < STEP:
        jitter.missing += missing
        return _play(jitter, found, quiet)
    if missing == 0:
        samples[0] = _whole_steps(min(ahead, FRAME))
        jitter.position += samples[0]
        return STEP_WAIT
    # The packets before the one found are lost. Their time is shared out evenly; the last of them may be in its FEC.
    each = ahead // missing
    if each < STEP or each > LONGEST:
        each = jitter.packet
    samples[0] = _whole_steps(min(each, ahead))
    jitter.sequence += 1
    jitter.position += samples[0]
    jitter.missing += 1
    return STEP_RECOVER if missing == 1 else STEP_CONCEAL
