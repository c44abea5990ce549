"""What comes from a peer: packet, SRTP, checks, jitter buffer; once a tick a frame, its level, whether it is speech."""
from libc.stdint cimport int16_t, int32_t, uint32_t
from libc.string cimport memset

from mixer_ext.agc cimport agc_apply, agc_rest
from mixer_ext.codec cimport FRAME, RATE, codec_measure, codec_unit, codec_voiced
from mixer_ext.dtmf cimport (
    EVENT_RATES,
    Key,
    dtmf_expire,
    dtmf_next,
    dtmf_rate,
    dtmf_receive,
    dtmf_restart,
    dtmf_told,
)
from mixer_ext.floor cimport floor_bars, floor_heard
from mixer_ext.graph cimport Node
from mixer_ext.hearing cimport graph_feeds_leg, taps_feed
from mixer_ext.jitter cimport Slot, jitter_pass
from mixer_ext.leg cimport BURST, Speech
from mixer_ext.limiter cimport volume_apply, volume_rest
from mixer_ext.mix cimport mix_level
from mixer_ext.octets cimport get32
from mixer_ext.ring cimport (
    EVENT_DTMF,
    EVENT_DTMF_SENT,
    EVENT_SPEAKING,
    EVENT_SSRC,
    Event,
    EventKind,
    events_put,
)
from mixer_ext.rtcp cimport Report, loss_note, rtcp_read
from mixer_ext.rtp cimport (
    DIGITAL_SILENCE,
    NO_LEVEL,
    RTP_OK,
    Rtp,
    reception_count,
    reception_update,
    rtp_level,
    rtp_read,
)
from mixer_ext.speakers cimport speaker_pass, speaker_push
from mixer_ext.srtp cimport SRTP_REPLAYED, secure_unprotect
from mixer_ext.stream cimport Stream, stream_push, stream_reset, stream_rouse, stream_take, stream_time

cdef enum:
    PACKETS_A_SECOND = 500      # of one leg; ten-millisecond packets are 100
    RIVAL = 3                   # packets in a row of another SSRC make it the leg's
    SPEECH_AFTER = 3            # frames
    SPEECH_HANGOVER = 25
    AUDIBLE_HANGOVER = 25
    COMFORT_NOISE = 13          # RFC 3389, the static payload type for codecs at 8 kHz


cdef bint _affords(Leg* leg, int64_t now) noexcept nogil:
    """Whether the peer may have one more packet taken. Asked when that is known to be the peer's: else who sends in its
    name could silence it.
    """
    leg.budget = min(<double>BURST, leg.budget + (now - leg.budget_at) * 1e-9 * PACKETS_A_SECOND)
    leg.budget_at = now
    if leg.budget < 1:
        leg.dropped_flood += 1
        return False
    leg.budget -= 1
    return True


cdef int _opened(Leg* leg, uint8_t* data, int length, uint32_t ssrc, bint rtcp) noexcept nogil:
    """Decrypt in place; the length, 0 for what must be dropped, and is counted."""
    if leg.plain:
        return length
    if leg.inbound == NULL:     # before the keys
        leg.dropped_unknown += 1
        return 0
    length = secure_unprotect(leg.inbound, data, length, ssrc, rtcp)
    if length == SRTP_REPLAYED:
        leg.dropped_replay += 1
    elif length < 0:
        leg.dropped_auth += 1
    return max(0, length)


cdef bint _of_this_source(Leg* leg, uint32_t ssrc) noexcept nogil:
    """A leg has one source at a time. Another takes over when it alone has been coming for a few packets."""
    if leg.heard_of and ssrc == leg.ssrc:
        leg.rivals = 0
        return True
    if leg.heard_of:
        leg.rivals = leg.rivals + 1 if ssrc == leg.rival else 1
        leg.rival = ssrc
        if leg.rivals < RIVAL:
            leg.dropped_unknown += 1
            return False
        stream_reset(&leg.stream, leg.format.codec)
        memset(&leg.reception, 0, sizeof(leg.reception))
        dtmf_restart(&leg.keys)
    leg.heard_of = True
    leg.ssrc = ssrc
    leg.rivals = 0
    leg.report_at = 0
    leg.announced = False
    return True


cdef bint _counted(Leg* leg, uint32_t ssrc, int size) noexcept nogil:
    """Whether a packet of size bytes is of the leg's source; it is counted then."""
    if not _of_this_source(leg, ssrc):
        return False
    leg.received += 1
    leg.bytes_received += size
    leg.stream.ended = False
    return True


cdef bint _voiced(Leg* leg, uint8_t level, bint voice, const uint8_t* payload, int length) noexcept nogil:
    """Whether a packet may be speech: by the level that comes with it, else by what can be seen of its codec. There are
    senders that say of all they send that it is speech, senders that never do (RFC 6464's V), and senders that give a
    level without having measured it, which then is that of silence.
    """
    cdef double floor = leg.speech.floor
    if level == NO_LEVEL or level == DIGITAL_SILENCE:
        return codec_voiced(leg.format.codec, payload, length)
    return -<double>level > max(-60.0, min(-45.0, floor + (6.0 if voice else 10.0)))


cdef int _event_rate(Leg* leg, int payload_type) noexcept nogil:
    """Clock rate of the telephone events that come under this number, 0: they do not."""
    cdef int i
    for i in range(EVENT_RATES):
        if leg.format.codec != NULL and leg.format.event_types[i] == payload_type:
            return dtmf_rate(i)
    return 0


cdef void _receive_event(Leg* leg, const uint8_t* data, Rtp* rtp, int rate, int size, int64_t now) noexcept nogil:
    """Take a telephone event, whether what the leg says is heard or not. Its number is none that sound could be lost
    under, and its timestamp says nothing of when it was sent.
    """
    cdef int clock = RATE // codec_unit(leg.format.codec)
    if rtp.payload_length < 4 or rtp.payload_length % 4:
        leg.dropped_malformed += 1
        return
    if not _counted(leg, rtp.ssrc, size):
        return
    reception_count(&leg.reception, rtp.sequence)
    jitter_pass(&leg.stream.jitter, rtp.sequence)
    data += rtp.payload_offset
    dtmf_receive(
        &leg.keys, rtp.sequence, rtp.timestamp, rtp.marker, rate, clock, data, rtp.payload_length, now
    )


cdef void leg_receive(Leg* leg, uint8_t* data, int length, int64_t now, int64_t stamp) noexcept nogil:
    """Take an RTP packet from an address that is allowed. data is changed. stamp: when it arrived, ns of the
    ticks' clock.
    """
    cdef Rtp rtp
    cdef Slot packet
    cdef bint voice = False
    cdef int samples, unit, rate
    cdef int size = length
    if rtp_read(data, length, &rtp, not leg.plain) != RTP_OK:
        leg.dropped_malformed += 1
        return
    if leg.expects and rtp.ssrc != leg.expected:
        leg.dropped_unknown += 1
        return
    if not leg.plain:
        length = _opened(leg, data, length, rtp.ssrc, False)
        if length == 0:
            return
        if rtp_read(data, length, &rtp, False) != RTP_OK:
            leg.dropped_malformed += 1
            return
    if not _affords(leg, now):
        return
    rate = _event_rate(leg, rtp.payload_type)
    if rate:
        _receive_event(leg, data, &rtp, rate, size, now)
        return
    unit = codec_unit(leg.format.codec)
    if leg.format.codec != NULL and unit > 1 and rtp.payload_type == COMFORT_NOISE:
        rtp.payload_length = min(rtp.payload_length, 1)     # its level; of the spectrum nothing is made
    elif leg.format.codec == NULL or rtp.payload_type != leg.format.payload_type:
        leg.dropped_payload_type += 1
        return
    samples = codec_measure(leg.format.codec, data + rtp.payload_offset, rtp.payload_length)
    if samples == 0:
        leg.dropped_malformed += 1
        return
    if not _counted(leg, rtp.ssrc, size):
        return
    reception_update(&leg.reception, rtp.sequence, rtp.timestamp, stamp, RATE // unit)
    if leg.muted:
        return
    packet.length = rtp.payload_length
    packet.samples = samples
    packet.sequence = rtp.sequence
    packet.timestamp = rtp.timestamp * unit
    packet.level = rtp_level(data, &rtp, leg.format.level_extension, &voice)
    packet.arrival = stream_time(stamp)
    data += rtp.payload_offset
    if _voiced(leg, packet.level, voice, data, packet.length):
        stream_rouse(&leg.stream)
    stream_push(&leg.stream, leg.format.codec, &packet, data)


cdef void leg_receive_rtcp(Leg* leg, uint8_t* data, int length, int64_t now, uint64_t ntp) noexcept nogil:
    """Take an RTCP packet: what the peer says of what we send, and of itself. ntp: the time in 2^-32 s."""
    cdef Report report
    cdef int32_t round_trip
    cdef uint32_t ssrc
    if length < 8 or data[0] >> 6 != 2:
        leg.dropped_malformed += 1
        return
    ssrc = get32(data + 4)
    length = _opened(leg, data, length, ssrc, True)
    if length == 0 or not _affords(leg, now):
        return
    if not rtcp_read(data, length, leg.own_ssrc, leg.ssrc, &report):
        leg.dropped_malformed += 1
        return
    if report.has_sender and leg.heard_of:
        leg.report_ntp = <uint32_t>(report.ntp >> 16)
        leg.report_at = now
    if report.has_block:
        leg.remote_fraction = report.fraction / 256.0
        leg.remote_lost = report.lost
        loss_note(&leg.loss, report.fraction, now)
        leg.remote_jitter = report.jitter * 1000.0 * codec_unit(leg.format.codec) / RATE
        if report.last_report:
            round_trip = <int32_t>(<uint32_t>(ntp >> 16) - report.last_report - report.delay)
            if 0 <= round_trip < 60 * 65536:
                leg.rtt = round_trip * 1000.0 / 65536
    if report.bye and leg.heard_of:
        leg.stream.ended = True


cdef void _judge(Leg* leg, bint unknown) noexcept nogil:
    """Whether this frame is speech: some frames well above the background start it, a pause of half a second ends it.
    unknown: nobody has listened to it, and it stays what it was.
    """
    cdef Speech* speech = &leg.speech
    cdef double level = leg.level
    cdef double threshold = max(-55.0, min(-40.0, speech.floor + 10.0))
    cdef bint was = speech.speaking > 0
    speech.audible = AUDIBLE_HANGOVER if level > -60.0 and leg.node.sounds else max(speech.audible - 1, 0)
    leg.node.audible = speech.audible > 0
    if unknown:
        return
    if level == -127.0:
        pass        # nothing is known of the background
    elif level < speech.floor:
        speech.floor = max(-90.0, speech.floor + 0.2 * (level - speech.floor))
    else:
        speech.floor = min(-50.0, speech.floor + 0.05)
    if level > threshold:
        speech.above = min(speech.above + 1, SPEECH_AFTER)
        if speech.above == SPEECH_AFTER or was:
            speech.speaking = SPEECH_HANGOVER
    else:
        speech.above = max(speech.above - 1, 0)
        speech.speaking = max(speech.speaking - 1, 0)


cdef bint _tell(Leg* leg, EventRing* events, EventKind kind, int64_t value) noexcept nogil:
    cdef Event event
    memset(&event, 0, sizeof(event))
    event.kind = kind
    event.leg = leg.id
    event.value = value
    return events_put(events, &event, NULL)


cdef void _tell_news(Leg* leg, EventRing* events) noexcept nogil:
    """What Python should know and does not; if there is no room, in the next tick."""
    cdef Key key
    cdef bint speaking = leg.speech.speaking > 0
    if leg.heard_of and not leg.announced:
        leg.announced = _tell(leg, events, EVENT_SSRC, leg.ssrc)
    if speaking != leg.speech.reported and _tell(leg, events, EVENT_SPEAKING, speaking):
        leg.speech.reported = speaking
    if dtmf_next(&leg.keys, &key) and _tell(leg, events, EVENT_DTMF, <int64_t>key.code << 32 | key.duration):
        dtmf_told(&leg.keys)
    if leg.dial.done and _tell(leg, events, EVENT_DTMF_SENT, 0):
        leg.dial.done = False


cdef void leg_offer(Leg* leg) noexcept nogil:
    """Once a tick, before all else: what its mixers have to know to choose whom they hear."""
    cdef Stream* stream = &leg.stream
    stream.sparing = leg.node.taps == NULL and not graph_feeds_leg(leg.node)
    leg.talker.taken = leg.talker.left = False
    leg.talker.wants = stream.sparing and not stream.jitter.pinned and stream.awake > 0 and not leg.muted
    leg.talker.known = stream.level < DIGITAL_SILENCE


cdef bint _take(Leg* leg, int64_t now) noexcept nogil:
    """The next frame of the stream, at now (ns); whether anything is in it. Of one that has just been muted it is the
    last, which its volume fades out.
    """
    cdef bint sounds
    if leg.format.codec == NULL or not leg.heard_of or (leg.muted and leg.silenced):
        return False
    leg.stream.barred = floor_bars(&leg.talker) and leg.talker.sampled == 0
    sounds = stream_take(&leg.stream, leg.format.codec, stream_time(now), leg.node.frame)
    if leg.muted:
        stream_reset(&leg.stream, leg.format.codec)
    leg.silenced = leg.muted
    return sounds


cdef void _bring_to_volume(Leg* leg, bint sounded) noexcept nogil:
    """Make node.frame as loud as it is to be heard. sounded: it was heard in the last tick."""
    cdef Node* node = leg.node
    cdef bint barred = floor_bars(&leg.talker)
    cdef float wanted = 0 if leg.muted or barred else node.gain
    if barred and not sounded:
        node.volume.gain = 0        # there is nothing to fade out
    if node.sounds:
        agc_apply(&leg.agc, node.frame, leg.speech.speaking > 0)
        node.sounds = volume_apply(&node.volume, wanted, node.frame)
    else:
        agc_rest(&leg.agc)
        volume_rest(&node.volume, wanted)
    node.audible = node.audible and node.gain > 0


cdef uint64_t leg_listen(Leg* leg, EventRing* events, int64_t now) noexcept nogil:
    """Once a tick: make node.frame what the peer says now. How often a decoder ran for it."""
    cdef Node* node = leg.node
    cdef uint64_t runs = leg.stream.runs
    cdef bint sounded = node.sounds
    cdef bint barred = floor_bars(&leg.talker) and leg.talker.sampled == 0
    cdef bint measured
    node.sounds = _take(leg, now)
    if not node.sounds and sounded:
        memset(node.frame, 0, FRAME * sizeof(int16_t))
    if leg.stream.level < DIGITAL_SILENCE:
        leg.level = -<double>leg.stream.level
    else:
        leg.level = mix_level(node.frame, FRAME) if node.sounds else -127.0
    measured = node.sounds or leg.stream.level != NO_LEVEL
    floor_heard(&leg.talker, leg.level, measured)
    if measured:
        speaker_push(&leg.speaker, leg.level)
    else:
        speaker_pass(&leg.speaker, 1)
    _judge(leg, barred and not measured)
    _bring_to_volume(leg, sounded)
    if not node.leaving:
        dtmf_expire(&leg.keys, now)
        _tell_news(leg, events)
    taps_feed(node.taps, node.frame)
    return leg.stream.runs - runs
