"""What goes to a peer: once a tick what it hears, encoded, with the CSRCs of who is in it (RFC 3550 section 7.1), or a
key of a telephone; now and then a report.
"""
from libc.stdint cimport int16_t, int32_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from mixer_ext.audience cimport (
    Audience,
    audience_attend,
    audience_first,
    audience_leave,
    audience_missed,
    audience_mix,
    audience_payload,
    audience_rests,
)
from mixer_ext.codec cimport FRAME, PAYLOAD, RATE, codec_unit, comfort_payload
from mixer_ext.dial cimport (
    DIAL_EVENT,
    DIAL_PAYLOAD,
    DIAL_SOUND,
    dial_advance,
    dial_interrupt,
    dial_packet,
)
from mixer_ext.dtmf cimport EVENT_RATES, dtmf_rate
from mixer_ext.gain cimport gain_advance, gain_apart, gain_apply, gain_silences
from mixer_ext.graph cimport HEARD, Node
from mixer_ext.hearing cimport graph_hear, graph_in_own_mix, graph_named, node_play, node_plays, taps_feed
from mixer_ext.leg cimport leg_is_sent
from mixer_ext.limiter cimport limit
from mixer_ext.mix cimport mix_add, mix_level
from mixer_ext.net cimport outbox_put, outbox_room
from mixer_ext.packing cimport Packing, packing_add, packing_fits, packing_forget, packing_room, packing_take
from mixer_ext.rtcp cimport CNAME, Sender, rtcp_write
from mixer_ext.rtp cimport DIGITAL_SILENCE, MAX_CSRC, Heading, Levels, Rtp, rtp_write
from mixer_ext.srtp cimport secure_protect

cdef enum:
    FEW = 4                     # legs that share an encoding and need not wait for those who talk


cdef Coding leg_coding(Leg* leg) noexcept nogil:
    """How what the leg is sent is encoded now: with what repairs losses if there are any and the peer can make use of it.
    A pinned leg is a modem's, whose peer may take a pause between packets for a line that is dead.
    """
    cdef Coding coding = leg.format.coding
    coding.fec = coding.fec and leg.loss.heavy
    if leg.stream.jitter.pinned:
        coding.steady, coding.dtx = True, False
    return coding


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


cdef void leg_attend(Leg* leg, Audiences* audiences) noexcept nogil:
    """Once a tick, after graph_mix and before anybody is sent anything: with whom this leg hears the same."""
    cdef Audience* audience
    cdef Coding coding = leg_coding(leg)
    cdef int payload_type = 0
    leg.played = node_plays(leg.node)
    leg.node.playing = leg.node.playing and leg.played
    gain_advance(leg.node)
    if leg_is_sent(leg):
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


cdef void _begin(Leg* leg, Heading* heading) noexcept nogil:
    """That of a packet of sound of this tick, in which nobody is named."""
    memset(heading, 0, sizeof(Heading))
    heading.rtp.payload_type = leg.format.payload_type
    heading.rtp.timestamp = leg.timestamp
    heading.rtp.ssrc = leg.own_ssrc


cdef void _put_payload(
    Leg* leg, Outbox* outbox, Heading* heading, const uint8_t* payload, int length
) noexcept nogil:
    """Send a packet with this payload, which is not at outbox_room()."""
    cdef uint8_t* packet = outbox_room(outbox, leg.local)
    cdef int header
    heading.rtp.sequence = leg.sequence
    header = rtp_write(packet, heading)
    memcpy(packet + header, payload, length)
    _put(leg, outbox, packet, header, length)


cdef void _put_halves(
    Leg* leg, Outbox* outbox, Heading* heading, const uint8_t* payload, int length, int first
) noexcept nogil:
    """Send the payload of a tick as two packets, the first of so many bytes."""
    if first:
        _put_payload(leg, outbox, heading, payload, first)
        heading.rtp.marker = False
    heading.rtp.timestamp += FRAME // 2 // codec_unit(leg.format.codec)
    if length > first:
        _put_payload(leg, outbox, heading, payload + first, length - first)


cdef void _put_waiting(Leg* leg, Outbox* outbox) noexcept nogil:
    """Send what waits to be a whole packet."""
    cdef Packing* packing = leg.format.packing
    cdef uint8_t payload[PAYLOAD]
    cdef int length
    if packing != NULL and packing.count:
        length = packing_take(packing, payload)
        if length:
            _put_payload(leg, outbox, &packing.heading, payload, length)


cdef void leg_hurry(Leg* leg, Outbox* outbox) noexcept nogil:
    """Before what it is sent changes: send what waits."""
    if leg_is_sent(leg):
        _put_waiting(leg, outbox)


cdef void leg_comfort(Leg* leg, Outbox* outbox) noexcept nogil:
    """Send a frame of silence if for long there has been nothing else to send: so the peer knows that we are there."""
    cdef Heading heading
    cdef uint8_t payload[PAYLOAD]
    cdef int length
    if not audience_rests(&leg.listener) or leg.time - leg.sent_at < ALIVE:
        return
    _begin(leg, &heading)
    heading.levels.identifier = leg.format.level_extension
    heading.levels.level = DIGITAL_SILENCE
    length = comfort_payload(&leg.format.coding, payload)
    _put_payload(leg, outbox, &heading, payload, length // 2 if leg.format.halves else length)


cdef void _dial(Leg* leg, Outbox* outbox) noexcept nogil:
    """In place of sound: what there is to say in this tick of the key that is pressed for the peer."""
    cdef Heading heading
    cdef uint8_t payload[DIAL_PAYLOAD]
    cdef int payload_type = 0
    cdef int rate = _dialled_rate(leg, &payload_type)
    if leg.dial.now != DIAL_EVENT or rate == 0:
        return
    _begin(leg, &heading)
    heading.rtp.marker = dial_packet(
        &leg.dial, leg.timestamp, rate, RATE // codec_unit(leg.format.codec), &heading.rtp.timestamp, payload
    )
    heading.rtp.payload_type = payload_type
    _put_payload(leg, outbox, &heading, payload, DIAL_PAYLOAD)


cdef void _send(
    Leg* leg, Audiences* audiences, Outbox* outbox, Heading* heading, const int16_t* heard, bint sounds
) noexcept nogil:
    """Have what is heard encoded, and send it, or half of it and the other half, or what has waited for it."""
    cdef Packing* packing = leg.format.packing
    cdef uint8_t payload[PAYLOAD]
    cdef uint8_t* packet
    cdef int header, length
    if packing != NULL:
        length = audience_payload(audiences, &leg.listener, heard, sounds, packing_room(packing))
        if heading.rtp.marker or not packing_fits(packing, length):
            _put_waiting(leg, outbox)
        if length:
            packing_add(packing, length, heading)
        if packing.count == packing.wanted:
            _put_waiting(leg, outbox)
    elif leg.format.halves:
        length = audience_payload(audiences, &leg.listener, heard, sounds, payload)
        if length:
            _put_halves(leg, outbox, heading, payload, length, audience_first(&leg.listener))
    else:
        packet = outbox_room(outbox, leg.local)
        heading.rtp.sequence = leg.sequence
        header = rtp_write(packet, heading)
        length = audience_payload(audiences, &leg.listener, heard, sounds, packet + header)
        if length:
            _put(leg, outbox, packet, header, length)


cdef void leg_speak(Leg* leg, Audiences* audiences, Outbox* outbox) noexcept nogil:
    """Once a tick, when all have attended: send what this leg hears."""
    cdef int16_t frame[FRAME]
    cdef int16_t* heard = frame
    cdef Node* named[HEARD]
    cdef Node** names = named
    cdef Audience* audience = leg.listener.audience
    cdef Heading heading
    cdef Rtp* rtp = &heading.rtp
    cdef Levels* levels = &heading.levels
    cdef bint sounds
    cdef double loudness
    cdef int i, count
    leg.time += 1
    leg.timestamp += FRAME // codec_unit(leg.format.codec)
    if audience == NULL or leg.dial.now != DIAL_SOUND:
        if leg.played:
            node_play(leg.node, frame)  # time passes for what is played whether it can be sent or not
        taps_feed(leg.node.out_taps, NULL)
        leg.talking = False
        if audience != NULL:
            _put_waiting(leg, outbox)
            _dial(leg, outbox)
        elif leg.format.packing != NULL:
            packing_forget(leg.format.packing)
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
    _begin(leg, &heading)
    for i in range(count):
        if names[i] == leg.node or gain_silences(leg.node, names[i]):
            continue
        if rtp.csrc_count < MAX_CSRC:
            heading.csrcs[rtp.csrc_count] = names[i].csrc
            levels.mixed[rtp.csrc_count] = _below_overload((<Leg*>names[i].owner).level)
            rtp.csrc_count += 1
    rtp.marker = sounds and not leg.talking
    levels.identifier = leg.format.level_extension
    levels.level = _below_overload(loudness)
    levels.voice = levels.level < 50
    levels.mixed_identifier = leg.format.mixed_extension
    leg.talking = sounds
    _send(leg, audiences, outbox, &heading, heard, sounds)


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
    sender.sending = leg.sent > leg.sent_at_reports[1]      # RFC 3550 section 6.3.8
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
    leg.sent_at_reports[1], leg.sent_at_reports[0] = leg.sent_at_reports[0], leg.sent
    leg.reported = True
    if not leg.plain:
        length = secure_protect(leg.outbound, packet, length, True)
        if length < 0:
            return
    outbox_put(outbox, leg.local, leg.fd, &leg.remote, length)
