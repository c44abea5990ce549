"""Pressing keys for a peer: telephone events (RFC 4733) in place of sound, one packet a tick.

An event's packets all have the time at which it began, and say for how long it has lasted; what is the last word on it
is said three times. What lasts longer than 16 bits can say goes on in another segment (section 2.5.1.3). Numbers and
times are those of the stream that the sound is in. Until the gap after a key is over no sound is sent, so that nobody
takes the key for two.
"""
from mixer_ext.codec cimport FRAME, RATE
from mixer_ext.dtmf cimport FLASH, dtmf_code, dtmf_digit
from mixer_ext.octets cimport put16
from mixer_ext.ring cimport load, store

import numpy

cdef enum:
    FULL = 0xFFFF
    REPEATED = 3        # times that the end is said
    VOLUME = 10         # -dBm0
    TICK = 20           # ms
    SHORTEST = 40       # ms of a key, and between keys
    LONGEST = 6000
    AMPLITUDE = 8000    # of each tone in the sound
    RAMP = 96           # samples

# ITU-T Q.23, Hz.
_ROWS = (697, 770, 852, 941)
_COLUMNS = (1209, 1336, 1477, 1633)
_PAD = "123A456B789C*0#D"


cdef inline DialKey* _key(Dial* dial) noexcept nogil:
    return &dial.keys[dial.tail % DIALLED]


cdef void _over(Dial* dial) noexcept nogil:
    """Done with the key at the tail."""
    store(&dial.tail, dial.tail + 1)
    dial.elapsed = dial.told = dial.ends = dial.before = 0


cdef Dialling dial_advance(Dial* dial, bint possible) noexcept nogil:
    """Once a tick, before dial_packet: what is to be sent. possible: events can be sent at all; else what has been dialled
    is dropped.
    """
    cdef DialKey* key = _key(dial)
    cdef Dialling was = dial.now
    dial.returns = False
    dial.now = DIAL_SOUND
    if load(&dial.head) == dial.tail:
        return DIAL_SOUND
    if not possible:
        dial.dropped += load(&dial.head) - dial.tail
        while load(&dial.head) != dial.tail:
            _over(dial)
        dial.done = True
        return DIAL_SOUND
    if dial.ends == REPEATED and dial.elapsed >= key.duration + key.gap:
        dial.sent += 1
        _over(dial)
        if load(&dial.head) == dial.tail:
            dial.returns = was != DIAL_SOUND
            dial.done = True
            return DIAL_SOUND
    dial.elapsed += FRAME
    dial.now = DIAL_EVENT if dial.ends < REPEATED else DIAL_REST
    return dial.now


cdef void dial_interrupt(Dial* dial) noexcept nogil:
    """Once a tick in which nothing can be sent for now: the key that was being pressed is given up, the others wait."""
    dial.returns = False
    if dial.now == DIAL_SOUND:
        return
    dial.now = DIAL_SOUND
    if dial.ends:
        dial.sent += 1      # the peer has been told that it is over
    else:
        dial.dropped += 1
    _over(dial)
    dial.done = dial.done or load(&dial.head) == dial.tail


cdef bint dial_packet(
    Dial* dial, uint32_t now, int rate, int clock, uint32_t* timestamp, uint8_t* payload
) noexcept nogil:
    """After dial_advance has said so: the packet of this tick; whether it is the first about its event, which has the
    marker. now: RTP time of the tick; rate: of the events, clock: of the sound.
    """
    cdef DialKey* key = _key(dial)
    cdef bint first = dial.told == 0
    cdef bint end = dial.elapsed >= key.duration
    cdef int duration = <int>(<uint64_t>min(dial.elapsed, key.duration) * rate // RATE) - dial.before
    if first:
        dial.timestamp = now
    dial.told += 1
    timestamp[0] = dial.timestamp
    if duration > FULL:
        duration = FULL
        end = False
        dial.before += FULL
        dial.timestamp += <uint32_t>(FULL * (clock // rate))
    dial.ends += end
    payload[0] = key.code
    payload[1] = (<uint8_t>end << 7) | VOLUME
    put16(payload + 2, duration)
    return first


cdef int _samples(int milliseconds) except -1:
    """Whole frames of a length; ValueError for one that no telephone would understand."""
    if not SHORTEST <= milliseconds <= LONGEST:
        raise ValueError(f"a key is pressed, and let go, for {SHORTEST} to {LONGEST} ms, not {milliseconds}")
    return (milliseconds + TICK - 1) // TICK * FRAME


cdef list _codes(str digits):
    codes = [dtmf_code(digit) for digit in digits]
    if FLASH in codes:
        raise ValueError("a flash of the hook is heard, not sent")
    return codes


cdef int dial_keys(Dial* dial, str digits, int duration_ms, int gap_ms) except -1:
    """Put keys behind those that wait; ValueError for what is no key, and where there is no room for all of them."""
    cdef int duration = _samples(duration_ms)
    cdef int gap = _samples(gap_ms)
    cdef int i
    cdef DialKey* key
    cdef list codes = _codes(digits)
    if len(codes) > DIALLED - dial_pending(dial):
        raise ValueError(f"no more than {DIALLED} keys can wait")
    for i in range(len(codes)):
        key = &dial.keys[(dial.head + i) % DIALLED]
        key.code, key.duration, key.gap = codes[i], duration, gap
    store(&dial.head, dial.head + len(codes))
    return 0


cdef int dial_pending(Dial* dial) noexcept nogil:
    """Keys that have not been sent, with the gap after them."""
    return <int>(load(&dial.head) - load(&dial.tail))


cdef object dial_tones(str digits, int duration_ms, int gap_ms):
    """The sound of keys, int16 at 48 kHz (ITU-T Q.23), each with the gap after it; ValueError as dial_keys."""
    cdef int duration = _samples(duration_ms)
    cdef int gap = _samples(gap_ms)
    time = numpy.arange(duration) / RATE
    ramp = numpy.minimum(1.0, (numpy.minimum(numpy.arange(duration), numpy.arange(duration)[::-1]) + 1) / RAMP)
    parts = []
    for code in _codes(digits):
        row, column = divmod(_PAD.index(dtmf_digit(code)), 4)
        wave = numpy.sin(2 * numpy.pi * _ROWS[row] * time) + numpy.sin(2 * numpy.pi * _COLUMNS[column] * time)
        parts += [(AMPLITUDE * ramp * wave).astype(numpy.int16), numpy.zeros(gap, numpy.int16)]
    return numpy.concatenate(parts) if parts else numpy.zeros(0, numpy.int16)
