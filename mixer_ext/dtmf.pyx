"""Telephone events (RFC 4733): the keys of a telephone, as packets among those of the sound.

Of an event there are many packets, all with the RTP time at which it began: some as it goes on, each saying for how long
it has, and three that say that it is over. Any of them may be lost, late or doubled. Which event a packet is of is told
by its timestamp, whether it is news by its sequence number: clocks jump, sequence numbers go on. A new event is the end
of the one before it, and so is a while in which nothing is heard of it; an event that is over stays over whatever comes
of it later, so that each is told once.

A duration has 16 bits. What lasts longer is sent in segments, each with a timestamp of its own: the same event without
the marker, just where a full segment ends, goes on with what was before.
"""
from libc.string cimport memset

from mixer_ext.octets cimport get16

cdef enum:
    REPORT = 4              # bytes
    FULL = 0xFFFF           # the longest that a segment lasts
    OVER = 240000000        # ns without a word of it after which an event is over: its sender should say something each 50 ms
    FORGOTTEN = 10000000000 # ns after which nothing that comes can be of it

cdef str DIGITS = "0123456789*#ABCD!"


cdef int dtmf_rate(int which) noexcept nogil:
    return 8000 if which == 0 else 48000


cdef str dtmf_digit(int code):
    """The character for a code: "!" is a flash of the hook."""
    return DIGITS[code]


cdef int dtmf_code(str digit) except -1:
    """The code for a character; ValueError for what is no key."""
    cdef int code = DIGITS.find(digit.upper())
    if code < 0 or len(digit) != 1:
        raise ValueError(f"no key of a telephone: {digit!r}")
    return code


cdef void _finish(DtmfReceiver* receiver) noexcept nogil:
    cdef Key* key
    if not receiver.open:
        return
    receiver.open = False
    receiver.recent[receiver.over % RECENT] = receiver.timestamp
    receiver.over += 1
    if receiver.waiting == FINISHED:
        receiver.dropped += 1
        return
    key = &receiver.finished[(receiver.first + receiver.waiting) % FINISHED]
    key.code = receiver.code
    key.duration = <uint32_t>min((receiver.before + receiver.duration) * 1000 // receiver.rate, <int64_t>0x7FFFFFFF)
    receiver.waiting += 1


cdef bint _goes_on(DtmfReceiver* receiver, uint32_t timestamp, uint8_t code, bint marker, int clock) noexcept nogil:
    """Whether this is the next segment of the event (section 2.5.1.3), which must not be over: else the same key, pressed
    again when a segment might have ended, would be none.
    """
    cdef uint32_t ahead = timestamp - receiver.timestamp
    # Some begin it a packet later than where the last one was full.
    cdef uint32_t most = FULL + <uint32_t>receiver.rate // 5
    cdef uint32_t scale = <uint32_t>max(1, clock // receiver.rate)
    if marker or not receiver.open or code != receiver.code:
        return False
    # Who sends events of 8 kHz among sound of 48 kHz may have taken their timestamps from that clock.
    return FULL <= ahead <= most or FULL * scale <= ahead <= most * scale


cdef void _begin(DtmfReceiver* receiver, uint32_t timestamp, uint8_t code, int rate) noexcept nogil:
    _finish(receiver)       # the end of the one before has not come and will not
    receiver.known = receiver.open = True
    receiver.code = code
    receiver.rate = rate
    receiver.timestamp = timestamp
    receiver.duration = 0
    receiver.before = 0
    receiver.received += 1


cdef bint _is_over(DtmfReceiver* receiver, uint32_t timestamp) noexcept nogil:
    cdef uint64_t i
    for i in range(min(receiver.over, <uint64_t>RECENT)):
        if receiver.recent[i] == timestamp:
            return True
    return False


cdef bint _is_of_the_event(
    DtmfReceiver* receiver, bint newer, uint32_t timestamp, uint8_t code, bint marker, int rate, int clock
) noexcept nogil:
    """Whether there is something to be learned from this report; what it is of is the receiver's event then."""
    if receiver.known and timestamp == receiver.timestamp and code == receiver.code and rate == receiver.rate:
        return receiver.open
    if not newer or _is_over(receiver, timestamp):
        return False        # of one before it
    if receiver.known and rate == receiver.rate and _goes_on(receiver, timestamp, code, marker, clock):
        receiver.before += FULL
        receiver.timestamp = timestamp
        receiver.duration = 0
        return True
    _begin(receiver, timestamp, code, rate)
    return True


cdef bint dtmf_receive(
    DtmfReceiver* receiver,
    uint16_t sequence,
    uint32_t timestamp,
    bint marker,
    int rate,
    int clock,
    const uint8_t* payload,
    int length,
    int64_t now,
) noexcept nogil:
    """Take the payload of a packet; False for what is none. rate: of the payload type, clock: of the sound's."""
    cdef int i
    cdef bint newer, end
    cdef uint32_t duration
    if length < REPORT or length % REPORT:
        return False
    if receiver.known and now - receiver.at > <int64_t>FORGOTTEN:
        dtmf_restart(receiver)
    newer = not receiver.known or <uint16_t>(sequence - receiver.sequence - 1) < 0x7FFF
    for i in range(min(length // REPORT, <int>PACKED)):
        end = payload[1] >> 7
        duration = get16(payload + 2)
        if payload[0] > FLASH:
            receiver.unknown += 1
        elif _is_of_the_event(receiver, newer, timestamp, payload[0], marker and i == 0, rate, clock):
            receiver.duration = max(receiver.duration, duration)
            if end:
                _finish(receiver)
        timestamp += duration
        payload += REPORT
    if receiver.known:
        receiver.at = now
        if newer:
            receiver.sequence = sequence
    return True


cdef void dtmf_expire(DtmfReceiver* receiver, int64_t now) noexcept nogil:
    """Once a tick: end an event of which nothing has been heard for too long."""
    if receiver.open and now - receiver.at > OVER:
        _finish(receiver)


cdef void dtmf_restart(DtmfReceiver* receiver) noexcept nogil:
    """What comes has nothing to do with what came: another source."""
    _finish(receiver)
    receiver.known = False
    receiver.over = 0


cdef bint dtmf_next(DtmfReceiver* receiver, Key* key) noexcept nogil:
    """The first event that is over and has not been told, until dtmf_told; False when there is none."""
    if receiver.waiting:
        key[0] = receiver.finished[receiver.first]
    return receiver.waiting > 0


cdef void dtmf_told(DtmfReceiver* receiver) noexcept nogil:
    receiver.first = (receiver.first + 1) % FINISHED
    receiver.waiting -= 1


cdef class TelephoneEvents:
    """The receiver of a leg for tests: payloads in, in any order, on nobody's clock."""

    cdef DtmfReceiver receiver
    cdef int rate
    cdef int clock

    def __cinit__(self, int rate=8000, int clock=8000):
        memset(&self.receiver, 0, sizeof(DtmfReceiver))
        if rate not in (8000, 48000) or clock not in (8000, 48000):
            raise ValueError("no clock rate of telephone events")
        self.rate = rate
        self.clock = clock

    def push(self, int sequence, uint32_t timestamp, bytes payload not None, *, bint marker=False, int64_t now_ns):
        """Give a payload; ValueError for one that is none."""
        if not dtmf_receive(
            &self.receiver, sequence & 0xFFFF, timestamp, marker, self.rate, self.clock, payload, len(payload), now_ns
        ):
            raise ValueError("not a telephone event")

    def pull(self, int64_t now_ns):
        """The events that are over by now, as (digit, ms)."""
        cdef Key key
        dtmf_expire(&self.receiver, now_ns)
        result = []
        while dtmf_next(&self.receiver, &key):
            dtmf_told(&self.receiver)
            result.append((dtmf_digit(key.code), key.duration))
        return result

    @property
    def counters(self):
        return {
            "received": self.receiver.received,
            "unknown": self.receiver.unknown,
            "dropped": self.receiver.dropped,
        }
