"""What Python is told: the events of the plane's thread as tuples."""
from libc.stdint cimport uint8_t

from mixer_ext.dtmf cimport dtmf_digit
from mixer_ext.net cimport DATAGRAM, address_to
from mixer_ext.ring cimport (
    EVENT_DOMINANT,
    EVENT_DTLS,
    EVENT_DTMF,
    EVENT_DTMF_SENT,
    EVENT_PLAYED,
    EVENT_SPEAKING,
    EVENT_STUN,
    Event,
    events_drop,
    events_payload,
    events_peek,
)


cdef tuple _datagram(EventRing* events, Event* event):
    cdef uint8_t data[DATAGRAM]
    events_payload(events, event, data)
    name = "stun" if event.kind == EVENT_STUN else "dtls"
    return name, event.leg, event.local, address_to(&event.address), (<const char*>data)[: event.length]


cdef tuple _told(EventRing* events, Event* event):
    if event.kind == EVENT_STUN or event.kind == EVENT_DTLS:
        return _datagram(events, event)
    if event.kind == EVENT_SPEAKING:
        return "speaking", event.leg, bool(event.value)
    if event.kind == EVENT_DTMF:
        return "dtmf", event.leg, dtmf_digit(event.value >> 32), event.value & 0xFFFFFFFF
    if event.kind == EVENT_DTMF_SENT:
        return "dtmf_sent", event.leg
    if event.kind == EVENT_PLAYED:
        return "played", event.leg
    if event.kind == EVENT_DOMINANT:
        return "dominant", event.leg, event.value or None
    return "ssrc", event.leg, event.value


cdef list news_read(EventRing* events, dict nodes):
    """All events since the last call but those of, or about, nodes that have been removed since: they are no news."""
    cdef Event event
    result = []
    while events_peek(events, &event):
        if event.leg in nodes and (event.kind != EVENT_DOMINANT or event.value == 0 or event.value in nodes):
            result.append(_told(events, &event))
        events_drop(events, &event)
    return result
