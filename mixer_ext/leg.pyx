"""One peer's media.

In: packet, SRTP, checks, jitter buffer; once a tick a frame, its level, whether it is speech. Out: once a tick what the
peer hears, encoded, with the CSRCs of who is in it (RFC 3550 section 7.1), and now and then a report.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from mixer_ext.agc cimport agc_apply, agc_init, agc_rest
from mixer_ext.audience cimport (
    Audience,
    audience_attend,
    audience_leave,
    audience_missed,
    audience_mix,
    audience_payload,
    audience_rests,
)
from mixer_ext.codec cimport (
    Coding,
    FRAME,
    RATE,
    codec_free,
    codec_measure,
    codec_unit,
    codec_voiced,
    comfort_payload,
)
from mixer_ext.consent cimport consent_forget
from mixer_ext.dial cimport (
    DIAL_EVENT,
    DIAL_PAYLOAD,
    DIAL_SOUND,
    dial_advance,
    dial_interrupt,
    dial_packet,
    dial_pending,
)
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
from mixer_ext.gain cimport gain_advance, gain_apart, gain_apply, gain_silences
from mixer_ext.graph cimport (
    HEARD,
    graph_feeds_leg,
    graph_hear,
    graph_in_own_mix,
    graph_named,
    node_free,
    node_new,
    node_play,
    node_plays,
    taps_feed,
)
from mixer_ext.jitter cimport Slot, jitter_depth, jitter_pass, jitter_wanted
from mixer_ext.limiter cimport limit, volume_apply, volume_rest
from mixer_ext.mix cimport mix_add, mix_level
from mixer_ext.net cimport DATAGRAM, SLACK, outbox_put, outbox_room
from mixer_ext.octets cimport get32
from mixer_ext.ring cimport (
    EVENT_DTMF,
    EVENT_DTMF_SENT,
    EVENT_SPEAKING,
    EVENT_SSRC,
    Event,
    EventKind,
    events_put,
    ring_free,
)
from mixer_ext.rtcp cimport Report, Sender, loss_note, rtcp_read, rtcp_write
from mixer_ext.rtp cimport (
    MAX_CSRC,
    NO_LEVEL,
    RTP_OK,
    Levels,
    Rtp,
    reception_count,
    reception_expected,
    reception_update,
    rtp_level,
    rtp_read,
    rtp_write,
)
from mixer_ext.speakers cimport speaker_pass, speaker_push
from mixer_ext.srtp cimport (
    SRTP_REPLAYED,
    secure_free,
    secure_protect,
    secure_unprotect,
)
from mixer_ext.stream cimport (
    Stream,
    stream_concealed,
    stream_free,
    stream_init,
    stream_pass,
    stream_push,
    stream_reset,
    stream_rests,
    stream_rouse,
    stream_take,
    stream_time,
)

cdef enum:
    PACKETS_A_SECOND = 500      # of one leg; ten-millisecond packets are 100
    BURST = 300
    RIVAL = 3                   # packets in a row of another SSRC make it the leg's
    SPEECH_AFTER = 3            # frames
    SPEECH_HANGOVER = 25
    AUDIBLE_HANGOVER = 25
    ROOM = DATAGRAM - SLACK
    FEW = 4                     # legs that share an encoding and need not wait for those who talk
    COMFORT_NOISE = 13          # RFC 3389, the static payload type for codecs at 8 kHz
    DIGITAL_SILENCE = 127       # as a level of RFC 6464
    ALIVE = 250                 # ticks without sound between frames of comfort


cdef Leg* leg_new(int64_t id, uint32_t ssrc, uint32_t csrc, uint16_t sequence, uint32_t timestamp) noexcept nogil:
    cdef Leg* leg = <Leg*>calloc(1, sizeof(Leg))
    if leg == NULL:
        return NULL
    leg.node = node_new(id, False)
    if leg.node == NULL:
        free(leg)
        return NULL
    leg.node.owner = leg
    leg.node.csrc = csrc
    leg.id = id
    leg.fd = -1
    leg.own_ssrc = ssrc
    leg.sequence = sequence
    leg.timestamp = timestamp
    leg.sends = True
    leg.level = -127.0
    leg.rtt = -1.0
    leg.speech.floor = -80.0
    leg.budget = BURST
    leg.talker.loudness = -127.0
    stream_init(&leg.stream)
    agc_init(&leg.agc)
    return leg


cdef void leg_free(Leg* leg) noexcept nogil:
    if leg != NULL:
        stream_free(&leg.stream)
        codec_free(leg.format.codec)
        secure_free(leg.inbound)
        secure_free(leg.outbound)
        consent_forget(&leg.consent)
        ring_free(leg.node.play)
        node_free(leg.node)
        free(leg)


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


cdef int _dialled_rate(Leg* leg, int* payload_type) noexcept nogil:
    """Clock rate of the telephone events that the leg can be sent, and under which number: that of its sound, or else 8
    kHz, whose timestamps then are the sound's all the same (as libwebrtc has it). 0: none.
    """
    cdef int clock = RATE // codec_unit(leg.format.codec)
    cdef int i
    cdef int rate = 0
    for i in range(EVENT_RATES):
        if leg.format.event_types[i] >= 0 and dtmf_rate(i) <= clock:
            rate = dtmf_rate(i)
            payload_type[0] = leg.format.event_types[i]
    return rate


cdef void _receive_event(Leg* leg, const uint8_t* data, Rtp* rtp, int rate, int size, int64_t now) noexcept nogil:
    """Take a telephone event, whether what the leg says is heard or not. Its number is none that sound could be lost
    under, and its timestamp says nothing of when it was sent.
    """
    cdef int clock = RATE // codec_unit(leg.format.codec)
    if rtp.payload_length < 4 or rtp.payload_length % 4:
        leg.dropped_malformed += 1
        return
    if not _of_this_source(leg, rtp.ssrc):
        return
    leg.received += 1
    leg.bytes_received += size
    leg.stream.ended = False
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
    if not _of_this_source(leg, rtp.ssrc):
        return
    leg.received += 1
    leg.bytes_received += size
    leg.stream.ended = False
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


cdef bint _is_sent(Leg* leg) noexcept nogil:
    return leg.fd >= 0 and leg.sends and leg.format.codec != NULL and (leg.plain or leg.outbound != NULL)


cdef Coding _coding(Leg* leg) noexcept nogil:
    """How what the leg is sent is encoded now: with what repairs losses if there are any and the peer can make use of it.
    """
    cdef Coding coding = leg.format.coding
    coding.fec = coding.fec and leg.loss.heavy
    return coding


cdef void leg_attend(Leg* leg, Audiences* audiences) noexcept nogil:
    """Once a tick, after graph_mix and before anybody is sent anything: with whom this leg hears the same."""
    cdef Audience* audience
    cdef Coding coding = _coding(leg)
    cdef int payload_type = 0
    leg.played = node_plays(leg.node)
    leg.node.playing = leg.node.playing and leg.played
    gain_advance(leg.node)
    if _is_sent(leg):
        audience_attend(
            audiences,
            &leg.listener,
            leg.node,
            &coding,
            leg.played or graph_in_own_mix(leg.node) or gain_apart(leg.node),
            leg.sent == 0,
        )
    else:
        audience_leave(audiences, &leg.listener)
    audience = leg.listener.audience
    if audience == NULL:
        dial_interrupt(&leg.dial)
    else:
        dial_advance(&leg.dial, _dialled_rate(leg, &payload_type) > 0)
        if leg.dial.returns:
            audience_missed(audiences, &leg.listener)
    leg.node.waits = audience != NULL and leg.listener.encoder == NULL and audience.sharing > FEW


cdef bint _hear(Leg* leg, int16_t* frame) noexcept nogil:
    """What this leg alone hears; whether there is anything."""
    cdef int32_t total[FRAME]
    cdef bint sounds = graph_hear(leg.node, total, True)
    gain_apply(leg.node, total)
    if leg.played:
        node_play(leg.node, frame)
        mix_add(total, frame)
        sounds = True
    return limit(&leg.listener.limit, total, frame) and sounds


cdef inline uint8_t _below_overload(double level) noexcept nogil:
    """A level in dBov as it is sent."""
    return <uint8_t>max(0.0, min(127.0, -level))


cdef void leg_pass(Leg* leg, uint64_t time) noexcept nogil:
    """Let the time pass for it up to this tick, where it has not been kept in each."""
    cdef uint64_t ticks = time - leg.time
    if ticks:
        leg.time = time
        leg.timestamp += <uint32_t>ticks * <uint32_t>(FRAME // codec_unit(leg.format.codec))
        stream_pass(&leg.stream, ticks)
        speaker_pass(&leg.speaker, ticks)


cdef bint leg_rests(Leg* leg) noexcept nogil:
    """After a tick: whether in the next ones, too, it says nothing, is sent nothing and has nothing to tell."""
    return (
        not leg.node.sounds
        and stream_rests(&leg.stream)
        and leg.speech.speaking == 0
        and leg.speech.audible == 0
        and not leg.speech.reported
        and not leg.keys.open
        and leg.keys.waiting == 0
        and leg.dial.now == DIAL_SOUND
        and not leg.dial.done
        and (dial_pending(&leg.dial) == 0 or not _is_sent(leg))
        and (leg.announced or not leg.heard_of)
        and (audience_rests(&leg.listener) or not _is_sent(leg))
    )


cdef void _put(Leg* leg, Outbox* outbox, uint8_t* packet, int header, int length) noexcept nogil:
    """Send the packet that was written at outbox_room(); length: of its payload."""
    leg.sent_at = leg.time
    leg.sequence += 1
    leg.octets_sent += length
    length += header
    if not leg.plain:
        length = secure_protect(leg.outbound, packet, length, False)
        if length < 0:
            return
    leg.sent += 1
    leg.bytes_sent += length
    outbox_put(outbox, leg.local, leg.fd, &leg.remote, length)


cdef void leg_comfort(Leg* leg, Outbox* outbox) noexcept nogil:
    """Send a frame of silence if for long there has been nothing else to send: so the peer knows that we are there."""
    cdef Rtp rtp
    cdef Levels levels
    cdef uint8_t* packet
    cdef int header
    if not audience_rests(&leg.listener) or leg.time - leg.sent_at < ALIVE:
        return
    memset(&rtp, 0, sizeof(rtp))
    rtp.payload_type = leg.format.payload_type
    rtp.sequence = leg.sequence
    rtp.timestamp = leg.timestamp
    rtp.ssrc = leg.own_ssrc
    levels.identifier = leg.format.level_extension
    levels.level = DIGITAL_SILENCE
    levels.voice = False
    levels.mixed_identifier = 0
    packet = outbox_room(outbox, leg.local)
    header = rtp_write(packet, &rtp, NULL, &levels)
    _put(leg, outbox, packet, header, comfort_payload(leg.format.coding.kind, packet + header))


cdef void _dial(Leg* leg, Outbox* outbox) noexcept nogil:
    """In place of sound: what there is to say in this tick of the key that is pressed for the peer."""
    cdef Rtp rtp
    cdef Levels levels
    cdef uint8_t payload[DIAL_PAYLOAD]
    cdef uint8_t* packet
    cdef int payload_type = 0
    cdef int header
    cdef int rate = _dialled_rate(leg, &payload_type)
    if leg.dial.now != DIAL_EVENT or rate == 0:
        return
    memset(&rtp, 0, sizeof(rtp))
    memset(&levels, 0, sizeof(levels))
    rtp.marker = dial_packet(
        &leg.dial, leg.timestamp, rate, RATE // codec_unit(leg.format.codec), &rtp.timestamp, payload
    )
    rtp.payload_type = payload_type
    rtp.sequence = leg.sequence
    rtp.ssrc = leg.own_ssrc
    packet = outbox_room(outbox, leg.local)
    header = rtp_write(packet, &rtp, NULL, &levels)
    memcpy(packet + header, payload, DIAL_PAYLOAD)
    _put(leg, outbox, packet, header, DIAL_PAYLOAD)


cdef void leg_speak(Leg* leg, Audiences* audiences, Outbox* outbox) noexcept nogil:
    """Once a tick, when all have attended: send what this leg hears."""
    cdef int16_t frame[FRAME]
    cdef int16_t* heard = frame
    cdef Node* named[HEARD]
    cdef Node** names = named
    cdef uint32_t csrcs[HEARD]
    cdef Audience* audience = leg.listener.audience
    cdef Rtp rtp
    cdef uint8_t* packet
    cdef bint sounds
    cdef double loudness
    cdef Levels levels
    cdef int i, header, length, count
    leg.time += 1
    leg.timestamp += FRAME // codec_unit(leg.format.codec)
    if audience == NULL or leg.dial.now != DIAL_SOUND:
        if leg.played:
            node_play(leg.node, frame)  # time passes for what is played whether it can be sent or not
        taps_feed(leg.node.out_taps, NULL)
        leg.talking = False
        if audience != NULL:
            _dial(leg, outbox)
        return
    if leg.listener.apart:
        audiences.mixes += 1
        sounds = _hear(leg, frame)
        count = graph_named(leg.node, named) if sounds else 0
        loudness = mix_level(frame, FRAME) if leg.format.level_extension else -127.0
    else:
        audience_mix(audiences, audience, leg.node)
        heard, sounds, loudness = audience.frame, audience.sounds, audience.level
        names, count = audience.named, audience.names
    taps_feed(leg.node.out_taps, heard)
    packet = outbox_room(outbox, leg.local)
    memset(&rtp, 0, sizeof(rtp))
    for i in range(count):
        if names[i] == leg.node or gain_silences(leg.node, names[i]):
            continue
        if rtp.csrc_count < MAX_CSRC:
            csrcs[rtp.csrc_count] = names[i].csrc
            levels.mixed[rtp.csrc_count] = _below_overload((<Leg*>names[i].owner).level)
            rtp.csrc_count += 1
    rtp.payload_type = leg.format.payload_type
    rtp.marker = sounds and not leg.talking
    rtp.sequence = leg.sequence
    rtp.timestamp = leg.timestamp
    rtp.ssrc = leg.own_ssrc
    levels.identifier = leg.format.level_extension
    levels.level = _below_overload(loudness)
    levels.voice = levels.level < 50
    levels.mixed_identifier = leg.format.mixed_extension
    header = rtp_write(packet, &rtp, csrcs, &levels)
    length = audience_payload(audiences, &leg.listener, heard, sounds, packet + header)
    leg.talking = sounds
    if length:
        _put(leg, outbox, packet, header, length)


cdef void leg_report(Leg* leg, Outbox* outbox, int64_t now, uint64_t ntp, double random, bint bye) noexcept nogil:
    """Send an RTCP report when one is due, or the last one: every 2.5 s, times 0.5 to 1.5 at random, the first in half of
    that (RFC 3550 section 6.2). In SAVPF there is no minimum, and 5 % of 32 kbit/s for two would be one each 1.5 s.
    """
    cdef Sender sender
    cdef uint8_t* packet
    cdef int length
    if leg.fd < 0 or not (leg.plain or leg.outbound != NULL) or (bye and not leg.reported and leg.sent == 0):
        return
    if not bye:
        if leg.rtcp_due == 0:
            leg.rtcp_due = now + <int64_t>((0.5 + random) * 1.25e9)
        if now < leg.rtcp_due:
            return
        leg.rtcp_due = now + <int64_t>((0.5 + random) * 2.5e9)
    memset(&sender, 0, sizeof(sender))
    sender.ssrc = leg.own_ssrc
    sender.sending = leg.sent > <uint64_t>leg.sent_at_report
    sender.ntp = ntp
    sender.timestamp = leg.timestamp
    sender.packets = <uint32_t>leg.sent
    sender.octets = <uint32_t>leg.octets_sent
    memcpy(sender.cname, leg.cname, CNAME)
    sender.peer = leg.ssrc
    if leg.report_at:
        sender.last_report = leg.report_ntp
        sender.delay = <uint32_t>((now - leg.report_at) // 1000 * 65536 // 1000000)
    packet = outbox_room(outbox, leg.local)
    length = rtcp_write(packet, &sender, &leg.reception, bye)
    leg.sent_at_report = leg.sent
    leg.reported = True
    if not leg.plain:
        length = secure_protect(leg.outbound, packet, length, True)
        if length < 0:
            return
    outbox_put(outbox, leg.local, leg.fd, &leg.remote, length)


cdef dict leg_statistics(Leg* leg):
    """Counters and measures, read while the thread goes on: each is right, together they may be a packet apart."""
    return {
        "received": leg.received,
        "lost": max(0, reception_expected(&leg.reception) - <int64_t>leg.reception.received),
        "late": leg.stream.jitter.late,
        "duplicates": leg.stream.jitter.duplicates,
        "concealed": stream_concealed(&leg.stream),
        "recovered": leg.stream.recovered,
        "decoded": leg.stream.decoded,
        "spared": leg.stream.spared,
        "undecodable": leg.stream.undecodable,
        "sent": leg.sent,
        "sends_fec": _coding(leg).fec,
        "heard": leg.talker.heard,
        "shares_encoding": leg.listener.audience != NULL and leg.listener.encoder == NULL,
        "dropped": leg.stream.jitter.dropped,
        "shortened_ms": leg.stream.shortened / 48.0,
        "lengthened_ms": leg.stream.lengthened / 48.0,
        "target_ms": (jitter_wanted(&leg.stream.jitter) + FRAME) / 48.0,
        "depth_ms": (jitter_depth(&leg.stream.jitter) + leg.stream.held) / 48.0,
        "jitter_ms": leg.reception.jitter * codec_unit(leg.format.codec) / 48.0,
        "rtt_ms": leg.rtt,
        "level_dbov": leg.level,
        "remote_lost": leg.remote_lost,
        "remote_fraction_lost": leg.remote_fraction,
        "remote_jitter_ms": leg.remote_jitter,
        "consents": leg.consents,
        "dropped_unknown": leg.dropped_unknown,
        "dropped_auth": leg.dropped_auth,
        "dropped_replay": leg.dropped_replay,
        "dropped_malformed": leg.dropped_malformed,
        "dropped_payload_type": leg.dropped_payload_type,
        "dropped_flood": leg.dropped_flood,
        "dtmf_received": leg.keys.received,
        "dtmf_unknown": leg.keys.unknown,
        "dtmf_dropped": leg.keys.dropped + leg.dial.dropped,
        "dtmf_sent": leg.dial.sent,
        "bytes_received": leg.bytes_received,
        "bytes_sent": leg.bytes_sent,
    }
