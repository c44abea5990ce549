"""RTCP (RFC 3550 section 6): compound packets SR or RR, SDES with CNAME, BYE; parsing of the same. Others are stepped
over.
"""
from libc.string cimport memcpy, memset, strlen

from mixer_ext.octets cimport get16, get32, put16, put32
from mixer_ext.rtp cimport reception_expected, reception_fraction, reception_highest

cdef enum:
    SR = 200
    RR = 201
    SDES = 202
    BYE = 203

cdef int64_t HEAVY_AFTER = 5 * <int64_t>1000000000     # ns
cdef int64_t LIGHT_AFTER = 30 * <int64_t>1000000000
cdef int64_t STALE = 10 * <int64_t>1000000000          # so long ago a report says nothing of the time since then


cdef inline void _header(uint8_t* p, int count, int kind, int length) noexcept nogil:
    p[0] = 0x80 | count
    p[1] = kind
    put16(p + 2, length // 4 - 1)


cdef void loss_note(Loss* loss, uint8_t fraction, int64_t now) noexcept nogil:
    """A report says that so many 256ths were lost since the one before it. Loss is heavy after HEAVY_AFTER of more than
    3 %, and no longer after LIGHT_AFTER of less than 1 %, in reports that follow each other.
    """
    cdef int64_t since = loss.at
    if loss.at == 0 or now - loss.at >= STALE:
        since = now
        loss.bad = loss.good = 0
    loss.at = now
    if fraction * 100 > 3 * 256:
        loss.good = 0
        loss.bad = loss.bad if loss.bad else since
    elif fraction * 100 < 256:
        loss.bad = 0
        loss.good = loss.good if loss.good else since
    else:
        loss.bad = loss.good = 0
    if loss.bad and now - loss.bad >= HEAVY_AFTER:
        loss.heavy = True
    elif loss.good and now - loss.good >= LIGHT_AFTER:
        loss.heavy = False


cdef bint rtcp_read(const uint8_t* data, int length, uint32_t ours, uint32_t theirs, Report* report) noexcept nogil:
    """Read a compound or reduced-size packet (RFC 5506) up to its first fault; False when even its first part is none.
    """
    cdef int at = 0
    cdef int size, count, blocks, i
    cdef int lost
    cdef const uint8_t* p
    memset(report, 0, sizeof(Report))
    while at + 8 <= length:
        p = data + at
        size = 4 * (get16(p + 2) + 1)
        if p[0] >> 6 != 2 or size < 8 or size > length - at:
            return at > 0
        count = p[0] & 31
        blocks = 0
        if p[1] == SR and size >= 28:
            if get32(p + 4) == theirs:
                report.has_sender = True
                report.ntp = <uint64_t>get32(p + 8) << 32 | get32(p + 12)
            blocks = 28
        elif p[1] == RR:
            blocks = 8
        elif p[1] == BYE:
            for i in range(count):
                if 8 + 4 * i <= size and get32(p + 4 + 4 * i) == theirs:
                    report.bye = True
        if blocks:
            for i in range(count):
                if blocks + 24 > size:
                    break
                if get32(p + blocks) == ours:
                    report.has_block = True
                    report.fraction = p[blocks + 4]
                    lost = get32(p + blocks + 4) & 0xFFFFFF
                    report.lost = lost - 0x1000000 if lost & 0x800000 else lost
                    report.jitter = get32(p + blocks + 12)
                    report.last_report = get32(p + blocks + 16)
                    report.delay = get32(p + blocks + 20)
                blocks += 24
        at += size
    return at > 0


cdef int rtcp_write(uint8_t* data, Sender* sender, Reception* reception, bint bye) noexcept nogil:
    """Write SR or RR, SDES, and BYE if this is the end; at most 128 bytes. How many."""
    cdef int at = 8
    cdef int start, name
    cdef int64_t lost
    put32(data + 4, sender.ssrc)
    if sender.sending:
        put32(data + 8, <uint32_t>(sender.ntp >> 32))
        put32(data + 12, <uint32_t>sender.ntp)
        put32(data + 16, sender.timestamp)
        put32(data + 20, sender.packets)
        put32(data + 24, sender.octets)
        at = 28
    if reception.started:
        lost = reception_expected(reception) - <int64_t>reception.received
        lost = max(-0x800000, min(0x7FFFFF, lost))
        put32(data + at, sender.peer)
        put32(data + at + 4, <uint32_t>(lost & 0xFFFFFF))
        data[at + 4] = reception_fraction(reception)
        put32(data + at + 8, reception_highest(reception))
        put32(data + at + 12, <uint32_t>reception.jitter)
        put32(data + at + 16, sender.last_report)
        put32(data + at + 20, sender.delay)
        at += 24
    _header(data, 1 if reception.started else 0, SR if sender.sending else RR, at)
    start = at
    name = <int>strlen(sender.cname)
    put32(data + at + 4, sender.ssrc)
    data[at + 8] = 1
    data[at + 9] = name
    memcpy(data + at + 10, sender.cname, name)
    at += 10 + name
    data[at] = 0        # the end of the items, and padding to a word
    at += 1
    while (at - start) & 3:
        data[at] = 0
        at += 1
    _header(data + start, 1, SDES, at - start)
    if bye:
        _header(data + at, 1, BYE, 8)
        put32(data + at + 4, sender.ssrc)
        at += 8
    return at
